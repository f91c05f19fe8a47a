//! A process that lives on behind a proxy that has reset its connections, while a second one is
//! started under its name. It reaches nobody, and decides for its own callers until its lease ends.

use std::sync::Arc;

use quorate::Ballot;
use quorate::internal::store::Store;

use crate::base::clock::{Clock, Moment};
use crate::host::Host;
use crate::host::unnoticed::Unnoticed;

/// A process that lives on cut off, in so far as it matters to others: it may decide.
#[derive(Debug)]
pub(crate) struct Stranded {
    pub(crate) peer: usize,
    pub(crate) reign: Ballot,
    store: Arc<Store>,
    clock: Clock,
    unnoticed: Unnoticed,
}

impl Stranded {
    /// The process of a host, in so far as it has ever reigned.
    pub(crate) fn of(peer: usize, host: &Host) -> Option<Self> {
        let process = host.process.as_ref()?;
        Some(Self {
            peer,
            reign: process.reign?,
            store: Arc::clone(&process.store),
            clock: host.clock.clone(),
            unnoticed: host.unnoticed,
        })
    }

    /// Returns true if it may decide now, by its own clock, and its clock has not stood for too
    /// long.
    pub(crate) fn is_authorized(&self, now: Moment) -> bool {
        !self.unnoticed.is_excused(now)
            && self.store.is_authorized(self.clock.time(now), self.reign)
    }
}
