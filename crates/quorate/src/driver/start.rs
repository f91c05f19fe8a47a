//! The start of a peer: settings are checked, the directory is read, the address is listened on,
//! and then the tasks run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::builder::PeerBuilder;
use super::clock::{Clock, TestClock};
use super::event_loop::{EventLoop, Inputs};
use super::shared::{Enlisted, Parts, Shared};
use super::start_error::StartError;
use super::storage::{self, Keeper, Link, Opened, Opening};
use super::tasks::Tasks;
use crate::base::event::Event;
use crate::base::id::{Incarnation, Now, PeerKind, PeerName};
use crate::config::{
    Acknowledge, ConfigError, GroupConfig, Site, Storage, StorageKind, SyncPolicy,
};
use crate::disk::StorageId;
use crate::driver::admin::desk::Desk;
use crate::driver::links::inbox::{Inbox, Inboxes};
use crate::driver::links::{addresses, dial, settings};
use crate::driver::peer::Peer;
use crate::driver::report::status::Status;
use crate::protocol::Machine;
use crate::protocol::io::Start;
use crate::store::Store;
use crate::transport::{Listener, Tcp, Transport};

/// Commands that may wait for the event loop; more callers wait for a place.
const MAX_COMMANDS: usize = 64;

impl PeerBuilder {
    /// Starts the peer: it reads its directory, if it has one, listens, connects to the others, and
    /// joins or founds the group by itself. Its tasks run on the current tokio runtime until
    /// [`Peer::shutdown`], or until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// If the settings break a rule, the directory cannot be used, or the address cannot be
    /// listened on. Nothing was left behind; no data were changed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has started nothing. A directory that was being read is free again
    /// a moment later.
    pub async fn start(mut self) -> Result<Peer, StartError> {
        self.complete();
        let model_settings = self.model.settings();
        self.check(&model_settings)?;
        let addresses: BTreeMap<PeerName, String> = self.addresses.iter().cloned().collect();
        let listen = self.take_addresses(&addresses)?;
        let transport = self
            .transport
            .take()
            .unwrap_or_else(|| Arc::new(Tcp::default().user_timeout(self.group.failure_timeout)));
        let name = self.peer.name.clone();
        let enlisted = Enlisted::new(transport.clone(), &name)
            .map_err(|source| StartError::Transport { name, source })?;
        if !self.is_plaintext_allowed {
            let listened = Some(&listen).filter(|_| self.peer.kind != PeerKind::Client);
            // Where a pattern leads is known when somebody is known by name, and is looked at then.
            let across = self.peer.site.iter().flat_map(Site::introductions);
            let dialed = addresses.values().chain(&self.contacts).chain(across);
            check_privacy(&*transport, listened, dialed).await?;
        }
        let tasks = match self.tokio_clock {
            Some(_) => Tasks::on_this_runtime(),
            None => Tasks::on_own_thread(&self.peer.name).map_err(StartError::Thread)?,
        };
        let store = Arc::new(Store::new(self.peer.bounds));
        let opened = self.open(&store).await?;
        let listening = match self.peer.kind {
            PeerKind::Client => Ok(None),
            PeerKind::Joiner | PeerKind::Member => {
                listen_at(transport, listen, &tasks).await.map(Some)
            }
        };
        let listener = match listening {
            Ok(listener) => listener,
            Err(error) => {
                close(opened).await;
                return Err(error);
            }
        };
        let setup = Setup { model_settings, addresses, enlisted, listener, store, opened, tasks };
        self.spawn(setup)
    }

    /// Adds what follows from other settings.
    fn complete(&mut self) {
        self.group.members = self.addresses.iter().map(|(name, _)| name.clone()).collect();
        let failure_timeout = self.group.failure_timeout;
        self.group.heartbeat =
            self.heartbeat.unwrap_or_else(|| GroupConfig::heartbeat_within(failure_timeout));
        if self.peer.kind == PeerKind::Client {
            self.storage = Storage::Memory;
            self.group.storage = StorageKind::Memory;
        }
    }

    /// Returns true if the addresses are those of TCP.
    fn is_over_tcp(&self) -> bool {
        self.transport.as_ref().is_none_or(|transport| transport.has_tcp_addresses())
    }

    /// Finds every rule that the settings break.
    fn check(&self, model_settings: &[(String, String)]) -> Result<(), StartError> {
        let kind = self.peer.kind;
        let mut errors = self.group.check_as(&self.peer.name, kind).err().unwrap_or_default();
        if let Some(site) = &self.peer.site {
            errors.extend(site.check(kind));
        }
        let has_contact = !self.contacts.is_empty() || !self.addresses.is_empty();
        if kind != PeerKind::Member && !has_contact {
            errors.push(ConfigError::NoContact);
        }
        let across = self.peer.site.iter().flat_map(|site| {
            let named = site.addresses_of(&self.peer.name);
            site.introductions().cloned().chain(named)
        });
        let across: Vec<String> = across.collect();
        let given = addresses::Given {
            members: &self.addresses,
            contacts: &self.contacts,
            across: &across,
            listen: self.listen.as_deref().filter(|_| kind != PeerKind::Client),
            advertise: self.advertise.as_deref(),
            is_tcp: self.is_over_tcp(),
        };
        errors.extend(given.check());
        errors.extend(self.peer.bounds.check().err().unwrap_or_default());
        errors.extend(self.storage.check().err().unwrap_or_default());
        let timeout = self.group.failure_timeout;
        errors.extend(self.peer.monitor.and_then(|monitor| monitor.check(timeout).err()));
        errors.extend(settings::check_model(model_settings));
        if errors.is_empty() { Ok(()) } else { Err(StartError::Config(errors)) }
    }

    /// Settles where the others reach this peer, and where it listens, which is nowhere if it is a
    /// client.
    fn take_addresses(
        &mut self,
        addresses: &BTreeMap<PeerName, String>,
    ) -> Result<String, StartError> {
        let is_tcp = self.is_over_tcp();
        let own_place = match self.peer.kind {
            PeerKind::Member => addresses::own_place(addresses, &self.peer.name, is_tcp),
            PeerKind::Joiner | PeerKind::Client => None,
        };
        self.peer.address = self.advertise.take().or(own_place).unwrap_or_default();
        if let Some((name, _)) = addresses.iter().find(|(_, address)| address.is_empty()) {
            return Err(StartError::NoAddress { name: name.clone() });
        }
        let name = &self.peer.name;
        let own = self.listen.as_ref().or_else(|| addresses.get(name)).cloned();
        match self.peer.kind {
            PeerKind::Client => Ok(String::new()),
            PeerKind::Member => Ok(own.unwrap_or_default()),
            PeerKind::Joiner => {
                let advertised = Some(&self.peer.address).filter(|address| !address.is_empty());
                let listen = own
                    .or_else(|| advertised.cloned())
                    .ok_or_else(|| StartError::NotListening { name: name.clone() })?;
                if self.peer.address.is_empty() {
                    self.peer.address.clone_from(&listen);
                }
                if !addresses::is_reachable(&self.peer.address) {
                    let address = self.peer.address.clone();
                    return Err(StartError::NotReachable { address });
                }
                Ok(listen)
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
            set_aside: self.is_set_aside,
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

    /// Runs the tasks of a peer for which all is there.
    fn spawn(self, setup: Setup) -> Result<Peer, StartError> {
        let Setup { model_settings, addresses, enlisted, listener, store, opened, tasks } = setup;
        let clock = self.clock();
        let bounds = self.peer.bounds;
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
        let across = self.peer.site.iter().flat_map(Site::introductions).cloned();
        let contacts: Vec<String> = self.contacts.into_iter().chain(across).collect();
        let shared = Arc::new(Shared::new(Parts {
            group: self.group,
            config: self.peer,
            addresses,
            contacts: contacts.clone(),
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
            is_admin_closed: self.is_admin_closed,
        }));
        let machine = machine(&shared, start, is_synced, now);
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
            let desk = Desk::new(shared.clone(), status.clone());
            tasks.spawn(dial::accept(listener, desk));
        }
        tasks.spawn(dial::dial_members(shared.clone()));
        tasks.spawn_beside_callers(dial::dial_for_calls(shared.clone()));
        tasks.spawn(attend_transport(shared.clone()));
        if !contacts.is_empty() {
            tasks.spawn(dial::introduce(shared.clone(), contacts));
        }
        Ok(Peer::new(shared, status, tasks, keeper))
    }

    /// The clock that the peer goes by.
    fn clock(&self) -> Clock {
        let failure_timeout = self.group.failure_timeout;
        let Some(tick) = self.tokio_clock else { return Clock::system(failure_timeout) };
        let passing = self.test_clock.clone().unwrap_or_else(|| TestClock::starting_at(None));
        passing.take_in(self.group.heartbeat, failure_timeout);
        Clock::tokio(tick, passing)
    }
}

/// The things that a peer is started with, besides its settings.
struct Setup {
    model_settings: Vec<(String, String)>,
    addresses: BTreeMap<PeerName, String>,
    enlisted: Enlisted,
    listener: Option<Box<dyn Listener>>,
    store: Arc<Store>,
    opened: Option<Opened>,
    tasks: Tasks,
}

/// Refuses addresses at which plain text would be carried over a network.
async fn check_privacy(
    transport: &dyn Transport,
    listened: Option<&String>,
    dialed: impl Iterator<Item = &String>,
) -> Result<(), StartError> {
    if let Some(address) = listened {
        let is_private = transport.is_private(address).await;
        if !is_private.map_err(|source| not_bound(address, source))? {
            return Err(StartError::PlaintextOffLoopback { address: address.clone() });
        }
    }
    match addresses::first_public(transport, dialed).await {
        Some(address) => Err(StartError::PlaintextOffLoopback { address: address.clone() }),
        None => Ok(()),
    }
}

/// Listens for the others, where the tasks run that will serve them.
async fn listen_at(
    transport: Arc<dyn Transport>,
    address: String,
    tasks: &Tasks,
) -> Result<Box<dyn Listener>, StartError> {
    let own = address.clone();
    let listening = tasks.run(async move { transport.listen(&own).await }).await;
    listening.map_err(|source| not_bound(&address, source))
}

fn not_bound(address: &str, source: io::Error) -> StartError {
    StartError::Bind { address: address.to_owned(), source }
}

/// The state machine of a peer that starts.
fn machine(shared: &Shared, start: Start, is_synced: bool, now: Now) -> Machine {
    let mut group = shared.group.clone();
    if is_synced {
        // Callers wait for the next batch: it is not to wait for more of them.
        group.replication_interval = Duration::ZERO;
    }
    let config = shared.config.clone();
    Machine::new(group, config, start, shared.store.clone(), shared.model.clone(), now)
}

/// Tells what was recovered, and starts the storage thread.
fn start_storage(
    shared: &Shared,
    opened: Option<Opened>,
    settings: &Storage,
    is_clock_held: bool,
) -> Result<(Option<Keeper>, Option<Link>), StartError> {
    let Some(opened) = opened else { return Ok((None, None)) };
    if let Some(path) = &opened.found.set_aside {
        let path = path.display().to_string();
        shared.tell(Event::OlderFilesSetAside { path });
    }
    let sync = match settings {
        Storage::Disk { sync, .. } => {
            shared.tell(opened.event(&shared.store));
            *sync
        }
        Storage::Memory => SyncPolicy::EveryBatch,
    };
    let storage = opened.storage;
    let store = shared.store.clone();
    let peer = shared.name().clone();
    let is_state_only = matches!(settings, Storage::Memory);
    let setup = storage::Setup { peer, storage, store, sync, is_state_only, is_clock_held };
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
    getrandom::u64().expect("a system that starts processes has a source of randomness")
}
