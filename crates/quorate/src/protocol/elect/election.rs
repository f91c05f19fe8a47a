//! From agreement to a winner: pre-vote, vote, and adopting the freshest state
//! (docs/protocol.md, section 4).
//!
//! Priority decides who stands, freshness decides what state the winner serves: a vote is not
//! refused to a candidate that lags, but it carries the voter's position, and the winner adopts
//! the freshest state among its voters before it does anything. Every change that a majority
//! holds is in the state of at least one voter of any majority.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, PeerKind, PeerName, PeerStart, Position};
use crate::protocol::deadlines::Timer;
use crate::protocol::elect::canvass::{Call, Canvass, Reply, Vote, rank};
use crate::protocol::group::remote::Remote;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Campaign, Grant, Message, VoteRequest};
use crate::protocol::role::{Role, Winner};
use crate::state::Membership;

/// Steps of an election that a round of votes may take.
const ROUND_STEPS: u32 = 3;
/// How often the step may double.
const MAX_DOUBLINGS: u32 = 6;

impl Machine {
    /// One step of an election, longer after each that brought no primary: on slow links a round
    /// takes longer than a first guess allows.
    pub(in crate::protocol) fn patience(&self) -> Duration {
        let step = self.election_step() * (1 << self.watch.rounds.min(MAX_DOUBLINGS));
        step.min(self.group.failure_timeout / 2)
    }

    pub(in crate::protocol) fn turn_delay(&self, rank: usize) -> Duration {
        self.patience() * 2 * u32::try_from(rank).unwrap_or(u32::MAX)
    }

    /// Asks who would vote, without raising anyone's ballot.
    pub(in crate::protocol) fn canvass(&mut self, campaign: Campaign) {
        let ballot = match campaign {
            Campaign::Ordinary => self.next_ballot(),
            Campaign::NewGeneration => self.new_generation(),
            Campaign::Promotion => self.promotion_ballot(),
        };
        match ballot {
            Some(ballot) => self.open_round(Call::new(campaign, ballot), false),
            None => self.give_up_campaign(),
        }
    }

    /// The ballot of the next reign of this group.
    ///
    /// A generation belongs to one founding. A ballot that this peer has been carried to by one
    /// that came to nothing is not counted on from: whoever it was for may yet win it.
    fn next_ballot(&mut self) -> Option<Ballot> {
        let is_own = self.ballot.generation == self.store.position().ballot.generation;
        let next = self.ballot.next_term().filter(|_| is_own);
        next.or_else(|| self.new_generation())
    }

    /// Stands at once for a primary that has released its reign to this peer.
    pub(in crate::protocol) fn stand_for_released(&mut self, released: Ballot) {
        if let Some(ballot) = self.next_ballot() {
            let call = Call { released: Some(released), ..Call::new(Campaign::Ordinary, ballot) };
            self.open_round(call, true);
        }
    }

    /// Opens a round of pre-votes, or of votes, which bind whoever takes part in it.
    fn open_round(&mut self, mut call: Call, is_binding: bool) {
        let Call { campaign, ballot, .. } = call;
        let step = self.patience();
        let deadline = self.now.time.after(step * ROUND_STEPS + self.random.below(step));
        if is_binding {
            self.adopt_ballot(ballot);
            debug_assert_eq!(self.ballot, ballot, "a candidate stands above all that it knows");
            self.voted_for = Some(self.config.name.clone());
            self.event(Event::CampaignStarted { ballot });
        }
        let is_told = self.watch.found_now || self.force.is_some();
        call.is_forced = is_told && campaign == Campaign::NewGeneration;
        self.note_forced_round(is_binding);
        let names = self.names().into_iter().cloned().collect();
        if let Some(promotion) = &self.promotion {
            call.is_forced = promotion.is_forced();
        }
        let mut canvass = Canvass::new(call, deadline, names);
        if let Some(site) = &self.config.site
            && campaign == Campaign::Promotion
        {
            canvass.hold_at(site.name(), self.site_names());
            let gone = self.promotion.as_ref().map(|promotion| promotion.gone().clone());
            canvass.do_without(&gone.unwrap_or_default());
            canvass.wait_for(self.fresher_at_site(), BTreeSet::new());
            self.note_promotion_round(is_binding, ballot);
        }
        if let Some(force) = self.force.as_ref().filter(|_| campaign == Campaign::NewGeneration) {
            canvass.do_without(force.gone());
            if bug::is(Bug::ForceWithUnaccounted) {
                canvass.keep_only(|name| self.reaches_or_is(name));
            }
        }
        if campaign == Campaign::NewGeneration {
            canvass.wait_for(self.fresher_in_reach(), self.equals_in_reach());
        }
        canvass.take(&self.config.name, Grant::Vote, self.own_vote());
        let request = canvass.request(self.store.position());
        let asked = match campaign {
            Campaign::Promotion => self.linked_promoters(),
            Campaign::Ordinary | Campaign::NewGeneration => self.linked_voters(),
        };
        for to in asked {
            if is_binding {
                self.send_bound(&to, Message::Vote(request.clone()));
            } else {
                self.send(&to, Message::PreVote(request.clone()));
            }
        }
        self.role = if is_binding { Role::Candidate(canvass) } else { Role::PreCandidate(canvass) };
        self.wake_by(Timer::Round, deadline);
        self.count();
    }

    fn own_vote(&self) -> Vote {
        Vote {
            incarnation: self.incarnation,
            id: self.id,
            position: self.store.position(),
            membership: self.meta.membership.clone(),
        }
    }

    pub(in crate::protocol) fn canvass_tick(&mut self) {
        let Some(deadline) = self.role.canvass().map(Canvass::deadline) else {
            return;
        };
        if self.now.time < deadline {
            self.wake_by(Timer::Round, deadline);
            return;
        }
        let is_early = matches!(self.role, Role::PreCandidate(_));
        self.count();
        // It may have been won with what had come until its end: another round goes on then.
        if self.role.canvass().is_some_and(|canvass| self.now.time >= canvass.deadline()) {
            self.give_up_campaign();
            self.watch.was_early = is_early;
        }
    }

    /// Lets others try, and tries again after a fresh draw.
    pub(in crate::protocol) fn give_up_campaign(&mut self) {
        self.role = Role::Follower;
        self.watch.was_early = false;
        self.watch.rounds += 1;
        let step = self.patience();
        let delay = step + self.random.below(step * 4);
        self.watch.campaign_at = Some(self.now.time.after(delay));
        self.wake_soon();
    }

    /// A member has come to hold the primary unreachable, and has its vote to give from now on: a
    /// candidate that it has refused asks it again, and one that has given up has another turn.
    pub(in crate::protocol) fn on_suspicion(&mut self, from: &PeerStart) {
        match &self.role {
            Role::PreCandidate(canvass) if !canvass.has_vote_of(&from.name) => {
                let request = canvass.request(self.store.position());
                self.send(from, Message::PreVote(request));
            }
            Role::Candidate(canvass) if !canvass.has_vote_of(&from.name) => {
                let request = canvass.request(self.store.position());
                self.send_bound(from, Message::Vote(request));
            }
            Role::Follower if self.watch.was_early => {
                self.watch.was_early = false;
                self.watch.campaign_at = None;
                // The rounds before ended for want of votes, not because links are slow.
                self.watch.rounds = 0;
            }
            _ => {}
        }
    }

    /// Returns what this peer would give `from`: its vote, its state, or nothing. To one that is to
    /// be forced also why it is not its vote, for people, unless another round may end otherwise.
    ///
    /// A vote that does not last is none. But a state that this peer still holds is as good as any:
    /// nothing is acknowledged any more that would change it.
    fn grant(&self, from: &PeerStart, request: &VoteRequest) -> (Grant, String) {
        let is_pledge = request.campaign != Campaign::Ordinary;
        let me = &self.config.name;
        let refusal = match request.campaign {
            Campaign::Promotion => self.why_not_promoted(from, request),
            Campaign::Ordinary | Campaign::NewGeneration => self.why_no_vote(from, request),
        };
        let (grant, why) = if let Some(why) = refusal {
            (Grant::Nothing, why)
        } else if !self.has_failed() {
            (Grant::Vote, String::new())
        } else if is_pledge && self.has_data() && !bug::is(Bug::FailedHolderSilent) {
            (Grant::State, format!("the storage of {me} has failed: it can only be copied"))
        } else {
            (Grant::Nothing, String::new())
        };
        let is_told = !request.gone.is_empty() || request.campaign == Campaign::Promotion;
        (grant, if is_told { why } else { String::new() })
    }

    /// Returns why this peer would not give `from` its vote, if it had one that lasts: in words
    /// that are meant for people, or in none; nothing if it would.
    fn why_no_vote(&self, from: &PeerStart, request: &VoteRequest) -> Option<String> {
        let me = &self.config.name;
        if !self.believes(&from.name, request.ballot) {
            return Some(format!("{me} does not know it as a member"));
        }
        if self.has_no_vote_for(from, request) {
            return Some(format!("{me} has no part in elections, or was counted out"));
        }
        if self.has_voted_past(from, request) {
            return Some(String::new());
        }
        if self.hears_a_primary(request.released) && !bug::is(Bug::HearingVoterVotes) {
            let primary = self.promise.as_ref().map(|promise| promise.to.name.clone());
            let primary = primary.or_else(|| Some(self.leader.as_ref()?.start.name.clone()));
            let whom = primary.map_or_else(String::new, |primary| format!(" {primary}"));
            let long = "for up to the failure timeout";
            return Some(format!("{me} is bound to a primary{whom} {long}"));
        }
        let would_vote = match request.campaign {
            // Whether it counts is for the candidate to find out: this peer may have been counted
            // in without knowing yet.
            Campaign::Ordinary => !self.is_behind_elsewhere(&from.name, request.position),
            Campaign::NewGeneration if request.gone.is_empty() => self.would_pledge(from, request),
            Campaign::NewGeneration => return self.why_not_forced(from, request),
            Campaign::Promotion => return self.why_not_promoted(from, request),
        };
        (!would_vote).then(String::new)
    }

    /// Returns true if this peer takes part in a later ballot, or has voted for another in this
    /// one.
    fn has_voted_past(&self, from: &PeerStart, request: &VoteRequest) -> bool {
        let is_pledge = request.campaign == Campaign::NewGeneration;
        let is_past = request.ballot < self.ballot && !(is_pledge && bug::is(Bug::PledgeTwice));
        let has_voted_else = self.voted_for.as_ref().is_some_and(|name| *name != from.name);
        is_past || (request.ballot == self.ballot && has_voted_else && !bug::is(Bug::VoteTwice))
    }

    /// Returns true if one of the two has no part in elections: a client, or a member that was
    /// counted out and a majority knows. Of a newer generation than this peer's either may be a
    /// member.
    fn has_no_vote_for(&self, from: &PeerStart, request: &VoteRequest) -> bool {
        let position = request.position;
        let kind = self.remotes.get(&from.name).and_then(Remote::kind);
        let is_client = [kind, Some(self.config.kind)].contains(&Some(PeerKind::Client));
        let is_gone = |id| self.meta.membership.has_removed(&from.name, id);
        let is_out = self.is_removed() || self.id_of(from).is_some_and(is_gone);
        let is_disowned = self.is_disowned_in(position.ballot.generation);
        // Who hears a site that decides elects nobody of its own past it.
        let is_led = !self.meta.membership.is_sealed() && !self.primary_is_absent();
        let is_own = self.is_of_own_later_epoch(request.ballot) && !is_led;
        let follows = self.is_passive() && !is_own;
        let is_passive = follows || self.comes_from_across(from);
        is_client || is_passive || is_disowned || (is_out && !self.is_of_newer_generation(position))
    }

    /// Returns true if a state is of a newer generation than this peer's, which says who the
    /// members are.
    pub(in crate::protocol) fn is_of_newer_generation(&self, position: Position) -> bool {
        let own = self.store.position().ballot.generation;
        position.ballot.generation > own && !bug::is(Bug::OlderListVotes)
    }

    /// Returns true if a candidate stands for an older group than this peer's.
    ///
    /// What it last said of itself may be older than its request: a candidate that has joined this
    /// group since stands at a position of it.
    fn is_behind_elsewhere(&self, candidate: &PeerName, position: Position) -> bool {
        let brief = self.remotes.get(candidate).and_then(Remote::brief);
        let is_elsewhere = brief
            .is_some_and(|brief| brief.group_id.is_some() && brief.group_id != self.meta.group_id);
        let own = self.store.position().ballot.generation;
        self.has_data() && is_elsewhere && position.ballot.generation < own
    }

    /// Returns true if this peer is bound to a primary that has not given up its reign, or is a
    /// primary that may still decide.
    fn hears_a_primary(&self, released: Option<Ballot>) -> bool {
        if let Role::Primary(reign) = &self.role {
            return reign.has_lease();
        }
        if self.may_be_bound(released) {
            return true;
        }
        self.promise.as_ref().is_some_and(|promise| {
            let is_released = released.is_some_and(|released| released >= promise.ballot);
            self.now.time < promise.until && !is_released
        })
    }

    pub(in crate::protocol) fn on_pre_vote(&mut self, from: &PeerStart, request: &VoteRequest) {
        let (grant, why) = self.grant(from, request);
        let ballot = request.ballot;
        let known = self.ballot;
        let membership = self.meta.membership.clone();
        self.send(from, Message::PreVoteReply { ballot, grant, known, membership, why });
    }

    pub(in crate::protocol) fn on_pre_vote_reply(&mut self, from: &PeerStart, reply: Reply) {
        self.learn_ballot(from, reply.known);
        self.note_told(from, &reply.membership);
        self.note_refusal(from, &reply);
        self.note_promotion_refused(from, &reply);
        let Some(id) = self.id_of(from) else { return };
        let Role::PreCandidate(canvass) = &mut self.role else { return };
        let is_asked = canvass.call().ballot == reply.ballot;
        let grant = reply.grant;
        if is_asked && canvass.take(&from.name, grant, Vote::of(from, id, reply)) {
            self.count();
        }
    }

    pub(in crate::protocol) fn on_vote(&mut self, from: &PeerStart, request: &VoteRequest) {
        let (grant, why) = self.grant(from, request);
        if grant != Grant::Nothing {
            // First the ballot, then the position: nothing of an older ballot is acknowledged
            // after this, so what the vote says stays true.
            if request.released.is_some() && request.ballot > self.ballot {
                // A hand-over, whose release may still be on its way.
                self.hold_callers();
            }
            self.adopt_ballot(request.ballot);
            self.voted_for = Some(from.name.clone());
            self.watch.rounds += 1;
            self.make_way();
        }
        let reply = Message::VoteReply {
            ballot: request.ballot,
            grant,
            known: self.ballot,
            position: self.store.position(),
            membership: self.meta.membership.clone(),
            why,
        };
        if grant == Grant::Vote {
            self.send_bound(from, reply);
        } else {
            self.send(from, reply);
        }
        self.wake_soon();
    }

    pub(in crate::protocol) fn on_vote_reply(&mut self, from: &PeerStart, mut reply: Reply) {
        self.learn_ballot(from, reply.known);
        self.note_told(from, &reply.membership);
        self.note_refusal(from, &reply);
        self.note_promotion_refused(from, &reply);
        if bug::is(Bug::FreshnessAtPreVote) {
            let brief = self.remotes.get(&from.name).and_then(Remote::brief);
            reply.position = brief.map_or(reply.position, |brief| brief.position);
        }
        let Some(id) = self.id_of(from) else { return };
        let Role::Candidate(canvass) = &mut self.role else { return };
        let is_asked = canvass.call().ballot == reply.ballot;
        let grant = reply.grant;
        if is_asked && canvass.take(&from.name, grant, Vote::of(from, id, reply)) {
            self.count();
        }
    }

    /// Keeps who counts by what a voter knows, for as long as it is linked.
    fn note_told(&mut self, PeerStart { name, incarnation }: &PeerStart, told: &Membership) {
        let remote = self.remotes.get_mut(name).filter(|r| r.is_linked_start(*incarnation));
        if let Some(remote) = remote {
            remote.note_told(told.clone());
        }
    }

    /// Gives another peer that stands some time.
    pub(in crate::protocol) fn make_way(&mut self) {
        self.watch.was_early = false;
        let step = self.patience();
        let wait = step * 2 + self.random.below(step * 4);
        self.watch.campaign_at = Some(self.now.time.after(wait));
    }

    /// A refusal tells how far others are: the next attempt starts from there.
    fn learn_ballot(&mut self, from: &PeerStart, known: Ballot) {
        let is_counted =
            self.id_of(from).is_some_and(|id| self.meta.membership.counts(&from.name, id));
        if known <= self.ballot || !is_counted {
            return;
        }
        let is_standing = self.role.is_standing();
        self.adopt_ballot(known);
        if is_standing {
            self.give_up_campaign();
        }
    }

    /// Goes on to the next stage if the votes suffice, this peer's own included once it lasts.
    pub(in crate::protocol) fn count(&mut self) {
        let own = &self.meta.membership;
        let now = self.now.time;
        match &self.role {
            Role::PreCandidate(canvass) if canvass.has_won(own, now) => {
                let Call { campaign, ballot, .. } = canvass.call();
                self.open_round(Call::new(campaign, ballot), true);
            }
            Role::Candidate(canvass) if canvass.has_won(own, now) && self.is_saved() => self.win(),
            _ => {}
        }
    }

    fn win(&mut self) {
        let Role::Candidate(canvass) = std::mem::replace(&mut self.role, Role::Follower) else {
            return;
        };
        let call = canvass.call();
        self.gone.clone_from(canvass.gone());
        self.is_forced_win = call.is_forced;
        if self.has_lost_a_member(call.campaign) || self.has_found_a_gone_one() {
            return self.give_up_campaign();
        }
        self.participants = canvass.participants();
        let me = &self.config.name;
        let own = &self.meta.membership;
        let freshest = canvass.freshest(me, own, !self.must_copy);
        let Some((source, target)) = freshest else {
            return;
        };
        let is_stubborn = bug::is(Bug::IgnoreFreshness)
            || (bug::is(Bug::PriorityBeatsFreshness) && self.config.priority < 100);
        let is_behind = rank(target) > rank(self.store.position());
        let is_own = source.name == self.config.name;
        if is_own || !(is_behind || self.must_copy) || is_stubborn {
            self.start_reign(call.campaign, call.released.is_some());
            return;
        }
        let deadline = self.now.time.after(self.group.failure_timeout / 2);
        self.role = Role::Winner(Winner::new(call, source, target, deadline));
        self.ask_source();
        self.wake_soon();
    }

    fn ask_source(&mut self) {
        let now = self.now.time;
        let Role::Winner(winner) = &mut self.role else {
            return;
        };
        winner.note_asked(now);
        let source = winner.source().clone();
        self.receiver.clear();
        let ballot = self.ballot;
        let position = self.store.position();
        // Nothing builds on cells that are known to be wrong.
        let history = if self.copies_all() { Vec::new() } else { self.meta.history.clone() };
        self.send(&source, Message::Position { ballot, position, history, pull: true });
    }

    /// A winner that cannot adopt the freshest state in a bounded time lets its holder stand.
    pub(in crate::protocol) fn winner_tick(&mut self) {
        let retry = self.retry_after();
        let now = self.now.time;
        let Role::Winner(winner) = &self.role else {
            return;
        };
        let source = winner.source().clone();
        let deadline = winner.deadline();
        let again = winner.ask_again_at(retry);
        let is_linked =
            self.remotes.get(&source.name).is_some_and(|r| r.is_linked_start(source.incarnation));
        if now >= deadline || !is_linked {
            self.send(&source, Message::StandNow { ballot: self.ballot });
            self.give_up_campaign();
            // Bounded: it may not be able to stand, and this peer be the only one that is.
            let wait = (self.patience() * 8).min(self.group.failure_timeout);
            self.watch.campaign_at = Some(now.after(wait));
            return;
        }
        if now >= again {
            self.ask_source();
        }
        self.wake_by(Timer::Adoption, deadline);
        self.wake_by(Timer::Adoption, now.after(retry));
    }

    /// The source's state has been applied.
    pub(in crate::protocol) fn on_adopted(&mut self) {
        let Role::Winner(winner) = &self.role else {
            return;
        };
        if !winner.is_reached(self.store.position()) {
            return;
        }
        let campaign = winner.campaign();
        let was_released = winner.was_released();
        if self.has_lost_a_member(campaign) || self.has_found_a_gone_one() {
            return self.give_up_campaign();
        }
        self.start_reign(campaign, was_released);
    }

    pub(in crate::protocol) fn on_stand_now(&mut self, from: &PeerStart, ballot: Ballot) {
        let is_mine = ballot == self.ballot && self.voted_for.as_ref() == Some(&from.name);
        if is_mine && matches!(self.role, Role::Follower) && self.priority() > 0 {
            self.watch.way_until = self.now.time;
            self.watch.campaign_at = Some(self.now.time);
            self.wake_soon();
        }
    }
}
