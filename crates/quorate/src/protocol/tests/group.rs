//! A group of machines in one thread: every message arrives at once unless its link is cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::base::error::{
    ArrangeError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::event::Event;
use crate::base::forced::Forced;
use crate::base::id::{Ballot, GroupTime, Incarnation, Now, PeerKind, PeerName, Time};
use crate::base::policy::Policy;
use crate::config::{
    Acknowledge, Bounds, ClientRights, GroupConfig, Monitor, NewGenerations, PeerConfig, Site,
};
use crate::model::{Answer, Cell, Delta, Item, Model, Value};
use crate::protocol::io::{HardState, Input, Kept, LinkEnd, Output, Route, SWITCH_VERSION, Start};
use crate::protocol::message::Message;
use crate::protocol::{Machine, Standing};
use crate::store::{Decided, Refused, Store};

/// How often these peers compare their cells.
pub(super) const VERIFY: Duration = Duration::from_secs(60);

/// Adds the first argument to a cell that expires at the second, or never if that is 0.
pub(super) struct Adder;

impl Model for Adder {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _: GroupTime) -> Answer {
        let mut sum = 0;
        for (item, cell) in items.iter().zip(cells) {
            let total = cell.value().map_or(0, |v| v.words[0]) + item.args[0];
            let expires = if item.args[1] == 0 { u64::MAX } else { item.args[1] };
            cell.set(Value { words: [total, 0, 0], expires: GroupTime(expires) });
            sum += item.args[0];
        }
        Answer { code: 1, units: sum, words: [0; 6] }
    }

    fn accumulate(&self, item: &Item<'_>, _: Option<&Value>, _: &Value, delta: &mut Delta) {
        delta.words[0] += item.args[0];
    }

    fn merge(&self, _: &[u8], delta: &Delta, cell: &mut Cell, _: GroupTime) -> u64 {
        let total = cell.value().map_or(0, |v| v.words[0]) + delta.words[0];
        cell.set(Value { words: [total, 0, 0], expires: GroupTime::MAX });
        delta.units
    }
}

/// Decides as [`Adder`] does, whatever its policy says.
#[derive(Default)]
pub(super) struct Judge {
    policy: Mutex<Policy>,
}

impl Judge {
    /// What it was last told to decide by.
    pub(super) fn policy(&self) -> Policy {
        self.policy.lock().clone()
    }
}

impl Model for Judge {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        Adder.decide(items, cells, now)
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        before: Option<&Value>,
        after: &Value,
        delta: &mut Delta,
    ) {
        Adder.accumulate(item, before, after, delta);
    }

    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        Adder.merge(key, delta, cell, now)
    }

    fn change_policy(
        &self,
        policy: &Policy,
        request: &[u8],
        _: GroupTime,
    ) -> Result<Option<Bytes>, String> {
        if request.is_empty() {
            return Err("it says nothing".to_owned());
        }
        Ok((policy.bytes != request).then(|| Bytes::copy_from_slice(request)))
    }

    fn set_policy(&self, policy: &Policy) -> Result<(), String> {
        *self.policy.lock() = policy.clone();
        Ok(())
    }
}

pub(super) struct Peer {
    pub(super) machine: Machine,
    pub(super) store: Arc<Store>,
    pub(super) incarnation: Incarnation,
    pub(super) events: Vec<Event>,
    pub(super) route: Route,
    /// Whom it has parted from.
    pub(super) unlinked: Vec<PeerName>,
    /// How the removals ended that were asked for here.
    pub(super) removed: Vec<Result<(), RemoveError>>,
    /// How the changes of the policy ended that were asked for here.
    pub(super) changed: Vec<Result<u64, PolicyError>>,
    /// How the switches ended that were asked for here.
    pub(super) switched: Vec<Result<PeerName, SwitchError>>,
    /// How the changes of the upkeep ended that were asked for here.
    pub(super) arranged: Vec<Result<u64, ArrangeError>>,
    /// How the wishes about the sites ended that were asked for here.
    pub(super) sited: Vec<Result<(), SiteError>>,
    /// How the wishes ended to be primary by force.
    pub(super) forced: Vec<Result<Forced, ForceError>>,
    pub(super) model: Arc<Judge>,
}

type Mail = (PeerName, PeerName, Incarnation, Message);

/// Peers by name, those that run.
pub(super) struct Group {
    pub(super) config: GroupConfig,
    pub(super) peers: BTreeMap<PeerName, Peer>,
    pub(super) now: Time,
    /// By how much the clocks of a peer are behind: the one that leases are measured by, and the
    /// wall clock, which may be ahead.
    pub(super) behind: BTreeMap<PeerName, (Duration, i64)>,
    pub(super) priorities: BTreeMap<PeerName, u8>,
    /// Where peers say that they are reached.
    pub(super) addresses: BTreeMap<PeerName, String>,
    /// What those are that are no members by list.
    pub(super) kinds: BTreeMap<PeerName, PeerKind>,
    pub(super) bounds: Bounds,
    /// What clients may ask of peers that start from now on.
    pub(super) client_rights: ClientRights,
    /// When peers that start from now on take part in a new generation.
    pub(super) new_generations: NewGenerations,
    pub(super) monitor: Option<Monitor>,
    /// The sites at which peers that start from now on stand.
    pub(super) sites: BTreeMap<PeerName, Site>,
    /// How far wall clocks are off, in seconds.
    pub(super) walls: BTreeMap<PeerName, i64>,
    /// The newest version of the protocol that some speak.
    pub(super) versions: BTreeMap<PeerName, u32>,
    /// Peers that start from now on have storage, which does at once what it is told.
    pub(super) has_storage: bool,
    /// Peers that start from now on are in memory, and remember what they save.
    pub(super) remembers: bool,
    saved: BTreeMap<PeerName, HardState>,
    /// How often something was saved.
    pub(super) saves: usize,
    /// Most cells that a peer has moved with one input, and most bytes that it had beside its
    /// cells.
    pub(super) most_moved: usize,
    pub(super) most_staged: usize,
    linked: BTreeSet<(PeerName, PeerName)>,
    cut: BTreeSet<(PeerName, PeerName)>,
    mail: VecDeque<Mail>,
    started: u64,
    pub(super) dropped: fn(&Message) -> bool,
    /// Just before such a message, the last `Follow` from its sender to its receiver, or the other
    /// way round, comes once more.
    pub(super) asked_again: fn(&Message) -> bool,
    follows: Vec<Mail>,
    pub(super) lost: usize,
    /// The last ballot that each peer has asked votes for, and whether they were to bind.
    asked: BTreeMap<PeerName, (Ballot, bool)>,
}

impl Group {
    pub(super) fn new(names: &[&str]) -> Self {
        let members = names.iter().map(|&n| PeerName::from(n)).collect();
        let config =
            GroupConfig { members, acknowledge: Acknowledge::Majority, ..Default::default() };
        Self {
            config,
            peers: BTreeMap::new(),
            now: Time(1_000_000_000_000),
            behind: BTreeMap::new(),
            priorities: BTreeMap::new(),
            addresses: BTreeMap::new(),
            kinds: BTreeMap::new(),
            bounds: Bounds { shards: 4, ..Bounds::default() },
            client_rights: ClientRights::default(),
            new_generations: NewGenerations::default(),
            monitor: None,
            sites: BTreeMap::new(),
            walls: BTreeMap::new(),
            versions: BTreeMap::new(),
            has_storage: false,
            remembers: false,
            saved: BTreeMap::new(),
            saves: 0,
            most_moved: 0,
            most_staged: 0,
            linked: BTreeSet::new(),
            cut: BTreeSet::new(),
            mail: VecDeque::new(),
            started: 0,
            dropped: |_| false,
            asked_again: |_| false,
            follows: Vec::new(),
            lost: 0,
            asked: BTreeMap::new(),
        }
    }

    /// All peers started and the group founded.
    pub(super) fn founded(names: &[&str]) -> Self {
        let mut group = Self::new(names);
        names.iter().for_each(|name| group.start(name));
        group.run(Duration::from_secs(3));
        assert!(group.primary().is_some(), "founded");
        group
    }

    fn clock(&self, name: &PeerName) -> Now {
        let wall = 1_700_000_000_000_000_000 + self.now.0;
        let off = self.walls.get(name).copied().unwrap_or_default() * 1_000_000_000;
        let (behind, wall_behind) = self.behind.get(name).copied().unwrap_or_default();
        let wall = GroupTime(wall.wrapping_add_signed(off - wall_behind));
        Now { time: self.now.before(behind), wall }
    }

    /// The machine of a peer is paused: it does nothing, and nothing closes.
    pub(super) fn freeze(&mut self, name: &str) -> Peer {
        self.peers.remove(&PeerName::from(name)).expect("the peer runs")
    }

    /// It runs on, and its clocks have stood for so long; the wall clock has been set since if
    /// `is_set`.
    pub(super) fn thaw(&mut self, name: &str, peer: Peer, stood: Duration, is_set: bool) {
        let name = PeerName::from(name);
        let (behind, wall_behind) = self.behind.entry(name.clone()).or_default();
        *behind += stood;
        if !is_set {
            *wall_behind += i64::try_from(stood.as_nanos()).expect("not so long");
        }
        self.peers.insert(name, peer);
    }

    pub(super) fn start(&mut self, name: &str) {
        self.started += 1;
        let incarnation = Incarnation(self.started);
        let name = PeerName::from(name);
        let bounds = self.bounds;
        let store = Arc::new(Store::with_hash_seed(bounds, 7));
        let priority = self.priorities.get(&name).copied().unwrap_or(100);
        let (kind, address) = (
            self.kinds.get(&name).copied().unwrap_or_default(),
            self.addresses.get(&name).cloned().unwrap_or_default(),
        );
        let config = PeerConfig {
            name: name.clone(),
            kind,
            priority,
            address,
            verify_interval: VERIFY,
            client_rights: self.client_rights,
            new_generations: self.new_generations,
            monitor: self.monitor,
            site: self.sites.get(&name).cloned(),
            bounds,
        };
        let remembered = || Kept {
            hard: self.saved.get(&name).cloned().unwrap_or_default(),
            is_restart: false,
            is_state_only: true,
        };
        let kept = self.has_storage.then(Kept::default);
        let kept = kept.or_else(|| self.remembers.then(remembered));
        let start = Start { kept, ..Start::in_memory(incarnation, self.started) };
        let mut group = self.config.clone();
        if config.kind == PeerKind::Joiner {
            group.members = vec![name.clone()];
        }
        // The list of a site is its own.
        if let Some(site) = self.sites.get(&name) {
            group
                .members
                .retain(|other| self.sites.get(other).map(Site::name) == Some(site.name()));
        }
        let model = Arc::new(Judge::default());
        let now = self.clock(&name);
        let machine = Machine::new(group, config, start, Arc::clone(&store), model.clone(), now);
        let peer = Peer {
            machine,
            store,
            incarnation,
            events: Vec::new(),
            route: Route::Nowhere,
            unlinked: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            switched: Vec::new(),
            arranged: Vec::new(),
            sited: Vec::new(),
            forced: Vec::new(),
            model,
        };
        self.peers.insert(name, peer);
        self.relink();
    }

    /// Starts a peer that is no member by list.
    pub(super) fn start_as(&mut self, name: &str, kind: PeerKind) {
        self.kinds.insert(name.into(), kind);
        self.start(name);
    }

    /// Who counts, as `at` knows, and whether a change is under way.
    pub(super) fn members(&self, at: &str) -> (String, bool) {
        let membership = self.peers[&PeerName::from(at)].store.meta().membership;
        let names = membership.voters.iter().map(|m| m.name.as_str()).collect();
        (names, membership.next.is_some())
    }

    /// Asks for a removal at a peer.
    pub(super) fn remove(&mut self, at: &str, peer: &str) {
        self.input(&at.into(), Input::Remove { request: 1, peer: peer.into() });
        self.settle();
    }

    /// Asks for a switch at a peer.
    pub(super) fn switch(&mut self, at: &str, request: u64, to: &str) {
        self.input(&at.into(), Input::Switch { request, to: Some(to.into()) });
        self.settle();
    }

    /// Asks for a change of the policy at a peer.
    pub(super) fn change_policy(&mut self, at: &str, request: u64, policy: &'static str) {
        let bytes = Bytes::from_static(policy.as_bytes());
        self.input(&at.into(), Input::ChangePolicy { request, bytes });
        self.settle();
    }

    /// What a peer decides by, and the revision of that.
    pub(super) fn policy(&self, at: &str) -> (u64, String) {
        let peer = &self.peers[&PeerName::from(at)];
        let Policy { revision, bytes } = peer.model.policy();
        assert_eq!(peer.store.meta().policy.revision, revision, "as its state says");
        (revision, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How the changes of the policy ended that were asked for at a peer.
    pub(super) fn changed(&self, at: &str) -> &[Result<u64, PolicyError>] {
        &self.peers[&PeerName::from(at)].changed
    }

    /// How the only removal asked for at a peer ended.
    pub(super) fn removed(&self, at: &str) -> Option<&Result<(), RemoveError>> {
        let removed = &self.peers[&PeerName::from(at)].removed;
        assert!(removed.len() <= 1, "{removed:?}");
        removed.first()
    }

    /// A process ends; its connections close, and nothing is said.
    pub(super) fn kill(&mut self, name: &str) {
        self.end(name, false);
    }

    /// A process ends, and has said so.
    pub(super) fn stop(&mut self, name: &str) {
        self.end(name, true);
    }

    /// The connections of a process are reset and it lives on, out of reach: another one is to be
    /// started under its name.
    pub(super) fn strand(&mut self, name: &str) -> Peer {
        self.end(name, false)
    }

    /// A process that was stranded is reached again.
    pub(super) fn bring_back(&mut self, name: &str, peer: Peer) {
        self.peers.insert(name.into(), peer);
        let others: Vec<PeerName> =
            self.peers.keys().filter(|n| n.as_str() != name).cloned().collect();
        for other in others {
            let peer = other.clone();
            let down = Input::LinkDown {
                incarnation: self.peers[&other].incarnation,
                peer,
                has_ended: false,
            };
            self.input(&name.into(), down);
        }
        self.relink();
    }

    /// The connections between two processes are reset, and both live on.
    pub(super) fn reset(&mut self, one: &str, other: &str) {
        for (at, peer) in [(one, other), (other, one)] {
            let (at, peer) = (PeerName::from(at), PeerName::from(peer));
            let incarnation = self.peers[&peer].incarnation;
            self.linked.remove(&(at.clone(), peer.clone()));
            self.input(&at, Input::LinkDown { peer, incarnation, has_ended: false });
        }
        self.relink();
    }

    fn end(&mut self, name: &str, has_ended: bool) -> Peer {
        let name = PeerName::from(name);
        let peer = self.peers.remove(&name).expect("the peer runs");
        self.mail.retain(|(from, to, _, _)| *from != name && *to != name);
        let others: Vec<PeerName> = self.peers.keys().cloned().collect();
        for other in others {
            if self.linked.remove(&(other.clone(), name.clone())) {
                let incarnation = peer.incarnation;
                let peer = name.clone();
                self.input(&other, Input::LinkDown { peer, incarnation, has_ended });
            }
            self.linked.remove(&(name.clone(), other));
        }
        peer
    }

    /// Cuts all links between two sides, silently.
    pub(super) fn split(&mut self, one: &[&str], other: &[&str]) {
        for a in one {
            for b in other {
                self.cut.insert(((*a).into(), (*b).into()));
                self.cut.insert(((*b).into(), (*a).into()));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.relink();
    }

    fn standing(&self, name: &PeerName) -> Standing {
        let store = &self.peers[name].store;
        Standing::new(store.position(), &store.meta())
    }

    fn relink(&mut self) {
        let names: Vec<PeerName> = self.peers.keys().cloned().collect();
        for a in &names {
            for b in names.iter().filter(|b| *b != a) {
                let pair = (a.clone(), b.clone());
                if !self.cut.contains(&pair) && self.linked.insert(pair) {
                    let kind = self.kinds.get(b).copied().unwrap_or_default();
                    let address = self.addresses.get(b).cloned().unwrap_or_default();
                    let end = LinkEnd::member(self.peers[b].incarnation);
                    let version = self.versions.get(b).copied().unwrap_or(end.version);
                    let site = self.sites.get(b).map(|site| site.name().to_owned());
                    let site = site.unwrap_or_default();
                    let [own, theirs] = [a, b].map(|peer| self.standing(peer));
                    let is_kin = own.is_kin_of(&theirs);
                    let end = LinkEnd { kind, address, version, site, is_kin, ..end };
                    self.input(a, Input::LinkUp { peer: b.clone(), end });
                }
            }
        }
    }

    pub(super) fn input(&mut self, name: &PeerName, input: Input) {
        let now = self.clock(name);
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        peer.machine.handle(now, input);
        let (receiver, discarded) = (&peer.machine.receiver, peer.store.discarded_bytes());
        self.most_moved = self.most_moved.max(receiver.moved());
        self.most_staged = self.most_staged.max(receiver.bytes() + discarded);
        let mut reports = Vec::new();
        while let Some(output) = peer.machine.poll_output() {
            match output {
                Output::Send { to, incarnation, message } => {
                    match &message {
                        Message::PreVote(request) => {
                            self.asked.insert(name.clone(), (request.ballot, false));
                        }
                        Message::Vote(request) => {
                            self.asked.insert(name.clone(), (request.ballot, true));
                        }
                        _ => {}
                    }
                    let is_cut = self.cut.contains(&(name.clone(), to.clone()));
                    if !is_cut && !(self.dropped)(&message) {
                        self.mail.push_back((name.clone(), to, incarnation, message));
                    }
                }
                Output::Event(event) => peer.events.push(event),
                Output::Unlink(start) => peer.unlinked.push(start.name),
                Output::Routed(route) => peer.route = route,
                Output::Removed { result, .. } => peer.removed.push(result),
                Output::Forced { result, .. } => peer.forced.push(result),
                Output::Arranged { result, .. } => peer.arranged.push(result),
                Output::SiteArranged { result, .. } => peer.sited.push(result),
                Output::PolicyChanged { result, .. } => peer.changed.push(result),
                Output::Switched { result, .. } => peer.switched.push(result),
                Output::Committed => {}
                Output::Save(hard) => {
                    self.saves += 1;
                    self.saved.insert(name.clone(), hard);
                    reports.push(Input::Saved);
                }
                Output::Append { number, .. } => reports.push(Input::Appended { number }),
                Output::EndSnapshot { .. } => unreachable!("no snapshot has been begun"),
            }
        }
        reports.into_iter().for_each(|report| self.input(name, report));
    }

    /// Delivers what is under way until nothing is.
    pub(super) fn settle(&mut self) {
        let mut delivered = 0;
        while let Some(mail) = self.mail.pop_front() {
            delivered += 1;
            assert!(delivered < 100_000, "messages without end");
            if (self.asked_again)(&mail.3) {
                let ends = (&mail.0, &mail.1);
                let mut follows = self.follows.iter().rev();
                let last = follows.find(|f| (&f.0, &f.1) == ends || (&f.1, &f.0) == ends);
                last.cloned().into_iter().for_each(|follow| self.deliver(follow));
            }
            match mail.3 {
                Message::Follow { .. } => self.follows.push(mail.clone()),
                Message::Lost { .. } => self.lost += 1,
                _ => {}
            }
            self.deliver(mail);
        }
    }

    fn deliver(&mut self, (from, to, incarnation, message): Mail) {
        let Some(sender) = self.peers.get(&from).map(|p| p.incarnation) else {
            return;
        };
        let is_old = self.versions.get(&from).is_some_and(|version| *version < SWITCH_VERSION);
        let message = if is_old { as_older(message) } else { message };
        if self.peers.get(&to).is_some_and(|p| p.incarnation == incarnation) {
            self.input(&to, Input::Message { peer: from, incarnation: sender, message });
        }
    }

    /// When a peer's deadline comes, by the clock of the others.
    fn due(&self, name: &PeerName) -> Time {
        let behind = self.behind.get(name).map_or(Duration::ZERO, |(behind, _)| *behind);
        self.peers[name].machine.deadline().after(behind)
    }

    /// Lets time pass from deadline to deadline.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        self.settle();
        for _ in 0..1_000_000 {
            let next = self.peers.keys().map(|name| self.due(name)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            let due: Vec<PeerName> =
                self.peers.keys().filter(|name| self.due(name) <= self.now).cloned().collect();
            for name in due {
                self.input(&name, Input::Tick);
            }
            self.settle();
        }
        panic!("time does not pass");
    }

    /// The peer that may decide now, if there is exactly one.
    pub(super) fn primary(&self) -> Option<PeerName> {
        let mut here = self.peers.iter().filter(|(_, p)| matches!(p.route, Route::Here { .. }));
        let first = here.next().map(|(name, _)| name.clone());
        assert!(here.next().is_none(), "two primaries decide");
        first
    }

    /// Adds to a key at a peer that should be primary.
    pub(super) fn add(&mut self, at: &str, key: &str, amount: u64) -> Result<Decided, Refused> {
        self.decide(at, key, [amount, 0])
    }

    /// Adds one to a key that expires after so long.
    pub(super) fn add_for(
        &mut self,
        at: &str,
        key: &str,
        lifetime: Duration,
    ) -> Result<Decided, Refused> {
        let expires = self.clock(&at.into()).wall.after(lifetime);
        self.decide(at, key, [1, expires.0])
    }

    fn decide(&mut self, at: &str, key: &str, args: [u64; 2]) -> Result<Decided, Refused> {
        let name = PeerName::from(at);
        let items = [Item { key: key.as_bytes(), args }];
        let (store, acknowledge) = (&self.peers[&name].store, self.config.acknowledge);
        let decided = store.decide(self.clock(&name).time, &items, &Adder, acknowledge);
        let must_wake = decided.as_ref().map_or_else(|_| store.take_wake(), |d| d.wake);
        if must_wake {
            self.input(&name, Input::Changed);
        }
        self.settle();
        decided
    }

    /// Every peer removes what it may.
    pub(super) fn sweep(&self) {
        for peer in self.peers.values() {
            peer.store.sweep(1_000);
        }
    }

    /// How many cells each peer holds, in the order of names.
    pub(super) fn cells(&self) -> Vec<usize> {
        self.peers.values().map(|peer| peer.store.cells()).collect()
    }

    pub(super) fn total(&self, at: &str, key: &str) -> u64 {
        let value = self.peers[&PeerName::from(at)].store.read(crate::store::MODEL, key.as_bytes());
        value.map_or(0, |v| v.words[0])
    }

    /// The last ballot that a peer has asked votes for, and whether they were to bind.
    pub(super) fn asked_by(&self, name: &PeerName) -> Option<(Ballot, bool)> {
        self.asked.get(name).copied()
    }

    pub(super) fn saw(&self, at: &str, is_it: impl Fn(&Event) -> bool) -> bool {
        self.peers[&PeerName::from(at)].events.iter().any(is_it)
    }
}

/// A heartbeat as it was before peers said how far they are behind, and that they end.
fn as_older(mut message: Message) -> Message {
    if let Message::Ping { brief, .. } | Message::Pong { brief, .. } = &mut message {
        (brief.behind, brief.acknowledged) = (None, None);
        (brief.is_stopping, brief.has_failed) = (false, false);
    }
    message
}

/// The rest of a group of `a`, `b` and `c`.
pub(super) fn others(primary: &PeerName) -> Vec<&'static str> {
    ["a", "b", "c"].into_iter().filter(|n| *n != primary.as_str()).collect()
}
