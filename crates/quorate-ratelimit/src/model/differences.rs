//! Differences between the limits that the group decides by and those of this peer's code, or of
//! the limits file that it follows.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::model::file::LimitSpec;
use crate::model::journal::LIMITS;
use crate::model::table::Table;

/// Most limits that a warning names.
const MAX_NAMED: usize = 8;

/// The source of the limits that a peer holds against those of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LimitsSource {
    /// The limits that the peer was started with.
    #[default]
    Code,
    /// A limits file, which the group takes up whenever it changes.
    File,
    /// A limits file, which the group goes by as long as this peer is primary.
    WinningFile,
}

/// The limits that a peer says are the group's, and where it does.
#[derive(Clone)]
pub(crate) struct OwnLimits {
    pub(crate) table: Arc<Table>,
    pub(crate) source: LimitsSource,
}

/// The limits file that this peer follows, and the difference that was told.
pub(crate) struct Differences {
    /// The limits of this peer's code.
    code: Arc<Table>,
    /// The last usable text of the file that is followed.
    file: Mutex<Option<OwnLimits>>,
    /// The difference that was told last.
    told: Mutex<Option<Told>>,
}

/// A difference, by the revision of the group's limits and a hash of those here.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    revision: u64,
    own: u64,
}

impl Differences {
    pub(crate) fn new(code: Arc<Table>) -> Self {
        Self { code, file: Mutex::default(), told: Mutex::default() }
    }

    /// Returns the limits of this peer's file if it follows one, else those of its code.
    pub(crate) fn own(&self) -> OwnLimits {
        let file = self.file.lock().clone();
        file.unwrap_or_else(|| OwnLimits {
            table: Arc::clone(&self.code),
            source: LimitsSource::Code,
        })
    }

    /// Takes up what a file says that is followed.
    pub(crate) fn follow(&self, own: OwnLimits) {
        *self.file.lock() = Some(own);
    }

    /// Tells it if the limits of the code are others than those that the group decides by now. What
    /// a file says is looked at now and then by who follows it: it may be about to change too.
    pub(crate) fn look(&self, present: &Table) {
        let own = self.own();
        if own.source == LimitsSource::Code {
            self.tell(&own, present, &differing(&own.table, present));
        }
    }

    /// Tells a difference as a warning, once.
    pub(crate) fn tell(&self, own: &OwnLimits, present: &Table, names: &[String]) {
        // By content: what a file says next may differ at the same revision.
        let revision = present.revision;
        let difference =
            (!names.is_empty()).then(|| Told { revision, own: own.table.fingerprint() });
        if std::mem::replace(&mut *self.told.lock(), difference) == difference {
            return;
        }
        if !names.is_empty() {
            warn(own.source, revision, &listed(names));
        }
    }
}

fn warn(source: LimitsSource, revision: u64, limits: &str) {
    match source {
        LimitsSource::Code => tracing::warn!(
            target: LIMITS,
            revision,
            limits,
            "the group decides by other limits than this peer's code says, and goes on with them: \
             {limits}. Change the group's limits (change_limits), or the code"
        ),
        LimitsSource::File => tracing::warn!(
            target: LIMITS,
            revision,
            limits,
            "the group decides by other limits than this peer's limits file says, and goes on with \
             them: {limits}. A file is taken up when it changes, and not for what it says at a \
             start. Change the group's limits to those of the file (change_limits), or the file; \
             or have the file win (LimitsFile::wins)"
        ),
        LimitsSource::WinningFile => tracing::warn!(
            target: LIMITS,
            revision,
            limits,
            "the group decides by other limits than this peer's limits file says: {limits}. The \
             primary's file is what counts: bring the same file to all peers"
        ),
    }
}

/// Writes names in a row, not too many of them.
pub(crate) fn listed(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(MAX_NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    first.join(", ") + &more
}

/// Returns the names of limits that are others in one table than in the other, or only in one.
pub(crate) fn differing(own: &Table, present: &Table) -> Vec<String> {
    let differs = |name: &str| {
        // As a file writes them: what is said in two ways is the same.
        let of = |table: &Table| table.find_name(name).map(|named| LimitSpec::from(&named.limit));
        of(own) != of(present)
    };
    let names = own.limits.iter().chain(&present.limits).map(|named| &*named.name);
    let mut differing: Vec<String> =
        names.filter(|name| differs(name)).map(str::to_owned).collect();
    differing.sort();
    differing.dedup();
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_a_few_and_counts_the_rest() {
        let names: Vec<String> = (0..11).map(|number| format!("l{number}")).collect();
        assert_eq!(listed(&names), "l0, l1, l2, l3, l4, l5, l6, l7 and 3 more");
        assert_eq!(listed(&names[..1]), "l0");
    }
}
