//! Runs side by side, on as many threads as there are cores: each is of one thread alone, and what
//! they tell is taken in their order.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// Most results that wait for those before them, for each thread.
const AHEAD: usize = 16;

/// Does `work` for each of these items, and hands what comes of it to `take` in their order, until
/// that one has enough. A bug that is put back here is put back there.
pub(crate) fn each<I: Send, R: Send>(
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> R + Sync,
    mut take: impl FnMut(R) -> ControlFlow<()>,
) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let items = Mutex::new(items.enumerate());
    let (done, results) = mpsc::sync_channel(threads * AHEAD);
    #[cfg(feature = "bugs")]
    let bug = quorate::internal::bug::put_back();
    let run = |done: mpsc::SyncSender<(usize, R)>| {
        #[cfg(feature = "bugs")]
        quorate::internal::bug::set(bug);
        loop {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, item)) = next else { return };
            if done.send((number, work(item))).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            let done = done.clone();
            scope.spawn(|| run(done));
        }
        // Whoever is left when all have ended would wait for ever.
        drop(done);
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (number, result) in results {
            early.insert(number, result);
            while let Some(result) = early.remove(&next) {
                next += 1;
                if take(result).is_break() {
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_and_taken_in_order() {
        let mut taken = Vec::new();
        let work = |item: u64| item * 2;
        each(0..1000, work, |result| {
            taken.push(result);
            ControlFlow::Continue(())
        });
        assert!(taken.into_iter().eq((0..1000).map(|item| item * 2)));
    }

    #[test]
    fn whoever_has_enough_ends_it() {
        let mut taken = 0;
        each(
            0..,
            |item: u64| item,
            |_| {
                taken += 1;
                if taken == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(taken, 10);
    }
}
