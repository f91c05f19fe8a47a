//! Ballots and positions never go back within an incarnation (S3, S6), and group time never goes
//! back along a history, nor ahead of what a majority's clocks have ever shown (S13; design,
//! section 5). That decisions are in order is checked by the history itself.

use std::collections::BTreeMap;

use quorate::{Ballot, GroupTime, Position};

use crate::check::{Check, Seen};
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Monotone {
    ballots: BTreeMap<usize, Ballot>,
    cuts: BTreeMap<usize, GroupTime>,
    /// The latest wall clock that a majority has ever reached.
    wall: GroupTime,
}

impl Check for Monotone {
    fn name(&self) -> &'static str {
        "monotone"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Started { peer, .. } => {
                self.ballots.remove(peer);
                self.cuts.remove(peer);
                Ok(())
            }
            Seen::Ballot { peer, ballot } => {
                let last = self.ballots.entry(*peer).or_default();
                let name = &world.plan.group.members[*peer];
                if ballot < last {
                    return Err(format!("the ballot of {name} went back from {last} to {ballot}"));
                }
                *last = *ballot;
                Ok(())
            }
            Seen::Moved { peer, from, to, .. } => forward(world, *peer, *from, *to),
            Seen::Cut { peer, from, to, group_time } => {
                forward(world, *peer, *from, *to)?;
                let last = self.cuts.insert(*peer, *group_time).unwrap_or_default();
                if from.ballot == to.ballot && *group_time < last {
                    return Err(format!("the group time of {to} is before that of {from}"));
                }
                Ok(())
            }
            Seen::Executed { done, .. } => {
                self.within_clocks(world, done.position, done.group_time)
            }
            _ => Ok(()),
        }
    }
}

impl Monotone {
    /// One clock far ahead must not carry the group with it.
    fn within_clocks(
        &mut self,
        world: &World,
        position: Position,
        group_time: GroupTime,
    ) -> Result<(), String> {
        let clocks = world.peers.iter().map(|peer| peer.clock.now(world.now).wall);
        let mut walls: Vec<GroupTime> = clocks.collect();
        walls.sort_unstable_by(|a, b| b.cmp(a));
        self.wall = self.wall.max(walls[walls.len() / 2]);
        // Group time runs on by the primary's own clock when the walls fall behind it.
        let margin = world.plan.timeout() * 40;
        if group_time > self.wall.after(margin) {
            let ahead = (group_time.0 - self.wall.0) / 1_000_000;
            return Err(format!("group time at {position} is {ahead} ms ahead of a majority"));
        }
        Ok(())
    }
}

fn forward(world: &World, peer: usize, from: Position, to: Position) -> Result<(), String> {
    if to >= from {
        return Ok(());
    }
    let name = &world.plan.group.members[peer];
    Err(format!("the position of {name} went back from {from} to {to}"))
}
