//! What is wrong with a group, by what its peers say.

mod primacy;
mod sites;
mod strangers;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::report::finding::{Code, Finding, Severity};
use crate::report::peer::Other;
use crate::report::status::{Member, Status};
use crate::text::units::{counted, millis, span};

/// From where on numbers are worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) certificate_warning: Duration,
    pub(crate) certificate_critical: Duration,
    /// Shares of a store's room, in percent.
    pub(crate) fill_warning: u64,
    pub(crate) fill_critical: u64,
    /// Cuts that a member is behind the primary.
    pub(crate) lag_warning: u64,
    /// Members that are to be able to fail at least; `None` if one is enough, of three and more.
    pub(crate) min_spare: Option<u64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            certificate_warning: Duration::from_secs(7 * DAY),
            certificate_critical: Duration::from_secs(DAY),
            fill_warning: 80,
            fill_critical: 95,
            lag_warning: 1000,
            min_spare: None,
        }
    }
}

/// The health of a group, as `status` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Degraded,
    NoPrimary,
}

impl Health {
    pub(crate) fn of(findings: &[Finding]) -> Self {
        let is_degraded = |finding: &Finding| {
            finding.severity >= Severity::Warning && finding.code.is_degrading()
        };
        if findings.iter().any(|finding| finding.code == Code::NoPrimary) {
            return Self::NoPrimary;
        }
        if findings.iter().any(is_degraded) { Self::Degraded } else { Self::Healthy }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::NoPrimary => "no_primary",
        }
    }
}

/// What was seen of a group at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The status that speaks for the group: the primary's, if there is one.
    pub(crate) best: &'a Status,
    /// Those of all peers that answered.
    pub(crate) all: &'a [&'a Status],
    /// Those of peers of other groups that have the same name.
    pub(crate) strays: &'a [Status],
    /// Members that did not, and why.
    pub(crate) unanswered: &'a [(String, String)],
    pub(crate) now_ms: u64,
    pub(crate) thresholds: Thresholds,
}

impl Seen<'_> {
    /// All that is wrong, the worst first.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        // First: whoever asks such a peer alone is to know why it is not its word that counts.
        found.extend(self.counted_out());
        found.extend(self.primacy());
        found.extend(self.site());
        found.extend(self.missing_members());
        found.extend(self.stores());
        found.extend(self.members_in_trouble());
        found.extend(self.certificates());
        found.extend(self.refusals());
        found.extend(self.differences());
        found.extend(self.monitor());
        found.extend(self.silent_to_us());
        // In this order among those that matter as much.
        found.sort_by_key(|finding| Reverse(finding.severity));
        found
    }

    fn missing_members(&self) -> Vec<Finding> {
        let stale = self.best.monitor.iter().flat_map(|monitor| &monitor.stale);
        let stale: BTreeSet<&String> = stale.collect();
        let missing = |member: &Member| {
            let name = &member.name;
            if *name == self.best.name {
                return None;
            }
            let other = self.best.other(name);
            let silent = member.silent_ms.filter(|silent| *silent > 0).map(span);
            if member.is_stale || stale.contains(name) {
                let silent = silent.unwrap_or_else(|| "long".to_owned());
                let text = format!("{name} is stale: silent for {silent}");
                let finding = Finding::new(Severity::Warning, Code::MemberStale, text);
                let finding = finding.about(name);
                // It takes a primary to forget anybody, and of what else helps is told there.
                return Some(match self.decider() {
                    None => finding,
                    Some(_) => finding.advice(format!(
                        "bring it back or start another in its place; if it is gone for good: \
                         quorate forget {name}"
                    )),
                });
            }
            let other = other.filter(|other| other.is_linked == Some(false))?;
            let silent = || silent.map(|it| format!("silent for {it}"));
            let why = other.link_error.clone().or_else(silent);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let text = format!("{name} is not connected{why}");
            Some(Finding::new(Severity::Warning, Code::MemberDown, text).about(name))
        };
        self.best.members.iter().filter_map(missing).collect()
    }

    fn members_in_trouble(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let members = self.best.members.iter();
        for other in members.filter_map(|member| self.best.other(&member.name)) {
            let about = |severity, code, text: String| {
                Finding::new(severity, code, text).about(&other.name)
            };
            let name = &other.name;
            if other.is_linked != Some(true) {
                continue;
            }
            if other.is_member == Some(false) {
                let text = match self.decider() {
                    Some(_) => {
                        format!("{name} does not count yet: it is being brought up to date")
                    }
                    None => format!("{name} does not count yet"),
                };
                found.push(about(Severity::Warning, Code::NotCounted, text));
            } else if let Some(text) = self.lag_of(other) {
                found.push(about(Severity::Warning, Code::Behind, text));
            }
            if other.suspects {
                let text = format!("{name} does not hear the primary");
                found.push(about(Severity::Warning, Code::SuspectsPrimary, text));
            }
            if other.is_stopping {
                let text = format!("{name} is stopping");
                found.push(about(Severity::Notice, Code::Stopping, text));
            }
        }
        found
    }

    fn lag_of(&self, other: &Other) -> Option<String> {
        let name = &other.name;
        let is_far = |lag: &u64| *lag >= self.thresholds.lag_warning;
        match other.lag.filter(is_far) {
            Some(lag) => Some(format!("{name} is {} behind", counted(lag, "cut"))),
            None if other.is_current == Some(false) && self.decider().is_some() => {
                Some(format!("{name} does not keep up with the primary"))
            }
            None => None,
        }
    }

    fn stores(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let heard: BTreeSet<&str> = self.all.iter().map(|status| &*status.name).collect();
        for status in self.all {
            let name = &status.name;
            if status.has_failed_storage {
                found.push(storage_failed(name, status.storage_error.as_ref()));
            }
            let fill = status.fill_percent().unwrap_or_default();
            let is_full = status.fill.as_deref() == Some("full");
            let severity = match fill {
                _ if is_full => Severity::Critical,
                fill if fill >= self.thresholds.fill_critical => Severity::Critical,
                fill if fill >= self.thresholds.fill_warning => Severity::Warning,
                _ => continue,
            };
            let text = format!("store of {name} {fill} %");
            found.push(
                Finding::new(severity, Code::StoreFull, text)
                    .about(name)
                    .advice("raise max_cells and max_bytes, or use fewer keys"),
            );
        }
        let failed = self.best.others.iter().filter(|other| other.has_failed_storage);
        let unheard = failed.filter(|other| !heard.contains(&*other.name));
        found.extend(unheard.map(|other| storage_failed(&other.name, None)));
        found
    }

    fn certificates(&self) -> Vec<Finding> {
        let own = self
            .all
            .iter()
            .filter_map(|status| Some((&*status.name, status.certificate.as_ref()?.ends_at_ms)));
        let shown = self.best.others.iter().filter_map(|other| {
            let is_heard = self.all.iter().any(|status| status.name == other.name);
            let certificate = other.certificate.as_ref().filter(|_| !is_heard)?;
            Some((&*other.name, certificate.ends_at_ms))
        });
        let ending = own.chain(shown).filter_map(|(name, ends_at_ms)| {
            let left = ends_at_ms.saturating_sub(self.now_ms);
            let severity = match left {
                left if left <= millis(self.thresholds.certificate_critical) => Severity::Critical,
                left if left <= millis(self.thresholds.certificate_warning) => Severity::Warning,
                _ => return None,
            };
            let text = match left {
                0 => format!("certificate of {name} has ended"),
                left => format!("certificate of {name} ends in {}", span(left)),
            };
            let finding = Finding::new(severity, Code::CertificateEnds, text).about(name);
            Some(finding.advice("give it another one; nobody takes new connections after the end"))
        });
        ending.collect()
    }

    fn differences(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let is_encrypted = self.best.tls.as_deref().is_some_and(|tls| tls != "off");
        for other in &self.best.others {
            let name = &other.name;
            let is_plain = other.protection.as_deref() == Some("plain");
            if is_encrypted && is_plain && other.is_linked == Some(true) {
                let text = format!("{name} is plain");
                found.push(Finding::new(Severity::Warning, Code::PlainText, text).about(name));
            }
            let (limits, settings): (Vec<&str>, Vec<&str>) =
                other.differs.iter().map(|field| &**field).partition(|it| it.starts_with("limit"));
            if !limits.is_empty() {
                found.push(limits_differ(name, &[]));
            }
            if !settings.is_empty() {
                let text = format!("settings differ at {name}: {}", settings.join(", "));
                let finding = Finding::new(Severity::Warning, Code::SettingsDiffer, text);
                found.push(finding.about(name));
            }
        }
        for status in self.all.iter().filter(|status| !status.differing_limits.is_empty()) {
            let is_new = |finding: &Finding| {
                finding.code != Code::LimitsDiffer || finding.peer.as_ref() != Some(&status.name)
            };
            if found.iter().all(is_new) {
                found.push(limits_differ(&status.name, &status.differing_limits));
            }
        }
        found
    }

    fn monitor(&self) -> Vec<Finding> {
        let Some(monitor) = &self.best.monitor else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(until) = monitor.paused_until_ms.filter(|until| *until > self.now_ms) {
            let left = span(until - self.now_ms);
            let text = format!("the monitor is paused for {left} more");
            found.push(Finding::new(Severity::Notice, Code::MonitorPaused, text));
        }
        if let Some(why) = &monitor.blocked {
            let text = format!("the monitor forgets nobody at present: {why}");
            found.push(Finding::new(Severity::Notice, Code::MonitorBlocked, text));
        }
        found
    }

    fn silent_to_us(&self) -> Vec<Finding> {
        // Of one that is not connected to the others either, they have said more.
        let is_linked = |name: &String| {
            let other = self.best.other(name);
            other.and_then(|other| other.is_linked).unwrap_or(true)
        };
        let unanswered = self.unanswered.iter().filter(|(name, _)| is_linked(name));
        let told = unanswered.map(|(name, why)| {
            let text = format!("{name} did not answer this command: {why}");
            Finding::new(Severity::Notice, Code::Unanswered, text).about(name)
        });
        told.collect()
    }
}

fn storage_failed(name: &str, error: Option<&String>) -> Finding {
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    let text = format!("storage of {name} has failed{why}");
    let finding = Finding::new(Severity::Critical, Code::StorageFailed, text).about(name);
    finding.advice("mend it, and start that peer again")
}

fn limits_differ(name: &str, limits: &[String]) -> Finding {
    let which = if limits.is_empty() { String::new() } else { format!(": {}", limits.join(", ")) };
    let text = format!("limits differ at {name}{which}");
    Finding::new(Severity::Warning, Code::LimitsDiffer, text).about(name)
}

#[cfg(test)]
mod tests;
