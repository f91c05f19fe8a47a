//! No more holders believe at once to have a permit than there are places, whatever the clocks of
//! the group do (docs/protocol.md, section 9). It goes by true time: each holder counts its lease
//! as the guard of a permit does, from before it asked, by the clock of its own machine and with a
//! twentieth off. A machine whose clock has stood meanwhile is taken to know for how long: that it
//! cannot is said where the guard is.
//!
//! Holds G25 of docs/guarantees.md.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use quorate::{Acknowledge, Ballot, Mode, Position, Time};

use crate::base::clock::Moment;
use crate::check::Check;
use crate::model::operation;
use crate::model::real::{LEASE, PERMITS};
use crate::words::call::Done;
use crate::words::operation::{Kind, Outcome};
use crate::words::seen::Seen;
use crate::world::World;

type Key = Vec<u8>;

#[derive(Debug, Default)]
pub(super) struct PermitsHeld {
    /// By founding, key and permit.
    believed: BTreeMap<(Ballot, Key, Key), Belief>,
    /// The position at which each was given back last.
    released: BTreeMap<(Ballot, Key, Key), Position>,
}

/// The belief of a holder, and what it rests on.
#[derive(Clone, Copy, Debug)]
struct Belief {
    peer: usize,
    units: u64,
    position: Position,
    /// By its own clock.
    until: Time,
    /// By no clock that stands still.
    until_truly: Moment,
}

impl Check for PermitsHeld {
    fn name(&self) -> &'static str {
        "permits_held"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let group = &world.plan().group;
        if group.mode != Mode::Strict || group.acknowledge != Acknowledge::Majority {
            return Ok(());
        }
        match seen {
            Seen::Executed { op: Some(op), done } => self.on_executed(world, *op, *done),
            Seen::Ended { op, outcome: Outcome::Acknowledged(done) } => {
                return self.on_answered(world, *op, *done);
            }
            _ => {}
        }
        Ok(())
    }
}

impl PermitsHeld {
    /// A holder that gives a permit back believes in it no more.
    fn on_executed(&mut self, world: &World, op: usize, done: Done) {
        let Some((operation::PERMIT_RELEASE, id)) = permit(world, op, done) else { return };
        self.believed.retain(|known, belief| *known != id || belief.position > done.position);
        let released = self.released.entry(id).or_default();
        *released = done.position.max(*released);
    }

    /// Whoever is answered believes, but in what was given back while the answer was on its way.
    fn on_answered(&mut self, world: &World, op: usize, done: Done) -> Result<(), String> {
        let Some((operation::PERMIT_TAKE | operation::PERMIT_RENEW, id)) = permit(world, op, done)
        else {
            return Ok(());
        };
        if self.released.get(&id).is_some_and(|released| *released > done.position) {
            return Ok(());
        }
        let peer = world.ops()[op].peer;
        let asked = world.ops()[op].asked;
        let units = done.answer.words[2];
        let position = done.position;
        let term = LEASE - LEASE / 20;
        let until = asked.after(term);
        let until_truly = world.ops()[op].issued.after(term);
        let belief = Belief { peer, units, position, until, until_truly };
        let known = self.believed.entry(id.clone()).or_insert(belief);
        if left(world, belief) > left(world, *known) {
            *known = belief;
        }
        self.count(world, &id).map_err(|what| format!("{what}, at {position} by call {op}"))
    }

    fn count(
        &mut self,
        world: &World,
        (founding, key, _): &(Ballot, Key, Key),
    ) -> Result<(), String> {
        self.believed.retain(|_, belief| left(world, *belief) > 0);
        let of_key = self.believed.iter().filter(|((of, at, _), _)| of == founding && at == key);
        let held: u64 = of_key.map(|(_, belief)| belief.units).sum();
        if held <= PERMITS { Ok(()) } else { Err(format!("{held} of {PERMITS} permits are held")) }
    }
}

/// The operation on a permit, and which one, if it was done now and not before.
fn permit(world: &World, op: usize, done: Done) -> Option<(u8, (Ballot, Key, Key))> {
    const OPERATIONS: RangeInclusive<u8> = operation::PERMIT_TAKE..=operation::PERMIT_RELEASE;
    let Kind::Real(number) = world.ops()[op].kind else { return None };
    let is_new = operation::is_new(&done.answer);
    let [(key, _), (permit, _)] = &world.ops()[op].items[..] else { return None };
    let founding = world.history().reign(done.position.ballot)?.founding;
    let id = (founding, key.to_vec(), permit.to_vec());
    (is_new && OPERATIONS.contains(&number)).then_some((number, id))
}

/// Nanoseconds that a holder believes on, by its own clock.
fn left(world: &World, belief: Belief) -> u128 {
    let clock = &world.hosts()[belief.peer].clock;
    let own = belief.until.since(clock.time(world.now()));
    let left = if clock.has_stood() { own.min(belief.until_truly.since(world.now())) } else { own };
    left.as_nanos()
}
