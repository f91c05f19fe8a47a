//! Data are given up only when they cannot be kept (docs/protocol.md,
//! section 6): a new generation begins only if no majority of the members that keep their
//! data has been together for a failure timeout.
//!
//! The members are those of the newest list that a member near the founder knows. What is known to
//! one only that is no member yet binds nobody: its word does not count.
//!
//! Nor is a group founded past a member that holds more, which has been there for a few heartbeats
//! and is refused for a setting that differs.
//!
//! Where an operator has named members as gone for good that live, that is what he said.
//!
//! "Contact" is what the network really did, in real time: linked both ways, nothing cut, nobody
//! frozen.
//!
//! Holds G11 of docs/guarantees.md.

use quorate::{Ballot, Position};

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::members::majority_of;

#[derive(Debug)]
pub(super) struct GenerationRule;

impl Check for GenerationRule {
    fn name(&self) -> &'static str {
        "generation"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Reign { peer, ballot, parent, is_founding, .. } = seen else { return Ok(()) };
        match parent {
            // Members of a founding that came to nothing may go on in its ballots: they lose
            // nothing by it, and are checked like any other election.
            Some(_) if !is_founding => Ok(()),
            None if !is_founding => Err(format!("{ballot} begins from nothing, unannounced")),
            _ if world.history().newest().is_none() => Ok(()),
            // An operator has said that they are gone for good.
            Some(_) if world.was_forced_past(*peer) => past_nobody(world, *peer, *ballot),
            // Or that the other site need not be asked.
            Some(_) if world.is_promoted_in(*peer, ballot.generation.site_epoch()) => Ok(()),
            _ => may_begin(world, *peer, *ballot),
        }
    }
}

fn may_begin(world: &World, founder: usize, ballot: Ballot) -> Result<(), String> {
    past_nobody(world, founder, ballot)?;
    let long = world.plan().timeout() * 11 / 10;
    // What nobody near the founder knows of cannot bind it.
    let in_contact: Vec<usize> = (0..world.plan().peers())
        .filter(|peer| {
            *peer == founder || world.contact().length(world.now(), founder, *peer) >= long
        })
        .collect();
    let near = world.known_from(founder, &in_contact);
    let holders = world.holders_among(near.iter().copied(), ballot.generation, long);
    let newest = world.newest_before(near.into_iter(), ballot.generation);
    let majority = newest.map_or_else(|| world.plan().majority(), |newest| majority_of(&newest));
    if !world.were_together(&holders, majority, long) {
        return Ok(());
    }
    let names: Vec<_> =
        holders.iter().map(|peer| world.plan().group.members[*peer].as_str()).collect();
    let ballot = world.short(ballot);
    Err(format!("{ballot} begins although {names:?} keep their data, together"))
}

/// The position that a peer holds.
fn held(world: &World, peer: usize) -> Option<Position> {
    world.process(peer).map(|process| process.position)
}

/// Whoever has met a member that holds more than it does founds nothing past it.
fn past_nobody(world: &World, founder: usize, ballot: Ballot) -> Result<(), String> {
    let own = held(world, founder).unwrap_or_default();
    let long = world.plan().group.heartbeat * 2;
    let passed_over = (0..world.plan().peers()).find(|other| {
        let is_met = world.contact().refusal(world.now(), founder, *other) >= long;
        // In the ballot that is about to begin it may have told its own position already.
        is_met
            && held(world, *other).is_some_and(|held| {
                // It has moved on in its own history already.
                let is_kin = world.history().are_kin(own.ballot, held.ballot);
                let is_its_concern = is_kin || world.is_concerned_by(founder, *other);
                is_its_concern && held > own && held.ballot < ballot
            })
    });
    match passed_over {
        Some(other) => {
            let names = &world.plan().group.members;
            let founder = &names[founder];
            let other = &names[other];
            Err(format!("{founder} founds past {other}, which holds data and is refused"))
        }
        None => Ok(()),
    }
}
