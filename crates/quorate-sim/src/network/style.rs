//! The manners of a network when nothing is wrong.

use std::time::Duration;

use crate::base::random::Random;

/// The manners of a network: its delays, and its ways with what it cannot deliver.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) delay: (Duration, Duration),
    /// One in a thousand this often takes up to `spike` longer.
    pub(crate) spikes: u64,
    pub(crate) spike: Duration,
    /// The data lane is slower by this factor.
    pub(crate) data_factor: u32,
    /// Like TCP: in order, and what meets a cut path waits for it to heal.
    pub(crate) is_orderly: bool,
    /// Packets of the data lane that may be overtaken, per mille, where it is not orderly;
    /// those of the control lane all may.
    pub(crate) reorder: u64,
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
}

impl Style {
    pub(crate) fn draw(random: &mut Random, timeout: Duration) -> Self {
        let is_orderly = random.chance(600);
        let base = random.pick(&[20_000, 5_000, 1_000]);
        Self {
            delay: (timeout / base, timeout / base * 10),
            spikes: random.pick(&[0, 2, 10, 50]),
            spike: timeout / random.pick(&[100, 20, 5]),
            data_factor: random.pick(if base == 1_000 { &[1, 1, 4] } else { &[1, 1, 4, 20] }),
            is_orderly,
            reorder: random.pick(&[0, 20, 300]),
            loss: if is_orderly { 0 } else { random.pick(&[0, 10, 50, 150]) },
            duplicates: if is_orderly { 0 } else { random.pick(&[0, 10, 100]) },
        }
    }

    /// A steady network: every packet takes the same time.
    pub(crate) fn quiet(timeout: Duration) -> Self {
        let delay = timeout / 10_000;
        Self {
            delay: (delay, delay),
            spikes: 0,
            spike: Duration::ZERO,
            data_factor: 1,
            is_orderly: true,
            reorder: 0,
            loss: 0,
            duplicates: 0,
        }
    }
}
