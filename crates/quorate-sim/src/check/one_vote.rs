//! One vote per member and ballot, whatever it restarts, and none in a ballot older than one voted
//! in before (docs/protocol.md, section 4: a voter raises its ballot first).
//!
//! Holds G3 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Ballot, MemberId};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneVote {
    /// The newest vote of each member.
    votes: BTreeMap<MemberId, (Ballot, usize)>,
}

impl Check for OneVote {
    fn name(&self) -> &'static str {
        "one_vote"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Vote { peer, ballot, to } = seen else { return Ok(()) };
        let Some(process) = world.process(*peer) else { return Ok(()) };
        let last = self.votes.entry(process.id).or_insert((*ballot, *to));
        let (newest, first) = *last;
        *last = (*ballot, *to);
        let names = &world.plan().group.members;
        let peer = &names[*peer];
        let first = &names[first];
        let to = &names[*to];
        if *ballot < newest {
            return Err(format!("{peer} votes in {ballot} after it has voted in {newest}"));
        }
        if *ballot == newest && first != to {
            return Err(format!("{peer} votes for {first} and for {to} in {ballot}"));
        }
        Ok(())
    }
}
