//! Counts of what happened: a profile in which nothing ever fails over proves nothing.

use std::collections::BTreeMap;
use std::fmt;

/// Things worth counting, by name; all start at zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<&'static str, u64>);

/// Things that every longer run should have seen; printed even if zero.
const EXPECTED: [&str; 45] = [
    "acknowledged",
    "calls of clients",
    "campaigns",
    "changes lost",
    "client faults",
    "clients alone",
    "clock steps",
    "crashes",
    "deadlines",
    "decided locally",
    "decisions",
    "denied",
    "elections",
    "failovers",
    "forks repaired",
    "foundings",
    "full copies",
    "hand-overs",
    "held calls",
    "kills",
    "lasting cuts",
    "lasting stars",
    "link refusals",
    "links",
    "members gone for good",
    "members replaced",
    "merges",
    "messages",
    "new generations",
    "one-sided closes",
    "one-way cuts",
    "partitions",
    "pauses",
    "quorum lost",
    "refused",
    "restarts",
    "second looks failed",
    "sleeps",
    "slow links",
    "standstills",
    "starved loops",
    "steps aside",
    "thin links",
    "waits behind data",
    "unknown",
];

impl Counters {
    pub(crate) fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    pub(crate) fn add_many(&mut self, name: &'static str, count: u64) {
        let sum = self.0.entry(name).or_default();
        *sum = sum.saturating_add(count);
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add_many(name, *count);
        }
    }

    /// Names of what was expected and never happened.
    pub(crate) fn never(&self) -> Vec<&'static str> {
        EXPECTED.into_iter().filter(|name| self.get(name) == 0).collect()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.0.clone();
        for name in EXPECTED {
            all.entry(name).or_default();
        }
        for (index, (name, count)) in all.iter().enumerate() {
            let end = if index % 3 == 2 { "\n" } else { "" };
            write!(f, "  {name:<22} {count:>12}{end}")?;
        }
        Ok(())
    }
}
