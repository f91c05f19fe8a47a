//! Numbers and times as people read them, and durations as they write them.

use std::time::Duration;

use jiff::Timestamp;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A length of time, with at most two units: `850 ms`, `12 s`, `2 h 5 min`, `6 d`.
pub(crate) fn span(ms: u64) -> String {
    let pair = |whole: u64, name: &str, part: u64, part_name: &str| {
        let rest = (ms % whole) / part;
        let first = format!("{} {name}", ms / whole);
        if rest == 0 { first } else { format!("{first} {rest} {part_name}") }
    };
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => pair(MINUTE, "min", SECOND, "s"),
        HOUR..DAY => pair(HOUR, "h", MINUTE, "min"),
        _ if ms < 3 * DAY => pair(DAY, "d", HOUR, "h"),
        _ => format!("{} d", ms / DAY),
    }
}

/// A time that was waited for, with one digit behind the point where it is of seconds: `500 ms`,
/// `1.7 s`, `10 s`.
pub(crate) fn waited(time: Duration) -> String {
    let ms = millis(time + Duration::from_micros(500));
    let tenths = ms.saturating_add(50) / 100;
    match (ms, tenths % 10) {
        (0, _) => "1 ms".to_owned(),
        (1..950, _) => format!("{ms} ms"),
        (_, tenth) if tenth > 0 && tenths < 100 => format!("{}.{tenth} s", tenths / 10),
        _ => span(tenths.saturating_add(5) / 10 * SECOND),
    }
}

/// A number with commas between its thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of a thing: `1 member`, `3 members`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// The verb of so many.
pub(crate) fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// Names as a sentence lists them: `a`, `a and b`, `a, b and c`.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match &names[..] {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A number a second, with three digits at least where there are so many.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if !rate.is_finite() || rate < 0.0 => "-".to_owned(),
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        // Far below the largest number that is whole in it.
        rate => count(rate.round() as u64),
    }
}

/// A part of a whole in percent, rounded down; `None` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> Option<u64> {
    let percent = (u128::from(part) * 100).checked_div(u128::from(whole))?;
    u64::try_from(percent).ok()
}

/// A time of microseconds: `250 µs`, `2.5 ms`, `1 s`.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..1_000_000 if us.is_multiple_of(1000) => format!("{} ms", us / 1000),
        1000..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ if us.is_multiple_of(1_000_000) => format!("{} s", us / 1_000_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// A moment, in UTC to the millisecond: `2026-11-30T13:04:05.123Z`.
pub(crate) fn moment(ms: u64) -> String {
    timestamp(ms).map_or_else(|| format!("{ms} ms"), |at| format!("{at:.3}"))
}

/// The time of day of a moment, in UTC to the second.
pub(crate) fn time_of_day(ms: u64) -> String {
    let within = ms % DAY;
    format!("{:02}:{:02}:{:02}", within / HOUR, within % HOUR / MINUTE, within % MINUTE / SECOND)
}

/// Reads `500ms`, `10s`, `5m`, `2h` or `30d`.
///
/// # Errors
///
/// If it is written in another way, or is longer than a hundred years.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: write 500ms, 10s, 5m, 2h or 30d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "s" => SECOND,
        "m" | "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(wrong()),
    };
    let ms = number.checked_mul(unit).filter(|ms| *ms <= 36_525 * DAY);
    ms.map(Duration::from_millis).ok_or_else(|| format!("{text} is too long: 36525d at most"))
}

/// Reads a length of time that is not 0.
///
/// # Errors
///
/// As [`duration`], and if it is 0.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    let read = duration(text)?;
    if read.is_zero() { Err("it must be longer than 0".to_owned()) } else { Ok(read) }
}

/// The whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        let spans = [
            (0, "0 ms"),
            (999, "999 ms"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (DAY + 5 * HOUR, "1 d 5 h"),
            (6 * DAY + HOUR, "6 d"),
        ];
        for (ms, told) in spans {
            assert_eq!(span(ms), told);
        }
        assert!(span(u64::MAX).ends_with(" d"));
    }

    #[test]
    fn a_time_that_was_waited_for_is_round() {
        let told = [329, 1_000, 700_000, 1_999_991, 1_660_000, 10_000_000, 3_600_000_000]
            .map(|us| waited(Duration::from_micros(us)));
        assert_eq!(told, ["1 ms", "1 ms", "700 ms", "2 s", "1.7 s", "10 s", "1 h"]);
        assert_eq!(waited(Duration::ZERO), "1 ms");
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "member"), "1 member");
        assert_eq!(counted(0, "member"), "0 members");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(3.26), "3.3");
        assert_eq!(rate(81_234.4), "81,234");
        assert_eq!(rate(f64::NAN), "-");
    }

    #[test]
    fn a_part_of_nothing_has_no_percentage() {
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(833, 1000), Some(83));
        assert_eq!(percent(u64::MAX, 1), None);
    }

    #[test]
    fn times_of_calls_have_the_unit_that_fits() {
        let told = [100, 2_500, 5_000, 1_000_000, 2_500_000].map(micros);
        assert_eq!(told, ["100 µs", "2.5 ms", "5 ms", "1 s", "2.5 s"]);
    }

    #[test]
    fn moments_are_told_in_utc() {
        assert_eq!(moment(1_796_043_845_123), "2026-11-30T13:04:05.123Z");
        assert_eq!(time_of_day(1_796_043_845_123), "13:04:05");
        assert_eq!(moment(u64::MAX), format!("{} ms", u64::MAX));
    }

    #[test]
    fn durations_are_read_as_they_are_written_in_limits_files() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "10", "s", "-1s", "1.5s", "10 s", "99999999999999999999s", "10y"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("36526d").is_err());
        assert!(some_duration("0s").is_err());
    }
}
