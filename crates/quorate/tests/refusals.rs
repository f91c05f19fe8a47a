//! Peers that do not belong together refuse each other, and both say why; garbage on the port
//! costs nothing.

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{Hello, Refuse};
use quorate::transport::{BoxFuture, InProcess, Incoming, Listener, Stream, Tcp, Transport};
use quorate::{
    Bounds, ConfigError, DecideError, Event, GroupConfig, Mode, NoPrimaryReason, Peer, PeerBuilder,
    PeerKind, PeerName, Refusal, StartError,
};
use support::raw::{self, Raw};
use support::{Counter, LONG, NAMES, Trio, add, builder, count, events, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Starts `a` and `b` of the same network with different settings, and waits until both have
/// noted the difference.
async fn differ(
    field: &str,
    ours: impl Fn(PeerBuilder) -> PeerBuilder,
    theirs: impl Fn(PeerBuilder) -> PeerBuilder,
) -> [Refusal; 2] {
    let network = InProcess::network();
    let a = ours(builder(&network, "a")).start().await.expect("the settings are valid");
    let b = theirs(builder(&network, "b")).start().await.expect("the settings are valid");
    let refusal = async |peer: &Peer| {
        let has_refused = |s: &quorate::Status| s.refusals.iter().any(|r| r.field == field);
        let status = until(peer, has_refused).await;
        let found = status.refusals.into_iter().find(|refusal| refusal.field == field);
        found.expect("it was there a moment ago")
    };
    let refusals = [refusal(&a).await, refusal(&b).await];
    for peer in [&a, &b] {
        let link = &peer.status().peers[0].link;
        assert_eq!(*link, quorate::Link::Down);
        // Told once, however often it is tried.
        tokio::time::sleep(LONG).await;
        let told = events(peer);
        let told = told.iter().filter(|e| matches!(e, Event::ConfigMismatch { .. })).count();
        assert_eq!(told, 1, "{:#?}", events(peer));
    }
    refusals
}

fn values(refusal: &Refusal) -> (&str, &str) {
    (&refusal.ours, &refusal.theirs)
}

#[tokio::test(start_paused = true)]
async fn another_group_is_refused_by_name() {
    let [a, b] = differ("group", |a| a, |b| b.group("other")).await;
    assert_eq!(values(&a), ("default", "other"));
    assert_eq!(values(&b), ("other", "default"));
    assert_eq!((&*a.peer, &*b.peer), ("b", "a"));
}

#[tokio::test(start_paused = true)]
async fn different_settings_are_refused_with_both_values() {
    let [a, b] = differ("mode", |a| a, |b| b.mode(Mode::Relaxed)).await;
    assert_eq!(values(&a), ("strict", "relaxed"));
    assert_eq!(values(&b), ("relaxed", "strict"));
    let slow = Duration::from_secs(20);
    let [a, _] = differ("failure_timeout", |a| a, |b| b.failure_timeout(slow)).await;
    assert_eq!(values(&a), ("10s", "20s"));
    let pair = [("a", "a"), ("b", "b")];
    let [a, _] = differ("members", |a| a, |b| b.members(pair)).await;
    assert_eq!(values(&a), ("a,b,c", "a,b"));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_living_peer_is_refused() {
    let trio = Trio::start(|builder| builder).await;
    let alive = trio.peers[1].status();
    // A second process with the same name, elsewhere.
    let elsewhere = trio.network.at("elsewhere");
    let second = builder(&trio.network, "b").listen("elsewhere").transport(elsewhere);
    let second = second.start().await.expect("the settings are valid");
    let status = until(&second, |status| {
        status.refusals.iter().filter(|refusal| refusal.field == "peer").count() == 2
    })
    .await;
    let living = format!("held by a living peer (incarnation {})", alive.incarnation);
    for refusal in &status.refusals {
        assert_eq!(refusal.theirs, living, "{refusal:?}");
    }
    for peer in [&trio.peers[0], &trio.peers[2]] {
        let status = until(peer, |status| !status.refusals.is_empty()).await;
        let refusal = &status.refusals[0];
        assert_eq!((&*refusal.peer, &*refusal.field), ("b", "peer"));
        assert_eq!(refusal.ours, living);
        assert_eq!(refusal.theirs, format!("b (incarnation {})", status_of(&second)));
    }
    // The living one goes on.
    assert_eq!(count(&trio.peers[1], "k").await, 0);
    assert!(second.status().primary.is_none());
}

fn status_of(peer: &Peer) -> quorate::Incarnation {
    peer.status().incarnation
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_peer_go_when_it_is_let_in() {
    let network = InProcess::network();
    let a = builder(&network, "a").start().await.expect("the settings are valid");
    for (field, wrong) in [
        ("group", builder(&network, "b").group("other")),
        ("agreement", builder(&network, "b").agreement(1)),
    ] {
        let b = wrong.start().await.expect("the settings are valid");
        // What was mended goes at once; it stood there beside what was not.
        let status = until(&a, |status| status.refusals.iter().any(|r| r.field == field)).await;
        assert_eq!(status.refusals.len(), 1, "{:#?}", status.refusals);
        b.shutdown().await;
    }
    let b = builder(&network, "b").start().await.expect("the settings are valid");
    until(&a, |status| status.peers[0].link == quorate::Link::Up).await;
    for peer in [&a, &b] {
        assert_eq!(peer.status().refusals, []);
    }
}

/// They stood there for as long as nothing else happened.
#[tokio::test(start_paused = true)]
async fn refusals_of_a_peer_that_has_gone_end_and_those_that_go_on_do_not() {
    let network = InProcess::network();
    let a = builder(&network, "a").start().await.expect("the settings are valid");
    let _c = builder(&network, "c").agreement(1).start().await.expect("valid settings");
    let b = builder(&network, "b").group("other").start().await.expect("valid settings");
    let stranger = Peer::builder("x", Counter).tokio_clock().client().join(["a"]).group("other");
    let stranger = stranger.transport(network.at("evil")).start().await.expect("valid settings");
    until(&a, |status| status.refusals.len() == 3).await;
    let told = events(&a).len();
    b.shutdown().await;
    stranger.shutdown().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let refused: Vec<_> = a.status().refusals.into_iter().map(|refusal| refusal.peer).collect();
    assert_eq!(refused, ["c"]);
    tokio::time::sleep(LONG).await;
    let refused: Vec<_> = a.status().refusals.into_iter().map(|refusal| refusal.peer).collect();
    assert_eq!(refused, ["c"], "it goes on");
    let later = &events(&a)[told..];
    let of_b_or_c = |event: &Event| match event {
        Event::ConfigMismatch { peer, .. } => peer != "evil",
        _ => false,
    };
    assert!(!later.iter().any(of_b_or_c), "each is told once: {later:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_that_the_peer_is_refused_and_only_while_it_is() {
    let mut trio = Trio::start(|builder| builder).await;
    trio.crash("a").await;
    let a = builder(&trio.network, "a").group("other").start().await.expect("valid settings");
    let error = a.wait_ready(Duration::from_secs(5)).await.expect_err("it is refused");
    assert_eq!(error.reason, NoPrimaryReason::Refused);
    let error = add(&a, "k", 1).await.expect_err("there is no majority");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::Refused });
    assert!(error.to_string().contains("see `refusals`"), "{error}");
    // Without c nobody could make up a majority, whatever b does.
    trio.crash("c").await;
    tokio::time::sleep(LONG).await;
    let error = add(&a, "k", 1).await.expect_err("there is no majority");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum });
    // b refuses nobody but a, and lacks c as well.
    let error = add(trio.peer("b"), "k", 1).await.expect_err("there is no majority");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum });
}

/// Each name that somebody invented was an event, and pushed out what members had said.
#[tokio::test(start_paused = true)]
async fn a_stranger_with_many_names_is_one_stranger() {
    let network = InProcess::network();
    let a = builder(&network, "a").start().await.expect("the settings are valid");
    let b = builder(&network, "b").mode(Mode::Relaxed).start().await.expect("valid settings");
    until(&a, |status| status.refusals.iter().any(|refusal| refusal.peer == "b")).await;
    let mut strangers = Vec::new();
    for number in 0..50 {
        let stranger = Peer::builder(format!("n{number}"), Counter).tokio_clock();
        let stranger = stranger.transport(network.at("evil")).client().join(["a"]).group("x");
        strangers.push(stranger.start().await.expect("the settings are valid"));
    }
    for stranger in &strangers {
        until(stranger, |status| !status.refusals.is_empty()).await;
    }
    let kept: Vec<_> = a.status().refusals.into_iter().map(|refusal| refusal.peer).collect();
    assert_eq!(kept, ["b", "evil"]);
    let told = |event: &Event| matches!(event, Event::ConfigMismatch { .. });
    assert!(events(&a).iter().filter(|event| told(event)).count() <= 2, "{:?}", events(&a));
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_is_named() {
    let network = InProcess::network();
    // a believes that b is where c is.
    let swapped = [("a", "a"), ("b", "c"), ("c", "b")];
    let a = builder(&network, "a").members(swapped).start().await.expect("valid settings");
    let c = builder(&network, "c").start().await.expect("valid settings");
    let status = until(&a, |status| !status.refusals.is_empty()).await;
    let refusal = &status.refusals[0];
    assert_eq!((&*refusal.field, &*refusal.ours, &*refusal.theirs), ("to", "b", "c"));
    let status = until(&c, |status| !status.refusals.is_empty()).await;
    assert_eq!(status.refusals[0].field, "to");
}

#[tokio::test]
async fn plain_text_off_loopback_is_refused_with_the_way_out() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let own = free.local_addr().expect("it is bound");
    drop(free);
    let peer = || {
        let members = [("a", own.to_string()), ("b", "127.0.0.1:2".to_owned())];
        Peer::builder("a", Counter).members(members).listen(format!("0.0.0.0:{}", own.port()))
    };
    let error = peer().start().await.expect_err("it is off loopback");
    assert!(matches!(error, StartError::PlaintextOffLoopback { .. }), "{error}");
    assert!(error.to_string().contains("plaintext_allowed_on_network"), "{error}");
    let dialing = Peer::builder("a", Counter)
        .members([("a", "127.0.0.1:7101"), ("b", "192.0.2.1:7102")])
        .start();
    let error = dialing.await.expect_err("b is off loopback");
    assert!(matches!(error, StartError::PlaintextOffLoopback { .. }), "{error}");
    peer().plaintext_allowed_on_network().start().await.expect("it is allowed");
}

#[tokio::test]
async fn unusable_settings_are_all_named_and_a_taken_address_is_too() {
    let start = Peer::builder("nobody", Counter)
        .members([("a", "127.0.0.1:1")])
        .bounds(Bounds { max_piece_bytes: 1, ..Bounds::default() })
        .start();
    let Err(StartError::Config(errors)) = start.await else { panic!("two rules are broken") };
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(matches!(&errors[0], ConfigError::NotListed { .. }));
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let error = Peer::builder("a", Counter).members([("a", &*address)]).start().await;
    let error = error.expect_err("the address is taken");
    let cause = std::error::Error::source(&error).expect("what the system says");
    let said = format!("cannot listen on {address}: {cause}; another process listens there");
    assert!(error.to_string().starts_with(&said), "{error}");
}

#[tokio::test]
async fn unusable_addresses_are_named_before_anything_is_started() {
    let members = [("a", "127.0.0.1:1"), ("b", "127.0.0.1:1"), ("c", "localhost")];
    let start = Peer::builder("a", Counter).members(members);
    let start = start.listen("127.0.0.1:0").advertise("[::]:7101").start();
    let error = start.await.expect_err("four rules are broken").to_string();
    assert!(error.contains("a and b are both at 127.0.0.1:1: give each"), "{error}");
    for said in [
        r#"the address "localhost" of c in `.members(..)` has no port: use"#,
        r#"the address "127.0.0.1:0" in `.listen(..)` has port 0, which nobody can reach"#,
        r#"the address "[::]:7101" in `.advertise(..)` stands for every interface"#,
    ] {
        assert!(error.contains(said), "{error}");
    }
    let network = InProcess::network();
    let twice = builder(&network, "a").members([("a", "x"), ("b", "x")]).start().await;
    let Err(StartError::Config(errors)) = twice else { panic!("two members have one address") };
    assert!(matches!(&errors[..], [ConfigError::SameAddress { .. }]), "{errors:?}");
}

/// One that comes again and again under names that it makes up.
#[tokio::test(start_paused = true)]
async fn one_stranger_fills_neither_the_refusals_nor_the_events() {
    let trio = Trio::start(|builder| builder).await;
    let a = trio.peer("a");
    let known = events(a).len();
    let knock = async |from: &str, hello: Hello| {
        let refused = Raw::refused(&*trio.network.at(from), "a", hello).await;
        refused.expect("it is refused in order")
    };
    // A peer that is refused for a cause is to be seen among them.
    let group = raw::group(&NAMES);
    let other = GroupConfig { mode: Mode::Relaxed, ..group.clone() };
    knock("somewhere", raw::hello(&other, "newcomer", Lane::Control)).await;
    for number in 0..1_000 {
        // In its own name, and in a member's, with a cause that is another each time.
        let other = GroupConfig { io_timeout: Duration::from_millis(number), ..group.clone() };
        let own = format!("z{number}");
        let cause = knock("mallory", raw::hello(&other, &own, Lane::Control)).await;
        assert_eq!(cause.field, "io_timeout");
        let hello = Hello { kind: PeerKind::Member, ..raw::hello(&other, "b", Lane::Control) };
        knock("mallory", hello).await;
        let verdict = Refuse { field: format!("f{number}"), ours: "x".into(), theirs: "y".into() };
        let hello = raw::hello(&group, &own, Lane::Control);
        Raw::refuse(&*trio.network.at("mallory"), "a", hello, verdict).await.expect("it listens");
    }
    let refusals = a.status().refusals;
    assert!(refusals.len() < 32, "{} refusals", refusals.len());
    assert!(refusals.iter().any(|refusal| refusal.peer == "somewhere"), "{refusals:#?}");
    let told = events(a).len() - known;
    assert!(told < 64, "{told} events");
}

/// Clients are nobody's doing: what they cause does not push out what a member did.
#[tokio::test(start_paused = true)]
async fn clients_that_come_and_go_push_no_other_event_out() {
    let trio = Trio::start(|builder| builder).await;
    let a = trio.peer("a");
    let before = events(a);
    assert!(before.iter().any(|event| matches!(event, Event::Founded { .. })) || before.len() > 3);
    for number in 0..1_500 {
        let name = format!("x{number}");
        let hello = |lane| raw::hello(&raw::group(&NAMES), &name, lane);
        let at = trio.network.at("mallory");
        let control = Raw::connect(&*at, "a", hello(Lane::Control)).await.expect("it is let in");
        let data = Raw::connect(&*at, "a", hello(Lane::Data)).await.expect("it is let in");
        until(a, |status| status.peers.iter().any(|peer| peer.name.as_str() == name)).await;
        drop((control, data));
    }
    let status = until(a, |status| status.connections.open < 10).await;
    assert!(status.peers.len() < 10, "nothing is kept of them");
    let after = events(a);
    assert_eq!(after[..before.len()], before, "what has happened to the group is still there");
    let stats = a.stats();
    assert!(stats.links_made > 1_000, "all are counted");
    assert!(stats.events_omitted > 1_000 && after.len() < 600, "{} events", after.len());
}

/// A peer on real TCP, and its address.
async fn on_tcp(bounds: Bounds) -> (Peer, String) {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let peer = Peer::builder("a", Counter)
        .members([("a", &*address)])
        .failure_timeout(Duration::from_millis(400))
        .heartbeat(Duration::from_millis(50))
        .bounds(bounds)
        .start();
    let peer = peer.await.expect("the port is free");
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    (peer, address)
}

#[tokio::test]
async fn tls_on_a_plain_port_is_told_so_in_plain_text_and_named() {
    let (peer, address) = on_tcp(Bounds::default()).await;
    // The beginning of a ClientHello, in two pieces.
    for pieces in [[&[22, 3, 1, 2][..], &[0, 1, 0, 1, 252]], [&[22], &[3, 3, 0, 200, 1]]] {
        let mut stream = TcpStream::connect(&address).await.expect("it listens");
        stream.set_nodelay(true).expect("it is open");
        for piece in pieces {
            stream.write_all(piece).await.expect("the connection is new");
        }
        let mut said = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await;
        read.expect("it does not hang").expect("it is closed in order");
        let mut said = bytes::BytesMut::from(&said[..]);
        let frame =
            quorate::internal::wire::split(&mut said, 4096).expect("a frame").expect("all of it");
        let frame = quorate::internal::wire::decode(frame.0, frame.1).expect("a refusal");
        let quorate::internal::wire::Frame::Refuse(refuse) = frame else {
            panic!("not one: {frame:?}")
        };
        assert_eq!(
            (&*refuse.field, &*refuse.ours, &*refuse.theirs),
            ("tls", "off", "permissive or required")
        );
    }
    let status = peer.status();
    assert_eq!(status.refusals.len(), 1, "{status:?}");
    assert_eq!((&*status.refusals[0].peer, &*status.refusals[0].field), ("127.0.0.1", "tls"));
}

/// On a clock that stands still no handshake is overdue: what is closed is closed for the bound.
#[tokio::test(start_paused = true)]
async fn half_open_connections_are_bounded_and_make_room_when_they_are_overdue() {
    let network = InProcess::network();
    let bounds = Bounds { max_handshakes: 8, ..Bounds::default() };
    let peer = builder(&network, "a").members([("a", "a")]).bounds(bounds).start().await;
    let peer = peer.expect("the settings are valid");
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    let stranger = network.at("stranger");
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(stranger.connect("a", None).await.expect("it listens"));
    }
    // A quarter of them is taken: the next one of this address is closed, and the two are not.
    let mut third = stranger.connect("a", None).await.expect("it listens");
    let soon = Duration::from_millis(1);
    let read = tokio::time::timeout(soon, third.reader.read(&mut [0; 8])).await;
    assert!(matches!(read, Ok(Ok(0))), "{read:?}");
    for stream in &mut silent {
        let read = tokio::time::timeout(soon, stream.reader.read(&mut [0; 8])).await;
        assert!(read.is_err(), "it is waited for");
    }
    // Another address has its own part.
    let mut other = network.at("other").connect("a", None).await.expect("it listens");
    assert!(tokio::time::timeout(soon, other.reader.read(&mut [0; 8])).await.is_err());
    // Those that say nothing are closed when their handshake is overdue, and make room.
    for mut stream in silent {
        let read = tokio::time::timeout(LONG, stream.reader.read(&mut [0; 8])).await;
        assert!(matches!(read, Ok(Ok(0))), "{read:?}");
    }
    let mut next = stranger.connect("a", None).await.expect("it listens");
    assert!(tokio::time::timeout(soon, next.reader.read(&mut [0; 8])).await.is_err());
    assert_eq!(count(&peer, "k").await, 0);
}

#[tokio::test(start_paused = true)]
async fn places_are_kept_for_addresses_of_members() {
    let network = InProcess::network();
    let bounds = Bounds { max_handshakes: 8, ..Bounds::default() };
    let peer = builder(&network, "a").bounds(bounds).start().await;
    let peer = peer.expect("the settings are valid");
    let soon = Duration::from_millis(1);
    let mut held = Vec::new();
    let mut knock = async |from: &str| {
        let mut stream = network.at(from).connect("a", None).await.expect("it listens");
        let read = tokio::time::timeout(soon, stream.reader.read(&mut [0; 8])).await;
        held.push(stream);
        // Whoever is let in is waited for.
        read.is_err()
    };
    for host in 0..6 {
        assert!(knock(&format!("host{host}")).await, "there are six places for others");
    }
    assert!(!knock("host7").await);
    assert!(knock("b").await && knock("c").await, "and one for each member");
    assert!(!knock("b").await, "all are taken");
    let connections = peer.status().connections;
    assert_eq!((connections.handshakes, connections.max_handshakes), (8, 8));
    assert_eq!(peer.stats().turned_away, 2);
}

/// A network whose system has no more descriptors, as long as it is told so.
struct Exhausted {
    network: Arc<dyn Transport>,
    is_exhausted: Arc<AtomicBool>,
    failures: Arc<AtomicUsize>,
}

impl Exhausted {
    fn result(&self) -> io::Result<()> {
        if !self.is_exhausted.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        // What the system calls "too many open files".
        Err(io::Error::from_raw_os_error(24))
    }

    fn copy(&self) -> Self {
        let (is_exhausted, failures) = (self.is_exhausted.clone(), self.failures.clone());
        Self { network: self.network.clone(), is_exhausted, failures }
    }
}

impl Transport for Exhausted {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.network.listen(address).await?;
            Ok(Box::new(ExhaustedListener(listener, self.copy())) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            self.result()?;
            self.network.connect(address, to).await
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.network.is_private(address)
    }
}

struct ExhaustedListener(Box<dyn Listener>, Exhausted);

impl Listener for ExhaustedListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            self.1.result()?;
            self.0.accept().await
        })
    }
}

/// Neither the listener nor the links of members end with it, and nothing is tried without a pause.
#[tokio::test(start_paused = true)]
async fn a_peer_without_descriptors_waits_and_goes_on() {
    let network = InProcess::network();
    let (is_exhausted, failures) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let transport = |name| {
        let (is_exhausted, failures) = (is_exhausted.clone(), Arc::clone(&failures));
        Arc::new(Exhausted { network: network.at(name), is_exhausted, failures })
    };
    let mut peers = Vec::new();
    for name in NAMES {
        let peer = builder(&network, name).transport(transport(name)).start().await;
        peers.push(peer.expect("the settings are valid"));
    }
    for peer in &peers {
        peer.wait_ready(LONG).await.expect("three peers form a group");
    }
    is_exhausted.store(true, Ordering::Relaxed);
    // One is gone, and its next start finds no way in; the others go on over what is open.
    let [a, b, c] = peers.try_into().expect("there are three");
    drop(c);
    // The runtime drops its tasks before it runs this one again.
    tokio::task::yield_now().await;
    let c = builder(&network, "c").transport(transport("c")).start().await;
    let c = c.expect("the settings are valid");
    tokio::time::sleep(LONG).await;
    add(&a, "k", 1).await.expect("there is a primary");
    add(&b, "k", 1).await.expect("there is a primary");
    let failed = failures.load(Ordering::Relaxed);
    // Each tries to accept twenty times a second at most, and to connect once.
    assert!((60..3 * 25 * 60).contains(&failed), "{failed} failures in a minute");
    assert!(a.stats().accepts_failed <= 20 * 60 + 1);
    is_exhausted.store(false, Ordering::Relaxed);
    c.wait_ready(LONG).await.expect("it finds the others");
    assert_eq!(count(&c, "k").await, 2);
}

#[tokio::test]
async fn garbage_on_the_port_is_closed_and_leaves_nothing() {
    let (peer, address) = on_tcp(Bounds::default()).await;
    let huge_frame = [0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    let calls_without_hello = [0, 0, 0, 0, 4];
    let no_kind = [3, 0, 0, 0, 99, 1, 2, 3];
    let half_a_hello = [200, 0, 0, 0, 1, 1, 2, 3];
    let http = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    for garbage in
        [&huge_frame[..], &calls_without_hello, &no_kind, &half_a_hello, http, &[] as &[u8]]
    {
        let mut stream = TcpStream::connect(&address).await.expect("it listens");
        stream.write_all(garbage).await.expect("the connection is new");
        // Closed by the peer: at once, or when the handshake is overdue.
        let mut rest = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
        match read.expect("it does not hang") {
            Ok(_) => assert!(rest.is_empty(), "garbage is not answered"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }
    // On a busy machine its lease, of a third of a second, may have ended meanwhile.
    peer.wait_ready(LONG).await.expect("a group of one is ready");
    assert_eq!(count(&peer, "k").await, 0);
    assert!(peer.status().refusals.is_empty());
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed() {
    let (peer, address) = on_tcp(Bounds { max_connections: 2, ..Bounds::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(TcpStream::connect(&address).await.expect("it listens"));
    }
    // All are closed in the end: six for being too many, two for saying nothing.
    for stream in &mut streams {
        let mut byte = [0];
        let read = tokio::time::timeout(LONG, stream.read(&mut byte)).await;
        assert!(matches!(read.expect("it does not hang"), Ok(0) | Err(_)));
    }
    assert_eq!(count(&peer, "k").await, 0);
}

#[tokio::test]
async fn tcp_carries_bytes_between_its_ends() {
    let tcp = Tcp::default();
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let mut listener = tcp.listen(&address).await.expect("the port is free");
    let mut there = tcp.connect(&address, None).await.expect("it listens");
    let here = listener.accept().await.expect("someone has connected");
    let mut here = here.open.await.expect("nothing is left to do");
    there.writer.write_all(b"hello").await.expect("it is connected");
    drop(there);
    let mut bytes = Vec::new();
    here.reader.read_to_end(&mut bytes).await.expect("the other end has closed");
    assert_eq!(bytes, b"hello");
}

/// Two members of three are restarted in turn with a setting that differs. They are refused by
/// name, and the third, which has the counts, is not founded past: it has them when the change is
/// taken back.
#[tokio::test(start_paused = true)]
async fn a_rollout_of_a_setting_that_cannot_roll_loses_no_counts() {
    let mut trio = Trio::start(|builder| builder).await;
    for peer in &trio.peers {
        add(peer, "k", 20).await.expect("there is a primary");
    }
    let primary = trio.primary();
    let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != primary).collect();
    let slow = Duration::from_secs(20);
    for name in &others {
        trio.take(name).shutdown().await;
        let other = builder(&trio.network, name).failure_timeout(slow);
        trio.peers.push(other.start().await.expect("the settings are valid"));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    // As long as one likes: the holder is there, and is refused again and again.
    tokio::time::sleep(Duration::from_secs(300)).await;
    for name in &others {
        let status = trio.peer(name).status();
        assert_eq!(status.primary, None, "{name} founds nothing past it");
        let field = |refusal: &Refusal| refusal.field == "failure_timeout";
        assert!(status.refusals.iter().any(field), "{:?}", status.refusals);
    }
    for name in &others {
        trio.take(name).shutdown().await;
        let back = trio.start_one(name).await.expect("the settings are valid");
        trio.peers.push(back);
    }
    for name in NAMES {
        trio.peer(name).wait_ready(LONG).await.expect("the group is back");
        assert_eq!(count(trio.peer(name), "k").await, 60, "at {name}");
    }
}

/// A network in which one address cannot be dialed from here, as behind a firewall.
struct Firewalled {
    network: Arc<dyn Transport>,
    closed: &'static str,
}

impl Transport for Firewalled {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        if address == self.closed {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        self.network.connect(address, to)
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.network.is_private(address)
    }
}

/// The same where nobody but the holder can dial, in plain text: who accepted had neither dialed it
/// nor seen a proof of its name, and took it for anybody.
#[tokio::test(start_paused = true)]
async fn a_refused_holder_that_only_dials_is_not_founded_past_either() {
    let mut trio = Trio::start(|builder| builder).await;
    add(trio.peer("a"), "k", 20).await.expect("there is a primary");
    let slow = Duration::from_secs(20);
    for name in ["b", "c"] {
        trio.take(name).shutdown().await;
        let network = trio.network.at(name);
        let transport = Arc::new(Firewalled { network, closed: "a" });
        let other = builder(&trio.network, name).failure_timeout(slow).transport(transport);
        trio.peers.push(other.start().await.expect("the settings are valid"));
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    for name in ["b", "c"] {
        assert_eq!(trio.peer(name).status().primary, None, "{name} founds nothing past it");
    }
}

/// Somebody says in so many words that the data are to be given up.
#[tokio::test(start_paused = true)]
async fn a_group_is_founded_past_a_refused_member_when_that_is_asked_for() {
    let mut trio = Trio::start(|builder| builder).await;
    add(trio.peer("a"), "k", 20).await.expect("there is a primary");
    let slow = Duration::from_secs(20);
    for name in ["b", "c"] {
        trio.take(name).shutdown().await;
        let other = builder(&trio.network, name).failure_timeout(slow);
        trio.peers.push(other.start().await.expect("the settings are valid"));
    }
    tokio::time::sleep(LONG).await;
    assert_eq!(trio.peer("b").status().primary, None);
    trio.peer("b").found_new_group().await;
    until(trio.peer("b"), |status| status.primary.is_some()).await;
    assert_eq!(count(trio.peer("c"), "k").await, 0);
}
