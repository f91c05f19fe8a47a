//! The work of the event loop besides feeding the machine: once per heartbeat, or when it is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::event_loop::EventLoop;
use super::shared::Shared;
use crate::base::id::{Ballot, GroupId, PeerKind, PeerName, Time};
use crate::base::told::rounded;
use crate::driver::calls::reason::{Known, no_primary};
use crate::driver::links::connection::Connection;
use crate::driver::links::reach::LinkErrorReason;
use crate::driver::links::stall::Stall;
use crate::driver::report::journal::LINKS;
use crate::driver::report::status::Status;
use crate::driver::report::tally::Closed;
use crate::protocol::io::{LinkEnd, Route};
use crate::protocol::message::Message;

/// Cells removed at most by one step of sweeping, which looks at eight times as many; about a
/// millisecond.
const SWEEP_CELLS: usize = 8_192;
const SWEEP_LOOKS: usize = 8 * SWEEP_CELLS;
/// Heartbeats in which all cells are looked at once.
const SWEEP_HEARTBEATS: u32 = 16;
/// Parts of a heartbeat in which connections for calls are looked after once.
const ATTEND_DIVISOR: u32 = 4;
/// Shortest pause between two steps.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

impl Shared {
    /// Returns true if so many members are being refused that the rest is no majority.
    ///
    /// A refused connection is tried again within a second: a peer whose last refusal is older
    /// has gone.
    pub(super) fn refusals_prevent_majority(&self, now: Time) -> bool {
        let since = now.before(self.handshake_timeout() * 2);
        let up = self.registry.up();
        let is_refused =
            |name: &&PeerName| !up.contains_key(*name) && self.refusals.has_since(since, name);
        let members = self.roster.members();
        if members.is_empty() {
            // It knows nobody's name; who is at the addresses that it was given has answered.
            let mut contacts = self.reach.contacts().into_iter();
            return contacts.any(|(_, error)| error.is_refusal());
        }
        let others = members.iter().filter(|name| **name != self.config.name);
        let left = members.len() - others.filter(is_refused).count();
        left <= members.len() / 2
    }

    /// Tells the embedder that its certificate ends soon.
    pub(super) fn watch_certificate(&self) {
        let Some(certificate) = self.transport.certificate() else { return };
        if let Some(event) = self.certificate_expiry.due(&certificate, self.clock.wall_ms()) {
            self.tell(event);
        }
    }

    /// Tells the embedder when the store comes near a bound; whether the fill has changed.
    pub(super) fn watch_fill(&self) -> bool {
        let before = self.fill.fill();
        if let Some(event) = self.fill.look(self.store.usage()) {
            self.tell(event);
        }
        self.fill.fill() != before
    }

    /// Closes connections that get nowhere.
    fn close_stuck(&self, now: Time) {
        for connection in self.registry.silent(now.before(self.group.failure_timeout)) {
            self.close_as(&connection, Closed::Silent);
        }
        // A peer is not given less time for a frame than for a sign of life.
        let patience = self.group.io_timeout.max(self.group.failure_timeout);
        for connection in self.registry.all() {
            // What was written since it last read something is not held any more.
            connection.weigh(&self.roster);
            match connection.stall(now, patience) {
                Some(Stall::NotTaken) => self.close_as(&connection, Closed::NotTaking),
                Some(Stall::Unfinished) => self.close_as(&connection, Closed::Unfinished),
                None => {}
            }
        }
    }

    fn close_as(&self, connection: &Arc<Connection>, why: Closed) {
        let peer = self.name();
        let identity = &connection.identity;
        let about = &identity.peer;
        let lane = identity.lane;
        let reason = why.as_word();
        let said = why.as_sentence();
        if connection.is_guest(&self.roster) {
            // There may be many, time and again.
            tracing::debug!(
                target: LINKS, %peer, %about, %lane, reason, "closed a connection: {said}"
            );
        } else {
            tracing::warn!(
                target: LINKS, %peer, %about, %lane, reason, "closed a connection: {said}"
            );
        }
        self.tally.note_closed(why);
        let reason = match why {
            Closed::NotTaking | Closed::Silent => LinkErrorReason::TimedOut,
            Closed::Crowded | Closed::Garbled | Closed::Unfinished => LinkErrorReason::Protocol,
        };
        let detail = format!("this peer has closed the connection: {}", why.as_sentence());
        self.note_lost(about, reason, detail);
        self.registry.close(connection);
    }
}

impl EventLoop {
    /// Does what is to be done once per heartbeat.
    pub(super) fn on_heartbeat(&mut self, now: Time) {
        let shared = &self.shared;
        let heartbeat = shared.group.heartbeat;
        let lateness = now.since(self.agenda.heartbeat);
        self.agenda.heartbeat = now.after(heartbeat);
        shared.watch_certificate();
        let up = &self.links;
        let is_known = |peer: &PeerName| shared.roster.is_known(peer.as_str());
        shared.differences.retain(|peer| up.contains_key(peer) || is_known(peer));
        let dialed = shared.roster.dialed();
        shared
            .reach
            .retain(|peer| !up.contains_key(peer) && (dialed.contains(peer) || is_known(peer)));
        // Last, for it notes why links are lost that are up as yet. After a stall of this process
        // there may be much to read from whoever seems silent.
        if lateness < heartbeat {
            shared.close_stuck(now);
        }
        self.tell_waiting(now);
        self.must_publish = true;
    }

    /// Sees to it that replies are read: the task that reads them runs on the embedder's runtime,
    /// which may have other things to do. New calls take another way then; those under way end
    /// after a while, with an unknown outcome.
    pub(super) fn look_after_calls(&mut self, now: Time) {
        let heartbeat = self.shared.group.heartbeat;
        let timeout = self.shared.group.failure_timeout;
        let pause = heartbeat / ATTEND_DIVISOR;
        let patience = heartbeat / 2;
        self.agenda.attend = now.after(pause);
        for connection in self.data_connections.iter().filter(|open| open.carries_own_calls()) {
            let idle = connection.look_after(now, patience);
            if idle.is_some_and(|idle| idle >= timeout / 2) {
                tracing::warn!(
                    target: LINKS,
                    peer = %self.shared.name(),
                    about = %connection.identity.peer,
                    idle = %rounded(idle.unwrap_or_default()),
                    "the runtime that this peer was started on does not run its tasks: replies \
                     were not read, and the calls that wait for them end"
                );
                self.shared.registry.close(connection);
            }
        }
        // A task that runs again says so by itself, and at any time.
        self.choose_connection();
    }

    /// Removes some of the cells that have expired, at a pace that the number of cells demands.
    pub(super) fn sweep(&mut self, now: Time) {
        let shared = &self.shared;
        // As full as it was: what is removed now was in the way of calls until now.
        if shared.watch_fill() {
            self.must_publish = true;
        }
        let has_more = shared.store.sweep(SWEEP_CELLS) >= SWEEP_CELLS;
        let steps = shared.store.cells() / SWEEP_LOOKS + 1;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let heartbeat = shared.group.heartbeat;
        let pause = heartbeat * SWEEP_HEARTBEATS / steps;
        // While operations find no room, what has expired is not to be in their way.
        let refused = shared.store.usage().refused;
        let is_short = std::mem::replace(&mut self.agenda.refused, refused) != refused;
        let pause = if has_more || is_short { SWEEP_PAUSE } else { pause.max(SWEEP_PAUSE) };
        self.agenda.sweep = now.after(pause.min(heartbeat));
    }

    /// Ends callers, and calls of others, whose deadline has come.
    pub(super) fn expire(&mut self, now: Time) {
        let shared = self.shared.clone();
        shared.expiry.clear();
        let mut next = shared.waiters.expire(now, &mut self.wakers);
        let mut earliest = |deadline: Option<Time>| {
            next = [next, deadline].into_iter().flatten().min();
        };
        for connection in shared.registry.all() {
            earliest(connection.expire_calls(now, &mut self.wakers));
        }
        self.for_each_replying(|state| {
            earliest(state.replying.expire(now, &mut state.outbox));
        });
        if let Some(next) = next {
            shared.expiry.rearm(next);
        }
    }

    pub(super) fn publish(&mut self, now: Time) {
        self.must_publish = false;
        self.agenda.publish = None;
        self.agenda.last_published = now;
        let mut status = self.machine.status(self.shared.clock.now());
        status.group_id = self.group_id(status.group_id);
        let shared = &self.shared;
        let known = Known {
            own: &shared.config.name,
            kind: shared.config.kind,
            members: &shared.roster.members(),
        };
        let is_refused = || shared.refusals_prevent_majority(now);
        shared.routing.set_reason(no_primary(&status, &known, is_refused));
        shared.routing.set_group_id(status.group_id);
        self.status.send_replace(Arc::new(Status::new(&self.shared, status)));
    }

    /// Group time is what the store has shown last and what has passed since. A later reign may
    /// show the same once more: then nothing has passed.
    pub(super) fn follow_group_time(&mut self, now: Time) {
        let store = &self.shared.store;
        let group_time = (store.position().ballot, store.group_time());
        if group_time != self.group_time {
            self.group_time = group_time;
            let now = self.shared.clock.skipping_none(now);
            self.shared.routing.set_group_time(now, group_time.1);
        }
    }

    /// The membership may have changed: the tasks that dial and accept are to know, and the peers
    /// that hold none.
    pub(super) fn follow_members(&mut self) {
        let stamp = self.machine.membership().stamp;
        if stamp == self.members_stamp {
            return;
        }
        self.members_stamp = stamp;
        let before = self.shared.roster.places();
        self.shared.roster.set_membership(self.machine.membership());
        self.shared.set_site_epoch(self.machine.site_epoch());
        self.tell_moved(&before);
        self.must_publish = true;
        let linked: Vec<_> =
            self.links.iter().map(|(peer, up)| (peer.clone(), up.end.clone())).collect();
        for (peer, end) in &linked {
            self.tell_members(peer, end);
        }
    }

    /// Logs which other members are reached elsewhere from now on than they were `before`.
    fn tell_moved(&self, before: &BTreeMap<PeerName, String>) {
        let peer = self.shared.name();
        for (member, to) in self.shared.roster.places().into_iter().filter(|(name, _)| name != peer)
        {
            let from = before.get(&member).filter(|from| !from.is_empty() && **from != to);
            if let Some(from) = from {
                tracing::info!(
                    target: LINKS, %peer, about = %member, from, to,
                    "{member} is reached at {to} from now on, and not at {from}"
                );
            }
        }
    }

    /// Tells a peer that holds no membership who the members are, if this one holds it.
    pub(super) fn tell_members(&mut self, peer: &PeerName, end: &LinkEnd) {
        let is_across = self.shared.roster.stands_across(peer);
        if end.kind == PeerKind::Member && !is_across {
            return;
        }
        if let Some((stamp, members)) = self.shared.roster.to_tell() {
            self.send(peer, end.incarnation, Message::Peers { stamp, members });
        }
    }

    /// Notes which group the primary that is followed belongs to: so does this peer before it holds
    /// any of its data.
    pub(super) fn note_group(&mut self, from: &PeerName, ballot: Ballot, group_id: GroupId) {
        let route = self.machine.route();
        let is_followed = matches!(route, Route::There { peer, .. } if peer == from);
        if is_followed && self.heard_group != Some((ballot, group_id)) {
            self.heard_group = Some((ballot, group_id));
            self.must_publish = true;
        }
    }

    /// The group that decisions are made for at present.
    fn group_id(&self, own: Option<GroupId>) -> Option<GroupId> {
        match (self.machine.route(), self.heard_group) {
            (Route::There { ballot, .. }, Some((heard, group_id))) if *ballot == heard => {
                Some(group_id)
            }
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use crate::base::id::GroupTime;
    use crate::driver::peer::Peer;
    use crate::model::{Answer, Cell, Delta, Item, Model, Value};
    use crate::protocol::message::Lane;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(30);
    const TIMEOUT: Duration = Duration::from_secs(2);

    /// Says yes to everything.
    struct Idle;

    impl Model for Idle {
        fn decide(&self, _items: &[Item<'_>], _cells: &mut [Cell], _now: GroupTime) -> Answer {
            Answer::default()
        }

        fn accumulate(
            &self,
            _item: &Item<'_>,
            _before: Option<&Value>,
            _after: &Value,
            _delta: &mut Delta,
        ) {
        }

        fn merge(&self, _key: &[u8], _delta: &Delta, _cell: &mut Cell, _now: GroupTime) -> u64 {
            0
        }
    }

    fn one_thread() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    /// Waits until calls for the primary take this lane.
    async fn until_lane(peer: &Peer, lane: Lane) {
        let routing = &peer.shared().routing;
        let mut changes = routing.watch();
        let waiting = async {
            while routing.connection().map(|connection| connection.identity.lane) != Some(lane) {
                changes.changed().await.expect("the peer is there");
            }
        };
        timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("calls take the {lane:?} lane"));
    }

    /// The task said so itself, between two looks: nobody saw a change, and calls took the data
    /// lane for ever.
    #[test]
    fn calls_go_back_to_their_own_lane_when_its_task_runs_again() {
        let listeners = ["a", "b"].map(|name| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            (name, listener.local_addr().expect("it is bound").to_string(), listener)
        });
        let members = listeners.each_ref().map(|(name, address, _)| (*name, address.clone()));
        drop(listeners);
        let builder = |name: &str, priority| {
            let builder = Peer::builder(name, Idle).members(members.clone()).priority(priority);
            builder.failure_timeout(TIMEOUT).heartbeat(TIMEOUT / 10)
        };
        let a = builder("a", 1);
        let b = builder("b", 0);
        let (tell, told) = oneshot::channel();
        let (block, blocked) = oneshot::channel::<mpsc::Receiver<()>>();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            one_thread().block_on(async {
                let b = b.start().await.expect("the settings are valid");
                assert!(tell.send(b).is_ok(), "the test waits");
                let unblocked = blocked.await.expect("the test goes on");
                // As a caller that never yields.
                unblocked.recv().expect("the test goes on");
                ended.await.expect("the test goes on");
            });
        });
        one_thread().block_on(async {
            let _a = a.start().await.expect("the settings are valid");
            let b = told.await.expect("it starts");
            b.wait_ready(LONG).await.expect("both are there");
            until_lane(&b, Lane::Calls).await;
            let (unblock, unblocked) = mpsc::channel();
            block.send(unblocked).expect("it waits");
            let caller = b.clone();
            let waiting = tokio::spawn(async move {
                loop {
                    // The first may be answered before the runtime is blocked.
                    let _ = caller.decide(&[Item { key: b"k", args: [0; 2] }]).await;
                }
            });
            until_lane(&b, Lane::Data).await;
            unblock.send(()).expect("it waits");
            until_lane(&b, Lane::Calls).await;
            waiting.abort();
            end.send(()).expect("it waits");
        });
        thread.join().expect("it ends with the test");
    }
}
