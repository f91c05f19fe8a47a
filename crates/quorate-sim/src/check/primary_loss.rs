//! Under `Primary` the loss at a failover is bounded and reported: what is lost of
//! a reign is its last stretch, the acknowledged units in it are at most the cap, and at most what
//! the old primary reported when it came back.
//!
//! That it is one stretch follows from the history: a reign takes over a position of its parent,
//! and its cells are checked against that position.
//!
//! Holds G9 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Ballot, Event as GroupEvent, Position, Sequence};

use crate::check::Check;
use crate::model::reference::Reign;
use crate::words::call::ProcessId;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct PrimaryLoss {
    /// Units that each incarnation has reported as given up.
    reported: BTreeMap<ProcessId, u128>,
}

impl Check for PrimaryLoss {
    fn name(&self) -> &'static str {
        "primary_loss"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Event { peer, event: GroupEvent::ChangesLost { units, .. } } = seen
            && let Some(process) = world.process(*peer)
        {
            let start = ProcessId { peer: *peer, incarnation: process.incarnation };
            *self.reported.entry(start).or_default() += u128::from(*units);
        }
        Ok(())
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let Some(newest) = world.last_reign() else { return Ok(()) };
        let tip = Position { ballot: newest, sequence: Sequence(u64::MAX) };
        let kept: BTreeMap<Ballot, Sequence> =
            world.history().path(tip).map(|end| (end.ballot, end.sequence)).collect();
        let mut lost: BTreeMap<ProcessId, u128> = BTreeMap::new();
        let same = world.history().reigns().filter(|(b, _)| world.history().are_kin(*b, newest));
        for (ballot, reign) in same {
            let fork = kept.get(&ballot).copied().unwrap_or_default();
            let units = acknowledged_past(reign, fork);
            let cap = u128::from(world.plan().group.max_unreplicated);
            if units > cap {
                let ballot = world.short(ballot);
                return Err(format!("{ballot} lost {units} acknowledged units, more than {cap}"));
            }
            *lost.entry(reign.primary).or_default() += units;
        }
        let newest = world.newest_membership();
        for (primary, units) in lost {
            // Only who is still there, and let in, could report.
            let is_out = newest.as_ref().is_some_and(|newest| world.is_out(primary.peer, newest));
            let is_back = world.hosts()[primary.peer].runs(primary.incarnation) && !is_out;
            let reported = self.reported.get(&primary).copied().unwrap_or_default();
            if is_back && reported < units {
                let name = &world.plan().group.members[primary.peer];
                return Err(format!("{name} lost {units} acknowledged units, reported {reported}"));
            }
        }
        Ok(())
    }
}

fn acknowledged_past(reign: &Reign, fork: Sequence) -> u128 {
    let steps = reign.steps_past(fork).iter();
    steps.filter(|step| step.is_acknowledged).map(|step| u128::from(step.units)).sum()
}
