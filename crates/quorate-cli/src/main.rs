//! The command `quorate`: looks at a group, and changes it, over the peers' own port.
//!
//! ```text
//! arguments ─▶ command ─▶ group ─▶ door ─▶ the admin lane of a peer
//!                 │ top      │
//!                 ▼          ▼
//!               output     report (what peers say, and what is wrong in it) ─▶ text
//! ```
//!
//! Nothing of a group is kept or decided here: a command that is killed has asked for what it has
//! asked for, and nothing depends on it.

mod arguments;
mod command;
mod door;
mod exit;
mod group;
mod output;
mod report;
mod text;
mod top;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::arguments::command::Command;
use crate::arguments::{Arguments, Place};
use crate::command::{Run, Terminal};
use crate::door::lane::{Lane, Papers};
use crate::exit::{Exit, Failure};
use crate::group::Group;
use crate::output::{Output, complain};
use crate::text::clean::clean;
use crate::text::units::millis;

/// What `check` calls what cannot be checked.
const CHECK_UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    let Arguments { place, manner, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misread(&error),
    };
    let mut output = Output::standard();
    let is_check = matches!(command, Command::Check(_));
    let is_act = command.is_act();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Err(error) => Err(Failure::new(Exit::Unreached, "no_runtime", error.to_string())),
        Ok(runtime) => {
            let mut run = Run {
                group: group(&place, manner.timeout),
                manner: &manner,
                output: &mut output,
                operator: &mut Terminal,
                now_ms,
            };
            let done = runtime.block_on(command::run(command, &mut run));
            // A name that is still being looked up has nobody waiting for it.
            runtime.shutdown_background();
            done
        }
    };
    let code = done.unwrap_or_else(|failure| {
        complain(&failure.detail);
        if manner.json {
            output.json(&failure.document());
        }
        failure.exit.code()
    });
    match output.error() {
        None => code.into(),
        Some(error) if is_check => {
            unwritten(error, Exit::Unknown);
            CHECK_UNKNOWN.into()
        }
        // Nobody has read whether it was done.
        Some(error) if is_act => unwritten(error, Exit::Unknown),
        Some(error) => unwritten(error, Exit::Usage),
    }
}

/// Says what is wrong with a command line, or helps.
fn misread(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if !error.use_stderr() {
        return match printed {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => unwritten(&error, Exit::Usage),
            // Whoever does not read it any more has read enough.
            _ => Exit::Done.into(),
        };
    }
    if !Arguments::are_for("check", std::env::args_os().skip(1)) {
        return Exit::Usage.into();
    }
    // Whatever runs it reads one line of standard output.
    let error = error.to_string();
    let what = error.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let mut output = Output::standard();
    output.text(&format!("UNKNOWN: {}", clean(what).replace('|', "/")));
    CHECK_UNKNOWN.into()
}

/// Says that what was to be printed could not be.
fn unwritten(error: &std::io::Error, exit: Exit) -> ExitCode {
    complain(&format!("what was to be said cannot be written: {error}"));
    exit.into()
}

/// The group that the command line names.
fn group(place: &Place, patience: std::time::Duration) -> Result<Group, Failure> {
    let papers = papers(place)?;
    let lane = Lane::new(papers.as_ref(), place.asks_as.as_deref(), place.group.as_deref())?;
    Group::new(Arc::new(lane), place.peers.clone(), patience)
}

/// All of the certificates' files, or none.
fn papers(place: &Place) -> Result<Option<Papers>, Failure> {
    let of = |path: &Option<std::path::PathBuf>| {
        path.clone().filter(|path| !path.as_os_str().is_empty())
    };
    match (of(&place.tls_ca), of(&place.tls_cert), of(&place.tls_key)) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(certificate), Some(key)) => Ok(Some(Papers { ca, certificate, key })),
        _ => Err(Failure::usage("half_tls", HALF_TLS)),
    }
}

const HALF_TLS: &str = "give --tls-ca, --tls-cert and --tls-key together, or none of them: with \
                        them it talks TLS, without them plain text";

/// Wall time, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "certificates end by this machine's clock")]
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
