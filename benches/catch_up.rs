//! What callers of a replica notice while another one is brought up to date with a million cells.
//!
//! All of it happens in one process: three peers on an in-process network and their callers share
//! the cores, so that what the newcomer takes is missing elsewhere as well.

use std::error::Error;
use std::time::{Duration, Instant};

use quorate::transport::InProcess;
use quorate::{Acknowledge, Event, Peer};
use quorate_benches::group::{WINDOW, limits};
use quorate_benches::report::{Table, quantile};
use quorate_benches::{facts, stopwatch};
use quorate_ratelimit::RateLimiter;

const CELLS: u64 = 1_000_000;
/// Calls of one worker before the others are looked at.
const FILLED_AT_ONCE: u64 = 1_000;
/// How long is measured without the newcomer.
const TURN: Duration = Duration::from_secs(3);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("Catching up with {CELLS} cells. {}\n", facts::machine());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let network = InProcess::network();
    for acknowledge in [Acknowledge::Primary, Acknowledge::Majority] {
        println!("{}", runtime.block_on(measure(&network, acknowledge))?);
    }
    Ok(())
}

async fn start(
    network: &InProcess,
    name: &str,
    acknowledge: Acknowledge,
) -> Result<RateLimiter, Box<dyn Error>> {
    let limits = limits();
    let peer = Peer::builder(name, limits.model())
        .group(format!("{acknowledge:?}"))
        .members(NAMES.map(|name| (name, format!("{name} {acknowledge:?}"))))
        .priority(if name == "a" { 1 } else { 2 })
        .acknowledge(acknowledge)
        .transport(network.at(&format!("{name} {acknowledge:?}")))
        .start()
        .await?;
    Ok(RateLimiter::new(peer, &limits))
}

async fn measure(network: &InProcess, acknowledge: Acknowledge) -> Result<Table, Box<dyn Error>> {
    let a = start(network, "a", acknowledge).await?;
    let b = start(network, "b", acknowledge).await?;
    let c = start(network, "c", acknowledge).await?;
    for limiter in [&a, &b, &c] {
        limiter.peer().wait_ready(Duration::from_secs(20)).await?;
    }
    fill(&a).await?;
    c.peer().shutdown().await;
    drop(c);
    let mut table = Table::new(&["calls at a replica", "p50, us", "p99, us", "longest, ms"]);
    let before = calls(&b, |since| since.elapsed() >= TURN).await?;
    row(&mut table, "before", &before);
    let started = stopwatch::now();
    let c = start(network, "c", acknowledge).await?;
    let is_done = |event: &Event| matches!(event, Event::CaughtUp { cells: CELLS.., .. });
    let during = calls(&b, |_| c.peer().events_since(0).iter().any(|e| is_done(&e.event))).await?;
    let seconds = started.elapsed().as_secs_f64();
    row(&mut table, &format!("while another catches up, {seconds:.1} s"), &during);
    let after = calls(&b, |since| since.elapsed() >= TURN).await?;
    row(&mut table, "after", &after);
    println!("{acknowledge:?}:");
    Ok(table)
}

/// Has the group hold so many cells, all at the replicas too.
async fn fill(limiter: &RateLimiter) -> Result<(), Box<dyn Error>> {
    let mut tasks = tokio::task::JoinSet::new();
    for first in (0..CELLS).step_by(FILLED_AT_ONCE as usize) {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            for number in first..first + FILLED_AT_ONCE {
                let key = format!("user {number:08}");
                // The limit is out of reach: it is allowed.
                let _ = limiter.acquire(WINDOW, key.as_bytes(), 1).await?;
            }
            Ok::<_, quorate_ratelimit::AcquireError>(())
        });
        while tasks.len() > 64 {
            if let Some(ended) = tasks.join_next().await {
                ended??;
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    quorate_benches::group::settle(limiter).await;
    Ok(())
}

/// One caller, one call after the other, until it is over: what each took, in microseconds.
async fn calls(
    limiter: &RateLimiter,
    is_over: impl Fn(Instant) -> bool,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let (mut times, since, mut number) = (Vec::new(), stopwatch::now(), 0_u64);
    loop {
        let key = format!("user {:08}", number * 7919 % CELLS);
        number += 1;
        let before = stopwatch::now();
        let _ = limiter.acquire(WINDOW, key.as_bytes(), 1).await?;
        times.push(before.elapsed().as_secs_f64() * 1e6);
        if number.is_multiple_of(64) && is_over(since) {
            times.sort_by(f64::total_cmp);
            return Ok(times);
        }
    }
}

fn row(table: &mut Table, name: &str, times: &[f64]) {
    let [p50, p99] = [0.5, 0.99].map(|part| format!("{:.0}", quantile(times, part)));
    let longest = format!("{:.1}", quantile(times, 1.0) / 1e3);
    table.row([name.to_owned(), p50, p99, longest]);
}
