//! Commands against a group on paper: what they ask, print and return.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::*;
use crate::arguments::Arguments;
use crate::door::DoorError;
use crate::door::paper::{Paper, healthy, of_replica, three};
use crate::exit::Exit;
use crate::report::finding::Code;
use crate::text::style::Style;

const NOW_MS: u64 = 1_796_043_845_123;

/// What was printed.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Somebody who answers so, or nobody; and what was asked of them.
#[derive(Default)]
struct Person {
    answer: Option<&'static str>,
    asked: Vec<String>,
}

impl Operator for Person {
    fn is_there(&self) -> bool {
        self.answer.is_some()
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.asked.push(question.to_owned());
        Ok(format!("{}\n", self.answer.unwrap_or_default()))
    }
}

/// What came of a command.
#[derive(Debug)]
struct Outcome {
    done: Result<u8, Failure>,
    printed: String,
    questions: Vec<String>,
}

impl Outcome {
    fn code(&self) -> u8 {
        self.done.as_ref().map_or_else(|failure| failure.exit.code(), |code| *code)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.printed).expect("one document")
    }

    fn error(&self) -> &str {
        self.done.as_ref().expect_err("it fails").error.as_str()
    }
}

/// Runs a command line, as somebody who answers so.
async fn run_as(paper: &Paper, answer: Option<&'static str>, line: &str) -> Outcome {
    let words = ["quorate", "--peer", "127.0.0.1:1"].into_iter().chain(line.split_whitespace());
    let Arguments { place, manner, command } = Arguments::try_parse_from(words).expect("a command");
    let page = Page::default();
    let mut output = Output::new(Box::new(page.clone()), Style::PLAIN);
    let mut person = Person { answer, asked: Vec::new() };
    let group = Group::new(Arc::new(paper.clone()), place.peers, manner.timeout);
    let mut run = Run {
        group,
        manner: &manner,
        output: &mut output,
        operator: &mut person,
        now_ms: || NOW_MS,
    };
    let done = super::run(command, &mut run).await;
    let printed = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let printed = String::from_utf8(printed).expect("text");
    Outcome { done, printed, questions: person.asked }
}

/// The same with nobody there to ask.
async fn run(paper: &Paper, line: &str) -> Outcome {
    run_as(paper, None, line).await
}

fn without_quorum() -> Paper {
    let paper = Paper::default();
    let mut status = healthy();
    status["role"] = json!("replica");
    status["primary"] = Value::Null;
    status["quorum"] = json!(false);
    status["spare"] = json!(0);
    status["lost"] = json!({
        "waiting_for": ["b", "c"], "best": "a", "as_of_ms": NOW_MS, "would_force": null,
    });
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    paper.peer("127.0.0.1:1", status);
    paper
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

/// The name of a command's peer was taken for that of whoever asks: both had one id.
#[test]
fn what_belongs_to_every_command_is_not_taken_from_one() {
    let mut command = Arguments::command();
    command.build();
    let globals: Vec<String> =
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    assert!(globals.len() > 8, "{globals:?}");
    for sub in command.get_subcommands() {
        let own = sub.get_arguments().filter(|argument| !argument.is_global_set());
        let taken = own.map(|argument| argument.get_id().to_string());
        let taken: Vec<String> = taken.filter(|id| globals.contains(id) && id != "help").collect();
        assert!(taken.is_empty(), "{}: {taken:?}", sub.get_name());
    }
    let line = ["quorate", "switch-primary", "b"];
    let parsed = Arguments::try_parse_from(line).expect("a command");
    assert_eq!(parsed.place.asks_as, None);
}

/// Whoever reads nothing else reads these.
#[test]
fn every_command_ends_its_help_with_examples_that_can_be_typed() {
    let mut command = Arguments::command();
    command.build();
    let mut pages = vec![("quorate".to_owned(), command.clone())];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages.push((sub.get_name().to_owned(), sub.clone()));
    }
    assert!(pages.len() > 15, "the commands have moved");
    for (name, page) in pages {
        let after = page.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = after.split_once("Examples:\n").map(|(_, examples)| examples);
        let examples = examples.unwrap_or_else(|| panic!("{name} has no examples"));
        let mut count = 0;
        for line in examples.lines().filter_map(|line| line.trim().strip_prefix("quorate ")) {
            let line = line.split(['|', '>', '#']).next().unwrap_or_default();
            let words = std::iter::once("quorate").chain(line.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{name}: quorate {line}: {}", parsed.expect_err("refused"));
            count += 1;
        }
        let is_of_shells = examples.contains("<(quorate") || examples.contains("until quorate");
        assert!(count > 0 || is_of_shells, "{name} has no example");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_the_command_line() {
    for line in [
        "",
        "priority b",
        "priority b 256",
        "force-primary --gone b",
        "force-primary a",
        "force-primary a --best --gone b",
        "monitor size",
        "monitor pause",
        "monitor pause 0s",
        "limits put f.toml --carry all",
        "ask api",
        "ask api alice -1",
        "check --unreachable fine",
        "status --every 2",
        "--timeout 0s status",
    ] {
        let words = std::iter::once("quorate").chain(line.split_whitespace());
        assert!(Arguments::try_parse_from(words).is_err(), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_says_by_its_code_how_the_group_is() {
    let well = run(&three(), "status").await;
    assert_eq!(well.code(), 0);
    let paper = three();
    let mut status = healthy();
    status["spare"] = json!(0);
    status["peers"][1]["link"] = json!("down");
    paper.peer("127.0.0.1:1", status);
    paper.keeps_out("127.0.0.1:3", DoorError::Unreachable { detail: "refused".into() });
    assert_eq!(run(&paper, "status").await.code(), 5);
    assert_eq!(run(&without_quorum(), "status").await.code(), 6);
    assert_eq!(run(&Paper::default(), "status").await.code(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_a_table() {
    let well = run(&three(), "status").await;
    let expected = "\
group quota: healthy
primary   a
reign     generation 1, term 4, group id 00112233445566778899aabbccddeeff
members   3 members; 1 more may fail
at risk   3 units that a failover would lose now
store     830 of 1,000,000 cells (0 %)
monitor   off
seen by   a (primary)

NAME  ROLE     STATE  PRIO  LAG  STORE  ADDRESS
a     primary  ok        -    0    0 %  127.0.0.1:1
b     replica  ok       10    0    0 %  127.0.0.1:2
c     replica  ok       10    0    0 %  127.0.0.1:3
";
    assert_eq!(well.printed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lost_quorum_is_told_with_the_command_that_helps() {
    let lost = run(&without_quorum(), "status").await;
    let told = "critical: nobody decides: waits for b, c; a has the most, as of \
                2026-11-30T13:04:05.123Z\n    bring one of them back; if they are gone for good: \
                quorate force-primary a --gone b,c\n";
    assert!(lost.printed.contains(told), "{}", lost.printed);
    assert!(lost.printed.starts_with("group quota: nobody decides\nprimary   nobody\n"));
}

#[tokio::test(start_paused = true)]
async fn the_status_as_json_has_what_the_peer_said() {
    let well = run(&three(), "status --json").await.json();
    assert_eq!(well["health"], "healthy");
    assert_eq!(well["exit"], 0);
    assert_eq!(well["peer"], "a");
    assert_eq!(well["status"], healthy());
    assert_eq!(well["findings"], json!([]));
    let lost = run(&without_quorum(), "status --json").await.json();
    assert_eq!(lost["findings"][0]["code"], "no_primary");
    assert_eq!(lost["unanswered"][0]["peer"], "b");
}

#[tokio::test(start_paused = true)]
async fn a_check_is_one_line_with_a_code_of_its_own() {
    let well = run(&three(), "check").await;
    let line = "OK: group quota: a decides, 3 members, 1 more may fail | members=3 here=3 spare=1 \
                at_risk=3 fill=0%;80;95\n";
    assert_eq!((well.code(), &*well.printed), (0, line));

    let paper = three();
    let mut status = healthy();
    status["peers"][0]["certificate"] =
        json!({"subject": "b", "names": [], "not_after_ms": NOW_MS + 6 * 86_400_000});
    paper.peer("127.0.0.1:1", status);
    paper.keeps_out("127.0.0.1:2", DoorError::Unreachable { detail: "no route".into() });
    let warning = run(&paper, "check").await;
    assert_eq!(warning.code(), 1);
    assert!(warning.printed.starts_with("WARNING: group quota: certificate of b ends in 6 d | "));
    assert!(warning.printed.contains(" certificate_days=6"), "{}", warning.printed);
    assert_eq!(run(&paper, "check --certificate-warning 1d").await.code(), 0);
    assert_eq!(run(&paper, "check --certificate-critical 30d").await.code(), 2);

    let critical = run(&without_quorum(), "check").await;
    assert_eq!(critical.code(), 2);
    assert_eq!(critical.printed.lines().count(), 1);
    let nobody = run(&Paper::default(), "check").await;
    assert_eq!(nobody.code(), 3);
    assert!(nobody.printed.starts_with("UNKNOWN: "), "{}", nobody.printed);
    assert_eq!(run(&Paper::default(), "check --unreachable critical").await.code(), 2);
    let document = run(&without_quorum(), "check --json").await.json();
    assert_eq!((&document["state"], &document["exit"]), (&json!("critical"), &json!(2)));
}

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
    assert!(founded.questions[0].contains("What only c hold is lost."), "{:?}", founded.questions);
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
            "may be lost: what only b, c held",
            "Type the group's name to go on (quota):",
        ] {
            assert!(question.contains(told), "{told}: {question}");
        }
        assert_eq!(run(&paper, line).await.code(), 2);
        let meant = run_as(&paper, Some("quota"), line).await;
        assert_eq!(meant.code(), 0);
        let told = "a is primary of generation 2; b, c are counted out\nkept: everything decided \
                    up to 2026-11-30T13:04:05.123Z\nlost: what only they held\n";
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
    let admitted = json!({"allowed": true, "limit": 100, "remaining": 99, "granted": 1});
    paper.answers("127.0.0.1:1", "limits.ask", Ok(admitted));
    assert_eq!(run(&paper, "ask api alice --json").await.code(), 0);
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
async fn events_are_lines_of_text_or_json() {
    let paper = three();
    let events = json!({"next": 9, "missed": 0, "events": [{
        "number": 9, "at_ms": NOW_MS, "event": "peer_down", "peer": "c", "severity": "info",
        "text": "c is not connected any more",
    }]});
    paper.answers("127.0.0.1:1", "events", Ok(events));
    let text = run(&paper, "events --since 8").await;
    let line = "2026-11-30T13:04:05.123Z a     9 info  peer_down c is not connected any more\n";
    assert_eq!((text.code(), &*text.printed), (0, line));
    let json_line = run(&paper, "events --json").await.json();
    assert_eq!((&json_line["peer"], &json_line["event"]), (&json!("c"), &json!("peer_down")));
    assert_eq!(json_line["told_by"], "a");
    let first = json!({"ask": "events", "since": 8, "wait_ms": 0});
    assert_eq!(paper.asked()[0].1, first);
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
    let told =
        format!("{file_shown}: 1 limits, all usable\n~ changed: api\n- no limit any more: old\n");
    assert_eq!((checked.code(), &*checked.printed), (0, &*told));
    assert_eq!(run(&paper, &format!("limits put {file_shown}")).await.code(), 2);
    let put = run(&paper, &format!("limits put {file_shown} --carry reset --yes")).await;
    assert_eq!(put.code(), 0);
    let (_, ask) = paper.asked().pop().expect("it was asked for");
    let expected = json!({
        "ask": "limits.put", "carry": "reset", "limits": {"api": {"rate": "200/s"}},
    });
    assert_eq!(ask, expected);
    std::fs::write(&file, "[limits.api]\nbrust = 5\n").expect("written");
    let wrong = run(&paper, &format!("limits check {file_shown}")).await;
    assert_eq!((wrong.code(), wrong.error()), (1, "unusable_limits"));
    std::fs::remove_file(&file).expect("it is there");
    let unread = run(&paper, &format!("limits check {file_shown}")).await;
    assert_eq!((unread.code(), unread.error()), (2, "unreadable"));
    let shown = run(&paper, "limits show").await;
    let told = "# revision 3\n[limits.api]\nrate = \"100/s\"\n\n[limits.old]\ncounter = true\n";
    assert_eq!(shown.printed, told);
}

#[tokio::test(start_paused = true)]
async fn without_a_terminal_the_screen_is_printed_once() {
    let screen = run(&three(), "top").await;
    assert_eq!(screen.code(), 0);
    assert!(screen.printed.starts_with("group quota  healthy  generation 1  term 4  13:04:05\n"));
    assert!(!screen.printed.contains('\u{1b}'));
}

#[tokio::test(start_paused = true)]
async fn completions_and_pages_need_no_group() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&Paper::default(), &format!("completions {shell}")).await;
        assert_eq!(script.code(), 0);
        assert!(script.printed.contains("force-primary"), "{shell}");
    }
    let page = run(&Paper::default(), "man").await;
    assert!(page.printed.contains(".TH quorate 1"));
    let page = run(&Paper::default(), "man force-primary").await;
    assert!(page.printed.contains("gone for good"), "{}", page.printed);
    assert_eq!(run(&Paper::default(), "man what").await.code(), Exit::Usage.code());
}

/// Scripts rely on what stands there, and on nothing else.
#[tokio::test(start_paused = true)]
async fn whatever_json_says_stands_in_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = std::fs::read_to_string(page).expect("docs/cli.md is there");
    for code in Code::ALL {
        let word = format!("`{}`", code.word());
        let mut rows = page.lines().skip_while(|line| !line.starts_with("| code | severity |"));
        let row = rows.find(|line| line.split(" | ").next().is_some_and(|it| it.contains(&word)));
        let row = row.unwrap_or_else(|| panic!("{word} has no row"));
        // Of no primary it says which code the shell sees.
        let is_degrading = row.contains("| yes |") || row.contains("| code 6 |");
        assert_eq!(is_degrading, code.is_degrading(), "{row}");
    }
    let file = std::env::temp_dir().join(format!("quorate-page-{}.toml", std::process::id()));
    std::fs::write(&file, "limits.api.rate = \"1/s\"").expect("written");
    let lines = ["status --json", "check --json", "top --once --json", "priority a 1 --json"];
    let check = format!("limits check {} --json", file.display());
    let paper = without_quorum();
    paper.answers("127.0.0.1:1", "priority", Ok(json!({"priority": 1})));
    paper.answers("127.0.0.1:1", "limits.get", Ok(json!({"limits": {}})));
    for line in lines.into_iter().chain([&*check]) {
        let outcome = run(&paper, line).await;
        let document = outcome.json();
        let fields = document.as_object().expect("an object").keys();
        for field in fields {
            assert!(page.contains(&format!("\"{field}\"")), "{line}: {field}");
        }
    }
    std::fs::remove_file(&file).expect("it is there");
    let failure = Failure::usage("x", "y").document();
    for field in failure.as_object().expect("an object").keys() {
        assert!(page.contains(&format!("\"{field}\"")), "{field}");
    }
}

/// `quorate status --watch | head` ended with a panic.
#[tokio::test(start_paused = true)]
async fn whoever_reads_no_more_ends_what_goes_on() {
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    for line in ["status --watch", "status --watch --json", "top --json"] {
        let words = ["quorate", "--peer", "127.0.0.1:1"].into_iter().chain(line.split(' '));
        let parsed = Arguments::try_parse_from(words).expect("a command");
        let Arguments { place, manner, command } = parsed;
        let mut output = Output::new(Box::new(Closed), Style::PLAIN);
        let group = Group::new(Arc::new(three()), place.peers, manner.timeout);
        let mut person = Person::default();
        let mut run = Run {
            group,
            manner: &manner,
            output: &mut output,
            operator: &mut person,
            now_ms: || NOW_MS,
        };
        assert_eq!(super::run(command, &mut run).await, Ok(0), "{line}");
        assert!(output.error().is_none());
    }
}
