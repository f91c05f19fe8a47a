//! Changes of the membership: who is known by name, and how the primary brings one change at a time
//! forward (docs/protocol.md, section 7).
//!
//! ```text
//!   a joiner, a restart, a wish to leave ──▶ joint: majorities of the old and of the new members
//!                                    committed ──▶ settled: of the new ones only
//!                                    committed, and held by all that are linked ──▶ the next one
//! ```

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Member, MemberId, PeerKind, PeerName, Position, Sequence};
use crate::base::told::millis;
use crate::protocol::group::remote::Remote;
use crate::protocol::io::CHANGES_VERSION;
use crate::protocol::machine::Machine;
use crate::protocol::message::Brief;
use crate::protocol::role::Role;
use crate::state::Membership;

impl Machine {
    /// The members, as far as this peer knows: those of its state, or of its settings before it has
    /// any.
    pub(in crate::protocol) fn names(&self) -> BTreeSet<&PeerName> {
        if self.meta.membership.voters.is_empty() {
            return self.group.members.iter().collect();
        }
        self.meta.membership.names()
    }

    /// Returns true if this peer knows that it was counted out.
    pub(in crate::protocol) fn is_removed(&self) -> bool {
        self.meta.membership.has_removed(&self.config.name, self.id)
    }

    /// The other members, as far as this peer knows them; nobody else has a say in anything.
    pub(in crate::protocol) fn fellows(&self) -> impl Iterator<Item = (&PeerName, &Remote)> {
        self.names().into_iter().filter_map(|name| self.remotes.get_key_value(name))
    }

    /// Returns true if all members are in reach and as `holds` says: those that this peer knows of,
    /// and those that any peer in reach does. What this peer knows may be older than a restart; but
    /// of any majority of the members that it knows somebody knows who came next.
    pub(in crate::protocol) fn reaches_all_known(&self, holds: impl Fn(&Brief) -> bool) -> bool {
        let mut names = self.names();
        let known = self.remotes.iter().filter(|(name, _)| self.knows(name)).map(|(_, r)| r);
        let briefs = known.filter(|r| self.is_reachable(r)).filter_map(Remote::brief);
        names.extend(briefs.flat_map(|brief| &brief.members));
        names.remove(&self.config.name);
        let is_there = |name: &PeerName| {
            let remote = self.remotes.get(name).filter(|remote| self.is_reachable(remote));
            let remote = remote.filter(|remote| !self.is_another_storage(name, remote));
            remote.and_then(Remote::brief).is_some_and(&holds)
        };
        // A blank joiner that has heard of no member does not know that there is none.
        let knows_some = !names.is_empty() || self.config.kind == PeerKind::Member;
        knows_some && names.into_iter().all(is_there)
    }

    /// Returns true if a member of a group on disk is linked with another storage than it is
    /// counted by. Who has that one may live beside it, out of reach.
    fn is_another_storage(&self, name: &PeerName, remote: &Remote) -> bool {
        let mut voters = self.meta.membership.voters.iter();
        let id = voters.find(|member| member.name == *name).and_then(|member| member.id);
        self.has_log() && id.is_some() && remote.id() != id
    }

    /// Makes room for members that have come, and forgets those that have gone.
    pub(in crate::protocol) fn follow_names(&mut self) {
        let mut names: BTreeSet<PeerName> = self.names().into_iter().cloned().collect();
        names.remove(&self.config.name);
        self.remotes.retain(|name, remote| remote.is_linked() || names.contains(name));
        for name in names {
            self.remotes.entry(name).or_default();
        }
    }

    /// Returns true if the primary sends its state to a peer: to members and to those that are to
    /// become some. One that was counted out gets the change that says so, once it is committed:
    /// until then its vote may be needed, and a peer that knows of its removal gives none.
    pub(in crate::protocol) fn is_fed(&self, name: &PeerName, remote: &Remote) -> bool {
        let Some((end, id)) = remote.last().zip(remote.id()) else { return false };
        let membership = &self.meta.membership;
        match end.kind {
            PeerKind::Client => false,
            _ if membership.has(name) => true,
            // What has not begun for sure is not followed from there.
            _ if self.is_of_standby(remote) => {
                self.is_established() || bug::is(Bug::StandbyTakesUnborn)
            }
            _ if membership.has_removed(name, id) => {
                let is_due = self.is_change_committed() || bug::is(Bug::RemovalToldEarly);
                !remote.knows_removal() && is_due
            }
            kind => kind == PeerKind::Joiner,
        }
    }

    /// Begins to send to whoever is to follow, and ends it for those that are not any more.
    pub(in crate::protocol) fn choose_followers(&mut self) {
        let now = self.now.time;
        let mut new = Vec::new();
        let mut gone = Vec::new();
        for (name, remote) in &self.remotes {
            match (self.is_fed(name, remote), remote.is_fed()) {
                (true, false) => new.push(name.clone()),
                (false, true) => gone.push(name.clone()),
                _ => {}
            }
        }
        for name in gone {
            if let Some(remote) = self.remotes.get_mut(&name) {
                remote.stop_feeding();
            }
        }
        for name in new {
            self.follow_me(&name, now);
        }
    }

    /// A follower that was counted out needs no more once it holds the change that says so.
    pub(in crate::protocol) fn note_removal_held(&mut self, name: &PeerName) {
        let stamp = self.stamp_of(&self.meta.membership);
        let Some(id) = self.remotes.get(name).and_then(Remote::id) else { return };
        if !self.meta.membership.has_removed(name, id) || self.held_by(name, id) < stamp {
            return;
        }
        if let Some(remote) = self.remotes.get_mut(name) {
            remote.note_removal_known();
        }
    }

    /// Brings a change of the membership forward: begin, and end, one at a time.
    pub(in crate::protocol) fn advance_membership(&mut self) {
        if !self.is_change_committed() && !bug::is(Bug::ChangeBeforeCommitted) {
            return;
        }
        let stamp = self.next_stamp();
        let membership = match self.meta.membership.ended(stamp) {
            Some(ended) => {
                self.announce_replaced();
                ended
            }
            None if self.may_begin() => match self.next_change(stamp) {
                Some(begun) => begun,
                None => return,
            },
            None => return,
        };
        self.set_membership(membership);
        self.choose_followers();
        self.replicate();
    }

    /// Returns true if this peer is the primary of a reign that has begun for sure.
    pub(in crate::protocol) fn is_established(&self) -> bool {
        matches!(&self.role, Role::Primary(reign) if reign.is_established())
    }

    /// Returns true if the last change of the membership, or its beginning, is committed.
    pub(in crate::protocol) fn is_change_committed(&self) -> bool {
        let Role::Primary(reign) = &self.role else { return false };
        reign.is_established() && reign.committed() >= self.stamp_of(&self.meta.membership)
    }

    /// Returns true if the next change may begin: whoever the last one has counted in knows of its
    /// end, and a majority of those who count now has promised this primary something since.
    ///
    /// The second keeps a lease from outliving its members: it rests on promises of the members as
    /// they are or as they were before the last change, and a majority of those that come next
    /// contains one of either.
    fn may_begin(&self) -> bool {
        let Role::Primary(reign) = &self.role else { return false };
        if bug::is(Bug::ChangeBeforeCommitted) {
            return reign.is_established();
        }
        if reign.demotion().is_some() {
            return false;
        }
        let has_promises = reign.is_promised_since_change() || bug::is(Bug::ChangeWithoutPromises);
        has_promises && self.all_linked_hold(self.stamp_of(&self.meta.membership))
    }

    /// The change to be made next, if there is any: a wish to leave comes first.
    fn next_change(&mut self, stamp: Position) -> Option<Membership> {
        let membership = &self.meta.membership;
        let me = &self.config.name;
        // A site that has given up deciding counts in who has restarted, and changes no more.
        let may_change = self.old_speaker().is_none() && !membership.is_sealed();
        if membership.has(me) && !membership.counts(me, self.id) {
            // Elected by members that knew better than this peer's own state.
            return self.begun(membership.replacing(me, self.id, stamp)?);
        }
        let leaver = self.next_leaver().filter(|_| may_change);
        let removal = leaver.and_then(|name| membership.removing(name, stamp));
        if let Some(joint) = removal.filter(|joint| self.may_be_committed(joint)) {
            return self.begun(joint);
        }
        if let Some(joint) = self.next_learner(stamp) {
            return self.begun(joint);
        }
        if let Some(listed) = self.next_standby(stamp) {
            return Some(listed);
        }
        if let Some(moved) = self.next_address(stamp).filter(|_| may_change) {
            return Some(moved);
        }
        let (stale, joint) = self.next_surplus(stamp).filter(|_| may_change)?;
        let silent_ms = millis(stale.silence);
        self.event(Event::MemberForgotten { peer: stale.peer, silent_ms });
        self.begun(joint)
    }

    /// A member in reach that knows no changes of the members but restarts: while there is one,
    /// there are no others.
    pub(in crate::protocol) fn old_speaker(&self) -> Option<&PeerName> {
        let mut names = self.names().into_iter();
        names.find(|name| self.speaks_less_than(name, CHANGES_VERSION))
    }

    /// Returns true if a majority of the members, of those that would be left as well, follows now:
    /// a change that cannot be committed ends the lease, and cannot be taken back.
    pub(in crate::protocol) fn may_be_committed(&self, joint: &Membership) -> bool {
        if bug::is(Bug::ChangeWithoutPromises) {
            return true;
        }
        let now = self.now.time;
        let lease = self.group.lease();
        joint.has_majority(|name, id| {
            let is_me = *name == self.config.name && id == self.id;
            let remote = self.remotes.get(name).filter(|r| r.is_linked_as(id));
            is_me || remote.is_some_and(|r| r.has_promised_within(lease, now))
        })
    }

    fn begun(&self, mut joint: Membership) -> Option<Membership> {
        if bug::is(Bug::MembershipWithoutJoint) {
            joint.voters = joint.next.take()?;
        }
        Some(joint)
    }

    /// Counts in a linked peer that has caught up and does not count yet: a member that has
    /// restarted, or a joiner.
    ///
    /// It has promised this primary its vote by then: the lease may still rest on the promise of
    /// the incarnation that it replaces, which has died with it.
    fn next_learner(&self, stamp: Position) -> Option<Membership> {
        let membership = &self.meta.membership;
        self.remotes.iter().find_map(|(name, remote)| {
            let (end, id) = remote.last().zip(remote.id())?;
            if !self.is_ready_learner(name, remote, id) {
                return None;
            }
            match end.kind {
                PeerKind::Client => None,
                _ if self.is_of_standby(remote) => None,
                _ if membership.has(name) => membership.replacing(name, id, stamp),
                PeerKind::Member => None,
                PeerKind::Joiner if !self.is_of_active(remote) => None,
                PeerKind::Joiner if self.old_speaker().is_some() => None,
                PeerKind::Joiner if self.is_beyond_size() || membership.is_sealed() => None,
                PeerKind::Joiner => {
                    let name = name.clone();
                    let address = end.address.clone();
                    membership.adding(Member { name, id: Some(id), address }, stamp)
                }
            }
        })
    }

    /// Returns true if a linked peer does not count, has come up with the others, and has promised
    /// this primary its vote.
    fn is_ready_learner(&self, name: &PeerName, remote: &Remote, id: MemberId) -> bool {
        let Role::Primary(reign) = &self.role else { return false };
        let counts_at_once = bug::is(Bug::JoinerCountsAtOnce);
        let is_ready = reign.is_caught_up(self.held_by(name, id)) || counts_at_once;
        let has_promised = remote.has_promised() || bug::is(Bug::UnpromisedLearner);
        !self.meta.membership.counts(name, id) && is_ready && has_promised
    }

    /// Tells of joiners that are ready, and wait until a member has gone, as primary.
    pub(in crate::protocol) fn tell_waiting(&mut self) {
        let mut waiting = BTreeSet::new();
        if self.is_beyond_size() {
            let ready = self.remotes.iter().filter(|(name, remote)| {
                let is_joiner = remote.kind() == Some(PeerKind::Joiner);
                let is_new = !self.meta.membership.has(name);
                let id = remote.id().filter(|_| is_joiner && is_new);
                id.is_some_and(|id| self.is_ready_learner(name, remote, id))
            });
            waiting.extend(ready.map(|(name, _)| name.clone()));
        }
        let live = self.live();
        let Role::Primary(reign) = &mut self.role else { return };
        for peer in reign.note_waiting(waiting) {
            self.event(Event::JoinerWaits { peer, live });
        }
    }

    /// Follows a counted member that says it is reached elsewhere.
    fn next_address(&self, stamp: Position) -> Option<Membership> {
        let membership = &self.meta.membership;
        let own = (&self.config.name, &self.config.address, Some(self.id));
        let told = self
            .fellows()
            .filter_map(|(name, remote)| Some((name, &remote.last()?.address, remote.id())));
        let said = told.chain([own]).filter(|(name, address, id)| {
            !address.is_empty() && id.is_some_and(|id| membership.counts(name, id))
        });
        let mut changed = said.filter_map(|(name, at, _)| membership.readdressed(name, at, stamp));
        changed.next()
    }

    /// Sets the membership from the next cut on, as primary.
    pub(in crate::protocol) fn set_membership(&mut self, membership: Membership) {
        let is_same = membership.names() == self.meta.membership.names()
            && membership.next == self.meta.membership.next;
        let before = std::mem::replace(&mut self.meta.membership, membership);
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        let now = self.now.time;
        if let Role::Primary(reign) = &mut self.role
            && !is_same
        {
            reign.note_members_changed(now);
        }
        self.on_membership(&before);
    }

    /// The membership has changed: tells who has come and who has gone since, once that is settled.
    pub(in crate::protocol) fn on_membership(&mut self, before: &Membership) {
        self.follow_names();
        if self.is_removed() && !before.has_removed(&self.config.name, self.id) {
            self.tell_removed();
        }
        let active = |list: &Membership| list.site.as_ref().map(|site| site.active.clone());
        let has_changed = active(before) != active(&self.meta.membership);
        if has_changed {
            self.tell_sites();
        }
        if !before.is_sealed() && self.meta.membership.is_sealed() && !self.is_primary() {
            // The other site may be about to take over.
            self.hold_callers();
        }
        if before.is_sealed() && !self.meta.membership.is_sealed() {
            // No majority had held the seal.
            self.route_to_leader();
        }
        if before.upkeep != self.meta.membership.upkeep {
            self.tell_upkeep();
        }
        let after = &self.meta.membership;
        let is_other_site = has_changed && before.site.is_some();
        if is_other_site
            || after.next.is_some()
            || before.voters.is_empty()
            || after.voters.is_empty()
        {
            return;
        }
        let names = |list: &[Member]| -> BTreeSet<PeerName> {
            list.iter().map(|m| m.name.clone()).collect()
        };
        let names_before = names(&before.voters);
        let names_after = names(&after.voters);
        let members = names_after.len();
        for peer in names_after.difference(&names_before).cloned() {
            self.event(Event::MemberAdded { peer, members });
        }
        for peer in names_before.difference(&names_after).cloned() {
            self.event(Event::MemberRemoved { peer });
        }
    }

    /// The change that ends now has counted in another start of a member.
    fn announce_replaced(&mut self) {
        let membership = &self.meta.membership;
        let id_of =
            |list: &[Member], name: &PeerName| list.iter().find(|m| m.name == *name).map(|m| m.id);
        let replaced = membership.next.iter().flatten().find(|member| {
            id_of(&membership.voters, &member.name).is_some_and(|id| id != member.id)
        });
        if let Some(peer) = replaced.map(|member| member.name.clone()) {
            self.event(Event::MemberReplaced { peer });
        }
    }

    /// A membership of an older reign is covered by the first change of this one.
    pub(in crate::protocol) fn stamp_of(&self, membership: &Membership) -> Sequence {
        let Role::Primary(reign) = &self.role else {
            return Sequence(u64::MAX);
        };
        if membership.stamp.ballot == self.ballot {
            membership.stamp.sequence
        } else {
            reign.first()
        }
    }

    /// The stamp of a change made now: past the last cut, and part of the next one.
    pub(in crate::protocol) fn next_stamp(&self) -> Position {
        let sequence = Sequence(self.store.position().sequence.0 + 1);
        Position { ballot: self.ballot, sequence }
    }

    /// Returns true if every linked member holds `sequence`: the end of a change is known to whom
    /// it counts in before the next one begins.
    fn all_linked_hold(&self, sequence: Sequence) -> bool {
        self.meta.membership.voters.iter().all(|member| {
            let Some(id) = member.id else {
                return true;
            };
            let is_linked = self.remotes.get(&member.name).is_some_and(|r| r.id() == Some(id));
            !is_linked || self.held_by(&member.name, id) >= sequence
        })
    }

    /// Returns true if this primary has counted itself out, for it was on its way out when it was
    /// elected.
    pub(in crate::protocol) fn is_counted_out(&self) -> bool {
        let is_out = !self.meta.membership.has(&self.config.name);
        is_out && self.is_change_committed() && self.is_primary()
    }

    /// The id of another member, if it is linked.
    pub(in crate::protocol) fn linked_id(&self, name: &PeerName) -> Option<MemberId> {
        self.remotes.get(name).and_then(Remote::id)
    }
}
