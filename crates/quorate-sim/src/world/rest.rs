//! A group at rest: whether it is whole again, and decides at every peer.
//!
//! Holds G31 and G33 of docs/guarantees.md.

use bytes::Bytes;
use quorate::internal::protocol::io::Route;
use quorate::{Ballot, Mode};

use crate::host::process::Process;
use crate::model::key::key;
use crate::words::operation::{Kind, Outcome};
use crate::world::World;

impl World {
    /// Runs until the group is whole again. After all is healed the group must be whole again
    /// within a bounded time.
    pub(crate) fn come_to_rest(&mut self) {
        // Twice that where a state is copied in hundreds of round trips.
        let bounds = &self.plan.bounds;
        let is_slow = bounds.max_piece_bytes <= 100 && bounds.transfer_window == 1;
        let slow = if is_slow { 2 } else { 1 };
        let bound = self.plan.timeout() * 9 / 2 * slow;
        if self.run_while(bound, Self::is_whole) || self.failure.is_some() {
            return;
        }
        let what = format!("not whole {bound:?} after all was healed: {}", self.describe());
        self.fail("liveness", what);
    }

    /// One primary, everyone follows it, counts as a member and holds what it holds.
    pub(crate) fn is_whole(&self) -> bool {
        let Some(primary) = self.primary() else { return false };
        let Some(leader) = self.process(primary) else { return false };
        if leader.store.has_changed_since_cut() {
            return false;
        }
        let membership = leader.store.meta().membership;
        let names = &self.plan.group.members;
        // One that was counted out is about to step down.
        if !membership.has(&names[primary]) {
            return false;
        }
        // Whoever runs is a member, or is to become one, or was counted out.
        let are_settled = (0..self.plan.peers()).all(|peer| match membership.has(&names[peer]) {
            true => self.follows(peer, primary, leader),
            false if self.follows_by(peer, &membership) => {
                self.follows(peer, primary, leader) && self.is_listed(peer)
            }
            false => {
                let is_settled = self.is_out(peer, &membership) || self.is_waiting(peer);
                self.process(peer).is_none() || is_settled
            }
        });
        are_settled
            && self.clients().all(|client| self.is_served(client, primary))
            && membership.next.is_none()
            && membership.voters.iter().all(|member| {
                let process = self.process(self.index_of(&member.name));
                process.is_some_and(|process| Some(process.id) == member.id)
            })
    }

    /// Returns true if a peer follows this primary, holds what it holds, and has merged all.
    fn follows(&self, peer: usize, primary: usize, leader: &Process) -> bool {
        let Some(process) = self.process(peer) else { return false };
        let is_led = match &process.route {
            Route::Here { .. } => peer == primary,
            Route::There { peer: name, incarnation, .. } => {
                self.index_of(name) == primary && *incarnation == leader.incarnation
            }
            Route::HandingOver | Route::Nowhere => false,
        };
        let is_merged = self.plan.group.mode == Mode::Strict || process.overlay.is_empty();
        is_led && is_merged && process.store.position() == leader.store.position()
    }

    /// The peer that decides at this moment.
    pub(crate) fn primary(&self) -> Option<usize> {
        (0..self.plan.peers()).find(|peer| {
            let host = &self.hosts[*peer];
            let process = host.process.as_ref();
            process.is_some_and(|p| p.is_primary() && p.is_authorized(&host.clock, self.now))
        })
    }

    /// The reign in force, for checkers that look at the end.
    pub(crate) fn last_reign(&self) -> Option<Ballot> {
        self.primary().and_then(|peer| self.process(peer)?.reign)
    }

    /// A decision at every peer must succeed now, and leave equal stores.
    pub(crate) fn last_decisions(&mut self) {
        for peer in 0..self.plan.hosts() {
            if self.is_client(peer) || self.is_counted(peer) || self.is_listed(peer) {
                self.last_decision(peer);
            }
            if self.failure.is_some() {
                return;
            }
        }
        self.come_to_rest();
        if self.failure.is_none() {
            self.compare_digests();
        }
    }

    /// One that is lost with a connection that turns out to be dead may be tried again; and so may
    /// one at a primary whose disk had not come back from a stall, and which has lost its lease for
    /// that. Where calls that were lost so have taken all places, one has to be free first.
    fn last_decision(&mut self, peer: usize) {
        const ATTEMPTS: usize = 3;
        for _ in 0..ATTEMPTS {
            let (kind, key) = self.last_key();
            let Some(op) = self.issue(peer, kind, vec![(key, 1)], None) else { break };
            self.run_while(self.plan.timeout(), |world| world.ops[op].outcome.is_some());
            let is_done = matches!(self.ops[op].outcome, Some(Outcome::Acknowledged(_)));
            if is_done || self.failure.is_some() {
                return;
            }
            if matches!(self.ops[op].outcome, Some(Outcome::Refused)) {
                self.run_while(self.plan.group.io_timeout, |world| !world.has_calls_open(peer));
            }
            self.come_to_rest();
        }
        let name = self.plan.name(peer);
        let what = format!("no decision succeeds at {name}: {}", self.describe());
        self.fail("liveness", what);
    }

    fn has_calls_open(&self, peer: usize) -> bool {
        self.ops.iter().any(|op| op.peer == peer && op.outcome.is_none())
    }

    /// A key of which there may be no cell yet.
    fn last_key(&self) -> (Kind, Bytes) {
        let load = &self.plan.load;
        if load.is_expiring {
            return (Kind::Acquire, key(b'l', load.keys));
        }
        (Kind::Count, key(b'c', 0))
    }

    fn compare_digests(&mut self) {
        let digests: Vec<_> = (0..self.plan.peers())
            .map(|peer| self.process(peer).map(|process| process.store.digest()))
            .collect();
        for one in digests.iter().flatten() {
            let other = digests.iter().flatten().find(|other| other.position == one.position);
            if other.is_some_and(|other| other != one) {
                self.fail("equal_positions", format!("digests differ at rest: {digests:?}"));
            }
        }
    }
}
