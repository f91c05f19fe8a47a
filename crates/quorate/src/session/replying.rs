//! Calls from a peer that were not answered at once: they wait for a majority, or for a hand-over
//! to end.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::{Ballot, GroupTime, Position, Time};
use crate::model::Answer;
use crate::session::budget::Budget;
use crate::store::Store;
use crate::wire::MergeReply;
use crate::wire::replies::{MAX_REPLY_BYTES, Refusal};

/// Merges of one peer that wait at most: it sends one, and the same again if that takes long.
const MAX_MERGES: usize = 4;

/// Takes the replies of one connection on their way.
pub trait Replies {
    /// A call was decided.
    fn push_decided(&mut self, id: u32, answer: &Answer, position: Position, at: GroupTime);

    /// A call was not decided, or it is not known; `bound` is the one that was reached or broken, 0
    /// if there is none.
    fn push_refused(&mut self, id: u32, refusal: Refusal, bound: u64);

    /// A merge has ended, or is to be sent again.
    fn push_merge_reply(&mut self, reply: MergeReply);
}

/// The calls and merges of one other end that wait, in the order of decisions.
#[derive(Debug)]
pub struct Replying {
    waiting: VecDeque<Waiting>,
    /// Calls that came during a hand-over, by id.
    held: Vec<u32>,
    /// How many of those that wait are merges.
    merges: usize,
    budget: Arc<Budget>,
}

/// A decision that is answered when a majority holds it.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Waiting {
    pub(in crate::session) position: Position,
    pub(in crate::session) deadline: Time,
    pub(in crate::session) reply: Reply,
}

/// The answer that waits.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) enum Reply {
    Call { id: u32, answer: Answer, group_time: GroupTime },
    Merge { number: u64, units: u64, dropped: u64 },
}

impl Reply {
    fn is_merge(&self) -> bool {
        matches!(self, Self::Merge { .. })
    }
}

impl Replying {
    /// Makes an empty queue; each call that waits takes a place of `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { waiting: VecDeque::new(), held: Vec::new(), merges: 0, budget }
    }

    /// Adds a decision; they come in order, for one task decides for this connection. It has been
    /// made, so it is taken even if the budget is spent; see [`Batch`](super::serving::Batch).
    pub(in crate::session) fn wait(&mut self, waiting: Waiting) {
        self.budget.take_anyway();
        self.merges += usize::from(waiting.reply.is_merge());
        self.waiting.push_back(waiting);
    }

    /// Keeps a call until the hand-over has ended; false if the budget is spent.
    pub(in crate::session) fn hold(&mut self, id: u32) -> bool {
        let is_kept = self.budget.take();
        if is_kept {
            self.held.push(id);
        }
        is_kept
    }

    /// Bytes that the replies will have, at most.
    pub fn reply_bytes(&self) -> usize {
        (self.waiting.len() + self.held.len()) * MAX_REPLY_BYTES
    }

    /// Returns true if one more merge may wait.
    pub fn takes_merge(&self) -> bool {
        self.merges < MAX_MERGES && !self.budget.is_spent()
    }

    /// Answers what may be answered; a merge is forgotten by its sender, and waits for a majority
    /// whatever the group's settings say.
    pub fn release(&mut self, store: &Store, out: &mut impl Replies) {
        let answerable = store.answerable();
        let committed = store.committed();
        while let Some(first) = self.waiting.front() {
            let end = match first.reply {
                Reply::Call { .. } => answerable,
                Reply::Merge { .. } => committed,
            };
            if !end.covers(first.position) {
                return;
            }
            let first = *first;
            self.pop();
            match first.reply {
                Reply::Call { id, answer, group_time } => {
                    out.push_decided(id, &answer, first.position, group_time);
                }
                Reply::Merge { number, units, dropped } => {
                    out.push_merge_reply(MergeReply::merged(number, units, dropped));
                }
            }
        }
    }

    /// Ends what was decided in an older reign than `newest`, its outcome being unknown.
    pub fn end_past(&mut self, newest: Ballot, out: &mut impl Replies) {
        while let Some(first) = self.waiting.front() {
            if newest <= first.position.ballot {
                return;
            }
            self.end_first(out);
        }
    }

    /// Ends what has waited too long; returns the next deadline.
    pub fn expire(&mut self, now: Time, out: &mut impl Replies) -> Option<Time> {
        while let Some(first) = self.waiting.front() {
            if first.deadline > now {
                return Some(first.deadline);
            }
            self.end_first(out);
        }
        None
    }

    /// The hand-over has ended: callers are told to ask again.
    pub fn end_held(&mut self, out: &mut impl Replies) {
        self.budget.give(self.held.len());
        for id in self.held.drain(..) {
            out.push_refused(id, Refusal::HandingOver, 0);
        }
    }

    /// Drops all that waits without answering: the connection is gone.
    pub fn clear(&mut self) {
        self.budget.give(self.waiting.len() + self.held.len());
        self.waiting = VecDeque::new();
        self.held = Vec::new();
        self.merges = 0;
    }

    fn end_first(&mut self, out: &mut impl Replies) {
        let Some(first) = self.pop() else { return };
        match first.reply {
            Reply::Call { id, .. } => out.push_refused(id, Refusal::OutcomeUnknown, 0),
            Reply::Merge { number, .. } => out.push_merge_reply(MergeReply::not_yet(number)),
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.budget.give(1);
        self.merges -= usize::from(first.reply.is_merge());
        Some(first)
    }
}

impl Drop for Replying {
    fn drop(&mut self) {
        self.clear();
    }
}
