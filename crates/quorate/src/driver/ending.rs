//! The end of a peer in good order: it steps aside, hands over, lets calls under way end, and says
//! goodbye.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::shared::Shared;
use crate::base::error::SwitchError;
use crate::base::id::PeerName;
use crate::session::routes::{RouteKind, Routes};

/// The interval at which a peer that is shutting down looks whether its last calls are answered.
const DRAIN_PAUSE: Duration = Duration::from_millis(2);
/// The interval at which a primary that is shutting down looks whether there is a successor.
const SUCCESSOR_PAUSE: Duration = Duration::from_millis(10);

/// The end of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// It was primary and another peer has taken over; no change was lost.
    HandedOver {
        /// The new primary.
        to: PeerName,
    },
    /// It was primary and nobody has taken over: the others will elect one after the failure
    /// timeout.
    NotHandedOver {
        /// The reason.
        reason: SwitchError,
    },
    /// It was not primary.
    WasReplica,
}

/// A peer that is about to end, and is not promoted any more. If it does not end after all it is as
/// before, unless it has ceased to decide for its callers: then nobody is to make it primary.
pub(crate) struct SteppedAside<'a> {
    shared: &'a Shared,
}

impl Drop for SteppedAside<'_> {
    fn drop(&mut self) {
        if !self.shared.has_shut_down() {
            self.shared.set_aside(false);
        }
    }
}

impl Shared {
    /// Has the others not choose this peer any more, for it is about to end: of several that are
    /// stopped at once none is to hand over to another that it knows to stop.
    pub(crate) fn step_aside(&self) -> SteppedAside<'_> {
        self.set_aside(true);
        SteppedAside { shared: self }
    }

    /// The event loop looks at it with every turn: no queue is in the way.
    fn set_aside(&self, is_aside: bool) {
        self.is_aside.store(is_aside, Ordering::Release);
        self.attention.notify_one();
    }

    /// Hands over if this peer is primary and can.
    pub(crate) async fn hand_over(&self) -> Shutdown {
        let was_primary = match self.routing.kind() {
            RouteKind::Here => true,
            RouteKind::HandingOver => false,
            RouteKind::There | RouteKind::Nowhere => return Shutdown::WasReplica,
        };
        let limit = self.group.failure_timeout;
        match timeout(limit, self.switch_in_a_moment()).await {
            Ok(Ok(to)) => Shutdown::HandedOver { to },
            Ok(Err(SwitchError::NotPrimary { .. })) if !was_primary => Shutdown::WasReplica,
            // Another was elected over it: it released nothing, whoever that is.
            Ok(Err(SwitchError::NotPrimary { .. })) => {
                Shutdown::NotHandedOver { reason: SwitchError::NotPrimary { primary: None } }
            }
            Ok(Err(reason)) => Shutdown::NotHandedOver { reason },
            Err(_) => {
                let reason = SwitchError::Aborted { to: self.name().clone() };
                Shutdown::NotHandedOver { reason }
            }
        }
    }

    /// Hands over to the best successor; for two heartbeats, to whoever becomes one. Followers of a
    /// primary that has just begun have not said where they stand. A switch that is under way is
    /// waited for: it ends by itself.
    pub(super) async fn switch_in_a_moment(&self) -> Result<PeerName, SwitchError> {
        let now = self.clock.time();
        let until = now.after(self.group.heartbeat * 2);
        let others_until = now.after(self.group.failure_timeout);
        let is_alone = self.roster.members().len() == 1;
        let mut aborted = None;
        loop {
            let result = self.switch(None).await;
            let patience = match &result {
                // One that was chosen has gone, or stops: there may be another.
                Err(
                    SwitchError::NotReady { .. }
                    | SwitchError::NotConnected { .. }
                    | SwitchError::LeaseEnded
                    | SwitchError::Aborted { .. },
                ) if !is_alone => until,
                Err(SwitchError::Busy) => others_until,
                // The reign was given up for one that did not come.
                Err(SwitchError::NotPrimary { primary: None }) => {
                    return Err(aborted.unwrap_or(SwitchError::NotPrimary { primary: None }));
                }
                _ => return result,
            };
            if self.clock.time() >= patience {
                return result;
            }
            if let Err(error @ SwitchError::Aborted { .. }) = result {
                aborted = Some(error);
            }
            sleep(SUCCESSOR_PAUSE).await;
        }
    }

    /// Waits a moment for calls under way, those of other peers included. Nothing new is to be
    /// decided any more.
    pub(crate) async fn drain(&self) {
        let limit = (self.group.heartbeat * 2).min(self.group.io_timeout);
        let drained = async {
            // What was answered last may still be in an outbox.
            while self.budget.used() > 0 || !self.is_flushed() {
                sleep(DRAIN_PAUSE).await;
            }
        };
        // Whoever has no answer by then is told that the outcome is unknown.
        let _ = timeout(limit, drained).await;
    }

    fn is_flushed(&self) -> bool {
        self.registry.all().iter().all(|connection| connection.lock().outbox.is_drained())
    }

    /// Gives up all authority, and tells the others that they need not wait for its end. What waits
    /// to be written on a connection goes first; a connection that takes no more does without.
    pub(crate) fn say_goodbye(&self) {
        self.set_shut_down();
        self.store.retire();
        for connection in self.registry.all() {
            connection.push_goodbye();
            connection.flush();
        }
    }

    /// Ends all calls and closes all connections.
    pub(crate) fn close(&self) {
        self.set_shut_down();
        self.store.retire();
        self.is_ended.store(true, Ordering::Release);
        for connection in self.registry.all() {
            connection.close();
        }
        self.waiters.end_all();
        self.routing.wake_all();
        self.events.close();
    }
}
