//! Events as log records: one for each, at the level that it deserves, with fields of stable names.
//!
//! The targets of all records are here, and what each is for is in docs/logging.md.

use std::fmt;

use tracing::{Level, event};

use crate::base::event::Event;
use crate::base::event_text::Severity;
use crate::base::id::{Ballot, PeerName};
use crate::base::told::printable;

/// The target of records of a peer's start and end, and of what it waits for.
pub(crate) const PEER: &str = "quorate";
/// The target of log records of events.
pub(crate) const EVENT: &str = "quorate::event";
/// The target of records of what becomes of connections.
pub(crate) const LINKS: &str = "quorate::links";
/// The target of records of files.
pub(crate) const STORAGE: &str = "quorate::storage";
/// The target of records of what somebody has a peer do over the admin lane.
pub(crate) const ADMIN: &str = "quorate::admin";
/// The target of spans around calls that cross from one peer to another.
pub(crate) const CALLS: &str = "quorate::calls";

/// Logs an event of this peer.
pub(in crate::driver) fn log(peer: &PeerName, group: &str, told: &Event) {
    let about = about(told);
    let ballot = ballot(told);
    let units = units(told);
    let generation = ballot.map(|b| b.generation.founding());
    let term = ballot.map(|b| b.term.0);
    let name = told.name();
    let sentence = sentence(told);
    macro_rules! log_at {
        ($level:expr) => {
            event!(
                target: EVENT,
                $level,
                %peer,
                group,
                event = name,
                about,
                generation,
                term,
                units,
                "{sentence}"
            )
        };
    }
    match told.severity() {
        Severity::Error => log_at!(Level::ERROR),
        Severity::Warn => log_at!(Level::WARN),
        Severity::Info => log_at!(Level::INFO),
    }
}

/// An event as a sentence. Some of it other peers have said, who may say anything.
fn sentence(told: &Event) -> String {
    plain(told)
}

/// What others have had a part in, such as an error, as plain text: whatever it says, it neither
/// ends the line nor moves a terminal.
pub(in crate::driver) fn plain(said: impl fmt::Display) -> String {
    printable(&said.to_string())
}

/// The other peer that it is about.
fn about(told: &Event) -> Option<&str> {
    match told {
        Event::PrimaryChanged { primary, .. } | Event::PrimarySuspected { primary, .. } => {
            primary.as_ref().map(PeerName::as_str)
        }
        Event::MemberReplaced { peer }
        | Event::MemberAdded { peer, .. }
        | Event::MemberRemoved { peer }
        | Event::MemberStale { peer, .. }
        | Event::MemberForgotten { peer, .. }
        | Event::JoinerWaits { peer, .. }
        | Event::SwitchAborted { to: peer }
        | Event::CountedOut { by: Some(peer), .. }
        | Event::CatchUpStarted { from: peer, .. } => Some(peer.as_str()),
        other => other.passing(),
    }
}

fn ballot(told: &Event) -> Option<Ballot> {
    match told {
        Event::PrimaryChanged { ballot, .. }
        | Event::PrimarySuspected { ballot, .. }
        | Event::FailureAgreed { ballot, .. }
        | Event::CampaignStarted { ballot }
        | Event::QuorumLost { ballot }
        | Event::MajorityLost { ballot, .. }
        | Event::QuorumRegained { ballot }
        | Event::ClockDoubted { ballot, .. }
        | Event::SteppedDown { ballot } => Some(*ballot),
        _ => None,
    }
}

fn units(told: &Event) -> Option<u64> {
    match told {
        Event::ChangesLost { units, .. }
        | Event::LocalDecisionsMerged { units, .. }
        | Event::LocalDecisionsDiscarded { units }
        | Event::LocalDecisionsRefused { units, .. } => Some(*units),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a primary gave as its reason reached the terminal as it was.
    #[test]
    fn what_peers_say_sends_nothing_to_a_terminal() {
        let reason = "too\nlate \u{1b}[2J".to_owned();
        let told = Event::LocalDecisionsRefused { units: 5, reason };
        assert_eq!(
            sentence(&told),
            "dropped 5 units that were decided alone, for the primary refused them: too late  [2J"
        );
    }
}
