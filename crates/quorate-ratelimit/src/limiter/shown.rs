//! A decision as a document, which routes and tools answer.

use std::time::{Duration, SystemTime};

use quorate::{Basis, Decider, GroupId, Position};
use serde::{Serialize, Serializer};

use crate::limiter::decision::Decision;

/// The fields of a decision, by their names in documents: times in milliseconds, rounded up, and
/// what is a date since the Unix epoch.
#[derive(Serialize)]
struct Shown {
    allowed: bool,
    limit: u64,
    remaining: u64,
    used: u64,
    granted: u64,
    counted: bool,
    shadow: bool,
    repeated: bool,
    crossed: Option<u8>,
    retry_after_ms: Option<u64>,
    reset_after_ms: u64,
    basis: &'static str,
    decided_by: Decider,
    /// Since when the peer has decided alone, by its own word.
    since: Option<u64>,
    group_id: Option<GroupId>,
    generation: u64,
    term: u64,
    position: u64,
    window: Option<u64>,
}

/// Times are in milliseconds, rounded up; `basis` is `primary` or `local`, and `position` the
/// sequence.
impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Position { ballot, sequence } = self.position;
        let shown = Shown {
            allowed: self.allowed,
            limit: self.limit,
            remaining: self.remaining,
            used: self.used(),
            granted: self.granted,
            counted: self.counted,
            shadow: self.shadow,
            repeated: self.repeated,
            crossed: self.crossed,
            retry_after_ms: self.retry_after.map(millis),
            reset_after_ms: millis(self.reset_after),
            basis: if self.basis.is_local() { "local" } else { "primary" },
            decided_by: self.decided_by,
            since: match self.basis {
                Basis::Local { since } => Some(since.as_millis()),
                _ => None,
            },
            group_id: self.group_id,
            generation: ballot.generation.founding(),
            term: self.term.0,
            position: sequence.0,
            window: self.window.and_then(unix_millis),
        };
        shown.serialize(serializer)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn unix_millis(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(millis)
}
