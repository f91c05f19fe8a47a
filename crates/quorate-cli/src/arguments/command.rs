//! The commands, and what each of them takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::arguments::{examples, peer_name};
use crate::text::units::{duration, some_duration};

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the group: who decides, who is there, and what is wrong.
    #[command(after_help = examples::STATUS, after_long_help = examples::STATUS_AND_WORDS)]
    Status(Watching),

    /// Says in one line whether all is well, for monitors.
    #[command(after_help = examples::CHECK)]
    Check(Checking),

    /// Shows the group every second: rates, warnings, members, the fullest keys, events.
    #[command(after_help = examples::TOP)]
    Top(Topping),

    /// Shows what happened at a peer.
    #[command(after_help = examples::EVENTS)]
    Events(Reading),

    /// Makes another member primary, as planned.
    #[command(after_help = examples::SWITCH)]
    SwitchPrimary {
        /// The member that is to be primary.
        name: String,
    },

    /// Has a member that runs leave the group for good.
    #[command(after_help = examples::LEAVE)]
    Leave {
        /// The member.
        name: String,
    },

    /// Counts a member out that is gone for good.
    #[command(after_help = examples::FORGET)]
    Forget {
        /// The member.
        name: String,
    },

    /// Sets who is promoted first: the lowest number, and never a peer with 0.
    #[command(after_help = examples::PRIORITY)]
    Priority {
        /// The member.
        name: String,
        /// Its priority, 0 to 255.
        priority: u8,
    },

    /// Founds the group with the members that are there, without waiting for the others.
    #[command(after_help = examples::FOUND)]
    Found {
        /// The peers that are asked to. Default: all that answer.
        #[arg(long, value_name = "NAME,..", value_delimiter = ',', value_parser = peer_name)]
        at: Vec<String>,
    },

    /// Makes a member primary without those that are gone for good.
    #[command(after_help = examples::FORCE)]
    ForcePrimary(Forcing),

    /// Shows or changes how the group forgets members that are gone.
    #[command(after_help = examples::MONITOR)]
    Monitor {
        #[command(subcommand)]
        change: Option<Monitoring>,
    },

    /// Shows or changes which of two sites decides.
    #[command(after_help = examples::SITE)]
    Site {
        #[command(subcommand)]
        what: Option<Siting>,
    },

    /// Shows, checks or changes the group's limits.
    #[command(after_help = examples::LIMITS)]
    Limits {
        #[command(subcommand)]
        what: Limits,
    },

    /// Takes units under a limit, as a caller would.
    #[command(after_help = examples::ASK)]
    Ask(Amount),

    /// Says whether units would be admitted under a limit; takes none.
    #[command(after_help = examples::PEEK)]
    Peek(Amount),

    /// Forgets what a key has taken under a limit.
    #[command(after_help = examples::RESET)]
    Reset(Key),

    /// Says in words what a limit would decide about a key, and why.
    #[command(after_help = examples::EXPLAIN)]
    Explain(Amount),

    /// Prints what a shell needs to complete these commands.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },

    /// Prints the manual page, of quorate or of one command.
    #[command(after_help = examples::MAN)]
    Man {
        /// The command: limits, limits put or limits-put.
        command: Vec<String>,
    },
}

impl Command {
    /// Returns true if it changes something.
    pub(crate) fn is_act(&self) -> bool {
        match self {
            Self::SwitchPrimary { .. }
            | Self::Leave { .. }
            | Self::Forget { .. }
            | Self::Priority { .. }
            | Self::Found { .. }
            | Self::ForcePrimary(_)
            | Self::Ask(_)
            | Self::Reset(_) => true,
            Self::Monitor { change } => !matches!(change, None | Some(Monitoring::Show)),
            Self::Site { what } => !matches!(what, None | Some(Siting::Show)),
            Self::Limits { what } => matches!(what, Limits::Put { .. }),
            Self::Status(_)
            | Self::Check(_)
            | Self::Top(_)
            | Self::Events(_)
            | Self::Peek(_)
            | Self::Explain(_)
            | Self::Completions { .. }
            | Self::Man { .. } => false,
        }
    }

    /// Returns true if it looks again and again, and each look has its time.
    pub(crate) fn goes_on(&self) -> bool {
        match self {
            Self::Status(watching) => watching.watch,
            Self::Events(reading) => reading.follow,
            Self::Top(_) => true,
            _ => false,
        }
    }
}

/// What `status` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Watching {
    /// Shows it again and again.
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// How often, with --watch.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = some_duration)]
    pub(crate) every: Duration,
}

/// What `check` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Checking {
    /// Warns if a certificate ends within this time.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    pub(crate) certificate_warning: Duration,
    /// Is critical if one ends within this time.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
    pub(crate) certificate_critical: Duration,
    /// Warns from this share of a store's room on, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 80)]
    pub(crate) fill_warning: u64,
    /// Is critical from this share on, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 95)]
    pub(crate) fill_critical: u64,
    /// Warns of a member that is so many cuts behind.
    #[arg(long, value_name = "CUTS", default_value_t = 1000)]
    pub(crate) lag_warning: u64,
    /// Warns if fewer members than this may fail. Default: 1 of three members and more, else 0.
    #[arg(long, value_name = "N")]
    pub(crate) min_spare: Option<u64>,
    /// What it is if nobody was reached.
    #[arg(long, value_name = "STATE", default_value = "unknown")]
    pub(crate) unreachable: Unreachable,
}

/// What a group is called that nobody was reached of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unreachable {
    Critical,
    Unknown,
}

/// What `top` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Topping {
    /// Looks twice, a moment apart, prints the screen as text, and ends.
    #[arg(long)]
    pub(crate) once: bool,
    /// How often it looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = some_duration)]
    pub(crate) every: Duration,
}

/// What `events` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reading {
    /// Waits for what happens next, until it is ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only those after the event with this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) since: Option<u64>,
}

/// What `force-primary` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Forcing {
    /// The member that is to be primary.
    #[arg(required_unless_present = "best", conflicts_with = "best")]
    pub(crate) name: Option<String>,
    /// Takes the one that has the most of those in reach.
    #[arg(long)]
    pub(crate) best: bool,
    /// The members that are gone for good.
    #[arg(
        long,
        value_name = "NAME,..",
        value_delimiter = ',',
        required = true,
        value_parser = peer_name
    )]
    pub(crate) gone: Vec<String>,
}

/// What `monitor` takes.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Monitoring {
    /// Shows it.
    Show,
    /// Turns it on: so many members are wanted.
    Size {
        /// The members that are wanted: 1 to 7.
        size: u64,
        /// How long a member is silent before it may be forgotten. Default: as it is, or else 60s
        /// or three failure timeouts, whichever is longer; 30d at most.
        #[arg(long, value_name = "TIME", value_parser = some_duration)]
        grace: Option<Duration>,
    },
    /// Turns it off: nobody is forgotten by itself.
    Off,
    /// Forgets nobody for so long, and then goes on by itself.
    Pause {
        /// How long: 30m, 2h; 1d at most.
        #[arg(value_name = "TIME", value_parser = some_duration)]
        time: Duration,
    },
    /// Ends a pause.
    Resume,
}

/// What `site` takes.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Siting {
    /// Shows both.
    Show,
    /// Has the site of the peer that is asked decide, for the first time: the other one follows.
    Activate,
    /// Has the site that decides give that up, so that the other one can be promoted without loss.
    Demote,
    /// Has the site that follows decide, or by force whichever site is asked.
    Promote(Promoting),
    /// Has the two change places: nothing is lost, and callers are held for a moment.
    Switch,
}

/// What `site promote` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Promoting {
    /// The peer that is to be primary. Default: the one that holds the most at the site that
    /// follows, of those in reach.
    #[arg(long, value_name = "PEER", value_parser = peer_name)]
    pub(crate) at: Option<String>,
    /// Without a word of the other site: what that one alone holds is lost.
    #[arg(long)]
    pub(crate) force: bool,
    /// Peers of the site that are gone for good: all others then have to agree.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', value_parser = peer_name)]
    pub(crate) gone: Vec<String>,
}

/// What `limits` takes.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Limits {
    /// Shows the group's limits, as a limits file.
    Show,
    /// Reads a limits file, and says what is wrong with it and what it would change.
    #[command(after_help = examples::LIMITS_CHECK)]
    Check {
        /// The file, in TOML; - is standard input.
        file: PathBuf,
    },
    /// Has the whole group decide by a limits file.
    #[command(after_help = examples::LIMITS_PUT)]
    Put {
        /// The file, in TOML; - is standard input.
        file: PathBuf,
        /// What becomes of the units that were taken under a limit that changes.
        #[arg(long, value_name = "HOW", default_value = "keep")]
        carry: Carrying,
    },
}

/// What becomes of the units that were taken under a limit that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Carrying {
    /// They are kept: 80 of 100 are 80 of 200.
    Keep,
    /// The part is kept: 80 of 100 are 160 of 200.
    Proportional,
    /// They are forgotten.
    Reset,
}

impl Carrying {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Proportional => "proportional",
            Self::Reset => "reset",
        }
    }
}

/// A key under a limit.
#[derive(Args, Clone, Debug)]
pub(crate) struct Key {
    /// The limit.
    pub(crate) limit: String,
    /// The key that is counted by.
    pub(crate) key: String,
    /// The key is written in hexadecimal digits, two for each byte, for it is no text.
    #[arg(long)]
    pub(crate) hex: bool,
}

/// Units of a key under a limit.
#[derive(Args, Clone, Debug)]
pub(crate) struct Amount {
    #[command(flatten)]
    pub(crate) of: Key,
    /// How many units.
    #[arg(value_name = "N", default_value_t = 1)]
    pub(crate) amount: u64,
}
