//! Disks of a run.

use std::time::Duration;

use crate::base::random::Random;

/// The disks of a run, and the use that peers make of them.
#[derive(Clone, Debug)]
pub(crate) struct DiskPlan {
    /// Of each peer: whether it syncs before it acknowledges.
    pub(crate) syncs: Vec<bool>,
    pub(crate) segment_bytes: u64,
    /// Mean time of one round of the storage thread of each peer.
    pub(crate) delays: Vec<Duration>,
    /// Rounds that take as long as a failure does, per mille.
    pub(crate) stalls: u64,
}

impl DiskPlan {
    /// Every peer syncs, and nothing stalls.
    pub(crate) fn quiet(delays: &[Duration]) -> Self {
        let syncs = vec![true; delays.len()];
        Self { syncs, segment_bytes: 1 << 20, delays: delays.to_vec(), stalls: 0 }
    }

    /// As many peers more, which sync, and whose disks are like the first one.
    pub(crate) fn widen(&mut self, peers: usize) {
        let delay = self.delays.first().copied().unwrap_or_default();
        self.syncs.extend(std::iter::repeat_n(true, peers));
        self.delays.extend(std::iter::repeat_n(delay, peers));
    }

    pub(crate) fn draw(random: &mut Random, peers: usize, timeout: Duration) -> Self {
        let unsynced = random.pick(&[0, 0, 0, 300, 1000]);
        Self {
            syncs: (0..peers).map(|_| !random.chance(unsynced)).collect(),
            segment_bytes: random.pick(&[600, 3_000, 1 << 20]),
            delays: vec![timeout / random.pick(&[5_000, 1_000, 200]); peers],
            stalls: random.pick(&[0, 0, 2, 10]),
        }
    }
}
