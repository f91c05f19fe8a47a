//! `events`: what happened at a peer, and what happens next.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::command::Reading;
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::{Group, Reached};
use crate::output::complain;
use crate::report::event::{Event, Events};
use crate::text::style::{Paint, Style};
use crate::text::units::{counted, millis, moment};

/// How long a peer is asked to wait for the next event, at most.
const WAIT: Duration = Duration::from_secs(25);

/// Events of another peer that happened so much before the last one are old: clocks differ.
const OVERLAP_MS: u64 = 1000;

/// Events that are remembered as told.
const MAX_TOLD: usize = 1024;

/// How long to wait before a peer is looked for that was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows events.
///
/// # Errors
///
/// If nobody is reached; while it follows it goes on then.
pub(crate) async fn run(run: &mut Run<'_>, reading: &Reading) -> Result<Exit, Failure> {
    let group = run.group()?.clone();
    let mut place =
        Place::new(group.first().await?, reading.since.unwrap_or_default(), Recent::default());
    if reading.follow && place.since > 0 {
        place.turn_to_newest(&group).await?;
    }
    let mut wait = Duration::ZERO;
    loop {
        let before = place.since;
        match place.hear(&group, wait).await {
            // The peer has started anew, and counts from 1 again.
            Ok(None) => continue,
            Ok(Some(events)) => {
                if events.missed > 0 && reading.since.is_some() {
                    complain(&format!("{} are not kept any more", counted(events.missed, "event")));
                }
                for (event, document) in &events.events {
                    if place.is_news(event) {
                        tell(run, &place.reached.status.name, event, document);
                    }
                }
                // One answer has as many as fit.
                let is_all = events.events.is_empty() || place.since <= before;
                if is_all && !reading.follow {
                    return Ok(Exit::Done);
                }
            }
            Err(failure) if !reading.follow || failure.exit == Exit::Refused => {
                return Err(failure);
            }
            Err(failure) => {
                let lost = &place.reached.status.name;
                complain(&format!("{lost} is lost: {}", failure.detail));
                place = place.again(&group).await;
            }
        }
        if run.output.is_closed() {
            return Ok(Exit::Done);
        }
        if reading.follow {
            wait = WAIT;
        }
    }
}

/// How far the events of which peer were read.
struct Place {
    reached: Reached,
    since: u64,
    /// The start of the peer that numbered them.
    incarnation: Value,
    /// The newest of those that were told.
    recent: Recent,
    /// Whether those of this peer are held against the ones that another has told.
    is_other: bool,
}

/// Events that were told, as far as another peer may tell them once more.
#[derive(Default)]
struct Recent {
    newest_ms: u64,
    told: VecDeque<(u64, String)>,
}

impl Recent {
    /// Takes note of an event; returns true if it was not told before, nor happened long before
    /// what was.
    fn is_news(&mut self, event: &Event, may_be_old: bool) -> bool {
        let told = (event.at_ms, format!("{} {}", event.name, event.text));
        let is_old = event.at_ms.saturating_add(OVERLAP_MS) < self.newest_ms;
        if !may_be_old && (is_old || self.told.contains(&told)) {
            return false;
        }
        self.newest_ms = self.newest_ms.max(event.at_ms);
        self.told.push_back(told);
        if self.told.len() > MAX_TOLD {
            self.told.pop_front();
        }
        true
    }
}

impl Place {
    fn new(reached: Reached, since: u64, recent: Recent) -> Self {
        Self { reached, since, incarnation: Value::Null, recent, is_other: false }
    }

    /// The events that come next; `None` if the peer has started anew, and is to be asked again.
    async fn hear(&mut self, group: &Group, wait: Duration) -> Result<Option<Events>, Failure> {
        let ask = json!({"ask": "events", "since": self.since, "wait_ms": millis(wait)});
        let answer = self.reached.look(ask, group.patience() + wait).await?;
        let events = Events::read(&answer, self.since);
        let is_new = !self.incarnation.is_null() && self.incarnation != events.incarnation;
        self.incarnation = events.incarnation.clone();
        self.since = if is_new { 0 } else { events.next };
        Ok(Some(events).filter(|_| !is_new))
    }

    /// Goes back to the newest event where the number to go on from is beyond it: what happens next
    /// has a lower one.
    async fn turn_to_newest(&mut self, group: &Group) -> Result<(), Failure> {
        let asked = self.since;
        self.since = asked.saturating_sub(1);
        let heard = self.hear(group, Duration::ZERO).await?;
        let is_beyond = heard.is_some_and(|heard| heard.events.is_empty());
        let mut newest = asked;
        if is_beyond {
            self.since = 0;
            newest = 0;
            while newest < asked
                && let Some(events) = self.hear(group, Duration::ZERO).await?
                && !events.events.is_empty()
            {
                newest = events.next;
            }
        }
        self.since = newest.min(asked);
        Ok(())
    }

    /// Returns true if an event is to be told. Numbers are those of one peer: of another one that
    /// is told which has happened since, and was not told yet.
    fn is_news(&mut self, event: &Event) -> bool {
        self.recent.is_news(event, !self.is_other)
    }

    /// Looks for a peer that was lost, or another one, for as long as it takes.
    async fn again(self, group: &Group) -> Self {
        loop {
            tokio::time::sleep(AGAIN).await;
            let Ok(reached) = group.first().await else { continue };
            if reached.status.name == self.reached.status.name {
                return Self { reached, ..self };
            }
            complain(&format!("goes on at {}", reached.status.name));
            return Self { is_other: true, ..Self::new(reached, 0, self.recent) };
        }
    }
}

fn tell(run: &mut Run<'_>, peer: &str, event: &Event, document: &Value) {
    if run.manner.json {
        let mut document = document.clone();
        document["told_by"] = json!(peer);
        return run.output.json(&document);
    }
    let style = run.output.style;
    run.output.text(&line(peer, event, style));
}

/// An event in one line: when, at whom, its number, how much it matters, what.
pub(crate) fn line(peer: &str, event: &Event, style: Style) -> String {
    let Event { number, at_ms, name, severity, text, .. } = event;
    let at = style.paint(Paint::Faint, &moment(*at_ms));
    let severity = style.paint(event.paint(), &format!("{severity:<5}"));
    format!("{at} {peer} {number:>5} {severity} {name} {text}").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
