//! Members come and go, are found at new addresses, and clients use the group without being any.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate::internal::protocol::message::{Lane, Message};
use quorate::internal::wire::{Frame, Hello};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, AddressFault, AddressGiven, ConfigError, Event, Link, Member, Mode, Peer,
    PeerBuilder, PeerKind, PeerRole, Position, RemoveError, Sequence, StartError, Status,
    SwitchError,
};
use support::raw::{self, Raw};
use support::{Counter, LONG, NAMES, Trio, add, builder, count, events, members, until};

/// A peer that is on nobody's list.
fn stranger(network: &InProcess, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter).transport(network.at(name)).tokio_clock()
}

/// A joiner that knows the address of one member.
fn joiner(network: &InProcess, name: &str, contact: &str) -> PeerBuilder {
    stranger(network, name).listen(name).join([contact])
}

fn client(network: &InProcess, name: &str) -> PeerBuilder {
    stranger(network, name).client().members(NAMES.map(|name| (name, name)))
}

async fn start(builder: PeerBuilder) -> Peer {
    builder.start().await.expect("the settings are valid")
}

/// Waits until a peer knows these members, all of them counted.
async fn until_members(peer: &Peer, names: &str) -> Status {
    until(peer, |status| {
        members(status) == names && status.members.iter().all(|member| member.is_counted)
    })
    .await
}

fn majority(builder: PeerBuilder) -> PeerBuilder {
    builder.acknowledge(Acknowledge::Majority)
}

/// Calls a peer one after the other until it is told to stop; counts what was decided, and what may
/// have been.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    decided: AtomicU64,
    unknown: AtomicU64,
}

impl Load {
    async fn run(self: Arc<Self>, peer: Peer) {
        while !self.is_over.load(Ordering::Relaxed) {
            match add(&peer, "k", 1).await {
                Ok(_) => self.decided.fetch_add(1, Ordering::Relaxed),
                Err(quorate::DecideError::OutcomeUnknown { .. }) => {
                    self.unknown.fetch_add(1, Ordering::Relaxed)
                }
                Err(_) => 0,
            };
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fourth_peer_joins_under_load_and_the_primary_leaves() {
    let mut trio = Trio::start(majority).await;
    let load = Arc::new(Load::default());
    let calls = trio.peers.iter().map(|peer| tokio::spawn(load.clone().run(peer.clone())));
    let calls: Vec<_> = calls.collect();
    let d = start(majority(joiner(&trio.network, "d", "b"))).await;
    for peer in trio.peers.iter().chain([&d]) {
        until_members(peer, "abcd").await;
    }
    let added = Event::MemberAdded { peer: "d".into(), members: 4 };
    // It is told when the change is over, a moment after the members are seen.
    until(trio.peer("a"), |_| events(trio.peer("a")).contains(&added)).await;
    let first = trio.primary();
    trio.peer(&first).leave().await.expect("it hands over first");
    let rest = "abcd".replace(&first, "");
    for peer in trio.peers.iter().chain([&d]).filter(|peer| peer.name().as_str() != first) {
        until_members(peer, &rest).await;
        let removed = Event::MemberRemoved { peer: first.as_str().into() };
        assert!(events(peer).contains(&removed), "{}", peer.name());
    }
    until(trio.peer(&first), |status| status.role == PeerRole::Removed).await;
    load.is_over.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.expect("a caller does not panic");
    }
    // The one that has left is in nobody's way, and the counts are exact.
    let left = trio.take(&first);
    left.shutdown().await;
    let (decided, unknown) = (load.decided.load(Ordering::Relaxed), &load.unknown);
    let counted = count(&d, "k").await;
    let most = decided + unknown.load(Ordering::Relaxed);
    assert!((decided..=most).contains(&counted), "{counted} of {decided} to {most}");
    assert!(decided > 100, "{decided}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_is_refused_by_name_and_may_join_anew() {
    let mut trio = Trio::start(|builder| builder).await;
    let name = trio.a_replica();
    trio.peer(&name).leave().await.expect("the others are a majority");
    trio.take(&name).shutdown().await;
    let back = start(builder(&trio.network, &name)).await;
    let removed = format!("{name} was removed from the group: it may join as a new one");
    until(&back, |status| status.refusals.iter().any(|refusal| refusal.theirs == removed)).await;
    assert_eq!(back.status().primary, None);
    drop(back);
    tokio::task::yield_now().await;
    let contact = trio.peers[0].name().to_string();
    let again = start(joiner(&trio.network, &name, &contact)).await;
    until_members(&again, "abc").await;
    until_members(&trio.peers[0], "abc").await;
}

#[tokio::test(start_paused = true)]
async fn peers_that_left_and_start_with_their_old_list_found_no_group_beside() {
    let mut trio = Trio::start(|builder| builder).await;
    let d = start(joiner(&trio.network, "d", "a")).await;
    until_members(&d, "abcd").await;
    for name in ["a", "b"] {
        trio.peer(name).leave().await.expect("the others are a majority");
        trio.take(name).shutdown().await;
    }
    // Two of the three on their list; c is the third, and refuses them.
    let old = [start(builder(&trio.network, "a")).await, start(builder(&trio.network, "b")).await];
    tokio::time::sleep(LONG).await;
    for peer in &old {
        let status = peer.status();
        assert_eq!((status.primary, status.group_id), (None, None), "{}", peer.name());
        assert!(status.refusals.iter().any(|r| r.peer == "c" && r.field == "member"));
    }
    until_members(&d, "cd").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_away_lets_in_who_has_come_since() {
    let trio = Trio::start(|builder| builder).await;
    let away = trio.a_replica();
    let rest: Vec<&str> = NAMES.into_iter().filter(|name| *name != away).collect();
    for name in [rest[0], rest[1], "d"] {
        trio.network.cut(&away, name);
    }
    let d = start(joiner(&trio.network, "d", rest[0])).await;
    until_members(&d, "abcd").await;
    drop(d);
    tokio::task::yield_now().await;
    // It is a member like any other now, and says so. Two of four are left of those that counted:
    // they begin a new generation with it, and it becomes the primary.
    let all = ["a", "b", "c", "d"].map(|name| (name, name));
    let d = start(builder(&trio.network, "d").members(all)).await;
    let mut switched = Err(SwitchError::NotReady { to: None });
    let is_early = |error: &SwitchError| {
        use SwitchError::{LeaseEnded, NotConnected, NotReady};
        matches!(error, NotReady { .. } | NotConnected { .. } | LeaseEnded)
    };
    while switched.as_ref().is_err_and(is_early) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let primary = until(&d, |status| status.primary.is_some()).await.primary;
        let primary = primary.expect("there is one");
        switched = trio.peer(primary.as_str()).switch_primary("d").await;
    }
    switched.expect("it is there");
    add(&d, "k", 3).await.expect("decided");
    let outside = trio.peer(&away).status();
    assert_eq!((members(&outside).as_str(), outside.primary), ("abc", None));
    for name in [rest[0], rest[1], "d"] {
        trio.network.heal(&away, name);
    }
    until(trio.peer(&away), |s| s.primary.as_ref().is_some_and(|p| p.as_str() == "d")).await;
    until_members(trio.peer(&away), "abcd").await;
    assert_eq!(count(trio.peer(&away), "k").await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_peer_counts_until_it_is_forgotten() {
    let mut trio = Trio::start(|builder| builder).await;
    let (gone, primary) = (trio.a_replica(), trio.primary());
    let alive = trio.peer(&primary).forget(gone.as_str()).await;
    assert_eq!(alive, Err(RemoveError::Alive { peer: gone.as_str().into() }));
    trio.crash(&gone).await;
    let asked = trio.a_replica();
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.name.as_str() == gone && peer.link == Link::Down)
    })
    .await;
    trio.peer(&asked).forget(gone.as_str()).await.expect("asked of any peer");
    until_members(trio.peer(&primary), &"abc".replace(&gone, "")).await;
    let stranger = trio.peer(&asked).forget("z").await;
    assert_eq!(stranger, Err(RemoveError::NotMember { peer: "z".into() }));
    // Two are left: one of them leaves, and the last one is a group by itself.
    trio.peer(&asked).leave().await.expect("two of two are there");
    trio.crash(&asked).await;
    until_members(trio.peer(&primary), &primary).await;
    assert_eq!(add(trio.peer(&primary), "k", 3).await.expect("alone").answer.words[0], 3);
    let last = trio.peer(&primary).leave().await;
    assert_eq!(last, Err(RemoveError::LastMember { peer: primary.as_str().into() }));
}

#[tokio::test(start_paused = true)]
async fn a_removal_without_a_majority_ends_with_an_error() {
    let mut trio = Trio::start(|b| b.io_timeout(Duration::from_secs(5))).await;
    let primary = trio.primary();
    for name in NAMES.into_iter().filter(|name| *name != primary) {
        trio.crash(name).await;
    }
    let gone = NAMES.into_iter().find(|name| *name != primary).expect("two have gone");
    let error = trio.peer(&primary).forget(gone).await.expect_err("one of three");
    assert!(
        matches!(error, RemoveError::NotBegun { .. } | RemoveError::NoPrimary { .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn everyone_is_replaced_one_by_one_under_other_names() {
    let mut trio = Trio::start(majority).await;
    add(&trio.peers[0], "k", 7).await.expect("decided");
    let mut contact = "c".to_owned();
    for (old, new) in [("a", "d"), ("b", "e"), ("c", "f")] {
        let joined = start(majority(joiner(&trio.network, new, &contact))).await;
        until(&joined, |status| status.role == PeerRole::Replica).await;
        joined.wait_ready(LONG).await.expect("there is a primary");
        trio.peers.push(joined);
        trio.peer(old).leave().await.expect("the others are a majority");
        trio.take(old).shutdown().await;
        contact = new.to_owned();
    }
    for peer in &trio.peers {
        until_members(peer, "def").await;
        assert_eq!(count(peer, "k").await, 7);
    }
    // None of them is on a list, and each dials the others.
    let primary = trio.primary();
    trio.crash(&primary).await;
    for peer in &trio.peers {
        until(peer, |s| s.primary.as_ref().is_some_and(|p| p.as_str() != primary)).await;
        assert_eq!(count(peer, "k").await, 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_followed_to_its_new_address() {
    let mut trio = Trio::start(|builder| builder).await;
    let moved = trio.a_replica();
    trio.crash(&moved).await;
    let there = trio.network.at("elsewhere");
    let peer = builder(&trio.network, &moved).transport(there).advertise("elsewhere");
    trio.peers.push(start(peer.listen("elsewhere")).await);
    for peer in &trio.peers {
        let status = until(peer, |status| {
            let mut members = status.members.iter();
            members.any(|m| m.name.as_str() == moved && m.address == "elsewhere" && m.is_counted)
        });
        status.await;
    }
    // One that was started before dials it there.
    let at = trio.peers[0].status().peers.into_iter().find(|p| p.name.as_str() == moved);
    assert_eq!(at.expect("a member").address, "elsewhere");
}

/// The others went on telling clients and joiners where it had been, as their own settings say, and
/// once it was primary none of those could call it.
#[tokio::test(start_paused = true)]
async fn a_peer_whose_place_in_its_own_list_is_another_is_found_there_by_all() {
    let mut trio = Trio::start(|builder| builder).await;
    let moved = trio.a_replica();
    let other = NAMES.into_iter().find(|name| *name != moved).expect("three");
    let client = Peer::builder("x", Counter).client().join([other]).tokio_clock();
    let client = start(client.transport(trio.network.at("x"))).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    trio.take(&moved).shutdown().await;
    let there = trio.network.at("elsewhere");
    let place = |name| (name, if name == moved { "elsewhere" } else { name });
    let peer = builder(&trio.network, &moved).transport(there).members(NAMES.map(place));
    trio.peers.push(start(peer).await);
    for peer in trio.peers.iter().chain([&client]) {
        let status = until(peer, |status| {
            let mut members = status.members.iter();
            members.any(|m| m.name.as_str() == moved && m.address == "elsewhere" && m.is_counted)
        });
        status.await;
    }
    let back = trio.peer(&moved);
    until(back, |status| status.is_counted && status.is_current).await;
    back.switch_primary(&*moved).await.expect("it counts");
    let joiner = Peer::builder("d", Counter).listen("d").join([other]).tokio_clock();
    let joiner = start(joiner.transport(trio.network.at("d"))).await;
    for peer in [&client, &joiner] {
        peer.wait_ready(LONG).await.expect("they are told where the primary is");
        add(peer, "k", 1).await.expect("decided");
        assert_eq!(peer.status().primary.expect("it decides").as_str(), moved);
    }
}

#[tokio::test(start_paused = true)]
async fn a_priority_is_set_live() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    trio.peer(&replica).set_priority(3).await;
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|p| p.name.as_str() == replica && p.priority == Some(3))
    })
    .await;
    assert_eq!(trio.primary(), primary, "it stays");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_use_the_group_and_follow_a_failover() {
    let mut trio = Trio::start(majority).await;
    let mut clients = Vec::new();
    for number in 0..100 {
        clients.push(start(majority(client(&trio.network, &format!("client-{number}")))).await);
    }
    for client in &clients {
        let status = client.wait_ready(LONG).await.expect("there is a primary");
        assert_eq!((status.role, status.cells), (PeerRole::Client, 0));
        add(client, "k", 1).await.expect("decided");
    }
    let old = trio.primary();
    let status = trio.peer(&old).status();
    assert_eq!((status.size, members(&status).as_str()), (3, "abc"));
    let linked = status.peers.iter().filter(|peer| peer.kind == Some(PeerKind::Client));
    assert_eq!(linked.filter(|peer| peer.link == Link::Up).count(), 100);
    trio.crash(&old).await;
    for client in &clients {
        until(client, |s| s.primary.as_ref().is_some_and(|p| p.as_str() != old)).await;
        client.wait_ready(LONG).await.expect("there is a primary again");
        add(client, "k", 1).await.expect("decided");
    }
    assert_eq!(count(&clients[0], "k").await, 200);
    assert_eq!(clients[0].status().position, Position::BLANK, "it holds nothing");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_what_it_may_not_do_and_how_it_may() {
    let mut trio = Trio::start(|builder| builder).await;
    let client = start(client(&trio.network, "x")).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    let gone = trio.a_replica();
    trio.crash(&gone).await;
    until(&client, |status| status.peers.iter().any(|peer| peer.link == Link::Down)).await;
    let error = client.forget(gone.as_str()).await.expect_err("it is a client").to_string();
    assert!(error.ends_with("by clients_may_remove_members()"), "{error}");
    let error = client.change_policy("x").await.expect_err("it is a client").to_string();
    assert!(error.ends_with("by clients_may_change_policy()"), "{error}");
    trio.peers[0].forget(gone.as_str()).await.expect("a member may");
}

/// It holds no list: all it saw were joiners, no members, of no group, and none behind.
#[tokio::test(start_paused = true)]
async fn a_client_sees_the_members_as_they_are() {
    let trio = Trio::start(|builder| builder).await;
    let client = start(client(&trio.network, "x")).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    let is_told = |status: &Status| status.peers.iter().all(|peer| peer.is_member);
    let status = until(&client, is_told).await;
    let primary = trio.peer(&trio.primary()).status();
    assert_eq!(status.group_id, primary.group_id);
    assert!(status.group_id.is_some() && status.peers.len() == 3, "{status:?}");
    assert_eq!((status.role, status.is_counted, status.lag), (PeerRole::Client, false, None));
    for peer in &status.peers {
        let is_primary = status.primary.as_ref() == Some(&peer.name);
        let role = if is_primary { PeerRole::Primary } else { PeerRole::Replica };
        assert_eq!((peer.role, peer.kind), (role, Some(PeerKind::Member)), "{peer:?}");
    }
    assert!(primary.is_counted && primary.lag == Some(0), "{primary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_learns_of_members_that_it_was_not_told_of() {
    let mut trio = Trio::start(|builder| builder).await;
    let client = start(stranger(&trio.network, "x").client().join(["a"])).await;
    client.wait_ready(LONG).await.expect("a tells of the others");
    let d = start(joiner(&trio.network, "d", "b")).await;
    until_members(&d, "abcd").await;
    let status = until(&client, |status| {
        status.peers.iter().any(|peer| peer.name.as_str() == "d" && peer.link == Link::Up)
    });
    assert_eq!(members(&status.await), "abcd");
    for name in NAMES {
        let peer = trio.take(name);
        until(&peer, |status| status.primary.is_some()).await;
        peer.leave().await.expect("the others are a majority");
        peer.shutdown().await;
    }
    until(&client, |status| status.primary.as_ref().is_some_and(|p| p.as_str() == "d")).await;
    add(&client, "k", 1).await.expect("decided by d alone");
}

#[tokio::test(start_paused = true)]
async fn a_relaxed_client_decides_alone_without_a_primary_and_merges() {
    let relaxed = |builder: PeerBuilder| builder.mode(Mode::Relaxed);
    let mut trio = Trio::start(relaxed).await;
    let client = start(relaxed(client(&trio.network, "x"))).await;
    client.wait_ready(LONG).await.expect("there is a primary");
    add(&client, "k", 1).await.expect("decided");
    // All but one are gone: no majority, no primary.
    let names: Vec<String> = trio.peers[1..].iter().map(|p| p.name().to_string()).collect();
    trio.crash(&names[0]).await;
    trio.crash(&names[1]).await;
    until(&client, |status| status.primary.is_none()).await;
    let alone = add(&client, "k", 5).await.expect("decided alone");
    assert!(alone.basis.is_local());
    for name in &names {
        let peer = trio.start_one(name).await.expect("the settings are valid");
        trio.peers.push(peer);
    }
    let merged = |e: &Event| matches!(e, Event::LocalDecisionsMerged { units: 5, .. });
    until(&client, |_| events(&client).iter().any(merged)).await;
}

/// A client follows no state, and so knows of group time what its own wall clock says: it sealed by
/// that, and what a clock that was a week behind had sealed was never merged.
#[tokio::test(start_paused = true)]
async fn what_a_client_decided_alone_is_merged_whatever_its_clock_says() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let minute = Duration::from_secs(60);
    let slow = |builder: PeerBuilder| {
        builder.mode(Mode::Relaxed).failure_timeout(10 * minute).heartbeat(minute)
    };
    let network = InProcess::network();
    let group = Peer::builder("a", Counter).members([("a", "a")]).transport(network.at("a"));
    let group = start(slow(group.tokio_clock())).await;
    group.wait_ready(DAY).await.expect("alone");
    // Whoever starts from here on is behind: wall clocks are read once, and go on by virtual time.
    tokio::time::sleep(8 * DAY).await;
    let client = start(slow(client(&network, "x"))).await;
    client.wait_ready(DAY).await.expect("there is a primary");
    let here = add(&group, "k", 1).await.expect("decided").group_time;
    network.cut("x", "a");
    let mut alone = add(&client, "k", 1).await;
    while !alone.as_ref().is_ok_and(|decision| decision.basis.is_local()) {
        tokio::time::sleep(minute).await;
        alone = add(&client, "k", 1).await;
    }
    let there = alone.expect("it is alone").group_time;
    assert!(there.after(7 * DAY) < here, "{there:?} is no week before {here:?}");
    network.heal("x", "a");
    while client.status().overlay_units > 0 {
        tokio::time::sleep(minute).await;
    }
    let merged = events(&client).into_iter().find_map(|event| match event {
        Event::LocalDecisionsMerged { units, dropped } => Some((units, dropped)),
        _ => None,
    });
    assert_eq!(merged, Some((1, 0)), "{:?}", events(&client));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_member_or_a_living_client_is_refused() {
    let trio = Trio::start(|builder| builder).await;
    let taken = client(&trio.network, "b").transport(trio.network.at("x"));
    let members = [("a", "a"), ("c", "c")];
    let taken = start(taken.members(members)).await;
    let status = until(&taken, |status| status.refusals.len() >= 2).await;
    assert_eq!(status.refusals[0].theirs, "the name of a member");
    let living = start(client(&trio.network, "x")).await;
    living.wait_ready(LONG).await.expect("there is a primary");
    let second = start(client(&trio.network, "x").transport(trio.network.at("y"))).await;
    let status = until(&second, |status| !status.refusals.is_empty()).await;
    assert!(status.refusals[0].theirs.starts_with("held by a living peer"), "{status:?}");
    assert_eq!(count(&living, "k").await, 0);
}

/// Whoever came in and said that it is a member was believed who the members are: a joiner that has
/// found nobody yet would have looked for its group where a stranger liked.
#[tokio::test(start_paused = true)]
async fn only_whom_a_joiner_has_dialed_tells_it_who_the_members_are() {
    let network = InProcess::network();
    let joiner = start(joiner(&network, "j", "nobody")).await;
    let mut elsewhere = network.at("evil").listen("evil").await.expect("the address is free");
    let hello = |lane| {
        let hello = raw::hello(&raw::group(&["x"]), "x", lane);
        Hello { kind: PeerKind::Member, has_state: true, ..hello }
    };
    let connect = async |lane| Raw::connect(&*network.at("x"), "j", hello(lane)).await;
    let _data = connect(Lane::Data).await.expect("it may bring the group");
    let mut control = connect(Lane::Control).await.expect("it may bring the group");
    until(&joiner, |status| status.peers.iter().any(|peer| peer.link == Link::Up)).await;
    let evil = Member { name: "evil".into(), id: None, address: "evil".into() };
    let stamp = Position { sequence: Sequence(1 << 60), ..Position::BLANK };
    let told = Frame::Message(Message::Peers { stamp, members: vec![evil] });
    control.send(&raw::bytes(&told)).await.expect("it is open");
    let dialed = tokio::time::timeout(LONG, elsewhere.accept()).await;
    assert!(dialed.is_err(), "it was dialed");
}

/// Certificates and people take `B` for `b`.
#[tokio::test(start_paused = true)]
async fn a_name_that_differs_from_a_members_in_capitals_only_is_refused() {
    let trio = Trio::start(|builder| builder).await;
    let contacts = |name: &str| stranger(&trio.network, name).join(["a", "c"]);
    let told = "b is a member: names that differ only in capitals are refused";
    for alike in [contacts("B").listen("B"), contacts("B").client()] {
        let peer = start(alike).await;
        let status = until(&peer, |status| status.refusals.len() >= 2).await;
        let refusal = &status.refusals[0];
        assert_eq!((&*refusal.field, &*refusal.theirs, &*refusal.ours), ("name", told, "B"));
        assert!(peer.wait_ready(LONG).await.is_err());
        // It never was one of them.
        let is_out = |event: &Event| matches!(event, Event::CountedOut { .. });
        assert!(!events(&peer).iter().any(is_out), "{:?}", events(&peer));
    }
    assert_eq!(members(&trio.peers[0].status()), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_list_with_two_names_that_differ_in_capitals_only_starts_nothing() {
    let members = |names: [&'static str; 3]| names.map(|name| (name, name));
    let network = InProcess::network();
    for names in [["a", "b", "B"], ["a", "A", "c"]] {
        let started = stranger(&network, "a").members(members(names)).start().await;
        let Err(StartError::Config(errors)) = started else { panic!("two are alike: {names:?}") };
        assert!(errors[0].to_string().contains("differ only in capitals"), "{errors:?}");
    }
    let started = stranger(&network, "B").client().members(members(["a", "b", "c"])).start().await;
    let Err(StartError::Config(errors)) = started else { panic!("it is alike one of them") };
    assert!(errors[0].to_string().contains("differ only in capitals"), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_group_tells_a_joiner_why_it_is_not_let_in() {
    let network = InProcess::network();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let mut peers = Vec::new();
    for name in names {
        let members = names.map(|name| (name, name));
        peers.push(start(builder(&network, name).members(members)).await);
    }
    for peer in &peers {
        until_members(peer, "abcdefg").await;
    }
    let eighth = start(joiner(&network, "h", "a")).await;
    let status = until(&eighth, |status| !status.refusals.is_empty()).await;
    let refusal = &status.refusals[0];
    assert_eq!(refusal.field, "members");
    assert!(refusal.theirs.ends_with("(as many as may be: remove one first)"), "{refusal:?}");
    assert_eq!(status.role, PeerRole::Joining);
}

#[tokio::test(start_paused = true)]
async fn what_a_joiner_lacks_is_named_before_anything_is_started() {
    let network = InProcess::network();
    let none: [&str; 0] = [];
    let start = stranger(&network, "d").listen("d").join(none).start().await;
    let Err(StartError::Config(errors)) = start else { panic!("there is no contact") };
    assert_eq!(errors, [ConfigError::NoContact]);
    let start = stranger(&network, "x").client().start().await;
    let Err(StartError::Config(errors)) = start else { panic!("there is no contact") };
    assert_eq!(errors, [ConfigError::NoContact]);
    let start = stranger(&network, "d").join(["a"]).start().await;
    assert!(matches!(start, Err(StartError::NotListening { .. })), "{start:?}");
    let start = Peer::builder("d", Counter).listen("0.0.0.0:7104").join(["127.0.0.1:7101"]);
    let error = start.start().await.expect_err("nobody reaches every interface");
    assert!(error.to_string().contains("say that by `.advertise(..)`"), "{error}");
    let start = Peer::builder("d", Counter).listen("127.0.0.1:1").join(["nowhere"]).start().await;
    let Err(StartError::Config(errors)) = start else { panic!("it lacks a port") };
    let (given, address) = (AddressGiven::Join, "nowhere".to_owned());
    assert_eq!(errors, [ConfigError::Address { given, address, fault: AddressFault::NoPort }]);
}

/// The longest of so many calls, in virtual time.
async fn longest_of(primary: &Peer, calls: u32) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..calls {
        let began = tokio::time::Instant::now();
        add(primary, "k", 1).await.expect("a majority is there");
        longest = longest.max(began.elapsed());
    }
    longest
}

/// They were taken for guests as long as their processes lived, whose messages are read at a pace:
/// calls waited up to a heartbeat for a majority.
#[tokio::test(start_paused = true)]
async fn members_that_have_joined_are_read_as_members() {
    let network = InProcess::network();
    let a = Peer::builder("a", Counter).members([("a", "a")]).transport(network.at("a"));
    let a = start(majority(a.tokio_clock())).await;
    a.wait_ready(LONG).await.expect("alone");
    let b = start(majority(joiner(&network, "b", "a"))).await;
    until_members(&a, "ab").await;
    let c = start(majority(joiner(&network, "c", "a"))).await;
    for peer in [&a, &b, &c] {
        until_members(peer, "abc").await;
    }
    for leader in [&a, &b] {
        if leader.status().primary != Some(leader.status().name) {
            a.switch_primary("b").await.expect("b is up to date");
            b.wait_ready(LONG).await.expect("b leads");
        }
        let longest = longest_of(leader, 20_000).await;
        assert!(longest < Duration::from_millis(100), "a call took {longest:?}");
    }
    for peer in [&a, &b, &c] {
        assert_eq!(peer.stats().reads_paused, 0);
        assert_eq!(peer.status().connections.buffered_bytes, 0);
    }
}

/// Instances that joined and were replaced by others, as a deployment does, until most of those who
/// count were gone. What is left is kept by starting the names that are missing once more.
#[tokio::test(start_paused = true)]
async fn a_majority_that_is_gone_for_good_is_stood_in_for_by_its_names() {
    let mut trio = Trio::start(majority).await;
    let mut joined = Vec::new();
    for name in ["d", "e", "f", "g"] {
        let peer = start(majority(joiner(&trio.network, name, "a"))).await;
        peer.wait_counted(LONG).await.expect("it is counted in");
        joined.push(peer);
    }
    until_members(trio.peer("a"), "abcdefg").await;
    let eighth = start(majority(joiner(&trio.network, "h", "a"))).await;
    let refused = |status: &Status| status.refusals.iter().any(|r| r.field == "members");
    until(&eighth, refused).await;
    drop(eighth);
    add(trio.peer("b"), "k", 7).await.expect("decided");
    for peer in trio.peers.iter().chain(&joined) {
        until(peer, |status| status.lag == Some(0)).await;
    }
    // Four of seven end, and nobody else knows of them.
    let gone: Vec<Peer> = joined.drain(1..).collect();
    gone.iter().for_each(Peer::abort);
    drop(gone);
    trio.crash("c").await;
    until(trio.peer("a"), |status| status.primary.is_none()).await;
    let error = trio.peer("a").forget("c").await.expect_err("three of seven are no majority");
    assert!(matches!(error, RemoveError::NoPrimary { .. }), "{error}");
    // One of the names is enough, with the list of the members: four of seven are there.
    let all = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, name));
    let back = start(majority(stranger(&trio.network, "e").members(all))).await;
    until(&back, |status| status.primary.is_some() && status.quorum).await;
    assert_eq!(count(&back, "k").await, 7);
    let anew = |event: &Event| matches!(event, Event::NewGeneration { .. });
    let all = trio.peers.iter().chain(&joined).chain([&back]);
    let told: Vec<Event> = all.flat_map(events).collect();
    assert!(told.iter().any(anew), "it is said that something may be lost: {told:?}");
    for name in ["c", "f", "g"] {
        trio.peer("a").forget(name).await.expect("there is a majority again");
    }
    until_members(trio.peer("a"), "abde").await;
}
