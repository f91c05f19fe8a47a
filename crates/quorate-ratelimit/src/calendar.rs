//! Calendar windows: days, weeks, months, quarters and years, in a time zone.
//!
//! Where each window begins is worked out once, when the limits are built, for all windows up to the
//! year 2100: a decision looks it up, and knows no calendar. Days on which clocks change have 23 or 25
//! hours, and a month that has no such day begins on its last one.

use std::fmt;
use std::sync::Arc;

use crate::error::LimitError;
use crate::spec::StartsOn;

/// Longest name of a time zone.
const MAX_ZONE_BYTES: usize = 40;
/// The years whose windows are known. Before them is one window, and after them another.
#[cfg(feature = "calendar")]
const YEARS: std::ops::Range<i16> = 2020..2101;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Monday, "monday"),
        (Self::Tuesday, "tuesday"),
        (Self::Wednesday, "wednesday"),
        (Self::Thursday, "thursday"),
        (Self::Friday, "friday"),
        (Self::Saturday, "saturday"),
        (Self::Sunday, "sunday"),
    ];

    /// By its English name, in small letters.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(day, _)| day)
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.into_iter().find(|(day, _)| day == self);
        f.write_str(found.map_or("", |(_, name)| name))
    }
}

/// Which windows of the calendar: made by [`Calendar::day`] and its like, for
/// [`Limit::calendar`](crate::Limit::calendar). In UTC unless [`Calendar::in_zone`] says otherwise.
///
/// # Examples
///
/// A billing month that begins on the 15th, in Berlin:
///
/// ```
/// use quorate_ratelimit::{Calendar, Limit};
///
/// const PLAN: Limit = Limit::calendar(1000, Calendar::month(15).in_zone("Europe/Berlin"));
/// assert_eq!(PLAN.to_string(), "1000 per month from day 15, Europe/Berlin");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Calendar {
    unit: Unit,
    zone: Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Day,
    Week(Weekday),
    Month(u8),
    Quarter,
    Year,
}

/// The name of a time zone, short enough to be kept in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Zone {
    bytes: [u8; MAX_ZONE_BYTES],
    /// One more than there is room for if the name is longer.
    length: u8,
}

impl Zone {
    const fn new(name: &str) -> Self {
        let (given, mut bytes) = (name.as_bytes(), [0; MAX_ZONE_BYTES]);
        if given.len() > MAX_ZONE_BYTES {
            return Self { bytes, length: MAX_ZONE_BYTES as u8 + 1 };
        }
        let mut at = 0;
        while at < given.len() {
            bytes[at] = given[at];
            at += 1;
        }
        Self { bytes, length: given.len() as u8 }
    }

    fn name(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl Calendar {
    const fn new(unit: Unit) -> Self {
        Self { unit, zone: Zone::new("UTC") }
    }

    /// Days, from midnight.
    pub const fn day() -> Self {
        Self::new(Unit::Day)
    }

    /// Weeks that begin on this day.
    pub const fn week(starts: Weekday) -> Self {
        Self::new(Unit::Week(starts))
    }

    /// Months that begin on this day, 1 to 31; on the last one in months that are shorter.
    pub const fn month(starts: u8) -> Self {
        Self::new(Unit::Month(starts))
    }

    /// Quarters: from the first of January, April, July and October.
    pub const fn quarter() -> Self {
        Self::new(Unit::Quarter)
    }

    /// Years.
    pub const fn year() -> Self {
        Self::new(Unit::Year)
    }

    /// In this time zone, by its IANA name, such as `Europe/Berlin`.
    pub const fn in_zone(mut self, name: &str) -> Self {
        self.zone = Zone::new(name);
        self
    }

    /// The kind of its windows and where they start, as a limits file writes them.
    pub(crate) fn written(&self) -> (&'static str, Option<StartsOn>) {
        match self.unit {
            Unit::Day => ("day", None),
            Unit::Week(day) => ("week", Some(StartsOn::Weekday(day.to_string()))),
            Unit::Month(day) => ("month", Some(StartsOn::Day(day))),
            Unit::Quarter => ("quarter", None),
            Unit::Year => ("year", None),
        }
    }

    pub(crate) fn zone_name(&self) -> &str {
        self.zone.name()
    }

    /// About how long a window is, in seconds, for those who cannot be told of months.
    pub(crate) fn nominal_seconds(&self) -> u64 {
        const DAY: u64 = 86_400;
        match self.unit {
            Unit::Day => DAY,
            Unit::Week(_) => 7 * DAY,
            Unit::Month(_) => 30 * DAY,
            Unit::Quarter => 91 * DAY,
            Unit::Year => 365 * DAY,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LimitError> {
        match self.unit {
            Unit::Month(day) if !(1..=31).contains(&day) => Err(LimitError::MonthDay { day }),
            _ => self.check_zone(),
        }
    }

    #[cfg(not(feature = "calendar"))]
    fn check_zone(&self) -> Result<(), LimitError> {
        Err(LimitError::CalendarFeature)
    }

    /// Without the feature no such limit passes its check.
    #[cfg(not(feature = "calendar"))]
    pub(crate) fn starts(&self) -> Arc<[u64]> {
        Arc::from([])
    }

    #[cfg(feature = "calendar")]
    fn check_zone(&self) -> Result<(), LimitError> {
        let unknown = |_| LimitError::TimeZone { name: self.zone.name().to_owned() };
        jiff::tz::TimeZone::get(self.zone.name()).map(drop).map_err(unknown)
    }

    /// The starts of all windows, in nanoseconds of group time, in order. Empty if the zone is unknown,
    /// which a check finds.
    #[cfg(feature = "calendar")]
    pub(crate) fn starts(&self) -> Arc<[u64]> {
        use jiff::civil::Date;
        let Ok(zone) = jiff::tz::TimeZone::get(self.zone.name()) else { return Arc::from([]) };
        let begins = |date: Date| {
            // The first moment of a day, where midnight does not exist too.
            let noon = date.at(12, 0, 0, 0).to_zoned_datetime(zone.clone()).ok()?;
            let start = noon.start_of_day().ok()?.timestamp().as_nanosecond();
            u64::try_from(start).ok()
        };
        let mut starts: Vec<u64> = self.dates().into_iter().filter_map(begins).collect();
        starts.dedup();
        starts.into()
    }

    #[cfg(feature = "calendar")]
    fn dates(&self) -> Vec<jiff::civil::Date> {
        use jiff::civil::Date;
        let date = |year: i16, month: i8, day: i8| Date::new(year, month, day).ok();
        let months = |every: usize| {
            YEARS.flat_map(move |year| (1..=12i8).step_by(every).map(move |month| (year, month)))
        };
        match self.unit {
            Unit::Day | Unit::Week(_) => {
                let wanted = match self.unit {
                    Unit::Week(starts) => Some(starts as i8 + 1),
                    _ => None,
                };
                months(1)
                    .flat_map(|(year, month)| {
                        (1..=31).filter_map(move |day| date(year, month, day))
                    })
                    .filter(|date| {
                        wanted.is_none_or(|day| date.weekday().to_monday_one_offset() == day)
                    })
                    .collect()
            }
            Unit::Month(anchor) => months(1)
                .filter_map(|(year, month)| {
                    let last = date(year, month, 1)?.days_in_month();
                    date(year, month, last.min(anchor as i8))
                })
                .collect(),
            Unit::Quarter => months(3).filter_map(|(year, month)| date(year, month, 1)).collect(),
            Unit::Year => months(12).filter_map(|(year, month)| date(year, month, 1)).collect(),
        }
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Day => f.write_str("day"),
            Unit::Week(starts) => write!(f, "week from {starts}"),
            Unit::Month(1) => f.write_str("month"),
            Unit::Month(day) => write!(f, "month from day {day}"),
            Unit::Quarter => f.write_str("quarter"),
            Unit::Year => f.write_str("year"),
        }?;
        write!(f, ", {}", self.zone.name())
    }
}

#[cfg(all(test, feature = "calendar"))]
mod tests {
    use super::*;

    /// The windows around a moment, as (start, end) in UTC.
    fn window(calendar: Calendar, at: &str) -> (String, String) {
        let starts = calendar.starts();
        let at: jiff::Timestamp = at.parse().expect("a moment");
        let at = u64::try_from(at.as_nanosecond()).expect("after the epoch");
        let next = starts.partition_point(|start| *start <= at);
        let told = |nanos: u64| {
            jiff::Timestamp::from_nanosecond(nanos.into()).expect("in range").to_string()
        };
        (told(starts[next - 1]), told(starts[next]))
    }

    fn expect(calendar: Calendar, at: &str, start: &str, end: &str) {
        assert_eq!(calendar.check(), Ok(()));
        assert_eq!(window(calendar, at), (start.to_owned(), end.to_owned()), "{calendar} at {at}");
    }

    #[test]
    fn days_weeks_months_quarters_and_years_begin_where_they_do() {
        let at = "2026-11-28T10:00:00Z";
        expect(Calendar::day(), at, "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z");
        let week = Calendar::week(Weekday::Monday);
        expect(week, at, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
        let week = Calendar::week(Weekday::Sunday);
        expect(week, at, "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z");
        expect(Calendar::month(1), at, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        expect(Calendar::quarter(), at, "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z");
        expect(Calendar::year(), at, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_month_without_its_day_begins_on_its_last() {
        let month = Calendar::month(31);
        expect(month, "2027-02-10T00:00:00Z", "2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z");
        expect(month, "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z");
        expect(month, "2027-04-30T00:00:00Z", "2027-04-30T00:00:00Z", "2027-05-31T00:00:00Z");
    }

    #[test]
    fn days_on_which_clocks_change_are_shorter_or_longer() {
        let berlin = Calendar::day().in_zone("Europe/Berlin");
        // 23 hours, and 25.
        expect(berlin, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        expect(berlin, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        // Where clocks go forward at midnight a day begins at one.
        let cairo = Calendar::day().in_zone("Africa/Cairo");
        expect(cairo, "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z");
        let month = Calendar::month(1).in_zone("America/New_York");
        expect(month, "2026-11-28T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z");
    }

    #[test]
    fn what_is_no_day_or_zone_is_refused() {
        assert_eq!(Calendar::month(32).check(), Err(LimitError::MonthDay { day: 32 }));
        assert_eq!(Calendar::month(0).check(), Err(LimitError::MonthDay { day: 0 }));
        for name in ["Europe/Atlantis", "", "a name that is longer than any of a time zone"] {
            let checked = Calendar::day().in_zone(name).check();
            assert!(matches!(checked, Err(LimitError::TimeZone { .. })), "{name}");
        }
    }
}
