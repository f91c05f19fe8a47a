//! Events for people: a name, a severity, and a sentence with what to do.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::base::event::Event;
use crate::base::id::PeerName;
use crate::base::loss::Loss;
use crate::base::told::{MEMBERS, counted, difference, listed, whole};

/// How much an event matters to whoever runs the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// It happens in a group that is well.
    Info,
    /// Somebody should look at it, in working hours.
    Warn,
    /// Decisions are not made, or something was lost or is about to be: a page to somebody.
    Error,
}

/// Members from which on it is said of each further one how many must be there.
const MANY_MEMBERS: usize = 4;

/// Names and their verb.
fn are(names: &[PeerName]) -> String {
    let verb = if names.len() > 1 { "are" } else { "is" };
    format!("{} {verb}", listed(names.iter().map(PeerName::as_str)))
}

/// Returns true if so many members survive no more losses than one less do, and only need one more
/// to be there. A group of two is what leads to three.
fn is_no_gain(members: usize) -> bool {
    members >= MANY_MEMBERS && members.is_multiple_of(2)
}

impl Event {
    /// Its name, as in its JSON: `quorum_lost`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Founded { .. } => "founded",
            Self::NewGeneration { .. } => "new_generation",
            Self::NewGenerationWaits { .. } => "new_generation_waits",
            Self::PrimaryChanged { .. } => "primary_changed",
            Self::PrimarySuspected { .. } => "primary_suspected",
            Self::FailureAgreed { .. } => "failure_agreed",
            Self::CampaignStarted { .. } => "campaign_started",
            Self::QuorumLost { .. } => "quorum_lost",
            Self::MajorityLost { .. } => "majority_lost",
            Self::QuorumRegained { .. } => "quorum_regained",
            Self::ClockDoubted { .. } => "clock_doubted",
            Self::SteppedDown { .. } => "stepped_down",
            Self::PeerUp { .. } => "peer_up",
            Self::PeerDown { .. } => "peer_down",
            Self::MemberReplaced { .. } => "member_replaced",
            Self::MemberAdded { .. } => "member_added",
            Self::MemberRemoved { .. } => "member_removed",
            Self::MemberStale { .. } => "member_stale",
            Self::MemberForgotten { .. } => "member_forgotten",
            Self::JoinerWaits { .. } => "joiner_waits",
            Self::MonitorChanged { .. } => "monitor_changed",
            Self::SiteChanged { .. } => "site_changed",
            Self::SitePromoted { .. } => "site_promoted",
            Self::SiteFenced { .. } => "site_fenced",
            Self::PrimaryForced { .. } => "primary_forced",
            Self::CountedOut { .. } => "counted_out",
            Self::PolicyChanged { .. } => "policy_changed",
            Self::PolicyUnusable { .. } => "policy_unusable",
            Self::LocalDecisionsMerged { .. } => "local_decisions_merged",
            Self::LocalDecisionsDiscarded { .. } => "local_decisions_discarded",
            Self::LocalDecisionsRefused { .. } => "local_decisions_refused",
            Self::ChangesLost { .. } => "changes_lost",
            Self::OlderGenerationDropped { .. } => "older_generation_dropped",
            Self::ConfigMismatch { .. } => "config_mismatch",
            Self::ModelDiffers { .. } => "model_differs",
            Self::TransportDiffers { .. } => "transport_differs",
            Self::CertificateExpiring { .. } => "certificate_expiring",
            Self::CertificateRenewed { .. } => "certificate_renewed",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::CaNotTrusted { .. } => "ca_not_trusted",
            Self::OlderFilesSetAside { .. } => "older_files_set_aside",
            Self::Recovered { .. } => "recovered",
            Self::CatchUpStarted { .. } => "catch_up_started",
            Self::CaughtUp { .. } => "caught_up",
            Self::Diverged { .. } => "diverged",
            Self::StorageFailed { .. } => "storage_failed",
            Self::StoreNearlyFull { .. } => "store_nearly_full",
            Self::StoreFull { .. } => "store_full",
            Self::SwitchAborted { .. } => "switch_aborted",
            Self::AdminActed { .. } => "admin_acted",
        }
    }

    /// The severity: the level at which it is logged.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NewGeneration { .. }
            | Self::NewGenerationWaits { .. }
            | Self::Founded { lost: Some(_), .. }
            | Self::QuorumLost { .. }
            | Self::MajorityLost { .. }
            | Self::PolicyUnusable { .. }
            | Self::PrimaryForced { .. }
            | Self::SitePromoted { forced: true, .. }
            | Self::SiteFenced { .. }
            | Self::CountedOut { .. }
            | Self::LocalDecisionsRefused { .. }
            | Self::OlderGenerationDropped { .. }
            | Self::CertificateExpiring { within_days: 0 | 1, .. }
            | Self::Diverged { .. }
            | Self::StorageFailed { .. }
            | Self::StoreFull { .. } => Severity::Error,
            Self::ChangesLost { units, exact: true } if *units > 0 => Severity::Error,
            Self::MemberAdded { members, .. } if !is_no_gain(*members) => Severity::Info,
            Self::Recovered { may_lack_acknowledged: false, .. } => Severity::Info,
            Self::Founded { unreached, .. } if unreached.is_empty() => Severity::Info,
            Self::PrimaryChanged { primary: Some(_), .. } => Severity::Info,
            Self::ChangesLost { units, .. } if *units > 0 => Severity::Warn,
            Self::Founded { .. }
            | Self::PrimaryChanged { .. }
            | Self::PrimarySuspected { .. }
            | Self::FailureAgreed { .. }
            | Self::ClockDoubted { .. }
            | Self::MemberAdded { .. }
            | Self::MemberStale { .. }
            | Self::MemberForgotten { .. }
            | Self::JoinerWaits { .. }
            | Self::MonitorChanged { .. }
            | Self::SiteChanged { .. }
            | Self::SitePromoted { forced: false, .. }
            | Self::Recovered { .. }
            | Self::LocalDecisionsDiscarded { .. }
            | Self::ConfigMismatch { .. }
            | Self::ModelDiffers { .. }
            | Self::TransportDiffers { .. }
            | Self::CertificateExpiring { .. }
            | Self::CertificateRefused { .. }
            | Self::CaNotTrusted { .. }
            | Self::OlderFilesSetAside { .. }
            | Self::StoreNearlyFull { .. }
            | Self::SwitchAborted { .. } => Severity::Warn,
            Self::ChangesLost { .. }
            | Self::CampaignStarted { .. }
            | Self::QuorumRegained { .. }
            | Self::SteppedDown { .. }
            | Self::PeerUp { .. }
            | Self::PeerDown { .. }
            | Self::MemberReplaced { .. }
            | Self::MemberRemoved { .. }
            | Self::PolicyChanged { .. }
            | Self::LocalDecisionsMerged { .. }
            | Self::CertificateRenewed { .. }
            | Self::CatchUpStarted { .. }
            | Self::CaughtUp { .. }
            | Self::AdminActed { .. } => Severity::Info,
        }
    }
}

/// A sentence without a full stop: what happened, and what to do where there is something to do.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founded { .. }
            | Self::NewGeneration { .. }
            | Self::NewGenerationWaits { .. }
            | Self::PrimaryChanged { .. }
            | Self::PrimarySuspected { .. }
            | Self::FailureAgreed { .. }
            | Self::CampaignStarted { .. }
            | Self::QuorumLost { .. }
            | Self::MajorityLost { .. }
            | Self::QuorumRegained { .. }
            | Self::ClockDoubted { .. }
            | Self::SteppedDown { .. }
            | Self::SwitchAborted { .. } => self.of_primacy(f),
            Self::AdminActed { by, what } => write!(f, "{by} has this peer do this: {what}"),
            Self::PeerUp { .. }
            | Self::PeerDown { .. }
            | Self::MemberReplaced { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::ConfigMismatch { .. }
            | Self::ModelDiffers { .. }
            | Self::TransportDiffers { .. } => self.of_others(f),
            Self::MemberStale { .. }
            | Self::MemberForgotten { .. }
            | Self::JoinerWaits { .. }
            | Self::MonitorChanged { .. }
            | Self::SiteChanged { .. }
            | Self::SitePromoted { .. }
            | Self::SiteFenced { .. }
            | Self::PrimaryForced { .. }
            | Self::CountedOut { .. } => self.of_upkeep(f),
            Self::PolicyChanged { .. }
            | Self::PolicyUnusable { .. }
            | Self::LocalDecisionsMerged { .. }
            | Self::LocalDecisionsDiscarded { .. }
            | Self::LocalDecisionsRefused { .. }
            | Self::ChangesLost { .. }
            | Self::OlderGenerationDropped { .. } => self.of_decisions(f),
            Self::CertificateExpiring { .. }
            | Self::CertificateRenewed { .. }
            | Self::CertificateRefused { .. }
            | Self::CaNotTrusted { .. } => self.of_certificates(f),
            Self::OlderFilesSetAside { .. }
            | Self::Recovered { .. }
            | Self::CatchUpStarted { .. }
            | Self::CaughtUp { .. }
            | Self::Diverged { .. }
            | Self::StorageFailed { .. }
            | Self::StoreNearlyFull { .. }
            | Self::StoreFull { .. } => self.of_data(f),
        }
    }
}

impl Event {
    fn of_primacy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founded { group_id, unreached, lost } => {
                write!(f, "founded the group {group_id}{}", without(unreached))?;
                match lost {
                    Some(lost) => write!(
                        f,
                        "; all had lost their data, which may have gone as far as position {lost}"
                    ),
                    None => Ok(()),
                }
            }
            Self::NewGeneration { generation, unreached, position, loss, .. } => {
                write!(
                    f,
                    "formed the group anew as generation {generation} from position {position}, \
                     for a majority had lost its data; "
                )?;
                match loss {
                    Loss::Nothing => f.write_str("nothing that a majority had held is lost")?,
                    Loss::UpTo { position } => {
                        write!(f, "what was decided later, up to {position} at most, is lost")?;
                    }
                    Loss::Unknown => f.write_str("whatever was decided later is lost")?,
                }
                f.write_str(&without(unreached))
            }
            Self::NewGenerationWaits { missing, acknowledged } => {
                let names = listed(missing.iter().map(PeerName::as_str));
                write!(f, "a majority has lost its data, and {names} may hold more than is left")?;
                if let Some(acknowledged) = acknowledged {
                    write!(f, " (position {acknowledged} may have been acknowledged)")?;
                }
                f.write_str(
                    ": bring back who is missing, or, if they are gone for good, found a new \
                     group at each peer that is left",
                )
            }
            Self::PrimaryChanged { primary: Some(primary), ballot } => {
                write!(f, "{primary} is the primary (term {})", ballot.term)
            }
            Self::PrimaryChanged { primary: None, .. } => f.write_str("there is no primary"),
            Self::PrimarySuspected { primary: Some(primary), .. } => {
                write!(f, "no word of the primary {primary} for the failure timeout")
            }
            Self::PrimarySuspected { primary: None, .. } => {
                f.write_str("no word of a primary for the failure timeout")
            }
            Self::FailureAgreed { agreeing, .. } => write!(
                f,
                "the primary is lost, {} {}: an election starts",
                listed(agreeing.iter().map(PeerName::as_str)),
                if agreeing.len() == 1 { "finds" } else { "agree" }
            ),
            Self::CampaignStarted { ballot } => write!(f, "stands for term {}", ballot.term),
            Self::QuorumLost { .. } => {
                f.write_str("the lease has ended: nothing is decided until a majority answers")
            }
            Self::MajorityLost { unreached, .. } => write!(
                f,
                "the primary is lost, and no majority is left to elect another: the group decides \
                 nothing until enough of {} are back",
                listed(unreached.iter().map(PeerName::as_str))
            ),
            Self::QuorumRegained { .. } => f.write_str("the lease runs again"),
            Self::ClockDoubted { ahead_ms, .. } => write!(
                f,
                "a wall clock is {} ahead, so this one may have stood still: the others are asked \
                 before anything is decided",
                whole(Duration::from_millis(*ahead_ms))
            ),
            Self::SteppedDown { ballot } => {
                write!(f, "is primary no more (term {} has ended)", ballot.term)
            }
            Self::SwitchAborted { to } => {
                write!(f, "{to} did not take over: the switch was given up")
            }
            _ => Ok(()),
        }
    }

    fn of_others(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerUp { peer } => write!(f, "{peer} is connected"),
            Self::PeerDown { peer } => write!(f, "{peer} is not connected any more"),
            Self::MemberReplaced { peer } => {
                write!(f, "{peer} has started, and counts from now on")
            }
            Self::MemberAdded { peer, members } if *members < MANY_MEMBERS => {
                write!(f, "{peer} is a member now, one of {members}")
            }
            Self::MemberAdded { peer, members } => {
                let needed = members / 2 + 1;
                write!(
                    f,
                    "{peer} is a member now, one of {members}, of which {needed} must be there"
                )?;
                if is_no_gain(*members) {
                    let fewer = members - 1;
                    write!(f, ": they survive the loss of no more than {fewer} do")?;
                }
                f.write_str(
                    "; it counts until it leaves or is forgotten, so let instances that come and \
                     go be clients",
                )
            }
            Self::MemberRemoved { peer } => write!(f, "{peer} is not a member any more"),
            Self::ConfigMismatch { peer, field, ours, theirs }
                if field == MEMBERS && theirs.starts_with("primary ") =>
            {
                write!(f, "{peer} is not followed as primary: the members known here are {ours}")
            }
            Self::ConfigMismatch { peer, field, ours, theirs } => {
                let what = difference(field, ours, theirs);
                write!(f, "{peer} and this peer refuse each other: {what}")
            }
            Self::ModelDiffers { peer, field, ours, theirs } => write!(
                f,
                "the code of {peer} has {field} {theirs}, and that of this peer {ours}: decided is \
                 by the primary's; run the same at all peers, the primary last"
            ),
            Self::TransportDiffers { peer, field, ours, theirs } => write!(
                f,
                "{peer} stands at {field} {theirs}, and this peer at {ours}: they stay connected; \
                 bring all peers to the same"
            ),
            _ => Ok(()),
        }
    }

    fn of_upkeep(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |ms: &u64| whole(Duration::from_millis(*ms));
        match self {
            Self::MemberStale { peer, silent_ms } => write!(
                f,
                "{peer} has been silent for {}, and counts: bring it back, or, if it is gone for \
                 good, have it forgotten or start another in its place",
                within(silent_ms)
            ),
            Self::MemberForgotten { peer, silent_ms } => write!(
                f,
                "forgets {peer}, which has been silent for {} and was replaced",
                within(silent_ms)
            ),
            Self::JoinerWaits { peer, live } => write!(
                f,
                "{peer} is up to date and not counted in: {live} members are live already; it \
                 becomes one when one of them has gone"
            ),
            Self::SiteChanged { site, active, epoch } if site == active => {
                write!(f, "this site, {site}, decides (site epoch {epoch})")
            }
            Self::SitePromoted { site, epoch, forced: false, .. } => {
                write!(f, "{site} was promoted, and decides from where the other site has ended")?;
                write!(f, " (site epoch {epoch})")
            }
            Self::SitePromoted { site, epoch, position, .. } => {
                write!(f, "{site} was promoted by force (site epoch {epoch}), from {position}: ")?;
                f.write_str("what was decided at the other site after that is lost")
            }
            Self::SiteFenced { epoch, by } => {
                write!(
                    f,
                    "the other site decides (site epoch {epoch}, as {by} says): nothing is "
                )?;
                f.write_str("decided here any more")
            }
            Self::SiteChanged { site, active, epoch } => {
                write!(f, "this site, {site}, follows {active}, which decides (site epoch {epoch})")
            }
            Self::MonitorChanged { size: None, .. } => {
                f.write_str("from now on nobody is forgotten but by hand")
            }
            Self::MonitorChanged { size: Some(size), grace_ms, paused_until_ms, .. } => {
                let grace = grace_ms.as_ref().map(within);
                let grace = grace.map(|grace| format!(" for {grace}")).unwrap_or_default();
                write!(
                    f,
                    "from now on a member is forgotten when it was silent{grace} and {size} live \
                     ones are there without it"
                )?;
                match paused_until_ms {
                    Some(_) => f.write_str(", and nobody before the pause has ended"),
                    None => Ok(()),
                }
            }
            Self::PrimaryForced { generation, gone, position, .. } => write!(
                f,
                "is primary of the new generation {generation} by force, from position \
                 {position}: {} no member any more, and what only they held is lost",
                are(gone)
            ),
            Self::CountedOut { by: Some(by), generation } => write!(
                f,
                "{by} refuses this peer as no member of generation {generation}: it decides \
                 nothing any more; start it anew to join, with its data set aside"
            ),
            Self::CountedOut { by: None, .. } => f.write_str(
                "was counted out of the group: it decides nothing any more; end it, or start it \
                 anew to join, with its data set aside",
            ),
            _ => Ok(()),
        }
    }

    fn of_decisions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PolicyChanged { revision: 0 } => {
                f.write_str("decides by what its own code says, as it did at first")
            }
            Self::PolicyChanged { revision } => {
                write!(f, "decides by revision {revision} of the group's policy")
            }
            Self::PolicyUnusable { revision, reason } => write!(
                f,
                "cannot decide by revision {revision} of the group's policy, and goes on with what \
                 it had: {reason}; upgrade this peer, and do not make it primary before"
            ),
            Self::LocalDecisionsMerged { units, dropped: 0 } => {
                write!(f, "merged {units} units that were decided alone")
            }
            Self::LocalDecisionsMerged { units, dropped } => write!(
                f,
                "merged {units} units that were decided alone; {dropped} were dropped, for they do \
                 not count any more or were beyond the limit"
            ),
            Self::LocalDecisionsDiscarded { units } => {
                write!(f, "discarded {units} units that were decided alone, as the settings say")
            }
            Self::LocalDecisionsRefused { units, reason } => write!(
                f,
                "dropped {units} units that were decided alone, for the primary refused them: \
                 {reason}"
            ),
            Self::ChangesLost { units, exact: true } => {
                write!(f, "{units} units that an old primary had decided were given up")
            }
            Self::ChangesLost { units, .. } => {
                write!(
                    f,
                    "what an old primary had decided last, and the others had not got yet, does \
                     not count, if there was any: how much is not known here, and {units} units is \
                     the bound on it, no count of a loss; nothing that Acknowledge::Majority has \
                     answered is in it"
                )
            }
            Self::OlderGenerationDropped { cells, generation } => write!(
                f,
                "dropped {} of the older generation {generation}: the group was formed anew \
                 without this peer",
                cells_of(*cells)
            ),
            _ => Ok(()),
        }
    }

    fn of_certificates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateExpiring { subject, within_days: 0, .. } => write!(
                f,
                "the certificate {subject} has ended: no new connection is made with it; renew it"
            ),
            Self::CertificateExpiring { subject, within_days, .. } => {
                let days = if *within_days == 1 { "day" } else { "days" };
                write!(f, "the certificate {subject} ends within {within_days} {days}: renew it")
            }
            Self::CertificateRenewed { subject, trusted, .. } => write!(
                f,
                "uses the certificate {subject} from now on, and trusts {}",
                listed(trusted.iter().map(String::as_str))
            ),
            Self::CertificateRefused { error } => {
                write!(f, "new certificate files were refused, and the old ones stay: {error}")
            }
            Self::CaNotTrusted { subject, .. } => write!(
                f,
                "the CA {subject} is not trusted, for it has ended or has not begun: take it out \
                 of the file"
            ),
            _ => Ok(()),
        }
    }

    fn of_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OlderFilesSetAside { path } => {
                write!(f, "the files that were here were kept beside the new ones, as {path}")
            }
            Self::Recovered { cells, torn_bytes, may_lack_acknowledged, .. } => {
                write!(f, "read {} from its directory", cells_of(*cells))?;
                if *torn_bytes > 0 {
                    write!(
                        f,
                        "; {torn_bytes} bytes that a crash had left half written were cut off"
                    )?;
                }
                if *may_lack_acknowledged {
                    f.write_str(
                        "; the machine went down before all of it was synced, so it counts as \
                         another member",
                    )?;
                }
                Ok(())
            }
            Self::CatchUpStarted { from, cells, .. } => {
                write!(f, "is being brought up to date by {from}, with about {}", cells_of(*cells))
            }
            Self::CaughtUp { cells: 1, .. } => f.write_str("is up to date: 1 cell has come"),
            Self::CaughtUp { cells, .. } => write!(f, "is up to date: {cells} cells have come"),
            Self::Diverged { position, cells, expected } => write!(
                f,
                "its cells differ from the primary's at {position} ({cells} here, {expected} \
                 there) and are copied anew; if that happens twice, look at this machine's memory"
            ),
            Self::StorageFailed { error } => write!(
                f,
                "its storage takes nothing any more, so it neither votes nor acknowledges: {error}"
            ),
            Self::StoreNearlyFull { cells, max_cells, bytes, max_bytes } => write!(
                f,
                "nearly full: {cells} of {max_cells} cells, {bytes} of {max_bytes} bytes; raise \
                 the bound, or see which keys they are"
            ),
            Self::StoreFull { cells, max_cells, bytes, max_bytes } => write!(
                f,
                "full: new keys are refused at {cells} of {max_cells} cells, {bytes} of \
                 {max_bytes} bytes; raise the bound, or see which keys they are"
            ),
            _ => Ok(()),
        }
    }
}

fn cells_of(cells: u64) -> String {
    counted(cells, "cell", "cells")
}

/// Names those who were not there, if there are any.
fn without(unreached: &[PeerName]) -> String {
    if unreached.is_empty() {
        return String::new();
    }
    format!("; {} not reached", listed(unreached.iter().map(PeerName::as_str)))
}

#[cfg(all(test, feature = "driver"))]
mod tests;
