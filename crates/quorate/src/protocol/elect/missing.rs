//! What a new generation may lack, and members that it waits for
//! (docs/protocol.md, section 6).

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{PeerName, PeerStart, Position};
use crate::base::loss::Loss;
use crate::config::NewGenerations;
use crate::protocol::machine::Machine;
use crate::protocol::message::{Campaign, VoteRequest};
use crate::protocol::role::Role;
use crate::state::Membership;

impl Machine {
    /// Members that are not in reach, and that a new generation has to wait for: none if it may do
    /// without them, or this peer was told to.
    pub(in crate::protocol) fn missing_members(&self) -> Vec<PeerName> {
        let may_lack = self.is_patient() || self.lacks_acknowledged(Position::BLANK).is_some();
        if self.watch.found_now || !may_lack {
            return Vec::new();
        }
        self.unreached(|_| false)
    }

    /// Returns true if a member has gone since this peer has stood for a new generation, and is to
    /// be waited for.
    pub(in crate::protocol) fn has_lost_a_member(&self, campaign: Campaign) -> bool {
        let is_forced = !self.gone.is_empty();
        campaign == Campaign::NewGeneration && !is_forced && !self.missing_members().is_empty()
    }

    /// Names that neither this peer nor, as `is_reached_else` says, somebody else reaches.
    fn unreached(&self, is_reached_else: impl Fn(&PeerName) -> bool) -> Vec<PeerName> {
        let unreached = self.names().into_iter().filter(|name| !self.reaches_or_is(name));
        unreached.filter(|name| !is_reached_else(name)).cloned().collect()
    }

    /// Returns true if a new generation of this candidate has to wait, as far as this peer has a
    /// say in it.
    pub(in crate::protocol) fn must_be_complete(
        &self,
        from: &PeerStart,
        request: &VoteRequest,
    ) -> bool {
        if request.is_forced || self.watch.found_now {
            return false;
        }
        let may_lack = self.is_patient() || self.lacks_acknowledged(request.position).is_some();
        may_lack && !self.unreached(|name| self.hears_of(&from.name, name)).is_empty()
    }

    /// Returns true if this peer takes part in no new generation without every member.
    fn is_patient(&self) -> bool {
        let is_set = self.config.new_generations == NewGenerations::WhenComplete;
        is_set && !bug::is(Bug::BeginsIncomplete)
    }

    /// Whoever is told to found stands at once, however long the pauses have become in which it has
    /// tried by itself.
    pub(in crate::protocol) fn on_found_new_group(&mut self) {
        self.watch.found_now = true;
        self.watch.rounds = 0;
        self.watch.campaign_at = None;
        if matches!(self.role, Role::PreCandidate(_)) {
            self.role = Role::Follower;
        }
        self.wake_soon();
    }

    /// Members in reach that hold what this peer holds: where they are a half of the members, to
    /// have heard all of them shows that nothing is lost. Of an odd number that would be a
    /// majority.
    pub(in crate::protocol) fn equals_in_reach(&self) -> BTreeSet<PeerName> {
        let own = self.store.position();
        if own.is_blank() || !self.names().len().is_multiple_of(2) {
            return BTreeSet::new();
        }
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let equal =
            reached.filter(|(_, remote)| remote.brief().is_some_and(|brief| brief.position == own));
        equal.map(|(name, _)| name.clone()).collect()
    }

    /// Notes whom a new generation waits for, and tells it once.
    pub(in crate::protocol) fn wait_for_members(&mut self, missing: Vec<PeerName>) {
        let is_news = !missing.is_empty() && self.watch.missing.is_empty();
        self.watch.missing.clone_from(&missing);
        if is_news {
            let acknowledged = self.lacks_acknowledged(Position::BLANK);
            self.event(Event::NewGenerationWaits { missing, acknowledged });
        }
    }

    /// The loss of a new generation: how much of what a majority had held is not in the state that
    /// it begins from.
    ///
    /// What was acknowledged was held by a majority. Where one of each majority has taken part, its
    /// state is no fresher than the one adopted; or it has restarted, and remembers how far it may
    /// have acknowledged.
    pub(in crate::protocol) fn loss(&self, former: &Membership) -> Loss {
        let is_any_silent = former.has_majority(|name, id| {
            let took_part = self.participants.get(name) == Some(&id);
            !took_part && self.remembered_by(name).is_none()
        });
        if is_any_silent && !bug::is(Bug::LossDenied) {
            return Loss::Unknown;
        }
        let bound = former.voters.iter().filter_map(|member| self.remembered_by(&member.name));
        match bound.fold(Position::BLANK, Position::max) {
            position if position > self.store.position() => Loss::UpTo { position },
            _ => Loss::Nothing,
        }
    }

    /// The position up to which a member that is linked, or this peer, may have acknowledged before
    /// it restarted.
    fn remembered_by(&self, name: &PeerName) -> Option<Position> {
        if *name == self.config.name {
            return self.remembered();
        }
        let remote = self.remotes.get(name).filter(|remote| remote.is_linked())?;
        remote.brief()?.acknowledged
    }
}
