//! Messages from their generated twins, with every bound checked.

use bytes::Bytes;

use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, Lead, Member, MemberId, PeerStart,
    Position,
};
use crate::base::policy::{MAX_POLICY_BYTES, Policy};
use crate::protocol::message::{
    Brief, Campaign, Grant, Message, Piece, PolicyOutcome, RemoveOutcome, SwitchOutcome,
    VoteRequest,
};
use crate::record::Records;
use crate::state::{
    BatchEnd, MAX_HISTORY, MAX_LINEAGE, MAX_REMOVED, Membership, Meta, Promoted, Reign, SitePhase,
    SiteState,
};
use crate::store::Digest;
use crate::wire::bounds::{self, MAX_LISTED, required};
use crate::wire::convert::upkeep;
use crate::wire::error::WireError;
use crate::wire::generated as proto;
use crate::wire::generated::message::Kind;

type Read<T> = Result<T, WireError>;

/// A message from its generated twin.
pub(in crate::wire) fn message(message: proto::Message) -> Read<Message> {
    Ok(match required("kind of a message", message.kind)? {
        Kind::Ping(ping) => Message::Ping { number: ping.number, brief: brief(ping.brief)? },
        Kind::Pong(pong) => Message::Pong {
            number: pong.number,
            promise: pong.promise.map(TryInto::try_into).transpose()?,
            brief: brief(pong.brief)?,
        },
        Kind::PreVote(request) => Message::PreVote(vote_request(request)?),
        Kind::PreVoteReply(reply) => Message::PreVoteReply {
            ballot: ballot(reply.ballot)?,
            grant: grant(reply.granted, reply.lends_state),
            known: ballot(reply.known)?,
            membership: membership(reply.membership)?,
            why: bounds::text("reason of a refusal", reply.why)?,
        },
        Kind::Vote(request) => Message::Vote(vote_request(request)?),
        Kind::VoteReply(reply) => Message::VoteReply {
            ballot: ballot(reply.ballot)?,
            grant: grant(reply.granted, reply.lends_state),
            known: ballot(reply.known)?,
            position: position(reply.position)?,
            membership: membership(reply.membership)?,
            why: bounds::text("reason of a refusal", reply.why)?,
        },
        Kind::Release(release) => Message::Release {
            ballot: ballot(release.ballot)?,
            to: bounds::peer("successor", &release.to)?,
        },
        Kind::Remove(remove) => Message::Remove {
            request: remove.request,
            peer: bounds::peer("peer to be removed", &remove.peer)?,
        },
        Kind::Removed(removed) => {
            Message::Removed { request: removed.request, outcome: outcome(&removed)? }
        }
        Kind::SwitchPrimary(switch) => Message::SwitchPrimary {
            request: switch.request,
            to: bounds::peer("successor", &switch.to)?,
            ballot: ballot(switch.ballot)?,
        },
        Kind::Switched(switched) => Message::Switched {
            request: switched.request,
            outcome: switch_outcome(switched.outcome())?,
        },
        Kind::Arrange(request) => upkeep::arrange(request)?,
        Kind::Arranged(arranged) => upkeep::arrange_outcome(&arranged)?,
        Kind::ChangePolicy(change) => {
            bounds::bytes("change of the policy", change.bytes.len(), 0, MAX_POLICY_BYTES)?;
            Message::ChangePolicy { request: change.request, bytes: change.bytes }
        }
        Kind::PolicyChanged(changed) => Message::PolicyChanged {
            request: changed.request,
            outcome: policy_outcome(changed.revision, changed.refused, changed.not_allowed)?,
        },
        Kind::Peers(peers) => {
            Message::Peers { stamp: position(peers.stamp)?, members: voters(peers.members)? }
        }
        Kind::StandNow(stand) => Message::StandNow { ballot: ballot(stand.ballot)? },
        Kind::TakeOver(over) => Message::TakeOver { ballot: ballot(over.ballot)? },
        Kind::Follow(follow) => Message::Follow {
            ballot: ballot(follow.ballot)?,
            group_id: group(follow.group_id)?,
            is_established: follow.is_established,
        },
        Kind::Position(whereabouts) => Message::Position {
            ballot: ballot(whereabouts.ballot)?,
            position: position(whereabouts.position)?,
            history: history(whereabouts.history)?,
            pull: whereabouts.pull,
        },
        Kind::Fork(fork) => Message::Fork { ballot: ballot(fork.ballot)?, at: position(fork.at)? },
        Kind::Tail(tail) => Message::Tail {
            ballot: ballot(tail.ballot)?,
            at: position(tail.at)?,
            keys: tail.keys.map(keys).transpose()?,
        },
        Kind::Piece(piece) => Message::Piece(self::piece(piece)?),
        Kind::PieceStaged(staged) => Message::PieceStaged {
            ballot: ballot(staged.ballot)?,
            transfer: staged.transfer,
            index: staged.index,
        },
        Kind::Held(held) => {
            Message::Held { ballot: ballot(held.ballot)?, position: position(held.position)? }
        }
        Kind::Lost(lost) => Message::Lost { ballot: ballot(lost.ballot)? },
        Kind::GaveUp(gave_up) => {
            let proto::GaveUp { ballot: of, units, is_at_most } = gave_up;
            Message::GaveUp { ballot: ballot(of)?, units, is_at_most }
        }
    })
}

impl TryFrom<proto::Ballot> for Ballot {
    type Error = WireError;

    fn try_from(ballot: proto::Ballot) -> Read<Self> {
        bounds::ballot(ballot.generation, ballot.term)
    }
}

impl TryFrom<proto::Position> for Position {
    type Error = WireError;

    fn try_from(position: proto::Position) -> Read<Self> {
        bounds::position(position.generation, position.term, position.sequence)
    }
}

fn ballot(ballot: Option<proto::Ballot>) -> Read<Ballot> {
    required("ballot", ballot)?.try_into()
}

fn position(position: Option<proto::Position>) -> Read<Position> {
    required("position", position)?.try_into()
}

fn group(id: Option<Bytes>) -> Read<Option<GroupId>> {
    let Some(id) = id else { return Ok(None) };
    match <[u8; 16]>::try_from(&id[..]) {
        Ok(id) => Ok(Some(GroupId(u128::from_le_bytes(id)))),
        Err(_) => Err(WireError::Bytes { field: "group id", bytes: id.len(), min: 16, max: 16 }),
    }
}

/// An older candidate or voter knows votes only.
fn grant(granted: bool, lends_state: bool) -> Grant {
    match (granted, lends_state) {
        (true, _) => Grant::Vote,
        (false, true) => Grant::State,
        (false, false) => Grant::Nothing,
    }
}

fn history(history: Vec<proto::Reign>) -> Read<Vec<Reign>> {
    bounds::count("reigns", history.len(), 0, MAX_HISTORY)?;
    let reign = |proto::Reign { generation, term, after }| {
        let Position { ballot, sequence } = bounds::position(generation, term, after)?;
        Ok(Reign { ballot, after: sequence })
    };
    history.into_iter().map(reign).collect()
}

fn policy_outcome(
    revision: Option<u64>,
    refused: Option<String>,
    not_allowed: bool,
) -> Read<PolicyOutcome> {
    Ok(match (revision, refused) {
        (None, _) if not_allowed => PolicyOutcome::NotAllowed,
        (Some(revision), _) => PolicyOutcome::Changed { revision },
        (None, Some(reason)) => {
            PolicyOutcome::Refused { reason: bounds::text("reason of a refusal", reason)? }
        }
        (None, None) => PolicyOutcome::OldVersion,
    })
}

fn outcome(removed: &proto::Removed) -> Read<RemoveOutcome> {
    Ok(match removed.outcome() {
        _ if removed.not_allowed => RemoveOutcome::NotAllowed,
        proto::RemoveOutcome::RemoveUnspecified => {
            return Err(WireError::Missing { field: "outcome" });
        }
        proto::RemoveOutcome::RemoveRemoved => RemoveOutcome::Removed,
        proto::RemoveOutcome::RemoveNotMember => RemoveOutcome::NotMember,
        proto::RemoveOutcome::RemoveAlive => RemoveOutcome::Alive,
        proto::RemoveOutcome::RemoveLastMember => RemoveOutcome::LastMember,
        proto::RemoveOutcome::RemovePrimary => RemoveOutcome::Primary,
        proto::RemoveOutcome::RemoveOldVersion => RemoveOutcome::OldVersion,
    })
}

fn switch_outcome(outcome: proto::SwitchOutcome) -> Read<SwitchOutcome> {
    Ok(match outcome {
        proto::SwitchOutcome::SwitchUnspecified => {
            return Err(WireError::Missing { field: "outcome" });
        }
        proto::SwitchOutcome::SwitchSwitched => SwitchOutcome::Switched,
        proto::SwitchOutcome::SwitchNotAllowed => SwitchOutcome::NotAllowed,
        proto::SwitchOutcome::SwitchNotMember => SwitchOutcome::NotMember,
        proto::SwitchOutcome::SwitchPriorityZero => SwitchOutcome::PriorityZero,
        proto::SwitchOutcome::SwitchNotReady => SwitchOutcome::NotReady,
        proto::SwitchOutcome::SwitchBusy => SwitchOutcome::Busy,
        proto::SwitchOutcome::SwitchAborted => SwitchOutcome::Aborted,
        proto::SwitchOutcome::SwitchNotConnected => SwitchOutcome::NotConnected,
        proto::SwitchOutcome::SwitchLeaseEnded => SwitchOutcome::LeaseEnded,
    })
}

fn members(members: Vec<proto::Member>, max: usize) -> Read<Vec<Member>> {
    bounds::count("members", members.len(), 0, max)?;
    let member = |member: proto::Member| {
        Ok(Member {
            name: bounds::peer("member", &member.name)?,
            id: member.id.map(MemberId),
            address: bounds::address(member.address)?,
        })
    };
    members.into_iter().map(member).collect()
}

/// Members of whom each counts once.
fn voters(list: Vec<proto::Member>) -> Read<Vec<Member>> {
    let list = members(list, MAX_LISTED)?;
    bounds::distinct("member", list.iter().map(|member| &member.name))?;
    Ok(list)
}

fn membership(membership: Option<proto::Membership>) -> Read<Membership> {
    let membership = required("membership", membership)?;
    Ok(Membership {
        stamp: position(membership.stamp)?,
        voters: voters(membership.voters)?,
        next: membership.next.map(|next| voters(next.members)).transpose()?,
        removed: members(membership.removed, MAX_REMOVED)?,
        upkeep: upkeep::upkeep(membership.upkeep)?,
        site: sites(membership.site, membership.standby)?,
    })
}

/// The sites, and who is listed of the one that follows: nobody where there is but one.
fn sites(site: Option<proto::Site>, listed: Vec<proto::Member>) -> Read<Option<Box<SiteState>>> {
    let listed = voters(listed)?;
    let Some(site) = site else { return Ok(None) };
    bounds::checked_name("active site", &site.active)?;
    bounds::checked_name("standby site", &site.standby)?;
    bounds::count("generations", site.lineage.len(), 0, MAX_LINEAGE)?;
    // A phase that this version does not know is none in which anybody decides.
    let phase = match proto::SitePhase::try_from(site.phase) {
        Ok(proto::SitePhase::PhaseOpen) => SitePhase::Open,
        Ok(proto::SitePhase::PhaseSealing) | Err(_) => SitePhase::Sealing,
        Ok(proto::SitePhase::PhaseSealed) => SitePhase::Sealed,
    };
    let promoted = |proto::Promoted { is_forced, as_of }| {
        let as_of = bounds::clock("time of a promotion", as_of)?;
        Ok::<_, WireError>(Promoted { is_forced, as_of })
    };
    Ok(Some(Box::new(SiteState {
        phase,
        promoted: site.promoted.map(promoted).transpose()?,
        lineage: site.lineage.into_iter().map(Generation::from_bits).collect(),
        active: site.active,
        standby: site.standby,
        listed,
    })))
}

fn meta(meta: proto::Meta) -> Read<Meta> {
    Ok(Meta {
        group_id: group(meta.group_id)?,
        membership: membership(meta.membership)?,
        history: history(meta.history)?,
        policy: policy(meta.policy)?,
    })
}

fn policy(policy: Option<proto::Policy>) -> Read<Policy> {
    let Some(proto::Policy { revision, bytes }) = policy else { return Ok(Policy::default()) };
    bounds::bytes("policy", bytes.len(), 0, MAX_POLICY_BYTES)?;
    // Whoever keeps it keeps no frame.
    Ok(Policy { revision, bytes: Bytes::copy_from_slice(&bytes) })
}

fn brief(brief: Option<proto::Brief>) -> Read<Brief> {
    let brief = required("brief", brief)?;
    Ok(Brief {
        ballot: ballot(brief.ballot)?,
        is_primary: brief.is_primary,
        primary: brief.primary.map(primary).transpose()?,
        position: position(brief.position)?,
        group_id: group(brief.group_id)?,
        is_member: brief.is_member,
        suspects: brief.suspects.map(TryInto::try_into).transpose()?,
        reaches: bounds::peers("peer reached", &brief.reaches)?,
        priority: bounds::number("priority", brief.priority.into(), 0, u8::MAX.into())?,
        // Clocks are wrong by any amount, and no reason to part: a majority of them counts.
        wall: GroupTime(brief.wall).min(GroupTime::MAX_READ),
        uptime_ms: brief.uptime_ms,
        has_quorum: brief.has_quorum,
        members: bounds::peers("member", &brief.members)?,
        behind: brief.behind,
        acknowledged: brief.acknowledged.map(TryInto::try_into).transpose()?,
        is_stopping: brief.is_stopping,
        has_failed: brief.has_failed,
        site_epoch: bounds::site_epoch(brief.site_epoch)?,
        is_confirmed: brief.is_confirmed,
    })
}

fn primary(primary: proto::Start) -> Read<PeerStart> {
    let name = bounds::peer("primary", &primary.name)?;
    Ok(PeerStart { name, incarnation: Incarnation(primary.incarnation) })
}

fn vote_request(request: proto::VoteRequest) -> Read<VoteRequest> {
    let campaign = match request.campaign() {
        proto::Campaign::Unspecified => return Err(WireError::Missing { field: "campaign" }),
        proto::Campaign::Ordinary => Campaign::Ordinary,
        proto::Campaign::NewGeneration => Campaign::NewGeneration,
        proto::Campaign::Promotion => Campaign::Promotion,
    };
    Ok(VoteRequest {
        ballot: ballot(request.ballot)?,
        campaign,
        position: position(request.position)?,
        released: request.released.map(TryInto::try_into).transpose()?,
        is_forced: request.is_forced,
        gone: bounds::peers("member that is gone", &request.gone)?,
    })
}

fn keys(list: proto::KeyList) -> Read<Vec<Bytes>> {
    list.keys.into_iter().map(bounds::record_key).collect()
}

/// The calendar shows a time that there is, whatever the lead: past it, cells would never expire.
fn batch_end(end: proto::BatchEnd) -> Read<BatchEnd> {
    let group_time = bounds::clock("group time", end.group_time)?;
    let most = GroupTime::MAX_READ.0 - group_time.0;
    let nanos = bounds::number("lead of the calendar", end.lead, 0, most)?;
    Ok(BatchEnd {
        position: position(end.position)?,
        group_time,
        lead: Lead { nanos, jumped: bounds::clock("jump of the calendar", end.jumped)? },
        expired_before: bounds::clock("expired before", end.expired_before)?,
        meta: end.meta.map(meta).transpose()?.map(Box::new),
    })
}

fn piece(piece: proto::Piece) -> Read<Piece> {
    let end = piece.end.map(batch_end).transpose()?;
    let digest = end.as_ref().zip(piece.digest).map(|(end, proto::Digest { cells, digest })| {
        Digest { position: end.position, cells, digest }
    });
    Ok(Piece {
        ballot: ballot(piece.ballot)?,
        transfer: piece.transfer,
        index: piece.index,
        from: piece.from.map(TryInto::try_into).transpose()?,
        records: Records::read(piece.records)?,
        end,
        total: piece.total,
        digest,
    })
}
