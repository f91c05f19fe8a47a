//! Names that lead to several places, this peer itself among them; and what is told of links that
//! are down.

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate::transport::{BoxFuture, InProcess, Listener, Stream, Transport};
use quorate::{
    Event, Link, LinkErrorReason, Mode, Peer, PeerBuilder, PeerName, PeerRole, PeerStatus, Status,
};
use support::named::{NEVER, Names, named, named_tcp, names};
use support::{Counter, LONG, NAMES, Trio, add, builder, count, events, until};
use tokio::sync::watch;

/// A peer that knows one address, and nobody's name.
fn newcomer(network: &InProcess, name: &str, contact: &str, names: &Names) -> PeerBuilder {
    let builder = Peer::builder(name, Counter).tokio_clock().listen(name).join([contact]);
    builder.transport(named(network, name, names))
}

async fn start(builder: PeerBuilder) -> Peer {
    builder.start().await.expect("the settings are valid")
}

fn of<'a>(status: &'a Status, name: &str) -> &'a PeerStatus {
    status.peers.iter().find(|peer| peer.name.as_str() == name).expect("it is known")
}

/// Waits until a link is down for a reason; what is said of it.
async fn down(peer: &Peer, name: &str, reason: LinkErrorReason) -> String {
    let is_it = |status: &Status| {
        let found = status.peers.iter().find(|peer| peer.name.as_str() == name);
        let error = found.and_then(|peer| peer.link_error.as_ref());
        error.is_some_and(|error| error.reason == reason)
    };
    let status = until(peer, is_it).await;
    let found = of(&status, name);
    assert_eq!(found.link, Link::Down);
    found.link_error.as_ref().expect("it is down").detail.clone()
}

/// The name of a headless service leads to every peer of it, the new one included: it took the
/// first for a member, which was itself, and dialed it for ever.
#[tokio::test(start_paused = true)]
async fn a_joiner_passes_itself_by_where_a_name_leads_to_it_as_well() {
    for (places, contacts) in
        [(&["d", "a"][..], &["svc"][..]), (&["0d", "d", "b", "z"], &["svc"]), (&[], &["d", "a"])]
    {
        let trio = Trio::start(|builder| builder).await;
        let names = names(&[("svc", places)]);
        let d = newcomer(&trio.network, "d", "svc", &names).join(contacts.iter().copied());
        let d = start(d).await;
        until(&d, |status| status.role == PeerRole::Replica && status.size == 4).await;
        d.wait_ready(LONG).await.expect("there is a primary");
        assert_eq!(count(&d, "k").await, 0);
        for peer in trio.peers.iter().chain([&d]) {
            assert_eq!(peer.status().refusals, [], "at {}", peer.name());
            let told = |event: &Event| matches!(event, Event::ConfigMismatch { .. });
            assert!(!events(peer).iter().any(told), "{:?}", events(peer));
        }
    }
}

/// Where the name leads may be another place each time.
#[tokio::test(start_paused = true)]
async fn a_joiner_that_only_finds_itself_says_so_and_finds_the_others_later() {
    let trio = Trio::start(|builder| builder).await;
    let names = names(&[("svc", &["d"])]);
    let d = start(newcomer(&trio.network, "d", "svc", &names)).await;
    let is_told = |status: &Status| {
        let error = status.contacts.first().map(|contact| contact.link_error.reason);
        error == Some(LinkErrorReason::Oneself)
    };
    let status = until(&d, is_told).await;
    assert_eq!(status.contacts[0].address, "svc");
    assert_eq!(status.contacts[0].link_error.detail, "svc leads to this peer itself");
    assert_eq!(status.refusals, []);
    names.lock().insert("svc".into(), vec!["d".into(), "c".into()]);
    let status = until(&d, |status| status.role == PeerRole::Replica).await;
    assert_eq!(status.contacts, [], "nobody is looked for any more");
}

/// Two that are new meet each other first, and neither knows a member: they took each other for
/// enough, and looked no further.
#[tokio::test(start_paused = true)]
async fn newcomers_that_meet_each_other_go_on_looking_for_members() {
    let network = InProcess::network();
    let names = names(&[("svc", &["d", "e"])]);
    let d = start(newcomer(&network, "d", "svc", &names)).await;
    let e = start(newcomer(&network, "e", "svc", &names)).await;
    until(&d, |status| status.peers.iter().any(|peer| peer.link == Link::Up)).await;
    until(&e, |status| status.peers.iter().any(|peer| peer.link == Link::Up)).await;
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push(start(builder(&network, name)).await);
    }
    names.lock().insert("svc".into(), ["d", "e", "b", "c"].map(str::to_owned).to_vec());
    for peer in [&d, &e] {
        let status = until(peer, |s| s.role == PeerRole::Replica && s.size == 5).await;
        assert_eq!(status.refusals, []);
    }
}

/// All members have moved meanwhile, and it was connected to another newcomer, which it took for
/// enough.
#[tokio::test(start_paused = true)]
async fn a_client_that_has_lost_all_members_looks_for_them_again() {
    let mut trio = Trio::start(|builder| builder).await;
    let names = names(&[("svc", &["a"])]);
    let client = Peer::builder("x", Counter).tokio_clock().client().join(["svc"]);
    let client = start(client.transport(named(&trio.network, "x", &names))).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    for name in NAMES {
        trio.network.cut("x", name);
    }
    let _d = start(newcomer(&trio.network, "d", "nobody", &names)).await;
    names.lock().insert("svc".into(), vec!["d".into()]);
    until(&client, |s| s.peers.iter().any(|p| p.name.as_str() == "d" && p.link == Link::Up)).await;
    let mut addresses = NAMES.map(|name| (name, name.to_owned()));
    for (index, name) in NAMES.into_iter().enumerate() {
        trio.take(name).shutdown().await;
        let at = format!("{name}2");
        addresses[index].1.clone_from(&at);
        let moved = builder(&trio.network, name).members(addresses.clone()).advertise(&*at);
        trio.peers.push(start(moved.transport(trio.network.at(&at))).await);
        for peer in &trio.peers {
            let is_back = |peer: &&PeerStatus| peer.link == Link::Up && peer.is_member;
            until(peer, |s| s.quorum && s.peers.iter().filter(is_back).count() == 2).await;
        }
    }
    let status = client.status();
    assert_eq!((of(&status, "d").link, status.primary), (Link::Up, None));
    names.lock().insert("svc".into(), vec!["d".into(), "b2".into()]);
    client.wait_ready(LONG).await.expect("there is a primary");
    assert_eq!(count(&client, "k").await, 0);
}

/// It listens nowhere itself, and nobody is at some of them.
#[tokio::test(start_paused = true)]
async fn a_client_tries_every_place_where_a_name_leads() {
    let trio = Trio::start(|builder| builder).await;
    let names = names(&[("svc", &["nobody", "0", "a"])]);
    let client = Peer::builder("x", Counter).tokio_clock().client().join(["svc"]);
    let client = start(client.transport(named(&trio.network, "x", &names))).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    assert_eq!(count(&client, "k").await, 0);
    let listed = Peer::builder("y", Counter).tokio_clock().client().members([("a", "svc")]);
    let listed = start(listed.transport(named(&trio.network, "y", &names))).await;
    listed.wait_ready(LONG).await.expect("there is a primary");
    assert_eq!(count(&listed, "k").await, 0);
}

/// All members are listed at one name, which leads to all of them.
#[tokio::test(start_paused = true)]
async fn members_that_share_a_name_find_each_other_and_refuse_nobody() {
    let network = InProcess::network();
    let names = names(&[("svc:7101", &["a:7101", "b:7101", "c:7101"])]);
    let members = NAMES.map(|name| (name, "svc:7101"));
    let mut peers = Vec::new();
    for name in NAMES {
        let at = format!("{name}:7101");
        let transport = named_tcp(&network, &at, &names);
        let peer = builder(&network, name).members(members).listen(at);
        peers.push(start(peer.transport(transport)).await);
    }
    for peer in &peers {
        let is_up = |peer: &PeerStatus| peer.link == Link::Up && peer.link_error.is_none();
        let status = until(peer, |s| s.peers.iter().all(is_up) && s.quorum).await;
        assert_eq!((status.peers.len(), status.refusals.len()), (2, 0), "{status:#?}");
        peer.wait_ready(LONG).await.expect("three peers form a group");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_down_says_why() {
    let network = InProcess::network();
    let names = names(&[("b", &[]), ("svc", &["a", "d"]), ("f", &[NEVER])]);
    let members = [("a", "a"), ("b", "b"), ("c", "c"), ("d", "svc"), ("e", "e"), ("f", "f")];
    let builder = |name: &str| {
        let builder = Peer::builder(name, Counter).tokio_clock().members(members).listen(name);
        builder.transport(named(&network, name, &names))
    };
    network.cut("a", "e");
    let a = builder("a").start().await.expect("the settings are valid");
    let status = a.status();
    let reason = |name: &str| of(&status, name).link_error.as_ref().map(|error| error.reason);
    assert_eq!(reason("b"), Some(LinkErrorReason::NotTried));
    let said = down(&a, "b", LinkErrorReason::NameLookup).await;
    assert_eq!(said, "the name in b cannot be looked up: no such name");
    let said = down(&a, "f", LinkErrorReason::NameLookup).await;
    assert_eq!(said, "the name in f cannot be looked up: no answer within 5s");
    let said = down(&a, "c", LinkErrorReason::ConnectionRefused).await;
    assert_eq!(said, "nobody listens at c: connection refused");
    let said = down(&a, "e", LinkErrorReason::TimedOut).await;
    assert_eq!(said, "e has not answered within 5s");
    let other = Peer::builder("x", Counter).tokio_clock().members([("x", "d")]);
    let other = start(other.transport(network.at("d"))).await;
    let said = down(&a, "d", LinkErrorReason::OtherPeer).await;
    assert_eq!(said, "svc leads to x, and not to d");
    other.shutdown().await;
    let c = builder("c").mode(Mode::Relaxed).start().await.expect("the settings are valid");
    let said = down(&a, "c", LinkErrorReason::Refused).await;
    assert_eq!(said, "c: mode is strict here and relaxed there; set the same at all peers");
    c.shutdown().await;
    let c = builder("c").start().await.expect("the settings are valid");
    let status = until(&a, |status| of(status, "c").link == Link::Up).await;
    assert_eq!(of(&status, "c").link_error, None);
    let json = serde_json::to_value(of(&status, "c")).expect("it is plain data");
    assert_eq!((&json["link"], json.get("link_error")), (&"up".into(), None));
    c.shutdown().await;
    down(&a, "c", LinkErrorReason::ConnectionRefused).await;
    let status = a.status();
    let json = serde_json::to_value(of(&status, "c")).expect("it is plain data");
    assert_eq!(
        (&json["link"], &json["link_error"]["reason"]),
        (&"down".into(), &"connection_refused".into(),)
    );
    a.shutdown().await;
    let status = a.status();
    let error = of(&status, "c").link_error.as_ref().expect("it is down");
    assert_eq!(error.reason, LinkErrorReason::Ended);
}

/// A goodbye and a connection that only ends are told from one another.
#[tokio::test(start_paused = true)]
async fn a_link_that_was_up_says_how_it_went_down() {
    let mut trio = Trio::start(|builder| builder).await;
    let c = trio.take("c");
    let watched = trio.peer("a").clone();
    let stopped = tokio::spawn(async move { down(&watched, "c", LinkErrorReason::Stopped).await });
    c.shutdown().await;
    assert_eq!(stopped.await.expect("it is told"), "the peer has said that it ends");
    let watched = trio.peer("a").clone();
    let lost = tokio::spawn(async move { down(&watched, "b", LinkErrorReason::Closed).await });
    // It has to wait before the connection ends.
    tokio::task::yield_now().await;
    trio.crash("b").await;
    let said = lost.await.expect("it is told");
    assert!(said.starts_with("connection lost"), "{said}");
}

/// What it was before does not begin anew with each try.
#[tokio::test(start_paused = true)]
async fn a_link_says_since_when_it_is_down_for_that_reason() {
    let network = InProcess::network();
    let a = start(builder(&network, "a")).await;
    down(&a, "b", LinkErrorReason::ConnectionRefused).await;
    let times = || {
        let status = a.status();
        let error = of(&status, "b").link_error.clone().expect("it is down");
        (error.since_ms, error.last_ms)
    };
    let (since, _) = times();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (still_since, last) = times();
    assert_eq!(still_since, since);
    assert!(last >= since + 18_000, "{last} is the last of many tries since {since}");
}

/// What DNS says lags behind: for a while the name of a member that has moved leads to whoever was
/// given its place.
#[tokio::test(start_paused = true)]
async fn a_member_that_moves_is_linked_again_though_a_stranger_has_its_place() {
    let network = InProcess::network();
    let names = names(&[("a.svc", &["a1"]), ("b.svc", &["b1"]), ("c.svc", &["c1"])]);
    let members = NAMES.map(|name| (name, format!("{name}.svc")));
    let member = |name: &str, at: &str| {
        let peer = Peer::builder(name, Counter).tokio_clock().members(members.clone());
        let peer = peer.listen(at).advertise(format!("{name}.svc"));
        start(peer.transport(named(&network, at, &names)))
    };
    let (a, b, c) = (member("a", "a1").await, member("b", "b1").await, member("c", "c1").await);
    for peer in [&a, &b, &c] {
        until(peer, |status| status.is_counted && status.spare == 1).await;
    }
    add(&a, "k", 3).await.expect("decided");
    b.shutdown().await;
    let stranger = Peer::builder("z", Counter).tokio_clock().group("other");
    let stranger = stranger.members([("z", "b1")]).transport(network.at("b1"));
    let stranger = start(stranger).await;
    // A name that nobody has proved counts for nothing: it stands under the one that was dialed.
    let status = until(&a, |status| !status.refusals.is_empty()).await;
    let [refusal] = &status.refusals[..] else { panic!("{:#?}", status.refusals) };
    assert_eq!((&*refusal.peer, &*refusal.address, &*refusal.field), ("b", "b1", "group"));
    assert_eq!((&*refusal.ours, &*refusal.theirs), ("default", "other"));
    assert_eq!(of(&status, "b").link, Link::Down);
    names.lock().insert("b.svc".into(), vec!["b2".into()]);
    let began = tokio::time::Instant::now();
    let b = member("b", "b2").await;
    let status = until(&a, |status| of(status, "b").link == Link::Up).await;
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(status.refusals, [], "nobody has the place of a member any more");
    until(&b, |status| status.is_counted && status.is_current).await;
    assert_eq!(count(&b, "k").await, 3);
    assert_eq!(stranger.status().size, 1, "it has a group of its own");
}

/// Look-ups that are given up do not end: each holds a thread where names are looked up.
struct Hanging {
    network: Arc<dyn Transport>,
    /// How many look-ups of `b` have begun.
    begun: AtomicUsize,
    /// Whether the resolver answers.
    answers: watch::Receiver<bool>,
}

impl Transport for Hanging {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.network.connect(address, to)
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        if address == "b" {
            self.begun.fetch_add(1, Ordering::Relaxed);
        }
        let mut answers = self.answers.clone();
        Box::pin(async move {
            while address == "b" && !*answers.borrow_and_update() {
                answers.changed().await.map_err(io::Error::other)?;
            }
            Ok(vec![address.to_owned()])
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.network.is_private(address)
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_is_asked_once_for_each_lane() {
    let network = InProcess::network();
    let (answer, answers) = watch::channel(false);
    let hanging = Hanging { network: network.at("a"), begun: AtomicUsize::new(0), answers };
    let hanging = Arc::new(hanging);
    let a = start(builder(&network, "a").transport(hanging.clone())).await;
    let _c = start(builder(&network, "c")).await;
    let said = down(&a, "b", LinkErrorReason::NameLookup).await;
    assert_eq!(said, "the name in b cannot be looked up: no answer within 5s");
    tokio::time::sleep(Duration::from_secs(600)).await;
    // That for calls begins when the peer is linked.
    assert_eq!(hanging.begun.load(Ordering::Relaxed), 2, "control and data");
    let status = until(&a, |status| of(status, "c").link == Link::Up).await;
    assert_eq!(of(&status, "b").link, Link::Down);
    answer.send(true).expect("it is asked");
    let said = down(&a, "b", LinkErrorReason::ConnectionRefused).await;
    assert_eq!(said, "nobody listens at b: connection refused");
}
