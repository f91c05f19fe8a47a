//! Replies: outcomes of calls on their way back.
//!
//! ```text
//!   reply:  u32 LE id | u8 status | outcome
//!   status 0:       u8 code | u64 units | 6 x u64 words | 3 x u64 position | u64 group time
//!   status 1 to 7:  u64 bound
//! ```

// Layout: docs/wire.md, section 4.

use std::array;

use bytes::{BufMut, Bytes, BytesMut};

use super::bounds;
use super::error::WireError;
use crate::base::id::{GroupTime, Position};
use crate::model::{ANSWER_WORDS, Answer};

/// Longest reply, in bytes.
pub const MAX_REPLY_BYTES: usize = REPLY_BYTES + DECIDED_BYTES;

const REPLY_BYTES: usize = 4 + 1;
const DECIDED_BYTES: usize = 1 + 8 * DECIDED_WORDS;
const DECIDED_WORDS: usize = 1 + ANSWER_WORDS + 3 + 1;
const DECIDED: u8 = 0;
/// The version of the protocol from which on a refusal says which bound is reached.
const FULL_VERSION: u32 = 2;

/// The body of a frame of replies, not looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies(Bytes);

impl Replies {
    /// Takes a body as it is; [`Reader`] checks it.
    pub fn from_body(body: Bytes) -> Self {
        Self(body)
    }

    /// The body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the replies.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.0)
    }
}

/// The reason why a call was not answered with a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The receiver is not the primary, or its lease has ended. Nothing was written.
    NoAuthority,
    /// The primary has handed over: ask the next one. Nothing was written.
    HandingOver,
    /// The operation needs a new cell, and there may be no more of them. Nothing was written.
    CellsFull,
    /// The operation itself is not usable. Nothing was written.
    Invalid,
    /// The primary changed before a majority held the change, which may have been written.
    OutcomeUnknown,
    /// The operation needs a new cell, and there is no memory for it. Nothing was written.
    BytesFull,
    /// Too many calls wait for a majority at the primary. Nothing was written.
    TooManyCalls,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::NoAuthority,
        Self::HandingOver,
        Self::CellsFull,
        Self::Invalid,
        Self::OutcomeUnknown,
        Self::BytesFull,
        Self::TooManyCalls,
    ];

    /// The refusal that a peer is told which speaks `version` of the protocol: the first knows one
    /// kind of full.
    pub fn as_of(self, version: u32) -> Self {
        match self {
            Self::BytesFull | Self::TooManyCalls if version < FULL_VERSION => Self::CellsFull,
            refusal => refusal,
        }
    }

    fn status(self) -> u8 {
        self as u8 + 1
    }

    fn from_status(status: u8) -> Option<Self> {
        Self::ALL.get(usize::from(status).checked_sub(1)?).copied()
    }
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was decided.
    Decided {
        /// The answer.
        answer: Answer,
        /// Its place in the order of decisions.
        position: Position,
        /// The group time it was decided at.
        group_time: GroupTime,
    },
    /// It was not.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// The bound that was reached or broken; 0 if the refusal has none.
        bound: u64,
    },
}

/// One reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The id of the call.
    pub id: u32,
    /// Its outcome.
    pub outcome: Outcome,
}

/// Appends a decision to `out`, between [`begin`](super::begin) and [`finish`](super::finish).
pub fn push_decided(
    out: &mut BytesMut,
    id: u32,
    answer: &Answer,
    position: Position,
    group_time: GroupTime,
) {
    let Position { ballot, sequence } = position;
    let order = [ballot.generation.to_bits(), ballot.term.0, sequence.0, group_time.0];
    let words = [answer.units].into_iter().chain(answer.words).chain(order);
    let mut reply = [0; MAX_REPLY_BYTES];
    let (head, rest) = reply.split_at_mut(REPLY_BYTES + 1);
    head[..4].copy_from_slice(&id.to_le_bytes());
    head[4] = DECIDED;
    head[5] = answer.code;
    for (bytes, word) in rest.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    out.extend_from_slice(&reply);
}

/// Appends a refusal to `out`, between [`begin`](super::begin) and [`finish`](super::finish).
pub fn push_refused(out: &mut BytesMut, id: u32, refusal: Refusal, bound: u64) {
    out.put_u32_le(id);
    out.put_u8(refusal.status());
    out.put_u64_le(bound);
}

/// Reads the replies of a body one after the other, without an allocation.
///
/// An error ends the iteration: the replies before it were whole, what follows cannot be read.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// A reader at the first reply of `body`.
    pub fn new(body: &'b [u8]) -> Self {
        Self { rest: body }
    }

    fn read(&mut self) -> Result<Reply, WireError> {
        let [id @ .., status] = *self.take::<REPLY_BYTES>()?;
        let outcome = match Refusal::from_status(status) {
            Some(refusal) => Outcome::Refused { refusal, bound: u64::from_le_bytes(*self.take()?) },
            None if status == DECIDED => decided(self.take()?)?,
            None => {
                let max = Refusal::ALL.len() as u64;
                let value = status.into();
                return Err(WireError::Value { field: "status of a reply", value, min: 0, max });
            }
        };
        Ok(Reply { id: u32::from_le_bytes(id), outcome })
    }

    fn take<const N: usize>(&mut self) -> Result<&'b [u8; N], WireError> {
        let Some((chunk, rest)) = self.rest.split_first_chunk() else {
            return Err(WireError::Truncated { field: "reply", need: N, have: self.rest.len() });
        };
        self.rest = rest;
        Ok(chunk)
    }
}

fn decided([code, words @ ..]: &[u8; DECIDED_BYTES]) -> Result<Outcome, WireError> {
    let (words, _) = words.as_chunks();
    let words: [u64; DECIDED_WORDS] = array::from_fn(|index| u64::from_le_bytes(words[index]));
    let [units, words @ .., generation, term, sequence, group_time] = words;
    Ok(Outcome::Decided {
        answer: Answer { code: *code, units, words },
        position: bounds::position(generation, term, sequence)?,
        group_time: bounds::clock("group time", group_time)?,
    })
}

impl Iterator for Reader<'_> {
    type Item = Result<Reply, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let reply = self.read();
        if reply.is_err() {
            self.rest = &[];
        }
        Some(reply)
    }
}
