//! Being counted out: how a peer learns of it, and what it does no more (docs/protocol.md,
//! section 7, rule 16).
//!
//! A refusal within one generation proves nothing: the list of a primary that was cut off may hold
//! a removal that no majority held. Where a majority of this peer's own list refuses it, one does:
//! that ends nothing here, for nothing can be decided against them, and is told. A newer generation
//! was founded by a majority of the names, or by force; whoever it has counted out has nothing left
//! to decide.

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Generation, PeerKind, PeerName, PeerStart, Position};
use crate::protocol::group::remote::Remote;
use crate::protocol::group::standing::Standing;
use crate::protocol::io::{Output, Route};
use crate::protocol::machine::Machine;
use crate::protocol::role::Role;
use crate::protocol::told::Spurned;

impl Machine {
    /// Another peer has refused this one as no member, and stands there.
    pub(in crate::protocol) fn on_refused_as_stranger(&mut self, by: PeerName, theirs: &Standing) {
        let generation = theirs.position.ballot.generation;
        if !self.has_data() {
            return self.tell_counted_out(Some(by), generation);
        }
        let own = Standing::new(self.store.position(), &self.meta);
        let is_newer =
            generation > own.position.ballot.generation || bug::is(Bug::DisownedInOneGeneration);
        if generation.site_epoch() != self.own_epoch() {
            // A site epoch that has begun is told of in another way.
            return;
        }
        let is_known = self.disowned.is_some_and(|out| out >= generation);
        if is_known || !own.gives_way_to(theirs) {
            return;
        }
        if !is_newer {
            return self.note_spurned(by, own.position);
        }
        if bug::is(Bug::DisownedDecides) {
            return;
        }
        self.end_in(generation);
        self.tell_counted_out(Some(by), generation);
    }

    /// One that this peer's list does not count any more stands in a newer generation: so this peer
    /// was made primary past members that lived, and they have founded again since. Their list may
    /// have it still, so that nobody refuses it.
    pub(in crate::protocol) fn on_overtaken(&mut self, by: &Standing) {
        let own = Standing::new(self.store.position(), &self.meta);
        let [ours, theirs] = [&own, by].map(|of| of.position.ballot.generation);
        if !self.is_primary() || ours >= theirs || !own.gives_way_to(by) {
            return;
        }
        if !bug::is(Bug::OvertakenGoesOn) {
            self.end_in(theirs);
        }
    }

    /// Decides nothing any more, and follows nobody of an older generation than this one.
    fn end_in(&mut self, generation: Generation) {
        self.step_down();
        self.role = Role::Follower;
        self.receiver.clear();
        self.pull = None;
        self.leader = None;
        self.promise = None;
        self.watch.is_suspecting = false;
        self.disowned = Some(generation);
        self.set_route(Route::Nowhere);
        self.wake_soon();
    }

    /// Tells it once a majority of this peer's list says the same, while this peer gets no further.
    fn note_spurned(&mut self, by: PeerName, at: Position) {
        if self.spurned.at != at {
            self.spurned = Spurned { at, by: BTreeSet::new() };
        }
        if self.meta.membership.has(&by) {
            self.spurned.by.insert(by.clone());
        }
        if self.is_spurned() {
            self.tell_counted_out(Some(by), at.ballot.generation);
            self.wake_soon();
        }
    }

    /// Returns true if a majority of this peer's list has refused it as no member since it last got
    /// any further.
    fn is_spurned(&self) -> bool {
        let Spurned { at, by } = &self.spurned;
        let is_since = *at == self.store.position();
        is_since && self.meta.membership.has_majority(|name, _| by.contains(name))
    }

    /// Returns true if the group has counted this peer out, as far as it can tell: within one
    /// generation, by the word of a majority of its list, or of anybody while it holds nothing.
    pub(in crate::protocol) fn is_given_up(&self) -> bool {
        let is_told = if self.has_data() { self.is_spurned() } else { self.told_out.is_some() };
        let leader = self.leader.as_ref().and_then(|leader| self.remotes.get(&leader.start.name));
        is_told && !leader.is_some_and(|leader| self.is_reachable(leader))
    }

    /// Tells it once for each generation.
    fn tell_counted_out(&mut self, by: Option<PeerName>, generation: Generation) {
        if self.told_out < Some(generation) {
            self.told_out = Some(generation);
            self.event(Event::CountedOut { by, generation });
        }
    }

    /// The change that counts this peer out has reached it, as part of its state.
    pub(in crate::protocol) fn tell_removed(&mut self) {
        self.tell_counted_out(None, self.store.position().ballot.generation);
    }

    /// Returns true if what is of this generation is of one that this peer was counted out of, or
    /// of an older one.
    pub(in crate::protocol) fn is_disowned_in(&self, generation: Generation) -> bool {
        let is_any = bug::is(Bug::DisownedInOneGeneration);
        self.disowned.is_some_and(|out| generation < out || is_any)
    }

    /// Parts from members that the list of this generation does not count, with which this peer was
    /// linked before it held it: they are to hear that in a handshake.
    pub(in crate::protocol) fn part_from_strangers(&mut self) {
        self.part_from(|machine, name, remote| {
            let is_member = remote.kind() == Some(PeerKind::Member);
            let is_listed = machine.is_of_standby(remote) || machine.is_sibling(name);
            is_member && !machine.meta.membership.has(name) && !is_listed
        });
    }

    /// Closes the links with these peers: they are judged anew in another handshake.
    pub(in crate::protocol) fn part_from(
        &mut self,
        is_to_go: impl Fn(&Self, &PeerName, &Remote) -> bool,
    ) {
        let gone = self.remotes.iter().filter(|(name, remote)| is_to_go(self, name, remote));
        let starts: Vec<PeerStart> = gone
            .filter_map(|(name, remote)| Some(PeerStart::new(name.clone(), remote.linked()?)))
            .collect();
        self.outputs.extend(starts.into_iter().map(Output::Unlink));
    }
}
