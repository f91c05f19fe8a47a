//! Two sites over the driver: one decides, the other follows (docs/sites.md).

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{
    Acknowledge, AtPassive, Consent, DecideError, Event, Link, NoPrimaryReason, Peer, PeerBuilder,
    PeerRole, Site, SiteCondition, SiteError, SiteMode, SitePhase, SiteStatus, Status,
};
use support::far::Far;
use support::{Counter, LONG, add, count, until};
use tokio::time::sleep;

const EAST: [&str; 3] = ["a", "b", "c"];
const WEST: [&str; 3] = ["d", "e", "f"];

/// A peer of a site that knows of the other one by these contacts.
fn builder(network: &InProcess, name: &str, contacts: &[&str]) -> PeerBuilder {
    let is_east = EAST.contains(&name);
    let (own, other) = if is_east { ("east", "west") } else { ("west", "east") };
    let members = if is_east { EAST } else { WEST };
    Peer::builder(name, Counter)
        .members(members.map(|name| (name, name)))
        .site(Site::new(own).other(other, contacts.iter().copied()))
        .transport(network.at(name))
        .tokio_clock()
}

async fn start(network: &InProcess, names: [&str; 3], contacts: &[&str]) -> Vec<Peer> {
    let mut peers = Vec::new();
    for name in names {
        let peer = builder(network, name, contacts).start().await;
        peers.push(peer.expect("the settings are valid"));
    }
    peers
}

fn site(status: &Status) -> &SiteStatus {
    status.site.as_ref().expect("it stands at one")
}

async fn until_site(peer: &Peer, state: SiteCondition) -> Status {
    until(peer, |status| site(status).state == state).await
}

#[tokio::test(start_paused = true)]
async fn one_site_decides_and_the_other_follows_and_takes_calls() {
    let network = InProcess::network();
    let east = start(&network, EAST, &[]).await;
    // One contact is enough, of a peer that need not be the primary.
    let west = start(&network, WEST, &["b"]).await;
    sleep(LONG).await;
    for peer in east.iter().chain(&west) {
        let status = peer.status();
        assert_eq!(status.primary, None, "{}: nobody was told to decide", peer.name());
        let SiteStatus { mode, state, .. } = site(&status);
        assert_eq!((*mode, *state), (SiteMode::Standalone, SiteCondition::Pending));
        let error = add(peer, "k", 1).await.expect_err("nobody decides");
        assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::SitePending });
        // What would wait for one to be told to would end that at once.
        assert_eq!(peer.demote_site().await.err(), Some(SiteError::Undecided));
        assert_eq!(peer.switch_sites().await.err(), Some(SiteError::Undecided));
    }
    east[1].activate_site().await.expect("all three are there");
    for peer in &east {
        let are_listed = |status: &Status| {
            let listed = site(status).standby.iter().filter(|peer| peer.is_listed);
            listed.filter(|peer| peer.link == Link::Up).count() == 3
        };
        let status = until(peer, are_listed).await;
        let here = site(&status);
        assert_eq!((here.mode, here.phase, here.epoch), (SiteMode::Active, SitePhase::Active, 0));
        assert_eq!(here.state, SiteCondition::Ready);
    }
    for peer in &west {
        let status = until_site(peer, SiteCondition::Ready).await;
        assert_eq!((status.role, site(&status).mode), (PeerRole::Standby, SiteMode::Passive));
        peer.wait_counted(LONG).await.expect("it is listed");
        add(peer, "k", 2).await.expect("it is forwarded");
    }
    assert_eq!(count(&east[0], "k").await, 6);
    assert_eq!(west[0].activate_site().await.err(), Some(SiteError::OtherDecides));
    assert_eq!(east[2].activate_site().await.err(), None, "it is so already");
    // All have it then. The primary dies; the next one feeds the standby.
    sleep(Duration::from_secs(1)).await;
    let primary = east[0].status().primary.expect("there is one");
    let mut left: Vec<Peer> = Vec::new();
    for peer in east {
        if *peer.name() != primary {
            left.push(peer);
        }
    }
    let status = until(&left[0], |s| s.primary.as_ref().is_some_and(|name| *name != primary)).await;
    assert_eq!(site(&status).mode, SiteMode::Active);
    sleep(LONG).await;
    assert_eq!(count(&west[1], "k").await, 6);
}

#[tokio::test(start_paused = true)]
async fn a_cut_between_the_sites_is_told_at_both_and_heals_by_itself() {
    let network = InProcess::network();
    // Only the one site knows where the other is: all of it, for nobody there dials.
    let east = start(&network, EAST, &WEST).await;
    let west = start(&network, WEST, &[]).await;
    east[0].activate_site().await.expect("all three are there");
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::Ready).await;
    }
    for one in EAST {
        for other in WEST {
            network.cut(one, other);
        }
    }
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::PeerNotReachable).await;
    }
    add(&east[1], "k", 5).await.expect("the active site goes on");
    let error = add(&west[0], "k", 1).await.expect_err("nobody is reached");
    assert!(matches!(error, DecideError::NoPrimary { .. }), "{error}");
    for one in EAST {
        for other in WEST {
            network.heal(one, other);
        }
    }
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::Ready).await;
    }
    assert_eq!(count(&west[2], "k").await, 5);
}

#[tokio::test(start_paused = true)]
async fn callers_are_refused_at_the_passive_site_where_that_is_set() {
    let network = InProcess::network();
    let east = start(&network, EAST, &[]).await;
    let site = Site::new("west").other("east", ["a"]).at_passive(AtPassive::Refuse);
    let d = builder(&network, "d", &[]).members([("d", "d")]).site(site);
    let d = d.start().await.expect("the settings are valid");
    east[0].activate_site().await.expect("all three are there");
    until_site(&d, SiteCondition::Ready).await;
    sleep(Duration::from_secs(1)).await;
    let error = add(&d, "k", 1).await.expect_err("callers are refused here");
    assert_eq!(error, DecideError::NoPrimary { reason: NoPrimaryReason::SitePassive });
}

/// A group that lives is given its site one member after the other, and keeps what it holds. Who
/// has no site is refused from then on, by name.
#[tokio::test(start_paused = true)]
async fn a_group_of_one_site_becomes_the_first_of_two() {
    let network = InProcess::network();
    let plain = |name: &str| {
        let peer = Peer::builder(name, Counter).members(EAST.map(|name| (name, name)));
        peer.transport(network.at(name)).tokio_clock()
    };
    let mut peers = Vec::new();
    for name in EAST {
        peers.push(plain(name).start().await.expect("the settings are valid"));
    }
    for peer in &peers {
        peer.wait_counted(LONG).await.expect("they found a group");
    }
    add(&peers[0], "k", 7).await.expect("there is a primary");
    assert_eq!(peers[0].activate_site().await.err(), Some(SiteError::NoSite));
    for (index, name) in EAST.into_iter().enumerate() {
        peers[index].shutdown().await;
        let peer = builder(&network, name, &[]).start().await.expect("its address is free");
        peer.wait_counted(LONG).await.expect("the others take it up again");
        peers[index] = peer;
    }
    // Of a site that the group does not know of.
    let west = start(&network, WEST, &["a"]).await;
    sleep(LONG).await;
    assert_eq!(west[0].status().primary, None);
    assert!(west[0].status().refusals.iter().any(|refusal| refusal.field == "site"));
    peers[2].activate_site().await.expect("all have it");
    for peer in &west {
        until_site(peer, SiteCondition::Ready).await;
    }
    assert_eq!(count(&west[0], "k").await, 7);
    peers.remove(1).shutdown().await;
    let without = plain("b").start().await.expect("its address is free");
    sleep(LONG).await;
    let refusals = without.status().refusals;
    assert!(refusals.iter().any(|refusal| refusal.field == "site"), "{refusals:?}");
}

/// The active site has lost everything. What the standby holds is given up for nothing that did not
/// come of it, and the site is not founded beside it.
#[tokio::test(start_paused = true)]
async fn a_blank_site_is_not_founded_beside_a_standby_that_holds_the_data() {
    let network = InProcess::network();
    let east = start(&network, EAST, &[]).await;
    let west = start(&network, WEST, &["a", "b"]).await;
    east[0].activate_site().await.expect("all three are there");
    for peer in &west {
        until_site(peer, SiteCondition::Ready).await;
    }
    add(&east[0], "k", 7).await.expect("there is a primary");
    drop(east);
    sleep(Duration::from_secs(1)).await;
    let east = start(&network, EAST, &[]).await;
    sleep(LONG).await;
    assert_eq!(east[0].status().primary, None);
    assert_eq!(east[0].activate_site().await.err(), Some(SiteError::OtherHolds));
    assert!(!west[0].status().position.is_blank());
}

#[tokio::test(start_paused = true)]
async fn settings_of_a_site_that_make_no_sense_are_named() {
    let network = InProcess::network();
    let nobody: [&str; 0] = [];
    for (site, told) in [
        (Site::new("east").other("east", nobody), "both sites are called east"),
        (Site::new("e ast").other("west", nobody), "e ast"),
        (Site::new("east"), "site"),
    ] {
        let error = builder(&network, "a", &[]).site(site).start().await.expect_err("it is wrong");
        assert!(error.to_string().contains(told), "{error}");
    }
    let client = builder(&network, "x", &[]).client().start().await.expect_err("no member");
    assert!(client.to_string().contains("site"), "{client}");
}

/// Both sites, of which east decides and west follows.
async fn followed(network: &InProcess) -> (Vec<Peer>, Vec<Peer>) {
    followed_by(network, |_, peer| peer).await
}

/// The same with other settings.
async fn followed_by(
    network: &InProcess,
    set: impl Fn(&str, PeerBuilder) -> PeerBuilder,
) -> (Vec<Peer>, Vec<Peer>) {
    let (mut east, mut west) = (Vec::new(), Vec::new());
    for (names, contacts, peers) in [(EAST, WEST, &mut east), (WEST, EAST, &mut west)] {
        for name in names {
            let peer = set(name, builder(network, name, &contacts)).start().await;
            peers.push(peer.expect("the settings are valid"));
        }
    }
    east[0].activate_site().await.expect("all three are there");
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::Ready).await;
    }
    for peer in &west {
        peer.wait_counted(LONG).await.expect("it is listed");
    }
    (east, west)
}

/// Both ways, with a caller at each peer all the time: nobody is refused, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn the_sites_change_places_under_load_and_nobody_is_refused() {
    for acknowledge in [Acknowledge::Primary, Acknowledge::Majority] {
        for each_way in [0, 5, 40, 400].map(Duration::from_millis) {
            change_places(acknowledge, each_way).await;
        }
    }
}

/// The transport of a peer to which the other site is so far away.
fn apart(network: &InProcess, name: &str, each_way: Duration) -> Far {
    let other = if EAST.contains(&name) { WEST } else { EAST };
    Far { inner: network.at(name), places: other.map(str::to_owned).into(), each_way }
}

async fn change_places(acknowledge: Acknowledge, each_way: Duration) {
    let network = InProcess::network();
    let (east, west) = followed_by(&network, |name, peer| {
        let transport = Arc::new(apart(&network, name, each_way));
        peer.acknowledge(acknowledge).transport(transport)
    })
    .await;
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = east
        .iter()
        .chain(&west)
        .map(|peer| {
            let (peer, is_over) = (peer.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut added = 0;
                while !is_over.load(Ordering::Relaxed) {
                    add(&peer, "k", 1).await.expect("callers are held until somebody decides");
                    added += 1;
                    sleep(Duration::from_millis(50)).await;
                }
                added
            })
        })
        .collect();
    let asked = [(&east[1], 2), (&west[1], 3), (&east[2], 4), (&east[0], 5)];
    for (peer, epoch) in asked {
        sleep(Duration::from_secs(5)).await;
        let status = peer.switch_sites().await.expect("both are there");
        assert_eq!(status.epoch, epoch);
        let is_west = epoch % 2 == 0;
        let (active, passive) = if is_west { (&west, &east) } else { (&east, &west) };
        for peer in active {
            let status = until_site(peer, SiteCondition::Ready).await;
            assert_eq!(site(&status).mode, SiteMode::Active, "{}", peer.name());
            let promotion = site(&status).last_promotion.clone().expect("it was promoted");
            assert_eq!((promotion.epoch, promotion.forced), (epoch, false));
        }
        for peer in passive {
            let status = until_site(peer, SiteCondition::Ready).await;
            assert_eq!(site(&status).mode, SiteMode::Passive, "{}", peer.name());
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let mut added = 0;
    for caller in callers {
        added += caller.await.expect("it was refused nothing");
    }
    assert!(added > 100, "{added}");
    assert_eq!(count(&west[0], "k").await, added);
}

#[tokio::test(start_paused = true)]
async fn a_site_gives_up_to_decide_and_the_other_one_is_promoted() {
    let network = InProcess::network();
    let (east, west) = followed(&network).await;
    add(&east[1], "k", 5).await.expect("east decides");
    let refused = west[0].promote_site(Consent::default()).await.expect_err("east decides");
    assert!(matches!(refused, SiteError::ActiveReachable { .. }), "{refused}");
    east[2].demote_site().await.expect("west holds it");
    for peer in &east {
        let status = until_site(peer, SiteCondition::BlockedWarmStandbyConversion).await;
        assert_eq!(site(&status).mode, SiteMode::Passive);
    }
    for peer in &west {
        until_site(peer, SiteCondition::ReadyForPromotion).await;
    }
    sleep(LONG).await;
    for peer in east.iter().chain(&west) {
        let error = add(peer, "k", 1).await.expect_err("nobody decides");
        let sealed = DecideError::NoPrimary { reason: NoPrimaryReason::SiteSealed };
        assert_eq!(error, sealed, "{}", peer.name());
    }
    west[1].demote_site().await.expect("it follows already");
    let status = west[1].promote_site(Consent::default()).await.expect("it holds the seal");
    assert_eq!((status.mode, status.epoch), (SiteMode::Active, 2));
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::Ready).await;
        add(peer, "k", 1).await.expect("west decides");
    }
    assert_eq!(count(&east[0], "k").await, 11);
    assert_eq!(west[1].status().primary.as_ref(), Some(west[1].name()), "whoever was asked");
    let again = west[2].promote_site(Consent::default()).await;
    assert_eq!(again.err(), Some(SiteError::Already));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_was_passed_over_by_force_is_fenced_and_tells_what_is_lost() {
    let network = InProcess::network();
    let (east, west) = followed(&network).await;
    add(&east[1], "k", 5).await.expect("east decides");
    sleep(LONG).await;
    for one in EAST {
        for other in WEST {
            network.cut(one, other);
        }
    }
    for peer in &west {
        let status = until_site(peer, SiteCondition::PeerNotReachable).await;
        assert_eq!(site(&status).behind_ms, Some(0), "it held everything at the last word");
    }
    let refused = west[0].promote_site(Consent::default()).await.expect_err("it may decide");
    assert_eq!(refused, SiteError::NeedsForce { site: "east".into() });
    let primary = east[0].status().primary.expect("east has one");
    let led = east.iter().find(|peer| *peer.name() == primary).expect("it is one of them");
    let (mut lost, mut told) = (led.events(), west[0].events());
    let at_risk = |peer: &Peer| site(&peer.status()).rpo_units;
    assert_eq!(at_risk(led), Some(0), "nothing was decided since the cut");
    let status = west[0].promote_site(Consent::default().force()).await;
    let promoted = status.expect("most of west is there").last_promotion.expect("it was");
    assert!(promoted.took_ms.is_some_and(|took| took < 2_000), "{promoted:?}");
    let outage = promoted.outage_ms.expect("it had heard of a primary");
    assert!(outage >= 10_000, "{promoted:?}");
    assert_eq!((promoted.lost_units, promoted.lost_exact), (None, None), "nobody has told");
    add(&east[2], "k", 7).await.expect("east knows of nothing");
    assert_eq!(at_risk(led), Some(7), "west does not hold that");
    add(&west[2], "k", 1).await.expect("west decides");
    for one in EAST {
        for other in WEST {
            network.heal(one, other);
        }
    }
    for peer in east.iter().chain(&west) {
        let status = until(peer, |status| site(status).epoch == 2).await;
        let is_west = WEST.contains(&peer.name().as_str());
        assert_eq!(site(&status).mode == SiteMode::Active, is_west, "{}", peer.name());
    }
    assert_eq!(count(&east[0], "k").await, 6);
    let is_lost = |event: &Event| matches!(event, Event::ChangesLost { units: 7, exact: true });
    for events in [&mut lost, &mut told] {
        let until_lost = async {
            while let Some(event) = events.next().await {
                if is_lost(&event.event) {
                    return;
                }
            }
        };
        tokio::time::timeout(LONG, until_lost).await.expect("it is told");
    }
    let status = west[0].status();
    let promoted = site(&status).last_promotion.as_ref().expect("it was");
    assert_eq!((promoted.lost_units, promoted.lost_exact), (Some(7), Some(true)));
    assert_eq!(site(&west[1].status()).last_promotion.as_ref().and_then(|p| p.took_ms), None);
    for peer in east.iter().chain(&west) {
        until_site(peer, SiteCondition::Ready).await;
    }
}

/// What would be lost if east were: as much as was decided since most of west last held everything.
#[tokio::test(start_paused = true)]
async fn what_the_other_site_does_not_hold_is_told_by_time_and_by_units() {
    let network = InProcess::network();
    let (east, west) = followed(&network).await;
    let primary = east[0].status().primary.expect("east has one");
    let led = east.iter().find(|peer| *peer.name() == primary).expect("it is one of them");
    let exposed = || {
        let status = led.status();
        (site(&status).rpo_ms, site(&status).rpo_units)
    };
    add(&east[1], "k", 5).await.expect("east decides");
    sleep(LONG).await;
    assert_eq!(exposed(), (Some(0), Some(0)), "west holds everything");
    for peer in east.iter().filter(|peer| *peer.name() != primary).chain(&west) {
        let status = peer.status();
        assert_eq!((site(&status).rpo_ms, site(&status).rpo_units), (None, None));
    }
    // One of three is not most of them, and two are.
    EAST.iter().for_each(|peer| network.cut(peer, "d"));
    add(&east[1], "k", 5).await.expect("east decides");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(exposed(), (Some(0), Some(0)), "most of west hold everything");
    EAST.iter().for_each(|peer| network.cut(peer, "e"));
    sleep(LONG).await;
    assert_eq!(exposed(), (Some(0), Some(0)), "nothing was decided since");
    add(led, "k", 3).await.expect("east decides");
    sleep(Duration::from_secs(5)).await;
    add(led, "k", 4).await.expect("east decides");
    let (since, units) = exposed();
    assert_eq!(units, Some(7));
    assert!(since.is_some_and(|since| (5_000..8_000).contains(&since)), "{since:?}");
    // Who follows knows when its state was made, and by how much that was behind when it last
    // heard of the primary.
    let before = site(&west[1].status()).as_of_ms.expect("it holds something");
    for peer in EAST {
        network.heal(peer, "d");
        network.heal(peer, "e");
    }
    let in_step = |status: &Status| {
        let is_newer = site(status).as_of_ms.is_some_and(|as_of| as_of > before);
        is_newer && site(status).behind_ms == Some(0)
    };
    until(&west[1], in_step).await;
    until(led, |_| exposed() == (Some(0), Some(0))).await;
}

/// What a peer says of itself may be of a network that the other site is not in.
#[tokio::test(start_paused = true)]
async fn a_site_is_reached_by_a_pattern_where_the_own_word_of_its_peers_leads_nowhere() {
    let network = InProcess::network();
    let mut peers = Vec::new();
    for (names, own, other, contacts) in
        [(EAST, "east", "west", &[][..]), (WEST, "west", "east", &["c", "{peer}"])]
    {
        for name in names {
            let site = Site::new(own).other(other, contacts.iter().copied());
            let peer = builder(&network, name, &[]).site(site).listen(name);
            let peer = peer.advertise(format!("behind-{name}")).start().await;
            peers.push(peer.expect("the settings are valid"));
        }
    }
    peers[0].activate_site().await.expect("all three are there");
    // It is met by way of one peer, and followed at another.
    for peer in &peers {
        until_site(peer, SiteCondition::Ready).await;
    }
    add(&peers[4], "k", 3).await.expect("it is forwarded");
    let status = peers[5].switch_sites().await.expect("both are there");
    assert_eq!((status.mode, status.epoch), (SiteMode::Active, 2));
    for peer in &peers {
        until_site(peer, SiteCondition::Ready).await;
    }
    assert_eq!(count(&peers[1], "k").await, 3);
}
