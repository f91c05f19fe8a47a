//! The load of a run: its callers, and what they ask for.

use std::time::Duration;

use crate::base::random::Random;

/// The operations of the clients: how many, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Mean time between two operations of one client.
    pub(crate) think: Duration,
    /// Operations sent at once, per mille.
    pub(crate) burst: u64,
    /// Additions to counters that are of as many units as there can be, or nearly, per mille.
    pub(crate) large: u64,
    /// Nothing but limits is asked for: every cell expires.
    pub(crate) is_expiring: bool,
    /// Keys of each family.
    pub(crate) keys: usize,
    pub(crate) limit: u64,
    pub(crate) window: Duration,
}

impl Load {
    pub(super) fn draw(random: &mut Random, timeout: Duration) -> Self {
        let window = match random.index(3) {
            0 => timeout / 2,
            1 => timeout * 2,
            _ => timeout * 30,
        };
        Self {
            clients: random.pick(&[2, 3, 3, 4, 6]),
            think: timeout / random.pick(&[4, 8, 8, 16]),
            burst: random.pick(&[0, 100, 300]),
            large: 0,
            is_expiring: false,
            keys: random.pick(&[1, 3, 3, 8]),
            limit: random.pick(&[10, 30, 30, 200]),
            window,
        }
    }
}
