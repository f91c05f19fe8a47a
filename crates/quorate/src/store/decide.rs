//! The data path: one operation on one or several cells.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::Store;
use super::capacity::Amount;
use super::cell::KeyRef;
use super::shard::{Place, Shard, Stamp};
use crate::base::bug::{self, Bug};
use crate::base::id::{Position, Sequence, Time};
use crate::config::Acknowledge;
use crate::model::{Answer, Cell, DecideContext, Item, MAX_ITEMS, MAX_KEY_BYTES, Model, Value};
use crate::store::refused::{ITEMS, KEY, ONCE, Refused};

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The model's answer.
    pub answer: Answer,
    /// Its place in the order of all decisions.
    pub position: Position,
    /// The group time it was decided at, by both clocks.
    pub context: DecideContext,
    /// True if it is to be answered only when [`Store::answerable`] covers `position`.
    pub must_wait: bool,
    /// True if this is the first change since the last cut: the state machine must be told.
    pub wake: bool,
    /// True if anything was changed or taken.
    pub changed: bool,
}

impl Refused {
    /// Returns true if a merge that was refused for this will never be taken.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Forgotten { .. } | Self::Ahead { .. })
    }
}

/// Whether room may be made for an operation that finds none.
#[derive(Clone, Copy)]
enum Attempt {
    First,
    Last,
}

/// Checks what does not depend on any state.
#[inline]
pub(super) fn check(items: &[Item<'_>]) -> Result<(), Refused> {
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Refused::Invalid { what: ITEMS, bound: MAX_ITEMS as u64 });
    }
    for (index, item) in items.iter().enumerate() {
        check_key(item.key)?;
        if items[..index].iter().any(|earlier| earlier.key == item.key) {
            return Err(Refused::Invalid { what: ONCE, bound: 1 });
        }
    }
    Ok(())
}

#[inline]
pub(super) fn check_key(key: &[u8]) -> Result<(), Refused> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Refused::Invalid { what: KEY, bound: MAX_KEY_BYTES as u64 });
    }
    Ok(())
}

/// A cell as the model sees it: expiries are kept by the steady clock, and told by the calendar.
#[inline]
pub(super) fn seen(value: Option<Value>, context: DecideContext) -> Cell {
    let value = value.filter(|value| value.expires > context.steady());
    let told = |value: Value| Value { expires: context.by_calendar(value.expires), ..value };
    Cell::new(value.map(told))
}

/// The value that an operation gave to a cell, if it did, as it is kept.
#[inline]
pub(super) fn change_of(cell: &Cell, context: DecideContext) -> Option<Value> {
    let value = cell.value().copied().filter(|_| cell.is_changed());
    value.map(|value| Value { expires: context.by_steady(value.expires), ..value })
}

impl Store {
    /// Decides one operation at the caller's clock reading `time`.
    ///
    /// All of its cells change at one place in the order, or none does. Takes the locks of the
    /// shards it needs and nothing else; allocates only for new cells.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; nothing was written.
    #[inline(always)]
    pub fn decide(
        &self,
        time: Time,
        items: &[Item<'_>],
        model: &dyn Model,
        acknowledge: Acknowledge,
    ) -> Result<Decided, Refused> {
        let decided = match items {
            [item] => self.decide_one(time, item, model, acknowledge),
            // A few, as usual, need little room.
            [_, _] | [_, _, _] | [_, _, _, _] => {
                self.decide_several::<4>(time, items, model, acknowledge, Attempt::First)
            }
            _ => {
                let attempt = Attempt::First;
                self.decide_several::<MAX_ITEMS>(time, items, model, acknowledge, attempt)
            }
        };
        if bug::is(Bug::RefusedWrites) && self.authority.is_held() {
            return Err(Refused::HandingOver);
        }
        decided
    }

    /// Decides once more if expired cells were in the way. The caller holds no lock.
    #[cold]
    #[inline(never)]
    fn decide_in_new_room(
        &self,
        refused: Refused,
        time: Time,
        items: &[Item<'_>],
        model: &dyn Model,
        acknowledge: Acknowledge,
    ) -> Result<Decided, Refused> {
        let decided = if self.make_room(time) {
            let attempt = Attempt::Last;
            self.decide_several::<MAX_ITEMS>(time, items, model, acknowledge, attempt)
        } else {
            Err(refused)
        };
        if matches!(decided, Err(Refused::Full { .. })) {
            self.capacity.note_refused();
        }
        decided
    }

    #[inline(always)]
    fn decide_one(
        &self,
        time: Time,
        item: &Item<'_>,
        model: &dyn Model,
        acknowledge: Acknowledge,
    ) -> Result<Decided, Refused> {
        check_key(item.key)?;
        let key = KeyRef::model(item.key);
        let place = self.place(key);
        let mut shard = self.lock(place.shard);
        let context = self.authority.admit(time)?;
        let found = shard.find(place.tag, key);
        let mut cell = seen(found.map(|at| shard.slots.get(at).value), context);
        let (items, cells) = (std::slice::from_ref(item), std::slice::from_mut(&mut cell));
        let answer = model.decide_at(context, items, cells);
        let changed = change_of(&cell, context);
        if changed.is_none() && answer.units == 0 {
            if cell.asked() > 0 {
                let mut asked = Amount::default();
                asked.add_asked(&cell, key, found.is_some());
                if let Err(refused) = self.capacity.check(asked) {
                    drop(shard);
                    return self.decide_in_new_room(refused, time, items, model, acknowledge);
                }
            }
            return Ok(self.unchanged(answer, context));
        }
        if found.is_none() && changed.is_some() {
            let mut new = Amount::default();
            new.add(key);
            if let Err(refused) = self.capacity.reserve(new) {
                drop(shard);
                let items = std::slice::from_ref(item);
                return self.decide_in_new_room(refused, time, items, model, acknowledge);
            }
        }
        let sequence = self.sequence_word.take();
        let stamp = shard.prepare(self.stamp(sequence));
        if let Some(value) = changed {
            shard.put(place.tag, key, found, value, stamp);
        }
        self.account(&mut shard, answer.units);
        // While the lock is held: without it the reign may end.
        let position = self.position_of(sequence);
        drop(shard);
        Ok(self.changed(answer, position, context, acknowledge))
    }

    /// Decides an operation on up to `N` keys.
    fn decide_several<const N: usize>(
        &self,
        time: Time,
        items: &[Item<'_>],
        model: &dyn Model,
        acknowledge: Acknowledge,
        attempt: Attempt,
    ) -> Result<Decided, Refused> {
        check(items)?;
        let mut places = [Place::default(); N];
        for (place, item) in places.iter_mut().zip(items) {
            *place = self.place(KeyRef::model(item.key));
        }
        let mut locks = Locks::<N>::take(self, &places[..items.len()]);
        let context = self.authority.admit(time)?;

        let mut found = [None; N];
        let mut cells = [Cell::default(); N];
        for (index, item) in items.iter().enumerate() {
            let shard = locks.shard(index);
            found[index] = shard.find(places[index].tag, KeyRef::model(item.key));
            cells[index] = seen(found[index].map(|at| shard.slots.get(at).value), context);
        }
        let cells = &mut cells[..items.len()];
        let answer = model.decide_at(context, items, cells);
        if answer.units == 0 && !cells.iter().any(Cell::is_changed) {
            let mut asked = Amount::default();
            for ((item, cell), found) in items.iter().zip(&*cells).zip(&found) {
                asked.add_asked(cell, KeyRef::model(item.key), found.is_some());
            }
            let Err(refused) = self.capacity.check(asked) else {
                return Ok(self.unchanged(answer, context));
            };
            drop(locks);
            return match attempt {
                Attempt::First => self.decide_in_new_room(refused, time, items, model, acknowledge),
                Attempt::Last => Err(refused),
            };
        }
        let mut new = Amount::default();
        for ((item, cell), found) in items.iter().zip(&*cells).zip(&found) {
            if cell.is_changed() && found.is_none() {
                new.add(KeyRef::model(item.key));
            }
        }
        if let Err(refused) = self.capacity.reserve(new) {
            drop(locks);
            return match attempt {
                Attempt::First => self.decide_in_new_room(refused, time, items, model, acknowledge),
                Attempt::Last => Err(refused),
            };
        }

        let sequence = self.sequence_word.take();
        let stamp = self.stamp(sequence);
        for (index, item) in items.iter().enumerate() {
            let shard = locks.shard(index);
            let mut stamp = shard.prepare(stamp);
            if let Some(saving) = stamp.saving.filter(|_| index > 0 && bug::is(Bug::HalfOperation))
            {
                stamp = Stamp { sequence: saving.end, saving: None };
            }
            if let Some(value) = change_of(&cells[index], context) {
                let key = KeyRef::model(item.key);
                shard.put(places[index].tag, key, found[index], value, stamp);
            }
        }
        self.account(locks.shard(0), answer.units);
        let position = self.position_of(sequence);
        drop(locks);
        Ok(self.changed(answer, position, context, acknowledge))
    }

    /// An answer that changed nothing: it has its place in the order and waits for nobody. The
    /// caller holds its shards' locks.
    #[inline]
    fn unchanged(&self, answer: Answer, context: DecideContext) -> Decided {
        let position = self.position_of(self.sequence_word.take());
        Decided { answer, position, context, must_wait: false, wake: false, changed: false }
    }

    /// An answer that changed something, written already.
    #[inline]
    fn changed(
        &self,
        answer: Answer,
        position: Position,
        context: DecideContext,
        acknowledge: Acknowledge,
    ) -> Decided {
        let must_wait = match acknowledge {
            Acknowledge::Majority => true,
            Acknowledge::Primary => self.is_beyond_bound(),
        };
        let wake = self.sequence_word.note_change();
        Decided { answer, position, context, must_wait, wake, changed: true }
    }

    /// Accounts units to a shard, under its lock.
    #[inline]
    pub(super) fn account(&self, shard: &mut Shard, units: u64) {
        let max_unpublished = self.commitment.max_unpublished.load(Ordering::Relaxed);
        if let Some(units) = shard.account(units, max_unpublished) {
            self.sequence_word.publish(units);
        }
    }

    /// Returns true if there may be more units that no majority holds than may be lost. Allows for
    /// what the shards have not published, at most a sixteenth of the bound.
    #[inline]
    fn is_beyond_bound(&self) -> bool {
        let bound = self.commitment.max_unreplicated.load(Ordering::Relaxed);
        self.sequence_word.outstanding() > bound && !bug::is(Bug::CapIgnored)
    }

    /// The position of an operation of this reign.
    #[inline]
    pub(super) fn position_of(&self, sequence: u64) -> Position {
        Position { ballot: self.authority.ballot(), sequence: Sequence(sequence) }
    }
}

/// The locks of an operation on several keys, each shard once and in the order of their numbers,
/// so that two operations never wait for each other.
struct Locks<'a, const N: usize> {
    guards: [Option<MutexGuard<'a, Shard>>; N],
    /// Which guard an item's shard is behind.
    of_item: [u8; N],
}

impl<'a, const N: usize> Locks<'a, N> {
    fn take(store: &'a Store, places: &[Place]) -> Self {
        let mut numbers = [u32::MAX; N];
        for (number, place) in numbers.iter_mut().zip(places) {
            *number = place.shard;
        }
        numbers[..places.len()].sort_unstable();
        let mut guards = [const { None }; N];
        for index in 0..places.len() {
            if index == 0 || numbers[index] != numbers[index - 1] {
                guards[index] = Some(store.lock(numbers[index]));
            }
        }
        let mut of_item = [0; N];
        for (own, place) in of_item.iter_mut().zip(places) {
            *own = numbers.partition_point(|&number| number < place.shard) as u8;
        }
        Self { guards, of_item }
    }

    #[inline]
    fn shard(&mut self, item: usize) -> &mut Shard {
        self.guards[usize::from(self.of_item[item])].as_mut().expect("every item's shard is locked")
    }
}

impl Store {
    /// What an operation with this sequence must save, if a cut is open that it comes after. The
    /// caller holds its shards' locks.
    #[inline]
    pub(super) fn stamp(&self, sequence: u64) -> Stamp {
        Stamp { sequence, saving: self.opened.saving(sequence) }
    }
}
