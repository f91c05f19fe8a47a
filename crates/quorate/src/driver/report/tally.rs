//! Counts of what a peer has done since it started, in numbers that only grow.
//!
//! Nothing of it is on the way of a call that is decided at the peer where it is made: those the
//! model's own face counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::base::event::Event;
use crate::driver::report::latency::{CallTimes, Latency};
use crate::protocol::message::Message;

/// Counts of what a peer has done since it started. Every number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStats {
    /// Calls made here that were sent to the primary; one that was sent again counts again.
    pub forwarded: u64,
    /// Calls of other peers that were taken up here as primary, whatever became of them.
    pub served: u64,
    /// Calls that this peer decided alone, in relaxed mode.
    pub decided_alone: u64,
    /// Operations that were refused here for `max_cells` or `max_bytes`.
    pub refused_for_room: u64,
    /// Calls that were refused here for `max_waiting_calls`.
    pub refused_for_waiting: u64,
    /// The times of calls that were not decided at once where they were made.
    pub call_times: CallTimes,
    /// The times of the calls that were sent to the primary, each from when it was sent to its
    /// answer, or to its end without one; one that was sent again has several.
    pub forwarded_times: CallTimes,
    /// Units that old primaries had decided and that were given up, where that is exact: see
    /// [`Event::ChangesLost`]. Like the other numbers of units, `u64::MAX` if they are more.
    pub units_lost: u64,
    /// Units that may have been given up, where nobody knows better: bounds, and perhaps none. What
    /// is told exactly later is in them too.
    pub units_lost_at_most: u64,
    /// Units that this peer decided alone and that were merged into the group's counts.
    pub units_merged: u64,
    /// Units that it decided alone and that were dropped when the rest was merged: they did not
    /// count any more, or were beyond a limit that was open.
    pub units_outdated: u64,
    /// Units that it decided alone and that were discarded, as the group's settings say.
    pub units_discarded: u64,
    /// Units that it decided alone and that the primary refused, of which some may have been merged
    /// before.
    pub units_refused: u64,
    /// Elections that this peer stood for.
    pub campaigns: u64,
    /// Times that the primary was another than before, or none.
    pub primary_changes: u64,
    /// Times that this peer, as primary, lost its majority.
    pub quorum_losses: u64,
    /// Links to other peers that were made; more than there are peers are reconnections.
    pub links_made: u64,
    /// Links to other peers that were lost.
    pub links_lost: u64,
    /// Pieces of changes that were sent to other peers.
    pub pieces_sent: u64,
    /// Their cells, as they travel, in bytes.
    pub piece_bytes_sent: u64,
    /// Connections closed because guests hold more than `max_buffered_bytes`, and these more than
    /// their part.
    pub closed_crowded: u64,
    /// Connections closed because what they carried was no frame, or none that belongs there.
    pub closed_garbled: u64,
    /// Connections closed because the other end took nothing of what it was sent.
    pub closed_not_taking: u64,
    /// Connections closed because nothing came over them.
    pub closed_silent: u64,
    /// Connections closed because the other end had begun a frame and did not end it.
    pub closed_unfinished: u64,
    /// Times that nothing was read from a connection for a while: the other end did not take its
    /// replies, or a guest said too much.
    pub reads_paused: u64,
    /// Messages dropped because too much waited for the peer that they were for.
    pub messages_dropped: u64,
    /// Events that were not told, for peers that are no members caused too many.
    pub events_omitted: u64,
    /// Connections that were not let in: too many are open, or in their handshake, in all or from
    /// there.
    pub turned_away: u64,
    /// Times that the system gave no connection that was to be accepted: this process has opened as
    /// many files as it may, for one.
    pub accepts_failed: u64,
}

/// [`PeerStats`] as they are counted.
#[derive(Debug, Default)]
pub(in crate::driver) struct Tally {
    pub(in crate::driver) forwarded: Count,
    pub(in crate::driver) served: Count,
    pub(in crate::driver) decided_alone: Count,
    pub(in crate::driver) refused_for_waiting: Count,
    pub(in crate::driver) latency: Latency,
    pub(in crate::driver) forwarding: Latency,
    pub(in crate::driver) units_lost: Count,
    pub(in crate::driver) units_lost_at_most: Count,
    pub(in crate::driver) units_merged: Count,
    pub(in crate::driver) units_outdated: Count,
    pub(in crate::driver) units_discarded: Count,
    pub(in crate::driver) units_refused: Count,
    pub(in crate::driver) campaigns: Count,
    pub(in crate::driver) primary_changes: Count,
    pub(in crate::driver) quorum_losses: Count,
    pub(in crate::driver) links_made: Count,
    pub(in crate::driver) links_lost: Count,
    pub(in crate::driver) pieces_sent: Count,
    pub(in crate::driver) piece_bytes_sent: Count,
    pub(in crate::driver) reads_paused: Count,
    pub(in crate::driver) messages_dropped: Count,
    pub(in crate::driver) events_omitted: Count,
    pub(in crate::driver) turned_away: Count,
    pub(in crate::driver) accepts_failed: Count,
    pub(in crate::driver) closed_crowded: Count,
    pub(in crate::driver) closed_garbled: Count,
    pub(in crate::driver) closed_not_taking: Count,
    pub(in crate::driver) closed_silent: Count,
    pub(in crate::driver) closed_unfinished: Count,
}

/// The reason why an open connection was closed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Closed {
    /// Guests hold too much.
    Crowded,
    /// It carried what belongs to no connection, or not to this one.
    Garbled,
    /// The other end took nothing.
    NotTaking,
    /// Nothing came.
    Silent,
    /// A frame was begun and not ended.
    Unfinished,
}

impl Closed {
    /// The reason as a word, as numbers and log records have it.
    pub(in crate::driver) fn as_word(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Garbled => "garbled",
            Self::NotTaking => "not_taking",
            Self::Silent => "silent",
            Self::Unfinished => "unfinished",
        }
    }

    /// The reason for people to read.
    pub(in crate::driver) fn as_sentence(self) -> &'static str {
        match self {
            Self::Crowded => "guests held too much, and this one more than its part",
            Self::Garbled => "what came was no frame, or none that belongs there",
            Self::NotTaking => "nothing that was sent was taken",
            Self::Silent => "nothing came for the failure timeout",
            Self::Unfinished => "a frame was begun and not ended",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(in crate::driver) struct Count(AtomicU64);

impl Count {
    pub(in crate::driver) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }

    /// Adds units, of which others may have told any number.
    fn add_units(&self, units: u64) {
        let add = |sum: u64| Some(sum.saturating_add(units));
        // It never fails: there is always a sum.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(in crate::driver) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// Counts what the embedder is told of as well.
    pub(in crate::driver) fn note(&self, event: &Event) {
        let count = match event {
            Event::CampaignStarted { .. } => &self.campaigns,
            Event::PrimaryChanged { .. } => &self.primary_changes,
            Event::QuorumLost { .. } => &self.quorum_losses,
            Event::PeerUp { .. } => &self.links_made,
            Event::PeerDown { .. } => &self.links_lost,
            _ => return self.note_units(event),
        };
        count.add(1);
    }

    /// Counts the units that an event tells of.
    fn note_units(&self, event: &Event) {
        match event {
            Event::ChangesLost { units, exact: true } => self.units_lost.add_units(*units),
            Event::ChangesLost { units, .. } => self.units_lost_at_most.add_units(*units),
            Event::LocalDecisionsMerged { units, dropped } => {
                self.units_merged.add_units(*units);
                self.units_outdated.add_units(*dropped);
            }
            Event::LocalDecisionsDiscarded { units } => self.units_discarded.add_units(*units),
            Event::LocalDecisionsRefused { units, .. } => self.units_refused.add_units(*units),
            _ => {}
        }
    }

    /// Counts a connection that was closed here.
    pub(in crate::driver) fn note_closed(&self, why: Closed) {
        let count = match why {
            Closed::Crowded => &self.closed_crowded,
            Closed::Garbled => &self.closed_garbled,
            Closed::NotTaking => &self.closed_not_taking,
            Closed::Silent => &self.closed_silent,
            Closed::Unfinished => &self.closed_unfinished,
        };
        count.add(1);
    }

    /// Counts a message that is on its way.
    pub(in crate::driver) fn note_sent(&self, message: &Message) {
        if let Message::Piece(piece) = message {
            self.pieces_sent.add(1);
            self.piece_bytes_sent.add(piece.records.packed().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They come from other peers as well.
    #[test]
    fn units_are_counted_by_their_fate_and_no_sum_goes_back() {
        let tally = Tally::default();
        for units in [u64::MAX, 7] {
            tally.note(&Event::ChangesLost { units, exact: true });
            tally.note(&Event::ChangesLost { units: 100, exact: false });
            tally.note(&Event::LocalDecisionsMerged { units, dropped: 3 });
            tally.note(&Event::LocalDecisionsDiscarded { units: 5 });
            tally.note(&Event::LocalDecisionsRefused { units: 2, reason: "late".to_owned() });
        }
        assert_eq!((tally.units_lost.get(), tally.units_lost_at_most.get()), (u64::MAX, 200));
        assert_eq!((tally.units_merged.get(), tally.units_outdated.get()), (u64::MAX, 6));
        assert_eq!((tally.units_discarded.get(), tally.units_refused.get()), (10, 4));
    }
}
