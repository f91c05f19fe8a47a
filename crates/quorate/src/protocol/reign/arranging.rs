//! What a primary arranges for the whole group when it is asked to: how the members are looked
//! after (docs/protocol.md, section 15), and which of two sites decides (section 16).

use std::time::Duration;

use crate::base::error::{ArrangeError, SiteError};
use crate::base::event::Event;
use crate::base::id::{PeerKind, PeerStart, Sequence};
use crate::base::told::millis;
use crate::protocol::group::request::Answer;
use crate::protocol::machine::Machine;
use crate::protocol::message::{ArrangeOutcome, Arrangement, Message};
use crate::protocol::reign::made_changes::{Change, Made};
use crate::protocol::role::Role;
use crate::state::Upkeep;

impl ArrangeOutcome {
    pub(in crate::protocol) fn into_result(self) -> Result<u64, ArrangeError> {
        match self {
            Self::Arranged { revision } => Ok(revision),
            Self::NotAllowed => Err(ArrangeError::NotAllowed),
            // The others are said of sites only, and not by a peer that knows what it says.
            Self::OldVersion
            | Self::NoSite
            | Self::OtherDecides
            | Self::OtherHolds
            | Self::NotVerified => Err(ArrangeError::OldVersion),
            // There is one, and it decides nothing any more.
            Self::Sealed => Err(ArrangeError::NoPrimary { waited: Duration::ZERO }),
        }
    }

    pub(in crate::protocol) fn into_site_result(self) -> Result<(), SiteError> {
        match self {
            Self::Arranged { .. } => Ok(()),
            Self::NotAllowed => Err(SiteError::NotAllowed),
            Self::OldVersion => Err(SiteError::OldVersion),
            Self::NoSite => Err(SiteError::NoSite),
            Self::OtherDecides => Err(SiteError::OtherDecides),
            Self::OtherHolds => Err(SiteError::OtherHolds),
            Self::NotVerified => Err(SiteError::NotVerified),
            Self::Sealed => Err(SiteError::Sealed),
        }
    }
}

impl Machine {
    /// Answers another peer that asks for something to be arranged.
    pub(in crate::protocol) fn on_arrange_asked(
        &mut self,
        from: &PeerStart,
        request: u64,
        change: Arrangement,
    ) {
        if !self.is_primary() {
            return;
        }
        // Whoever is looked after may be counted out.
        let is_of_standby = self.remotes.get(&from.name).is_some_and(|remote| {
            self.is_of_standby(remote) && remote.kind() != Some(PeerKind::Client)
        });
        let is_of_sites = !matches!(change, Arrangement::Monitor(_));
        let is_allowed = self.may_ask(&from.name, self.config.client_rights.remove_members)
            || (is_of_sites && is_of_standby && self.meta.membership.lists_name(&from.name));
        let was_made = matches!(&self.role, Role::Primary(r) if r.arranged().has(from, request));
        let outcome = match is_allowed || was_made {
            true => self.consider_arrangement(from, request, change),
            false => Some(ArrangeOutcome::NotAllowed),
        };
        if let Some(outcome) = outcome {
            self.send(from, Message::Arranged { request, outcome });
        }
    }

    /// The answer to a change as things stand; `None` while it is under way, or has to wait for a
    /// change of the members. It is made once, however often it is asked for.
    pub(in crate::protocol) fn consider_arrangement(
        &mut self,
        from: &PeerStart,
        request: u64,
        change: Arrangement,
    ) -> Option<ArrangeOutcome> {
        let change = match change {
            Arrangement::Monitor(change) => change,
            Arrangement::Activate => return self.consider_activation(),
            Arrangement::Demote { site_epoch } => {
                return self.consider_demotion(from, request, site_epoch, false);
            }
            Arrangement::SwitchSites { site_epoch } => {
                return self.consider_demotion(from, request, site_epoch, true);
            }
        };
        if self.meta.membership.is_sealed() {
            return Some(ArrangeOutcome::Sealed);
        }
        let Role::Primary(reign) = &mut self.role else { return None };
        let committed = reign.committed();
        match reign.arranged_mut().ask(from, request, committed) {
            Some(Made::Held { revision }) => return Some(ArrangeOutcome::Arranged { revision }),
            Some(Made::UnderWay) => return None,
            None => {}
        }
        // Without a lease there may be another primary already, with another setting.
        if !reign.is_calm() || !reign.has_lease() || reign.arranged().is_full() {
            return None;
        }
        if self.has_old_upkeep() {
            return Some(ArrangeOutcome::OldVersion);
        }
        if !self.is_change_committed() || self.meta.membership.next.is_some() {
            return None;
        }
        let own = self.config.monitor;
        let upkeep = self.meta.membership.upkeep.changed(change, own, self.calendar());
        let at = match upkeep {
            Some(upkeep) => self.set_upkeep(upkeep)?,
            None => self.stamp_of(&self.meta.membership),
        };
        let until = self.now.time.after(self.group.io_timeout);
        let from = from.clone();
        let revision = self.meta.membership.upkeep.revision;
        let Role::Primary(reign) = &mut self.role else { return None };
        let is_told = reign.committed() >= at;
        reign.arranged_mut().add(Change { from, request, revision, at, until, is_told });
        is_told.then_some(ArrangeOutcome::Arranged { revision })
    }

    /// The members are looked after like this from the next cut on.
    fn set_upkeep(&mut self, upkeep: Upkeep) -> Option<Sequence> {
        let membership = self.meta.membership.kept_by(upkeep, self.next_stamp())?;
        let at = membership.stamp.sequence;
        self.set_membership(membership);
        self.replicate();
        self.advance_commitment();
        Some(at)
    }

    /// Tells that the members are looked after in another way now.
    pub(in crate::protocol) fn tell_upkeep(&mut self) {
        let Upkeep { revision, monitor, paused_until } = self.meta.membership.upkeep;
        let timeout = self.group.failure_timeout;
        self.event(Event::MonitorChanged {
            size: monitor.map(|monitor| monitor.size()),
            grace_ms: monitor.map(|monitor| millis(monitor.grace_within(timeout))),
            paused_until_ms: paused_until.map(|until| until.as_millis()),
            revision,
        });
    }

    /// Tells those who asked that a majority holds it now, as primary.
    pub(in crate::protocol) fn advance_arrangements(&mut self) {
        let now = self.now.time;
        let Role::Primary(reign) = &mut self.role else { return };
        let committed = reign.committed();
        let held = reign.arranged_mut().take_held(committed);
        reign.arranged_mut().forget(now);
        for Change { from, request, revision, .. } in held {
            self.tell_arranged(&from, request, ArrangeOutcome::Arranged { revision });
        }
    }

    /// Tells whoever has asked, this peer or another, what came of it.
    pub(in crate::protocol) fn tell_arranged(
        &mut self,
        from: &PeerStart,
        request: u64,
        outcome: ArrangeOutcome,
    ) {
        if from.incarnation == self.incarnation {
            self.answer(request, Answer::Arrange(outcome));
        } else {
            self.send(from, Message::Arranged { request, outcome });
        }
    }
}
