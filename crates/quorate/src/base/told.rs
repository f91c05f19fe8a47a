//! Times and names as people read them.

use std::fmt;
use std::time::Duration;

use crate::base::id::{PeerName, is_name};

/// The finest that a second and more is told in is a thousandth part of it, or a whole second.
const DIGITS: u128 = 1000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A time that was measured, told by its three leading digits: `30s` and not `30.000882848s`.
///
/// What somebody has set is told as it was set.
pub(crate) fn rounded(time: Duration) -> impl fmt::Display {
    let nanos = time.as_nanos();
    let mut unit = 1;
    // Whole seconds are told to the last one.
    while nanos / unit >= DIGITS && unit < NANOS_PER_SECOND {
        unit *= 10;
    }
    let nanos = (nanos + unit / 2) / unit * unit;
    Told(u64::try_from(nanos).map_or(time, Duration::from_nanos))
}

/// A time by the largest unit that leaves no rest: `7d`, `147h`.
pub(crate) fn whole(time: Duration) -> impl fmt::Display {
    struct Whole(Duration);
    impl fmt::Display for Whole {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let seconds = self.0.as_secs();
            let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
            let is_whole = |(unit, _): &(u64, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
            match units.into_iter().find(is_whole) {
                Some((unit, name)) if self.0.subsec_nanos() == 0 => {
                    write!(f, "{}{name}", seconds / unit)
                }
                _ if self.0.is_zero() => f.write_str("0"),
                _ => Told(self.0).fmt(f),
            }
        }
    }
    Whole(time)
}

/// A name that somebody has given: in quotes if it is no name, so that it is seen where it begins
/// and ends.
pub(crate) fn named(name: &PeerName) -> impl fmt::Display {
    /// Characters of what is no name.
    const MOST: usize = 64;
    let name = name.as_str();
    if is_name(name) {
        return name.to_owned();
    }
    let first: String = name.chars().take(MOST).collect();
    format!("{first:?}")
}

/// Names in a row: `a, b and c`; `nobody` if there are none.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match &names[..] {
        [] => "nobody".to_owned(),
        [name] => (*name).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

struct Told(Duration);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_told_whole_and_a_name_that_is_none_in_quotes() {
        for (seconds, told) in [(0, "0"), (59, "59s"), (90, "90s"), (3600, "1h"), (604_800, "7d")] {
            assert_eq!(whole(Duration::from_secs(seconds)).to_string(), told);
        }
        assert_eq!(whole(Duration::from_millis(60_500)).to_string(), "60.5s");
        let long = "x y".repeat(30);
        for (name, told) in [("b-1", "b-1"), ("", "\"\""), ("a\nb", "\"a\\nb\"")] {
            assert_eq!(named(&PeerName::from(name)).to_string(), told);
        }
        assert_eq!(named(&PeerName::from(long.as_str())).to_string().len(), 66);
    }

    #[test]
    fn a_time_is_told_by_its_leading_digits() {
        for (nanos, told) in [
            (0, "0ns"),
            (7, "7ns"),
            (1_234, "1.23µs"),
            (999_600, "1ms"),
            (250_000_000, "250ms"),
            (1_234_567_890, "1.23s"),
            (30_000_882_848, "30s"),
            (30_060_000_000, "30.1s"),
            (3_661_499_999_999, "3661s"),
        ] {
            assert_eq!(rounded(Duration::from_nanos(nanos)).to_string(), told);
        }
        assert_eq!(rounded(Duration::MAX).to_string(), format!("{:?}", Duration::MAX));
    }
}
