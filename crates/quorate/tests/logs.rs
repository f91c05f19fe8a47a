//! What a peer logs: events at their own levels, under names that stay, and spans where calls
//! cross.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use quorate::admin::{Ask, Client};
use quorate::{Event, Peer, Severity};
use support::{NAMES, Trio, add, builder, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// A log record, or a span as it began.
#[derive(Clone, Debug, Default)]
struct Line {
    target: String,
    level: Option<Level>,
    name: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.to_owned());
    }
}

/// Remembers all that is logged in this process.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<Line>>>);

impl Book {
    fn note(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        let mut line = Line {
            target: metadata.target().to_owned(),
            level: Some(*metadata.level()),
            name: metadata.name().to_owned(),
            ..Line::default()
        };
        record(&mut line);
        self.0.lock().expect("no panic").push(line);
    }

    fn lines(&self, target: &str) -> Vec<Line> {
        let lines = self.0.lock().expect("no panic");
        lines.iter().filter(|line| line.target == target).cloned().collect()
    }
}

impl Subscriber for Book {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("quorate")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        self.note(event.metadata(), |line| event.record(line));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warn => Level::WARN,
        _ => Level::INFO,
    }
}

/// All were logged as `event` at info, with a dump of the value for a message.
#[tokio::test(start_paused = true)]
async fn events_are_logged_at_their_levels_with_a_sentence() {
    let book = Book::default();
    tracing::subscriber::set_global_default(book.clone()).expect("this file has one test");
    let mut trio = Trio::start(|builder| builder).await;
    let primary = trio.primary();
    let replica = trio.a_replica();
    add(trio.peer(&replica), "k", 1).await.expect("there is a primary");
    let spans = book.lines("quorate::calls");
    let span = |name: &str| spans.iter().find(|line| line.name == name).expect("it was entered");
    assert_eq!(
        (&span("forward").fields["peer"], &span("forward").fields["to"]),
        (&replica, &primary)
    );
    assert_eq!(
        (&span("serve").fields["peer"], &span("serve").fields["from"]),
        (&primary, &replica)
    );

    // It says so itself, by its own place in its own list.
    trio.crash(&replica).await;
    let place = |name| (name, if name == replica { "elsewhere" } else { name });
    let moved = builder(&trio.network, &replica).members(NAMES.map(place));
    let moved = moved.transport(trio.network.at("elsewhere")).start().await;
    trio.peers.push(moved.expect("the settings are valid"));
    until(trio.peer(&primary), |status| {
        status.members.iter().any(|member| member.address == "elsewhere")
    })
    .await;
    let said = format!("{replica} is reached at elsewhere from now on, and not at {replica}");
    let lines = book.lines("quorate::links");
    let mut lines = lines.iter().filter(|line| line.fields.get("message") == Some(&said));
    assert!(lines.any(|line| line.fields["peer"] == primary), "{said}");
    // The one that has moved heard of its former place from the others for a moment.
    let own = format!("{replica} is reached at");
    let lines = book.lines("quorate::links");
    let of_itself = lines.iter().find(|line| {
        let message = line.fields.get("message");
        line.fields["peer"] == replica && message.is_some_and(|said| said.starts_with(&own))
    });
    assert!(of_itself.is_none(), "{of_itself:?}");

    let rest: Vec<String> = trio.peers.iter().map(|peer| peer.name().to_string()).collect();
    for name in rest.iter().filter(|name| **name != primary) {
        trio.crash(name).await;
    }
    until(trio.peer(&primary), |status| !status.quorum).await;
    let told = trio.peer(&primary).events_since(0);
    assert!(told.iter().any(|numbered| matches!(numbered.event, Event::QuorumLost { .. })));
    let logged = book.lines("quorate::event");
    for numbered in &told {
        let event = &numbered.event;
        let line = logged.iter().find(|line| {
            let fields = &line.fields;
            fields["peer"] == primary && fields["message"] == event.to_string()
        });
        let line = line.unwrap_or_else(|| panic!("{event} was not logged: {logged:#?}"));
        assert_eq!(line.level, Some(level(event.severity())), "{event}");
        assert_eq!(line.fields["event"], event.name());
        assert_eq!(line.fields["group"], "default");
    }
    let lost = logged.iter().find(|line| line.fields["event"] == "quorum_lost").expect("told");
    assert_eq!(lost.level, Some(Level::ERROR));
    assert_eq!(
        lost.fields["message"],
        "the lease has ended: nothing is decided until a majority answers"
    );
    assert_eq!(lost.fields["term"], "1");

    // What is no event is not among them: every record there has the fields of one.
    trio.peer(&primary).shutdown().await;
    let logged = book.lines("quorate::event");
    assert!(logged.iter().all(|line| line.fields.contains_key("event")), "{logged:#?}");
    let stops = |peer: &str| -> Vec<Line> {
        let mut lines = book.lines("quorate");
        lines.retain(|line| {
            line.fields["peer"] == peer && line.fields["message"].starts_with("stops all the same")
        });
        lines
    };
    let told = stops(&primary);
    assert_eq!((told.len(), told[0].level), (1, Some(Level::WARN)), "{told:#?}");
    assert_eq!(told[0].fields["group"], "default");
    // Nobody is hurt by the end of an only member.
    let network = quorate::transport::InProcess::network();
    let alone = Peer::builder("x", support::Counter)
        .members([("x", "x")])
        .transport(network.at("x"))
        .tokio_clock();
    let alone = alone.start().await.expect("the settings are valid");
    alone.wait_counted(support::LONG).await.expect("it counts as the only one");
    // Whoever has a peer do something is named before it is done.
    let mut desk = Client::connect(network.at("desk"), "x", "alice", "").await.expect("it may ask");
    desk.ask(&Ask::Status).await.expect("it answers");
    desk.ask(&Ask::Priority { priority: 7 }).await.expect("it runs");
    desk.ask(&Ask::Forget { peer: "y".into() }).await.expect_err("there is none");
    let mut told = book.lines("quorate::admin");
    told.retain(|line| line.level != Some(Level::DEBUG));
    let of = |line: &Line, field: &str| line.fields.get(field).cloned().unwrap_or_default();
    let shown = told.iter().map(|line| {
        let [by, what] = ["by", "what"].map(|field| of(line, field));
        (line.level, by, what, of(line, "address"), of(line, "error"))
    });
    let shown: Vec<_> = shown.collect();
    let warn = Some(Level::WARN);
    let line = |level, what: &str, address: &str, error: &str| {
        (level, "alice".to_owned(), what.to_owned(), address.to_owned(), error.to_owned())
    };
    let expected = [
        line(warn, "priority 7", "desk", ""),
        line(Some(Level::INFO), "priority 7", "", ""),
        line(warn, "forget y", "desk", ""),
        line(warn, "forget y", "", "not_member"),
    ];
    assert_eq!(shown, expected);
    alone.shutdown().await;
    assert!(stops("x").is_empty());

    // Several peers may live in one process.
    let all = book.0.lock().expect("no panic").clone();
    let nobodys: Vec<_> = all.iter().filter(|line| !line.fields.contains_key("peer")).collect();
    assert!(all.len() > 100 && nobodys.is_empty(), "{nobodys:#?}");
    let routed = book.lines("quorate::links");
    let route = format!("{primary} (term 1)");
    assert!(routed.iter().any(|line| line.fields.get("route") == Some(&route)), "{routed:#?}");
}
