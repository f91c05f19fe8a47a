//! The status of a peer: an owned snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::sync::watch;

use crate::base::id::{Generation, GroupId, Incarnation, Member, PeerName, Position, Term};
use crate::base::told::millis;
use crate::config::{Mode, StorageKind};
use crate::driver::links::reach::{LinkError, LinkErrorReason};
use crate::driver::links::refusals::Refusal;
use crate::driver::report::fill::Fill;
use crate::driver::report::peer_status::{ContactStatus, Link, PeerStatus, link_error};
use crate::driver::report::site::{Seen, SiteStatus};
use crate::driver::report::turns::Turns;
use crate::driver::report::upkeep::{Lost, MonitorStatus};
use crate::driver::shared::Shared;
use crate::protocol::{CatchUp, MachineMember, MachineStatus, PeerRole};
use crate::transport::{Certificate, Tls};

/// A snapshot of one peer and its group, as that peer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// This peer's name.
    pub name: PeerName,
    /// The group's name.
    pub group: String,
    /// The group's random id, once it is founded; at a peer that holds no state, such as a client,
    /// that of the group whose primary it follows.
    pub group_id: Option<GroupId>,
    /// This start of this peer.
    pub incarnation: Incarnation,
    /// The role of this peer.
    pub role: PeerRole,
    /// The priority by which this peer is promoted: the lowest first, and 0 never.
    pub priority: u8,
    /// The newest founding it knows of.
    pub generation: Generation,
    /// The newest reign it takes part in.
    pub term: Term,
    /// The primary, if there is one that was heard of within the failure timeout.
    pub primary: Option<PeerName>,
    /// True if this peer reaches a majority; of a primary, if its lease runs.
    pub quorum: bool,
    /// Members, reachable or not.
    pub size: usize,
    /// Them, by name.
    pub members: Vec<MemberStatus>,
    /// The place where cells live.
    pub storage: StorageKind,
    /// The state of the storage.
    pub storage_state: StorageState,
    /// The reason why it does not, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_error: Option<String>,
    /// Cells that this start has read from its directory; 0 in memory.
    pub recovered_cells: u64,
    /// The extent to which this peer uses TLS, if its transport has a say in that.
    pub tls: Option<Tls>,
    /// The certificate that it shows to others.
    pub certificate: Option<Certificate>,
    /// The conduct of a peer without a primary.
    pub mode: Mode,
    /// The exact state held here.
    pub position: Position,
    /// The number of cuts that it was behind the primary's at its last heartbeat: 0 at the primary,
    /// `None` without one, and where the two cannot be compared: no state of this generation is
    /// held, or one of an earlier reign that the primary has yet to look at. A cut is what the
    /// primary sends at a time: where callers wait for a majority as soon as one can be sent,
    /// otherwise what has changed within the replication interval.
    pub lag: Option<u64>,
    /// True if this start of this peer counts as a member: it votes, and what it holds is
    /// acknowledged. False of a restarted peer in memory until it holds what the others hold and
    /// was counted in again; always of clients.
    pub is_counted: bool,
    /// True if it has come up with the primary, keeps up with it, and acknowledges what comes; true
    /// of the primary while its lease runs. Counted *and* current is what [`Peer::wait_counted`]
    /// waits for.
    ///
    /// [`Peer::wait_counted`]: crate::Peer::wait_counted
    pub is_current: bool,
    /// True if this start of this peer has been both at some time.
    pub has_counted: bool,
    /// Units decided here, as primary, and not yet held by a majority.
    pub unreplicated_units: u64,
    /// Units decided here alone and not yet merged.
    pub overlay_units: u64,
    /// Units that would be lost if this peer died now, for good: those that only it is sure to
    /// hold, as primary or alone.
    pub unacknowledged_units: u64,
    /// The progress of the state that this peer is being brought up to date with, while it takes
    /// more than one message.
    pub catching_up: Option<CatchUp>,
    /// Cells held here, expired ones that have not been swept included.
    pub cells: usize,
    /// The most that this peer makes as primary.
    pub max_cells: usize,
    /// Memory that they are counted with, in bytes, exactly: see [`Bounds::max_bytes`].
    ///
    /// [`Bounds::max_bytes`]: crate::Bounds::max_bytes
    pub bytes: usize,
    /// The most that this peer takes for cells as primary, in bytes.
    pub max_bytes: usize,
    /// The fill of the store by those bounds; where it is watched, as of at most a heartbeat ago,
    /// as the events say.
    pub fill: Fill,
    /// For how long the primary has been silent, in milliseconds; 0 on the primary.
    pub primary_silence_ms: Option<u64>,
    /// Members that a new generation waits for: by this peer's settings
    /// ([`NewGenerations`](crate::NewGenerations)), or because a member that has restarted may have
    /// acknowledged more than is left ([`PeerBuilder::state_dir`](crate::PeerBuilder::state_dir)).
    pub waits_for: Vec<PeerName>,
    /// The number of live members that may fail before those that are left are no majority: 0
    /// where there is no primary.
    pub spare: usize,
    /// How the group looks after its members; `None` at a peer that holds no membership.
    pub monitor: Option<MonitorStatus>,
    /// At a member that reaches no majority: whom there is to wait for, and what else would help.
    pub lost: Option<Lost>,
    /// The sites, at a peer that stands at one ([`PeerBuilder::site`](crate::PeerBuilder::site)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteStatus>,
    /// Connections that came in, and what guests hold.
    pub connections: Connections,
    /// The longest turns of the event loop.
    pub turns: Turns,
    /// The other members, and whoever else is connected.
    pub peers: Vec<PeerStatus>,
    /// While this peer looks for members: the addresses at which it does
    /// ([`PeerBuilder::join`](crate::PeerBuilder::join)) and has met nobody new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactStatus>,
    /// Peers that are refused, here or there, as of the last seconds: the newest 64 of members, 16
    /// of others that have said who they are, and 16 of those who have not.
    pub refusals: Vec<Refusal>,
}

/// A member, as the state that this peer holds has it; before there is any, as its settings do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Its name.
    pub name: PeerName,
    /// The address at which it is reached, as far as this peer knows.
    pub address: String,
    /// True if the start of it that is connected, or was last, counts: it votes, and what it holds
    /// is acknowledged.
    pub is_counted: bool,
    /// For how long it has been silent, in milliseconds: this peer has no link with it, and nobody
    /// that is in reach says that it reaches it. `None` while it is there.
    pub silent_ms: Option<u64>,
    /// True if it was silent for the grace of the [`Monitor`](crate::Monitor), a minute by default.
    pub is_stale: bool,
}

/// The state of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StorageState {
    /// It takes nothing any more: this peer neither votes nor acknowledges, and forwards.
    Failed,
    /// There is none: cells live in memory.
    Memory,
    /// It does.
    Ok,
}

impl StorageState {
    fn of(shared: &Shared) -> Self {
        match (shared.group.storage, shared.storage_error.get()) {
            // What a peer in memory remembers may fail as well.
            (_, Some(_)) => Self::Failed,
            (StorageKind::Memory, None) => Self::Memory,
            (StorageKind::Disk, None) => Self::Ok,
        }
    }
}

impl MemberStatus {
    /// The members as the machine knows them; of a peer that holds no state, as it was told.
    fn all(shared: &Shared, told: &[Member], known: Vec<MachineMember>) -> Vec<Self> {
        let address = |name: &PeerName| shared.roster.address(name);
        if !told.is_empty() {
            let told = told.iter().map(|Member { name, id, .. }| Self {
                address: address(name),
                name: name.clone(),
                is_counted: id.is_some(),
                silent_ms: None,
                is_stale: false,
            });
            return told.collect();
        }
        let known = known.into_iter().map(|member| Self {
            address: address(&member.name),
            is_counted: member.is_counted,
            silent_ms: member.silence.map(millis),
            is_stale: member.is_stale,
            name: member.name,
        });
        known.collect()
    }
}

/// Connections that came in, and what guests hold: those peers at their other ends that are no
/// members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Connections {
    /// Connections that are open.
    pub open: usize,
    /// The most that are let in: `max_connections`, or less where this process may not open so many
    /// files.
    pub max: usize,
    /// Of those that are open, the ones whose handshake is not over.
    pub handshakes: usize,
    /// The most of these: `max_handshakes`.
    pub max_handshakes: usize,
    /// Of those that are open, the ones of clients, and of others that are no members.
    pub guests: usize,
    /// The most of these: what is left is for members, and for finding out who is one.
    pub max_guests: usize,
    /// Bytes that wait for guests, or that they have sent a part of.
    pub buffered_bytes: usize,
    /// Beyond this, guests that hold much are closed: `max_buffered_bytes`.
    pub max_buffered_bytes: usize,
}

impl Connections {
    fn of(shared: &Shared) -> Self {
        let [open, shaking, guests] = shared.admission.counts();
        Self {
            open: open.now,
            max: open.max,
            handshakes: shaking.now,
            max_handshakes: shaking.max,
            guests: guests.now,
            max_guests: guests.max,
            buffered_bytes: shared.buffered.bytes(),
            max_buffered_bytes: shared.config.bounds.max_buffered_bytes,
        }
    }
}

impl Status {
    /// Puts together what the machine and the rest of the driver know.
    pub(in crate::driver) fn new(shared: &Shared, machine: MachineStatus) -> Self {
        let told = shared.roster.told();
        let peer_status = |peer| PeerStatus::new(shared, &told, peer);
        let met: BTreeSet<PeerName> = machine.peers.iter().map(|peer| peer.name.clone()).collect();
        let mut peers: Vec<PeerStatus> = machine.peers.into_iter().map(peer_status).collect();
        // Of members that a joiner or client was told of, and has never been connected to, the
        // state machine does not know.
        let unmet = told.iter().filter(|m| m.name != shared.config.name && !met.contains(&m.name));
        peers.extend(unmet.map(|member| PeerStatus::of_unmet(shared, &member.name)));
        peers.sort_by(|one, other| one.name.cmp(&other.name));
        let silence = machine.primary_silence;
        let is_led = silence.is_some_and(|silence| silence < shared.group.failure_timeout);
        let site = machine.site.as_ref().map(|view| {
            let seen = Seen {
                is_blank: machine.position.is_blank(),
                is_whole: machine.members.iter().all(|member| member.is_counted),
                is_copying: machine.catching_up.is_some(),
                is_primary: machine.role == PeerRole::Primary,
                is_current: machine.is_current,
                lag: machine.lag,
                warn_after_ms: shared
                    .config
                    .site
                    .as_ref()
                    .map_or(0, |site| millis(site.warns_after())),
                is_led,
                is_across: machine
                    .primary
                    .as_ref()
                    .is_some_and(|primary| shared.roster.stands_across(primary)),
                group_time: shared.group_time().steady(),
            };
            SiteStatus::new(view, &peers, &seen, silence.map(millis), &shared.store)
        });
        let is_counted = machine.is_counted;
        if is_counted && machine.is_current {
            shared.has_counted.store(true, Ordering::Relaxed);
        }
        let members = MemberStatus::all(shared, &told, machine.members);
        let usage = shared.store.usage();
        let overlay_units = shared.overlay.units();
        Self {
            size: members.len(),
            members,
            name: shared.config.name.clone(),
            group: shared.group.group.clone(),
            group_id: machine.group_id,
            incarnation: shared.start.incarnation,
            role: machine.role,
            priority: machine.priority,
            generation: machine.ballot.generation,
            term: machine.ballot.term,
            // One that has been silent for so long is not there, whoever is yet to agree.
            primary: machine.primary.filter(|_| is_led),
            quorum: machine.quorum,
            storage: shared.group.storage,
            storage_state: StorageState::of(shared),
            storage_error: shared.storage_error.get().cloned(),
            recovered_cells: shared.recovered_cells,
            tls: shared.transport.tls(),
            certificate: shared.transport.certificate(),
            mode: shared.group.mode,
            position: machine.position,
            lag: machine.lag,
            is_counted,
            is_current: machine.is_current,
            has_counted: shared.has_counted.load(Ordering::Relaxed),
            unreplicated_units: machine.unreplicated_units,
            overlay_units,
            unacknowledged_units: machine.unreplicated_units.saturating_add(overlay_units),
            catching_up: machine.catching_up,
            cells: usage.cells,
            max_cells: usage.max_cells,
            bytes: usage.bytes,
            max_bytes: usage.max_bytes,
            fill: shared.fill.fill(),
            primary_silence_ms: silence.map(millis),
            waits_for: machine.missing,
            spare: machine.spare,
            monitor: machine.monitor.map(|status| MonitorStatus::new(status, machine.spare)),
            site,
            lost: machine.lost.map(Lost::from),
            connections: Connections::of(shared),
            turns: shared.turns.turns(shared.clock.time()),
            peers,
            contacts: ContactStatus::all(shared),
            refusals: shared.current_refusals(),
        }
    }

    /// The last one that was published, as of now.
    pub(in crate::driver) fn now(published: &watch::Receiver<Arc<Self>>, shared: &Shared) -> Self {
        let mut status = Self::clone(&published.borrow());
        status.refresh(shared);
        status
    }

    /// Brings up to date what can be read without the event loop.
    fn refresh(&mut self, shared: &Shared) {
        self.position = shared.store.position();
        self.unreplicated_units = shared.store.unreplicated_units();
        self.overlay_units = shared.overlay.units();
        self.unacknowledged_units = self.unreplicated_units.saturating_add(self.overlay_units);
        self.storage_state = StorageState::of(shared);
        self.storage_error = shared.storage_error.get().cloned();
        let usage = shared.store.usage();
        self.fill = shared.fill.fill_of(&usage);
        (self.cells, self.bytes) = (usage.cells, usage.bytes);
        self.refusals = shared.current_refusals();
        self.connections = Connections::of(shared);
        self.turns = shared.turns.turns(shared.clock.time());
        self.certificate = shared.transport.certificate();
        if let Some(site) = &mut self.site {
            site.refresh(&shared.store, shared.group_time().steady());
        }
        for peer in &mut self.peers {
            peer.differs = shared.differences.of(&peer.name);
            peer.link_error = link_error(shared, &peer.name, peer.link);
        }
        self.contacts = ContactStatus::all(shared);
        if shared.has_ended() {
            // What the event loop said last was of a peer that lived.
            self.primary = None;
            self.quorum = false;
            self.waits_for.clear();
            self.spare = 0;
            self.monitor = None;
            self.lost = None;
            self.is_current = false;
            self.lag = None;
            if let Some(site) = &mut self.site {
                site.end();
            }
            for peer in &mut self.peers {
                let ended = LinkError::without_trial(LinkErrorReason::Ended, "this peer has ended");
                (peer.link, peer.link_error) = (Link::Down, Some(ended));
            }
        }
    }
}

/// Sees the status change: at once when a role, a route or a link does, else within a tenth of a
/// heartbeat.
#[derive(Clone, Debug)]
pub struct StatusWatch {
    receiver: watch::Receiver<Arc<Status>>,
}

impl StatusWatch {
    pub(crate) fn new(mut receiver: watch::Receiver<Arc<Status>>) -> Self {
        receiver.mark_unchanged();
        Self { receiver }
    }

    /// The next status after those seen so far, or after the watch was made; `None` after the peer
    /// has been shut down or dropped. Statuses in between may be skipped, the newest never.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has seen nothing.
    pub async fn changed(&mut self) -> Option<Status> {
        self.receiver.changed().await.ok()?;
        Some(Status::clone(&self.receiver.borrow_and_update()))
    }

    /// The newest status.
    pub fn current(&self) -> Status {
        Status::clone(&self.receiver.borrow())
    }

    /// Waits for a status that `is_wanted`; `None` after the peer has been shut down or dropped.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has seen nothing.
    pub async fn wait_for(&mut self, mut is_wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        let found = self.receiver.wait_for(|status| is_wanted(status)).await.ok()?;
        Some(Status::clone(&found))
    }
}
