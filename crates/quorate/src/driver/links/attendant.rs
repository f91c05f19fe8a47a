//! The task that reads one open connection: it passes on what comes, and answers what it can.
//!
//! It reads no more than it can put somewhere: nothing from a peer whose replies are not taken,
//! from one whose messages the event loop is behind with, or from a guest that says too much.

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::base::id::PeerName;
use crate::base::telling::Chain;
use crate::driver::calls::forward::NotSettled;
use crate::driver::links::connection::{Connection, Counted, Identity};
use crate::driver::links::handshake::Agreed;
use crate::driver::links::pace::Pace;
use crate::driver::links::reach::{LinkError, LinkErrorReason};
use crate::driver::report::journal::{LINKS, plain};
use crate::driver::report::tally::Closed;
use crate::driver::shared::{Command, Shared};
use crate::protocol::io::LinkEnd;
use crate::protocol::message::Lane;
use crate::session::serving::Batch;
use crate::wire::{self, BODY_SLACK_BYTES, Frame, WireError, kind};

/// Reads an open connection until it ends.
pub(in crate::driver) async fn attend(shared: Arc<Shared>, agreed: Agreed, is_dialed: bool) {
    let Agreed { stream, buffer, hello, reservation, .. } = agreed;
    shared.compare_rolling(&hello);
    shared.roster.meet_across(&hello);
    // Of what led to a state only another site asks.
    let is_kin = shared.config.site.is_some() && shared.standing().is_kin_of(&hello.standing);
    if is_dialed || stream.proof.is_some() {
        shared.roster.meet(&hello.peer, &stream.peer_address);
    }
    let identity = Identity {
        peer: hello.peer,
        end: LinkEnd {
            incarnation: hello.incarnation,
            id: hello.id,
            address: hello.address,
            kind: hello.kind,
            version: hello.versions.1.min(shared.version),
            succession: hello.succession,
            site: hello.site,
            is_kin,
        },
        lane: hello.lane,
        is_dialed,
        address: stream.peer_address,
        protection: stream.protection,
        certificate: stream.proof.map(|proof| proof.certificate().clone()),
    };
    let heard = shared.registry.heard(&identity.peer);
    let bounds = &shared.config.bounds;
    let budget = &shared.budget;
    let buffered = &shared.buffered;
    let connection = Connection::new(identity, stream.writer, heard, bounds, budget, buffered);
    let connection = Arc::new(connection);
    let now = shared.clock.time();
    let registry = &shared.registry;
    let open = match reservation {
        Some(reservation) => Some(registry.open(reservation, connection.clone(), now)),
        None => registry.open_for_calls(connection.clone()),
    };
    let Some(_open) = open else {
        let about = &connection.identity.peer;
        return tracing::debug!(
            target: LINKS, peer = %shared.name(), %about,
            "a connection for calls was closed at once: its link has gone"
        );
    };
    let identity = &connection.identity;
    let about = &identity.peer;
    let lane = identity.lane;
    let address = &identity.address;
    shared.reach.clear(about);
    let attendant = Attendant {
        shared: &shared,
        connection: &connection,
        reader: stream.reader,
        buffer,
        frame: 1,
        pace: None,
        batch: Batch::default(),
        wakers: Vec::new(),
    };
    let Err(error) = attendant.run().await;
    if let Some(reason) = error.reason() {
        shared.tally.note_closed(reason);
    }
    // What was closed here has a reason of its own.
    if lane != Lane::Calls && !connection.lock().outbox.is_closed() {
        shared.note_lost(about, error.as_link_error(), Chain(&error).to_string());
    }
    tracing::debug!(
        target: LINKS,
        peer = %shared.name(),
        %about,
        %lane,
        address,
        error = %plain(Chain(&error)),
        "a connection has ended"
    );
}

/// The reason why an open connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("max_buffered_bytes wait for guests, and for this one more than its part")]
    Crowded,
    #[error("connection lost")]
    Io(#[from] io::Error),
    #[error("frame of kind {kind} on the {lane:?} lane")]
    Misplaced { kind: u8, lane: Lane },
    #[error("the peer has refused this connection")]
    Refused,
    #[error("the peer has said that it ends")]
    Stopped,
    #[error("this peer is shut down")]
    ShutDown,
    #[error("a reply to what was not asked")]
    Unasked,
    #[error("the peer does not keep to the format")]
    Wire(#[from] WireError),
}

impl Ended {
    /// The reason as that of a link.
    fn as_link_error(&self) -> LinkErrorReason {
        match self {
            Self::Io(_) => LinkErrorReason::Closed,
            Self::Refused => LinkErrorReason::Refused,
            Self::Stopped => LinkErrorReason::Stopped,
            Self::ShutDown => LinkErrorReason::Ended,
            Self::Crowded | Self::Misplaced { .. } | Self::Unasked | Self::Wire(_) => {
                LinkErrorReason::Protocol
            }
        }
    }

    /// The reason as it is counted.
    fn reason(&self) -> Option<Closed> {
        match self {
            Self::Crowded => Some(Closed::Crowded),
            Self::Misplaced { .. } | Self::Unasked | Self::Wire(_) => Some(Closed::Garbled),
            Self::Io(_) | Self::Refused | Self::Stopped | Self::ShutDown => None,
        }
    }
}

impl Shared {
    /// Notes why a connection to a peer is open no more.
    pub(in crate::driver) fn note_lost(
        &self,
        peer: &PeerName,
        reason: LinkErrorReason,
        detail: String,
    ) {
        // Of clients, which come and go, nothing is kept.
        if self.roster.is_known(peer.as_str()) {
            self.reach.note(peer, LinkError::new(reason, detail, self.clock.wall_ms()));
        }
    }
}

impl From<NotSettled> for Ended {
    fn from(error: NotSettled) -> Self {
        match error {
            NotSettled::Unasked => Self::Unasked,
            NotSettled::Wire(error) => Self::Wire(error),
        }
    }
}

struct Attendant<'a> {
    shared: &'a Shared,
    connection: &'a Arc<Connection>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// The number of the next frame.
    frame: u64,
    /// Of a guest.
    pace: Option<Pace>,
    batch: Batch,
    wakers: Vec<Waker>,
}

impl Attendant<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        let lane = self.connection.identity.lane;
        let max_body = max_body(self.shared.config.bounds.max_piece_bytes, lane);
        loop {
            while let Some((kind, body)) = wire::split(&mut self.buffer, max_body)? {
                self.frame += 1;
                self.take(kind, body).await?;
            }
            if self.is_guest() {
                // What is taken at once is not held.
                self.connection.flush();
                self.weigh()?;
            }
            // What was appended above is written here, all at once.
            self.connection.read(&mut *self.reader, &mut self.buffer, self.frame).await?;
            self.connection.hear(self.shared.clock.coarse());
        }
    }

    async fn take(&mut self, kind: u8, body: Bytes) -> Result<(), Ended> {
        let lane = self.connection.identity.lane;
        match (kind, lane) {
            (kind::CALLS, Lane::Data | Lane::Calls) => self.serve(body).await?,
            (kind::REPLIES, Lane::Data | Lane::Calls) => {
                let settled = self.connection.settle(&body, &mut self.wakers);
                self.wakers.drain(..).for_each(Waker::wake);
                settled?;
            }
            (kind::MESSAGE, _) => self.message(kind, body).await?,
            (kind::MERGE, Lane::Data) => {
                if let Frame::Merge(merge) = wire::decode(kind, body)? {
                    self.connection.serve_merge(self.shared, &merge);
                    self.wait_for_room().await?;
                }
            }
            (kind::MERGE_REPLY, Lane::Data) => self.merge_reply(kind, body)?,
            (kind::REFUSE, _) => return Err(self.refused(kind, body)),
            (kind, lane) => return Err(Ended::Misplaced { kind, lane }),
        }
        Ok(())
    }

    /// Takes the reason why the other end closes an open connection: it ends, or has found
    /// something to refuse.
    fn refused(&self, kind: u8, body: Bytes) -> Ended {
        match wire::decode(kind, body) {
            Ok(Frame::Refuse(refuse)) if refuse.is_goodbye() => {
                let identity = &self.connection.identity;
                let registry = &self.shared.registry;
                registry.note_goodbye(&identity.peer, identity.end.incarnation);
                // Whatever the state machine had to say of it is over.
                self.shared.refusals.forget(identity.peer.as_str());
                Ended::Stopped
            }
            Ok(_) => Ended::Refused,
            Err(error) => error.into(),
        }
    }

    /// Decides the calls of a frame, as far as their replies have room.
    async fn serve(&mut self, mut calls: Bytes) -> Result<(), Ended> {
        while !calls.is_empty() {
            if !self.connection.serve(self.shared, &mut calls, &mut self.batch)? {
                self.wait_for_room().await?;
            }
        }
        Ok(())
    }

    /// Reads nothing more while the other end does not take its replies.
    ///
    /// Those that wait for a majority count as well, but not on the data lane of a member: its
    /// confirmations, which make up the majority, come behind its calls there.
    async fn wait_for_room(&mut self) -> Result<(), Ended> {
        if self.connection.has_room(Counted::All) {
            return Ok(());
        }
        let identity = &self.connection.identity;
        let is_member = self.shared.roster.is_member(&identity.peer);
        let counted = match identity.lane {
            Lane::Data if is_member => Counted::Ready,
            _ => Counted::All,
        };
        if self.connection.has_room(counted) {
            return Ok(());
        }
        // Most readers are only a moment behind: they have taken it when it has been written.
        self.connection.flush();
        if self.connection.has_room(counted) {
            return Ok(());
        }
        self.weigh()?;
        self.shared.tally.reads_paused.add(1);
        Ok(self.connection.wait_for_room(counted).await?)
    }

    /// Looks whether a guest holds too much of what all of them may.
    fn weigh(&self) -> Result<(), Ended> {
        let may_hold = self.connection.may_hold(self.buffer.len(), &self.shared.roster);
        if may_hold { Ok(()) } else { Err(Ended::Crowded) }
    }

    fn is_guest(&self) -> bool {
        self.connection.is_guest(&self.shared.roster)
    }

    /// The time for which nothing is read after a message of so many bytes.
    fn pause(&mut self, bytes: usize) -> Duration {
        if !self.is_guest() {
            self.pace = None;
            return Duration::ZERO;
        }
        let now = self.shared.clock.coarse();
        let identity = &self.connection.identity;
        let heartbeat = self.shared.group.heartbeat;
        let kind = identity.end.kind;
        let pace = self.pace.get_or_insert_with(|| Pace::new(heartbeat, kind, identity.lane, now));
        pace.count(bytes, now)
    }

    /// Passes a message on; waits while the event loop has too many, and reads nothing meanwhile.
    async fn message(&mut self, kind: u8, body: Bytes) -> Result<(), Ended> {
        let bytes = body.len();
        let Frame::Message(message) = wire::decode(kind, body)? else { return Ok(()) };
        let identity = &self.connection.identity;
        if message.lane() != identity.lane {
            return Err(Ended::Misplaced { kind, lane: identity.lane });
        }
        let inbox = self.shared.inboxes.of(identity.lane);
        let from = identity.start();
        inbox.send(from, message, bytes).await.map_err(|_| Ended::ShutDown)?;
        let pause = self.pause(bytes);
        if !pause.is_zero() {
            self.shared.tally.reads_paused.add(1);
            self.connection.pause(pause).await?;
        }
        Ok(())
    }

    fn merge_reply(&mut self, kind: u8, body: Bytes) -> Result<(), Ended> {
        let Frame::MergeReply(reply) = wire::decode(kind, body)? else { return Ok(()) };
        if !self.connection.is_merge_reply_due() {
            return Err(Ended::Unasked);
        }
        let merged = Command::Merged { from: self.connection.identity.start(), reply };
        // If the loop is too busy the merge is sent again, and answered again.
        let _ = self.shared.commands.try_send(merged);
        Ok(())
    }
}

/// Longest body of a frame. What is said on the control lane is short: the longest is a change of
/// the policy.
fn max_body(max_piece_bytes: usize, lane: Lane) -> usize {
    match lane {
        Lane::Control => BODY_SLACK_BYTES,
        Lane::Data | Lane::Calls | Lane::Admin => max_piece_bytes + BODY_SLACK_BYTES,
    }
}
