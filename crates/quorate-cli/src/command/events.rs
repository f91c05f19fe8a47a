//! `events`: what happened at a peer, and what happens next.

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

/// How long to wait before a peer is looked for that was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows events.
///
/// # Errors
///
/// If nobody is reached; while it follows it goes on then.
pub(crate) async fn run(run: &mut Run<'_>, reading: &Reading) -> Result<Exit, Failure> {
    let group = run.group()?.clone();
    let mut place = Place {
        reached: group.first().await?,
        since: reading.since.unwrap_or_default(),
        incarnation: Value::Null,
    };
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
                    tell(run, &place.reached.status.name, event, document);
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
}

impl Place {
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

    /// Looks for a peer that was lost, or another one, for as long as it takes. Numbers are those
    /// of one peer: of another one it goes on from the newest.
    async fn again(self, group: &Group) -> Self {
        loop {
            tokio::time::sleep(AGAIN).await;
            let Ok(reached) = group.first().await else { continue };
            if reached.status.name == self.reached.status.name {
                return Self { reached, ..self };
            }
            let mut place = Self { reached, since: 0, incarnation: Value::Null };
            if place.hear(group, Duration::ZERO).await.is_ok() {
                let name = &place.reached.status.name;
                complain(&format!("goes on at {name} after event {}", place.since));
                return place;
            }
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
