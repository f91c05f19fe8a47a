//! Limits are looked at, and changed, over the admin lane of a peer.

use std::time::Duration;

use quorate::admin::{AdminError, Client, Effect, Refused};
use quorate::transport::InProcess;
use quorate::{Acknowledge, Event, Peer};
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits::builder()
        .limit("api", Limit::per_day(1).burst(10))
        .limit("jobs", Limit::concurrent(2))
        .build()
        .expect("usable")
}

/// Two peers, and a client of the one that is not primary.
struct Desk {
    network: InProcess,
    limiters: Vec<RateLimiter>,
    client: Client,
}

async fn start(network: &InProcess, name: &str, limits: &Limits) -> RateLimiter {
    let peer = Peer::builder(name, limits.model())
        .members(["a", "b"].map(|name| (name, name)))
        .transport(network.at(name))
        .acknowledge(Acknowledge::Majority)
        .tokio_clock();
    RateLimiter::new(peer.start().await.expect("the settings are valid"), limits)
}

async fn desk() -> Desk {
    let network = InProcess::network();
    let limits = limits();
    let limiters = vec![start(&network, "a", &limits).await, start(&network, "b", &limits).await];
    for limiter in &limiters {
        limiter.peer().wait_ready(LONG).await.expect("two peers form a group");
    }
    let primary = limiters[0].peer().status().primary.expect("there is one");
    let other = limiters.iter().find(|limiter| *limiter.peer().name() != primary);
    let other = other.expect("there are two").peer().name().to_string();
    let client = Client::connect(network.at("desk"), &other, "alice", "").await;
    Desk { network, limiters, client: client.expect("it may ask") }
}

impl Desk {
    async fn ask(&mut self, document: Value) -> Value {
        self.client.ask_json(&document).await.expect("it answers")
    }

    async fn refused(&mut self, document: Value) -> Refused {
        match self.client.ask_json(&document).await {
            Err(AdminError::Refused(refused)) => refused,
            other => panic!("not refused, but {other:?}"),
        }
    }

    fn asked(&self) -> &RateLimiter {
        let is_asked = |limiter: &&RateLimiter| limiter.peer().name() == self.client.peer();
        self.limiters.iter().find(is_asked).expect("it is one of the two")
    }

    fn acts(&self) -> Vec<String> {
        let told = self.asked().peer().events_since(0).into_iter();
        let acts = told.filter_map(|event| match event.event {
            Event::AdminActed { by, what } => Some(format!("{by}: {what}")),
            _ => None,
        });
        acts.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn units_are_taken_looked_at_and_given_back() {
    let mut desk = desk().await;
    let taken = json!({ "ask": "limits.ask", "limit": "api", "key": "k", "amount": 7 });
    let decision = desk.ask(taken.clone()).await;
    assert_eq!((&decision["allowed"], &decision["remaining"]), (&json!(true), &json!(3)));
    assert_eq!(decision["basis"], "primary");
    let denied = desk.ask(taken).await;
    assert_eq!((&denied["allowed"], &denied["granted"]), (&json!(false), &json!(0)));
    assert!(denied["retry_after_ms"].as_u64() > Some(0), "{denied}");
    let peek = json!({ "ask": "limits.peek", "limit": "api", "key_hex": "6b" });
    let looked = desk.ask(peek.clone()).await;
    assert_eq!((&looked["remaining"], &looked["used"]), (&json!(3), &json!(7)));
    let direct = desk.asked().peek("api", "k", 1).await.expect("it is decided");
    let shown = json!(direct);
    for (field, value) in shown.as_object().expect("an object") {
        // Each look has a place of its own.
        if !["position", "reset_after_ms"].contains(&&**field) {
            assert_eq!(&looked[field], value, "{field}");
        }
    }
    let reset = json!({ "ask": "limits.reset", "limit": "api", "key": "k" });
    assert_eq!(desk.ask(reset).await["remaining"], 10);
    assert_eq!(desk.ask(peek).await["used"], 0);
    // Which key it was is nobody's business, and units are taken by any caller.
    assert_eq!(desk.acts(), ["alice: limits.reset of api"]);
}

#[tokio::test(start_paused = true)]
async fn why_a_caller_is_refused_and_who_uses_most_is_told() {
    let mut desk = desk().await;
    for (key, amount) in [("k", 10), ("l", 3), ("k", 1)] {
        desk.ask(json!({ "ask": "limits.ask", "limit": "api", "key": key, "amount": amount }))
            .await;
    }
    let items = json!([
        { "limit": "api", "key": "k" },
        { "limit": "jobs", "key": "k" },
        { "limit": "mail", "key": "k" },
    ]);
    let explained = desk.ask(json!({ "ask": "limits.explain", "items": items })).await;
    assert_eq!(explained["allowed"], false);
    let items = explained["items"].as_array().expect("a list");
    assert_eq!(items[0]["rule"], "1 per 1d, burst 10");
    assert_eq!(
        (&items[0]["decision"]["allowed"], &items[0]["error"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(items[1]["decision"]["allowed"], true);
    assert_eq!(
        (&items[2]["decision"], &items[2]["error"]),
        (&json!(null), &json!("unknown_limit"))
    );
    let text = explained["text"].as_str().expect("a text");
    assert_eq!(text.lines().count(), 3, "{text}");
    let one = desk.ask(json!({ "ask": "limits.explain", "limit": "api", "key": "l" })).await;
    assert_eq!((&one["allowed"], one["items"].as_array().map(Vec::len)), (&json!(true), Some(1)));
    let top = desk.ask(json!({ "ask": "limits.top", "limit": "api", "n": 1 })).await;
    assert_eq!(top["used"], json!([{ "key": "k", "used": 10 }]));
    assert_eq!(top["denied"], json!([{ "key": "k", "denied": 1 }]));
    // One that is no text can be given back.
    let bytes = json!({ "ask": "limits.ask", "limit": "api", "key_hex": "ff61", "amount": 5 });
    desk.ask(bytes).await;
    let top = desk.ask(json!({ "ask": "limits.top", "limit": "api", "n": 9 })).await;
    assert_eq!(top["used"][1], json!({ "key": "\u{fffd}a", "key_hex": "ff61", "used": 5 }));
    let stats = desk.ask(json!({ "ask": "limits.stats" })).await;
    assert_eq!(stats, json!(desk.asked().stats()));
    assert_eq!(stats["limits"]["api"]["allowed"], 3);
}

#[tokio::test(start_paused = true)]
async fn limits_are_shown_and_changed_as_a_file_has_them() {
    let mut desk = desk().await;
    let shown = desk.ask(json!({ "ask": "limits.get" })).await;
    let of_file = json!({ "api": { "rate": "1/d", "burst": 10 }, "jobs": { "concurrent": 2 } });
    assert_eq!(shown["revision"], 0);
    assert_eq!(shown["limits"]["api"], of_file["api"], "{shown}");
    assert_eq!(shown["limits"]["jobs"]["concurrent"], 2);
    assert_eq!((&shown["source"], &shown["differing"]), (&json!("code"), &json!([])));
    let mut wanted = shown["limits"].clone();
    wanted["api"]["burst"] = json!(20);
    let put = json!({ "ask": "limits.put", "limits": wanted, "carry": "reset" });
    assert_eq!(desk.ask(put).await, json!({ "revision": 1 }));
    let shown = desk.ask(json!({ "ask": "limits.get" })).await;
    assert_eq!((&shown["revision"], &shown["limits"]), (&json!(1), &wanted));
    assert_eq!(shown["differing"], json!(["api"]));
    assert_eq!(desk.acts(), ["alice: limits.put"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_refused_by_name() {
    let mut desk = desk().await;
    for (document, error, said) in [
        (
            json!({ "ask": "limits.peek", "limit": "mail", "key": "k" }),
            "unknown_limit",
            "api, jobs",
        ),
        (
            json!({ "ask": "limits.ask", "limit": "api", "key": "k", "amount": 11 }),
            "never_admitted",
            "ask for 10 at most",
        ),
        (
            json!({ "ask": "limits.ask", "limit": "api", "key": "k".repeat(600) }),
            "key_too_long",
            "600 bytes",
        ),
        (json!({ "ask": "limits.ask", "limit": "jobs", "key": "k" }), "unsupported", "permits"),
        (json!({ "ask": "limits.put", "limits": {} }), "limits_unusable", "no limit in it"),
        (
            json!({ "ask": "limits.put", "limits": { "api": { "burst": 1 } } }),
            "limits_unusable",
            "limit api",
        ),
    ] {
        let refused = desk.refused(document.clone()).await;
        assert_eq!((&*refused.error, refused.effect), (error, Effect::None), "{document}");
        assert!(refused.detail.contains(said), "{document}: {}", refused.detail);
    }
}

/// It was told as an act whatever its fields were.
#[tokio::test(start_paused = true)]
async fn of_what_cannot_be_read_nothing_is_told() {
    let mut desk = desk().await;
    for (document, error, said) in [
        (json!({ "ask": "limits.put", "limits": [] }), "bad_request", "invalid type"),
        (json!({ "ask": "limits.ask", "limit": "api" }), "bad_request", "missing field `key`"),
        (
            json!({ "ask": "limits.reset", "limit": "api", "key": "k", "amount": 1 }),
            "bad_request",
            "no amount",
        ),
        (json!({ "ask": "limits.drop" }), "unknown_ask", "limits.drop"),
        (json!({ "ask": "other.get" }), "unknown_ask", "other.get"),
    ] {
        let refused = desk.refused(document.clone()).await;
        assert_eq!((&*refused.error, refused.effect), (error, Effect::None), "{document}");
        assert!(refused.detail.contains(said), "{document}: {}", refused.detail);
    }
    assert_eq!(desk.acts(), [""; 0]);
}

/// Whoever answers for a peer does not keep it running.
#[tokio::test(start_paused = true)]
async fn a_peer_ends_with_its_last_handle() {
    let Desk { network, limiters, mut client } = desk().await;
    client.ask_json(&json!({ "ask": "limits.get" })).await.expect("it answers");
    let weak = limiters[0].peer().downgrade();
    assert!(weak.upgrade().is_some());
    drop(limiters);
    assert!(weak.upgrade().is_none(), "nobody holds it any more");
    let error = client.ask_json(&json!({ "ask": "limits.get" })).await.expect_err("it has ended");
    assert!(matches!(error, AdminError::Lost { .. }), "{error}");
    let gone = Client::connect(network.at("desk"), "a", "alice", "").await;
    assert!(gone.expect_err("nobody listens").is_not_connected());
}
