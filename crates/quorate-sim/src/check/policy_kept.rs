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
        let held = |peer: usize| world.process(peer).map(|process| process.store.meta().policy);
        let Some(primary) = world.primary() else { return Ok(()) };
        let differs = (0..world.plan().peers()).find(|peer| {
            world.is_counted(*peer)
                && held(*peer).is_some_and(|policy| Some(policy) != held(primary))
        });
        differs.map_or(Ok(()), |peer| {
            Err(format!(
                "at rest peer {peer} has {:?}, its primary {:?}",
                held(peer),
                held(primary)
            ))
        })
    }
}
