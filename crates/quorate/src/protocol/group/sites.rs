//! Two sites: the members of one decide, and the peers of the other follow them and count in
//! nothing (docs/protocol.md, section 16).
//!
//! ```text
//!   blank ──▶ its site is told to be active: it founds, and decides
//!         └─▶ a primary of the other site is met: copying ──▶ following, listed
//! ```

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, GroupId, Member, MemberId, PeerKind, PeerName, PeerStart, Position};
use crate::config::{AtPassive, Site};
use crate::protocol::group::remote::Remote;
use crate::protocol::group::request::Ask;
use crate::protocol::group::standing::Standing;
use crate::protocol::io::{Output, Route, SITES_VERSION};
use crate::protocol::machine::Machine;
use crate::protocol::message::{ArrangeOutcome, Arrangement, Brief};
use crate::protocol::role::Role;
use crate::protocol::status::SiteView;
use crate::state::{Membership, SiteState};

impl Machine {
    /// Returns true if this peer stands at the site that follows, by the state that it holds, or by
    /// a later site epoch that it knows of.
    pub(in crate::protocol) fn is_passive(&self) -> bool {
        self.is_listed_as_passive() || self.is_fenced()
    }

    /// Returns true if this peer's site is the passive one by its state, whatever ballot it takes
    /// part in.
    pub(in crate::protocol) fn is_listed_as_passive(&self) -> bool {
        let own = self.config.site.as_ref().map(Site::name);
        let standby = self.meta.membership.site.as_ref().map(|site| site.standby.as_str());
        own.is_some() && own == standby
    }

    /// Returns true if another peer's word counts here as that of a member of the active site: it
    /// stands at the other one than this peer, which holds nothing yet, or follows it, and what led
    /// to the state of the one has led to the other's.
    pub(in crate::protocol) fn looks_across(&self, remote: &Remote) -> bool {
        // Whoever has lost what it held finds it at its own site, where somebody there has it.
        let is_new = !self.has_data() && !self.meets_data_here();
        let is_kin = is_new || (self.is_passive() && remote.is_kin());
        self.is_across(remote) && is_kin
    }

    /// Returns true if another peer says that it stands at the other site.
    pub(in crate::protocol) fn is_across(&self, remote: &Remote) -> bool {
        let other = self.config.site.as_ref().map(Site::other_name);
        other.is_some() && other == remote.site()
    }

    /// Returns true if this start of a peer stands at the other site.
    pub(in crate::protocol) fn comes_from_across(&self, start: &PeerStart) -> bool {
        self.remotes.get(&start.name).is_some_and(|remote| self.is_across(remote))
    }

    /// Returns true if another peer is of the site that follows this group.
    pub(in crate::protocol) fn is_of_standby(&self, remote: &Remote) -> bool {
        let standby = self.meta.membership.site.as_ref().map(|site| site.standby.as_str());
        standby.is_some() && standby == remote.site()
    }

    /// Returns true if a peer stands where the members do: anywhere, if there is but one site.
    pub(in crate::protocol) fn is_of_active(&self, remote: &Remote) -> bool {
        let active = self.meta.membership.site.as_ref().map(|site| site.active.as_str());
        active.is_none() || active == remote.site()
    }

    /// Returns true if this peer may found a group from nothing: of two sites none does so until it
    /// is told that it is the one that decides, for the other may hold the data.
    pub(in crate::protocol) fn may_found(&self) -> bool {
        let is_activated = self.is_to_be_active() && !self.meets_data_across();
        let is_told = self.watch.found_now || is_activated;
        self.config.site.is_none() || is_told || bug::is(Bug::SiteFoundsByItself)
    }

    /// Returns true if this peer, which holds nothing, may stand for a new generation: to found one
    /// from nothing, or for a member of its own site that has the data and does not stand itself.
    pub(in crate::protocol) fn may_stand_blank(&self) -> bool {
        self.may_found() || self.meets_data_here()
    }

    /// Returns true if a fellow in reach holds data of a group of which this peer is a member: what
    /// one holds that follows the other site is of the members there.
    fn meets_data_here(&self) -> bool {
        let me = &self.config.name;
        let mut reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        reached.any(|(_, remote)| {
            let is_of_mine = |brief: &Brief| brief.members.contains(me);
            remote.brief().is_some_and(|brief| !brief.position.is_blank() && is_of_mine(brief))
        })
    }

    /// Returns true if somebody who waits for it has told this peer that its site is to decide.
    fn is_to_be_active(&self) -> bool {
        let mut asks = self.requests.iter().map(|request| &request.ask);
        asks.any(|ask| *ask == Ask::Arrange(Arrangement::Activate))
    }

    /// Returns true if callers are not let go on by this route: they are refused here, or nobody
    /// decides there any more.
    pub(in crate::protocol) fn refuses_callers_of(&self, route: &Route) -> bool {
        let Route::There { ballot, .. } = route else { return false };
        let is_sealed =
            self.meta.membership.is_sealed() && ballot.generation.site_epoch() <= self.own_epoch();
        is_sealed || self.refuses_callers()
    }

    /// What a wish that this site give up deciding comes to, where that need not be asked.
    pub(in crate::protocol) fn has_been_demoted(
        &self,
        change: Arrangement,
    ) -> Option<ArrangeOutcome> {
        let (site_epoch, is_switch) = match change {
            Arrangement::Demote { site_epoch } => (site_epoch, false),
            Arrangement::SwitchSites { site_epoch } => (site_epoch, true),
            Arrangement::Monitor(_) | Arrangement::Activate => return None,
        };
        if self.config.site.is_none() {
            return Some(ArrangeOutcome::NoSite);
        }
        let is_over = self.site_epoch > site_epoch || (!is_switch && self.is_passive());
        is_over.then_some(ArrangeOutcome::Arranged { revision: 0 })
    }

    /// Returns true if callers are refused here, for this site follows the other one.
    pub(in crate::protocol) fn refuses_callers(&self) -> bool {
        let site = self.config.site.as_ref();
        self.is_passive() && site.is_some_and(|site| site.when_passive() == AtPassive::Refuse)
    }

    /// Returns true if this peer holds nothing, and one of the other site in reach does: that is
    /// not to be passed over.
    fn meets_data_across(&self) -> bool {
        let across = self.remotes.values().filter(|remote| self.is_across(remote));
        let mut briefs =
            across.filter(|remote| self.is_reachable(remote)).filter_map(Remote::brief);
        !self.has_data() && briefs.any(|brief| !brief.position.is_blank())
    }

    /// The sites of a group that is founded from nothing.
    pub(in crate::protocol) fn first_sites(&self) -> Option<SiteState> {
        let site = self.config.site.as_ref()?;
        let (active, standby) = (site.name().to_owned(), site.other_name().to_owned());
        Some(SiteState::new(active, standby))
    }

    /// The answer to that wish of a peer that need ask nobody; nothing if it is for the primary to
    /// answer.
    pub(in crate::protocol) fn why_not_activate(&self) -> Option<ArrangeOutcome> {
        match &self.config.site {
            None => Some(ArrangeOutcome::NoSite),
            Some(_) if self.is_passive() => Some(ArrangeOutcome::OtherDecides),
            Some(_) if self.meets_data_across() && !self.meets_data_here() => {
                Some(ArrangeOutcome::OtherHolds)
            }
            Some(_) => None,
        }
    }

    /// The answer to the wish that this site be the one that decides, as primary; `None` while
    /// something is under way.
    pub(in crate::protocol) fn consider_activation(&mut self) -> Option<ArrangeOutcome> {
        let Some(sites) = self.first_sites() else { return Some(ArrangeOutcome::NoSite) };
        if let Some(known) = &self.meta.membership.site {
            if known.is_sealed() {
                return Some(ArrangeOutcome::Sealed);
            }
            let is_met = known.active == sites.active;
            let is_held = self.is_change_committed();
            return match (is_met, is_held) {
                (true, true) => Some(ArrangeOutcome::Arranged { revision: 0 }),
                (true, false) => None,
                (false, _) => Some(ArrangeOutcome::OtherDecides),
            };
        }
        let Role::Primary(reign) = &self.role else { return None };
        if !reign.is_calm() || !reign.has_lease() || !self.is_change_committed() {
            return None;
        }
        if self.names().into_iter().any(|name| self.speaks_less_than(name, SITES_VERSION)) {
            return Some(ArrangeOutcome::OldVersion);
        }
        // Whoever has no site is refused from then on.
        let is_here = |remote: &Remote| remote.site() == Some(sites.active.as_str());
        let mut linked = self.fellows().filter(|(_, remote)| remote.is_linked());
        if linked.any(|(_, remote)| !is_here(remote)) {
            return Some(ArrangeOutcome::NoSite);
        }
        drop(linked);
        let mut sites = sites;
        let own = Standing::new(self.store.position(), &self.meta);
        own.generations.iter().for_each(|generation| sites.note_generation(*generation));
        let membership = self.meta.membership.with_sites(sites, self.next_stamp())?;
        self.set_membership(membership);
        self.choose_followers();
        self.replicate();
        None
    }

    /// Lists a linked peer of the standby site that has come up with the members, as primary.
    pub(in crate::protocol) fn next_standby(&self, stamp: Position) -> Option<Membership> {
        let Role::Primary(reign) = &self.role else { return None };
        let standby = self.remotes.iter().filter(|(_, remote)| self.is_of_standby(remote));
        let mut ready = standby.filter_map(|(name, remote)| {
            let (end, id) = remote.last().zip(remote.id())?;
            let is_here = reign.is_caught_up(self.held_by(name, id));
            let (name, address) = (name.clone(), end.address.clone());
            is_here.then_some(Member { name, id: Some(id), address })
        });
        ready.find_map(|member| self.meta.membership.listing(member, stamp))
    }

    /// Returns true if this start of a peer is listed as one of the standby site.
    pub(in crate::protocol) fn is_listed(&self, name: &PeerName, id: MemberId) -> bool {
        self.meta.membership.lists(name, id)
    }

    /// Returns true if a state is given up for a primary of another group: at the site that
    /// follows, for an established one of the same history. An active site that was founded anew
    /// from nothing empties no standby.
    pub(in crate::protocol) fn may_follow_anew(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
        is_established: bool,
    ) -> bool {
        let is_kin = self.remotes.get(&from.name).is_some_and(Remote::is_kin)
            || bug::is(Bug::StandbyYieldsToStranger);
        if !is_kin && is_established {
            self.ask_for_lineage(from, group_id);
        }
        is_established && is_kin
    }

    /// What led to another group is said in a handshake: it is begun anew, once for each of them.
    /// One that is still another then is refused.
    pub(in crate::protocol) fn ask_for_lineage(
        &mut self,
        from: &PeerStart,
        group_id: Option<GroupId>,
    ) {
        if self.parted_from.as_ref() == Some(from) {
            return self.refuse_group(from, group_id);
        }
        self.parted_from = Some(from.clone());
        self.outputs.push_back(Output::Unlink(from.clone()));
    }

    /// Parts from everybody who stands at neither site as soon as there are two.
    fn part_from_siteless(&mut self) {
        self.part_from(|machine, _, remote| {
            let own = remote.site().unwrap_or_default();
            let sites = machine.meta.membership.site.as_ref();
            remote.kind() != Some(PeerKind::Client) && sites.is_some_and(|sites| !sites.has(own))
        });
    }

    /// The sites have changed: tells it.
    pub(in crate::protocol) fn tell_sites(&mut self) {
        self.part_from_siteless();
        let Some(site) = &self.config.site else { return };
        let Some(known) = &self.meta.membership.site else { return };
        let (site, active) = (site.name().to_owned(), known.active.clone());
        if self.refuses_callers() && matches!(self.route, Route::There { .. }) {
            self.set_route(Route::Nowhere);
        }
        // The first cut of a promotion is still to be made.
        let stamp = self.meta.membership.stamp.ballot.generation.site_epoch();
        let epoch = self.own_epoch().max(stamp);
        self.event(Event::SiteChanged { site, active, epoch });
    }

    /// A former primary has given up some of what it had decided.
    pub(in crate::protocol) fn on_gave_up(
        &mut self,
        from: &PeerStart,
        ballot: Ballot,
        units: u64,
        is_at_most: bool,
    ) {
        if ballot != self.ballot || !self.is_primary() {
            return;
        }
        let epoch = self.own_epoch();
        if self.comes_from_across(from)
            && let Some(promoted) = self.promoted.as_mut().filter(|own| own.epoch == epoch)
        {
            promoted.note_lost(units, is_at_most);
        }
        self.event(Event::ChangesLost { units, exact: !is_at_most });
    }

    /// What this peer knows of the sites.
    pub(in crate::protocol) fn site_view(&self) -> Option<SiteView> {
        let site = self.config.site.as_ref()?;
        let known = self.meta.membership.site.as_ref();
        Some(SiteView {
            name: site.name().to_owned(),
            other: site.other_name().to_owned(),
            active: known.map(|known| known.active.clone()),
            standby: self.meta.membership.standby().to_vec(),
            is_passive: self.is_passive(),
            site_epoch: self.own_epoch(),
            is_sealed: self.meta.membership.is_sealed(),
            is_confirmed: self.is_confirmed(),
            is_raised: self.is_raised() && self.site_epoch < self.ballot.generation.site_epoch(),
            is_promoting: self.promotion.is_some(),
            not_promoted: self.why_not_promote(false, &BTreeSet::new()),
            promoted: known.and_then(|known| known.promoted),
            promoted_here: self.promoted.filter(|promoted| promoted.epoch == self.own_epoch()),
            backed: self.backed(),
            out_of_step: self.leader.as_ref().and_then(|leader| {
                let in_step = leader.in_step?;
                Some(leader.heard.since(in_step))
            }),
            as_of: self.has_data().then(|| (self.store.group_time(), self.made_at())),
        })
    }
}
