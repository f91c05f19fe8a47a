//! Giving up to decide, so that the other site can be promoted without a loss
//! (docs/protocol.md, section 16, rules 8 to 10).
//!
//! ```text
//!   verify ──▶ hold ──▶ sealing ──▶ sealed ──▶ held by most of the standby: done
//!     │         │         nobody decides in this site epoch any more, whoever is primary
//!     └─────────┴──▶ given up: nothing has changed
//! ```

use std::cmp::Reverse;

use crate::base::bug::{self, Bug};
use crate::base::id::{PeerStart, Sequence, Time};
use crate::protocol::deadlines::Timer;
use crate::protocol::io::Route;
use crate::protocol::machine::Machine;
use crate::protocol::message::{ArrangeOutcome, Message};
use crate::protocol::reign::demoting::Demotion;
use crate::protocol::role::Role;
use crate::state::SitePhase;

impl Machine {
    /// The answer to the wish that this site give up to decide, as its primary; `None` while that
    /// is under way.
    pub(in crate::protocol) fn consider_demotion(
        &mut self,
        from: &PeerStart,
        request: u64,
        site_epoch: u64,
        is_switch: bool,
    ) -> Option<ArrangeOutcome> {
        let done = ArrangeOutcome::Arranged { revision: 0 };
        if self.config.site.is_none() || self.meta.membership.site.is_none() {
            return Some(ArrangeOutcome::NoSite);
        }
        // The epoch that was meant has ended: this one is not to end for it.
        if self.ballot.generation.site_epoch() != site_epoch {
            return (self.ballot.generation.site_epoch() > site_epoch).then_some(done);
        }
        if self.meta.membership.is_sealed() {
            return self.consider_sealed(from, request, is_switch);
        }
        let now = self.now.time;
        let Role::Primary(reign) = &self.role else { return None };
        if reign.demotion().is_some() {
            return None;
        }
        if reign.has_refused_demotion(from, request) {
            return Some(ArrangeOutcome::NotVerified);
        }
        let is_free = reign.is_calm() && reign.has_lease() && self.meta.membership.next.is_none();
        if !is_free || !self.is_change_committed() || !self.may_serve() {
            return None;
        }
        // What nobody there has ever held is not to be waited for.
        if !self.standby_holds(Sequence(0), Time(0)) {
            return Some(ArrangeOutcome::NotVerified);
        }
        self.replicate();
        let target = self.store.position().sequence;
        let until = now.after(self.group.failure_timeout);
        let from = from.clone();
        let demotion = Demotion::new(from, request, is_switch, target, (now, until));
        if let Role::Primary(reign) = &mut self.role {
            reign.demand_verification();
            reign.begin_demotion(demotion);
        }
        self.ping_all();
        self.advance_demotion();
        None
    }

    /// The same where nobody decides in this site epoch any more.
    fn consider_sealed(
        &mut self,
        from: &PeerStart,
        request: u64,
        is_switch: bool,
    ) -> Option<ArrangeOutcome> {
        if is_switch {
            let until = self.now.time.after(self.group.failure_timeout);
            let Role::Primary(reign) = &mut self.role else { return None };
            reign.switch_sites(from.clone(), request, until);
            self.advance_demotion();
            return None;
        }
        let is_held = self.is_seal_held();
        is_held.then_some(ArrangeOutcome::Arranged { revision: 0 })
    }

    /// Returns true if the licence of the other site is held there: by most of those listed.
    pub(in crate::protocol) fn is_seal_held(&self) -> bool {
        let is_sealed = self.meta.membership.site_phase() == SitePhase::Sealed;
        is_sealed
            && self.is_change_committed()
            && self.standby_holds(self.stamp_of(&self.meta.membership), Time(0))
    }

    /// Returns true if most of the peers that are listed of the standby site are linked, under the
    /// ids that they are listed by, have been heard since then, and hold what this reign had come
    /// to.
    fn standby_holds(&self, sequence: Sequence, since: Time) -> bool {
        let standby = self.meta.membership.standby();
        let holds = standby.iter().filter(|member| {
            let id = member.id.filter(|id| self.linked_id(&member.name) == Some(*id));
            let remote = self.remotes.get(&member.name);
            let is_heard = remote.is_some_and(|remote| remote.brief_at() >= since);
            is_heard && id.is_some_and(|id| self.held_by(&member.name, id) >= sequence)
        });
        holds.count() > standby.len() / 2
    }

    /// Goes on with giving up to decide, as primary.
    pub(in crate::protocol) fn advance_demotion(&mut self) {
        if self.meta.membership.is_sealed() {
            return self.advance_seal();
        }
        let now = self.now.time;
        let Role::Primary(reign) = &self.role else { return };
        let Some(demotion) = reign.demotion() else { return };
        let (target, since, until) = demotion.bounds();
        let is_held = reign.committed() >= target && self.standby_holds(target, since);
        let is_settled = self.meta.membership.next.is_none() && self.is_change_committed();
        let is_ready = is_held || bug::is(Bug::SealBeforeCaughtUp);
        match demotion.is_holding() {
            _ if now >= until => self.give_up_demotion(),
            true if is_ready => self.seal(),
            false if is_ready && is_settled && reign.is_calm() => self.hold_for_demotion(),
            _ => self.wake_by(Timer::HandOver, until),
        }
    }

    /// Stops deciding, to see all of it held.
    fn hold_for_demotion(&mut self) {
        self.store.hold();
        self.store.settle();
        self.set_route(Route::HandingOver);
        let now = self.now.time;
        let until = now.after(self.group.failure_timeout / 4);
        if let Role::Primary(reign) = &mut self.role {
            reign.demand_verification();
        }
        self.replicate();
        // What is heard from then on was sent by who is still there.
        self.ping_all();
        let group_time = self.source().group_time;
        let last = self.store.cut(group_time, Sequence(u64::MAX), &[], 0).end.sequence;
        if let Role::Primary(reign) = &mut self.role
            && let Some(demotion) = reign.demotion_mut()
        {
            demotion.hold(last, now, until);
        }
        self.advance_demotion();
    }

    /// Decides again: nothing was sealed.
    pub(in crate::protocol) fn give_up_demotion(&mut self) {
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(demotion) = reign.take_demotion() else { return };
        let is_holding = demotion.is_holding();
        let (from, request) = demotion.into_asker();
        reign.note_demotion_refused(from.clone(), request);
        if is_holding {
            self.resume();
        }
        self.tell_arranged(&from, request, ArrangeOutcome::NotVerified);
    }

    /// From here on nobody decides in this site epoch, whoever becomes its primary.
    fn seal(&mut self) {
        let phase = match bug::is(Bug::LicenseBeforeCommit) {
            true => SitePhase::Sealed,
            false => SitePhase::Sealing,
        };
        let Some(sealing) = self.meta.membership.in_phase(phase, self.next_stamp()) else { return };
        let now = self.now.time;
        let Role::Primary(reign) = &mut self.role else { return };
        let Some(demotion) = reign.take_demotion() else { return };
        if demotion.is_switch() {
            let until = now.after(self.group.failure_timeout);
            let (from, request) = demotion.into_asker();
            reign.switch_sites(from, request, until);
        }
        self.hold_callers();
        self.set_membership(sealing);
        self.replicate();
        self.advance_commitment();
        self.advance_seal();
    }

    /// Makes the seal a licence when a majority holds it, and has another site take over where that
    /// is wanted.
    fn advance_seal(&mut self) {
        if !self.is_primary() {
            return;
        }
        if self.meta.membership.site_phase() == SitePhase::Sealing
            && self.is_change_committed()
            && let Some(sealed) =
                self.meta.membership.in_phase(SitePhase::Sealed, self.next_stamp())
        {
            self.store.revoke();
            self.set_membership(sealed);
            self.replicate();
            self.advance_commitment();
        }
        self.offer_take_over();
        match self.now.time >= self.held_until {
            true => self.set_route(Route::Nowhere),
            false => self.wake_by(Timer::Route, self.held_until),
        }
    }

    /// Tells the best peer of the other site to be promoted, again with every heartbeat.
    fn offer_take_over(&mut self) {
        if !self.is_seal_held() {
            return;
        }
        let now = self.now.time;
        let again = now.after(self.group.heartbeat);
        let Role::Primary(reign) = &mut self.role else { return };
        if !reign.is_offer_due(now) {
            return;
        }
        reign.note_offered(again);
        self.wake_by(Timer::Switch, again);
        let sealed = self.stamp_of(&self.meta.membership);
        let ballot = self.ballot;
        if let Some(to) = self.best_of_standby(sealed) {
            self.send(&to, Message::TakeOver { ballot });
        }
    }

    /// The peer of the other site that is to take over: of those that hold this the one with the
    /// lowest priority number, then the freshest, then the lowest name.
    fn best_of_standby(&self, sequence: Sequence) -> Option<PeerStart> {
        let ready = self.meta.membership.standby().iter().filter_map(|member| {
            let remote = self.remotes.get(&member.name)?;
            let brief = remote.brief().filter(|brief| brief.priority > 0)?;
            let is_ready =
                self.is_reachable(remote) && self.held_by(&member.name, member.id?) >= sequence;
            let start = PeerStart::new(member.name.clone(), remote.linked()?);
            is_ready.then_some((brief.priority, Reverse(brief.position), start))
        });
        ready.min().map(|(_, _, start)| start)
    }

    /// The reign ends: whoever has asked for another site to decide is told what came of it.
    pub(in crate::protocol) fn end_switch_of_sites(&mut self, outcome: ArrangeOutcome) {
        let Role::Primary(reign) = &mut self.role else { return };
        for (from, request) in reign.take_site_switchers() {
            self.tell_arranged(&from, request, outcome);
        }
    }
}
