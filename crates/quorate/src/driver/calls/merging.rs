//! What becomes of decisions that this peer made alone, once there is a primary again.
//!
//! They are sealed into numbered batches and sent to the primary, which merges a batch and its
//! number in one change, so that a batch that is sent twice counts once. A batch is forgotten only
//! when a majority holds that change (docs/protocol.md, on relaxed mode). A peer that has become
//! primary itself merges into its own store, by the same rules.

use std::time::Duration;

use crate::base::event::Event;
use crate::base::id::{GroupTime, PeerStart, Position, Time};
use crate::base::told::whole;
use crate::config::OnReconnect;
use crate::driver::links::settings::printable;
use crate::driver::shared::Shared;
use crate::protocol::io::Route;
use crate::protocol::message::Lane;
use crate::store::{MERGE_MEMORY, Sealed, SealedBatch};
use crate::wire::{Merge, MergeReply};

/// A batch that does not say when it was sealed is sent for no longer than this after the first
/// time: the group remembers for [`MERGE_MEMORY`] that it was merged, by a clock that may differ a
/// little.
const SENT_UNDATED: Duration = Duration::from_secs(MERGE_MEMORY.as_secs() / 8 * 7);

/// An upper bound of one entry of a batch on the wire.
const ENTRY_BYTES: usize = crate::model::MAX_KEY_BYTES + 64;

/// Progress of the merge; owned by the event loop.
#[derive(Debug, Default)]
pub(in crate::driver) struct Merging {
    step: Step,
    first_sent: FirstSent,
    /// Not before then.
    not_before: Time,
    /// Counted since the last event.
    units: u64,
    dropped: u64,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Idle,
    /// The primary has been sent a batch.
    Sent { number: u64, to: PeerStart, at: Time },
    /// This peer's own store has merged a batch; a majority is to hold it.
    Own { number: u64, position: Position, units: u64, dropped: u64 },
}

/// The number of the batch that was sent last, and when it was for the first time.
#[derive(Debug, Default)]
struct FirstSent {
    number: u64,
    at: Time,
}

impl FirstSent {
    /// Notes that a batch is about to be sent. Whether it must not be any more: nobody can tell by
    /// then whether it was merged.
    fn is_too_long_ago(&mut self, sealed: &Sealed, now: Time) -> bool {
        if self.number != sealed.number {
            *self = Self { number: sealed.number, at: now };
        }
        sealed.at == GroupTime(0) && now.since(self.at) >= SENT_UNDATED
    }
}

impl Merging {
    /// Does what can be done at present, given where decisions are made.
    pub(in crate::driver) fn turn(&mut self, shared: &Shared, route: &Route, now: Time) {
        self.check(shared, route, now);
        if shared.overlay.is_empty() {
            self.report(shared);
            return;
        }
        if !matches!(self.step, Step::Idle) || now < self.not_before {
            return;
        }
        if matches!(route, Route::Held | Route::Nowhere) {
            return;
        }
        if shared.group.on_reconnect == OnReconnect::Overwrite {
            let units = shared.overlay.discard();
            shared.tell(Event::LocalDecisionsDiscarded { units });
            return;
        }
        let max_keys = (shared.config.bounds.max_piece_bytes / ENTRY_BYTES).max(1);
        let Some(sealed) = shared.overlay.seal(max_keys, shared.sealing_time(route)) else {
            return;
        };
        if self.first_sent.is_too_long_ago(&sealed, now) {
            let reason =
                format!("it was sent {} ago, and may have been merged since", whole(SENT_UNDATED));
            return self.drop_batch(shared, sealed.number, reason);
        }
        match route {
            Route::Here { .. } => self.merge_here(shared, now, sealed),
            Route::There { peer, incarnation, .. } => {
                let to = PeerStart::new(peer.clone(), *incarnation);
                self.send(shared, now, to, sealed);
            }
            Route::Held | Route::Nowhere => {}
        }
    }

    /// When [`Merging::turn`] is due.
    pub(in crate::driver) fn deadline(&self, shared: &Shared) -> Option<Time> {
        match &self.step {
            Step::Sent { at, .. } => Some(at.after(retry(shared))),
            _ if shared.overlay.is_empty() => None,
            Step::Idle if matches!(shared.routing.route(), Route::Held | Route::Nowhere) => None,
            Step::Idle => Some(self.not_before),
            Step::Own { .. } => None,
        }
    }

    /// The primary has answered.
    pub(in crate::driver) fn on_reply(
        &mut self,
        shared: &Shared,
        now: Time,
        from: &PeerStart,
        reply: MergeReply,
    ) {
        let Step::Sent { number, to, .. } = &self.step else { return };
        if *number != reply.number || to != from {
            return;
        }
        if reply.ok {
            self.confirm(shared, reply.number, reply.units, reply.dropped);
        } else if let Some(reason) = reply.refused {
            self.drop_batch(shared, reply.number, reason);
        } else {
            self.step = Step::Idle;
            self.not_before = now.after(retry(shared) / 4);
        }
    }

    /// Gives up a step whose time, or primary, has gone.
    fn check(&mut self, shared: &Shared, route: &Route, now: Time) {
        match &self.step {
            Step::Idle => {}
            Step::Sent { to, at, .. } => {
                let is_same = matches!(route, Route::There { peer, incarnation, .. }
                    if *peer == to.name && *incarnation == to.incarnation);
                if !is_same || now >= at.after(retry(shared)) {
                    self.step = Step::Idle;
                }
            }
            Step::Own { number, position, units, dropped } => {
                let committed = shared.store.committed();
                let is_held = committed.covers(*position);
                if is_held {
                    let (number, units, dropped) = (*number, *units, *dropped);
                    self.confirm(shared, number, units, dropped);
                } else if shared.routing.newest_reign() > position.ballot {
                    self.step = Step::Idle;
                }
            }
        }
    }

    fn merge_here(&mut self, shared: &Shared, now: Time, sealed: Sealed) {
        let Sealed { number, at: sealed_at, ref entries, .. } = sealed;
        let batch = SealedBatch {
            origin: &shared.config.name,
            incarnation: shared.incarnation,
            number,
            sealed_at,
            entries,
        };
        match shared.store.merge(now, &batch, &*shared.model) {
            Ok(merged) => {
                let (position, units, dropped) = (merged.position, merged.units, merged.dropped);
                self.step = Step::Own { number, position, units, dropped };
                shared.changed.notify_one();
            }
            Err(refused) if refused.is_for_good() => {
                self.drop_batch(shared, number, refused.to_string());
            }
            Err(_) => {
                if shared.store.take_wake() {
                    shared.changed.notify_one();
                }
                self.not_before = now.after(retry(shared) / 4);
            }
        }
    }

    fn send(&mut self, shared: &Shared, now: Time, to: PeerStart, sealed: Sealed) {
        let Sealed { number, at: sealed_at, entries, .. } = sealed;
        let connection = shared.registry.pick(&to.name, to.incarnation, Lane::Data);
        if connection.is_some_and(|connection| {
            let is_sent = connection.push_merge(Merge { number, sealed_at, entries });
            connection.flush();
            is_sent
        }) {
            self.step = Step::Sent { number, to, at: now };
        } else {
            self.not_before = now.after(retry(shared) / 4);
        }
    }

    fn confirm(&mut self, shared: &Shared, number: u64, units: u64, dropped: u64) {
        let taken = shared.overlay.confirm(number);
        // A batch whose first answer was lost is answered with nothing counted anew.
        let is_again = units == 0 && dropped == 0;
        // What a peer says may be any number.
        self.units = self.units.saturating_add(if is_again { taken } else { units });
        self.dropped = self.dropped.saturating_add(dropped);
        self.step = Step::Idle;
        self.not_before = Time(0);
    }

    /// Forgets a batch that will never be merged.
    fn drop_batch(&mut self, shared: &Shared, number: u64, reason: String) {
        let units = shared.overlay.confirm(number);
        let reason = printable(&reason);
        shared.tell(Event::LocalDecisionsRefused { units, reason });
        self.step = Step::Idle;
        self.not_before = Time(0);
    }

    /// Tells what was merged since the last time.
    fn report(&mut self, shared: &Shared) {
        let (units, dropped) = (self.units, self.dropped);
        if units > 0 || dropped > 0 {
            (self.units, self.dropped) = (0, 0);
            shared.tell(Event::LocalDecisionsMerged { units, dropped });
        }
    }
}

impl Shared {
    /// The steady group time at which a batch for this primary is sealed; 0, which says nothing, at
    /// a peer that holds nothing of its reign, as a client never does. What that one knows of group
    /// time is its own wall clock, or what the group has told it before it was alone for long.
    fn sealing_time(&self, route: &Route) -> GroupTime {
        let (Route::Here { ballot } | Route::There { ballot, .. }) = route else {
            return GroupTime(0);
        };
        let holds_some = self.store.position().ballot == *ballot;
        if holds_some { self.group_time().steady() } else { GroupTime(0) }
    }

    /// Why nothing is merged that other peers decided alone, if that is so: by the settings of this
    /// group, and by whatever its policy has been, none of them would send it.
    pub(in crate::driver) fn refuses_merges(&self) -> Option<&'static str> {
        if self.group.on_reconnect == OnReconnect::Overwrite {
            return Some("on_reconnect is overwrite: what was decided alone is dropped");
        }
        let is_possible = self.model.may_decide_alone(self.group.mode);
        (!is_possible).then_some("nobody decides alone in this group: its mode is strict")
    }
}

/// Without an answer for this long a batch is sent again.
fn retry(shared: &Shared) -> Duration {
    shared.group.failure_timeout / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_a_date_is_sent_for_as_long_as_its_merge_is_remembered() {
        let sealed = |number, at| Sealed { number, at, entries: Vec::new(), units: 0 };
        let mut first_sent = FirstSent::default();
        let mut is_too_late =
            |number, at, now| first_sent.is_too_long_ago(&sealed(number, GroupTime(at)), now);
        let (sent, later) = (Time(1_000), Time(1_000).after(SENT_UNDATED));
        assert!(
            !is_too_late(1, 0, sent) && !is_too_late(1, 0, later.before(Duration::from_secs(1)))
        );
        assert!(is_too_late(1, 0, later));
        assert!(later < sent.after(MERGE_MEMORY), "clocks differ");
        assert!(!is_too_late(2, 0, later), "the next one is new");
        assert!(!is_too_late(3, 7, later) && !is_too_late(3, 7, later.after(MERGE_MEMORY)));
    }
}
