//! One error per operation: what broke, what it did to the data, and what to do.

use std::time::Duration;

use crate::base::id::PeerName;
use crate::base::told::{listed, named, rounded};

crate::told_to_people! {
    DecideError, SiteError, SwitchError, PolicyError, RemoveError, ArrangeError, ForceError
}

/// Why a call was not decided.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error(
        "outcome unknown after {}: the change may or may not have been written; try again only if \
         counting twice does no harm",
        rounded(*waited)
    )]
    OutcomeUnknown {
        /// How long the call had waited.
        waited: Duration,
    },
    /// A bound is reached. Nothing was written.
    #[error(
        "overloaded: {what}{} is at its bound of {bound}; try again later, or raise it{}",
        if what.is_of_decider() { " of the peer that decides" } else { "" },
        if what.is_of_decider() { " at all members" } else { "" }
    )]
    Overloaded {
        /// The setting that bounds it, here or at the primary.
        what: Bounded,
        /// Its value.
        bound: u64,
    },
    /// The operation itself is not usable. Nothing was written.
    #[error("the operation is not usable: {what} {bound}")]
    Invalid {
        /// The rule it breaks, which ends with the bound.
        what: &'static str,
        /// The bound of the rule.
        bound: u64,
    },
    /// This peer is shutting down. Nothing was written.
    #[error("this peer is shutting down: ask another one")]
    ShuttingDown,
}

impl DecideError {
    /// Returns true if trying again later can succeed without counting twice.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoPrimary { .. } | Self::Overloaded { .. })
    }

    /// Returns true if the operation needed room for a new key, and there is none at the peer that
    /// decides. Operations on keys that are there go on.
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
    #[error("the number of records of merges")]
    MergeRecords,
    /// Bytes that wait to be sent on a connection: made of `transfer_window` and `max_piece_bytes`.
    #[error("the sum of bytes waiting to be sent")]
    OutboxBytes,
    /// Keys that a relaxed peer counts alone:
    /// [`Bounds::max_overlay_keys`](crate::Bounds::max_overlay_keys).
    #[error("max_overlay_keys")]
    OverlayKeys,
    /// Calls that wait: [`Bounds::max_waiting_calls`](crate::Bounds::max_waiting_calls).
    #[error("max_waiting_calls")]
    WaitingCalls,
}

impl Bounded {
    /// Returns true if it is the bound of whoever decides, and not of the peer that was asked.
    fn is_of_decider(self) -> bool {
        matches!(self, Self::Bytes | Self::Cells | Self::MergeRecords)
    }
}

/// What a peer without a primary is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPrimaryReason {
    /// Fewer than a majority of the members are reachable.
    #[error("fewer than a majority of the members are reachable")]
    NoQuorum,
    /// So many members are refused, by this peer or by themselves, that the rest is no majority,
    /// or, of a joiner or client, all that it has found: the refusals in this peer's status say
    /// what differs.
    #[error(
        "this peer and too many of those that it needs refuse each other: see `refusals` in its \
         status for what differs"
    )]
    Refused,
    /// This peer is no member and reaches none: `contacts` and `link_error` in its status say why.
    #[error("no member is reached: see `contacts` and `peers` in its status")]
    NotReached,
    /// Of the members that are reached none may be promoted: their priority is 0, or their storage
    /// has failed.
    #[error(
        "every member that is reached has priority 0, or storage that has failed, and is never \
         promoted: give one another priority, or start one that has"
    )]
    NoCandidate,
    /// The members that are reached hold no state yet, and are founding the group: that takes all
    /// of them, or the failure timeout.
    #[error("the group is being founded: the members that are missing are waited for")]
    Founding,
    /// A majority of the members is reached, and no majority of those that count: whoever was
    /// restarted without its state counts again when a majority has taken it up.
    #[error(
        "a majority of the members is reached, but not of those that count: see `is_counted` of \
         the members in its status"
    )]
    NotCounted,
    /// This peer was counted out of the group.
    #[error(
        "this peer was counted out of the group: end it, or start it anew to join, with its data \
         set aside"
    )]
    Removed,
    /// A newer generation of the group has counted this peer out: it was given up while it was out
    /// of reach.
    #[error(
        "a newer generation of the group has counted this peer out: start it anew to join, with \
         its data set aside"
    )]
    CountedOut,
    /// This peer has been shut down.
    #[error("this peer has been shut down")]
    ShutDown,
    /// A majority has lost its data, and a new generation waits for members that are missing: by
    /// this peer's settings ([`NewGenerations`](crate::NewGenerations)), or because a member that
    /// has restarted may have acknowledged more than is left. `waits_for` in its status names them.
    #[error(
        "a new generation waits for members that are missing: see `waits_for` in this peer's \
         status, bring them back, or have a new group founded without them"
    )]
    Incomplete,
    /// The members are agreeing on a primary.
    #[error("an election has not ended, which takes some seconds")]
    Electing,
    /// This primary's lease has ended: it decides again when a majority answers, unless another one
    /// has been elected by then.
    #[error("the lease of this primary has ended: nothing is decided until a majority answers")]
    LeaseEnded,
    /// This site follows the other one, and refuses callers by its settings
    /// ([`AtPassive`](crate::AtPassive)).
    #[error("this site follows the other one, and takes no calls: ask there")]
    SitePassive,
    /// The site that decided has given that up, and neither was promoted yet.
    #[error(
        "the site that decided has given that up: promote one of the two, see `site` in this \
         peer's status"
    )]
    SiteSealed,
    /// This peer's site was down, and waits for the other one to say that it was not promoted
    /// meanwhile.
    #[error(
        "this site was down and waits for the other one to say that it does not decide: see `site` \
         in this peer's status"
    )]
    SiteUnconfirmed,
    /// Nobody has told this site that it decides, and no primary of the other one was met.
    #[error(
        "neither this site nor the other one is known to decide: tell the one that is to, see \
         `site` in this peer's status"
    )]
    SitePending,
    /// The primary that this peer, or a member that it reaches, has heard of last is not connected
    /// to it. If that has ended, another one is elected within the failure timeout; if it goes on,
    /// `link_error` in this peer's status says why it is not reached.
    #[error(
        "the last known primary is not connected to this peer: if it has ended, another one is \
         elected within the failure timeout, and if not, `peers` in the status says why"
    )]
    NotConnected,
}

/// Why a switch of the primary did not take place. No change was lost.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// This peer is not the primary, and that one is of an older version, which hands over only
    /// when it is asked directly; or none is known.
    #[error(
        "this peer is not the primary{}",
        primary.as_ref().map_or_else(String::new, |primary| {
            format!(": {primary} runs an older version, ask it directly")
        })
    )]
    NotPrimary {
        /// The primary, if one is known that is connected.
        primary: Option<PeerName>,
    },
    /// There is no primary, and none came within the I/O timeout. Nobody was asked.
    #[error("no primary within {}: try again when there is one", rounded(*waited))]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// This peer is a joiner or client that reaches no member. Nobody was asked.
    #[error(
        "this peer reaches no member of a group: see `contacts` and `peers` in its status, or ask \
         at a member"
    )]
    NotReached,
    /// The primary did not answer in time: it may hand over yet, or have done so.
    #[error(
        "{to} was not known to be primary within {}: the switch may still be made; see the primary \
         in the status",
        rounded(*waited)
    )]
    TimedOut {
        /// The peer that was to take over.
        to: PeerName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// This peer is no member: a client, or one that has not been taken up yet. The members do not
    /// let such peers have the primary hand over.
    #[error(
        "only a member may have the primary hand over: ask at one, or let clients do so at every \
         member by clients_may_switch_primary()"
    )]
    NotAllowed,
    /// The lease of this primary has ended: it hands nothing over before a majority has renewed it.
    #[error(
        "this primary has lost its majority, and hands over to nobody before it has one again: see \
         `peers` in its status"
    )]
    LeaseEnded,
    /// This peer is the only member.
    #[error("this peer is the only member of the group: there is no successor")]
    OnlyMember,
    /// Every other member that is ready has priority 0, or is about to stop.
    #[error(
        "no successor: {} ready, and of priority 0, which is never promoted, or about to stop",
        are(members)
    )]
    NoCandidate {
        /// Those that are ready.
        members: Vec<PeerName>,
    },
    /// The named peer is not a member of the group.
    #[error("{} is not a member of this group: name one of those in the status", named(to))]
    NotMember {
        /// The peer named.
        to: PeerName,
    },
    /// The named peer, or every other member, is not connected.
    #[error(
        "no successor: {} not connected, or silent: see `link_error` in the status",
        are(members)
    )]
    NotConnected {
        /// The peer named, or all other members.
        members: Vec<PeerName>,
    },
    /// The named peer, or every other that is connected, does not hold what this one does, or is
    /// not yet a counted member.
    #[error(
        "no successor: {} up to date and counted yet: see `lag` and `is_member` in the status",
        to.as_ref().map_or_else(
            || "no other member that is connected is".to_owned(),
            |to| format!("{to} is connected, and not"),
        )
    )]
    NotReady {
        /// The peer named, if one was.
        to: Option<PeerName>,
    },
    /// The named peer is not promoted: it has priority 0, or is about to stop.
    #[error(
        "{to} is not promoted, for it has priority 0 or is about to stop: choose another one, or \
         give it a priority"
    )]
    PriorityZero {
        /// The peer named.
        to: PeerName,
    },
    /// The successor did not catch up, or was not elected, in time; the group goes on.
    #[error("{to} did not take over: it was too slow, or has gone; no switch was made")]
    Aborted {
        /// The peer that was to take over.
        to: PeerName,
    },
    /// No other member is left that may take over: each is stopping, or is never promoted.
    #[error("no successor: there is no other member that is not stopping and may be promoted")]
    NobodyElse,
    /// Another switch is under way.
    #[error("another switch is under way: wait until it has ended")]
    Busy,
    /// As many requests are under way at this peer as may be. Nobody was asked.
    #[error("{bound} requests are under way: wait until one has ended")]
    TooMany {
        /// How many may be.
        bound: usize,
    },
    /// This peer is shutting down.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// Names whom a removal waits for, and what to do.
fn missed(members: &[PeerName]) -> String {
    if members.is_empty() {
        return "see in the primary's status who is connected".to_owned();
    }
    format!(
        "and {} not connected: bring back who is gone, or have it forgotten first",
        are(members)
    )
}

/// Names and their verb.
fn are(names: &[PeerName]) -> String {
    let verb = if names.len() > 1 { "are" } else { "is" };
    format!("{} {verb}", listed(names.iter().map(PeerName::as_str)))
}

/// Why something was not arranged for the group, or it is not known whether it was. No decision was
/// lost.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrangeError {
    /// What is asked for breaks a rule. Nobody was asked, and nothing was changed.
    #[error("{rule}")]
    Invalid {
        /// The rule, with what to do.
        rule: String,
    },
    /// There is no primary, and none came within the I/O timeout. Nobody was asked, and nothing was
    /// changed.
    #[error("no primary within {}: try again when there is one", rounded(*waited))]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The primary did not answer in time: it may yet be changed.
    #[error(
        "no answer within {}: it may have been changed; see `monitor` in the primary's status, or \
         ask again",
        rounded(*waited)
    )]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The peer that asks is no member: a client, or one that has not been taken up yet. The
    /// members do not let such peers have others counted out. Nothing was changed.
    #[error(
        "only a member may change how members are looked after: ask at one, or let clients do so \
         at every member by clients_may_remove_members()"
    )]
    NotAllowed,
    /// The primary, or another member that is connected, runs a version that does not know of it.
    /// Nothing was changed.
    #[error("a member runs an older version, which would drop it: upgrade all members first")]
    OldVersion,
    /// As many requests are under way at this peer as may be. Nobody was asked.
    #[error("{bound} requests are under way: wait until one has ended")]
    Busy {
        /// How many may be.
        bound: usize,
    },
    /// This peer is shutting down.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// Why nothing became of a wish about the sites, or it is not known whether it did. No decision was
/// lost.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// This peer, its primary or a member in reach stands at no site by its settings. Nothing was
    /// changed.
    #[error(
        "no site is set at this peer, or at another member: give all members the same `site`, one \
         after the other, and ask again"
    )]
    NoSite,
    /// The other site decides, and this one follows it. Nothing was changed.
    #[error("the other site decides, and this one follows it")]
    OtherDecides,
    /// This site holds nothing, and the other one does: a group that is founded here would be
    /// another one beside that, and would not be followed. Nothing was changed.
    #[error(
        "this site holds nothing, and the other one holds what was decided: see what has become of \
         the data here; have a new group founded only to give that up"
    )]
    OtherHolds,
    /// Most of the peers that are listed of the other site do not hold, or did not come to hold in
    /// time, what was decided here. Nothing was changed, and this site goes on.
    #[error(
        "the other site does not hold what was decided here: see `standby` in the status of the \
         sites, and ask again when it has caught up"
    )]
    NotVerified,
    /// The site that decided has given that up, and nobody decides. Nothing was changed.
    #[error("the site that decided has given that up: promote one of the two")]
    Sealed,
    /// Neither site was told to decide yet, as far as this peer knows. Nothing was changed.
    #[error("neither site decides yet, as far as this peer knows: tell one of them to")]
    Undecided,
    /// This site decides already. Nothing was changed.
    #[error("this site decides already")]
    Already,
    /// The other site decides, and is in reach: a promotion would lose what it decides meanwhile.
    /// Nothing was changed.
    #[error("{primary} decides at the other site, and is in reach: switch the sites, or demote it")]
    ActiveReachable {
        /// The primary.
        primary: PeerName,
    },
    /// The other site is out of reach, and is not known to have given up deciding: what it has
    /// decided and this peer does not hold would be lost. Nothing was changed.
    #[error(
        "{site} is out of reach and may still decide: stop it or cut it off, and promote by force; \
         what it decided and this site does not hold is lost then"
    )]
    NeedsForce {
        /// The other site.
        site: String,
    },
    /// This peer cannot be promoted. Nothing was changed.
    #[error("this peer cannot be promoted: {why}")]
    NotReady {
        /// Why, for people.
        why: String,
    },
    /// Too few peers of this site are in reach. Nothing was changed.
    #[error("{} not in reach: a promotion needs most of the peers of this site", are(missing))]
    NoMajority {
        /// Those that are not.
        missing: Vec<PeerName>,
    },
    /// A peer of this site has refused its vote. This site does not decide.
    #[error("{peer} refuses: {why}")]
    Refused {
        /// The peer.
        peer: PeerName,
        /// Why, for people.
        why: String,
    },
    /// A promotion is under way at this peer. Nothing else was changed.
    #[error("a promotion is under way at this peer: wait for its end")]
    Promoting,
    /// The site epochs are used up. Nothing was changed.
    #[error("the site epochs are used up: found the group anew")]
    EpochsUsedUp,
    /// There is no primary, and none came within the I/O timeout. Nobody was asked, and nothing was
    /// changed.
    #[error("no primary within {}: try again when there is one", rounded(*waited))]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The primary did not answer in time: it may yet be changed.
    #[error(
        "no answer within {}: it may have been changed; see `site` in the status, or ask again",
        rounded(*waited)
    )]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The peer that asks is no member: a client, or one that has not been taken up yet. Nothing
    /// was changed.
    #[error("only a member may say which site decides: ask at one")]
    NotAllowed,
    /// The primary, or another member that is connected, runs a version that knows of no sites.
    /// Nothing was changed.
    #[error("a member runs an older version, which knows of no sites: upgrade all members first")]
    OldVersion,
    /// As many requests are under way at this peer as may be. Nobody was asked.
    #[error("{bound} requests are under way: wait until one has ended")]
    Busy {
        /// How many may be.
        bound: usize,
    },
    /// This peer is shutting down.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

impl From<ArrangeError> for SiteError {
    fn from(error: ArrangeError) -> Self {
        match error {
            ArrangeError::NoPrimary { waited } => Self::NoPrimary { waited },
            ArrangeError::TimedOut { waited } => Self::TimedOut { waited },
            ArrangeError::NotAllowed => Self::NotAllowed,
            ArrangeError::OldVersion => Self::OldVersion,
            ArrangeError::Busy { bound } => Self::Busy { bound },
            ArrangeError::Invalid { .. } | ArrangeError::ShuttingDown => Self::ShuttingDown,
        }
    }
}

/// Why a peer was not made primary by force, or it is not known whether it was. Nothing of its data
/// was changed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForceError {
    /// This peer holds no state that a group could go on from. Nothing was changed.
    #[error("this peer holds no data: force one that does, or have a new group founded")]
    Blank,
    /// Its storage takes nothing any more. Nothing was changed.
    #[error("its storage takes nothing any more: mend that and start it again, or force another")]
    StorageFailed,
    /// This peer, or one named as gone, is no member. Nothing was changed.
    #[error("{} is not a member of this group: see the members in the status", named(peer))]
    NotMember {
        /// The peer.
        peer: PeerName,
    },
    /// There is a primary, or a majority that elects one. Nothing was changed.
    #[error(
        "{}: nothing is to be forced",
        primary.as_ref().map_or_else(
            || "a majority of the members is in reach, and elects a primary".to_owned(),
            |primary| format!("{primary} is the primary, or was a moment ago"),
        )
    )]
    HasQuorum {
        /// The primary, if one is known.
        primary: Option<PeerName>,
    },
    /// A member that is named as gone is there. Nothing was changed.
    #[error(
        "{peer} is not gone: {seen_by} is in touch with it, or with what answers at its address \
         (refusals in the status); stop that first, or do not name it"
    )]
    Alive {
        /// The member.
        peer: PeerName,
        /// Who is connected with it, or has met it within the failure timeout.
        seen_by: PeerName,
    },
    /// Members are neither in reach nor named as gone. Nothing was changed.
    #[error(
        "{} neither in reach nor named as gone: wait for them, or name them if they are gone for \
         good",
        are(peers)
    )]
    Unaccounted {
        /// Those members.
        peers: Vec<PeerName>,
    },
    /// A member in reach does not vote for it. Nothing was changed.
    #[error("{peer} does not vote for it: {why}")]
    Refused {
        /// The member.
        peer: PeerName,
        /// Why, as it says.
        why: String,
    },
    /// A member in reach runs a version that knows nothing of this. Nothing was changed.
    #[error("{peer} runs an older version: upgrade it first, or stop it and name it as gone")]
    OldVersion {
        /// The member.
        peer: PeerName,
    },
    /// A member that is in reach did not answer in time. Nothing was changed.
    #[error("no answer of all that are in reach within {}: try again", rounded(*waited))]
    NoAnswer {
        /// How long they were waited for.
        waited: Duration,
    },
    /// It was elected, or may have been, and is not known to be primary: see the status.
    #[error(
        "not known to be primary within {}: it may become so yet, see the status, or ask again",
        rounded(*waited)
    )]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The same is under way. Nothing else was begun.
    #[error("this peer is about to be forced already: wait until that has ended")]
    Busy,
    /// This peer is shutting down. Nothing was changed.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// Why the policy was not changed, or it is not known whether it was.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("no primary within {}: try again when there is one", rounded(*waited))]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// No majority was known to hold the change in time. It may still come, or be there already:
    /// the policy's revision says so.
    #[error(
        "not changed within {}: the change may still be made, see the revision", rounded(*waited)
    )]
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
    #[error("a change of {bytes} bytes is longer than {max}: make it shorter")]
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
    #[error("this peer is shutting down: see at another one whether the change was made")]
    ShuttingDown,
}

/// Why a member was not counted out, or it is not known whether it was. No decision was lost.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is no primary, and none came within the I/O timeout. Nobody was asked, and nothing was
    /// changed.
    #[error(
        "no primary within {}: a change of the members needs a majority; try again when there is \
         one",
        rounded(*waited)
    )]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The peer that asks is no member: a client, or one that has not been taken up yet. The
    /// members do not let such peers have others counted out. Nothing was changed.
    #[error(
        "only a member may have {peer} counted out: ask at one, or let clients do so at every \
         member by clients_may_remove_members()"
    )]
    NotAllowed {
        /// The peer named.
        peer: PeerName,
    },
    /// There is no member of that name. Nothing was changed.
    #[error(
        "{} is not a member of this group: name one of those in the status; whoever is no member, \
         as a client, has nothing to leave and just ends",
        named(peer)
    )]
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
    /// A member that is connected runs an older version, which cannot follow a change of the
    /// members. Nothing was changed.
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
    /// The change was not begun in time, and is not any more: of those who would be left no
    /// majority answers the primary, as of those who are. Nothing was changed.
    #[error(
        "{peer} was not counted out within {}, and nothing was begun: it takes a majority of those \
         who would be left, {}",
        rounded(*waited),
        missed(missing)
    )]
    NotBegun {
        /// The peer named.
        peer: PeerName,
        /// The other members that are not connected to the peer that was asked.
        missing: Vec<PeerName>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The change was not complete in time. The peer may still be counted out, or be already: the
    /// members in the status say so.
    #[error(
        "{peer} was not counted out within {}: the change may still be made; see the members in \
         the status",
        rounded(*waited)
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
    #[error("this peer is shutting down: see at another one whether the change was made")]
    ShuttingDown,
}
