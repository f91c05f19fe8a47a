//! Peers that ask and do not listen, or begin and do not end: what waits for them is bounded, they
//! are closed in time, and nobody else waits.

mod support;

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use quorate::internal::protocol::Standing;
use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{Frame, Hello, Merge};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Ballot, Bounds, Delta, GroupConfig, GroupTime, Mode, Peer, PeerBuilder, PeerKind,
    PeerStats, Position, Sequence, Term,
};
use support::raw::{self, Raw};
use support::{LONG, NAMES, Trio, add, builder, count, until};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// More than any peer is to take in for somebody who reads nothing.
const FAR_TOO_MUCH: usize = 8 * 1024 * 1024;
/// As long as nothing else happens.
const MOMENT: Duration = Duration::from_millis(100);
/// Of the peers here, their default.
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// A group of one.
async fn alone(network: &InProcess, setup: fn(PeerBuilder) -> PeerBuilder) -> Peer {
    let peer = setup(builder(network, "a").members([("a", "a")])).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    peer
}

/// A client of the group of one.
async fn client(network: &InProcess, name: &str, lane: Lane) -> Raw {
    let hello = raw::hello(&raw::group(&["a"]), name, lane);
    Raw::connect(&*network.at(name), "a", hello).await.expect("clients are let in")
}

/// Keeps the control lane of a client as a client does.
async fn heartbeats(network: &InProcess, name: &str) -> JoinHandle<()> {
    let mut control = client(network, name, Lane::Control).await;
    tokio::spawn(async move {
        for number in 0.. {
            if control.send(&raw::bytes(&raw::ping(number))).await.is_err() {
                return;
            }
            let pause = tokio::time::Instant::now() + Duration::from_secs(1);
            while let Ok(received) = tokio::time::timeout_at(pause, control.receive()).await {
                if received.is_err() {
                    return;
                }
            }
        }
    })
}

/// A client that only sends; what was sent, and what could not be.
struct Talker {
    raw: Raw,
    sent: usize,
    next: u32,
    rest: BytesMut,
}

impl Talker {
    fn new(raw: Raw) -> Self {
        Self { raw, sent: 0, next: 0, rest: BytesMut::new() }
    }

    /// Sends frames until no more is taken, or far too much.
    async fn talk(&mut self, mut frame: impl FnMut(u32) -> BytesMut) {
        while self.sent < FAR_TOO_MUCH && self.rest.is_empty() {
            self.rest = frame(self.next);
            self.next += 1;
            let taken = self.raw.send_some(&self.rest, MOMENT).await.expect("it is not closed");
            self.sent += taken;
            self.rest.advance(taken);
        }
    }
}

/// The calls of one frame.
const CALLS: u32 = 100;

fn calls(number: u32) -> BytesMut {
    raw::calls(number * CALLS..(number + 1) * CALLS, "k")
}

/// A client that sent calls and read nothing was answered all the same: the answers were kept for
/// it, 200 MiB of them in a second.
#[tokio::test(start_paused = true)]
async fn calls_are_not_taken_from_a_client_that_does_not_read_the_replies() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let mut client = Talker::new(client(&network, "x", Lane::Data).await);
    client.talk(calls).await;
    assert!(client.sent < FAR_TOO_MUCH / 2, "{} bytes were taken", client.sent);
    assert_eq!(peer.stats().reads_paused, 1);
    // Nobody else waits for it.
    add(&peer, "other", 1).await.expect("there is a primary");
    // What it was asked is answered, once and in order, when it reads.
    let (mut next, end) = (0, client.next * CALLS);
    while next < end {
        if next == end - CALLS {
            client.raw.send(&client.rest).await.expect("it is taken again");
        }
        for (reply, is_decided) in client.raw.receive_replies().await.expect("it is open") {
            assert_eq!((reply, is_decided), (next, true));
            next += 1;
        }
    }
    assert_eq!(count(&peer, "k").await, u64::from(end));
}

/// One frame of short calls may have twenty times as many as are looked at in one go.
#[tokio::test(start_paused = true)]
async fn one_frame_with_many_calls_is_bounded_like_many_frames() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| {
        builder.bounds(Bounds { max_reply_bytes: 64 * 1024, ..Bounds::default() })
    })
    .await;
    let mut client = client(&network, "x", Lane::Data).await;
    let frame = raw::calls(0..10_000, "k");
    client.send(&frame).await.expect("a frame fits into the other end's buffers");
    sleep(MOMENT).await;
    let decided = count(&peer, "k").await;
    assert!((1_000..5_000).contains(&decided), "{decided} are decided");
    let mut replies = 0;
    while replies < 10_000 {
        replies += client.receive_replies().await.expect("it is open").len();
    }
    assert_eq!(count(&peer, "k").await, 10_000);
}

/// A client of a group of three talks to one of them.
async fn talks_to(trio: &Trio, to: &str, group: &GroupConfig) -> Talker {
    let hello = raw::hello(group, "x", Lane::Data);
    let raw = Raw::connect(&*trio.network.at("x"), to, hello).await.expect("it is let in");
    let mut client = Talker::new(raw);
    client.talk(calls).await;
    assert!(client.sent < FAR_TOO_MUCH / 2, "{} bytes were taken", client.sent);
    client
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_replica_are_bounded_as_answers_are() {
    let trio = Trio::start(|builder| builder).await;
    let mut client = talks_to(&trio, &trio.a_replica(), &raw::group(&NAMES)).await;
    let replies = client.raw.receive_replies().await.expect("it is open");
    assert!(replies.iter().all(|(_, is_decided)| !is_decided));
}

/// Replies that wait for a majority are in no outbox yet.
#[tokio::test(start_paused = true)]
async fn replies_that_wait_for_a_majority_are_bounded_for_each_client() {
    let trio = Trio::start(|builder| builder.acknowledge(Acknowledge::Majority)).await;
    let primary = trio.primary();
    cut_off(&trio, &primary);
    let group = GroupConfig { acknowledge: Acknowledge::Majority, ..raw::group(&NAMES) };
    let mut client = talks_to(&trio, &primary, &group).await;
    // No client takes the places of all.
    let decided = trio.peer(&primary).status().unreplicated_units;
    assert!((5_000..20_000).contains(&decided), "{decided} units are decided");
    // They are answered when that is known, and the client is read again.
    heal(&trio, &primary);
    let replies = client.raw.receive_replies().await.expect("it is open");
    assert!(replies[0].1, "a majority holds it");
    client.raw.send(&client.rest).await.expect("it is taken again");
}

/// Also where callers need not wait but for the bound on what a failover may lose.
#[tokio::test(start_paused = true)]
async fn replies_that_wait_for_the_bound_on_losses_are_bounded_too() {
    let trio = Trio::start(|builder| {
        let bounds = Bounds { max_waiting_calls: 1_000, ..Bounds::default() };
        builder.max_unreplicated(10).bounds(bounds)
    })
    .await;
    let primary = trio.primary();
    cut_off(&trio, &primary);
    let group = GroupConfig { max_unreplicated: 10, ..raw::group(&NAMES) };
    let mut client = talks_to(&trio, &primary, &group).await;
    let decided = trio.peer(&primary).status().unreplicated_units;
    assert!((900..2_100).contains(&decided), "{decided} units are decided");
    // Those that found no place are refused, with nothing written.
    let mut last = client.raw.receive_replies().await.expect("it is open");
    while last.iter().all(|(_, is_decided)| *is_decided) {
        last = client.raw.receive_replies().await.expect("it is open");
    }
    assert!(trio.peer(&primary).stats().refused_for_waiting > 0);
}

/// A member's confirmations come behind its calls, over the same connection: were it not read while
/// they wait for a majority, there would be none.
#[tokio::test(start_paused = true)]
async fn calls_of_a_member_never_hold_up_the_majority_that_they_wait_for() {
    let mut trio = Trio::start(|builder| {
        let bounds = Bounds { max_reply_bytes: 64 * 1024, ..Bounds::default() };
        builder.acknowledge(Acknowledge::Majority).bounds(bounds)
    })
    .await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    let third = NAMES.into_iter().find(|name| *name != primary && *name != replica);
    trio.crash(third.expect("there are three")).await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..5_000 {
        let peer = trio.peer(&replica).clone();
        callers.spawn(async move { add(&peer, "k", 1).await.map(drop) });
    }
    let started = tokio::time::Instant::now();
    while let Some(ended) = callers.join_next().await {
        ended.expect("it does not panic").expect("a majority is there");
    }
    assert!(started.elapsed() < IO_TIMEOUT / 2, "{:?}", started.elapsed());
    assert_eq!(trio.peer(&primary).stats().refused_for_waiting, 0);
}

/// A merge of one local decision.
fn merge(number: u32) -> BytesMut {
    let delta = Delta { units: 1, ..Delta::default() };
    let entries = vec![(Bytes::from_static(b"k"), delta)];
    let number = u64::from(number) + 1;
    raw::bytes(&Frame::Merge(Merge { number, sealed_at: GroupTime(0), entries }))
}

/// A peer sends one merge at a time; each that was sent besides waited for a majority as well.
#[tokio::test(start_paused = true)]
async fn few_merges_of_one_peer_wait_for_a_majority() {
    let trio = Trio::start(|builder| builder.mode(Mode::Relaxed)).await;
    let primary = trio.primary();
    cut_off(&trio, &primary);
    let group = GroupConfig { mode: Mode::Relaxed, ..raw::group(&NAMES) };
    let hello = raw::hello(&group, "x", Lane::Data);
    let raw = Raw::connect(&*trio.network.at("x"), &primary, hello).await.expect("let in");
    let mut client = Talker::new(raw);
    client.talk(merge).await;
    assert!(client.sent < FAR_TOO_MUCH / 2, "{} bytes were taken", client.sent);
    let (kind, body) = client.raw.receive().await.expect("it is open");
    let Ok(Frame::MergeReply(reply)) = quorate::internal::wire::decode(kind, body) else {
        panic!("merges are answered, not frame {kind}");
    };
    assert!(!reply.ok && reply.number == 5, "the fifth is refused first: {reply:?}");
}

/// A group in which nobody decides alone refuses every merge, and says so: that is longer than the
/// merge.
#[tokio::test(start_paused = true)]
async fn merges_are_not_taken_from_a_client_that_does_not_read_why_they_are_refused() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder.mode(Mode::Strict)).await;
    let mut client = Talker::new(client(&network, "x", Lane::Data).await);
    client.talk(merge).await;
    assert!(client.sent < FAR_TOO_MUCH / 2, "{} bytes were taken", client.sent);
    assert_eq!(peer.stats().reads_paused, 1);
    add(&peer, "other", 1).await.expect("there is a primary");
}

/// A peer that says too much of itself keeps nobody from the event loop, and what it is answered is
/// bounded.
#[tokio::test(start_paused = true)]
async fn a_flood_of_heartbeats_is_taken_at_a_pace() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let _data = client(&network, "x", Lane::Data).await;
    let mut control = Talker::new(client(&network, "x", Lane::Control).await);
    control.talk(|number| raw::bytes(&raw::ping(number.into()))).await;
    assert!(control.sent < FAR_TOO_MUCH / 2, "{} bytes were taken", control.sent);
    assert!(peer.stats().reads_paused > 0);
    // It is heard all the same, and so never silent.
    for _ in 0..LONG.as_secs() {
        let taken = control.raw.send_some(&control.rest, Duration::from_secs(1)).await;
        control.rest.advance(taken.expect("it is not closed"));
        if control.rest.is_empty() {
            control.rest = raw::bytes(&raw::ping(0));
        }
    }
    until(&peer, |status| status.peers.iter().any(|peer| peer.link == quorate::Link::Up)).await;
    add(&peer, "k", 1).await.expect("there is a primary");
}

/// How often connections were closed, by why: for taking nothing, and for a frame without an end.
fn closed(stats: &PeerStats) -> (u64, u64) {
    (stats.closed_not_taking, stats.closed_unfinished)
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_other_end_takes_nothing_is_closed_in_time() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let control = heartbeats(&network, "x").await;
    let mut client = Talker::new(client(&network, "x", Lane::Data).await);
    client.talk(calls).await;
    sleep(IO_TIMEOUT - Duration::from_secs(1)).await;
    assert_eq!(closed(&peer.stats()), (0, 0), "it has its time");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(closed(&peer.stats()), (1, 0));
    client.raw.wait_closed().await;
    assert_eq!(peer.status().connections.buffered_bytes, 0);
    assert!(!control.is_finished(), "the other lane is heard");
}

/// Slow is not stalled.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_other_end_takes_a_little_is_kept() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let _control = heartbeats(&network, "x").await;
    let mut client = Talker::new(client(&network, "x", Lane::Data).await);
    client.talk(calls).await;
    for _ in 0..10 {
        sleep(IO_TIMEOUT / 2).await;
        // What has come besides is not asked for.
        client.raw.receive_some(1).await.expect("it is open");
    }
    assert_eq!(closed(&peer.stats()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_end_is_not_waited_for() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let _control = heartbeats(&network, "x").await;
    let mut client = client(&network, "x", Lane::Data).await;
    let frame = raw::calls(0..CALLS, "k");
    let (half, rest) = frame.split_at(frame.len() / 2);
    // One that takes its time is read.
    for byte in half {
        client.send(&[*byte]).await.expect("it is open");
        sleep(IO_TIMEOUT / 2 / half.len() as u32).await;
    }
    client.send(rest).await.expect("it is open");
    assert_eq!(client.receive_replies().await.expect("it is open").len(), CALLS as usize);
    // One that comes byte by byte, for ever, is not.
    let trickle = async {
        for byte in &frame {
            if client.send(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(2 * IO_TIMEOUT, trickle).await.expect("it is closed");
    assert_eq!(closed(&peer.stats()), (0, 1));
}

/// A client that reads is not held up by its own speed, and not by those who do not read.
#[tokio::test(start_paused = true)]
async fn a_fast_client_is_answered_whatever_others_do() {
    let network = InProcess::network();
    let peer = alone(&network, |builder| builder).await;
    let mut deaf = Talker::new(client(&network, "deaf", Lane::Data).await);
    deaf.talk(calls).await;
    let mut fast = client(&network, "fast", Lane::Data).await;
    let frames: u32 = 500;
    let mut all = BytesMut::new();
    for number in 0..frames {
        all.unsplit(raw::calls(number * CALLS..(number + 1) * CALLS, "fast"));
    }
    let mut replies = 0;
    while !all.is_empty() {
        let taken = fast.send_some(&all, Duration::from_millis(1)).await.expect("it is open");
        all.advance(taken);
        while let Ok(some) = timeout(Duration::from_millis(1), fast.receive_replies()).await {
            replies += some.expect("it is open").len();
        }
    }
    assert_eq!(replies, (frames * CALLS) as usize);
    assert_eq!(count(&peer, "fast").await, u64::from(frames * CALLS));
}

/// How many bytes are held for forty guests that send calls and read nothing, and how many of them
/// were closed. `hello` is what each says of itself.
async fn held_for_many(
    network: &InProcess,
    peer: &Peer,
    hello: impl Fn(Hello) -> Hello,
) -> (usize, u64) {
    let mut greedy = Vec::new();
    for number in 0..40 {
        let name = format!("x{number}");
        let hello = hello(raw::hello(&raw::group(&["a"]), &name, Lane::Data));
        let raw = Raw::connect(&*network.at(&name), "a", hello).await.expect("it is let in");
        let mut client = Talker::new(raw);
        let talking = async {
            while client.sent < FAR_TOO_MUCH && client.rest.is_empty() {
                client.rest = calls(client.next);
                client.next += 1;
                let taken = client.raw.send_some(&client.rest, MOMENT).await?;
                client.sent += taken;
                client.rest.advance(taken);
            }
            std::io::Result::Ok(())
        };
        // Closed, or not read any more.
        let _ = talking.await;
        greedy.push(client);
    }
    (peer.status().connections.buffered_bytes, peer.stats().closed_crowded)
}

/// A peer that lets guests hold 2 MiB.
async fn narrow(network: &InProcess) -> Peer {
    let setup = |builder: PeerBuilder| {
        let max_buffered_bytes = 2 * 1024 * 1024;
        builder.bounds(Bounds { max_connections: 64, max_buffered_bytes, ..Bounds::default() })
    };
    alone(network, setup).await
}

/// Each keeps to its own bound, and there are many.
#[tokio::test(start_paused = true)]
async fn guests_that_hold_much_are_closed_when_all_of_them_hold_too_much() {
    let network = InProcess::network();
    let peer = narrow(&network).await;
    let mut quiet = client(&network, "quiet", Lane::Data).await;
    let (held, closed) = held_for_many(&network, &peer, |hello| hello).await;
    assert!((1..4 * 1024 * 1024).contains(&held), "guests hold {held} bytes");
    assert!(closed > 30, "{:?}", peer.stats());
    // Who holds little is none of them.
    quiet.send(&raw::calls(0..1, "quiet")).await.expect("it is open");
    assert_eq!(quiet.receive_replies().await.expect("it is open"), [(0, true)]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(peer.status().connections.buffered_bytes, 0);
}

/// What it says of itself made it one, and nothing of what it held was counted: a member that
/// stands further is let in, whoever it is.
#[tokio::test(start_paused = true)]
async fn whoever_says_that_it_is_a_member_is_a_guest() {
    let network = InProcess::network();
    let peer = narrow(&network).await;
    let generation = peer.status().generation;
    let further = |hello| {
        let position = Position {
            ballot: Ballot { generation, term: Term(1_000) },
            sequence: Sequence(1 << 60),
        };
        let standing = Standing { position, generations: vec![generation] };
        Hello { kind: PeerKind::Member, has_state: true, standing, ..hello }
    };
    let (held, closed) = held_for_many(&network, &peer, further).await;
    assert!((1..4 * 1024 * 1024).contains(&held), "guests hold {held} bytes");
    assert!(closed > 30, "{:?}", peer.stats());
}

fn cut_off(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.cut(name, other);
    }
}

fn heal(trio: &Trio, name: &str) {
    for other in NAMES.into_iter().filter(|other| *other != name) {
        trio.network.heal(name, other);
    }
}
