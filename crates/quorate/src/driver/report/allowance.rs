//! Limits on how often something is told of: some at once, and then one after each pause.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::id::Time;

/// Hosts that are told from one another; of more at a time none is told of.
const MAX_HOSTS: usize = 64;

/// A bucket of tellings.
#[derive(Clone, Copy, Debug)]
pub(in crate::driver) struct Allowance {
    at_once: u32,
    pause: Duration,
    /// The time when all of them are there again.
    full: Time,
}

impl Allowance {
    /// An allowance of as many at once, and then one after each pause.
    pub(in crate::driver) fn new(at_once: u32, pause: Duration) -> Self {
        Self { at_once, pause, full: Time(0) }
    }

    /// Returns true if one is left at `now`.
    fn has_one(&self, now: Time) -> bool {
        let used = self.full.since(now);
        used <= self.pause * (self.at_once - 1)
    }

    fn take_one(&mut self, now: Time) {
        self.full = self.full.max(now).after(self.pause);
    }

    /// Takes one at `now`, if one is left.
    pub(in crate::driver) fn take(&mut self, now: Time) -> bool {
        let has_one = self.has_one(now);
        if has_one {
            self.take_one(now);
        }
        has_one
    }
}

/// An allowance for each host, and one for all of them.
#[derive(Debug)]
pub(in crate::driver) struct Allowances {
    of_all: Allowance,
    of_each: Allowance,
    hosts: BTreeMap<String, Allowance>,
}

impl Allowances {
    pub(in crate::driver) fn new(of_all: Allowance, of_each: Allowance) -> Self {
        Self { of_all, of_each, hosts: BTreeMap::new() }
    }

    /// Takes one for a host at `now`, if one is left for it and for all.
    pub(in crate::driver) fn take(&mut self, host: &str, now: Time) -> bool {
        if !self.hosts.contains_key(host) {
            self.hosts.retain(|_, allowance| allowance.full > now);
            if self.hosts.len() >= MAX_HOSTS {
                return false;
            }
        }
        let of_host = self.hosts.entry(host.to_owned()).or_insert(self.of_each);
        let has_one = self.of_all.has_one(now) && of_host.has_one(now);
        if has_one {
            self.of_all.take_one(now);
            of_host.take_one(now);
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn some_are_told_at_once_and_then_one_after_each_pause() {
        let mut allowance = Allowance::new(3, Duration::from_secs(10));
        let taken = |allowance: &mut Allowance, from, to| {
            (from..to).filter(|second| allowance.take(at(*second))).collect::<Vec<_>>()
        };
        assert_eq!(taken(&mut allowance, 100, 135), [100, 101, 102, 110, 120, 130]);
        assert_eq!(taken(&mut allowance, 500, 505), [500, 501, 502], "it has filled");
    }

    #[test]
    fn one_host_does_not_take_what_is_for_all() {
        let pause = Duration::from_secs(10);
        let mut all = Allowances::new(Allowance::new(4, pause), Allowance::new(2, pause));
        assert_eq!([1, 2, 3].map(|_| all.take("a", at(1))), [true, true, false]);
        assert_eq!([1, 2, 3].map(|_| all.take("b", at(1))), [true, true, false]);
        assert!(!all.take("c", at(1)), "four were told");
        assert!(all.take("c", at(11)));
        for host in 0..1000 {
            all.take(&host.to_string(), at(12));
        }
        assert!(all.hosts.len() <= MAX_HOSTS);
        assert!(all.take("a", at(100)));
    }
}
