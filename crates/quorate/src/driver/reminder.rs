//! Log records of a peer that cannot have anything decided: whom it waits for, and why.

use std::fmt;
use std::time::Duration;

use super::event_loop::EventLoop;
use crate::base::id::Time;
use crate::base::told::whole;
use crate::driver::report::journal::PEER;
use crate::driver::report::waiting::first_of;

/// A peer that waits says so after this time, and from then on at this pace.
const PATIENCE: Duration = Duration::from_secs(3);
const REMINDER: Duration = Duration::from_secs(30);

impl EventLoop {
    /// Says whom this peer looks for when it begins, whom it waits for while it has no primary, and
    /// when it has one; once per heartbeat.
    pub(super) fn tell_waiting(&mut self, now: Time) {
        if !std::mem::replace(&mut self.waiting.has_begun, true) {
            self.tell_started();
        }
        if self.shared.is_ready() {
            return self.tell_ready(now);
        }
        let shared = &self.shared;
        let waiting = &mut self.waiting;
        let peer = shared.name();
        let since = *waiting.since.get_or_insert(now);
        let is_due = match waiting.told {
            None => now.since(since) >= PATIENCE,
            Some(told) => now.since(told) >= REMINDER,
        };
        if is_due {
            waiting.told = Some(now);
            let why = self.status.borrow().with_missing(shared.not_ready_reason());
            let group = &shared.group.group;
            let waited = in_seconds(now.since(since));
            tracing::warn!(target: PEER, %peer, group, %waited, "waits for a primary: {why}");
        }
    }

    fn tell_started(&self) {
        let shared = &self.shared;
        let peer = shared.name();
        let group = &shared.group.group;
        let mut others = shared.roster.members();
        others.retain(|name| name != peer);
        let address = |name| format!("{name} ({})", shared.roster.address(name));
        match first_of(others.iter().map(address).collect()) {
            none if none.is_empty() => tracing::info!(target: PEER, %peer, group, "started"),
            others => {
                tracing::info!(target: PEER, %peer, group, "started, and looks for {others}");
            }
        }
    }

    /// Says that there is a primary, if it was said before that this peer waits for one.
    fn tell_ready(&mut self, now: Time) {
        let since = self.waiting.since.take();
        let told = self.waiting.told.take();
        if let (Some(since), Some(_)) = (since, told) {
            let peer = self.shared.name();
            let group = &self.shared.group.group;
            let waited = in_seconds(now.since(since));
            let status = self.status.borrow();
            let primary = status.primary.as_ref().map_or("", |primary| primary.as_str());
            tracing::info!(
                target: PEER, %peer, group, about = primary, %waited, "has a primary"
            );
        }
    }
}

/// A time to the second, as people tell it.
fn in_seconds(time: Duration) -> impl fmt::Display {
    whole(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;
    use crate::base::id::GroupTime;
    use crate::config::{Acknowledge, Mode};
    use crate::driver::builder::PeerBuilder;
    use crate::driver::peer::Peer;
    use crate::model::{Answer, Cell, Delta, Item, Model, Value};
    use crate::transport::InProcess;

    /// Keeps what is logged about waiting, with its level.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(Level, String)>>>);

    impl Log {
        fn take(&self, level: Level) -> Vec<String> {
            let lines = std::mem::take(&mut *self.0.lock());
            lines.into_iter().filter(|(of, _)| *of == level).map(|(_, line)| line).collect()
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "quorate"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            struct Line(String);

            impl Visit for Line {
                fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                    match field.name() {
                        "message" => self.0 = format!("{value:?}{}", self.0),
                        name => self.0 += &format!(" {name}={value:?}"),
                    }
                }
            }

            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().push((*event.metadata().level(), line.0));
        }
    }

    struct Nothing;

    impl Model for Nothing {
        fn decide(&self, _: &[Item<'_>], _: &mut [Cell], _: GroupTime) -> Answer {
            Answer::default()
        }

        fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

        fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
            0
        }
    }

    fn peer(network: &InProcess, name: &str) -> PeerBuilder {
        Peer::builder(name, Nothing)
            .members([("a", "a"), ("b", "b"), ("c", "c")])
            .transport(network.at(name))
            .tokio_clock()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_alone_says_whom_it_waits_for_and_when_it_is_over() {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let network = InProcess::network();
        let a = peer(&network, "a").start().await.expect("usable");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let begun = log.take(Level::INFO);
        assert_eq!(begun, ["started, and looks for b (b) and c (c) peer=a group=\"default\""]);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let absent = "fewer than a majority of the members are reachable; b (nobody listens at b: \
                      connection refused) and c (nobody listens at c: connection refused) are not \
                      connected";
        let waits = log.take(Level::WARN);
        assert_eq!(
            waits,
            [format!("waits for a primary: {absent} peer=a group=\"default\" waited=3s")],
            "once"
        );
        let error = a.wait_ready(Duration::from_secs(30)).await.expect_err("it is alone");
        let said = format!("not ready after 30s: {absent}");
        assert_eq!((error.to_string(), format!("{error:?}")), (said.clone(), said));
        assert_eq!(log.take(Level::WARN).len(), 1, "and again after half a minute");

        let b = peer(&network, "b").start().await.expect("usable");
        b.wait_ready(Duration::from_secs(60)).await.expect("two of three");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let said = log.take(Level::INFO);
        let is_over =
            |line: &&String| line.starts_with("has a primary peer=a group=\"default\" about=");
        assert_eq!(said.iter().filter(is_over).count(), 1, "{said:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_is_refused_is_named_with_what_differs() {
        let network = InProcess::network();
        let a = peer(&network, "a").start().await.expect("usable");
        let b = peer(&network, "b").mode(Mode::Relaxed).start().await.expect("usable");
        let error =
            a.wait_ready(Duration::from_secs(5)).await.expect_err("it is alone").to_string();
        let (absent, refused) =
            ("connection refused) is not connected", "(mode: strict here, relaxed there)");
        assert!(error.contains(absent) && error.contains(refused), "{error}");
        assert!(error.contains("b is refused") || error.contains("b refuses this peer"), "{error}");
        drop(b);
        let client = Peer::builder("w", Nothing).join(["nowhere"]).client().tokio_clock();
        let client = client.acknowledge(Acknowledge::Majority).transport(network.at("w"));
        let client = client.start().await.expect("usable");
        let error = client.wait_ready(Duration::from_secs(5)).await.expect_err("nobody is there");
        assert!(error.to_string().contains("no member has been found yet"), "{error}");
    }

    #[test]
    fn names_are_listed_as_people_do() {
        let names = |count: usize| (0..count).map(|n| format!("p{n}")).collect();
        assert_eq!(first_of(names(0)), "");
        assert_eq!(first_of(names(1)), "p0");
        assert_eq!(first_of(names(2)), "p0 and p1");
        assert_eq!(first_of(names(3)), "p0, p1 and p2");
        assert_eq!(first_of(names(9)), "p0, p1, p2, p3, p4, p5, p6 and 2 more");
    }
}
