//! Commands that look: what they print, and which code the shell sees.

use std::path::Path;

use super::*;
use crate::door::DoorError;
use crate::door::paper::{alone, member, replica};
use crate::report::finding::Code;

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
a     primary  ok       10    0    0 %  127.0.0.1:1
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

    // It is there itself, though it does not count before there is a group.
    let lone = Paper::default();
    let mut status = alone();
    status["is_counted"] = json!(false);
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    lone.peer("127.0.0.1:1", status);
    let lone = run(&lone, "check").await.printed;
    assert!(lone.contains(" members=3 here=1 spare=0 "), "{lone}");

    // No alarm, and said all the same.
    let two = Paper::default();
    let mut status = healthy();
    status["members"] = json!([member("a", 1), member("b", 2)]);
    status["peers"] = json!([replica("b", 2)]);
    status["spare"] = json!(0);
    two.peer("127.0.0.1:1", status);
    let two = run(&two, "check").await;
    assert_eq!(two.code(), 0);
    let line = "OK: group quota: a decides, 2 members, none may fail | members=2 here=2 spare=0 ";
    assert!(two.printed.starts_with(line), "{}", two.printed);

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
async fn without_a_terminal_the_screen_is_printed_once() {
    let screen = run(&three(), "top").await;
    assert_eq!(screen.code(), 0);
    assert!(screen.printed.starts_with("group quota  healthy  generation 1  term 4  13:04:05\n"));
    assert!(!screen.printed.contains('\u{1b}'));
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

#[tokio::test(start_paused = true)]
async fn a_watched_status_says_when_it_looked_and_why_it_saw_nothing() {
    /// Takes one look, after which all peers are gone, and a line of the next one.
    struct Reader(Paper, Page);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let gone = || DoorError::Unreachable { detail: "it has gone".into() };
            let written = self.1.write(bytes)?;
            if bytes.starts_with(b"seen by") {
                for port in 1..=3 {
                    self.0.keeps_out(&format!("127.0.0.1:{port}"), gone());
                }
            }
            let is_enough = bytes.ends_with(b"it has gone");
            if is_enough { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(written) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let words = ["quorate", "--peer", "127.0.0.1:1", "status", "--watch"];
    let Arguments { place, manner, command } = Arguments::try_parse_from(words).expect("a command");
    let (paper, page) = (three(), Page::default());
    let mut output = Output::new(Box::new(Reader(paper.clone(), page.clone())), Style::PLAIN);
    let mut run = Run {
        group: Group::new(Arc::new(paper), place.peers, manner.timeout),
        manner: &manner,
        output: &mut output,
        operator: &mut Person::default(),
        now_ms: || NOW_MS,
    };
    assert_eq!(crate::command::run(command, &mut run).await, Ok(0));
    let printed = page.0.lock().expect("nobody has panicked").clone();
    let printed = String::from_utf8(printed).expect("text");
    assert!(printed.starts_with("2026-11-30T13:04:05.123Z\ngroup quota: healthy\n"), "{printed}");
    let next = "2026-11-30T13:04:05.123Z\nquorate: 127.0.0.1:1: it has gone";
    assert!(printed.ends_with(next), "{printed}");
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
        assert_eq!(crate::command::run(command, &mut run).await, Ok(0), "{line}");
        assert!(output.error().is_none());
    }
}
