//! The bodies of the fuzz targets, which a test also runs on the committed corpus.
//!
//! Each takes any bytes and panics only if a promise of this module is broken.

use bytes::{Bytes, BytesMut};

use super::{Frame, begin, calls, decode, encode, finish, kind, replies, split};

/// Bound of a frame body in these targets: small, so that the fuzzer finds it.
const MAX_BODY: usize = 4096;

/// `split` and `decode` take any stream of bytes, and what `decode` accepts comes back the same.
pub fn frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some((kind, body))) = split(&mut buffer, MAX_BODY) {
        assert!(body.len() <= MAX_BODY, "a body is within its bound");
        round_trip(kind, body);
    }
}

/// `decode` takes any body of a message, and what it accepts comes back the same.
pub fn messages(data: &[u8]) {
    round_trip(kind::MESSAGE, Bytes::copy_from_slice(data));
}

/// The readers of calls and replies take any body, and what they accept is written the same.
pub fn calls(data: &[u8]) {
    calls_again(data);
    replies_again(data);
}

fn round_trip(kind: u8, body: Bytes) {
    let Ok(frame) = decode(kind, body) else {
        return;
    };
    match &frame {
        Frame::Calls(calls) => calls_again(calls.as_bytes()),
        Frame::Replies(replies) => replies_again(replies.as_bytes()),
        _ => {}
    }
    let mut written = BytesMut::new();
    encode(&frame, &mut written);
    let (kind, body) = split(&mut written, usize::MAX)
        .expect("there is no bound")
        .expect("a frame is written whole");
    assert!(written.is_empty(), "nothing is written after a frame");
    assert_eq!(decode(kind, body), Ok(frame));
}

fn calls_again(data: &[u8]) {
    let mut written = BytesMut::new();
    let start = begin(kind::CALLS, &mut written);
    let mut reader = calls::Reader::new(data);
    while let Ok(Some(call)) = reader.next_call() {
        calls::push(&mut written, call.id, call.items).expect("the reader checks every bound");
    }
    let length = finish(start, &mut written);
    assert!(data.starts_with(&written[written.len() - length..]), "one form for one call");
}

fn replies_again(data: &[u8]) {
    let mut written = BytesMut::new();
    let start = begin(kind::REPLIES, &mut written);
    for reply in replies::Reader::new(data).map_while(Result::ok) {
        match reply.outcome {
            replies::Outcome::Decided { answer, position, group_time } => {
                replies::push_decided(&mut written, reply.id, &answer, position, group_time);
            }
            replies::Outcome::Refused { refusal, bound } => {
                replies::push_refused(&mut written, reply.id, refusal, bound);
            }
        }
    }
    let length = finish(start, &mut written);
    assert!(data.starts_with(&written[written.len() - length..]), "one form for one reply");
}
