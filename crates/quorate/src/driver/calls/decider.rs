//! The name of who decided, as a number: a decision is copied from hand to hand, and nothing on its
//! way is to be counted or allocated for a name that few ask for.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::RwLock;
use serde::{Serialize, Serializer};

use crate::base::id::PeerName;

/// Names that are kept, for as long as the process runs: those of peers that it has started and of
/// primaries that it has asked. With names of 64 bytes they are some megabytes.
const MAX_NAMES: usize = 16_384;

static NAMES: RwLock<Names> =
    RwLock::new(Names { by_number: Vec::new(), numbers: BTreeMap::new() });

struct Names {
    by_number: Vec<&'static str>,
    numbers: BTreeMap<&'static str, u32>,
}

/// The peer that decided: the primary that was asked, or this peer itself.
///
/// Shown as its name.
///
/// # Examples
///
/// ```
/// use quorate::Decision;
///
/// fn log(decision: &Decision) {
///     println!("decided by {} at {}", decision.decided_by, decision.position);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decider(u32);

impl Decider {
    /// The peer whose name was not kept, because there were too many.
    #[doc(hidden)]
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// Returns the number of a name, and keeps the name.
    pub(crate) fn of(name: &PeerName) -> Self {
        let name = name.as_str();
        if let Some(number) = NAMES.read().numbers.get(name) {
            return Self(*number);
        }
        let mut names = NAMES.write();
        if let Some(number) = names.numbers.get(name) {
            return Self(*number);
        }
        let number = names.by_number.len();
        match u32::try_from(number) {
            Ok(kept) if number < MAX_NAMES => {
                let name: &'static str = Box::leak(name.into());
                names.by_number.push(name);
                names.numbers.insert(name, kept);
                Self(kept)
            }
            _ => Self::UNKNOWN,
        }
    }

    /// The peer's name; empty if so many peers have decided since this process started that it was
    /// not kept.
    pub fn as_str(self) -> &'static str {
        let names = NAMES.read();
        usize::try_from(self.0).ok().and_then(|at| names.by_number.get(at).copied()).unwrap_or("")
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Decider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_and_is_shown() {
        let (a, b) = (Decider::of(&"decider-a".into()), Decider::of(&"decider-b".into()));
        assert_ne!(a, b);
        assert_eq!(a, Decider::of(&String::from("decider-a").into()));
        assert_eq!((a.as_str(), b.to_string()), ("decider-a", "decider-b".to_owned()));
        assert_eq!(Decider::UNKNOWN.as_str(), "");
    }
}
