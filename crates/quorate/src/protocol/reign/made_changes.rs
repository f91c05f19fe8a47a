//! Changes that a primary makes on request, of the policy or of the upkeep: each is made once, and
//! answered as often as it is asked for (docs/protocol.md, sections 14 and 15).

use crate::base::id::{PeerStart, Sequence, Time};

/// Changes that a primary remembers at most, to answer them when a majority holds them.
const MAX_CHANGES: usize = 64;

/// The changes of one kind that were made in a reign, as far as they may be asked for again.
#[derive(Debug, Default)]
pub(in crate::protocol) struct MadeChanges {
    changes: Vec<Change>,
    /// Where what they change last changed in this reign.
    last_at: Option<Sequence>,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub(in crate::protocol) struct Change {
    /// For whom.
    pub(in crate::protocol) from: PeerStart,
    /// The request of that peer.
    pub(in crate::protocol) request: u64,
    /// The revision of what it changes, after it.
    pub(in crate::protocol) revision: u64,
    /// A majority that holds this holds the change.
    pub(in crate::protocol) at: Sequence,
    /// Until then it may be asked for again.
    pub(in crate::protocol) until: Time,
    pub(in crate::protocol) is_told: bool,
}

/// How far a change is that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Made {
    /// No majority holds it yet.
    UnderWay,
    /// A majority holds it.
    Held { revision: u64 },
}

impl MadeChanges {
    /// Returns true if this change was made, and may be asked for again.
    pub(in crate::protocol) fn has(&self, from: &PeerStart, request: u64) -> bool {
        self.changes.iter().any(|change| change.is_of(from, request))
    }

    /// The progress of this change where a majority holds `committed`; `None` if it was not made.
    pub(in crate::protocol) fn ask(
        &mut self,
        from: &PeerStart,
        request: u64,
        committed: Sequence,
    ) -> Option<Made> {
        let change = self.changes.iter_mut().find(|change| change.is_of(from, request))?;
        change.is_told = committed >= change.at;
        Some(match change.is_told {
            true => Made::Held { revision: change.revision },
            false => Made::UnderWay,
        })
    }

    /// Returns true if no other change can be remembered.
    pub(in crate::protocol) fn is_full(&self) -> bool {
        self.changes.len() >= MAX_CHANGES
    }

    /// Remembers a change.
    pub(in crate::protocol) fn add(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The changes that a majority holds now, and whose askers have not been told so.
    pub(in crate::protocol) fn take_held(&mut self, committed: Sequence) -> Vec<Change> {
        let mut held = Vec::new();
        for change in &mut self.changes {
            if !change.is_told && committed >= change.at {
                change.is_told = true;
                held.push(change.clone());
            }
        }
        held
    }

    /// Forgets what cannot be asked for again.
    pub(in crate::protocol) fn forget(&mut self, now: Time) {
        self.changes.retain(|change| now < change.until);
    }

    /// The sequence at which what they change last changed in this reign.
    pub(in crate::protocol) fn last_at(&self) -> Option<Sequence> {
        self.last_at
    }

    /// Notes that what they change is another from here on.
    pub(in crate::protocol) fn note_changed(&mut self, at: Sequence) {
        self.last_at = Some(at);
    }
}

impl Change {
    fn is_of(&self, from: &PeerStart, request: u64) -> bool {
        self.from == *from && self.request == request
    }
}
