//! The command line.

use crate::plan::Wish;
use crate::plan::profile::Profile;

/// The wishes of whoever started the simulator.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) wish: Wish,
    pub(crate) is_traced: bool,
    /// A digest of each seed's trace is printed.
    pub(crate) has_digests: bool,
    /// Seeds that may fail before the run ends.
    pub(crate) max_failures: u64,
}

/// The task of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// One seed again.
    Replay { seed: u64 },
    /// Many seeds.
    Seeds { from: u64, count: u64 },
    /// A directed scenario by its name, or "all".
    Scenario { name: String },
    /// Every known bug in turn.
    #[cfg(feature = "bugs")]
    Bugs,
}

const USAGE: &str = "\
usage: quorate-sim [--seeds N] [--from N] [--peers N] [--profile NAME] [--max-failures N]
                   [--digest]
       quorate-sim --seed N [--trace] [--peers N] [--profile NAME]
       quorate-sim --scenario NAME [--trace]
       quorate-sim --bugs

  --seeds N         run N seeds (1000)
  --from N          the first of them (1)
  --seed N          run one seed and print what it is made of
  --scenario NAME   run one directed scenario, or all
  --bugs            put every known bug back; each must be caught (feature bugs)
  --bug NAME        put one bug back for all that is run (feature bugs)
  --trace           print all that happens in it
  --digest          print a digest of each seed's trace: equal ones are equal runs
  --peers N         3 to 7 peers; drawn per seed unless given
  --profile NAME    a mixture of faults; drawn per seed unless given
  --max-failures N  end after so many failed seeds (10)";

impl Options {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut seeds = 1_000;
        let mut from = 1;
        let mut seed = None;
        let mut task = None;
        let mut options = Self {
            task: Task::Seeds { from, count: seeds },
            wish: Wish::default(),
            is_traced: false,
            has_digests: false,
            max_failures: 10,
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--seeds" => seeds = number(&value()?)?,
                "--from" => from = number(&value()?)?,
                "--seed" => seed = Some(number(&value()?)?),
                "--max-failures" => options.max_failures = number(&value()?)?,
                "--peers" => options.wish.peers = Some(peers(&value()?)?),
                "--profile" => options.wish.profile = Some(profile(&value()?)?),
                "--scenario" => task = Some(Task::Scenario { name: value()? }),
                #[cfg(feature = "bugs")]
                "--bugs" => task = Some(Task::Bugs),
                #[cfg(feature = "bugs")]
                "--bug" => quorate::internal::bug::set(Some(bug(&value()?)?)),
                "--trace" => options.is_traced = true,
                "--digest" => options.has_digests = true,
                _ => return Err(format!("{arg} is not known\n{USAGE}")),
            }
        }
        options.task = match (task, seed) {
            (Some(task), _) => task,
            (None, Some(seed)) => Task::Replay { seed },
            (None, None) => Task::Seeds { from, count: seeds },
        };
        Ok(options)
    }

    /// The one command that runs a seed again, as it was run.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let mut command = format!("cargo run --release -p quorate-sim -- --seed {seed} --trace");
        if let Some(peers) = self.wish.peers {
            command += &format!(" --peers {peers}");
        }
        if let Some(profile) = self.wish.profile {
            command += &format!(" --profile {}", profile.name());
        }
        command
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number\n{USAGE}"))
}

fn peers(text: &str) -> Result<usize, String> {
    match usize::try_from(number(text)?) {
        Ok(peers @ 3..=7) => Ok(peers),
        _ => Err(format!("{text} is not 3 to 7\n{USAGE}")),
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    let found = Profile::all().find(|profile| profile.name() == text);
    found.ok_or_else(|| {
        let names: Vec<_> = Profile::all().map(Profile::name).collect();
        format!("{text} is not one of {}\n{USAGE}", names.join(", "))
    })
}

#[cfg(feature = "bugs")]
fn bug(text: &str) -> Result<quorate::internal::bug::Bug, String> {
    let found = quorate::internal::bug::Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == text);
    found.ok_or_else(|| format!("{text} is not a known bug"))
}
