//! Promises of `quorate-ratelimit` for a strict group under `Majority`, whatever fails in between:
//! by everything that was acknowledged, no window has more than its max, a sliding one in no time
//! of its length, a bucket no more than its burst and what has flowed back, there are never more
//! permits than places, a reservation is no more than it was settled by, and a request with an
//! idempotency key is charged once.
//!
//! The references are sums over what was acknowledged, in the order of positions and by the clocks
//! of the group: what is held by its steady clock, the rest by its calendar. What was given back
//! counts from its execution on, acknowledged or not: others may have taken it.
//!
//! Holds G24 and G26 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Acknowledge, Ballot, Mode, Position};

use crate::base::clock::nanos;
use crate::check::Check;
use crate::model::operation;
use crate::model::real::{LEASE, MAX, PERMITS, RAISED, WINDOW, first_window, is_of};
use crate::words::call::{Done, ProcessId};
use crate::words::operation::Kind;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct RealLimits {
    /// By founding and position: the operation's number and its place, and whether it is
    /// acknowledged.
    seen: BTreeMap<(Ballot, Position), Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    op: usize,
    number: u8,
    /// Most units of a window, as its decider had it.
    max: u64,
    done: Done,
    is_acknowledged: bool,
}

impl Check for RealLimits {
    fn name(&self) -> &'static str {
        "real_limits"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let (op, done, is_acknowledged) = match seen {
            Seen::Executed { op: Some(op), done } => (*op, *done, false),
            Seen::Acknowledged { op: Some(op), done, .. } => (*op, *done, true),
            _ => return Ok(()),
        };
        let Kind::Real(number) = world.ops()[op].kind else { return Ok(()) };
        let is_new = operation::is_new(&done.answer);
        let Some(reign) = world.history().reign(done.position.ballot).filter(|_| is_new) else {
            return Ok(());
        };
        let max = max_at(world, reign.primary);
        let entry = Entry { op, number, max, done, is_acknowledged };
        let known = self.seen.entry((reign.founding, done.position)).or_insert(entry);
        known.is_acknowledged |= is_acknowledged;
        Ok(())
    }

    fn finish(&mut self, world: &World) -> Result<(), String> {
        let group = &world.plan().group;
        if group.mode != Mode::Strict || group.acknowledge != Acknowledge::Majority {
            return Ok(());
        }
        let mut founding = None;
        let mut reference = Reference::default();
        for ((of, position), entry) in &self.seen {
            if founding.replace(*of) != Some(*of) {
                reference = Reference::default();
            }
            reference
                .apply(world, entry)
                .map_err(|what| format!("{what}, at {position} by call {}", entry.op))?;
        }
        Ok(())
    }
}

/// Most units of a window by the limits of a peer as they are; the most that there ever are, if it
/// has ended.
pub(super) fn max_at(world: &World, decider: ProcessId) -> u64 {
    let process =
        world.process(decider.peer).filter(|process| process.incarnation == decider.incarnation);
    process.map_or(RAISED, |process| process.model.max(&first_window()))
}

type Key = Vec<u8>;

/// Units of a sliding window: when they were taken, and in what part of it, in milliseconds.
#[derive(Debug)]
struct Taken {
    at: u64,
    part: u64,
    units: u64,
}

/// A reservation: what it took of which window, and how much of it was given back.
#[derive(Debug)]
struct Reserved {
    units: u64,
    window: u64,
    back: i64,
}

/// Everything of one founding, in sums.
#[derive(Debug, Default)]
struct Reference {
    /// Units by key and window.
    windows: BTreeMap<(Key, u64), i64>,
    /// Units that were taken in sliding windows, by key.
    sliding: BTreeMap<Key, Vec<Taken>>,
    /// Units and when, by key.
    buckets: BTreeMap<Key, Vec<(u64, u64)>>,
    /// Units and until when they are held, by key and permit.
    permits: BTreeMap<(Key, Key), (u64, u64)>,
    /// By reservation.
    reservations: BTreeMap<Key, Reserved>,
    /// The time at which a request was charged, by its record.
    charged: BTreeMap<Key, u64>,
}

impl Reference {
    fn apply(&mut self, world: &World, entry: &Entry) -> Result<(), String> {
        let items = &world.ops()[entry.op].items;
        let context = entry.done.context;
        let now = context.now().0;
        let steady = context.steady().0;
        let words = entry.done.answer.words;
        let granted = words[2];
        let window = words[4];
        let key = items[0].0.to_vec();
        let sure = entry.is_acknowledged;
        match entry.number {
            operation::ACQUIRE => {
                for (key, amount) in items.iter().filter(|_| sure) {
                    self.acquire(key, *amount, entry.max, (now, window))?;
                }
                let record = items.last().filter(|(_, amount)| sure && *amount == 0);
                record.map_or(Ok(()), |(record, _)| self.charge(record, steady))
            }
            operation::REFUND => {
                self.give_back(&key, window, granted, now);
                Ok(())
            }
            operation::RESERVE if sure => {
                let reserved = Reserved { units: granted, window, back: 0 };
                self.reservations.insert(items[1].0.to_vec(), reserved);
                self.add(&key, window, granted.cast_signed(), entry.max)
            }
            operation::COMMIT => {
                let reservation = self.reservations.get_mut(&items[1].0.to_vec());
                let Some(reserved) = reservation else { return Ok(()) };
                // What was used beyond what was reserved is taken, room for it or not.
                let back = reserved.units.saturating_sub(items[0].1).cast_signed();
                // Settled anew and not told of an earlier answer, it is in a history without that.
                let more = back - std::mem::replace(&mut reserved.back, back);
                let window = reserved.window;
                // What was reserved under another max stays.
                self.add(&key, window, -more, RAISED)
            }
            operation::PERMIT_TAKE | operation::PERMIT_RENEW if sure => {
                self.hold(key, items[1].0.to_vec(), granted, steady)
            }
            operation::PERMIT_RELEASE => {
                self.permits.remove(&(key, items[1].0.to_vec()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn acquire(
        &mut self,
        key: &[u8],
        amount: u64,
        max: u64,
        (now, part): (u64, u64),
    ) -> Result<(), String> {
        let length = nanos(WINDOW);
        if is_of("window", key) {
            return self.add(key, now / length * length / 1_000_000, amount.cast_signed(), max);
        }
        if is_of("sliding", key) {
            return self.slide(key, Taken { at: now, part, units: amount });
        }
        if !is_of("bucket", key) {
            return Ok(());
        }
        let taken = self.buckets.entry(key.to_vec()).or_default();
        taken.push((now, amount));
        let mut units = 0;
        for (at, amount) in taken.iter().rev() {
            units += amount;
            // One unit flows back each second.
            let flowed = (now - at) / 1_000_000_000;
            if units > MAX + flowed {
                return Err(format!("a bucket of {MAX} has admitted {units} in {flowed} s"));
            }
        }
        Ok(())
    }

    /// Units of a sliding window: with all of the length before, no more than the max.
    fn slide(&mut self, key: &[u8], newest: Taken) -> Result<(), String> {
        let now = newest.at;
        let taken = self.sliding.entry(key.to_vec()).or_default();
        taken.push(newest);
        let within = taken.iter().filter(|taken| now - taken.at < nanos(WINDOW));
        let units: u64 = within.map(|taken| taken.units).sum();
        if units <= MAX { Ok(()) } else { Err(format!("{units} of {MAX} in {WINDOW:?}")) }
    }

    /// Takes off what was given back: of the part that the answer names, and then the oldest.
    fn give_back(&mut self, key: &[u8], part: u64, mut units: u64, now: u64) {
        let Some(taken) = self.sliding.get_mut(key) else { return };
        taken.retain(|taken| now - taken.at < nanos(WINDOW));
        let (of_part, of_others): (Vec<_>, Vec<_>) =
            taken.iter_mut().partition(|taken| taken.part == part);
        for taken in of_part.into_iter().rev().chain(of_others) {
            let back = units.min(taken.units);
            taken.units -= back;
            units -= back;
        }
    }

    fn add(&mut self, key: &[u8], window: u64, units: i64, max: u64) -> Result<(), String> {
        let sum = self.windows.entry((key.to_vec(), window)).or_default();
        *sum += units;
        if *sum <= max.cast_signed() { Ok(()) } else { Err(format!("{sum} of {max} in a window")) }
    }

    fn charge(&mut self, record: &[u8], now: u64) -> Result<(), String> {
        let kept = nanos(quorate_ratelimit::IDEMPOTENCY_TIME);
        match self.charged.insert(record.to_vec(), now) {
            Some(before) if now < before + kept => {
                Err(format!("a request is charged at {before} and again at {now}"))
            }
            _ => Ok(()),
        }
    }

    fn hold(&mut self, key: Key, permit: Key, units: u64, now: u64) -> Result<(), String> {
        self.permits.insert((key.clone(), permit), (units, now + nanos(LEASE)));
        let of_key =
            self.permits.iter().filter(|((of, _), (_, until))| *of == key && *until >= now);
        let held: u64 = of_key.map(|(_, (units, _))| units).sum();
        if held <= PERMITS { Ok(()) } else { Err(format!("{held} of {PERMITS} permits are held")) }
    }
}
