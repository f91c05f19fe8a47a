//! How a peer is set up and started.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::addresses;
use super::clock::{Clock, TestClock};
use super::event_loop::{EventLoop, Inputs};
use super::inbox::{Inbox, Inboxes};
use super::links;
use super::settings;
use super::shared::{Enlisted, Parts, Shared};
use super::status::Status;
use super::storage::{self, Keeper, Link, OnProgress, Opened, Opening};
use super::tasks::Tasks;
use crate::config::{
    Acknowledge, Bounds, ClientRights, ConfigError, GroupConfig, Mode, OnReconnect, PeerConfig,
};
use crate::disk::{Directory, OpenError, Progress, StorageId};
use crate::generations::NewGenerations;
use crate::id::{Incarnation, PeerKind, PeerName};
use crate::model::Model;
use crate::peer::Peer;
use crate::protocol::Machine;
use crate::protocol::io::Start;
use crate::storage::{Storage, StorageKind, SyncPolicy};
use crate::store::Store;
use crate::transport::{Listener, Tcp, Transport};
use crate::wire;

crate::told_to_people! { StartError }

/// How often cells are compared unless told otherwise.
const VERIFY_INTERVAL: Duration = Duration::from_secs(600);
/// Commands that may wait for the event loop; more callers wait for a place.
const MAX_COMMANDS: usize = 64;

/// Why a peer was not started. Nothing was left behind.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings break rules; every broken rule is listed.
    #[error("the settings are not usable: {}", sentences(.0))]
    Config(Vec<ConfigError>),
    /// The directory for the state of a peer in memory has cells in it: it was one of a peer that
    /// stores on disk.
    #[error(
        "{} holds the cells of a peer with storage on disk: use another directory for the state of \
         a peer in memory",
        dir.display()
    )]
    StateDirHasCells {
        /// The directory.
        dir: PathBuf,
    },
    /// The settings do not say what this peer is called.
    #[error("the settings name no peer: write its name, like name = \"a\"")]
    NoName,
    /// A member has no address.
    #[error("{name} has no address in `.members(..)`: name one")]
    NoAddress {
        /// The member.
        name: PeerName,
    },
    /// A joiner does not say where it listens.
    #[error("{name} joins a group and has no address to listen on: name one by `.listen(..)`")]
    NotListening {
        /// This peer.
        name: PeerName,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listening_advice(source))]
    Bind {
        /// The address.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The directory of this peer cannot be used. It is as it was.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// A joiner listens where others cannot reach it, and does not say where they can.
    #[error(
        "{address} is where this peer listens, and not where the others reach it: say that by \
         `.advertise(..)`"
    )]
    NotReachable {
        /// The address.
        address: String,
    },
    /// The system gives no thread to the storage.
    #[error("cannot start a thread of the peer's own: {0}")]
    Thread(#[source] io::Error),
    /// The transport cannot serve this peer.
    #[error("{name} cannot be served by its transport: {source}")]
    Transport {
        /// This peer.
        name: PeerName,
        /// Why, and what to do.
        #[source]
        source: io::Error,
    },
    /// The transport would carry calls in plain text over a network.
    #[error(
        "{address} is not a loopback address, and plain text off loopback is refused: use a \
         transport with TLS (the crate quorate-tls), or, on a network that you trust, allow it by \
         plaintext_allowed_on_network()"
    )]
    PlaintextOffLoopback {
        /// The address that would be listened on, or dialed.
        address: String,
    },
}

fn sentences(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("; ")
}

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
    /// Where members are whose names are not known.
    pub(super) contacts: Vec<String>,
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
    model: Arc<dyn Model>,
    transport: Option<Arc<dyn Transport>>,
    pub(super) is_plaintext_allowed: bool,
    /// Whether time is tokio's, and how often a coarse reading of it moves on.
    pub(super) tokio_clock: Option<Duration>,
    pub(super) test_clock: Option<TestClock>,
    pub(super) version: u32,
    pub(super) storage: Storage,
    pub(super) state_dir: Option<PathBuf>,
    /// Takes the place of the directory in the settings.
    directory: Option<(Arc<dyn Directory>, u64)>,
    on_recovery: Option<OnProgress>,
}

/// What to do about an address that cannot be listened on.
fn listening_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there, perhaps this peer's last start: end it, or choose \
             another port"
        }
        io::ErrorKind::AddrNotAvailable => "; name an address of this machine",
        _ => "",
    }
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
                bounds: Bounds::default(),
            },
            addresses: Vec::new(),
            contacts: Vec::new(),
            listen: None,
            advertise: None,
            model,
            transport: None,
            is_plaintext_allowed: false,
            tokio_clock: None,
            test_clock: None,
            version: wire::PROTOCOL_VERSION,
            storage: Storage::default(),
            state_dir: None,
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
    /// [`PeerBuilder::join`], [`Peer::leave`] and [`Peer::forget`]. Keep the list in step for peers in
    /// memory: one that restarts blank knows no other members than these.
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
    /// next one, and in relaxed mode decides alone without one; but it neither votes nor holds data,
    /// changes neither the policy nor the members unless they let it, and hundreds of them burden a
    /// group little. It dials the members of its list
    /// ([`PeerBuilder::members`], which need not be complete), or those at the addresses of
    /// [`PeerBuilder::join`], and is told of the others. It listens nowhere and stores nothing.
    pub fn client(mut self) -> Self {
        self.peer.kind = PeerKind::Client;
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

    /// What a peer without a primary does. Default [`Mode::Strict`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.group.mode = mode;
        self
    }

    /// What becomes of local decisions. Default [`OnReconnect::Merge`].
    pub fn on_reconnect(mut self, on_reconnect: OnReconnect) -> Self {
        self.group.on_reconnect = on_reconnect;
        self
    }

    /// When a caller is answered. Default [`Acknowledge::Primary`].
    pub fn acknowledge(mut self, acknowledge: Acknowledge) -> Self {
        self.group.acknowledge = acknowledge;
        self
    }

    /// Where cells live: the same kind at all peers. Default [`Storage::Memory`].
    pub fn storage(mut self, storage: Storage) -> Self {
        self.group.storage = storage.kind();
        self.storage = storage;
        self
    }

    /// Has a peer in memory remember its ballot and its vote in this directory, and how far it may have
    /// acknowledged; its cells are lost by a restart as before. It keeps a restarted peer from voting
    /// in a ballot that it has left, whatever the clocks of the group say, and a group from beginning
    /// a new generation with less than a restarted member had acknowledged, while another that may
    /// have it is missing: it waits for that one, or for [`Peer::found_new_group`]. Give it to all
    /// members. Not used with storage on disk, which remembers all of it itself. It is kept from
    /// other users as one for storage on disk is.
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Is told how far it is while this peer's directory is read at the start, after each hundredth
    /// and at the end. Called on a thread of its own; the start waits while it runs.
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

    /// Who is promoted first: the lowest number, never if 0. Default 100.
    pub fn priority(mut self, priority: u8) -> Self {
        self.peer.priority = priority;
        self
    }

    /// When a new generation may begin, or a group be founded, without some of its members. Default
    /// [`NewGenerations::Automatic`]. Give all members the same: this peer neither begins one before
    /// its setting allows it nor helps anybody else to, but a majority of others can do without it.
    pub fn new_generations(mut self, new_generations: NewGenerations) -> Self {
        self.peer.new_generations = new_generations;
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

    /// How long changes are collected before they are sent on, under [`Acknowledge::Primary`].
    /// Default 1 ms.
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

    /// How often this peer, as primary, has the others compare their cells with its own. Default
    /// 10 min; 0 for never. One that differs is copied anew, and says so by an event.
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

    /// What this peer holds at most.
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

    /// How bytes get from peer to peer. Default [`Tcp`].
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Starts the peer: it reads its directory, if it has one, listens, connects to the others, and joins or founds the group by
    /// itself. Its tasks run on the current tokio runtime until [`Peer::shutdown`], or until the
    /// last handle is dropped.
    ///
    /// # Errors
    ///
    /// If the settings break a rule, the directory cannot be used, or the address cannot be listened
    /// on. Nothing was left behind; no data were changed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has started nothing. A directory that was being read is free again
    /// a moment later.
    pub async fn start(mut self) -> Result<Peer, StartError> {
        self.group.members = self.addresses.iter().map(|(name, _)| name.clone()).collect();
        let failure_timeout = self.group.failure_timeout;
        self.group.heartbeat =
            self.heartbeat.unwrap_or_else(|| GroupConfig::heartbeat_within(failure_timeout));
        let name = self.peer.name.clone();
        let kind = self.peer.kind;
        let mut errors = self.group.check_as(&name, kind).err().unwrap_or_default();
        let is_tcp = self.transport.as_ref().is_none_or(|transport| transport.has_tcp_addresses());
        let has_contact = !self.contacts.is_empty() || !self.addresses.is_empty();
        if kind != PeerKind::Member && !has_contact {
            errors.push(ConfigError::NoContact);
        }
        if kind == PeerKind::Client {
            (self.storage, self.group.storage) = (Storage::Memory, StorageKind::Memory);
        }
        let given = addresses::Given {
            members: &self.addresses,
            contacts: &self.contacts,
            listen: self.listen.as_deref().filter(|_| kind != PeerKind::Client),
            advertise: self.advertise.as_deref(),
            is_tcp,
        };
        errors.extend(given.check());
        errors.extend(self.peer.bounds.check().err().unwrap_or_default());
        errors.extend(self.storage.check().err().unwrap_or_default());
        let model_settings = self.model.settings();
        errors.extend(settings::check_model(&model_settings));
        if !errors.is_empty() {
            return Err(StartError::Config(errors));
        }
        let addresses: BTreeMap<PeerName, String> = self.addresses.iter().cloned().collect();
        let own_place = || match kind {
            PeerKind::Member => addresses::own_place(&addresses, &name, is_tcp),
            PeerKind::Joiner | PeerKind::Client => None,
        };
        self.peer.address = self.advertise.take().or_else(own_place).unwrap_or_default();
        if let Some((name, _)) = addresses.iter().find(|(_, address)| address.is_empty()) {
            return Err(StartError::NoAddress { name: name.clone() });
        }
        let listen = self.listen_address(&addresses)?;
        let transport = self
            .transport
            .take()
            .unwrap_or_else(|| Arc::new(Tcp::default().user_timeout(failure_timeout)));
        let enlisted = Enlisted::new(transport.clone(), &name);
        let enlisted = enlisted.map_err(|source| StartError::Transport { name, source })?;
        let bind = |source| StartError::Bind { address: listen.clone(), source };
        if !self.is_plaintext_allowed {
            if kind != PeerKind::Client && !transport.is_private(&listen).await.map_err(bind)? {
                return Err(StartError::PlaintextOffLoopback { address: listen });
            }
            let dialed = addresses.values().chain(&self.contacts);
            if let Some(address) = addresses::first_public(&*transport, dialed).await {
                return Err(StartError::PlaintextOffLoopback { address: address.clone() });
            }
        }
        let tasks = match self.tokio_clock {
            Some(_) => Tasks::on_this_runtime(),
            None => Tasks::on_own_thread(&self.peer.name).map_err(StartError::Thread)?,
        };
        let store = Arc::new(Store::new(self.peer.bounds));
        let opened = self.open(&store).await?;
        let listening = match kind {
            PeerKind::Client => None,
            _ => {
                let (transport, listen) = (transport.clone(), listen.clone());
                Some(tasks.run(async move { transport.listen(&listen).await }).await)
            }
        };
        let listener = match listening.transpose() {
            Ok(listener) => listener,
            Err(source) => {
                close(opened).await;
                return Err(bind(source));
            }
        };
        let setup = Setup { model_settings, addresses, enlisted, listener, store, opened, tasks };
        self.spawn(setup)
    }

    /// Where this peer listens; nowhere if it is a client. A joiner says so to the others.
    fn listen_address(
        &mut self,
        addresses: &BTreeMap<PeerName, String>,
    ) -> Result<String, StartError> {
        let name = &self.peer.name;
        let own = self.listen.as_ref().or_else(|| addresses.get(name)).cloned();
        match self.peer.kind {
            PeerKind::Client => Ok(String::new()),
            PeerKind::Member => Ok(own.unwrap_or_default()),
            PeerKind::Joiner => {
                let own = own.or_else(|| Some(self.peer.address.clone()).filter(|a| !a.is_empty()));
                let own = own.ok_or_else(|| StartError::NotListening { name: name.clone() })?;
                if self.peer.address.is_empty() {
                    self.peer.address = own.clone();
                }
                if !addresses::is_reachable(&self.peer.address) {
                    let address = self.peer.address.clone();
                    return Err(StartError::NotReachable { address });
                }
                Ok(own)
            }
        }
    }

    /// Opens this peer's directory and reads it into the store.
    async fn open(&mut self, store: &Arc<Store>) -> Result<Option<Opened>, StartError> {
        let (dir, sync) = match (self.storage.clone(), &self.state_dir) {
            (Storage::Disk { dir, sync }, _) => (dir, sync),
            // Nothing is appended: all that it has to sync is saved one by one.
            (Storage::Memory, Some(dir)) if self.peer.kind != PeerKind::Client => {
                (dir.clone(), SyncPolicy::EveryBatch)
            }
            (Storage::Memory, _) => return Ok(None),
        };
        let is_state_only = self.group.storage == StorageKind::Memory;
        let place = dir.clone();
        let opening = Opening {
            group: self.group.group.clone(),
            peer: self.peer.name.clone(),
            sync,
            segment_bytes: self.peer.bounds.max_segment_bytes,
            new_storage_id: StorageId((u128::from(random()) << 64) | u128::from(random())),
            on_progress: self.on_recovery.take(),
            boot: self.directory.as_ref().map_or_else(storage::boot, |(_, boot)| *boot),
        };
        let given = self.directory.take();
        let directory = move || match given {
            Some((directory, _)) => Ok(directory),
            None => storage::directory(&dir),
        };
        let opened = opening.open(directory, store.clone()).await?;
        if is_state_only && !opened.found.position.is_blank() {
            close(Some(opened)).await;
            return Err(StartError::StateDirHasCells { dir: place });
        }
        Ok(Some(opened))
    }

    fn spawn(self, setup: Setup) -> Result<Peer, StartError> {
        let Setup { model_settings, addresses, enlisted, listener, store, opened, tasks } = setup;
        let bounds = self.peer.bounds;
        let clock = match self.tokio_clock {
            Some(tick) => {
                let clock = self.test_clock.unwrap_or_else(|| TestClock::starting_at(None));
                clock.take_in(self.group.heartbeat, self.group.failure_timeout);
                Clock::tokio(tick, clock)
            }
            None => Clock::system(self.group.failure_timeout),
        };
        let (control, control_inbox) = Inbox::new(&bounds);
        let (data, data_inbox) = Inbox::new(&bounds);
        let (commands, command_inbox) = mpsc::channel(MAX_COMMANDS);
        let now = clock.now();
        let incarnation = Incarnation(random());
        let in_memory = Start::in_memory(incarnation, random());
        let start = match &opened {
            Some(opened) => opened.start(in_memory, self.group.storage),
            None => in_memory,
        };
        let is_synced = matches!(self.storage, Storage::Disk { sync: SyncPolicy::EveryBatch, .. });
        let acknowledge = self.group.acknowledge;
        let shared = Arc::new(Shared::new(Parts {
            group: self.group,
            config: self.peer,
            addresses,
            contacts: self.contacts.clone(),
            incarnation,
            id: start.id,
            succession: start.succession,
            version: self.version,
            // A caller's change must last here at least, which the machine says in the same way.
            answers_after: if is_synced { Acknowledge::Majority } else { acknowledge },
            store,
            model: self.model,
            model_settings,
            clock,
            enlisted,
            inboxes: Inboxes { control, data },
            commands,
            is_plaintext_allowed: self.is_plaintext_allowed,
        }));
        let mut group = shared.group.clone();
        if is_synced {
            // Callers wait for the next batch: it is not to wait for more of them.
            group.replication_interval = Duration::ZERO;
        }
        let machine = Machine::new(
            group,
            shared.config.clone(),
            start,
            shared.store.clone(),
            shared.model.clone(),
            now,
        );
        shared.roster.set_membership(machine.membership());
        let is_clock_held = self.tokio_clock.is_some();
        let (keeper, link) = start_storage(&shared, opened, &self.storage, is_clock_held)?;
        let first = Arc::new(Status::new(&shared, machine.status(now)));
        let (publisher, status) = watch::channel(first);
        let inputs = Inputs {
            control: control_inbox,
            data: data_inbox,
            commands: command_inbox,
            storage: link,
        };
        let event_loop = EventLoop::new(shared.clone(), machine, inputs, publisher);
        tasks.spawn(event_loop.run());
        if let Some(listener) = listener {
            tasks.spawn(links::accept(shared.clone(), listener));
        }
        tasks.spawn(links::dial_members(shared.clone()));
        tasks.spawn_beside_callers(links::dial_for_calls(shared.clone()));
        tasks.spawn(attend_transport(shared.clone()));
        if !self.contacts.is_empty() {
            tasks.spawn(links::introduce(shared.clone(), self.contacts));
        }
        Ok(Peer::new(shared, status, tasks, keeper))
    }
}

/// What a peer is started with, besides its settings.
struct Setup {
    model_settings: Vec<(String, String)>,
    addresses: BTreeMap<PeerName, String>,
    enlisted: Enlisted,
    listener: Option<Box<dyn Listener>>,
    store: Arc<Store>,
    opened: Option<Opened>,
    tasks: Tasks,
}

/// Tells what was recovered, and starts the storage thread.
fn start_storage(
    shared: &Shared,
    opened: Option<Opened>,
    settings: &Storage,
    is_clock_held: bool,
) -> Result<(Option<Keeper>, Option<Link>), StartError> {
    let Some(opened) = opened else { return Ok((None, None)) };
    let sync = match settings {
        Storage::Disk { sync, .. } => {
            shared.tell(opened.event(&shared.store));
            *sync
        }
        Storage::Memory => SyncPolicy::EveryBatch,
    };
    let (storage, store) = (opened.storage, shared.store.clone());
    let setup = storage::Setup { storage, store, sync, is_clock_held };
    let (keeper, link) = storage::start(setup).map_err(StartError::Thread)?;
    Ok((Some(keeper), Some(link)))
}

/// Tells what happens to the transport.
async fn attend_transport(shared: Arc<Shared>) {
    shared.transport.attend(&|event| shared.tell(event)).await;
}

/// Closes a directory that was opened for nothing.
async fn close(opened: Option<Opened>) {
    if let Some(Opened { storage, .. }) = opened {
        // If that fails it is as after a crash, which loses nothing.
        _ = tokio::task::spawn_blocking(move || storage.close().is_ok()).await;
    }
}

/// A number that no other start of any peer draws.
fn random() -> u64 {
    // The keys of the standard hasher come from the system's random source.
    std::hash::RandomState::new().build_hasher().finish()
}
