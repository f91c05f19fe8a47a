//! A reign: its beginning and end, and the lease (docs/protocol.md, section 5).

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{GroupTime, Lead, PeerName, PeerStart, Sequence, Time, nanos};
use crate::config::Acknowledge;
use crate::protocol::deadlines::Timer;
use crate::protocol::group::group_clock::GroupClock;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::{CLOCKS_VERSION, Route};
use crate::protocol::machine::Machine;
use crate::protocol::message::{Campaign, Message};
use crate::protocol::reign::lease::LeaseBegin;
use crate::protocol::reign::primary_state::PrimaryState;
use crate::protocol::reign::sender::Sender;
use crate::protocol::role::Role;

impl Machine {
    /// Becomes primary of the ballot it was elected for.
    pub(in crate::protocol) fn start_reign(&mut self, campaign: Campaign, was_released: bool) {
        debug_assert!(self.is_saved() || bug::is_any(), "whoever was elected remembers its vote");
        if !self.has_data() && !self.may_found() {
            // Whose state it was to adopt has gone meanwhile.
            return self.give_up_campaign();
        }
        let is_over = self.own_epoch() == self.ballot.generation.site_epoch()
            && self.meta.membership.is_sealed();
        if campaign == Campaign::Promotion && is_over {
            // What was adopted has begun that site epoch, and given it up.
            return self.give_up_campaign();
        }
        let now = self.now.time;
        self.has_released = false;
        // A primary that comes back with its own state has lost nothing.
        let is_loss_possible = self.group.acknowledge == Acknowledge::Primary
            && self.has_data()
            && self.last_reign != Some(self.store.position().ballot)
            && campaign != Campaign::Promotion
            && !was_released;
        let as_of = self.made_at();
        let clock = self.first_clock(campaign);
        let start = clock.steady(self.passed());
        let is_first = campaign == Campaign::NewGeneration && !self.has_data();
        self.store.begin_reign(self.ballot, start);
        self.store.put_forward(clock.lead());
        self.reload_meta();
        let mut reign = PrimaryState::new(now, clock, is_first);
        if campaign == Campaign::NewGeneration && !is_first {
            reign.note_anew();
        }
        self.role = Role::Primary(Box::new(reign));
        self.leader = None;
        self.last_reign = Some(self.ballot);
        self.pull = None;
        let first = Sequence(self.store.position().sequence.0 + 1);
        match campaign {
            Campaign::Ordinary => {}
            Campaign::NewGeneration => self.found_generation(first, as_of),
            Campaign::Promotion => self.begin_site_epoch(first, as_of),
        }
        // The first change of the reign: a cut of its own, even if nothing was decided.
        let cut = self.store.cut(start, Sequence(u64::MAX), &[], 0);
        if let Role::Primary(reign) = &mut self.role {
            reign.begin_at(cut.end.sequence);
        }
        let primary = Some(self.config.name.clone());
        let ballot = self.ballot;
        self.event(Event::PrimaryChanged { primary, ballot });
        if is_loss_possible {
            let units = self.group.max_unreplicated;
            self.event(Event::ChangesLost { units, exact: false });
        }
        self.calm();
        self.set_route(Route::HandingOver);
        self.choose_followers();
        self.ping_all();
        self.advance_commitment();
        self.wake_soon();
    }

    /// Group time at the beginning of a reign: not before any stamp of the adopted state, and where
    /// a majority's clocks are.
    ///
    /// The steady clock goes on by what this peer has seen pass since it took that state up. What
    /// it has not seen, for it has been restarted since, is no time that has passed.
    fn first_clock(&self, campaign: Campaign) -> GroupClock {
        let now = self.passed();
        let target = match campaign {
            // Those who count by its state stand at the other site.
            Campaign::Promotion => self.reading_of(&self.site_names()).after(self.store.skipped()),
            Campaign::Ordinary | Campaign::NewGeneration => self.majority_wall(),
        };
        let may_part = self.may_clocks_part();
        if bug::is(Bug::GroupTimeBack) {
            return GroupClock::start(now, self.now.wall, Lead::default(), GroupTime(0), may_part);
        }
        if self.store.position().is_blank() {
            // Nothing has been stamped: both begin at one time.
            return GroupClock::start(now, target, Lead::default(), target, may_part);
        }
        let passed = self.adopted.map_or(Duration::ZERO, |adopted| now.since(adopted));
        let steady = self.store.group_time().after(passed);
        GroupClock::start(now, steady, self.store.lead(), target, may_part)
    }

    /// Returns true if every member that is linked knows of both clocks.
    fn may_clocks_part(&self) -> bool {
        let names = self.meta.membership.names();
        !names.into_iter().any(|name| self.speaks_less_than(name, CLOCKS_VERSION))
    }

    /// Asks a peer where it stands, to replicate to it from there.
    pub(in crate::protocol) fn follow_me(&mut self, peer: &PeerName, now: Time) {
        let is_established = self.is_established();
        let ballot = self.ballot;
        let group_id = self.meta.group_id;
        let is_fed = self.remotes.get(peer).is_some_and(|remote| self.is_fed(peer, remote));
        let Some(remote) = self.remotes.get_mut(peer).filter(|_| is_fed) else {
            return;
        };
        let Some(incarnation) = remote.linked() else {
            return;
        };
        match remote.sender_mut() {
            Some(sender) => sender.ask(now),
            None => remote.feed(Sender::new(now, &mut self.first_transfer)),
        }
        let to = PeerStart::new(peer.clone(), incarnation);
        self.send(&to, Message::Follow { ballot, group_id, is_established });
    }

    /// Ends whatever this peer was; a primary gives up its authority for good.
    pub(in crate::protocol) fn step_down(&mut self) {
        let role = std::mem::replace(&mut self.role, Role::Follower);
        let Role::Primary(mut reign) = role else { return };
        if !bug::is(Bug::OldPrimaryKeepsDeciding) {
            self.store.end_reign();
        }
        self.append_rest();
        if reign.is_unborn() {
            self.forget_founding();
        }
        self.leave_reign(&mut reign);
        let ballot = self.ballot;
        let to = self.config.name.clone();
        // Whoever promised this reign anything need not wait for it to run out.
        self.send_to_all(&Message::Release { ballot, to });
        self.event(Event::SteppedDown { ballot });
        self.set_route(Route::Nowhere);
    }

    /// Returns true if this peer has founded a group that no majority knows of yet.
    pub(in crate::protocol) fn is_unborn(&self) -> bool {
        matches!(&self.role, Role::Primary(reign) if reign.is_unborn())
    }

    /// A founding that came to nothing: nobody was served, and a group that never was must not
    /// stand in the way of the one that came to be.
    fn forget_founding(&mut self) {
        self.store.clear();
        self.adopted = None;
        self.reload_meta();
        self.append_blank();
        self.last_reign = None;
    }

    /// Forgets what belongs to a reign that has ended.
    pub(in crate::protocol) fn leave_reign(&mut self, reign: &mut PrimaryState) {
        for remote in self.remotes.values_mut() {
            remote.stop_feeding();
            remote.forget_promises();
        }
        self.watch.hopeful = self.now.time;
        // What has passed since the last cut of the reign has been seen to pass.
        let now = self.passed();
        let since_cut = reign.clock().steady(now).0.saturating_sub(self.store.group_time().0);
        self.adopted = Some(now.before(Duration::from_nanos(since_cut)));
        if let Some(hand_over) = reign.take_hand_over() {
            self.abort_switch(hand_over);
        }
    }

    /// Group time by the steady clock.
    pub(in crate::protocol) fn group_time(&self) -> GroupTime {
        match &self.role {
            Role::Primary(reign) => reign.clock().steady(self.passed()),
            _ => self.store.group_time(),
        }
    }

    /// The clock that group time goes by: this peer's, and what it does not show in tests that skip
    /// time.
    pub(in crate::protocol) fn passed(&self) -> Time {
        self.now.time.after(self.store.skipped())
    }

    /// Group time by the calendar.
    pub(in crate::protocol) fn calendar(&self) -> GroupTime {
        self.store.lead().by_calendar(self.group_time())
    }

    /// When the state that this peer holds was made, by the calendar.
    pub(in crate::protocol) fn made_at(&self) -> GroupTime {
        self.store.lead().by_calendar(self.store.group_time())
    }

    /// The wall clock that a majority of the members has reached: one clock in the year 2099
    /// cannot move it.
    fn majority_wall(&self) -> GroupTime {
        self.majority_reading().after(self.store.skipped())
    }

    fn majority_reading(&self) -> GroupTime {
        if self.meta.membership.voters.is_empty() {
            return self.reading_of(self.names());
        }
        self.meta.membership.majority_value(|name, _| self.wall_of(name))
    }

    /// The wall clock that most of these have reached.
    fn reading_of<'a>(&self, names: impl IntoIterator<Item = &'a PeerName>) -> GroupTime {
        let mut walls: Vec<GroupTime> = names.into_iter().map(|name| self.wall_of(name)).collect();
        walls.sort_unstable_by(|a, b| b.cmp(a));
        walls.get(walls.len() / 2).copied().unwrap_or_default()
    }

    fn wall_of(&self, name: &PeerName) -> GroupTime {
        if *name == self.config.name {
            return self.now.wall;
        }
        self.remotes.get(name).and_then(|r| r.wall(self.now.time)).unwrap_or_default()
    }

    /// Extends the lease to what a majority has promised.
    ///
    /// It counts from the sending of the pings that were answered, is shorter than the promise,
    /// and is not extended while a majority takes heartbeats but no data.
    pub(in crate::protocol) fn renew_lease(&mut self) {
        let now = self.now.time;
        let answered = self.meta.membership.majority_value(|name, id| {
            if *name == self.config.name {
                return if id == self.id { now } else { Time(0) };
            }
            let remote = self.remotes.get(name).filter(|r| r.is_linked_as(id));
            remote.map_or(Time(0), Remote::answered)
        });
        let mut lease = self.group.lease();
        let ballot = self.ballot;
        let may_serve = self.may_serve();
        if bug::is(Bug::LeaseTooLong) {
            lease = self.group.failure_timeout * 2;
        }
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        reign.lease_mut().promise(answered);
        if answered == Time(0) || reign.is_stuck(now, lease) {
            return;
        }
        reign.lease_mut().extend(answered.after(lease));
        let until = reign.lease().until();
        if !reign.is_calm() || until <= now {
            return;
        }
        let skipped = nanos(self.store.skipped());
        let offset = reign.clock().offset().wrapping_add_unsigned(skipped);
        if may_serve {
            self.store.grant(until, offset);
        }
        let Some(begin) = reign.lease_mut().run() else {
            return;
        };
        if begin == LeaseBegin::Regained {
            self.event(Event::QuorumRegained { ballot });
        }
        if may_serve {
            self.set_route(Route::Here { ballot });
        } else if self.now.time >= self.held_until {
            self.set_route(Route::Nowhere);
        }
        self.wake_soon();
    }

    fn check_lease(&mut self) {
        let now = self.now.time;
        let ballot = self.ballot;
        let Role::Primary(reign) = &mut self.role else {
            return;
        };
        let Some(end) = reign.lease().end() else {
            return;
        };
        if now < end {
            self.wake_by(Timer::Lease, end);
            return;
        }
        let was_doubted = reign.lease_mut().stop();
        let hand_over = reign.take_hand_over();
        let is_demoting = reign.demotion().is_some();
        if was_doubted {
            self.store.revoke();
        }
        self.event(Event::QuorumLost { ballot });
        self.set_route(Route::Nowhere);
        if let Some(hand_over) = hand_over {
            self.abort_switch(hand_over);
        }
        if is_demoting {
            self.give_up_demotion();
        }
    }

    pub(in crate::protocol) fn primary_tick(&mut self) {
        self.steer_clock();
        self.renew_lease();
        self.check_lease();
        if self.should_resign() {
            self.step_down();
            self.wake_soon();
            return;
        }
        if self.has_failed() {
            // Until somebody can take over.
            self.hand_over_at_once();
        }
        self.follow_up();
        self.replicate();
        self.advance_commitment();
        self.advance_policy();
        self.advance_arrangements();
        self.forget_wishes();
        self.tell_stale();
        self.tell_waiting();
        self.advance_membership();
        self.choose_followers();
        self.advance_hand_over();
        self.confirm_reign();
        self.advance_demotion();
    }

    fn steer_clock(&mut self) {
        let now = self.passed();
        let target = self.majority_wall();
        let may_part = self.may_clocks_part();
        if let Role::Primary(reign) = &mut self.role {
            reign.steer(now, target, may_part);
            self.store.put_forward(reign.clock().lead());
        }
    }

    /// A primary that no majority can stand behind any more makes room for what comes next.
    fn should_resign(&self) -> bool {
        let Role::Primary(reign) = &self.role else {
            return false;
        };
        if self.is_counted_out() {
            return true;
        }
        if reign.has_lease() {
            return false;
        }
        let since = reign.lease().until().max(reign.started()).max(self.last_staged(reign));
        let is_late = self.now.time >= since.after(self.group.failure_timeout);
        let is_hopeless = !self
            .meta
            .membership
            .has_majority(|name, id| self.remotes.get(name).is_none_or(|r| !r.is_dead(id)));
        is_late || is_hopeless
    }

    /// When a member last took another piece of its copy, while a majority promises: the copy is
    /// what the lease waits for, however long it takes, and another primary would begin it anew.
    fn last_staged(&self, reign: &PrimaryState) -> Time {
        let is_promised = self.now.time < reign.lease().promised().after(self.group.lease());
        if !is_promised || bug::is(Bug::CopyIsNoProgress) {
            return Time(0);
        }
        let senders = self.remotes.iter().filter_map(|(name, remote)| {
            let is_counted = self.meta.membership.counts(name, remote.id()?);
            remote.sender().filter(|_| is_counted)
        });
        senders.map(Sender::staged).max().unwrap_or(Time(0))
    }

    /// The time that an answer is waited for before it is asked for again.
    pub(in crate::protocol) fn retry_after(&self) -> Duration {
        (self.group.heartbeat * 2).max(self.group.failure_timeout / 4)
    }

    /// Asks again where nothing has come back.
    fn follow_up(&mut self) {
        let now = self.now.time;
        let heartbeat = self.group.heartbeat;
        let retry = self.retry_after();
        let mut late = Vec::new();
        for (name, remote) in &self.remotes {
            let Some(sender) = remote.sender() else {
                continue;
            };
            let patience = if sender.is_asked() { heartbeat } else { retry };
            if !sender.is_idle() && now.since(sender.progressed()) >= patience {
                late.push(name.clone());
            }
        }
        for name in late {
            self.follow_me(&name, now);
        }
    }
}
