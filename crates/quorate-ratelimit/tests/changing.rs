//! Limits that change while a group runs, at all its peers and across failovers.

use std::time::Duration;

use quorate::{Acknowledge, Event, PeerBuilder, PolicyError};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{
    AcquireError, Carry, FileChange, Limit, Limits, LimitsSpec, WithoutPrimary,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn set(limits: &[(&str, Limit)]) -> Limits {
    let add = |builder: quorate_ratelimit::LimitsBuilder, (name, limit): &(&str, Limit)| {
        builder.limit(*name, *limit)
    };
    limits.iter().fold(Limits::builder(), add).build().expect("usable")
}

fn slow(burst: u64) -> Limit {
    Limit::per(1, DAY * 366).burst(burst)
}

async fn group(limits: &Limits) -> TestGroup {
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    TestGroup::start(limits, ["a", "b", "c"], exact).await.expect("the settings are valid")
}

#[tokio::test(start_paused = true)]
async fn a_change_asked_for_anywhere_counts_everywhere_and_outlives_its_primary() {
    let mut group = group(&set(&[("api", slow(10)), ("old", slow(1))])).await;
    let primary = group.primary().await;
    let other = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    _ = group.limiter(other).acquire("api", "alice", 10).await.expect("a primary");
    let new = set(&[("api", slow(25)), ("new", slow(3))]);
    let changed = group.limiter(other).change_limits(&new, Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    for name in ["a", "b", "c"] {
        let limiter = group.limiter(name);
        let decision = limiter.acquire("api", "alice", 1).await.expect("a primary");
        assert!(decision.allowed, "raised, and at once: {decision:?}");
        assert_eq!(decision.limit, 25);
        assert!(limiter.acquire("new", "alice", 1).await.expect("known").allowed);
        let gone = limiter.acquire("old", "alice", 1).await;
        assert!(matches!(gone, Err(AcquireError::MissingLimit { revision: 1, .. })));
        let status = limiter.limits_status();
        assert_eq!(status.revision, 1);
        assert_eq!(status.differing, ["api", "new", "old"], "what its code says is others");
        assert_eq!(limiter.limits().to_string(), new.to_string());
    }
    group.kill(&primary);
    let next = group.primary().await;
    let decision = group.limiter(&next).acquire("api", "alice", 1).await.expect("a primary");
    assert_eq!((decision.limit, decision.remaining), (25, 11));
    // It comes back with what its code says, and hears of the group's.
    group.restart(&primary).await.expect("the settings are valid");
    group.pass(Duration::from_secs(30)).await;
    assert_eq!(group.limiter(&primary).limits_status().revision, 1);
    let changed = group.limiter(&primary).change_limits(&new, Carry::Keep).await;
    assert_eq!(changed, Ok(1), "nothing to change");
    let events = group.limiter(&primary).peer().events_since(0);
    let told = |event: &Event| matches!(event, Event::PolicyChanged { revision: 1 });
    assert!(events.iter().any(|event| told(&event.event)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_or_has_no_primary_changes_nothing() {
    let before = set(&[("api", slow(10)), ("jobs", Limit::concurrent(2))]);
    let mut group = group(&before).await;
    let lease = Limit::concurrent(2).lease(Duration::from_secs(5));
    let refused = group.limiter("b").change_limits(&set(&[("jobs", lease)]), Carry::Keep).await;
    assert!(matches!(refused, Err(PolicyError::Refused { .. })), "{refused:?}");
    assert_eq!(group.limiter("b").limits_status().revision, 0);
    group.kill("a");
    group.kill("b");
    let nobody = group.limiter("c").change_limits(&set(&[("api", slow(20))]), Carry::Keep).await;
    assert!(matches!(nobody, Err(PolicyError::NoPrimary { .. })), "{nobody:?}");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_limits_fit_and_too_many_are_refused() {
    let group = group(&set(&[("api", slow(10))])).await;
    let many = |count: u64| {
        let names: Vec<String> =
            (0..count).map(|number| format!("limit number {number}")).collect();
        let builder = names.iter().zip(1..).fold(Limits::builder(), |builder, (name, number)| {
            builder.limit(name, Limit::per_second(number).burst(number * 2))
        });
        builder.build().expect("usable")
    };
    assert_eq!(group.limiter("a").change_limits(&many(1000), Carry::Keep).await, Ok(1));
    let last = group.limiter("c").acquire("limit number 999", "k", 2000).await.expect("known");
    assert_eq!((last.allowed, last.remaining), (true, 0));
    let refused = group.limiter("a").change_limits(&many(4000), Carry::Keep).await;
    assert!(
        matches!(refused, Err(PolicyError::Refused { .. } | PolicyError::TooLong { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_is_taken_up_when_it_changes_and_an_invalid_one_is_refused() {
    let group = group(&set(&[("api", slow(10))])).await;
    let dir = std::env::temp_dir().join(format!("quorate-limits-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join("limits.json");
    let write = |text: &str| std::fs::write(&file, text).expect("it is written");
    write(r#"{"limits": {"api": {"rate": "1/s"}}}"#);
    let limiter = group.limiter("b").clone();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let path = file.clone();
    let watching = tokio::spawn(async move {
        let read = |text: &str| serde_json::from_str::<LimitsSpec>(text);
        let told = |change| told.send(change).expect("heard");
        limiter.watch_limits_file(path, read, Carry::Keep, told).await;
    });
    // What it says at first is not taken up, and that is told.
    let differs = FileChange::Differs { revision: 0, limits: vec!["api".into()] };
    assert_eq!(heard.recv().await, Some(differs));
    group.pass(Duration::from_secs(10)).await;
    assert!(heard.try_recv().is_err());
    assert_eq!(group.limiter("b").limits_status().differing, ["api"]);
    write(r#"{"limits": {"api": {"rate": "1/365d", "burst": 40}}}"#);
    assert_eq!(heard.recv().await, Some(FileChange::Taken { revision: 1 }));
    assert_eq!(group.limiter("a").peek("api", "k", 1).await.expect("a primary").limit, 40);
    for broken in ["{", r#"{"limits": {"api": {"rate": "0/s"}}}"#, "{}"] {
        write(broken);
        assert!(matches!(heard.recv().await, Some(FileChange::Refused { .. })));
        assert_eq!(group.limiter("a").peek("api", "k", 1).await.expect("a primary").limit, 40);
    }
    watching.abort();
    std::fs::remove_dir_all(&dir).expect("it is there");
}

/// They were refused for good: by the limits of that moment nobody decides alone.
#[tokio::test(start_paused = true)]
async fn what_was_decided_alone_by_limits_that_were_changed_meanwhile_is_merged() {
    let before = set(&[("api", slow(100))]);
    let group = group(&before).await;
    let primary = group.primary().await;
    let alone = ["a", "b", "c"].into_iter().find(|name| *name != primary).expect("three");
    let open = set(&[("api", slow(100).without_primary(WithoutPrimary::Open))]);
    let changed = group.limiter(&primary).change_limits(&open, Carry::Keep).await;
    assert_eq!(changed, Ok(1));
    group.pass(Duration::from_secs(5)).await;
    group.isolate(&[alone]);
    group.pass(Duration::from_secs(60)).await;
    let limiter = group.limiter(alone);
    let decision = limiter.acquire("api", "alice", 5).await.expect("it goes on alone");
    assert!(decision.basis.is_local(), "{decision:?}");
    let changed = group.limiter(&primary).change_limits(&before, Carry::Keep).await;
    assert_eq!(changed, Ok(2));
    group.heal();
    group.pass(Duration::from_secs(60)).await;
    let told = limiter.peer().events_since(0);
    let merged = |event: &Event| matches!(event, Event::LocalDecisionsMerged { units: 5, .. });
    assert!(told.iter().any(|event| merged(&event.event)), "{told:?}");
    let decision = limiter.peek("api", "alice", 1).await.expect("there is a primary");
    assert_eq!(decision.remaining, 95);
}
