//! Limits as a file writes them, for any format that serde reads.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limit::bounds::MAX_LIMITS;
use crate::limit::calendar::{Calendar, StartsOn, UTC, Weekday};
use crate::limit::duration::{self, Period};
use crate::limit::error::{LimitError, LimitsError, LimitsErrorKind, shown};
use crate::limit::without_primary::WithoutPrimary;
use crate::limit::{Kind, Limit};
use crate::model::limits::{Limits, LimitsBuilder};

/// One limit of a limits file: `rate` with an optional `burst`, `window` with `max`, which may be
/// `sliding` or `approximate_sliding`, `calendar` with `max`, `concurrent`, or `counter`.
///
/// Text stays text until [`LimitSpec::limit`], so that an error can name the limit and what was
/// written.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::{Limit, LimitSpec};
///
/// let spec: LimitSpec = serde_json::from_str(r#"{"rate": "100/s", "burst": 50}"#)?;
/// assert_eq!(spec.limit()?, Limit::per_second(100).burst(50));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a limit by its fields, like rate and burst")]
#[non_exhaustive]
pub struct LimitSpec {
    /// A number and `/s`, `/m`, `/h` or `/d`.
    #[serde(default, deserialize_with = "rate", skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// The most units of a rate that are admitted at once. Default: the number of the rate.
    #[serde(default, deserialize_with = "burst", skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// The length of a fixed window: a number and `ms`, `s`, `m`, `h` or `d`.
    #[serde(default, deserialize_with = "window", skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The units that each window admits.
    #[serde(default, deserialize_with = "max", skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// True if the window slides.
    #[serde(default, deserialize_with = "sliding", skip_serializing_if = "std::ops::Not::not")]
    pub sliding: bool,
    /// True if the window slides about, by two counters.
    #[serde(
        default,
        deserialize_with = "approximate_sliding",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub approximate_sliding: bool,
    /// True if this is a plain counter.
    #[serde(default, deserialize_with = "counter", skip_serializing_if = "std::ops::Not::not")]
    pub counter: bool,
    /// The kind of a calendar window: `day`, `week`, `month`, `quarter` or `year`; with `max`.
    #[serde(default, deserialize_with = "calendar", skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// The IANA time zone of a calendar window. Default: UTC.
    #[serde(default, deserialize_with = "time_zone", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The beginning of a week or month: `monday`, or 15. Default: Monday, or the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<StartsOn>,
    /// The permits that are held at most at once.
    #[serde(default, deserialize_with = "concurrent", skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u64>,
    /// The time that a permit is held without a word of its holder: a number and `ms`, `s`, `m`,
    /// `h` or `d`. Default: 30 s.
    #[serde(default, deserialize_with = "lease", skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// The conduct of a peer without a primary: `refuse`, `share:0.3`, or `open`. Default: as the
    /// group's mode says.
    #[serde(
        default,
        deserialize_with = "without_primary",
        skip_serializing_if = "Option::is_none"
    )]
    pub without_primary: Option<String>,
    /// Percentages of the limit at which an event is told, one or two.
    #[serde(default, deserialize_with = "alert_at", skip_serializing_if = "Vec::is_empty")]
    pub alert_at: Vec<u8>,
    /// True if this only counts and reports, and denies nothing.
    #[serde(default, deserialize_with = "shadow", skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// Reads a field, and names it where it is of another type.
macro_rules! field {
    ($name:ident, $type:ty, $expected:literal) => {
        fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
            Option::deserialize(deserializer).map_err(|_| Error::custom($expected))
        }
    };
}

field!(burst, u64, "burst takes a whole number, 1 or more");
field!(calendar, String, "calendar takes a text, like \"month\"");
field!(concurrent, u64, "concurrent takes a whole number, 1 or more");
field!(lease, String, "lease takes a text, like \"30s\"");
field!(max, u64, "max takes a whole number, 1 or more");
field!(rate, String, "rate takes a text, like \"100/s\"");
field!(time_zone, String, "time_zone takes a text, like \"Europe/Berlin\"");
field!(window, String, "window takes a text, like \"60s\"");
field!(without_primary, String, "without_primary takes a text, like \"share:0.3\"");

/// Defines how a field is read that is true or false.
macro_rules! flag {
    ($name:ident, $expected:literal) => {
        fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
            bool::deserialize(deserializer).map_err(|_| Error::custom($expected))
        }
    };
}

flag!(approximate_sliding, "approximate_sliding takes true or false");
flag!(counter, "counter takes true or false");
flag!(shadow, "shadow takes true or false");
flag!(sliding, "sliding takes true or false");

fn alert_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let expected = "alert_at takes one or two numbers of percent, like [80, 100]";
    Vec::deserialize(deserializer).map_err(|_| Error::custom(expected))
}

impl LimitSpec {
    /// Reads the limit.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, with the text or number given.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::LimitSpec;
    ///
    /// let mut spec = LimitSpec::default();
    /// spec.rate = Some("100".into());
    /// assert!(spec.limit().expect_err("no unit").to_string().contains("/s, /m, /h or /d"));
    /// ```
    pub fn limit(&self) -> Result<Limit, LimitError> {
        let mut limit = self.kind()?;
        if self.shadow {
            limit = limit.shadow();
        }
        if let Some(text) = &self.without_primary {
            limit = limit.without_primary(WithoutPrimary::parse(text)?);
        }
        for percent in &self.alert_at {
            limit = limit.alert_at(*percent);
        }
        limit.check().map(|()| limit)
    }

    /// Returns this spec with `shadow`, `without_primary` and `alert_at` cleared: what the kind
    /// alone says.
    fn bare(&self) -> Self {
        Self { shadow: false, without_primary: None, alert_at: Vec::new(), ..self.clone() }
    }

    fn kind(&self) -> Result<Limit, LimitError> {
        // The kinds first that stand alone, so that an error names the field that does not belong.
        if self.counter {
            let is_alone = self.bare() == Self { counter: true, ..Self::default() };
            return if is_alone { Ok(Limit::counter()) } else { Err(LimitError::CounterMore) };
        }
        if let Some(max) = self.concurrent {
            return self.permits(max);
        }
        if self.lease.is_some() {
            return Err(LimitError::LeaseAlone);
        }
        if let Some(kind) = &self.calendar {
            return self.calendar_of(kind);
        }
        if self.time_zone.is_some() {
            return Err(LimitError::CalendarAlone { field: "time_zone" });
        }
        if self.starts_on.is_some() {
            return Err(LimitError::CalendarAlone { field: "starts_on" });
        }
        if (self.sliding || self.approximate_sliding) && self.window.is_none() {
            return Err(LimitError::SlidingAlone);
        }
        if self.sliding && self.approximate_sliding {
            return Err(LimitError::SlidingBoth);
        }
        match (&self.rate, &self.window) {
            (Some(rate), None) => match self.max {
                Some(max) => Err(LimitError::RateMax { max }),
                None => Limit::parse_rate(rate, self.burst),
            },
            (None, Some(window)) => match (self.max, self.burst) {
                (_, Some(burst)) => Err(LimitError::WindowBurst { burst }),
                (None, None) => {
                    Err(LimitError::MaxMissing { window: format!("window = {}", shown(window)) })
                }
                (Some(max), None) => Limit::parse_window(max, window).and_then(|fixed| {
                    let limit = match (self.sliding, self.approximate_sliding) {
                        (true, _) => fixed.slide(),
                        (false, true) => fixed.slide_about(),
                        (false, false) => fixed,
                    };
                    limit.check().map(|()| limit)
                }),
            },
            (rate, _) => Err(LimitError::Kind { both: rate.is_some() }),
        }
    }
}

impl LimitSpec {
    fn permits(&self, max: u64) -> Result<Limit, LimitError> {
        let only = Self { concurrent: Some(max), lease: self.lease.clone(), ..Self::default() };
        if self.bare() != only {
            return Err(LimitError::ConcurrentMore);
        }
        let limit = Limit::concurrent(max);
        let Some(text) = &self.lease else { return Ok(limit) };
        let unreadable = || LimitError::DurationText { text: text.clone() };
        Ok(limit.lease(duration::parse(text.trim()).ok_or_else(unreadable)?))
    }

    fn calendar_of(&self, kind: &str) -> Result<Limit, LimitError> {
        let unreadable = || LimitError::CalendarText { text: kind.to_owned() };
        let slides = self.sliding || self.approximate_sliding;
        let has_more = self.rate.is_some() || self.window.is_some() || slides;
        if let Some(burst) = self.burst {
            return Err(LimitError::WindowBurst { burst });
        }
        if has_more {
            return Err(LimitError::CalendarMore);
        }
        let wrong_start = |starts_on: &StartsOn| LimitError::StartsOn {
            calendar: kind.to_owned(),
            starts_on: starts_on.to_string(),
        };
        let calendar = match (kind, &self.starts_on) {
            ("week", Some(start @ StartsOn::Weekday(name))) => {
                Calendar::week(Weekday::parse(name).ok_or_else(|| wrong_start(start))?)
            }
            ("month", Some(StartsOn::Day(day))) => Calendar::month(*day),
            ("day" | "week" | "month" | "quarter" | "year", Some(start)) => {
                return Err(wrong_start(start));
            }
            ("day", None) => Calendar::day(),
            ("week", None) => Calendar::week(Weekday::Monday),
            ("month", None) => Calendar::month(1),
            ("quarter", None) => Calendar::quarter(),
            ("year", None) => Calendar::year(),
            _ => return Err(unreadable()),
        };
        let missing = || LimitError::MaxMissing { window: format!("calendar = {kind:?}") };
        let max = self.max.ok_or_else(missing)?;
        let zone = self.time_zone.as_deref().unwrap_or(UTC);
        Ok(Limit::calendar(max, calendar.in_zone(zone)))
    }
}

/// Writes a limit as a limits file does: read again, it is the same.
impl From<&Limit> for LimitSpec {
    fn from(limit: &Limit) -> Self {
        let mut spec = Self {
            shadow: limit.is_shadow,
            without_primary: limit.without_primary.text(),
            alert_at: limit.alerts.into_iter().filter(|percent| *percent > 0).collect(),
            ..Self::default()
        };
        match limit.kind {
            Kind::Rate { amount, period } => {
                spec.rate = Some(format!("{amount}/{}", Rate(period)));
                spec.burst = (limit.capacity() != amount).then_some(limit.capacity());
            }
            Kind::Window { max, length }
            | Kind::Sliding { max, length }
            | Kind::ApproximateSliding { max, length } => {
                spec.window = Some(Period(length).to_string());
                spec.max = Some(max);
                spec.sliding = matches!(limit.kind, Kind::Sliding { .. });
                spec.approximate_sliding = matches!(limit.kind, Kind::ApproximateSliding { .. });
            }
            Kind::Calendar { max, calendar } => {
                let (kind, starts_on) = calendar.written();
                spec.calendar = Some(kind.to_owned());
                spec.max = Some(max);
                spec.starts_on = starts_on;
                spec.time_zone = Some(calendar.zone_name().to_owned()).filter(|zone| zone != UTC);
            }
            Kind::Concurrent { max, lease } => {
                spec.concurrent = Some(max);
                spec.lease = Some(Period(lease).to_string());
            }
            Kind::Counter => spec.counter = true,
        }
        spec
    }
}

/// A period as a rate writes it: `s` for one second.
struct Rate(Duration);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Period(self.0).to_string();
        f.write_str(text.strip_prefix('1').filter(|unit| unit.len() == 1).unwrap_or(&text))
    }
}

/// A whole limits file: `[limits.NAME]` tables.
///
/// # Examples
///
/// A limits file in TOML:
///
/// ```toml
/// [limits.api]
/// rate = "100/s"
/// burst = 50
///
/// [limits.mail]
/// window = "1d"
/// max = 1000
/// ```
///
/// These limits in JSON:
///
/// ```
/// use quorate_ratelimit::LimitsSpec;
///
/// let spec: LimitsSpec = serde_json::from_str(
///     r#"{"limits": {
///         "api": {"rate": "100/s", "burst": 50},
///         "mail": {"window": "1d", "max": 1000}
///     }}"#,
/// )?;
/// let limits = spec.build()?;
/// assert_eq!(limits.to_string(), "api: 100 per 1s, burst 50\nmail: 1000 in each window of 1d");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "limits by their names, under `limits`")]
#[non_exhaustive]
pub struct LimitsSpec {
    /// The limits by name.
    #[serde(default, deserialize_with = "each_once")]
    pub limits: BTreeMap<String, LimitSpec>,
}

/// Reads limits by their names, and refuses a name that is there twice: some formats leave that to
/// whoever reads, and the first of the two would be lost.
fn each_once<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, LimitSpec>, D::Error> {
    struct EachOnce;

    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, LimitSpec>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("limits by their names")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut limits = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                // Before its value is read, which may have a fault of its own.
                if limits.contains_key(&name) {
                    return Err(A::Error::custom(LimitsErrorKind::Twice { name }));
                }
                limits.insert(name, map.next_value()?);
            }
            Ok(limits)
        }
    }

    deserializer.deserialize_map(EachOnce)
}

impl LimitsSpec {
    /// Checks all limits and builds the set.
    ///
    /// # Errors
    ///
    /// Every rule that is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::LimitsSpec;
    ///
    /// let spec: LimitsSpec = serde_json::from_str(r#"{"limits": {"api": {"max": 5}}}"#)?;
    /// let error = spec.build().expect_err("neither a rate nor a window");
    /// assert!(error.to_string().starts_with("limit api: give either a rate"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn build(&self) -> Result<Limits, LimitsError> {
        let count = self.limits.len();
        if count > MAX_LIMITS {
            return Err(LimitsError { broken: vec![LimitsErrorKind::Count { count }] });
        }
        let builder = Limits::builder();
        let add = |builder: LimitsBuilder, (name, spec)| builder.spec(name, spec);
        self.limits.iter().fold(builder, add).build()
    }
}

/// Limits by their names.
impl From<BTreeMap<String, LimitSpec>> for LimitsSpec {
    fn from(limits: BTreeMap<String, LimitSpec>) -> Self {
        Self { limits }
    }
}

/// All limits of a set, as a limits file writes them.
impl From<&Limits> for LimitsSpec {
    fn from(limits: &Limits) -> Self {
        let spec = |(name, limit): (&str, Limit)| (name.to_owned(), LimitSpec::from(&limit));
        Self { limits: limits.iter().map(spec).collect() }
    }
}

impl LimitsBuilder {
    /// Adds a limit as a limits file writes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, LimitSpec, Limits};
    ///
    /// let mut spec = LimitSpec::default();
    /// spec.rate = Some("100/s".into());
    /// let limits = Limits::builder().spec("api", &spec).build()?;
    /// assert_eq!(limits.get("api"), Some(Limit::per_second(100)));
    /// # Ok::<(), quorate_ratelimit::LimitsError>(())
    /// ```
    pub fn spec(mut self, name: impl Into<String>, spec: &LimitSpec) -> Self {
        self.limits.push((name.into(), spec.limit()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(rate: &str, burst: u64, window: &str, max: u64) -> LimitSpec {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let number = |number| (number > 0).then_some(number);
        LimitSpec {
            rate: text(rate),
            burst: number(burst),
            window: text(window),
            max: number(max),
            ..LimitSpec::default()
        }
    }

    #[test]
    fn each_mixture_of_fields_is_a_limit_or_an_error_that_names_it() {
        let minute = Duration::from_secs(60);
        assert_eq!(spec("5/m", 0, "", 0).limit(), Ok(Limit::per_minute(5)));
        assert_eq!(spec("5/h", 9, "", 0).limit(), Ok(Limit::per_hour(5).burst(9)));
        assert_eq!(spec("", 0, "60s", 7).limit(), Ok(Limit::window(7, minute)));
        for (spec, error) in [
            (spec("", 0, "", 0), LimitError::Kind { both: false }),
            (spec("", 5, "", 5), LimitError::Kind { both: false }),
            (spec("5/s", 0, "1s", 1), LimitError::Kind { both: true }),
            (spec("5/s", 0, "", 3), LimitError::RateMax { max: 3 }),
            (spec("", 2, "1s", 3), LimitError::WindowBurst { burst: 2 }),
            (spec("", 0, "1s", 0), LimitError::MaxMissing { window: "window = \"1s\"".into() }),
            (spec("", 0, "1w", 3), LimitError::DurationText { text: "1w".into() }),
            (spec("5/w", 0, "", 0), LimitError::RateText { text: "5/w".into() }),
        ] {
            assert_eq!(spec.limit(), Err(error));
        }
    }

    #[test]
    fn a_window_may_slide_and_a_counter_stands_alone() {
        let read = |text: &str| serde_json::from_str::<LimitSpec>(text).expect("usable").limit();
        let minute = Duration::from_secs(60);
        let sliding = r#"{"window": "60s", "max": 7, "sliding": true}"#;
        assert_eq!(read(sliding), Ok(Limit::sliding(7, minute)));
        let about = r#"{"window": "60s", "max": 7, "approximate_sliding": true}"#;
        assert_eq!(read(about), Ok(Limit::approximate_sliding(7, minute)));
        let both = r#"{"window": "60s", "max": 7, "sliding": true, "approximate_sliding": true}"#;
        assert_eq!(read(both), Err(LimitError::SlidingBoth));
        let alone = r#"{"rate": "5/s", "approximate_sliding": true}"#;
        assert_eq!(read(alone), Err(LimitError::SlidingAlone));
        for limit in [Limit::sliding(7, minute), Limit::approximate_sliding(7, minute)] {
            assert_eq!(LimitSpec::from(&limit).limit(), Ok(limit));
        }
        assert_eq!(read(r#"{"counter": true}"#), Ok(Limit::counter()));
        assert_eq!(read(r#"{"counter": true, "max": 5}"#), Err(LimitError::CounterMore));
        assert_eq!(read(r#"{"rate": "5/s", "sliding": true}"#), Err(LimitError::SlidingAlone));
        let large = r#"{"window": "60s", "max": 281474976710656, "sliding": true}"#;
        assert!(matches!(read(large), Err(LimitError::SlidingMax { .. })));
    }

    #[cfg(feature = "calendar")]
    #[test]
    fn a_calendar_window_is_read_with_its_zone_and_start() {
        let read = |text: &str| serde_json::from_str::<LimitSpec>(text).expect("usable").limit();
        let month =
            r#"{"calendar": "month", "max": 9, "time_zone": "Europe/Berlin", "starts_on": 15}"#;
        let berlin = Calendar::month(15).in_zone("Europe/Berlin");
        assert_eq!(read(month), Ok(Limit::calendar(9, berlin)));
        let week = r#"{"calendar": "week", "max": 9, "starts_on": "sunday"}"#;
        assert_eq!(read(week), Ok(Limit::calendar(9, Calendar::week(Weekday::Sunday))));
        let week = r#"{"calendar": "week", "max": 9, "starts_on": "Sunday"}"#;
        assert_eq!(read(week), Ok(Limit::calendar(9, Calendar::week(Weekday::Sunday))));
    }

    #[test]
    fn misspelt_fields_are_refused() {
        assert!(serde_json::from_str::<LimitSpec>(r#"{"rate": "5/s", "brust": 5}"#).is_err());
        assert!(serde_json::from_str::<LimitsSpec>(r#"{"limit": {}}"#).is_err());
        assert!(serde_json::from_str::<LimitSpec>(r#"{"rate": "5/s", "burst": -5}"#).is_err());
    }
}
