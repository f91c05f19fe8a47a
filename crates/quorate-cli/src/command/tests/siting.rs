//! `site`: what is shown of two sites, whom a change is asked of, and whether it is meant.

use super::*;
use crate::door::DoorError;
use crate::door::paper::{member, replica};

const A: &str = "127.0.0.1:1";
const D: &str = "127.0.0.1:4";

/// What a peer of east says of the sites, of which this one decides.
fn east() -> Value {
    json!({
        "site": "east", "other": "west", "epoch": 3, "mode": "active", "phase": "active",
        "state": "Ready", "reason": "1 of 1 peers of west follow",
        "standby": [{"name": "d", "link": "up", "is_listed": true, "lag": 0}],
        "last_promotion": {"epoch": 3, "forced": false, "as_of_ms": NOW_MS},
        "silent_ms": null, "lag": null, "rpo_ms": 0, "rpo_units": 0,
    })
}

/// What one of west says, which follows.
fn west() -> Value {
    json!({
        "site": "west", "other": "east", "epoch": 3, "mode": "passive", "phase": "passive",
        "state": "Ready", "reason": "this peer holds what east has decided", "standby": [],
        "last_promotion": null, "silent_ms": 200, "lag": 0,
    })
}

/// `site` as it is, but for a few fields.
fn changed(mut site: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("an object") {
        site[name] = value.clone();
    }
    site
}

/// East with the peer `a`, which decides.
fn status_of_east(site: &Value) -> Value {
    let peers = json!([changed(replica("d", 4), json!({"role": "standby", "is_member": false}))]);
    let members = json!([member("a", 1)]);
    changed(healthy(), json!({"members": members, "peers": peers, "site": site, "size": 1}))
}

/// West with the peer `d`, which follows that.
fn status_of_west(site: &Value) -> Value {
    let of_d = json!({
        "name": "d", "role": "standby", "quorum": false, "members": [member("a", 1)],
        "peers": [changed(replica("a", 1), json!({"role": "primary"}))], "site": site,
    });
    changed(healthy(), of_d)
}

/// Both on paper, and what they answer to an ask about their sites.
fn both() -> Paper {
    let paper = Paper::default();
    for (address, status, site) in
        [(A, status_of_east(&east()), east()), (D, status_of_west(&west()), west())]
    {
        paper.peer(address, status).answers(address, "site", Ok(site));
    }
    paper
}

/// West alone, out of reach of east.
fn cut_off() -> Paper {
    let paper = Paper::default();
    let away = json!({
        "state": "PeerNotReachable", "silent_ms": 60_000, "lag": null,
        "as_of_ms": NOW_MS - 62_000, "behind_ms": 2_000,
    });
    let site = changed(west(), away);
    let status = changed(status_of_west(&site), json!({"primary": null, "peers": []}));
    let decides = json!({
        "site": "west", "other": "east", "mode": "active", "epoch": 4,
        "last_promotion": {"epoch": 4, "forced": true, "as_of_ms": NOW_MS - 60_000},
    });
    paper.peer(A, status).answers(A, "site", Ok(decides));
    paper
}

#[tokio::test(start_paused = true)]
async fn the_sites_are_shown_with_a_code_for_how_they_are() {
    let paper = both();
    for line in ["site", "site show"] {
        let shown = run(&paper, line).await;
        assert_eq!(shown.code(), 0);
        let told = "site     east, active, site epoch 3\nother    west\nphase    active\nstate    \
                    Ready: 1 of 1 peers of west follow\nprimary  a\nat risk  nothing: \
                    most of west hold all that was decided\npromoted without a loss, as of \
                    2026-11-30T13:04:05.123Z\nseen by  a\n\nSTANDBY  LINK  LISTED  LAG\nd        \
                    up    yes       0\n";
        assert_eq!(shown.printed, told);
    }
    let measured = json!({
        "rpo_ms": 2_500, "rpo_units": 7, "last_promotion": {
            "epoch": 3, "forced": true, "as_of_ms": NOW_MS, "took_ms": 240, "outage_ms": 12_000,
            "lost_units": 1, "lost_exact": false,
        },
    });
    paper.answers(A, "site", Ok(changed(east(), measured)));
    let shown = run(&paper, "site").await.printed;
    for told in [
        "at risk  at most 7 units, of the last 2 s, which west does not hold\n",
        "promoted by force, as of",
        "measured it took 240 ms, and nobody was heard to decide for 12 s\n",
        "lost     at most 1 unit, as west said when it came back\n",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    paper.answers(A, "site", Ok(east()));
    let document = run(&paper, "site --json").await.json();
    assert_eq!(document, json!({"peer": "a", "address": A, "answer": east()}));
    for (site, code) in [
        (changed(east(), json!({"state": "Warning"})), 5),
        (changed(east(), json!({"phase": "progressing to active"})), 6),
        (changed(west(), json!({"state": "BlockedWarmStandbyConversion"})), 6),
        (changed(west(), json!({"state": "ReadyForPromotion"})), 6),
        (json!({"mode": "standalone", "site": null}), 5),
    ] {
        paper.answers(A, "site", Ok(site.clone()));
        assert_eq!(run(&paper, "site").await.code(), code, "{site}");
    }
    let cut_off = cut_off();
    assert_eq!(run(&cut_off, "site").await.code(), 6, "it hears nobody who decides");
    let old = DoorError::Refused { error: "unknown_ask".into(), detail: "no site".into() };
    paper.answers(A, "site", Err(old));
    assert_eq!(run(&paper, "site").await.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_site_is_changed_unless_that_is_meant() {
    let paper = both();
    for line in ["activate", "demote", "switch", "promote", "promote --force"] {
        let line = format!("site {line}");
        let nobody = run(&paper, &line).await;
        assert_eq!((nobody.code(), nobody.error()), (2, "needs_yes"), "{line}");
        let declined = run_as(&paper, Some("no"), &line).await;
        assert_eq!((declined.code(), declined.error()), (1, "declined"), "{line}");
        assert_eq!(declined.questions.len(), 1);
    }
    assert_eq!(paper.asked(), []);
}

#[tokio::test(start_paused = true)]
async fn each_change_is_asked_where_it_is_made() {
    let paper = both();
    for (line, told) in [
        ("site activate --yes", "east decides, and west follows as it is met\n"),
        ("site demote --yes", "east has given up deciding; promote west: quorate site promote\n"),
        ("site switch --yes", "west decides, and east follows\n"),
        ("site promote --yes", "west decides, by d, and east follows\n"),
        ("site promote --at d --gone e,f --yes", "west decides, by d, and east follows\n"),
    ] {
        let done = run(&paper, line).await;
        assert_eq!((done.code(), &*done.printed), (0, told), "{line}");
    }
    let promoted = |gone: Value| changed(json!({"ask": "site", "mode": "active"}), gone);
    let asked = [
        ("a".to_owned(), json!({"ask": "site", "mode": "active"})),
        ("a".to_owned(), json!({"ask": "site", "mode": "passive"})),
        ("a".to_owned(), json!({"ask": "site", "switch": true})),
        ("d".to_owned(), promoted(json!({}))),
        ("d".to_owned(), promoted(json!({"gone": ["e", "f"]}))),
    ];
    assert_eq!(paper.asked(), asked);
}

/// Where only the site is given that follows, the other one is found by it.
#[tokio::test(start_paused = true)]
async fn a_site_that_follows_has_nothing_to_give_up_and_is_not_activated() {
    let paper = Paper::default();
    paper.peer(A, status_of_west(&west())).answers(A, "site", Ok(west()));
    let refused = run_as(&paper, Some("y"), "site activate").await;
    assert_eq!((refused.code(), refused.error()), (1, "other_decides"));
    assert_eq!(refused.questions.len(), 0);
    let mut follows = status_of_west(&west());
    follows["members"] = json!([member("a", 3)]);
    follows["peers"] = json!([]);
    paper.peer(A, follows);
    paper.peer("127.0.0.1:3", status_of_east(&east()));
    let demoted = changed(east(), json!({"mode": "passive"}));
    paper.answers("127.0.0.1:3", "site", Ok(demoted));
    let demoted = run_as(&paper, Some("y"), "site demote").await;
    assert_eq!(demoted.code(), 0, "{demoted:?}");
    assert!(demoted.questions[0].starts_with("east gives up deciding"), "{demoted:?}");
    assert_eq!(paper.asked(), [("a".to_owned(), json!({"ask": "site", "mode": "passive"}))]);
}

#[tokio::test(start_paused = true)]
async fn a_site_is_promoted_by_force_after_its_name_was_typed() {
    let paper = cut_off();
    let line = "site promote --at d --force --gone f";
    let wrong = run_as(&paper, Some("quota"), line).await;
    assert_eq!((wrong.code(), wrong.error()), (1, "declined"));
    let [question] = &wrong.questions[..] else { panic!("it asks once") };
    for told in [
        "west is passive, PeerNotReachable: ",
        "last word of east: 1 min ago, at 2026-11-30T13:03:05.123Z",
        "with d as primary, without a word of east.\nf is taken to be gone for good.",
        "kept: what west holds, which is about what east had decided until \
         2026-11-30T13:03:03.123Z\n",
        "lost: what east has decided since",
        "Stop site east or cut it off until it is passive",
        "Type the site's name to go on (west):",
    ] {
        assert!(question.contains(told), "{told}: {question}");
    }
    assert_eq!(paper.asked(), []);
    for line in [line, "site promote --force --gone f"] {
        let meant = run_as(&paper, Some("west"), line).await;
        assert_eq!(meant.code(), 0, "{meant:?}");
        let told = "west decides, by d\nkept: everything decided up to 2026-11-30T13:03:05.123Z\n\
                    lost: what only east held; keep east stopped or cut off until it is passive\n";
        assert_eq!(meant.printed, told);
    }
    let ask = json!({"ask": "site", "mode": "active", "force": true, "gone": ["f"]});
    assert_eq!(paper.asked(), [("d".to_owned(), ask.clone()), ("d".to_owned(), ask)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_not_known_of_a_site_has_a_code_of_its_own() {
    let paper = both();
    let of = |error: &str| DoorError::Refused { error: error.into(), detail: "no".into() };
    paper.answers(D, "site", Err(of("needs_force")));
    let refused = run(&paper, "site promote --yes --json").await;
    assert_eq!((refused.code(), refused.error()), (1, "needs_force"));
    let late = DoorError::Unknown { error: "timed_out".into(), detail: "late".into() };
    paper.answers(A, "site", Err(late));
    assert_eq!(run(&paper, "site switch --yes").await.code(), 3);
    paper.keeps_out(A, DoorError::NotAllowed { detail: "its admin lane is closed".into() });
    assert_eq!(run(&paper, "site").await.code(), 4);
    let none = run(&three(), "site switch --yes").await;
    assert_eq!((none.code(), none.error()), (1, "no_site"));
}

/// What a site that decides, or none at all, is not told is told before anybody is asked.
#[tokio::test(start_paused = true)]
async fn a_site_gives_up_nothing_that_it_does_not_have() {
    let cut_off = cut_off();
    let refused = run(&cut_off, "site demote --yes").await;
    assert_eq!((refused.code(), refused.error()), (1, "already"));
    let paper = Paper::default();
    let blank = json!({"mode": "standalone", "phase": "standalone", "state": "Pending"});
    let status = status_of_west(&changed(west(), blank));
    paper.peer(A, changed(status, json!({"primary": null, "peers": []})));
    let refused = run(&paper, "site promote --at d --yes").await;
    assert_eq!((refused.code(), refused.error()), (1, "undecided"));
    assert_eq!((cut_off.asked(), paper.asked()), (vec![], vec![]), "nobody was told to");
}
