//! Upkeep: which members are silent, stale, and surplus, and whom the primary forgets
//! (docs/protocol.md, section 15).
//!
//! ```text
//!   here ──▶ silent ──▶ stale ──▶ forgotten
//!            nobody     for the   if as many members as are wanted
//!            reaches it grace     are live without it
//! ```
//!
//! Silence is never evidence of an end. A member is forgotten because it is in the way: it takes
//! the place of one that has come for it, and a majority is counted with it.

use std::cmp::Reverse;
use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{GroupTime, Member, MemberId, PeerName, Position};
use crate::base::told::millis;
use crate::config::Monitor;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::UPKEEP_VERSION;
use crate::protocol::machine::Machine;
use crate::protocol::reign::primary_state::Stale;
use crate::protocol::role::Role;
use crate::protocol::status::{MonitorStatus, Restraint};
use crate::protocol::told::Unrest;
use crate::state::Membership;

impl Machine {
    /// Somebody has given its name in a handshake, and no link has come of it: it is no sign of
    /// its end. Where it was refused for something that must be equal at all members, nobody is
    /// judged for a grace.
    pub(in crate::protocol) fn on_met(&mut self, peer: &PeerName, refused_for: Option<String>) {
        let now = self.now.time;
        if bug::is(Bug::ForgetsUnmet) {
            return;
        }
        if let Some(remote) = self.remotes.get_mut(peer) {
            remote.note_met(now);
        }
        if let Some(field) = refused_for {
            self.unrest = Some(Unrest::new(peer.clone(), field, now));
        }
    }

    /// Notes who is there, as far as this peer or a member in reach can tell.
    pub(in crate::protocol) fn note_signs_of_life(&mut self) {
        let now = self.now.time;
        let fellows = self.fellows().map(|(name, _)| name.clone());
        let here: Vec<PeerName> = fellows.filter(|name| !self.is_silent(name)).collect();
        for name in here {
            if let Some(remote) = self.remotes.get_mut(&name) {
                remote.note_alive(now);
            }
        }
    }

    /// Returns true if a member is not linked, and no counted member in reach says that it reaches
    /// it.
    fn is_silent(&self, name: &PeerName) -> bool {
        let is_linked = self.remotes.get(name).is_some_and(Remote::is_linked);
        let is_reached = self.fellows().any(|(other, remote)| {
            let is_counted = remote.id().is_some_and(|id| self.meta.membership.counts(other, id));
            is_counted
                && self.is_reachable(remote)
                && remote.brief().is_some_and(|brief| brief.reaches.contains(name))
        });
        let is_heard_of = is_reached && !bug::is(Bug::ForgetsWhatOthersReach);
        !is_linked && !is_heard_of
    }

    /// How long another member has been silent, as far as this peer knows; `None` of one that is
    /// there.
    pub(in crate::protocol) fn silence_of(&self, name: &PeerName) -> Option<Duration> {
        let remote = self.remotes.get(name).filter(|_| self.is_silent(name))?;
        Some(self.now.time.since(remote.alive().max(self.started)))
    }

    /// What the group looks after its members by, where this peer is primary.
    fn monitor(&self) -> Option<Monitor> {
        self.meta.membership.upkeep.in_force(self.config.monitor)
    }

    fn grace(&self) -> Duration {
        let timeout = self.group.failure_timeout;
        let default = Monitor::default_grace(timeout);
        self.monitor().map_or(default, |monitor| monitor.grace_within(timeout))
    }

    /// Returns true if a silence is one of the grace, of a primary: in this reign.
    pub(in crate::protocol) fn is_stale(&self, silence: Duration) -> bool {
        // Each primary waits for the whole grace itself.
        let judged = match &self.role {
            Role::Primary(reign) => self.now.time.since(reign.started()),
            _ => Duration::MAX,
        };
        judged.min(silence) >= self.grace()
    }

    /// Members that are stale, the longest silent first.
    pub(in crate::protocol) fn stale(&self) -> Vec<Stale> {
        let silent = self.fellows().filter_map(|(peer, _)| Some((peer, self.silence_of(peer)?)));
        let stale = silent.filter(|(_, silence)| self.is_stale(*silence));
        let mut stale: Vec<Stale> =
            stale.map(|(peer, silence)| Stale { peer: peer.clone(), silence }).collect();
        stale.sort_by_key(|stale| Reverse(stale.silence));
        stale
    }

    /// Returns true if this start of a member counts, follows this primary, and keeps up.
    fn is_live(&self, name: &PeerName, id: MemberId) -> bool {
        if *name == self.config.name {
            return id == self.id && !self.is_aside() && !self.has_failed();
        }
        let remote = self.remotes.get(name).filter(|remote| remote.id() == Some(id));
        remote.is_some_and(|remote| !remote.is_stopping() && self.is_peer_current(name, remote))
    }

    /// Members that are live, as the primary sees them, itself included.
    pub(in crate::protocol) fn live(&self) -> usize {
        self.live_of(&self.meta.membership.voters)
    }

    fn live_of(&self, list: &[Member]) -> usize {
        let is_live = |member: &&Member| member.id.is_some_and(|id| self.is_live(&member.name, id));
        list.iter().filter(is_live).count()
    }

    /// How many live members more may fail before those that are left are no majority.
    pub(in crate::protocol) fn spare(&self) -> usize {
        if self.primary_is_absent() {
            return 0;
        }
        let Membership { voters, next, .. } = &self.meta.membership;
        let spare = |list: &Vec<Member>| self.live_of(list).saturating_sub(list.len() / 2 + 1);
        next.as_ref().map_or(usize::MAX, spare).min(spare(voters))
    }

    /// Tells of members that have become stale, as primary.
    pub(in crate::protocol) fn tell_stale(&mut self) {
        let stale = self.stale();
        let Role::Primary(reign) = &mut self.role else { return };
        let news = reign.note_stale(&stale);
        for Stale { peer, silence } in news {
            self.event(Event::MemberStale { peer, silent_ms: millis(silence) });
        }
    }

    /// The member that is to be forgotten next, as primary: stale, and one too many.
    pub(in crate::protocol) fn next_surplus(&self, stamp: Position) -> Option<(Stale, Membership)> {
        let stale = self.stale().into_iter().next()?;
        let joint = self.meta.membership.removing(&stale.peer, stamp)?;
        (self.restraint(&stale.peer, &joint).is_none()).then_some((stale, joint))
    }

    /// What keeps the primary from forgetting a member that is stale.
    fn restraint(&self, peer: &PeerName, without: &Membership) -> Option<Restraint> {
        let Some(monitor) = self.monitor() else { return Some(Restraint::Off) };
        if let Some(general) = self.general_restraint() {
            return Some(general);
        }
        let live = self.live();
        if live < monitor.size() && !bug::is(Bug::ForgetsWithoutReplacement) {
            let size = monitor.size();
            return Some(Restraint::NotReplaced { peer: peer.clone(), live, size });
        }
        (!self.may_be_committed(without)).then_some(Restraint::NoMajority)
    }

    /// What keeps the primary from judging anybody at present.
    fn general_restraint(&self) -> Option<Restraint> {
        let Role::Primary(reign) = &self.role else { return Some(Restraint::Busy) };
        if !bug::is(Bug::ForgetsInPause) && self.pause().is_some() {
            return Some(Restraint::Paused);
        }
        if let Some((peer, field)) = self.unrest().map(Unrest::what) {
            return Some(Restraint::Refused { peer, field });
        }
        if let Some(old) = self.old_speaker() {
            return Some(Restraint::OldVersion { peer: old.clone() });
        }
        let is_calm = reign.is_calm() && reign.has_lease();
        (!is_calm || self.meta.membership.next.is_some()).then_some(Restraint::Busy)
    }

    /// The end of the pause that is under way, by the calendar.
    fn pause(&self) -> Option<GroupTime> {
        self.meta.membership.upkeep.pause_at(self.calendar())
    }

    /// Who was refused within the grace.
    fn unrest(&self) -> Option<&Unrest> {
        let grace = self.grace();
        self.unrest.as_ref().filter(|unrest| unrest.age(self.now.time) < grace)
    }

    /// Returns true if a joiner is not counted in yet, for as many members as are wanted, and one
    /// more, are live: whoever it is to take the place of has yet to go. Told once.
    pub(in crate::protocol) fn is_beyond_size(&self) -> bool {
        self.monitor().is_some_and(|monitor| self.live() > monitor.size())
    }

    /// A linked member of a version that does not know how a group is looked after.
    pub(in crate::protocol) fn has_old_upkeep(&self) -> bool {
        let mut names = self.names().into_iter();
        names.any(|name| self.speaks_less_than(name, UPKEEP_VERSION))
    }

    /// How the members are looked after, as this peer sees it; `None` where it knows none.
    pub(in crate::protocol) fn monitor_status(&self) -> Option<MonitorStatus> {
        if self.meta.membership.voters.is_empty() {
            return None;
        }
        let stale = self.stale();
        let waiting = match &self.role {
            Role::Primary(reign) => reign.waiting().iter().cloned().collect(),
            _ => Vec::new(),
        };
        Some(MonitorStatus {
            monitor: self.monitor(),
            grace: self.grace(),
            paused_until: self.pause(),
            revision: self.meta.membership.upkeep.revision,
            live: self.live(),
            blocked: self.blocked(stale.first()),
            stale: stale.into_iter().map(|stale| stale.peer).collect(),
            waiting,
        })
    }

    /// What keeps this primary from forgetting anybody, or the member that has been silent for the
    /// longest.
    fn blocked(&self, first: Option<&Stale>) -> Option<Restraint> {
        if !self.is_primary() || self.monitor().is_none() {
            return None;
        }
        let general = self.general_restraint();
        if general.as_ref().is_some_and(Restraint::is_refusal) {
            return general;
        }
        let peer = &first?.peer;
        match self.meta.membership.removing(peer, Position::default()) {
            Some(without) => self.restraint(peer, &without),
            None => Some(Restraint::Busy),
        }
    }
}
