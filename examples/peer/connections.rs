//! The open connections of the example `peer`, and which of them are given up: a stranger can open
//! many and say little on each, and takes nobody's place by it.
//!
//! ```text
//!   accepted ──▶ Idle ──▶ Head ──▶ Body ──▶ Work ──▶ Answer ─┐
//!                 ▲    first byte   head     body    done     │ written
//!                 └───────────────────────────────────────────┘
//! ```
//!
//! One that stays too long in its phase is closed. If all places are taken, whoever has most of
//! them gives up the one that has waited longest; only where the service itself is at work nothing
//! is given up, and the next connection waits to be accepted.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::refused::Instead;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The caller reads its answer.
    Answer,
    /// The body of a request is on its way.
    Body,
    /// The head of a request is on its way.
    Head,
    /// Nothing is asked.
    Idle,
    /// The service works on a request.
    Work,
}

impl Phase {
    /// The longest time in it; the body's is kept where it is read, and work has a deadline of its
    /// own (`--io-timeout`).
    fn longest(self) -> Option<Duration> {
        match self {
            Self::Answer => Some(Duration::from_secs(30)),
            Self::Head => Some(Duration::from_secs(10)),
            // Longer than proxies and clients keep one open that they mean to use again.
            Self::Idle => Some(Duration::from_secs(120)),
            Self::Body | Self::Work => None,
        }
    }
}

/// One connection, as its own task sees it.
pub(crate) struct Connection {
    /// Where it stands, and since when.
    phase: Mutex<(Phase, Instant)>,
    table: Arc<Connections>,
}

impl Connection {
    pub(crate) fn enter(&self, phase: Phase) {
        let before = std::mem::replace(&mut *self.phase.lock(), (phase, Instant::now()));
        if before.0 == Phase::Work {
            self.table.changed.notify_one();
        }
    }

    /// The same, if that is where it stands.
    pub(crate) fn pass(&self, from: Phase, to: Phase) {
        let mut phase = self.phase.lock();
        if phase.0 == from {
            *phase = (to, Instant::now());
        }
    }

    /// Whether no request has come in whole: what is answered then the service has not said.
    fn has_no_request(&self) -> bool {
        matches!(self.phase.lock().0, Phase::Idle | Phase::Head)
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let (phase, since) = *self.phase.lock();
        phase.longest().is_some_and(|longest| now.duration_since(since) > longest)
    }

    /// Since when it has waited for its caller, if it does.
    fn waits_since(&self) -> Option<Instant> {
        let (phase, since) = *self.phase.lock();
        (phase != Phase::Work).then_some(since)
    }
}

/// All connections at one address.
pub(crate) struct Connections {
    most: usize,
    open: Mutex<Table>,
    /// A connection ended, or waits for its caller again.
    changed: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    places: HashMap<u64, Place>,
}

struct Place {
    /// Whose connection it is: the key of its address.
    from: Arc<[u8]>,
    connection: Arc<Connection>,
    task: Option<AbortHandle>,
}

/// A connection's place, which is free again when this is dropped.
pub(crate) struct Taken {
    pub(crate) number: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let table = &self.connection.table;
        table.open.lock().places.remove(&self.number);
        table.changed.notify_one();
    }
}

impl Connections {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default(), changed: Notify::new() })
    }

    /// Whether another can be taken in, if need be in the place of one that waits for its caller.
    pub(crate) fn has_room(&self) -> bool {
        let table = self.open.lock();
        let mut places = table.places.values();
        table.places.len() < self.most || places.any(|it| it.connection.waits_since().is_some())
    }

    /// Waits until that may have changed.
    ///
    /// # Cancel safety
    ///
    /// A change that comes before this is awaited again is not missed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes a connection of this caller in.
    pub(crate) fn take(self: &Arc<Self>, from: &[u8]) -> Taken {
        let phase = Mutex::new((Phase::Idle, Instant::now()));
        let connection = Arc::new(Connection { phase, table: self.clone() });
        let mut table = self.open.lock();
        if table.places.len() >= self.most {
            table.give_up_one();
        }
        table.next += 1;
        let number = table.next;
        let place = Place { from: from.into(), connection: connection.clone(), task: None };
        table.places.insert(number, place);
        Taken { number, connection }
    }

    /// Says which task serves a connection, so that it can be ended.
    pub(crate) fn served_by(&self, number: u64, task: AbortHandle) {
        if let Some(place) = self.open.lock().places.get_mut(&number) {
            place.task = Some(task);
        }
    }

    /// Closes those that have stayed too long where they are.
    pub(crate) fn close_overdue(&self) {
        let now = Instant::now();
        self.open.lock().places.retain(|_, place| {
            let is_overdue = place.connection.is_overdue(now);
            if is_overdue {
                place.end();
            }
            !is_overdue
        });
    }

    /// Closes one that waits for its caller, if there is any.
    pub(crate) fn give_up_one(&self) {
        self.open.lock().give_up_one();
    }
}

impl Table {
    fn give_up_one(&mut self) {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for place in self.places.values() {
            *places.entry(&place.from).or_default() += 1;
        }
        let waiting = self.places.iter().filter_map(|(number, place)| {
            let since = place.connection.waits_since()?;
            let has = places.get(&*place.from).copied().unwrap_or_default();
            Some((std::cmp::Reverse(has), since, *number))
        });
        let longest = waiting.min().map(|(_, _, number)| number);
        if let Some(place) = longest.and_then(|number| self.places.remove(&number)) {
            place.end();
        }
    }
}

impl Place {
    fn end(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A stream that tells where its connection stands by what is read and written.
pub(crate) struct Watched<I> {
    io: I,
    connection: Arc<Connection>,
    /// What is answered in place of hyper, if that refuses a request by itself.
    instead: Option<Instead>,
}

impl<I> Watched<I> {
    pub(crate) fn new(io: I, connection: Arc<Connection>) -> Self {
        Self { io, connection, instead: None }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.connection.pass(Phase::Idle, Phase::Head);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, connection, instead } = &mut *self;
        if instead.is_none() && connection.has_no_request() {
            *instead = Instead::of(bytes);
        }
        match instead {
            Some(instead) => {
                ready!(instead.poll_write(io, context))?;
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.has_no_request() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Flushed is what was written whole: then the caller's next word is waited for.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.connection.pass(Phase::Answer, Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
