//! Events as log records: one for each, at the level that it deserves, with fields of stable names.

use tracing::{Level, event};

use crate::event::Event;
use crate::event_text::Severity;
use crate::id::{Ballot, PeerName};

/// The target of log records of events.
pub(crate) const EVENT: &str = "quorate::event";
/// That of what becomes of connections.
pub(crate) const LINKS: &str = "quorate::links";
/// That of files.
pub(crate) const STORAGE: &str = "quorate::storage";
/// That of spans around calls that cross from one peer to another.
pub(crate) const CALLS: &str = "quorate::calls";

/// Logs an event of this peer.
pub(super) fn log(peer: &PeerName, group: &str, told: &Event) {
    let (about, ballot, units) = (about(told), ballot(told), units(told));
    let (generation, term) = (ballot.map(|b| b.generation.0), ballot.map(|b| b.term.0));
    let name = told.name();
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
                "{told}"
            )
        };
    }
    match told.severity() {
        Severity::Error => log_at!(Level::ERROR),
        Severity::Warn => log_at!(Level::WARN),
        Severity::Info => log_at!(Level::INFO),
    }
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
        | Event::SwitchAborted { to: peer }
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
