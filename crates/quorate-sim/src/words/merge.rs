//! A merge of what a peer decided alone, and cells by key.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate::{Delta, GroupTime, Incarnation, Value};

/// A numbered batch of local decisions, on its way to the primary.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) number: u64,
    pub(crate) sealed_at: GroupTime,
    pub(crate) entries: Vec<(Bytes, Delta)>,
}

/// The primary's answer once a majority holds the merge, or if it will never be merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergeReply {
    pub(crate) number: u64,
    /// True if it is part of the group's cells.
    pub(crate) is_merged: bool,
}

/// The sender of a merge, and its number there.
pub(crate) type MergeId = (usize, Incarnation, u64);

/// Cells by key, as the model knows them.
pub(crate) type Cells = BTreeMap<Bytes, Value>;
