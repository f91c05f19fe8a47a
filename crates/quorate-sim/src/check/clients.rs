//! A client decides nothing but alone in relaxed mode, holds nothing, has no part in elections and
//! is counted by nobody; and each of its calls is decided once, or not at all, and never
//! acknowledged without.
//!
//! Holds G7 of docs/guarantees.md.

use std::collections::BTreeSet;

use quorate::internal::state::Membership;
use quorate::{Event as GroupEvent, Mode};

use crate::check::Check;
use crate::words::operation::Outcome;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Clients {
    /// Calls of clients that were decided.
    decided: BTreeSet<usize>,
    /// Those that have changed something by it.
    changed: BTreeSet<usize>,
}

impl Check for Clients {
    fn name(&self) -> &'static str {
        "clients"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if world.plan().client_peers == 0 {
            return Ok(());
        }
        if let Some(peer) = takes_part(seen).filter(|peer| world.is_client(*peer)) {
            let name = world.plan().name(peer);
            return Err(format!("{name} is a client, and takes part: {seen:?}"));
        }
        match seen {
            Seen::Executed { op: Some(op), done } if self.is_of_client(world, *op) => {
                self.decided.insert(*op);
                // A denial may be asked for again: it has changed nothing.
                if done.has_changed && !self.changed.insert(*op) {
                    return Err(format!("call {op} of a client is decided twice"));
                }
                Ok(())
            }
            Seen::Ended { op, outcome } if self.is_of_client(world, *op) => {
                self.ended(world, *op, *outcome)
            }
            Seen::Cut { peer, .. } | Seen::Moved { peer, .. } => uncounted(world, *peer),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        for peer in world.clients() {
            let Some(process) = world.process(peer) else { continue };
            if !process.store.position().is_blank() {
                return Err(format!("{} is a client, and holds data", world.plan().name(peer)));
            }
        }
        (0..world.plan().peers()).try_for_each(|peer| uncounted(world, peer))
    }
}

impl Clients {
    fn is_of_client(&self, world: &World, op: usize) -> bool {
        world.is_client(world.ops()[op].peer)
    }

    fn ended(&self, world: &World, op: usize, outcome: Outcome) -> Result<(), String> {
        let is_strict = world.plan().group.mode == Mode::Strict;
        match outcome {
            Outcome::Acknowledged(_) if !self.decided.contains(&op) => {
                Err(format!("call {op} of a client is acknowledged, and nobody has decided it"))
            }
            Outcome::Local if is_strict => Err(format!("call {op} is decided at a client")),
            _ => Ok(()),
        }
    }
}

/// Returns who takes part in the group by this, as a member does.
fn takes_part(seen: &Seen<'_>) -> Option<usize> {
    match seen {
        Seen::Acknowledged { peer, .. }
        | Seen::Authority { peer }
        | Seen::Cut { peer, .. }
        | Seen::Moved { peer, .. }
        | Seen::Reign { peer, .. }
        | Seen::Event { peer, event: GroupEvent::CampaignStarted { .. } } => Some(*peer),
        Seen::Vote { peer, to, .. } => Some(*(peer.max(to))),
        _ => None,
    }
}

/// No list of members names a client.
fn uncounted(world: &World, peer: usize) -> Result<(), String> {
    let Some(process) = world.process(peer) else { return Ok(()) };
    let membership: Membership = process.store.meta().membership;
    let members = || membership.voters.iter().chain(membership.next.iter().flatten());
    match members().find(|member| world.is_client(world.index_of(&member.name))) {
        Some(member) => Err(format!("{} is a client, and counted as a member", member.name)),
        None => Ok(()),
    }
}
