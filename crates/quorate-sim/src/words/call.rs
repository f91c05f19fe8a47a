//! A call on its way: to the primary, through its store, and back.

use quorate::internal::session::replying::Replies;
use quorate::internal::store::Decided;
use quorate::internal::wire::MergeReply;
use quorate::internal::wire::replies::Refusal;
use quorate::{Answer, DecideContext, GroupTime, Incarnation, Position, Time};

/// One start of a peer: its index, and the incarnation that it runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    pub(crate) peer: usize,
    pub(crate) incarnation: Incarnation,
}

/// A call that is forwarded to the primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) op: usize,
}

/// The reply of a primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) op: usize,
    /// A refusal comes with the bound that it is about.
    pub(crate) result: Result<Done, (Refusal, u64)>,
}

/// A decision and its place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) position: Position,
    pub(crate) context: DecideContext,
    /// Whether anything was changed or taken.
    pub(crate) has_changed: bool,
    /// The reading of its decider's clock before.
    pub(crate) read: Time,
}

impl Done {
    /// A decision of the product, with what its decider read from its clock.
    pub(crate) fn of(decided: &Decided, read: Time) -> Self {
        Self {
            answer: decided.answer,
            position: decided.position,
            context: decided.context,
            has_changed: decided.changed,
            read,
        }
    }
}

/// What a primary has to say to one other process.
#[derive(Debug, Default)]
pub(crate) struct PrimaryReplies(pub(crate) Vec<PrimaryReply>);

/// One reply.
#[derive(Debug)]
pub(crate) enum PrimaryReply {
    Decided { op: usize, answer: Answer, position: Position },
    Refused { op: usize, refusal: Refusal, bound: u64 },
    Merge(MergeReply),
}

impl Replies for PrimaryReplies {
    fn push_decided(&mut self, id: u32, answer: &Answer, position: Position, _at: GroupTime) {
        self.0.push(PrimaryReply::Decided { op: id as usize, answer: *answer, position });
    }

    fn push_refused(&mut self, id: u32, refusal: Refusal, bound: u64) {
        self.0.push(PrimaryReply::Refused { op: id as usize, refusal, bound });
    }

    fn push_merge_reply(&mut self, reply: MergeReply) {
        self.0.push(PrimaryReply::Merge(reply));
    }
}
