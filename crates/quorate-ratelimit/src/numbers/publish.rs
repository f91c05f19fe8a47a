//! To whatever recorder the process has, by the facade `metrics`.

use crate::limiter::RateLimiter;
use crate::numbers::metric::{Metric, MetricKind};

impl RateLimiter {
    /// Hands [`RateLimiter::metrics`] to the recorder of the crate `metrics`: the one that the process
    /// has installed, or the local one of this thread; none is installed here. With the feature
    /// `metrics`.
    ///
    /// Call it now and then, such as every few seconds or before the recorder is read. Names and labels
    /// are those of [`RateLimiter::metrics`], so publish one limiter of a group to a recorder. The
    /// parts of a histogram are counters, under the names that Prometheus has for them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn publish(limiter: RateLimiter) {
    ///     loop {
    ///         limiter.publish_metrics();
    ///         tokio::time::sleep(Duration::from_secs(5)).await;
    ///     }
    /// }
    /// ```
    pub fn publish_metrics(&self) {
        for metric in self.metrics() {
            publish(&metric);
        }
    }
}

fn publish(Metric { name, help, kind, samples }: &Metric) {
    match kind {
        MetricKind::Counter | MetricKind::Histogram => metrics::describe_counter!(*name, *help),
        MetricKind::Gauge => metrics::describe_gauge!(*name, *help),
    }
    for sample in samples {
        match kind {
            MetricKind::Counter => {
                metrics::counter!(*name, &sample.labels).absolute(sample.value);
            }
            MetricKind::Histogram => {
                let part = format!("{name}{}", sample.suffix);
                metrics::counter!(part, &sample.labels).absolute(sample.value);
            }
            MetricKind::Gauge => metrics::gauge!(*name, &sample.labels).set(sample.value as f64),
        }
    }
}
