//! Requests of the handle to the driver, other than decisions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::shared::{Command, Shared, SiteChange};
use crate::base::error::{
    ArrangeError, ForceError, NoPrimaryReason, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::forced::Forced;
use crate::base::id::{GroupTime, PeerKind, PeerName, Time};
use crate::base::policy::{MAX_POLICY_BYTES, Policy};
use crate::config::MonitorChange;
use crate::driver::calls::decider::Decider;
use crate::driver::report::events::{Events, NumberedEvent};
use crate::driver::report::site::{SiteMode, SiteStatus};
use crate::driver::report::status::Status;
use crate::driver::report::tally::PeerStats;
use crate::driver::report::upkeep::MonitorStatus;
use crate::model::{DecideContext, Model, Value};
use crate::session::routes::{RouteKind, Routes};
use crate::store::{Digest, MODEL};

/// The number of times that a primary which leaves, and is elected again before it has, hands over
/// once more.
const LEAVE_TRIES: u32 = 3;

impl Shared {
    pub(crate) fn stats(&self) -> PeerStats {
        let tally = &self.tally;
        PeerStats {
            forwarded: tally.forwarded.get(),
            served: tally.served.get(),
            decided_alone: tally.decided_alone.get(),
            refused_for_room: self.store.usage().refused,
            refused_for_waiting: tally.refused_for_waiting.get(),
            call_times: tally.latency.get(),
            forwarded_times: tally.forwarding.get(),
            units_lost: tally.units_lost.get(),
            units_lost_at_most: tally.units_lost_at_most.get(),
            units_merged: tally.units_merged.get(),
            units_outdated: tally.units_outdated.get(),
            units_discarded: tally.units_discarded.get(),
            units_refused: tally.units_refused.get(),
            campaigns: tally.campaigns.get(),
            primary_changes: tally.primary_changes.get(),
            quorum_losses: tally.quorum_losses.get(),
            links_made: tally.links_made.get(),
            links_lost: tally.links_lost.get(),
            pieces_sent: tally.pieces_sent.get(),
            piece_bytes_sent: tally.piece_bytes_sent.get(),
            closed_crowded: tally.closed_crowded.get(),
            closed_garbled: tally.closed_garbled.get(),
            closed_not_taking: tally.closed_not_taking.get(),
            closed_silent: tally.closed_silent.get(),
            closed_unfinished: tally.closed_unfinished.get(),
            reads_paused: tally.reads_paused.get(),
            messages_dropped: tally.messages_dropped.get(),
            events_omitted: tally.events_omitted.get(),
            turned_away: tally.turned_away.get(),
            accepts_failed: tally.accepts_failed.get(),
        }
    }

    pub(crate) fn name(&self) -> &PeerName {
        &self.config.name
    }

    pub(crate) fn decider(&self) -> Decider {
        self.decider
    }

    #[inline]
    pub(crate) fn io_timeout(&self) -> Duration {
        self.group.io_timeout
    }

    pub(crate) fn digest(&self) -> Digest {
        self.store.digest()
    }

    pub(crate) fn events(&self) -> Events {
        self.events.subscribe()
    }

    pub(crate) fn events_after(&self, number: u64) -> Events {
        self.events.subscribe_after(number)
    }

    pub(crate) fn events_since(&self, number: u64) -> Vec<NumberedEvent> {
        self.events.since(number)
    }

    pub(crate) fn has_shut_down(&self) -> bool {
        self.is_shut_down()
    }

    /// Returns true if its calls have ended and its connections are closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Waits until the group decides here.
    pub(crate) async fn ready(&self) {
        let mut changes = self.routing.watch();
        while !self.is_ready() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns true if the group decides here at present.
    pub(crate) fn is_ready(&self) -> bool {
        if self.has_ended() {
            return false;
        }
        match self.routing.kind() {
            RouteKind::Here => true,
            RouteKind::There => self.routing.connection().is_some(),
            RouteKind::HandingOver | RouteKind::Nowhere => false,
        }
    }

    pub(crate) fn not_ready_reason(&self) -> NoPrimaryReason {
        match self.routing.kind() {
            _ if self.has_ended() => NoPrimaryReason::ShutDown,
            RouteKind::There => self.not_connected(),
            RouteKind::HandingOver => NoPrimaryReason::Electing,
            RouteKind::Here | RouteKind::Nowhere => self.routing.reason(),
        }
    }

    /// Hands over to `to`, or to the best successor.
    pub(crate) async fn switch(&self, to: Option<PeerName>) -> Result<PeerName, SwitchError> {
        // Nobody is there to pass it on to, nor to elect a primary meanwhile.
        if self.config.kind != PeerKind::Member && self.registry.up().is_empty() {
            let has_ended = self.is_shut_down();
            return Err(if has_ended {
                SwitchError::ShuttingDown
            } else {
                SwitchError::NotReached
            });
        }
        let (reply, switched) = oneshot::channel();
        if self.commands.send(Command::Switch { to, reply }).await.is_err() {
            return Err(SwitchError::ShuttingDown);
        }
        switched.await.unwrap_or(Err(SwitchError::ShuttingDown))
    }

    /// Has the primary count a member out.
    pub(crate) async fn remove(&self, peer: PeerName) -> Result<(), RemoveError> {
        let (reply, removed) = oneshot::channel();
        if self.commands.send(Command::Remove { peer, reply }).await.is_err() {
            return Err(RemoveError::ShuttingDown);
        }
        removed.await.unwrap_or(Err(RemoveError::ShuttingDown))
    }

    /// Has another member counted out that is gone.
    pub(crate) async fn forget(&self, peer: PeerName) -> Result<(), RemoveError> {
        if peer == self.config.name {
            return Err(RemoveError::Alive { peer });
        }
        self.remove(peer).await
    }

    /// Has the primary change the policy; returns its revision after that.
    pub(crate) async fn change_policy(&self, change: Bytes) -> Result<u64, PolicyError> {
        let bytes = change.len();
        let max = MAX_POLICY_BYTES;
        if bytes > max {
            return Err(PolicyError::TooLong { bytes, max });
        }
        let (reply, changed) = oneshot::channel();
        if self.commands.send(Command::ChangePolicy { change, reply }).await.is_err() {
            return Err(PolicyError::ShuttingDown);
        }
        changed.await.unwrap_or(Err(PolicyError::ShuttingDown))
    }

    /// Has the primary look after the members in another way; returns the revision after that.
    pub(crate) async fn arrange(&self, change: MonitorChange) -> Result<u64, ArrangeError> {
        let change = change.in_whole_millis();
        if let Err(error) = change.check(self.group.failure_timeout) {
            return Err(ArrangeError::Invalid { rule: error.to_string() });
        }
        let (reply, arranged) = oneshot::channel();
        if self.commands.send(Command::Arrange { change, reply }).await.is_err() {
            return Err(ArrangeError::ShuttingDown);
        }
        arranged.await.unwrap_or(Err(ArrangeError::ShuttingDown))
    }

    /// Has the primary look after the members in another way, and waits a moment until that has
    /// come here.
    pub(crate) async fn change_monitor(
        &self,
        mut status: watch::Receiver<Arc<Status>>,
        change: MonitorChange,
    ) -> Result<MonitorStatus, ArrangeError> {
        let revision = self.arrange(change).await?;
        let is_here = |status: &Arc<Status>| {
            status.monitor.as_ref().is_some_and(|monitor| monitor.revision >= revision)
        };
        let patience = self.group.heartbeat * 2;
        let here = tokio::time::timeout(patience, status.wait_for(is_here)).await;
        let known = here.ok().and_then(|here| here.ok()?.monitor.clone());
        Ok(known.unwrap_or_else(|| MonitorStatus::of_change(change, revision)))
    }

    /// Has something become of the sites, and waits a moment until that has come here.
    pub(crate) async fn change_site(
        &self,
        mut status: watch::Receiver<Arc<Status>>,
        change: SiteChange,
    ) -> Result<SiteStatus, SiteError> {
        let (epoch, is_undecided) = {
            let status = status.borrow();
            let site = status.site.as_ref();
            let is_undecided = site.is_some_and(|site| site.mode == SiteMode::Standalone);
            (site.map_or(0, |site| site.epoch), is_undecided)
        };
        // It would be waited for until one is told to, and end that at once.
        if is_undecided && matches!(change, SiteChange::Demote | SiteChange::Switch) {
            return Err(SiteError::Undecided);
        }
        let mode = match &change {
            SiteChange::Activate | SiteChange::Promote(_) => Some(SiteMode::Active),
            SiteChange::Demote | SiteChange::Switch => None,
        };
        let is_switch = matches!(change, SiteChange::Switch);
        let (reply, changed) = oneshot::channel();
        if self.commands.send(Command::Site { change, reply }).await.is_err() {
            return Err(SiteError::ShuttingDown);
        }
        changed.await.unwrap_or(Err(SiteError::ShuttingDown))?;
        let is_here = |status: &Arc<Status>| {
            status.site.as_ref().is_some_and(|site| match mode {
                Some(mode) => site.mode == mode,
                None if is_switch => site.epoch > epoch,
                None => site.mode == SiteMode::Passive,
            })
        };
        let patience = (self.group.heartbeat * 2).max(self.group.failure_timeout / 4);
        let here = tokio::time::timeout(patience, status.wait_for(is_here)).await;
        let known = here.ok().and_then(|here| here.ok()?.site.clone());
        let known = known.or_else(|| status.borrow().site.clone());
        known.ok_or(SiteError::NoSite)
    }

    /// Makes this peer primary of a new generation without members that are gone for good.
    pub(crate) async fn force(&self, gone: BTreeSet<PeerName>) -> Result<Forced, ForceError> {
        let (reply, forced) = oneshot::channel();
        if self.commands.send(Command::Force { gone, reply }).await.is_err() {
            return Err(ForceError::ShuttingDown);
        }
        forced.await.unwrap_or(Err(ForceError::ShuttingDown))
    }

    /// Group time by both clocks, as far as this peer can tell.
    pub(crate) fn group_time(&self) -> DecideContext {
        let now = self.clock.skipping_none(self.clock.time());
        let steady = self.routing.group_time(now).max(self.store.group_time());
        DecideContext::new(steady, self.store.lead())
    }

    /// The reading of the calendar when the steady clock shows this.
    pub(super) fn by_calendar(&self, steady: GroupTime) -> GroupTime {
        self.store.lead().by_calendar(steady)
    }

    /// A reading of the clock that what is held under a lease is measured by.
    pub(crate) fn time(&self) -> Time {
        self.clock.skipping_none(self.clock.time())
    }

    /// Visits the model's cells of this peer's copy that have not expired.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&[u8], &Value, GroupTime)) {
        let context = self.group_time();
        self.store.for_each(&mut |key, value| {
            if let Some((&MODEL, key)) = key.split_first()
                && value.expires > context.steady()
            {
                let value = Value { expires: context.by_calendar(value.expires), ..*value };
                visit(key, &value, context.now());
            }
        });
    }

    pub(crate) fn policy(&self) -> Policy {
        self.store.meta().policy
    }

    pub(crate) fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// Has this peer counted out, after it has handed over if it is primary.
    pub(crate) async fn leave(&self) -> Result<(), RemoveError> {
        self.is_to_leave.store(true, Ordering::Release);
        let mut tries = LEAVE_TRIES;
        loop {
            match self.remove(self.config.name.clone()).await {
                Err(RemoveError::Primary { .. }) if tries > 0 => tries -= 1,
                result => return result,
            }
            match self.switch_in_a_moment().await {
                // Another was faster: it is a replica already.
                Ok(_) | Err(SwitchError::NotPrimary { .. }) => {}
                Err(reason) => return Err(RemoveError::NotHandedOver { reason }),
            }
        }
    }

    pub(crate) async fn set_priority(&self, priority: u8) {
        // One that has been shut down is not promoted at all.
        let _ = self.commands.send(Command::SetPriority(priority)).await;
    }

    pub(crate) async fn found_new_group(&self) {
        // A peer that has been shut down founds nothing.
        let _ = self.commands.send(Command::Found).await;
    }
}
