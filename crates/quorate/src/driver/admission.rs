//! Who may take up a connection: how many there are at a time, from everywhere and from one
//! address, and how many of them have not shown yet who they are.
//!
//! A stranger can make a peer hold something only until the handshake is over or its deadline has
//! come; these bounds say how much. Those of one address are a part of those of all, so that one
//! host, however many connections it opens, leaves room for the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Bounds;
use crate::id::Time;
use crate::transport;

/// One address may have this part of the handshakes under way.
const SHARE_OF_HANDSHAKES: usize = 4;

/// Counts connections that came in.
#[derive(Debug)]
pub(super) struct Admission {
    max: Counts,
    max_per_host: Counts,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// All connections.
    open: usize,
    /// Those whose handshake is not over.
    shaking: usize,
}

#[derive(Debug, Default)]
struct State {
    all: Counts,
    hosts: BTreeMap<String, Counts>,
}

/// Which bound a connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("max_connections, {max}, are open")]
    Connections { max: usize },
    #[error("max_connections_per_address, {max}, are open from there")]
    PerAddress { max: usize },
    #[error("max_handshakes, {max}, are under way")]
    Handshakes { max: usize },
    #[error("a quarter of max_handshakes, {max}, are under way from there")]
    HandshakesPerAddress { max: usize },
}

impl Admission {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let shaking = bounds.max_handshakes;
        let per_host = shaking.div_ceil(SHARE_OF_HANDSHAKES);
        Self {
            max: Counts { open: bounds.max_connections, shaking },
            max_per_host: Counts { open: bounds.max_connections_per_address, shaking: per_host },
            state: Mutex::default(),
        }
    }

    /// Connections that are open, and those of them whose handshake is not over.
    pub(super) fn counts(&self) -> [Taken; 2] {
        let now = self.state.lock().all;
        [
            Taken { now: now.open, max: self.max.open },
            Taken { now: now.shaking, max: self.max.shaking },
        ]
    }

    /// Counts a connection from `address`, whose handshake begins, until what is returned is
    /// dropped.
    ///
    /// # Errors
    ///
    /// The bound that it would break. Nothing is counted.
    pub(super) fn admit(self: &Arc<Self>, address: &str) -> Result<Admitted, Full> {
        let host = of_one_host(address);
        let mut state = self.state.lock();
        let there = state.hosts.get(&host).copied().unwrap_or_default();
        if state.all.open >= self.max.open {
            return Err(Full::Connections { max: self.max.open });
        }
        if there.open >= self.max_per_host.open {
            return Err(Full::PerAddress { max: self.max_per_host.open });
        }
        if there.shaking >= self.max_per_host.shaking {
            return Err(Full::HandshakesPerAddress { max: self.max_per_host.shaking });
        }
        if state.all.shaking >= self.max.shaking {
            return Err(Full::Handshakes { max: self.max.shaking });
        }
        for counts in state.counts(&host) {
            counts.open += 1;
            counts.shaking += 1;
        }
        Ok(Admitted { admission: self.clone(), host, is_shaking: true })
    }
}

/// How many there are of something, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) now: usize,
    pub(super) max: usize,
}

impl State {
    fn counts(&mut self, host: &str) -> [&mut Counts; 2] {
        [&mut self.all, self.hosts.entry(host.to_owned()).or_default()]
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    host: String,
    is_shaking: bool,
}

impl Admitted {
    /// Its handshake is over.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_shaking) {
            let mut state = self.admission.state.lock();
            state.counts(&self.host).into_iter().for_each(|counts| counts.shaking -= 1);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.settle();
        let mut state = self.admission.state.lock();
        state.counts(&self.host).into_iter().for_each(|counts| counts.open -= 1);
        if state.hosts.get(&self.host) == Some(&Counts::default()) {
            state.hosts.remove(&self.host);
        }
    }
}

/// Counts those that were turned away, and says when to tell of them: a stranger that tries again and
/// again is not to fill a log.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    count: u64,
    next: Time,
}

impl Pacer {
    /// Shortest time between two tellings.
    const PAUSE: Duration = Duration::from_secs(10);

    /// One more, at `now`; how many since the last telling, if it is time for one.
    pub(super) fn count(&mut self, now: Time) -> Option<u64> {
        self.count += 1;
        if now < self.next {
            return None;
        }
        self.next = now.after(Self::PAUSE);
        Some(std::mem::take(&mut self.count))
    }
}

/// What all addresses of one host have in common: an IPv6 host has at least 64 bits to choose its
/// address from.
fn of_one_host(address: &str) -> String {
    let host = transport::host(address);
    // An address of one link comes with the name of an interface.
    let host = host.split('%').next().unwrap_or(host);
    match host.parse() {
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).to_string(),
        },
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max: usize, per_address: usize, handshakes: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&Bounds {
            max_connections: max,
            max_connections_per_address: per_address,
            max_handshakes: handshakes,
            ..Bounds::default()
        }))
    }

    #[test]
    fn one_address_takes_its_part_and_leaves_room_for_others() {
        let admission = admission(4, 2, 100);
        let first = admission.admit("10.0.0.1:1").expect("there is room");
        let _second = admission.admit("10.0.0.1:2").expect("there is room");
        let full = admission.admit("10.0.0.1:3").expect_err("it has its part");
        assert_eq!(full, Full::PerAddress { max: 2 });
        let _others = ["10.0.0.2:1", "10.0.0.3:1"].map(|at| admission.admit(at).expect("room"));
        let full = admission.admit("10.0.0.4:1").expect_err("there are four");
        assert_eq!(full, Full::Connections { max: 4 });
        drop(first);
        admission.admit("10.0.0.1:3").expect("one has gone");
    }

    #[test]
    fn who_shows_who_it_is_makes_room_for_the_next() {
        let admission = admission(100, 100, 8);
        let mut first = admission.admit("10.0.0.1:1").expect("a quarter is two");
        let _second = admission.admit("10.0.0.1:2").expect("a quarter is two");
        let full = admission.admit("10.0.0.1:3").expect_err("two are half open");
        assert_eq!(full, Full::HandshakesPerAddress { max: 2 });
        first.settle();
        first.settle();
        let _third = admission.admit("10.0.0.1:3").expect("one is open");
        let hosts = (2..8).map(|host| format!("10.0.0.{host}:1"));
        let _more: Vec<_> = hosts.map(|at| admission.admit(&at).expect("there is room")).collect();
        let full = admission.admit("10.0.0.9:1").expect_err("eight are half open");
        assert_eq!(full, Full::Handshakes { max: 8 });
    }

    #[test]
    fn nothing_is_kept_of_those_that_have_gone() {
        let admission = admission(100, 100, 100);
        for host in 0..50 {
            let mut admitted = admission.admit(&format!("10.0.0.{host}:1")).expect("room");
            if host % 2 == 0 {
                admitted.settle();
            }
        }
        let state = admission.state.lock();
        assert_eq!((state.all, state.hosts.len()), (Counts::default(), 0));
    }

    #[test]
    fn many_that_are_turned_away_are_told_of_together() {
        let mut pacer = Pacer::default();
        let told =
            |pacer: &mut Pacer, seconds| pacer.count(Time(0).after(Duration::from_secs(seconds)));
        assert_eq!(told(&mut pacer, 1), Some(1));
        assert_eq!((told(&mut pacer, 2), told(&mut pacer, 10)), (None, None));
        assert_eq!(told(&mut pacer, 11), Some(3));
    }

    #[test]
    fn an_ipv6_host_is_one_address_whatever_it_calls_itself() {
        assert_eq!(of_one_host("[2001:db8::1]:5"), of_one_host("[2001:db8::ffff:2]:6"));
        assert_ne!(of_one_host("[2001:db8::1]:5"), of_one_host("[2001:db8:0:1::1]:5"));
        assert_eq!(of_one_host("[::ffff:10.0.0.1]:5"), of_one_host("10.0.0.1:9"));
        assert_eq!(of_one_host("[fe80::1%2]:5"), of_one_host("[fe80::2%2]:6"));
        assert_eq!(of_one_host("a"), "a");
    }
}
