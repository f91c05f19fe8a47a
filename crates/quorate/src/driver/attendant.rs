//! The task that reads one open connection: it passes on what comes, and answers what it can.
//!
//! It reads no more than it can put somewhere: nothing from a peer whose replies are not taken, or
//! whose messages the event loop is behind with.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::connection::{Connection, Counted, Identity};
use super::handshake::Agreed;
use super::links::Chain;
use super::serve::Batch;
use super::shared::{Command, Inbound, Shared};
use crate::protocol::io::LinkEnd;
use crate::protocol::message::Lane;
use crate::wire::{self, BODY_SLACK_BYTES, Frame, WireError, kind};

/// Reads an open connection until it ends.
pub(super) async fn attend(shared: Arc<Shared>, agreed: Agreed, is_dialed: bool) {
    let Agreed { stream, buffer, hello, reservation } = agreed;
    shared.compare_rolling(&hello);
    let identity = Identity {
        peer: hello.peer,
        end: LinkEnd {
            incarnation: hello.incarnation,
            id: hello.id,
            address: hello.address,
            kind: hello.kind,
            version: hello.versions.1.min(shared.version),
            has_succeeded: hello.has_succeeded,
        },
        lane: hello.lane,
        is_dialed,
        address: stream.peer_address,
        protection: stream.protection,
        certificate: stream.proof.map(|proof| proof.certificate().clone()),
    };
    let heard = shared.registry.heard(&identity.peer);
    let bounds = &shared.config.bounds;
    let connection = Connection::new(identity, stream.writer, heard, bounds, &shared.budget);
    let connection = Arc::new(connection);
    let now = shared.clock.time();
    let _open = shared.registry.open(reservation, connection.clone(), now);
    let attendant = Attendant {
        shared: &shared,
        connection: &connection,
        reader: stream.reader,
        buffer,
        frame: 1,
        batch: Batch::default(),
        wakers: Vec::new(),
    };
    let Err(error) = attendant.run().await;
    let identity = &connection.identity;
    let (peer, lane, address) = (&identity.peer, identity.lane, &identity.address);
    let error = Chain(&error);
    tracing::debug!(%peer, ?lane, address, %error, "connection ended");
}

/// Why an open connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("connection lost")]
    Io(#[from] io::Error),
    #[error("the peer does not keep to the format")]
    Wire(#[from] WireError),
    #[error("frame of kind {kind} on the {lane:?} lane")]
    Misplaced { kind: u8, lane: Lane },
    #[error("the peer has refused this connection")]
    Refused,
    #[error("the peer has said that it ends")]
    Stopped,
    #[error("this peer is shut down")]
    ShutDown,
}

struct Attendant<'a> {
    shared: &'a Shared,
    connection: &'a Arc<Connection>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// The number of the next frame.
    frame: u64,
    batch: Batch,
    wakers: Vec<Waker>,
}

impl Attendant<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        let max_body = self.shared.config.bounds.max_piece_bytes + BODY_SLACK_BYTES;
        loop {
            while let Some((kind, body)) = wire::split(&mut self.buffer, max_body)? {
                self.frame += 1;
                self.take(kind, body).await?;
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
            (kind::MERGE_REPLY, Lane::Data) => {
                if let Frame::MergeReply(reply) = wire::decode(kind, body)? {
                    let identity = &self.connection.identity;
                    let (peer, incarnation) = (identity.peer.clone(), identity.end.incarnation);
                    let merged = Command::Merged { peer, incarnation, reply };
                    // If the loop is too busy the merge is sent again, and answered again.
                    let _ = self.shared.commands.try_send(merged);
                }
            }
            (kind::REFUSE, _) => return Err(self.refused(kind, body)),
            (kind, lane) => return Err(Ended::Misplaced { kind, lane }),
        }
        Ok(())
    }

    /// Why the other end closes an open connection: it ends, or has found something to refuse.
    fn refused(&self, kind: u8, body: Bytes) -> Ended {
        match wire::decode(kind, body) {
            Ok(Frame::Refuse(refuse)) if refuse.is_goodbye() => {
                let identity = &self.connection.identity;
                let registry = &self.shared.registry;
                registry.note_goodbye(&identity.peer, identity.end.incarnation);
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
        let mut counted = Counted::All;
        if self.connection.has_room(counted) {
            return Ok(());
        }
        let identity = &self.connection.identity;
        if identity.lane == Lane::Data && self.shared.roster.members().contains(&identity.peer) {
            counted = Counted::Ready;
        }
        // Most readers are only a moment behind: they have taken it when it has been written.
        self.connection.flush();
        if self.connection.has_room(counted) {
            return Ok(());
        }
        self.shared.tally.reads_paused.add(1);
        Ok(self.connection.wait_for_room(counted).await?)
    }

    /// Passes a message on; waits while the event loop has too many, and reads nothing meanwhile.
    async fn message(&mut self, kind: u8, body: Bytes) -> Result<(), Ended> {
        let Frame::Message(message) = wire::decode(kind, body)? else { return Ok(()) };
        let identity = &self.connection.identity;
        if message.lane() != identity.lane {
            return Err(Ended::Misplaced { kind, lane: identity.lane });
        }
        let inbox = match identity.lane {
            Lane::Control => &self.shared.inboxes.control,
            Lane::Data | Lane::Calls => &self.shared.inboxes.data,
        };
        let (peer, incarnation) = (identity.peer.clone(), identity.end.incarnation);
        let inbound = Inbound { peer, incarnation, message };
        inbox.send(inbound).await.map_err(|_| Ended::ShutDown)
    }
}
