//! The state machine of one peer: what it knows, and which part of it an input concerns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::forced::Forced;
use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, MemberId, Now, PeerKind, PeerName,
    PeerStart, Position, Time,
};
use crate::base::policy::Policy;
use crate::base::told::millis;
use crate::config::{GroupConfig, PeerConfig};
use crate::model::Model;
use crate::protocol::deadlines::{Deadlines, Timer};
use crate::protocol::elect::canvass::{Participants, Reply};
use crate::protocol::follow::receiver::Receiver;
use crate::protocol::group::remote::Remote;
use crate::protocol::group::request::{Answer, Ask, Request};
use crate::protocol::group::wall_watch::WallWatch;
use crate::protocol::io::{HardState, Input, Output, Route, Start};
use crate::protocol::lasting::disk::Disk;
use crate::protocol::message::{Brief, Message};
use crate::protocol::model_handle::ModelHandle;
use crate::protocol::random::Random;
use crate::protocol::reign::switching::Switching;
use crate::protocol::role::{Leader, Promise, Pull, Role, Watch};
use crate::protocol::told::{Force, Promotion, PromotionReport, Spurned, Unrest};
use crate::state::{Membership, Meta};
use crate::store::Store;

/// The state machine of one peer; its module says how to drive it.
#[derive(Debug)]
pub struct Machine {
    pub(super) group: GroupConfig,
    pub(super) config: PeerConfig,
    pub(super) incarnation: Incarnation,
    /// What this peer is counted by.
    pub(super) id: MemberId,
    pub(super) store: Arc<Store>,
    /// Told what to decide by; asked for nothing else.
    pub(super) model: ModelHandle,
    pub(super) random: Random,
    pub(super) started: Time,
    pub(super) now: Now,
    /// Whether its clock may have stood still.
    pub(super) wall_watch: WallWatch,
    /// Every other member that is known of, and whoever else is linked.
    pub(super) remotes: BTreeMap<PeerName, Remote>,
    /// A copy of the store's, which only this machine changes.
    pub(super) meta: Meta,
    pub(super) meta_version: u64,
    /// The newest ballot this peer takes part in, and whom it voted for in it.
    pub(super) ballot: Ballot,
    pub(super) voted_for: Option<PeerName>,
    /// The primary of `ballot`, if another peer is.
    pub(super) leader: Option<Leader>,
    /// What this peer has promised its primary.
    pub(super) promise: Option<Promise>,
    pub(super) role: Role,
    pub(super) watch: Watch,
    pub(super) receiver: Receiver,
    /// This peer's cells have been found to be wrong: it takes no batch that builds on them.
    pub(super) must_copy: bool,
    /// Cells have been dropped here that may live where the present primary's history leads.
    pub(super) lacks_cells: bool,
    /// When this start took up the state that it holds, from a primary or by the last cut of a
    /// reign of its own; `None` while it holds what its storage has kept, or nothing.
    pub(super) adopted: Option<Time>,
    /// Who gave this peer a vote or a state in the election that it won last.
    pub(super) participants: Participants,
    /// Members that are none any more by the election that it won last: gone for good, as an
    /// operator says.
    pub(super) gone: BTreeSet<PeerName>,
    /// An operator's word that this peer is to be primary, while it is under way.
    pub(super) force: Option<Force>,
    /// What came of the last one.
    pub(super) forced: Option<Forced>,
    /// The election that it won last was held without asking whoever else had a say.
    pub(super) is_forced_win: bool,
    /// A promotion of this peer's site that is under way.
    pub(super) promotion: Option<Promotion>,
    /// When a primary was last heard before the last one began.
    pub(super) last_word: Option<Time>,
    /// The last one that has made this peer primary.
    pub(super) promoted: Option<PromotionReport>,
    /// The newest site epoch that is known to have begun for sure.
    pub(super) site_epoch: u64,
    /// The generation in which this peer is sure that no other site was promoted past its own.
    pub(super) confirmed_in: Option<Generation>,
    /// The newer generation of its history that has counted this peer out, if one has.
    pub(super) disowned: Option<Generation>,
    /// The last generation of which it was told that it does not belong to it.
    pub(super) told_out: Option<Generation>,
    /// The primary of another history, as far as this peer knew, that it has parted from to hear
    /// more of it.
    pub(super) parted_from: Option<PeerStart>,
    /// Who refuses this peer as no member, within its own generation.
    pub(super) spurned: Spurned,
    /// The winner that adopts this peer's state, and how far it is.
    pub(super) pull: Option<Pull>,
    /// The last reign of this incarnation: what it decided may yet be given up.
    pub(super) last_reign: Option<Ballot>,
    /// Who of this group was refused last.
    pub(super) unrest: Option<Unrest>,
    pub(super) next_ping: Time,
    pub(super) ping_number: u64,
    pub(super) pings: BTreeMap<u64, Time>,
    pub(super) route: Route,
    pub(super) held_until: Time,
    /// As primary: from then on the ballot of a peer that is to become a member counts.
    pub(super) stands_above_from: Time,
    /// Where the transfers of the last sender that began are numbered from.
    pub(super) first_transfer: u64,
    pub(super) switching: Option<Switching>,
    /// Whether it has released its last reign.
    pub(super) has_released: bool,
    /// It is about to end, and is not promoted meanwhile.
    is_aside: bool,
    /// Removals and changes of the policy that this peer's embedder has asked for.
    pub(super) requests: Vec<Request>,
    pub(super) disk: Option<Disk>,
    pub(super) outputs: VecDeque<Output>,
    deadlines: Deadlines,
}

impl Machine {
    /// A machine for a peer that starts now.
    ///
    /// `store` must be this peer's own, with what its storage has kept.
    pub fn new(
        group: GroupConfig,
        config: PeerConfig,
        start: Start,
        store: Arc<Store>,
        model: Arc<dyn Model>,
        now: Now,
    ) -> Self {
        let Start { incarnation, id, seed, kept, .. } = start;
        let hard = kept.as_ref().map_or_else(HardState::default, |kept| kept.hard.clone());
        let disk = kept.map(|kept| Disk::new(kept, store.position()));
        let meta = store.meta();
        let watch = Watch { hopeful: now.time, ..Watch::default() };
        let store_ballot = store.position().ballot;
        store.set_max_unreplicated(group.max_unreplicated);
        let mut machine = Self {
            group,
            config,
            incarnation,
            id,
            store,
            model: ModelHandle(model),
            random: Random::new(seed),
            started: now.time,
            now,
            wall_watch: WallWatch::new(now.time, now.wall),
            remotes: BTreeMap::new(),
            meta,
            meta_version: 1,
            // Saved before it is part of any state.
            ballot: hard.ballot.max(store_ballot),
            voted_for: hard.voted_for.filter(|_| hard.ballot >= store_ballot),
            leader: None,
            parted_from: None,
            promise: None,
            role: Role::Follower,
            watch,
            receiver: Receiver::default(),
            must_copy: false,
            lacks_cells: false,
            adopted: None,
            participants: Participants::new(),
            gone: BTreeSet::new(),
            force: None,
            forced: None,
            is_forced_win: false,
            promotion: None,
            last_word: None,
            promoted: None,
            site_epoch: 0,
            confirmed_in: None,
            disowned: None,
            told_out: None,
            spurned: Spurned::default(),
            pull: None,
            last_reign: None,
            unrest: None,
            next_ping: now.time,
            ping_number: 0,
            pings: BTreeMap::new(),
            route: Route::Nowhere,
            held_until: Time(0),
            stands_above_from: Time(0),
            first_transfer: 0,
            switching: None,
            has_released: false,
            is_aside: false,
            requests: Vec::new(),
            disk,
            outputs: VecDeque::new(),
            deadlines: Deadlines::new(now.time),
        };
        machine.follow_names();
        if machine.meta.policy != Policy::default() {
            machine.take_up_policy();
        }
        machine
    }

    /// Takes one input. Drain [`Machine::poll_output`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.advance(now);
        self.begin_loading();
        match input {
            Input::Tick => {}
            Input::Changed => self.on_changed(),
            Input::LinkUp { peer, end } => self.on_link_up(&peer, end),
            Input::LinkDown { peer, incarnation, has_ended } => {
                self.on_link_down(&peer, incarnation, has_ended);
            }
            Input::Message { peer, incarnation, message } => {
                self.on_message(peer, incarnation, message);
            }
            Input::Switch { request, to } => self.on_switch(request, to),
            Input::Remove { request, peer } => self.on_request(request, Ask::Remove(peer)),
            Input::ChangePolicy { request, bytes } => {
                self.on_request(request, Ask::Policy(bytes));
            }
            Input::Arrange { request, change } => {
                self.on_request(request, Ask::Arrange(change));
            }
            Input::Force { request, gone } => self.on_force(request, gone),
            Input::Promote { request, is_forced, gone } => {
                self.on_promote(request, is_forced, gone);
            }
            Input::EpochMet { by, site_epoch } => self.on_epoch_met(&by, site_epoch),
            Input::RefusedAsStranger { by, standing } => {
                self.on_refused_as_stranger(by, &standing);
            }
            Input::Withdraw { request } => self.withdraw(request),
            Input::Overtaken { by } => self.on_overtaken(&by),
            Input::HolderMet { position } => self.on_holder_met(position),
            Input::Met { peer, refused_for } => self.on_met(&peer, refused_for),
            Input::SetPriority(priority) => {
                self.config.priority = priority;
                self.on_priority();
            }
            Input::StepAside(is_aside) => {
                self.is_aside = is_aside;
                self.on_priority();
            }
            Input::FoundNewGroup => self.on_found_new_group(),
            Input::Saved => self.on_saved(),
            Input::Appended { number } => self.on_appended(number),
            Input::EndSnapshot { since } => self.on_end_snapshot(since),
            Input::StorageFailed => self.on_storage_failed(),
        }
        if self.now.time >= self.deadlines.next() {
            self.tick();
        }
    }

    /// The next thing to be done, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.save().or_else(|| self.outputs.pop_front())
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn deadline(&self) -> Time {
        self.deadlines.next()
    }

    /// The members as this peer's state has them; none before it holds any.
    pub fn membership(&self) -> &Membership {
        &self.meta.membership
    }

    /// The newest ballot that this peer takes part in.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The newest site epoch that is known to have begun.
    pub fn site_epoch(&self) -> u64 {
        self.site_epoch
    }

    /// The site epoch in which decisions are made, as far as this peer knows.
    pub fn deciding_epoch(&self) -> u64 {
        self.site_epoch.max(self.own_epoch())
    }

    /// The place where decisions are made at present.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// A stall of this process is its own fault: it must not look like silence of others.
    fn advance(&mut self, now: Now) {
        let gap = now.time.since(self.now.time);
        // What the others take for a reading of a clock.
        self.now.wall = now.wall.min(GroupTime::MAX_READ);
        self.now.time = self.now.time.max(now.time);
        if gap > self.group.failure_timeout / 4 + self.group.heartbeat {
            for remote in self.remotes.values_mut() {
                remote.excuse(gap);
            }
            if let Some(leader) = &mut self.leader {
                leader.heard = leader.heard.after(gap);
            }
            self.watch.hopeful = self.watch.hopeful.after(gap);
            self.watch.met.excuse(gap);
            self.wake_soon();
        }
        self.watch_own_wall(self.now);
    }

    fn on_message(&mut self, peer: PeerName, incarnation: Incarnation, message: Message) {
        let Some(remote) = self.remotes.get_mut(&peer) else {
            return;
        };
        if !remote.is_linked_start(incarnation) && !bug::is(Bug::OldIncarnationHeard) {
            return;
        }
        remote.note_heard(self.now.time);
        let from = PeerStart { name: peer, incarnation };
        if !self.may_say(&from, &message) {
            return;
        }
        match message {
            Message::Ping { number, brief } => self.on_ping(&from, number, brief),
            Message::Pong { number, promise, brief } => {
                self.on_pong(&from, number, promise, brief);
            }
            Message::PreVote(request) => self.on_pre_vote(&from, &request),
            Message::PreVoteReply { ballot, grant, known, membership, why } => {
                // A pre-vote says nothing of freshness: positions are read when votes are given.
                let position = Position::BLANK;
                let reply = Reply { ballot, grant, known, position, membership, why };
                self.on_pre_vote_reply(&from, reply);
            }
            Message::Vote(request) => self.on_vote(&from, &request),
            Message::VoteReply { ballot, grant, known, position, membership, why } => {
                let reply = Reply { ballot, grant, known, position, membership, why };
                self.on_vote_reply(&from, reply);
            }
            Message::Release { ballot, to } => self.on_release(&from, ballot, &to),
            Message::StandNow { ballot } => self.on_stand_now(&from, ballot),
            Message::TakeOver { ballot } => self.on_take_over(&from, ballot),
            Message::SwitchPrimary { request, to, ballot } => {
                self.on_switch_asked(&from, request, to, ballot);
            }
            Message::Switched { request, outcome } => {
                self.answer(request, Answer::Switch(outcome));
            }
            Message::Remove { request, peer } => self.on_remove_asked(&from, request, &peer),
            Message::Removed { request, outcome } => self.answer(request, Answer::Remove(outcome)),
            Message::ChangePolicy { request, bytes } => {
                self.on_policy_asked(&from, request, &bytes);
            }
            Message::Arrange { request, change } => self.on_arrange_asked(&from, request, change),
            Message::Arranged { request, outcome } => {
                self.answer(request, Answer::Arrange(outcome));
            }
            Message::PolicyChanged { request, outcome } => {
                self.answer(request, Answer::Policy(outcome));
            }
            // Where peers are reached is for whoever dials them to know.
            Message::Peers { .. } => {}
            Message::Follow { ballot, group_id, is_established } => {
                self.on_follow(&from, ballot, group_id, is_established);
            }
            Message::Position { ballot, position, history, pull } => {
                self.on_position(&from, ballot, position, &history, pull);
            }
            Message::Fork { ballot, at } => self.on_fork(&from, ballot, at),
            Message::Tail { ballot, at, keys } => self.on_tail(&from, ballot, at, keys),
            Message::Piece(piece) => self.on_piece(&from, piece),
            Message::PieceStaged { ballot, transfer, index } => {
                self.on_piece_staged(&from, ballot, transfer, index);
            }
            Message::Held { ballot, position } => self.on_held(&from, ballot, position),
            Message::Lost { ballot } => self.on_lost(&from, ballot),
            Message::GaveUp { ballot, units, is_at_most } => {
                self.on_gave_up(&from, ballot, units, is_at_most);
            }
        }
    }

    /// Everything that is due, in one pass.
    fn tick(&mut self) {
        // Whatever waits for a time says so below.
        self.deadlines.clear();
        if self.now.time >= self.next_ping {
            self.note_signs_of_life();
            self.ping_all();
            self.next_ping = self.now.time.after(self.group.heartbeat);
            self.pass_time();
        }
        match &self.role {
            Role::Follower => self.follower_tick(),
            Role::PreCandidate(_) | Role::Candidate(_) => self.canvass_tick(),
            Role::Winner(_) => self.winner_tick(),
            Role::Primary(_) => self.primary_tick(),
        }
        self.load_pieces();
        self.give_memory_back();
        self.settle_bound();
        self.switch_tick();
        self.advance_force();
        self.advance_promotion();
        self.request_tick();
        self.wake_by(Timer::Heartbeat, self.next_ping);
    }

    /// Runs [`Machine::tick`] no later than `time`, when `timer` is due.
    pub(super) fn wake_by(&mut self, timer: Timer, time: Time) {
        self.deadlines.enter(timer, time);
    }

    /// Runs [`Machine::tick`] as soon as whatever else has come meanwhile has been taken.
    pub(super) fn wake_again(&mut self) {
        let soon = self.now.time.after(Duration::from_nanos(1));
        self.wake_by(Timer::Rest, soon);
    }

    /// Runs [`Machine::tick`] at the end of this input.
    pub(super) fn wake_soon(&mut self) {
        self.wake_by(Timer::Now, self.now.time);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn send(&mut self, to: &PeerStart, message: Message) {
        debug_assert!(
            !message.is_binding() || self.is_saved() || bug::is_any(),
            "a vote lasts before anybody counts it"
        );
        let PeerStart { name: to, incarnation } = to.clone();
        self.outputs.push_back(Output::Send { to, incarnation, message });
    }

    pub(super) fn send_to_all(&mut self, message: &Message) {
        for (name, remote) in &self.remotes {
            if let Some(incarnation) = remote.linked() {
                let to = name.clone();
                let message = message.clone();
                self.outputs.push_back(Output::Send { to, incarnation, message });
            }
        }
    }

    /// Every start of a peer that is linked and may have a vote: whose counts is found out by what
    /// it says.
    pub(super) fn linked_voters(&self) -> Vec<PeerStart> {
        let voters = self.remotes.iter().filter(|(_, r)| r.kind() != Some(PeerKind::Client));
        let voters = voters.filter(|(_, r)| !self.is_across(r));
        voters
            .filter_map(|(name, remote)| Some(PeerStart::new(name.clone(), remote.linked()?)))
            .collect()
    }

    pub(super) fn set_route(&mut self, route: Route) {
        let is_refused = self.refuses_callers_of(&route);
        let route = if is_refused { Route::Nowhere } else { route };
        if self.route != route {
            self.route = route.clone();
            self.outputs.push_back(Output::Routed(route));
        }
    }

    /// The name of this peer, and this start of it.
    pub(super) fn own_start(&self) -> PeerStart {
        PeerStart { name: self.config.name.clone(), incarnation: self.incarnation }
    }

    /// Returns true if this peer is primary, whether it may decide at present or not.
    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// Returns true if this incarnation counts as a member, as far as this peer knows.
    pub(super) fn is_member(&self) -> bool {
        self.meta.membership.counts(&self.config.name, self.id)
    }

    /// Returns true if it is about to end, as it was told, and is not promoted meanwhile.
    pub fn is_aside(&self) -> bool {
        self.is_aside
    }

    /// Returns true if a newer generation of the group has counted this peer out, and this peer
    /// holds no state of that one or of a later one: whoever is sent that has a place in it.
    pub fn is_disowned(&self) -> bool {
        self.is_disowned_in(self.store.position().ballot.generation)
    }

    /// The priority by which this peer is promoted, the lowest number first: never a peer that can
    /// promise nothing.
    pub(super) fn priority(&self) -> u8 {
        let has_none = self.is_aside || self.has_failed() || self.config.kind == PeerKind::Client;
        if has_none { 0 } else { self.config.priority }
    }

    /// The others should know at once: who stands first may be another now. Who is not promoted any
    /// more stands no longer either.
    fn on_priority(&mut self) {
        if self.role.is_standing() && self.priority() == 0 {
            self.give_up_campaign();
        }
        self.ping_all();
        self.wake_soon();
    }

    /// Returns true if this peer holds a state.
    pub(super) fn has_data(&self) -> bool {
        !self.store.position().is_blank()
    }

    /// Silence after which a peer does not count as reachable.
    pub(super) fn reach(&self) -> Duration {
        self.group.heartbeat * 3
    }

    /// The id that a linked peer is counted by.
    pub(super) fn id_of(&self, start: &PeerStart) -> Option<MemberId> {
        let remote = self.remotes.get(&start.name);
        let remote = remote.filter(|remote| remote.is_linked_start(start.incarnation))?;
        remote.id()
    }

    /// Returns true if another peer of this name is linked, and was heard of lately.
    pub(super) fn reaches(&self, name: &PeerName) -> bool {
        self.remotes.get(name).is_some_and(|remote| self.is_reachable(remote))
    }

    /// Returns true if a peer of this name is in reach, or is this one.
    pub(super) fn reaches_or_is(&self, name: &PeerName) -> bool {
        *name == self.config.name || self.reaches(name)
    }

    pub(super) fn is_reachable(&self, remote: &Remote) -> bool {
        remote.is_linked() && remote.silence(self.now.time) <= self.reach()
    }

    /// One step of an election: short against the failure timeout, long against a round trip.
    pub(super) fn election_step(&self) -> Duration {
        (self.group.failure_timeout / 40)
            .clamp(Duration::from_millis(2), Duration::from_millis(250))
    }

    pub(super) fn random_group_id(&mut self) -> GroupId {
        GroupId((u128::from(self.random.next()) << 64) | u128::from(self.random.next()))
    }

    /// Takes over the store's replicated state other than cells, after the store has changed it.
    pub(super) fn reload_meta(&mut self) {
        let before = std::mem::replace(&mut self.meta, self.store.meta());
        self.meta_version += 1;
        if before.membership != self.meta.membership {
            self.on_membership(&before.membership);
        }
        if before.policy != self.meta.policy {
            self.take_up_policy();
        }
    }

    pub(super) fn brief(&self) -> Brief {
        let primary = match (&self.role, &self.leader) {
            (Role::Primary(_), _) => Some(self.own_start()),
            (_, Some(leader)) => Some(leader.start.clone()),
            (_, None) => None,
        };
        let reaches = self.fellows().filter(|(_, r)| self.is_reachable(r));
        let uptime = self.now.time.since(self.started);
        Brief {
            ballot: self.ballot,
            is_primary: self.is_primary(),
            primary,
            position: self.store.position(),
            group_id: self.meta.group_id,
            is_member: self.is_member(),
            suspects: self.watch.is_suspecting.then_some(self.ballot),
            reaches: reaches.map(|(name, _)| name.clone()).collect(),
            priority: self.priority(),
            wall: self.now.wall,
            uptime_ms: millis(uptime),
            has_quorum: self.can_elect(),
            members: self.names().into_iter().cloned().collect(),
            behind: self.own_lag(),
            acknowledged: self.remembered(),
            is_stopping: self.is_aside,
            has_failed: self.has_failed(),
            site_epoch: self.site_epoch,
            is_confirmed: self.confirmed_in == Some(self.store.position().ballot.generation),
        }
    }
}
