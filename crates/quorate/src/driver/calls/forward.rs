//! The caller's side of a forwarded call.
//!
//! A call is encoded straight into the outbox of the connection to the primary and takes a place
//! in its table of waiting callers: no channel, no task and no allocation of its own. The task
//! that reads the replies settles a batch of callers under one lock and wakes them afterwards.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::base::id::Time;
use crate::driver::calls::expiry::Expiry;
use crate::driver::calls::slots::Id;
use crate::driver::links::connection::{CallEnd, Connection};
use crate::model::Item;
use crate::wire::calls::{self, MAX_CALL_BYTES};
use crate::wire::replies::{Outcome, Reader};
use crate::wire::{WireError, kind};

/// A call on its way. Resolves to its outcome.
///
/// Dropping it gives the call up: it may have been sent, and its place is free again when the
/// reply comes.
pub(in crate::driver) struct Forward<'a> {
    connection: &'a Arc<Connection>,
    items: &'a [Item<'a>],
    deadline: Time,
    expiry: &'a Expiry,
    id: Option<Id>,
}

/// Why a forwarded call has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum NoOutcome {
    /// The connection is closed; nothing was sent.
    NotConnected,
    /// Too many calls wait; nothing was sent.
    TooManyCalls,
    /// Too many bytes wait to be sent on the connection; nothing was sent.
    TooManyBytes,
    /// The operation does not fit the wire; nothing was sent.
    Invalid,
    /// It was sent, and its outcome is not known.
    Unknown,
}

/// Why replies were not handed on.
#[derive(Debug)]
pub(in crate::driver) enum NotSettled {
    /// One is to nothing that waits for a reply.
    Unasked,
    /// They cannot be read.
    Wire(WireError),
}

impl From<WireError> for NotSettled {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Connection {
    /// Sends a call to the other end when first polled.
    pub(in crate::driver) fn forward<'a>(
        self: &'a Arc<Self>,
        items: &'a [Item<'a>],
        deadline: Time,
        expiry: &'a Expiry,
    ) -> Forward<'a> {
        Forward { connection: self, items, deadline, expiry, id: None }
    }

    /// Hands replies to their callers; their wakers are for the caller of this to wake.
    ///
    /// # Errors
    ///
    /// If the replies cannot be read, or one is to nothing that was asked: the connection is to be
    /// closed.
    pub(in crate::driver) fn settle(
        &self,
        body: &[u8],
        wakers: &mut Vec<Waker>,
    ) -> Result<(), NotSettled> {
        let mut state = self.lock();
        for reply in Reader::new(body) {
            let reply = reply?;
            let id = Id(reply.id);
            // Once it is closed here, nothing is waited for.
            if !state.calls.is_due(id) && !state.outbox.is_closed() {
                return Err(NotSettled::Unasked);
            }
            wakers.extend(state.calls.settle(id, CallEnd::Answered(reply.outcome)));
        }
        Ok(())
    }

    /// Ends callers whose deadline has come; returns the next deadline.
    pub(in crate::driver) fn expire_calls(
        &self,
        now: Time,
        wakers: &mut Vec<Waker>,
    ) -> Option<Time> {
        self.lock().calls.expire(now, wakers)
    }

    /// The other end is not the primary any more: gives its last replies until `deadline`.
    pub(in crate::driver) fn hasten_calls(&self, deadline: Time) {
        self.lock().calls.hasten(deadline);
    }
}

impl Forward<'_> {
    fn send(&mut self, waker: &Waker) -> Result<(), NoOutcome> {
        let mut state = self.connection.lock();
        let is_alone = state.calls.taken() == 0;
        if state.outbox.is_closed() {
            return Err(NoOutcome::NotConnected);
        }
        if !state.outbox.has_room(MAX_CALL_BYTES) {
            return Err(NoOutcome::TooManyBytes);
        }
        let id = state.calls.insert(waker.clone(), self.deadline);
        let id = id.ok_or(NoOutcome::TooManyCalls)?;
        let body = state.outbox.body(kind::CALLS, MAX_CALL_BYTES);
        if calls::push(body, id.0, self.items).is_err() {
            state.calls.remove(id);
            return Err(NoOutcome::Invalid);
        }
        self.id = Some(id);
        // A caller alone writes at once; where there are several, one write takes them all.
        let next = state.outbox.next(is_alone);
        drop(state);
        self.expiry.announce(self.deadline);
        self.connection.proceed(next);
        Ok(())
    }
}

impl Future for Forward<'_> {
    type Output = Result<Outcome, NoOutcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.id else {
            return match self.send(context.waker()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            };
        };
        let Some(end) = self.connection.lock().calls.poll(id, context.waker()) else {
            return Poll::Pending;
        };
        self.id = None;
        Poll::Ready(match end {
            Ok(CallEnd::Answered(outcome)) => Ok(outcome),
            Ok(CallEnd::Lost) | Err(_) => Err(NoOutcome::Unknown),
        })
    }
}

impl Drop for Forward<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.connection.lock().calls.abandon(id);
        }
    }
}
