//! Checkers: one per file, each with the promise that it checks.
//!
//! The world shows everything worth seeing to every checker as it happens; the first that objects
//! ends the run. docs/guarantees.md numbers the promises, docs/testing.md lists the checkers with
//! what they excuse, and docs/protocol.md has the reasons.

mod calls_end;
mod clients;
mod conserved;
mod disowned;
mod equal_positions;
mod first_change;
mod forced_whole;
mod forgotten_well;
mod generation;
mod handed_over;
mod has_room;
mod limit_held;
mod loss_told;
mod majority_kept;
mod merged_once;
mod monotone;
mod no_empty_peer;
mod one_change;
mod one_decider;
mod one_hand_over;
mod one_vote;
mod permits_held;
mod policy_kept;
mod primary_loss;
mod real_limits;
mod refused;
mod relaxed_limits;
mod sites;
mod wish_met_once;

use std::fmt;

use crate::words::seen::{Failure, Seen};
use crate::world::World;
use crate::world::watch::Watch;

/// Something that must always hold.
pub(crate) trait Check: fmt::Debug {
    fn name(&self) -> &'static str;

    /// Looks at something as it happens.
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String>;

    /// Looks at the end, when all is healed and at rest.
    fn finish(&mut self, _world: &World) -> Result<(), String> {
        Ok(())
    }
}

/// All checkers of a run.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Box<dyn Check>>);

impl Checks {
    pub(crate) fn all() -> Self {
        Self(vec![
            Box::new(sites::at_risk::AtRisk::default()),
            Box::new(calls_end::CallsEnd),
            Box::new(clients::Clients::default()),
            Box::new(conserved::Conserved),
            Box::new(disowned::Disowned::default()),
            Box::new(equal_positions::EqualPositions),
            Box::new(first_change::FirstChange::default()),
            Box::new(forced_whole::ForcedWhole::default()),
            Box::new(forgotten_well::ForgottenWell),
            Box::new(generation::GenerationRule),
            Box::new(handed_over::HandedOver::default()),
            Box::new(has_room::HasRoom::default()),
            Box::new(limit_held::LimitHeld::default()),
            Box::new(loss_told::LossTold::default()),
            Box::new(majority_kept::MajorityKept::default()),
            Box::new(merged_once::MergedOnce::default()),
            Box::new(monotone::Monotone::default()),
            Box::new(no_empty_peer::NoEmptyPeer::default()),
            Box::new(one_change::OneChange::default()),
            Box::new(one_decider::OneDecider::default()),
            Box::new(one_hand_over::OneHandOver::default()),
            Box::new(wish_met_once::WishMetOnce::default()),
            Box::new(one_vote::OneVote::default()),
            Box::new(permits_held::PermitsHeld::default()),
            Box::new(policy_kept::PolicyKept::default()),
            Box::new(primary_loss::PrimaryLoss::default()),
            Box::new(real_limits::RealLimits::default()),
            Box::new(refused::RefusedHasNoEffect),
            Box::new(relaxed_limits::RelaxedLimits::default()),
            Box::new(sites::Sites::default()),
        ])
    }

    fn each(
        &mut self,
        mut look: impl FnMut(&mut dyn Check) -> Result<(), String>,
    ) -> Result<(), Failure> {
        for check in &mut self.0 {
            let checker = check.name();
            look(&mut **check).map_err(|what| Failure { checker, what })?;
        }
        Ok(())
    }
}

impl Watch for Checks {
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), Failure> {
        self.each(|check| check.see(world, seen))
    }

    fn finish(&mut self, world: &World) -> Result<(), Failure> {
        self.each(|check| check.finish(world))
    }
}
