//! One peer of a group as a small HTTP service: the program to copy into your own.
//!
//! Start three, each in a terminal of its own:
//!
//! ```text
//! P=a=127.0.0.1:7101,b=127.0.0.1:7102,c=127.0.0.1:7103
//! cargo run --release --example peer -- --name a --peers $P --http 127.0.0.1:8101
//! cargo run --release --example peer -- --name b --peers $P --http 127.0.0.1:8102
//! cargo run --release --example peer -- --name c --peers $P --http 127.0.0.1:8103
//! ```
//!
//! Ask any of them, and look at any of them:
//!
//! ```text
//! curl -i 127.0.0.1:8102/v1/acquire -d '{"limit":"default","key":"alice","amount":1}'
//! curl 127.0.0.1:8103/v1/status
//! curl 127.0.0.1:8101/metrics
//! ```
//!
//! `/metrics` has numbers for Prometheus: decisions by limit and outcome, who is primary, how full
//! the store is. Scrape every peer, for each counts what it was asked. docs/operations.md lists
//! them.
//!
//! With `--storage disk --data-dir DIR`, each a directory of its own, counts outlive the processes:
//! kill all three with `kill -9`, start them again, and read `recovered_cells` in their status.
//! `--sync` says what a loss of power may take back: nothing with `every-batch`, a second's worth
//! with `1s`.
//!
//! What to try next: kill the primary with `kill -9` and ask the others at once, and again ten
//! seconds later; start it again; end the primary with Ctrl-C, which hands over first, so that
//! nobody waits; `curl 127.0.0.1:8101/v1/switch-primary -d '{"to":"b"}'`; start a peer with another
//! `--mode` and read `refusals` in its status; give one peer other limits and read `differs` in the
//! status of all.
//!
//! To a group that runs, a fourth peer comes by the address of any other, and is counted in as soon
//! as it holds what the others hold. A peer leaves when it is asked to; one that is gone for good
//! counts until it is forgotten. A client uses the group and is no member of it.
//!
//! ```text
//! cargo run --release --example peer -- --name d --listen 127.0.0.1:7104 \
//!     --join 127.0.0.1:7101 --http 127.0.0.1:8104
//! curl -X POST 127.0.0.1:8101/v1/leave
//! curl 127.0.0.1:8104/v1/forget -d '{"peer":"c"}'
//! cargo run --release --example peer -- --name web-1 --client --join 127.0.0.1:7104 \
//!     --http 127.0.0.1:8105
//! ```
//!
//! With `--monitor-size 3` at all peers the group forgets a member by itself that was silent for a
//! minute, as soon as three others are there: kill one, start `d` with `--join`, and look. What is
//! wanted is changed through any peer, and stopped for a while. `/readyz?settled=120` paces whoever
//! replaces one after the other, and with `--leave-on-stop` a peer that is stopped needs no grace.
//!
//! ```text
//! curl 127.0.0.1:8101/v1/monitor
//! curl 127.0.0.1:8101/v1/monitor -d '{"size":3,"grace_ms":30000}'
//! curl 127.0.0.1:8101/v1/monitor -d '{"pause_ms":7200000}'
//! curl -i '127.0.0.1:8104/readyz?settled=120'
//! ```
//!
//! Kill two of three for good, read `lost` in the status of the one that is left, and have it go on
//! with what it holds. If they live after all, they end when they hear of it: say so only of those
//! that are gone. Where nobody holds anything, `found` waits for nobody who is missing.
//!
//! ```text
//! curl 127.0.0.1:8101/v1/force-primary -d '{"gone":["b","c"]}'
//! curl -X POST 127.0.0.1:8101/v1/found
//! ```
//!
//! A second group of peers may follow this one from another site (docs/sites.md): each peer is told
//! its site and where the other one is, and one of them that its site decides. `site/switch` has
//! the two change places, and with `force` a site goes on without a word of the other one.
//!
//! ```text
//! .. --name a --peers $P --site east --other-site west=10.1.0.1:7101,10.1.0.2:7101
//! curl 127.0.0.1:8101/v1/site -d '{"mode":"active"}'
//! curl 127.0.0.1:8101/v1/site
//! curl -X POST 127.0.0.1:8101/v1/site/switch
//! ```
//!
//! What changes the group, or shows whose keys are used (`top`), is served at the same address as
//! long as that is on loopback. Off loopback it has an address of its own: `--admin-http`, or a
//! port of loopback that is printed at the start.
//!
//! Over TLS, with a CA of your own: each peer shows a certificate that names it, and whoever has
//! none is kept out. `dev_certs` prints the options for each peer; SIGHUP, or a change of the
//! files, has them read again. `--tls permissive` is for changing a group that runs, peer by peer.
//!
//! ```text
//! cargo run --example dev_certs -- certs a b c
//! cargo run --release --example peer -- --name a --peers $P --http 127.0.0.1:8101 \
//!     --tls-ca certs/ca.pem --tls-cert certs/a.pem --tls-key certs/a.key
//! ```
//!
//! For limits of your own, write them to a file and give it to every peer (`--limits FILE`); there
//! is one with every kind in `examples/limits.toml`:
//!
//! ```text
//! [limits.api]
//! rate = "100/s"      # also /m, /h, /d
//! burst = 50          # the most at once; the number of the rate if left out
//!
//! [limits.mail]
//! window = "60s"      # a count for each 60 s ..
//! max = 5
//!
//! [limits.search]
//! window = "60s"      # .. or for the last 60 s before each request
//! max = 30
//! sliding = true
//!
//! [limits.plan]
//! calendar = "month"  # also day, week, quarter, year
//! max = 1000
//! time_zone = "Europe/Berlin"
//! starts_on = 15      # of a week, a weekday
//!
//! [limits.visits]
//! counter = true      # only counted
//!
//! [limits.jobs]
//! concurrent = 8      # permits held at once
//! lease = "30s"       # without a word of their holder
//! ```
//!
//! Any of them may have `without_primary = "refuse"`, `"share:0.3"` or `"open"`, for the time
//! without a primary; `shadow = true`, to see what it would do; and `alert_at = [80, 100]`, to be
//! told.
//!
//! The limits of a group that runs are changed through any peer, for all of them:
//!
//! ```text
//! curl 127.0.0.1:8101/v1/limits > limits.toml     # and edit it
//! curl -X PUT '127.0.0.1:8102/v1/limits?carry=keep' --data-binary @limits.toml
//! ```
//!
//! Or the files of `--limits` are: with `--watch-limits` a change of one is taken up as a change by
//! any other way is, and the last one holds; with `--limits-file-wins` at all peers, the primary's
//! file holds and nothing else changes the limits.
//!
//! To see a denial, send this twice, to any two peers: 200, then 429 with `Retry-After`.
//!
//! ```text
//! curl -i 127.0.0.1:8101/v1/acquire -d '{"limit":"mail","key":"alice","amount":4}'
//! ```

mod addresses;
mod body;
mod connections;
mod door;
mod flags;
mod group;
mod holds;
mod http;
mod limits;
#[cfg(test)]
mod manifests;
mod metrics;
mod monitor;
mod problem;
mod refused;
mod rejoin;
mod rules;
mod server;
mod service;
mod site;
mod tls;

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use quorate::{
    Acknowledge, Bounds, Mode, NewGenerations, OnReconnect, Peer, PeerRole, RemoveError, Shutdown,
    StartError, Storage, StorageKind, SwitchError, SyncPolicy,
};
use quorate_examples::{arguments, sentence, show_logs};
use quorate_ratelimit::{AtCapacity, FileChange, Limit, Limits, RateLimiter};
use quorate_tls::TlsTransport;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::addresses::{Address, HttpOptions};
use crate::monitor::MonitorOptions;
use crate::rejoin::Rejoin;
use crate::service::{Current, Service};
use crate::site::SiteOptions;
use crate::tls::TlsOptions;

/// How long requests under way may take after SIGTERM, before the hand-over.
const DRAIN: Duration = Duration::from_secs(5);

/// One peer of a group that shares rate limits, as an HTTP service.
#[derive(Parser)]
struct Options {
    /// Name of this peer, one of those in --peers; never give it to another peer.
    #[arg(long)]
    name: String,
    /// Where this peer listens for the others; its own address in --peers if left out.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// All peers that found the group, this one included: the same list everywhere.
    #[arg(long, value_name = "NAME=HOST:PORT,..", required_unless_present = "join")]
    #[arg(value_delimiter = ',', value_parser = arguments::member)]
    peers: Vec<(String, String)>,
    /// Join a group that exists, at the addresses of any of its members; with --listen.
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    join: Vec<String>,
    /// Start blank and as another member: the files of this peer's directory are kept under names
    /// that begin with removed-. For this start only; with --join, for one that was counted out.
    #[arg(long)]
    set_aside: bool,
    /// Come back by itself whenever the group has counted this peer out, and nobody asked it to
    /// leave: blank, as a new member, with its files kept under names that begin with removed-.
    #[arg(long, conflicts_with = "client")]
    rejoin: bool,
    /// Use the group without being a member: no vote, no data; with --peers or --join.
    #[arg(long)]
    client: bool,
    /// Let clients have the primary hand over: give this to every member.
    #[arg(long)]
    clients_may_switch_primary: bool,
    /// Let clients change the limits of the group: give this to every member.
    #[arg(long)]
    clients_may_change_policy: bool,
    /// Let clients have members forgotten: give this to every member.
    #[arg(long)]
    clients_may_remove_members: bool,
    /// Where the others reach this peer, from now on, whatever their --peers says; its own address
    /// in its own --peers if left out.
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Name of the group.
    #[arg(long, default_value = "default")]
    group: String,
    /// What this peer does while there is no primary: refuse, or decide alone and say so.
    #[arg(long, default_value = "strict", value_parser = arguments::mode())]
    mode: Mode,
    /// What becomes of decisions that were made alone, in relaxed mode.
    #[arg(long, default_value = "merge", value_parser = arguments::on_reconnect())]
    on_reconnect: OnReconnect,
    /// When a caller is answered: after the primary's own write, or once a majority holds it.
    #[arg(long, default_value = "primary", value_parser = arguments::acknowledge())]
    acknowledge: Acknowledge,
    /// Where counts are kept: the same at all peers.
    #[arg(long, default_value = "memory", value_parser = arguments::storage())]
    storage: StorageKind,
    /// Directory of this peer's files, for --storage disk: of this peer alone.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Directory of this peer alone, for --storage memory: it remembers there its vote and how far
    /// it has acknowledged, and a group that restarts begins with no less while a member is
    /// missing.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// When files are synced: every-batch, before anything is acknowledged; or at the latest after
    /// a time, like 1s; or os, when the system does. For --storage disk; 1s if left out.
    #[arg(long, value_name = "POLICY", value_parser = arguments::sync)]
    sync: Option<SyncPolicy>,
    /// Who is promoted first: the lowest number; 0 never.
    #[arg(long, value_name = "N", default_value = "100")]
    priority: u8,
    /// When a new generation may begin, or the group be founded, without some of its members, whose
    /// counts may be later: automatic, after a failure timeout; or when-complete, never by itself.
    #[arg(long, value_name = "WHEN", default_value_t)]
    new_generations: NewGenerations,
    /// Time between two heartbeats, at most a quarter of --failure-timeout; if left out 1s, or a
    /// tenth of --failure-timeout where that is too much.
    #[arg(long, value_parser = arguments::duration)]
    heartbeat: Option<Duration>,
    /// Silence after which the primary counts as lost.
    #[arg(long, default_value = "10s", value_parser = arguments::duration)]
    failure_timeout: Duration,
    /// After this time a call ends without a known outcome.
    #[arg(long, default_value = "30s", value_parser = arguments::duration)]
    io_timeout: Duration,
    /// Most counts that are kept, one for each key under each limit.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().max_cells)]
    max_cells: usize,
    /// Most memory for them, in bytes: 128 each, and more for long keys.
    #[arg(long, value_name = "BYTES", default_value_t = Bounds::default().max_bytes)]
    max_bytes: usize,
    /// What becomes of requests with new keys beyond that: refuse, or admit and not count.
    #[arg(long, default_value = "refuse", value_parser = arguments::at_capacity())]
    at_capacity: AtCapacity,
    /// TOML file with the limits; without it there is one, `default`, of 100/s.
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Have the whole group decide by what the file of --limits says whenever it changes; what was
    /// taken is kept. What it says at the start changes nothing.
    #[arg(long, requires = "limits")]
    watch_limits: bool,
    /// Have the group decide by the file of --limits of whoever is primary, whatever else is asked
    /// for: give this, and the same file, to all peers. PUT /v1/limits is refused.
    #[arg(long, requires = "limits", conflicts_with = "watch_limits")]
    limits_file_wins: bool,
    /// Talk plain text on the network too: HTTP, and between peers without TLS. Without this only
    /// loopback addresses are listened on for that.
    #[arg(long)]
    plaintext_on_network: bool,
    /// Let nobody ask this peer, or give it orders, over the port of the peers.
    #[arg(long)]
    no_admin: bool,
    /// Have this peer counted out of the group when it is told to stop, before it stops: for
    /// members that come and go under new names. A restart is no departure: never where it comes
    /// back under its name, as in a StatefulSet.
    #[arg(long, conflicts_with = "client")]
    leave_on_stop: bool,
    #[command(flatten)]
    monitor: MonitorOptions,
    #[command(flatten)]
    site: SiteOptions,
    #[command(flatten)]
    http: HttpOptions,
    #[command(flatten)]
    tls: TlsOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("peer: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn serve(options: Options) -> Result<(), String> {
    show_logs().map_err(|error| error.to_string())?;
    check(&options)?;
    let limits = read_limits(options.limits.as_deref())?;
    say(&format!("limits:\n{limits}"));
    let addresses = options.http.listen(hosts(&options)).await?;
    let tls = options.tls.transport(options.failure_timeout)?;
    let peer = start(&options, &limits, tls.as_ref(), None).await?;
    if let Some(tls) = tls.clone() {
        tokio::spawn(tls::reload_on_signal(tls, listen_for(SignalKind::hangup())?));
    }
    let Options { name, group, http: HttpOptions { http, .. }, .. } = &options;
    say(&format!("peer {name} of group {group}: http://{http}/v1/status"));
    if let Some(admin) = addresses.iter().find_map(Address::of_admin) {
        say(&format!("what changes the group is served at http://{admin} and nowhere else"));
    }
    let limiter = RateLimiter::new(peer, &limits).at_capacity(options.at_capacity);
    let beside = run_beside(&options, &limiter);
    let HttpOptions { headers, accept_ids: accepts_ids, .. } = options.http;
    let service = Current::from(Service::new(limiter, headers, accepts_ids));
    let (stop, stopped) = watch::channel(());
    let mut served = JoinSet::new();
    for address in addresses {
        let mut stopped = stopped.clone();
        // It ends with what would change it.
        let stopped = async move { stopped.changed().await.unwrap_or_default() };
        served.spawn(address.serve(service.clone(), stopped));
    }
    let back = Rejoin { options: &options, limits: &limits, tls: tls.as_ref(), current: &service };
    tokio::select! {
        () = stop_signal()? => {}
        Err(error) = back.keep(beside) => return Err(error),
    }

    let peer = service.get().peer;
    // Nobody is to hand over to this peer any more. Then the requests under way, which need it; and
    // then the hand-over.
    peer.set_priority(0).await;
    drop(stop);
    let drained = async { while served.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        say("some requests were still under way");
    }
    if options.leave_on_stop {
        say(&leave(&peer).await);
    }
    let end = peer.shutdown().await;
    say(&told(&end, &peer));
    Ok(())
}

/// Has this peer counted out, within the I/O timeout and a hand-over; says what came of it. Either
/// way it stops then.
async fn leave(peer: &Peer) -> String {
    match peer.leave().await {
        Ok(()) => "has left the group".to_owned(),
        // There is no group that would count it.
        Err(error @ (RemoveError::LastMember { .. } | RemoveError::NotMember { .. })) => {
            format!("stops without having left: {error}")
        }
        Err(error) => {
            let said = flags::in_flags(&error.to_string());
            format!("stops without having left, and counts until it is forgotten: {said}")
        }
    }
}

/// How this peer ended, as a sentence.
fn told(end: &Shutdown, peer: &Peer) -> String {
    match end {
        Shutdown::HandedOver { to } => format!("handed over to {to}"),
        Shutdown::WasReplica if peer.status().role == PeerRole::Replica => {
            "stopped as a replica".to_owned()
        }
        // Where nobody was chosen in time, the peer names itself.
        Shutdown::NotHandedOver { reason: SwitchError::Aborted { to } } if to == peer.name() => {
            "stopped without handing over: nobody took over in time".to_owned()
        }
        Shutdown::NotHandedOver { reason } => format!("stopped without handing over: {reason}"),
        _ => "stopped".to_owned(),
    }
}

/// Where others reach this peer: names that lead here by its own settings.
fn hosts(options: &Options) -> impl Iterator<Item = &str> {
    let Options { name, listen, peers, advertise, .. } = options;
    let own = peers.iter().filter(move |(peer, _)| peer == name).map(|(_, address)| address);
    listen.iter().chain(advertise).chain(own).map(String::as_str)
}

fn check(options: &Options) -> Result<(), String> {
    storage(options)?;
    options.http.check(options.plaintext_on_network)
}

/// Where this peer keeps its counts.
fn storage(options: &Options) -> Result<Storage, String> {
    let is_on_disk = options.storage == StorageKind::Disk;
    if is_on_disk && options.state_dir.is_some() {
        return Err("--state-dir is for --storage memory: leave it out".to_owned());
    }
    match (&options.data_dir, options.sync) {
        (Some(dir), sync) if is_on_disk => {
            Ok(Storage::Disk { dir: dir.clone(), sync: sync.unwrap_or_default() })
        }
        (None, _) if is_on_disk => {
            Err("--storage disk needs a directory of this peer's own: --data-dir DIR".to_owned())
        }
        (Some(_), _) => Err("--data-dir is for --storage disk: leave it out, or add that".into()),
        (None, Some(_)) => Err("--sync is for --storage disk: leave it out, or add that".into()),
        (None, None) => Ok(Storage::Memory),
    }
}

fn read_limits(file: Option<&Path>) -> Result<Limits, String> {
    let Some(file) = file else {
        let limits = Limits::builder().limit("default", Limit::per_second(100));
        return limits.build().map_err(|error| error.to_string());
    };
    let said = |error: &dyn std::fmt::Display| format!("limits file {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| said(&error))?;
    rules::parse(&text).map_err(|error| said(&error))
}

/// Starts this peer; with `contacts` as one that was counted out and joins by them.
async fn start(
    options: &Options,
    limits: &Limits,
    tls: Option<&TlsTransport>,
    contacts: Option<&[String]>,
) -> Result<Peer, String> {
    let storage = storage(options)?;
    let Options { max_cells, max_bytes, .. } = *options;
    let bounds = Bounds { max_cells, max_bytes, ..Bounds::default() };
    let mut builder = Peer::builder(options.name.as_str(), limits.model())
        .group(options.group.as_str())
        .mode(options.mode)
        .on_reconnect(options.on_reconnect)
        .acknowledge(options.acknowledge)
        .storage(storage)
        .bounds(bounds)
        .priority(options.priority)
        .new_generations(options.new_generations)
        .failure_timeout(options.failure_timeout)
        .io_timeout(options.io_timeout);
    if let Some(heartbeat) = options.heartbeat {
        builder = builder.heartbeat(heartbeat);
    }
    if let Some(dir) = &options.state_dir {
        builder = builder.state_dir(dir);
    }
    if let Some(listen) = &options.listen {
        builder = builder.listen(listen.as_str());
    }
    if options.set_aside || contacts.is_some() {
        builder = builder.set_aside();
    }
    let peers = options.peers.iter().map(|(name, address)| (name.as_str(), address.as_str()));
    match contacts {
        Some(contacts) => {
            let own = peers.clone().find(|(name, _)| *name == options.name);
            if let Some((_, address)) = own.filter(|_| options.listen.is_none()) {
                builder = builder.listen(address);
            }
            builder = builder.join(contacts);
        }
        None => {
            builder = builder.members(peers);
            if !options.join.is_empty() {
                builder = builder.join(options.join.iter().map(String::as_str));
            }
        }
    }
    if options.client {
        builder = builder.client();
    }
    if let Some(address) = &options.advertise {
        builder = builder.advertise(address.as_str());
    }
    if options.clients_may_switch_primary {
        builder = builder.clients_may_switch_primary();
    }
    if options.clients_may_change_policy {
        builder = builder.clients_may_change_policy();
    }
    if options.clients_may_remove_members {
        builder = builder.clients_may_remove_members();
    }
    if let Some(tls) = tls {
        builder = builder.transport(Arc::new(tls.clone()));
    }
    if options.plaintext_on_network {
        builder = builder.plaintext_allowed_on_network();
    }
    if let Some(monitor) = options.monitor.monitor() {
        builder = builder.monitor(monitor);
    }
    if let Some(site) = options.site.site() {
        builder = builder.site(site);
    }
    if options.no_admin {
        builder = builder.no_admin();
    }
    builder.start().await.map_err(|error| match error {
        StartError::PlaintextOffLoopback { address } => format!(
            "{address} is not a loopback address, and without TLS (or with --tls permissive) peers \
             talk plain text, which is refused off loopback: use --tls-ca, --tls-cert and \
             --tls-key, or, on a network that you trust, allow it by --plaintext-on-network"
        ),
        error => flags::in_flags(&sentence(&error)),
    })
}

/// Runs what goes on beside the requests, until it is dropped: events and alerts are printed, and
/// the file of limits is followed.
fn run_beside(options: &Options, limiter: &RateLimiter) -> JoinSet<()> {
    // It ends by itself, when the last event has been printed.
    tokio::spawn(print_events(limiter.peer().clone()));
    let mut beside = JoinSet::new();
    let is_followed = options.watch_limits || options.limits_file_wins;
    if let Some(file) = options.limits.clone().filter(|_| is_followed) {
        beside.spawn(follow_limits(limiter.clone(), file, options.limits_file_wins));
    }
    beside.spawn(print_alerts(limiter.clone()));
    beside
}

/// Has the group follow a limits file, and prints what comes of it.
async fn follow_limits(limiter: RateLimiter, file: PathBuf, wins: bool) {
    let name = file.display().to_string();
    let told = |change: FileChange| {
        let advice = match &change {
            FileChange::Differs { .. } if wins => {
                "; the primary's file is what counts: bring this one to all peers"
            }
            FileChange::Differs { .. } => {
                "; to have them decide by the file, PUT it to /v1/limits or change it, or start \
                 all peers with --limits-file-wins; or write GET /v1/limits into it"
            }
            _ => "",
        };
        say(&format!("limits file {name}: {change}{advice}"));
    };
    let file = limiter.limits_file(file, rules::spec);
    let file = if wins { file.wins() } else { file };
    file.watch(told).await;
}

/// Prints thresholds that were crossed here; keys may be secrets, so they are left out.
async fn print_alerts(limiter: RateLimiter) {
    let mut alerts = limiter.alerts();
    while let Some(alert) = alerts.next().await {
        say(&format!("limit {}: a key has used {}%", alert.limit, alert.percent));
    }
}

/// Prints what happens to the group, one JSON object a line, from the first event on.
async fn print_events(peer: Peer) {
    let mut events = peer.events_after(0);
    while let Some(event) = events.next().await {
        say(&serde_json::to_string(&event).unwrap_or_default());
    }
}

/// Prints a line; a reader that has gone away is no reason to end.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap_or_default();
}

/// Ends when the process is asked to: SIGTERM, or Ctrl-C in a terminal.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn listen_for(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}
