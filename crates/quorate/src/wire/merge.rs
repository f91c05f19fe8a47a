//! What a relaxed peer decided alone, on its way to the primary (docs/wire.md, section 5).

use bytes::Bytes;

use super::bounds;
use super::error::WireError;
use super::generated as proto;
use crate::model::{Delta, MAX_KEY_BYTES};

/// A batch of local decisions, to be merged all at once and only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Number of the batch, growing per incarnation of the sender.
    pub number: u64,
    /// The model's keys and what was decided about them.
    pub entries: Vec<(Bytes, Delta)>,
}

/// Answer to a [`Merge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeReply {
    /// The number of the batch.
    pub number: u64,
    /// Whether a majority holds the merge; if not, the sender keeps the batch.
    pub ok: bool,
    /// Units that were counted.
    pub units: u64,
    /// Units that were dropped, their windows having closed.
    pub dropped: u64,
}

impl From<&Merge> for proto::Merge {
    fn from(merge: &Merge) -> Self {
        let entry = |(key, delta): &(Bytes, Delta)| proto::Delta {
            key: key.clone(),
            word_0: delta.words[0],
            word_1: delta.words[1],
            word_2: delta.words[2],
            units: delta.units,
        };
        Self { number: merge.number, entries: merge.entries.iter().map(entry).collect() }
    }
}

impl TryFrom<proto::Merge> for Merge {
    type Error = WireError;

    fn try_from(merge: proto::Merge) -> Result<Self, WireError> {
        let entry = |entry: proto::Delta| {
            bounds::bytes("key", entry.key.len(), 1, MAX_KEY_BYTES)?;
            let words = [entry.word_0, entry.word_1, entry.word_2];
            Ok((entry.key, Delta { words, units: entry.units }))
        };
        let entries = merge.entries.into_iter().map(entry).collect::<Result<_, WireError>>()?;
        Ok(Self { number: merge.number, entries })
    }
}

impl From<&MergeReply> for proto::MergeReply {
    fn from(reply: &MergeReply) -> Self {
        Self { number: reply.number, ok: reply.ok, units: reply.units, dropped: reply.dropped }
    }
}

impl From<proto::MergeReply> for MergeReply {
    fn from(reply: proto::MergeReply) -> Self {
        Self { number: reply.number, ok: reply.ok, units: reply.units, dropped: reply.dropped }
    }
}
