//! Thresholds that were crossed, told to whoever wants to know.

use std::time::SystemTime;

use quorate::Basis;
use tokio::sync::broadcast;

/// Alerts that are kept for a reader that is behind; it is told how many it has missed.
const KEPT: usize = 1024;

/// A key has crossed a threshold of its limit ([`Limit::alert_at`](crate::Limit::alert_at)).
///
/// It is told where the call that crossed it was made, once: the primary's order of decisions says
/// which one that was, whatever peers were asked. A key that comes back below its threshold, by a
/// new window, a refund or what flows back into a bucket, may cross it again. Counts survive a
/// failover, and so what was crossed before it is not crossed again; where a failover loses counts,
/// it may be. Not told is what no call crosses: shares a peer takes ahead, and counts that a merge
/// brings together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The limit's name.
    pub limit: String,
    /// The key.
    pub key: Vec<u8>,
    /// The threshold that was crossed, in percent; of two that were crossed at once each is told.
    pub percent: u8,
    /// Units that count now, as far as the call has been told: at least the threshold.
    pub used: u64,
    /// The most units that can be admitted at once.
    pub max: u64,
    /// The start of the window; `None` for a rate, and where several limits were asked together.
    pub window: Option<SystemTime>,
    /// The peer that decided: the primary, or this one alone.
    pub basis: Basis,
}

/// Alerts as they come.
#[derive(Debug)]
pub struct Alerts {
    receiver: broadcast::Receiver<Alert>,
    missed: u64,
}

impl Alerts {
    /// The next one; `None` when its limiter, and all clones of that, are gone.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has taken none.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            match self.receiver.recv().await {
                Ok(alert) => return Some(alert),
                Err(broadcast::error::RecvError::Lagged(count)) => self.missed += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The number of alerts missed so far, for more came than are kept: 1,024.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The sender of alerts.
#[derive(Clone)]
pub(crate) struct AlertSender(broadcast::Sender<Alert>);

impl AlertSender {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(KEPT).0)
    }

    /// Returns alerts from now on.
    pub(crate) fn subscribe(&self) -> Alerts {
        Alerts { receiver: self.0.subscribe(), missed: 0 }
    }

    pub(crate) fn tell(&self, alert: Alert) {
        // Nobody may be listening.
        let _ = self.0.send(alert);
    }
}
