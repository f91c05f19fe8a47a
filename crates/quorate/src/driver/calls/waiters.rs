//! Callers at the primary itself that wait for a majority to hold their change.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::base::id::{Ballot, Position, Time};
use crate::driver::calls::expiry::Expiry;
use crate::driver::calls::routing::Routing;
use crate::driver::calls::slots::{Id, Slots};
use crate::session::budget::Budget;
use crate::session::commit_queue::CommitQueue;
use crate::session::routes::Routes;
use crate::store::Store;

/// How a wait for a majority ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum WaitEnd {
    /// The change may be answered: a majority holds it, or, where the group asks for no more, this
    /// peer's storage does.
    Answerable,
    /// Another peer became primary before that was known, or the time was over.
    Lost,
}

/// The callers here whose changes may not be answered yet.
#[derive(Debug)]
pub(in crate::driver) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: Slots<WaitEnd>,
    queue: CommitQueue<Id>,
}

impl Waiters {
    pub(in crate::driver) fn new(budget: Arc<Budget>) -> Self {
        let state = State { slots: Slots::new(budget), queue: CommitQueue::default() };
        Self { state: Mutex::new(state) }
    }

    /// Waits until `position` may be answered.
    pub(in crate::driver) fn wait<'a>(
        &'a self,
        store: &'a Store,
        routing: &'a Routing,
        expiry: &'a Expiry,
        position: Position,
        deadline: Time,
    ) -> Wait<'a> {
        Wait { waiters: self, store, routing, expiry, position, deadline, id: None }
    }

    /// Ends the wait of everyone whose change `answerable` covers.
    pub(in crate::driver) fn release(&self, answerable: Position, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        while let Some(id) = state.queue.pop_covered(answerable) {
            wakers.extend(state.slots.settle(id, WaitEnd::Answerable));
        }
    }

    /// Ends the wait of everyone whose change was decided in an older reign than `newest`.
    pub(in crate::driver) fn end_past(&self, newest: Ballot, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        while let Some(id) = state.queue.pop_past(newest) {
            wakers.extend(state.slots.settle(id, WaitEnd::Lost));
        }
    }

    /// Ends every wait: this peer is shut down.
    pub(in crate::driver) fn end_all(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = self.state.lock();
            state.slots.settle_all(&WaitEnd::Lost, &mut wakers);
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
    type Output = Result<WaitEnd, TooMany>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.waiters.state.lock();
        if let Some(id) = self.id {
            let Some(end) = state.slots.poll(id, context.waker()) else { return Poll::Pending };
            if end.is_err() {
                state.forget(self.position, id);
            }
            drop(state);
            self.id = None;
            return Poll::Ready(Ok(end.unwrap_or(WaitEnd::Lost)));
        }
        // Under the lock: whoever commits, or ends the reign, from here on finds this caller in
        // the queue.
        if self.store.answerable().covers(self.position) {
            return Poll::Ready(Ok(WaitEnd::Answerable));
        }
        if self.routing.newest_reign() > self.position.ballot {
            return Poll::Ready(Ok(WaitEnd::Lost));
        }
        let Some(id) = state.slots.insert(context.waker().clone(), self.deadline) else {
            return Poll::Ready(Err(TooMany));
        };
        state.queue.push(self.position, id);
        drop(state);
        self.expiry.announce(self.deadline);
        self.id = Some(id);
        Poll::Pending
    }
}

impl State {
    fn forget(&mut self, position: Position, id: Id) {
        self.queue.remove(position, |other| *other == id);
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
