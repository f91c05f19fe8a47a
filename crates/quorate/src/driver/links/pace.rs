//! The number of messages of a guest that are taken in a heartbeat, long ones counted several
//! times. A peer that keeps to the protocol says a few; what one says beyond that would only keep
//! the event loop from the others.

use std::time::Duration;

use crate::base::id::{PeerKind, Time};
use crate::protocol::message::Lane;

/// Messages of one connection that are taken in a heartbeat: a ping and a pong, and each request of
/// an embedder once.
const MAX_MESSAGES: u32 = 64;
/// Messages of the data connection of one that is no client. A joiner that is brought up to date
/// says of every piece that it has come, and a primary that is not known here, for this peer has
/// fallen behind, sends the pieces.
const MAX_CATCH_UP: u32 = 4_096;

/// A message counts once more for each of so many bytes: those of a heartbeat have less.
const LONG_BYTES: usize = 4096;

/// Counts the messages of one connection.
#[derive(Debug)]
pub(in crate::driver) struct Pace {
    heartbeat: Duration,
    max: u32,
    began: Time,
    count: u32,
}

impl Pace {
    /// The pace of a guest of this kind, from `now` on.
    pub(in crate::driver) fn new(
        heartbeat: Duration,
        kind: PeerKind,
        lane: Lane,
        now: Time,
    ) -> Self {
        let catches_up = kind != PeerKind::Client && lane == Lane::Data;
        let max = if catches_up { MAX_CATCH_UP } else { MAX_MESSAGES };
        Self { heartbeat, max, began: now, count: 0 }
    }

    /// Counts one more of this length at `now`; for how long the next one is to wait.
    pub(in crate::driver) fn count(&mut self, bytes: usize, now: Time) -> Duration {
        if now.since(self.began) >= self.heartbeat {
            (self.began, self.count) = (now, 0);
        }
        self.count += u32::try_from(1 + bytes / LONG_BYTES).unwrap_or(u32::MAX).min(self.max);
        let is_fast = self.count >= self.max;
        if is_fast { self.began.after(self.heartbeat).since(now) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_taken_at_a_pace_and_a_heartbeat_is_not_held_up() {
        let heartbeat = Duration::from_secs(1);
        let mut pace = Pace::new(heartbeat, PeerKind::Client, Lane::Control, Time(0));
        let mut now = Time(0);
        for _ in 0..10 * MAX_MESSAGES {
            now = now.after(pace.count(100, now));
        }
        assert_eq!(now, Time(0).after(heartbeat * 10));
        for _ in 0..100 {
            now = now.after(heartbeat / 8);
            assert_eq!(pace.count(1_000, now), Duration::ZERO);
        }
        let mut now = now.after(heartbeat);
        assert_eq!(pace.count(100_000, now), Duration::ZERO, "a change of the policy");
        now = now.after(heartbeat / 2);
        assert_eq!(pace.count(usize::MAX, now), heartbeat / 2);
    }
}
