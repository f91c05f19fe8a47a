//! What becomes of decisions that a peer made alone, once there is a primary again.
//!
//! They are sealed into numbered batches and sent to the primary, which merges a batch and its
//! number in one change, so that a batch that is sent twice counts once. A batch is forgotten only
//! when a majority holds that change. A peer that has become primary itself merges into its own
//! store, by the same rules.

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::id::{GroupTime, PeerStart, Position, Time};
use crate::base::told::whole;
use crate::config::OnReconnect;
use crate::model::Model;
use crate::protocol::io::Route;
use crate::session::routes::Routes;
use crate::store::{MERGE_MEMORY, Merged, Overlay, Sealed, Store};
use crate::wire::{Merge, MergeReply};

/// A batch that does not say when it was sealed is sent for no longer than this after the first
/// time: the group remembers for [`MERGE_MEMORY`] that it was merged, by a clock that may differ a
/// little.
const SENT_UNDATED: Duration = Duration::from_secs(MERGE_MEMORY.as_secs() / 8 * 7);

/// Parts of the failure timeout after one of which a batch without an answer is sent again.
const RETRY_DIVISOR: u32 = 4;
/// Parts of that pause after one of which a batch that could not be sent or taken is tried again.
const REFUSED_DIVISOR: u32 = 4;

/// What a peer has decided alone, and by what.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// This start of this peer.
    pub start: &'a PeerStart,
    /// The copy of the group's cells.
    pub store: &'a Store,
    /// What was decided alone.
    pub overlay: &'a Overlay,
    /// The model.
    pub model: &'a dyn Model,
    /// What becomes of it.
    pub on_reconnect: OnReconnect,
    /// Keys in a batch at most.
    pub max_keys: usize,
    /// The group's failure timeout.
    pub failure_timeout: Duration,
}

impl Local<'_> {
    /// Without an answer for this long a batch is sent again.
    fn retry(&self) -> Duration {
        self.failure_timeout / RETRY_DIVISOR
    }

    /// When a batch for this primary says that it is sealed: 0, which says nothing, at a peer that
    /// holds nothing of its reign, as a client never does. What that one knows of group time is its
    /// own wall clock, or what the group has told it before it was alone for long.
    fn sealing_time(&self, route: &Route, steady: GroupTime) -> GroupTime {
        let holds_some = self.store.position().ballot == route.newest_reign();
        if holds_some { steady } else { GroupTime(0) }
    }
}

/// What is to be done, and what was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a batch to the primary; see [`Merging::on_not_sent`].
    Send {
        /// The primary.
        to: PeerStart,
        /// The batch.
        merge: Merge,
    },
    /// The own store, which decides now, has merged a batch.
    Merged {
        /// The batch.
        merge: Merge,
        /// What came of it.
        merged: Merged,
    },
    /// The own store has refused a batch for now: the state machine may have to be told.
    Refused,
    /// A batch is forgotten: a majority holds its merge.
    Confirmed {
        /// Its number.
        number: u64,
        /// Its units.
        units: u64,
    },
    /// A batch is forgotten that will never be merged.
    Dropped {
        /// Its number.
        number: u64,
        /// Its units.
        units: u64,
        /// Why; as the primary has said it, so any text.
        reason: String,
    },
    /// Everything that was decided alone is forgotten, as the settings say.
    Discarded {
        /// Its units.
        units: u64,
    },
    /// Everything has been merged.
    Done {
        /// Units that were counted.
        units: u64,
        /// Units that were not: of windows that had closed, or beyond a limit.
        dropped: u64,
    },
}

/// The progress of the merge at the peer that decided alone.
#[derive(Debug, Default)]
pub struct Merging {
    step: Step,
    first_sent: FirstSent,
    /// Not before then.
    not_before: Time,
    /// Counted since [`Action::Done`].
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
    /// Notes that a batch is about to be sent. Returns true if it must not be any more: nobody can
    /// tell by then whether it was merged.
    fn is_too_long_ago(&mut self, sealed: &Sealed, now: Time) -> bool {
        if self.number != sealed.number {
            *self = Self { number: sealed.number, at: now };
        }
        sealed.at == GroupTime(0) && now.since(self.at) >= SENT_UNDATED
    }
}

impl Merging {
    /// Does what can be done at present, given where decisions are made; `steady` is asked for
    /// group time by the steady clock.
    pub fn run_due(
        &mut self,
        local: &Local<'_>,
        route: &Route,
        now: Time,
        steady: impl FnOnce() -> GroupTime,
        out: &mut Vec<Action>,
    ) {
        self.check(local, route, now, out);
        if local.overlay.is_empty() {
            return self.report(out);
        }
        if !matches!(self.step, Step::Idle) || now < self.not_before {
            return;
        }
        let other = match route {
            Route::Here { .. } => None,
            Route::There { peer, incarnation, .. } => {
                Some(PeerStart::new(peer.clone(), *incarnation))
            }
            Route::HandingOver | Route::Nowhere => return,
        };
        if local.on_reconnect == OnReconnect::Overwrite {
            let units = local.overlay.discard();
            return out.push(Action::Discarded { units });
        }
        let sealed_at = local.sealing_time(route, steady());
        let Some(sealed) = local.overlay.seal(local.max_keys, sealed_at) else { return };
        if self.first_sent.is_too_long_ago(&sealed, now) {
            let reason =
                format!("it was sent {} ago, and may have been merged since", whole(SENT_UNDATED));
            return self.drop_batch(local, sealed.number, reason, out);
        }
        let Sealed { number, at: sealed_at, entries, .. } = sealed;
        let merge = Merge { number, sealed_at, entries };
        match other {
            None => self.merge_here(local, now, merge, out),
            Some(to) => {
                self.step = Step::Sent { number, to: to.clone(), at: now };
                out.push(Action::Send { to, merge });
            }
        }
    }

    /// Returns when [`Merging::run_due`] is to be called, if nothing else happens.
    pub fn deadline(&self, local: &Local<'_>, route: &Route) -> Option<Time> {
        match &self.step {
            Step::Sent { at, .. } => Some(at.after(local.retry())),
            _ if local.overlay.is_empty() => None,
            Step::Idle if matches!(route, Route::HandingOver | Route::Nowhere) => None,
            Step::Idle => Some(self.not_before),
            Step::Own { .. } => None,
        }
    }

    /// The batch of [`Action::Send`] could not be sent.
    pub fn on_not_sent(&mut self, local: &Local<'_>, now: Time) {
        self.step = Step::Idle;
        self.not_before = now.after(local.retry() / REFUSED_DIVISOR);
    }

    /// The primary has answered.
    pub fn on_reply(
        &mut self,
        local: &Local<'_>,
        now: Time,
        from: &PeerStart,
        reply: MergeReply,
        out: &mut Vec<Action>,
    ) {
        let Step::Sent { number, to, .. } = &self.step else { return };
        if *number != reply.number || to != from {
            return;
        }
        if reply.ok || (reply.refused.is_none() && bug::is(Bug::OverlayForgottenUnheld)) {
            self.confirm(local, reply.number, reply.units, reply.dropped, out);
        } else if let Some(reason) = reply.refused {
            self.drop_batch(local, reply.number, reason, out);
        } else {
            self.on_not_sent(local, now);
        }
    }

    /// Gives up a step whose time, or primary, has gone.
    fn check(&mut self, local: &Local<'_>, route: &Route, now: Time, out: &mut Vec<Action>) {
        match self.step {
            Step::Idle => {}
            Step::Sent { ref to, at, .. } => {
                let is_primary = matches!(route, Route::There { peer, incarnation, .. }
                    if *peer == to.name && *incarnation == to.incarnation);
                if !is_primary || now >= at.after(local.retry()) {
                    self.step = Step::Idle;
                }
            }
            Step::Own { number, position, units, dropped } => {
                let is_held = local.store.committed().covers(position);
                if is_held || bug::is(Bug::OverlayForgottenEarly) {
                    self.confirm(local, number, units, dropped, out);
                } else if route.newest_reign() > position.ballot {
                    self.step = Step::Idle;
                }
            }
        }
    }

    fn merge_here(&mut self, local: &Local<'_>, now: Time, merge: Merge, out: &mut Vec<Action>) {
        let number = merge.number;
        match local.store.merge(now, &merge.batch(local.start), local.model) {
            Ok(merged) => {
                let Merged { position, units, dropped, .. } = merged;
                self.step = Step::Own { number, position, units, dropped };
                out.push(Action::Merged { merge, merged });
            }
            Err(refused) if refused.is_for_good() => {
                self.drop_batch(local, number, refused.to_string(), out);
            }
            Err(_) => {
                self.on_not_sent(local, now);
                out.push(Action::Refused);
            }
        }
    }

    fn confirm(
        &mut self,
        local: &Local<'_>,
        number: u64,
        units: u64,
        dropped: u64,
        out: &mut Vec<Action>,
    ) {
        let taken = local.overlay.confirm(number);
        // A batch whose first answer was lost is answered with nothing counted anew.
        let is_again = units == 0 && dropped == 0;
        // What a peer says may be any number.
        self.units = self.units.saturating_add(if is_again { taken } else { units });
        self.dropped = self.dropped.saturating_add(dropped);
        self.end_step();
        out.push(Action::Confirmed { number, units: taken });
    }

    fn drop_batch(
        &mut self,
        local: &Local<'_>,
        number: u64,
        reason: String,
        out: &mut Vec<Action>,
    ) {
        let units = local.overlay.confirm(number);
        self.end_step();
        out.push(Action::Dropped { number, units, reason });
    }

    fn end_step(&mut self) {
        self.step = Step::Idle;
        self.not_before = Time(0);
    }

    /// Says what was merged since the last time.
    fn report(&mut self, out: &mut Vec<Action>) {
        if self.units > 0 || self.dropped > 0 {
            let units = std::mem::take(&mut self.units);
            let dropped = std::mem::take(&mut self.dropped);
            out.push(Action::Done { units, dropped });
        }
    }
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
        let sent = Time(1_000);
        let later = sent.after(SENT_UNDATED);
        assert!(!is_too_late(1, 0, sent));
        assert!(!is_too_late(1, 0, later.before(Duration::from_secs(1))));
        assert!(is_too_late(1, 0, later));
        assert!(later < sent.after(MERGE_MEMORY), "clocks differ");
        assert!(!is_too_late(2, 0, later), "the next one is new");
        assert!(!is_too_late(3, 7, later) && !is_too_late(3, 7, later.after(MERGE_MEMORY)));
    }
}
