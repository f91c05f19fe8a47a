//! One call at the peer where it is made, over all its tries.
//!
//! ```text
//!   Here         the store decides ──▶ answer, or wait for a majority
//!   There        forward, and wait for the reply
//!   HandingOver  wait for the route to change, then start over
//!   Nowhere      strict: refuse at once; relaxed: decide on the local copy
//! ```
//!
//! Every way ends at the call's deadline. A call that may have been written is never tried again
//! by itself.

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::error::{DecideError, NoPrimaryReason};
use crate::base::id::Time;
use crate::session::routes::RouteKind;
use crate::session::unanswered::Unanswered;
use crate::store::{Decided, Store};

/// First pause before a held call asks again without having been told to.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A call under way: when it was made, when it ends, and since when it is held.
#[derive(Clone, Debug)]
pub struct Attempt {
    started: Time,
    deadline: Time,
    /// Set when the call was first held: a hand-over holds calls rather than failing them, for at
    /// most the failure timeout.
    held_until: Option<Time>,
    pause: Duration,
}

/// What is to be done with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try it, where the route says.
    Try,
    /// Wait for as long as [`Attempt::hold`] says, or until the route changes; then try it.
    Hold,
    /// Refuse it, or decide on the local copy; see [`alone`](super::alone).
    DecideAlone(NoPrimaryReason),
    /// Answer it when a majority holds the decision.
    Wait(Decided),
    /// End it with an outcome that is unknown.
    Unknown,
    /// End it with this error.
    Fail(DecideError),
}

impl Attempt {
    /// A call that was made at `started` and ends at `deadline`.
    pub fn new(started: Time, deadline: Time) -> Self {
        Self { started, deadline, held_until: None, pause: FIRST_PAUSE }
    }

    /// Returns when the call was made.
    pub fn started(&self) -> Time {
        self.started
    }

    /// Returns when the call ends at the latest.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Returns what is to be done after a try that brought no answer; `now` is read only for a call
    /// that was held.
    pub fn next(&self, unanswered: Unanswered, now: impl FnOnce() -> Time) -> Next {
        match unanswered {
            Unanswered::Again => Next::Try,
            Unanswered::Alone(_) if self.is_held(now) => Next::Hold,
            Unanswered::Alone(reason) => Next::DecideAlone(reason),
            Unanswered::Failed(error) => Next::Fail(error),
            Unanswered::Hold => Next::Hold,
            Unanswered::Unknown if bug::is(Bug::UnknownTriedAgain) => Next::Try,
            Unanswered::Unknown => Next::Unknown,
            Unanswered::Wait(decided) => Next::Wait(decided),
        }
    }

    /// Holds the call; returns for how long, unless the route changes before. A hand-over here ends
    /// with a change of the route, one elsewhere may end unseen: `kind` says which it is.
    ///
    /// # Errors
    ///
    /// [`DecideError::NoPrimary`] if it has been held for `timeout` already, or has no time left;
    /// nothing was written.
    pub fn hold(
        &mut self,
        now: Time,
        timeout: Duration,
        kind: RouteKind,
    ) -> Result<Duration, DecideError> {
        let deadline = self.deadline;
        let until = *self.held_until.get_or_insert_with(|| now.after(timeout).min(deadline));
        if now >= until {
            return Err(DecideError::NoPrimary { reason: NoPrimaryReason::Electing });
        }
        let is_here = kind == RouteKind::HandingOver;
        let pause = if is_here { LONGEST_PAUSE } else { self.pause };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(pause.min(until.since(now)))
    }

    /// Returns true if the call came during a hand-over that may still be going on.
    fn is_held(&self, now: impl FnOnce() -> Time) -> bool {
        self.held_until.is_some_and(|until| now() < until)
    }
}

/// Returns true if a change that was waited for may be answered: a majority holds it, or, where
/// that is not asked for, this peer is still the primary.
pub fn is_final(decided: &Decided, store: &Store, now: impl FnOnce() -> Time) -> bool {
    let position = decided.position;
    store.committed().covers(position) || store.is_authorized(now(), position.ballot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A call that is held asks again sooner or later, is refused after the timeout, and is never
    /// held beyond its deadline.
    #[test]
    fn a_held_call_asks_again_and_is_refused_in_the_end() {
        let start = Time(1_000);
        let mut attempt = Attempt::new(start, start.after(SECOND * 30));
        let first = attempt.hold(start, SECOND, RouteKind::There);
        assert_eq!(first, Ok(FIRST_PAUSE));
        let gone = Unanswered::Alone(NoPrimaryReason::LeaseEnded);
        assert_eq!(attempt.next(gone.clone(), || start), Next::Hold);
        for _ in 0..10 {
            assert!(attempt.hold(start, SECOND, RouteKind::There).expect("held") > FIRST_PAUSE);
        }
        let here = attempt.hold(start, SECOND, RouteKind::HandingOver);
        assert_eq!(here, Ok(LONGEST_PAUSE));
        let end = start.after(SECOND);
        assert_eq!(attempt.next(gone, || end), Next::DecideAlone(NoPrimaryReason::LeaseEnded));
        let refused = attempt.hold(end, SECOND, RouteKind::There);
        assert_eq!(refused, Err(DecideError::NoPrimary { reason: NoPrimaryReason::Electing }));
        let mut short = Attempt::new(start, start.after(FIRST_PAUSE / 2));
        let pause = short.hold(start, SECOND, RouteKind::There);
        assert_eq!(pause, Ok(FIRST_PAUSE / 2), "not beyond its deadline");
    }
}
