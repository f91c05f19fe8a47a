//! The memory of a peer without storage (docs/protocol.md, section 13.9).

use std::collections::VecDeque;

use quorate::internal::protocol::io::HardState;

/// The memory of a peer on its disk, which outlives the processes.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) saved: HardState,
    /// On its way to the disk: gone with the process.
    pub(crate) saving: VecDeque<HardState>,
}
