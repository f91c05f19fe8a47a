//! What is logged in a test, by its own thread.

use std::cell::RefCell;
use std::fmt;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

thread_local! {
    /// The lines of this thread, on which all of a test runs.
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// The lines that were logged by this thread since it was made.
pub(crate) struct Told(());

impl Told {
    /// Begins to listen. One that listens to all threads takes part in no race with those that do
    /// not listen, which may hide a line from all of them.
    pub(crate) fn here() -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            tracing::subscriber::set_global_default(Lines).expect("nobody else listens");
        });
        LINES.take();
        Self(())
    }

    /// How many lines, of whatever level, have this in them.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn lines(&self, what: &str) -> usize {
        LINES.with_borrow(|lines| lines.iter().filter(|(_, line)| line.contains(what)).count())
    }

    /// How many warnings have this in them.
    pub(crate) fn warnings(&self, what: &str) -> usize {
        let is_it = |(level, line): &&(Level, String)| *level == Level::WARN && line.contains(what);
        LINES.with_borrow(|lines| lines.iter().filter(is_it).count())
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LINES.with_borrow(|lines| f.debug_list().entries(lines).finish())
    }
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "quorate::limits"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push((*event.metadata().level(), line.0)));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
