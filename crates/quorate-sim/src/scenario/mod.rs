//! Directed schedules: exact faults at exact moments, for what chance alone seldom meets.
//!
//! A scenario has a plan without chance in it and a script; after the script everything is healed
//! and the group must come to rest, as in any other run.

mod anew;
mod clients;
mod copies;
mod cuts;
mod disks;
mod elections;
mod founding;
mod hand_overs;
mod lasting;
mod liars;
mod links;
mod losses;
mod membership;
mod restarts;
mod script;
mod sites;
mod time;
mod upkeep;

use crate::observe::report::Report;
use crate::observe::trace::Trace;
use crate::plan::Plan;
use crate::run::begin;
use crate::world::World;

/// A directed schedule.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    plan: fn() -> Plan,
    script: fn(&mut World),
}

impl Scenario {
    /// Runs it to its end, rest included.
    pub(crate) fn run(&self, trace: Trace) -> Report {
        let mut world = begin((self.plan)(), trace);
        (self.script)(&mut world);
        world.end()
    }
}

/// Every scenario.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    let themes = [
        anew::ALL,
        clients::ALL,
        copies::ALL,
        cuts::ALL,
        disks::ALL,
        elections::ALL,
        founding::ALL,
        hand_overs::ALL,
        lasting::ALL,
        liars::ALL,
        links::ALL,
        losses::ALL,
        membership::ALL,
        restarts::ALL,
        sites::ALL,
        time::ALL,
        upkeep::ALL,
    ];
    themes.into_iter().flatten()
}
