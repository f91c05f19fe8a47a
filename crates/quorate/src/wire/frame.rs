//! Frames: a length, a kind, a body (docs/wire.md, section 1).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::calls::Calls;
use super::error::WireError;
use super::generated as proto;
use super::hello::{Hello, Refuse};
use super::merge::{Merge, MergeReply};
use super::replies::Replies;
use super::{MAX_ANSWER_BYTES, MAX_ASK_BYTES, bounds, convert};
use crate::protocol::message::Message;

/// Bytes before the body: its length as u32 LE, and the kind.
pub const HEADER_BYTES: usize = 5;
/// The bytes by which a frame body may be longer than `Bounds::max_piece_bytes`: what a piece
/// carries beside its records.
pub const BODY_SLACK_BYTES: usize = 160 * 1024;

/// Kinds of frames, as they stand in the header.
pub mod kind {
    /// First frame of a connection, from both sides: [`Hello`](super::Hello).
    pub const HELLO: u8 = 1;
    /// Last frame of a connection that is not wanted: [`Refuse`](super::Refuse).
    pub const REFUSE: u8 = 2;
    /// [`Message`](crate::protocol::message::Message).
    pub const MESSAGE: u8 = 3;
    /// [`calls`](crate::wire::calls).
    pub const CALLS: u8 = 4;
    /// [`replies`](crate::wire::replies).
    pub const REPLIES: u8 = 5;
    /// [`Merge`](super::Merge).
    pub const MERGE: u8 = 6;
    /// [`MergeReply`](super::MergeReply).
    pub const MERGE_REPLY: u8 = 7;
    /// Kept for notices from peer to peer; not in use.
    pub const NOTICE: u8 = 8;
    /// A question or an order, as a JSON document, on the admin lane.
    pub const ADMIN_ASK: u8 = 12;
    /// Its answer, as a JSON document.
    pub const ADMIN_ANSWER: u8 = 13;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The name and settings of a peer; the first frame from both sides.
    Hello(Hello),
    /// The reason why the connection ends.
    Refuse(Refuse),
    /// A message of the protocol.
    Message(Message),
    /// Calls for the primary.
    Calls(Calls),
    /// Their outcomes.
    Replies(Replies),
    /// Local decisions of a relaxed peer.
    Merge(Merge),
    /// Their outcome.
    MergeReply(MergeReply),
    /// A JSON document that asks something, unread.
    AdminAsk(Bytes),
    /// The JSON document that answers it, unread.
    AdminAnswer(Bytes),
}

/// Appends `frame` with its header to `out`.
///
/// Whether the body is within the receiver's bound is the sender's care: see [`body_bytes`].
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Hello(hello) => protobuf(kind::HELLO, &proto::Hello::from(hello), out),
        Frame::Refuse(refuse) => protobuf(kind::REFUSE, &proto::Refuse::from(refuse), out),
        Frame::Message(message) => protobuf(kind::MESSAGE, &proto::Message::from(message), out),
        Frame::Calls(calls) => packed(kind::CALLS, calls.as_bytes(), out),
        Frame::Replies(replies) => packed(kind::REPLIES, replies.as_bytes(), out),
        Frame::Merge(merge) => protobuf(kind::MERGE, &proto::Merge::from(merge), out),
        Frame::MergeReply(reply) => {
            protobuf(kind::MERGE_REPLY, &proto::MergeReply::from(reply), out);
        }
        Frame::AdminAsk(document) => packed(kind::ADMIN_ASK, document, out),
        Frame::AdminAnswer(document) => packed(kind::ADMIN_ANSWER, document, out),
    }
}

/// The length of the body of a frame with `message`.
pub fn body_bytes(message: &Message) -> usize {
    proto::Message::from(message).encoded_len()
}

/// Reads the body of a frame.
///
/// Keys in the result are slices of `body`: whoever keeps them copies them.
///
/// # Errors
///
/// If the body is not what `kind` says, or breaks a bound. No bytes panic, and what is allocated
/// is bounded by the length of the body.
pub fn decode(kind: u8, body: Bytes) -> Result<Frame, WireError> {
    Ok(match kind {
        kind::HELLO => Frame::Hello(parse::<proto::Hello>(kind, body)?.try_into()?),
        kind::REFUSE => Frame::Refuse(parse::<proto::Refuse>(kind, body)?.try_into()?),
        kind::MESSAGE => Frame::Message(convert::message(parse(kind, body)?)?),
        kind::CALLS => Frame::Calls(Calls::from_body(body)),
        kind::REPLIES => Frame::Replies(Replies::from_body(body)),
        kind::MERGE => Frame::Merge(parse::<proto::Merge>(kind, body)?.try_into()?),
        kind::MERGE_REPLY => Frame::MergeReply(parse::<proto::MergeReply>(kind, body)?.try_into()?),
        kind::ADMIN_ASK => {
            bounds::bytes("ask", body.len(), 1, MAX_ASK_BYTES)?;
            Frame::AdminAsk(body)
        }
        kind::ADMIN_ANSWER => {
            bounds::bytes("answer", body.len(), 1, MAX_ANSWER_BYTES)?;
            Frame::AdminAnswer(body)
        }
        kind => return Err(WireError::Kind { kind }),
    })
}

/// Takes the next whole frame off `buffer`: its kind and its body, which is not copied.
///
/// `None` while the frame is incomplete; `buffer` is then as it was. `max_body` is
/// [`MAX_HELLO_BYTES`](super::MAX_HELLO_BYTES) until the handshake is over, then
/// `Bounds::max_piece_bytes` + [`BODY_SLACK_BYTES`], and on the admin lane [`MAX_ASK_BYTES`] or
/// [`MAX_ANSWER_BYTES`].
///
/// # Errors
///
/// If the header announces a body of more than `max_body` bytes. Nothing was allocated for it.
pub fn split(buffer: &mut BytesMut, max_body: usize) -> Result<Option<(u8, Bytes)>, WireError> {
    let Some((header, _)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [length @ .., kind] = *header;
    let length = u32::from_le_bytes(length) as usize;
    bounds::bytes("body of a frame", length, 0, max_body)?;
    if buffer.len() < HEADER_BYTES + length {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    Ok(Some((kind, buffer.split_to(length).freeze())))
}

/// The beginning of a frame whose body is being written.
#[must_use = "the header says a body of no bytes until `finish` is called"]
#[derive(Debug)]
pub struct Start(usize);

/// Appends the header of a frame whose length is not known yet; [`finish`] completes it.
pub fn begin(kind: u8, out: &mut BytesMut) -> Start {
    let start = Start(out.len());
    out.put_u32_le(0);
    out.put_u8(kind);
    start
}

/// Writes the length of everything appended since [`begin`] into the header; returns it.
///
/// # Panics
///
/// If `out` is not the buffer that `begin` was called with, or was emptied since.
pub fn finish(start: Start, out: &mut BytesMut) -> usize {
    let length = out.len() - start.0 - HEADER_BYTES;
    let field = u32::try_from(length).expect("a sender ends a frame within a few hundred KiB");
    out[start.0..start.0 + 4].copy_from_slice(&field.to_le_bytes());
    length
}

fn protobuf(kind: u8, message: &impl prost::Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.reserve(HEADER_BYTES + length);
    let start = begin(kind, out);
    message.encode_raw(out);
    finish(start, out);
}

fn packed(kind: u8, body: &[u8], out: &mut BytesMut) {
    out.reserve(HEADER_BYTES + body.len());
    let start = begin(kind, out);
    out.extend_from_slice(body);
    finish(start, out);
}

fn parse<M: prost::Message + Default>(kind: u8, body: Bytes) -> Result<M, WireError> {
    M::decode(body).map_err(|error| WireError::Protobuf { kind, source: error.into() })
}
