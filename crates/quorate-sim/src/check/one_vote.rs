//! One vote per incarnation and ballot (S3, S21; docs/protocol.md, section 4).

use std::collections::BTreeMap;

use quorate::{Ballot, Incarnation};

use crate::check::{Check, Seen};
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneVote {
    votes: BTreeMap<(Incarnation, Ballot), usize>,
}

impl Check for OneVote {
    fn name(&self) -> &'static str {
        "one_vote"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Vote { peer, ballot, to } = seen else { return Ok(()) };
        let Some(process) = world.process(*peer) else { return Ok(()) };
        let first = *self.votes.entry((process.incarnation, *ballot)).or_insert(*to);
        if first == *to {
            return Ok(());
        }
        let names = &world.plan.group.members;
        let (peer, first, to) = (&names[*peer], &names[first], &names[*to]);
        Err(format!("{peer} votes for {first} and for {to} in {ballot}"))
    }
}
