//! A policy that a primary says was changed is never lost within a generation (docs/protocol.md,
//! section 14): every later primary of it decides by that or by a later one.
//!
//! Holds G16 of docs/guarantees.md.

use quorate::Ballot;

use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct PolicyKept {
    /// The revisions acknowledged, and the reigns in which they were.
    acknowledged: Vec<(Ballot, u64)>,
}

impl Check for PolicyKept {
    fn name(&self) -> &'static str {
        "policy_kept"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match *seen {
            Seen::PolicyChanged { ballot, revision } => {
                self.acknowledged.push((ballot, revision));
                Ok(())
            }
            Seen::Authority { peer } => {
                let Some((ballot, held)) = world.policy_of(peer) else { return Ok(()) };
                let lost = self.acknowledged.iter().find(|(of, revision)| {
                    *of < ballot && *revision > held && world.history().are_kin(*of, ballot)
                });
                lost.map_or(Ok(()), |(acknowledged, revision)| {
                    Err(format!(
                        "{ballot} has revision {held}: {revision} of {acknowledged} is lost"
                    ))
                })
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let Some(leader) = world.primary().and_then(|peer| world.process(peer)) else {
            return Ok(());
        };
        let wanted = leader.store.meta().policy;
        for peer in (0..world.plan().peers()).filter(|peer| world.is_counted(*peer)) {
            let Some(process) = world.process(peer) else { continue };
            let found = process.store.meta().policy;
            if found != wanted {
                let name = &world.plan().group.members[peer];
                return Err(format!("at rest {name} has {found:?}, its primary {wanted:?}"));
            }
        }
        Ok(())
    }
}
