//! What this peer's code, or the limits file that it follows, says beside what the group decides
//! by.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::model::current::Live;
use crate::model::file::LimitSpec;
use crate::model::table::Table;

/// How many limits a warning names.
const MAX_NAMED: usize = 8;

/// What the group's limits are held against at a peer.
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

/// What is held against the group's limits.
#[derive(Default)]
pub(crate) struct Own {
    /// The last usable text of the file that is followed.
    file: Mutex<Option<(Arc<Table>, LimitsSource)>>,
    /// The difference that was told last: by which revision of the group's, and by what here.
    told: Mutex<Option<(u64, u64)>>,
}

impl Live {
    /// What this peer says, and where it does.
    pub(crate) fn own(&self) -> (Arc<Table>, LimitsSource) {
        let file = self.own.file.lock();
        file.clone().unwrap_or_else(|| (Arc::clone(self.code()), LimitsSource::Code))
    }

    /// A file that is followed says this.
    pub(crate) fn follow(&self, table: Arc<Table>, source: LimitsSource) {
        *self.own.file.lock() = Some((table, source));
    }

    /// The limits of the code are others than those that the group decides by now. What a file says
    /// is looked at now and then by who follows it: it may be about to change too.
    pub(crate) fn look_for_differences(&self, present: &Table) {
        if let (own, LimitsSource::Code) = self.own() {
            self.tell_differing(&own, LimitsSource::Code, present, &differing(&own, present));
        }
    }

    /// Tells a difference as a warning, once.
    pub(crate) fn tell_differing(
        &self,
        own: &Table,
        source: LimitsSource,
        present: &Table,
        names: &[String],
    ) {
        let revision = present.revision;
        let difference = (!names.is_empty()).then(|| (revision, own.fingerprint()));
        if std::mem::replace(&mut *self.own.told.lock(), difference) == difference {
            return;
        }
        if !names.is_empty() {
            warn(source, revision, &listed(names));
        }
    }
}

fn warn(source: LimitsSource, revision: u64, limits: &str) {
    match source {
        LimitsSource::Code => tracing::warn!(
            revision,
            limits,
            "the group decides by other limits than this peer's code says, and goes on with them: \
             {limits}. Change the group's limits (change_limits), or the code"
        ),
        LimitsSource::File => tracing::warn!(
            revision,
            limits,
            "the group decides by other limits than this peer's limits file says, and goes on with \
             them: {limits}. A file is taken up when it changes, and not for what it says at a \
             start. Change the group's limits to those of the file (change_limits), or the file; \
             or have the file win (LimitsFile::wins)"
        ),
        LimitsSource::WinningFile => tracing::warn!(
            revision,
            limits,
            "the group decides by other limits than this peer's limits file says: {limits}. The \
             primary's file is what counts: bring the same file to all peers"
        ),
    }
}

/// Names, not too many of them.
pub(crate) fn listed(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(MAX_NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    first.join(", ") + &more
}

/// Limits that are others in one than in the other, or only in one of them, by name.
pub(crate) fn differing(own: &Table, present: &Table) -> Vec<String> {
    let differs = |name: &str| {
        // As a file writes them: what is said in two ways is the same.
        let of = |table: &Table| table.find_name(name).map(|entry| LimitSpec::from(&entry.limit));
        of(own) != of(present)
    };
    let names = own.entries.iter().chain(&present.entries).map(|entry| &*entry.name);
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
