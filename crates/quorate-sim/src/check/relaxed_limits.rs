//! Promises of `quorate-ratelimit` for a fixed window in a relaxed group.
//!
//! 1. A peer alone admits of a window, in one outage, no more than its share of the max, rounded
//!    up; without a share no more than the max. An outage of a key ends when the peer has forgotten
//!    what it decided alone about it: a majority holds the merge, or it is dropped.
//! 2. Under `Majority` a primary admits nothing that does not fit beside what was acknowledged
//!    before in that window, by any primary of the founding, and what was merged and told to be
//!    held. A merge counts in the window in which it is merged, if its own is not over, and no more
//!    than the max of it.
//! 3. What a cell counts of a window, when a reign takes it over and at the end, is what was
//!    admitted in the history that led there, and what was merged in it, each once; of windows of
//!    which nothing was reserved.
//!
//! Contact, of 1 and 2: of all that was acknowledged of a window, primaries and peers alone admit
//! no more than the max, and a share for each outage of a peer. The max is the one that the decider
//! had at that moment.
//!
//! Holds G28, G29 and G30 of docs/guarantees.md.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate::{
    Acknowledge, Answer, Ballot, DecideContext, Delta, GroupTime, Mode, Position, Sequence,
};

use crate::base::clock::nanos;
use crate::check::Check;
use crate::check::real_limits::max_at;
use crate::model::operation;
use crate::model::real::{WINDOW, is_of};
use crate::model::reference::is_live;
use crate::words::call::ProcessId;
use crate::words::merge::{Cells, MergeId};
use crate::words::operation::Kind;
use crate::words::seen::Seen;
use crate::world::World;

type Key = Vec<u8>;

#[derive(Debug, Default)]
pub(super) struct RelaxedLimits {
    /// The decisions that peers have made alone and not forgotten.
    alone: BTreeMap<ProcessId, Alone>,
    /// The units that primaries have counted, by founding and position.
    counted: BTreeMap<(Ballot, Position), Counted>,
    /// Windows of which units were reserved or settled: some may have been given back.
    reserved: BTreeSet<(Key, u64)>,
}

#[derive(Debug, Default)]
struct Alone {
    counts: BTreeMap<Key, Count>,
    sealed: BTreeSet<Key>,
}

/// Of one window of a key.
#[derive(Debug, Default)]
struct Count {
    start: u64,
    units: u64,
    /// Something of it is not sealed.
    is_open: bool,
}

/// The reason to count: an operation has to fit in, a merge is counted in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Operation,
    Merge(Option<MergeId>),
}

#[derive(Debug)]
struct Counted {
    start: u64,
    units: Vec<(Key, u64)>,
    by: By,
    max: u64,
    is_acknowledged: bool,
}

impl Check for RelaxedLimits {
    fn name(&self) -> &'static str {
        "relaxed_limits"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if world.plan().group.mode != Mode::Relaxed {
            return Ok(());
        }
        match *seen {
            Seen::DecidedAlone { peer, op, answer, context } => {
                self.decide(world, peer, op, (answer, context))
            }
            Seen::Sealed { peer, entries } => {
                self.seal(world, peer, entries);
                Ok(())
            }
            Seen::Forgotten { peer, is_all } => {
                self.forget(world, peer, is_all);
                Ok(())
            }
            Seen::Executed { op: Some(op), done } => {
                let units = window_units(world, op, &done.answer);
                let start = start_of(done.context);
                let kind = world.ops()[op].kind;
                if kind == Kind::Real(operation::RESERVE) || kind == Kind::Real(operation::COMMIT) {
                    self.reserved.insert((world.ops()[op].items[0].0.to_vec(), start));
                }
                self.count(world, done.position, (start, units), By::Operation);
                Ok(())
            }
            Seen::Merged { id, position, context, entries } => {
                let start = start_of(context);
                let units = entries
                    .iter()
                    .filter(|(key, delta)| is_of("window", key) && delta.words[0] >= start)
                    .map(|(key, delta)| (key.to_vec(), delta.words[1]))
                    .collect();
                self.count(world, position, (start, units), By::Merge(id));
                Ok(())
            }
            Seen::Acknowledged { done, .. } => {
                let Some(reign) = world.history().reign(done.position.ballot) else {
                    return Ok(());
                };
                if let Some(counted) = self.counted.get_mut(&(reign.founding, done.position)) {
                    counted.is_acknowledged = true;
                }
                Ok(())
            }
            Seen::Reign { parent: Some(parent), cells, group_time, .. } => {
                self.compare(world, parent, cells, group_time)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let group = &world.plan().group;
        if group.mode != Mode::Relaxed {
            return Ok(());
        }
        let process = world.primary().and_then(|peer| world.process(peer));
        if let Some((process, ballot)) = process.and_then(|process| Some((process, process.reign?)))
        {
            let tip = Position { ballot, sequence: Sequence(u64::MAX) };
            let now = process.store.group_time();
            self.compare(world, tip, &process.cells(world.keys()), now)?;
        }
        if group.acknowledge != Acknowledge::Majority {
            return Ok(());
        }
        let mut sums: BTreeMap<(Ballot, &Key, u64), u64> = BTreeMap::new();
        for ((founding, position), counted) in &self.counted {
            for (key, units) in counted.units.iter().filter(|_| counted.is_acknowledged) {
                let sum = sums.entry((*founding, key, counted.start)).or_default();
                *sum += units;
                let max = counted.max;
                if counted.by == By::Operation && *sum > max {
                    return Err(format!("{sum} of {max} in a window, at {position}"));
                }
            }
        }
        Ok(())
    }
}

impl RelaxedLimits {
    /// A peer alone has decided: by no more than its share.
    fn decide(
        &mut self,
        world: &World,
        peer: usize,
        op: usize,
        (answer, context): (Answer, DecideContext),
    ) -> Result<(), String> {
        let Some(alone) = self.of(world, peer) else { return Ok(()) };
        let incarnation = world.ops()[op].incarnation;
        let part = world.plan().real.part(max_at(world, ProcessId { peer, incarnation }));
        for (key, units) in window_units(world, op, &answer) {
            let count = alone.counts.entry(key).or_default();
            let start = start_of(context);
            // A clock that is set back opens no window again.
            if start > count.start {
                count.start = start;
                count.units = 0;
            }
            count.units += units;
            count.is_open = true;
            if count.units > part {
                let admitted = count.units;
                return Err(format!("alone, call {op} makes it {admitted} of {part} in a window"));
            }
        }
        Ok(())
    }

    /// Checks that cells count what was admitted and merged in the history that led to them.
    /// Compares what cells count; what has expired is no part of them, and need not have travelled.
    fn compare(
        &self,
        world: &World,
        tip: Position,
        cells: &Cells,
        now: GroupTime,
    ) -> Result<(), String> {
        let length = nanos(WINDOW);
        let windows = cells.iter().filter(|(key, _)| is_of("window", key));
        for (key, value) in windows.filter(|(_, value)| is_live(value, now)) {
            let [start, found, _] = value.words;
            // What was reserved may be settled in the window after.
            let windows = [start, start.saturating_sub(length)];
            if windows.iter().any(|start| self.reserved.contains(&(key.to_vec(), *start))) {
                continue;
            }
            let mut merges: BTreeSet<MergeId> = BTreeSet::new();
            let mut sum = 0;
            for ((_, position), counted) in &self.counted {
                if counted.start != start || !world.history().includes(tip, *position) {
                    continue;
                }
                // A merge that was executed in two reigns counts in one of them.
                if matches!(counted.by, By::Merge(Some(id)) if !merges.insert(id)) {
                    continue;
                }
                let of_key = counted.units.iter().filter(|(of, _)| of == key);
                sum += of_key.map(|(_, units)| units).sum::<u64>();
            }
            if sum != found {
                return Err(format!("{key:?} counts {found}, not {sum}, in a window at {tip}"));
            }
        }
        Ok(())
    }

    fn of(&mut self, world: &World, peer: usize) -> Option<&mut Alone> {
        let incarnation = world.process(peer)?.incarnation;
        Some(self.alone.entry(ProcessId { peer, incarnation }).or_default())
    }

    fn seal(&mut self, world: &World, peer: usize, entries: &[(Bytes, Delta)]) {
        let Some(alone) = self.of(world, peer) else { return };
        alone.sealed = entries.iter().map(|(key, _)| key.to_vec()).collect();
        for key in &alone.sealed {
            if let Some(count) = alone.counts.get_mut(key) {
                count.is_open = false;
            }
        }
    }

    fn forget(&mut self, world: &World, peer: usize, is_all: bool) {
        let Some(alone) = self.of(world, peer) else { return };
        let sealed = std::mem::take(&mut alone.sealed);
        alone.counts.retain(|key, count| !is_all && (count.is_open || !sealed.contains(key)));
    }

    /// A primary has counted this.
    fn count(
        &mut self,
        world: &World,
        position: Position,
        (start, mut units): (u64, Vec<(Key, u64)>),
        by: By,
    ) {
        let Some(reign) = world.history().reign(position.ballot).filter(|_| !units.is_empty())
        else {
            return;
        };
        let max = max_at(world, reign.primary);
        units.iter_mut().for_each(|(_, units)| *units = (*units).min(max));
        let counted = Counted { start, units, by, max, is_acknowledged: false };
        self.counted.insert((reign.founding, position), counted);
    }
}

/// Returns what an operation that was done has taken of windows, for good.
fn window_units(world: &World, op: usize, answer: &Answer) -> Vec<(Key, u64)> {
    let op = &world.ops()[op];
    let is_new = operation::is_new(answer);
    if op.kind != Kind::Real(operation::ACQUIRE) || !is_new {
        return Vec::new();
    }
    let of_windows = op.items.iter().filter(|(key, _)| is_of("window", key));
    of_windows.map(|(key, amount)| (key.to_vec(), *amount)).collect()
}

fn start_of(context: DecideContext) -> u64 {
    context.now().0 / nanos(WINDOW) * nanos(WINDOW)
}
