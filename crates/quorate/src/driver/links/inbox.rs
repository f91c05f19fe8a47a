//! Messages on their way to the event loop, by lane: bounded in number and in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::base::id::{Incarnation, PeerName, PeerStart};
use crate::config::Bounds;
use crate::driver::links::connection::max_outbox_bytes;
use crate::protocol::message::{Lane, Message};

/// A message that has come in.
#[derive(Debug)]
pub(in crate::driver) struct Inbound {
    pub(in crate::driver) peer: PeerName,
    pub(in crate::driver) incarnation: Incarnation,
    pub(in crate::driver) message: Message,
    /// Given back when the message has been handled.
    _room: OwnedSemaphorePermit,
}

/// The queue in which messages of one lane wait.
#[derive(Debug)]
pub(in crate::driver) struct Inbox {
    queue: mpsc::Sender<Inbound>,
    /// Bytes that they may still have.
    room: Arc<Semaphore>,
    max_bytes: usize,
}

/// The event loop is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Gone;

impl Inbox {
    pub(in crate::driver) fn new(bounds: &Bounds) -> (Self, mpsc::Receiver<Inbound>) {
        let (queue, messages) = mpsc::channel(bounds.max_inbound_messages);
        // What a sender may have waiting, it may have under way.
        let max_bytes = max_outbox_bytes(bounds).min(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(max_bytes));
        (Self { queue, room, max_bytes }, messages)
    }

    /// Puts a message in that came in a body of `bytes`; waits while there are too many, each
    /// sender in its turn.
    ///
    /// # Errors
    ///
    /// If nobody takes messages any more.
    pub(in crate::driver) async fn send(
        &self,
        from: PeerStart,
        message: Message,
        bytes: usize,
    ) -> Result<(), Gone> {
        // No body is as long as all that may wait.
        let bytes = u32::try_from(bytes.min(self.max_bytes)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| Gone)?;
        let inbound =
            Inbound { peer: from.name, incarnation: from.incarnation, message, _room: room };
        self.queue.send(inbound).await.map_err(|_| Gone)
    }
}

/// The inboxes of both lanes.
#[derive(Debug)]
pub(in crate::driver) struct Inboxes {
    pub(in crate::driver) control: Inbox,
    pub(in crate::driver) data: Inbox,
}

impl Inboxes {
    pub(in crate::driver) fn of(&self, lane: Lane) -> &Inbox {
        match lane {
            Lane::Control => &self.control,
            Lane::Data | Lane::Calls | Lane::Admin => &self.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;
    use crate::base::id::Ballot;

    /// Many that are short, few that are long.
    #[tokio::test]
    async fn messages_wait_for_room_and_get_it_when_one_is_handled() {
        let bounds = Bounds { max_inbound_messages: 100, ..Bounds::default() };
        let (inbox, mut messages) = Inbox::new(&bounds);
        let message = || Message::StandNow { ballot: Ballot::default() };
        let from = || PeerStart::new("a", Incarnation(1));
        let third = max_outbox_bytes(&bounds) / 3;
        for _ in 0..3 {
            inbox.send(from(), message(), third).await.expect("there is room");
        }
        let mut fourth = Box::pin(inbox.send(from(), message(), third));
        let mut context = Context::from_waker(Waker::noop());
        assert!(fourth.as_mut().poll(&mut context).is_pending());
        drop(messages.recv().await);
        fourth.await.expect("one was handled");
        for _ in 0..97 {
            inbox.send(from(), message(), 0).await.expect("they are short");
        }
        let mut more = Box::pin(inbox.send(from(), message(), 0));
        assert!(more.as_mut().poll(&mut context).is_pending(), "there are a hundred");
    }
}
