//! Durations as a limits file and a limit's text write them: a whole number and one unit.

use std::fmt;
use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

/// Reads `500ms`, `60s`, `5m`, `1h` or `1d`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Writes a duration as [`parse`] reads it, with the largest unit that leaves no rest.
pub(crate) struct Period(pub(crate) Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let nanos = self.0.as_nanos();
        if !nanos.is_multiple_of(1_000_000) {
            return write!(f, "{nanos}ns");
        }
        if !millis.is_multiple_of(1000) || millis == 0 {
            return write!(f, "{millis}ms");
        }
        let seconds = self.0.as_secs();
        let (unit, name) = [(DAY, "d"), (60 * 60, "h"), (60, "m")]
            .into_iter()
            .find(|(unit, _)| seconds.is_multiple_of(*unit))
            .unwrap_or((1, "s"));
        write!(f, "{}{name}", seconds / unit)
    }
}

/// Writes a time to wait: whole seconds, or milliseconds below one, rounded up, for who comes
/// earlier is refused again.
pub(crate) struct Wait(pub(crate) Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos().div_ceil(1_000_000);
        let rounded = if millis < 1000 { millis } else { millis.div_ceil(1000) * 1000 };
        match u64::try_from(rounded) {
            Ok(millis) => Period(Duration::from_millis(millis)).fmt(f),
            Err(_) => write!(f, "{}d", self.0.as_secs() / DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, millis) in
            [("500ms", 500), ("1s", 1000), ("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(text), Some(duration));
            assert_eq!(Period(duration).to_string(), text);
        }
        assert_eq!(Period(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Period(Duration::from_nanos(7)).to_string(), "7ns");
        // It was told in nanoseconds.
        let long = parse("999999999999d").expect("a duration");
        assert_eq!(Period(long).to_string(), "999999999999d");
    }

    #[test]
    fn a_wait_is_told_roughly_and_never_too_short() {
        for (nanos, told) in [
            (0, "0ms"),
            (1, "1ms"),
            (12_345_678, "13ms"),
            (999_000_001, "1s"),
            (1_000_000_001, "2s"),
            (29_000_000_001, "30s"),
            (59_500_000_000, "1m"),
        ] {
            assert_eq!(Wait(Duration::from_nanos(nanos)).to_string(), told);
        }
        assert_eq!(Wait(Duration::MAX).to_string(), "213503982334601d");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "60", "60 s", "-1s", "1.5s", "1w", "1S", "1sm", "+1s", "1d1h"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("18446744073709551615d"), None, "does not fit");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&Period(duration).to_string()), Some(duration));
        }
    }
}
