//! The metrics of a limiter, put together.

use quorate::{GroupConfig, PeerStats, Status};

use crate::numbers::metric::Metric;
use crate::numbers::stats::Stats;
use crate::numbers::{limit_metrics, peer_metrics};

/// The sources of the metrics of a limiter.
pub(crate) struct Sources {
    pub(crate) stats: Stats,
    /// The number of times that the group's limits were changed.
    pub(crate) revision: u64,
    /// Limits that are others here than in the group.
    pub(crate) differing: usize,
    /// Limits that are used here and that the group has not.
    pub(crate) missing: usize,
    pub(crate) status: Status,
    pub(crate) peer: PeerStats,
}

impl Sources {
    /// Returns the numbers of all sources; where the group was given a name, each has it as a
    /// label.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = limit_metrics::of_decisions(&self.stats);
        metrics.extend(limit_metrics::of_limits(self.revision, self.differing, self.missing));
        metrics.extend(peer_metrics::of_status(&self.status));
        metrics.extend(peer_metrics::of_stats(&self.peer));
        // A name that nobody gave would tell no group from another.
        if self.status.group != GroupConfig::default().group {
            let samples = metrics.iter_mut().flat_map(|metric| &mut metric.samples);
            samples.for_each(|sample| sample.labels.push(("group", self.status.group.clone())));
        }
        metrics
    }
}
