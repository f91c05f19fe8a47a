//! `completions` and `man`: what is made of the command line alone.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::command::Run;
use crate::exit::{Exit, Failure};

/// Prints what a shell needs.
pub(crate) fn completions(run: &mut Run<'_>, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "quorate", &mut script);
    run.output.bytes(&script);
    Exit::Done
}

/// Prints a manual page.
///
/// # Errors
///
/// If there is no such command.
pub(crate) fn page(run: &mut Run<'_>, name: Option<&str>) -> Result<Exit, Failure> {
    let mut command = Arguments::command();
    command.build();
    if let Some(name) = name {
        let found = command.find_subcommand(name).cloned();
        let unknown = || Failure::usage("unknown_command", format!("there is no command {name}"));
        command = found.ok_or_else(unknown)?;
    }
    let mut roff = Vec::new();
    let unwritten = |error: std::io::Error| Failure::usage("not_written", error.to_string());
    Man::new(command).render(&mut roff).map_err(unwritten)?;
    run.output.bytes(&roff);
    Ok(Exit::Done)
}
