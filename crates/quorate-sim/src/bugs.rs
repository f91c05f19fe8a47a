//! Known bugs, put back one after the other: a checker must catch each of them.
//!
//! Every directed scenario is run with the bug in it, and then some random seeds. Without a bug
//! the scenarios hold, so it is the bug that is caught.

use std::ops::ControlFlow;

use quorate::internal::bug::{self, Bug};

use crate::observe::trace::Trace;
use crate::plan::{Plan, Wish};
use crate::run::run;
use crate::scenario;
use crate::words::seen::Failure;
use crate::workers;

/// Random seeds tried for each bug. They are for comparison: what chance misses, a scenario
/// catches.
const SEEDS: u64 = 40;

/// Puts every bug back in turn; whether a scenario caught each.
pub(crate) fn all(wish: Wish) -> bool {
    bug::set(None);
    if let Some((name, failure)) = by_scenario() {
        println!("{name} FAILED without any bug: {failure}");
        return false;
    }
    let mut missed = Vec::new();
    let mut by_chance = 0;
    let hunt = |bug| {
        bug::set(Some(bug));
        (bug, by_scenario(), by_seed(wish))
    };
    workers::each(Bug::ALL.into_iter(), hunt, |(bug, directed, random)| {
        if directed.is_none() {
            missed.push(bug);
        }
        by_chance += usize::from(random.is_some());
        println!("{bug:?}");
        print("scenario", directed);
        print("seed", random);
        ControlFlow::Continue(())
    });
    let count = Bug::ALL.len();
    let caught = Bug::ALL.len() - missed.len();
    println!("{count} bugs put back: {caught} caught by a scenario, {by_chance} by {SEEDS} seeds");
    if !missed.is_empty() {
        println!("not caught by a scenario: {missed:?}");
    }
    missed.is_empty()
}

fn print(by: &str, caught: Option<(String, Failure)>) {
    match caught {
        Some((what, failure)) => println!("  {by} {what}: {failure}"),
        None => println!("  {by}: none"),
    }
}

fn by_scenario() -> Option<(String, Failure)> {
    scenario::all().find_map(|scenario| {
        let failure = scenario.run(Trace::silent()).failure?;
        // That a script cannot be played is no checker's word.
        (failure.checker != "scenario").then(|| (scenario.name.to_owned(), failure))
    })
}

fn by_seed(wish: Wish) -> Option<(String, Failure)> {
    (1..=SEEDS).find_map(|seed| {
        let failure = run(Plan::draw(seed, wish), Trace::silent()).failure?;
        Some((seed.to_string(), failure))
    })
}
