//! Packets, and their content.

use bytes::BytesMut;
use quorate::internal::protocol::message::{Lane, Message};
use quorate::internal::wire::{self, Frame, Merge, MergeReply};

use crate::words::call::{Call, Reply};

/// The content of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Call(Call),
    Merge(Merge),
    MergeReply(MergeReply),
    Protocol(Message),
    Reply(Reply),
    /// The connection is closed there; a process that ends in good order says so first.
    Reset {
        is_goodbye: bool,
    },
}

impl Payload {
    pub(crate) fn lane(&self) -> Lane {
        match self {
            Self::Protocol(message) => message.lane(),
            Self::Call(_) | Self::Merge(_) | Self::MergeReply(_) | Self::Reply(_) => Lane::Data,
            Self::Reset { .. } => Lane::Control,
        }
    }
}

impl Payload {
    /// Its length on the wire; of what is no message of the protocol about that.
    pub(crate) fn bytes(&self) -> u64 {
        const OTHER: u64 = 100;
        let Self::Protocol(message) = self else { return OTHER };
        let mut buffer = BytesMut::new();
        wire::encode(&Frame::Message(message.clone()), &mut buffer);
        buffer.len() as u64
    }
}

/// Number of a connection within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) usize);

/// Something on its way over a connection.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) connection: ConnectionId,
    /// The receiving end.
    pub(crate) end: usize,
    pub(crate) payload: Payload,
}
