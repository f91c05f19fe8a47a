//! What is left of a group goes on by force, and whoever was given up ends when it hears of it
//! (docs/operations.md, section 14).

mod support;

use std::time::Duration;

use quorate::internal::protocol::Standing;
use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{Hello, Refuse};
use quorate::transport::InProcess;
use quorate::{
    Ballot, DecideError, Event, ForceError, Generation, Mode, NoPrimaryReason, NotCountedError,
    Peer, PeerBuilder, PeerName, PeerRole, Position,
};
use support::raw::{self, Raw};
use support::{Counter, LONG, NAMES, Trio, add, builder, count, events, members, until};
use tokio::time::sleep;

fn names<const N: usize>(names: [&str; N]) -> Vec<PeerName> {
    names.map(PeerName::from).to_vec()
}

fn relaxed(builder: PeerBuilder) -> PeerBuilder {
    builder.mode(Mode::Relaxed)
}

/// Cuts `a` off from the others, and waits until both sides know.
async fn cut_off(trio: &Trio) {
    for other in ["b", "c"] {
        trio.network.cut("a", other);
    }
    until(trio.peer("a"), |status| status.lost.is_some()).await;
    sleep(LONG).await;
}

fn heal(network: &InProcess) {
    for other in ["b", "c"] {
        network.heal("a", other);
    }
}

fn is_out(error: &DecideError) -> bool {
    *error == DecideError::NoPrimary { reason: NoPrimaryReason::CountedOut }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forced_while_a_majority_is_there() {
    let mut trio = Trio::start(|builder| builder).await;
    let before = trio.peer("a").status();
    for peer in &trio.peers {
        let error = peer.force_primary(["x"]).await.expect_err("there is a primary");
        assert!(matches!(error, ForceError::HasQuorum { .. }), "{}: {error}", peer.name());
    }
    // Nor just after it has gone, while the two that are left elect another one.
    let primary = trio.primary();
    trio.crash(&primary).await;
    for peer in &trio.peers {
        let error = peer.force_primary([primary.as_str()]).await.expect_err("two are left");
        assert!(matches!(error, ForceError::HasQuorum { .. }), "{}: {error}", peer.name());
    }
    let left = &trio.peers[0];
    let status = until(left, |status| status.primary.is_some() && status.quorum).await;
    assert_eq!((status.group_id, status.generation), (before.group_id, before.generation));
    assert_eq!(members(&status), "abc");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_group_goes_on_by_force_with_what_it_holds() {
    let mut trio = Trio::start(|builder| builder).await;
    add(trio.peer("b"), "k", 7).await.expect("there is a primary");
    // All have it then.
    sleep(Duration::from_secs(2)).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    let a = trio.peer("a");
    let status = until(a, |status| status.lost.is_some() && status.primary.is_none()).await;
    sleep(LONG).await;
    let lost = a.status().lost.expect("it reaches no majority");
    assert_eq!((lost.waiting_for, lost.best), (names(["b", "c"]), Some("a".into())));
    assert!(lost.as_of_ms.is_some());
    assert_eq!(lost.would_force, None);
    for (gone, expected) in [
        (&["b"][..], ForceError::Unaccounted { peers: names(["c"]) }),
        (&[], ForceError::Unaccounted { peers: names(["b", "c"]) }),
        (&["b", "c", "x"], ForceError::NotMember { peer: "x".into() }),
        (&["a", "b", "c"], ForceError::Alive { peer: "a".into(), seen_by: "a".into() }),
    ] {
        assert_eq!(a.force_primary(gone.iter().copied()).await, Err(expected));
    }
    assert_eq!(a.status().generation, status.generation, "nothing was changed");

    let forced = a.force_primary(["c", "b", "c"]).await.expect("it is all that is left");
    assert_eq!(forced.gone, names(["b", "c"]));
    assert!(forced.generation > status.generation);
    assert_ne!(Some(forced.group_id), status.group_id);
    let now = until(a, |status| status.role == PeerRole::Primary && status.quorum).await;
    assert_eq!((now.group_id, now.generation), (Some(forced.group_id), forced.generation));
    assert_eq!((members(&now).as_str(), now.lost), ("a", None));
    assert_eq!(count(a, "k").await, 7);
    assert_eq!(a.force_primary(["b", "c"]).await, Ok(forced.clone()), "asked again");
    let told = events(a).into_iter().filter_map(|event| match event {
        Event::PrimaryForced { generation, gone, group_id, .. } => {
            Some((generation, gone, group_id))
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(forced.generation, forced.gone, forced.group_id)]);

    // Others come in the place of those that are gone.
    let mut others = Vec::new();
    for name in ["d", "e"] {
        let peer = Peer::builder(name, Counter).transport(trio.network.at(name)).tokio_clock();
        let peer = peer.listen(name).join(["a"]).start().await.expect("the settings are valid");
        peer.wait_counted(LONG).await.expect("it is counted in");
        others.push(peer);
    }
    let status = until(trio.peer("a"), |status| status.spare == 1).await;
    assert_eq!(members(&status), "ade");
    assert_eq!(count(&others[1], "k").await, 7);
}

/// A member that was restarted with another failure timeout is there, and refused.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_refused_for_a_setting_is_not_gone() {
    let mut trio = Trio::start(|builder| builder).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    let other = builder(&trio.network, "b").failure_timeout(Duration::from_secs(20));
    let other = other.start().await.expect("its address is free");
    let a = trio.peer("a");
    until(a, |status| status.lost.is_some() && status.primary.is_none()).await;
    sleep(LONG).await;
    let alive = ForceError::Alive { peer: "b".into(), seen_by: "a".into() };
    assert_eq!(a.force_primary(["b", "c"]).await, Err(alive.clone()));
    let lost = a.status().lost.expect("it reaches no majority");
    assert_eq!(lost.would_force, Some(alive.to_string()), "and says so before it is asked");
    other.shutdown().await;
    sleep(Duration::from_secs(11)).await;
    a.force_primary(["b", "c"]).await.expect("it has been gone for a failure timeout");
}

/// Two were started again as they were at first: blank, to join. Nobody but the third has the data,
/// or knows the members.
#[tokio::test(start_paused = true)]
async fn members_that_come_back_to_join_are_votes_for_the_one_that_kept_the_data() {
    let network = InProcess::network();
    let join = |name: &'static str| {
        let peer = Peer::builder(name, Counter).transport(network.at(name)).tokio_clock();
        peer.listen(name).join(["a"]).start()
    };
    let a = Peer::builder("a", Counter).transport(network.at("a")).tokio_clock();
    let a = a.members([("a", "a")]).listen("a").start().await.expect("the settings are valid");
    until(&a, |status| status.role == PeerRole::Primary).await;
    let mut others = Vec::new();
    for name in ["b", "c"] {
        let peer = join(name).await.expect("the settings are valid");
        peer.wait_counted(LONG).await.expect("it is counted in");
        others.push(peer);
    }
    add(&a, "k", 7).await.expect("there is a primary");
    for peer in others.drain(..) {
        drop(peer);
    }
    sleep(Duration::from_secs(1)).await;
    for name in ["b", "c"] {
        others.push(join(name).await.expect("its address is free"));
    }
    for peer in &others {
        peer.wait_counted(LONG).await.expect("it is counted in");
        assert_eq!(count(peer, "k").await, 7);
    }
    assert_eq!(members(&a.status()), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_holds_nothing_or_is_no_member_is_not_forced() {
    let mut trio = Trio::start(|builder| builder).await;
    let client = builder(&trio.network, "x").client().start().await.expect("it is set up");
    let error = client.force_primary(["a"]).await.expect_err("a client");
    assert!(matches!(error, ForceError::Blank | ForceError::NotMember { .. }), "{error}");
    for name in ["a", "b", "c"] {
        trio.crash(name).await;
    }
    let blank = trio.start_one("a").await.expect("its address is free");
    sleep(LONG).await;
    assert_eq!(blank.force_primary(["b", "c"]).await, Err(ForceError::Blank));
}

/// Whoever is named as gone, and lives, hears of it in the first handshake after the cut.
async fn given_up(setup: fn(PeerBuilder) -> PeerBuilder) {
    let trio = Trio::start(setup).await;
    for peer in &trio.peers {
        add(peer, "k", 1).await.expect("there is a primary");
    }
    cut_off(&trio).await;
    let forced = trio.peer("a").force_primary(["b", "c"]).await.expect("a lie, and it cannot know");
    // Until they hear of each other both sides decide.
    for peer in &trio.peers {
        add(peer, "k", 10).await.expect("each side has a primary");
    }
    heal(&trio.network);
    let is_told = |peer: &Peer| {
        let is_it = |event: &Event| matches!(event, Event::CountedOut { by: Some(_), .. });
        events(peer).into_iter().filter(is_it).count()
    };
    for name in ["b", "c"] {
        let peer = trio.peer(name);
        until(peer, |status| status.role == PeerRole::Removed).await;
        for _ in 0..50 {
            let error = add(peer, "k", 100).await.expect_err("it has been given up");
            assert!(is_out(&error), "{name}: {error}");
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(is_told(peer), 1, "{name}");
        let by = events(peer).into_iter().find_map(|event| match event {
            Event::CountedOut { by, generation } => Some((by, generation)),
            _ => None,
        });
        assert_eq!(by, Some((Some("a".into()), forced.generation)), "{name}");
        match peer.wait_counted(Duration::ZERO).await {
            Err(NotCountedError::NotReady(error)) => {
                assert_eq!(error.reason, NoPrimaryReason::CountedOut, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert!(!peer.is_settled(Duration::ZERO), "{name}");
        let status = peer.status();
        assert_eq!((status.primary, status.spare), (None, 0), "{name}");
        let error = peer.force_primary(["a"]).await.expect_err("it is no member");
        assert_eq!(error, ForceError::NotMember { peer: name.into() });
    }
    assert_eq!(is_told(trio.peer("a")), 0);
    assert_eq!(count(trio.peer("a"), "k").await, 13, "what was there before, and its own");
    assert_eq!(members(&trio.peer("a").status()), "a");
}

#[tokio::test(start_paused = true)]
async fn who_was_given_up_and_lives_decides_nothing_once_it_hears_of_it() {
    given_up(|builder| builder).await;
}

/// A relaxed peer decides alone; this one has nobody left to bring that back to.
#[tokio::test(start_paused = true)]
async fn who_was_given_up_decides_nothing_in_relaxed_mode_either() {
    given_up(relaxed).await;
}

/// Those that live have founded again before they meet it, and their list has it still: nobody
/// refused it, and both sides decided for good.
#[tokio::test(start_paused = true)]
async fn whoever_was_forced_past_members_that_have_founded_since_gives_way() {
    let mut trio = Trio::start(|builder| builder).await;
    add(trio.peer("b"), "k", 1).await.expect("there is a primary");
    sleep(LONG).await;
    cut_off(&trio).await;
    trio.peer("a").force_primary(["b", "c"]).await.expect("a lie, and it cannot know");
    add(trio.peer("a"), "k", 10).await.expect("it decides alone");
    trio.crash("b").await;
    let back = trio.start_one("b").await.expect("its address is free");
    let founded = until(trio.peer("c"), |status| status.role == PeerRole::Primary).await;
    assert!(founded.generation > trio.peer("a").status().generation);
    add(trio.peer("c"), "k", 100).await.expect("two of three have founded again");
    heal(&trio.network);
    until(trio.peer("a"), |status| status.generation == founded.generation).await;
    let counted = trio.peer("a").wait_counted(LONG).await.expect("it is a member there");
    assert_eq!(counted.primary, founded.primary);
    assert_eq!(count(trio.peer("a"), "k").await, 101);
    assert_eq!(count(&back, "k").await, 101);
    let told = events(trio.peer("a"));
    assert!(told.iter().any(|event| matches!(event, Event::SteppedDown { .. })), "{told:?}");
    assert!(
        told.iter().any(|event| matches!(event, Event::OlderGenerationDropped { .. })),
        "{told:?}"
    );
}

/// The list that it is started with would do for a founding, with the other one that comes back.
#[tokio::test(start_paused = true)]
async fn who_was_given_up_and_comes_back_blank_is_told_and_founds_nothing() {
    let mut trio = Trio::start(|builder| builder).await;
    for name in ["b", "c"] {
        trio.crash(name).await;
    }
    until(trio.peer("a"), |status| status.lost.is_some()).await;
    sleep(LONG).await;
    trio.peer("a").force_primary(["b", "c"]).await.expect("it is all that is left");
    let mut back = Vec::new();
    for name in ["b", "c"] {
        back.push(trio.start_one(name).await.expect("its address is free"));
    }
    sleep(LONG * 5).await;
    for peer in &back {
        let status = peer.status();
        assert_eq!((status.primary, status.group_id), (None, None), "{}", peer.name());
        let told = events(peer).into_iter();
        let told = told.filter(|event| matches!(event, Event::CountedOut { .. }));
        assert_eq!(told.count(), 1, "{}", peer.name());
        assert!(add(peer, "k", 1).await.is_err(), "{}", peer.name());
    }
    assert_eq!(members(&trio.peer("a").status()), "a");
    add(trio.peer("a"), "k", 1).await.expect("it goes on");
}

/// Whoever only uses the group could end every member of it, with what members say of themselves.
#[tokio::test(start_paused = true)]
async fn a_client_counts_nobody_out() {
    let mut trio = Trio::start(|builder| builder).await;
    add(trio.peer("b"), "k", 7).await.expect("there is a primary");
    // A client where a member was.
    trio.crash("c").await;
    let status = trio.peer("a").status();
    let generation = status.generation;
    let newer =
        Ballot { generation: Generation::from_bits(generation.to_bits() + 1), ..Ballot::default() };
    let position = Position { ballot: newer, ..Position::BLANK };
    let standing = Standing { position, generations: vec![generation, newer.generation] };
    for to in ["a", "b"] {
        let hello = raw::hello(&raw::group(&NAMES), "c", Lane::Control);
        let hello = Hello { has_state: true, standing: standing.clone(), ..hello };
        let (ours, theirs) = ("none of a, b".to_owned(), to.to_owned());
        let refuse = Refuse { field: "member".to_owned(), ours, theirs };
        Raw::refuse(&*trio.network.at("c"), to, hello, refuse).await.expect("it is let in");
    }
    sleep(LONG).await;
    for name in ["a", "b"] {
        let told = events(trio.peer(name)).into_iter();
        let told = told.filter(|event| matches!(event, Event::CountedOut { .. }));
        assert_eq!(told.count(), 0, "{name}");
        assert_eq!(count(trio.peer(name), "k").await, 7);
    }
}
