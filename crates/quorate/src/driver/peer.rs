//! The handle that an application holds.

use std::any::Any;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::admin::Responder;
use crate::base::error::{
    ArrangeError, DecideError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::forced::Forced;
use crate::base::id::{GroupTime, PeerName, Time};
use crate::base::policy::Policy;
use crate::config::{Consent, MonitorChange};
use crate::driver::ending::Shutdown;
use crate::driver::handle::Handle;
use crate::driver::readiness::{NotCountedError, NotReadyError, NotSafeToStop};
use crate::driver::shared::SiteChange;
use crate::driver::{
    Decider, Decision, Events, Keeper, MonitorStatus, NumberedEvent, PeerBuilder, PeerStats,
    Reading, Shared, SiteStatus, Status, StatusWatch, Tasks,
};
use crate::model::{DecideContext, Item, Model, Value};
use crate::store::Digest;

/// One peer of a group, running in this process.
///
/// A handle is cheap to clone and can be used from any thread. When the last one is dropped the
/// peer ends at once, as if its process had died, and so it does by [`Peer::abort`] while there are
/// others: [`Peer::shutdown`] hands over first. Its address is free again when the runtime has
/// dropped its tasks, a moment later.
///
/// # Examples
///
/// A group of one, which decides by itself:
///
/// ```
/// use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Peer, Value};
///
/// /// Counts how often a key was seen.
/// struct Counter;
///
/// impl Model for Counter {
///     fn decide(&self, _: &[Item<'_>], cells: &mut [Cell], _: GroupTime) -> Answer {
///         let seen = cells[0].value().map_or(0, |value| value.words[0]) + 1;
///         cells[0].set(Value { words: [seen, 0, 0], expires: GroupTime::MAX });
///         Answer { code: 1, units: 1, words: [seen, 0, 0, 0, 0, 0] }
///     }
///     fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, delta: &mut Delta) {
///         delta.words[0] += 1;
///     }
///     fn merge(&self, _: &[u8], delta: &Delta, cell: &mut Cell, _: GroupTime) -> u64 {
///         let seen = cell.value().map_or(0, |value| value.words[0]) + delta.words[0];
///         cell.set(Value { words: [seen, 0, 0], expires: GroupTime::MAX });
///         delta.units
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let network = quorate::transport::InProcess::network();
/// let peer = Peer::builder("a", Counter)
///     .members([("a", "a")])
///     .transport(network.at("a"))
///     .start()
///     .await?;
/// peer.wait_ready(std::time::Duration::from_secs(5)).await?;
/// let decision = peer.decide(&[Item { key: b"k", args: [0, 0] }]).await?;
/// assert_eq!(decision.answer.words[0], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Peer {
    handle: Arc<Handle>,
}

impl Peer {
    /// Sets up a peer. Its name is never reused for another one; its model says how operations
    /// change cells.
    pub fn builder(name: impl Into<PeerName>, model: impl Model) -> PeerBuilder {
        PeerBuilder::new(name.into(), Arc::new(model))
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        status: watch::Receiver<Arc<Status>>,
        tasks: Tasks,
        storage: Option<Keeper>,
    ) -> Self {
        Self { handle: Arc::new(Handle::new(shared, status, tasks, storage)) }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Decides one operation, once for the whole group, within the group's I/O timeout.
    ///
    /// # Errors
    ///
    /// See [`DecideError`]: each variant says whether anything may have been written. A denial is
    /// an answer, not an error.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it was polled has done nothing. One that is dropped later
    /// may have been decided: its outcome is unknown.
    pub fn decide(
        &self,
        items: &[Item<'_>],
    ) -> impl Future<Output = Result<Decision, DecideError>> + Send {
        // Not an async function around another: at the primary a call is a few dozen nanoseconds.
        let shared = &self.handle.shared;
        shared.decide(items, Reading::Cheap, shared.io_timeout())
    }

    /// Decides one operation as [`Peer::decide`] does, with a deadline of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Peer::decide`].
    ///
    /// # Cancel safety
    ///
    /// Those of [`Peer::decide`].
    pub fn decide_within(
        &self,
        items: &[Item<'_>],
        timeout: Duration,
    ) -> impl Future<Output = Result<Decision, DecideError>> + Send {
        self.handle.shared.decide(items, Reading::Cheap, timeout)
    }

    /// Decides one operation as [`Peer::decide`] does, by this reading of the clock, and with a
    /// deadline of its own if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Peer::decide`].
    ///
    /// # Cancel safety
    ///
    /// Those of [`Peer::decide`].
    pub fn decide_by(
        &self,
        items: &[Item<'_>],
        reading: Reading,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Decision, DecideError>> + Send {
        let shared = &self.handle.shared;
        shared.decide(items, reading, timeout.unwrap_or_else(|| shared.io_timeout()))
    }

    /// A snapshot of this peer and its group, as this peer sees it. What its event loop knows is
    /// up to a tenth of a heartbeat old; positions and counts are as of now.
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Counts of what this peer has done since it started: calls that it forwarded or took up from
    /// others, elections, links, what it sent to its followers. Costs a dozen loads.
    ///
    /// ```
    /// use quorate::Peer;
    ///
    /// fn reconnections(peer: &Peer) -> u64 {
    ///     peer.stats().links_made.saturating_sub(peer.status().peers.len() as u64)
    /// }
    /// ```
    pub fn stats(&self) -> PeerStats {
        self.handle.shared.stats()
    }

    /// Sees the status change.
    pub fn watch_status(&self) -> StatusWatch {
        self.handle.watch_status()
    }

    /// Events from now on. Those of the start have been told by then: [`Peer::events_after`] has
    /// them.
    pub fn events(&self) -> Events {
        self.handle.shared.events()
    }

    /// Events with numbers above `number`, without gap or double: those that are still kept, and
    /// then those to come. 0 begins with the start of this peer, the number of the last one seen
    /// with the next. Numbers are of one start of a peer: one that it has not come to yet, as kept
    /// from an earlier start, stands for the newest.
    ///
    /// ```
    /// use quorate::Peer;
    ///
    /// /// Shows all that happens to a peer, beginning with its start.
    /// async fn show(peer: &Peer) {
    ///     let mut events = peer.events_after(0);
    ///     while let Some(event) = events.next().await {
    ///         println!("{} {:?}", event.number, event.event);
    ///     }
    /// }
    /// ```
    pub fn events_after(&self, number: u64) -> Events {
        self.handle.shared.events_after(number)
    }

    /// Events with numbers above `number`, as far as they are kept; 0 for all of these.
    pub fn events_since(&self, number: u64) -> Vec<NumberedEvent> {
        self.handle.shared.events_since(number)
    }

    /// Waits until the group decides here: this peer is primary and has its lease, or is connected
    /// to the primary.
    ///
    /// In relaxed mode it waits for that too, so that a service that starts does not count on its
    /// own; after `timeout` it is ready all the same, for it decides alone from the first call on.
    /// The status names the primary, if there is one; what it says of the others is as of their
    /// last heartbeats, which may be from before they heard that primary. Whether this peer counts
    /// as a member is another thing: [`Peer::wait_counted`].
    ///
    /// # Errors
    ///
    /// In strict mode, if there is no primary within `timeout`, and the peer goes on trying; in any
    /// mode, if the peer was counted out of the group or ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the peer.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<Status, NotReadyError> {
        self.handle.wait_ready(timeout).await
    }

    /// Waits until the group decides here *and* this start of the peer counts as a member: it has
    /// come up with the primary, votes, and acknowledges ([`Status::is_counted`] and
    /// [`Status::is_current`]). A peer that was restarted decides again, by its primary, long
    /// before that: in memory it is to be counted in first, and on disk to be sent what it has
    /// missed. Stop another one meanwhile, and nothing may be decided until that has come. So a
    /// rollout waits for this peer by peer. A peer whose storage has failed never counts. Of a
    /// client, which counts nowhere, as [`Peer::wait_ready`].
    ///
    /// # Errors
    ///
    /// If it does not within `timeout`, and the peer goes on trying; or if the peer ends, or was
    /// counted out of the group. Relaxed peers are no exception: one that decides alone counts
    /// nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the peer.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate::{NotCountedError, Peer};
    ///
    /// /// What a readiness probe answers.
    /// async fn is_ready(peer: &Peer) -> Result<(), NotCountedError> {
    ///     peer.wait_counted(Duration::ZERO).await.map(drop)
    /// }
    /// ```
    pub async fn wait_counted(&self, timeout: Duration) -> Result<Status, NotCountedError> {
        self.handle.wait_counted(timeout).await
    }

    /// Checks that the group goes on if this peer is stopped now, as far as it knows: a
    /// majority of the members is left that count, keep up with the primary and are not about to
    /// stop, and all of them hear one that is, or may become, the primary. Asked by whoever is
    /// about to stop it; [`Peer::shutdown`] logs a warning where it is not so, but for an only
    /// member, and goes on.
    ///
    /// What this peer knows of others is as of their last heartbeats, so peers are to be stopped
    /// one after the other. A group of one or two never goes on without one of them.
    ///
    /// # Errors
    ///
    /// If it does not, with whoever is missing and why.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::Peer;
    ///
    /// /// Stops a peer only if nobody is hurt.
    /// async fn stop(peer: &Peer) {
    ///     match peer.safe_to_stop() {
    ///         Ok(()) => drop(peer.shutdown().await),
    ///         Err(whom) => eprintln!("not now: {whom}"),
    ///     }
    /// }
    /// ```
    pub fn safe_to_stop(&self) -> Result<(), NotSafeToStop> {
        self.handle.safe_to_stop()
    }

    /// Waits until the group decides here, this peer counts, and one more member may fail: then the
    /// next one may be restarted. In a group of one or two none ever may, and this is
    /// [`Peer::wait_counted`]. Where the others do not come within `timeout`, this peer is settled
    /// all the same if it counts. Once settled, it stays so while calls are decided.
    ///
    /// # Errors
    ///
    /// If it does not count at the end; see [`NotCountedError`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has changed nothing.
    pub async fn wait_settled(&self, timeout: Duration) -> Result<Status, NotCountedError> {
        self.handle.wait_settled(timeout).await
    }

    /// Returns true if this peer is settled, as [`Peer::wait_settled`] waits for, or counts and has
    /// run for `patience`: the answer to a readiness probe that paces a rollout. Never let a
    /// startup or liveness probe go by it: that kills a good member because another is missing.
    pub fn is_settled(&self, patience: Duration) -> bool {
        self.handle.is_settled(patience)
    }

    /// Hands the group over to another peer. To be asked of any member, which asks the primary; of
    /// another peer where they let it ([`PeerBuilder::clients_may_switch_primary`]). Calls are held
    /// for the moment it takes, and no change is lost.
    ///
    /// Takes no longer than the I/O timeout at another peer than the primary, and no longer than
    /// three quarters of the failure timeout there.
    ///
    /// # Errors
    ///
    /// If it is not known to have taken place; see [`SwitchError`]. No change was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped a switch that the primary has been asked for goes on; one that it
    /// has not is not asked for any more.
    pub async fn switch_primary(&self, to: impl Into<PeerName>) -> Result<(), SwitchError> {
        self.handle.shared.switch(Some(to.into())).await.map(drop)
    }

    /// Has this peer counted out of the group, for good: a primary hands over first. When it
    /// returns the group has one member less, and majorities are of those that are left; shut this
    /// peer down then. Until that its calls are still forwarded while its connections last, but it
    /// takes part in nothing, and its name is refused when it comes back.
    ///
    /// Takes no longer than the I/O timeout, and a hand-over.
    ///
    /// # Errors
    ///
    /// If it is not known to be counted out; see [`RemoveError`]. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more.
    pub async fn leave(&self) -> Result<(), RemoveError> {
        self.handle.shared.leave().await
    }

    /// True if this peer was asked to leave since it was started, by [`Peer::leave`] or over the
    /// admin lane, whatever came of it: if it is counted out then, somebody wanted it so, and it is
    /// not to come back by itself.
    ///
    /// ```
    /// use quorate::{Event, Peer};
    ///
    /// fn must_come_back(peer: &Peer, event: &Event) -> bool {
    ///     matches!(event, Event::CountedOut { .. }) && !peer.is_to_leave()
    /// }
    /// ```
    pub fn is_to_leave(&self) -> bool {
        self.handle.shared.is_to_leave.load(Ordering::Acquire)
    }

    /// Has another peer counted out of the group that is gone for good; to be asked of any peer, of
    /// one that is no member where they let it ([`PeerBuilder::clients_may_remove_members`]). As
    /// long as a member that has crashed is not forgotten, it counts: in a group of three with one
    /// gone, the two that are left must both be there.
    ///
    /// Takes no longer than the I/O timeout.
    ///
    /// # Errors
    ///
    /// If it is not known to be counted out; see [`RemoveError`]. A peer that is connected is not
    /// forgotten: it leaves by itself, or is stopped first. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more.
    pub async fn forget(&self, peer: impl Into<PeerName>) -> Result<(), RemoveError> {
        self.handle.shared.forget(peer.into()).await
    }

    /// Has the group look after its members in another way, from now on and through all changes of
    /// its primary; returns how, as this peer sees it. To be asked of any member; of another peer
    /// where they let it remove members ([`PeerBuilder::clients_may_remove_members`]).
    ///
    /// Takes no longer than the I/O timeout, and two heartbeats until this peer knows.
    ///
    /// # Errors
    ///
    /// If it is not known to be changed; see [`ArrangeError`]. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate::{ArrangeError, Monitor, MonitorChange, Peer};
    ///
    /// /// Five are deployed from now on, and none is to be forgotten while they are moved.
    /// async fn before_the_move(peer: &Peer) -> Result<(), ArrangeError> {
    ///     peer.change_monitor(MonitorChange::Set(Monitor::new(5))).await?;
    ///     peer.change_monitor(MonitorChange::Pause(Duration::from_secs(7200))).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn change_monitor(
        &self,
        change: MonitorChange,
    ) -> Result<MonitorStatus, ArrangeError> {
        self.handle.change_monitor(change).await
    }

    /// Makes the site of this peer the one that decides, of two ([`PeerBuilder::site`]). Returns
    /// once a majority of its members holds that.
    ///
    /// Where nobody at this site holds anything, the group is founded here: as soon as all members
    /// of its list are reached, or a majority after the failure timeout. A group that has had one
    /// site keeps all that it holds; its members have been given the site before, one after the
    /// other. Peers of the other site are let in from then on, and follow. Takes no longer than the
    /// I/O timeout.
    ///
    /// # Errors
    ///
    /// If this site is not known to decide; see [`SiteError`]. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more, and nothing is founded.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{Peer, SiteError};
    ///
    /// /// The first day of a group at two sites: told to one peer of the one that decides.
    /// async fn first_day(peer: &Peer) -> Result<(), SiteError> {
    ///     peer.activate_site().await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn activate_site(&self) -> Result<SiteStatus, SiteError> {
        self.handle.change_site(SiteChange::Activate).await
    }

    /// Has the site that decides give that up, so that the other one can be promoted without a
    /// loss. Returns once most of the peers that are listed of the other one hold that.
    ///
    /// Callers go on until the other site is seen to hold what was decided, and are held then, for
    /// half of the failure timeout; after that they are refused
    /// ([`NoPrimaryReason::SiteSealed`](crate::NoPrimaryReason::SiteSealed)) until one of the two
    /// sites is promoted ([`Peer::promote_site`]). To be asked of a peer of the site that decides:
    /// of one whose site follows already it is done. Takes no longer than the I/O timeout.
    ///
    /// # Errors
    ///
    /// If the site is not known to have given up deciding; see [`SiteError`]. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{Consent, Peer, SiteError};
    ///
    /// /// The other data center takes over, step by step.
    /// async fn hand_over(here: &Peer, there: &Peer) -> Result<(), SiteError> {
    ///     here.demote_site().await?;
    ///     there.promote_site(Consent::default()).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn demote_site(&self) -> Result<SiteStatus, SiteError> {
        self.handle.change_site(SiteChange::Demote).await
    }

    /// Has the two sites change places: [`Peer::demote_site`], and the best peer of the other site
    /// is promoted at once. Returns once that one decides. Callers at both sites are held meanwhile
    /// and then go on there.
    ///
    /// To be asked of any peer of either site. Takes no longer than the I/O timeout.
    ///
    /// # Errors
    ///
    /// If the other site is not known to decide; see [`SiteError`]. No decision was lost. Where it
    /// has ended by its time the site that decided may have given that up: see `site` in the
    /// status.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{Peer, SiteError};
    ///
    /// /// Before the power is cut where the group is decided.
    /// async fn move_over(peer: &Peer) -> Result<u64, SiteError> {
    ///     Ok(peer.switch_sites().await?.epoch)
    /// }
    /// ```
    pub async fn switch_sites(&self) -> Result<SiteStatus, SiteError> {
        self.handle.change_site(SiteChange::Switch).await
    }

    /// Has this peer's site decide from now on, with this peer as primary. Returns once most of the
    /// peers of this site hold that.
    ///
    /// Without force it is for a group whose active site has given up deciding
    /// ([`Peer::demote_site`]), and loses nothing: most of the peers that are listed of this site
    /// hold all that was ever decided. Asked of the site that has given up deciding it takes that
    /// back, if most of the other one agree.
    ///
    /// By force ([`Consent::force`]) it needs no word of the other site, and no more than most of
    /// the peers of this one, whatever they hold: what the other one has decided and they do not
    /// hold is lost, and while the two do not hear each other both decide. So stop the other site,
    /// or cut it off, before. When they meet it decides nothing any more, follows this one, and
    /// tells how much of its own was lost ([`Event::ChangesLost`](crate::Event::ChangesLost)).
    ///
    /// Takes no longer than the I/O timeout. One that has ended without success may have been
    /// begun: repeat it, or promote the other site; peers of this site that have taken part follow
    /// nobody until then.
    ///
    /// # Errors
    ///
    /// If this site is not known to decide; see [`SiteError`].
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, a promotion that is under way goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{Consent, Peer, SiteError};
    ///
    /// /// The other data center is gone.
    /// async fn disaster(peer: &Peer) -> Result<(), SiteError> {
    ///     let status = peer.promote_site(Consent::default().force()).await?;
    ///     println!("{:?}: what was decided until then is kept", status.last_promotion);
    ///     Ok(())
    /// }
    /// ```
    pub async fn promote_site(&self, consent: Consent) -> Result<SiteStatus, SiteError> {
        self.handle.change_site(SiteChange::Promote(consent)).await
    }

    /// Has the group decide by another policy: by what the primary's model makes of `change` (see
    /// [`Model::change_policy`]). Returns the policy's revision once a majority holds it. To be
    /// asked of any member; of another peer where they let it
    /// ([`PeerBuilder::clients_may_change_policy`]).
    ///
    /// It counts from the primary's next decisions on, key by key within a moment, and for all that
    /// is decided after it has returned. Takes no longer than the I/O timeout.
    ///
    /// # Errors
    ///
    /// If it is not known to be changed; see [`PolicyError`]. No decision was lost.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more.
    pub async fn change_policy(&self, change: impl Into<Bytes>) -> Result<u64, PolicyError> {
        self.handle.shared.change_policy(change.into()).await
    }

    /// The policy as this peer holds it; revision 0 until it is first changed, and always at a
    /// client, which holds nothing.
    pub fn policy(&self) -> Policy {
        self.handle.shared.policy()
    }

    /// The moment at which this peer last had a primary, in group time as far as it can tell; about
    /// now while it has one.
    pub fn alone_since(&self) -> GroupTime {
        self.handle.shared.alone_since()
    }

    /// Visits the cells of this peer's own copy, with group time as far as it can tell: what the
    /// group has replicated to it, without what it decided alone, and late by what is under way. A
    /// client has none.
    ///
    /// Blocks the calling thread for about 20 ns per cell, and what `visit` takes; decisions on
    /// some cells wait meanwhile, a moment each. It must not decide anything itself.
    pub fn visit_cells(&self, visit: &mut dyn FnMut(&[u8], &Value, GroupTime)) {
        self.handle.shared.visit(visit);
    }

    /// The two clocks of the group, as far as this peer can tell.
    pub fn group_time(&self) -> DecideContext {
        self.handle.shared.group_time()
    }

    /// A reading of this peer's clock: it never goes back, and goes on while the machine is
    /// suspended. What is held under a lease is measured by it, and by no clock that stands still
    /// meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate::{Peer, Time};
    ///
    /// /// Whether so much time has passed since then, however much of it was slept through.
    /// fn is_over(peer: &Peer, since: Time, lease: Duration) -> bool {
    ///     peer.time().since(since) >= lease
    /// }
    /// ```
    pub fn time(&self) -> Time {
        self.handle.shared.time()
    }

    /// The model that this peer was started with, if it is an `M`.
    pub fn model<M: Model>(&self) -> Option<&M> {
        let model: &dyn Any = self.handle.shared.model();
        model.downcast_ref()
    }

    /// Sets who is promoted first, from now on and until this peer ends: the lowest number, and
    /// never a peer with 0. A primary stays primary.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have had its effect.
    pub async fn set_priority(&self, priority: u8) {
        self.handle.shared.set_priority(priority).await;
    }

    /// Founds a new group, or begins a new generation of the one there was, as soon as a majority
    /// of the members is reachable, without waiting for the others: neither a failure timeout nor,
    /// under [`NewGenerations::WhenComplete`](crate::NewGenerations::WhenComplete), for good. What
    /// only those hold is lost.
    ///
    /// Whoever holds the latest data stands, so call it at every peer that is left. It counts until
    /// there is a primary.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have had its effect.
    pub async fn found_new_group(&self) {
        self.handle.shared.found_new_group().await;
    }

    /// Makes this peer primary of a new generation without members that are gone for good, where
    /// no majority is left. Every other member is either in reach, and votes for it, or named in
    /// `gone`; it goes on from the freshest state among them. The gone are counted out.
    ///
    /// Nothing is passed on: who is asked acts. Asked again in the same way it answers the same, as
    /// long as that generation stands. Takes no longer than the I/O timeout.
    ///
    /// What only the gone held is lost. Say that a peer is gone only if it has ended for good, and
    /// will not be started with its data again: if it lives, cut off, two primaries decide, until
    /// they first hear of each other, and then this one goes on. `lost` in the status says whom
    /// there is to wait for, and who holds the most.
    ///
    /// # Errors
    ///
    /// If it is not known to be primary; see [`ForceError`]. But for [`ForceError::TimedOut`]
    /// nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what the primary has been asked for goes on; what it has not is
    /// not asked for any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::{ForceError, Peer};
    ///
    /// /// The machines of `b` and `c` have burned down.
    /// async fn go_on(peer: &Peer) -> Result<(), ForceError> {
    ///     let forced = peer.force_primary(["b", "c"]).await?;
    ///     println!("kept all that was decided up to {}", forced.as_of.as_millis());
    ///     Ok(())
    /// }
    /// ```
    pub async fn force_primary<N: Into<PeerName>>(
        &self,
        gone: impl IntoIterator<Item = N>,
    ) -> Result<Forced, ForceError> {
        let gone = gone.into_iter().map(Into::into).collect();
        self.handle.shared.force(gone).await
    }

    /// Ends this peer in an orderly way: it says that it is not to be promoted any more, a primary
    /// hands over, calls under way get their answers, then the connections are closed, and storage
    /// on disk is synced and closed. Takes no longer than the failure timeout and two heartbeats.
    ///
    /// Calls that come later get [`DecideError::ShuttingDown`]. A second shutdown, and one after
    /// [`Peer::abort`], reports [`Shutdown::WasReplica`] when the peer's tasks are gone and its
    /// address and directory are free.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the peer running, handed over, or with its calls ended, and
    /// then it is not promoted any more; shut down again, which goes on from there, or drop the
    /// last handle.
    pub async fn shutdown(&self) -> Shutdown {
        self.handle.shutdown().await
    }

    /// Ends this peer at once, as the death of its process would, however many handles there are:
    /// it hands nothing over, tells nobody, and writes nothing more to its disk. For tests of what
    /// a service does when a peer dies under it; [`Peer::shutdown`] is for everything else.
    ///
    /// Calls that come later get [`DecideError::ShuttingDown`], at every handle, and those under
    /// way an unknown outcome. [`Peer::shutdown`] waits until nothing of the peer is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::Peer;
    ///
    /// /// Whoever still holds a handle has a dead peer then.
    /// async fn kill(peer: &Peer) {
    ///     peer.abort();
    ///     peer.shutdown().await;
    /// }
    /// ```
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// A digest of the cells, the same at all peers at the same position: compare digests whose
    /// positions are equal.
    ///
    /// Blocks the calling thread for about 50 ns per cell. Decisions go on meanwhile; replication
    /// waits.
    ///
    /// On the primary the digest is that of a new cut if anything was decided since the last one.
    /// That includes denials: they change no cell, yet each has its place in the order, and whether
    /// one of them was a change cannot be told without stopping them all. The position may
    /// therefore be ahead of that of replicas which hold equal cells; they reach it within a
    /// heartbeat.
    pub fn digest(&self) -> Digest {
        self.handle.shared.digest()
    }

    /// Has asks of the admin lane that begin with `word` and a full stop, like `limits.get`,
    /// answered by `responder`, in place of whoever did until now.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quorate::Peer;
    /// use quorate::admin::{Access, Reading, Refused, Responder};
    /// use serde_json::{Map, Value, json};
    ///
    /// /// Answers `{"ask":"build.version"}`.
    /// struct Build;
    ///
    /// impl Responder for Build {
    ///     fn read(
    ///         &self,
    ///         ask: &str,
    ///         fields: &Map<String, Value>,
    ///     ) -> Option<Result<Reading, Refused>> {
    ///         if ask != "version" {
    ///             return None;
    ///         }
    ///         if !fields.is_empty() {
    ///             return Some(Err(Refused::bad_request("build.version has no fields")));
    ///         }
    ///         let version = async { Ok(json!(env!("CARGO_PKG_VERSION"))) };
    ///         Some(Ok(Reading::new(Access::Look, version)))
    ///     }
    /// }
    ///
    /// fn set_up(peer: &Peer) {
    ///     peer.answer_asks("build", Arc::new(Build));
    /// }
    /// ```
    pub fn answer_asks(&self, word: &'static str, responder: Arc<dyn Responder>) {
        self.handle.shared.responders.set(word, responder);
    }

    /// This peer, without keeping it running.
    pub fn downgrade(&self) -> WeakPeer {
        WeakPeer { handle: Arc::downgrade(&self.handle) }
    }

    /// This peer, as who decides.
    #[doc(hidden)]
    pub fn as_decider(&self) -> Decider {
        self.handle.shared.decider()
    }

    /// This peer's name.
    pub fn name(&self) -> &PeerName {
        self.handle.shared.name()
    }
}

/// A peer that this does not keep running: it ends when the last [`Peer`] is dropped.
#[derive(Clone)]
pub struct WeakPeer {
    handle: Weak<Handle>,
}

impl WeakPeer {
    /// The peer, as long as there is a handle to it.
    pub fn upgrade(&self) -> Option<Peer> {
        self.handle.upgrade().map(|handle| Peer { handle })
    }
}

impl std::fmt::Debug for WeakPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakPeer").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("name", self.name()).finish_non_exhaustive()
    }
}
