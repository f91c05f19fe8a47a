//! Known bugs, put back one after the other: a checker must catch each of them.
//!
//! Every directed scenario is run with the bug in it, and then random seeds until one fails.
//! Without the bug both hold, so it is the bug that is caught.

use quorate::bug::{self, Bug};

use crate::check::Failure;
use crate::plan::{Plan, Wish};
use crate::run::run;
use crate::scenario;
use crate::trace::Trace;

/// Random seeds tried for a bug that no scenario catches.
const SEEDS: u64 = 400;
/// And for one that is caught: chance alone should do, mostly.
const FEW_SEEDS: u64 = 40;

/// Puts every bug back in turn; whether each was caught.
pub(crate) fn all(wish: Wish) -> bool {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        bug::set(Some(bug));
        let directed = by_scenario();
        let random = by_seed(wish, if directed.is_some() { FEW_SEEDS } else { SEEDS });
        bug::set(None);
        if directed.is_none() && random.is_none() {
            missed.push(bug);
        }
        println!("{bug:?}");
        print("scenario", directed);
        print("seed", random);
    }
    println!("{} bugs put back, {} not caught", Bug::ALL.len(), missed.len());
    if !missed.is_empty() {
        println!("not caught: {missed:?}");
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

fn by_seed(wish: Wish, count: u64) -> Option<(String, Failure)> {
    (1..=count).find_map(|seed| {
        let failure = run(Plan::draw(seed, wish), Trace::silent()).failure?;
        Some((seed.to_string(), failure))
    })
}
