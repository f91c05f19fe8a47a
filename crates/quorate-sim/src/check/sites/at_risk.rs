//! A primary never tells less than what is at risk at the other site: what it says to be held there
//! was acknowledged by most of those that it has listed, with no more units than it had decided up
//! to then, and whatever was decided before the moment that it names is in it.
//!
//! Holds G39 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::internal::protocol::Backed;
use quorate::{Ballot, Member, MemberId, Position, Sequence};

use crate::check::Check;
use crate::model::reference::Reign;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(in crate::check) struct AtRisk {
    /// How far each start of a peer has come in each reign.
    reached: BTreeMap<(Ballot, usize, MemberId), Sequence>,
}

impl Check for AtRisk {
    fn name(&self) -> &'static str {
        "at_risk"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !world.plan().has_sites() {
            return Ok(());
        }
        match seen {
            Seen::Moved { peer, to, .. } => {
                let Some(id) = world.process(*peer).map(|process| process.id) else {
                    return Ok(());
                };
                let reached = self.reached.entry((to.ballot, *peer, id)).or_default();
                *reached = (*reached).max(to.sequence);
                Ok(())
            }
            Seen::Executed { done, .. } => self.told(world, done.position),
            _ => Ok(()),
        }
    }
}

impl AtRisk {
    fn told(&self, world: &World, position: Position) -> Result<(), String> {
        let ballot = position.ballot;
        let Some(reign) = world.history().reign(ballot) else { return Ok(()) };
        let primary = reign.primary.peer;
        let Some(process) = world.process(primary) else { return Ok(()) };
        let Some(backed) = process.machine.backed() else { return Ok(()) };
        if process.machine.ballot() != ballot {
            return Ok(());
        }
        let meta = process.store.meta();
        let listed = meta.membership.standby();
        let holds = |member: &&Member| {
            let peer = world.index_of(&member.name);
            let Some(id) = member.id else { return false };
            let reached = self.reached.get(&(ballot, peer, id)).copied();
            // Of a start that has ended nothing is left, as soon as another one is met.
            let present = world.process(peer).map(|process| process.id);
            let is_left = present == Some(id) || !is_met(world, primary, peer);
            reached.is_some_and(|at| at >= backed.sequence) && is_left
        };
        let holders = listed.iter().filter(holds).count();
        let name = world.plan().name(primary);
        if holders <= listed.len() / 2 {
            return Err(format!(
                "{name} says that most of the other site hold {}: {holders} of {} do",
                backed.sequence,
                listed.len()
            ));
        }
        amounts(reign, &backed).map_err(|what| format!("{name} says {what}"))
    }
}

/// Returns true if a primary is linked with the present start of a peer, as it knows itself.
fn is_met(world: &World, primary: usize, peer: usize) -> bool {
    let present = world.process(peer).map(|process| process.incarnation);
    let Some(process) = world.process(primary) else { return false };
    let status = process.machine.status(world.hosts()[primary].clock.now(world.now()));
    let name = world.plan().name(peer);
    let mut linked = status.peers.iter().filter(|other| other.is_linked && other.name == name);
    present.is_some() && linked.any(|other| other.incarnation == present)
}

/// The units up to a cut, and the time until which everything is in it.
fn amounts(reign: &Reign, backed: &Backed) -> Result<(), String> {
    let past = reign.steps_past(backed.sequence);
    let all = reign.steps_past(Sequence(0));
    let held = &all[..all.len() - past.len()];
    let units: u128 = held.iter().map(|step| u128::from(step.units)).sum();
    if backed.units > units {
        return Err(format!("{} units are held, and these are {units}", backed.units));
    }
    // A call that was denied has changed nothing, and need not travel.
    let mut changes = past.iter().filter(|step| step.units > 0);
    let early = changes.find(|step| step.group_time() < backed.as_of);
    early.map_or(Ok(()), |step| {
        let (at, as_of) = (step.group_time().0, backed.as_of.0);
        Err(format!("all is held of what was decided before {as_of}, and this of {at} is not"))
    })
}
