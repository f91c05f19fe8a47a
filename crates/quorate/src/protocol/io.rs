//! The contract of the state machine: what goes in and what comes out.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use crate::base::error::{
    ArrangeError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::event::Event;
use crate::base::forced::Forced;
use crate::base::id::{
    Ballot, Incarnation, MemberId, PeerKind, PeerName, PeerStart, Position, Sequence,
};
use crate::protocol::group::standing::Standing;
use crate::protocol::message::{Arrangement, Message};
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::Staged;

/// What must not be forgotten: it lasts before a message that depends on it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest ballot that this peer takes part in: nothing older is acknowledged or voted in.
    pub ballot: Ballot,
    /// Whom it voted for in that ballot.
    pub voted_for: Option<PeerName>,
    /// Of a peer in memory: nothing later was acknowledged by it. Blank if it never was.
    pub acknowledged: Position,
}

/// What a start of a peer has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Drawn at random.
    pub incarnation: Incarnation,
    /// What the peer is counted by: what its storage says, or the incarnation.
    pub id: MemberId,
    /// Feeds the random delays of elections.
    pub seed: u64,
    /// What the storage remembers; `None` without one. The store holds what it has kept.
    pub kept: Option<Kept>,
    /// See [`Succession`].
    pub succession: Succession,
}

/// Which start of a storage this is, and whose end it proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Succession {
    /// Names this start: of the storage, on this start of the machine. `None` in memory, and of a
    /// peer that does not say.
    pub start: Option<u64>,
    /// The start before this one, which is known to have ended: the storage that only one process
    /// can hold has passed from it to this one on the same machine, which was not started anew
    /// since.
    pub succeeded: Option<u64>,
}

impl Succession {
    /// Returns true if this start proves that another, of the same id, has ended: that one by name.
    /// A start between the two may have been on another machine than the first, which lives on.
    pub fn proves_end_of(&self, other: &Self) -> bool {
        self.succeeded.is_some() && self.succeeded == other.start
    }
}

/// What a peer's storage remembers of earlier starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What was saved last.
    pub hard: HardState,
    /// Whether there was an earlier start under this id: it may have promised what is not
    /// remembered.
    pub is_restart: bool,
    /// Whether cells are not stored: the peer lives in memory.
    pub is_state_only: bool,
}

impl Start {
    /// A start in memory: it remembers nothing.
    pub fn in_memory(incarnation: Incarnation, seed: u64) -> Self {
        let id = incarnation.into();
        Self { incarnation, id, seed, kept: None, succession: Succession::default() }
    }
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The moment named by `deadline()` has come. Harmless at any other time.
    Tick,
    /// The store has changes that its replicas lack.
    Changed,
    /// At least one connection to this start of a peer is up on each lane.
    LinkUp {
        /// The peer.
        peer: PeerName,
        /// What it says of itself.
        end: LinkEnd,
    },
    /// No connection to this incarnation is left.
    LinkDown {
        /// The peer.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
        /// Whether it has said that it ends, and decides nothing any more. Connections that only
        /// close say nothing of the process behind them.
        has_ended: bool,
    },
    /// A message came from a linked peer.
    Message {
        /// The sender.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
        /// The message.
        message: Message,
    },
    /// Hand over to `to`, or to the best successor. A peer that is not primary asks that one, if a
    /// successor is named.
    Switch {
        /// Names the request in [`Output::Switched`].
        request: u64,
        /// Who is to take over; `None` for the best of those that may.
        to: Option<PeerName>,
    },
    /// Count a member out: this peer itself, or one that is gone for good.
    Remove {
        /// Names the request in [`Output::Removed`].
        request: u64,
        /// Who is to go.
        peer: PeerName,
    },
    /// Decide by another policy.
    ChangePolicy {
        /// Names the request in [`Output::PolicyChanged`].
        request: u64,
        /// The change, in the model's own bytes.
        bytes: Bytes,
    },
    /// Have something arranged for the whole group.
    Arrange {
        /// Names the request in [`Output::Arranged`], or [`Output::SiteArranged`].
        request: u64,
        /// What.
        change: Arrangement,
    },
    /// Be primary of a new generation without these members, which are gone for good.
    Force {
        /// Names the request in [`Output::Forced`].
        request: u64,
        /// Those members.
        gone: BTreeSet<PeerName>,
    },
    /// Be primary of a new site epoch, in which this peer's site decides.
    Promote {
        /// Names the request in [`Output::SiteArranged`].
        request: u64,
        /// Whether the other site need not have given up deciding.
        is_forced: bool,
        /// Peers of this site that are gone for good.
        gone: BTreeSet<PeerName>,
    },
    /// A peer of the other site, which is sure to be who it says, knows that a later site epoch of
    /// this peer's history has begun.
    EpochMet {
        /// That one.
        by: PeerName,
        /// The site epoch.
        site_epoch: u64,
    },
    /// Nobody waits for a request any more: it is asked for no more.
    Withdraw {
        /// The number of the request.
        request: u64,
    },
    /// Another peer, which is sure to be who it says, has refused this one as no member.
    RefusedAsStranger {
        /// Who has.
        by: PeerName,
        /// Where that one stands.
        standing: Standing,
    },
    /// Another peer, which is sure to be who it says and is none of this one's members, is of a
    /// newer generation of its history.
    Overtaken {
        /// Where that one stands.
        by: Standing,
    },
    /// A peer has given its name in a handshake, and no link has come of it.
    Met {
        /// Its name.
        peer: PeerName,
        /// The field for which it was refused, or refuses, if that is one which must be equal at
        /// all members: something of that kind is being changed.
        refused_for: Option<String>,
    },
    /// A member that holds a state, or may hold one, is there, and no link comes about: one of the
    /// two refuses the other.
    HolderMet {
        /// The state that it holds; `None` if it could not say.
        position: Option<Position>,
    },
    /// From now on this peer is promoted by this priority, never if 0.
    SetPriority(u8),
    /// This peer is about to end: it is not promoted any more. With `false` it goes on after all.
    StepAside(bool),
    /// Found a new group without waiting for members that are not reachable.
    FoundNewGroup,
    /// What the last [`Output::Save`] says lasts.
    Saved,
    /// Every batch of [`Output::Append`] up to this one lasts, as far as this peer's storage is to
    /// make it last before anything is acknowledged.
    Appended {
        /// Number of the batch.
        number: u64,
    },
    /// The cells have been copied for a snapshot: end it.
    EndSnapshot {
        /// Whatever changed after this may be missing from the copy.
        since: Sequence,
    },
    /// Nothing can be made to last any more.
    StorageFailed,
}

/// From this version of the protocol on peers follow changes of the members.
pub const CHANGES_VERSION: u32 = 2;
/// From this version of the protocol on peers know of policies.
pub const POLICY_VERSION: u32 = 3;

/// From this version of the protocol on calls have a lane of their own.
pub const CALLS_VERSION: u32 = 4;
/// From this version of the protocol on peers know that group time has two clocks.
pub const CLOCKS_VERSION: u32 = 4;
/// From this version of the protocol on any peer may ask the primary to hand over.
pub const SWITCH_VERSION: u32 = 5;
/// From this version of the protocol on a group is told how to look after its members, and by whom
/// it is forced.
pub const UPKEEP_VERSION: u32 = 6;
/// From this version of the protocol on a group may stand at two sites.
pub const SITES_VERSION: u32 = 7;
/// The version from which on a peer answers on the admin lane.
pub const ADMIN_VERSION: u32 = 6;

/// Who is at the other end of a link.
#[derive(Clone, Debug, Eq)]
pub struct LinkEnd {
    /// Which start of the peer.
    pub incarnation: Incarnation,
    /// What it is counted by.
    pub id: MemberId,
    /// Where it is reached; empty if it does not say.
    pub address: String,
    /// What it is to the group.
    pub kind: PeerKind,
    /// The newest version of the protocol that both ends speak.
    pub version: u32,
    /// Which start of its storage it is, and whose end it proves.
    pub succession: Succession,
    /// The site that it stands at; empty if it has none.
    pub site: String,
    /// Whether what led to its state has led to this peer's as well.
    pub is_kin: bool,
}

/// Of two ends that are equal the one is the other: how the states of the two peers compare when a
/// connection was made says nothing of that, and differs from one to the next.
impl PartialEq for LinkEnd {
    fn eq(&self, other: &Self) -> bool {
        let Self { incarnation, id, address, kind, version, succession, site, is_kin: _ } = self;
        *incarnation == other.incarnation
            && *id == other.id
            && *address == other.address
            && *kind == other.kind
            && *version == other.version
            && *succession == other.succession
            && *site == other.site
    }
}

impl LinkEnd {
    /// A member in memory that does not say where it is reached.
    pub fn member(incarnation: Incarnation) -> Self {
        let id = incarnation.into();
        let kind = PeerKind::Member;
        let address = String::new();
        let version = SITES_VERSION;
        let succession = Succession::default();
        let (site, is_kin) = (String::new(), true);
        Self { incarnation, id, address, kind, version, succession, site, is_kin }
    }
}

/// Where a decision is made at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// This peer is primary: the store's authority decides.
    Here {
        /// The reign.
        ballot: Ballot,
    },
    /// That peer is primary.
    There {
        /// The primary.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
        /// The reign.
        ballot: Ballot,
    },
    /// A hand-over is under way: hold calls until the route changes.
    HandingOver,
    /// There is no primary: refuse, or decide locally.
    Nowhere,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here { ballot } => write!(f, "here (term {})", ballot.term),
            Self::There { peer, ballot, .. } => write!(f, "{peer} (term {})", ballot.term),
            Self::HandingOver => f.write_str("held for a hand-over"),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}

/// What the machine wants done. Drained after every input, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message; it may be lost.
    Send {
        /// The receiver.
        to: PeerName,
        /// Which start of it; dropped if that is not linked.
        incarnation: Incarnation,
        /// The message.
        message: Message,
    },
    /// Close the connections to this start of a peer: the handshake is to judge it anew, by the
    /// list that this peer holds now.
    Unlink(PeerStart),
    /// Tell the embedder.
    Event(Event),
    /// More may be answered: look at `Store::answerable`, and for merges at `Store::committed`.
    Committed,
    /// Decisions are made elsewhere now. Callers that wait for a majority under an older ballot
    /// have an unknown outcome.
    Routed(Route),
    /// Make this last, then say [`Input::Saved`]. There is one at a time.
    Save(HardState),
    /// Append a batch to the log and say [`Input::Appended`] when it lasts. Batches come in the
    /// order in which they are appended, each from the end of the one before it.
    Append {
        /// Grows by one with each.
        number: u64,
        /// The batch.
        batch: Staged,
    },
    /// End the snapshot whose copy is done: it is of the state at the end of the last batch
    /// appended.
    EndSnapshot {
        /// What changed since the copy began.
        records: Records,
        /// The end of the last batch appended.
        end: BatchEnd,
    },
    /// The switch has ended.
    Switched {
        /// The request of [`Input::Switch`].
        request: u64,
        /// How.
        result: Result<PeerName, SwitchError>,
    },
    /// The removal has ended.
    Removed {
        /// The request of [`Input::Remove`].
        request: u64,
        /// How.
        result: Result<(), RemoveError>,
    },
    /// The wish to be primary by force has ended.
    Forced {
        /// The request of [`Input::Force`].
        request: u64,
        /// How.
        result: Result<Forced, ForceError>,
    },
    /// What was to be arranged has ended.
    Arranged {
        /// The request of [`Input::Arrange`].
        request: u64,
        /// Its revision after it, or why it was not changed.
        result: Result<u64, ArrangeError>,
    },
    /// What was to become of the sites has ended.
    SiteArranged {
        /// The request of [`Input::Arrange`], or of [`Input::Promote`].
        request: u64,
        /// How.
        result: Result<(), SiteError>,
    },
    /// The change of the policy has ended.
    PolicyChanged {
        /// The request of [`Input::ChangePolicy`].
        request: u64,
        /// The policy's revision after it, or why it was not changed.
        result: Result<u64, PolicyError>,
    },
}
