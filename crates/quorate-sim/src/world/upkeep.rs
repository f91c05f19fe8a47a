//! Upkeep and force: what operators say, who is refused at the door, and who was given up while it
//! lived.
//!
//! The world does here what the driver's handshake does: whoever refuses another has met it, and
//! whoever is refused as no member by a peer that holds a state hears where that one stands.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::internal::protocol::io::Input;
use quorate::internal::protocol::{Applicant, Objection, Standing};
use quorate::internal::state::Membership;
use quorate::{Event as GroupEvent, Generation, Incarnation, MonitorChange, PeerName, Site};

use crate::words::seen::Seen;
use crate::world::World;

/// A peer that an operator has named as gone for good, and that lived or may come back with its
/// data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp {
    peer: usize,
    /// The process of it that lived.
    incarnation: Option<Incarnation>,
    /// Who was forced to be primary without it.
    by: usize,
    /// What began then.
    generation: Generation,
    /// The process of it that has heard.
    heard: Option<Incarnation>,
    /// Whoever was forced has heard of a newer generation.
    has_end: bool,
}

impl World {
    /// Two peers have said hello, and one refuses the other: returns true if it does so over its
    /// list, which is told before anything else.
    pub(crate) fn turn_away(&mut self, one: usize, other: usize) -> bool {
        self.counters.add("link refusals");
        let mut has_objected = false;
        for (here, there) in [(one, other), (other, one)] {
            let Some(objection) = self.objection(here, there) else { continue };
            has_objected = true;
            // Whoever is not one of those that found has a list of its own, and is told nothing.
            let has_state = self
                .process(here)
                .is_some_and(|process| !process.store.meta().membership.voters.is_empty());
            self.meet(here, there, None);
            self.meet(there, here, None);
            let is_named = ![Objection::Full, Objection::Alike].contains(&objection);
            if has_state && is_named {
                self.spurn(there, here);
            }
        }
        has_objected
    }

    /// What the list of a peer says against another one.
    fn objection(&self, peer: usize, from: usize) -> Option<Objection> {
        self.by_list(peer, from, Membership::objection)?
    }

    /// A peer has heard the hello of another one, and may see by it that a newer generation has
    /// passed it over.
    pub(crate) fn overtake(&mut self, peer: usize, from: usize) {
        let Some((by, _)) = self.process(from).map(|process| process.standing()) else { return };
        if self.by_list(peer, from, Membership::is_overtaken_by) == Some(true) {
            let own = self.process(peer).map(|process| process.store.position().ballot.generation);
            let forced = self.given_up.iter_mut().filter(|given_up| given_up.by == peer);
            forced.for_each(|given_up| given_up.has_end |= own == Some(given_up.generation));
            self.drive(peer, Input::Overtaken { by });
        }
    }

    /// Holds another peer against the list of one.
    fn by_list<T>(
        &self,
        peer: usize,
        from: usize,
        judge: impl FnOnce(&Membership, &Standing, &Applicant<'_>) -> T,
    ) -> Option<T> {
        let (here, there) = (self.process(peer)?, self.process(from)?);
        let name = &self.plan.name(from);
        let (own, meta) = here.standing();
        let (standing, _) = there.standing();
        let kind = self.hosts[from].config.kind;
        let site = self.hosts[from].config.site.as_ref().map(Site::name).unwrap_or_default();
        let applicant = Applicant { peer: name, id: there.id, kind, standing: &standing, site };
        Some(judge(&meta.membership, &own, &applicant))
    }

    /// A peer is refused as no member by one that holds a state.
    fn spurn(&mut self, peer: usize, by: usize) {
        let Some((standing, _)) = self.process(by).map(|process| process.standing()) else {
            return;
        };
        let own = self.process(peer).map(|process| process.standing().0);
        let is_disowned = own.is_some_and(|own| {
            let newest = standing.position.ballot.generation;
            let older = own.position.ballot.generation;
            // Of another site epoch this says nothing: it may not have begun.
            let is_here = newest.site_epoch() == older.site_epoch();
            is_here && newest > older && own.gives_way_to(&standing)
        });
        if is_disowned && let Some(incarnation) = self.hosts[peer].running() {
            let given_up = self.given_up.iter_mut().filter(|given_up| given_up.peer == peer);
            given_up.for_each(|given_up| given_up.heard = Some(incarnation));
            self.see(&Seen::Disowned { peer, incarnation });
        }
        let by = self.plan.name(by);
        let held = Some(standing.position).filter(|position| !position.is_blank());
        self.drive(peer, Input::HolderMet { position: held });
        self.drive(peer, Input::RefusedAsStranger { by, standing });
    }

    /// A peer hears the name of another one in a handshake of which no link comes.
    pub(crate) fn meet(&mut self, peer: usize, other: usize, refused_for: Option<&str>) {
        if !self.hosts[peer].is_running() {
            return;
        }
        let refused_for = refused_for.map(str::to_owned);
        let other = self.plan.name(other);
        self.drive(peer, Input::Met { peer: other, refused_for });
    }

    /// An operator has a peer forced to be primary without these.
    pub(crate) fn force(&mut self, at: usize, gone: &[usize]) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[at].is_running() {
            self.counters.add("forces asked for");
            let gone: BTreeSet<PeerName> = gone.iter().map(|peer| self.plan.name(*peer)).collect();
            self.drive(at, Input::Force { request, gone });
        }
    }

    /// An operator says how the members are to be looked after.
    pub(crate) fn arrange(&mut self, at: usize, change: MonitorChange) {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[at].is_running() {
            self.drive(at, Input::Arrange { request, change: change.into() });
        }
    }

    /// Notes who was given up by force while it lived: until it hears of that it may go on.
    pub(crate) fn note_given_up(&mut self, by: usize, event: &GroupEvent) {
        let GroupEvent::PrimaryForced { gone, generation, .. } = event else { return };
        let gone: Vec<usize> = gone.iter().map(|peer| self.index_of(peer)).collect();
        for peer in gone {
            let incarnation = self.process(peer).map(|process| process.incarnation);
            let generation = *generation;
            self.given_up.push(GivenUp {
                peer,
                incarnation,
                by,
                generation,
                heard: None,
                has_end: false,
            });
            // A scenario says itself what is to come of it.
            self.has_lied |= self.are_faults_active && incarnation.is_some();
        }
    }

    /// Returns true if a peer was given up by force while it lived, or was started again with what
    /// it held, and has not heard of that; or if others that were have let it in, and whoever was
    /// forced past them knows nothing of it.
    pub(crate) fn was_given_up(&self, peer: usize) -> bool {
        let Some(process) = self.process(peer) else { return false };
        let (own, incarnation) = (process.store.position(), Some(process.incarnation));
        self.given_up.iter().any(|given_up| {
            let is_before = !own.is_blank() && own.ballot.generation < given_up.generation;
            if given_up.peer == peer {
                let is_back = given_up.incarnation == incarnation || is_before;
                return given_up.heard != incarnation && is_back;
            }
            let has_lived = given_up.incarnation.is_some();
            has_lived && is_before && !process.machine.is_disowned() && {
                let name = &self.plan.name(peer);
                let forced = self.process(given_up.by);
                forced.is_none_or(|forced| !forced.store.meta().membership.has(name))
            }
        })
    }

    /// Returns true if a peer leads the generation that it was forced to begin past members that
    /// lived, another is of a newer one, and neither is connected with the other.
    pub(crate) fn was_forced_unheard(&self, peer: usize, other: usize) -> bool {
        let reign = |peer| Some(self.process(peer)?.reign?.generation);
        let Some((forced, newer)) = reign(peer).zip(reign(other)) else { return false };
        let mut past_living = self.given_up.iter().filter(|given_up| {
            let has_lived = given_up.incarnation.is_some();
            let is_of_it = given_up.by == peer && given_up.generation == forced;
            has_lived && is_of_it && !given_up.has_end
        });
        forced < newer && past_living.next().is_some() && !self.is_linked(peer, other)
    }

    /// Returns true if a peer was forced past others that lived.
    pub(crate) fn was_forced_past(&self, peer: usize) -> bool {
        let mut lived = self.given_up.iter().filter(|given_up| given_up.incarnation.is_some());
        lived.any(|given_up| given_up.by == peer)
    }

    /// Whoever has an operator's ear names those that do not run as gone, or, if it lies, any that
    /// it does not reach.
    pub(crate) fn fault_force(&mut self, peer: usize, is_honest: bool) {
        let names: Vec<usize> = match self.process(peer) {
            Some(process) => {
                let names = process.store.meta().membership;
                names.names().into_iter().map(|name| self.index_of(name)).collect()
            }
            None => return,
        };
        let is_there = |other: &usize| match is_honest {
            true => self.process(*other).is_some() || self.is_stranded(*other),
            false => self.is_linked(peer, *other),
        };
        let gone: Vec<usize> =
            names.into_iter().filter(|other| *other != peer && !is_there(other)).collect();
        if !gone.is_empty() {
            self.force(peer, &gone);
        }
    }

    /// Returns true if an earlier process of a peer lives on, cut off.
    fn is_stranded(&self, peer: usize) -> bool {
        self.stranded.iter().any(|stranded| stranded.peer == peer)
    }

    /// A member ends, and a peer that is no member is started in its place.
    pub(crate) fn fault_replace(&mut self, peer: usize, length: Duration) {
        if !self.is_counted(peer) || !self.may_lose(peer) {
            return;
        }
        self.fault_join();
        self.kill_for(peer, false, length * 4);
    }

    /// An operator pauses, resumes or sets the monitor.
    pub(crate) fn fault_arrange(&mut self, peer: usize) {
        let Some(monitor) = self.plan.monitor else { return };
        let pause = self.plan.timeout() * 2;
        let pause = Duration::from_millis(pause.as_millis().try_into().unwrap_or(1).max(1));
        let change = match self.fault_random.index(4) {
            0 => MonitorChange::Pause(pause),
            1 => MonitorChange::Resume,
            2 => MonitorChange::Off,
            _ => MonitorChange::Set(monitor),
        };
        self.arrange(peer, change);
    }

    /// Returns true if a joiner has yet to wait for a place, for as many members as are wanted, and
    /// one more, are live.
    pub(crate) fn is_waiting(&self, peer: usize) -> bool {
        let is_joiner = self.hosts[peer].config.kind == quorate::PeerKind::Joiner;
        let Some(list) = self.newest_membership().filter(|_| is_joiner) else { return false };
        let monitor = list.upkeep.in_force(self.plan.monitor);
        monitor.is_some_and(|monitor| list.voters.len() > monitor.size())
    }
}
