//! The client's side of the admin lane.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::admin::answer::Answer;
use crate::admin::ask::{Ask, MAX_WAIT};
use crate::admin::error::AdminError;
use crate::base::id::{Incarnation, MemberId, PeerKind, PeerName, is_name};
use crate::base::told::printable;
use crate::protocol::Standing;
use crate::protocol::io::{ADMIN_VERSION, Succession};
use crate::protocol::message::Lane;
use crate::transport::{Stream, Transport, is_peer};
use crate::wire::{
    self, Calls, Frame, Hello, MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_HELLO_BYTES, PROTOCOL_VERSION,
    Refuse, kind,
};

/// The time that a connection and its handshake may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// The time for which an answer is waited for, unless told otherwise: beyond that in which a peer
/// ends what was asked for by default.
const ANSWERING: Duration = Duration::from_secs(90);
/// The room for one read.
const READ_BYTES: usize = 16 * 1024;

/// A connection over which a peer is asked, one thing at a time.
///
/// A peer closes it when nothing was asked for five minutes, and has eight at most.
///
/// # Examples
///
/// See the [module](crate::admin#examples).
pub struct Client {
    stream: Stream,
    received: BytesMut,
    peer: PeerName,
    group: String,
    version: u32,
    answering: Duration,
    /// True while an ask has no answer: what comes next would be taken for that of another.
    is_waiting: bool,
}

impl Client {
    /// Connects to the peer at `address`, as `as_`: a name for the peer's log, which over TLS the
    /// certificate has to prove. `group` is the group that is meant; empty, it is whichever the
    /// peer is of. Ends within 10 s.
    ///
    /// # Errors
    ///
    /// If nobody is there, or does not let this caller ask; see [`AdminError`]. Nothing was asked.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has asked for nothing.
    pub async fn connect(
        transport: Arc<dyn Transport>,
        address: &str,
        as_: &str,
        group: &str,
    ) -> Result<Self, AdminError> {
        let no_name = |what, name: &str| AdminError::Name { what, name: name.to_owned() };
        if !is_name(as_) {
            return Err(no_name("the name to ask as,", as_));
        }
        if !(group.is_empty() || is_name(group)) {
            return Err(no_name("the group", group));
        }
        let hello = hello(as_, group);
        let connecting = async {
            let stream = transport
                .connect(address, None)
                .await
                .map_err(|source| AdminError::Connect { address: address.to_owned(), source })?;
            Greeting { stream, received: BytesMut::new(), address }.run(hello).await
        };
        let late = || AdminError::Connect {
            address: address.to_owned(),
            source: io::ErrorKind::TimedOut.into(),
        };
        timeout(CONNECTING, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sets how long an answer is waited for. Default 90 s, for a peer ends what it was asked for
    /// within twice the I/O timeout, which is 30 s by default. While events are waited for that
    /// comes on top.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.answering = timeout;
        self
    }

    /// The peer that is asked.
    pub fn peer(&self) -> &PeerName {
        &self.peer
    }

    /// Its group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The newest version of the protocol that both ends speak.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the peer refuses, or there is no answer; see [`AdminError`], and
    /// [`AdminError::is_outcome_unknown`] for the effect.
    ///
    /// # Cancel safety
    ///
    /// What was asked for may be carried out when the future is dropped, and the connection is of
    /// no use any more.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Value, AdminError> {
        self.ask_json(&serde_json::json!(ask)).await
    }

    /// Asks by a document, as [`Client::ask`] does: for what is no peer's own, like
    /// `{"ask":"limits.get"}`.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::ask`].
    pub async fn ask_json(&mut self, document: &Value) -> Result<Value, AdminError> {
        let body = Bytes::from(document.to_string());
        let bytes = body.len();
        if bytes > MAX_ASK_BYTES {
            return Err(AdminError::TooLong { bytes, max: MAX_ASK_BYTES });
        }
        if std::mem::replace(&mut self.is_waiting, true) {
            return Err(AdminError::Ended);
        }
        let waits = document.get("wait_ms").and_then(Value::as_u64).unwrap_or(0);
        let waited = self.answering + Duration::from_millis(waits).min(MAX_WAIT);
        let answered = timeout(waited, self.exchange(body)).await;
        let body = answered.map_err(|_| AdminError::TimedOut { waited })??;
        let answer = Answer::read(&body).ok_or(AdminError::Garbled)?;
        self.is_waiting = false;
        Ok(answer?)
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Bytes, AdminError> {
        let lost = |source| AdminError::Lost { source };
        send(&mut self.stream, &[Frame::AdminAsk(body)]).await.map_err(lost)?;
        let received = receive(&mut self.stream, &mut self.received, MAX_ANSWER_BYTES).await;
        match received.map_err(lost)? {
            (kind::ADMIN_ANSWER, body) => Ok(body),
            _ => Err(AdminError::Garbled),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A connection whose handshake is under way.
struct Greeting<'a> {
    stream: Stream,
    received: BytesMut,
    address: &'a str,
}

impl Greeting<'_> {
    async fn run(mut self, own: Hello) -> Result<Client, AdminError> {
        let hello = match self.exchange(own).await {
            Ok(hello) => hello?,
            Err(error) => return Err(self.ended(error)),
        };
        let Self { stream, received, .. } = self;
        let version = hello.versions.1.min(PROTOCOL_VERSION);
        let Hello { peer, group, .. } = hello;
        let answering = ANSWERING;
        Ok(Client { stream, received, peer, group, version, answering, is_waiting: false })
    }

    /// Says who is here, hears who is there, and gives and gets the verdict.
    async fn exchange(&mut self, own: Hello) -> io::Result<Result<Hello, AdminError>> {
        send(&mut self.stream, &[Frame::Hello(own)]).await?;
        let hello = match self.receive().await? {
            Frame::Hello(hello) if hello.lane == Lane::Admin => hello,
            Frame::Refuse(refuse) => return Ok(Err(self.refused(refuse))),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if let Err(error) = self.check_proof(&hello) {
            return Ok(Err(error));
        }
        send(&mut self.stream, &[Frame::Calls(Calls::from_body(Bytes::new()))]).await?;
        match self.receive().await? {
            Frame::Calls(calls) if calls.as_bytes().is_empty() => Ok(Ok(hello)),
            Frame::Refuse(refuse) => Ok(Err(self.refused(refuse))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn receive(&mut self) -> io::Result<Frame> {
        let (kind, body) = receive(&mut self.stream, &mut self.received, MAX_HELLO_BYTES).await?;
        wire::decode(kind, body).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Holds the name that the peer gives against what the transport has proved of it.
    fn check_proof(&self, hello: &Hello) -> Result<(), AdminError> {
        let Some(proof) = &self.stream.proof else { return Ok(()) };
        if is_peer(&**proof, &hello.peer) {
            return Ok(());
        }
        Err(AdminError::NotThatPeer {
            address: self.address.to_owned(),
            peer: hello.peer.to_string(),
            certificate: printable(&proof.certificate().to_string()),
        })
    }

    fn refused(&self, refuse: Refuse) -> AdminError {
        let Refuse { field, ours, theirs } = refuse.told_here();
        AdminError::NotLetIn { address: self.address.to_owned(), field, ours, theirs }
    }

    /// What it means that a handshake has ended so.
    fn ended(&self, error: io::Error) -> AdminError {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, UnexpectedEof,
        };
        let address = self.address.to_owned();
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | InvalidData | UnexpectedEof
                if error.get_ref().is_none() =>
            {
                AdminError::TooOldOrNotQuorate { address }
            }
            _ => AdminError::Connect { address, source: error },
        }
    }
}

/// The first frame of whoever asks, who is no peer.
fn hello(as_: &str, group: &str) -> Hello {
    Hello {
        versions: (ADMIN_VERSION, PROTOCOL_VERSION),
        group: group.to_owned(),
        peer: as_.into(),
        incarnation: Incarnation(0),
        lane: Lane::Admin,
        to: None,
        settings: Vec::new(),
        fingerprint: 0,
        started_ms: 0,
        model_settings: Vec::new(),
        id: MemberId(0),
        succession: Succession::default(),
        address: String::new(),
        kind: PeerKind::Client,
        has_state: false,
        tls: String::new(),
        site: String::new(),
        site_epoch: 0,
        standing: Standing::default(),
    }
}

async fn send(stream: &mut Stream, frames: &[Frame]) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    for frame in frames {
        wire::encode(frame, &mut bytes);
    }
    stream.writer.write_all(&bytes).await?;
    stream.writer.flush().await
}

async fn receive(
    stream: &mut Stream,
    received: &mut BytesMut,
    max_body: usize,
) -> io::Result<(u8, Bytes)> {
    loop {
        let split = wire::split(received, max_body);
        if let Some(frame) = split.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))? {
            return Ok(frame);
        }
        received.reserve(READ_BYTES);
        if stream.reader.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
