//! The format as a whole: what is written is read back, and nothing else is.

mod bounds;
mod layout;
mod round_trip;
pub(crate) mod strategies;

use bytes::{Bytes, BytesMut};

use super::{Frame, encode, split};

/// The frame on the wire, with its header.
fn encoded(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    encode(frame, &mut out);
    out
}

/// Kind and body of the frame on the wire.
fn body(frame: &Frame) -> (u8, Bytes) {
    let mut frame = encoded(frame);
    let body = split(&mut frame, usize::MAX).expect("there is no bound");
    assert!(frame.is_empty(), "a frame is one frame");
    body.expect("a frame is written whole")
}
