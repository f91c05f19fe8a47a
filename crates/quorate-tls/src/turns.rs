//! Turns at the cryptography of handshakes that came in.
//!
//! Whoever connects makes a peer agree on keys, sign, and verify, before it has shown who it is,
//! and can do so again and again. So such steps are done one at a time, in the order in which they
//! are asked for. After each all other tasks have their turn, and there is a pause in proportion to
//! what it took: strangers, however many, get a quarter of one core, and nothing else waits for
//! more than one step at a time.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// The length of a pause, in lengths of the step before it.
const PAUSES: u32 = 3;
/// The longest step that is paused for as a whole: in a longer one the process may have been
/// stopped.
const LONGEST_STEP: Duration = Duration::from_millis(50);
/// The shortest pause that is waited for. Shorter ones are taken together: a lone handshake waits
/// for nothing.
const BURST: Duration = Duration::from_millis(5);

/// The turns of a transport, one at a time.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The moment at which all that was done has been paused for.
    paid: Mutex<Instant>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { paid: Mutex::new(Instant::now()) }
    }
}

/// The one turn that there is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    paid: MutexGuard<'a, Instant>,
    /// The moment at which the step began; none once it has ended.
    began: Option<Instant>,
}

impl Turns {
    /// Waits for this turn, and for the pauses of those before.
    ///
    /// # Cancel safety
    ///
    /// Whoever stops waiting has no turn, and leaves the pause to the next.
    pub(crate) async fn take(&self) -> Turn<'_> {
        let paid = self.paid.lock().await;
        // With the lock: those who come later wait behind, in their order.
        if paid.saturating_duration_since(Instant::now()) > BURST {
            sleep_until(*paid).await;
        }
        Turn { paid, began: Some(Instant::now()) }
    }
}

impl Turn<'_> {
    /// Ends the step; the next one begins when everything else that is ready has had its turn.
    pub(crate) async fn end(mut self) {
        self.count();
        yield_now().await;
    }

    /// Counts what the step has taken.
    fn count(&mut self) {
        let Some(began) = self.began.take() else { return };
        let now = Instant::now();
        let spent = now.saturating_duration_since(began).min(LONGEST_STEP);
        *self.paid = now.max(*self.paid) + spent * PAUSES;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(2);

    async fn step(turns: &Turns, long: Duration) {
        let turn = turns.take().await;
        tokio::time::advance(long).await;
        turn.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn steps_take_a_quarter_of_the_time() {
        let turns = Turns::default();
        let began = Instant::now();
        for _ in 0..100 {
            step(&turns, STEP).await;
        }
        let taken = began.elapsed();
        let most = STEP * 100 * (1 + PAUSES);
        assert!(taken <= most && taken + BURST + STEP * PAUSES >= most, "{taken:?}");
        // A lone one after a while waits for nothing.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        step(&turns, STEP).await;
        assert_eq!(began.elapsed(), STEP);
    }

    /// It would have let nobody in for as long again.
    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_pauses_for_a_moment() {
        let turns = Turns::default();
        step(&turns, Duration::from_secs(3600)).await;
        let began = Instant::now();
        drop(turns.take().await);
        assert!(began.elapsed() <= LONGEST_STEP * PAUSES, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_shortens_no_pause() {
        let turns = Turns::default();
        step(&turns, STEP * 10).await;
        let due = *turns.paid.lock().await;
        for _ in 0..3 {
            let waiting = tokio::time::timeout(Duration::from_millis(1), turns.take());
            waiting.await.expect_err("there is a pause");
        }
        assert_eq!(*turns.paid.lock().await, due);
        drop(turns.take().await);
        assert!(Instant::now() >= due);
    }
}
