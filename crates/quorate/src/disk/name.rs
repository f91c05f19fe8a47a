//! Names of files.

/// Locked while a process uses the directory; holds nothing.
pub(super) const LOCK: &str = "lock";
/// The name of the file with the promises and the identity of a peer.
pub(super) const STATE: &str = "state";
/// The beginning of the names of files that another founding has taken the place of.
const ASIDE: &str = "older-";
/// The beginning of the names of files that were set aside when a peer was started blank.
const REMOVED: &str = "removed-";
/// The end of the name of a file that is not finished.
pub(super) const TEMPORARY: &str = ".tmp";

const SEGMENT: &str = "log-";
const SNAPSHOT: &str = "snapshot-";

/// The kind of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Left by a crash: of no use.
    Temporary,
    /// A segment of the log.
    Segment(u64),
    /// A snapshot.
    Snapshot(u64),
    /// The lock, the state, a file that was set aside, or one that is not this layer's.
    Other,
}

impl Name {
    pub(super) fn parse(name: &str) -> Self {
        if let Some(name) = name.strip_suffix(TEMPORARY) {
            let is_ours = name == STATE || Self::parse(name) != Self::Other;
            return if is_ours { Self::Temporary } else { Self::Other };
        }
        if let Some(number) = number(name, SEGMENT) {
            return Self::Segment(number);
        }
        number(name, SNAPSHOT).map_or(Self::Other, Self::Snapshot)
    }
}

/// The name of a segment.
pub(super) fn segment(number: u64) -> String {
    format!("{SEGMENT}{number:010}")
}

/// The name of a snapshot.
pub(super) fn snapshot(number: u64) -> String {
    format!("{SNAPSHOT}{number:010}")
}

/// The name of a file that is set aside.
pub(super) fn aside(name: &str) -> String {
    format!("{ASIDE}{name}")
}

/// Returns true if a file was set aside.
pub(super) fn is_aside(name: &str) -> bool {
    name.strip_prefix(ASIDE).is_some_and(is_recovered)
}

/// The name of a file that makes way for a peer which starts blank.
pub(super) fn removed(name: &str) -> String {
    format!("{REMOVED}{name}")
}

/// The name that a file had before it made way so, if it did.
pub(super) fn before_removal(name: &str) -> Option<&str> {
    name.strip_prefix(REMOVED).filter(|name| is_recovered(name))
}

/// Returns true if this is the name of a file that a recovery may read.
fn is_recovered(name: &str) -> bool {
    name == STATE || matches!(Name::parse(name), Name::Segment(_) | Name::Snapshot(_))
}

/// Returns true if this layer has made a file of this name.
pub(super) fn is_own(name: &str) -> bool {
    let is_set_aside = is_aside(name) || before_removal(name).is_some();
    [LOCK, STATE].contains(&name) || is_set_aside || Name::parse(name) != Name::Other
}

/// The number in a name, if the name is exactly what is written for it.
fn number(name: &str, prefix: &str) -> Option<u64> {
    let number = name.strip_prefix(prefix)?.parse().ok()?;
    (name == format!("{prefix}{number:010}")).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_in_no_other_form() {
        for number in [1, 42, 9_999_999_999, 10_000_000_000, u64::MAX] {
            assert_eq!(Name::parse(&segment(number)), Name::Segment(number));
            assert_eq!(Name::parse(&snapshot(number)), Name::Snapshot(number));
            assert_eq!(Name::parse(&(snapshot(number) + TEMPORARY)), Name::Temporary);
        }
        assert_eq!(Name::parse("state.tmp"), Name::Temporary);
        for set_aside in [segment(3), snapshot(4), STATE.into()].map(|name| aside(&name)) {
            assert!(is_aside(&set_aside), "{set_aside}");
            assert_eq!(Name::parse(&set_aside), Name::Other);
        }
        for plain in [segment(3), snapshot(4), STATE.into()] {
            let name = removed(&plain);
            assert_eq!(before_removal(&name), Some(&*plain));
            assert!(is_own(&name) && !is_aside(&name) && Name::parse(&name) == Name::Other);
        }
        for other in ["removed-notes", "removed-state.tmp", "removed-removed-state", STATE] {
            assert_eq!(before_removal(other), None, "{other}");
        }
        assert!(!is_aside("older-notes") && !is_aside(STATE) && !is_aside(&segment(3)));
        for own in ["lock", "state", "state.tmp", "older-state", "log-0000000001"] {
            assert!(is_own(own), "{own}");
        }
        assert!(!is_own("notes") && !is_own("older-notes") && !is_own("a.tmp"));
        for other in ["log-1", "log-+000000001", "log-", "snapshot-x", "state", "lock", "a.tmp"] {
            assert_eq!(Name::parse(other), Name::Other, "{other}");
        }
    }
}
