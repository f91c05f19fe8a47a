//! One error per operation: what broke, what it did to the data, and what to do.

use std::time::Duration;

use crate::id::PeerName;

/// Why a call was not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// There is no primary, or this primary's lease has ended, and the group is strict.
    ///
    /// Nothing was written. Try again after the failure timeout.
    #[error("no primary: {reason}")]
    NoPrimary {
        /// What this peer is waiting for.
        reason: NoPrimaryReason,
    },
    /// The call ended before its outcome was known: at its deadline, or because the primary
    /// changed meanwhile.
    ///
    /// The change may have been written. Try again only if counting twice does no harm.
    #[error("outcome unknown after {waited:?}: the change may or may not have been written")]
    OutcomeUnknown {
        /// How long the call had waited.
        waited: Duration,
    },
    /// A bound is reached. Nothing was written.
    #[error("overloaded: {what} is at its bound of {bound}")]
    Overloaded {
        /// The setting that bounds it, here or at the primary.
        what: Bounded,
        /// Its value.
        bound: u64,
    },
    /// The operation itself is not usable. Nothing was written.
    #[error("the operation is not usable: {what} (bound {bound})")]
    Invalid {
        /// The rule it breaks.
        what: &'static str,
        /// The bound of the rule.
        bound: u64,
    },
    /// This peer is shutting down. Nothing was written.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

impl DecideError {
    /// Whether trying again later can succeed without counting twice.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoPrimary { .. } | Self::Overloaded { .. })
    }

    /// Whether the operation needed room for a new key, and there is none at the peer that decides.
    /// Operations on keys that are there go on.
    ///
    /// ```
    /// use quorate::{Bounded, DecideError};
    ///
    /// let full = |what| DecideError::Overloaded { what, bound: 1 }.is_store_full();
    /// assert!(full(Bounded::Cells) && !full(Bounded::WaitingCalls));
    /// ```
    pub fn is_store_full(&self) -> bool {
        use Bounded::{Bytes, Cells, OverlayKeys};
        matches!(self, Self::Overloaded { what: Bytes | Cells | OverlayKeys, .. })
    }
}

/// A bound that can be reached while a group runs, by the setting that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Bounded {
    /// Memory of cells: [`Bounds::max_bytes`](crate::Bounds::max_bytes).
    #[error("max_bytes")]
    Bytes,
    /// Cells: [`Bounds::max_cells`](crate::Bounds::max_cells).
    #[error("max_cells")]
    Cells,
    /// Records of merges: [`MAX_MERGE_RECORDS`](crate::store::MAX_MERGE_RECORDS), and
    /// [`MAX_MERGE_RECORDS_OF_PEER`](crate::store::MAX_MERGE_RECORDS_OF_PEER) of them. No caller
    /// meets it.
    #[error("records of merges")]
    MergeRecords,
    /// Bytes that wait to be sent on a connection: made of `transfer_window` and `max_piece_bytes`.
    #[error("bytes waiting to be sent")]
    OutboxBytes,
    /// Keys that a relaxed peer counts alone:
    /// [`Bounds::max_overlay_keys`](crate::Bounds::max_overlay_keys).
    #[error("max_overlay_keys")]
    OverlayKeys,
    /// Calls that wait: [`Bounds::max_waiting_calls`](crate::Bounds::max_waiting_calls).
    #[error("max_waiting_calls")]
    WaitingCalls,
}

/// What a peer without a primary is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPrimaryReason {
    /// Fewer than a majority of the members are reachable.
    #[error("fewer than a majority of the members are reachable")]
    NoQuorum,
    /// So many members are refused, by this peer or by themselves, that the rest is no majority:
    /// the refusals in this peer's status say what differs.
    #[error("enough members refuse this peer's connections: see `refusals` in its status")]
    Refused,
    /// A majority has lost its data, and a new generation waits for members that are missing: by
    /// this peer's settings ([`NewGenerations`](crate::NewGenerations)), or because a member that has
    /// restarted may have acknowledged more than is left. `waits_for` in its status names them.
    #[error(
        "a new generation waits for members that are missing: see `waits_for` in this peer's status, \
         bring them back, or have a new group founded without them"
    )]
    Incomplete,
    /// The members are agreeing on a primary.
    #[error("an election has not ended")]
    Electing,
    /// This primary's lease has ended.
    #[error("the lease of this primary has ended")]
    LeaseEnded,
    /// The connection to the primary is down.
    #[error("the primary is not connected")]
    NotConnected,
}

/// Why a switch of the primary did not take place. No change was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// This peer is not the primary: ask that one.
    #[error("this peer is not the primary{}", primary.as_ref().map(|p| format!(": ask {p}")).unwrap_or_default())]
    NotPrimary {
        /// The primary, if known.
        primary: Option<PeerName>,
    },
    /// The named peer is not a member of the group.
    #[error("{to} is not a member of this group")]
    NotMember {
        /// The peer named.
        to: PeerName,
    },
    /// The named peer, or every other, is not connected or not yet a counted member.
    #[error("no successor: {} is not connected or still joining", to.as_ref().map_or("every other member", |to| to.as_str()))]
    NotReady {
        /// The peer named, if one was.
        to: Option<PeerName>,
    },
    /// The named peer has priority 0: it is never promoted.
    #[error("{to} has priority 0 and is never promoted")]
    PriorityZero {
        /// The peer named.
        to: PeerName,
    },
    /// The successor did not catch up, or was not elected, in time; the group goes on.
    #[error("{to} did not take over in time; the group goes on without a switch")]
    Aborted {
        /// The peer that was to take over.
        to: PeerName,
    },
    /// Another switch is under way.
    #[error("another switch is under way")]
    Busy,
}

/// Why the policy was not changed, or it is not known whether it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The model does not take the change. Nothing was changed.
    #[error("{reason}")]
    Refused {
        /// Why, as the model says it.
        reason: String,
    },
    /// There is no primary, and none came within the I/O timeout. Nobody was asked, and nothing was
    /// changed.
    #[error("no primary within {waited:?}: try again when there is one")]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// No majority was known to hold the change in time. It may still come, or be there already: the
    /// policy's revision says so.
    #[error("not changed within {waited:?}: the change may still be made, see the revision")]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// A member that is connected runs an older version, which knows of no policies. Nothing was
    /// changed.
    #[error("a member runs an older version: upgrade all members first")]
    OldVersion,
    /// This peer is no member: a client, or one that has not been taken up yet. The members do not
    /// let such peers change the policy. Nothing was changed.
    #[error(
        "only a member may change the policy: ask at one, or let clients do so at every member by \
         clients_may_change_policy()"
    )]
    NotAllowed,
    /// The change is too long. Nothing was changed.
    #[error("a change of {bytes} bytes is longer than {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// As many requests are under way at this peer as may be. Nothing was changed.
    #[error("{bound} requests are under way: wait until one has ended")]
    Busy {
        /// How many may be.
        bound: usize,
    },
    /// This peer is shutting down. The change may or may not have been made.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// Why a member was not counted out, or it is not known whether it was. No decision was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is no primary, and none came within the I/O timeout. Nobody was asked, and nothing was
    /// changed.
    #[error(
        "no primary within {waited:?}: a change of the members needs a majority; try again when there \
         is one"
    )]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The peer that asks is no member: a client, or one that has not been taken up yet. The
    /// members do not let such peers have others counted out. Nothing was changed.
    #[error(
        "only a member may have {peer} counted out: ask at one, or let clients do so at every member \
         by clients_may_remove_members()"
    )]
    NotAllowed {
        /// The peer named.
        peer: PeerName,
    },
    /// There is no member of that name. Nothing was changed.
    #[error("{peer} is not a member of this group")]
    NotMember {
        /// The peer named.
        peer: PeerName,
    },
    /// The named peer is connected to the primary: it is not gone. Nothing was changed.
    #[error("{peer} is connected: have it leave by itself, or stop it first")]
    Alive {
        /// The peer named.
        peer: PeerName,
    },
    /// A group has at least one member. Nothing was changed.
    #[error("{peer} is the last member of this group: shut it down instead")]
    LastMember {
        /// The peer named.
        peer: PeerName,
    },
    /// The named peer is the primary: it hands over first. Nothing was changed.
    #[error("{peer} is the primary: have it leave by itself, or switch to another peer first")]
    Primary {
        /// The peer named.
        peer: PeerName,
    },
    /// The peer that is to leave is the primary and could not hand over. It stays a member.
    #[error("not left, for no other peer has taken over: {reason}")]
    NotHandedOver {
        /// Why.
        reason: SwitchError,
    },
    /// A member that is connected runs an older version, which cannot follow a change of the members.
    /// Nothing was changed.
    #[error(
        "{peer} was not counted out: {} runs an older version, upgrade all members first",
        old.as_ref().map_or("a member", PeerName::as_str)
    )]
    OldVersion {
        /// The peer named.
        peer: PeerName,
        /// One that runs an older version, if it is known which.
        old: Option<PeerName>,
    },
    /// The change was not complete in time. The peer may still be counted out, or be already: the
    /// members in the status say so.
    #[error(
        "{peer} was not counted out within {waited:?}: the change may still be made; see the \
         members in the status"
    )]
    TimedOut {
        /// The peer named.
        peer: PeerName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// As many removals are under way at this peer as may be. Nothing was changed.
    #[error("{bound} removals are under way: wait until one has ended")]
    Busy {
        /// How many may be.
        bound: usize,
    },
    /// This peer is shutting down. The change may or may not have been made.
    #[error("this peer is shutting down")]
    ShuttingDown,
}
