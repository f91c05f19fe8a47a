//! Limits that are asked for here and that the group has not: told once, counted, and shown until
//! they are there.
//!
//! ```text
//!   there ── a policy without it, or an answer that there is none ──▶ missing: a warning, once
//!     ▲                                                                  │
//!     └────────── a policy with it, or a decision under it ──────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::limit::bounds::MAX_LIMITS;
use crate::model::limits::is_name;
use crate::model::table::Table;

/// Names that neither the code nor the group has, and that are remembered: whoever makes names of
/// requests may make any number of them.
const MAX_STRANGERS: usize = 64;
/// All names that are remembered.
const MAX_NAMES: usize = 2 * MAX_LIMITS;

/// The limits that something here uses, and which of them are missing.
pub(crate) struct Missing {
    /// The limits of this peer's code.
    code: Arc<Table>,
    /// True if any is missing: to know that costs a decision one load.
    has_any: AtomicBool,
    names: Mutex<BTreeMap<Box<str>, Use>>,
}

/// The use of a limit here.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// True if something said that it will be asked for, such as a rule of a layer.
    is_expected: bool,
    is_missing: bool,
    /// True if nobody knew it when it was first asked for.
    is_stranger: bool,
}

impl Missing {
    pub(crate) fn new(code: Arc<Table>) -> Self {
        Self { code, has_any: AtomicBool::new(false), names: Mutex::default() }
    }

    /// Returns true if this peer has a limit of that name, in its code or of the group.
    pub(crate) fn knows(&self, name: &str, present: &Table) -> bool {
        self.code.find_name(name).is_some() || present.find_name(name).is_some()
    }

    /// Returns true if a limit that is used here is missing.
    #[inline(always)]
    pub(crate) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire)
    }

    /// Returns the names of limits that are used here and missing.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.names.lock();
        names.iter().filter(|(_, it)| it.is_missing).map(|(name, _)| name.to_string()).collect()
    }

    /// Returns true if something here said that it will ask for this limit.
    pub(crate) fn is_expected(&self, name: &str) -> bool {
        self.names.lock().get(name).is_some_and(|it| it.is_expected)
    }

    /// Notes that something here is going to ask for this limit.
    pub(crate) fn expect(&self, name: &str, present: &Table) {
        // Before the first change, and at a client, who decides is known to have others: it says
        // so.
        let is_missing = present.revision > 0 && present.find_name(name).is_none();
        self.note(name, is_missing.then_some(present.revision), true, present);
    }

    /// Notes that the peer that decides has no such limit, by this revision of the policy.
    pub(crate) fn note_missing(&self, name: &str, revision: u64, present: &Table) {
        self.note(name, Some(revision), false, present);
    }

    fn note(&self, name: &str, missing_at: Option<u64>, is_expected: bool, present: &Table) {
        let is_known = self.knows(name, present);
        let mut is_new = false;
        self.change(|names| {
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
            warn_missing(name, revision, &self.code);
        }
    }

    /// Notes that a decision was made under this limit: it is there.
    #[cold]
    pub(crate) fn note_found(&self, name: &str, present: &Table) {
        let mut is_back = false;
        self.change(|names| {
            if let Some(used) = names.get_mut(name) {
                is_back = std::mem::take(&mut used.is_missing);
                if !used.is_expected {
                    names.remove(name);
                }
            }
        });
        if is_back {
            tell_found(name, present.revision);
        }
    }

    /// Looks through what is used here when the limits become `present`: those that are not
    /// among them are missing.
    pub(crate) fn look_through(&self, present: &Table) {
        let mut gone = Vec::new();
        let mut back = Vec::new();
        self.change(|names| {
            names.retain(|name, used| {
                let is_missing = present.find_name(name).is_none();
                match (used.is_missing, is_missing) {
                    (false, true) => gone.push(name.clone()),
                    (true, false) => back.push(name.clone()),
                    _ => {}
                }
                used.is_missing = is_missing;
                used.is_expected || is_missing
            });
        });
        let revision = present.revision;
        gone.iter().for_each(|name| warn_missing(name, revision, &self.code));
        back.iter().for_each(|name| tell_found(name, revision));
    }

    /// Changes what is known of the names, and takes up whether any is missing then.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Box<str>, Use>)) {
        let mut names = self.names.lock();
        change(&mut names);
        self.has_any.store(names.values().any(|it| it.is_missing), Ordering::Release);
    }
}

fn warn_missing(limit: &str, revision: u64, code: &Table) {
    let is_in_code = code.find_name(limit).is_some();
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

fn tell_found(limit: &str, revision: u64) {
    tracing::info!(limit, revision, "limit {limit} is there again, and is applied");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limit;
    use crate::model::current::CurrentLimits;
    use crate::model::limits::Limits;

    fn table(names: &[&str]) -> Arc<Table> {
        let add =
            |builder: crate::LimitsBuilder, name: &&str| builder.limit(*name, Limit::per_day(1));
        names.iter().fold(Limits::builder(), add).build().expect("usable").table
    }

    fn at(revision: u64, names: &[&str]) -> Arc<Table> {
        let limits = names.iter().map(|name| {
            crate::model::named_limit::NamedLimit::new((*name).to_owned(), Limit::per_day(1))
        });
        Arc::new(Table::new(limits.collect(), revision))
    }

    #[test]
    fn what_is_used_is_missing_from_when_it_is_gone_until_it_is_there() {
        let live = CurrentLimits::new(table(&["api", "new"]));
        live.missing.expect("new", &live.load());
        assert!(!live.missing.has_any(), "before the first change nobody knows");
        live.set(at(1, &["api"]));
        assert_eq!(live.missing.names(), ["new"]);
        // What nobody uses is not missed.
        live.set(at(2, &["new"]));
        assert_eq!((live.missing.names(), live.missing.has_any()), (vec![], false));
        live.missing.note_missing("api", 2, &live.load());
        assert_eq!(live.missing.names(), ["api"]);
        live.missing.note_found("api", &live.load());
        live.set(at(3, &[]));
        assert_eq!(live.missing.names(), ["new"], "api was only asked for");
    }

    #[test]
    fn what_callers_make_up_is_bounded() {
        let live = CurrentLimits::new(table(&["api"]));
        for number in 0..1000 {
            live.missing.note_missing(&format!("asked for {number}"), 0, &live.load());
            let name = format!("made up {number}");
            live.missing.expect(&name, &live.load());
            live.missing.note_missing(&name, 0, &live.load());
        }
        live.missing.expect("with a\nnew line", &live.load());
        live.missing.note_missing("with a\nnew line", 0, &live.load());
        assert_eq!(live.missing.names().len(), MAX_STRANGERS);
        live.missing.note_missing("api", 0, &live.load());
        assert_eq!(live.missing.names().len(), MAX_STRANGERS + 1);
    }
}
