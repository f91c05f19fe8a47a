//! `completions` and `man`: what is made of the command line alone.

use clap::{Command, CommandFactory};
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
pub(crate) fn page(run: &mut Run<'_>, words: &[String]) -> Result<Exit, Failure> {
    let mut quorate = Arguments::command();
    quorate.build();
    let name = words.join(" ");
    let unknown = || Failure::usage("unknown_command", format!("there is no command {name}"));
    let command = find(&quorate, &name).ok_or_else(unknown)?.clone();
    let usage = synopsis(&command);
    let mut roff = Vec::new();
    let unwritten = |error: std::io::Error| Failure::usage("not_written", error.to_string());
    Man::new(command.clone().override_usage(usage)).render(&mut roff).map_err(unwritten)?;
    roff.extend(environment(&command).into_bytes());
    roff.extend(see_also(&quorate, &command).into_bytes());
    run.output.bytes(&roff);
    Ok(Exit::Done)
}

/// The command of a name: `limits`, and `limits put` or `limits-put`; of none the whole.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Command> {
    let name = name.trim().trim_start_matches("quorate-");
    if name.is_empty() {
        return Some(command);
    }
    command.get_subcommands().find_map(|sub| {
        let rest = name.strip_prefix(sub.get_name())?;
        match rest.strip_prefix([' ', '-']) {
            Some(rest) => find(sub, rest),
            None if rest.is_empty() => Some(sub),
            None => None,
        }
    })
}

/// How a command is typed, each option with what it takes.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut words = vec![name.to_owned()];
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let value = argument.get_value_names().unwrap_or_default().join(" ");
        let word = match argument.get_long() {
            Some(long) if argument.get_action().takes_values() => format!("--{long} {value}"),
            Some(long) => format!("--{long}"),
            None => value,
        };
        words.push(if argument.is_required_set() { word } else { format!("[{word}]") });
    }
    if command.has_subcommands() {
        let is_needed = command.is_subcommand_required_set();
        words.push(if is_needed { "COMMAND ..".to_owned() } else { "[COMMAND ..]".to_owned() });
    }
    words.join(" ")
}

/// The variables that a command reads.
fn environment(command: &Command) -> String {
    let mut page = "\n.SH ENVIRONMENT\n".to_owned();
    let mut entry = |name: &str, text: &str| {
        page += &format!(".TP\n\\fB{name}\\fR\n{}\n", text.replace('-', "\\-"));
    };
    for argument in command.get_arguments() {
        if let (Some(name), Some(long)) = (argument.get_env(), argument.get_long()) {
            entry(&name.to_string_lossy(), &format!("What --{long} says, where it is not given."));
        }
    }
    entry("USER", "The name to go by in plain text, where --as is not given; quorate without it.");
    entry("NO_COLOR", "Set to anything, there are no colours.");
    page
}

/// The pages of the commands above and below.
fn see_also(quorate: &Command, command: &Command) -> String {
    let is_whole = command.get_name() == quorate.get_name();
    let above = (!is_whole).then(|| "quorate(1)".to_owned());
    let siblings = if command.has_subcommands() { command } else { quorate };
    let below = siblings.get_subcommands().filter(|sub| sub.get_name() != "help");
    let named = below.filter_map(|sub| Some(format!("{}(1)", sub.get_display_name()?)));
    let own = command.get_display_name().map(|name| format!("{name}(1)"));
    let pages: Vec<String> =
        above.into_iter().chain(named).filter(|page| Some(page) != own.as_ref()).collect();
    format!(".SH \"SEE ALSO\"\n{}\n", pages.join(", ").replace('-', "\\-"))
}
