//! Events: a ring that late readers can ask, and a bounded broadcast with a counted lag.
//!
//! There is one store of events, the ring. A subscriber remembers the number it wants next; one
//! that is slower than the ring loses the oldest and is told how many.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::event::Event;

/// An event, its number, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NumberedEvent {
    /// Grows by one with every event of this peer since it started; the first is 1.
    pub number: u64,
    /// Wall time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Where events are kept and told.
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

#[derive(Debug)]
struct Ring {
    events: VecDeque<NumberedEvent>,
    max: usize,
    newest: u64,
}

impl Ring {
    /// The oldest event from `number` on.
    fn first_from(&self, number: u64) -> Option<&NumberedEvent> {
        let oldest = self.events.front()?.number;
        let index = usize::try_from(number.saturating_sub(oldest)).ok()?;
        self.events.get(index)
    }
}

impl EventLog {
    pub(crate) fn new(max: usize) -> Self {
        let ring = Ring { events: VecDeque::new(), max: max.max(1), newest: 0 };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(Newest::default()) }
    }

    pub(crate) fn push(&self, at_ms: u64, event: Event) {
        let number = {
            let mut ring = self.ring.lock();
            ring.newest += 1;
            let number = ring.newest;
            if ring.events.len() == ring.max {
                ring.events.pop_front();
            }
            ring.events.push_back(NumberedEvent { number, at_ms, event });
            number
        };
        self.newest.send_modify(|newest| newest.number = newest.number.max(number));
    }

    /// Events from the next one on.
    pub(crate) fn subscribe(&self) -> Events {
        let newest = self.newest.subscribe();
        let next = self.ring.lock().newest + 1;
        Events { ring: self.ring.clone(), newest, next, lagged: 0 }
    }

    /// Events with numbers above `number` that are still kept, oldest first.
    pub(crate) fn since(&self, number: u64) -> Vec<NumberedEvent> {
        let ring = self.ring.lock();
        ring.events.iter().filter(|event| event.number > number).cloned().collect()
    }

    /// No more events will come.
    pub(crate) fn close(&self) {
        self.newest.send_modify(|newest| newest.is_closed = true);
    }
}

/// Events of one peer as they happen.
///
/// A reader that falls behind by more than `Bounds::max_events` misses the oldest; how many is
/// counted in [`Events::lagged`]. Numbers have no gaps otherwise.
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

    /// How many events this reader has missed because it was too slow.
    pub fn lagged(&self) -> u64 {
        self.lagged
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
        log.push(0, event("before"));
        let mut events = log.subscribe();
        log.push(1, event("a"));
        log.push(2, event("b"));
        log.close();
        assert_eq!(events.next().await.map(|e| (e.number, e.event)), Some((2, event("a"))));
        assert_eq!(events.next().await.map(|e| (e.number, e.event)), Some((3, event("b"))));
        assert_eq!(events.next().await, None);
        assert_eq!(events.lagged(), 0);
    }

    #[tokio::test]
    async fn a_slow_reader_misses_the_oldest_and_is_told_how_many() {
        let log = EventLog::new(2);
        let mut events = log.subscribe();
        for name in ["a", "b", "c", "d", "e"] {
            log.push(0, event(name));
        }
        assert_eq!(events.next().await.map(|e| e.number), Some(4));
        assert_eq!(events.lagged(), 3);
        assert_eq!(log.since(0).len(), 2);
        assert_eq!(log.since(4).iter().map(|e| e.number).collect::<Vec<_>>(), [5]);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let log = EventLog::new(2);
        let mut events = log.subscribe();
        let reader = tokio::spawn(async move { events.next().await });
        tokio::task::yield_now().await;
        log.push(7, event("a"));
        assert_eq!(reader.await.expect("it does not panic").map(|e| e.at_ms), Some(7));
    }
}
