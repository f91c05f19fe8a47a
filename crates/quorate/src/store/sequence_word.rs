//! The order of all decisions: one word that operations count up and cuts move to round numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::EPOCH_BITS;
use crate::base::bug::{self, Bug};

/// As many units as the word for them can hold: how many there are is not known then.
const SATURATED: u64 = u64::MAX;

/// What every operation writes, together on one line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct SequenceWord {
    /// Sequence of the last decision, or the end of the last cut.
    word: AtomicU64,
    /// Published units of this reign that no majority holds, and on top the most that may be
    /// unpublished; [`SATURATED`] if they are that many or more.
    outstanding: AtomicU64,
    /// Whether anything changed since the last cut.
    is_changed: AtomicBool,
}

impl SequenceWord {
    /// Takes the next sequence; the caller holds the locks of its shards.
    #[inline]
    pub(super) fn take(&self) -> u64 {
        self.word.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Notes a change; returns true if it is the first since the last cut.
    #[inline]
    pub(super) fn note_change(&self) -> bool {
        !self.is_changed.load(Ordering::Relaxed) && !self.is_changed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_changed(&self) -> bool {
        self.is_changed.load(Ordering::Acquire)
    }

    /// Clears the note of changes. Before the word moves, so that the first operation after the
    /// cut finds it cleared and wakes the sender.
    pub(super) fn clear_changed(&self) {
        self.is_changed.store(false, Ordering::Release);
    }

    /// Publishes units of one shard, under its lock.
    #[inline]
    pub(super) fn publish(&self, units: u128) {
        let units = u64::try_from(units).unwrap_or(SATURATED);
        let add = |outstanding: u64| {
            if bug::is(Bug::UnitsWrap) {
                return Some(outstanding.wrapping_add(units));
            }
            Some(outstanding.saturating_add(units))
        };
        // It never fails: there is always a sum.
        let _ = self.outstanding.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// A majority holds so many units more. Whether it is known how many are outstanding: if not,
    /// nothing was changed, and [`SequenceWord::set_outstanding`] is to say it.
    pub(super) fn settle(&self, units: u128) -> bool {
        let units = u64::try_from(units).unwrap_or(SATURATED);
        let less = |outstanding: u64| {
            (outstanding != SATURATED).then(|| outstanding.saturating_sub(units))
        };
        self.outstanding.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    #[inline]
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Sets it while no shard can publish.
    pub(super) fn set_outstanding(&self, units: u128) {
        let units = u64::try_from(units).unwrap_or(SATURATED);
        self.outstanding.store(units, Ordering::Relaxed);
    }

    /// Starts a reign whose first sequence is above `boundary`.
    pub(super) fn begin(&self, boundary: u64) {
        // One past the boundary: the reign itself is its first change.
        self.word.store(boundary + 1, Ordering::Release);
        self.is_changed.store(true, Ordering::Release);
    }

    /// Ends an epoch between two operations and returns its end: the last one again if nothing was
    /// decided since. `publish` makes an end visible to operations before the word reaches it.
    pub(super) fn end_epoch(&self, last_end: u64, mut publish: impl FnMut(u64)) -> u64 {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let end = if old == last_end { old } else { boundary_above(old) };
            publish(end);
            // Operations may move the word meanwhile; the end holds while they stay below it.
            loop {
                match self.word.compare_exchange_weak(old, end, Ordering::AcqRel, Ordering::Relaxed)
                {
                    Ok(_) => return end,
                    Err(now) if now < end => old = now,
                    Err(now) if now == old => {}
                    Err(now) => {
                        old = now;
                        break;
                    }
                }
            }
        }
    }
}

/// The end of the epoch of `sequence`: the next round number.
pub(super) fn boundary_above(sequence: u64) -> u64 {
    ((sequence >> EPOCH_BITS) + 1) << EPOCH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_above_every_sequence_taken() {
        let order = SequenceWord::default();
        order.begin(1 << EPOCH_BITS);
        let mut last = 1 << EPOCH_BITS;
        for _ in 0..3 {
            let taken = order.take();
            let end = order.end_epoch(last, |_| {});
            assert!(end > taken);
            assert_eq!(order.end_epoch(end, |_| {}), end, "nothing was decided since");
            assert_eq!(order.take(), end + 1);
            last = end;
        }
    }

    #[test]
    fn a_word_that_runs_into_the_next_epoch_is_cut_above_it() {
        let order = SequenceWord::default();
        order.begin(0);
        while order.take() < 1 << EPOCH_BITS {}
        assert_eq!(order.end_epoch(0, |_| {}), 2 << EPOCH_BITS);
    }
}
