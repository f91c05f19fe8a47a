//! Faults that nobody heals: there is a primary a failure timeout and 200 ms later all the same.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "star_without_primary", plan: || plan(&[1, 2, 3, 4, 5]), script: star },
    Scenario { name: "agreed_too_early", plan: || plan(&[1, 2, 3, 4, 5]), script: too_early },
];

/// The primary is gone, and of the others each reaches the one that is placed last and no other.
/// Only that one can win, and it need not wait for those that cannot.
fn star(world: &mut World) {
    world.found();
    world.part(&[1], &[2, 3]);
    world.part(&[2], &[3]);
    world.wait(ms(2_000));
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(10_200));
}

/// Two lose the primary, agree, and stand in vain, for the others hear it. Once these have lost it
/// as well nobody waits for a turn that was drawn before.
fn too_early(world: &mut World) {
    world.found();
    world.part(&[FIRST], &[1, 2]);
    world.wait(ms(1_500));
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(10_200));
}
