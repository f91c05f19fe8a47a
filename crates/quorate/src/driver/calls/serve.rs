//! The primary's side of forwarded calls: the task that reads them decides them, straight against
//! the store, and answers a whole batch at once.

use bytes::{Buf, Bytes};
use tracing::debug_span;

use crate::driver::calls::routing::Routing;
use crate::driver::links::connection::{Connection, Counted, State};
use crate::driver::report::journal::CALLS;
use crate::driver::shared::Shared;
use crate::session::serving::{Batch, Server};
use crate::wire::calls::Reader;
use crate::wire::{Merge, WireError};

/// Calls that are decided before it is looked whether their replies are taken: a frame of short
/// ones has twenty times as many.
const STEP_CALLS: usize = 1024;

impl Connection {
    /// Decides the next calls of a frame, takes them off `calls`, and appends the replies; the
    /// caller flushes. Returns whether replies are within their bound.
    ///
    /// # Errors
    ///
    /// If the calls cannot be read: the connection is to be closed. Those before were decided.
    pub(in crate::driver) fn serve(
        &self,
        shared: &Shared,
        calls: &mut Bytes,
        batch: &mut Batch,
    ) -> Result<bool, WireError> {
        batch.clear();
        let peer = &shared.config.name;
        let from = &self.identity.peer;
        let _span = debug_span!(target: CALLS, "serve", %peer, %from).entered();
        let server = shared.server(self.identity.end.version);
        // Beside a frame an exact reading costs nothing.
        let time = shared.clock.time();
        let mut reader = Reader::new(calls);
        let mut served = 0;
        let end = loop {
            if served == STEP_CALLS {
                break Ok(());
            }
            let call = match reader.next_call() {
                Ok(Some(call)) => call,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            served += 1;
            batch.decide(&server, time, call.id, call.items, |_| {});
        };
        let rest = reader.rest_bytes();
        calls.advance(calls.len() - rest);
        shared.tally.served.add(served);
        if batch.turned_away() > 0 {
            shared.tally.refused_for_waiting.add(batch.turned_away());
        }
        if batch.must_wake() {
            shared.changed.notify_one();
        }
        batch.look_again(&shared.store, || shared.clock.later(time));
        let deadline = time.after(shared.group.io_timeout);
        let mut state = self.lock();
        let state = &mut *state;
        if batch.reply(&server, deadline, &mut state.replying, &mut state.outbox) {
            shared.expiry.announce(deadline);
        }
        end.map(|()| self.has_room_in(state, Counted::All))
    }

    /// Merges what a peer decided alone; the reply is sent when a majority holds it.
    pub(in crate::driver) fn serve_merge(&self, shared: &Shared, merge: &Merge) {
        let server = shared.server(self.identity.end.version);
        let time = shared.clock.time();
        let from = self.identity.start();
        let takes_merge = self.lock().replying.takes_merge();
        let merged = server.merge(time, &from, merge, takes_merge, |_| {});
        if merged.is_ok() || shared.store.take_wake() {
            shared.changed.notify_one();
        }
        let deadline = time.after(shared.group.io_timeout);
        let mut state = self.lock();
        let State { replying, outbox, .. } = &mut *state;
        if server.reply_merge(merged, merge.number, deadline, replying, outbox) {
            shared.expiry.announce(deadline);
        }
    }
}

impl Shared {
    /// Makes a server for a connection whose other end speaks `version` of the protocol.
    fn server(&self, version: u32) -> Server<'_, Routing> {
        Server {
            store: &self.store,
            model: &*self.model,
            group: &self.group,
            answers_after: self.answers_after,
            budget: &self.budget,
            routes: &self.routing,
            version,
        }
    }
}
