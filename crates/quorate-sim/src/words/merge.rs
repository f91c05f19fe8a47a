//! A merge of what a peer decided alone, by its name, and cells by key.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate::{Incarnation, Value};

/// The sender of a merge, and its number there.
pub(crate) type MergeId = (usize, Incarnation, u64);

/// Cells by key, as the model knows them.
pub(crate) type Cells = BTreeMap<Bytes, Value>;
