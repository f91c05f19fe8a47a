//! The things that all tasks of one peer share.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::clock::{Alarm, Clock};
use crate::admin::Responders;
use crate::base::error::{
    ArrangeError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::event::{Event, RefusedBy};
use crate::base::forced::Forced;
use crate::base::id::{Incarnation, MemberId, PeerName, PeerStart, Position};
use crate::base::telling::Chain;
use crate::base::told::{MEMBERS, printable};
use crate::config::{Acknowledge, Consent, GroupConfig, Mode, MonitorChange, PeerConfig};
use crate::driver::calls::decider::Decider;
use crate::driver::calls::expiry::Expiry;
use crate::driver::calls::routing::Routing;
use crate::driver::calls::waiters::Waiters;
use crate::driver::links::admission::{Admission, files};
use crate::driver::links::buffered::Buffered;
use crate::driver::links::inbox::Inboxes;
use crate::driver::links::reach::Reach;
use crate::driver::links::refusals::{About, PATIENCE, Refusal, Refusals};
use crate::driver::links::registry::Registry;
use crate::driver::links::roster::{NAME, Roster, STRANGER};
use crate::driver::links::settings::Differences;
use crate::driver::report::allowance::Allowance;
use crate::driver::report::certificates;
use crate::driver::report::events::{Cause, EventLog};
use crate::driver::report::fill::FillWatch;
use crate::driver::report::journal::{self, LINKS};
use crate::driver::report::tally::Tally;
use crate::driver::report::turns::TurnWatch;
use crate::model::Model;
use crate::protocol::Standing;
use crate::protocol::io::Succession;
use crate::session::budget::Budget;
use crate::store::{Overlay, Store};
use crate::transport::{Transport, Unwanted};
use crate::wire::MergeReply;

/// Events that guests cause and that are told at once: all clients of a large group may restart
/// together.
const GUEST_EVENTS: u32 = 256;
/// The time after which one more is told then.
const GUEST_EVENT_PAUSE: Duration = Duration::from_millis(250);

/// What is to become of the sites.
#[derive(Clone, Debug)]
pub(crate) enum SiteChange {
    /// This peer's decides, of a group that has had one.
    Activate,
    /// The one that decides gives that up.
    Demote,
    /// The two change places.
    Switch,
    /// This peer's decides, and this peer is its primary.
    Promote(Consent),
}

/// A request to the event loop.
#[derive(Debug)]
pub(super) enum Command {
    /// Hand over.
    Switch {
        to: Option<PeerName>,
        reply: oneshot::Sender<Result<PeerName, SwitchError>>,
    },
    /// Count a member out.
    Remove {
        peer: PeerName,
        reply: oneshot::Sender<Result<(), RemoveError>>,
    },
    /// Decide by another policy.
    ChangePolicy {
        change: Bytes,
        reply: oneshot::Sender<Result<u64, PolicyError>>,
    },
    /// Look after the members in another way.
    Arrange {
        change: MonitorChange,
        reply: oneshot::Sender<Result<u64, ArrangeError>>,
    },
    /// Be the site that decides.
    Site {
        change: SiteChange,
        reply: oneshot::Sender<Result<(), SiteError>>,
    },
    /// Be primary without members that are gone for good.
    Force {
        gone: BTreeSet<PeerName>,
        reply: oneshot::Sender<Result<Forced, ForceError>>,
    },
    /// Another peer has refused this one as no member.
    RefusedAsStranger {
        by: PeerName,
        standing: Standing,
    },
    /// One that is no member stands in a newer generation of this peer's history.
    Overtaken {
        by: Standing,
    },
    EpochMet {
        by: PeerName,
        site_epoch: u64,
    },
    /// Be promoted by this priority.
    SetPriority(u8),
    /// A member that holds a state, or may hold one, is there and no link with it comes about.
    HolderMet {
        position: Option<Position>,
    },
    /// Somebody has given its name in a handshake, and no link has come of it.
    Met {
        peer: PeerName,
        refused_for: Option<String>,
    },
    /// Found a new group.
    Found,
    /// The primary has answered a merge.
    Merged {
        from: PeerStart,
        reply: MergeReply,
    },
}

/// See the module's documentation.
pub(crate) struct Shared {
    pub(super) group: GroupConfig,
    pub(super) config: PeerConfig,
    /// This peer, as who decides.
    pub(super) decider: Decider,
    pub(super) roster: Roster,
    pub(super) is_plaintext_allowed: bool,
    /// True if nobody may ask over the admin lane.
    pub(super) is_admin_closed: bool,
    /// Whoever answers what is asked over it and is not the peer's own.
    pub(super) responders: Responders,
    /// This start of this peer.
    pub(super) start: PeerStart,
    /// The newest version of the protocol that this peer speaks.
    pub(super) version: u32,
    /// The id by which this peer is counted.
    pub(super) id: MemberId,
    /// The start of its storage.
    pub(super) succession: Succession,
    /// The write that a caller waits for: what the group's settings ask for, or more if this peer
    /// is to answer for nothing that a loss of power may take back.
    pub(super) answers_after: Acknowledge,
    pub(super) started_ms: u64,
    /// The newest site epoch that this peer knows to have begun.
    pub(super) site_epoch: AtomicU64,
    pub(super) settings: Vec<(String, String)>,
    pub(super) fingerprint: u64,
    pub(super) model_settings: Vec<(String, String)>,
    pub(super) model: Arc<dyn Model>,
    pub(super) store: Arc<Store>,
    pub(super) overlay: Overlay,
    pub(super) clock: Clock,
    pub(super) transport: Arc<dyn Transport>,
    _enlisted: Enlisted,
    pub(super) registry: Arc<Registry>,
    pub(super) routing: Routing,
    pub(super) waiters: Waiters,
    pub(super) budget: Arc<Budget>,
    pub(super) events: EventLog,
    /// Events that guests may cause.
    guest_events: Mutex<Allowance>,
    pub(super) reach: Reach,
    pub(super) refusals: Refusals,
    pub(super) differences: Differences,
    pub(super) admission: Arc<Admission>,
    pub(super) buffered: Arc<Buffered>,
    pub(super) certificate_expiry: certificates::Expiry,
    pub(super) fill: FillWatch,
    pub(super) tally: Tally,
    pub(super) turns: TurnWatch,
    pub(super) inboxes: Inboxes,
    pub(super) commands: mpsc::Sender<Command>,
    /// The store has changes that its replicas lack.
    pub(super) changed: Notify,
    /// It is about to end, and is to be promoted by nobody.
    pub(super) is_aside: AtomicBool,
    /// The registry has changed, or a deadline was announced.
    pub(super) attention: Arc<Notify>,
    /// The time when the event loop next looks for callers whose deadline has come.
    pub(super) expiry: Expiry,
    /// The reason why the storage takes nothing any more.
    pub(super) storage_error: OnceLock<String>,
    /// Cells that were read at the start.
    pub(super) recovered_cells: u64,
    /// True if this start has counted, and kept up with the primary, at some time.
    pub(super) has_counted: AtomicBool,
    /// Whether it was asked to leave, here or over the admin lane.
    pub(super) is_to_leave: AtomicBool,
    is_shut_down: AtomicBool,
    /// True if nothing of this peer goes on any more.
    pub(super) is_ended: AtomicBool,
}

/// A transport that has taken this peer on; it lets the peer go when this is dropped.
pub(super) struct Enlisted {
    pub(super) transport: Arc<dyn Transport>,
    own: PeerName,
}

impl Enlisted {
    /// Has a transport take a peer on.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub(super) fn new(transport: Arc<dyn Transport>, own: &PeerName) -> io::Result<Self> {
        transport.enlist(own)?;
        Ok(Self { transport, own: own.clone() })
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.transport.dismiss(&self.own);
    }
}

/// The parts that [`Shared`] is made of; the rest is made by it.
pub(super) struct Parts {
    pub(super) group: GroupConfig,
    pub(super) config: PeerConfig,
    pub(super) addresses: BTreeMap<PeerName, String>,
    /// The addresses at which members are looked for whose names are not known.
    pub(super) contacts: Vec<String>,
    pub(super) is_plaintext_allowed: bool,
    pub(super) is_admin_closed: bool,
    pub(super) incarnation: Incarnation,
    pub(super) id: MemberId,
    pub(super) succession: Succession,
    pub(super) version: u32,
    pub(super) answers_after: Acknowledge,
    /// With what was recovered.
    pub(super) store: Arc<Store>,
    pub(super) model: Arc<dyn Model>,
    pub(super) model_settings: Vec<(String, String)>,
    pub(super) clock: Clock,
    pub(super) enlisted: Enlisted,
    pub(super) inboxes: Inboxes,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { group, config, addresses, incarnation, model, clock, enlisted, .. } = parts;
        let bounds = config.bounds;
        let attention = Arc::new(Notify::new());
        let registry = Arc::new(Registry::new(attention.clone()));
        let budget = Arc::new(Budget::new(bounds.max_waiting_calls));
        let has_sockets = enlisted.transport.has_tcp_addresses();
        let admission = Admission::new(&bounds, has_sockets.then(files).flatten());
        admission.tell_if_few(&config.name, bounds.max_connections);
        let now = clock.now();
        let store = parts.store.clone();
        clock.set_alarm(Alarm { store, attention: attention.clone() });
        Self {
            decider: Decider::of(&config.name),
            start: PeerStart::new(config.name.clone(), incarnation),
            version: parts.version,
            settings: group.settings(),
            fingerprint: group.fingerprint(),
            model_settings: parts.model_settings,
            started_ms: clock.wall_ms(),
            site_epoch: AtomicU64::new(0),
            recovered_cells: parts.store.cells() as u64,
            store: parts.store,
            id: parts.id,
            succession: parts.succession,
            answers_after: parts.answers_after,
            storage_error: OnceLock::new(),
            overlay: Overlay::new(bounds.max_overlay_keys),
            registry,
            routing: Routing::new(clock.skipping_none(now.time), now.wall.after(clock.skipped())),
            waiters: Waiters::new(budget.clone()),
            budget,
            events: EventLog::new(bounds.max_events),
            guest_events: Mutex::new(Allowance::new(GUEST_EVENTS, GUEST_EVENT_PAUSE)),
            reach: Reach::new(&parts.contacts),
            refusals: Refusals::default(),
            differences: Differences::default(),
            admission: Arc::new(admission),
            buffered: Arc::new(Buffered::new(&bounds)),
            certificate_expiry: certificates::Expiry::default(),
            fill: FillWatch::default(),
            tally: Tally::default(),
            turns: TurnWatch::default(),
            inboxes: parts.inboxes,
            commands: parts.commands,
            changed: Notify::new(),
            expiry: Expiry::new(attention.clone()),
            attention,
            has_counted: AtomicBool::new(false),
            is_to_leave: AtomicBool::new(false),
            is_shut_down: AtomicBool::new(false),
            is_aside: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            group,
            roster: Roster::new(&config, addresses),
            is_plaintext_allowed: parts.is_plaintext_allowed,
            is_admin_closed: parts.is_admin_closed,
            responders: Responders::default(),
            config,
            model,
            clock,
            transport: enlisted.transport.clone(),
            _enlisted: enlisted,
        }
    }

    pub(crate) fn is_relaxed(&self) -> bool {
        self.group.mode == Mode::Relaxed
    }

    /// Tells the embedder.
    pub(super) fn tell(&self, event: Event) {
        self.tally.note(&event);
        let cause = match event.passing() {
            Some(peer) if !self.roster.is_known(peer) => Cause::Guest,
            _ => Cause::Group,
        };
        if cause == Cause::Guest && !self.guest_events.lock().take(self.clock.coarse()) {
            self.tally.events_omitted.add(1);
            return;
        }
        journal::log(&self.config.name, &self.group.group, &event);
        self.events.push(self.clock.wall_ms(), event, cause);
    }

    /// Notes that a peer was refused, here or there, which has said who it is; returns whether it
    /// is time to tell of it.
    pub(super) fn refused(&self, refusal: Refusal) -> bool {
        self.refused_start(refusal, None)
    }

    /// Notes that this start of a peer was refused, if it is known which; otherwise like
    /// [`Shared::refused`].
    pub(super) fn refused_start(&self, refusal: Refusal, start: Option<Incarnation>) -> bool {
        let is_member = self.roster.is_known(&refusal.peer);
        let about = if is_member { About::Member } else { About::Guest };
        self.note_refusal(refusal, about, start)
    }

    /// Notes that somebody was refused who has proved nothing; returns whether it is time to tell
    /// of it.
    pub(super) fn refused_stranger(&self, refusal: Refusal) -> bool {
        self.note_refusal(refusal, About::Stranger, None)
    }

    fn note_refusal(&self, refusal: Refusal, about: About, start: Option<Incarnation>) -> bool {
        let event = self.refusals.record(refusal, about, start, self.clock.time());
        event.map(|event| self.tell(event)).is_some()
    }

    /// The refusals that go on.
    pub(super) fn current_refusals(&self) -> Vec<Refusal> {
        // The pause before a try, and what one may take; what the state machine finds comes with
        // heartbeats.
        let tries = (self.handshake_timeout() * 2).max(self.group.heartbeat * 3);
        self.refusals.all(self.clock.time().before(tries + PATIENCE))
    }

    /// Notes that a transport does not want whom it has found at an address, or the other way
    /// round.
    pub(super) fn note_unwanted(
        &self,
        peer: String,
        address: &str,
        error: &io::Error,
        keep: fn(&Self, Refusal) -> bool,
    ) {
        let Some(unwanted) = Unwanted::of(error) else { return };
        let Unwanted { field, ours, theirs, by, .. } = unwanted;
        let refusal = Refusal {
            peer: peer.clone(),
            address: address.to_owned(),
            field: (*field).to_owned(),
            ours: printable(ours),
            theirs: printable(theirs),
            at_ms: self.clock.wall_ms(),
            by: *by,
        };
        if keep(self, refusal) {
            tracing::warn!(
                target: LINKS,
                peer = %self.config.name,
                about = peer,
                address,
                error = %journal::plain(Chain(error)),
                "is not connected: one end does not want what the other shows"
            );
        }
    }

    /// Returns true if an address that was learned from others must not be dialed. Names are looked
    /// at when they are listened on, at the peer that does.
    pub(super) async fn is_plaintext_refused(&self, address: &str) -> bool {
        let is_literal = address.parse::<std::net::SocketAddr>().is_ok();
        is_literal
            && !self.is_plaintext_allowed
            && !self.transport.is_private(address).await.unwrap_or(true)
    }

    /// Notes a difference that the state machine has found.
    pub(super) fn mismatch(&self, peer: String, field: String, ours: String, theirs: String) {
        let address = self.roster.address(&PeerName::from(peer.as_str()));
        let at_ms = self.clock.wall_ms();
        let by = RefusedBy::Us;
        self.refused(Refusal { peer, address, field, ours, theirs, at_ms, by });
    }

    /// Notes that a member that holds a state is there, and no link with it comes about: nothing is
    /// to be founded past it. `position` is the state that it says it holds.
    pub(super) fn note_holder(&self, position: Option<Position>) {
        // It is met again soon.
        let _ = self.commands.try_send(Command::HolderMet { position });
    }

    /// Notes that a member was dialed and could not be asked, for the two refuse each other over
    /// `field`: it may hold a state.
    pub(super) fn note_unheard(&self, dialed: Option<&PeerName>, field: &str) {
        if let Some(peer) = dialed.filter(|peer| self.roster.members().contains(peer)) {
            self.note_holder(None);
            self.note_met(peer, field);
        }
    }

    /// Notes that a peer of this group is there, and no link with it comes about over `field`. In
    /// plain text anybody may say so: nobody is forgotten for that, which does no harm.
    pub(super) fn note_met(&self, peer: &PeerName, field: &str) {
        let is_apart =
            [STRANGER, NAME, MEMBERS, "max_connections", "group", "peer", "to"].contains(&field);
        let refused_for = (!is_apart).then(|| printable(field));
        // It is met again soon.
        let _ = self.commands.try_send(Command::Met { peer: peer.clone(), refused_for });
    }

    /// Notes that a peer which stands there refuses this one as no member.
    pub(super) fn note_spurned(&self, by: &PeerName, standing: &Standing) {
        let (by, standing) = (by.clone(), standing.clone());
        // It is refused again soon.
        let _ = self.commands.try_send(Command::RefusedAsStranger { by, standing });
    }

    /// Notes that a newer generation has passed this peer over.
    pub(super) fn note_overtaken(&self, by: &Standing) {
        // It is met again soon.
        let _ = self.commands.try_send(Command::Overtaken { by: by.clone() });
    }

    /// A later site epoch of this peer's history was met.
    pub(super) fn note_epoch(&self, by: &PeerName, site_epoch: u64) {
        // Another handshake comes, if this is lost.
        let _ = self.commands.try_send(Command::EpochMet { by: by.clone(), site_epoch });
    }

    /// The newest site epoch that this peer knows to have begun.
    pub(super) fn site_epoch(&self) -> u64 {
        self.site_epoch.load(Ordering::Acquire)
    }

    pub(super) fn set_site_epoch(&self, site_epoch: u64) {
        self.site_epoch.store(site_epoch, Ordering::Release);
    }

    /// The standing of this peer at present.
    pub(super) fn standing(&self) -> Standing {
        Standing::new(self.store.position(), &self.store.meta())
    }

    /// The time that a connection may take until its handshake is done.
    pub(super) fn handshake_timeout(&self) -> Duration {
        (self.group.failure_timeout / 2).min(Duration::from_secs(5))
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::Acquire)
    }

    /// Notes that from here on nothing is decided here.
    pub(crate) fn set_shut_down(&self) {
        self.is_shut_down.store(true, Ordering::Release);
    }
}
