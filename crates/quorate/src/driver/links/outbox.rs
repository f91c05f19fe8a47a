//! The bytes that are to be written on one connection, and how they get there with few system calls
//! and few task switches.
//!
//! ```text
//!   push ──▶ pending ──swap──▶ writing ──poll_write──▶ writer
//!            (frames)          (checked out together: one thread writes, without the lock)
//! ```
//!
//! Whoever pushes onto an idle connection writes inline, with a waker that does nothing. If the
//! writer takes no more, the outbox is *blocked* and belongs to the connection's task, whose waker
//! is registered with the socket; nobody else touches the writer until it has drained.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::base::id::{GroupTime, Position};
use crate::model::Answer;
use crate::session::replying::Replies;
use crate::wire::replies::{self, MAX_REPLY_BYTES, Refusal};
use crate::wire::{self, Frame, MergeReply, Start, kind};

pub(in crate::driver) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Buffers above this are given back after a burst.
const KEPT_BYTES: usize = 256 * 1024;

/// See the module's documentation.
pub(in crate::driver) struct Outbox {
    /// Whole frames, but for the length of the open one.
    pending: BytesMut,
    open: Option<Open>,
    /// The bytes that the writer has not taken yet. Empty while checked out.
    writing: BytesMut,
    /// `None` while a thread writes, and after closing.
    writer: Option<Writer>,
    must_flush: bool,
    is_blocked: bool,
    /// True if the connection's task has been woken and has not yet looked.
    is_scheduled: bool,
    has_yielded: bool,
    is_closed: bool,
    task: Option<Waker>,
    max_bytes: usize,
    max_body: usize,
    /// Of `pending`, bytes of replies.
    pending_replies: usize,
    /// Of `writing`, bytes of replies at most.
    writing_replies: usize,
    /// Bytes that the writer has taken so far.
    taken: u64,
}

/// A frame of calls or replies at the end of `pending` that can still grow.
struct Open {
    kind: u8,
    start: Start,
    at: usize,
}

/// The writer and the bytes it is to take, while one thread uses them.
pub(in crate::driver) struct CheckedOut {
    writer: Writer,
    bytes: BytesMut,
    /// Their number.
    length: usize,
}

/// The duty of a caller after it has pushed and unlocked.
pub(in crate::driver) enum Next {
    /// Nothing: whoever writes at present will see it, or the task is woken already.
    Nothing,
    /// Wake the connection's task.
    Wake(Waker),
    /// Write inline.
    Write,
}

impl Outbox {
    /// `max_body` bounds frames of calls and replies, `max_bytes` all that waits.
    pub(in crate::driver) fn new(writer: Writer, max_bytes: usize, max_body: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            open: None,
            writing: BytesMut::new(),
            writer: Some(writer),
            must_flush: false,
            is_blocked: false,
            is_scheduled: false,
            has_yielded: false,
            is_closed: false,
            task: None,
            max_bytes,
            max_body,
            pending_replies: 0,
            writing_replies: 0,
            taken: 0,
        }
    }

    pub(in crate::driver) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Bytes that the writer has taken so far, if it takes no more at present.
    pub(in crate::driver) fn blocked_at(&self) -> Option<u64> {
        self.is_blocked.then_some(self.taken)
    }

    /// Returns true if `bytes` more are within the bound.
    pub(in crate::driver) fn has_room(&self, bytes: usize) -> bool {
        self.pending.len() + self.writing.len() + bytes <= self.max_bytes
    }

    /// Returns true if nothing waits and nobody writes: an inline write may go through.
    pub(in crate::driver) fn is_idle(&self) -> bool {
        self.writer.is_some() && !self.is_blocked && self.pending.is_empty()
    }

    /// The body of the open frame of `kind`, or of a new one if it has no room for `room` bytes.
    pub(in crate::driver) fn body(&mut self, kind: u8, room: usize) -> &mut BytesMut {
        let fits = self.open.as_ref().is_some_and(|open| {
            open.kind == kind && self.pending.len() - open.at + room <= self.max_body
        });
        if !fits {
            self.close_frame();
            let at = self.pending.len();
            self.open = Some(Open { kind, start: wire::begin(kind, &mut self.pending), at });
        }
        &mut self.pending
    }

    /// Appends a reply to a call, which `push` writes.
    fn push_reply(&mut self, push: impl FnOnce(&mut BytesMut)) {
        let body = self.body(kind::REPLIES, MAX_REPLY_BYTES);
        let before = body.len();
        push(body);
        self.pending_replies += self.pending.len() - before;
    }

    /// Bytes of replies that wait, at most: those of a write under way count until it has ended.
    pub(in crate::driver) fn reply_bytes(&self) -> usize {
        self.pending_replies + self.writing_replies
    }

    /// The buffer to append whole frames to.
    pub(in crate::driver) fn frames(&mut self) -> &mut BytesMut {
        self.close_frame();
        &mut self.pending
    }

    fn close_frame(&mut self) {
        if let Some(open) = self.open.take() {
            wire::finish(open.start, &mut self.pending);
        }
    }

    /// The way in which what was pushed gets written; `inline` if the caller is willing to do it.
    pub(in crate::driver) fn next(&mut self, inline: bool) -> Next {
        if self.is_scheduled || self.is_blocked || self.writer.is_none() {
            return Next::Nothing;
        }
        if inline {
            return Next::Write;
        }
        self.schedule().map_or(Next::Nothing, Next::Wake)
    }

    /// Takes the waker of the connection's task before that writes; returns whether it is to come
    /// back first.
    ///
    /// Tokio runs a task that another one wakes right after that one. The callers that are ready
    /// to push as well come first if this task goes to the end of the queue, and one write takes
    /// them all.
    pub(in crate::driver) fn register(&mut self, waker: &Waker) -> bool {
        let must_yield = self.is_scheduled && !self.has_yielded && !self.is_blocked;
        self.has_yielded = must_yield;
        if !must_yield {
            self.is_scheduled = false;
            self.is_blocked = false;
        }
        match &mut self.task {
            Some(task) => task.clone_from(waker),
            None => self.task = Some(waker.clone()),
        }
        must_yield
    }

    /// Takes the writer if there is anything for it to do.
    pub(in crate::driver) fn check_out(&mut self) -> Option<CheckedOut> {
        let is_empty = self.writing.is_empty() && self.pending.is_empty();
        if self.is_blocked || (is_empty && !self.must_flush) {
            return None;
        }
        let writer = self.writer.take()?;
        if self.writing.is_empty() {
            self.close_frame();
            std::mem::swap(&mut self.writing, &mut self.pending);
            self.writing_replies = std::mem::take(&mut self.pending_replies);
        }
        let bytes = std::mem::take(&mut self.writing);
        Some(CheckedOut { writer, length: bytes.len(), bytes })
    }

    /// Puts the writer back. After [`Poll::Pending`] the rest is up to the connection's task.
    pub(in crate::driver) fn check_in(&mut self, out: CheckedOut, written: &Poll<io::Result<()>>) {
        if self.is_closed {
            return;
        }
        self.writer = Some(out.writer);
        self.writing = out.bytes;
        self.writing_replies = self.writing_replies.min(self.writing.len());
        self.taken += (out.length - self.writing.len()) as u64;
        self.must_flush = written.is_pending();
        self.is_blocked = written.is_pending();
        if written.is_ready() && self.writing.capacity() > KEPT_BYTES {
            self.writing = BytesMut::new();
        }
    }

    /// The waker of the connection's task.
    pub(in crate::driver) fn task(&self) -> Option<Waker> {
        self.task.clone()
    }

    /// Has the connection's task woken for what is left.
    pub(in crate::driver) fn schedule(&mut self) -> Option<Waker> {
        self.is_scheduled = true;
        self.task.clone()
    }

    /// Writing has failed: takes nothing more. The task is to close the connection.
    pub(in crate::driver) fn fail(&mut self) {
        self.is_closed = true;
        self.writer = None;
    }

    /// Closes the sending side; returns the task's waker, for it is to end.
    pub(in crate::driver) fn close(&mut self) -> Option<Waker> {
        self.is_closed = true;
        self.writer = None;
        self.open = None;
        self.pending = BytesMut::new();
        self.writing = BytesMut::new();
        self.task.take()
    }

    /// Returns true if all that was pushed has left this process, or never will. A writer that
    /// encrypts takes bytes before the socket does: a flush says when it has.
    pub(in crate::driver) fn is_drained(&self) -> bool {
        let is_flushed = self.writer.is_some() && !self.is_blocked && !self.must_flush;
        self.is_closed || (is_flushed && self.waiting_bytes() == 0)
    }

    /// Bytes that wait.
    pub(in crate::driver) fn waiting_bytes(&self) -> usize {
        self.pending.len() + self.writing.len()
    }
}

impl CheckedOut {
    /// Writes until all is written or the writer takes no more.
    pub(in crate::driver) fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            match Pin::new(&mut self.writer).poll_write(context, &self.bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) if count == self.bytes.len() => self.bytes.clear(),
                Poll::Ready(Ok(count)) => self.bytes.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut self.writer).poll_flush(context)
    }
}
impl Replies for Outbox {
    fn push_decided(&mut self, id: u32, answer: &Answer, position: Position, at: GroupTime) {
        self.push_reply(|body| replies::push_decided(body, id, answer, position, at));
    }

    fn push_refused(&mut self, id: u32, refusal: Refusal, bound: u64) {
        self.push_reply(|body| replies::push_refused(body, id, refusal, bound));
    }

    fn push_merge_reply(&mut self, reply: MergeReply) {
        let frames = self.frames();
        let before = frames.len();
        wire::encode(&Frame::MergeReply(reply), frames);
        self.pending_replies += self.pending.len() - before;
    }
}
