//! Callers that wait for something: a table of wakers and results, bounded, without an allocation
//! per caller.
//!
//! ```text
//!            insert            settle                 poll
//!     free ─────────▶ waiting ─────────▶ settled ───────────────▶ free
//!                       │  │ expire                    poll
//!                       │  └─────────▶ expired ──────────┐
//!                       │ abandon                        ▼    settle
//!                       └──────────────────────────▶ abandoned ──▶ free
//! ```
//!
//! A place that nobody waits at any more stays taken until its reply comes or the table is
//! emptied, so that a late reply never reaches another caller; ids carry a generation besides.

use std::sync::Arc;
use std::task::Waker;

use crate::base::id::Time;
use crate::session::budget::Budget;

/// Bits of an id that say which place of the table it is; the others are its generation.
const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

/// Names a place of a table for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    fn new(index: usize, generation: u32) -> Self {
        Self(index as u32 | (generation << INDEX_BITS))
    }

    fn index(self) -> usize {
        (self.0 & INDEX_MASK) as usize
    }

    fn generation(self) -> u32 {
        self.0 >> INDEX_BITS
    }
}

#[derive(Debug)]
enum State<R> {
    Free { next: Option<u32> },
    Waiting { waker: Waker, deadline: Time },
    Settled(R),
    Expired,
    Abandoned,
}

#[derive(Debug)]
struct Slot<R> {
    generation: u32,
    state: State<R>,
}

/// The deadline of a caller has passed; what it waits for may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expired;

/// A table of callers that wait for an `R`.
#[derive(Debug)]
pub(crate) struct Slots<R> {
    slots: Vec<Slot<R>>,
    free: Option<u32>,
    taken: usize,
    budget: Arc<Budget>,
}

impl<R> Slots<R> {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { slots: Vec::new(), free: None, taken: 0, budget }
    }

    /// Places taken: callers that wait, and replies that are still to come.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a place; `None` if the budget is spent.
    pub(crate) fn insert(&mut self, waker: Waker, deadline: Time) -> Option<Id> {
        if !self.budget.take() {
            return None;
        }
        let state = State::Waiting { waker, deadline };
        let index = match self.free {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                if let State::Free { next } = slot.state {
                    self.free = next;
                }
                slot.state = state;
                index as usize
            }
            None if self.slots.len() <= INDEX_MASK as usize => {
                self.slots.push(Slot { generation: 0, state });
                self.slots.len() - 1
            }
            None => {
                self.budget.give(1);
                return None;
            }
        };
        self.taken += 1;
        Some(Id::new(index, self.slots[index].generation))
    }

    /// Returns true if a reply of this id is still to come: it was sent, and none has come yet.
    pub(crate) fn is_due(&self, id: Id) -> bool {
        let slot = self.slots.get(id.index()).filter(|slot| slot.generation == id.generation());
        slot.is_some_and(|slot| !matches!(slot.state, State::Free { .. } | State::Settled(_)))
    }

    /// What a caller waits for has come; returns whom to wake. Ids that are not waited for are
    /// ignored: a peer may send any.
    pub(crate) fn settle(&mut self, id: Id, result: R) -> Option<Waker> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation != id.generation() {
            return None;
        }
        match std::mem::replace(&mut slot.state, State::Abandoned) {
            State::Waiting { waker, .. } => {
                slot.state = State::Settled(result);
                Some(waker)
            }
            State::Expired => {
                slot.state = State::Settled(result);
                None
            }
            State::Abandoned => {
                self.release(id.index());
                None
            }
            state @ (State::Free { .. } | State::Settled(_)) => {
                slot.state = state;
                None
            }
        }
    }

    /// Takes the result if it has come; else `waker` is woken when it does.
    pub(crate) fn poll(&mut self, id: Id, waker: &Waker) -> Option<Result<R, Expired>> {
        let slot = &mut self.slots[id.index()];
        debug_assert_eq!(slot.generation, id.generation(), "a caller keeps its place");
        match &mut slot.state {
            State::Waiting { waker: registered, .. } => {
                registered.clone_from(waker);
                None
            }
            State::Settled(_) => {
                let state = std::mem::replace(&mut slot.state, State::Abandoned);
                self.release(id.index());
                let State::Settled(result) = state else { return None };
                Some(Ok(result))
            }
            State::Expired => {
                slot.state = State::Abandoned;
                Some(Err(Expired))
            }
            // Neither can be: a caller has its place until it drops it, and the next one in it has
            // another generation.
            State::Free { .. } | State::Abandoned => Some(Err(Expired)),
        }
    }

    /// The caller waits no more, but the reply is still to come.
    pub(crate) fn abandon(&mut self, id: Id) {
        let slot = &mut self.slots[id.index()];
        match slot.state {
            State::Settled(_) => self.release(id.index()),
            State::Waiting { .. } | State::Expired => slot.state = State::Abandoned,
            State::Free { .. } | State::Abandoned => {}
        }
    }

    /// The caller waits no more, and nothing is to come.
    pub(crate) fn remove(&mut self, id: Id) {
        let slot = &mut self.slots[id.index()];
        if slot.generation == id.generation() && !matches!(slot.state, State::Free { .. }) {
            self.release(id.index());
        }
    }

    /// Ends the wait of all callers whose deadline has come; returns the next deadline.
    pub(crate) fn expire(&mut self, now: Time, wakers: &mut Vec<Waker>) -> Option<Time> {
        let mut next: Option<Time> = None;
        for slot in &mut self.slots {
            let State::Waiting { deadline, .. } = slot.state else { continue };
            if deadline > now {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            } else if let State::Waiting { waker, .. } =
                std::mem::replace(&mut slot.state, State::Expired)
            {
                wakers.push(waker);
            }
        }
        next
    }

    /// Brings all deadlines that are later than `by` down to it.
    pub(crate) fn hasten(&mut self, by: Time) {
        for slot in &mut self.slots {
            if let State::Waiting { deadline, .. } = &mut slot.state {
                *deadline = by.min(*deadline);
            }
        }
    }

    /// Nothing more will come: all callers get `result`, and abandoned places are free again.
    pub(crate) fn settle_all(&mut self, result: &R, wakers: &mut Vec<Waker>)
    where
        R: Clone,
    {
        for index in 0..self.slots.len() {
            let id = Id::new(index, self.slots[index].generation);
            if !matches!(self.slots[index].state, State::Free { .. }) {
                wakers.extend(self.settle(id, result.clone()));
            }
        }
    }

    fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.generation = (slot.generation + 1) & (u32::MAX >> INDEX_BITS);
        slot.state = State::Free { next: self.free };
        self.free = Some(index as u32);
        self.taken -= 1;
        self.budget.give(1);
    }
}

impl<R> Drop for Slots<R> {
    fn drop(&mut self) {
        self.budget.give(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(max: usize) -> Slots<u32> {
        Slots::new(Arc::new(Budget::new(max)))
    }

    fn insert(slots: &mut Slots<u32>) -> Id {
        slots.insert(Waker::noop().clone(), Time(100)).expect("there is room")
    }

    #[test]
    fn a_result_reaches_its_caller_once_and_frees_the_place() {
        let mut slots = slots(1);
        let id = insert(&mut slots);
        assert_eq!(slots.poll(id, Waker::noop()), None);
        assert!(slots.insert(Waker::noop().clone(), Time(1)).is_none(), "the budget is spent");
        assert!(slots.settle(id, 7).is_some());
        assert!(slots.settle(id, 8).is_none(), "a second reply changes nothing");
        assert_eq!(slots.poll(id, Waker::noop()), Some(Ok(7)));
        assert_eq!(slots.taken(), 0);
        assert_ne!(insert(&mut slots), id, "the generation has grown");
    }

    #[test]
    fn the_place_of_an_abandoned_call_is_kept_for_its_reply() {
        let mut slots = slots(8);
        let id = insert(&mut slots);
        slots.abandon(id);
        assert_eq!(slots.taken(), 1);
        assert!(slots.settle(id, 7).is_none());
        assert_eq!(slots.taken(), 0);
        assert!(slots.settle(id, 7).is_none(), "an id of the past");
    }

    #[test]
    fn an_expired_call_ends_and_its_late_reply_is_dropped() {
        let mut slots = slots(8);
        let (id, mut wakers) = (insert(&mut slots), Vec::new());
        assert_eq!(slots.expire(Time(99), &mut wakers), Some(Time(100)));
        assert_eq!(slots.expire(Time(100), &mut wakers), None);
        assert_eq!(wakers.len(), 1);
        assert_eq!(slots.poll(id, Waker::noop()), Some(Err(Expired)));
        assert_eq!(slots.taken(), 1);
        slots.settle(id, 7);
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn settling_all_reaches_callers_and_frees_what_was_abandoned() {
        let mut slots = slots(8);
        let (one, other, mut wakers) = (insert(&mut slots), insert(&mut slots), Vec::new());
        slots.abandon(other);
        slots.settle_all(&9, &mut wakers);
        assert_eq!(wakers.len(), 1);
        assert_eq!(slots.poll(one, Waker::noop()), Some(Ok(9)));
        assert_eq!(slots.budget.used(), 0);
    }
}
