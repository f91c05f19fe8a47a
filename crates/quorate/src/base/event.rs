//! What a peer tells its embedder as it happens.

use serde::Serialize;

use crate::base::id::{Ballot, Generation, GroupId, PeerName, Position};
use crate::base::loss::Loss;

/// Something that happened to this peer's group, as this peer saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The group was founded with blank peers.
    Founded {
        /// Its random id.
        group_id: GroupId,
        /// Members that were not reached, by name.
        unreached: Vec<PeerName>,
        /// The latest state that a member may have acknowledged before all had lost their data,
        /// where one remembers that ([`PeerBuilder::state_dir`](crate::PeerBuilder::state_dir)): it
        /// is lost.
        lost: Option<Position>,
    },
    /// The group was formed anew because a majority had lost its data.
    NewGeneration {
        /// The new generation.
        generation: Generation,
        /// Members whose data, if any, were not reached.
        unreached: Vec<PeerName>,
        /// The state that it goes on from: the freshest among those that took part.
        position: Position,
        /// When that state was made, in milliseconds since the Unix epoch by the group's calendar.
        /// What was decided later is lost, whether the callers waited for a majority or not.
        as_of_ms: u64,
        /// How much that may be, of what a majority had held.
        loss: Loss,
    },
    /// A new generation could begin, and waits for members that are missing: by this peer's
    /// settings ([`NewGenerations::WhenComplete`](crate::NewGenerations::WhenComplete)), or because
    /// one that has restarted may have acknowledged more than is left. Bring them back, or, where
    /// they are gone for good, call [`Peer::found_new_group`](crate::Peer::found_new_group) at each
    /// peer that is left: what only the missing ones hold is lost then.
    NewGenerationWaits {
        /// The members that are waited for.
        missing: Vec<PeerName>,
        /// What a member in reach may have acknowledged before it restarted, where all that is left
        /// is older ([`PeerBuilder::state_dir`](crate::PeerBuilder::state_dir)).
        acknowledged: Option<Position>,
    },
    /// Another peer is primary now.
    PrimaryChanged {
        /// The primary, if there is one.
        primary: Option<PeerName>,
        /// Its reign.
        ballot: Ballot,
    },
    /// This peer holds the primary unreachable.
    PrimarySuspected {
        /// The primary, if one was known.
        primary: Option<PeerName>,
        /// Its reign.
        ballot: Ballot,
    },
    /// Enough replicas agree that the primary is unreachable: an election starts.
    FailureAgreed {
        /// Who agrees.
        agreeing: Vec<PeerName>,
        /// The reign that ends.
        ballot: Ballot,
    },
    /// This peer stands for election.
    CampaignStarted {
        /// The reign it stands for.
        ballot: Ballot,
    },
    /// This primary's lease ended: it decides nothing until a majority answers again.
    QuorumLost {
        /// Its reign.
        ballot: Ballot,
    },
    /// The primary has been lost for two failure timeouts, and the members that this peer reaches
    /// are no majority, without which there is no other one. Told once each time.
    MajorityLost {
        /// The reign that this peer knew of last.
        ballot: Ballot,
        /// Members that it does not reach.
        unreached: Vec<PeerName>,
    },
    /// This primary's lease runs again.
    QuorumRegained {
        /// Its reign.
        ballot: Ballot,
    },
    /// This primary's clock may have stood still, as that of a paused virtual machine does: a wall
    /// clock, its own or another member's, has gone ahead of it. It decides again as soon as a
    /// majority has answered; callers are held meanwhile. A wall clock that was set is told in the
    /// same way.
    ClockDoubted {
        /// Its reign.
        ballot: Ballot,
        /// By how much, in milliseconds.
        ahead_ms: u64,
    },
    /// This peer was primary and is not any more.
    SteppedDown {
        /// The reign that ended.
        ballot: Ballot,
    },
    /// A link to a peer is up.
    PeerUp {
        /// The peer.
        peer: PeerName,
    },
    /// All links to a peer are down.
    PeerDown {
        /// The peer.
        peer: PeerName,
    },
    /// A member counts by another start of it than before: it has restarted, or has started at last
    /// where the group was founded without it.
    MemberReplaced {
        /// The peer.
        peer: PeerName,
    },
    /// A joiner has become a member: majorities are of one more from now on. A member that ends for
    /// good counts until it is forgotten: where instances come and go by themselves, be clients.
    MemberAdded {
        /// The peer.
        peer: PeerName,
        /// Members from now on, it included.
        members: usize,
    },
    /// A member has left or was forgotten: it is not counted any more.
    MemberRemoved {
        /// The peer.
        peer: PeerName,
    },
    /// A member has been silent for the grace: this primary has no link with it, and nobody that
    /// is in reach says that it reaches it. Told once each time, and no more than that: it is a
    /// member until it is forgotten.
    MemberStale {
        /// The peer.
        peer: PeerName,
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// This primary forgets a member by itself: it was silent for the grace, and as many members as
    /// are wanted are live without it ([`Monitor`](crate::Monitor)).
    MemberForgotten {
        /// The peer.
        peer: PeerName,
        /// For how long it was silent, in milliseconds.
        silent_ms: u64,
    },
    /// A joiner is up to date and is not counted in yet: more members are live than the monitor is
    /// to keep, and whoever it comes for has yet to go. Its calls are forwarded meanwhile.
    JoinerWaits {
        /// The peer.
        peer: PeerName,
        /// Members that are live.
        live: usize,
    },
    /// The group looks after its members in another way from now on.
    MonitorChanged {
        /// The number of live members that is kept; `None` if nobody is forgotten any more.
        size: Option<usize>,
        /// The silence after which a member that was replaced is forgotten, in milliseconds.
        grace_ms: Option<u64>,
        /// The end of the pause in which nobody is forgotten, in milliseconds since the Unix epoch
        /// by the group's calendar.
        paused_until_ms: Option<u64>,
        /// Its revision.
        revision: u64,
    },
    /// Another site decides from now on, or the first of two.
    SiteChanged {
        /// The site of this peer.
        site: String,
        /// The site that decides.
        active: String,
        /// Its site epoch.
        epoch: u64,
    },
    /// This peer's site decides from now on, and this peer is its primary.
    SitePromoted {
        /// The site.
        site: String,
        /// Its site epoch.
        epoch: u64,
        /// Whether the other site had not given up deciding: what it decided past this state is
        /// lost.
        forced: bool,
        /// The state that it begins from.
        position: Position,
        /// When that was made, by the calendar, in milliseconds since the Unix epoch.
        as_of_ms: u64,
    },
    /// Another site has begun to decide, and this one decides nothing any more.
    SiteFenced {
        /// The site epoch of the other one.
        epoch: u64,
        /// Who has told of it.
        by: PeerName,
    },
    /// This peer was told to be primary without members that are gone for good, and is
    /// ([`Peer::force_primary`](crate::Peer::force_primary)).
    PrimaryForced {
        /// The new generation.
        generation: Generation,
        /// The group's id from now on.
        group_id: GroupId,
        /// Members that are none any more.
        gone: Vec<PeerName>,
        /// The state that it goes on from: the freshest among those that are left.
        position: Position,
        /// When that state was made, in milliseconds since the Unix epoch by the group's calendar.
        /// What only the gone held of later decisions is lost.
        as_of_ms: u64,
    },
    /// This peer has learned that it was counted out: it decides nothing any more, and may join as
    /// a new member, with nothing of its data
    /// ([`PeerBuilder::set_aside`](crate::PeerBuilder::set_aside)). Told once.
    CountedOut {
        /// Who has refused it as no member; `None` if the change itself has reached it.
        by: Option<PeerName>,
        /// The generation that it does not belong to.
        generation: Generation,
    },
    /// This peer decides by another policy from now on.
    PolicyChanged {
        /// Its revision; 0 for what each peer's own model was made with.
        revision: u64,
    },
    /// This peer's model cannot decide by the group's policy: it goes on with what it had. It may
    /// be of an older version.
    PolicyUnusable {
        /// The policy's revision.
        revision: u64,
        /// Why, as the model says it.
        reason: String,
    },
    /// What this peer decided alone has been merged into the group's counts.
    LocalDecisionsMerged {
        /// Units merged.
        units: u64,
        /// Units that do not count any more, of windows that had closed meanwhile or that had
        /// flowed back, and what one peer took beyond a limit that was open: dropped.
        dropped: u64,
    },
    /// What this peer decided alone was discarded, as the group's settings say.
    LocalDecisionsDiscarded {
        /// Units discarded.
        units: u64,
    },
    /// The primary takes what this peer decided alone from nobody, or not any more: it was dropped.
    LocalDecisionsRefused {
        /// Units dropped; some of them may have been merged before.
        units: u64,
        /// Why, as the primary says it.
        reason: String,
    },
    /// Decisions of an old primary, which had not been replicated, were given up, or may have been:
    /// told where a primary takes over from another that has not handed over, under
    /// [`Acknowledge::Primary`](crate::Acknowledge::Primary), and by the old one, exactly where it
    /// can, when it is back with what it had decided. On disk too: what was decided last may not
    /// have been written when a primary was killed, but with
    /// [`SyncPolicy::EveryBatch`](crate::SyncPolicy::EveryBatch), and is then on its own disk
    /// alone.
    ChangesLost {
        /// Units given up.
        units: u64,
        /// Whether `units` is exact, or an upper bound: it may have been none. A new primary, which
        /// knows no more, names [`max_unreplicated`](crate::GroupConfig::max_unreplicated); an old
        /// one that cannot tell from where on its decisions were given up names all that no
        /// majority is known to hold, of each reign that it had in a row.
        exact: bool,
    },
    /// This peer's data belonged to an older founding and were set aside.
    OlderGenerationDropped {
        /// Cells dropped.
        cells: u64,
        /// The generation they belonged to.
        generation: Generation,
    },
    /// A peer was refused, here or there, because a setting differs.
    ConfigMismatch {
        /// The peer or address.
        peer: String,
        /// The field that differs.
        field: String,
        /// This peer's value.
        ours: String,
        /// The other's value.
        theirs: String,
    },
    /// A connected peer's model has another value of a setting than this peer's. Told once for each
    /// start of that peer; nothing is refused, for such settings may roll.
    ModelDiffers {
        /// The peer.
        peer: PeerName,
        /// The setting.
        field: String,
        /// This peer's value.
        ours: String,
        /// The other's value.
        theirs: String,
    },
    /// A connected peer uses TLS in another way than this one. Told once for each start of that
    /// peer; nothing is refused, for this may roll. Where two peers cannot be connected for it, it
    /// is a [`Event::ConfigMismatch`].
    TransportDiffers {
        /// The peer.
        peer: PeerName,
        /// What differs: `tls`.
        field: String,
        /// This peer's value.
        ours: String,
        /// The other's value.
        theirs: String,
    },
    /// This peer's certificate ends soon, or has ended: without another one nobody takes a new
    /// connection from this peer after that. Told 30, 7 and 1 days before, and then.
    CertificateExpiring {
        /// Its subject.
        subject: String,
        /// Its last moment, in milliseconds since the Unix epoch.
        not_after_ms: u64,
        /// How near that is, in days: 30, 7, 1, or 0 if it has passed.
        within_days: u64,
    },
    /// New files were read: new connections use this certificate, and trust these CAs, from now on.
    /// Connections that are open go on.
    CertificateRenewed {
        /// The subject of this peer's certificate.
        subject: String,
        /// Its last moment, in milliseconds since the Unix epoch.
        not_after_ms: u64,
        /// The subjects of the CAs that are trusted now.
        trusted: Vec<String>,
    },
    /// New files cannot be used: those read before stay in use.
    CertificateRefused {
        /// What is wrong with them, and what to do.
        error: String,
    },
    /// A CA among this peer's files is not trusted: it has ended, or has not begun. Told when a
    /// peer starts, when files are read, and within a minute of its end.
    CaNotTrusted {
        /// Its subject.
        subject: String,
        /// Its first moment, in milliseconds since the Unix epoch.
        not_before_ms: u64,
        /// Its last moment, in milliseconds since the Unix epoch.
        not_after_ms: u64,
    },
    /// This peer's files were kept under other names before other data took their place: those of
    /// an older founding, or of a peer that was started blank
    /// ([`PeerBuilder::set_aside`](crate::PeerBuilder::set_aside)). They stay until that happens
    /// again, or someone removes them.
    OlderFilesSetAside {
        /// The first of them; the others stand beside it, and their names begin in the same way:
        /// with `older-`, or with `removed-`.
        path: String,
    },
    /// This peer has read its directory: it goes on from there.
    Recovered {
        /// Cells it holds now.
        cells: u64,
        /// Records read; a cell that changed often has many.
        records: u64,
        /// Where it goes on.
        position: Position,
        /// Bytes at the end of the log that a crash had left half written: left out.
        torn_bytes: u64,
        /// Whether it may have acknowledged more than it holds now: it did so before it synced, and
        /// the machine has gone down. It counts as another member from now on.
        may_lack_acknowledged: bool,
    },
    /// This peer is being brought up to date by more than one message; the status says how far it
    /// is.
    CatchUpStarted {
        /// Who sends.
        from: PeerName,
        /// Cells to come, as far as that can be told.
        cells: u64,
        /// Whether they replace everything that this peer has.
        is_full: bool,
    },
    /// All of it has come and counts from now on.
    CaughtUp {
        /// Cells that have come.
        cells: u64,
        /// The state held now.
        position: Position,
    },
    /// This peer's cells differed from the primary's at the same position: something had changed
    /// them silently. They are copied anew.
    Diverged {
        /// The position.
        position: Position,
        /// Cells here.
        cells: u64,
        /// Cells at the primary.
        expected: u64,
    },
    /// This peer's storage takes nothing any more: it neither votes nor acknowledges, and forwards.
    /// When the cause is mended, start the peer again.
    StorageFailed {
        /// What has failed, and what to do.
        error: String,
    },
    /// This peer holds at least 80 % of the cells, or of their memory, that it may make as primary.
    /// Told again when it had been below 70 % meanwhile.
    StoreNearlyFull {
        /// Cells held.
        cells: usize,
        /// The most.
        max_cells: usize,
        /// Their memory, in bytes.
        bytes: usize,
        /// The most, in bytes.
        max_bytes: usize,
    },
    /// There is no room for new keys here: a primary refuses operations on them, and goes on with
    /// those that it has. Told again when it had been below 90 % meanwhile.
    StoreFull {
        /// Cells held.
        cells: usize,
        /// The most.
        max_cells: usize,
        /// Their memory, in bytes.
        bytes: usize,
        /// The most, in bytes.
        max_bytes: usize,
    },
    /// A planned switch of the primary ended without one.
    SwitchAborted {
        /// Who was to take over.
        to: PeerName,
    },
    /// Somebody has this peer do something, over the admin lane ([`admin`](crate::admin)). Told
    /// before it is tried: what comes of it is told by other events.
    AdminActed {
        /// The name by which it was asked; over TLS it is proven.
        by: PeerName,
        /// What is to be done, in a few words.
        what: String,
    },
}

impl Event {
    /// The peer that it is about, if that peer alone can make it happen as often as it likes.
    #[cfg(feature = "driver")]
    pub(crate) fn passing(&self) -> Option<&str> {
        match self {
            Self::PeerUp { peer }
            | Self::PeerDown { peer }
            | Self::ModelDiffers { peer, .. }
            | Self::TransportDiffers { peer, .. } => Some(peer.as_str()),
            Self::ConfigMismatch { peer, .. } => Some(peer),
            _ => None,
        }
    }
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RefusedBy {
    /// The other peer.
    Them,
    /// This peer.
    Us,
}
