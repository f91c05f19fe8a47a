//! The simulator: virtual time, one seed one run of one thread.
//!
//! It drives the real state machine and the real store of 3 to 7 peers through faults, checks what
//! must hold at every step, and heals everything in the end: the group must then be whole again.

mod base;
#[cfg(feature = "bugs")]
mod bugs;
mod check;
mod host;
mod model;
mod network;
mod observe;
mod options;
mod plan;
mod run;
mod scenario;
mod words;
mod workers;
mod world;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::observe::counters::Counters;
use crate::observe::report::Report;
use crate::observe::trace::Trace;
use crate::options::{Options, Task};
use crate::plan::Plan;
use crate::run::run;

/// Every so many seeds one is run twice: both traces must be the same.
const TWICE_EVERY: u64 = 100;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let is_good = match options.task {
        Task::Replay { seed } => replay(&options, seed),
        Task::Seeds { from, count } => seeds(&options, from, count),
        Task::Scenario { ref name } => scenario(&options, name),
        #[cfg(feature = "bugs")]
        Task::Bugs => bugs::all(options.wish),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One seed, with all that happens if asked for.
fn replay(options: &Options, seed: u64) -> bool {
    let plan = Plan::draw(seed, options.wish);
    println!("{plan:#?}");
    let trace = if options.is_traced { Trace::printed() } else { Trace::silent() };
    let report = run(plan, trace);
    print!("{}", report.counters);
    println!();
    print_digest(seed, &report.trace);
    match &report.failure {
        None => println!("seed {seed} held"),
        Some(failure) => println!("seed {seed} FAILED {failure}"),
    }
    report.failure.is_none()
}

fn print_digest(seed: u64, trace: &Trace) {
    println!("seed {seed}: trace {:016x}, {} lines", trace.hash(), trace.lines());
}

/// One directed scenario, or all of them.
fn scenario(options: &Options, name: &str) -> bool {
    let mut is_good = true;
    let mut count = 0;
    for scenario in scenario::all().filter(|s| name == "all" || s.name == name) {
        let trace = if options.is_traced { Trace::printed() } else { Trace::silent() };
        count += 1;
        match scenario.run(trace).failure {
            None => println!("{} held", scenario.name),
            Some(failure) => {
                is_good = false;
                println!("{} FAILED {failure}", scenario.name);
            }
        }
    }
    println!("{count} scenarios");
    is_good && count > 0
}

/// Many seeds, and what they were made of.
fn seeds(options: &Options, from: u64, count: u64) -> bool {
    let started = started();
    let mut total = Total::default();
    let play = |seed: u64| {
        let plan = Plan::draw(seed, options.wish);
        let report = run(plan.clone(), Trace::silent());
        let is_same = !seed.is_multiple_of(TWICE_EVERY)
            || run(plan, Trace::silent()).trace.hash() == report.trace.hash();
        (seed, report, is_same)
    };
    workers::each(from..from.saturating_add(count), play, |(seed, report, is_same)| {
        if !is_same {
            println!("seed {seed} FAILED determinism: two runs differ");
            total.failed += 1;
        }
        if options.has_digests {
            print_digest(seed, &report.trace);
        }
        total.add(seed, &report);
        if let Some(failure) = &report.failure {
            println!("seed {seed} FAILED {failure}");
            println!("  replay: {}", options.replay(seed));
            if total.failed >= options.max_failures {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    total.print(started.elapsed());
    total.failed == 0
}

#[expect(clippy::disallowed_methods, reason = "only the speed that is printed depends on it")]
fn started() -> Instant {
    Instant::now()
}

/// The sum of many runs.
#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    failed: u64,
    simulated: Duration,
    /// The longest recovery, in failure timeouts times 100, and its seed.
    slowest: (u64, u64),
    counters: Counters,
}

impl Total {
    fn add(&mut self, seed: u64, report: &Report) {
        self.seeds += 1;
        self.failed += u64::from(report.failure.is_some());
        self.simulated += report.simulated;
        self.slowest = self.slowest.max((report.recovery, seed));
        self.counters.absorb(&report.counters);
    }

    fn print(&self, elapsed: Duration) {
        let Self { seeds, failed, simulated, slowest, counters } = self;
        println!("sometimes:\n{counters}");
        let never = counters.never();
        if !never.is_empty() {
            println!("never: {}", never.join(", "));
        }
        let per_second = *seeds as f64 / elapsed.as_secs_f64();
        let hours = simulated.as_secs_f64() / 3600.0;
        println!(
            "{seeds} seeds, {failed} failed; {hours:.1} h simulated in {:.1} s ({per_second:.0} \
             seeds/s); {} elections, {} faults; whole again after {:.2} failure timeouts at most \
             (seed {})",
            elapsed.as_secs_f64(),
            counters.get("elections"),
            counters.get("faults"),
            slowest.0 as f64 / 100.0,
            slowest.1,
        );
    }
}
