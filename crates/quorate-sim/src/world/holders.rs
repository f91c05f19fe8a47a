//! The holders of the group's data, as somebody who sees everything would name them.

use std::time::Duration;

use quorate::internal::state::Membership;
use quorate::{Ballot, Generation, Member};

use crate::world::World;

impl World {
    /// Peers that the newest membership counts and that hold data of its founding.
    pub(crate) fn holders(&self) -> Vec<usize> {
        let all = 0..self.plan.peers();
        self.holders_among(all, Generation::from_bits(u64::MAX), Duration::ZERO)
    }

    /// The holders by the newest membership that these peers know, of an older generation than this
    /// one, and only those that have held data for so long.
    pub(crate) fn holders_among(
        &self,
        peers: impl Iterator<Item = usize>,
        generation: Generation,
        long: Duration,
    ) -> Vec<usize> {
        let Some(newest) = self.newest_before(peers, generation) else { return Vec::new() };
        let founding = self.history.reign(newest.stamp.ballot).map(|reign| reign.founding);
        (0..self.plan.peers())
            .filter(|peer| {
                let is_next = newest
                    .next
                    .as_ref()
                    .is_none_or(|next| next.iter().any(|member| self.is_member(*peer, member)));
                let is_voter = newest.voters.iter().any(|member| self.is_member(*peer, member));
                is_voter && is_next && self.holds(*peer, founding, long)
            })
            .collect()
    }

    /// The newest membership of an older generation than this one that any of these peers knows, or
    /// knew before it founded this one.
    pub(crate) fn newest_before(
        &self,
        peers: impl Iterator<Item = usize>,
        generation: Generation,
    ) -> Option<Membership> {
        let memberships = peers.filter_map(|peer| {
            let process = self.process(peer)?;
            let known = [process.store.meta().membership, process.members.clone()];
            known
                .into_iter()
                .find(|list| !list.voters.is_empty() && list.stamp.ballot.generation < generation)
        });
        memberships.max_by_key(|membership| membership.stamp)
    }

    /// Those of some peers that one of them counts as a member, or that a member of its list does,
    /// itself included.
    pub(crate) fn known_from(&self, peer: usize, peers: &[usize]) -> Vec<usize> {
        let mut known = vec![peer];
        loop {
            let new = peers.iter().find(|peer| {
                !known.contains(peer) && known.iter().any(|one| self.names(*one, **peer))
            });
            match new {
                Some(new) => known.push(*new),
                None => return known,
            }
        }
    }

    /// Returns true if what another one holds is a peer's concern although the two refuse each
    /// other: as far as it knows, that is a member, or has gone further in the same history.
    pub(crate) fn is_concerned_by(&self, one: usize, other: usize) -> bool {
        let standing = |peer| self.process(peer).map(|process| process.standing().0);
        let is_older = standing(one)
            .zip(standing(other))
            .is_some_and(|(own, theirs)| own.gives_way_to(&theirs));
        self.names(one, other) || is_older
    }

    /// Returns true if a peer counts another one as a member, or knows of none.
    fn names(&self, one: usize, other: usize) -> bool {
        let name = &self.plan.group.members[other];
        self.process(one).is_some_and(|process| {
            let list = process.store.meta().membership;
            list.voters.is_empty() || list.has(name) || process.members.has(name)
        })
    }

    fn is_member(&self, peer: usize, member: &Member) -> bool {
        let id = self.process(peer).map(|process| process.id);
        member.name == self.plan.group.members[peer] && id.is_some() && member.id == id
    }

    /// Returns true if a peer has held data of a founding for so long.
    fn holds(&self, peer: usize, founding: Option<Ballot>, long: Duration) -> bool {
        let held = self.process(peer).and_then(|process| process.holds);
        held.is_some_and(|(held, since)| Some(held) == founding && self.now.since(since) >= long)
    }

    /// A peer's position has moved: notes whose data it holds, and since when.
    pub(crate) fn note_holding(&mut self, peer: usize) {
        let now = self.now;
        let Some(process) = self.hosts[peer].process.as_mut() else { return };
        let founding = self.history.reign(process.position.ballot).map(|reign| reign.founding);
        if process.holds.map(|(founding, _)| founding) != founding {
            process.holds = founding.map(|founding| (founding, now));
        }
    }
}
