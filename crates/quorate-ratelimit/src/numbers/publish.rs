//! Metrics handed to the recorder that the process has, by the facade `metrics`.

use crate::numbers::metric::{Metric, MetricKind, Sample};

/// Hands a metric to the recorder: a histogram in parts, each under its own name.
pub(crate) fn publish(Metric { name, help, kind, samples }: &Metric) {
    match kind {
        MetricKind::Counter | MetricKind::Histogram => metrics::describe_counter!(*name, *help),
        MetricKind::Gauge => metrics::describe_gauge!(*name, *help),
    }
    for Sample { suffix, labels, value } in samples {
        match (kind, *suffix) {
            (MetricKind::Counter, _) => metrics::counter!(*name, labels).absolute(*value as u64),
            (MetricKind::Gauge, _) => metrics::gauge!(*name, labels).set(*value),
            // Counters of the facade are whole numbers, and seconds are not.
            (MetricKind::Histogram, "_sum") => {
                metrics::gauge!(format!("{name}_sum"), labels).set(*value);
            }
            (MetricKind::Histogram, _) => {
                metrics::counter!(format!("{name}{suffix}"), labels).absolute(*value as u64);
            }
        }
    }
}
