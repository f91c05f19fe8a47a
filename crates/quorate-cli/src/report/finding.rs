//! Something that is wrong with a group, in a sentence that says what to do.

use serde_json::{Value, json};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth knowing; nothing is wrong.
    Notice,
    /// Somebody should look at it, in working hours.
    Warning,
    /// Decisions are not made, or something is about to be lost.
    Critical,
}

impl Severity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The kind of a finding. Its word is in JSON, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Behind,
    CertificateEnds,
    CountedOut,
    LimitsDiffer,
    MemberDown,
    MemberStale,
    MonitorBlocked,
    MonitorPaused,
    NoPrimary,
    NoSpare,
    NotCounted,
    PlainText,
    Refused,
    SettingsDiffer,
    SiteNotReady,
    Stopping,
    StorageFailed,
    StoreFull,
    SuspectsPrimary,
    TwoPrimaries,
    Unanswered,
}

#[cfg(test)]
impl Code {
    pub(crate) const ALL: [Self; Self::Unanswered as usize + 1] = [
        Self::Behind,
        Self::CertificateEnds,
        Self::CountedOut,
        Self::LimitsDiffer,
        Self::MemberDown,
        Self::MemberStale,
        Self::MonitorBlocked,
        Self::MonitorPaused,
        Self::NoPrimary,
        Self::NoSpare,
        Self::NotCounted,
        Self::PlainText,
        Self::Refused,
        Self::SettingsDiffer,
        Self::SiteNotReady,
        Self::Stopping,
        Self::StorageFailed,
        Self::StoreFull,
        Self::SuspectsPrimary,
        Self::TwoPrimaries,
        Self::Unanswered,
    ];
}

impl Code {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::CertificateEnds => "certificate_ends",
            Self::CountedOut => "counted_out",
            Self::LimitsDiffer => "limits_differ",
            Self::MemberDown => "member_down",
            Self::MemberStale => "member_stale",
            Self::MonitorBlocked => "monitor_blocked",
            Self::MonitorPaused => "monitor_paused",
            Self::NoPrimary => "no_primary",
            Self::NoSpare => "no_spare",
            Self::NotCounted => "not_counted",
            Self::PlainText => "plain_text",
            Self::Refused => "refused",
            Self::SettingsDiffer => "settings_differ",
            Self::SiteNotReady => "site_not_ready",
            Self::Stopping => "stopping",
            Self::StorageFailed => "storage_failed",
            Self::StoreFull => "store_full",
            Self::SuspectsPrimary => "suspects_primary",
            Self::TwoPrimaries => "two_primaries",
            Self::Unanswered => "unanswered",
        }
    }

    /// Returns true if the group survives less than it should by this: `status` calls it degraded.
    /// What ends in days, or is a matter of settings, only `check` and `top` warn of.
    pub(crate) fn is_degrading(self) -> bool {
        match self {
            Self::CountedOut
            | Self::MemberDown
            | Self::MemberStale
            | Self::NoPrimary
            | Self::NoSpare
            | Self::NotCounted
            | Self::Refused
            | Self::SiteNotReady
            | Self::StorageFailed
            | Self::TwoPrimaries => true,
            Self::Behind
            | Self::CertificateEnds
            | Self::LimitsDiffer
            | Self::MonitorBlocked
            | Self::MonitorPaused
            | Self::PlainText
            | Self::SettingsDiffer
            | Self::Stopping
            | Self::StoreFull
            | Self::SuspectsPrimary
            | Self::Unanswered => false,
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) code: Code,
    /// The peer that it is about, if it is about one.
    pub(crate) peer: Option<String>,
    /// A few words, for one line.
    pub(crate) text: String,
    /// What to do, where there is something to do.
    pub(crate) advice: Option<String>,
}

impl Finding {
    pub(crate) fn new(severity: Severity, code: Code, text: impl Into<String>) -> Self {
        Self { severity, code, peer: None, text: text.into(), advice: None }
    }

    pub(crate) fn about(mut self, peer: &str) -> Self {
        self.peer = Some(peer.to_owned());
        self
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "severity": self.severity.word(),
            "code": self.code.word(),
            "peer": self.peer,
            "text": self.text,
            "advice": self.advice,
        })
    }
}
