//! Dates as tests write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment that a date and a time of day in UTC name, written as `2026-01-31T23:59:00Z`.
///
/// # Panics
///
/// If it is not written so, or lies before 1970 or after 2099.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use quorate_ratelimit::testing::utc;
///
/// assert_eq!(utc("1970-01-02T00:00:01Z"), UNIX_EPOCH + Duration::from_secs(86_401));
/// ```
pub fn utc(text: &str) -> SystemTime {
    let seconds = seconds_of(text);
    let usable = "write it as 2026-01-31T23:59:00Z, between 1970 and 2099";
    let seconds = seconds.unwrap_or_else(|| panic!("{text:?} is not a moment in UTC: {usable}"));
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Seconds since 1970, if it is a moment.
fn seconds_of(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let is_date = (1970..=2099).contains(&year)
        && months.get(before).is_some_and(|days| (1..=*days).contains(&day));
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Between 1970 and 2099 every fourth year is a leap year.
    let years = year - 1970;
    let leap_days = (years + 1) / 4;
    let days = years * 365 + leap_days + months.iter().take(before).sum::<u64>() + (day - 1);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Three numbers of so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        // From another implementation: `date -u -d ... +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1972-02-29T12:00:00Z", 68_212_800),
            ("1972-03-01T00:00:00Z", 68_256_000),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2024-12-31T23:59:59Z", 1_735_689_599),
            ("2026-01-31T23:59:00Z", 1_769_903_940),
            ("2099-12-31T23:59:59Z", 4_102_444_799),
        ] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T23:59:00",
            "2026-02-29T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T00:60:00Z",
            "1969-12-31T00:00:00Z",
            "2100-01-01T00:00:00Z",
            "2026-1-31T00:00:00Z",
            "+026-01-31T00:00:00Z",
            "2026-01-31-1T00:00:00Z",
        ] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }
}
