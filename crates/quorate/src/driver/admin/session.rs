//! One open connection of the admin lane: an ask, its answer, the next one.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::admin::{Access, Answer, Refused};
use crate::base::event::Event;
use crate::base::id::PeerName;
use crate::base::telling::Chain;
use crate::base::told::{printable, shortened};
use crate::driver::admin::desk::Desk;
use crate::driver::admin::role::Role;
use crate::driver::links::handshake::Agreed;
use crate::driver::report::journal::ADMIN;
use crate::transport::Stream;
use crate::wire::{self, Frame, HEADER_BYTES, MAX_ASK_BYTES, WireError};

/// The time after which a connection over which nothing was asked is closed.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// The room for one read.
const READ_BYTES: usize = 4 * 1024;
/// Most characters of what was done that are told.
const MAX_WHAT: usize = 200;

/// The reason why a connection has ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("connection lost")]
    Io(#[from] io::Error),
    #[error("nothing was asked for {IDLE:?}")]
    Idle,
    #[error("frame of kind {kind} on the admin lane")]
    Misplaced { kind: u8 },
    #[error("an answer was not taken")]
    NotTaken,
    #[error("whoever asks does not keep to the format")]
    Wire(#[from] WireError),
}

/// Answers over an open connection until it ends.
pub(in crate::driver) async fn serve(desk: Desk, agreed: Agreed, role: Role) {
    let Agreed { stream, buffer, hello, .. } = agreed;
    let peer = desk.shared().name().clone();
    let session = Session { desk, stream, buffer, by: hello.peer, role };
    let by = session.by.clone();
    let address = session.stream.peer_address.clone();
    tracing::debug!(target: ADMIN, %peer, %by, %address, %role, "an admin connection is open");
    let Err(error) = session.run().await;
    let error = Chain(&error);
    tracing::debug!(target: ADMIN, %peer, %by, %address, %error, "an admin connection has ended");
}

/// The end of an act that nobody waited for until it ended.
fn given_up() -> Refused {
    let detail = "nobody waits for it any more: what the primary has been asked for may be done";
    Refused::new("given_up", detail).unknown()
}

struct Session {
    desk: Desk,
    stream: Stream,
    buffer: BytesMut,
    /// Whoever asks.
    by: PeerName,
    role: Role,
}

impl Session {
    async fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        loop {
            let asked = timeout(IDLE, self.receive()).await;
            let document = asked.map_err(|_| Ended::Idle)??;
            let answer = self.answer(&document).await?;
            self.send(answer.write()).await?;
        }
    }

    async fn receive(&mut self) -> Result<Bytes, Ended> {
        loop {
            if let Some((kind, body)) = wire::split(&mut self.buffer, MAX_ASK_BYTES)? {
                return match (kind, wire::decode(kind, body)?) {
                    (_, Frame::AdminAsk(document)) => Ok(document),
                    (kind, _) => Err(Ended::Misplaced { kind }),
                };
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.reader.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    async fn send(&mut self, document: Bytes) -> Result<(), Ended> {
        let mut bytes = BytesMut::new();
        wire::encode(&Frame::AdminAnswer(document), &mut bytes);
        let writer = &mut self.stream.writer;
        let sending = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        let patience = self.desk.shared().group.io_timeout;
        let sent = timeout(patience, sending).await;
        Ok(sent.map_err(|_| Ended::NotTaken)??)
    }

    /// Answers a document, as long as somebody waits for that: an act that the primary has not been
    /// asked for by then is not done later, when nobody expects it any more.
    async fn answer(&mut self, document: &[u8]) -> Result<Answer, Ended> {
        let (understood, access) = match self.desk.understand(document) {
            Ok(understood) => understood,
            Err(refused) => return Ok(Err(refused).into()),
        };
        if !self.role.may(&access) {
            let by = &self.by;
            let detail =
                format!("{by} may look, and change nothing: that takes a certificate of an admin");
            return Ok(Err(Refused::new("not_allowed", detail)).into());
        }
        // Not borrowed from what reads meanwhile.
        let desk = self.desk.clone();
        let carried_out = desk.carry_out(understood);
        let what = match &access {
            Access::Act { what } => Some(shortened(&printable(what), MAX_WHAT)),
            Access::Call | Access::Look => None,
        };
        if let Some(what) = &what {
            self.tell(what);
        }
        let result = tokio::select! {
            result = carried_out => result,
            ended = self.ends() => {
                if let Some(what) = &what {
                    self.tell_end(what, &Err(given_up()));
                }
                return Err(ended);
            }
        };
        if let Some(what) = &what {
            self.tell_end(what, &result);
        }
        Ok(match access {
            // Whatever is not known of it, nothing was changed.
            Access::Look => result.map_err(Refused::without_effect),
            _ => result,
        }
        .into())
    }

    /// Waits until the other end has gone.
    async fn ends(&mut self) -> Ended {
        while self.buffer.len() < HEADER_BYTES + MAX_ASK_BYTES {
            if let Err(ended) = self.read().await {
                return ended;
            }
        }
        // As much as is taken of one who does not wait for answers.
        std::future::pending().await
    }

    /// Tells what is about to be done, before it may end this peer.
    fn tell(&self, what: &str) {
        let shared = self.desk.shared();
        let peer = shared.name();
        let group = &shared.group.group;
        let address = &self.stream.peer_address;
        let by = &self.by;
        tracing::warn!(target: ADMIN, %peer, %group, %by, %address, %what, "is told what to do");
        shared.tell(Event::AdminActed { by: by.clone(), what: what.to_owned() });
    }

    fn tell_end(&self, what: &str, result: &Result<serde_json::Value, Refused>) {
        let peer = self.desk.shared().name();
        let by = &self.by;
        match result {
            Ok(_) => tracing::info!(target: ADMIN, %peer, %by, %what, "has done what it was told"),
            Err(Refused { error, detail, .. }) => tracing::warn!(
                target: ADMIN, %peer, %by, %what, %error,
                "has not done what it was told: {detail}"
            ),
        }
    }
}
