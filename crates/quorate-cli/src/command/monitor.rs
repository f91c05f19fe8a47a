//! `monitor`: how the group forgets members that are gone.

use serde_json::{Value, json};

use crate::arguments::command::Monitoring;
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::report::document::Document;
use crate::report::status::Monitor;
use crate::text::units::{millis, moment, span};

/// Shows it, or changes it.
///
/// # Errors
///
/// If it is not changed.
pub(crate) async fn run(run: &mut Run<'_>, change: Option<Monitoring>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let ask = match change.unwrap_or(Monitoring::Show) {
        Monitoring::Show => {
            let answer = reached.look(json!({"ask": "monitor"}), run.patience()?).await?;
            run.tell(&reached, &answer, || described(&answer));
            return Ok(Exit::Done);
        }
        Monitoring::Size { size, grace } => {
            let grace_ms = match grace {
                Some(grace) => Some(millis(grace)),
                // Whoever changes the size alone has said nothing of the grace.
                None => {
                    let answer = reached.look(json!({"ask": "monitor"}), run.patience()?).await?;
                    let present = Monitor::read(Document::of(&answer));
                    let present = present.filter(|monitor| monitor.size.is_some());
                    present.and_then(|monitor| monitor.grace_ms)
                }
            };
            let mut ask = json!({"ask": "monitor", "size": size});
            if let Some(grace_ms) = grace_ms {
                ask["grace_ms"] = json!(grace_ms);
            }
            ask
        }
        Monitoring::Off => json!({"ask": "monitor", "off": true}),
        Monitoring::Pause { time } => json!({"ask": "monitor", "pause_ms": millis(time)}),
        Monitoring::Resume => json!({"ask": "monitor", "resume": true}),
    };
    let answer = reached.act(ask, run.patience()?).await?;
    run.tell(&reached, &answer, || described(&answer));
    Ok(Exit::Done)
}

fn described(answer: &Value) -> String {
    let Some(monitor) = Monitor::read(Document::of(answer)) else { return "off".to_owned() };
    let Some(size) = monitor.size else {
        let paused = monitor.paused_until_ms.map(moment);
        let paused = paused.map(|end| format!("; a pause until {end} waits for it to be on"));
        return format!("off: nobody is forgotten by itself{}", paused.unwrap_or_default());
    };
    let mut lines = vec![format!("size     {size}")];
    let mut line = |name: &str, said: Option<String>| {
        lines.extend(said.map(|said| format!("{name:<9}{said}")));
    };
    line("grace", monitor.grace_ms.map(span));
    line("paused", monitor.paused_until_ms.map(|until| format!("until {}", moment(until))));
    line("live", monitor.live.map(|live| live.to_string()));
    line("spare", monitor.spare.map(|spare| format!("{spare} more may fail")));
    line("stale", Some(monitor.stale.join(", ")).filter(|stale| !stale.is_empty()));
    line("waiting", Some(monitor.waiting.join(", ")).filter(|waiting| !waiting.is_empty()));
    line("blocked", monitor.blocked);
    lines.join("\n")
}
