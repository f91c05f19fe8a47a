//! A peer's machine (host) and the process on it: how the state machine is driven.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate::protocol::io::{Input, Output, Route};
use quorate::protocol::message::{BatchEnd, Grant, Membership, Message, Meta, PolicyOutcome};
use quorate::protocol::{Machine, Standing};
use quorate::store::{MODEL, Overlay, Store};
use quorate::{
    Ballot, Bounds, Event as GroupEvent, Incarnation, MemberId, PeerConfig, PeerKind, PeerName,
    Position,
};

use crate::calls::{Origin, Waiting};
use crate::check::Seen;
use crate::clock::{Clock, Moment};
use crate::disk::{HostDisk, Memory, StorageThread};
use crate::history::{Cells, Follower};
use crate::members::List;
use crate::merging::Merging;
use crate::model::SimModel;
use crate::network::{ConnectionId, Payload};
use crate::plan::Plan;
use crate::standstill::Unnoticed;
use crate::world::{Event, World};

/// Expired cells removed per tick at most.
const SWEPT: usize = 16;

/// A host, and the process on it if one runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) config: PeerConfig,
    pub(crate) clock: Clock,
    pub(crate) is_host_up: bool,
    /// Frozen since then.
    pub(crate) paused: Option<Moment>,
    /// What has happened to its machine unseen.
    pub(crate) unnoticed: Unnoticed,
    /// Only its event loop is frozen.
    pub(crate) starves: bool,
    /// What came while it was frozen.
    pub(crate) inbox: Vec<Event>,
    pub(crate) process: Option<Process>,
    /// The list of members that its last start was given.
    pub(crate) list: List,
    /// What outlives the process, in a group that uses disks.
    pub(crate) disk: Option<HostDisk>,
    /// What outlives the process in a group in memory that remembers.
    pub(crate) memory: Memory,
    /// Which settings it starts with: peers refuse each other where they differ.
    pub(crate) revision: u8,
}

/// One incarnation.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) incarnation: Incarnation,
    /// What it is counted by.
    pub(crate) id: MemberId,
    pub(crate) machine: Machine,
    pub(crate) store: Arc<Store>,
    pub(crate) overlay: Overlay,
    /// What it decides by: its limits may be others than those of a peer that is cut off.
    pub(crate) model: Arc<SimModel>,
    pub(crate) route: Route,
    pub(crate) links: Vec<Link>,
    armed: Option<Moment>,
    /// The reign that this process began last.
    pub(crate) reign: Option<Ballot>,
    pub(crate) position: Position,
    /// The members that it knew of before its last input.
    pub(crate) members: Membership,
    /// The founding that its data belong to, and since when it has held some of it.
    pub(crate) holds: Option<(Ballot, Moment)>,
    pub(crate) follower: Follower,
    pub(crate) was_authorized: bool,
    /// It has announced a founding whose reign has not begun yet.
    is_founding: bool,
    /// Calls that wait for a majority, in order.
    pub(crate) waiting: VecDeque<Waiting>,
    /// Calls held during a hand-over.
    pub(crate) parked: Vec<Origin>,
    /// Own calls that were sent to a primary.
    pub(crate) sent: BTreeMap<usize, Ballot>,
    pub(crate) merging: Merging,
    pub(crate) storage: Option<StorageThread>,
    /// The liar is linked.
    pub(crate) hears_liar: bool,
}

/// The open connections to one remote peer, all of one incarnation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) open: Vec<ConnectionId>,
    pub(crate) linked: Option<Incarnation>,
    /// The other end has said goodbye on one of the connections.
    pub(crate) has_ended: bool,
}

impl Peer {
    pub(crate) fn new(plan: &Plan, index: usize, clock: Clock) -> Self {
        let is_client = index >= plan.peers();
        let config = PeerConfig {
            name: plan.name(index),
            kind: if is_client { PeerKind::Client } else { PeerKind::Member },
            priority: plan.priorities.get(index).copied().unwrap_or(100),
            address: String::new(),
            verify_interval: plan.verify_interval,
            client_rights: Default::default(),
            new_generations: plan.new_generations,
            bounds: plan.bounds,
        };
        let has_disk = plan.disk.as_ref().filter(|_| !is_client);
        let disk = has_disk.map(|_| HostDisk::new(plan.seed ^ index as u64));
        let (paused, inbox, process) = (None, Vec::new(), None);
        let list = List::default();
        let (is_host_up, revision, starves) = (true, 0, false);
        let unnoticed = Unnoticed::default();
        Self {
            config,
            clock,
            is_host_up,
            paused,
            unnoticed,
            starves,
            inbox,
            process,
            list,
            disk,
            memory: Memory::default(),
            revision,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some() && self.paused.is_none()
    }

    pub(crate) fn runs(&self, incarnation: Incarnation) -> bool {
        self.process.as_ref().is_some_and(|process| process.incarnation == incarnation)
    }
}

impl Process {
    pub(crate) fn is_authorized(&self, clock: &Clock, now: Moment) -> bool {
        self.reign.is_some_and(|ballot| self.store.is_authorized(clock.time(now), ballot))
    }

    /// Where it stands, and the state beside the cells.
    pub(crate) fn standing(&self) -> (Standing, Meta) {
        let meta = self.store.meta();
        (Standing::new(self.store.position(), &meta), meta)
    }

    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.route, Route::Here { .. })
    }

    /// The cells under these keys, expired ones included.
    pub(crate) fn cells(&self, keys: &[Bytes]) -> Cells {
        let read = |key: &Bytes| Some((key.clone(), self.store.read(MODEL, key)?));
        keys.iter().filter_map(read).collect()
    }
}

impl World {
    /// The index of a peer by its name: a, b, c, ..
    pub(crate) fn index_of(&self, name: &PeerName) -> usize {
        usize::from(name.as_str().as_bytes()[0] - b'a')
    }

    pub(crate) fn process(&self, peer: usize) -> Option<&Process> {
        self.peers.get(peer)?.process.as_ref()
    }

    pub(crate) fn process_mut(&mut self, peer: usize) -> Option<&mut Process> {
        self.peers[peer].process.as_mut()
    }

    /// A process starts, blank, as a new incarnation.
    pub(crate) fn start(&mut self, peer: usize) {
        if self.peers[peer].process.is_some() {
            return;
        }
        let incarnation = Incarnation(self.process_random.next());
        let seed = self.process_random.next();
        let bounds: Bounds = self.plan.bounds;
        _ = self.start_clock(peer);
        self.peers[peer].unnoticed = Unnoticed::default();
        let now = self.peers[peer].clock.now(self.now);
        let store = Arc::new(Store::with_hash_seed(bounds, self.plan.seed));
        let group = self.enlist(peer);
        let config = self.peers[peer].config.clone();
        let (start, storage) = self.recover_disk(peer, incarnation, seed, &store);
        let id = start.id;
        self.ids.insert(incarnation, id);
        self.successions.insert(incarnation, start.succession);
        let model = Arc::new(SimModel::of(&self.plan));
        let machine = Machine::new(group, config, start, Arc::clone(&store), model.clone(), now);
        self.peers[peer].is_host_up = true;
        self.peers[peer].paused = None;
        self.peers[peer].starves = false;
        self.peers[peer].process = Some(Process {
            incarnation,
            id,
            machine,
            store,
            overlay: Overlay::new(bounds.max_overlay_keys),
            model,
            route: Route::Nowhere,
            links: vec![Link::default(); self.plan.hosts()],
            armed: None,
            reign: None,
            position: Position::BLANK,
            members: Membership::default(),
            holds: None,
            follower: Follower::default(),
            was_authorized: false,
            is_founding: false,
            waiting: VecDeque::new(),
            parked: Vec::new(),
            sent: BTreeMap::new(),
            merging: Merging::default(),
            storage,
            hears_liar: false,
        });
        self.note(peer, &[1, incarnation.0], |_| format!("starts as {incarnation}"));
        self.see(&Seen::Started { peer });
        self.note_recovered(peer);
        self.arm(peer);
        self.start_merging(peer);
    }

    /// Hands one input to the machine and does what it asks for.
    pub(crate) fn drive(&mut self, peer: usize, input: Input) {
        let now = self.peers[peer].clock.now(self.now);
        if let Some(request) = wish(&input) {
            self.see(&Seen::Wish { peer, request });
        }
        #[cfg(feature = "bugs")]
        let log = self.visit_cuts(peer, now.time);
        if let Some(process) = self.process_mut(peer) {
            process.machine.handle(now, input);
        }
        self.note_turn(peer);
        #[cfg(feature = "bugs")]
        self.leave_cuts(peer, now.time, log);
        while let Some(process) = self.peers[peer].process.as_mut() {
            let Some(output) = process.machine.poll_output() else { break };
            self.on_output(peer, output);
            if self.failure.is_some() {
                return;
            }
        }
        self.observe(peer);
        self.arm(peer);
    }

    fn on_output(&mut self, peer: usize, output: Output) {
        match output {
            Output::Send { to, .. } if Self::is_for_liar(&to) => {}
            Output::Send { to, incarnation, message } => {
                let to = self.index_of(&to);
                self.on_send(peer, to, incarnation, message);
            }
            Output::Event(event) => self.on_group_event(peer, &event),
            Output::Committed => self.on_committed(peer),
            Output::Save(_) | Output::Append { .. } | Output::EndSnapshot { .. } => {
                self.on_storage_output(peer, output);
            }
            Output::Removed { result, .. } => {
                let is_done = result.is_ok();
                self.counters.add(if is_done { "removals" } else { "removals refused" });
            }
            Output::PolicyChanged { result, .. } => {
                let is_done = result.is_ok();
                self.note(peer, &[4, u64::from(is_done)], |_| format!("policy: {result:?}"));
                // Who passes an answer on has it from the primary.
                let is_primary = self.process(peer).is_some_and(Process::is_primary);
                if let Some(revision) = result.ok().filter(|_| is_primary) {
                    self.on_policy_changed(peer, revision);
                }
            }
            Output::Routed(route) => self.on_routed(peer, route),
            Output::Switched { request, result } => {
                let is_done = result.is_ok();
                self.note(peer, &[2, request, u64::from(is_done)], |_| {
                    format!("switch {request}: {result:?}")
                });
                self.counters.add(if is_done { "hand-overs" } else { "hand-overs refused" });
                self.switched.push((request, is_done));
            }
        }
    }

    fn on_send(&mut self, peer: usize, to: usize, incarnation: Incarnation, message: Message) {
        self.count_message(&message);
        match &message {
            Message::Follow { ballot, .. } => self.on_reign(peer, *ballot),
            // A winner goes on to its reign in the same step: this is what it has adopted.
            // With a disk it has adopted it long before it says so.
            // What waited until it was remembered is no news.
            Message::Held { position, .. } if self.plan.disk.is_none() => {
                let is_news = |held: Position| held < *position || self.plan.remembers.is_none();
                if self.process(peer).is_some_and(|process| is_news(process.position)) {
                    self.on_held(peer, *position);
                }
            }
            // A client takes part in nothing, and goes back from a ballot that came to nothing.
            Message::Ping { brief, .. } if !self.is_client(peer) => {
                self.see(&Seen::Ballot { peer, ballot: brief.ballot });
            }
            // A deposed primary names itself.
            Message::Release { ballot, to } if *to != self.plan.name(peer) => {
                self.see(&Seen::Released { peer, ballot: *ballot });
            }
            Message::PolicyChanged { outcome: PolicyOutcome::Changed { revision }, .. } => {
                self.on_policy_changed(peer, *revision);
            }
            Message::VoteReply { ballot, grant: Grant::Vote, .. } => {
                self.see(&Seen::Vote { peer, ballot: *ballot, to });
            }
            _ => {}
        }
        self.trigger_on_message(peer, to, &message);
        self.transmit(peer, to, incarnation, Payload::Protocol(message));
    }

    fn count_message(&mut self, message: &Message) {
        self.counters.add("messages");
        match message {
            Message::Fork { .. } => self.counters.add("forks found"),
            Message::Piece(piece) if piece.end.is_some() => {
                if piece.digest.is_some() {
                    self.counters.add("states compared");
                }
                let is_whole = piece.from.is_none();
                self.counters.add(if is_whole { "full copies" } else { "batches" });
                if let Some(BatchEnd { meta: Some(_), .. }) = piece.end {
                    self.counters.add("batches with meta");
                }
            }
            Message::Piece(_) => self.counters.add("pieces before the last"),
            Message::Tail { keys: None, .. } => self.counters.add("tails too long"),
            Message::Tail { .. } => self.counters.add("forks repaired"),
            Message::StandNow { .. } => self.counters.add("winners that gave way"),
            Message::Lost { .. } => self.counters.add("batches lost"),
            _ => {}
        }
    }

    fn on_group_event(&mut self, peer: usize, event: &GroupEvent) {
        let code = self.count_event(peer, event);
        if matches!(event, GroupEvent::Founded { .. } | GroupEvent::NewGeneration { .. })
            && let Some(process) = self.process_mut(peer)
        {
            process.is_founding = true;
        }
        self.note(peer, &[3, code], |_| format!("event {event:?}"));
        if let GroupEvent::PrimaryChanged { primary: Some(primary), ballot } = event
            && *primary == self.plan.name(peer)
            && self.newest_membership().is_some_and(|m| m.voters.len() == 1)
        {
            // Nobody is there to be told that it begins.
            self.on_reign(peer, *ballot);
        }
        self.see(&Seen::Event { peer, event });
        self.trigger_on_event(peer, event);
    }

    fn count_event(&mut self, peer: usize, event: &GroupEvent) -> u64 {
        let (code, name) = match event {
            GroupEvent::Founded { .. } => (1, "foundings"),
            GroupEvent::NewGeneration { .. } => (2, "new generations"),
            GroupEvent::PrimaryChanged { primary, .. } => {
                let is_self = primary.as_ref() == Some(&self.plan.name(peer));
                (3, if is_self { "elections" } else { "primaries followed" })
            }
            GroupEvent::FailureAgreed { .. } => (4, "failovers"),
            GroupEvent::CampaignStarted { .. } => (5, "campaigns"),
            GroupEvent::QuorumLost { .. } => (6, "quorum lost"),
            GroupEvent::SteppedDown { .. } => (7, "steps down"),
            GroupEvent::MemberReplaced { .. } => (8, "members replaced"),
            GroupEvent::ChangesLost { .. } => (9, "changes lost"),
            GroupEvent::Diverged { .. } => (14, "divergences"),
            GroupEvent::OlderGenerationDropped { .. } => (10, "older generations dropped"),
            GroupEvent::SwitchAborted { .. } => (11, "switches aborted"),
            GroupEvent::ConfigMismatch { .. } => (12, "groups refused"),
            GroupEvent::MemberAdded { .. } => (14, "members added"),
            GroupEvent::MemberRemoved { .. } => (15, "members removed"),
            GroupEvent::PolicyChanged { .. } => (16, "policies taken up"),
            _ => (13, "other events"),
        };
        self.counters.add(name);
        code
    }

    /// A reign begins: what it starts from becomes part of the history.
    fn on_reign(&mut self, peer: usize, ballot: Ballot) {
        let Some(process) = self.peers[peer].process.as_mut() else { return };
        if process.reign == Some(ballot) {
            return;
        }
        process.reign = Some(ballot);
        let primary = (peer, process.incarnation);
        let cells = process.cells(&self.keys);
        let parent = Some(process.position).filter(|position| !position.is_blank());
        let group_time = process.store.group_time();
        let is_founding = std::mem::take(&mut process.is_founding);
        self.note(peer, &[4, ballot.term.0, cells.len() as u64], |world| {
            let parent = parent.map(|parent| world.short_position(parent));
            format!("begins reign {ballot} from {parent:?} with {} cells", cells.len())
        });
        let cells = &cells;
        self.see(&Seen::Reign { peer, ballot, parent, is_founding, group_time, cells });
        self.history.begin(ballot, primary, parent, is_founding, cells.clone());
        self.see(&Seen::Begun { ballot });
    }

    /// Looks at what an input has changed.
    pub(crate) fn observe(&mut self, peer: usize) {
        let now = self.now;
        let Some(Peer { clock, process: Some(process), .. }) = self.peers.get_mut(peer) else {
            return;
        };
        let is_authorized = process.is_authorized(clock, now);
        let is_news = is_authorized && !process.was_authorized;
        process.was_authorized = is_authorized;
        let (from, to) = (process.position, process.store.position());
        process.position = to;
        process.members = process.store.meta().membership;
        if is_news {
            self.see(&Seen::Authority { peer });
        }
        if from != to {
            self.on_moved(peer, from, to);
        }
    }

    pub(crate) fn on_held(&mut self, peer: usize, to: Position) {
        let Some(process) = self.process_mut(peer) else { return };
        let from = std::mem::replace(&mut process.position, to);
        if from != to {
            self.on_moved(peer, from, to);
        }
    }

    fn on_moved(&mut self, peer: usize, from: Position, to: Position) {
        let sequence = to.sequence.0;
        self.note(peer, &[5, to.ballot.term.0, sequence], |world| {
            format!("moves from {} to {}", world.short_position(from), world.short_position(to))
        });
        self.note_holding(peer);
        let Some(process) = self.peers[peer].process.as_mut() else { return };
        let is_reigning = process.reign == Some(to.ballot);
        let group_time = process.store.group_time();
        if is_reigning {
            self.see(&Seen::Cut { peer, from, to, group_time });
            return;
        }
        let cells = process.cells(&self.keys);
        let mut follower = std::mem::take(&mut process.follower);
        let result = self.history.follow(&mut follower, to);
        if let Err(what) = result {
            self.fail("equal_positions", what);
        }
        let expected = follower.cells();
        self.see(&Seen::Moved { peer, from, to, group_time, cells: &cells, expected });
        if let Some(process) = self.process_mut(peer) {
            process.follower = follower;
        }
    }

    /// Schedules the machine's next tick, as late as a busy process would run it.
    pub(crate) fn arm(&mut self, peer: usize) {
        let Some(Peer { clock, process: Some(process), .. }) = self.peers.get_mut(peer) else {
            return;
        };
        let due = clock.moment(process.machine.deadline());
        if due == Moment::END {
            return;
        }
        let late = self.process_random.duration(Duration::ZERO, self.plan.timeout() / 2_000);
        let at = due.max(self.now).after(late);
        if process.armed.is_none_or(|armed| at < armed) {
            process.armed = Some(at);
            let incarnation = process.incarnation;
            self.queue.push(at, Event::Tick { peer, incarnation });
        }
    }

    pub(crate) fn on_tick(&mut self, peer: usize, incarnation: Incarnation) {
        let Peer { clock, process: Some(process), paused, .. } = &mut self.peers[peer] else {
            return;
        };
        if process.incarnation != incarnation || process.armed != Some(self.now) {
            return;
        }
        process.armed = None;
        if paused.is_some() {
            return;
        }
        process.store.sweep(SWEPT);
        if clock.time(self.now) >= process.machine.deadline() {
            self.drive(peer, Input::Tick);
        } else {
            self.arm(peer);
        }
    }

    pub(crate) fn on_changed(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.peers[peer].runs(incarnation) {
            return;
        }
        if self.peers[peer].paused.is_some() {
            self.peers[peer].inbox.push(Event::Changed { peer, incarnation });
            return;
        }
        self.drive(peer, Input::Changed);
    }
}

/// The request that an input makes, if it asks for a hand-over. No two have one number.
fn wish(input: &Input) -> Option<u64> {
    match input {
        Input::Switch { request, .. }
        | Input::Message { message: Message::SwitchPrimary { request, .. }, .. } => Some(*request),
        _ => None,
    }
}
