//! Nobody is forgotten who would be missed (docs/protocol.md, section 15): a member that is counted
//! out without anyone's wish was silent for the grace in truth, and as many members as are wanted
//! were up and linked to the primary at that moment.
//!
//! Holds G35 of docs/guarantees.md.

use quorate::{Event as GroupEvent, Monitor, PeerName};

use crate::base::clock::Moment;
use crate::check::Check;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct ForgottenWell;

impl Check for ForgottenWell {
    fn name(&self) -> &'static str {
        "forgotten_well"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Event { peer, event: GroupEvent::MemberForgotten { peer: gone, .. } } = seen
        else {
            return Ok(());
        };
        let Some(monitor) = in_force(world, *peer) else {
            return Err(format!("{gone} is forgotten although nobody is to be"));
        };
        is_silent(world, *peer, gone, monitor)?;
        is_replaced(world, *peer, gone, monitor)
    }
}

/// What the primary goes by.
fn in_force(world: &World, primary: usize) -> Option<Monitor> {
    let meta = world.process(primary)?.store.meta();
    meta.membership.upkeep.in_force(world.plan().monitor)
}

/// Nobody that was near the primary all the time was together with it, nor has met it.
fn is_silent(
    world: &World,
    primary: usize,
    gone: &PeerName,
    monitor: Monitor,
) -> Result<(), String> {
    let target = world.index_of(gone);
    let slack = world.plan().group.heartbeat * 4;
    // Clocks that run fast wait for less; none is faster by more than a tenth.
    let grace = monitor.grace_within(world.plan().timeout()) * 9 / 10;
    let long = grace.saturating_sub(slack);
    let is_recent = |last: Moment| world.now().since(last) < long;
    let contact = world.contact();
    let is_near =
        |other: &usize| *other == primary || contact.length(world.now(), primary, *other) >= grace;
    let counted = (0..world.plan().peers()).filter(|other| world.is_counted(*other));
    let who = counted.filter(|other| *other != target).filter(is_near).find(|other| {
        contact.last_together(world.now(), [*other, target], slack).is_some_and(is_recent)
    });
    if let Some(who) = who {
        let who = world.plan().name(who);
        return Err(format!("{gone} is forgotten, and {who} was in contact with it"));
    }
    let was_met = contact.last_met(world.now(), [primary, target], slack).is_some_and(is_recent);
    match was_met {
        true => Err(format!("{gone} is forgotten, and was there and refused")),
        false => Ok(()),
    }
}

/// As many as are wanted were up a moment ago, and linked to the primary.
fn is_replaced(
    world: &World,
    primary: usize,
    gone: &PeerName,
    monitor: Monitor,
) -> Result<(), String> {
    let recently = world.plan().group.heartbeat * 5;
    let is_there = |other: &usize| {
        let last = world.contact().last_linked(world.now(), [primary, *other]);
        *other == primary || last.is_some_and(|last| world.now().since(last) <= recently)
    };
    let target = world.index_of(gone);
    let others = (0..world.plan().peers()).filter(|other| *other != target);
    let there = others.filter(is_there).count();
    if there >= monitor.size() {
        return Ok(());
    }
    let size = monitor.size();
    Err(format!("{gone} is forgotten while only {there} of {size} are there"))
}
