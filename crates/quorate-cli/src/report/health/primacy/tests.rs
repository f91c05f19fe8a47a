//! Whether somebody decides, by what the peers say.

use serde_json::{Value, json};

use super::*;
use crate::door::paper::{alone, healthy, member, of_replica, replica};
use crate::report::health::tests::{found, told};
use crate::report::health::{Health, Thresholds};

#[test]
fn with_one_of_three_dead_a_group_is_degraded() {
    let mut status = healthy();
    status["spare"] = json!(0);
    status["peers"][1]["link"] = json!("down");
    status["peers"][1]["link_error"] = json!({"detail": "127.0.0.1:3 refuses connections"});
    let findings = found(&[status.clone()]);
    let expected = [
        (Severity::Warning, "no member more may fail: 2 of 3 are here"),
        (Severity::Warning, "c is not connected: 127.0.0.1:3 refuses connections"),
    ];
    assert_eq!(told(&findings), expected);
    assert_eq!(Health::of(&findings), Health::Degraded);
    // What is not said is counted.
    status.as_object_mut().expect("an object").remove("spare");
    assert_eq!(told(&found(&[status])), expected);
}

#[test]
fn without_a_quorum_it_is_told_who_is_waited_for_and_what_would_help() {
    let mut status = alone();
    let findings = found(&[status.clone()]);
    assert_eq!(findings[0].code, Code::NoPrimary);
    assert_eq!(
        findings[0].text,
        "nobody decides: waits for b, c; a has the most, as of 2026-11-30T13:04:05.123Z"
    );
    let advice = findings[0].advice.clone().expect("there is something to do");
    assert!(advice.contains("quorate force-primary a --gone b,c"), "{advice}");
    assert_eq!(Health::of(&findings), Health::NoPrimary);

    // Each speaks for its own state.
    let mut other = of_replica("b");
    other["lost"] = json!({"best": "b", "as_of_ms": 0, "would_force": "it holds no data"});
    assert_eq!(found(&[status.clone(), other])[0], findings[0]);
    let mut elsewhere = status.clone();
    elsewhere["lost"]["best"] = json!("b");
    assert_eq!(found(&[elsewhere])[0].advice.as_deref(), Some("bring one of them back"));

    status["lost"]["would_force"] = json!("b is alive: a sees it");
    let advice = found(&[status.clone()])[0].advice.clone().expect("there is something to do");
    assert!(advice.contains("would be refused: b is alive"), "{advice}");
    // An older peer says nothing of it.
    status["lost"] = Value::Null;
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    assert_eq!(
        found(&[status])[0].text,
        "nobody decides: 1 of 3 members is in reach, which is no majority: b and c are missing"
    );
}

/// A member that is not counted yet was called missing, though it is here.
#[test]
fn whoever_is_here_is_not_called_missing() {
    let mut status = healthy();
    status["role"] = json!("replica");
    status["primary"] = Value::Null;
    status["is_counted"] = json!(false);
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["is_member"] = json!(false);
    }
    status["peers"][1]["link"] = json!("down");
    let mut other = of_replica("b");
    other["primary"] = Value::Null;
    let findings = found(&[status.clone(), other.clone()]);
    assert_eq!(findings[0].text, "nobody decides: an election has not ended");
    assert!(told(&findings).contains(&(Severity::Warning, "b does not count yet")));
    // Nobody is counted before there is a group.
    for status in [&mut status, &mut other] {
        status["group_id"] = Value::Null;
        status["generation"] = json!(0);
        status["lost"] = json!({"waiting_for": ["c"], "best": null, "would_force": "no data"});
    }
    let findings = found(&[status, other]);
    let expected = "nobody decides: the group is not founded yet: c is waited for";
    assert_eq!(findings[0].text, expected);
    let advice = findings[0].advice.as_ref().expect("there is something to do");
    assert!(advice.contains("by itself when the failure timeout has passed"), "{advice}");
    assert!(advice.contains("quorate found"), "{advice}");
}

/// Of a member that was here and not counted in yet it was said that it is missing, with the advice
/// to bring it back.
#[test]
fn whoever_is_here_and_has_yet_to_be_counted_in_is_not_to_be_brought_back() {
    let mut status = healthy();
    status["spare"] = json!(0);
    status["peers"][1]["is_member"] = json!(false);
    let findings = found(&[status]);
    assert_eq!(findings[0].text, "no member more may fail: c is not up to date");
    assert_eq!(findings[0].advice, None);
}

/// By their settings they wait for all.
#[test]
fn a_majority_that_does_not_begin_by_itself_is_not_said_to() {
    let mut status = alone();
    status["group_id"] = Value::Null;
    status["generation"] = json!(0);
    status["waits_for"] = json!(["b", "c"]);
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    let advice = found(&[status])[0].advice.clone().expect("there is something to do");
    assert!(advice.contains("no majority begins by itself"), "{advice}");
}

#[test]
fn nobody_is_to_be_brought_back_where_all_are_here() {
    let mut status = healthy();
    status["spare"] = json!(0);
    status["peers"][1]["is_current"] = json!(false);
    let findings = found(&[status]);
    assert_eq!(findings[0].text, "no member more may fail: c is not up to date");
    assert_eq!(findings[0].advice, None);
}

/// It takes a primary to forget anybody.
#[test]
fn without_a_primary_nobody_is_told_to_forget() {
    let mut status = alone();
    status["members"][2]["is_stale"] = json!(true);
    let findings = found(&[status]);
    assert!(findings[0].advice.as_ref().is_some_and(|it| it.contains("force-primary a")));
    let advices = findings.iter().filter_map(|finding| finding.advice.as_ref());
    assert!(advices.into_iter().all(|it| !it.contains("quorate forget")), "{findings:?}");
}

#[test]
fn how_many_are_to_be_able_to_fail_may_be_said() {
    let document = healthy();
    let status = Status::read(&document);
    let all = [&status];
    let spare = |min_spare| {
        let thresholds = Thresholds { min_spare, ..Thresholds::default() };
        let seen =
            Seen { best: &status, all: &all, strays: &[], unanswered: &[], now_ms: 0, thresholds };
        seen.findings().into_iter().map(|it| (it.severity, it.text)).collect::<Vec<_>>()
    };
    assert_eq!(spare(None), []);
    assert_eq!(spare(Some(1)), []);
    let expected = (Severity::Warning, "only 1 member more may fail, of 3".to_owned());
    assert_eq!(spare(Some(2)), [expected]);
}

#[test]
fn two_that_decide_at_once_are_worse_than_anything_else() {
    let mut other = of_replica("b");
    other["role"] = json!("primary");
    other["primary"] = json!("b");
    let findings = found(&[healthy(), other]);
    assert_eq!(told(&findings)[0], (Severity::Critical, "a and b decide at the same time"));
    assert_eq!(Health::of(&findings), Health::Degraded);
}

#[test]
fn one_or_two_members_have_nothing_to_spare() {
    let mut status = healthy();
    status["members"] = json!([member("a", 1), member("b", 2)]);
    status["peers"] = json!([replica("b", 2)]);
    status["spare"] = json!(0);
    let findings = found(&[status.clone()]);
    assert_eq!(
        told(&findings),
        [(Severity::Notice, "no member may fail: two decide only together")]
    );
    assert_eq!(Health::of(&findings), Health::Healthy);
    status["members"] = json!([member("a", 1)]);
    status["peers"] = json!([]);
    let findings = found(&[status]);
    assert_eq!(told(&findings), [(Severity::Notice, "no member may fail: there is only one")]);
}

/// For as long as a failure takes to be agreed on the others go on naming the primary that died.
#[test]
fn a_primary_that_nobody_reaches_decides_nothing() {
    let without = |name: &str| {
        let mut status = of_replica(name);
        let peers = status["peers"].as_array_mut().expect("a list");
        peers.iter_mut().filter(|it| it["name"] == "a").for_each(|it| it["link"] = json!("down"));
        status
    };
    let findings = found(&[without("b"), without("c")]);
    assert_eq!(findings[0].code, Code::NoPrimary);
    assert_eq!(
        findings[0].text,
        "nobody decides: the primary a is not connected: a new one is elected within the failure \
         timeout"
    );
    assert_eq!(findings[0].peer.as_deref(), Some("a"));
    assert_eq!(Health::of(&findings), Health::NoPrimary);
    // Somebody reaches it: only this command does not.
    assert_ne!(Health::of(&found(&[without("b"), of_replica("c")])), Health::NoPrimary);
    assert_ne!(Health::of(&found(&[of_replica("b")])), Health::NoPrimary);
    // It answers, as it does while it hands over.
    let mut handing_over = healthy();
    handing_over["role"] = json!("replica");
    let findings = found(&[without("b"), without("c"), handing_over]);
    assert_ne!(Health::of(&findings), Health::NoPrimary);
}

#[test]
fn a_primary_without_a_majority_in_reach_decides_nothing() {
    let mut status = healthy();
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    let findings = found(&[status]);
    assert_eq!(Health::of(&findings), Health::NoPrimary);
    assert_eq!(
        findings[0].text,
        "nobody decides: 1 of 3 members is in reach, which is no majority: b and c are missing"
    );
}
