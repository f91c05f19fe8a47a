//! Bytes that connections of guests hold, together: frames that have come in part, and what waits
//! to be sent. A guest is whoever came in and is no member.
//!
//! Each connection has bounds of its own. This one is for the sum, so that many connections which
//! each keep to theirs do not add up: while it is passed, whoever holds more than its part is
//! closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Bounds;

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::driver) struct Buffered {
    bytes: AtomicUsize,
    max: usize,
    /// The bytes that a connection may hold in any case.
    part: usize,
}

impl Buffered {
    pub(in crate::driver) fn new(bounds: &Bounds) -> Self {
        let max = bounds.max_buffered_bytes;
        Self { bytes: AtomicUsize::new(0), max, part: max / bounds.max_connections.max(1) }
    }

    /// The bytes that all connections hold at present.
    pub(in crate::driver) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The bytes that one connection holds, until it is dropped.
#[derive(Debug)]
pub(in crate::driver) struct Share {
    all: Arc<Buffered>,
    /// Bytes that it has received of a frame that is not whole.
    begun: AtomicUsize,
    bytes: AtomicUsize,
}

impl Share {
    pub(in crate::driver) fn new(all: Arc<Buffered>) -> Self {
        Self { all, begun: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Sets what has come of a frame that is not whole; takes effect with [`Share::set_waiting`].
    pub(in crate::driver) fn set_begun(&self, bytes: usize) {
        self.begun.store(bytes, Ordering::Relaxed);
    }

    /// Holds nothing for a guest: the other end has become a member.
    pub(in crate::driver) fn let_go(&self) {
        let before = self.bytes.swap(0, Ordering::Relaxed);
        if before != 0 {
            self.all.bytes.fetch_sub(before, Ordering::Relaxed);
        }
    }

    /// Sets what waits to be sent; whether the connection may hold what it does.
    pub(in crate::driver) fn set_waiting(&self, bytes: usize) -> bool {
        let bytes = self.begun.load(Ordering::Relaxed) + bytes;
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        // Most hold nothing, time and again.
        if before != bytes {
            self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.all.bytes.fetch_sub(before, Ordering::Relaxed);
        }
        bytes <= self.all.part || self.all.bytes() <= self.all.max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_sum_only_who_holds_more_than_its_part_is_too_much() {
        let bounds = Bounds { max_buffered_bytes: 1000, max_connections: 10, ..Bounds::default() };
        let all = Arc::new(Buffered::new(&bounds));
        let mut shares: Vec<Share> = (0..3).map(|_| Share::new(all.clone())).collect();
        shares[0].set_begun(200);
        assert!(shares[0].set_waiting(400) && shares[1].set_waiting(400), "that is all there is");
        assert!(shares[2].set_waiting(100), "a tenth");
        assert!(!shares[2].set_waiting(101));
        assert!(!shares[0].set_waiting(400), "it holds more than its part");
        drop(shares.remove(0));
        assert_eq!(all.bytes(), 501);
        assert!(shares[1].set_waiting(500));
        shares[1].let_go();
        shares[1].let_go();
        assert_eq!(all.bytes(), 400);
        assert!(shares[1].set_waiting(500));
        drop(shares);
        assert_eq!(all.bytes(), 0);
    }
}
