//! The guard of a permit, which is renewed as long as it lives, and given back when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate::{Peer, Time};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::limiter::RateLimiter;
use crate::limiter::decision::Decision;
use crate::limiter::hold_id::PermitId;
use crate::model::error::AcquireError;

/// A permit that is held: renewed every third of its lease, and given back when this is dropped.
///
/// If it cannot be renewed within its lease, because this peer has no primary for as long (in
/// relaxed mode too, unless it was given without one), somebody else may have its place:
/// [`Permit::is_lost`] says so, [`Permit::lost`] waits for it, and whoever guards something that
/// must not be done twice passes the id on, which is good for nothing then.
///
/// Its lease is counted from before it was asked for, by a clock that goes on while the machine is
/// suspended, and a twentieth is taken off for clocks that do not run alike. A clock of the group
/// that is put right lets it lapse no earlier. What nobody sees is a pause of a whole virtual
/// machine that stops its clocks: there the id is what protects. Under `Acknowledge::Primary` a
/// failover may lose the last renewal, and with it up to a third of the lease.
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit {
    id: PermitId,
    lease: Duration,
    is_lost: watch::Receiver<bool>,
    state: GuardState,
}

/// The state of a guard; dropped, it has the permit given back.
enum GuardState {
    /// Renewed by a task, until that is told what becomes of it.
    Renewed { until: Arc<Until>, stop: Option<oneshot::Sender<Left>> },
    /// Of a shadow: that has no place for it, and none is lost.
    Shadow { _lost: watch::Sender<bool> },
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("id", &self.id)
            .field("lease", &self.lease)
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

/// Word that a permit is left to whoever has its id.
#[derive(Debug)]
struct Left;

/// The moment until which a permit is sure to be held, by the clock of the peer that renews it:
/// what its guard says of it does not wait for a task to be woken.
struct Until {
    peer: Peer,
    /// The reading of that clock; [`LOST`] once somebody has seen that it is over.
    nanos: AtomicU64,
}

/// The mark of a permit that has been called lost: no renewal that comes late takes that back.
const LOST: u64 = 0;

/// The part of a lease by which it is given up before its end: by as much the primary's clock may
/// be fast.
const MARGIN_DIVISOR: u32 = 20;

impl Until {
    /// Begins a lease that was asked for at `asked`.
    fn new(peer: &Peer, asked: Time, lease: Duration) -> Self {
        Self { peer: peer.clone(), nanos: AtomicU64::new(Self::end(asked, lease)) }
    }

    /// Returns when a lease is given up that was asked for at `asked`.
    fn end(asked: Time, lease: Duration) -> u64 {
        asked.after(lease - lease / MARGIN_DIVISOR).0
    }

    /// Adds a lease that was asked for at `asked`, unless the permit has been called lost.
    fn extend(&self, asked: Time, lease: Duration) {
        let later = |until| (until != LOST).then(|| Self::end(asked, lease).max(until));
        // What was called lost stays so.
        let _ = self.nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// Returns the time that is left; zero for good once it is zero.
    fn left(&self) -> Duration {
        let mut until = self.nanos.load(Ordering::Acquire);
        loop {
            let left = Time(until).since(self.peer.time());
            if until == LOST || !left.is_zero() {
                return left;
            }
            let lose =
                self.nanos.compare_exchange(until, LOST, Ordering::AcqRel, Ordering::Acquire);
            match lose {
                Ok(_) => return Duration::ZERO,
                Err(renewed) => until = renewed,
            }
        }
    }
}

impl Permit {
    /// Holds a permit that was asked for at `asked`.
    pub(crate) fn hold(
        limiter: &RateLimiter,
        id: PermitId,
        decision: &Decision,
        asked: Time,
    ) -> Self {
        let lease = decision.reset_after;
        let (lost, is_lost) = watch::channel(false);
        if decision.shadow {
            return Self { id, lease, is_lost, state: GuardState::Shadow { _lost: lost } };
        }
        let (stop, stopped) = oneshot::channel();
        let until = Arc::new(Until::new(limiter.peer(), asked, lease));
        let renewal = Renewal {
            limiter: limiter.clone(),
            id: id.clone(),
            lease,
            until: until.clone(),
            next: asked.after(lease / 3),
            is_of_group: !decision.basis.is_local(),
        };
        tokio::spawn(renewal.run(lost, stopped));
        Self { id, lease, is_lost, state: GuardState::Renewed { until, stop: Some(stop) } }
    }

    /// Returns its name, which may travel.
    pub fn id(&self) -> &PermitId {
        &self.id
    }

    /// Returns the time that it is held without being renewed.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the time that it is sure to be held if it is not renewed any more; zero once it is
    /// lost. It is renewed meanwhile, as a rule.
    pub fn left(&self) -> Duration {
        match &self.state {
            GuardState::Renewed { until, .. } if !*self.is_lost.borrow() => until.left(),
            GuardState::Renewed { .. } => Duration::ZERO,
            GuardState::Shadow { .. } => self.lease,
        }
    }

    /// Returns true if its lease has ended without being renewed: somebody else may have its place.
    /// Once it is lost it stays so.
    pub fn is_lost(&self) -> bool {
        self.left().is_zero()
    }

    /// Waits until its lease has ended without being renewed. After a suspension of the machine it
    /// may say so a tenth of the lease late: [`Permit::is_lost`] does not.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has no effect.
    pub async fn lost(&self) {
        let mut is_lost = self.is_lost.clone();
        if is_lost.wait_for(|is_lost| *is_lost).await.is_err() {
            // The runtime ends: nobody renews it any more.
        }
    }

    /// Stops renewing it, and does not give it back: that is for whoever has its id, by
    /// [`RateLimiter::renew_permit`] and [`RateLimiter::release_permit`], at any peer. Left alone
    /// it is free within one and a half leases.
    pub fn detach(mut self) -> PermitId {
        if let GuardState::Renewed { stop, .. } = &mut self.state
            && let Some(stop) = stop.take()
        {
            // A task that has ended has nothing to be told.
            let _ = stop.send(Left);
        }
        self.id.clone()
    }
}

/// A permit that is renewed as long as its guard lives.
struct Renewal {
    limiter: RateLimiter,
    id: PermitId,
    lease: Duration,
    until: Arc<Until>,
    /// The moment at which it is to be renewed.
    next: Time,
    /// True if the group has given it: then only the group renews it, and not a peer alone.
    is_of_group: bool,
}

impl Renewal {
    /// Renews it until its guard is dropped, and gives it back then.
    async fn run(mut self, lost: watch::Sender<bool>, mut stopped: oneshot::Receiver<Left>) {
        loop {
            let left = self.until.left();
            if left.is_zero() {
                lost.send_replace(true);
                break;
            }
            // Timers stand still while the machine is suspended, so the clock is looked at now and
            // then.
            let pause = self.next.since(self.time()).min(left).min(self.lease / 10);
            tokio::select! {
                biased;
                left = &mut stopped => match left {
                    Ok(Left) => return,
                    Err(_) => break,
                },
                () = sleep(pause) => {}
            }
            if self.time() >= self.next && !self.renew().await {
                lost.send_replace(true);
                return;
            }
        }
        // Best effort: if it fails the permit is free when its lease has ended.
        let _ = self.limiter.release_permit(&self.id).await;
    }

    /// Renews it, or sees to it that it is tried again; returns false if it is held no more.
    async fn renew(&mut self) -> bool {
        let asked = self.time();
        match timeout(self.until.left(), self.limiter.renew_permit(&self.id)).await {
            // Too late: it has been called lost, and is given back.
            Ok(Ok(_)) if self.until.left().is_zero() => {}
            Ok(Ok(renewed)) if !(self.is_of_group && renewed.basis.is_local()) => {
                // Merged, what a peer alone has given is the group's.
                self.is_of_group |= !renewed.basis.is_local();
                self.until.extend(asked, self.lease);
                self.next = asked.after(self.lease / 3);
            }
            Ok(Err(AcquireError::Ended)) => return false,
            // Soon again, as long as it may be held.
            Ok(_) | Err(_) => self.next = self.time().after(self.lease / 10),
        }
        true
    }

    fn time(&self) -> Time {
        self.limiter.peer().time()
    }
}
