//! Limits that are asked for here and that the group has not: told once, counted, and shown until
//! they are there.
//!
//! ```text
//!   there ── a policy without it, or an answer that there is none ──▶ missing: a warning, once
//!     ▲                                                                  │
//!     └────────── a policy with it, or a decision under it ──────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::limit::bounds::MAX_LIMITS;
use crate::model::current::Live;
use crate::model::limits::is_name;
use crate::model::table::Table;

/// Names that neither the code nor the group has, and that are remembered: whoever makes names of
/// requests may make any number of them.
const MAX_STRANGERS: usize = 64;
/// All names that are remembered.
const MAX_NAMES: usize = 2 * MAX_LIMITS;

/// The limits that something here uses, and which of them are missing.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Whether any is: to know that costs a decision one load.
    has_any: AtomicBool,
    names: Mutex<BTreeMap<Box<str>, Use>>,
}

/// How a limit is used here.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Whether something said that it will be asked for, such as a rule of a layer.
    is_expected: bool,
    is_missing: bool,
    /// Whether nobody knew it when it was first asked for.
    is_stranger: bool,
}

impl Missing {
    /// Takes up what becomes of the names, and whether any is missing then.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Box<str>, Use>)) {
        let mut names = self.names.lock();
        change(&mut names);
        self.has_any.store(names.values().any(|it| it.is_missing), Ordering::Release);
    }
}

impl Live {
    /// Whether a limit that is used here is missing.
    #[inline(always)]
    pub(crate) fn has_missing(&self) -> bool {
        self.missing.has_any.load(Ordering::Acquire)
    }

    /// The names of those that are.
    pub(crate) fn missing_names(&self) -> Vec<String> {
        let names = self.missing.names.lock();
        names.iter().filter(|(_, it)| it.is_missing).map(|(name, _)| name.to_string()).collect()
    }

    /// Whether something here said that it will ask for a limit.
    pub(crate) fn is_expected(&self, name: &str) -> bool {
        self.missing.names.lock().get(name).is_some_and(|it| it.is_expected)
    }

    /// Something here is going to ask for this limit.
    pub(crate) fn expect(&self, name: &str) {
        let present = self.present();
        // Before the first change, and at a client, who decides is known to have others: it says
        // so.
        let is_missing = present.revision > 0 && present.find_name(name).is_none();
        self.note(name, is_missing.then_some(present.revision), true);
    }

    /// The peer that decides has no such limit, by this revision of the policy.
    pub(crate) fn missed(&self, name: &str, revision: u64) {
        self.note(name, Some(revision), false);
    }

    fn note(&self, name: &str, missing_at: Option<u64>, is_expected: bool) {
        let is_known = self.knows(name);
        let mut is_new = false;
        self.missing.change(|names| {
            if !names.contains_key(name) {
                let strangers = names.values().filter(|it| it.is_stranger).count();
                let has_room = is_known || (is_expected && strangers < MAX_STRANGERS);
                if !has_room || names.len() >= MAX_NAMES || !is_name(name) {
                    return;
                }
            }
            let used = names.entry(name.into()).or_default();
            used.is_expected |= is_expected;
            used.is_stranger = !is_known;
            is_new = missing_at.is_some() && !used.is_missing;
            used.is_missing |= missing_at.is_some();
        });
        if let Some(revision) = missing_at.filter(|_| is_new) {
            self.warn(name, revision);
        }
    }

    /// A decision was made under this limit: it is there.
    #[cold]
    pub(crate) fn found(&self, name: &str) {
        let mut is_back = false;
        self.missing.change(|names| {
            if let Some(used) = names.get_mut(name) {
                is_back = std::mem::take(&mut used.is_missing);
                if !used.is_expected {
                    names.remove(name);
                }
            }
        });
        if is_back {
            tell_found(name, self.present().revision);
        }
    }

    /// The limits are these from now on: what is used here, and not among them, is missing.
    pub(crate) fn look_for_missing(&self, table: &Table) {
        let (mut gone, mut back) = (Vec::new(), Vec::new());
        self.missing.change(|names| {
            names.retain(|name, used| {
                let is_missing = table.find_name(name).is_none();
                match (used.is_missing, is_missing) {
                    (false, true) => gone.push(name.clone()),
                    (true, false) => back.push(name.clone()),
                    _ => {}
                }
                used.is_missing = is_missing;
                used.is_expected || is_missing
            });
        });
        gone.iter().for_each(|name| self.warn(name, table.revision));
        back.iter().for_each(|name| tell_found(name, table.revision));
    }

    /// Whether this peer has a limit of that name, in its code or of the group.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.code().find_name(name).is_some() || self.present().find_name(name).is_some()
    }

    fn warn(&self, limit: &str, revision: u64) {
        let is_in_code = self.code().find_name(limit).is_some();
        match (is_in_code, revision) {
            (true, 0) => tracing::warn!(
                limit,
                revision,
                "the primary's code has no limit {limit}: nothing is limited by it until the \
                 primary runs this peer's code, or the group's limits are changed to some with it"
            ),
            (true, _) => tracing::warn!(
                limit,
                revision,
                "the group's limits have no limit {limit}, which this peer's code has: nothing is \
                 limited by it until they are changed to some with it (change_limits)"
            ),
            (false, _) => tracing::warn!(
                limit,
                revision,
                "limit {limit} is used here, and neither this peer's code nor the group's limits \
                 have it: nothing is limited by it until they do"
            ),
        }
    }
}

fn tell_found(limit: &str, revision: u64) {
    tracing::info!(limit, revision, "limit {limit} is there again, and is applied");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limit::Limit;
    use crate::model::limits::Limits;

    fn table(names: &[&str]) -> Arc<Table> {
        let add =
            |builder: crate::LimitsBuilder, name: &&str| builder.limit(*name, Limit::per_day(1));
        names.iter().fold(Limits::builder(), add).build().expect("usable").table
    }

    fn at(revision: u64, names: &[&str]) -> Arc<Table> {
        let entries = names.iter().map(|name| {
            crate::model::named_limit::Entry::new((*name).to_owned(), Limit::per_day(1))
        });
        Arc::new(Table::new(entries.collect(), revision))
    }

    #[test]
    fn what_is_used_is_missing_from_when_it_is_gone_until_it_is_there() {
        let live = Live::new(table(&["api", "new"]));
        live.expect("new");
        assert!(!live.has_missing(), "before the first change nobody knows");
        live.set(at(1, &["api"]));
        assert_eq!(live.missing_names(), ["new"]);
        // What nobody uses is not missed.
        live.set(at(2, &["new"]));
        assert_eq!((live.missing_names(), live.has_missing()), (vec![], false));
        live.missed("api", 2);
        assert_eq!(live.missing_names(), ["api"]);
        live.found("api");
        live.set(at(3, &[]));
        assert_eq!(live.missing_names(), ["new"], "api was only asked for");
    }

    #[test]
    fn what_callers_make_up_is_bounded() {
        let live = Live::new(table(&["api"]));
        for number in 0..1000 {
            live.missed(&format!("asked for {number}"), 0);
            let name = format!("made up {number}");
            live.expect(&name);
            live.missed(&name, 0);
        }
        live.expect("with a\nnew line");
        live.missed("with a\nnew line", 0);
        assert_eq!(live.missing_names().len(), MAX_STRANGERS);
        live.missed("api", 0);
        assert_eq!(live.missing_names().len(), MAX_STRANGERS + 1);
    }
}
