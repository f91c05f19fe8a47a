//! The tasks that make, accept and read connections.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::admission::{Admitted, Pacer};
use super::connection::{Connection, Identity};
use super::handshake::{Agreed, HandshakeError, Side, shake};
use super::refusals::Refusal;
use super::serve::Batch;
use super::settings::printable;
use super::shared::{Command, Inbound, Shared};
use crate::id::PeerName;
use crate::protocol::io::LinkEnd;
use crate::protocol::message::Lane;
use crate::transport::{Incoming, Listener, Unwanted, host};
use crate::wire::{self, BODY_SLACK_BYTES, Frame, WireError, kind};

/// First pause before a failed connection is tried again; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause, unless the heartbeat is shorter.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the lanes of the protocol to every member connected, for ever, as members come and go.
pub(super) async fn dial_members(shared: Arc<Shared>) {
    dial_lanes(shared, &[Lane::Control, Lane::Data]).await;
}

/// Keeps a lane for calls to every member connected, on the callers' runtime.
pub(super) async fn dial_for_calls(shared: Arc<Shared>) {
    dial_lanes(shared, &[Lane::Calls]).await;
}

async fn dial_lanes(shared: Arc<Shared>, lanes: &'static [Lane]) {
    let mut changes = shared.roster.watch();
    let mut dialed = BTreeSet::new();
    let mut dialing = JoinSet::new();
    loop {
        for to in shared.roster.dialed() {
            if dialed.insert(to.clone()) {
                let shared = shared.clone();
                dialing.spawn(async move {
                    let mut dialed = JoinSet::new();
                    for lane in lanes {
                        let (shared, to) = (shared.clone(), to.clone());
                        dialed.spawn(async move { dial(&shared, &to, *lane).await });
                    }
                    dialed.join_all().await;
                    to
                });
            }
        }
        tokio::select! {
            Some(ended) = dialing.join_next() => {
                if let Ok(to) = ended {
                    dialed.remove(&to);
                }
            }
            Ok(()) = changes.changed() => {}
        }
    }
}

/// Finds out who is at these addresses, as long as nobody is connected. Whose names are known then
/// are dialed by them.
pub(super) async fn introduce(shared: Arc<Shared>, contacts: Vec<String>) {
    let longest = shared.group.heartbeat.min(LONGEST_PAUSE);
    let mut pause = FIRST_PAUSE.min(longest);
    loop {
        let is_alone = shared.registry.up().is_empty();
        for address in contacts.iter().filter(|_| is_alone) {
            match connect(&shared, address, None, Lane::Control).await {
                Ok(agreed) => {
                    shared.refusals.forget(address);
                    shared.roster.introduce(&agreed.hello.peer, address);
                }
                Err(error) => {
                    let error = Chain(&*error);
                    tracing::debug!(address, %error, "not introduced");
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Keeps one lane to one peer connected, at one of its addresses, for as long as it is to be
/// dialed.
async fn dial(shared: &Arc<Shared>, to: &PeerName, lane: Lane) {
    let longest = shared.group.heartbeat.min(LONGEST_PAUSE);
    let mut pause = FIRST_PAUSE.min(longest);
    let mut attempts = 0;
    while shared.roster.dialed().contains(to) {
        let addresses = shared.roster.addresses(to);
        let Some(address) = addresses.get(attempts % addresses.len().max(1)) else {
            sleep(longest).await;
            continue;
        };
        attempts += 1;
        if lane == Lane::Calls {
            until_linked(shared, to).await;
        }
        match connect(shared, address, Some(to), lane).await {
            Ok(agreed) => {
                pause = FIRST_PAUSE.min(longest);
                // Here it was found: here it is looked for first when it is lost.
                attempts -= 1;
                // In a task of its own: should the embedder's model panic in it, the link is made
                // anew. It ends with this one.
                let mut attending = JoinSet::new();
                attending.spawn(attend(shared.clone(), agreed, true));
                let _ = attending.join_next().await;
            }
            Err(error) => {
                let error = Chain(&*error);
                tracing::debug!(%to, ?lane, address, %error, "not connected");
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Waits until a peer is linked that has a lane for calls. Until then, and to one of an older version
/// for ever, calls take the data lane.
async fn until_linked(shared: &Arc<Shared>, to: &PeerName) {
    let mut changes = shared.registry.watch();
    while !shared.registry.takes_calls(to) && shared.roster.dialed().contains(to) {
        // The sender lives as long as what is shared.
        let _ = changes.changed().await;
    }
}

async fn connect(
    shared: &Arc<Shared>,
    address: &str,
    to: Option<&PeerName>,
    lane: Lane,
) -> Result<Agreed, Box<dyn std::error::Error + Send + Sync>> {
    if is_plaintext_refused(shared, address).await {
        return Err("not a loopback address, and plain text off loopback is refused".into());
    }
    let deadline = Instant::now() + shared.handshake_timeout();
    let connecting = timeout_at(deadline, shared.transport.connect(address, to)).await?;
    let keep = |error: &io::Error| {
        if Unwanted::of(error).is_some() {
            shared.note_unheard(to);
        }
        let peer = to.map_or_else(|| address.to_owned(), PeerName::to_string);
        keep_unwanted(shared, peer, address, error, Shared::refused);
    };
    let stream = connecting.inspect_err(keep)?;
    let side = Side::Dialer { to: to.cloned(), lane };
    let shaken = shake(shared, stream, side, deadline).await;
    if let Err(HandshakeError::Io(error)) = &shaken {
        // Over TLS the other end may be heard to refuse this one only now.
        keep(error);
    }
    Ok(shaken?)
}

/// Notes that a transport does not want whom it has found at an address, or the other way round.
fn keep_unwanted(
    shared: &Shared,
    peer: String,
    address: &str,
    error: &io::Error,
    keep: fn(&Shared, Refusal) -> bool,
) {
    let Some(unwanted) = Unwanted::of(error) else { return };
    let Unwanted { field, ours, theirs, by, .. } = unwanted;
    let refusal = Refusal {
        peer: peer.clone(),
        address: address.to_owned(),
        field: (*field).to_owned(),
        ours: printable(ours),
        theirs: printable(theirs),
        at_ms: shared.clock.wall_ms(),
        by: *by,
    };
    if keep(shared, refusal) {
        let error = printable(&Chain(error).to_string());
        tracing::warn!(peer, address, error, "not connected");
    }
}

/// Whether an address that was learned from others must not be dialed. Names are looked at when they
/// are listened on, at the peer that does.
pub(super) async fn is_plaintext_refused(shared: &Shared, address: &str) -> bool {
    let is_literal = address.parse::<std::net::SocketAddr>().is_ok();
    is_literal
        && !shared.is_plaintext_allowed
        && !shared.transport.is_private(address).await.unwrap_or(true)
}

/// Accepts connections, for ever, and attends to those that are admitted.
pub(super) async fn accept(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    let mut connections = JoinSet::new();
    let mut turned_away = Pacer::default();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            incoming = listener.accept() => match incoming {
                Ok(incoming) => match shared.admission.admit(&incoming.peer_address) {
                    Ok(admitted) => {
                        connections.spawn(welcome(shared.clone(), incoming, admitted));
                    }
                    Err(full) => {
                        if let Some(count) = turned_away.count(shared.clock.coarse()) {
                            let address = incoming.peer_address;
                            tracing::warn!(address, count, %full, "closed new connections");
                        }
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(FIRST_PAUSE).await;
                }
            },
        }
    }
}

async fn welcome(shared: Arc<Shared>, incoming: Incoming, mut admitted: Admitted) {
    let address = incoming.peer_address;
    let deadline = Instant::now() + shared.handshake_timeout();
    let stream = match timeout_at(deadline, incoming.open).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let peer = host(&address).to_owned();
            keep_unwanted(&shared, peer, &address, &error, Shared::refused_stranger);
            let error = Chain(&error);
            return tracing::debug!(address, %error, "not opened");
        }
        Err(_) => return tracing::debug!(address, "not opened in time"),
    };
    match shake(&shared, stream, Side::Acceptor, deadline).await {
        Ok(agreed) => {
            admitted.settle();
            attend(shared, agreed, false).await;
        }
        Err(error) => {
            let error = Chain(&error);
            tracing::debug!(address, %error, "connection not accepted");
        }
    }
}

/// Reads an open connection until it ends.
async fn attend(shared: Arc<Shared>, agreed: Agreed, is_dialed: bool) {
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
    batch: Batch,
    wakers: Vec<Waker>,
}

impl Attendant<'_> {
    async fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        let max_body = self.shared.config.bounds.max_piece_bytes + BODY_SLACK_BYTES;
        loop {
            while let Some((kind, body)) = wire::split(&mut self.buffer, max_body)? {
                self.frame(kind, body).await?;
            }
            // What was appended above is written here, all at once.
            self.connection.read(&mut *self.reader, &mut self.buffer).await?;
            self.connection.hear(self.shared.clock.coarse());
        }
    }

    async fn frame(&mut self, kind: u8, body: Bytes) -> Result<(), Ended> {
        let lane = self.connection.identity.lane;
        match (kind, lane) {
            (kind::CALLS, Lane::Data | Lane::Calls) => {
                self.connection.serve(self.shared, &body, &mut self.batch)?;
            }
            (kind::REPLIES, Lane::Data | Lane::Calls) => {
                let settled = self.connection.settle(&body, &mut self.wakers);
                self.wakers.drain(..).for_each(Waker::wake);
                settled?;
            }
            (kind::MESSAGE, _) => self.message(kind, body).await?,
            (kind::MERGE, Lane::Data) => {
                if let Frame::Merge(merge) = wire::decode(kind, body)? {
                    self.connection.serve_merge(self.shared, &merge);
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

/// An error with its causes, for logs.
struct Chain<'a>(&'a (dyn std::error::Error + 'a));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
