//! Messages as bytes: frames around protobuf messages, and packed calls and replies.
//!
//! ```text
//!   u32 LE body length | u8 kind | body
//!                           1 Hello    2 Refuse            the handshake        protobuf
//!                           3 Message                      the protocol         protobuf
//!                           4 Calls    5 Replies           the hot path         packed
//!                           6 Merge    7 MergeReply        relaxed peers        protobuf
//!                          12 AdminAsk 13 AdminAnswer      the admin lane       JSON
//! ```
//!
//! [`split`] takes whole frames off a buffer, [`decode`] reads their bodies, [`encode`] writes
//! whole frames. Calls and replies are written and read one at a time, without an allocation:
//! [`calls`] and [`replies`], between [`begin`] and [`finish`].
//!
//! All that comes from a peer is checked here: no bytes panic, what is allocated is bounded by the
//! length of the body, which is bounded itself, and names and keys are usable as they are. What a
//! message means is not known here, nor whether its sender may send it.
//!
//! The format to the byte is in [docs/wire.md].
//!
//! [docs/wire.md]: https://github.com/quorate/quorate/blob/main/docs/wire.md

mod bounds;
pub mod calls;
mod convert;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "written by quorate-wiregen"
)]
#[rustfmt::skip]
mod generated;
mod hello;
mod merge;
pub mod replies;
#[cfg(test)]
pub(crate) mod tests;

pub use self::calls::Calls;
pub use self::replies::Replies;
pub use bounds::{
    MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_GROUP_TIME, MAX_LISTED, MAX_MODEL_SETTINGS,
    MAX_RECORD_KEY_BYTES, MAX_SETTING_BYTES, MAX_SETTINGS,
};
pub use error::{ProtobufError, WireError};
pub use frame::{
    BODY_SLACK_BYTES, Frame, HEADER_BYTES, Start, begin, body_bytes, decode, encode, finish, kind,
    split,
};
pub use hello::{Hello, MAX_HELLO_BYTES, Refuse};
pub use merge::{Merge, MergeReply};

/// Newest version of the protocol that this library speaks.
pub const PROTOCOL_VERSION: u32 = 7;
/// Oldest version of the protocol that this library speaks.
pub const MIN_PROTOCOL_VERSION: u32 = 1;
