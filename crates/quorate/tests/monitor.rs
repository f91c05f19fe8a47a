//! A group looks after its members: it forgets who was replaced, and nobody else
//! (docs/operations.md, section 6).

mod support;

use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{
    ArrangeError, Event, Link, Monitor, MonitorChange, Peer, PeerBuilder, PeerRole, Status,
};
use support::{Counter, LONG, NAMES, Trio, add, builder, count, events, members, until};
use tokio::time::sleep;

const GRACE: Duration = Duration::from_secs(20);

fn three(builder: PeerBuilder) -> PeerBuilder {
    builder.monitor(Monitor::new(3).grace(GRACE))
}

/// A joiner that is counted in.
async fn joined(network: &InProcess, name: &str, contact: &str) -> Peer {
    let joiner = Peer::builder(name, Counter).transport(network.at(name)).tokio_clock();
    let joiner = three(joiner).listen(name).join([contact]);
    let peer = joiner.start().await.expect("the settings are valid");
    peer.wait_counted(LONG).await.expect("it is counted in");
    peer
}

fn stale(status: &Status) -> Vec<String> {
    let monitor = status.monitor.as_ref().expect("it knows members");
    monitor.stale.iter().map(ToString::to_string).collect()
}

fn blocked(peer: &Peer) -> String {
    let monitor = peer.status().monitor.expect("it knows members");
    monitor.blocked.unwrap_or_default()
}

/// The members that were told to be forgotten, by all of these peers.
fn forgotten<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> Vec<String> {
    let events = peers.into_iter().flat_map(events);
    let told = events.filter_map(|event| match event {
        Event::MemberForgotten { peer, .. } => Some(peer.to_string()),
        _ => None,
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_said_at_any_member_counts_for_the_group_and_outlives_its_primaries() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    let set = MonitorChange::Set(Monitor::new(3).grace(GRACE));
    let known = trio.peer(&replica).change_monitor(set).await.expect("there is a primary");
    assert_eq!((known.size, known.grace_ms, known.revision), (3, 20_000, 1));
    let pause = MonitorChange::Pause(Duration::from_secs(3600));
    let known = trio.peer(&primary).change_monitor(pause).await.expect("it is primary");
    assert_eq!((known.size, known.revision), (3, 2), "the pause changes no size");
    let until_ms = known.paused_until_ms.expect("it has an end");
    trio.peer(&primary).switch_primary(replica.as_str()).await.expect("it is ready");
    until(trio.peer(&replica), |status| status.role == PeerRole::Primary && status.quorum).await;
    for peer in &trio.peers {
        let is_known =
            |status: &Status| status.monitor.as_ref().is_some_and(|monitor| monitor.revision == 2);
        let monitor = until(peer, is_known).await.monitor.expect("it was there");
        assert_eq!((monitor.size, monitor.grace_ms), (3, 20_000), "{}", peer.name());
        assert_eq!(monitor.paused_until_ms, Some(until_ms), "{}", peer.name());
    }
    let known = trio.peer(&primary).change_monitor(MonitorChange::Resume).await;
    assert_eq!(known.expect("there is a primary").paused_until_ms, None);
    let known = trio.peer(&primary).change_monitor(MonitorChange::Off).await;
    let known = known.expect("there is a primary");
    assert_eq!((known.size, known.revision), (0, 4));
    let told = events(trio.peer(&replica)).into_iter().filter_map(|event| match event {
        Event::MonitorChanged { size, revision, .. } => Some((revision, size)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(1, Some(3)), (2, Some(3)), (3, Some(3)), (4, None)]);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_rule_is_refused_and_so_are_clients() {
    let trio = Trio::start(|builder| builder).await;
    for change in [
        MonitorChange::Set(Monitor::new(0)),
        MonitorChange::Set(Monitor::new(3).grace(Duration::from_secs(1))),
        MonitorChange::Pause(Duration::from_secs(25 * 3600)),
    ] {
        for peer in &trio.peers {
            let error = peer.change_monitor(change).await.expect_err("it breaks a rule");
            let is_named = error.to_string().contains("is out of range");
            assert!(matches!(error, ArrangeError::Invalid { .. }) && is_named, "{error}");
        }
    }
    let client = builder(&trio.network, "x").client().start().await.expect("it is set up");
    client.wait_ready(LONG).await.expect("it reaches the primary");
    let refused = client.change_monitor(MonitorChange::Off).await;
    assert_eq!(refused, Err(ArrangeError::NotAllowed));
    for peer in &trio.peers {
        assert_eq!(peer.status().monitor.map(|monitor| monitor.revision), Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_primary_a_change_is_refused_in_time() {
    let mut trio = Trio::start(|builder| builder.io_timeout(Duration::from_secs(5))).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    until(trio.peer("a"), |status| status.primary.is_none()).await;
    let error = trio.peer("a").change_monitor(MonitorChange::Off).await.expect_err("no primary");
    assert!(matches!(error, ArrangeError::NoPrimary { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_replaced_is_forgotten_and_its_counts_are_kept() {
    let mut trio = Trio::start(three).await;
    let d = joined(&trio.network, "d", "a").await;
    add(&d, "k", 7).await.expect("there is a primary");
    let gone = trio.primary();
    // All have it then.
    sleep(Duration::from_secs(2)).await;
    trio.crash(&gone).await;
    let rest = "abcd".replace(&gone, "");
    for peer in trio.peers.iter().chain([&d]) {
        until(peer, |status| members(status) == rest && status.spare == 1).await;
    }
    assert_eq!(count(&d, "k").await, 7);
    assert_eq!(forgotten(trio.peers.iter().chain([&d])), [gone], "once");
}

#[tokio::test(start_paused = true)]
async fn a_member_in_whose_place_nobody_came_is_kept_however_long_it_is_gone() {
    let mut trio = Trio::start(three).await;
    let (primary, gone) = (trio.primary(), trio.a_replica());
    trio.crash(&gone).await;
    sleep(GRACE * 20).await;
    for peer in &trio.peers {
        let status = peer.status();
        assert_eq!((members(&status).as_str(), status.spare), ("abc", 0), "{}", peer.name());
    }
    let status = trio.peer(&primary).status();
    assert_eq!(stale(&status), [gone.as_str()]);
    let member = status.members.iter().find(|member| member.name.as_str() == gone);
    let member = member.expect("it is a member");
    assert!(member.is_stale && member.silent_ms >= Some(300_000), "{member:?}");
    let why = blocked(trio.peer(&primary));
    assert!(why.contains(&gone) && why.contains('3'), "{why}");
    let told = events(trio.peer(&primary)).into_iter();
    let told = told.filter(|event| matches!(event, Event::MemberStale { .. }));
    assert_eq!(told.count(), 1);
    // It comes back as if nothing had been.
    let back = trio.start_one(&gone).await.expect("its address is free");
    back.wait_counted(LONG).await.expect("it is a member");
    let is_whole = |status: &Status| status.spare == 1 && stale(status).is_empty();
    let status = until(trio.peer(&primary), is_whole).await;
    assert!(status.members.iter().all(|member| member.silent_ms.is_none()));
    assert_eq!(forgotten(&trio.peers), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten_in_a_pause_which_ends_by_itself_through_a_switch() {
    let mut trio = Trio::start(three).await;
    let d = joined(&trio.network, "d", "a").await;
    let pause = GRACE * 5;
    d.change_monitor(MonitorChange::Pause(pause)).await.expect("there is a primary");
    let begun = d.time();
    let (primary, gone) = (trio.primary(), trio.a_replica());
    trio.crash(&gone).await;
    sleep(GRACE * 2).await;
    assert!(blocked(trio.peer(&primary)).contains("paus"), "{}", blocked(trio.peer(&primary)));
    d.switch_primary("d").await.expect("it is ready");
    sleep(GRACE * 2).await;
    assert_eq!(members(&d.status()), "abcd");
    let rest = "abcd".replace(&gone, "");
    until(&d, |status| members(status) == rest).await;
    assert!(d.time().since(begun) >= pause);
    assert_eq!(forgotten(trio.peers.iter().chain([&d])), [gone]);
}

/// Refused means alive: a rollout of a setting that does not fit was taken for a death.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_refused_is_met_and_nobody_is_judged_meanwhile() {
    let mut trio = Trio::start(three).await;
    let d = joined(&trio.network, "d", "a").await;
    let (primary, other) = (trio.primary(), trio.a_replica());
    let left = NAMES.into_iter().find(|name| *name != primary && *name != other);
    let rolled = left.expect("there is a third");
    trio.crash(rolled).await;
    let differing = three(builder(&trio.network, rolled)).failure_timeout(GRACE);
    let differing = differing.start().await.expect("its own settings are valid");
    sleep(GRACE * 10).await;
    let status = trio.peer(&primary).status();
    assert_eq!(members(&status), "abcd", "it is not forgotten");
    assert_eq!(stale(&status), [""; 0], "it was met");
    let why = blocked(trio.peer(&primary));
    assert!(why.contains(rolled) && why.contains("failure_timeout"), "{why}");
    // Another one that is gone, and was replaced, is not judged either.
    trio.crash(&other).await;
    sleep(GRACE * 5).await;
    let status = trio.peer(&primary).status();
    assert_eq!((members(&status).as_str(), stale(&status)), ("abcd", vec![other.clone()]));
    // With the right settings all is as it was, and there is calm again.
    drop(differing);
    tokio::task::yield_now().await;
    let back = trio.start_one(rolled).await.expect("its address is free");
    back.wait_counted(LONG).await.expect("it is a member");
    let rest = "abcd".replace(&other, "");
    until(trio.peer(&primary), |status| members(status) == rest).await;
    assert_eq!(forgotten(trio.peers.iter().chain([&d, &back])), [other]);
}

#[tokio::test(start_paused = true)]
async fn the_minority_side_of_a_partition_forgets_nobody_and_neither_does_the_other() {
    let trio = Trio::start(three).await;
    for other in ["a", "b"] {
        trio.network.cut("c", other);
    }
    sleep(GRACE * 10).await;
    for peer in &trio.peers {
        assert_eq!(members(&peer.status()), "abc", "{}", peer.name());
    }
    for other in ["a", "b"] {
        trio.network.heal("c", other);
    }
    for peer in &trio.peers {
        until(peer, |status| {
            let is_linked = |peer: &quorate::PeerStatus| peer.link == Link::Up;
            status.spare == 1 && status.peers.iter().all(is_linked)
        })
        .await;
    }
    assert_eq!(forgotten(&trio.peers), [""; 0]);
}
