//! `top`: the group, every second.

mod counts;
mod frame;
mod sample;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::exit::{Exit, Failure};
use crate::group::Group;
use crate::output::Output;
use crate::text::style::may_colour;
use crate::top::frame::{Before, Frame};
use crate::top::sample::{Keys, Sample};
use crate::top::screen::View;

/// The width of what `--once` prints.
const WIDTH: u16 = 110;

/// When it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) every: Duration,
    /// Wall time, in milliseconds since the Unix epoch.
    pub(crate) now_ms: fn() -> u64,
}

/// Shows the group until somebody ends it, as JSON, or once; once also where there is no terminal.
/// Returns the code for the shell: what a signal ends has that of the signal.
///
/// # Errors
///
/// If nobody answers at the first look, or the terminal cannot be used.
pub(crate) async fn run(
    group: &Group,
    times: Times,
    is_once: bool,
    is_json: bool,
    output: &mut Output,
) -> Result<u8, Failure> {
    if is_once || !(is_json || output.is_screen()) {
        let frame = once(group, times).await?;
        match is_json {
            true => output.json(&frame.document()),
            false => output.lines(screen::as_text(&frame, WIDTH)),
        }
        return Ok(Exit::Done.code());
    }
    if is_json {
        return Ok(documents(group, times, output).await?.code());
    }
    let view = View { is_coloured: may_colour(), has_keys: true, ..View::default() };
    terminal::run(group, times, view).await
}

/// Two looks, and what came between them.
async fn once(group: &Group, times: Times) -> Result<Frame, Failure> {
    let first = Sample::first(group, Keys::Nothing).await?;
    tokio::time::sleep(times.every).await;
    let (sample, before) = next(first, group, Keys::Many).await?;
    Ok(Frame::new(&sample, Some(&before), (times.now_ms)()))
}

/// The next look, and what had been counted at the one before.
async fn next(sample: Sample, group: &Group, keys: Keys) -> Result<(Sample, Before), Failure> {
    let counted = sample.counted.clone();
    let then = sample.at;
    let sample = sample.next(group, keys).await?;
    let before = Before { counted, ago: sample.at.saturating_duration_since(then) };
    Ok((sample, before))
}

/// Looks once more; without an earlier look anew.
async fn look(
    group: &Group,
    times: Times,
    sample: Option<Sample>,
    keys: Keys,
) -> Result<(Sample, Frame), Failure> {
    let (sample, before) = match sample {
        Some(sample) => {
            let (sample, before) = next(sample, group, keys).await?;
            (sample, Some(before))
        }
        None => (Sample::first(group, keys).await?, None),
    };
    let frame = Frame::new(&sample, before.as_ref(), (times.now_ms)());
    Ok((sample, frame))
}

/// A document for each look, once there is an earlier one to compare it with.
async fn documents(group: &Group, times: Times, output: &mut Output) -> Result<Exit, Failure> {
    let mut sample = Some(Sample::first(group, Keys::Nothing).await?);
    while !output.is_closed() {
        tokio::time::sleep(times.every).await;
        let has_before = sample.is_some();
        match look(group, times, sample.take(), Keys::Some).await {
            Ok((next, frame)) => {
                if has_before {
                    output.json(&frame.document());
                }
                sample = Some(next);
            }
            Err(failure) => output.json(&failure.document()),
        }
    }
    Ok(Exit::Done)
}
