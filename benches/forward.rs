//! A check at a peer that is not the primary: over a socket to another process and back.
//!
//! ```text
//!   this process: callers ─▶ c (replica) ──TCP──▶ child: a (primary) ──TCP──▶ child: b (replica)
//!                 callers ────────────────TCP──▶ child: echo
//!                 callers ─▶ redis crate ──TCP──▶ child: redis-server, if it is installed
//! ```
//!
//! All take turns in every round, so that the ratios of a round are of one moment.

use std::env;
use std::error::Error;
use std::time::Duration;

use quorate_benches::caller::{Round, Server, all, round, row};
use quorate_benches::child::{self, Child};
use quorate_benches::group::{self, Group};
use quorate_benches::report::{Table, is_wanted, ratio, verdict};
use quorate_benches::{echo, facts, redis_window};
use tokio::runtime::{Builder, Runtime};

/// Callers at the same time.
const CALLERS: [usize; 2] = [1, 256];
/// Rounds in which every contender has one turn; one more warms up.
const ROUNDS: usize = 8;
/// How long a turn lasts.
const TURN: Duration = Duration::from_millis(350);
/// Leaves the others out, for a profile.
const OURS_ALONE: &str = "--ours-alone";

fn main() -> Result<(), Box<dyn Error>> {
    match child::role() {
        Some((role, arguments)) => match role.as_str() {
            "peer" => Ok(group::serve(&arguments)?),
            "echo" => Ok(echo::serve()?),
            "redis" => Ok(redis_window::serve()?),
            role => Err(format!("there is no role {role}").into()),
        },
        None => compare(),
    }
}

fn compare() -> Result<(), Box<dyn Error>> {
    println!("A forwarded check. {}", facts::machine());
    let echo = Child::spawn("echo", &[])?;
    let redis = redis_window::is_installed().then(|| Child::spawn("redis", &[])).transpose()?;
    if redis.is_none() {
        println!("redis-server is not installed: nothing is compared with it.");
    }
    let mut aims = Vec::new();
    let one = Builder::new_current_thread().enable_all().build()?;
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (threads, runtime) in [("one thread", one), ("two threads", two)] {
        let cells = CALLERS.map(|callers| (callers, format!("{threads}, {callers} caller(s)")));
        if !cells.iter().any(|(_, cell)| is_wanted(cell)) {
            continue;
        }
        let Contenders { servers, _group } = contenders(&runtime, &echo, redis.as_ref())?;
        for (callers, cell) in cells.iter().filter(|(_, cell)| is_wanted(cell)) {
            let rounds = measure(&runtime, &servers, *callers);
            println!("\n{cell}:\n\n{}", table(&servers, &rounds));
            let judged = judge(threads, *callers, &servers, &rounds);
            aims.extend(judged.iter().map(|aim| format!("{cell}: {aim}")));
        }
    }
    println!("\n{}", facts::machine());
    aims.iter().for_each(|aim| println!("{aim}"));
    Ok(())
}

struct Contenders {
    /// Ours is the first.
    servers: Vec<Server>,
    /// Ends with it.
    _group: Group,
}

fn contenders(
    runtime: &Runtime,
    echo: &Child,
    redis: Option<&Child>,
) -> Result<Contenders, Box<dyn Error>> {
    let own = group::MEMBERS[2];
    let group = Group::spawn(own)?;
    let mut servers = vec![
        Server::Quorate(runtime.block_on(group.join(own))?),
        Server::Echo(echo.said().parse()?),
    ];
    if let Some(redis) = redis {
        servers.push(runtime.block_on(Server::redis(redis.said()))?);
    }
    if env::args().any(|argument| argument == OURS_ALONE) {
        servers.truncate(1);
    }
    Ok(Contenders { servers, _group: group })
}

/// The rounds of each server, after one that is not counted.
fn measure(runtime: &Runtime, servers: &[Server], callers: usize) -> Vec<Vec<Round>> {
    let mut rounds = vec![Vec::new(); servers.len()];
    for turn in 0..=ROUNDS {
        for (server, rounds) in servers.iter().zip(&mut rounds) {
            let round = runtime.block_on(round(server, callers, TURN));
            if turn > 0 {
                rounds.push(round);
            }
        }
    }
    rounds
}

fn table(servers: &[Server], rounds: &[Vec<Round>]) -> Table {
    let head = ["", "ops/s", "p50 µs", "p99 µs", "ours / theirs: ops/s", "p50", "p99"];
    let mut table = Table::new(&head);
    let ours = &rounds[0];
    for (server, theirs) in servers.iter().zip(rounds) {
        let ratio = |what: fn(&Round) -> f64| match server {
            Server::Quorate(_) => String::new(),
            _ => ratio(&all(ours, what), &all(theirs, what)).to_string(),
        };
        table.row(row(server.name(), theirs, ratio));
    }
    table
}

/// The aims that these rounds say something about.
fn judge(threads: &str, callers: usize, servers: &[Server], rounds: &[Vec<Round>]) -> Vec<String> {
    let mut aims = Vec::new();
    for (server, theirs) in servers.iter().zip(rounds) {
        let of = |what: fn(&Round) -> f64| ratio(&all(&rounds[0], what), &all(theirs, what)).median;
        let name = server.name();
        let mut aim = |what: &str, value: f64, is_met: bool| {
            aims.push(format!("{what} {name}: {}", verdict(value, is_met)));
        };
        match (server, callers) {
            (Server::Echo(_), 1) => {
                let p50 = of(|round| round.p50);
                aim("p50 at most 1.5 x", p50, p50 <= 1.5);
            }
            (Server::Redis(_), 1) => {
                let p50 = of(|round| round.p50);
                aim("p50 below", p50, p50 < 1.0);
            }
            (Server::Redis(_), _) => {
                let least = if threads == "one thread" { 4.0 } else { 1.3 };
                let per_second = of(|round| round.per_second);
                aim(&format!("ops/s at least {least} x"), per_second, per_second >= least);
            }
            (Server::Echo(_) | Server::Quorate(_), _) => {}
        }
    }
    aims
}
