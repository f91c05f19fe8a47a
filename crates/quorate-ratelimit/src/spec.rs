//! Limits as a file writes them, for any format that serde reads.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::calendar::{Calendar, Weekday};
use crate::error::{LimitError, LimitsError};
use crate::limit::Limit;
use crate::limits::{Limits, LimitsBuilder};

/// One limit of a limits file: `rate` with an optional `burst`, `window` with `max`, which may be
/// `sliding`, or `counter`.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// A number and `/s`, `/m`, `/h` or `/d`.
    #[serde(default)]
    pub rate: Option<String>,
    /// The most units of a rate that are admitted at once. Default: the number of the rate.
    #[serde(default)]
    pub burst: Option<u64>,
    /// The length of a fixed window: a number and `ms`, `s`, `m`, `h` or `d`.
    #[serde(default)]
    pub window: Option<String>,
    /// The units that each window admits.
    #[serde(default)]
    pub max: Option<u64>,
    /// Whether the window slides.
    #[serde(default)]
    pub sliding: bool,
    /// Whether this is a plain counter.
    #[serde(default)]
    pub counter: bool,
    /// The kind of a calendar window: `day`, `week`, `month`, `quarter` or `year`; with `max`.
    #[serde(default)]
    pub calendar: Option<String>,
    /// The IANA time zone of a calendar window. Default: UTC.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Where a week or month begins: `monday`, or 15. Default: Monday, or the first.
    #[serde(default)]
    pub starts_on: Option<StartsOn>,
    /// Whether this only counts and reports, and denies nothing.
    #[serde(default)]
    pub shadow: bool,
}

/// Where a week or a month begins.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum StartsOn {
    /// A day of the month.
    Day(u8),
    /// A day of the week, by its English name in small letters.
    Weekday(String),
}

impl LimitSpec {
    /// The limit that this says.
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
    /// let spec = LimitSpec { rate: Some("100".into()), ..LimitSpec::default() };
    /// assert!(spec.limit().expect_err("no unit").to_string().contains("/s, /m, /h or /d"));
    /// ```
    pub fn limit(&self) -> Result<Limit, LimitError> {
        let limit = self.enforced()?;
        Ok(if self.shadow { limit.shadow() } else { limit })
    }

    fn enforced(&self) -> Result<Limit, LimitError> {
        if self.counter {
            let is_alone = *self == Self { counter: true, shadow: self.shadow, ..Self::default() };
            return if is_alone { Ok(Limit::counter()) } else { Err(LimitError::CounterMore) };
        }
        if let Some(kind) = &self.calendar {
            return self.calendar_of(kind);
        }
        if let Some(zone) = &self.time_zone {
            return Err(LimitError::CalendarText { text: format!("time_zone {zone}") });
        }
        if self.sliding && self.window.is_none() {
            return Err(LimitError::SlidingAlone);
        }
        match (&self.rate, &self.window) {
            (Some(rate), None) => match self.max {
                Some(max) => Err(LimitError::RateMax { max }),
                None => Limit::parse_rate(rate, self.burst),
            },
            (None, Some(window)) => match (self.max, self.burst) {
                (_, Some(burst)) => Err(LimitError::WindowBurst { burst }),
                (None, None) => Err(LimitError::MaxMissing { window: window.clone() }),
                (Some(max), None) => Limit::parse_window(max, window).and_then(|fixed| {
                    let limit = if self.sliding { fixed.slide() } else { fixed };
                    limit.check().map(|()| limit)
                }),
            },
            (rate, _) => Err(LimitError::Kind { both: rate.is_some() }),
        }
    }
}

impl LimitSpec {
    fn calendar_of(&self, kind: &str) -> Result<Limit, LimitError> {
        let unreadable = || LimitError::CalendarText { text: kind.to_owned() };
        let has_more = self.rate.is_some() || self.window.is_some() || self.sliding;
        if let Some(burst) = self.burst {
            return Err(LimitError::WindowBurst { burst });
        }
        let max = self.max.filter(|_| !has_more).ok_or_else(unreadable)?;
        let calendar = match (kind, &self.starts_on) {
            ("day", None) => Calendar::day(),
            ("week", None) => Calendar::week(Weekday::Monday),
            ("week", Some(StartsOn::Weekday(name))) => {
                Calendar::week(Weekday::parse(name).ok_or_else(unreadable)?)
            }
            ("month", None) => Calendar::month(1),
            ("month", Some(StartsOn::Day(day))) => Calendar::month(*day),
            ("quarter", None) => Calendar::quarter(),
            ("year", None) => Calendar::year(),
            _ => return Err(unreadable()),
        };
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        let limit = Limit::calendar(max, calendar.in_zone(zone));
        limit.check().map(|()| limit)
    }
}

/// A whole limits file: `[limits.NAME]` tables.
///
/// # Examples
///
/// In TOML this is
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
/// and the same in JSON:
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// The limits by name.
    #[serde(default)]
    pub limits: BTreeMap<String, LimitSpec>,
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
        let builder = Limits::builder();
        let add = |builder: LimitsBuilder, (name, spec)| builder.spec(name, spec);
        self.limits.iter().fold(builder, add).build()
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
    /// let spec = LimitSpec { rate: Some("100/s".into()), ..LimitSpec::default() };
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
        let minute = std::time::Duration::from_secs(60);
        assert_eq!(spec("5/m", 0, "", 0).limit(), Ok(Limit::per_minute(5)));
        assert_eq!(spec("5/h", 9, "", 0).limit(), Ok(Limit::per_hour(5).burst(9)));
        assert_eq!(spec("", 0, "60s", 7).limit(), Ok(Limit::window(7, minute)));
        for (spec, error) in [
            (spec("", 0, "", 0), LimitError::Kind { both: false }),
            (spec("", 5, "", 5), LimitError::Kind { both: false }),
            (spec("5/s", 0, "1s", 1), LimitError::Kind { both: true }),
            (spec("5/s", 0, "", 3), LimitError::RateMax { max: 3 }),
            (spec("", 2, "1s", 3), LimitError::WindowBurst { burst: 2 }),
            (spec("", 0, "1s", 0), LimitError::MaxMissing { window: "1s".into() }),
            (spec("", 0, "1w", 3), LimitError::DurationText { text: "1w".into() }),
            (spec("5/w", 0, "", 0), LimitError::RateText { text: "5/w".into() }),
        ] {
            assert_eq!(spec.limit(), Err(error));
        }
    }

    #[test]
    fn a_window_may_slide_and_a_counter_stands_alone() {
        let read = |text: &str| serde_json::from_str::<LimitSpec>(text).expect("usable").limit();
        let minute = std::time::Duration::from_secs(60);
        let sliding = r#"{"window": "60s", "max": 7, "sliding": true}"#;
        assert_eq!(read(sliding), Ok(Limit::sliding(7, minute)));
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
        for unusable in [
            r#"{"calendar": "month"}"#,
            r#"{"calendar": "fortnight", "max": 9}"#,
            r#"{"calendar": "month", "max": 9, "starts_on": "monday"}"#,
            r#"{"calendar": "week", "max": 9, "starts_on": "someday"}"#,
            r#"{"calendar": "day", "max": 9, "window": "60s"}"#,
            r#"{"rate": "5/s", "time_zone": "UTC"}"#,
        ] {
            let error = read(unusable).expect_err("it says two things, or none");
            assert!(matches!(error, LimitError::CalendarText { .. }), "{error}");
        }
    }

    #[test]
    fn misspelt_fields_are_refused() {
        assert!(serde_json::from_str::<LimitSpec>(r#"{"rate": "5/s", "brust": 5}"#).is_err());
        assert!(serde_json::from_str::<LimitsSpec>(r#"{"limit": {}}"#).is_err());
        assert!(serde_json::from_str::<LimitSpec>(r#"{"rate": "5/s", "burst": -5}"#).is_err());
    }
}
