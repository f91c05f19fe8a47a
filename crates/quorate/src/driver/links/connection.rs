//! One open connection: its outbox, the callers that wait on it, and the calls from its other end
//! that are to be answered.
//!
//! One lock guards all of it, held for a copy of a few bytes and never during a system call. One
//! task reads, and writes what inline writes have left over; a reader, its table of waiting
//! callers and its writer stay together, because waking tasks on other threads is what costs.

use std::future::Future as _;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::base::id::{PeerName, PeerStart, Time};
use crate::config::Bounds;
use crate::driver::calls::decider::Decider;
use crate::driver::calls::slots::Slots;
use crate::driver::links::attendance::Attendance;
use crate::driver::links::buffered::{Buffered, Share};
use crate::driver::links::guest::Guest;
use crate::driver::links::outbox::{CheckedOut, Next, Outbox, Writer};
use crate::driver::links::roster::Roster;
use crate::driver::links::stall::{Progress, Stall};
use crate::protocol::io::LinkEnd;
use crate::protocol::message::{Lane, Message};
use crate::session::budget::Budget;
use crate::session::replying::Replying;
use crate::transport::{Certificate, Protection};
use crate::wire::replies::Outcome;
use crate::wire::{self, BODY_SLACK_BYTES, Frame, Merge, Refuse};

/// Rounds of writing that an inline writer does for others before it leaves the rest to the task.
const INLINE_ROUNDS: usize = 2;
/// Room for one read.
const READ_BYTES: usize = 64 * 1024;

/// The other end, and which of the connections to it this is.
#[derive(Clone, Debug)]
pub(in crate::driver) struct Identity {
    pub(in crate::driver) peer: PeerName,
    pub(in crate::driver) end: LinkEnd,
    pub(in crate::driver) lane: Lane,
    pub(in crate::driver) is_dialed: bool,
    pub(in crate::driver) address: String,
    pub(in crate::driver) protection: Protection,
    /// The certificate that it has shown, over TLS.
    pub(in crate::driver) certificate: Option<Certificate>,
}

impl Identity {
    /// Returns which start of the other end it is.
    pub(in crate::driver) fn start(&self) -> PeerStart {
        PeerStart::new(self.peer.clone(), self.end.incarnation)
    }
}

/// An open connection.
pub(in crate::driver) struct Connection {
    pub(in crate::driver) identity: Identity,
    /// The time when something last came over the control lane of this link.
    heard: Arc<AtomicU64>,
    /// Most bytes of replies that wait before nothing more is read.
    max_reply_bytes: usize,
    guest: Guest,
    /// The share that it holds, as long as it is of a guest.
    share: Share,
    /// The number of the frame of which a part has come and the rest is waited for; see
    /// [`Progress`].
    unfinished: AtomicU64,
    state: Mutex<State>,
    attendance: Attendance,
    /// The other end, once it has decided something for a caller here.
    decider: OnceLock<Decider>,
}

pub(in crate::driver) struct State {
    pub(in crate::driver) outbox: Outbox,
    /// Callers here that wait for the other end.
    pub(in crate::driver) calls: Slots<CallEnd>,
    /// Merges that were sent to the other end and not answered.
    merges_sent: usize,
    /// Calls from the other end that wait for a majority, or for a hand-over to end.
    pub(in crate::driver) replying: Replying,
    /// Set while nothing is read: what it is waited for.
    paused: Option<Counted>,
    progress: Progress,
}

/// The replies that count when it is decided whether more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Counted {
    /// Those that can be sent, and are not taken.
    Ready,
    /// And those that cannot be sent yet.
    All,
}

/// The end of a forwarded call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum CallEnd {
    /// It was answered.
    Answered(Outcome),
    /// The connection was closed before.
    Lost,
}

impl Connection {
    pub(in crate::driver) fn new(
        identity: Identity,
        writer: Writer,
        heard: Arc<AtomicU64>,
        bounds: &Bounds,
        budget: &Arc<Budget>,
        buffered: &Arc<Buffered>,
    ) -> Self {
        let guest = Guest::new();
        let share = Share::new(buffered.clone());
        let max_bytes = match identity.lane {
            Lane::Control => bounds.max_piece_bytes,
            Lane::Data | Lane::Calls | Lane::Admin => max_outbox_bytes(bounds),
        };
        let state = State {
            outbox: Outbox::new(writer, max_bytes, bounds.max_piece_bytes),
            calls: Slots::new(budget.clone()),
            merges_sent: 0,
            replying: Replying::new(budget.clone()),
            paused: None,
            progress: Progress::default(),
        };
        let attendance = Attendance::default();
        let state = Mutex::new(state);
        let max_reply_bytes = bounds.max_reply_bytes;
        let unfinished = AtomicU64::new(0);
        let decider = OnceLock::new();
        Self {
            identity,
            heard,
            max_reply_bytes,
            guest,
            share,
            unfinished,
            state,
            attendance,
            decider,
        }
    }

    /// The other end, as who decides.
    pub(in crate::driver) fn decider(&self) -> Decider {
        *self.decider.get_or_init(|| Decider::of(&self.identity.peer))
    }

    /// Returns true if it was dialed for calls of this peer: the task that reads the replies runs
    /// where the callers do.
    pub(in crate::driver) fn carries_own_calls(&self) -> bool {
        self.identity.lane == Lane::Calls && self.identity.is_dialed
    }

    /// Returns true if it is open, and the task that reads it has run when it was woken.
    pub(in crate::driver) fn is_attended(&self) -> bool {
        !self.attendance.is_neglected() && !self.lock().outbox.is_closed()
    }

    /// Looks after a connection whose task runs on the callers' runtime, which may not run it:
    /// returns for how long that has been so while calls wait.
    pub(in crate::driver) fn look_after(&self, now: Time, patience: Duration) -> Option<Duration> {
        let task = {
            let state = self.lock();
            (state.calls.taken() > 0).then(|| state.outbox.task())
        };
        self.attendance.look_after(now, task.flatten(), patience)
    }

    pub(in crate::driver) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns true if it belongs to the link over whose control lane something came then.
    pub(in crate::driver) fn is_of_link(&self, heard: &Arc<AtomicU64>) -> bool {
        Arc::ptr_eq(&self.heard, heard)
    }

    /// The time when something last came over the control lane of this link.
    pub(in crate::driver) fn heard(&self) -> Time {
        Time(self.heard.load(Ordering::Relaxed))
    }

    /// Notes that something has come at `now`.
    pub(in crate::driver) fn hear(&self, now: Time) {
        if self.identity.lane == Lane::Control {
            self.heard.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// Appends a message; false if it was dropped because too much waits already.
    pub(in crate::driver) fn push_message(&self, message: Message) -> bool {
        self.push_frame(&Frame::Message(message))
    }

    /// Appends a merge for the primary; false if it was dropped because too much waits already.
    pub(in crate::driver) fn push_merge(&self, merge: Merge) -> bool {
        let is_pushed = self.push_frame(&Frame::Merge(merge));
        self.lock().merges_sent += usize::from(is_pushed);
        is_pushed
    }

    /// A reply to a merge has come; false if it is one that nobody waits for.
    pub(in crate::driver) fn is_merge_reply_due(&self) -> bool {
        let mut state = self.lock();
        let is_due = state.merges_sent > 0;
        state.merges_sent -= usize::from(is_due);
        is_due
    }

    /// Appends the last word of this process.
    pub(in crate::driver) fn push_goodbye(&self) {
        // Dropped where too much waits: the others wait for its end then.
        self.push_frame(&Frame::Refuse(Refuse::goodbye()));
    }

    /// Appends a frame; false if it was dropped because too much waits already.
    fn push_frame(&self, frame: &Frame) -> bool {
        let mut state = self.lock();
        if state.outbox.is_closed() || !state.outbox.has_room(0) {
            return false;
        }
        wire::encode(frame, state.outbox.frames());
        true
    }

    /// Returns true if the other end has come in and is no member at present.
    #[inline]
    pub(in crate::driver) fn is_guest(&self, roster: &Roster) -> bool {
        !self.identity.is_dialed && self.guest.is_one(&self.identity.peer, roster)
    }

    /// Notes how much has come of a frame that is not whole, and looks whether a guest holds too
    /// much of what all of them may.
    pub(in crate::driver) fn may_hold(&self, begun: usize, roster: &Roster) -> bool {
        self.share.set_begun(begun);
        self.weigh(roster)
    }

    /// Looks anew at what this connection holds; whether it may.
    pub(in crate::driver) fn weigh(&self, roster: &Roster) -> bool {
        // Under the lock, so that what was seen last counts.
        let state = self.lock();
        if !self.is_guest(roster) {
            self.share.let_go();
            return true;
        }
        self.share.set_waiting(state.outbox.waiting_bytes() + state.replying.reply_bytes())
    }

    /// Looks whether this connection gets anywhere; why not, if it has not for `patience`.
    pub(in crate::driver) fn stall(&self, now: Time, patience: Duration) -> Option<Stall> {
        let mut state = self.lock();
        let (blocked_at, unfinished) =
            (state.outbox.blocked_at(), self.unfinished.load(Ordering::Relaxed));
        state.progress.stall(blocked_at, unfinished, now, patience)
    }

    /// Writes what waits, here and now, as far as the writer takes it.
    pub(in crate::driver) fn flush(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut state = self.lock();
        let mut has_rest = true;
        for _ in 0..INLINE_ROUNDS {
            let Some(mut out) = state.outbox.check_out() else {
                has_rest = false;
                break;
            };
            drop(state);
            let written = out.write(&mut context);
            state = self.lock();
            let is_failed = self.check_in(&mut state, out, &written);
            if is_failed || written.is_pending() {
                let task = state.outbox.schedule();
                drop(state);
                task.into_iter().for_each(Waker::wake);
                return;
            }
        }
        let must_run = (has_rest && !state.outbox.is_idle()) || self.may_resume(&state);
        let task = if must_run { state.outbox.schedule() } else { None };
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }

    /// Does what [`Outbox::next`] says.
    pub(in crate::driver) fn proceed(&self, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Wake(task) => task.wake(),
            Next::Write => self.flush(),
        }
    }

    /// Writes what waits, for the connection's task: its waker is registered for the rest.
    ///
    /// # Errors
    ///
    /// If the connection is closed, here or there.
    fn poll_flush(&self, context: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.lock();
        if state.outbox.register(context.waker()) {
            context.waker().wake_by_ref();
            return Ok(());
        }
        loop {
            if state.outbox.is_closed() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let Some(mut out) = state.outbox.check_out() else { return Ok(()) };
            drop(state);
            let written = out.write(context);
            state = self.lock();
            self.check_in(&mut state, out, &written);
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(result) => result?,
            }
        }
    }

    /// Returns whether writing has failed, and closes the outbox then.
    fn check_in(&self, state: &mut State, out: CheckedOut, written: &Poll<io::Result<()>>) -> bool {
        state.outbox.check_in(out, written);
        let is_failed = matches!(written, Poll::Ready(Err(_)));
        if is_failed {
            state.outbox.fail();
        }
        is_failed
    }

    /// Returns true if replies are within their bound.
    pub(in crate::driver) fn has_room(&self, counted: Counted) -> bool {
        self.has_room_in(&self.lock(), counted)
    }

    pub(in crate::driver) fn has_room_in(&self, state: &State, counted: Counted) -> bool {
        let to_come = match counted {
            Counted::Ready => 0,
            Counted::All => state.replying.reply_bytes(),
        };
        state.outbox.reply_bytes() + to_come < self.max_reply_bytes
    }

    /// Returns true if what this connection's task waits for has come.
    fn may_resume(&self, state: &State) -> bool {
        state.paused.is_some_and(|counted| self.has_room_in(state, counted))
    }

    /// Waits until replies are within their bound, and writes meanwhile.
    ///
    /// # Errors
    ///
    /// If the connection is closed, here or there.
    pub(in crate::driver) async fn wait_for_room(&self, counted: Counted) -> io::Result<()> {
        std::future::poll_fn(|context| {
            self.poll_flush(context)?;
            let mut state = self.lock();
            // Under the lock: whoever makes room from here on wakes this task.
            let has_room = self.has_room_in(&state, counted);
            state.paused = (!has_room).then_some(counted);
            if has_room { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Reads nothing for a while, and writes meanwhile.
    ///
    /// # Errors
    ///
    /// If the connection is closed, here or there.
    pub(in crate::driver) async fn pause(&self, pause: Duration) -> io::Result<()> {
        let mut pause = std::pin::pin!(tokio::time::sleep(pause));
        std::future::poll_fn(|context| {
            self.poll_flush(context)?;
            pause.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Waits for bytes and appends them to `buffer`, and writes meanwhile. `frame` is the number of
    /// the next frame, of which `buffer` may hold a part.
    ///
    /// # Errors
    ///
    /// If the connection is closed, here or there.
    pub(in crate::driver) async fn read(
        &self,
        reader: &mut (dyn AsyncRead + Send + Unpin),
        buffer: &mut BytesMut,
        frame: u64,
    ) -> io::Result<()> {
        let unfinished = if buffer.is_empty() { 0 } else { frame };
        self.unfinished.store(unfinished, Ordering::Relaxed);
        let read = self.read_some(reader, buffer).await;
        self.unfinished.store(0, Ordering::Relaxed);
        read
    }

    async fn read_some(
        &self,
        reader: &mut (dyn AsyncRead + Send + Unpin),
        buffer: &mut BytesMut,
    ) -> io::Result<()> {
        if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        std::future::poll_fn(|context| {
            self.attendance.note_turn();
            self.poll_flush(context)?;
            let mut read = std::pin::pin!(reader.read_buf(buffer));
            match read.as_mut().poll(context) {
                Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(result) => Poll::Ready(result.map(drop)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Closes the connection: its task ends, callers that wait on it have an unknown outcome.
    pub(in crate::driver) fn close(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            wakers.extend(state.outbox.close());
            state.calls.settle_all(&CallEnd::Lost, &mut wakers);
            state.replying.clear();
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Bytes that may wait on one connection of the data lane: a full transfer window, and as much
/// again for calls.
pub(in crate::driver) fn max_outbox_bytes(bounds: &Bounds) -> usize {
    2 * (bounds.transfer_window + 1) * (bounds.max_piece_bytes + BODY_SLACK_BYTES)
}
