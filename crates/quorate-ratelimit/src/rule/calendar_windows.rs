//! The windows of a calendar as moments of group time.
//!
//! They are worked out when they are asked for, from the dates on which they begin and the rules of
//! the time zone, in a microsecond or two; the one that was asked for last is kept, and found again
//! with a load. So a limit costs nothing to prepare, however long its calendar goes on. Days on
//! which clocks change have 23 or 25 hours.
//!
//! Known are the windows of the years 2020 to 2100. Before them is one window, and their last one
//! does not end.

#[cfg(feature = "calendar")]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "calendar")]
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::limit::calendar::Calendar;

/// The windows of a calendar: where they begin and end.
#[cfg(feature = "calendar")]
#[derive(Debug)]
pub(crate) struct CalendarWindows {
    calendar: Calendar,
    /// Its time zone; `None` if it is unknown, which a check finds.
    zone: Option<TimeZone>,
    /// The window that was asked for last: its start above its end, in seconds. All of them begin
    /// at a whole one.
    last: AtomicU64,
}

/// The first date of known windows.
#[cfg(feature = "calendar")]
const FIRST_KNOWN: Date = Date::constant(2020, 1, 1);
/// The last date of known windows.
#[cfg(feature = "calendar")]
const LAST_KNOWN: Date = Date::constant(2100, 12, 31);

#[cfg(feature = "calendar")]
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The end, in seconds, of a window that does not end.
#[cfg(feature = "calendar")]
const NEVER: u32 = u32::MAX;
/// Windows looked at beside the one that a date points to: at most one, where clocks change at
/// midnight.
#[cfg(feature = "calendar")]
const MAX_STEPS: usize = 4;

#[cfg(feature = "calendar")]
impl CalendarWindows {
    pub(crate) fn new(calendar: &Calendar) -> Self {
        // No window is kept yet: this one ends where it begins.
        Self { calendar: *calendar, zone: calendar.time_zone().ok(), last: AtomicU64::new(0) }
    }

    /// Returns start and end of the window that a moment falls into, in nanoseconds of group time.
    #[inline]
    pub(crate) fn around(&self, at: u64) -> (u64, u64) {
        let last = self.last.load(Ordering::Relaxed);
        // One word, so that no other thread sees the start of one window with the end of another.
        let start = (last >> 32) as u32;
        let end = last as u32;
        if let window @ (first, after) = nanos(start, end)
            && first <= at
            && at < after
        {
            return window;
        }
        self.look_up(at)
    }

    #[cold]
    fn look_up(&self, at: u64) -> (u64, u64) {
        let (start, end) = self.work_out(at);
        self.last.store(u64::from(start) << 32 | u64::from(end), Ordering::Relaxed);
        nanos(start, end)
    }

    /// Works out the window around a moment, in seconds.
    fn work_out(&self, at: u64) -> (u32, u32) {
        let Some(zone) = &self.zone else { return (0, NEVER) };
        let begins = |date: Date| begins(date, zone);
        let calendar = &self.calendar;
        let first = match calendar.start_of(FIRST_KNOWN) {
            start if start < FIRST_KNOWN => calendar.next(start),
            start => start,
        };
        let last = calendar.start_of(LAST_KNOWN);
        let seconds = at / NANOS_PER_SECOND;
        if seconds < begins(first).into() {
            return (0, begins(first));
        }
        if seconds >= begins(last).into() {
            return (begins(last), NEVER);
        }
        let moment =
            i64::try_from(seconds).ok().and_then(|second| Timestamp::from_second(second).ok());
        let date = moment.map_or(first, |timestamp| zone.to_datetime(timestamp).date());
        // What the date says, or one beside it: a day may begin after its midnight, or twice.
        let mut start = calendar.start_of(date).clamp(first, last);
        for _ in 0..MAX_STEPS {
            let next = calendar.next(start);
            if u64::from(begins(start)) > seconds {
                start = calendar.previous(start);
            } else if u64::from(begins(next)) <= seconds {
                start = next;
            } else {
                return (begins(start), begins(next));
            }
        }
        // No time zone comes here.
        (begins(start), begins(calendar.next(start)))
    }
}

/// Returns a window in nanoseconds.
#[cfg(feature = "calendar")]
#[inline]
fn nanos(start: u32, end: u32) -> (u64, u64) {
    let nanos = |seconds: u32| u64::from(seconds) * NANOS_PER_SECOND;
    (nanos(start), if end == NEVER { u64::MAX } else { nanos(end) })
}

/// Returns the first moment of a day, where midnight does not exist too, in seconds.
#[cfg(feature = "calendar")]
fn begins(date: Date, zone: &TimeZone) -> u32 {
    #[cfg(test)]
    crate::limit::calendar::work::note(|work| work.days += 1);
    let noon = date.at(12, 0, 0, 0).to_zoned_datetime(zone.clone());
    let start = noon.and_then(|noon| noon.start_of_day());
    // The dates that are asked for have one.
    start.map_or(0, |start| u32::try_from(start.timestamp().as_second()).unwrap_or(NEVER))
}

/// The windows without the feature: no limit of a calendar passes its check then.
#[cfg(not(feature = "calendar"))]
#[derive(Debug)]
pub(crate) struct CalendarWindows;

#[cfg(not(feature = "calendar"))]
impl CalendarWindows {
    pub(crate) fn new(_: &Calendar) -> Self {
        Self
    }

    pub(crate) fn around(&self, _: u64) -> (u64, u64) {
        (0, u64::MAX)
    }
}

#[cfg(all(test, feature = "calendar"))]
mod tests {
    use super::*;
    use crate::limit::calendar::{Weekday, work};

    fn nanos(at: &str) -> u64 {
        let at: Timestamp = at.parse().expect("a moment");
        u64::try_from(at.as_nanosecond()).expect("after the epoch")
    }

    /// The window around a moment, as (start, end) in UTC.
    fn window(calendar: Calendar, at: &str) -> (String, String) {
        let (start, end) = CalendarWindows::new(&calendar).around(nanos(at));
        let told =
            |nanos: u64| Timestamp::from_nanosecond(nanos.into()).expect("in range").to_string();
        (told(start), told(end))
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

    /// Every beginning of a window up to the year 2100, one by one: as they were worked out before,
    /// and as peers of an older build do.
    fn all(calendar: &Calendar) -> Vec<u64> {
        let zone = calendar.time_zone().expect("it is known");
        let mut dates: Vec<Date> = Vec::new();
        let mut date = Date::new(2020, 1, 1).expect("a date");
        while date.year() < 2101 {
            dates.push(date);
            date = date.tomorrow().expect("it is not the last");
        }
        let is_start = |date: &&Date| calendar.start_of(**date) == **date;
        let begins = |date: &Date| {
            let noon = date.at(12, 0, 0, 0).to_zoned_datetime(zone.clone()).expect("a noon");
            let start = noon.start_of_day().expect("it begins").timestamp().as_nanosecond();
            u64::try_from(start).expect("after the epoch")
        };
        let mut starts: Vec<u64> = dates.iter().filter(is_start).map(begins).collect();
        starts.dedup();
        starts
    }

    #[test]
    fn every_window_is_found_from_any_moment_in_it_and_none_lies_between_two() {
        let zones = ["UTC", "Europe/Berlin", "Africa/Cairo", "Pacific/Apia", "America/Havana"];
        let units = [
            Calendar::day(),
            Calendar::week(Weekday::Monday),
            Calendar::week(Weekday::Sunday),
            Calendar::month(1),
            Calendar::month(15),
            Calendar::month(31),
            Calendar::quarter(),
            Calendar::year(),
        ];
        for zone in zones {
            for calendar in units.map(|unit| unit.in_zone(zone)) {
                let starts = all(&calendar);
                let windows = CalendarWindows::new(&calendar);
                // Of days, some hundred: of all else, all.
                let step = starts.len() / 700 + 1;
                for pair in starts.windows(2).step_by(step) {
                    let (start, end) = (pair[0], pair[1]);
                    for at in [start, start + 1, start.midpoint(end), end - 1] {
                        assert_eq!(windows.around(at), (start, end), "{calendar} at {at}");
                        let fresh = CalendarWindows::new(&calendar);
                        assert_eq!(fresh.around(at), (start, end), "{calendar} at {at}, anew");
                    }
                }
                let (first, last) = (starts[0], starts[starts.len() - 1]);
                for at in [0, 1, first - 1] {
                    assert_eq!(windows.around(at), (0, first), "{calendar}: before all");
                }
                for at in [last, last + 1, u64::MAX] {
                    assert_eq!(windows.around(at), (last, u64::MAX), "{calendar}: the last");
                }
            }
        }
    }

    #[test]
    fn a_window_is_worked_out_once_as_long_as_it_lasts() {
        let windows = CalendarWindows::new(&Calendar::day());
        _ = work::take();
        for second in 0..86_400 {
            windows.around(nanos("2026-11-28T00:00:00Z") + second * 1_000_000_000);
        }
        assert!(work::take().days < 8);
    }
}
