//! Faults of bytes from a peer, and of what has no form on the wire.

use crate::base::id::PeerName;
use crate::record::NotRecords;

/// A rule of the format that is broken; the values are those that broke it.
///
/// Nothing of the frame was used. A connection on which it happens is closed: its two ends do not
/// speak the same format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A string of bytes, a text or a frame body is too long or too short.
    #[error("{field} of {bytes} bytes: {min} to {max} are allowed")]
    Bytes {
        /// Its name.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The shortest allowed.
        min: usize,
        /// The longest allowed.
        max: usize,
    },
    /// There are too many of something, or none.
    #[error("{count} {field}: {min} to {max} are allowed")]
    Count {
        /// The name of what is counted.
        field: &'static str,
        /// The number of them.
        count: usize,
        /// The fewest allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// The number in a frame header names no kind of frame.
    #[error("frame of unknown kind {kind}")]
    Kind {
        /// The number.
        kind: u8,
    },
    /// A field without which the message means nothing is absent.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A name has characters other than letters, digits, `-`, `_` and `.`, or a wrong length.
    #[error("{field} {name:?} is not a name")]
    Name {
        /// The owner of the name.
        field: &'static str,
        /// The name, cut to its first 64 characters.
        name: String,
    },
    /// The body is not a protobuf message of its kind.
    #[error("frame of kind {kind} is not a protobuf message")]
    Protobuf {
        /// The kind in the frame header.
        kind: u8,
        /// The decoder's error.
        #[source]
        source: ProtobufError,
    },
    /// A list that counts for something names a peer twice.
    #[error("{field} {name} is listed twice")]
    Repeated {
        /// The name of what is listed.
        field: &'static str,
        /// The name.
        name: PeerName,
    },
    /// The packed records of a piece cannot be read.
    #[error(transparent)]
    Records(#[from] NotRecords),
    /// A packed body ends in the middle of an entry.
    #[error("{field} needs {need} bytes, the frame has {have} left")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
        /// Bytes it needs.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A number is outside its range.
    #[error("{field} is {value}: {min} to {max} are allowed")]
    Value {
        /// The field.
        field: &'static str,
        /// The number.
        value: u64,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
}

/// The protobuf decoder's error about a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ProtobufError(#[from] prost::DecodeError);
