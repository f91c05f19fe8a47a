//! Connections that get nowhere: the other end takes nothing of what it is sent, or has begun a
//! frame and does not end it.
//!
//! Looked at once per heartbeat, so that nobody on the way of a call needs to know the time.

use std::time::Duration;

use crate::base::id::Time;

/// The reason why a connection gets nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Stall {
    /// Bytes wait to be sent, and none is taken.
    NotTaken,
    /// A part of a frame has come, and the rest does not.
    Unfinished,
}

/// The state of a connection when it was looked at last.
#[derive(Debug, Default)]
pub(in crate::driver) struct Progress {
    sending: Seen,
    receiving: Seen,
}

/// A number that grows as it goes on, and since when it has not.
#[derive(Debug, Default)]
struct Seen {
    /// None while there is nothing to wait for.
    at: Option<u64>,
    since: Time,
}

impl Seen {
    /// Since when the number is the same.
    fn look(&mut self, at: Option<u64>, now: Time) -> Time {
        if at.is_none() || at != self.at {
            *self = Self { at, since: now };
        }
        self.since
    }
}

impl Progress {
    /// Takes a look: `blocked_at` says how much has been sent if no more is taken, `unfinished`
    /// which frame is waited for of which a part has come, or 0.
    pub(in crate::driver) fn stall(
        &mut self,
        blocked_at: Option<u64>,
        unfinished: u64,
        now: Time,
        patience: Duration,
    ) -> Option<Stall> {
        let sending = self.sending.look(blocked_at, now);
        let receiving = self.receiving.look(Some(unfinished).filter(|frame| *frame != 0), now);
        if now.since(sending) >= patience {
            return Some(Stall::NotTaken);
        }
        (now.since(receiving) >= patience).then_some(Stall::Unfinished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Time {
        Time(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn only_what_stands_still_for_so_long_is_stalled() {
        let mut progress = Progress::default();
        let mut look =
            |blocked_at, frame, second| progress.stall(blocked_at, frame, at(second), PATIENCE);
        assert_eq!(look(Some(5), 0, 100), None);
        assert_eq!(look(Some(5), 0, 109), None);
        assert_eq!(look(Some(6), 0, 110), None, "a byte was taken");
        assert_eq!(look(Some(6), 0, 119), None);
        assert_eq!(look(None, 0, 120), None, "nothing waits");
        assert_eq!(look(Some(6), 7, 121), None);
        assert_eq!(look(None, 7, 130), None);
        assert_eq!(look(None, 7, 131), Some(Stall::Unfinished));
        assert_eq!(look(Some(6), 8, 132), None, "another frame is begun");
        assert_eq!(look(Some(6), 8, 142), Some(Stall::NotTaken));
    }
}
