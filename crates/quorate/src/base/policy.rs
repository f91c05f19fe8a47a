//! What a group decides by, as far as that may change while it runs.

use bytes::Bytes;

/// Most bytes of a policy, and of a request to change it.
pub const MAX_POLICY_BYTES: usize = 96 * 1024;

/// What a model decides by at present: the same at all peers, replicated with the cells, and
/// changed through the primary by `Peer::change_policy`. What the bytes mean is the model's own
/// matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Grows by one with every change; 0 until there is one, when each peer decides by what its own
    /// model was made with.
    pub revision: u64,
    /// The model's own bytes, at most [`MAX_POLICY_BYTES`]; none until there is a change.
    pub bytes: Bytes,
}
