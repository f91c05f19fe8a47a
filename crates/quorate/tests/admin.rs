//! A peer is asked, and told what to do, over its own port (docs/wire.md, section 8).

mod support;

use std::time::Duration;

use quorate::admin::{AdminError, Ask, Client, Effect, Refused, SiteDocument};
use quorate::transport::InProcess;
use quorate::{Consent, Event, Peer, PeerRole, Site, SiteCondition, Status};
use serde_json::{Value, json};
use support::{LONG, NAMES, Trio, builder, events, until};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

async fn connect(network: &InProcess, to: &str) -> Result<Client, AdminError> {
    Client::connect(network.at("desk"), to, "alice", "").await
}

async fn open(network: &InProcess, to: &str) -> Client {
    connect(network, to).await.expect("it may ask")
}

/// What a peer says of why it did not do something.
fn refused(answer: Result<Value, AdminError>) -> Refused {
    match answer {
        Err(AdminError::Refused(refused)) => refused,
        other => panic!("not refused, but {other:?}"),
    }
}

/// What a connection was refused for.
fn not_let_in(connected: Result<Client, AdminError>) -> (String, String) {
    match connected {
        Err(AdminError::NotLetIn { field, theirs, .. }) => (field, theirs),
        other => panic!("not refused, but {other:?}"),
    }
}

fn acts(peer: &Peer) -> Vec<String> {
    let told = events(peer).into_iter().filter_map(|event| match event {
        Event::AdminActed { by, what } => Some(format!("{by}: {what}")),
        _ => None,
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_sees_the_status_the_events_and_the_numbers() {
    let trio = Trio::start(|builder| builder).await;
    let mut client = open(&trio.network, "b").await;
    assert_eq!((client.peer().as_str(), client.group()), ("b", "default"));
    assert_eq!(client.version(), quorate::internal::wire::PROTOCOL_VERSION);
    let status = client.ask(&Ask::Status).await.expect("it answers");
    assert_eq!(status["name"], "b");
    assert_eq!(status["primary"], json!(trio.primary()));
    let stats = client.ask(&Ask::Stats).await.expect("it answers");
    assert_eq!(stats, json!(trio.peer("b").stats()));
    let answer = client.ask(&Ask::Events { since: 0, wait_ms: 0 }).await.expect("it answers");
    let told = trio.peer("b").events_since(0);
    let first = &answer["events"][0];
    assert_eq!(answer["events"].as_array().map(Vec::len), Some(told.len()));
    assert_eq!(first["number"], json!(told[0].number));
    assert_eq!(first["event"], json!(told[0].event.name()));
    assert_eq!(first["text"], json!(told[0].event.to_string()));
    assert_eq!(answer["next"], json!(told.last().expect("there are some").number));
    assert_eq!((&answer["missed"], &answer["incarnation"]), (&json!(0), &status["incarnation"]));
    assert_eq!(acts(trio.peer("b")), [""; 0], "looking is no act");
}

#[tokio::test(start_paused = true)]
async fn an_admin_has_the_group_changed_and_that_is_told() {
    let trio = Trio::start(|builder| builder).await;
    let (primary, replica) = (trio.primary(), trio.a_replica());
    let mut client = open(&trio.network, &replica).await;
    let switch = Ask::Switch { to: replica.as_str().into() };
    let answer = client.ask(&switch).await.expect("it is ready");
    assert_eq!(answer, json!({ "primary": replica }));
    until(trio.peer(&replica), |status| status.role == PeerRole::Primary).await;
    let answer = client.ask(&Ask::Priority { priority: 7 }).await.expect("it runs");
    assert_eq!(answer, json!({ "priority": 7 }));
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.name.as_str() == replica && peer.priority == Some(7))
    })
    .await;
    let own = client.ask(&Ask::Status).await.expect("it answers");
    assert_eq!(own["priority"], 7);
    let answer = client.ask(&Ask::Found).await.expect("it runs");
    assert_eq!(answer, json!({ "founding": true }));
    let mut other = open(&trio.network, &primary).await;
    let answer = other.ask(&Ask::Leave).await.expect("two are left");
    assert_eq!(answer, json!({ "left": primary }));
    until(trio.peer(&replica), |status| status.size == 2).await;
    let told = [
        format!("alice: switch to {replica}"),
        "alice: priority 7".to_owned(),
        "alice: found".to_owned(),
    ];
    assert_eq!(acts(trio.peer(&replica)), told);
    assert_eq!(acts(trio.peer(&primary)), ["alice: leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_gone_is_forgotten_and_one_that_is_there_is_not() {
    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let gone = trio.a_replica();
    let mut client = open(&trio.network, &primary).await;
    let forget = |peer: &str| Ask::Forget { peer: peer.into() };
    let refusal = refused(client.ask(&forget(&gone)).await);
    assert_eq!((&*refusal.error, refusal.effect), ("alive", Effect::None));
    let refusal = refused(client.ask(&forget(&primary)).await);
    assert_eq!(refusal.error, "alive");
    let refusal = refused(client.ask(&forget("x")).await);
    assert_eq!(refusal.error, "not_member");
    assert!(refusal.detail.starts_with("x is not a member"), "{}", refusal.detail);
    trio.crash(&gone).await;
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.link == quorate::Link::Down)
    })
    .await;
    let answer = client.ask(&forget(&gone)).await.expect("it is gone");
    assert_eq!(answer, json!({ "forgotten": gone }));
    assert_eq!(trio.peer(&primary).status().size, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_peers_deadline_and_says_that_nothing_was_done() {
    let mut trio = Trio::start(|builder| builder.io_timeout(5 * SECOND)).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    until(trio.peer("a"), |status| status.primary.is_none()).await;
    let mut client = open(&trio.network, "a").await;
    let refusal = refused(client.ask(&Ask::Forget { peer: "b".into() }).await);
    assert_eq!((&*refusal.error, refusal.effect), ("no_primary", Effect::None));
}

/// A command that had ended with "may be done or not" was carried out half a minute later, when
/// there was a primary again: a member left for good, of which nobody thought any more.
#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_done_when_a_primary_is_back() {
    let mut trio = Trio::start(|builder| builder).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    until(trio.peer("a"), |status| status.primary.is_none()).await;
    for ask in [
        json!({ "ask": "leave" }),
        json!({ "ask": "forget", "peer": "b" }),
        json!({ "ask": "monitor", "size": 3 }),
        json!({ "ask": "switch", "to": "c" }),
    ] {
        let mut client = open(&trio.network, "a").await;
        let asked = timeout(2 * SECOND, client.ask_json(&ask)).await;
        assert!(asked.is_err(), "{ask}: nobody is there who could");
    }
    assert_eq!(acts(trio.peer("a")).len(), 4, "it was told what to do");
    let mut back = Vec::new();
    for name in ["b", "c"] {
        back.push(trio.start_one(name).await.expect("its address is free"));
    }
    let status = until(trio.peer("a"), |status| status.primary.is_some()).await;
    let primary = status.primary;
    sleep(LONG).await;
    let status = trio.peer("a").status();
    assert_eq!((status.size, status.primary), (3, primary));
    assert!(status.members.iter().all(|member| member.is_counted), "{:?}", status.members);
    assert_eq!(status.monitor.expect("it knows members").revision, 0);
    assert!(
        !events(trio.peer("a")).iter().any(|event| matches!(
            event,
            Event::MemberRemoved { .. } | Event::MonitorChanged { .. }
        ))
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_waited_for_and_a_connection_that_goes_waits_no_longer() {
    let trio = Trio::start(|builder| builder).await;
    let mut client = open(&trio.network, "a").await;
    let newest = trio.peer("a").events_since(0).last().expect("there are some").number;
    let ask = Ask::Events { since: newest, wait_ms: 30_000 };
    let answer = client.ask(&ask).await.expect("it answers");
    let nothing = json!([]);
    assert_eq!((&answer["events"], &answer["next"]), (&nothing, &json!(newest)));
    let waiting = tokio::spawn(async move { client.ask(&ask).await });
    sleep(SECOND).await;
    let mut other = open(&trio.network, "a").await;
    other.ask(&Ask::Priority { priority: 100 }).await.expect("it runs");
    let answer = waiting.await.expect("it does not panic").expect("it answers");
    assert_eq!(answer["events"][0]["what"], "priority 100");
    assert_eq!(answer["next"], json!(newest + 1));
    // One of an earlier start stands for the newest.
    let later = Ask::Events { since: newest + 1_000, wait_ms: 0 };
    let answer = other.ask(&later).await.expect("it answers");
    assert_eq!((&answer["events"], &answer["next"]), (&nothing, &json!(newest + 1)));
    // As many as may be, which wait and are gone before their time.
    drop(other);
    for _ in 0..3 {
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut client = open(&trio.network, "a").await;
            let ask = Ask::Events { since: newest + 1, wait_ms: 30_000 };
            waiting.spawn(async move { client.ask(&ask).await });
        }
        sleep(Duration::from_millis(10)).await;
        drop(waiting);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_kept_is_counted() {
    let bounds = quorate::Bounds { max_events: 4, ..Default::default() };
    let network = InProcess::network();
    let alone = builder(&network, "a").members([("a", "a")]).bounds(bounds).start().await;
    let alone = alone.expect("the settings are valid");
    alone.wait_ready(LONG).await.expect("it is alone");
    let mut client = open(&network, "a").await;
    for priority in 1..=9 {
        client.ask(&Ask::Priority { priority }).await.expect("it runs");
    }
    let answer = client.ask(&Ask::Events { since: 0, wait_ms: 0 }).await.expect("it answers");
    let kept = alone.events_since(0);
    assert_eq!(
        answer["missed"],
        json!(answer["next"].as_u64().expect("a number") - kept.len() as u64)
    );
    assert!(answer["missed"].as_u64() > Some(5), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_read_is_refused_and_the_next_is_answered() {
    let trio = Trio::start(|builder| builder).await;
    let mut client = open(&trio.network, "a").await;
    for (document, error) in [
        (json!({ "ask": "reboot" }), "unknown_ask"),
        (json!({ "ask": "limits.get" }), "unknown_ask"),
        (json!({}), "bad_request"),
        (json!([1]), "bad_request"),
        (json!("status"), "bad_request"),
        (json!({ "ask": "status", "x": 1 }), "bad_request"),
        (json!({ "ask": "switch" }), "bad_request"),
        (json!({ "ask": "switch", "to": "no name" }), "bad_request"),
        (json!({ "ask": "priority", "priority": 1_000 }), "bad_request"),
        (json!({ "ask": "monitor", "grace_ms": 1_000 }), "bad_request"),
        (json!({ "ask": "monitor", "size": 3, "off": true }), "bad_request"),
    ] {
        let refusal = refused(client.ask_json(&document).await);
        assert_eq!((&*refusal.error, refusal.effect), (error, Effect::None), "{document}");
    }
    let long = json!({ "ask": "x".repeat(70_000) });
    let error = client.ask_json(&long).await.expect_err("it is too long");
    assert!(matches!(error, AdminError::TooLong { bytes: 70_010, max: 65_536 }), "{error}");
    client.ask(&Ask::Status).await.expect("it goes on");
    assert_eq!(acts(trio.peer("a")), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_group_that_is_meant_is_the_one_that_is_asked() {
    let trio = Trio::start(|builder| builder.group("quota")).await;
    let ask = |group: &'static str| {
        let at = trio.network.at("desk");
        async move { Client::connect(at, "a", "alice", group).await }
    };
    assert_eq!(ask("quota").await.expect("it is meant").group(), "quota");
    assert_eq!(ask("").await.expect("whichever it is").group(), "quota");
    assert_eq!(not_let_in(ask("other").await), ("group".into(), "quota".into()));
    assert_eq!(trio.peer("a").status().refusals, [], "it is no fault of the group");
    for (as_, group) in [("", ""), ("a b", ""), ("alice", "no group")] {
        let error = Client::connect(trio.network.at("desk"), "a", as_, group).await;
        assert!(matches!(error, Err(AdminError::Name { .. })), "{error:?}");
    }
}

/// The other members can be asked, and the peer's own work goes on.
#[tokio::test(start_paused = true)]
async fn a_closed_lane_is_closed() {
    let trio = Trio::start(|builder| builder.no_admin()).await;
    let (field, theirs) = not_let_in(connect(&trio.network, "a").await);
    assert_eq!((&*field, &*theirs), ("admin", "closed"));
    let refusals = trio.peer("a").status().refusals;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let refusal = &refusals[0];
    assert_eq!((&*refusal.peer, &*refusal.field, &*refusal.theirs), ("desk", "admin", "by alice"));
}

#[tokio::test(start_paused = true)]
async fn eight_ask_at_a_time_and_an_idle_one_is_closed() {
    let trio = Trio::start(|builder| builder).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(open(&trio.network, "a").await);
    }
    let (field, theirs) = not_let_in(connect(&trio.network, "a").await);
    assert_eq!((&*field, &*theirs), ("max_admins", "8 of the admin lane are open"));
    clients.pop();
    sleep(Duration::from_millis(10)).await;
    let mut busy = open(&trio.network, "a").await;
    for _ in 0..6 {
        sleep(60 * SECOND).await;
        busy.ask(&Ask::Stats).await.expect("it is not idle");
    }
    let error = clients[0].ask(&Ask::Stats).await.expect_err("it was closed");
    assert!(matches!(error, AdminError::Lost { .. }), "{error}");
    assert!(error.is_outcome_unknown());
    let error = clients[0].ask(&Ask::Stats).await.expect_err("it is of no use");
    assert!(matches!(error, AdminError::Ended), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_an_older_version_closes_and_is_told_from_one_that_refuses() {
    let network = InProcess::network();
    let old = builder(&network, "a").members([("a", "a")]).wire_version(5).start().await;
    let old = old.expect("the settings are valid");
    old.wait_ready(LONG).await.expect("it is alone");
    let error = connect(&network, "a").await.expect_err("it does not know the lane");
    assert!(matches!(&error, AdminError::TooOldOrNotQuorate { address } if address == "a"));
    assert!(error.to_string().contains("too old or not Quorate"), "{error}");
    assert!(error.is_not_connected() && !error.is_outcome_unknown());
    assert_eq!(old.status().refusals, []);
    let error = connect(&network, "nobody").await.expect_err("nobody is there");
    assert!(matches!(error, AdminError::Connect { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_leaves_nothing_behind_and_counts_as_nobody() {
    let trio = Trio::start(|builder| builder).await;
    // By the name of a member, even.
    let mut client =
        Client::connect(trio.network.at("desk"), "a", "b", "").await.expect("it may ask");
    let during = client.ask(&Ask::Status).await.expect("it answers");
    let peers = during["peers"].as_array().expect("a list");
    assert_eq!(peers.len(), 2, "{during}");
    assert!(peers.iter().all(|peer| peer["link"] == "up"), "{during}");
    assert_eq!(during["connections"]["guests"], 0);
    let open = during["connections"]["open"].as_u64().expect("a number");
    drop(client);
    sleep(Duration::from_millis(10)).await;
    let after = trio.peer("a").status();
    assert_eq!(after.connections.open as u64, open - 1);
    assert_eq!((after.refusals, after.size), (vec![], 3));
    for name in NAMES {
        let told = events(trio.peer(name));
        assert!(!told.iter().any(|event| matches!(event, Event::PeerDown { .. })), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_waited_for_is_not_taken_for_the_next() {
    let trio = Trio::start(|builder| builder).await;
    let newest = trio.peer("a").events_since(0).last().expect("there are some").number;
    let mut client = open(&trio.network, "a").await;
    {
        let ask = Ask::Events { since: newest, wait_ms: 1_000 };
        let asked = timeout(Duration::from_millis(10), client.ask(&ask)).await;
        assert!(asked.is_err(), "nothing has happened");
    }
    sleep(2 * SECOND).await;
    let error = client.ask(&Ask::Stats).await.expect_err("an answer is under way");
    assert!(matches!(error, AdminError::Ended), "{error}");
    let mut client = open(&trio.network, "a").await.timeout(SECOND);
    trio.network.cut("a", "desk");
    let error = client.ask(&Ask::Stats).await.expect_err("nothing comes through");
    assert!(matches!(error, AdminError::TimedOut { waited } if waited == SECOND), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_says_so_and_carries_nothing_out() {
    let trio = Trio::start(|builder| builder).await;
    let mut client = open(&trio.network, "a").await;
    let peer = trio.peer("a").clone();
    let ending = tokio::spawn(async move { peer.shutdown().await });
    let mut said = Vec::new();
    loop {
        match client.ask(&Ask::Found).await {
            Ok(_) => {}
            Err(AdminError::Refused(refusal)) => said.push(refusal.error),
            Err(error) => {
                assert!(matches!(error, AdminError::Lost { .. }), "{error}");
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    ending.await.expect("it ends");
    assert!(said.iter().all(|error| error == "shutting_down"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn the_sites_are_looked_at_and_told_which_decides() {
    let network = InProcess::network();
    let mut peers = Vec::new();
    for (name, own, other, contact) in [("a", "east", "west", "b"), ("b", "west", "east", "a")] {
        let site = Site::new(own).other(other, [contact]);
        let peer = builder(&network, name).members([(name, name)]).site(site).start().await;
        peers.push(peer.expect("the settings are valid"));
    }
    let mut client = open(&network, "a").await;
    let look = json!({ "ask": "site" });
    let pending = client.ask_json(&look).await.expect("it answers");
    assert_eq!((&pending["site"], &pending["mode"]), (&json!("east"), &json!("standalone")));
    assert_eq!(acts(&peers[0]), [""; 0], "looking is no act");
    let consent = Consent::default();
    let lost = SiteDocument::active(consent.clone().without(["b"]));
    let refusal = refused(client.ask(&Ask::Site(lost)).await);
    assert_eq!((&*refusal.error, refusal.effect), ("bad_request", Effect::None));
    let active = Ask::Site(SiteDocument::active(consent));
    let answer = client.ask(&active).await.expect("it is alone");
    assert_eq!(answer["mode"], "active");
    let is_ready =
        |status: &Status| status.site.as_ref().is_some_and(|it| it.state == SiteCondition::Ready);
    for peer in &peers {
        until(peer, is_ready).await;
    }
    let mut other = open(&network, "b").await;
    assert_eq!(refused(other.ask(&active).await).error, "active_reachable");
    let answer = other.ask(&Ask::Site(SiteDocument::switch())).await.expect("it follows");
    assert_eq!(answer["site"], "west");
    until(&peers[1], |status| status.role == PeerRole::Primary && is_ready(status)).await;
    // It has yet to follow.
    sleep(SECOND * 5).await;
    let answer = other.ask(&Ask::Site(SiteDocument::passive())).await.expect("it decides");
    assert_eq!(answer["mode"], "passive");
    let of_b = ["alice: site active", "alice: site switch", "alice: site passive"];
    assert_eq!(acts(&peers[1]), of_b);
    // Of a peer that stands at none.
    let c = builder(&network, "c").members([("c", "c")]).start().await.expect("usable");
    let mut client = open(&network, c.name().as_str()).await;
    let alone = client.ask_json(&look).await.expect("it answers");
    assert_eq!(alone, json!({ "mode": "standalone", "site": null }));
    assert_eq!(refused(client.ask(&active).await).error, "no_site");
}
