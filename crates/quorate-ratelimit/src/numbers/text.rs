//! Metrics as text, as Prometheus reads it: the format 0.0.4.
//!
//! ```text
//!   # HELP quorate_decisions_total Decisions by limit and outcome.
//!   # TYPE quorate_decisions_total counter
//!   quorate_decisions_total{limit="mail",outcome="allowed"} 2
//! ```

use std::fmt::{self, Display, Write};

use crate::numbers::metric::{Metric, MetricKind, Sample};

/// The content type of [`RateLimiter::metrics_text`](crate::RateLimiter::metrics_text), by which
/// Prometheus knows the format.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Returns the text of these metrics; one that has no values at present is left out.
pub(crate) fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for metric in metrics.iter().filter(|metric| !metric.samples.is_empty()) {
        // Writing to a text does not fail.
        _ = write!(text, "{}", Family(metric));
    }
    text
}

/// A metric with its values, as lines.
struct Family<'a>(&'a Metric);

impl Display for Family<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metric { name, help, kind, samples } = self.0;
        writeln!(f, "# HELP {name} {}", Escaped { text: help, has_quotes: false })?;
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        writeln!(f, "# TYPE {name} {kind}")?;
        samples.iter().try_for_each(|sample| write_sample(f, name, sample))
    }
}

fn write_sample(f: &mut fmt::Formatter<'_>, name: &str, sample: &Sample) -> fmt::Result {
    write!(f, "{name}{}", sample.suffix)?;
    for (index, (label, value)) in sample.labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(f, "{before}{label}=\"{}\"", Escaped { text: value, has_quotes: true })?;
    }
    let after = if sample.labels.is_empty() { "" } else { "}" };
    writeln!(f, "{after} {}", sample.value)
}

/// A text in which nothing ends its line, or its quotes.
struct Escaped<'a> {
    text: &'a str,
    has_quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.text.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.has_quotes => f.write_str("\\\"")?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_line_or_a_label_is_escaped() {
        let escaped = |has_quotes| Escaped { text: "a\\b\"c\nd", has_quotes }.to_string();
        assert_eq!(escaped(true), "a\\\\b\\\"c\\nd");
        assert_eq!(escaped(false), "a\\\\b\"c\\nd");
    }
}
