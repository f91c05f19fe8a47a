//! What something was a while ago.

use std::time::Duration;

use crate::base::id::Time;

/// A value as it was an age ago or longer, but no longer than twice that while it is noted.
///
/// It is what others are held to where something is decided all the time: nobody who is further
/// away than the rest ever holds what there is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Former<T> {
    value: T,
    /// What it was later than that, and when.
    marked: (Time, T),
}

impl<T: Copy> Former<T> {
    /// Of a value that begins at `now` as this.
    pub(super) fn new(now: Time, value: T) -> Self {
        Self { value, marked: (now, value) }
    }

    /// Notes what it is at `now`; it counts as former after such an `age`.
    pub(super) fn note(&mut self, now: Time, value: T, age: Duration) {
        if now >= self.marked.0.after(age) {
            self.value = self.marked.1;
            self.marked = (now, value);
        }
    }

    /// Forgets what it was: from `now` on it is this.
    pub(super) fn begin_anew(&mut self, now: Time, former: T, value: T) {
        *self = Self { value: former, marked: (now, value) };
    }

    /// What it was.
    pub(super) fn value(&self) -> T {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_at_least_one_age_old_and_at_most_two() {
        let age = Duration::from_nanos(10);
        let mut former = Former::new(Time(0), 0);
        for now in 0..100 {
            former.note(Time(now), now, age);
            if now >= 20 {
                let since = now - former.value();
                assert!((10..20).contains(&since), "{since} at {now}");
            }
        }
        former.begin_anew(Time(100), 0, 100);
        former.note(Time(105), 105, age);
        assert_eq!(former.value(), 0);
        former.note(Time(110), 110, age);
        assert_eq!(former.value(), 100);
    }
}
