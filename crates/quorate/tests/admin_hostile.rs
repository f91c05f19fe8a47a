//! Whoever comes over the admin lane and keeps to nothing, or comes from where nobody may
//! (docs/wire.md, section 8).

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate::Peer;
use quorate::admin::{AdminError, Ask, Client};
use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{self, Frame, HEADER_BYTES, MAX_ASK_BYTES, kind};
use quorate::transport::InProcess;
use serde_json::{Value, json};
use support::exposed::Exposed;
use support::raw::{self, Raw, bytes};
use support::{LONG, Trio, add, builder};
use tokio::time::sleep;

async fn alone(network: &InProcess) -> Peer {
    let peer = builder(network, "a").members([("a", "a")]).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("it is alone");
    peer
}

/// A connection of the lane whose handshake is done.
async fn lane(network: &InProcess) -> Raw {
    let hello = raw::hello(&raw::group(&["a"]), "alice", Lane::Admin);
    Raw::connect(&*network.at("desk"), "a", hello).await.expect("it may ask")
}

fn ask(document: &str) -> BytesMut {
    bytes(&Frame::AdminAsk(Bytes::copy_from_slice(document.as_bytes())))
}

async fn answer(raw: &mut Raw) -> Value {
    let (kind, body) = raw.receive().await.expect("it answers");
    assert_eq!(kind, kind::ADMIN_ANSWER);
    serde_json::from_slice(&body).expect("an answer is JSON")
}

/// The beginning of a frame.
fn header(kind: u8, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).expect("it is short").to_le_bytes();
    [&length[..], &[kind]].concat()
}

#[tokio::test(start_paused = true)]
async fn what_the_lane_does_not_carry_ends_the_connection_and_nothing_else() {
    let network = InProcess::network();
    let peer = alone(&network).await;
    let mut other = lane(&network).await;
    let hello = raw::hello(&raw::group(&["a"]), "alice", Lane::Admin);
    let wrong: [Vec<u8>; 9] = [
        bytes(&raw::ping(1)).to_vec(),
        raw::calls(0..1, "k").to_vec(),
        bytes(&Frame::Hello(hello)).to_vec(),
        bytes(&Frame::Refuse(wire::Refuse::goodbye())).to_vec(),
        bytes(&Frame::AdminAnswer(Bytes::from_static(b"{}"))).to_vec(),
        header(kind::ADMIN_ASK, 0),
        header(kind::ADMIN_ASK, MAX_ASK_BYTES + 1),
        header(kind::NOTICE, 0),
        header(255, 0),
    ];
    for bytes in wrong {
        let mut raw = lane(&network).await;
        raw.send(&bytes).await.expect("open");
        raw.wait_closed().await;
    }
    other.send(&ask(r#"{"ask":"stats"}"#)).await.expect("open");
    assert_eq!(answer(&mut other).await["ok"], true);
    add(&peer, "k", 1).await.expect("it goes on");
}

#[tokio::test(start_paused = true)]
async fn asks_of_the_lane_end_every_other_connection() {
    let trio = Trio::start(|builder| builder).await;
    for of_peer in [Lane::Control, Lane::Data] {
        let hello = raw::hello(&raw::group(&support::NAMES), "x", of_peer);
        let at = trio.network.at("x");
        let mut raw = Raw::connect(&*at, "a", hello).await.expect("a client may connect");
        raw.send(&ask(r#"{"ask":"leave"}"#)).await.expect("open");
        raw.wait_closed().await;
    }
    assert_eq!(trio.peer("a").status().size, 3);
}

#[tokio::test(start_paused = true)]
async fn documents_in_pieces_and_in_a_row_are_answered_in_order() {
    let network = InProcess::network();
    let _peer = alone(&network).await;
    let mut raw = lane(&network).await;
    for byte in ask(r#"{"ask":"stats"}"#) {
        raw.send(&[byte]).await.expect("open");
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(answer(&mut raw).await["ok"], true);
    // What is behind a look is read while it is answered, and answered then.
    let row = [
        ask(r#"{"ask":"events","since":1000,"wait_ms":1000}"#),
        ask(r#"{"ask":"priority","priority":3}"#),
        ask(r#"{"ask":"x"}"#),
    ];
    raw.send(&row.concat()).await.expect("open");
    assert_eq!(answer(&mut raw).await["answer"]["events"], json!([]));
    assert_eq!(answer(&mut raw).await["answer"]["priority"], 3);
    assert_eq!(answer(&mut raw).await["error"], "unknown_ask");
}

#[tokio::test(start_paused = true)]
async fn documents_that_nobody_can_read_are_refused() {
    let network = InProcess::network();
    let _peer = alone(&network).await;
    let mut raw = lane(&network).await;
    let deep = format!(r#"{{"ask":"status","x":{}"#, "[".repeat(60_000));
    let long = format!(r#"{{"ask":"leave","{}":1}}"#, "x".repeat(60_000));
    let wide = format!(r#"{{"ask":"status","x":[{}0]}}"#, "0,".repeat(30_000));
    for document in [
        "",
        " ",
        "null",
        "{",
        "{}",
        "[]",
        "\u{feff}{}",
        r#"{"ask":null}"#,
        r#"{"ask":"leave","ask":"status"}"#,
        r#"{"ask":"forget","peer":"b","peer":"c"}"#,
        r#"{"ask":"forget","peer":"\u0000"}"#,
        r#"{"ask":"priority","priority":1e3}"#,
        r#"{"ask":"priority","priority":99999999999999999999999999}"#,
        r#"{"ask":"events","since":-1}"#,
        r#"{"ask":"status"}{"ask":"leave"}"#,
        &deep,
        &wide,
        &long,
    ] {
        if document.is_empty() {
            continue;
        }
        raw.send(&ask(document)).await.expect("open");
        let answer = answer(&mut raw).await;
        assert!(answer.to_string().len() < 1_000, "{answer}");
        let shown: String = document.chars().take(60).collect();
        assert_eq!(answer["error"], "bad_request", "{shown}: {answer}");
        assert_eq!((&answer["ok"], &answer["effect"]), (&json!(false), &json!("none")), "{shown}");
    }
    // Not UTF-8.
    raw.send(&bytes(&Frame::AdminAsk(Bytes::from_static(b"{\"ask\":\"\xff\"}"))))
        .await
        .expect("open");
    assert_eq!(answer(&mut raw).await["error"], "bad_request");
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_no_answers_or_never_ends_its_ask_is_closed() {
    let network = InProcess::network();
    let _peer = alone(&network).await;
    let mut deaf = lane(&network).await;
    let asks: Vec<u8> = (0..20_000).flat_map(|_| ask(r#"{"ask":"status"}"#)).collect();
    let sent = deaf.send(&asks).await;
    assert!(sent.is_err(), "it is closed with most of it unread");
    let mut slow = lane(&network).await;
    slow.send(&header(kind::ADMIN_ASK, 100)).await.expect("open");
    sleep(Duration::from_secs(299)).await;
    slow.send(b"{").await.expect("open");
    sleep(Duration::from_secs(2)).await;
    slow.wait_closed().await;
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(lane(&network).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_is_no_admin_by_what_it_dials() {
    let network = InProcess::network();
    let mut listener = network.at("b").listen("b").await.expect("the address is free");
    let members = [("a", "a"), ("b", "b")];
    let peer = builder(&network, "a").members(members).start().await;
    let peer = peer.expect("the settings are valid");
    for _ in 0..3 {
        let incoming = listener.accept().await.expect("it dials");
        let mut stream = incoming.open.await.expect("it is open");
        let hello = raw::hello(&raw::group(&["a", "b"]), "b", Lane::Admin);
        let answer = [bytes(&Frame::Hello(hello)), ask(r#"{"ask":"leave"}"#)].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream.writer, &answer).await.expect("open");
        let mut rest = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream.reader, &mut rest).await;
        read.expect("it is closed");
        let (kind, length) = (rest[4], u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]));
        assert_eq!((kind, rest.len()), (kind::HELLO, length as usize + HEADER_BYTES));
    }
    assert!(peer.status().peers.iter().all(|peer| peer.link == quorate::Link::Down));
}

/// Whether or not peers may talk in plain text over a network.
#[tokio::test(start_paused = true)]
async fn in_plain_text_nobody_asks_from_another_machine() {
    for is_allowed in [false, true] {
        let network = InProcess::network();
        let setup = builder(&network, "a").members([("a", "a")]);
        let setup = setup.transport(Arc::new(Exposed(network.at("a"))));
        let setup = if is_allowed { setup.plaintext_allowed_on_network() } else { setup };
        let peer = setup.start().await.expect("the settings are valid");
        peer.wait_ready(LONG).await.expect("it is alone");
        let connect = |from: &str, group: &'static str| {
            let at = network.at(from);
            async move { Client::connect(at, "a", "alice", group).await }
        };
        for from in ["far", "lost"] {
            // Nor does it hear whether that is the group.
            for group in ["", "other"] {
                let error = connect(from, group).await.expect_err("it is elsewhere");
                let AdminError::NotLetIn { field, theirs, .. } = error else { panic!("{error}") };
                assert_eq!(field, "admin");
                assert_eq!(theirs, "open over TLS, and in plain text on this machine");
            }
        }
        let mut near = connect("near", "default").await.expect("it is on this machine");
        near.ask(&Ask::Status).await.expect("it answers");
        let refused: Vec<_> = peer.status().refusals.into_iter().map(|one| one.peer).collect();
        assert_eq!(refused, ["far", "lost"]);
    }
}
