//! Metrics handed to the recorder that the process has, by the facade `metrics`.

use crate::numbers::metric::{Metric, MetricKind};

/// Hands a metric to the recorder: the parts of a histogram as counters.
pub(crate) fn publish(Metric { name, help, kind, samples }: &Metric) {
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
