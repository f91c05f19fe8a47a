//! One configuration at a time (docs/protocol.md, section 7): a change of the members begins from
//! members that a majority of them knows to be settled, changes one of them, and ends as it was
//! begun; whoever is added has been brought up to date before.
//!
//! Holds G5 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use quorate::internal::state::Membership;
use quorate::{Ballot, Member, MemberId, Position};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneChange {
    /// The members that have ever held each membership, or data of each reign.
    knows: BTreeMap<Position, BTreeSet<MemberId>>,
    holds: BTreeMap<Ballot, BTreeSet<MemberId>>,
    /// The last membership of each primary.
    last: BTreeMap<Ballot, Membership>,
}

impl Check for OneChange {
    fn name(&self) -> &'static str {
        "one_change"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Cut { peer, to, .. } => {
                self.note(world, *peer, to.ballot);
                self.look(world, *peer, to.ballot)
            }
            Seen::Moved { peer, to, .. } => {
                self.note(world, *peer, to.ballot);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl OneChange {
    fn note(&mut self, world: &World, peer: usize, ballot: Ballot) {
        let Some(process) = world.process(peer) else { return };
        let stamp = process.store.meta().membership.stamp;
        self.knows.entry(stamp).or_default().insert(process.id);
        self.holds.entry(ballot).or_default().insert(process.id);
    }

    /// A primary has moved on: looks at what it has made of the members.
    fn look(&mut self, world: &World, peer: usize, ballot: Ballot) -> Result<(), String> {
        let Some(process) = world.process(peer) else { return Ok(()) };
        let now = process.store.meta().membership;
        let Some(before) = self.last.insert(ballot, now.clone()) else { return Ok(()) };
        if before == now || now.stamp.ballot != ballot {
            return Ok(());
        }
        match (&before.next, &now.next) {
            (Some(next), None) if *next == now.voters => Ok(()),
            (None, None) if ids(&before.voters) == ids(&now.voters) => Ok(()),
            (None, Some(next)) if before.voters == now.voters => self.begins(&before, next, ballot),
            _ => Err(format!("{before:?} becomes {now:?}")),
        }
    }

    fn begins(&self, before: &Membership, next: &[Member], ballot: Ballot) -> Result<(), String> {
        let old = ids(&before.voters);
        let new = ids(next);
        let added: Vec<_> = new.difference(&old).collect();
        if added.len() > 1 || old.difference(&new).count() > 1 {
            return Err(format!("{old:?} becomes {new:?} at once"));
        }
        // What was settled in an older reign is covered by the first change of this one.
        let holders = self.holds.get(&ballot);
        let is_of_this_reign = before.stamp.ballot == ballot;
        let who_know = if is_of_this_reign { self.knows.get(&before.stamp) } else { holders };
        if !before.has_majority(|_, id| who_know.is_some_and(|who| who.contains(&id))) {
            return Err(format!("{before:?} was known to no majority when it was changed"));
        }
        let mut ids = added.into_iter().filter_map(|(_, id)| *id);
        match ids.find(|id| !holders.is_some_and(|holders| holders.contains(id))) {
            Some(id) => Err(format!("{id} counts before it has been brought up to date")),
            None => Ok(()),
        }
    }
}

fn ids(members: &[Member]) -> BTreeSet<(&str, Option<MemberId>)> {
    members.iter().map(|member| (member.name.as_str(), member.id)).collect()
}
