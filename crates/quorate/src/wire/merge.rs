//! Local decisions of a relaxed peer, on their way to the primary (docs/wire.md, section 5).

use bytes::Bytes;

use super::bounds::{self, MAX_SETTING_BYTES};
use super::error::WireError;
use super::generated as proto;
use crate::base::id::{GroupTime, PeerStart};
use crate::model::{Delta, MAX_KEY_BYTES};
use crate::store::SealedBatch;

/// A batch of local decisions, to be merged all at once and only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Number of the batch, growing per incarnation of the sender.
    pub number: u64,
    /// The time when it was sealed, in group time as far as the sender could tell; 0 if it does not
    /// say.
    pub sealed_at: GroupTime,
    /// The model's keys and what was decided about them.
    pub entries: Vec<(Bytes, Delta)>,
}

impl Merge {
    /// Returns the batch as the store takes it, of this start of its sender.
    pub fn batch<'a>(&'a self, from: &'a PeerStart) -> SealedBatch<'a> {
        SealedBatch {
            origin: &from.name,
            incarnation: from.incarnation,
            number: self.number,
            sealed_at: self.sealed_at,
            entries: &self.entries,
        }
    }
}

/// Answer to a [`Merge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeReply {
    /// The number of the batch.
    pub number: u64,
    /// True if a majority holds the merge; if not, the sender keeps the batch.
    pub ok: bool,
    /// Units that were counted.
    pub units: u64,
    /// Units that were dropped, their windows having closed.
    pub dropped: u64,
    /// The reason why it will never be merged, if that is so: the sender drops the batch.
    pub refused: Option<String>,
}

impl MergeReply {
    /// A reply that says that the batch has not been merged, as far as is known: the sender is to
    /// send it again.
    pub fn not_yet(number: u64) -> Self {
        Self { number, ok: false, units: 0, dropped: 0, refused: None }
    }

    /// A majority holds the merge.
    pub fn merged(number: u64, units: u64, dropped: u64) -> Self {
        Self { number, ok: true, units, dropped, refused: None }
    }

    /// It will never be merged, for this reason.
    pub fn refused(number: u64, reason: impl Into<String>) -> Self {
        Self { refused: Some(reason.into()), ..Self::not_yet(number) }
    }
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
        Self {
            number: merge.number,
            entries: merge.entries.iter().map(entry).collect(),
            sealed_at: merge.sealed_at.0,
        }
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
        let entries =
            merge.entries.into_iter().map(entry).collect::<Result<Vec<_>, WireError>>()?;
        bounds::count("entries of a merge", entries.len(), 1, usize::MAX)?;
        let sealed_at = bounds::clock("group time", merge.sealed_at)?;
        Ok(Self { number: merge.number, sealed_at, entries })
    }
}

impl From<&MergeReply> for proto::MergeReply {
    fn from(reply: &MergeReply) -> Self {
        let MergeReply { number, ok, units, dropped, ref refused } = *reply;
        // The reader's bound.
        let refused = refused.as_ref().map(|reason| bounds::cut(reason, MAX_SETTING_BYTES));
        Self { number, ok, units, dropped, refused: refused.map(str::to_owned) }
    }
}

impl TryFrom<proto::MergeReply> for MergeReply {
    type Error = WireError;

    fn try_from(reply: proto::MergeReply) -> Result<Self, WireError> {
        let proto::MergeReply { number, ok, units, dropped, refused } = reply;
        let refused = refused.map(|reason| bounds::text("reason of a refusal", reason));
        Ok(Self { number, ok, units, dropped, refused: refused.transpose()? })
    }
}
