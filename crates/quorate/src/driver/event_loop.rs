//! The one task that owns the state machine.
//!
//! ```text
//!   control messages ─┐
//!   data messages ────┤            ┌─▶ messages into outboxes, one write per connection
//!   commands ─────────┼─▶ machine ─┼─▶ route, waiting callers
//!   changes ──────────┤            └─▶ events, status
//!   time ─────────────┘
//! ```
//!
//! Heartbeats come first and time is looked at in every turn, so that neither waits behind data.
//! Calls do not pass through here: see `calls/decide.rs` and `calls/serve.rs`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep_until};

use super::requests::Requests;
use super::shared::{Command, Shared, SiteChange};
use super::storage::{self, Report, StorageTask};
use crate::base::error::NoPrimaryReason;
use crate::base::event::Event;
use crate::base::id::{
    Ballot, GroupId, GroupTime, Incarnation, PeerName, PeerStart, Position, Time,
};
use crate::driver::links::connection::{Connection, State};
use crate::driver::links::inbox::Inbound;
use crate::driver::links::registry::LinkUp;
use crate::driver::report::journal::LINKS;
use crate::driver::report::status::Status;
use crate::driver::report::waiting::Waiting;
use crate::protocol::Machine;
use crate::protocol::io::{Input, Output, Route};
use crate::protocol::message::{Arrangement, Lane, Message};
use crate::session::merging::Merging;
use crate::session::routes::{RouteKind, Routes};

/// Messages taken from one inbox before anything else is looked at.
const MAX_BATCH: usize = 32;
/// Small changes are published this often per heartbeat; roles, routes and links at once.
const STATUS_DIVISOR: u32 = 10;

/// The receiving ends of what goes to the event loop.
pub(super) struct Inputs {
    pub(super) control: mpsc::Receiver<Inbound>,
    pub(super) data: mpsc::Receiver<Inbound>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Of a peer with storage on disk.
    pub(super) storage: Option<storage::Link>,
}

/// See the module's documentation.
pub(super) struct EventLoop {
    pub(super) shared: Arc<Shared>,
    pub(super) machine: Machine,
    pub(super) inputs: Inputs,
    pub(super) status: watch::Sender<Arc<Status>>,
    /// The links that the machine knows to be up, and the registry's version then.
    pub(super) links: BTreeMap<PeerName, LinkUp>,
    pub(super) seen_version: Option<u64>,
    /// Open connections on which callers and calls may be waiting.
    pub(super) data_connections: Vec<Arc<Connection>>,
    /// Connections with frames from this turn.
    pub(super) unflushed: Vec<Arc<Connection>>,
    pub(super) requests: Requests,
    pub(super) merging: Merging,
    pub(super) agenda: Agenda,
    /// The membership that the roster has, by its stamp.
    pub(super) members_stamp: Position,
    pub(super) must_publish: bool,
    pub(super) has_committed: bool,
    /// Steady group time as the store showed it last, and in which reign.
    pub(super) group_time: (Ballot, GroupTime),
    /// The newest reign heard of, and its group.
    pub(super) heard_group: Option<(Ballot, GroupId)>,
    pub(super) wakers: Vec<Waker>,
    pub(super) waiting: Waiting,
}

/// The times at which things are due, apart from what the machine and the callers want.
#[derive(Debug)]
pub(super) struct Agenda {
    pub(super) heartbeat: Time,
    pub(super) sweep: Time,
    /// Connections whose tasks run on the callers' runtime are looked after then.
    pub(super) attend: Time,
    /// Operations that had been refused for room by the last step of sweeping.
    pub(super) refused: u64,
    /// A status that may have changed is published then.
    pub(super) publish: Option<Time>,
    /// The time at which what was written is synced.
    pub(super) sync: Option<Time>,
    pub(super) last_published: Time,
}

/// The outcome of one wait of the loop.
enum Woken {
    Messages,
    Command(Command),
    Changed,
    Stored(Report),
    Other,
}

impl EventLoop {
    pub(super) fn new(
        shared: Arc<Shared>,
        machine: Machine,
        inputs: Inputs,
        status: watch::Sender<Arc<Status>>,
    ) -> Self {
        let now = shared.clock.time();
        let agenda = Agenda {
            heartbeat: now,
            sweep: now,
            attend: now,
            refused: 0,
            publish: None,
            sync: None,
            last_published: now,
        };
        Self {
            shared,
            machine,
            inputs,
            status,
            links: BTreeMap::new(),
            seen_version: None,
            data_connections: Vec::new(),
            unflushed: Vec::new(),
            requests: Requests::default(),
            merging: Merging::default(),
            agenda,
            members_stamp: Position::BLANK,
            must_publish: true,
            has_committed: false,
            group_time: (Position::BLANK.ballot, GroupTime(0)),
            heard_group: None,
            wakers: Vec::new(),
            waiting: Waiting::default(),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut timer = Box::pin(sleep_until(self.shared.clock.instant_of(Time(0))));
        let mut urgent = Vec::new();
        let mut messages = Vec::new();
        self.shared.turns.begin(self.shared.clock.time());
        loop {
            self.run_due();
            self.arm(timer.as_mut());
            self.shared.turns.end(self.shared.clock.time());
            let woken = {
                let Inputs { control, data, commands, storage } = &mut self.inputs;
                tokio::select! {
                    biased;
                    _ = control.recv_many(&mut urgent, MAX_BATCH) => Woken::Messages,
                    report = storage::next_report(storage) => Woken::Stored(report),
                    Some(command) = commands.recv() => Woken::Command(command),
                    _ = data.recv_many(&mut messages, MAX_BATCH) => Woken::Messages,
                    () = self.shared.changed.notified() => Woken::Changed,
                    () = self.shared.attention.notified() => Woken::Other,
                    () = timer.as_mut() => Woken::Other,
                }
            };
            self.shared.turns.begin(self.shared.clock.time());
            // Before what has come may have it carried out.
            for request in self.requests.abandoned() {
                self.input(Input::Withdraw { request });
            }
            self.follow_links();
            match woken {
                Woken::Messages => {
                    urgent.drain(..).for_each(|message| self.message(message));
                    messages.drain(..).for_each(|message| self.message(message));
                }
                Woken::Command(command) => self.command(command),
                Woken::Changed => self.input(Input::Changed),
                Woken::Stored(report) => self.stored(report),
                Woken::Other => {}
            }
        }
    }

    /// Does everything that is due, and everything that the last input has left behind.
    fn run_due(&mut self) {
        if self.shared.clock.refresh() {
            // Before any call goes by clocks that seem to be in order again.
            self.input(Input::Tick);
        }
        let is_aside = self.shared.is_aside.load(Ordering::Acquire);
        if self.machine.is_aside() != is_aside {
            self.input(Input::StepAside(is_aside));
        }
        self.follow_links();
        let now = self.shared.clock.time();
        if now >= self.agenda.heartbeat {
            self.on_heartbeat(now);
        }
        if now >= self.agenda.sweep {
            self.sweep(now);
        }
        if now >= self.agenda.attend {
            self.look_after_calls(now);
        }
        if now >= self.machine.deadline() {
            self.input(Input::Tick);
        }
        if now >= self.shared.expiry.next() {
            self.expire(now);
        }
        self.follow_group_time(now);
        self.merge_as_routed(now);
        if self.agenda.sync.take_if(|due| now >= *due).is_some() {
            self.give_storage(StorageTask::Sync);
        }
        if self.must_publish || self.agenda.publish.is_some_and(|due| now >= due) {
            self.publish(now);
        }
        self.flush();
    }

    /// Sets the timer for what is due next.
    fn arm(&self, mut timer: Pin<&mut Sleep>) {
        let agenda = &self.agenda;
        let next = [
            Some(self.machine.deadline()),
            Some(agenda.heartbeat),
            Some(agenda.sweep),
            Some(agenda.attend),
            Some(self.shared.expiry.next()),
            agenda.publish,
            agenda.sync,
            self.merge_deadline(),
        ];
        let next = next.into_iter().flatten().min().unwrap_or_default();
        let at = self.shared.clock.instant_of(next);
        // A timer that fires early costs a turn; setting it anew in every turn costs more.
        let is_late = timer.deadline() > at;
        if is_late || timer.is_elapsed() {
            timer.as_mut().reset(at);
        }
    }

    fn message(&mut self, inbound: Inbound) {
        let Inbound { peer, incarnation, message, .. } = inbound;
        let is_linked = self.links.get(&peer).is_some_and(|up| up.end.incarnation == incarnation);
        if !is_linked {
            return;
        }
        let named =
            message.named_reign().map(|(ballot, group_id)| (peer.clone(), ballot, group_id));
        if let Message::Peers { stamp, members } = &message
            // It is a member, or whoever was found where one was looked for. That it says so, and
            // has come here by itself, makes it none.
            && self.shared.roster.dialed().contains(&peer)
        {
            self.shared.roster.set_told(*stamp, members);
        }
        self.input(Input::Message { peer, incarnation, message });
        if let Some((peer, ballot, group_id)) = named {
            self.note_group(&peer, ballot, group_id);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Switch { to, reply } => {
                let request = self.requests.number();
                self.requests.switches.add(request, reply);
                self.input(Input::Switch { request, to });
            }
            Command::Remove { peer, reply } => {
                let request = self.requests.number();
                self.requests.removals.add(request, reply);
                self.input(Input::Remove { request, peer });
            }
            Command::ChangePolicy { change, reply } => {
                let request = self.requests.number();
                self.requests.policy_changes.add(request, reply);
                self.input(Input::ChangePolicy { request, bytes: change });
            }
            Command::Arrange { change, reply } => {
                let request = self.requests.number();
                self.requests.arrangements.add(request, reply);
                let change = Arrangement::Monitor(change);
                self.input(Input::Arrange { request, change });
            }
            Command::Site { change, reply } => {
                let request = self.requests.number();
                self.requests.sites.add(request, reply);
                let input = self.site_input(request, change);
                self.input(input);
            }
            Command::Force { gone, reply } => {
                let request = self.requests.number();
                self.requests.forces.add(request, reply);
                self.input(Input::Force { request, gone });
            }
            Command::RefusedAsStranger { by, standing } => {
                self.input(Input::RefusedAsStranger { by, standing });
            }
            Command::Overtaken { by } => self.input(Input::Overtaken { by }),
            Command::EpochMet { by, site_epoch } => {
                self.input(Input::EpochMet { by, site_epoch });
            }
            Command::Met { peer, refused_for } => self.input(Input::Met { peer, refused_for }),
            Command::HolderMet { position } => self.input(Input::HolderMet { position }),
            Command::SetPriority(priority) => {
                self.input(Input::SetPriority(priority));
                self.must_publish = true;
            }
            Command::Found => self.input(Input::FoundNewGroup),
            Command::Merged { from, reply } => self.on_merge_reply(&from, reply),
        }
    }

    /// Hands one input to the machine and does what comes of it.
    pub(super) fn input(&mut self, input: Input) {
        self.machine.handle(self.shared.clock.now(), input);
        while let Some(output) = self.machine.poll_output() {
            self.output(output);
        }
        if std::mem::take(&mut self.has_committed) {
            self.release_waiting();
        }
        self.follow_members();
        let gathering = self.shared.group.heartbeat / STATUS_DIVISOR;
        let due = self.agenda.last_published.after(gathering);
        self.agenda.publish.get_or_insert(due);
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send { to, incarnation, message } => self.send(&to, incarnation, message),
            Output::Event(Event::ConfigMismatch { peer, field, ours, theirs }) => {
                self.shared.mismatch(peer, field, ours, theirs);
                self.must_publish = true;
            }
            Output::Event(Event::StorageFailed { .. }) => self.tell_storage_failed(),
            Output::Event(event) => {
                self.shared.tell(event);
                self.must_publish = true;
            }
            Output::Unlink(start) => self.shared.registry.unlink(&start),
            Output::Committed => self.has_committed = true,
            Output::Save(hard) => self.give_storage(StorageTask::Save(hard)),
            Output::Append { number, batch } => self.append(number, batch),
            Output::EndSnapshot { records, end } => {
                self.give_storage(StorageTask::EndSnapshot { records, end })
            }
            Output::Removed { request, result } => {
                self.requests.removals.answer(request, result);
            }
            Output::Forced { request, result } => self.requests.forces.answer(request, result),
            Output::Arranged { request, result } => {
                self.requests.arrangements.answer(request, result);
            }
            Output::SiteArranged { request, result } => self.requests.sites.answer(request, result),
            Output::PolicyChanged { request, result } => {
                self.requests.policy_changes.answer(request, result);
            }
            Output::Routed(route) => self.on_routed(&route),
            Output::Switched { request, result } => {
                self.requests.switches.answer(request, result);
            }
        }
    }

    pub(super) fn send(&mut self, to: &PeerName, incarnation: Incarnation, message: Message) {
        let lane = message.lane();
        let Some(connection) = self.shared.registry.pick(to, incarnation, lane) else { return };
        self.shared.tally.note_sent(&message);
        if !connection.push_message(message) {
            self.shared.tally.messages_dropped.add(1);
            tracing::debug!(
                target: LINKS, peer = %self.shared.name(), about = %to, %lane,
                "dropped a message: too much waits to be sent"
            );
        }
        self.flush_later(connection);
    }

    fn flush_later(&mut self, connection: Arc<Connection>) {
        if !self.unflushed.iter().any(|other| Arc::ptr_eq(other, &connection)) {
            self.unflushed.push(connection);
        }
    }

    fn flush(&mut self) {
        for connection in self.unflushed.drain(..) {
            connection.flush();
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// A majority holds more: answers those who wait for that, here and at other peers.
    fn release_waiting(&mut self) {
        let shared = self.shared.clone();
        shared.waiters.release(shared.store.answerable(), &mut self.wakers);
        self.for_each_replying(|state| {
            state.replying.release(&shared.store, &mut state.outbox);
        });
    }

    /// Does something about the calls that came over each connection.
    pub(super) fn for_each_replying(&mut self, mut f: impl FnMut(&mut State)) {
        for index in 0..self.data_connections.len() {
            let connection = self.data_connections[index].clone();
            let has_written = {
                let mut state = connection.lock();
                let before = state.outbox.waiting_bytes();
                f(&mut state);
                state.outbox.waiting_bytes() != before
            };
            if has_written {
                self.flush_later(connection);
            }
        }
    }

    fn on_routed(&mut self, route: &Route) {
        tracing::debug!(
            target: LINKS, peer = %self.shared.name(), %route, "calls take another route"
        );
        let shared = self.shared.clone();
        let now = shared.clock.time();
        if matches!(route, Route::Here { .. }) {
            // The store decides already; what was decided alone is to count as early as can be.
            self.merge(route, now);
        }
        if self.machine.is_disowned() {
            // Before any call finds that there is no primary, and decides by itself.
            shared.routing.set_reason(NoPrimaryReason::CountedOut);
        }
        shared.routing.set_route(route, shared.clock.skipping_none(now));
        self.choose_connection();
        self.must_publish = true;
        let is_held = shared.routing.kind() == RouteKind::HandingOver;
        // Whoever hands over holds what it was asked, and answers when it is known who is next.
        if !is_held {
            self.hasten_former(now);
        }
        let newest = shared.routing.newest_reign();
        shared.waiters.end_past(newest, &mut self.wakers);
        self.for_each_replying(|state| {
            state.replying.end_past(newest, &mut state.outbox);
            if !is_held {
                state.replying.end_held(&mut state.outbox);
            }
        });
    }

    /// Whoever was primary may still answer what it was asked; not for long.
    fn hasten_former(&self, now: Time) {
        let grace = now.after(self.grace());
        let target = self.shared.routing.connection();
        for connection in &self.data_connections {
            if !target.as_ref().is_some_and(|target| Arc::ptr_eq(target, connection)) {
                connection.hasten_calls(grace);
            }
        }
        self.shared.expiry.rearm(grace);
    }

    /// The time for which replies of a primary that is none any more are waited for.
    fn grace(&self) -> Duration {
        (self.shared.group.heartbeat * 2).min(self.shared.group.failure_timeout / 4)
    }

    /// Calls for another peer take this connection from now on.
    pub(super) fn choose_connection(&self) {
        let connection = match self.machine.route() {
            Route::There { peer, incarnation, .. } => {
                self.shared.registry.pick_for_calls(peer, *incarnation)
            }
            _ => None,
        };
        let now = self.shared.clock.skipping_none(self.shared.clock.time());
        self.shared.routing.set_connection(connection, now);
    }

    /// Tells the machine which links have come and gone since it was last told.
    fn follow_links(&mut self) {
        let version = self.shared.registry.version();
        if self.seen_version == Some(version) {
            return;
        }
        self.seen_version = Some(version);
        let all = self.shared.registry.all();
        self.data_connections =
            all.into_iter().filter(|open| open.identity.lane != Lane::Control).collect();
        let up = self.shared.registry.up();
        let known = std::mem::replace(&mut self.links, up.clone());
        let ended = self.shared.registry.take_goodbyes();
        for (peer, link) in &known {
            if up.get(peer) != Some(link) {
                let peer = peer.clone();
                let incarnation = link.end.incarnation;
                let has_ended = ended.contains(&PeerStart::new(peer.clone(), incarnation));
                self.input(Input::LinkDown { peer, incarnation, has_ended });
            }
        }
        for (peer, link) in &up {
            if known.get(peer) != Some(link) {
                let peer = peer.clone();
                let end = link.end.clone();
                self.tell_members(&peer, &end);
                self.input(Input::LinkUp { peer, end });
            }
        }
        self.choose_connection();
        self.must_publish = true;
    }

    /// The input that stands for what is to become of the sites: of the site epoch that this peer
    /// knows.
    fn site_input(&self, request: u64, change: SiteChange) -> Input {
        let site_epoch = self.machine.deciding_epoch();
        let change = match change {
            SiteChange::Activate => Arrangement::Activate,
            SiteChange::Demote => Arrangement::Demote { site_epoch },
            SiteChange::Switch => Arrangement::SwitchSites { site_epoch },
            SiteChange::Promote(consent) => {
                let gone = consent.gone.into_iter().collect();
                return Input::Promote { request, is_forced: consent.force, gone };
            }
        };
        Input::Arrange { request, change }
    }
}

/// Without its machine a peer is as good as dead: it must not look alive. The loop ends when the
/// last handle is dropped, at a shutdown, or when the embedder's model has panicked.
impl Drop for EventLoop {
    fn drop(&mut self) {
        self.shared.close();
    }
}
