//! The primary's side of calls and merges that come from other peers: decided straight against the
//! store, and answered a batch at once.

use crate::base::bug::{self, Bug};
use crate::base::error::Bounded;
use crate::base::id::{PeerStart, Time};
use crate::config::{Acknowledge, GroupConfig, OnReconnect};
use crate::model::{Item, Model};
use crate::session::budget::Budget;
use crate::session::replying::{Replies, Reply, Replying, Waiting};
use crate::session::routes::{RouteKind, Routes};
use crate::session::unanswered::Doubt;
use crate::store::{Decided, Merged, Refused, Store};
use crate::wire::replies::Refusal;
use crate::wire::{Merge, MergeReply};

/// What a peer decides by for others.
pub struct Server<'a, R> {
    /// The group's cells, and the authority to decide.
    pub store: &'a Store,
    /// The model.
    pub model: &'a dyn Model,
    /// The settings that all peers share.
    pub group: &'a GroupConfig,
    /// Whose write is waited for.
    pub answers_after: Acknowledge,
    /// Calls that may wait.
    pub budget: &'a Budget,
    /// Where calls go at present.
    pub routes: &'a R,
    /// The version of the protocol that the other end speaks.
    pub version: u32,
}

impl<R: Routes> Server<'_, R> {
    /// Answers what is decided already by the time it is queued: under the lock, so that whoever
    /// commits or ends the reign from here on finds the rest.
    fn settle(&self, replying: &mut Replying, out: &mut impl Replies) {
        replying.release(self.store, out);
        replying.end_past(self.routes.newest_reign(), out);
    }

    /// Merges what a peer decided alone, unless too many merges of it wait; what came of it is for
    /// [`Server::reply_merge`]. `seen` is shown what the store has said.
    ///
    /// # Errors
    ///
    /// What the sender is to be told at once: the batch is to be sent again, or is refused for
    /// good. Nothing was merged.
    pub fn merge(
        &self,
        time: Time,
        from: &PeerStart,
        merge: &Merge,
        takes_merge: bool,
        seen: impl FnOnce(&Result<Merged, Refused>),
    ) -> Result<Merged, MergeReply> {
        let number = merge.number;
        if let Some(reason) = reason_to_refuse_merges(self.group, self.model) {
            return Err(MergeReply::refused(number, reason));
        }
        if !takes_merge {
            // Kept there, and tried again.
            return Err(MergeReply::not_yet(number));
        }
        let merged = self.store.merge(time, &merge.batch(from), self.model);
        seen(&merged);
        merged.map_err(|refused| {
            if refused.is_for_good() {
                MergeReply::refused(number, refused.to_string())
            } else {
                MergeReply::not_yet(number)
            }
        })
    }

    /// Answers a merge once a majority holds it, or at once if it was refused. Returns true if it
    /// may wait, until `deadline`.
    pub fn reply_merge(
        &self,
        merged: Result<Merged, MergeReply>,
        number: u64,
        deadline: Time,
        replying: &mut Replying,
        out: &mut impl Replies,
    ) -> bool {
        let Merged { position, units, dropped, .. } = match merged {
            Ok(merged) => merged,
            Err(reply) => {
                out.push_merge_reply(reply);
                return false;
            }
        };
        if bug::is(Bug::OverlayForgottenEarly) {
            out.push_merge_reply(MergeReply::merged(number, units, dropped));
            return false;
        }
        let reply = Reply::Merge { number, units, dropped };
        replying.wait(Waiting { position, deadline, reply });
        self.settle(replying, out);
        true
    }
}

/// Returns the reason why nothing is merged that other peers decided alone, if that is so: by the
/// settings of this group, and by whatever its policy has been, none of them would send it.
pub fn reason_to_refuse_merges(group: &GroupConfig, model: &dyn Model) -> Option<&'static str> {
    if group.on_reconnect == OnReconnect::Overwrite {
        return Some("on_reconnect is overwrite: what was decided alone is dropped");
    }
    let is_possible = model.may_decide_alone(group.mode);
    (!is_possible).then_some("nobody decides alone in this group: its mode is strict")
}

/// What became of the calls of one batch, by what is to be done with them. Kept between batches
/// for its memory.
#[derive(Debug, Default)]
pub struct Batch {
    answered: Vec<(u32, Decided)>,
    waiting: Vec<(u32, Decided)>,
    refused: Vec<(u32, Refusal, u64)>,
    held: Vec<u32>,
    /// Calls that were refused because too many wait.
    turned_away: usize,
    must_wake: bool,
}

impl Batch {
    /// Forgets the calls of the last batch.
    pub fn clear(&mut self) {
        self.answered.clear();
        self.waiting.clear();
        self.refused.clear();
        self.held.clear();
        self.turned_away = 0;
        self.must_wake = false;
    }

    /// Decides one call; `seen` is shown what the store has said.
    #[inline]
    pub fn decide<R: Routes>(
        &mut self,
        server: &Server<'_, R>,
        time: Time,
        id: u32,
        items: &[Item<'_>],
        seen: impl FnOnce(&Result<Decided, Refused>),
    ) {
        if server.budget.turns_away(server.answers_after, server.store) {
            self.turned_away += 1;
            let refusal = Refusal::TooManyCalls.as_of(server.version);
            return self.refused.push((id, refusal, server.budget.max()));
        }
        let decided = server.store.decide(time, items, server.model, server.answers_after);
        seen(&decided);
        match decided {
            Ok(decided) => {
                self.must_wake |= decided.wake;
                let must_wait = decided.must_wait && !bug::is(Bug::AnswerBeforeCommit);
                let queue = if must_wait { &mut self.waiting } else { &mut self.answered };
                queue.push((id, decided));
            }
            Err(refused) => self.refuse(server, id, &refused),
        }
    }

    fn refuse<R: Routes>(&mut self, server: &Server<'_, R>, id: u32, refused: &Refused) {
        if matches!(refused, Refused::Full { .. }) {
            self.must_wake |= server.store.take_wake();
        }
        let kind = server.routes.kind();
        let (refusal, bound) = match refused {
            // Elected and not yet serving, or released and not yet replaced: it takes a moment.
            Refused::HandingOver => return self.held.push(id),
            Refused::NoAuthority if kind == RouteKind::HandingOver => return self.held.push(id),
            // The route knows the next primary, and the caller's peer will in a moment: it asks
            // again.
            Refused::NoAuthority if kind == RouteKind::There => (Refusal::HandingOver, 0),
            Refused::NoAuthority => (Refusal::NoAuthority, 0),
            Refused::Full { what: Bounded::Bytes, bound } => (Refusal::BytesFull, *bound),
            Refused::Full { bound, .. } => (Refusal::CellsFull, *bound),
            Refused::Invalid { bound, .. } => (Refusal::Invalid, *bound),
            // Said of merges only.
            Refused::Forgotten { .. } | Refused::Ahead { .. } => (Refusal::Invalid, 0),
        };
        self.refused.push((id, refusal.as_of(server.version), bound));
    }

    /// Returns true if the state machine is to be told of changes.
    pub fn must_wake(&self) -> bool {
        self.must_wake
    }

    /// Returns how many calls were refused because too many wait.
    pub fn turned_away(&self) -> usize {
        self.turned_away
    }

    /// The second look at the authority, after the writes: a process that was paused in between may
    /// have been replaced.
    pub fn look_again(&mut self, store: &Store, now: impl FnOnce() -> Time) {
        let Some((_, first)) = self.answered.first() else { return };
        let ballot = first.position.ballot;
        let is_one_reign = self.answered.iter().all(|(_, other)| other.position.ballot == ballot);
        let is_sure = is_one_reign && store.is_authorized(now(), ballot);
        if !is_sure && !bug::is(Bug::SecondLookSkipped) {
            self.postpone(store);
        }
    }

    #[cold]
    fn postpone(&mut self, store: &Store) {
        for (id, decided) in self.answered.drain(..) {
            match Doubt::of(&decided, store) {
                Doubt::Harmless => self.refused.push((id, Refusal::HandingOver, 0)),
                Doubt::Suspended => self.waiting.push((id, decided)),
                Doubt::Lost => self.refused.push((id, Refusal::OutcomeUnknown, 0)),
            }
        }
        // Replies wait in the order of decisions, and these come behind later ones.
        self.waiting.sort_by_key(|(_, decided)| decided.position.sequence);
    }

    /// Answers what may be answered, and keeps the rest in `replying`, under whose lock this is
    /// called. Returns true if a decision may wait, until `deadline`.
    pub fn reply<R: Routes>(
        &mut self,
        server: &Server<'_, R>,
        deadline: Time,
        replying: &mut Replying,
        out: &mut impl Replies,
    ) -> bool {
        for (id, Decided { answer, position, context, .. }) in self.answered.drain(..) {
            out.push_decided(id, &answer, position, context.now());
        }
        for (id, refusal, bound) in self.refused.drain(..) {
            out.push_refused(id, refusal, bound);
        }
        if !self.held.is_empty() {
            for id in self.held.drain(..) {
                if !replying.hold(id) {
                    out.push_refused(id, Refusal::HandingOver, 0);
                }
            }
            // Under the lock: whoever changes the route from here on finds them.
            if server.routes.kind() != RouteKind::HandingOver {
                replying.end_held(out);
            }
        }
        if self.waiting.is_empty() {
            return false;
        }
        for (id, Decided { answer, position, context, .. }) in self.waiting.drain(..) {
            let reply = Reply::Call { id, answer, group_time: context.now() };
            replying.wait(Waiting { position, deadline, reply });
        }
        server.settle(replying, out);
        true
    }
}
