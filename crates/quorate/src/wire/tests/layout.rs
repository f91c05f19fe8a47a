//! The bytes that docs/wire.md gives: whoever changes them changes the version of the protocol.

use bytes::BytesMut;

use super::encoded;
use crate::base::id::{
    Ballot, Generation, GroupTime, Incarnation, MemberId, PeerKind, Position, Sequence, Term,
};
use crate::model::{Answer, Item};
use crate::protocol::Standing;
use crate::protocol::message::{Lane, Message};
use crate::wire::replies::Refusal;
use crate::wire::{Frame, Hello, begin, calls, finish, kind, replies};

#[test]
fn a_frame_is_its_length_its_kind_and_its_body() {
    let held = Message::Held {
        ballot: Ballot { generation: Generation::from_bits(1), term: Term(2) },
        position: Position {
            ballot: Ballot { generation: Generation::from_bits(1), term: Term(2) },
            sequence: Sequence(300),
        },
    };
    #[rustfmt::skip]
    let bytes = [
        17, 0, 0, 0, kind::MESSAGE,
        0x7a, 15,                                   // field 15, held
        0x0a, 4, 0x08, 1, 0x10, 2,                  // ballot
        0x12, 7, 0x08, 1, 0x10, 2, 0x18, 0xac, 2,   // position
    ];
    assert_eq!(encoded(&Frame::Message(held))[..], bytes);
}

#[test]
fn a_hello_is_laid_out_as_documented() {
    let hello = Hello {
        versions: (1, 1),
        group: "g".into(),
        peer: "a".into(),
        incarnation: Incarnation(0x0102_0304_0506_0708),
        lane: Lane::Data,
        to: Some("b".into()),
        settings: vec![("k".into(), "v".into())],
        fingerprint: 9,
        started_ms: 10,
        model_settings: Vec::new(),
        id: MemberId(0x0102_0304_0506_0708),
        address: String::new(),
        kind: PeerKind::Member,
        has_state: false,
        succession: Default::default(),
        tls: String::new(),
        site: String::new(),
        site_epoch: 0,
        standing: Standing::default(),
    };
    #[rustfmt::skip]
    let bytes = [
        43, 0, 0, 0, kind::HELLO,
        0x08, 1, 0x10, 1,                           // versions
        0x1a, 1, b'g', 0x22, 1, b'a',               // group, peer
        0x29, 8, 7, 6, 5, 4, 3, 2, 1,               // incarnation
        0x30, 2,                                    // lane
        0x3a, 1, b'b',                              // to
        0x42, 6, 0x0a, 1, b'k', 0x12, 1, b'v',      // one setting
        0x49, 9, 0, 0, 0, 0, 0, 0, 0,               // fingerprint
        0x50, 10,                                   // started
    ];
    assert_eq!(encoded(&Frame::Hello(hello.clone()))[..], bytes);
    let bare = hello.clone();
    let ballot = Ballot { generation: Generation::from_bits(6), term: Term(7) };
    let position = Position { ballot, sequence: Sequence(8) };
    let standing = Standing {
        position,
        generations: vec![Generation::from_bits(5), Generation::from_bits(6)],
    };
    // A peer that does not know of model settings sends, and is sent, the same without them.
    let hello = Hello { model_settings: vec![("l".into(), "w".into())], ..hello };
    let with_model = encoded(&Frame::Hello(hello.clone()));
    assert_eq!(with_model[0], 43 + 8);
    assert_eq!(with_model[1..48], bytes[1..]);
    assert_eq!(with_model[48..], [0x5a, 6, 0x0a, 1, b'l', 0x12, 1, b'w']);
    // Nor does one that is counted by its start, and does not say where it is reached.
    let hello = Hello { model_settings: Vec::new(), id: MemberId(7), ..hello };
    let hello = Hello { address: "b".into(), kind: PeerKind::Joiner, has_state: true, ..hello };
    let with_id = encoded(&Frame::Hello(hello));
    assert_eq!(with_id[1..48], bytes[1..]);
    assert_eq!(with_id[48..], [0x61, 7, 0, 0, 0, 0, 0, 0, 0, 0x6a, 1, b'b', 0x70, 1, 0x78, 1]);
    // Nor does one that does not say where it stands.
    let hello = Hello { standing, ..bare };
    let with_standing = encoded(&Frame::Hello(hello));
    assert_eq!(with_standing[1..48], bytes[1..]);
    #[rustfmt::skip]
    let standing = [
        0x8a, 0x01, 6, 0x08, 6, 0x10, 7, 0x18, 8,                           // position
        0x92, 0x01, 16, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,     // generations
    ];
    assert_eq!(with_standing[48..], standing);
}

#[test]
fn calls_are_laid_out_as_documented() {
    let mut out = BytesMut::new();
    let start = begin(kind::CALLS, &mut out);
    let items = [Item { key: b"ab", args: [1, 2] }, Item { key: b"c", args: [3, u64::MAX] }];
    calls::push(&mut out, 0x0a0b_0c0d, &items).expect("two good items");
    assert_eq!(finish(start, &mut out), 44);
    #[rustfmt::skip]
    let bytes = [
        44, 0, 0, 0, kind::CALLS,
        0x0d, 0x0c, 0x0b, 0x0a, 2,
        2, 0,  1, 0, 0, 0, 0, 0, 0, 0,  2, 0, 0, 0, 0, 0, 0, 0,  b'a', b'b',
        1, 0,  3, 0, 0, 0, 0, 0, 0, 0,  255, 255, 255, 255, 255, 255, 255, 255,  b'c',
    ];
    assert_eq!(out[..], bytes);
}

#[test]
fn replies_are_laid_out_as_documented() {
    let mut out = BytesMut::new();
    let answer = Answer { code: 7, units: 1, words: [2, 3, 4, 5, 6, 7] };
    let ballot = Ballot { generation: Generation::from_bits(8), term: Term(9) };
    let position = Position { ballot, sequence: Sequence(10) };
    replies::push_decided(&mut out, 0x0a0b_0c0d, &answer, position, GroupTime(11));
    let mut bytes = vec![0x0d, 0x0c, 0x0b, 0x0a, 0, 7];
    for word in 1..=11u64 {
        bytes.extend(word.to_le_bytes());
    }
    assert_eq!(out[..], bytes);
    assert_eq!(out.len(), replies::MAX_REPLY_BYTES);

    let refusals = [
        (Refusal::NoAuthority, 1),
        (Refusal::HandingOver, 2),
        (Refusal::CellsFull, 3),
        (Refusal::Invalid, 4),
        (Refusal::OutcomeUnknown, 5),
        (Refusal::BytesFull, 6),
        (Refusal::TooManyCalls, 7),
    ];
    for (refusal, status) in refusals {
        out.clear();
        replies::push_refused(&mut out, 1, refusal, 512);
        assert_eq!(out[..], [1, 0, 0, 0, status, 0, 2, 0, 0, 0, 0, 0, 0]);
    }
}
