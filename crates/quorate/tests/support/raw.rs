//! A peer that speaks the wire by hand, and does what no peer would.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate::internal::protocol::Standing;
use quorate::internal::protocol::message::{Brief, Lane, Message};
use quorate::internal::wire::replies::Outcome;
use quorate::internal::wire::{self, Frame, Hello, Refuse, calls, kind, replies};
use quorate::transport::{Stream, Transport};
use quorate::{
    Ballot, GroupConfig, GroupTime, Incarnation, Item, MemberId, PeerKind, PeerName, Position,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::LONG;

/// Frames of any peer fit into this.
const MAX_BODY: usize = 512 * 1024;

/// One connection of a peer that is none.
pub(crate) struct Raw {
    stream: Stream,
    received: BytesMut,
}

/// What a client of a group says of itself on a lane.
pub(crate) fn hello(group: &GroupConfig, name: &str, lane: Lane) -> Hello {
    Hello {
        versions: (wire::MIN_PROTOCOL_VERSION, wire::PROTOCOL_VERSION),
        group: group.group.clone(),
        peer: name.into(),
        incarnation: Incarnation(7),
        lane,
        to: None,
        settings: group.settings(),
        fingerprint: group.fingerprint(),
        started_ms: 1,
        model_settings: Vec::new(),
        id: MemberId(7),
        address: String::new(),
        kind: PeerKind::Client,
        has_state: false,
        succession: Default::default(),
        tls: String::new(),
        site: String::new(),
        site_epoch: 0,
        standing: Standing::default(),
    }
}

/// A group as a peer of these members has it, by default.
pub(crate) fn group(members: &[&str]) -> GroupConfig {
    let members = members.iter().copied().map(PeerName::from).collect();
    GroupConfig { members, ..GroupConfig::default() }
}

/// A heartbeat of a client.
pub(crate) fn ping(number: u64) -> Frame {
    Frame::Message(Message::Ping { number, brief: brief() })
}

/// What a client says of itself in it.
pub(crate) fn brief() -> Brief {
    Brief {
        acknowledged: None,
        ballot: Ballot::default(),
        is_primary: false,
        primary: None,
        position: Position::BLANK,
        group_id: None,
        is_member: false,
        suspects: None,
        reaches: Vec::new(),
        priority: 0,
        wall: GroupTime(0),
        uptime_ms: 0,
        has_quorum: false,
        members: Vec::new(),
        behind: None,
        is_stopping: false,
        has_failed: false,
        site_epoch: 0,
        is_confirmed: false,
    }
}

/// A frame of calls that add 1 to a key each.
pub(crate) fn calls(ids: std::ops::Range<u32>, key: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    let start = wire::begin(kind::CALLS, &mut bytes);
    for id in ids {
        let items = [Item { key: key.as_bytes(), args: [1, 0] }];
        calls::push(&mut bytes, id, &items).expect("one short key");
    }
    wire::finish(start, &mut bytes);
    bytes
}

/// A frame as bytes.
pub(crate) fn bytes(frame: &Frame) -> BytesMut {
    let mut bytes = BytesMut::new();
    wire::encode(frame, &mut bytes);
    bytes
}

impl Raw {
    /// A connection over which nothing has been said.
    pub(crate) async fn open(transport: &dyn Transport, address: &str) -> io::Result<Self> {
        let stream = transport.connect(address, None).await?;
        Ok(Self { stream, received: BytesMut::new() })
    }

    /// A connection whose handshake is done.
    pub(crate) async fn connect(
        transport: &dyn Transport,
        address: &str,
        hello: Hello,
    ) -> io::Result<Self> {
        let stream = transport.connect(address, None).await?;
        Self::over(stream, hello).await
    }

    /// The same over a stream that is open.
    pub(crate) async fn over(stream: Stream, hello: Hello) -> io::Result<Self> {
        let mut raw = Self { stream, received: BytesMut::new() };
        raw.send(&bytes(&Frame::Hello(hello))).await?;
        let (kind, body) = raw.receive().await?;
        assert_eq!(kind, kind::HELLO, "{:?}", wire::decode(kind, body));
        raw.send(&bytes(&Frame::Calls(wire::Calls::from_body(Bytes::new())))).await?;
        let (kind, body) = raw.receive().await?;
        if let (kind::REFUSE, Ok(Frame::Refuse(refuse))) = (kind, wire::decode(kind, body.clone()))
            && refuse.field == "max_connections"
        {
            // Whoever opens as many as it can is to hear that there are enough.
            return Err(io::Error::other(refuse.ours));
        }
        assert_eq!((kind, body.len()), (kind::CALLS, 0), "{:?}", wire::decode(kind, body));
        Ok(raw)
    }

    /// Is refused, and hears why.
    pub(crate) async fn refused(
        transport: &dyn Transport,
        address: &str,
        hello: Hello,
    ) -> io::Result<Refuse> {
        let mut raw = Self::open(transport, address).await?;
        raw.send(&bytes(&Frame::Hello(hello))).await?;
        loop {
            let (kind, body) = raw.receive().await?;
            match wire::decode(kind, body).map_err(io::Error::other)? {
                Frame::Hello(_) => {}
                Frame::Refuse(refuse) => return Ok(refuse),
                other => panic!("not refused, but {other:?}"),
            }
        }
    }

    /// Refuses a peer that would let it in.
    pub(crate) async fn refuse(
        transport: &dyn Transport,
        address: &str,
        hello: Hello,
        refuse: Refuse,
    ) -> io::Result<()> {
        let mut raw = Self::open(transport, address).await?;
        raw.send(&bytes(&Frame::Hello(hello))).await?;
        let (kind, _) = raw.receive().await?;
        assert_eq!(kind, kind::HELLO);
        raw.send(&bytes(&Frame::Refuse(refuse))).await?;
        raw.wait_closed().await;
        Ok(())
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.writer.write_all(bytes).await?;
        self.stream.writer.flush().await
    }

    /// Sends what is taken of it until nothing is taken for a while; how much.
    pub(crate) async fn send_some(
        &mut self,
        bytes: &[u8],
        patience: Duration,
    ) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout(patience, self.stream.writer.write(&bytes[sent..])).await {
                Ok(count) => sent += count?,
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Takes that many bytes of whatever has come; they are not read as frames any more.
    pub(crate) async fn receive_some(&mut self, count: usize) -> io::Result<()> {
        self.stream.reader.read_exact(&mut vec![0; count]).await.map(drop)
    }

    /// The next frame.
    pub(crate) async fn receive(&mut self) -> io::Result<(u8, Bytes)> {
        loop {
            let split = wire::split(&mut self.received, MAX_BODY);
            if let Some(frame) = split.map_err(io::Error::other)? {
                return Ok(frame);
            }
            if self.stream.reader.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next replies: ids, and whether each was decided.
    pub(crate) async fn receive_replies(&mut self) -> io::Result<Vec<(u32, bool)>> {
        let (kind, body) = self.receive().await?;
        assert_eq!(kind, kind::REPLIES);
        let replies = replies::Reader::new(&body).map(|reply| {
            let reply = reply.expect("replies are whole");
            (reply.id, matches!(reply.outcome, Outcome::Decided { .. }))
        });
        Ok(replies.collect())
    }

    /// Reads until the other end has closed the connection.
    pub(crate) async fn wait_closed(&mut self) {
        let closing = async {
            loop {
                self.received.clear();
                match self.stream.reader.read_buf(&mut self.received).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        timeout(LONG, closing).await.expect("it is closed");
    }
}
