//! A queue by moment; events that are due at the same moment come in the order of their arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::clock::Moment;

/// A queue of events in order of time.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    order: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    pushed: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), pushed: 0 }
    }

    pub(crate) fn push(&mut self, at: Moment, event: E) {
        let slot = self.free.pop().unwrap_or(self.events.len());
        if slot == self.events.len() {
            self.events.push(Some(event));
        } else {
            self.events[slot] = Some(event);
        }
        self.pushed += 1;
        self.order.push(Reverse((at, self.pushed, slot)));
    }

    /// Returns when the next event is due.
    pub(crate) fn next_at(&self) -> Option<Moment> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, E)> {
        let Reverse((at, _, slot)) = self.order.pop()?;
        self.free.push(slot);
        let event = self.events[slot].take().expect("a slot in the order holds an event");
        Some((at, event))
    }

    /// Returns how many events were ever pushed.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_moment_and_then_by_arrival() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(Moment(at), event);
        }
        let order: String = std::iter::from_fn(|| queue.pop().map(|(_, event)| event)).collect();
        assert_eq!(order, "abcd");
    }
}
