//! What stands on the screen: on paper, at a fixed size, held against what stood there before.
//!
//! The screens are in `snapshots/`; written anew with `UPDATE_SNAPSHOTS=1` set, and looked at
//! before they are committed.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::*;
use crate::door::DoorError;
use crate::door::paper::{NOW_MS, Paper, healthy, of_replica, three, without_quorum};
use crate::text::style::Style;

fn group(paper: &Paper) -> Group {
    let contacts = vec!["127.0.0.1:1".to_owned()];
    Group::new(Arc::new(paper.clone()), contacts, Duration::from_secs(10)).expect("an address")
}

/// The numbers of all three after some time.
fn count(paper: &Paper, seconds: u64) {
    for (address, part) in [("127.0.0.1:1", 4), ("127.0.0.1:2", 3), ("127.0.0.1:3", 3)] {
        let allowed = 1000 + 8_000 * part * seconds;
        let denied = 10 + 123 * part * seconds;
        let counts = |of: u64| {
            json!({
                "allowed": allowed / of, "denied": denied / of, "shadowed": 0, "uncounted": 0,
                "errors": {"no_primary": 0, "other": 2},
            })
        };
        let limits = json!({"totals": counts(1), "limits": {"api": counts(1), "mail": counts(10)}});
        paper.answers(address, "limits.stats", Ok(limits));
        let mut times = [0_u64; 16];
        times[1] = 970 * seconds;
        times[3] = 25 * seconds;
        times[5] = 5 * seconds;
        let stats = json!({"call_times": {"counts": times, "longer": 0, "sum_us": 0}});
        paper.answers(address, "stats", Ok(stats));
    }
    let top = json!({"used": [
        {"key": "alice", "used": 1234}, {"key": "bob\u{1b}[2J", "used": 900},
        {"key": "a-key-that-is-longer-than-its-room", "used": 5},
    ], "denied": []});
    paper.answers("127.0.0.1:1", "limits.top", Ok(top));
    let limits = json!({
        "api": {"rate": "1500/s"}, "mail": {"window": "1m", "max": 2000}, "n": {"counter": true},
    });
    paper.answers("127.0.0.1:1", "limits.get", Ok(json!({"revision": 1, "limits": limits})));
    let event = |number: u64, ago: u64, name: &str, severity: &str, text: &str, primary: Value| {
        json!({
            "number": number, "at_ms": NOW_MS - ago, "event": name, "severity": severity,
            "text": text, "primary": primary,
        })
    };
    let events = json!({"next": 3, "events": [
        event(1, 7_600_000, "founded", "info", "the group is founded by a, b and c", Value::Null),
        event(2, 7_500_000, "primary_changed", "info", "a is primary", json!("a")),
        event(3, 60_000, "peer_down", "info", "c is not connected any more", Value::Null),
    ]});
    paper.answers("127.0.0.1:1", "events", Ok(events));
}

async fn frame(paper: &Paper) -> Frame {
    let group = group(paper);
    count(paper, 0);
    let first = Sample::first(&group, Keys::Some).await.expect("they answer");
    tokio::time::sleep(Duration::from_secs(2)).await;
    count(paper, 2);
    let (sample, before) = next(first, &group, Keys::Some).await.expect("they answer");
    Frame::new(&sample, Some(&before), NOW_MS)
}

/// A group with something of everything.
fn troubled() -> Paper {
    let paper = three();
    let certificate = json!({"subject": "b", "names": [], "not_after_ms": NOW_MS + 6 * 86_400_000});
    let mut status = healthy();
    status["spare"] = json!(0);
    status["tls"] = json!("permissive");
    status["members"][2]["is_stale"] = json!(true);
    status["members"][2]["silent_ms"] = json!(200_000);
    status["peers"][0]["certificate"] = certificate.clone();
    status["peers"][0]["lag"] = json!(5123);
    status["peers"][0]["differs"] = json!([{"field": "limits", "ours": "1", "theirs": "2"}]);
    status["peers"][1]["link"] = json!("down");
    status["cells"] = json!(833_000);
    paper.peer("127.0.0.1:1", status);
    let mut own = of_replica("b");
    own["certificate"] = certificate;
    own["cells"] = json!(833_000);
    paper.peer("127.0.0.1:2", own);
    let gone = DoorError::Unreachable { detail: "127.0.0.1:3 refuses connections".into() };
    paper.keeps_out("127.0.0.1:3", gone);
    paper
}

/// Draws at a fixed size, and holds it against the file.
fn assert_screen(name: &str, frame: &Frame, view: &View) {
    let mut terminal = Terminal::new(TestBackend::new(100, 28)).expect("infallible");
    terminal
        .draw(|screen| screen::draw(frame, view, screen.area(), screen.buffer_mut()))
        .expect("infallible");
    let drawn = screen::lines_of(terminal.backend().buffer()).join("\n") + "\n";
    assert_text(name, &drawn);
}

fn assert_text(name: &str, drawn: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/snapshots");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, drawn).expect("it is written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(drawn, expected, "{name} is another screen: see src/top/tests.rs");
}

fn view() -> View {
    View { has_keys: true, ..View::default() }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_group_fits_on_a_screen() {
    assert_screen("healthy", &frame(&three()).await, &view());
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_stands_above_the_members() {
    assert_screen("troubled", &frame(&troubled()).await, &view());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_has_lost_its_majority_says_whom_it_waits_for() {
    assert_screen("without_quorum", &frame(&without_quorum()).await, &view());
}

#[tokio::test(start_paused = true)]
async fn once_prints_the_same_as_text() {
    let text = screen::as_text(&frame(&troubled()).await, WIDTH).join("\n") + "\n";
    assert_text("once", &text);
}

#[tokio::test(start_paused = true)]
async fn rates_are_of_the_time_between_two_looks() {
    let document = frame(&three()).await.document();
    // Ten parts of 8,000 admitted and 123 denied each second.
    assert_eq!(document["decisions_per_second"], json!(81_230.0));
    assert_eq!(document["denials_per_second"], json!(1230.0));
    assert_eq!(document["errors_per_second"], json!(0.0));
    assert_eq!(document["forwarded_p50_us"], json!(250));
    assert_eq!(document["forwarded_p99_us"], json!(1000));
    assert_eq!(document["primary_for_ms"], json!(7_500_000));
    assert_eq!(document["at_risk_units"], json!(3));
    let names: Vec<&Value> =
        document["limits"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["api", "mail", "n"]);
    assert_eq!(document["limits"][0]["keys"][0], json!({"key": "alice", "used": 1234}));
    assert_eq!(document["limits"][0]["capacity"], json!(1500));
}

#[tokio::test(start_paused = true)]
async fn a_small_screen_and_an_empty_one_are_drawn_as_well() {
    let frame = frame(&troubled()).await;
    for (width, height) in [(1, 1), (20, 5), (300, 3), (3, 100)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("infallible");
        let view = View { failure: Some("nobody listens".into()), ..view() };
        terminal
            .draw(|screen| screen::draw(&frame, &view, screen.area(), screen.buffer_mut()))
            .expect("infallible");
    }
}

/// A limit that was added to a running group was nowhere: no peer counts it by itself.
#[tokio::test(start_paused = true)]
async fn all_limits_are_shown_and_none_is_left_out_without_a_word() {
    let paper = three();
    count(&paper, 0);
    let limits: serde_json::Map<String, Value> =
        (0..21).map(|n| (format!("limit-{n:02}"), json!({"rate": "10/s"}))).collect();
    paper.answers("127.0.0.1:1", "limits.get", Ok(json!({"revision": 2, "limits": limits})));
    let group = group(&paper);
    let times = Times { every: Duration::from_secs(1), now_ms: || NOW_MS };
    let frame = once(&group, times).await.expect("they answer");
    let document = frame.document();
    let names: Vec<&Value> =
        document["limits"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(names.len(), 23);
    let [.., last] = &names[..] else { panic!("there are some") };
    assert_eq!(*last, "limit-20");
    assert_eq!(document["limits"][22]["keys"][0]["key"], "alice");
    let mut terminal = Terminal::new(TestBackend::new(80, 20)).expect("infallible");
    terminal
        .draw(|screen| screen::draw(&frame, &view(), screen.area(), screen.buffer_mut()))
        .expect("infallible");
    let drawn = screen::lines_of(terminal.backend().buffer()).join("\n");
    assert!(drawn.contains("\n+19 limits\n"), "{drawn}");
}

#[tokio::test(start_paused = true)]
async fn on_a_small_screen_it_is_said_what_is_left_out() {
    let mut terminal = Terminal::new(TestBackend::new(40, 10)).expect("infallible");
    let frame = frame(&three()).await;
    terminal
        .draw(|screen| screen::draw(&frame, &view(), screen.area(), screen.buffer_mut()))
        .expect("infallible");
    let drawn = screen::lines_of(terminal.backend().buffer());
    assert!(drawn.contains(&"+3 members".to_owned()), "{drawn:#?}");
    assert!(drawn.contains(&"+3 limits".to_owned()), "{drawn:#?}");
    assert!(drawn[1].ends_with('…'), "{drawn:#?}");
}

#[tokio::test(start_paused = true)]
async fn peers_without_limits_have_no_limits_on_the_screen() {
    let paper = three();
    let group = group(&paper);
    let first = Sample::first(&group, Keys::OneLimit).await.expect("they answer");
    let (sample, before) = next(first, &group, Keys::OneLimit).await.expect("they answer");
    let frame = Frame::new(&sample, Some(&before), NOW_MS);
    assert_eq!(frame.limits, []);
    assert_eq!(frame.p50_us, None);
}

#[tokio::test(start_paused = true)]
async fn one_limit_after_the_other_is_looked_at() {
    let paper = three();
    count(&paper, 0);
    let group = group(&paper);
    let mut sample = Sample::first(&group, Keys::OneLimit).await.expect("they answer");
    for _ in 0..3 {
        sample = sample.next(&group, Keys::OneLimit).await.expect("they answer");
    }
    let asked = paper.asked().into_iter().map(|(_, ask)| ask);
    let limits: Vec<Value> =
        asked.filter(|ask| ask["ask"] == "limits.top").map(|ask| ask["limit"].clone()).collect();
    assert_eq!(limits, ["api", "mail", "n", "api"]);
    assert_eq!(sample.keys.len(), 3);
}

/// `quorate top --json | head -1` never ended where the group went away after the first document.
#[tokio::test(start_paused = true)]
async fn whoever_reads_no_more_ends_it_while_nobody_answers() {
    /// Takes one document, sees all peers go away, and takes no failure.
    struct Reader(Paper);

    impl Write for Reader {
        fn write(&mut self, written: &[u8]) -> io::Result<usize> {
            for port in 1..=3 {
                let address = format!("127.0.0.1:{port}");
                let gone = || DoorError::Unreachable { detail: "it has gone".into() };
                self.0.answers(&address, "status", Err(gone())).keeps_out(&address, gone());
            }
            match str::from_utf8(written).is_ok_and(|text| text.contains("it has gone")) {
                true => Err(io::ErrorKind::BrokenPipe.into()),
                false => Ok(written.len()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let paper = three();
    let group = group(&paper);
    let mut output = Output::new(Box::new(Reader(paper)), Style::PLAIN);
    let times = Times { every: Duration::from_secs(2), now_ms: || NOW_MS };
    let documents = documents(&group, times, &mut output);
    let ended = tokio::time::timeout(Duration::from_secs(3600), documents).await;
    assert_eq!(ended.expect("it ends"), Ok(Exit::Done));
    assert!(output.error().is_none());
}
