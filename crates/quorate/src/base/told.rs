//! Times and names as people read them.

use std::fmt;
use std::time::Duration;

use crate::base::id::{PeerName, is_name};

/// The finest that a second and more is told in is a thousandth part of it, or a whole second.
const DIGITS: u128 = 1000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The setting that lists the members: it must be the same only where both peers found by it.
pub(crate) const MEMBERS: &str = "members";

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

/// A time in whole milliseconds, as numbers tell it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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

/// The first characters of a text, and a sign that there were more.
#[doc(hidden)]
pub fn shortened(text: &str, most: usize) -> String {
    let mut first: String = text.chars().take(most).collect();
    if first.len() < text.len() {
        first.push('…');
    }
    first
}

/// Text of a peer, for logs, terminals and status pages.
#[cfg(feature = "driver")]
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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

/// For how long something was waited for, at the end of a clause; nothing, if it was only looked
/// at.
#[cfg(feature = "driver")]
pub(crate) fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {}", rounded(waited)) }
}

/// A number of things, with the word in the right form.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Begins the value of a peer that has the name that another comes with.
#[cfg(feature = "driver")]
pub(crate) const HOLDER: &str = "held by a living peer";

/// Why two peers do not belong together, as a clause: the values of both, and what to do. Where one
/// refuses the other for its name or certificate the values are the reason and what it is about.
pub(crate) fn difference(field: &str, ours: &str, theirs: &str) -> String {
    let both = || format!("{field} is {ours} here and {theirs} there");
    match field {
        "certificate" => certificate(ours, theirs),
        "peer" => {
            let advice = "choose another name, or stop one of the two";
            let of_holder = |text: &str| text.starts_with("held by");
            match (of_holder(ours), of_holder(theirs)) {
                (true, _) => format!("the name {theirs} is taken, {ours} here: {advice}"),
                (_, true) => format!("the name {ours} is taken, {theirs} there: {advice}"),
                _ => format!("both have one name, {ours} here and {theirs} there: {advice}"),
            }
        }
        // The reason is a sentence, and what it is about a name.
        "member" | "name" if theirs.contains(' ') => format!("{ours} is refused there: {theirs}"),
        "member" | "name" => format!("{theirs} is refused here: {ours}"),
        "to" => format!("{}; correct the address that led here", both()),
        "group" => format!("{}; correct the group of one of them, or the address", both()),
        "group_id" => format!(
            "{}: they were founded apart from each other; start the peers of one of them blank",
            both()
        ),
        "tls" => format!("{}; to change it, go through permissive at all peers", both()),
        "version" => format!("{}: upgrade the older one", both()),
        "admin" => format!("the admin lane is {ours}, and was asked for {theirs}"),
        "members" if ours.contains(' ') || theirs.contains(' ') => both(),
        "max_connections" => both(),
        _ => format!("{}; set the same at all peers", both()),
    }
}

/// Of certificates one end tells what it wants, and the other what it has shown.
fn certificate(ours: &str, theirs: &str) -> String {
    let is_wanted = |text: &str| {
        ["one ", "a valid one", "a usable one", "at most "].iter().any(|it| text.starts_with(it))
    };
    let advice = |text: &str| match text {
        text if text.ends_with("of another CA") || text.ends_with("unknown CA") => {
            ": both ends need the CA of the other's certificate"
        }
        _ => "",
    };
    if let Some(alert) = theirs.strip_prefix("refused there: ") {
        return format!("the certificate {ours} is refused there: {alert}{}", advice(alert));
    }
    if is_wanted(ours) {
        return format!(
            "the certificate shown is {theirs}, and wanted here is {ours}{}",
            advice(theirs)
        );
    }
    if is_wanted(theirs) {
        return format!(
            "the certificate shown is {ours}, and wanted there is {theirs}{}",
            advice(ours)
        );
    }
    format!("the certificate is {ours} here and {theirs} there")
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
    fn what_two_peers_do_not_have_in_common_is_told_with_what_to_do() {
        let told = difference;
        assert_eq!(
            told("storage", "disk", "memory"),
            "storage is disk here and memory there; set the same at all peers"
        );
        assert_eq!(
            told("group", "a", "b"),
            "group is a here and b there; correct the group of one of them, or the address"
        );
        assert_eq!(
            told("tls", "off", "required"),
            "tls is off here and required there; to change it, go through permissive at all peers"
        );
        assert_eq!(
            told("peer", "b (incarnation 1)", "held by a living peer (incarnation 2)"),
            "the name b (incarnation 1) is taken, held by a living peer (incarnation 2) there: \
             choose another name, or stop one of the two"
        );
        assert_eq!(
            told("peer", "held by a living peer (incarnation 2)", "b (incarnation 1)"),
            "the name b (incarnation 1) is taken, held by a living peer (incarnation 2) here: \
             choose another name, or stop one of the two"
        );
        assert_eq!(
            told("member", "d", "not a member of a,b,c"),
            "d is refused there: not a member of a,b,c"
        );
        assert_eq!(told("name", "B", "b is a member"), "B is refused there: b is a member");
        assert_eq!(
            told("member", "not a member of a,b,c", "d"),
            "d is refused here: not a member of a,b,c"
        );
        let (trusted, other) = ("one of a CA that is trusted here", "CN=b (b), of another CA");
        assert_eq!(
            told("certificate", trusted, other),
            "the certificate shown is CN=b (b), of another CA, and wanted here is one of a CA that \
             is trusted here: both ends need the CA of the other's certificate"
        );
        assert_eq!(
            told("certificate", "CN=a", "refused there: unknown CA"),
            "the certificate CN=a is refused there: unknown CA: both ends need the CA of the \
             other's certificate"
        );
        assert_eq!(
            told("certificate", "CN=x", "one with the DNS name a"),
            "the certificate shown is CN=x, and wanted there is one with the DNS name a"
        );
    }

    #[cfg(feature = "driver")]
    #[test]
    fn a_look_takes_no_time() {
        assert_eq!(after(Duration::ZERO), "");
        assert_eq!(after(Duration::from_millis(1500)), " after 1.5s");
        assert_eq!(counted(1, "cell", "cells"), "1 cell");
        assert_eq!(counted(0, "cell", "cells"), "0 cells");
    }

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
