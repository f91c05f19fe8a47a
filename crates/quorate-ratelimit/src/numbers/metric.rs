//! Metrics for a monitoring system: numbers with names and labels, none of which is ever a key.
//!
//! The names are listed in docs/operations.md. They follow the conventions of Prometheus.

/// A number that is measured, with all its values.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::RateLimiter;
///
/// fn print(limiter: &RateLimiter) {
///     for metric in limiter.metrics() {
///         for sample in &metric.samples {
///             let name = format!("{}{}", metric.name, sample.suffix);
///             println!("{name} {:?} {}", sample.labels, sample.value);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name: small letters and `_`, beginning with `quorate_`; at the end the unit, which is
    /// seconds or bytes where it is one of time or memory, and `_total` of a counter.
    pub name: &'static str,
    /// Its meaning, in one line.
    pub help: &'static str,
    /// Its kind: whether it may become less.
    pub kind: MetricKind,
    /// Its values: one without labels, or one for each set of labels.
    pub samples: Vec<Sample>,
}

/// The kinds of metrics: a number may become less, or not.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::MetricKind;
/// assert_ne!(MetricKind::Counter, MetricKind::Gauge);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, from 0 at the start of the peer or limiter.
    Counter,
    /// It comes and goes.
    Gauge,
    /// The distribution of a quantity, as Prometheus has it: each sample says by [`Sample::suffix`]
    /// whether it is a `_bucket`, the number of values up to the bound in its label `le`, or the
    /// `_sum` or `_count` of all. Each of them only grows.
    Histogram,
}

/// One value of a [`Metric`].
///
/// # Examples
///
/// See [`Metric`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The ending of the metric's name: nothing, but for those of a histogram.
    pub suffix: &'static str,
    /// Labels by name: names of limits and of peers, and words that are always the same; never
    /// keys.
    pub labels: Vec<(&'static str, String)>,
    /// The value; a count beyond 2^53 is rounded.
    pub value: f64,
}

impl Metric {
    pub(crate) fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// A counter of one value.
    pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, MetricKind::Counter, help).with([], value)
    }

    /// A gauge of one value.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, MetricKind::Gauge, help).with([], value)
    }

    /// Adds a number.
    pub(crate) fn with<const N: usize>(
        self,
        labels: [(&'static str, &str); N],
        value: u64,
    ) -> Self {
        self.part("", labels, value as f64)
    }

    /// Adds a time, given in microseconds.
    pub(crate) fn with_time<const N: usize>(
        self,
        labels: [(&'static str, &str); N],
        micros: u64,
    ) -> Self {
        self.part("", labels, in_seconds(micros))
    }

    /// Adds a value of any kind, as a part of the metric.
    pub(crate) fn part<const N: usize>(
        mut self,
        suffix: &'static str,
        labels: [(&'static str, &str); N],
        value: f64,
    ) -> Self {
        let labels = labels.map(|(name, value)| (name, value.to_owned())).to_vec();
        self.samples.push(Sample { suffix, labels, value });
        self
    }
}

/// A time as all times are told.
pub(crate) fn in_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
