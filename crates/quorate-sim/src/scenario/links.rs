//! Connections that begin while a path is slow.

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "healed_while_connecting",
    plan: || plan(&[1, 2, 3]),
    script: healed_while_connecting,
}];

/// A peer dials over slow paths, and again once they are healed: the connection that was begun
/// first must not be used long before both of its ends are open.
fn healed_while_connecting(world: &mut World) {
    world.found();
    world.restart(2);
    world.network.path(2, FIRST).slow = ms(3_000);
    world.network.path(FIRST, 2).slow = ms(60_000);
    world.wait(ms(1_000));
}
