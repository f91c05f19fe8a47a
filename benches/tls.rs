//! A forwarded check over TLS, beside the same over plain TCP, in one run.
//!
//! ```text
//!   this process: callers ─▶ c (replica) ──TCP or TLS──▶ child: a (primary) ──▶ child: b (replica)
//! ```
//!
//! One group for each kind of connection; they take turns in every round, so that the ratios of a
//! round are of one moment. With the feature `aws-lc-rs` of this package that provider runs as
//! well.

use std::error::Error;
use std::time::Duration;

use quorate_benches::caller::{Round, Server, all, round, row};
use quorate_benches::child;
use quorate_benches::facts;
use quorate_benches::group::{self, Group, Over};
use quorate_benches::report::{Table, is_wanted, ratio, verdict};
use quorate_tls::Provider;
use tokio::runtime::{Builder, Runtime};

/// Callers at the same time.
const CALLERS: [usize; 2] = [1, 256];
/// Rounds in which every contender has one turn; one more warms up.
const ROUNDS: usize = 12;
/// How long a turn lasts.
const TURN: Duration = Duration::from_millis(400);
/// What the aims allow TLS to cost.
const MAX_P50: f64 = 1.15;
const MIN_PER_SECOND: f64 = 0.85;

fn main() -> Result<(), Box<dyn Error>> {
    match child::role() {
        Some((_, arguments)) => Ok(group::serve(&arguments)?),
        None => compare(),
    }
}

/// A group with its own kind of connections, and who calls it.
struct Contender {
    over: Over,
    server: Server,
    _group: Group,
}

impl Contender {
    fn start(runtime: &Runtime, over: Over) -> Result<Self, Box<dyn Error>> {
        let own = group::MEMBERS[2];
        let group = Group::spawn_over(own, over)?;
        let server = Server::Quorate(runtime.block_on(group.join(own))?);
        Ok(Self { over, server, _group: group })
    }

    fn name(&self) -> String {
        match self.over {
            Over::Plain => "plain TCP".to_owned(),
            Over::Tls(provider) => format!("TLS, {provider:?}"),
        }
    }
}

fn compare() -> Result<(), Box<dyn Error>> {
    println!("A forwarded check over TLS. {}", facts::machine());
    let mut aims = Vec::new();
    let one = Builder::new_current_thread().enable_all().build()?;
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (threads, runtime) in [("one thread", one), ("two threads", two)] {
        let tls = Provider::all().into_iter().map(Over::Tls);
        let contenders: Result<Vec<_>, _> = [Over::Plain]
            .into_iter()
            .chain(tls)
            .map(|over| Contender::start(&runtime, over))
            .collect();
        let contenders = contenders?;
        for callers in CALLERS {
            let cell = format!("{threads}, {callers} caller(s)");
            if !is_wanted(&cell) {
                continue;
            }
            let rounds = measure(&runtime, &contenders, callers);
            println!("\n{cell}:\n\n{}", table(&contenders, &rounds));
            aims.extend(judge(&cell, callers, &contenders, &rounds));
        }
    }
    println!("\n{}", facts::machine());
    aims.iter().for_each(|aim| println!("{aim}"));
    Ok(())
}

/// The rounds of each contender, after one that is not counted. Who begins changes every round.
fn measure(runtime: &Runtime, contenders: &[Contender], callers: usize) -> Vec<Vec<Round>> {
    let mut rounds = vec![Vec::new(); contenders.len()];
    for turn in 0..=ROUNDS {
        for place in 0..contenders.len() {
            let index = (place + turn) % contenders.len();
            let round = runtime.block_on(round(&contenders[index].server, callers, TURN));
            if turn > 0 {
                rounds[index].push(round);
            }
        }
    }
    rounds
}

fn table(contenders: &[Contender], rounds: &[Vec<Round>]) -> Table {
    let mut table =
        Table::new(&["", "ops/s", "p50 µs", "p99 µs", "TLS / plain: ops/s", "p50", "p99"]);
    let plain = &rounds[0];
    for (contender, own) in contenders.iter().zip(rounds) {
        let ratio = |what: fn(&Round) -> f64| match contender.over {
            Over::Plain => String::new(),
            Over::Tls(_) => ratio(&all(own, what), &all(plain, what)).to_string(),
        };
        table.row(row(&contender.name(), own, ratio));
    }
    table
}

/// The aims: the median of a lone caller, and what many get done.
fn judge(
    cell: &str,
    callers: usize,
    contenders: &[Contender],
    rounds: &[Vec<Round>],
) -> Vec<String> {
    let mut aims = Vec::new();
    for (contender, own) in contenders.iter().zip(rounds).skip(1) {
        let of = |what: fn(&Round) -> f64| ratio(&all(own, what), &all(&rounds[0], what)).median;
        let name = contender.name();
        aims.push(if callers == 1 {
            let p50 = of(|round| round.p50);
            format!("{cell}: {name}: p50 at most {MAX_P50} x: {}", verdict(p50, p50 <= MAX_P50))
        } else {
            let per_second = of(|round| round.per_second);
            let verdict = verdict(per_second, per_second >= MIN_PER_SECOND);
            format!("{cell}: {name}: ops/s at least {MIN_PER_SECOND} x: {verdict}")
        });
    }
    aims
}
