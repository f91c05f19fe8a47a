//! Events: rings that late readers can ask, and a bounded broadcast with a counted lag.
//!
//! There is one store of events. A subscriber remembers the number it wants next; one that is
//! slower loses the oldest and is told how many. What guests cause, peers that are no members, has
//! a quarter of the room to itself: whoever comes and goes pushes out nothing that the group has
//! done.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::base::event::Event;

/// An event, its number, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NumberedEvent {
    /// Grows by one with every event of this peer since it started; the first is 1.
    pub number: u64,
    /// Wall time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// The place where events are kept and told.
#[derive(Debug)]
pub(crate) struct EventLog {
    ring: Arc<Mutex<Ring>>,
    /// The number of the newest event; readers wait for it to grow.
    newest: watch::Sender<Newest>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    number: u64,
    is_closed: bool,
}

/// The part of the room that is for what guests cause: one in so many.
const GUESTS_PART: usize = 4;

/// The cause of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The group, or this peer itself.
    Group,
    /// Somebody who is no member.
    Guest,
}

/// The events that are kept, the newest of each cause; numbers grow in both.
#[derive(Debug)]
struct Ring {
    of_group: Kept,
    of_guests: Kept,
    newest: u64,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<NumberedEvent>,
    max: usize,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { events: VecDeque::new(), max }
    }

    fn push(&mut self, event: NumberedEvent) {
        self.events.push_back(event);
        if self.events.len() > self.max {
            self.events.pop_front();
        }
    }

    /// The events from `number` on, oldest first.
    fn from(&self, number: u64) -> impl Iterator<Item = &NumberedEvent> {
        let index = self.events.partition_point(|event| event.number < number);
        self.events.range(index..)
    }
}

impl Ring {
    fn new(max: usize) -> Self {
        let of_guests = max / GUESTS_PART;
        let of_group = max.max(1) - of_guests;
        Self { of_group: Kept::new(of_group), of_guests: Kept::new(of_guests), newest: 0 }
    }

    /// The oldest event from `number` on.
    fn first_from(&self, number: u64) -> Option<&NumberedEvent> {
        let firsts = [self.of_group.from(number).next(), self.of_guests.from(number).next()];
        firsts.into_iter().flatten().min_by_key(|event| event.number)
    }
}

impl EventLog {
    pub(crate) fn new(max: usize) -> Self {
        let ring = Arc::new(Mutex::new(Ring::new(max)));
        Self { ring, newest: watch::Sender::new(Newest::default()) }
    }

    pub(crate) fn push(&self, at_ms: u64, event: Event, cause: Cause) {
        let number = {
            let mut ring = self.ring.lock();
            ring.newest += 1;
            let number = ring.newest;
            let kept = match cause {
                Cause::Group => &mut ring.of_group,
                Cause::Guest => &mut ring.of_guests,
            };
            kept.push(NumberedEvent { number, at_ms, event });
            number
        };
        self.newest.send_modify(|newest| newest.number = newest.number.max(number));
    }

    /// Events from the next one on.
    pub(crate) fn subscribe(&self) -> Events {
        let newest = self.ring.lock().newest;
        self.subscribe_after(newest)
    }

    /// Events with numbers above `number`: those that are kept, and then those to come.
    /// Numbers are of one start: one that none has yet is that of an earlier start, and stands for
    /// the newest.
    pub(crate) fn subscribe_after(&self, number: u64) -> Events {
        let newest = self.newest.subscribe();
        let number = number.min(self.ring.lock().newest);
        Events { ring: self.ring.clone(), newest, next: number.saturating_add(1), lagged: 0 }
    }

    /// Events with numbers above `number` that are still kept, oldest first.
    pub(crate) fn since(&self, number: u64) -> Vec<NumberedEvent> {
        let ring = self.ring.lock();
        let from = number.saturating_add(1);
        let mut events: Vec<_> = ring.of_group.from(from).cloned().collect();
        events.extend(ring.of_guests.from(from).cloned());
        events.sort_by_key(|event| event.number);
        events
    }

    /// No more events will come.
    pub(crate) fn close(&self) {
        self.newest.send_modify(|newest| newest.is_closed = true);
    }
}

/// Events of one peer as they happen.
///
/// A reader that falls behind by more than `Bounds::max_events`, or by a quarter of that where it
/// is about peers that are no members, misses the oldest; how many is counted in
/// [`Events::lagged`]. So are those that were gone when it began. Numbers have no gaps otherwise.
#[derive(Clone, Debug)]
pub struct Events {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Receiver<Newest>,
    next: u64,
    lagged: u64,
}

impl Events {
    /// The next event; `None` after the peer has been shut down or dropped.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has taken no event.
    pub async fn next(&mut self) -> Option<NumberedEvent> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            let next = self.next;
            let waited = self.newest.wait_for(|newest| newest.number >= next || newest.is_closed);
            let is_closed = waited.await.map_or(true, |newest| newest.number < next);
            if is_closed {
                return self.take();
            }
        }
    }

    /// The number of events that this reader has missed because it was too slow.
    pub fn lagged(&self) -> u64 {
        self.lagged
    }

    /// The number of the last event that it does not read any more.
    pub(in crate::driver) fn after(&self) -> u64 {
        self.next - 1
    }

    fn take(&mut self) -> Option<NumberedEvent> {
        let event = self.ring.lock().first_from(self.next)?.clone();
        self.lagged += event.number - self.next;
        self.next = event.number + 1;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Event {
        Event::PeerUp { peer: name.into() }
    }

    #[tokio::test]
    async fn a_reader_gets_every_event_in_order_and_then_the_end() {
        let log = EventLog::new(8);
        log.push(0, event("before"), Cause::Group);
        let mut events = log.subscribe();
        log.push(1, event("a"), Cause::Group);
        log.push(2, event("b"), Cause::Guest);
        log.close();
        assert_eq!(events.next().await.map(|e| (e.number, e.event)), Some((2, event("a"))));
        assert_eq!(events.next().await.map(|e| (e.number, e.event)), Some((3, event("b"))));
        assert_eq!(events.next().await, None);
        assert_eq!(events.lagged(), 0);
    }

    /// A service subscribes when its peer has started, and the first events had been told by then.
    #[tokio::test]
    async fn a_late_reader_begins_at_the_start_without_gap_or_double() {
        let log = EventLog::new(8);
        log.push(0, event("a"), Cause::Group);
        log.push(0, event("b"), Cause::Guest);
        let mut all = log.subscribe_after(0);
        let mut rest = log.subscribe_after(1);
        log.push(0, event("c"), Cause::Group);
        log.close();
        let mut numbers = Vec::new();
        while let Some(event) = all.next().await {
            numbers.push(event.number);
        }
        assert_eq!((numbers, all.lagged()), (vec![1, 2, 3], 0));
        assert_eq!(rest.next().await.map(|event| event.number), Some(2));
        assert_eq!(log.subscribe_after(u64::MAX).next().await, None);
    }

    /// It yielded nothing before number 501, and said that nothing was missed.
    #[tokio::test]
    async fn a_number_of_an_earlier_start_stands_for_the_newest() {
        let log = EventLog::new(8);
        log.push(0, event("a"), Cause::Group);
        let mut events = log.subscribe_after(500);
        log.push(0, event("b"), Cause::Group);
        log.close();
        assert_eq!(events.next().await.map(|event| event.number), Some(2));
        assert_eq!(events.lagged(), 0);
    }

    #[tokio::test]
    async fn what_was_gone_when_a_reader_began_is_counted() {
        let log = EventLog::new(2);
        for name in ["a", "b", "c"] {
            log.push(0, event(name), Cause::Group);
        }
        let mut events = log.subscribe_after(0);
        assert_eq!(events.next().await.map(|event| event.number), Some(2));
        assert_eq!(events.lagged(), 1);
    }

    #[tokio::test]
    async fn a_slow_reader_misses_the_oldest_and_is_told_how_many() {
        let log = EventLog::new(2);
        let mut events = log.subscribe();
        for name in ["a", "b", "c", "d", "e"] {
            log.push(0, event(name), Cause::Group);
        }
        assert_eq!(events.next().await.map(|e| e.number), Some(4));
        assert_eq!(events.lagged(), 3);
        assert_eq!(log.since(0).len(), 2);
        assert_eq!(log.since(4).iter().map(|e| e.number).collect::<Vec<_>>(), [5]);
    }

    #[tokio::test]
    async fn guests_push_out_what_guests_did_and_readers_see_all_in_order() {
        let log = EventLog::new(8);
        let mut events = log.subscribe();
        log.push(0, event("a"), Cause::Group);
        for name in ["x", "y", "z"] {
            log.push(0, event(name), Cause::Guest);
        }
        log.push(0, event("b"), Cause::Group);
        let numbers = |kept: Vec<NumberedEvent>| kept.iter().map(|e| e.number).collect::<Vec<_>>();
        assert_eq!(numbers(log.since(0)), [1, 3, 4, 5]);
        assert_eq!(numbers(log.since(3)), [4, 5]);
        let mut read = Vec::new();
        for _ in 0..4 {
            read.extend(events.next().await.map(|event| event.number));
        }
        assert_eq!((read, events.lagged()), (vec![1, 3, 4, 5], 1));
        assert_eq!(log.since(u64::MAX), []);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let log = EventLog::new(2);
        let mut events = log.subscribe();
        let reader = tokio::spawn(async move { events.next().await });
        tokio::task::yield_now().await;
        log.push(7, event("a"), Cause::Group);
        assert_eq!(reader.await.expect("it does not panic").map(|e| e.at_ms), Some(7));
    }
}
