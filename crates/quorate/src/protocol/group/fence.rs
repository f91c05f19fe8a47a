//! The site epoch as a fence: whoever learns that another site has begun to decide decides nothing
//! any more (docs/protocol.md, section 16, rules 13 to 15).
//!
//! A site epoch counts from the moment in which a majority of the new members holds its first
//! change. Until then a promotion is nobody's concern but of those who have voted in it.

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, Generation, PeerKind, PeerName, PeerStart, Term};
use crate::config::Site;
use crate::protocol::io::Route;
use crate::protocol::machine::Machine;
use crate::protocol::message::{ArrangeOutcome, Brief};
use crate::protocol::role::Role;
use crate::state::{epoch_above, is_epoch_of};

impl Machine {
    /// The site epoch of the state that this peer holds.
    pub(in crate::protocol) fn own_epoch(&self) -> u64 {
        self.store.position().ballot.generation.site_epoch()
    }

    /// Returns true if a site epoch is one in which this peer's site decides; the first one is
    /// either's.
    pub(in crate::protocol) fn is_own_epoch(&self, site_epoch: u64) -> bool {
        let site = self.config.site.as_ref();
        site.is_some_and(|site| is_epoch_of(site.name(), site.other_name(), site_epoch))
    }

    /// Returns true if this peer takes part in a site epoch of the other site, above that of its
    /// state: it decides nothing any more, and follows whoever does.
    pub(in crate::protocol) fn is_fenced(&self) -> bool {
        let site_epoch = self.ballot.generation.site_epoch();
        let is_of_other = |site: &Site| is_epoch_of(site.other_name(), site.name(), site_epoch);
        let is_of_other = self.config.site.as_ref().is_some_and(is_of_other);
        is_of_other && site_epoch > self.own_epoch() && !bug::is(Bug::LowerEpochDecides)
    }

    /// Returns true if this peer takes part in a site epoch of its own site, above that of its
    /// state: its site is being promoted.
    pub(in crate::protocol) fn is_raised(&self) -> bool {
        self.is_of_own_later_epoch(self.ballot)
    }

    /// The first site epoch of this peer's site above another; `None` if they are used up.
    pub(in crate::protocol) fn own_epoch_above(&self, site_epoch: u64) -> Option<u64> {
        let site = self.config.site.as_ref()?;
        epoch_above(site.name(), site.other_name(), site_epoch)
    }

    /// Takes note of the newest site epoch that another peer knows to have begun.
    pub(in crate::protocol) fn on_site_epoch(&mut self, from: &PeerStart, brief: &Brief) {
        if brief.site_epoch <= self.site_epoch || self.config.site.is_none() {
            return;
        }
        let Some(remote) = self.remotes.get(&from.name) else { return };
        let kind = remote.kind();
        // Whoever asks to join there says nothing of that before it is listed.
        let is_told = self.is_told_of_epochs_by(&from.name)
            || (self.is_across(remote) && kind == Some(PeerKind::Member));
        if !self.has_data() || !is_told || kind == Some(PeerKind::Client) {
            return;
        }
        if self.is_across(remote) && !remote.is_kin() {
            return self.ask_for_lineage(from, brief.group_id);
        }
        self.learn_epoch(&from.name, brief.site_epoch);
    }

    /// Returns true if a peer may know that a site epoch has begun: it is a member, or of those
    /// that can be promoted. Whoever asks to join, or calls, says nothing of that.
    fn is_told_of_epochs_by(&self, name: &PeerName) -> bool {
        let is_listed = self.meta.membership.lists_name(name) || self.is_sibling(name);
        self.names().contains(name) || is_listed
    }

    /// A peer of the other site, which is sure to be who it says, knows that a later site epoch of
    /// this peer's history has begun. It may be one that refuses this peer, or is refused.
    pub(in crate::protocol) fn on_epoch_met(&mut self, by: &PeerName, site_epoch: u64) {
        if self.config.site.is_some() && self.has_data() && site_epoch > self.site_epoch {
            self.learn_epoch(by, site_epoch);
        }
    }

    /// Another site epoch has begun for sure: nothing is decided here below that.
    fn learn_epoch(&mut self, by: &PeerName, site_epoch: u64) {
        if bug::is(Bug::LowerEpochDecides) {
            return;
        }
        self.site_epoch = site_epoch;
        let generation = Generation::first_of(site_epoch);
        if self.ballot.generation.site_epoch() >= site_epoch {
            return;
        }
        let was_active = self.meta.membership.site.is_some() && !self.is_passive();
        let is_own = self.is_own_epoch(site_epoch);
        self.end_switch_of_sites(match is_own {
            true => ArrangeOutcome::Sealed,
            false => ArrangeOutcome::Arranged { revision: 0 },
        });
        self.adopt_ballot(Ballot { generation, term: Term(0) });
        if was_active && self.is_fenced() {
            self.event(Event::SiteFenced { epoch: site_epoch, by: by.clone() });
        }
        self.wake_soon();
    }

    /// This peer's own reign has begun for sure, and with it the site epoch.
    pub(in crate::protocol) fn note_established(&mut self) {
        let site_epoch = self.ballot.generation.site_epoch();
        self.site_epoch = self.site_epoch.max(site_epoch);
        self.confirm();
        if self.meta.membership.site.is_some() {
            // The sooner the other site hears of it, the shorter callers wait.
            self.ping_all();
        }
    }

    /// Returns true if another peer stands at the passive site that this one is of.
    pub(in crate::protocol) fn is_sibling(&self, name: &PeerName) -> bool {
        let own = self.config.site.as_ref().map(Site::name);
        let is_set = || {
            let remote = self.remotes.get(name);
            self.group.members.contains(name) && remote.is_some_and(|r| r.site() == own)
        };
        self.is_passive() && (self.meta.membership.lists_name(name) || is_set())
    }

    /// Returns true if a ballot is of a later site epoch than this peer's state, in which its own
    /// site decides: what its state says of the sites is over.
    pub(in crate::protocol) fn is_of_own_later_epoch(&self, ballot: Ballot) -> bool {
        let site_epoch = ballot.generation.site_epoch();
        self.is_own_epoch(site_epoch) && site_epoch > self.own_epoch()
    }

    // --- coming back: has the other site been promoted meanwhile?

    /// Returns true if this peer may be primary of a site that decides: most of that one have kept
    /// what they knew since it began to, or it has heard that no other decides. Of a generation
    /// that most of the members came to blank, none of them may remember that another site was
    /// promoted.
    pub(in crate::protocol) fn is_confirmed(&self) -> bool {
        let is_sure = self.confirmed_in == Some(self.store.position().ballot.generation);
        is_sure || self.meta.membership.site.is_none() || bug::is(Bug::UnconfirmedServes)
    }

    /// Looks whether it can be sure now.
    ///
    /// It can by the word of a member that is, and as primary of all that a majority holds: if
    /// there is nobody who could have been promoted, or if most of those that could have follow it.
    pub(in crate::protocol) fn confirm(&mut self) {
        let generation = self.store.position().ballot.generation;
        let is_sure = self.confirmed_in == Some(generation);
        if is_sure || self.is_passive() || !self.has_data() {
            return;
        }
        let mut briefs = self
            .fellows()
            .filter(|(_, remote)| self.is_reachable(remote))
            .filter_map(|(_, remote)| remote.brief());
        let is_told = briefs
            .any(|brief| brief.is_confirmed && brief.position.ballot.generation == generation);
        drop(briefs);
        if is_told || (self.is_established() && self.nobody_was_promoted()) {
            self.confirmed_in = Some(generation);
        }
    }

    /// Returns true if no peer of the other site can have been promoted since this one's state, nor
    /// can be without a word of it, as primary of all that a majority holds: most of those listed
    /// have taken up this reign, and with it whatever it says of the sites in place of what they
    /// held. Where nobody is listed nobody can have been, unless the list itself may be old.
    fn nobody_was_promoted(&self) -> bool {
        let Role::Primary(reign) = &self.role else { return false };
        let standby = self.meta.membership.standby();
        let first = reign.first();
        let follows = |name: &PeerName| {
            self.linked_id(name).is_some_and(|id| self.held_by(name, id) >= first)
        };
        let following = standby.iter().filter(|member| follows(&member.name)).count();
        following > standby.len() / 2 || (standby.is_empty() && !reign.is_anew())
    }

    /// Returns true if this peer may decide as primary, if it has a lease: its site has not begun
    /// to give that up, and no other has been promoted while it was down.
    pub(in crate::protocol) fn may_serve(&self) -> bool {
        let is_sealed = self.meta.membership.is_sealed() && !bug::is(Bug::SealedDecides);
        !is_sealed && self.is_confirmed()
    }

    /// Serves as soon as it is sure that it may, as primary.
    pub(in crate::protocol) fn confirm_reign(&mut self) {
        self.confirm();
        let is_free =
            matches!(&self.role, Role::Primary(reign) if reign.has_lease() && reign.is_calm());
        let is_serving = matches!(self.route, Route::Here { .. });
        if is_free && !is_serving && self.may_serve() {
            self.resume();
        }
    }
}
