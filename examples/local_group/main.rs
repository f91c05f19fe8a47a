//! Three peers share one quota, and the primary dies: `cargo run --release --example local_group`.
//!
//! Starts three peers as three processes on loopback, asks checks of all three over sockets, kills
//! the primary with SIGKILL, and shows how the other two agree, elect one of them and go on with
//! the counts, and how the old primary comes back, empty, as a replica. Then it proves from the
//! answers alone that no limit was exceeded and that every unit a caller was promised is counted.
//! Takes about 22 seconds; the exit code is 0 only if the proof holds.
//!
//! What to try next:
//!
//! ```text
//! .. -- --acknowledge primary       answers before a majority holds them: what may get lost
//! .. -- --relaxed                   nobody is refused meanwhile: by how much limits are exceeded
//! .. -- --failure-timeout 500ms     a failover in half a second
//! .. -- --peers 5                   two may die (here still one does)
//! .. -- --tls                       the same with encrypted, authenticated connections
//! .. -- --json                      the result for a program
//! .. -- --demo upkeep               members are replaced by peers with new names, and forgotten;
//!                                   then two of three are gone for good, and the third is forced
//! .. -- --demo sites                two sites change places; then the one that decides dies as a
//!                                   whole, and the other one is promoted by force
//! ```
//!
//! How it works: `peer.rs` is what runs in each process, `caller.rs` asks, `upkeep.rs` and
//! `sites.rs` are the other stories, `ledger.rs` beside this folder proves.

mod caller;
mod distance;
mod peer;
mod process;
mod report;
mod screen;
mod sites;
mod stage;
mod upkeep;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use quorate::Acknowledge;
use quorate_examples::ledger::{Finding, Ledger, Promise};
use quorate_examples::{arguments, certificates};
use tokio::sync::watch;

use crate::peer::{Digest, RATE, Settings};
use crate::report::Report;
use crate::stage::{Stage, free_addresses};

/// Load before the kill, between the failover and the return, and after the return.
const BEFORE: Duration = Duration::from_secs(4);
const BETWEEN: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(3);
/// Longest times for what takes a moment: founding, an election, a return, the last counts.
const MOMENT: Duration = Duration::from_secs(8);
/// A call without an outcome ends after this, so that the run does.
const IO_TIMEOUT: Duration = Duration::from_secs(5);
/// Names of the peers.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
/// Units that may get lost under `--acknowledge primary`.
const MAX_UNREPLICATED: u64 = 10_000;

/// Three peers share one quota, the primary dies, and nothing is lost: with proof.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// Peers without a primary decide alone instead of refusing.
    #[arg(long)]
    relaxed: bool,
    /// When callers are answered: after the primary's own write, or once a majority holds it.
    #[arg(long, default_value = "majority", value_parser = arguments::acknowledge())]
    acknowledge: Acknowledge,
    /// The story: failover; upkeep, in which every member is replaced by one with another name, and
    /// then two of three are gone for good; or sites, in which two of them change places, and then
    /// one is lost.
    #[arg(long, value_enum, default_value = "failover")]
    #[arg(conflicts_with_all = ["relaxed", "acknowledge", "peers"])]
    demo: Demo,
    /// With --demo sites: how long every byte takes from one site to the other.
    #[arg(long, value_name = "TIME", default_value = "40ms", value_parser = arguments::duration)]
    each_way: Duration,
    /// Silence after which the primary counts as lost; 10s, or 1s with another story.
    #[arg(long, value_parser = arguments::duration)]
    failure_timeout: Option<Duration>,
    /// Size of the group.
    #[arg(long, value_name = "N", default_value = "3")]
    #[arg(value_parser = clap::value_parser!(u64).range(3..=7))]
    peers: u64,
    /// Encrypt what the peers say to each other, with certificates made for this run.
    #[arg(long)]
    tls: bool,
    /// Print the result as JSON; the story goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// A story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Demo {
    Failover,
    Upkeep,
    Sites,
}

impl Options {
    fn failure_timeout(&self) -> Duration {
        let default = match self.demo {
            Demo::Failover => Duration::from_secs(10),
            Demo::Upkeep | Demo::Sites => Duration::from_secs(1),
        };
        self.failure_timeout.unwrap_or(default)
    }
}

/// A folder with certificates, for this run only.
struct Certificates(PathBuf);

impl Certificates {
    fn make() -> Result<Self, String> {
        let name = format!("quorate-local-group-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let made = certificates::make(&folder.0, &NAMES);
        made.map_err(|error| format!("certificates in {}: {error}", folder.0.display()))?;
        Ok(folder)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // What is left goes with the folder for temporary files.
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

#[derive(Subcommand)]
enum Role {
    /// One peer of the group; this program starts itself so.
    #[command(name = process::SUBCOMMAND, hide = true)]
    PeerProcess { settings: String },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(Role::PeerProcess { settings }) = &options.role {
        match serde_json::from_str(settings) {
            Ok(settings) => peer::run(settings).await,
            Err(error) => eprintln!("local_group: this subcommand is not for people: {error}"),
        }
        return ExitCode::from(2);
    }
    match show(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("local_group: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the story and prints the proof; whether it holds.
async fn show(options: &Options) -> Result<bool, String> {
    let certificates = options.tls.then(Certificates::make).transpose()?;
    let peers = if options.demo == Demo::Sites { 6 } else { options.peers };
    let settings = settings(options, peers, certificates.as_ref())?;
    match options.demo {
        Demo::Upkeep => return show_upkeep(options, settings).await,
        Demo::Sites => return show_sites(options, settings).await,
        Demo::Failover => {}
    }
    let mut stage = Stage::new(settings, options.json);
    stage.screen.print(&format!(
        "{} peers share one quota{}, {}; the primary will be killed\n",
        options.peers,
        if options.tls { " over TLS" } else { "" },
        promise(options),
    ));
    let report = play(&mut stage, options).await?;
    if options.json {
        stage.screen.result(&report.json().to_string());
    } else {
        stage.screen.print(&report.to_string());
    }
    Ok(report.holds())
}

async fn show_upkeep(options: &Options, settings: Vec<Settings>) -> Result<bool, String> {
    let settings = upkeep::settings(settings)?;
    let mut stage = Stage::new(settings, options.json);
    stage.screen.print(
        "3 peers share one quota; each is replaced by one with another name, and then two are gone \
         for good\n",
    );
    let outcome = upkeep::play(&mut stage).await?;
    if options.json {
        stage.screen.result(&outcome.json().to_string());
    } else {
        stage.screen.print(&outcome.to_string());
    }
    Ok(outcome.holds())
}

async fn show_sites(options: &Options, settings: Vec<Settings>) -> Result<bool, String> {
    let each_way = options.each_way;
    let mut stage = Stage::new(sites::settings(settings, each_way).await?, options.json);
    stage.screen.print(&format!(
        "two sites of 3 peers share one quota, {each_way:?} apart; they change places, and then \
         the one that decides is gone\n"
    ));
    let outcome = sites::play(&mut stage).await?;
    if options.json {
        stage.screen.result(&outcome.json().to_string());
    } else {
        stage.screen.print(&outcome.to_string());
    }
    Ok(outcome.holds())
}

fn settings(
    options: &Options,
    peers: u64,
    certificates: Option<&Certificates>,
) -> Result<Vec<Settings>, String> {
    let names = NAMES.into_iter().take(peers as usize);
    let addresses = free_addresses(peers as usize)
        .map_err(|error| format!("no free ports on 127.0.0.1: {error}"))?;
    let members: Vec<_> = names.clone().map(str::to_owned).zip(addresses).collect();
    let settings = names.map(|name| Settings {
        name: name.to_owned(),
        members: members.clone(),
        is_relaxed: options.relaxed,
        waits_for_majority: options.acknowledge == Acknowledge::Majority,
        failure_timeout: options.failure_timeout(),
        io_timeout: IO_TIMEOUT,
        max_unreplicated: MAX_UNREPLICATED,
        certificates: certificates.map(|certificates| certificates.0.clone()),
        joins: None,
        monitor: None,
        site: None,
    });
    Ok(settings.collect())
}

async fn play(stage: &mut Stage, options: &Options) -> Result<Report, String> {
    for peer in 0..stage.parts.len() {
        stage.start_peer(peer)?;
    }
    stage.wait("a primary that all peers follow", MOMENT, Stage::is_settled).await?;
    let (stop, stopped) = watch::channel(false);
    let callers = stage.start_callers(&stopped);
    let called = stage.start.elapsed();
    stage.screen.tell(&format!("{} callers ask all peers, over sockets", callers.len()));
    stage.play(BEFORE).await?;

    let old = stage.primary().ok_or("there is no primary to kill")?;
    stage.kill_peer(old).await?;
    let killed = stage.start.elapsed();
    let new = fail_over(stage, old, options).await?;
    let replaced = stage.start.elapsed();
    stage.play(BETWEEN).await?;

    stage.start_peer(old)?;
    stage.wait("the return of the old primary", MOMENT, Stage::is_settled).await?;
    let sentence = format!("{} is back, as a replica", stage.parts[old].name());
    stage.screen.tell(&sentence);
    stage.play(AFTER).await?;

    let mut ledger = stage.end_callers(stop, callers).await?;
    let ended = stage.start.elapsed();
    let equal = last_counts(stage, old, &mut ledger).await?;

    let promise = promise(options);
    let mut findings = ledger.prove(promise);
    if promise == Promise::Exact {
        findings.push(ledger.prove_rate(RATE.0, RATE.1));
    }
    findings.push(equal);
    Ok(Report {
        findings,
        failure_timeout: options.failure_timeout(),
        old_primary: stage.parts[old].name().to_owned(),
        new_primary: stage.parts[new].name().to_owned(),
        per_second_before: ledger.per_second(called, killed),
        per_second_after: ledger.per_second(replaced, ended),
        refused: stage.refused(),
        local: stage.local(),
        ledger,
    })
}

fn promise(options: &Options) -> Promise {
    match (options.relaxed, options.acknowledge) {
        (true, _) => Promise::Alone { peers: options.peers },
        (false, Acknowledge::Majority) => Promise::Exact,
        (false, _) => Promise::Bounded { max_lost: MAX_UNREPLICATED },
    }
}

/// Waits until another peer than `old` is primary.
async fn fail_over(stage: &mut Stage, old: usize, options: &Options) -> Result<usize, String> {
    let agreed = tokio::time::Instant::now() + options.failure_timeout();
    stage.countdown = Some(("the replicas wait out the failure timeout", agreed));
    let another = |stage: &Stage| stage.primary().filter(|peer| *peer != old);
    let longest = options.failure_timeout() + MOMENT;
    stage.wait("another primary", longest, |stage| another(stage).is_some()).await?;
    stage.countdown = None;
    another(stage).ok_or_else(|| "the new primary is gone at once".to_owned())
}

/// Asks the returned peer for the count of every key, and all peers for their digests.
async fn last_counts(
    stage: &mut Stage,
    old: usize,
    ledger: &mut Ledger,
) -> Result<Finding, String> {
    let is_merged = |stage: &Stage| stage.parts.iter().all(|p| p.standing.overlay_units == 0);
    stage.wait("the merge of local decisions", MOMENT, is_merged).await?;
    stage.last_counts(old, ledger).await?;
    let all: Vec<usize> = (0..stage.parts.len()).collect();
    let digests = stage.digests(&all, 10).await?;
    let detail = |digest: &Digest| format!("{} cells, digest {:016x}", digest.cells, digest.digest);
    Ok(report::equal_cells("all peers hold equal cells", digests, detail))
}
