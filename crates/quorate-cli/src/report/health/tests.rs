//! What is found in statuses, and what comes of it for `status` and `check`.

use serde_json::{Value, json};

use super::*;
use crate::door::paper::{NOW_MS, healthy, member, of_replica, replica};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// What is found where these peers answer, of which the first speaks for the group.
pub(super) fn found(documents: &[Value]) -> Vec<Finding> {
    let statuses: Vec<Status> = documents.iter().map(Status::read).collect();
    let all: Vec<&Status> = statuses.iter().collect();
    let seen = Seen {
        best: all[0],
        all: &all,
        strays: &[],
        unanswered: &[],
        now_ms: NOW_MS,
        thresholds: Thresholds::default(),
    };
    seen.findings()
}

pub(super) fn told(findings: &[Finding]) -> Vec<(Severity, &str)> {
    findings.iter().map(|finding| (finding.severity, &*finding.text)).collect()
}

#[test]
fn nothing_is_wrong_with_a_healthy_group() {
    let findings = found(&[healthy(), of_replica("b"), of_replica("c")]);
    assert_eq!(told(&findings), []);
    assert_eq!(Health::of(&findings), Health::Healthy);
}

/// A peer of the version before says nothing of spare, silence, monitor and what is lost.
#[test]
fn nothing_is_wrong_with_a_healthy_group_of_an_older_version() {
    let mut status = healthy();
    for field in ["spare", "monitor", "lost"] {
        status.as_object_mut().expect("an object").remove(field);
    }
    for member in status["members"].as_array_mut().expect("a list") {
        member.as_object_mut().expect("an object").retain(|field, _| !field.contains("s_"));
    }
    assert_eq!(told(&found(&[status])), []);
}

#[test]
fn a_stale_member_is_told_with_what_to_do() {
    let mut status = healthy();
    status["members"][2]["is_stale"] = json!(true);
    status["members"][2]["silent_ms"] = json!(200_000);
    status["peers"][1]["link"] = json!("down");
    let findings = found(&[status]);
    assert_eq!(told(&findings), [(Severity::Warning, "c is stale: silent for 3 min 20 s")]);
    assert!(findings[0].advice.as_ref().is_some_and(|it| it.contains("quorate forget c")));
    assert_eq!(Health::of(&findings), Health::Degraded);
}

fn refused_as_member(peer: &str, ours: &str, theirs: &str) -> Value {
    json!([{"peer": peer, "field": "member", "ours": ours, "theirs": theirs}])
}

/// A removed peer and a member refuse each other: told was that the member is refused.
#[test]
fn whoever_was_counted_out_is_told_so_and_what_to_do() {
    let why = "b was removed from the group: it may join as a new one";
    let mut removed = of_replica("b");
    removed["role"] = json!("removed");
    removed["refusals"] = refused_as_member("a", "b", why);
    let mut status = healthy();
    status["members"] = json!([member("a", 1), member("c", 3)]);
    status["peers"] = json!([replica("c", 3)]);
    status["refusals"] = refused_as_member("b", why, "b");
    for documents in [vec![status.clone(), removed], vec![status]] {
        let findings = found(&documents);
        let counted_out = (Severity::Warning, "b was counted out of the group");
        let of_two = (Severity::Notice, "no member may fail: two decide only together");
        assert_eq!(told(&findings), [counted_out, of_two]);
        assert_eq!(findings[0].code, Code::CountedOut);
        let advice = findings[0].advice.as_ref().expect("there is something to do");
        assert!(advice.contains("--set-aside --join"), "{advice}");
    }
}

#[test]
fn certificates_are_held_against_the_thresholds() {
    let certificate =
        |left: u64| json!({"subject": "x", "names": [], "not_after_ms": NOW_MS + left});
    for (left, expected) in [
        (6 * 24 * HOUR_MS, Some((Severity::Warning, "certificate of b ends in 6 d"))),
        (2 * HOUR_MS, Some((Severity::Critical, "certificate of b ends in 2 h"))),
        (0, Some((Severity::Critical, "certificate of b has ended"))),
        (8 * 24 * HOUR_MS, None),
    ] {
        // Shown to the primary, or told by itself: it is told once.
        let mut status = healthy();
        status["peers"][0]["certificate"] = certificate(left);
        let mut own = of_replica("b");
        own["certificate"] = certificate(left);
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(told(&found(&[status.clone()])), expected);
        let findings = found(&[status, own]);
        assert_eq!(told(&findings), expected);
        // It is no matter of the group's health.
        assert_eq!(Health::of(&findings), Health::Healthy);
    }
}

#[test]
fn a_full_store_and_a_failed_one_are_told_of_every_peer() {
    let mut filling = of_replica("b");
    filling["cells"] = json!(833_000);
    let mut failed = of_replica("c");
    failed["storage_state"] = json!("failed");
    failed["storage_error"] = json!("no space left");
    let findings = found(&[healthy(), filling, failed]);
    let expected = [
        (Severity::Critical, "storage of c has failed: no space left"),
        (Severity::Warning, "store of b 83 %"),
    ];
    assert_eq!(told(&findings), expected);
    let mut full = healthy();
    full["bytes"] = full["max_bytes"].clone();
    assert_eq!(told(&found(&[full])), [(Severity::Critical, "store of a 100 %")]);
    // One that does not answer has told the others.
    let mut status = healthy();
    status["peers"][1]["storage_failed"] = json!(true);
    assert_eq!(told(&found(&[status])), [(Severity::Critical, "storage of c has failed")]);
}

#[test]
fn differences_are_named() {
    let mut status = healthy();
    status["tls"] = json!("permissive");
    status["peers"][0]["protection"] = json!("tls");
    status["peers"][1]["differs"] = json!([
        {"field": "limits", "ours": "3, revision 1", "theirs": "4, revision 2"},
        {"field": "max_cells", "ours": "1", "theirs": "2"},
    ]);
    let mut other = of_replica("b");
    other["limits"] = json!({"differing": ["api"]});
    let expected = [
        (Severity::Warning, "c is plain"),
        (Severity::Warning, "limits differ at c"),
        (Severity::Warning, "settings differ at c: max_cells"),
        (Severity::Warning, "limits differ at b: api"),
    ];
    assert_eq!(told(&found(&[status.clone(), other])), expected);
    // Where nobody uses TLS, plain text is no news.
    status["tls"] = Value::Null;
    assert!(found(&[status]).iter().all(|finding| finding.code != Code::PlainText));
}

#[test]
fn members_that_are_connected_and_do_not_keep_up_are_told() {
    let mut status = healthy();
    status["peers"][0]["lag"] = json!(5123);
    status["peers"][1]["is_member"] = json!(false);
    let expected = [
        (Severity::Warning, "b is 5,123 cuts behind"),
        (Severity::Warning, "c does not count yet: it is being brought up to date"),
    ];
    assert_eq!(told(&found(&[status])), expected);
    let mut status = healthy();
    status["peers"][0]["is_current"] = json!(false);
    status["peers"][1]["suspects"] = json!(true);
    let expected = [
        (Severity::Warning, "b does not keep up with the primary"),
        (Severity::Warning, "c does not hear the primary"),
    ];
    assert_eq!(told(&found(&[status])), expected);
}

/// Hundreds of strangers are one line.
#[test]
fn refusals_are_told_once_each_and_not_without_end() {
    let refusal =
        |peer: String| json!({"peer": peer, "field": "group", "ours": "quota", "theirs": "other"});
    let mut status = healthy();
    status["refusals"] = (0..20).map(|n| refusal(format!("x{n}"))).collect();
    let findings = found(&[status.clone(), status]);
    assert_eq!(findings.len(), 6);
    assert_eq!(findings[0].text, "x0 is refused: group is other, and quota here");
    assert_eq!(findings[5].text, "15 more are refused");
    assert_eq!(Health::of(&findings), Health::Degraded);
}

#[test]
fn a_monitor_that_does_nothing_is_a_notice() {
    let mut status = healthy();
    status["monitor"] = json!({
        "size": 3, "grace_ms": 60_000, "paused_until_ms": NOW_MS + HOUR_MS, "revision": 2,
        "live": 3, "spare": 1, "stale": [], "blocked": "a change is under way",
    });
    let findings = found(&[status]);
    let expected = [
        (Severity::Notice, "the monitor is paused for 1 h more"),
        (Severity::Notice, "the monitor forgets nobody at present: a change is under way"),
    ];
    assert_eq!(told(&findings), expected);
    assert_eq!(Health::of(&findings), Health::Healthy);
}

/// A status may come from a peer of any version, or from whoever answers at that port.
#[test]
fn a_document_that_is_no_status_is_a_group_without_a_primary() {
    for nonsense in [json!(null), json!([]), json!(7), json!({"members": 3, "peers": [1, "x", {}]})]
    {
        let findings = found(&[nonsense]);
        assert_eq!(Health::of(&findings), Health::NoPrimary);
    }
}
