//! Limits that are asked for here and that the group has not, or only as limits of permits: told
//! once, counted, and shown until they are there.
//!
//! ```text
//!   there ── a policy without it, or an answer that there is none ──▶ missing: a warning, once
//!     ▲                                                                  │
//!     └────────── a policy with it, or a decision under it ──────────────┘
//! ```
//!
//! One of permits is there, and limits nothing of what asks it for units. That is known when it
//! has answered so, and no more when it has taken some, or the policy has it as another kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::limit::bounds::MAX_LIMITS;
use crate::model::journal::LIMITS;
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
    /// True if it is missing as one of permits.
    has_permits_only: bool,
    /// True if nobody knew it when it was first asked for.
    is_stranger: bool,
}

/// The lack of a limit, as it is found.
#[derive(Clone, Copy)]
struct Lack {
    /// The revision of the policy that is decided by.
    revision: u64,
    /// True if there is one of permits.
    has_permits_only: bool,
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
        let lack = Lack { revision: present.revision, has_permits_only: false };
        self.note(name, is_missing.then_some(lack), true, present);
    }

    /// Notes that the peer that decides has no such limit, by this revision of the policy.
    pub(crate) fn note_missing(&self, name: &str, revision: u64, present: &Table) {
        let lack = Lack { revision, has_permits_only: false };
        self.note(name, Some(lack), false, present);
    }

    /// Notes that the peer that decides has it as a limit of permits, and was asked for units.
    pub(crate) fn note_permits_only(&self, name: &str, present: &Table) {
        let lack = Lack { revision: present.revision, has_permits_only: true };
        self.note(name, Some(lack), false, present);
    }

    fn note(&self, name: &str, lack: Option<Lack>, is_expected: bool, present: &Table) {
        let is_known = self.knows(name, present);
        let mut is_new = false;
        self.change(|names| {
            if !names.contains_key(name) {
                let strangers = names.values().filter(|it| it.is_stranger).count();
                // A name that is only asked for may be made of a request: it is not kept.
                let has_room = is_known || (is_expected && strangers < MAX_STRANGERS);
                if !has_room || names.len() >= MAX_NAMES || !is_name(name) {
                    return;
                }
            }
            let used = names.entry(name.into()).or_default();
            used.is_expected |= is_expected;
            used.is_stranger = !is_known;
            is_new = lack.is_some() && !used.is_missing;
            if let Some(lack) = lack {
                used.is_missing = true;
                used.has_permits_only = lack.has_permits_only;
            }
        });
        // Without the lock: a subscriber of the log may ask this limiter.
        match lack.filter(|_| is_new) {
            Some(Lack { revision, has_permits_only: true }) => warn_of_permits(name, revision),
            Some(Lack { revision, .. }) => warn_missing(name, revision, &self.code),
            None => {}
        }
    }

    /// Notes that a decision was made under this limit: it is there. One about permits says nothing
    /// of units.
    #[cold]
    pub(crate) fn note_found(&self, name: &str, is_about_units: bool, present: &Table) {
        let mut is_back = false;
        self.change(|names| {
            if let Some(used) = names.get_mut(name) {
                if used.has_permits_only && !is_about_units {
                    return;
                }
                used.has_permits_only = false;
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
                let named = present.find_name(name);
                used.has_permits_only &= named.is_some_and(|named| named.limit.is_concurrent());
                let is_missing = named.is_none() || used.has_permits_only;
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
            target: LIMITS,
            limit,
            revision,
            "the primary's code has no limit {limit}: nothing is counted under it until the \
             primary runs this peer's code, or the group's limits are changed to some with it"
        ),
        (true, _) => tracing::warn!(
            target: LIMITS,
            limit,
            revision,
            "the group's limits have no limit {limit}, which this peer's code has: nothing is \
             counted under it until they are changed to some with it (change_limits)"
        ),
        (false, _) => tracing::warn!(
            target: LIMITS,
            limit,
            revision,
            "limit {limit} is used here, and neither this peer's code nor the group's limits \
             have it: nothing is counted under it until they do"
        ),
    }
}

fn warn_of_permits(limit: &str, revision: u64) {
    tracing::warn!(
        target: LIMITS,
        limit,
        revision,
        "limit {limit} is one of permits in the group, and is asked for units here: nothing is \
         limited by it here until it is of another kind"
    );
}

fn tell_found(limit: &str, revision: u64) {
    tracing::info!(target: LIMITS, limit, revision, "limit {limit} is there now, and is applied");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limit;
    use crate::model::current::CurrentLimits;
    use crate::model::limits::Limits;
    use crate::model::named_limit::NamedLimit;

    fn table(names: &[&str]) -> Arc<Table> {
        let add =
            |builder: crate::LimitsBuilder, name: &&str| builder.limit(*name, Limit::per_day(1));
        names.iter().fold(Limits::builder(), add).build().expect("usable").table
    }

    fn at(revision: u64, names: &[&str]) -> Arc<Table> {
        let limits =
            names.iter().map(|name| NamedLimit::new((*name).to_owned(), Limit::per_day(1)));
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
        live.missing.note_found("api", true, &live.load());
        live.set(at(3, &[]));
        assert_eq!(live.missing.names(), ["new"], "api was only asked for");
    }

    #[test]
    fn one_of_permits_is_missing_to_whoever_asks_it_for_units_until_it_is_of_another_kind() {
        let permits = |revision: u64| {
            let named = NamedLimit::new("api".to_owned(), Limit::concurrent(1));
            Arc::new(Table::new(vec![named], revision))
        };
        let live = CurrentLimits::new(table(&["api"]));
        live.missing.expect("api", &live.load());
        live.set(permits(1));
        assert!(!live.missing.has_any(), "who knows what it is asked for");
        live.missing.note_permits_only("api", &live.load());
        // Others go on with its permits.
        live.missing.note_found("api", false, &live.load());
        assert_eq!(live.missing.names(), ["api"]);
        live.set(permits(2));
        assert_eq!(live.missing.names(), ["api"]);
        live.set(at(3, &["api"]));
        assert!(!live.missing.has_any());
        live.missing.note_permits_only("api", &live.load());
        live.missing.note_found("api", true, &live.load());
        assert!(!live.missing.has_any());
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
