//! Tests of the simulator itself, and a short simulation.

use crate::faults::Profile;
use crate::plan::{Plan, Wish};
use crate::run::run;
use crate::scenario;
use crate::trace::Trace;

#[test]
fn seeds_hold() {
    for seed in 1..=100 {
        let report = run(Plan::draw(seed, Wish::default()), Trace::silent());
        if let Some(failure) = report.failure {
            panic!("seed {seed} failed {failure}");
        }
    }
}

/// A member is out and in again between two decisions, and group time has followed those who stayed.
#[test]
fn the_smallest_majority_is_also_seen_where_nothing_is_decided() {
    let wish = Wish { profile: Some(Profile::Members), ..Wish::default() };
    let report = run(Plan::draw(92_002_696, wish), Trace::silent());
    assert_eq!(report.failure.map(|failure| failure.to_string()), None);
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    for seed in [3, 30, 300] {
        let plan = Plan::draw(seed, Wish::default());
        let (one, other) = (run(plan.clone(), Trace::silent()), run(plan, Trace::silent()));
        assert!(one.trace.lines() > 0, "seed {seed} leaves no trace");
        assert_eq!(one.trace.hash(), other.trace.hash(), "two runs of seed {seed} differ");
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let trace = |seed| run(Plan::draw(seed, Wish::default()), Trace::silent()).trace.hash();
    assert_ne!(trace(5), trace(6));
}

#[test]
fn scenarios_hold() {
    for scenario in scenario::all() {
        let report = scenario.run(Trace::silent());
        if let Some(failure) = report.failure {
            panic!("scenario {} failed {failure}", scenario.name);
        }
    }
}
