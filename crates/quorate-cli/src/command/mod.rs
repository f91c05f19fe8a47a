//! What each command does.

mod change;
mod check;
mod consent;
mod events;
mod force;
mod limits;
mod manual;
mod monitor;
mod site;
mod status;
mod taking;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::Manner;
use crate::arguments::command::Command;
use crate::exit::Failure;
use crate::group::{Group, Reached};
use crate::output::Output;
use crate::top;

pub(crate) use consent::{Operator, Terminal};

/// What a command has at hand.
pub(crate) struct Run<'a> {
    /// The group, or why it is not known where it is.
    pub(crate) group: Result<Group, Failure>,
    pub(crate) manner: &'a Manner,
    pub(crate) output: &'a mut Output,
    /// Who may be asked whether it is meant.
    pub(crate) operator: &'a mut dyn Operator,
    /// Wall time, in milliseconds since the Unix epoch.
    pub(crate) now_ms: fn() -> u64,
}

impl Run<'_> {
    /// The group that the command is for.
    ///
    /// # Errors
    ///
    /// If it is not known where the group is, or how to get in.
    pub(crate) fn group(&self) -> Result<&Group, Failure> {
        self.group.as_ref().map_err(Failure::clone)
    }

    /// The time that is left for what is asked next.
    ///
    /// # Errors
    ///
    /// As [`group`](Self::group).
    pub(crate) fn patience(&self) -> Result<Duration, Failure> {
        Ok(self.group()?.patience())
    }

    /// Prints what one peer has answered, or in text what that means.
    pub(crate) fn tell(&mut self, by: &Reached, answer: &Value, text: impl FnOnce() -> String) {
        self.tell_more(by, answer, json!({}), text);
    }

    /// The same, and in the document these fields as well.
    pub(crate) fn tell_more(
        &mut self,
        by: &Reached,
        answer: &Value,
        mut more: Value,
        text: impl FnOnce() -> String,
    ) {
        if self.manner.json {
            more["peer"] = json!(by.status.name);
            more["address"] = json!(by.address);
            more["answer"] = answer.clone();
            self.output.json(&more);
        } else {
            self.output.text(&text());
        }
    }
}

/// Does what was asked for; returns the code for the shell.
///
/// # Errors
///
/// If it was not done, or that is not known.
pub(crate) async fn run(command: Command, run: &mut Run<'_>) -> Result<u8, Failure> {
    if !command.goes_on()
        && let Ok(group) = &mut run.group
    {
        *group = group.timed();
    }
    let exit = match command {
        Command::Status(watching) => status::run(run, &watching).await?,
        Command::Check(checking) => return Ok(check::run(run, &checking).await),
        Command::Top(topping) => {
            let group = run.group()?.clone();
            let times = top::Times { every: topping.every, now_ms: run.now_ms };
            return top::run(&group, times, topping.once, run.manner.json, run.output).await;
        }
        Command::Events(reading) => events::run(run, &reading).await?,
        Command::SwitchPrimary { name } => change::switch(run, &name).await?,
        Command::Leave { name } => change::leave(run, &name).await?,
        Command::Forget { name } => change::forget(run, &name).await?,
        Command::Priority { name, priority } => change::priority(run, &name, priority).await?,
        Command::Found { at } => change::found(run, &at).await?,
        Command::ForcePrimary(forcing) => force::run(run, &forcing).await?,
        Command::Monitor { change } => monitor::run(run, change).await?,
        Command::Site { what } => site::run(run, what).await?,
        Command::Limits { what } => limits::run(run, what).await?,
        Command::Ask(amount) => taking::ask(run, &amount).await?,
        Command::Peek(amount) => taking::peek(run, &amount).await?,
        Command::Reset(key) => taking::reset(run, &key).await?,
        Command::Explain(amount) => taking::explain(run, &amount).await?,
        Command::Completions { shell } => manual::completions(run, shell),
        Command::Man { command } => manual::page(run, &command)?,
    };
    Ok(exit.code())
}
