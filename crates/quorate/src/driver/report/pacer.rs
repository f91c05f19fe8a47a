//! Events that happen again and again, told together.

use std::time::Duration;

use crate::base::id::Time;

/// Counts what happens, and says when to tell of it: a stranger that tries again and again is not
/// to fill a log.
#[derive(Debug, Default)]
pub(in crate::driver) struct Pacer {
    count: u64,
    next: Time,
}

impl Pacer {
    /// Shortest time between two tellings.
    const PAUSE: Duration = Duration::from_secs(10);

    /// Counts one more, at `now`; how many since the last telling, if it is time for one.
    pub(in crate::driver) fn count(&mut self, now: Time) -> Option<u64> {
        self.count += 1;
        if now < self.next {
            return None;
        }
        self.next = now.after(Self::PAUSE);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_soon_is_told_together() {
        let mut pacer = Pacer::default();
        let told =
            |pacer: &mut Pacer, seconds| pacer.count(Time(0).after(Duration::from_secs(seconds)));
        assert_eq!(told(&mut pacer, 1), Some(1));
        assert_eq!((told(&mut pacer, 2), told(&mut pacer, 10)), (None, None));
        assert_eq!(told(&mut pacer, 11), Some(3));
    }
}
