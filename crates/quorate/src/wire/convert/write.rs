//! Messages to their generated twins.

use bytes::Bytes;

use crate::base::id::{Ballot, GroupId, Member, MemberId, PeerName, PeerStart, Position};
use crate::base::policy::Policy;
use crate::protocol::message::{
    Brief, Campaign, Grant, Message, Piece, PolicyOutcome, RemoveOutcome, SwitchOutcome,
    VoteRequest,
};
use crate::state::{BatchEnd, Membership, Meta, Promoted, Reign, SitePhase, SiteState, Upkeep};
use crate::wire::bounds::{self, MAX_SETTING_BYTES};
use crate::wire::convert::upkeep;
use crate::wire::generated as proto;
use crate::wire::generated::message::Kind;

impl From<&Message> for proto::Message {
    fn from(message: &Message) -> Self {
        Self { kind: Some(kind(message)) }
    }
}

fn kind(message: &Message) -> Kind {
    match message {
        Message::Ping { number, brief } => {
            Kind::Ping(proto::Ping { number: *number, brief: Some(brief.into()) })
        }
        Message::Pong { number, promise, brief } => Kind::Pong(proto::Pong {
            number: *number,
            promise: promise.map(Into::into),
            brief: Some(brief.into()),
        }),
        Message::PreVote(request) => Kind::PreVote(request.into()),
        Message::PreVoteReply { ballot, grant, known, membership, why } => {
            Kind::PreVoteReply(proto::PreVoteReply {
                ballot: Some((*ballot).into()),
                granted: *grant == Grant::Vote,
                known: Some((*known).into()),
                membership: Some(membership.into()),
                lends_state: *grant == Grant::State,
                why: bounds::cut(why, MAX_SETTING_BYTES).to_owned(),
            })
        }
        Message::Vote(request) => Kind::Vote(request.into()),
        Message::VoteReply { ballot, grant, known, position, membership, why } => {
            Kind::VoteReply(proto::VoteReply {
                ballot: Some((*ballot).into()),
                granted: *grant == Grant::Vote,
                known: Some((*known).into()),
                position: Some((*position).into()),
                membership: Some(membership.into()),
                lends_state: *grant == Grant::State,
                why: bounds::cut(why, MAX_SETTING_BYTES).to_owned(),
            })
        }
        Message::Release { ballot, to } => {
            Kind::Release(proto::Release { ballot: Some((*ballot).into()), to: to.to_string() })
        }
        Message::Remove { request, peer } => {
            Kind::Remove(proto::Remove { request: *request, peer: peer.to_string() })
        }
        Message::Removed { request, outcome } => Kind::Removed(proto::Removed {
            request: *request,
            outcome: proto::RemoveOutcome::from(*outcome).into(),
            not_allowed: *outcome == RemoveOutcome::NotAllowed,
        }),
        Message::SwitchPrimary { request, to, ballot } => {
            Kind::SwitchPrimary(proto::SwitchPrimary {
                request: *request,
                to: to.to_string(),
                ballot: Some((*ballot).into()),
            })
        }
        Message::Switched { request, outcome } => Kind::Switched(proto::Switched {
            request: *request,
            outcome: proto::SwitchOutcome::from(*outcome).into(),
        }),
        Message::Arrange { request, change } => Kind::Arrange(upkeep::asked(*request, change)),
        Message::Arranged { request, outcome } => {
            Kind::Arranged(upkeep::arranged(*request, *outcome))
        }
        Message::ChangePolicy { request, bytes } => {
            Kind::ChangePolicy(proto::ChangePolicy { request: *request, bytes: bytes.clone() })
        }
        Message::PolicyChanged { request, outcome } => {
            Kind::PolicyChanged(policy_changed(*request, outcome))
        }
        Message::Peers { stamp, members } => Kind::Peers(proto::Peers {
            stamp: Some((*stamp).into()),
            members: members.iter().map(Into::into).collect(),
        }),
        Message::StandNow { ballot } => {
            Kind::StandNow(proto::StandNow { ballot: Some((*ballot).into()) })
        }
        Message::TakeOver { ballot } => {
            Kind::TakeOver(proto::TakeOver { ballot: Some((*ballot).into()) })
        }
        Message::Follow { ballot, group_id, is_established } => Kind::Follow(proto::Follow {
            ballot: Some((*ballot).into()),
            group_id: group_id.map(group),
            is_established: *is_established,
        }),
        Message::Position { ballot, position, history, pull } => {
            Kind::Position(proto::Whereabouts {
                ballot: Some((*ballot).into()),
                position: Some((*position).into()),
                history: history.iter().map(Into::into).collect(),
                pull: *pull,
            })
        }
        Message::Fork { ballot, at } => {
            Kind::Fork(proto::Fork { ballot: Some((*ballot).into()), at: Some((*at).into()) })
        }
        Message::Tail { ballot, at, keys } => Kind::Tail(proto::Tail {
            ballot: Some((*ballot).into()),
            at: Some((*at).into()),
            keys: keys.clone().map(|keys| proto::KeyList { keys }),
        }),
        Message::Piece(piece) => Kind::Piece(piece.into()),
        Message::PieceStaged { ballot, transfer, index } => Kind::PieceStaged(proto::PieceStaged {
            ballot: Some((*ballot).into()),
            transfer: *transfer,
            index: *index,
        }),
        Message::Held { ballot, position } => Kind::Held(proto::Held {
            ballot: Some((*ballot).into()),
            position: Some((*position).into()),
        }),
        Message::Lost { ballot } => Kind::Lost(proto::Lost { ballot: Some((*ballot).into()) }),
        Message::GaveUp { ballot, units, is_at_most } => {
            let (ballot, units, is_at_most) = (Some((*ballot).into()), *units, *is_at_most);
            Kind::GaveUp(proto::GaveUp { ballot, units, is_at_most })
        }
    }
}

fn policy_changed(request: u64, outcome: &PolicyOutcome) -> proto::PolicyChanged {
    let (revision, refused) = match outcome {
        PolicyOutcome::Changed { revision } => (Some(*revision), None),
        // The reader's bound.
        PolicyOutcome::Refused { reason } => (None, Some(bounds::cut(reason, MAX_SETTING_BYTES))),
        // A peer that does not know of this has a sentence.
        PolicyOutcome::NotAllowed => (None, Some("a client may not change the policy")),
        PolicyOutcome::OldVersion => (None, None),
    };
    let refused = refused.map(str::to_owned);
    let not_allowed = *outcome == PolicyOutcome::NotAllowed;
    proto::PolicyChanged { request, revision, refused, not_allowed }
}

impl From<RemoveOutcome> for proto::RemoveOutcome {
    fn from(outcome: RemoveOutcome) -> Self {
        match outcome {
            RemoveOutcome::Removed => Self::RemoveRemoved,
            RemoveOutcome::NotMember => Self::RemoveNotMember,
            RemoveOutcome::Alive => Self::RemoveAlive,
            RemoveOutcome::LastMember => Self::RemoveLastMember,
            RemoveOutcome::Primary => Self::RemovePrimary,
            // To a peer that does not know of the first.
            RemoveOutcome::NotAllowed | RemoveOutcome::OldVersion => Self::RemoveOldVersion,
        }
    }
}

impl From<SwitchOutcome> for proto::SwitchOutcome {
    fn from(outcome: SwitchOutcome) -> Self {
        match outcome {
            SwitchOutcome::Switched => Self::SwitchSwitched,
            SwitchOutcome::NotAllowed => Self::SwitchNotAllowed,
            SwitchOutcome::NotMember => Self::SwitchNotMember,
            SwitchOutcome::PriorityZero => Self::SwitchPriorityZero,
            SwitchOutcome::NotReady => Self::SwitchNotReady,
            SwitchOutcome::Busy => Self::SwitchBusy,
            SwitchOutcome::Aborted => Self::SwitchAborted,
            SwitchOutcome::NotConnected => Self::SwitchNotConnected,
            SwitchOutcome::LeaseEnded => Self::SwitchLeaseEnded,
        }
    }
}

impl From<Ballot> for proto::Ballot {
    fn from(ballot: Ballot) -> Self {
        Self { generation: ballot.generation.to_bits(), term: ballot.term.0 }
    }
}

impl From<Position> for proto::Position {
    fn from(position: Position) -> Self {
        let Ballot { generation, term } = position.ballot;
        Self { generation: generation.to_bits(), term: term.0, sequence: position.sequence.0 }
    }
}

impl From<&Reign> for proto::Reign {
    fn from(reign: &Reign) -> Self {
        let Ballot { generation, term } = reign.ballot;
        Self { generation: generation.to_bits(), term: term.0, after: reign.after.0 }
    }
}

impl From<&Member> for proto::Member {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.to_string(),
            id: member.id.map(|MemberId(id)| id),
            address: member.address.clone(),
        }
    }
}

impl From<&Membership> for proto::Membership {
    fn from(membership: &Membership) -> Self {
        let next = membership.next.as_deref();
        Self {
            stamp: Some(membership.stamp.into()),
            voters: membership.voters.iter().map(Into::into).collect(),
            next: next
                .map(|next| proto::MemberList { members: next.iter().map(Into::into).collect() }),
            removed: membership.removed.iter().map(Into::into).collect(),
            upkeep: (membership.upkeep != Upkeep::default()).then(|| (&membership.upkeep).into()),
            standby: membership.standby().iter().map(Into::into).collect(),
            site: membership.site.as_deref().map(Into::into),
        }
    }
}

impl From<&SiteState> for proto::Site {
    fn from(site: &SiteState) -> Self {
        let phase = match site.phase {
            SitePhase::Open => proto::SitePhase::PhaseOpen,
            SitePhase::Sealing => proto::SitePhase::PhaseSealing,
            SitePhase::Sealed => proto::SitePhase::PhaseSealed,
        };
        let promoted = |promoted: Promoted| proto::Promoted {
            is_forced: promoted.is_forced,
            as_of: promoted.as_of.0,
        };
        Self {
            active: site.active.clone(),
            standby: site.standby.clone(),
            phase: phase.into(),
            promoted: site.promoted.map(promoted),
            lineage: site.lineage.iter().map(|generation| generation.to_bits()).collect(),
        }
    }
}

impl From<&Meta> for proto::Meta {
    fn from(meta: &Meta) -> Self {
        Self {
            group_id: meta.group_id.map(group),
            membership: Some((&meta.membership).into()),
            history: meta.history.iter().map(Into::into).collect(),
            policy: (meta.policy != Policy::default()).then(|| proto::Policy {
                revision: meta.policy.revision,
                bytes: meta.policy.bytes.clone(),
            }),
        }
    }
}

impl From<&Brief> for proto::Brief {
    fn from(brief: &Brief) -> Self {
        let primary = |primary: &PeerStart| proto::Start {
            name: primary.name.to_string(),
            incarnation: primary.incarnation.0,
        };
        Self {
            ballot: Some(brief.ballot.into()),
            is_primary: brief.is_primary,
            primary: brief.primary.as_ref().map(primary),
            position: Some(brief.position.into()),
            group_id: brief.group_id.map(group),
            is_member: brief.is_member,
            suspects: brief.suspects.map(Into::into),
            reaches: brief.reaches.iter().map(PeerName::to_string).collect(),
            priority: brief.priority.into(),
            wall: brief.wall.0,
            uptime_ms: brief.uptime_ms,
            has_quorum: brief.has_quorum,
            members: brief.members.iter().map(PeerName::to_string).collect(),
            behind: brief.behind,
            acknowledged: brief.acknowledged.map(Into::into),
            is_stopping: brief.is_stopping,
            has_failed: brief.has_failed,
            site_epoch: bounds::short(brief.site_epoch),
            is_confirmed: brief.is_confirmed,
        }
    }
}

impl From<&VoteRequest> for proto::VoteRequest {
    fn from(request: &VoteRequest) -> Self {
        let campaign = match request.campaign {
            Campaign::Ordinary => proto::Campaign::Ordinary,
            Campaign::NewGeneration => proto::Campaign::NewGeneration,
            Campaign::Promotion => proto::Campaign::Promotion,
        };
        Self {
            ballot: Some(request.ballot.into()),
            campaign: campaign.into(),
            position: Some(request.position.into()),
            released: request.released.map(Into::into),
            is_forced: request.is_forced,
            gone: request.gone.iter().map(PeerName::to_string).collect(),
        }
    }
}

impl From<&BatchEnd> for proto::BatchEnd {
    fn from(end: &BatchEnd) -> Self {
        Self {
            position: Some(end.position.into()),
            group_time: end.group_time.0,
            expired_before: end.expired_before.0,
            lead: end.lead.nanos,
            jumped: end.lead.jumped.0,
            meta: end.meta.as_deref().map(Into::into),
        }
    }
}

impl From<&Piece> for proto::Piece {
    fn from(piece: &Piece) -> Self {
        Self {
            ballot: Some(piece.ballot.into()),
            transfer: piece.transfer,
            index: piece.index,
            from: piece.from.map(Into::into),
            records: piece.records.packed().clone(),
            end: piece.end.as_ref().map(Into::into),
            total: piece.total,
            digest: piece
                .digest
                .as_ref()
                .map(|digest| proto::Digest { cells: digest.cells, digest: digest.digest }),
        }
    }
}

fn group(GroupId(id): GroupId) -> Bytes {
    Bytes::copy_from_slice(&id.to_le_bytes())
}
