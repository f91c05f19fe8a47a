//! Peers that are let in and then send what belongs to no connection: they are closed, each for
//! itself, and nothing is kept of it.

mod support;

use bytes::{Bytes, BytesMut};
use quorate::internal::protocol::message::{Lane, Message};
use quorate::internal::wire::replies::{self, Refusal, Replies};
use quorate::internal::wire::{self, BODY_SLACK_BYTES, Calls, Frame, Merge, MergeReply, kind};
use quorate::transport::InProcess;
use quorate::{Ballot, GroupTime, Item, Link, Peer, Position};
use support::raw::{self, Raw, bytes};
use support::{LONG, add, builder, count, events, until};

/// A frame with a body of any bytes.
fn frame(kind: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let start = wire::begin(kind, &mut bytes);
    bytes.extend_from_slice(body);
    wire::finish(start, &mut bytes);
    bytes
}

/// A header that announces a body.
fn header(kind: u8, length: usize) -> BytesMut {
    let length = u32::try_from(length).expect("a length of a frame");
    let mut bytes = BytesMut::from(&length.to_le_bytes()[..]);
    bytes.extend_from_slice(&[kind]);
    bytes
}

/// Replies with these ids.
fn replies(ids: &[u32]) -> BytesMut {
    let mut body = BytesMut::new();
    for id in ids {
        replies::push_refused(&mut body, *id, Refusal::HandingOver, 0);
    }
    bytes(&Frame::Replies(Replies::from_body(body.freeze())))
}

/// A call with this many items of a key this long.
fn call(items: u8, key: u16) -> BytesMut {
    let mut body = BytesMut::from(&[1, 0, 0, 0, items][..]);
    for item in 0..items {
        body.extend_from_slice(&key.to_le_bytes());
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(&vec![item; key.into()]);
    }
    frame(kind::CALLS, &body)
}

fn hello(lane: Lane) -> wire::Hello {
    raw::hello(&raw::group(&["a"]), "x", lane)
}

/// What no peer says over the data lane.
fn wrong_for_data() -> Vec<BytesMut> {
    let merge_reply =
        |number| MergeReply { number, ok: true, units: u64::MAX, dropped: u64::MAX, refused: None };
    vec![
        frame(99, b""),
        frame(0, b"x"),
        frame(kind::NOTICE, b""),
        bytes(&Frame::Hello(hello(Lane::Data))),
        bytes(&raw::ping(1)),
        frame(kind::MESSAGE, b""),
        frame(kind::MESSAGE, &[0xff; 100]),
        frame(kind::MERGE, &[0xff; 100]),
        frame(kind::MERGE_REPLY, &[0xff; 100]),
        header(kind::CALLS, u32::MAX as usize),
        header(kind::MESSAGE, 256 * 1024 + BODY_SLACK_BYTES + 1),
        call(0, 1),
        call(17, 1),
        call(1, 0),
        call(1, 513),
        frame(kind::CALLS, &[1, 0, 0, 0, 1, 9, 0]),
        replies(&[0]),
        replies(&[u32::MAX]),
        frame(kind::REPLIES, &[0, 0, 0, 0, 200]),
        bytes(&Frame::MergeReply(merge_reply(1))),
        bytes(&Frame::MergeReply(merge_reply(u64::MAX))),
    ]
}

/// What no peer says over the control lane.
fn wrong_for_control() -> Vec<BytesMut> {
    let position = Position { sequence: quorate::Sequence(u64::MAX), ..Position::BLANK };
    let held = Message::Held { ballot: Ballot::default(), position };
    vec![
        raw::calls(0..1, "k"),
        frame(kind::CALLS, b""),
        replies(&[]),
        replies(&[1]),
        bytes(&Frame::Merge(Merge { number: 1, sealed_at: GroupTime(0), entries: Vec::new() })),
        bytes(&Frame::MergeReply(MergeReply {
            number: 1,
            ok: true,
            units: 1,
            dropped: 0,
            refused: None,
        })),
        bytes(&Frame::Message(held)),
        bytes(&Frame::Hello(hello(Lane::Control))),
        header(kind::MESSAGE, BODY_SLACK_BYTES + 1),
        frame(77, b"garbage"),
    ]
}

async fn alone(network: &InProcess) -> Peer {
    let peer = builder(network, "a").members([("a", "a")]).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    peer
}

async fn lane(network: &InProcess, lane: Lane) -> Raw {
    let raw = Raw::connect(&*network.at("x"), "a", hello(lane)).await;
    raw.expect("clients are let in")
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_what_belongs_to_no_connection_is_closed_and_nothing_is_kept() {
    let network = InProcess::network();
    let peer = alone(&network).await;
    let wrong = [(Lane::Data, wrong_for_data()), (Lane::Control, wrong_for_control())];
    let mut closed = 0;
    for (lane_of_it, wrong) in wrong {
        for wrong in wrong {
            let mut other = match lane_of_it {
                Lane::Data => lane(&network, Lane::Control).await,
                Lane::Control | Lane::Calls | Lane::Admin => lane(&network, Lane::Data).await,
            };
            let mut raw = lane(&network, lane_of_it).await;
            until(&peer, |status| status.peers.iter().any(|peer| peer.link == Link::Up)).await;
            raw.send(&wrong).await.expect("it is open");
            raw.wait_closed().await;
            closed += 1;
            let shown = &wrong[..wrong.len().min(12)];
            assert_eq!(peer.stats().closed_garbled, closed, "{shown:?} on {lane_of_it:?}");
            // The other lane is not what was wrong.
            match lane_of_it {
                Lane::Data => other.send(&bytes(&raw::ping(1))).await,
                Lane::Control | Lane::Calls | Lane::Admin => {
                    other.send(&raw::calls(0..1, "still open")).await
                }
            }
            .expect("it is open");
            drop(other);
            let status = until(&peer, |status| status.connections.open == 0).await;
            assert_eq!((status.connections.buffered_bytes, status.refusals.len()), (0, 0));
        }
    }
    let status = until(&peer, |status| status.peers.is_empty()).await;
    assert_eq!(status.term, peer.status().term);
    assert_eq!(count(&peer, "k").await, 0, "nothing of it was decided");
    add(&peer, "k", 1).await.expect("there is a primary");
}

/// Calls before a bad one in the same frame were whole.
#[tokio::test(start_paused = true)]
async fn what_stood_before_a_bad_call_may_count_and_what_follows_does_not() {
    let network = InProcess::network();
    let peer = alone(&network).await;
    let mut raw = lane(&network, Lane::Data).await;
    let mut body = BytesMut::new();
    let items = [Item { key: b"k", args: [1, 0] }];
    wire::calls::push(&mut body, 1, &items).expect("one short key");
    body.extend_from_slice(&[2, 0, 0, 0, 0]);
    wire::calls::push(&mut body, 3, &items).expect("one short key");
    raw.send(&frame(kind::CALLS, &body)).await.expect("it is open");
    raw.wait_closed().await;
    assert_eq!(count(&peer, "k").await, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_before_both_sides_agree() {
    let network = InProcess::network();
    let peer = alone(&network).await;
    let known = events(&peer).len();
    let mut early = wrong_for_data();
    early.extend(wrong_for_control());
    early.push(raw::calls(0..1, "k"));
    for (number, early) in early.iter().enumerate() {
        let is_greeting = early[4] == kind::HELLO;
        // In place of the `Hello`.
        let mut raw = Raw::open(&*network.at("x"), "a").await.expect("it listens");
        raw.send(early).await.expect("it is open");
        if is_greeting {
            continue;
        }
        raw.wait_closed().await;
        // In place of the verdict. A frame of no calls is one.
        if *early == frame(kind::CALLS, b"") {
            continue;
        }
        let mut raw = Raw::open(&*network.at("x"), "a").await.expect("it listens");
        raw.send(&bytes(&Frame::Hello(hello(Lane::Data)))).await.expect("open");
        raw.send(early).await.expect("it is open");
        raw.wait_closed().await;
        assert_eq!(peer.stats().served, 0, "frame {number}");
    }
    assert_eq!(count(&peer, "k").await, 0);
    assert_eq!(peer.status().refusals, []);
    assert_eq!(events(&peer).len(), known, "{:?}", &events(&peer)[known..]);
}

/// They have the form of a message and are about nothing that this peer knows.
#[tokio::test(start_paused = true)]
async fn messages_about_nothing_are_passed_over() {
    let network = InProcess::network();
    let peer = alone(&network).await;
    let before = peer.status();
    let ballot = before.position.ballot;
    let mut control = lane(&network, Lane::Control).await;
    let mut data = lane(&network, Lane::Data).await;
    until(&peer, |status| status.peers.iter().any(|peer| peer.link == Link::Up)).await;
    let brief = raw::brief();
    let (number, request) = (u64::MAX, u64::MAX);
    for message in [
        Message::Pong { number, promise: Some(ballot), brief },
        Message::Removed {
            request,
            outcome: quorate::internal::protocol::message::RemoveOutcome::Removed,
        },
        Message::StandNow { ballot },
        Message::TakeOver { ballot },
        Message::Release { ballot, to: "x".into() },
    ] {
        control.send(&bytes(&Frame::Message(message))).await.expect("it is open");
    }
    let transfer = u64::MAX;
    for message in [
        Message::PieceStaged { ballot, transfer, index: u32::MAX },
        Message::Held { ballot, position: before.position },
        Message::Lost { ballot },
        Message::Tail { ballot, at: before.position, keys: Some(vec![Bytes::from_static(b"k")]) },
    ] {
        data.send(&bytes(&Frame::Message(message))).await.expect("it is open");
    }
    data.send(&bytes(&Frame::Calls(Calls::from_body(Bytes::new())))).await.expect("it is open");
    data.send(&raw::calls(5..6, "k")).await.expect("it is open");
    assert_eq!(data.receive_replies().await.expect("it is open"), [(5, true)]);
    let after = peer.status();
    assert_eq!((after.term, after.role, after.primary), (before.term, before.role, before.primary));
    assert_eq!(peer.stats().closed_garbled, 0);
}
