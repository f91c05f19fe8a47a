//! The command line.

pub(crate) mod command;
mod examples;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser};

use crate::arguments::command::Command;
use crate::text::units::some_duration;

/// Looks at a Quorate group, and changes it.
///
/// Any address of a peer of the group is enough: the command asks there who the others are, and
/// goes to the one that it is for. It talks to the port at which the peers meet each other.
///
/// Over TLS it shows a certificate of the group's CA with the URI quorate-viewer:NAME, which may
/// look, or quorate-admin:NAME, which may also change things; a peer's own certificate may neither.
/// In plain text it is let in only where nobody else can listen: on the peer's own machine.
#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version,
    after_help = examples::QUORATE,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) manner: Manner,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Returns true if a command line that cannot be understood is for this command, as far as that
    /// can be seen: the first word is its name that is no option, nor the value of one.
    pub(crate) fn are_for(name: &str, words: impl IntoIterator<Item = OsString>) -> bool {
        let command = Self::command();
        let takes_value = |word: &str| {
            let mut options = command.get_arguments().filter(|it| it.get_action().takes_values());
            options
                .any(|it| it.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long)))
        };
        let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            match takes_value(&word) {
                true => drop(words.next()),
                false if word.starts_with('-') => {}
                false => return word == name,
            }
        }
        false
    }
}

/// Reads the name of whoever asks.
fn admin_name(text: &str) -> Result<String, String> {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    match text {
        _ if (1..=64).contains(&text.len()) && text.chars().all(is_usual) => Ok(text.to_owned()),
        _ => Err("write 1 to 64 letters, digits, and - _ .".to_owned()),
    }
}

/// Reads the name of a peer.
fn peer_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a name is missing".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Where the group is, and how to get in.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where the group is")]
pub(crate) struct Place {
    /// Addresses of peers, at which it is asked who the others are.
    #[arg(
        long = "peer",
        value_name = "HOST:PORT,..",
        global = true,
        env = "QUORATE_PEERS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) peers: Vec<String>,

    /// The group that is meant: a peer of another one is not asked. Default: whichever is there.
    #[arg(long, value_name = "NAME", global = true, env = "QUORATE_GROUP", hide_env_values = true)]
    pub(crate) group: Option<String>,

    /// The CAs that the peers' certificates are of, as PEM.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "QUORATE_TLS_CA",
        hide_env_values = true
    )]
    pub(crate) tls_ca: Option<PathBuf>,

    /// The certificate to show, as PEM.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "QUORATE_TLS_CERT",
        hide_env_values = true
    )]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's key, as PEM.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "QUORATE_TLS_KEY",
        hide_env_values = true
    )]
    pub(crate) tls_key: Option<PathBuf>,

    /// The name to go by in the peers' logs. Default: the one in the certificate; in plain text
    /// $USER, or quorate where that is not set.
    #[arg(long = "as", value_name = "NAME", global = true, value_parser = admin_name)]
    pub(crate) asks_as: Option<String>,
}

/// How it is asked and told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How")]
pub(crate) struct Manner {
    /// Prints JSON, as docs/cli.md describes it, in place of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// How long it may take, or each look of what looks again and again: 500ms, 10s, 5m.
    #[arg(
        long,
        value_name = "TIME",
        global = true,
        default_value = "10s",
        value_parser = some_duration
    )]
    pub(crate) timeout: Duration,

    /// Does not ask before it does what cannot be undone.
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,
}
