//! Callers at the primary itself that wait for a majority to hold their change.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::base::id::{Ballot, Position, Time};
use crate::driver::calls::expiry::Expiry;
use crate::driver::calls::routing::Routing;
use crate::driver::calls::slots::{Budget, Id, Slots};
use crate::store::Store;

/// Whether a majority holds a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Held {
    /// It does: the change is never lost while a majority keeps its data.
    ByMajority,
    /// Another peer became primary before that was known.
    Unknown,
}

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::driver) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: Slots<Held>,
    /// Nearly in order of position: callers come from several threads.
    queue: VecDeque<(Position, Id)>,
}

impl Waiters {
    pub(in crate::driver) fn new(budget: Arc<Budget>) -> Self {
        let state = State { slots: Slots::new(budget), queue: VecDeque::new() };
        Self { state: Mutex::new(state) }
    }

    /// Waits until a majority holds `position`.
    pub(in crate::driver) fn wait<'a>(
        &'a self,
        (store, routing, expiry): (&'a Store, &'a Routing, &'a Expiry),
        position: Position,
        deadline: Time,
    ) -> Wait<'a> {
        Wait { waiters: self, store, routing, expiry, position, deadline, id: None }
    }

    /// A majority holds `committed`.
    pub(in crate::driver) fn release(&self, committed: Position, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        while let Some(&(position, id)) = state.queue.front() {
            if !committed.covers(position) {
                return;
            }
            state.queue.pop_front();
            wakers.extend(state.slots.settle(id, Held::ByMajority));
        }
    }

    /// Ends the wait of everyone whose change was decided in an older reign than `newest`.
    pub(in crate::driver) fn end_past(&self, newest: Ballot, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        while let Some(&(position, id)) = state.queue.front() {
            if newest <= position.ballot {
                return;
            }
            state.queue.pop_front();
            wakers.extend(state.slots.settle(id, Held::Unknown));
        }
    }

    /// Ends every wait: this peer is shut down.
    pub(in crate::driver) fn end_all(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = self.state.lock();
            state.slots.settle_all(&Held::Unknown, &mut wakers);
            state.queue.clear();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the wait of everyone whose deadline has come; returns the next deadline.
    pub(in crate::driver) fn expire(&self, now: Time, wakers: &mut Vec<Waker>) -> Option<Time> {
        self.state.lock().slots.expire(now, wakers)
    }
}

/// Resolves when a majority holds the change, or that cannot be known any more.
pub(in crate::driver) struct Wait<'a> {
    waiters: &'a Waiters,
    store: &'a Store,
    routing: &'a Routing,
    expiry: &'a Expiry,
    position: Position,
    deadline: Time,
    id: Option<Id>,
}

/// Too many wait already; the change has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) struct TooMany;

impl Future for Wait<'_> {
    type Output = Result<Held, TooMany>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.waiters.state.lock();
        if let Some(id) = self.id {
            let Some(end) = state.slots.poll(id, context.waker()) else { return Poll::Pending };
            if end.is_err() {
                state.forget(self.position, id);
            }
            drop(state);
            self.id = None;
            return Poll::Ready(Ok(end.unwrap_or(Held::Unknown)));
        }
        // Under the lock: whoever commits, or ends the reign, from here on finds this caller in
        // the queue.
        if self.store.answerable().covers(self.position) {
            return Poll::Ready(Ok(Held::ByMajority));
        }
        if self.routing.newest_reign() > self.position.ballot {
            return Poll::Ready(Ok(Held::Unknown));
        }
        let Some(id) = state.slots.insert(context.waker().clone(), self.deadline) else {
            return Poll::Ready(Err(TooMany));
        };
        let later = state.queue.iter().rev().take_while(|(p, _)| *p > self.position).count();
        let index = state.queue.len() - later;
        state.queue.insert(index, (self.position, id));
        drop(state);
        self.expiry.announce(self.deadline);
        self.id = Some(id);
        Poll::Pending
    }
}

impl State {
    fn forget(&mut self, position: Position, id: Id) {
        let from = self.queue.partition_point(|(p, _)| *p < position);
        let found = self.queue.range(from..).position(|(_, other)| *other == id);
        if let Some(found) = found {
            self.queue.remove(from + found);
        }
        self.slots.remove(id);
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.waiters.state.lock().forget(self.position, id);
        }
    }
}
