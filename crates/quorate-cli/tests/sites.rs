//! The built binary against two sites on loopback, of one peer each.

mod support;

use std::net::TcpListener;
use std::time::Duration;

use quorate::{Peer, Site, SiteCondition, SiteMode, Status};
use quorate_ratelimit::{Limit, Limits};
use support::{quorate, until};

/// East, which is `a`, and west, which is `d`; and where they are.
async fn two() -> [(Peer, String); 2] {
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("there are free ports"));
    let [a, d] = free.map(|port| port.local_addr().expect("it is bound").to_string());
    let limits = Limits::builder().limit("api", Limit::per_day(1).burst(3)).build();
    let limits = limits.expect("usable");
    let mut peers = Vec::new();
    for (name, own, other, at, contact) in
        [("a", "east", "west", &a, &d), ("d", "west", "east", &d, &a)]
    {
        let builder = Peer::builder(name, limits.model())
            .group("quota")
            .members([(name, at.as_str())])
            .site(Site::new(own).other(other, [contact.as_str()]))
            .failure_timeout(Duration::from_secs(3))
            .heartbeat(Duration::from_millis(300));
        peers.push(builder.start().await.expect("the ports are free"));
    }
    let [east, west] = <[Peer; 2]>::try_from(peers).expect("two");
    [(east, a), (west, d)]
}

/// Returns true if a peer says so of its site.
fn is(mode: SiteMode, state: SiteCondition) -> impl FnMut(&Status) -> bool {
    move |status| status.site.as_ref().is_some_and(|it| (it.mode, it.state) == (mode, state))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sites_change_places_and_one_goes_on_by_force_when_the_other_is_gone() {
    use SiteCondition::{PeerNotReachable, Ready, ReadyForPromotion};
    let [(east, at_east), (west, at_west)] = two().await;
    let run = async |at: &str, words: &[&str]| {
        let words = [&["--peer", at, "--timeout", "40s", "site"], words].concat();
        quorate(&words).await
    };
    let pending = run(&at_east, &[]).await;
    assert_eq!(pending.code, 6, "{pending:?}");
    assert!(pending.printed.starts_with("site     east, standalone"), "{pending:?}");
    let asked = run(&at_east, &["activate"]).await;
    assert_eq!(asked.code, 2, "nobody is there to ask: {asked:?}");
    let active = run(&at_east, &["activate", "--yes"]).await;
    assert_eq!(active.code, 0, "{active:?}");
    until(&east, is(SiteMode::Active, Ready)).await;
    until(&west, is(SiteMode::Passive, Ready)).await;
    for at in [&at_east, &at_west] {
        let shown = run(at, &["show"]).await;
        assert_eq!(shown.code, 0, "{shown:?}");
    }
    let reachable = run(&at_west, &["promote", "--yes", "--json"]).await;
    assert_eq!((reachable.code, &reachable.json()["error"]), (1, &"active_reachable".into()));

    let switched = run(&at_west, &["switch", "--yes"]).await;
    assert_eq!((switched.code, &*switched.printed), (0, "west decides, and east follows\n"));
    until(&west, is(SiteMode::Active, Ready)).await;
    until(&east, is(SiteMode::Passive, Ready)).await;
    // It has yet to be counted there as what it is now.
    tokio::time::sleep(Duration::from_secs(2)).await;

    // Told at a site that follows, and made at the one that decides.
    let demoted = run(&at_east, &["demote", "--yes"]).await;
    assert_eq!(demoted.code, 0, "{demoted:?}");
    assert!(demoted.printed.starts_with("west has given up deciding"), "{demoted:?}");
    until(&east, is(SiteMode::Passive, ReadyForPromotion)).await;
    let sealed = run(&at_west, &[]).await;
    assert_eq!(sealed.code, 6, "{sealed:?}");
    let status = quorate(&["--peer", &at_west, "status"]).await;
    assert_eq!(status.code, 6, "{status:?}");
    assert!(status.printed.contains("nobody decides: west has given up deciding"), "{status:?}");
    let promoted = run(&at_east, &["promote", "--yes"]).await;
    assert_eq!(promoted.code, 0, "{promoted:?}");
    until(&west, is(SiteMode::Passive, Ready)).await;

    east.shutdown().await;
    until(&west, is(SiteMode::Passive, PeerNotReachable)).await;
    let unknown = run(&at_west, &["promote", "--yes", "--json"]).await;
    assert_eq!((unknown.code, &unknown.json()["error"]), (1, &"needs_force".into()), "{unknown:?}");
    let forced = run(&at_west, &["promote", "--force", "--yes"]).await;
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.printed.contains("lost: what only east held"), "{forced:?}");
    let shown = run(&at_west, &[]).await;
    assert_eq!(shown.code, 5, "nobody of east is there: {shown:?}");
}
