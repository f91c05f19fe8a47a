//! Ballots and positions never go back within an incarnation, and group time never goes back along
//! a history, nor ahead of what a majority's clocks have ever shown (docs/protocol.md, section 9);
//! its steady clock never shows more time than has passed. That decisions are in order is checked
//! by the history itself.
//!
//! Holds G19 of docs/guarantees.md.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::{Ballot, GroupTime, Position, Sequence};

use crate::check::Check;
use crate::words::call::Done;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Monotone {
    ballots: BTreeMap<usize, Ballot>,
    cuts: BTreeMap<usize, GroupTime>,
    /// The largest lead of each wall clock, ever, over the time since the start.
    leads: Vec<u64>,
    /// The smallest majority that the group has had.
    smallest: Option<usize>,
    /// The lead of the steady clock of each reign over the time since the start, by a
    /// clock as fast as any: each time that it was less than ever before.
    steady: BTreeMap<Ballot, Vec<(Sequence, i128)>>,
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
            Seen::Clocks => {
                self.look_at_clocks(world);
                Ok(())
            }
            Seen::Ballot { peer, ballot } => {
                let last = self.ballots.entry(*peer).or_default();
                let name = &world.plan().group.members[*peer];
                if ballot < last {
                    return Err(format!("the ballot of {name} went back from {last} to {ballot}"));
                }
                *last = *ballot;
                Ok(())
            }
            Seen::Moved { peer, from, to, .. } => {
                self.look_at_majority(world);
                forward(world, *peer, *from, *to)
            }
            Seen::Cut { peer, from, to, group_time } => {
                self.look_at_majority(world);
                forward(world, *peer, *from, *to)?;
                let last = self.cuts.insert(*peer, *group_time).unwrap_or_default();
                if from.ballot == to.ballot && *group_time < last {
                    return Err(format!("the group time of {to} is before that of {from}"));
                }
                self.within_time(world, *to, *group_time)
            }
            Seen::Executed { done, .. } => {
                self.within_time(world, done.position, done.context.steady())?;
                self.note_time(world, *done);
                self.within_clocks(world, done.position, done.context.now())
            }
            _ => Ok(()),
        }
    }
}

impl Monotone {
    fn look_at_clocks(&mut self, world: &World) {
        self.leads.resize(world.plan().peers(), 0);
        for (latest, peer) in self.leads.iter_mut().zip(world.hosts()) {
            let wall = peer.clock.now(world.now()).wall;
            *latest = (*latest).max(wall.0.saturating_sub(world.now().0));
        }
    }

    /// Also where nothing is decided: a member may be out, and in again, between two decisions.
    fn look_at_majority(&mut self, world: &World) -> usize {
        let majority = world.majority();
        let smallest = self.smallest.map_or(majority, |smallest| smallest.min(majority));
        self.smallest = Some(smallest);
        smallest
    }

    /// Steady time is measured by the clocks of primaries, whatever the wall clocks show. A reign
    /// goes on from the state that it took over: by what the one before was slowed after that it is
    /// not.
    fn within_time(&self, world: &World, at: Position, steady: GroupTime) -> Result<(), String> {
        const MARGIN: i128 = 200_000_000;
        let reign = world.history().reign(at.ballot);
        let parent = reign.and_then(|reign| reign.parent.filter(|_| reign.founding != at.ballot));
        let least = self.least(at).or_else(|| self.least(parent?));
        let Some(least) = least else { return Ok(()) };
        let fast = ahead(world, steady) - least - MARGIN;
        if fast > 0 {
            return Err(format!("the steady clock at {at} is {} ms fast", fast / 1_000_000));
        }
        Ok(())
    }

    fn least(&self, at: Position) -> Option<i128> {
        let of_reign = self.steady.get(&at.ballot)?;
        let before = of_reign.partition_point(|(sequence, _)| *sequence <= at.sequence);
        of_reign[..before].last().map(|(_, least)| *least)
    }

    /// A call may go by a reading from before its process was frozen: such a one says nothing.
    fn note_time(&mut self, world: &World, done: Done) {
        const FRESH: Duration = Duration::from_millis(10);
        let ballot = done.position.ballot;
        let Some(reign) = world.history().reign(ballot) else { return };
        let shown = world.hosts()[reign.primary.peer].clock.time(world.now());
        if shown.since(done.read) > FRESH {
            return;
        }
        let ahead = ahead(world, done.context.steady());
        let of_reign = self.steady.entry(ballot).or_default();
        if of_reign.last().is_none_or(|(_, least)| ahead < *least) {
            of_reign.push((done.position.sequence, ahead));
        }
    }

    /// One clock far ahead must not carry the group with it.
    fn within_clocks(
        &mut self,
        world: &World,
        position: Position,
        group_time: GroupTime,
    ) -> Result<(), String> {
        self.look_at_clocks(world);
        let mut leads = self.leads.clone();
        leads.sort_unstable_by(|a, b| b.cmp(a));
        // Group time never goes back, so it runs on from whatever a majority has once reached.
        let smallest = self.look_at_majority(world);
        let reached = GroupTime(leads[smallest - 1] + world.now().0);
        // A primary counts on by its own clock, from what it was told a while ago.
        let margin = world.plan().timeout() / 2 + Duration::from_nanos(world.now().0) / 40;
        let bound = reached.after(margin + Duration::from_millis(200));
        if group_time > bound {
            let ahead = (group_time.0 - reached.0) / 1_000_000;
            return Err(format!("group time at {position} is {ahead} ms ahead of a majority"));
        }
        Ok(())
    }
}

fn forward(world: &World, peer: usize, from: Position, to: Position) -> Result<(), String> {
    let is_forgotten = to.is_blank() && world.history().came_to_nothing(from.ballot);
    if to >= from || is_forgotten {
        return Ok(());
    }
    let name = &world.plan().group.members[peer];
    Err(format!("the position of {name} went back from {from} to {to}"))
}

/// Returns how far a time is ahead of the time since the start, by a clock as fast as any.
fn ahead(world: &World, steady: GroupTime) -> i128 {
    i128::from(steady.0) - i128::from(world.now().0) * 102 / 100
}
