//! A group of peers in one process on virtual time, for the tests of a service that uses limits.
//!
//! With the feature `testing`. Tests run under `#[tokio::test(start_paused = true)]` (tokio's feature
//! `test-util`): then time passes only while everything waits, a failover of 10 s takes no time at
//! all, and a window ends when [`TestGroup::pass`] says so; a minute of it takes about 20 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{Peer, PeerBuilder, StartError};

use crate::limiter::RateLimiter;
use crate::limits::Limits;

/// How long a group may take, on the virtual clock, to be what it is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// A group whose links can be cut and whose peers can be killed by a call.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quorate::{Acknowledge, PeerBuilder};
/// use quorate_ratelimit::testing::TestGroup;
/// use quorate_ratelimit::{Limit, Limits};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let minute = Duration::from_secs(60);
/// let limits = Limits::builder().limit("mail", Limit::per_minute(1).burst(3)).build()?;
/// // Under `Acknowledge::Primary` a kill right after an answer may lose what was answered.
/// let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
/// let mut group = TestGroup::start(&limits, ["a", "b", "c"], exact).await?;
/// assert!(group.limiter("a").acquire("mail", "alice", 3).await?.allowed);
///
/// // The primary dies; the count does not.
/// let primary = group.primary().await;
/// group.kill(&primary);
/// let next = group.primary().await;
/// assert!(!group.limiter(&next).acquire("mail", "alice", 1).await?.allowed);
///
/// // A minute later.
/// group.pass(minute).await;
/// assert!(group.limiter(&next).acquire("mail", "alice", 1).await?.allowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct TestGroup {
    network: InProcess,
    limits: Limits,
    names: Vec<String>,
    setup: fn(PeerBuilder) -> PeerBuilder,
    running: BTreeMap<String, RateLimiter>,
    /// Peers that were killed, and may not quite be gone.
    killed: BTreeMap<String, Peer>,
}

impl TestGroup {
    /// Starts peers of these names with these limits, and waits until each can decide. `setup` changes
    /// their settings: mode, acknowledgement, time-outs.
    ///
    /// # Errors
    ///
    /// If the settings are not usable.
    pub async fn start<N: Into<String>>(
        limits: &Limits,
        names: impl IntoIterator<Item = N>,
        setup: fn(PeerBuilder) -> PeerBuilder,
    ) -> Result<Self, StartError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut group = Self {
            network: InProcess::network(),
            limits: limits.clone(),
            names,
            setup,
            running: BTreeMap::new(),
            killed: BTreeMap::new(),
        };
        for name in group.names.clone() {
            group.restart(&name).await?;
        }
        group.primary().await;
        Ok(group)
    }

    /// The limiter of a peer that runs.
    ///
    /// # Panics
    ///
    /// If none of that name does.
    pub fn limiter(&self, name: &str) -> &RateLimiter {
        let running = self.running.get(name);
        running.unwrap_or_else(|| panic!("{name} does not run: {:?} do", self.running.keys()))
    }

    /// Waits until all peers that reach a majority follow one primary and can decide, and names it.
    ///
    /// # Panics
    ///
    /// If there is none within five minutes of virtual time.
    pub async fn primary(&self) -> String {
        let waited = async {
            loop {
                let statuses = self.running.values().map(|limiter| limiter.peer().status());
                let with_quorum: Vec<_> = statuses.filter(|status| status.quorum).collect();
                let first = with_quorum.first().and_then(|status| status.primary.clone());
                if let Some(primary) = first
                    && with_quorum.iter().all(|s| s.primary.as_ref() == Some(&primary))
                    && self.running.contains_key(primary.as_str())
                {
                    for status in &with_quorum {
                        let peer = self.limiter(status.name.as_str()).peer();
                        _ = peer.wait_ready(PATIENCE).await;
                    }
                    return primary.to_string();
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let primary = tokio::time::timeout(PATIENCE, waited).await;
        primary.unwrap_or_else(|_| panic!("no primary among {:?}", self.running.keys()))
    }

    /// Ends a peer as a crash does: it tells nobody, and what only it held is gone. Whoever still
    /// holds a clone of its limiter, such as the layer under test, gets errors from then on
    /// (`DecideError::ShuttingDown`), as of a peer that is dead.
    pub fn kill(&mut self, name: &str) {
        if let Some(limiter) = self.running.remove(name) {
            limiter.peer().abort();
            self.killed.insert(name.to_owned(), limiter.peer().clone());
        }
    }

    /// Starts a peer anew, and kills it before if it runs; in memory it is blank. Clones of its old
    /// limiter stay dead.
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    pub async fn restart(&mut self, name: &str) -> Result<(), StartError> {
        self.kill(name);
        if let Some(dead) = self.killed.remove(name) {
            // Its address, and its directory, are free when nothing of it is left.
            dead.shutdown().await;
        }
        let builder = Peer::builder(name, self.limits.model())
            .members(self.names.iter().map(|name| (name.as_str(), name.as_str())))
            .transport(self.network.at(name))
            .tokio_clock();
        let peer = (self.setup)(builder).start().await?;
        self.running.insert(name.to_owned(), RateLimiter::new(peer, &self.limits));
        Ok(())
    }

    /// Cuts all links between these peers and the rest: bytes are lost in both directions and nothing
    /// is closed, as in a network that drops packets.
    pub fn isolate(&self, names: &[&str]) {
        self.for_each_link(names, |network, one, other| network.cut(one, other));
    }

    /// Makes all links carry bytes again.
    pub fn heal(&self) {
        for (index, one) in self.names.iter().enumerate() {
            self.names[..index].iter().for_each(|other| self.network.heal(one, other));
        }
    }

    fn for_each_link(&self, names: &[&str], f: fn(&InProcess, &str, &str)) {
        for other in self.names.iter().filter(|name| !names.contains(&name.as_str())) {
            names.iter().for_each(|one| f(&self.network, one, other));
        }
    }

    /// Lets time pass; the group goes on meanwhile.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl std::fmt::Debug for TestGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestGroup").field("running", &self.running.keys()).finish_non_exhaustive()
    }
}
