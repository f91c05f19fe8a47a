//! A group of peers in one process on virtual time, for the tests of a service that uses limits.
//!
//! With the feature `testing`. Tests run under `#[tokio::test(start_paused = true)]` (tokio's
//! feature `test-util`): then time passes only while everything waits. A failover of 10 s takes no
//! time at all, and windows end when [`TestGroup::pass`] says so, which takes a few milliseconds
//! however long it is: an hour, or a month.
//!
//! | | |
//! |---|---|
//! | time | [`TestGroup::pass`], [`TestGroup::pass_until`] |
//! | a date to begin with | [`TestGroupBuilder::starting_at`] |
//! | what breaks | [`TestGroup::kill`], [`TestGroup::isolate`] and [`TestGroup::heal`] |
//! | other peers | [`TestGroup::restart`], [`TestGroup::join`], [`TestGroup::stop`] |
//! | other limits | [`TestGroup::roll_out`] |
//! | who asks | [`TestGroup::limiter`] of a member, or of a client ([`TestGroup::client`]) |
//! | settings | a closure, for all peers or for each ([`TestGroupBuilder::setup_each`]) |

mod builder;
mod date;
mod passing;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate::internal::TestClock;
use quorate::transport::InProcess;
use quorate::{Peer, PeerBuilder, PeerKind, Shutdown, StartError};

pub use builder::TestGroupBuilder;
pub use date::utc;

use self::passing::Disturbance;
use crate::limiter::RateLimiter;
use crate::model::limits::Limits;

/// The time that a group may take, on the virtual clock, to be what it is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause between two looks at that.
const PAUSE: Duration = Duration::from_millis(50);

/// Changes the settings of one peer, by its name.
type Setup = Box<dyn Fn(&str, PeerBuilder) -> PeerBuilder + Send + Sync>;

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
/// # let mut runtime = tokio::runtime::Builder::new_current_thread();
/// # runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
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
///
/// A month that begins on the 15th, used through a client, and a rollout of other limits:
///
/// ```
/// use quorate_ratelimit::testing::{TestGroup, utc};
/// use quorate_ratelimit::{Calendar, Limit, Limits};
///
/// # let mut runtime = tokio::runtime::Builder::new_current_thread();
/// # runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
/// # #[cfg(feature = "calendar")] {
/// let month = Calendar::month(15);
/// let plan = |max| Limits::builder().limit("plan", Limit::calendar(max, month)).build();
/// let group = TestGroup::builder(&plan(1_000)?).starting_at(utc("2026-02-01T00:00:00Z"));
/// let mut group = group.start().await?;
/// group.client("web").await?;
/// assert_eq!(group.limiter("web").acquire("plan", "alice", 900).await?.remaining, 100);
/// group.pass_until(utc("2026-02-15T00:00:01Z")).await;
/// assert_eq!(group.limiter("web").peek("plan", "alice", 1).await?.remaining, 1_000);
///
/// for name in ["a", "b", "c"] {
///     group.roll_out(name, &plan(2_000)?).await?;
/// }
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct TestGroup {
    network: InProcess,
    clock: TestClock,
    setup: Setup,
    /// The members that found the group.
    founders: Vec<String>,
    /// Every peer there ever was, and how it is started.
    seats: BTreeMap<String, Seat>,
    running: BTreeMap<String, RateLimiter>,
    /// Peers that were killed, and may not quite be gone.
    killed: BTreeMap<String, Peer>,
    disturbance: Disturbance,
}

/// The settings that a peer is started with.
#[derive(Clone)]
struct Seat {
    kind: PeerKind,
    limits: Limits,
}

impl TestGroup {
    /// Sets up a group with these limits.
    pub fn builder(limits: &Limits) -> TestGroupBuilder {
        TestGroupBuilder::new(limits.clone())
    }

    /// Starts peers of these names with these limits, and waits until each can decide. `setup`
    /// changes their settings: mode, acknowledgement, time-outs. For more see
    /// [`TestGroup::builder`].
    ///
    /// # Errors
    ///
    /// If the settings are not usable.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped takes the group with it.
    pub async fn start<N: Into<String>>(
        limits: &Limits,
        names: impl IntoIterator<Item = N>,
        setup: impl Fn(PeerBuilder) -> PeerBuilder + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        Self::builder(limits).names(names).setup(setup).start().await
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

    /// Waits until all peers that reach a majority, clients among them, follow one primary and can
    /// decide, and names it.
    ///
    /// # Panics
    ///
    /// If there is none within five minutes of virtual time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the group.
    pub async fn primary(&self) -> String {
        let waited = async {
            loop {
                if let Some((primary, peers)) = self.agreed() {
                    for peer in peers {
                        _ = peer.wait_ready(PATIENCE).await;
                    }
                    return primary;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let primary = tokio::time::timeout(PATIENCE, waited).await;
        primary.unwrap_or_else(|_| panic!("no primary among {:?}", self.running.keys()))
    }

    /// The primary that all peers follow which reach a majority, and these peers.
    fn agreed(&self) -> Option<(String, Vec<&Peer>)> {
        let peers = self.running.values().map(RateLimiter::peer);
        let statuses = peers.map(|peer| (peer, peer.status()));
        // A peer that is cut off may follow one that is primary no more.
        let with_quorum: Vec<_> = statuses.filter(|(_, status)| status.quorum).collect();
        let (_, first) = with_quorum.first()?;
        let primary = first.primary.clone()?;
        let is_agreed = with_quorum.iter().all(|(_, s)| s.primary.as_ref() == Some(&primary))
            && self.running.contains_key(primary.as_str());
        let peers = || with_quorum.iter().map(|(peer, _)| *peer).collect();
        is_agreed.then(|| (primary.to_string(), peers()))
    }

    fn is_client(&self, name: &str) -> bool {
        self.seats.get(name).is_some_and(|seat| seat.kind == PeerKind::Client)
    }

    /// Ends a peer as a crash does: it tells nobody, and what only it held is gone. Whoever still
    /// holds a clone of its limiter, such as the layer under test, gets errors from then on
    /// (`DecideError::ShuttingDown`), as of a peer that is dead.
    pub fn kill(&mut self, name: &str) {
        if let Some(limiter) = self.running.remove(name) {
            limiter.peer().abort();
            self.killed.insert(name.to_owned(), limiter.peer().clone());
            self.disturbance.note();
        }
    }

    /// Ends a peer in an orderly way, as [`Peer::shutdown`] does: a primary hands over first. Says
    /// how it ended; `None` if it does not run.
    ///
    /// # Cancel safety
    ///
    /// A peer whose end was begun is none of the group's any more.
    pub async fn stop(&mut self, name: &str) -> Option<Shutdown> {
        let limiter = self.running.remove(name)?;
        self.disturbance.note();
        let end = limiter.peer().shutdown().await;
        self.disturbance.note();
        Some(end)
    }

    /// Starts a peer anew, and kills it before if it runs; in memory it is blank. Clones of its old
    /// limiter stay dead. It is what it was before: a member, one that has joined, or a client.
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the peer does not run.
    pub async fn restart(&mut self, name: &str) -> Result<(), StartError> {
        let limits = self.seat(name).limits.clone();
        self.restart_with(name, &limits).await
    }

    /// Restarts a peer with other limits in its code, from now on: a rollout of which the old peer
    /// was told nothing. See [`TestGroup::roll_out`].
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the peer does not run.
    pub async fn restart_with(&mut self, name: &str, limits: &Limits) -> Result<(), StartError> {
        let kind = self.seat(name).kind;
        self.kill(name);
        if let Some(dead) = self.killed.remove(name) {
            // Its address, and its directory, are free when nothing of it is left.
            dead.shutdown().await;
        }
        self.seats.insert(name.to_owned(), Seat { kind, limits: limits.clone() });
        self.run(name).await
    }

    /// Brings a peer up with other limits in its code, as a rollout does: it ends in an orderly
    /// way, starts anew, and is waited for until it can decide and counts again.
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    ///
    /// # Panics
    ///
    /// If it does not count again within five minutes of virtual time.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the peer may not run.
    pub async fn roll_out(&mut self, name: &str, limits: &Limits) -> Result<(), StartError> {
        self.stop(name).await;
        self.restart_with(name, limits).await?;
        self.until_in(name).await;
        Ok(())
    }

    /// Has a new peer join the group, with the limits of the first member's code, and waits
    /// until it is a member that counts.
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    ///
    /// # Panics
    ///
    /// If it does not count within five minutes of virtual time.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the peer may be running, and may become a member.
    pub async fn join(&mut self, name: &str) -> Result<(), StartError> {
        self.add(name, PeerKind::Joiner).await
    }

    /// Starts a client of the group, with the limits of the first member's code, and waits
    /// until it can have something decided.
    ///
    /// # Errors
    ///
    /// If its settings are not usable.
    ///
    /// # Panics
    ///
    /// If it cannot within five minutes of virtual time.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the client may be running.
    pub async fn client(&mut self, name: &str) -> Result<(), StartError> {
        self.add(name, PeerKind::Client).await
    }

    async fn add(&mut self, name: &str, kind: PeerKind) -> Result<(), StartError> {
        let founder = self.founders.first().map(|founder| self.seat(founder).limits.clone());
        let is_new = !self.seats.contains_key(name);
        let limits = founder.filter(|_| is_new).unwrap_or_else(|| self.seat(name).limits.clone());
        self.kill(name);
        self.restart_as(name, Seat { kind, limits }).await?;
        self.until_in(name).await;
        Ok(())
    }

    async fn restart_as(&mut self, name: &str, seat: Seat) -> Result<(), StartError> {
        let limits = seat.limits.clone();
        self.seats.insert(name.to_owned(), seat);
        self.restart_with(name, &limits).await
    }

    /// Returns the settings that a peer of this name is started with.
    fn seat(&self, name: &str) -> &Seat {
        let seats = || self.seats.keys().collect::<Vec<_>>();
        self.seats
            .get(name)
            .unwrap_or_else(|| panic!("no peer is called {name}: {:?} are", seats()))
    }

    /// Starts a peer that has a seat.
    async fn run(&mut self, name: &str) -> Result<(), StartError> {
        let Seat { kind, limits } = self.seat(name).clone();
        let builder = Peer::builder(name, limits.model())
            .transport(self.network.at(name))
            .test_clock(self.clock.clone());
        let founders = self.founders.iter().map(|name| (name.as_str(), name.as_str()));
        let builder = match kind {
            PeerKind::Client => builder.members(founders).client(),
            PeerKind::Joiner => builder.join(self.contacts(name)).listen(name),
            PeerKind::Member => builder.members(founders),
        };
        let peer = (self.setup)(name, builder).start().await?;
        self.running.insert(name.to_owned(), RateLimiter::new(peer, &limits));
        self.disturbance.note();
        Ok(())
    }

    /// Returns the members to whom a joiner introduces itself: all but itself.
    fn contacts(&self, joiner: &str) -> Vec<String> {
        let others = self.seats.keys().filter(|name| *name != joiner && !self.is_client(name));
        others.cloned().collect()
    }

    /// Waits until a peer can decide, and counts, if it is no client.
    async fn until_in(&self, name: &str) {
        let peer = self.limiter(name).peer();
        let waited = async {
            while peer.wait_ready(PATIENCE).await.is_err() || !self.is_counted(name) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        waited.unwrap_or_else(|_| panic!("{name} does not take part: {:?}", peer.status()));
    }

    /// Returns true if a peer counts as a member by what the primary knows; of a client, always.
    fn is_counted(&self, name: &str) -> bool {
        let Some((primary, _)) = self.agreed() else { return false };
        let members = self.limiter(&primary).peer().status().members;
        self.is_client(name)
            || members.iter().any(|member| *member.name.as_str() == *name && member.is_counted)
    }

    /// Cuts all links between these peers and the rest: bytes are lost in both directions and
    /// nothing is closed, as in a network that drops packets.
    pub fn isolate(&self, names: &[&str]) {
        for other in self.seats.keys().filter(|name| !names.contains(&name.as_str())) {
            names.iter().for_each(|one| self.network.cut(one, other));
        }
        self.disturbance.note();
    }

    /// Makes all links carry bytes again.
    pub fn heal(&self) {
        for one in self.seats.keys() {
            self.seats.keys().for_each(|other| self.network.heal(one, other));
        }
        self.disturbance.note();
    }

    /// The date that the group's calendar shows, as any peer that runs sees it.
    ///
    /// # Panics
    ///
    /// If no peer runs.
    pub fn now(&self) -> SystemTime {
        let any = self.running.values().next().expect("a peer runs");
        UNIX_EPOCH + Duration::from_nanos(any.peer().group_time().now().0)
    }
}

impl std::fmt::Debug for TestGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestGroup").field("running", &self.running.keys()).finish_non_exhaustive()
    }
}
