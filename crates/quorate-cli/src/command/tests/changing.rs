//! Commands that change something: whom they ask for what, and whether it is meant.

use super::*;
use crate::door::DoorError;
use crate::door::paper::of_replica;

#[tokio::test(start_paused = true)]
async fn what_another_peer_carries_out_is_asked_of_any() {
    let paper = three();
    paper.answers("127.0.0.1:1", "switch", Ok(json!({"primary": "b"})));
    paper.answers("127.0.0.1:1", "forget", Ok(json!({"forgotten": "c", "members": ["a", "b"]})));
    let switched = run(&paper, "switch-primary b").await;
    assert_eq!((switched.code(), &*switched.printed), (0, "b is primary\n"));
    let forgotten = run(&paper, "forget c --yes").await;
    assert_eq!((forgotten.code(), &*forgotten.printed), (0, "c is forgotten; members: a, b\n"));
    let asked = [
        ("a".to_owned(), json!({"ask": "switch", "to": "b"})),
        ("a".to_owned(), json!({"ask": "forget", "peer": "c"})),
    ];
    assert_eq!(paper.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_concerns_one_peer_is_asked_there() {
    let paper = three();
    paper.answers("127.0.0.1:3", "leave", Ok(json!({"left": "c"})));
    paper.answers("127.0.0.1:2", "priority", Ok(json!({"priority": 0})));
    assert_eq!(run(&paper, "leave c -y").await.code(), 0);
    let zero = run(&paper, "priority b 0 --json").await;
    let expected = json!({"peer": "b", "address": "127.0.0.1:2", "answer": {"priority": 0}});
    assert_eq!(zero.json(), expected);
    let asked = [
        ("c".to_owned(), json!({"ask": "leave"})),
        ("b".to_owned(), json!({"ask": "priority", "priority": 0})),
    ];
    assert_eq!(paper.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_is_asked_about_first() {
    let paper = three();
    paper.answers("127.0.0.1:1", "forget", Ok(json!({})));
    paper.answers("127.0.0.1:1", "limits.reset", Ok(json!({"granted": 5})));
    for line in ["forget c", "leave c", "found", "reset api alice"] {
        let nobody = run(&paper, line).await;
        assert_eq!((nobody.code(), nobody.error()), (2, "needs_yes"), "{line}");
        let declined = run_as(&paper, Some(""), line).await;
        assert_eq!((declined.code(), declined.error()), (1, "declined"), "{line}");
        assert_eq!(declined.questions.len(), 1);
    }
    assert_eq!(paper.asked(), []);
    let meant = run_as(&paper, Some("y"), "forget c").await;
    assert_eq!(meant.code(), 0);
    assert!(meant.questions[0].contains("It is connected to a at this moment."));
    let less = "majorities are of 2 members then, and none of them may fail.";
    assert!(meant.questions[0].contains(less), "{:?}", meant.questions);
    let reset = run_as(&paper, Some("Yes"), "reset api alice").await;
    assert_eq!(&*reset.printed, "alice begins anew under api: 5 given back\n");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_an_unknown_outcome_have_codes_of_their_own() {
    let paper = three();
    let refused = DoorError::Refused { error: "not_member".into(), detail: "no".into() };
    paper.answers("127.0.0.1:1", "switch", Err(refused));
    let outcome = run(&paper, "switch-primary b").await;
    assert_eq!((outcome.code(), outcome.error()), (1, "not_member"));
    let lost = DoorError::Unknown { error: "lost".into(), detail: "gone".into() };
    paper.answers("127.0.0.1:1", "switch", Err(lost));
    let outcome = run(&paper, "switch-primary b").await;
    assert_eq!((outcome.code(), outcome.error()), (3, "lost"));
    let kept_out = DoorError::NotAllowed { detail: "its admin lane is closed".into() };
    paper.keeps_out("127.0.0.1:1", kept_out);
    let outcome = run(&paper, "switch-primary b").await;
    assert_eq!((outcome.code(), outcome.error()), (4, "not_allowed"));
}

#[tokio::test(start_paused = true)]
async fn all_that_answer_are_told_to_found() {
    let paper = three();
    paper.keeps_out("127.0.0.1:3", DoorError::Unreachable { detail: "no route".into() });
    for address in ["127.0.0.1:1", "127.0.0.1:2"] {
        paper.answers(address, "found", Ok(json!({"founding": true})));
    }
    let founded = run_as(&paper, Some("y"), "found").await;
    assert_eq!(founded.code(), 0);
    assert!(founded.questions[0].contains("What only c holds is lost."), "{:?}", founded.questions);
    let asked: Vec<String> = paper.asked().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(asked, ["a", "b"]);
    let missing = run(&paper, "found --at c --yes").await;
    assert_eq!(missing.code(), 4);
    // One of them is told, the other refuses.
    let refused = DoorError::Refused { error: "shutting_down".into(), detail: "it ends".into() };
    paper.answers("127.0.0.1:2", "found", Err(refused));
    assert_eq!(run(&paper, "found --yes").await.code(), 3);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_be_done_that_is_said() {
    let paper = three();
    paper.answers("127.0.0.1:1", "switch", Ok(json!({"primary": "a"})));
    assert_eq!(run(&paper, "switch-primary a").await.printed, "a was primary already\n");
    for port in 1..=3 {
        paper.answers(&format!("127.0.0.1:{port}"), "found", Ok(json!({"founding": true})));
    }
    let founded = run(&paper, "found --yes").await;
    let told = "nothing is to be done: group quota is founded, and a decides\n";
    assert_eq!((founded.code(), &*founded.printed), (0, told));
    let off = json!({"size": 0, "grace_ms": 60_000, "paused_until_ms": NOW_MS});
    paper.answers("127.0.0.1:1", "monitor", Ok(off));
    let paused = run(&paper, "monitor pause 2h").await;
    assert!(paused.printed.contains("off: nobody is forgotten by itself; a pause until "));
    // Nobody is asked whether it is meant.
    let unknown = run_as(&paper, Some("y"), "forget zzz").await;
    assert_eq!((unknown.code(), unknown.error()), (1, "not_member"));
    assert_eq!(unknown.questions.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_told_what_that_leaves() {
    let paper = three();
    for address in ["127.0.0.1:1", "127.0.0.1:3"] {
        paper.answers(address, "leave", Ok(json!({"left": "c"})));
    }
    let left = run_as(&paper, Some("y"), "leave c").await;
    assert_eq!(left.printed, "c has left; its process may be stopped\n");
    let asked = "c leaves group quota for good: majorities are of 2 members then, and none of \
                 them may fail.\nGo on? [y/N]";
    assert_eq!(left.questions, [asked]);
    let left = run_as(&paper, Some("y"), "leave a").await;
    assert!(left.questions[0].contains("It is the primary"), "{:?}", left.questions);
}

#[tokio::test(start_paused = true)]
async fn a_primary_is_forced_after_the_groups_name_was_typed() {
    let paper = without_quorum();
    let answer = json!({
        "primary": "a", "generation": 2, "group_id": "ff", "as_of_ms": NOW_MS, "gone": ["b", "c"],
    });
    paper.answers("127.0.0.1:1", "force", Ok(answer));
    for line in ["force-primary a --gone b,c", "force-primary --best --gone b,c"] {
        let wrong = run_as(&paper, Some("yes"), line).await;
        assert_eq!((wrong.code(), wrong.error()), (1, "declined"));
        let [question] = &wrong.questions[..] else { panic!("it asks once") };
        for told in [
            "a     yes            1     4     65536    830  primary",
            "b     no             -     -         -      -  counted out",
            "kept: everything decided up to 2026-11-30T13:04:05.123Z",
            "may be lost: what only b and c held",
            "Type the group's name to go on (quota):",
        ] {
            assert!(question.contains(told), "{told}: {question}");
        }
        assert_eq!(run(&paper, line).await.code(), 2);
        let meant = run_as(&paper, Some("quota"), line).await;
        assert_eq!(meant.code(), 0);
        let told = "a is primary of generation 2; b and c are counted out\nkept: everything \
                    decided up to 2026-11-30T13:04:05.123Z\nlost: what only they held\n";
        assert_eq!(meant.printed, told);
    }
    let force = ("a".to_owned(), json!({"ask": "force", "gone": ["b", "c"]}));
    assert_eq!(paper.asked(), [force.clone(), force]);
}

#[tokio::test(start_paused = true)]
async fn the_best_is_not_forced_while_somebody_decides_or_where_nobody_knows_it() {
    let outcome = run(&three(), "force-primary --best --gone b,c --yes").await;
    assert_eq!((outcome.code(), outcome.error()), (1, "has_quorum"));
    let paper = without_quorum();
    let mut other = of_replica("b");
    other["primary"] = Value::Null;
    other["quorum"] = json!(false);
    other["lost"] = json!({"waiting_for": ["c"], "best": "b"});
    paper.peer("127.0.0.1:2", other.clone());
    let outcome = run(&paper, "force-primary --best --gone c --yes").await;
    assert_eq!((outcome.code(), outcome.error()), (1, "best_disputed"));
    other["lost"] = Value::Null;
    other["name"] = json!("a");
    let older = Paper::default();
    older.peer("127.0.0.1:1", other);
    let outcome = run(&older, "force-primary --best --gone c --yes").await;
    assert_eq!((outcome.code(), outcome.error()), (1, "best_unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_keeps_its_grace_when_only_the_size_changes() {
    let paper = three();
    let present = json!({
        "size": 3, "grace_ms": 300_000, "paused_until_ms": null, "revision": 1, "live": 3,
        "spare": 1, "stale": ["c"], "blocked": null,
    });
    paper.answers("127.0.0.1:1", "monitor", Ok(present));
    let shown = run(&paper, "monitor").await;
    let told = "size     3\ngrace    5 min\nlive     3\nspare    1 more may fail\nstale    c\n";
    assert_eq!((shown.code(), &*shown.printed), (0, told));
    assert_eq!(run(&paper, "monitor size 5").await.code(), 0);
    assert_eq!(run(&paper, "monitor size 5 --grace 60s").await.code(), 0);
    assert_eq!(run(&paper, "monitor pause 2h").await.code(), 0);
    assert_eq!(run(&paper, "monitor resume").await.code(), 0);
    assert_eq!(run(&paper, "monitor off").await.code(), 0);
    // One that is off has no grace to keep: the peers have their own.
    paper.answers("127.0.0.1:1", "monitor", Ok(json!({"size": 0, "grace_ms": 60_000})));
    assert_eq!(run(&paper, "monitor size 3").await.code(), 0);
    let asked: Vec<Value> = paper.asked().into_iter().map(|(_, ask)| ask).collect();
    let expected = [
        json!({"ask": "monitor"}),
        json!({"ask": "monitor"}),
        json!({"ask": "monitor", "size": 5, "grace_ms": 300_000}),
        json!({"ask": "monitor", "size": 5, "grace_ms": 60_000}),
        json!({"ask": "monitor", "pause_ms": 7_200_000}),
        json!({"ask": "monitor", "resume": true}),
        json!({"ask": "monitor", "off": true}),
        json!({"ask": "monitor"}),
        json!({"ask": "monitor", "size": 3}),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test(start_paused = true)]
async fn a_denial_has_a_code_of_its_own() {
    let paper = three();
    let denied = json!({
        "allowed": false, "limit": 100, "remaining": 0, "granted": 0, "retry_after_ms": 12_000,
        "decided_by": "a",
    });
    paper.answers("127.0.0.1:1", "limits.ask", Ok(denied.clone()));
    paper.answers("127.0.0.1:1", "limits.peek", Ok(denied));
    let told = "api: 5 for alice denied; 0 of 100 left; try again in 12 s; decided by a\n";
    let asked = run(&paper, "ask api alice 5").await;
    assert_eq!((asked.code(), &*asked.printed), (7, told));
    assert_eq!(run(&paper, "peek api alice").await.code(), 7);
    let admitted = json!({
        "allowed": true, "limit": 100, "remaining": 99, "granted": 1, "reset_after_ms": 93,
    });
    paper.answers("127.0.0.1:1", "limits.ask", Ok(admitted));
    assert_eq!(run(&paper, "ask api alice --json").await.code(), 0);
    let told = "api: 1 for alice admitted; 99 of 100 left; 100 of 100 again in 93 ms, if nothing \
                is taken until then\n";
    assert_eq!(run(&paper, "ask api alice").await.printed, told);
    paper.answers("127.0.0.1:1", "limits.ask", Ok(json!({})));
    assert_eq!(run(&paper, "ask api alice").await.code(), 3);
    assert_eq!(run(&paper, "peek api 00ff --hex").await.code(), 7);
    let asked = paper.asked();
    let hex = json!({"ask": "limits.peek", "limit": "api", "key_hex": "00ff", "amount": 1});
    assert_eq!(asked[asked.len() - 1].1, hex);
    let first = json!({"ask": "limits.ask", "limit": "api", "key": "alice", "amount": 5});
    assert_eq!(asked[0].1, first);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_admitted_is_a_denial_of_whoever_only_looks() {
    let paper = three();
    let never = DoorError::Refused { error: "never_admitted".into(), detail: "at most 3".into() };
    paper.answers("127.0.0.1:1", "limits.peek", Err(never));
    assert_eq!(run(&paper, "peek api alice 9").await.code(), 7);
    let explained = |allowed: bool, error: Option<&str>, decision: Value| {
        json!({"allowed": allowed, "items": [
            {"limit": "api", "text": "why", "error": error, "decision": decision},
        ]})
    };
    let denied = json!({"allowed": false, "limit": 3, "remaining": 0});
    for (answer, code) in [
        (explained(true, None, json!({"allowed": true})), 0),
        (explained(false, None, denied.clone()), 7),
        (explained(false, Some("never_admitted"), Value::Null), 7),
        (explained(false, Some("unknown_limit"), Value::Null), 1),
    ] {
        paper.answers("127.0.0.1:1", "limits.explain", Ok(answer));
        assert_eq!(run(&paper, "explain api alice").await.code(), code);
    }
    paper.answers("127.0.0.1:1", "limits.explain", Ok(explained(false, None, denied)));
    let told = "api: 1 for alice would be denied; 0 of 3 left\nwhy\n";
    assert_eq!(run(&paper, "explain api alice").await.printed, told);
}

#[tokio::test(start_paused = true)]
async fn a_key_moves_no_cursor() {
    let paper = three();
    paper.answers("127.0.0.1:1", "limits.peek", Ok(json!({"allowed": true})));
    let shown = run(&paper, "peek api a\u{7}b").await.printed;
    assert_eq!(shown, "api: 1 for a\u{fffd}b would be admitted\n");
}

#[tokio::test(start_paused = true)]
async fn a_limits_file_is_checked_and_put() {
    let paper = three();
    let group =
        json!({"revision": 3, "limits": {"api": {"rate": "100/s"}, "old": {"counter": true}}});
    paper.answers("127.0.0.1:1", "limits.get", Ok(group));
    paper.answers("127.0.0.1:1", "limits.put", Ok(json!({"revision": 4})));
    let file = std::env::temp_dir().join(format!("quorate-cli-{}.toml", std::process::id()));
    std::fs::write(&file, "[limits.api]\nrate = \"200/s\"\n").expect("written");
    let file_shown = file.display();
    let checked = run(&paper, &format!("limits check {file_shown}")).await;
    let told = format!(
        "{file_shown}: 1 limit, usable\n~ changed: api\n    api.rate: 100/s -> 200/s\n- no \
             limit any more: old\n"
    );
    assert_eq!((checked.code(), &*checked.printed), (0, &*told));
    assert_eq!(run(&paper, &format!("limits put {file_shown}")).await.code(), 2);
    let put = run(&paper, &format!("limits put {file_shown} --carry reset --yes")).await;
    assert_eq!(put.code(), 0);
    let (_, ask) = paper.asked().pop().expect("it was asked for");
    let expected = json!({
        "ask": "limits.put", "carry": "reset", "limits": {"api": {"rate": "200/s"}},
    });
    assert_eq!(ask, expected);
    let put = run(&paper, &format!("limits put {file_shown} --yes --json")).await.json();
    let field = json!({"field": "rate", "old": "100/s", "new": "200/s"});
    assert_eq!(put["changes"]["fields"]["api"], json!([field]));
    let same = json!({"revision": 4, "limits": {"api": {"rate": "200/s"}}});
    paper.answers("127.0.0.1:1", "limits.get", Ok(same));
    let put = run(&paper, &format!("limits put {file_shown} --yes")).await.printed;
    assert_eq!(put, "no change: the group has decided by these limits; revision 4\n");
    std::fs::write(&file, "[limits.api]\nbrust = 5\n").expect("written");
    let wrong = run(&paper, &format!("limits check {file_shown}")).await;
    assert_eq!((wrong.code(), wrong.error()), (1, "unusable_limits"));
    std::fs::remove_file(&file).expect("it is there");
    let unread = run(&paper, &format!("limits check {file_shown}")).await;
    assert_eq!((unread.code(), unread.error()), (2, "unreadable"));
    let shown = run(&paper, "limits show").await;
    let told = "# revision 4\n[limits.api]\nrate = \"200/s\"\n";
    assert_eq!(shown.printed, told);
}
