//! A check on the primary, with replication to two live replicas, beside governor's keyed check.
//!
//! ```text
//!   this process: loops ─▶ a (primary) ──TCP──▶ child: b (replica)
//!                                      ──TCP──▶ child: c (replica)
//! ```
//!
//! Criterion measures each contender by itself; before that, all take turns, for a ratio of one
//! moment. Times are of one operation of one thread.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use governor::{DefaultKeyedRateLimiter, Quota};
use quorate::internal::store::Store;
use quorate::{Acknowledge, Ballot, Generation, GroupTime, Model, Term, Time};
use quorate_benches::group::{self, Group, RATE};
use quorate_benches::keys::{KEY_BYTES, Numbers, key};

use quorate_benches::report::{Table, median, ratio};
use quorate_benches::{child, facts, stopwatch};
use quorate_ratelimit::{Limits, Operation, RateLimitModel, RateLimiter};
use tokio::runtime::{Builder, Handle};

/// Keys that are there before anything is measured.
const KEYS: u64 = 1_000_000;
/// What is checked: one key, or all of them, each as likely.
const SPREADS: [(&str, u64); 2] = [("hot key", 1), ("1 M keys", KEYS)];
/// Threads that check at the same time.
const THREADS: [usize; 2] = [1, 2];
/// Rounds in which every contender has one turn.
const ROUNDS: usize = 21;
/// How long a turn lasts, about.
const TURN: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    if let Some((_, arguments)) = child::role() {
        return Ok(group::serve(&arguments)?);
    }
    println!("A check on the primary. {}", facts::machine());
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let group = Group::spawn(group::MEMBERS[0])?;
    let limiter = runtime.block_on(group.join(group::MEMBERS[0]))?;
    let contenders =
        [Contender::quorate(&limiter, runtime.handle()), Contender::store(), Contender::governor()];
    contenders.iter().for_each(Contender::fill);
    contenders.iter().for_each(Contender::settle);

    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    // Anything on the command line asks criterion for something in particular.
    if env::args().skip(1).all(|argument| argument == "--bench") {
        println!("\n{}\n{}", in_turns(&contenders), facts::machine());
    }
    for (spread, keys) in SPREADS {
        for threads in THREADS {
            let cell = format!("check, {spread}, {threads} thread(s)");
            let mut cell = criterion.benchmark_group(cell);
            for contender in &contenders {
                cell.bench_function(BenchmarkId::from_parameter(contender.name()), |bencher| {
                    bencher.iter_custom(|count| contender.time(keys, threads, count));
                });
                contender.settle();
            }
            cell.finish();
        }
    }
    criterion.final_summary();
    Ok(())
}

/// Nanoseconds and ratios of all contenders, taking turns.
fn in_turns(contenders: &[Contender]) -> Table {
    let head = ["ns per check and thread", "acquire", "bare store", "governor"];
    let mut table = Table::new(&[&head[..], &["acquire / governor", "store / governor"]].concat());
    for (spread, keys) in SPREADS {
        for threads in THREADS {
            let mut times = vec![Vec::new(); contenders.len()];
            for _ in 0..ROUNDS {
                for (contender, times) in contenders.iter().zip(&mut times) {
                    times.push(contender.turn(keys, threads));
                    contender.settle();
                }
            }
            let cells = times.iter().map(|times| format!("{:.1}", median(times.clone())));
            let ratios = times[..2].iter().map(|ours| ratio(ours, &times[2]).to_string());
            let name = format!("{spread}, {threads} thread(s)");
            table.row([name].into_iter().chain(cells).chain(ratios));
        }
    }
    table
}

/// Who checks.
enum Contender {
    /// The public face, on the primary.
    Quorate { limiter: RateLimiter, runtime: Handle },
    /// The data path under it, without replication, clock or handle.
    Store { store: Arc<Store>, limits: Limits, model: RateLimitModel },
    /// The same rate, in one process.
    Governor(DefaultKeyedRateLimiter<[u8; KEY_BYTES]>),
}

impl Contender {
    fn quorate(limiter: &RateLimiter, runtime: &Handle) -> Self {
        Self::Quorate { limiter: limiter.clone(), runtime: runtime.clone() }
    }

    fn store() -> Self {
        let store = Store::new(quorate::Bounds::default());
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
        store.begin_reign(ballot, GroupTime(1));
        store.grant(Time(u64::MAX), 0);
        store.set_max_unreplicated(u64::MAX);
        let limits = group::limits();
        Self::Store { store: Arc::new(store), model: limits.model(), limits }
    }

    fn governor() -> Self {
        let burst = NonZeroU32::new(group::BURST).expect("the burst is not zero");
        Self::Governor(DefaultKeyedRateLimiter::keyed(
            Quota::per_second(NonZeroU32::MIN).allow_burst(burst),
        ))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Quorate { .. } => "acquire",
            Self::Store { .. } => "bare store",
            Self::Governor(_) => "governor",
        }
    }

    /// Checks every key once.
    fn fill(&self) {
        let mut number = 0;
        self.repeat(KEYS, || {
            number += 1;
            key(number - 1)
        });
    }

    /// One turn; nanoseconds per check.
    fn turn(&self, keys: u64, threads: usize) -> f64 {
        const SHORT: u64 = 10_000;
        let short = self.time(keys, threads, SHORT).as_secs_f64();
        let count = (SHORT as f64 * TURN.as_secs_f64() / short) as u64;
        self.time(keys, threads, count).as_secs_f64() * 1e9 / count as f64
    }

    /// Waits for what goes on after a turn, so that it does not go on during the next one's.
    fn settle(&self) {
        if let Self::Quorate { limiter, runtime } = self {
            runtime.block_on(group::settle(limiter));
        }
    }

    /// How long `threads` threads take for `count` checks each.
    fn time(&self, keys: u64, threads: usize, count: u64) -> Duration {
        let start = Barrier::new(threads);
        let one = |thread: usize| {
            let mut numbers = Numbers::below(keys, thread as u64);
            start.wait();
            let before = stopwatch::now();
            self.repeat(count, || numbers.next_key());
            before.elapsed()
        };
        thread::scope(|scope| {
            let one = &one;
            let others: Vec<_> =
                (1..threads).map(|thread| scope.spawn(move || one(thread))).collect();
            let own = one(0);
            let others = others.into_iter().map(|other| other.join().expect("checks do not panic"));
            others.fold(own, Duration::max)
        })
    }

    fn repeat(&self, count: u64, mut next_key: impl FnMut() -> [u8; KEY_BYTES]) {
        match self {
            Self::Quorate { limiter, runtime } => runtime.block_on(async {
                for _ in 0..count {
                    let decision = limiter.acquire(RATE, next_key(), 1).await;
                    assert!(decision.is_ok_and(|decision| decision.allowed), "all are admitted");
                }
            }),
            Self::Store { store, limits, model } => {
                let model: &dyn Model = model;
                for _ in 0..count {
                    let key = limits.key(RATE, next_key()).expect("the key is short");
                    let items = [Operation::Acquire.item(key.as_ref(), 1)];
                    let decided =
                        store.decide(Time(1), black_box(&items), model, Acknowledge::Primary);
                    assert!(decided.is_ok_and(|decided| decided.answer.units == 1), "admitted");
                }
            }
            Self::Governor(limiter) => {
                for _ in 0..count {
                    let key = next_key();
                    assert!(limiter.check_key(black_box(&key)).is_ok(), "all are admitted");
                }
            }
        }
    }
}
