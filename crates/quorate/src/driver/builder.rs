//! The settings of a peer, given by calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::TestClock;
use super::storage::OnProgress;
use crate::base::id::{PeerKind, PeerName};
use crate::config::{
    Acknowledge, Bounds, ClientRights, GroupConfig, Mode, Monitor, NewGenerations, OnReconnect,
    PeerConfig, Site, Storage,
};
use crate::disk::{Directory, Progress};
use crate::model::Model;
use crate::transport::Transport;
use crate::wire;
#[cfg(doc)]
use crate::{Peer, transport::Tcp};

/// The interval at which cells are compared unless told otherwise.
const VERIFY_INTERVAL: Duration = Duration::from_secs(600);

/// Sets up a peer; made by [`Peer::builder`].
///
/// # Defaults
///
/// Those of [`GroupConfig`], [`PeerConfig`] and [`Bounds`]; TCP; the address to listen on is this
/// peer's own in the member list.
#[must_use = "nothing is started until `start` is called"]
pub struct PeerBuilder {
    pub(super) group: GroupConfig,
    /// The heartbeat that was asked for; else it follows the failure timeout.
    pub(super) heartbeat: Option<Duration>,
    pub(super) peer: PeerConfig,
    pub(super) addresses: Vec<(PeerName, String)>,
    /// Addresses of members whose names are not known.
    pub(super) contacts: Vec<String>,
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
    pub(super) model: Arc<dyn Model>,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) is_plaintext_allowed: bool,
    pub(super) is_admin_closed: bool,
    /// The tick of coarse readings where time is tokio's; `None` where it is the system's.
    pub(super) tokio_clock: Option<Duration>,
    pub(super) test_clock: Option<TestClock>,
    pub(super) version: u32,
    pub(super) storage: Storage,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) is_set_aside: bool,
    /// Takes the place of the directory in the settings.
    pub(super) directory: Option<(Arc<dyn Directory>, u64)>,
    pub(super) on_recovery: Option<OnProgress>,
}

impl PeerBuilder {
    pub(crate) fn new(name: PeerName, model: Arc<dyn Model>) -> Self {
        Self {
            group: GroupConfig::default(),
            heartbeat: None,
            peer: PeerConfig {
                name,
                kind: PeerKind::Member,
                priority: 100,
                address: String::new(),
                verify_interval: VERIFY_INTERVAL,
                client_rights: ClientRights::default(),
                new_generations: NewGenerations::default(),
                monitor: None,
                site: None,
                bounds: Bounds::default(),
            },
            addresses: Vec::new(),
            contacts: Vec::new(),
            listen: None,
            advertise: None,
            model,
            transport: None,
            is_plaintext_allowed: false,
            is_admin_closed: false,
            tokio_clock: None,
            test_clock: None,
            version: wire::PROTOCOL_VERSION,
            storage: Storage::default(),
            state_dir: None,
            is_set_aside: false,
            directory: None,
            on_recovery: None,
        }
    }

    /// The group's name. Default `default`.
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group.group = name.into();
        self
    }

    /// The members, this peer included, with the addresses at which the others reach them. The
    /// names must be the same at every peer that founds the group; no two members have the same
    /// address, unless it is a name that leads to all of their machines. For [`Tcp`] an address is
    /// a host, by name or number, and a port at which the others reach it: the port is not 0, but
    /// in a group of one, and the host does not stand for every interface, which is for
    /// [`PeerBuilder::listen`].
    ///
    /// Once the group is founded, its members are part of its state, and change by
    /// [`PeerBuilder::join`], [`Peer::leave`] and [`Peer::forget`]. Keep the list in step for peers
    /// in memory: one that restarts blank knows no other members than these.
    pub fn members<N, A>(mut self, members: impl IntoIterator<Item = (N, A)>) -> Self
    where
        N: Into<PeerName>,
        A: Into<String>,
    {
        self.addresses = members.into_iter().map(|(n, a)| (n.into(), a.into())).collect();
        self
    }

    /// Makes this peer join a group that exists, instead of founding one: it introduces itself at
    /// these addresses of any members, is brought up to date, and becomes a member then. It needs
    /// an address to listen on ([`PeerBuilder::listen`]) and no list of members.
    ///
    /// A peer that has become a member stays one when it restarts, in the same way; to end that,
    /// have it leave. A name that is a member's already is that member, restarted. A joiner founds
    /// no group: where every member may lose its data at once, give all of them a list.
    pub fn join<A: Into<String>>(mut self, contacts: impl IntoIterator<Item = A>) -> Self {
        self.contacts = contacts.into_iter().map(Into::into).collect();
        if self.peer.kind != PeerKind::Client {
            self.peer.kind = PeerKind::Joiner;
        }
        self
    }

    /// Makes this peer a client: it uses the group like any other peer, finds the primary and the
    /// next one, and in relaxed mode decides alone without one; but it neither votes nor holds
    /// data, changes neither the policy nor the members unless they let it, and hundreds of them
    /// burden a group little. It dials the members of its list ([`PeerBuilder::members`], which
    /// need not be complete), or those at the addresses of [`PeerBuilder::join`], and is told of
    /// the others. It listens nowhere and stores nothing.
    pub fn client(mut self) -> Self {
        self.peer.kind = PeerKind::Client;
        self
    }

    /// Sets the site that this peer stands at, and where the other one is. Default: none.
    ///
    /// A group at two sites is founded, or told that there are two, by [`Peer::activate_site`] at
    /// the one that is to decide: until then blank peers of a site found nothing. The list of
    /// members ([`PeerBuilder::members`]) is that of the own site.
    pub fn site(mut self, site: Site) -> Self {
        self.peer.site = Some(site);
        self
    }

    /// The address at which the others reach this peer, from now on: it becomes part of the group's
    /// members, and goes before what the settings of the others say. Default: its own place in its
    /// own list ([`PeerBuilder::members`]), or, for a joiner, the address that it listens on. A
    /// place on loopback, beside members that are elsewhere, is not told: what the settings of the
    /// others say holds then.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The address to listen on, where it differs from the one in the member list.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Sets the conduct of a peer without a primary. Default [`Mode::Strict`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.group.mode = mode;
        self
    }

    /// Sets the fate of local decisions. Default [`OnReconnect::Merge`].
    pub fn on_reconnect(mut self, on_reconnect: OnReconnect) -> Self {
        self.group.on_reconnect = on_reconnect;
        self
    }

    /// Sets the moment at which a caller is answered. Default [`Acknowledge::Primary`].
    pub fn acknowledge(mut self, acknowledge: Acknowledge) -> Self {
        self.group.acknowledge = acknowledge;
        self
    }

    /// Sets the place where cells live, of one kind at all peers. Default [`Storage::Memory`].
    pub fn storage(mut self, storage: Storage) -> Self {
        self.group.storage = storage.kind();
        self.storage = storage;
        self
    }

    /// Has a peer in memory remember its ballot and its vote in this directory, and how far it may
    /// have acknowledged; its cells are lost by a restart as before. It keeps a restarted peer from
    /// voting in a ballot that it has left, whatever the clocks of the group say, and a group from
    /// beginning a new generation with less than a restarted member had acknowledged, while another
    /// that may have it is missing: it waits for that one, or for [`Peer::found_new_group`]. Give
    /// it to all members. Not used with storage on disk, which remembers all of it itself. It is
    /// kept from other users as one for storage on disk is.
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Has this peer start blank, as another member than it was: for one that was counted out
    /// ([`Event::CountedOut`](crate::Event::CountedOut)) and is to come back by
    /// [`PeerBuilder::join`]. The files of its directory, for storage on disk or of
    /// [`PeerBuilder::state_dir`], get names that begin with `removed-`, in place of those that did
    /// so before, and [`Event::OlderFilesSetAside`](crate::Event::OlderFilesSetAside) says where
    /// they are. Of a directory that holds nothing, and where there is none, it is nothing.
    ///
    /// For one start only: whoever starts with it again gives up again what the peer has.
    ///
    /// ```
    /// use quorate::{Event, Peer, PeerBuilder, StartError};
    ///
    /// /// Waits until `peer` was counted out, and starts it anew. `builder` has its name, the
    /// /// address it listens on, and its storage.
    /// async fn come_back(
    ///     peer: &Peer,
    ///     builder: PeerBuilder,
    ///     contacts: &[String],
    /// ) -> Result<Peer, StartError> {
    ///     let mut events = peer.events_after(0);
    ///     while let Some(event) = events.next().await {
    ///         if matches!(event.event, Event::CountedOut { .. }) {
    ///             break;
    ///         }
    ///     }
    ///     peer.shutdown().await;
    ///     builder.set_aside().join(contacts).start().await
    /// }
    /// ```
    pub fn set_aside(mut self) -> Self {
        self.is_set_aside = true;
        self
    }

    /// Has `f` called with the progress while this peer's directory is read at the start, after
    /// each hundredth and at the end. Called on a thread of its own; the start waits while it runs.
    pub fn on_recovery(mut self, f: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_recovery = Some(Box::new(f));
        self
    }

    /// Takes files from here instead of the system's, for storage on disk, as of the start `boot`
    /// of the machine.
    #[doc(hidden)]
    pub fn directory(mut self, directory: Arc<dyn Directory>, boot: u64) -> Self {
        self.directory = Some((directory, boot));
        self
    }

    /// Sets this peer's place in the order of promotion: the lowest number first, and never one
    /// with 0. Default 100.
    pub fn priority(mut self, priority: u8) -> Self {
        self.peer.priority = priority;
        self
    }

    /// Sets the condition on which a new generation may begin, or a group be founded, without some
    /// of its members. Default [`NewGenerations::Automatic`]. Give all members the same: this peer
    /// neither begins one before its setting allows it nor helps anybody else to, but a majority of
    /// others can do without it.
    pub fn new_generations(mut self, new_generations: NewGenerations) -> Self {
        self.peer.new_generations = new_generations;
        self
    }

    /// Has this peer, as primary, forget members that were replaced; see [`Monitor`]. Give it to
    /// all members alike. What [`Peer::change_monitor`] has said goes before it.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.peer.monitor = Some(monitor);
        self
    }

    /// Time between two heartbeats, at most a quarter of the failure timeout. Default 1 s, or a
    /// tenth of the failure timeout where 1 s would be more than a quarter of that.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = Some(heartbeat);
        self
    }

    /// Silence after which a primary counts as unreachable, 20 ms to 1 h. Default 10 s. It can be
    /// set alone: a heartbeat that is not set follows it.
    pub fn failure_timeout(mut self, failure_timeout: Duration) -> Self {
        self.group.failure_timeout = failure_timeout;
        self
    }

    /// Deadline of a call that does not name one. Default 30 s.
    pub fn io_timeout(mut self, io_timeout: Duration) -> Self {
        self.group.io_timeout = io_timeout;
        self
    }

    /// Sets the time for which changes are collected before they are sent on, under
    /// [`Acknowledge::Primary`]. Default 1 ms.
    pub fn replication_interval(mut self, interval: Duration) -> Self {
        self.group.replication_interval = interval;
        self
    }

    /// Replicas that must agree before an election starts. Default 2; from 1 to the smallest
    /// majority of the members, 2 of three and 3 of five.
    pub fn agreement(mut self, agreement: usize) -> Self {
        self.group.agreement = agreement;
        self
    }

    /// Most units that may be acknowledged and not yet held by a majority. Default 100,000.
    pub fn max_unreplicated(mut self, units: u64) -> Self {
        self.group.max_unreplicated = units;
        self
    }

    /// Sets how often this peer, as primary, has the others compare their cells with its own.
    /// Default 10 min; 0 for never. One that differs is copied anew, and says so by an event.
    pub fn verify_interval(mut self, interval: Duration) -> Self {
        self.peer.verify_interval = interval;
        self
    }

    /// Lets the clients of the group change its policy ([`Peer::change_policy`]), which for rate
    /// limits is its limits. Without this they are refused by name. Set it at every member: that of
    /// the primary counts.
    pub fn clients_may_change_policy(mut self) -> Self {
        self.peer.client_rights.change_policy = true;
        self
    }

    /// Lets the clients of the group have members forgotten that are gone ([`Peer::forget`]).
    /// Without this they are refused by name. Set it at every member: that of the primary counts.
    pub fn clients_may_remove_members(mut self) -> Self {
        self.peer.client_rights.remove_members = true;
        self
    }

    /// Lets clients, and joiners that have not been taken up yet, have the primary hand over
    /// ([`Peer::switch_primary`]); as long as this peer is primary. Without this only members may.
    pub fn clients_may_switch_primary(mut self) -> Self {
        self.peer.client_rights.switch_primary = true;
        self
    }

    /// Sets the most that this peer holds.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.peer.bounds = bounds;
        self
    }

    /// Lets a transport without encryption listen and dial off loopback. Keys, counters and the
    /// group's control messages can then be read and forged on that network.
    pub fn plaintext_allowed_on_network(mut self) -> Self {
        self.is_plaintext_allowed = true;
        self
    }

    /// Lets nobody ask this peer, or give it orders, over its port: without this it answers those
    /// that the module [`admin`](crate::admin) names.
    pub fn no_admin(mut self) -> Self {
        self.is_admin_closed = true;
        self
    }

    /// Sets the way in which bytes get from peer to peer. Default [`Tcp`].
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }
}
