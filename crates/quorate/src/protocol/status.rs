//! What a peer knows of itself and its group, as an owned value.

use std::time::Duration;

use serde::Serialize;

use crate::base::error::{ForceError, SiteError};
use crate::base::id::{
    Ballot, GroupId, GroupTime, Incarnation, Member, MemberId, Now, PeerKind, PeerName, Position,
};
use crate::config::Monitor;
use crate::protocol::follow::receiver::CatchUp;
use crate::protocol::group::lag::{MAX_LAG, cuts_behind};
use crate::protocol::group::remote::Remote;
use crate::protocol::machine::Machine;
use crate::protocol::reign::exposure::Backed;
use crate::protocol::role::Role;
use crate::protocol::told::PromotionReport;
use crate::state::Promoted;

/// What a peer is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PeerRole {
    /// It decides and writes.
    Primary,
    /// A counted member that follows a primary, or waits for one.
    Replica,
    /// It follows the group from another site, and counts in nothing.
    Standby,
    /// Blank, or being brought up to date: it neither votes nor counts.
    Joining,
    /// It was counted out of the group, and takes part in nothing any more. Its calls are forwarded
    /// for as long as its connections last.
    Removed,
    /// It uses the group, and neither votes nor holds data.
    Client,
}

/// A snapshot of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineStatus {
    /// What this peer is.
    pub role: PeerRole,
    /// By what it is promoted; 0 if it never is, for whatever cause.
    pub priority: u8,
    /// The newest ballot it takes part in.
    pub ballot: Ballot,
    /// The primary, if there is one.
    pub primary: Option<PeerName>,
    /// Whether this peer reaches a majority of the members; of a primary: whether its lease runs.
    pub quorum: bool,
    /// Members, reachable or not.
    pub size: usize,
    /// Them, by name: of the state held here, or of the settings before there is one.
    pub members: Vec<MachineMember>,
    /// The state held here.
    pub position: Position,
    /// The group, once founded.
    pub group_id: Option<GroupId>,
    /// How many cuts that is behind the primary's, as of the last heartbeat; 0 at the primary, and
    /// `None` while there is none, or where the two cannot be compared.
    pub lag: Option<u64>,
    /// Whether this start of this peer counts as a member, and will whatever becomes of a change
    /// under way.
    pub is_counted: bool,
    /// Whether it has come up with the primary, keeps up with it, and acknowledges what comes.
    pub is_current: bool,
    /// Units decided here and not yet held by a majority.
    pub unreplicated_units: u64,
    /// How far the state is that this peer is being brought up to date with, while it takes more
    /// than one message.
    pub catching_up: Option<CatchUp>,
    /// The other members, and whoever else is linked.
    pub peers: Vec<MachinePeer>,
    /// For how long the primary has been silent; zero on the primary.
    pub primary_silence: Option<Duration>,
    /// Members without which no new generation may begin, by this peer's settings.
    pub missing: Vec<PeerName>,
    /// How many live members more may fail before those that are left are no majority.
    pub spare: usize,
    /// How the members are looked after, at a peer that knows any.
    pub monitor: Option<MonitorStatus>,
    /// What is to be said of a majority that is not in reach.
    pub lost: Option<Lost>,
    /// Whether a newer generation of the group has counted this peer out.
    pub is_disowned: bool,
    /// The sites, at a peer that stands at one.
    pub site: Option<SiteView>,
}

/// What a peer knows of the sites.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteView {
    /// The site that it stands at.
    pub name: String,
    /// The other one.
    pub other: String,
    /// The one that decides, by the state held here; `None` if that says nothing of it.
    pub active: Option<String>,
    /// Peers that are listed at the other one, which follows.
    pub standby: Vec<Member>,
    /// Whether this peer's site follows.
    pub is_passive: bool,
    /// The site epoch of the state held here.
    pub site_epoch: u64,
    /// Whether nobody decides in that any more, as far as this peer holds.
    pub is_sealed: bool,
    /// Whether this peer, as primary, may decide: no other site can have been promoted past it.
    pub is_confirmed: bool,
    /// Whether this peer has voted for its site to be promoted, and that has not begun.
    pub is_raised: bool,
    /// Whether a promotion is under way that was asked for here.
    pub is_promoting: bool,
    /// The reason why this peer could not be promoted without force; `None` if it could.
    pub not_promoted: Option<SiteError>,
    /// How the active site came to decide; `None` if no other did before it.
    pub promoted: Option<Promoted>,
    /// What is known of that at the peer that was made primary by it.
    pub promoted_here: Option<PromotionReport>,
    /// What most of the other site's listed peers hold, at the primary of the site that decides.
    pub backed: Option<Backed>,
    /// When the state held here was made, by the steady clock of the group and by the calendar;
    /// `None` if it is none.
    pub as_of: Option<(GroupTime, GroupTime)>,
    /// For how long it had not been what the primary held, when that one was last heard; `None` if
    /// it never was.
    pub out_of_step: Option<Duration>,
}

/// What a peer that reaches no majority knows of what would bring one back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Members that are not in reach.
    pub waiting_for: Vec<PeerName>,
    /// Who of those in reach holds the most, this peer included; `None` if nobody holds anything.
    pub best: Option<PeerName>,
    /// When the state that this peer holds was made, by the calendar.
    pub as_of: Option<GroupTime>,
    /// Why this peer could not be forced without those that are waited for.
    pub why_not_force: Option<ForceError>,
}

/// How the members are looked after, as the primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorStatus {
    /// What was said last; `None` if nobody is forgotten.
    pub monitor: Option<Monitor>,
    /// The silence after which a member is stale.
    pub grace: Duration,
    /// The end of the pause that is under way, by the calendar.
    pub paused_until: Option<GroupTime>,
    /// Counts changes; at 0 each primary goes by its own settings.
    pub revision: u64,
    /// Members that are live, the primary included.
    pub live: usize,
    /// Members that were silent for the grace, the longest silent first.
    pub stale: Vec<PeerName>,
    /// Joiners that are not counted in before a member has gone.
    pub waiting: Vec<PeerName>,
    /// What keeps the primary from forgetting whom it would.
    pub blocked: Option<Restraint>,
}

/// What keeps a primary from forgetting a member that is stale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Restraint {
    /// Nobody is to be forgotten.
    #[error("the monitor is off")]
    Off,
    /// Somebody has asked for a pause.
    #[error("the monitor is paused")]
    Paused,
    /// Something that must be equal at all members is being changed.
    #[error("{peer} is refused for {field}: nobody is judged until that is over")]
    Refused {
        /// Who is refused.
        peer: PeerName,
        /// What for.
        field: String,
    },
    /// A member runs a version that follows no changes of the members.
    #[error("{peer} runs an older version, which follows no changes of the members")]
    OldVersion {
        /// That member.
        peer: PeerName,
    },
    /// Fewer members than are wanted are live.
    #[error("{peer} was not replaced: {live} of {size} members are live without it")]
    NotReplaced {
        /// Who is stale.
        peer: PeerName,
        /// Members that are live.
        live: usize,
        /// How many are wanted.
        size: usize,
    },
    /// No majority of those that would be left answers.
    #[error("no majority of those who would be left answers the primary")]
    NoMajority,
    /// A change of the members, a hand-over or an election is under way.
    #[error("a change of the members or of the primary is under way")]
    Busy,
}

impl Restraint {
    /// Returns true if something that must be equal is being changed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// A member, as the state held here has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineMember {
    /// Its name.
    pub name: PeerName,
    /// Where it has said that it is reached; empty if that is for settings to say.
    pub address: String,
    /// Whether the start of it that is linked, or was last, counts.
    pub is_counted: bool,
    /// For how long it has been silent, as far as this peer knows; `None` while it is there.
    pub silence: Option<Duration>,
    /// Whether it was silent for the grace, as the primary sees it.
    pub is_stale: bool,
}

/// What a peer knows of another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachinePeer {
    /// Its name.
    pub name: PeerName,
    /// The start of it that is linked, or was last.
    pub incarnation: Option<Incarnation>,
    /// Whether it is linked.
    pub is_linked: bool,
    /// What it is, as far as it is known.
    pub role: PeerRole,
    /// What it says it is to the group; `None` if it was never linked.
    pub kind: Option<PeerKind>,
    /// Its priority, once heard.
    pub priority: Option<u8>,
    /// Whether it has said that it holds a state.
    pub holds_state: bool,
    /// How many cuts its state is behind the primary's: at the primary by what it has confirmed,
    /// elsewhere by its own last word. `None` if unknown, and of whoever holds no state.
    pub lag: Option<u64>,
    /// What it is counted by, if it counts.
    pub id: Option<MemberId>,
    /// Whether its incarnation counts as a member, and will whatever becomes of a change under way.
    pub is_member: bool,
    /// Whether it holds the primary unreachable.
    pub suspects: bool,
    /// The primary that it follows and hears, as of its last heartbeat.
    pub follows: Option<PeerName>,
    /// Whether it is the primary, or keeps up with it and acknowledges what comes.
    pub is_current: bool,
    /// Whether it has said that it is about to end.
    pub is_stopping: bool,
    /// Whether it has said that its storage takes nothing any more.
    pub has_failed: bool,
    /// The other members that it has heard of lately, as of its last heartbeat.
    pub reaches: Vec<PeerName>,
}

/// The first version of the protocol in which peers say how far they are behind.
const LAG_VERSION: u32 = 5;

impl Machine {
    /// A snapshot at `now`.
    pub fn status(&self, now: Now) -> MachineStatus {
        let position = self.store.position();
        let primary = match &self.role {
            Role::Primary(_) => Some(self.config.name.clone()),
            _ => self
                .leader
                .as_ref()
                .filter(|l| !l.has_ended(self.now.time))
                .map(|l| l.start.name.clone()),
        };
        let primary_silence = match (&self.role, &self.leader) {
            (Role::Primary(_), _) => Some(Duration::ZERO),
            (_, Some(leader)) => Some(now.time.since(leader.heard)),
            (_, None) => None,
        };
        let quorum = match &self.role {
            Role::Primary(reign) => reign.has_lease(),
            _ if self.config.kind == PeerKind::Client => self.reaches_most_members(),
            _ => self.reaches_own_majority(),
        };
        MachineStatus {
            role: self.own_role(),
            priority: self.priority(),
            ballot: self.ballot,
            primary,
            quorum,
            size: self.names().len(),
            members: self.names().into_iter().map(|name| self.member_status(name)).collect(),
            position,
            group_id: self.meta.group_id,
            lag: self.own_lag(),
            is_counted: self.meta.membership.counts_surely(&self.config.name, self.id)
                || self.is_listed(&self.config.name, self.id),
            is_current: self.is_current(),
            unreplicated_units: self.store.unreplicated_units(),
            catching_up: self.receiver.progress(),
            peers: self.remotes.keys().map(|name| self.peer_status(name, position)).collect(),
            primary_silence,
            missing: self.watch.missing.clone(),
            spare: self.spare(),
            monitor: self.monitor_status(),
            lost: self.lost(),
            is_disowned: self.is_disowned(),
            site: self.site_view(),
        }
    }

    /// The number of cuts that this peer's state is behind the primary's, as of its last heartbeat.
    pub(super) fn own_lag(&self) -> Option<u64> {
        match &self.role {
            _ if self.primary_is_absent() => None,
            Role::Primary(_) => Some(0),
            _ => self.leader.as_ref()?.behind,
        }
    }

    /// Returns true if this peer holds what the primary holds, but for what is under way, and says
    /// so.
    fn is_current(&self) -> bool {
        match &self.role {
            _ if self.has_failed() || self.primary_is_absent() => false,
            Role::Primary(_) => true,
            _ if self.is_copying_all() => false,
            _ => self.leader.as_ref().is_some_and(|leader| leader.is_kept_up_with),
        }
    }

    /// Returns true if another member is current, as far as this peer can tell: the primary by what
    /// that one has promised and confirmed, others by its own word.
    pub(super) fn is_peer_current(&self, name: &PeerName, remote: &Remote) -> bool {
        let Some(brief) = remote.brief().filter(|_| self.is_reachable(remote)) else {
            return false;
        };
        if brief.has_failed || self.primary_is_absent() {
            return false;
        }
        let is_near = |lag: u64| lag <= MAX_LAG;
        if let Role::Primary(reign) = &self.role {
            let own = self.store.position();
            let held = remote.sender().and_then(|sender| sender.held());
            let lag = held.and_then(|held| cuts_behind(held, own));
            let has_promised = remote.has_promised_within(self.group.lease(), self.now.time);
            let is_up = held.is_some_and(|held| {
                held.ballot == self.ballot && reign.is_caught_up(held.sequence)
            });
            let is_near = is_up || brief.behind.or(lag).is_some_and(is_near);
            return has_promised && lag.is_some() && is_near;
        }
        let Some(leader) = &self.leader else { return false };
        if leader.start.name == *name {
            return remote.is_linked_start(leader.start.incarnation);
        }
        let follows = brief.ballot == self.ballot
            && brief.suspects.is_none()
            && brief.primary.as_ref().is_some_and(|primary| leader.start == *primary);
        follows && brief.behind.map_or_else(|| self.speaks_less_than(name, LAG_VERSION), is_near)
    }

    fn own_role(&self) -> PeerRole {
        match &self.role {
            Role::Primary(_) => PeerRole::Primary,
            _ if self.config.kind == PeerKind::Client => PeerRole::Client,
            _ if self.is_disowned() || self.is_given_up() => PeerRole::Removed,
            _ if self.is_passive() => PeerRole::Standby,
            _ if self.is_member() => PeerRole::Replica,
            _ if self.is_removed() => PeerRole::Removed,
            _ => PeerRole::Joining,
        }
    }

    /// A client holds no membership: it goes by the members that it dials.
    fn reaches_most_members(&self) -> bool {
        let is_member = |remote: &&Remote| remote.kind() != Some(PeerKind::Client);
        let members: Vec<&Remote> = self.remotes.values().filter(is_member).collect();
        let reached = members.iter().filter(|remote| self.is_reachable(remote)).count();
        reached > members.len() / 2
    }

    fn member_status(&self, name: &PeerName) -> MachineMember {
        let membership = &self.meta.membership;
        let mut listed = membership.voters.iter().chain(membership.next.iter().flatten());
        let member = listed.rfind(|member| member.name == *name);
        let last = self.remotes.get(name).and_then(Remote::last);
        let id = if *name == self.config.name { Some(self.id) } else { last.map(|end| end.id) };
        let silence = self.silence_of(name);
        MachineMember {
            name: name.clone(),
            address: member.map(|member| member.address.clone()).unwrap_or_default(),
            is_counted: member.is_some_and(|member| member.id.is_some())
                && id.is_none_or(|id| membership.counts_surely(name, id)),
            silence,
            is_stale: silence.is_some_and(|silence| self.is_stale(silence)),
        }
    }

    fn peer_status(&self, name: &PeerName, own: Position) -> MachinePeer {
        let remote = &self.remotes[name];
        let brief = remote.brief();
        let membership = &self.meta.membership;
        let last = remote.last();
        let is_member = last.is_some_and(|end| membership.counts_surely(name, end.id));
        let is_primary = brief.is_some_and(|b| b.is_primary && b.ballot >= self.ballot);
        let id = remote.last().map(|end| end.id);
        let is_removed = id.is_some_and(|id| self.meta.membership.has_removed(name, id));
        let role = match remote.kind() {
            _ if is_primary => PeerRole::Primary,
            _ if is_member => PeerRole::Replica,
            _ if self.is_of_standby(remote) => PeerRole::Standby,
            _ if is_removed => PeerRole::Removed,
            Some(PeerKind::Client) => PeerRole::Client,
            _ => PeerRole::Joining,
        };
        let held = remote.sender().and_then(|sender| sender.held());
        let lag = match held {
            _ if !self.is_primary() && !self.is_reachable(remote) => None,
            _ if is_primary => Some(0),
            _ if self.is_primary() => held.and_then(|held| cuts_behind(held, own)),
            _ => brief.and_then(|brief| brief.behind),
        };
        let following = brief.filter(|brief| brief.suspects.is_none());
        let follows = following.and_then(|brief| Some(brief.primary.as_ref()?.name.clone()));
        MachinePeer {
            name: name.clone(),
            follows,
            incarnation: remote.last().map(|end| end.incarnation),
            is_linked: remote.is_linked(),
            role,
            id,
            kind: remote.kind(),
            priority: brief.map(|b| b.priority),
            holds_state: brief.is_some_and(|b| !b.position.is_blank()),
            lag,
            is_member,
            suspects: brief.is_some_and(|b| b.suspects == Some(self.ballot)),
            is_current: is_member && self.is_peer_current(name, remote),
            is_stopping: brief.is_some_and(|b| b.is_stopping),
            has_failed: brief.is_some_and(|b| b.has_failed),
            reaches: brief.map(|b| b.reaches.clone()).unwrap_or_default(),
        }
    }
}
