//! The setting up of a group of a test.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate::internal::TestClock;
use quorate::transport::InProcess;
use quorate::{GroupTime, PeerBuilder, PeerKind, StartError};

use super::passing::Disturbance;
use super::{Seat, Setup, TestGroup};
use crate::model::limits::Limits;

/// Sets up a [`TestGroup`]; made by [`TestGroup::builder`].
#[must_use = "nothing is started until `start` is called"]
pub struct TestGroupBuilder {
    limits: Limits,
    names: Vec<String>,
    setup: Setup,
    starting_at: Option<SystemTime>,
}

impl TestGroupBuilder {
    pub(super) fn new(limits: Limits) -> Self {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        Self { limits, names, setup: Box::new(|_, peer| peer), starting_at: None }
    }

    /// The members' names. Default `a`, `b` and `c`.
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Changes the settings of every peer, those that join later included: mode, acknowledgement,
    /// time-outs.
    pub fn setup(self, setup: impl Fn(PeerBuilder) -> PeerBuilder + Send + Sync + 'static) -> Self {
        self.setup_each(move |_, peer| setup(peer))
    }

    /// Sets up each peer by its name: a priority, or a directory of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::testing::{TestGroup, TestGroupBuilder};
    ///
    /// /// `a` is primary as often as it can be, and `c` never.
    /// fn with_priorities(group: TestGroupBuilder) -> TestGroupBuilder {
    ///     let priorities = [("a", 1), ("b", 2), ("c", 0)];
    ///     group.setup_each(move |name, peer| {
    ///         let found = priorities.iter().find(|(known, _)| *known == name);
    ///         peer.priority(found.map_or(100, |(_, priority)| *priority))
    ///     })
    /// }
    /// ```
    pub fn setup_each(
        mut self,
        setup: impl Fn(&str, PeerBuilder) -> PeerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.setup = Box::new(setup);
        self
    }

    /// Sets the date that the calendar shows when the group starts; by default that of this
    /// machine. [`utc`](super::utc) reads a date. A moment passes until the group is founded.
    pub fn starting_at(mut self, date: SystemTime) -> Self {
        self.starting_at = Some(date);
        self
    }

    /// Starts the members, and waits until each can decide.
    ///
    /// # Errors
    ///
    /// If the settings are not usable.
    ///
    /// # Panics
    ///
    /// If the group starts before 1970.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped takes the group with it.
    pub async fn start(self) -> Result<TestGroup, StartError> {
        let Self { limits, names, setup, starting_at } = self;
        let wall = starting_at.map(|date| {
            let since = date.duration_since(UNIX_EPOCH).expect("a date after 1970");
            GroupTime(0).after(since)
        });
        let seat = Seat { kind: PeerKind::Member, limits };
        let mut group = TestGroup {
            network: InProcess::network(),
            clock: TestClock::starting_at(wall),
            setup,
            seats: names.iter().map(|name| (name.clone(), seat.clone())).collect(),
            founders: names,
            running: BTreeMap::new(),
            killed: BTreeMap::new(),
            disturbance: Disturbance::new(),
        };
        for name in group.founders.clone() {
            group.run(&name).await?;
        }
        group.primary().await;
        Ok(group)
    }
}

impl std::fmt::Debug for TestGroupBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { names, starting_at, .. } = &self;
        f.debug_struct("TestGroupBuilder")
            .field("names", names)
            .field("starting_at", starting_at)
            .finish_non_exhaustive()
    }
}
