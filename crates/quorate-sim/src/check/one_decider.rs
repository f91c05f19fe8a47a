//! At most one primary decides at any instant (docs/protocol.md, section 5): of all peers that may
//! decide, by their own clocks, there is one at a time, and one ballot has one primary.
//!
//! Nobody is left to remember a process that lives on cut off when all members have restarted
//! blank: beside one of an older founding a group that was founded from nothing may decide.
//!
//! Whoever was forced past members that live decides beside those that these have made a newer
//! group with, until it first hears of one of them.
//!
//! Two sites of which one was promoted by force decide beside each other until they meet.
//!
//! A machine whose clock stood for longer than a promise outlasts the lease may decide beside
//! another until something shows it.
//!
//! Holds G1 and G2 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::Ballot;

use crate::check::Check;
use crate::words::call::ProcessId;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct OneDecider {
    primaries: BTreeMap<Ballot, ProcessId>,
    newest: Ballot,
}

impl Check for OneDecider {
    fn name(&self) -> &'static str {
        "one_decider"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Authority { peer } | Seen::Acknowledged { peer, is_majority: false, .. }
                if world.is_excused(*peer) =>
            {
                Ok(())
            }
            Seen::Authority { peer } => alone(world, *peer),
            Seen::Reign { peer, ballot, .. } => {
                let Some(process) = world.process(*peer) else { return Ok(()) };
                let primary = ProcessId { peer: *peer, incarnation: process.incarnation };
                let first = self.primaries.entry(*ballot).or_insert(primary);
                if *first == primary {
                    return Ok(());
                }
                Err(format!("{ballot} has two primaries: {first:?} and {primary:?}"))
            }
            Seen::Acknowledged { peer, done, is_majority: false, .. } => {
                // What a majority holds is in the newer reign too; what it does not hold must
                // have been decided while nobody else could.
                let ballot = done.position.ballot;
                let newest = self.newest;
                let is_forced_apart = || world.is_forced_between(ballot, newest);
                if world.history().is_after(newest, ballot) && !is_forced_apart() {
                    let ballot = world.short(ballot);
                    let newest = world.short(newest);
                    return Err(format!("{ballot} answers at once although {newest} has decided"));
                }
                alone(world, *peer)
            }
            Seen::Executed { done, .. } => {
                if world.history().is_after(done.position.ballot, self.newest) {
                    self.newest = done.position.ballot;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Says of a reign whether it is of another founding than that of a peer, which began from nothing.
fn is_of_blank_founding(world: &World, peer: usize) -> impl Fn(Ballot) -> bool + '_ {
    let reign = world.process(peer).and_then(|process| process.reign);
    let own = reign.and_then(|ballot| world.history().founding_of(ballot));
    let began = own.and_then(|founding| world.history().reign(founding));
    let is_blank = began.is_some_and(|reign| reign.parent.is_none());
    move |ballot| is_blank && world.history().founding_of(ballot) != own
}

fn alone(world: &World, peer: usize) -> Result<(), String> {
    let is_elsewhere = is_of_blank_founding(world, peer);
    if let Some(stranded) =
        world.stranded().iter().find(|s| s.is_authorized(world.now()) && !is_elsewhere(s.reign))
    {
        let names = &world.plan().group.members;
        let peer = &names[peer];
        let other = &names[stranded.peer];
        return Err(format!("{peer} decides while an earlier {other}, cut off, may decide too"));
    }
    for other in
        (0..world.plan().peers()).filter(|other| *other != peer && !world.is_excused(*other))
    {
        let is_forced = world.was_forced_unheard(peer, other)
            || world.was_forced_unheard(other, peer)
            || world.are_forced_apart(peer, other);
        if is_forced {
            continue;
        }
        let host = &world.hosts()[other];
        let may = host.process.as_ref().is_some_and(|p| p.is_authorized(&host.clock, world.now()));
        if may {
            let names = &world.plan().group.members;
            let peer = &names[peer];
            let other = &names[other];
            return Err(format!("{peer} decides while {other} may decide too"));
        }
    }
    Ok(())
}
