//! Rules that limits break: one by itself, and a set of them.

use std::fmt;
use std::time::Duration;

use crate::limit::bounds::{
    MAX_LEASE, MAX_LIMIT_NAME_BYTES, MAX_LIMITS, MAX_WINDOW, MIN_LEASE, MIN_WINDOW,
};
use crate::limit::duration::Period;

quorate::told_to_people! { LimitError, LimitsError }

/// A rule that one limit breaks. Nothing was started.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A rate of zero.
    #[error("a rate of 0 per {} would admit nothing: use at least 1", Period(*period))]
    ZeroRate {
        /// The time in which nothing would be admitted.
        period: Duration,
    },
    /// A burst of zero.
    #[error("a burst of 0 would admit nothing: use at least 1, or leave it out")]
    ZeroBurst,
    /// A concurrency limit that admits nothing.
    #[error("concurrent = 0 would admit nothing: use at least 1")]
    ZeroPermits,
    /// A burst whose bucket takes longer to fill than a cell can count.
    #[error(
        "a burst of {burst} at {amount} per {} is too large: use at most {most}", Period(*period)
    )]
    Burst {
        /// The burst given, or the amount of a rate without one.
        burst: u64,
        /// The amount of the rate.
        amount: u64,
        /// Its period.
        period: Duration,
        /// The largest that works.
        most: u64,
    },
    /// A window that admits nothing.
    #[error("a window with a max of 0 would admit nothing: use at least 1")]
    ZeroMax,
    /// A sliding window that admits more than a cell can count.
    #[error("a sliding window with a max of {max} is too large: use at most {most}")]
    SlidingMax {
        /// The max given.
        max: u64,
        /// The largest that works.
        most: u64,
    },
    /// A concurrency limit with more permits than a cell can count.
    #[error("a concurrency limit of {max} is too large: use at most {most}")]
    Permits {
        /// The max given.
        max: u64,
        /// The largest that works.
        most: u64,
    },
    /// A lease shorter than 100 ms or longer than a day, or not of whole milliseconds.
    #[error(
        "a lease of {} is not usable: whole milliseconds, {} to {}",
        Period(*lease), Period(MIN_LEASE), Period(MAX_LEASE)
    )]
    Lease {
        /// The lease given.
        lease: Duration,
    },
    /// A period of a rate shorter than a millisecond or longer than 366 days, or not of whole
    /// milliseconds.
    #[error(
        "a rate's period of {} is not usable: whole milliseconds, {} to {}",
        Period(*period), Period(MIN_WINDOW), Period(MAX_WINDOW)
    )]
    Period {
        /// The period given.
        period: Duration,
    },
    /// A share that is no part of the limit.
    #[error(
        "a share of {} is not usable: use 0.001 to 1, like \"share:0.3\"",
        thousandths(*per_mille)
    )]
    Share {
        /// Thousandths given.
        per_mille: u16,
    },
    /// A choice of what is done without a primary that cannot be read.
    #[error(
        "{} cannot be read: write without_primary = \"refuse\", \"share:0.3\" or \"open\"",
        shown(text)
    )]
    WithoutPrimaryText {
        /// The text given.
        text: String,
    },
    /// Thresholds that are no percentages, or twice the same.
    #[error(
        "alert_at {} is not usable: use one or two different numbers of percent, 1 to 100",
        listed(percents)
    )]
    Alerts {
        /// The percentages given.
        percents: Vec<u8>,
    },
    /// More than two thresholds.
    #[error("a limit has at most two alerts: leave the others out of alert_at")]
    AlertCount,
    /// Thresholds of a counter.
    #[error("a counter has no max, and so no alerts: leave out alert_at, or leave out counter")]
    AlertsOfCounter,
    /// Something else beside `concurrent`.
    #[error(
        "a concurrency limit has a lease and nothing else: leave out rate, window, max and burst"
    )]
    ConcurrentMore,
    /// A lease beside something that is not `concurrent`.
    #[error("a lease is for permits: write concurrent = 8 beside it")]
    LeaseAlone,
    /// A month that begins on no day of a month.
    #[error("a month cannot begin on day {day}: use 1 to 31")]
    MonthDay {
        /// The day given.
        day: u8,
    },
    /// A time zone that nobody knows.
    #[error(
        "{} is not known: use an IANA name, like \"Europe/Berlin\" or \"UTC\"",
        time_zone(name)
    )]
    TimeZone {
        /// The name given; empty if it is longer than any.
        name: String,
    },
    /// A calendar limit in a build that knows no calendars.
    #[error("calendar limits need the feature `calendar` of quorate-ratelimit")]
    CalendarFeature,
    /// A kind of calendar window that cannot be read.
    #[error(
        "the calendar window {} cannot be read: write calendar = \"day\", \"week\", \"month\", \
         \"quarter\" or \"year\"",
        shown(text)
    )]
    CalendarText {
        /// The text given.
        text: String,
    },
    /// Something of another kind beside `calendar`.
    #[error(
        "a calendar window has a max, a time_zone and a starts_on: leave out rate, window and \
         sliding, or leave out calendar"
    )]
    CalendarMore,
    /// A `starts_on` or `time_zone` without `calendar`.
    #[error("{field} is for a calendar window: write calendar = \"month\" and max beside it")]
    CalendarAlone {
        /// The field given.
        field: &'static str,
    },
    /// A start of a calendar window that this kind does not have.
    #[error(
        "a {calendar} cannot begin on starts_on = {starts_on}: {}{}",
        starts(calendar),
        unquoted(calendar, starts_on)
    )]
    StartsOn {
        /// The kind of calendar window.
        calendar: String,
        /// The start given, as a file writes it.
        starts_on: String,
    },
    /// `sliding` or `approximate_sliding` without a window.
    #[error("sliding is for a window: write window = \"60s\" and max beside it")]
    SlidingAlone,
    /// Both `sliding` and `approximate_sliding`.
    #[error("a window is sliding or approximate_sliding: leave out one of them")]
    SlidingBoth,
    /// Something else beside `counter`.
    #[error("a counter has no rate, burst, window or max: leave them out, or leave out counter")]
    CounterMore,
    /// A burst given for a window, which has none: it admits its `max` at any time within it.
    #[error("a window has no burst (given: {burst}): leave it out, or use a rate")]
    WindowBurst {
        /// The burst given.
        burst: u64,
    },
    /// A window shorter than a millisecond or longer than 366 days, or not of whole milliseconds.
    #[error(
        "a window of {} is not usable: whole milliseconds, {} to {}",
        Period(*length), Period(MIN_WINDOW), Period(MAX_WINDOW)
    )]
    WindowLength {
        /// The length given.
        length: Duration,
    },
    /// A rate that cannot be read.
    #[error(
        "the rate {} cannot be read: write a number and /s, /m, /h or /d, like \"100/s\"",
        shown(text)
    )]
    RateText {
        /// The text given.
        text: String,
    },
    /// A duration that cannot be read.
    #[error(
        "the duration {} cannot be read: write a number and ms, s, m, h or d, like \"60s\"",
        shown(text)
    )]
    DurationText {
        /// The text given.
        text: String,
    },
    /// Neither a rate, a window nor a counter, or several of them.
    #[error("{}", if *both { BOTH } else { NEITHER })]
    Kind {
        /// True if both were given.
        both: bool,
    },
    /// A window without its `max`.
    #[error("{window} lacks its max: say how many units it admits, like max = 1000")]
    MaxMissing {
        /// The window given, as a file writes it.
        window: String,
    },
    /// A `max` beside a rate.
    #[error("a rate has no max (given: {max}): use burst for the most that is admitted at once")]
    RateMax {
        /// The max given.
        max: u64,
    },
}

const BOTH: &str =
    "a rate and a window are two limits: leave one of them out, or give it another name";
const NEITHER: &str = "give either a rate, like rate = \"100/s\", or a window, like \
                       window = \"60s\" with max, or calendar = \"month\" with max, or \
                       concurrent = 8, or counter = true";

/// Writes a number of thousandths as a decimal fraction.
pub(crate) fn thousandths(number: u16) -> String {
    let text = format!("{}.{:03}", number / 1000, number % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Longest part of a text that an error repeats, in characters: a line of it tells which it is.
const MAX_SHOWN: usize = 64;

/// Writes a text that somebody has given, in quotes, so that it is seen where it begins and ends.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", quorate::internal::shortened(text, MAX_SHOWN))
}

/// Writes numbers in a sentence.
fn listed(numbers: &[u8]) -> String {
    numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(" and ")
}

fn time_zone(name: &str) -> String {
    if name.is_empty() {
        "a time zone of that length".into()
    } else {
        format!("the time zone {name:?}")
    }
}

/// Says on what a kind of calendar window may begin.
fn starts(calendar: &str) -> &'static str {
    match calendar {
        "week" => "write a weekday, like \"sunday\"",
        "month" => "write a day of the month, 1 to 31",
        _ => "leave it out, only a week and a month have one",
    }
}

/// Says that a day of the month, given as a text, is to be a number.
fn unquoted(calendar: &str, starts_on: &str) -> &'static str {
    let text = starts_on.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match text.map(str::parse::<u8>) {
        Some(Ok(1..=31)) if calendar == "month" => ", without quotes",
        _ => "",
    }
}

/// One rule that a set of limits breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsErrorKind {
    /// One limit is not usable by itself.
    #[error("limit {name}: {source}")]
    Limit {
        /// The limit's name.
        name: String,
        /// The rule it breaks.
        source: LimitError,
    },
    /// A name is empty, too long, or has characters that cannot travel in an HTTP field.
    #[error(
        "the limit name {} is not usable: use 1 to {MAX_LIMIT_NAME_BYTES} printable ASCII \
         characters",
        shown(name)
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// A name is given twice.
    #[error("two limits are called {}: rename one", shown(name))]
    Twice {
        /// The name.
        name: String,
    },
    /// Two names have the same 32-bit id.
    #[error("the limit names {name:?} and {other:?} have the same id: rename one")]
    Collision {
        /// One name.
        name: String,
        /// The other.
        other: String,
    },
    /// Too many limits.
    #[error("{count} limits are more than {MAX_LIMITS}: leave some out")]
    Count {
        /// Limits given.
        count: usize,
    },
}

/// Every rule that a set of limits breaks. Nothing was started.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitsError {
    pub(crate) broken: Vec<LimitsErrorKind>,
}

impl LimitsError {
    /// The broken rules, at least one.
    pub fn broken(&self) -> &[LimitsErrorKind] {
        &self.broken
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, broken) in self.broken.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            broken.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LimitsError {}
