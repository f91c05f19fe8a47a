//! The primary's side of forwarded calls: the task that reads them decides them, straight against
//! the store, and answers a whole batch at once.

use bytes::{Buf, Bytes};
use tracing::debug_span;

use crate::base::error::Bounded;
use crate::base::id::{Ballot, Time};
use crate::config::Acknowledge;
use crate::driver::calls::replying::{Reply, Waiting};
use crate::driver::calls::routing::Way;
use crate::driver::links::connection::{Connection, Counted, State};
use crate::driver::report::journal::CALLS;
use crate::driver::shared::Shared;
use crate::store::{Decided, Merged, Refused, SealedBatch};
use crate::wire::calls::Reader;
use crate::wire::replies::{self, Refusal};
use crate::wire::{Merge, MergeReply, WireError};

/// Calls that are decided before it is looked whether their replies are taken: a frame of short
/// ones has twenty times as many.
const STEP_CALLS: usize = 1024;

/// What became of the calls of one batch, by what is to be done with them. Kept between batches
/// for its memory.
#[derive(Debug, Default)]
pub(in crate::driver) struct Batch {
    answered: Vec<(u32, Decided)>,
    waiting: Vec<(u32, Decided)>,
    refused: Vec<(u32, Refusal, u64)>,
    held: Vec<u32>,
    has_changed: bool,
}

impl Batch {
    fn clear(&mut self) {
        self.answered.clear();
        self.waiting.clear();
        self.refused.clear();
        self.held.clear();
        self.has_changed = false;
    }

    /// The lease has ended between the two looks, or is in doubt: then what was changed waits for a
    /// majority.
    #[cold]
    fn postpone(&mut self, shared: &Shared) {
        let is_suspended = shared.store.is_suspended();
        for (id, decided) in self.answered.drain(..) {
            match (decided.changed, is_suspended) {
                (false, _) => self.refused.push((id, Refusal::Held, 0)),
                (true, true) => self.waiting.push((id, decided)),
                (true, false) => self.refused.push((id, Refusal::OutcomeUnknown, 0)),
            }
        }
        self.waiting.sort_by_key(|(_, decided)| decided.position.sequence);
    }

    fn refuse(&mut self, shared: &Shared, id: u32, refused: &Refused) {
        let way = shared.routing.way();
        if matches!(refused, Refused::Full { .. }) {
            self.has_changed |= shared.store.take_wake();
        }
        match refused {
            // Elected and not yet serving, or released and not yet replaced: it takes a moment.
            Refused::Held => self.held.push(id),
            Refused::NoAuthority if way == Way::Held => self.held.push(id),
            Refused::NoAuthority if way == Way::There => {
                self.refused.push((id, Refusal::Held, 0));
            }
            Refused::NoAuthority => self.refused.push((id, Refusal::NoAuthority, 0)),
            Refused::Full { what: Bounded::Bytes, bound } => {
                self.refused.push((id, Refusal::BytesFull, *bound));
            }
            Refused::Full { bound, .. } => self.refused.push((id, Refusal::CellsFull, *bound)),
            Refused::Invalid { bound, .. } => self.refused.push((id, Refusal::Invalid, *bound)),
            // Said of merges only.
            Refused::Forgotten { .. } | Refused::Ahead { .. } => {
                self.refused.push((id, Refusal::Invalid, 0));
            }
        }
    }
}

impl Connection {
    /// Decides the next calls of a frame, takes them off `calls`, and appends the replies; the
    /// caller flushes. Returns whether replies are within their bound.
    ///
    /// # Errors
    ///
    /// If the calls cannot be read: the connection is to be closed. Those before were decided.
    pub(in crate::driver) fn serve(
        &self,
        shared: &Shared,
        calls: &mut Bytes,
        batch: &mut Batch,
    ) -> Result<bool, WireError> {
        batch.clear();
        let (peer, from) = (&shared.config.name, &self.identity.peer);
        let _span = debug_span!(target: CALLS, "serve", %peer, %from).entered();
        // Beside a frame an exact reading costs nothing.
        let time = shared.clock.time();
        let mut reader = Reader::new(calls);
        let mut served = 0;
        let end = loop {
            if served == STEP_CALLS {
                break Ok(());
            }
            let call = match reader.next_call() {
                Ok(Some(call)) => call,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            served += 1;
            decide(shared, time, call.id, call.items, batch);
        };
        let rest = reader.rest_bytes();
        calls.advance(calls.len() - rest);
        shared.tally.served.add(served);
        if batch.has_changed {
            shared.changed.notify_one();
        }
        let has_room = self.reply(shared, time, batch);
        end.map(|()| has_room)
    }

    fn reply(&self, shared: &Shared, time: Time, batch: &mut Batch) -> bool {
        let is_sure = batch.answered.first().is_none_or(|(_, first)| {
            let ballot = first.position.ballot;
            let is_one_reign = batch.answered.iter().all(|(_, d)| d.position.ballot == ballot);
            is_one_reign && is_still_authorized(shared, time, ballot)
        });
        if !is_sure {
            batch.postpone(shared);
        }
        let deadline = time.after(shared.group.io_timeout);
        let mut state = self.lock();
        let state = &mut *state;
        for (id, decided) in batch.answered.drain(..) {
            let Decided { answer, position, context, .. } = decided;
            state.outbox.push_reply(|body| {
                replies::push_decided(body, id, &answer, position, context.now());
            });
        }
        for (id, refusal, bound) in batch.refused.drain(..) {
            let refusal = refusal.as_of(self.identity.end.version);
            state.outbox.push_reply(|body| replies::push_refused(body, id, refusal, bound));
        }
        if !batch.held.is_empty() {
            for id in batch.held.drain(..) {
                if !state.replying.hold(id) {
                    state.outbox.push_reply(|body| {
                        replies::push_refused(body, id, Refusal::Held, 0);
                    });
                }
            }
            // Under the lock: whoever changes the route from here on finds them.
            if shared.routing.way() != Way::Held {
                state.replying.end_held(&mut state.outbox);
            }
        }
        if !batch.waiting.is_empty() {
            for (id, decided) in batch.waiting.drain(..) {
                let Decided { answer, position, context, .. } = decided;
                let reply = Reply::Call { id, answer, group_time: context.now() };
                state.replying.wait(Waiting { position, deadline, reply });
            }
            self.settle_waiting(shared, state);
            shared.expiry.announce(deadline);
        }
        self.has_room_in(state, Counted::All)
    }

    /// Answers what is decided already by the time it is queued: under the lock, so that whoever
    /// commits or ends the reign from here on finds the rest.
    fn settle_waiting(&self, shared: &Shared, state: &mut State) {
        state.replying.release(&shared.store, &mut state.outbox);
        state.replying.end_past(shared.routing.newest_reign(), &mut state.outbox);
    }

    /// Merges what a peer decided alone; the reply is sent when a majority holds it.
    pub(in crate::driver) fn serve_merge(&self, shared: &Shared, merge: &Merge) {
        let time = shared.clock.time();
        let number = merge.number;
        let merged = match shared.refuses_merges() {
            Some(reason) => {
                Err(MergeReply { refused: Some(reason.to_owned()), ..MergeReply::not_yet(number) })
            }
            // Kept there, and tried again.
            None if !self.lock().replying.takes_merge() => Err(MergeReply::not_yet(number)),
            None => self.merge(shared, time, merge),
        };
        let mut state = self.lock();
        let state = &mut *state;
        match merged {
            Ok(merged) => {
                let (position, units, dropped) = (merged.position, merged.units, merged.dropped);
                let deadline = time.after(shared.group.io_timeout);
                let reply = Reply::Merge { number, units, dropped };
                state.replying.wait(Waiting { position, deadline, reply });
                self.settle_waiting(shared, state);
                shared.expiry.announce(deadline);
                shared.changed.notify_one();
            }
            Err(reply) => {
                if shared.store.take_wake() {
                    shared.changed.notify_one();
                }
                state.outbox.push_merge_reply(reply);
            }
        }
    }

    /// Merges, or says what the sender is to do with the batch.
    fn merge(&self, shared: &Shared, time: Time, merge: &Merge) -> Result<Merged, MergeReply> {
        let Merge { number, sealed_at, ref entries } = *merge;
        let batch = SealedBatch {
            origin: &self.identity.peer,
            incarnation: self.identity.end.incarnation,
            number,
            sealed_at,
            entries,
        };
        shared.store.merge(time, &batch, &*shared.model).map_err(|refused| {
            let refused = refused.is_for_good().then(|| refused.to_string());
            // Else it is kept there, and tried again.
            MergeReply { refused, ..MergeReply::not_yet(number) }
        })
    }
}

fn decide(
    shared: &Shared,
    time: Time,
    id: u32,
    items: &[crate::model::Item<'_>],
    batch: &mut Batch,
) {
    let acknowledge = shared.answers_after;
    let would_wait = || acknowledge == Acknowledge::Majority || shared.store.is_bound_reached();
    if shared.budget.is_spent() && would_wait() {
        // What is decided must be kept until it is answered: so nothing more is decided.
        shared.tally.refused_for_waiting.add(1);
        batch.refused.push((id, Refusal::TooManyCalls, shared.budget.max()));
        return;
    }
    match shared.store.decide(time, items, &*shared.model, acknowledge) {
        Ok(decided) => {
            batch.has_changed |= decided.wake;
            let queue = if decided.must_wait { &mut batch.waiting } else { &mut batch.answered };
            queue.push((id, decided));
        }
        Err(refused) => batch.refuse(shared, id, &refused),
    }
}

/// The second look at the authority, after the write: a process that was paused in between may
/// have been replaced.
fn is_still_authorized(shared: &Shared, first: Time, ballot: Ballot) -> bool {
    shared.store.is_authorized(shared.clock.later(first), ballot)
}
