//! The first frames of a connection: who is there, and whether the two belong together.
//!
//! ```text
//!   dialer                          acceptor
//!     Hello ───────────────────────▶  checks
//!     checks ◀────────── Hello, verdict
//!     verdict ─────────────────────▶
//! ```
//!
//! A verdict is a `Refuse`, after which the connection is closed, or a frame of no calls. A side
//! uses the connection when it has given a good verdict and got one: so neither takes for up what
//! the other refuses. Both sides keep a refusal, with the field and both values, for their status,
//! as long as it happens again, and until a handshake with that peer succeeds. A peer that meets
//! itself, where a name leads to it as well, is nothing to refuse.
//! Whatever is not a handshake ends at once or at the deadline, and nothing is kept of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::base::event::RefusedBy;
use crate::base::id::{Incarnation, PeerKind, PeerName};
use crate::base::told::{HOLDER, printable};
use crate::driver::admin::role::Role;
use crate::driver::links::admission::Admitted;
use crate::driver::links::comparison;
use crate::driver::links::dial_error::HandshakeError;
use crate::driver::links::refusals::Refusal;
use crate::driver::links::registry::Reservation;
use crate::driver::links::roster::STRANGER;
use crate::driver::links::settings::{Difference, TLS};
use crate::driver::shared::Shared;
use crate::protocol::Standing;
use crate::protocol::io::{ADMIN_VERSION, CHANGES_VERSION};
use crate::protocol::message::Lane;
use crate::transport::{self, Protection, Stream, Tls, host, is_peer};
use crate::wire::{self, Frame, Hello, MAX_HELLO_BYTES, MIN_PROTOCOL_VERSION, Refuse, kind};

/// The field of a refusal that is about how many are connected.
const PLACES: &str = "max_connections";
/// The field of a refusal that is about what the transport has proved.
const CERTIFICATE: &str = "certificate";
/// The time that a peer which was refused may take to read why.
const PARTING: Duration = Duration::from_millis(100);

/// The side of a connection that this peer is on.
#[derive(Clone, Debug)]
pub(in crate::driver) enum Side {
    /// It has dialed `to`, whose name it may not know, for `lane`. In a search the other end may be
    /// any of those where one name leads: it is not told whom it was taken for.
    Dialer { to: Option<PeerName>, lane: Lane, is_search: bool },
    /// It has been dialed.
    Acceptor,
}

impl Side {
    /// The peer that this one has dialed, if it knows.
    fn dialed(&self) -> Option<&PeerName> {
        match self {
            Self::Dialer { to, .. } => to.as_ref(),
            Self::Acceptor => None,
        }
    }

    /// Returns true if this peer has dialed for its calls.
    fn is_for_own_calls(&self) -> bool {
        matches!(self, Self::Dialer { lane: Lane::Calls, .. })
    }
}

/// The name under which a refusal of the other end is kept.
#[derive(Clone, Debug)]
enum Other {
    /// A peer that is known by this name, or an address that this peer dials.
    Peer(String),
    /// Its host: it has given any name that it likes, or none.
    Stranger,
}

/// A connection whose handshake is done.
pub(in crate::driver) struct Agreed {
    pub(in crate::driver) stream: Stream,
    /// The bytes that have come after the handshake.
    pub(in crate::driver) buffer: BytesMut,
    pub(in crate::driver) hello: Hello,
    /// Of the name; a connection that was dialed for calls holds none, nor does one of the admin
    /// lane.
    pub(in crate::driver) reservation: Option<Reservation>,
    /// What the other end may ask, on the admin lane.
    pub(in crate::driver) role: Option<Role>,
}

/// Does the handshake of a new connection until its deadline. One that has come in has been
/// `admitted`.
pub(in crate::driver) async fn shake(
    shared: &Arc<Shared>,
    stream: Stream,
    side: Side,
    deadline: Instant,
    admitted: Option<&mut Admitted>,
) -> Result<Agreed, HandshakeError> {
    let handshake = Handshake { shared, stream, buffer: BytesMut::new(), admitted };
    let shaken = tokio::time::timeout_at(deadline, handshake.run(side)).await;
    shaken.unwrap_or(Err(HandshakeError::Timeout))
}

pub(super) struct Handshake<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) stream: Stream,
    pub(super) buffer: BytesMut,
    /// Its place here, if it has come in.
    pub(super) admitted: Option<&'a mut Admitted>,
}

impl Handshake<'_> {
    async fn run(mut self, side: Side) -> Result<Agreed, HandshakeError> {
        let hello = match &side {
            Side::Dialer { to, lane, is_search } => {
                let hello = self.hello(*lane, to.clone().filter(|_| !is_search));
                self.send(&[Frame::Hello(hello)]).await?;
                self.receive_hello(&side).await?
            }
            Side::Acceptor => {
                let hello = self.receive_hello(&side).await?;
                if hello.lane == Lane::Admin {
                    return self.let_ask(hello).await;
                }
                let own = self.hello(hello.lane, None);
                self.send(&[Frame::Hello(own)]).await?;
                hello
            }
        };
        // It has heard so itself, from this very process.
        if hello.peer == self.shared.config.name
            && hello.incarnation == self.shared.start.incarnation
        {
            return Err(HandshakeError::Oneself);
        }
        if self.passes_by(&side, &hello.peer) {
            return Err(HandshakeError::Elsewhere { found: hello.peer });
        }
        self.note_overtaken(&side, &hello);
        self.note_epoch(&side, &hello);
        let differences = differences(self.shared, &side, &hello);
        if !differences.is_empty() {
            self.note_holder(&side, &hello, false);
            self.note_met(&hello, &differences[0].field);
            return Err(self.refuse(&side, &hello, differences).await);
        }
        let reservation = self.reserve(&side, &hello).await?;
        self.settle(&hello).await?;
        let sent = self.send(&[Frame::Calls(wire::Calls::from_body(Bytes::new()))]).await;
        // Where the other side has closed already, its verdict says why.
        self.receive_verdict(&side, &hello).await?;
        sent?;
        self.forget_refusals(&hello);
        let Self { stream, buffer, .. } = self;
        Ok(Agreed { stream, buffer, hello, reservation, role: None })
    }

    /// Returns true if this end looks for another than this peer: it may be anybody where the name
    /// leads that was dialed, and whoever is linked needs no introduction.
    fn passes_by(&self, side: &Side, peer: &PeerName) -> bool {
        match side {
            Side::Dialer { to: Some(to), is_search, .. } => *is_search && to != peer,
            Side::Dialer { to: None, .. } => self.shared.registry.is_linked(peer),
            Side::Acceptor => false,
        }
    }

    /// Gives whoever has come in a place among members or guests. Who has none is told why, and
    /// tries again like anybody whose connection has ended.
    async fn settle(&mut self, hello: &Hello) -> Result<(), HandshakeError> {
        let is_member = self.shared.roster.is_member(&hello.peer);
        // Whose certificate says that it may become one.
        let is_to_be = hello.kind == PeerKind::Joiner && self.stream.proof.is_some();
        let Some(admitted) = &mut self.admitted else { return Ok(()) };
        let guest = Some(&hello.peer).filter(|_| !is_member && !is_to_be);
        let Err(full) = admitted.settle(guest) else { return Ok(()) };
        let theirs = "no member".to_owned();
        self.part(Refuse { field: PLACES.to_owned(), ours: full.to_string(), theirs }).await;
        Err(full.into())
    }

    /// Keeps the name of the other end for it. Not for calls of this peer: that handshake is done
    /// on the embedder's runtime, which may stop in the middle of it. There has to be a link
    /// already.
    async fn reserve(
        &mut self,
        side: &Side,
        hello: &Hello,
    ) -> Result<Option<Reservation>, HandshakeError> {
        let registry = &self.shared.registry;
        let peer = &hello.peer;
        let incarnation = hello.incarnation;
        if side.is_for_own_calls() {
            let is_linked = registry.is_held_by(peer, incarnation);
            let unlinked = || HandshakeError::Unlinked { peer: peer.clone(), incarnation };
            return if is_linked { Ok(None) } else { Err(unlinked()) };
        }
        // A restarted peer may be back before the end of its old connections is noticed.
        let patience = (self.shared.group.failure_timeout / 8).min(Duration::from_millis(250));
        match registry.reserve(peer, incarnation, patience).await {
            Ok(reservation) => Ok(Some(reservation)),
            Err(holder) => {
                let ours = format!("{HOLDER} (incarnation {holder})");
                let theirs = format!("{peer} (incarnation {incarnation})");
                let differences = vec![Difference::new("peer", ours, theirs)];
                Err(self.refuse(side, hello, differences).await)
            }
        }
    }

    /// Holds the name that the other end gives against what the transport has proved of it.
    async fn check_proof(&mut self, side: &Side, hello: &Hello) -> Result<(), HandshakeError> {
        let Some(proof) = &self.stream.proof else { return Ok(()) };
        let claim = self.shared.roster.claim(&hello.peer, hello.kind);
        if proof.is_of(claim) {
            return Ok(());
        }
        let field = CERTIFICATE.to_owned();
        let ours = proof.wanted(claim);
        let theirs = printable(&proof.certificate().to_string());
        let what = Refuse { field: field.clone(), ours: ours.clone(), theirs: theirs.clone() };
        self.part(what.clone()).await;
        let theirs = format!("{theirs}, as {}", hello.peer);
        let refuse = Refuse { theirs: theirs.clone(), ..what };
        self.keep(self.caller(side), None, refuse, RefusedBy::Us);
        Err(HandshakeError::Refused { field, ours, theirs })
    }

    /// The other end, by what this end knows of itself: whom it has dialed, or a host.
    fn caller(&self, side: &Side) -> Other {
        match side {
            Side::Dialer { to: Some(to), .. } => Other::Peer(to.to_string()),
            Side::Dialer { to: None, .. } => Other::Peer(self.stream.peer_address.clone()),
            Side::Acceptor => Other::Stranger,
        }
    }

    /// The other end, by its `Hello`: whoever has proved nothing has a name of its own
    /// choice, which counts where this peer knows it anyway.
    fn other(&self, side: &Side, hello: &Hello) -> Other {
        let is_proven = self.stream.proof.is_some();
        let is_dialed = matches!(side, Side::Dialer { to: Some(to), .. } if *to == hello.peer);
        if is_proven || is_dialed || self.shared.roster.is_known(hello.peer.as_str()) {
            Other::Peer(hello.peer.to_string())
        } else {
            self.caller(side)
        }
    }

    /// Whoever it was refused as, it is let in now.
    fn forget_refusals(&self, hello: &Hello) {
        let refusals = &self.shared.refusals;
        let address = &self.stream.peer_address;
        for name in [hello.peer.as_str(), address, host(address)] {
            refusals.forget(name);
        }
    }

    pub(super) fn hello(&self, lane: Lane, to: Option<PeerName>) -> Hello {
        let shared = self.shared;
        // One of the first version says nothing of this.
        let is_new = shared.version >= CHANGES_VERSION;
        Hello {
            versions: (MIN_PROTOCOL_VERSION, shared.version),
            group: shared.group.group.clone(),
            peer: shared.config.name.clone(),
            incarnation: shared.start.incarnation,
            lane,
            to,
            settings: shared.settings.clone(),
            fingerprint: shared.fingerprint,
            started_ms: shared.started_ms,
            model_settings: shared.model_settings.clone(),
            id: shared.id,
            succession: shared.succession,
            address: Some(shared.config.address.clone()).filter(|_| is_new).unwrap_or_default(),
            kind: if is_new { shared.config.kind } else { PeerKind::Member },
            has_state: is_new && shared.roster.has_state(),
            tls: shared.transport.tls().map(|tls| tls.to_string()).unwrap_or_default(),
            site: shared.config.site.as_ref().map(|s| s.name().to_owned()).unwrap_or_default(),
            site_epoch: shared.site_epoch(),
            standing: if is_new { shared.standing() } else { Standing::default() },
        }
    }

    pub(super) async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        for frame in frames {
            wire::encode(frame, &mut bytes);
        }
        self.stream.writer.write_all(&bytes).await?;
        self.stream.writer.flush().await
    }

    pub(super) async fn receive(&mut self) -> Result<(u8, Bytes), HandshakeError> {
        loop {
            if self.is_tls() {
                return Err(self.refuse_tls().await);
            }
            if let Some(frame) = wire::split(&mut self.buffer, MAX_HELLO_BYTES)? {
                return Ok(frame);
            }
            if self.stream.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Returns true if the other end talks TLS, to a peer that does not.
    fn is_tls(&self) -> bool {
        let header = self.buffer.first_chunk::<{ transport::HEADER_BYTES }>();
        let is_encrypted = self.stream.protection == Protection::Tls;
        !is_encrypted && header.is_some_and(|header| transport::is_tls(*header))
    }

    /// Tells an end that wants TLS, in plain text, that this peer does not use it.
    async fn refuse_tls(&mut self) -> HandshakeError {
        let ours = self.shared.transport.tls().unwrap_or(Tls::Off).to_string();
        let field = TLS.to_owned();
        let theirs = "permissive or required".to_owned();
        let refuse = Refuse { field: field.clone(), ours: ours.clone(), theirs: theirs.clone() };
        self.part(refuse).await;
        let address = self.stream.peer_address.clone();
        let peer = host(&address).to_owned();
        let at_ms = self.shared.clock.wall_ms();
        let by = RefusedBy::Us;
        self.shared.refused_stranger(Refusal { peer, address, field, ours, theirs, at_ms, by });
        HandshakeError::Tls
    }

    async fn receive_hello(&mut self, side: &Side) -> Result<Hello, HandshakeError> {
        let (kind, body) = self.receive().await?;
        match wire::decode(kind, body)? {
            // It is no peer, and shows in another way that it may ask.
            Frame::Hello(hello) if hello.lane == Lane::Admin => match side {
                Side::Acceptor if self.shared.version >= ADMIN_VERSION => Ok(hello),
                _ => Err(HandshakeError::Unexpected { kind }),
            },
            Frame::Hello(hello) => {
                // Whoever is not whom it says to be is told nothing of this group.
                let proven = self.check_proof(side, &hello).await;
                if proven.is_err() {
                    self.shared.note_unheard(side.dialed(), CERTIFICATE);
                }
                proven.map(|()| hello)
            }
            Frame::Refuse(refuse) => match self.caller(side) {
                Other::Stranger => Err(HandshakeError::Unexpected { kind }),
                dialed => {
                    self.shared.note_unheard(side.dialed(), &refuse.field);
                    Err(self.refused_by_them(dialed, None, refuse))
                }
            },
            _ => Err(HandshakeError::Unexpected { kind }),
        }
    }

    async fn receive_verdict(&mut self, side: &Side, hello: &Hello) -> Result<(), HandshakeError> {
        let (kind, body) = self.receive().await?;
        match kind {
            kind::CALLS if body.is_empty() => Ok(()),
            kind::REFUSE => match wire::decode(kind, body)? {
                Frame::Refuse(refuse) => {
                    self.note_holder(side, hello, refuse.field == STRANGER);
                    self.note_spurned(side, hello, &refuse.field);
                    self.note_met(hello, &refuse.field);
                    let start = Some(hello.incarnation);
                    Err(self.refused_by_them(self.other(side, hello), start, refuse))
                }
                _ => Err(HandshakeError::Unexpected { kind }),
            },
            kind => Err(HandshakeError::Unexpected { kind }),
        }
    }

    /// Returns true if the other end is the peer that it says, as far as that can be told, and may
    /// be a member: whoever only uses the group has nothing to say of who belongs to it.
    fn is_sure_of(&self, side: &Side, hello: &Hello) -> bool {
        let Hello { peer, kind, .. } = hello;
        let is_proven = match &self.stream.proof {
            Some(proof) => is_peer(&**proof, peer),
            None => {
                side.dialed() == Some(peer)
                    || self.shared.roster.is_at(peer, &self.stream.peer_address)
            }
        };
        is_proven && *kind != PeerKind::Client
    }

    /// Notes that a peer which holds a state refuses this one as no member: it may have been
    /// counted out.
    fn note_spurned(&self, side: &Side, hello: &Hello, field: &str) {
        let is_client = self.shared.config.kind == PeerKind::Client;
        if field == STRANGER && hello.has_state && !is_client && self.is_sure_of(side, hello) {
            self.shared.note_spurned(&hello.peer, &hello.standing);
        }
    }

    /// Notes that one which this peer's list does not count is of a newer generation.
    fn note_overtaken(&self, side: &Side, hello: &Hello) {
        let roster = &self.shared.roster;
        if self.is_sure_of(side, hello) && roster.is_overtaken_by(&self.shared.standing(), hello) {
            self.shared.note_overtaken(&hello.standing);
        }
    }

    /// Notes one that knows of a later site epoch of this peer's history, of either site: before
    /// anything else is compared, for whoever is refused for a setting has been promoted all the
    /// same.
    fn note_epoch(&self, side: &Side, hello: &Hello) {
        let shared = self.shared;
        if hello.site_epoch <= shared.site_epoch() || !self.is_sure_of(side, hello) {
            return;
        }
        let roster = &shared.roster;
        // Whoever asks to join, or calls, says nothing of that.
        let is_across = roster.is_across(hello) && hello.kind == PeerKind::Member;
        let is_of_two = is_across || roster.members().contains(&hello.peer);
        if is_of_two && shared.standing().is_kin_of(&hello.standing) {
            shared.note_epoch(&hello.peer, hello.site_epoch);
        }
    }

    /// Notes a peer that holds a state and cannot be linked with, whoever refuses whom: one of this
    /// peer's list, one that has gone further in the history of this peer and may have come to the
    /// group since, or one of a group that lives and does not count this peer. Whoever gives a name
    /// that this peer has neither dialed nor seen a proof of may be anybody, unless it comes from
    /// where that name is reached: in plain text there is no more to go by, and the holder may be
    /// the only one of the two that can dial.
    fn note_holder(&self, side: &Side, hello: &Hello, is_spurned: bool) {
        let is_holder = hello.has_state && self.is_sure_of(side, hello);
        let is_its_concern = || {
            if self.shared.roster.members().contains(&hello.peer) {
                return true;
            }
            let own = self.shared.standing();
            // The list of one that has no state may be older than the group's.
            let is_unsure = own.position.is_blank() && self.shared.config.kind == PeerKind::Member;
            is_unsure || own.gives_way_to(&hello.standing)
        };
        if is_holder && (is_spurned || is_its_concern()) {
            let position = hello.standing.position;
            self.shared.note_holder(Some(position).filter(|position| !position.is_blank()));
        }
    }

    /// Notes that a peer of this group is there which cannot be linked with.
    fn note_met(&self, hello: &Hello, field: &str) {
        let is_of_group = hello.group == self.shared.group.group;
        if is_of_group && hello.kind != PeerKind::Client && hello.peer != self.shared.config.name {
            self.shared.note_met(&hello.peer, field);
        }
    }

    /// Tells the other side why, and keeps all differences.
    async fn refuse(
        &mut self,
        side: &Side,
        hello: &Hello,
        differences: Vec<Difference>,
    ) -> HandshakeError {
        let Some(Difference { field, ours, theirs }) = differences.first().cloned() else {
            return HandshakeError::Timeout;
        };
        // The first difference is enough for the other side: it finds the others by itself.
        let refuse = Refuse { field: field.clone(), ours: ours.clone(), theirs: theirs.clone() };
        self.part(refuse).await;
        self.hear_verdict(side, hello);
        let other = self.other(side, hello);
        for Difference { field, ours, theirs } in differences {
            let start = Some(hello.incarnation);
            self.keep(other.clone(), start, Refuse { field, ours, theirs }, RefusedBy::Us);
        }
        HandshakeError::Refused { field, ours, theirs }
    }

    /// Takes the verdict of an end that is refused itself: that it counts this peer out is to be
    /// heard, whatever else differs.
    fn hear_verdict(&mut self, side: &Side, hello: &Hello) {
        let Ok(Some((kind, body))) = wire::split(&mut self.buffer, MAX_HELLO_BYTES) else { return };
        if kind == kind::REFUSE
            && let Ok(Frame::Refuse(refuse)) = wire::decode(kind, body)
        {
            self.note_spurned(side, hello, &refuse.field);
        }
    }

    /// Says why, and closes.
    pub(super) async fn part(&mut self, refuse: Refuse) {
        // Whether the other side hears why makes no difference here.
        let _ = self.send(&[Frame::Refuse(refuse)]).await;
        let _ = self.stream.writer.shutdown().await;
        // What is closed with something unread in it may take the refusal with it.
        let _ = tokio::time::timeout(PARTING, self.read_to_end()).await;
    }

    /// Reads what a peer that was refused still sends, and keeps no more of it than a verdict.
    async fn read_to_end(&mut self) -> io::Result<()> {
        loop {
            if self.buffer.len() > MAX_HELLO_BYTES {
                self.buffer.clear();
            }
            if self.stream.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Keeps why the other side does not want this connection; its `ours` are `theirs` here.
    fn refused_by_them(
        &self,
        other: Other,
        start: Option<Incarnation>,
        refuse: Refuse,
    ) -> HandshakeError {
        let what = refuse.told_here();
        let Refuse { field, ours, theirs } = what.clone();
        self.keep(other, start, what, RefusedBy::Them);
        HandshakeError::Refused { field, ours, theirs }
    }

    /// `start` is the one that the other end has given.
    fn keep(&self, other: Other, start: Option<Incarnation>, refuse: Refuse, by: RefusedBy) {
        let Refuse { field, ours, theirs } = refuse;
        let address = self.stream.peer_address.clone();
        let at_ms = self.shared.clock.wall_ms();
        let refusal =
            |peer| Refusal { peer, address: address.clone(), field, ours, theirs, at_ms, by };
        match other {
            Other::Peer(peer) => self.shared.refused_start(refusal(peer), start),
            Other::Stranger => self.shared.refused_stranger(refusal(host(&address).to_owned())),
        };
    }
}

/// All that does not fit, the most telling first.
fn differences(shared: &Shared, side: &Side, hello: &Hello) -> Vec<Difference> {
    let own = &shared.config.name;
    let (oldest, newest) = hello.versions;
    if oldest > shared.version || newest < MIN_PROTOCOL_VERSION {
        let ours = format!("{MIN_PROTOCOL_VERSION} to {}", shared.version);
        return vec![Difference::new("version", ours, format!("{oldest} to {newest}"))];
    }
    if hello.group != shared.group.group {
        return vec![Difference::new("group", &shared.group.group, &hello.group)];
    }
    if hello.peer == *own {
        let ours = format!("{own} (incarnation {})", shared.start.incarnation);
        let theirs = format!("{} (incarnation {})", hello.peer, hello.incarnation);
        return vec![Difference::new("peer", ours, theirs)];
    }
    let mut differences = Vec::new();
    if hello.to.as_ref().is_some_and(|to| to != own) {
        let to = hello.to.as_ref().map_or("", PeerName::as_str);
        differences.push(Difference::new("to", own, to));
    }
    if let Side::Dialer { to: Some(to), .. } = side
        && hello.peer != *to
    {
        differences.push(Difference::new("to", to, &hello.peer));
    }
    differences.extend(shared.roster.site_difference(hello));
    let refused = comparison::refused(shared, hello);
    // Whoever holds data and is no member any more hears that, whatever else differs.
    if (differences.is_empty() && refused.is_empty()) || hello.has_state {
        differences.extend(shared.roster.stranger(&shared.standing(), hello));
    }
    differences.extend(refused);
    differences
}
