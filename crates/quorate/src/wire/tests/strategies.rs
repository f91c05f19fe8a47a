//! Any frame that a peer may send.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Incarnation, Lead, MAX_NAME_BYTES, Member, MemberId,
    PeerKind, PeerName, PeerStart, Position, Sequence, Term,
};
use crate::base::policy::Policy;
use crate::config::{Monitor, MonitorChange};
use crate::model::{Answer, Delta, MAX_ITEMS, MAX_KEY_BYTES, Value};
use crate::protocol::Standing;
use crate::protocol::io::Succession;
use crate::protocol::message::{
    ArrangeOutcome, Arrangement, Brief, Campaign, Grant, Lane, Message, Piece, PolicyOutcome,
    RemoveOutcome, SwitchOutcome, VoteRequest,
};
use crate::record::{Packer, Records};
use crate::state::{
    BatchEnd, MAX_HISTORY, MAX_LINEAGE, Membership, Meta, Promoted, Reign, SitePhase, SiteState,
    Upkeep,
};
use crate::store::Digest;
use crate::wire::replies::{Outcome, Refusal, Reply};
use crate::wire::{
    Calls, Frame, Hello, MAX_LISTED, MAX_MODEL_SETTINGS, MAX_RECORD_KEY_BYTES, MAX_SETTINGS, Merge,
    MergeReply, Refuse, Replies, begin, calls, finish, kind, replies,
};

/// An operation that owns its keys.
pub(super) type OwnedItems = Vec<(Vec<u8>, [u64; 2])>;

pub(super) fn frame() -> BoxedStrategy<Frame> {
    prop_oneof![
        1 => hello().prop_map(Frame::Hello),
        1 => refuse().prop_map(Frame::Refuse),
        8 => message().prop_map(Frame::Message),
        1 => vec((any::<u32>(), items()), 0..5)
            .prop_map(|calls| Frame::Calls(packed_calls(&calls))),
        1 => vec(reply(), 0..9).prop_map(|replies| Frame::Replies(packed_replies(&replies))),
        1 => merge().prop_map(Frame::Merge),
        1 => merge_reply().prop_map(Frame::MergeReply),
        1 => document().prop_map(Frame::AdminAsk),
        1 => document().prop_map(Frame::AdminAnswer),
    ]
    .boxed()
}

pub(super) fn packed_calls(calls: &[(u32, OwnedItems)]) -> Calls {
    let mut out = BytesMut::new();
    let start = begin(kind::CALLS, &mut out);
    for (id, items) in calls {
        calls::push(&mut out, *id, &borrowed(items)).expect("the strategy keeps the bounds");
    }
    let length = finish(start, &mut out);
    Calls::from_body(out.split_off(out.len() - length).freeze())
}

pub(super) fn borrowed(items: &OwnedItems) -> Vec<crate::model::Item<'_>> {
    items.iter().map(|(key, args)| crate::model::Item { key, args: *args }).collect()
}

pub(super) fn packed_replies(replies: &[Reply]) -> Replies {
    let mut out = BytesMut::new();
    for reply in replies {
        match reply.outcome {
            Outcome::Decided { answer, position, group_time } => {
                replies::push_decided(&mut out, reply.id, &answer, position, group_time);
            }
            Outcome::Refused { refusal, bound } => {
                replies::push_refused(&mut out, reply.id, refusal, bound);
            }
        }
    }
    Replies::from_body(out.freeze())
}

pub(super) fn items() -> impl Strategy<Value = OwnedItems> {
    vec((vec(any::<u8>(), 1..=MAX_KEY_BYTES), [number(), number()]), 1..=MAX_ITEMS)
}

pub(super) fn reply() -> BoxedStrategy<Reply> {
    let refusal = prop::sample::select(vec![
        Refusal::NoAuthority,
        Refusal::HandingOver,
        Refusal::CellsFull,
        Refusal::Invalid,
        Refusal::OutcomeUnknown,
        Refusal::BytesFull,
        Refusal::TooManyCalls,
    ]);
    let answer = (any::<u8>(), number(), prop::array::uniform6(number()))
        .prop_map(|(code, units, words)| Answer { code, units, words });
    let outcome = prop_oneof![
        (answer, position(), clock()).prop_map(|(answer, position, group_time)| {
            Outcome::Decided { answer, position, group_time }
        }),
        (refusal, number()).prop_map(|(refusal, bound)| Outcome::Refused { refusal, bound }),
    ];
    (any::<u32>(), outcome).prop_map(|(id, outcome)| Reply { id, outcome }).boxed()
}

pub(super) fn records() -> BoxedStrategy<Records> {
    let record = (record_key(), option::of(value()));
    vec(record, 0..8)
        .prop_map(|records| {
            let mut packer = Packer::default();
            records.iter().for_each(|(key, value)| packer.push(key, value.as_ref()));
            packer.finish()
        })
        .boxed()
}

pub(crate) fn message() -> BoxedStrategy<Message> {
    prop_oneof![control_message(), data_message()].boxed()
}

fn control_message() -> BoxedStrategy<Message> {
    prop_oneof![
        (number(), brief()).prop_map(|(number, brief)| Message::Ping { number, brief }),
        (number(), option::of(ballot()), brief())
            .prop_map(|(number, promise, brief)| { Message::Pong { number, promise, brief } }),
        vote_request().prop_map(Message::PreVote),
        (ballot(), grant(), ballot(), membership(), why()).prop_map(
            |(ballot, grant, known, membership, why)| Message::PreVoteReply {
                ballot,
                grant,
                known,
                membership,
                why,
            }
        ),
        vote_request().prop_map(Message::Vote),
        (ballot(), grant(), ballot(), position(), membership(), why()).prop_map(
            |(ballot, grant, known, position, membership, why)| Message::VoteReply {
                ballot,
                grant,
                known,
                position,
                membership,
                why,
            }
        ),
        (ballot(), peer()).prop_map(|(ballot, to)| Message::Release { ballot, to }),
        ballot().prop_map(|ballot| Message::StandNow { ballot }),
        ballot().prop_map(|ballot| Message::TakeOver { ballot }),
        (number(), peer()).prop_map(|(request, peer)| Message::Remove { request, peer }),
        (number(), outcome()).prop_map(|(request, outcome)| Message::Removed { request, outcome }),
        (number(), peer(), ballot()).prop_map(|(request, to, ballot)| Message::SwitchPrimary {
            request,
            to,
            ballot
        }),
        (number(), switch_outcome())
            .prop_map(|(request, outcome)| Message::Switched { request, outcome }),
        (number(), arrangement())
            .prop_map(|(request, change)| Message::Arrange { request, change }),
        (number(), arrange_outcome())
            .prop_map(|(request, outcome)| Message::Arranged { request, outcome }),
        (number(), vec(any::<u8>(), 0..99))
            .prop_map(|(request, bytes)| Message::ChangePolicy { request, bytes: bytes.into() }),
        (number(), policy_outcome())
            .prop_map(|(request, outcome)| Message::PolicyChanged { request, outcome }),
        (position(), voters()).prop_map(|(stamp, members)| Message::Peers { stamp, members }),
    ]
    .boxed()
}

fn data_message() -> BoxedStrategy<Message> {
    prop_oneof![
        (ballot(), option::of(group_id()), any::<bool>()).prop_map(
            |(ballot, group_id, is_established)| Message::Follow {
                ballot,
                group_id,
                is_established
            }
        ),
        (ballot(), position(), history(), any::<bool>()).prop_map(
            |(ballot, position, history, pull)| Message::Position {
                ballot,
                position,
                history,
                pull
            }
        ),
        (ballot(), position()).prop_map(|(ballot, at)| Message::Fork { ballot, at }),
        (ballot(), position(), option::of(vec(record_key(), 0..9)))
            .prop_map(|(ballot, at, keys)| Message::Tail { ballot, at, keys }),
        piece().prop_map(Message::Piece),
        (ballot(), number(), any::<u32>()).prop_map(|(ballot, transfer, index)| {
            Message::PieceStaged { ballot, transfer, index }
        }),
        (ballot(), position()).prop_map(|(ballot, position)| Message::Held { ballot, position }),
        ballot().prop_map(|ballot| Message::Lost { ballot }),
        (ballot(), number(), any::<bool>()).prop_map(|(ballot, units, is_at_most)| {
            Message::GaveUp { ballot, units, is_at_most }
        }),
    ]
    .boxed()
}

fn hello() -> BoxedStrategy<Hello> {
    (
        (any::<u32>(), any::<u32>()),
        (name(), peer(), incarnation(), option::of(peer())),
        prop_oneof![Just(Lane::Control), Just(Lane::Data), Just(Lane::Calls), Just(Lane::Admin)],
        (
            vec((".{0,20}", ".{0,20}"), 0..=MAX_SETTINGS - MAX_MODEL_SETTINGS),
            vec((".{0,20}", ".{0,20}"), 0..=MAX_MODEL_SETTINGS),
        ),
        (any::<u64>(), number()),
        (id(), address(), kind(), standing()),
    )
        .prop_map(|(versions, names, lane, settings, numbers, end)| Hello {
            standing: end.3,
            has_state: numbers.0 & 1 == 1,
            succession: Succession {
                start: Some(numbers.1),
                succeeded: (numbers.0 & 2 == 2).then_some(numbers.0),
            },
            tls: ["", "off", "required"][numbers.0 as usize % 3].to_owned(),
            site: ["", "east", "west"][numbers.0 as usize % 3].to_owned(),
            site_epoch: numbers.0 % 4096,
            versions: (versions.0.min(versions.1).max(1), versions.0.max(versions.1).max(1)),
            // Whoever asks a peer need not know its group.
            group: if lane == Lane::Admin && numbers.1 & 1 == 1 { String::new() } else { names.0 },
            peer: names.1,
            incarnation: names.2,
            lane,
            to: names.3,
            settings: settings.0,
            fingerprint: numbers.0,
            started_ms: numbers.1,
            model_settings: settings.1,
            id: end.0,
            address: end.1,
            kind: if lane == Lane::Admin { PeerKind::Client } else { end.2 },
        })
        .boxed()
}

fn standing() -> BoxedStrategy<Standing> {
    let generations = vec(number().prop_map(Generation::from_bits), 0..=MAX_HISTORY);
    (position(), generations)
        .prop_map(|(position, generations)| Standing { position, generations })
        .boxed()
}

/// What is said on the admin lane, which is read elsewhere.
fn document() -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 1..200).prop_map(Bytes::from).boxed()
}

fn refuse() -> BoxedStrategy<Refuse> {
    (".{0,40}", ".{0,40}", ".{0,40}")
        .prop_map(|(field, ours, theirs)| Refuse { field, ours, theirs })
        .boxed()
}

fn merge() -> BoxedStrategy<Merge> {
    let delta = (prop::array::uniform3(number()), number())
        .prop_map(|(words, units)| Delta { words, units });
    let key = vec(any::<u8>(), 1..=MAX_KEY_BYTES).prop_map(Bytes::from);
    (number(), clock(), vec((key, delta), 1..9))
        .prop_map(|(number, sealed_at, entries)| Merge { number, sealed_at, entries })
        .boxed()
}

fn merge_reply() -> BoxedStrategy<MergeReply> {
    (number(), any::<bool>(), number(), number(), option::of(".{0,40}"))
        .prop_map(|(number, ok, units, dropped, refused)| MergeReply {
            number,
            ok,
            units,
            dropped,
            refused,
        })
        .boxed()
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, any::<u64>(), Just(u64::MAX)]
}

fn name() -> BoxedStrategy<String> {
    vec(prop::sample::select(b"azAZ09-_.".to_vec()), 1..=MAX_NAME_BYTES)
        .prop_map(|name| name.into_iter().map(char::from).collect())
        .boxed()
}

fn peer() -> BoxedStrategy<PeerName> {
    name().prop_map(PeerName::from).boxed()
}

fn address() -> impl Strategy<Value = String> {
    "[a-z0-9.:]{0,40}"
}

fn kind() -> impl Strategy<Value = PeerKind> {
    prop_oneof![Just(PeerKind::Member), Just(PeerKind::Joiner), Just(PeerKind::Client)]
}

fn id() -> impl Strategy<Value = MemberId> {
    any::<u64>().prop_map(MemberId)
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    any::<u64>().prop_map(Incarnation)
}

fn group_id() -> impl Strategy<Value = GroupId> {
    any::<u128>().prop_map(GroupId)
}

fn up_to(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, 0..=max, Just(max)]
}

/// A reading of a clock.
fn clock() -> impl Strategy<Value = GroupTime> {
    up_to(GroupTime::MAX_READ.0).prop_map(GroupTime)
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (number(), up_to(Term::MAX.0)).prop_map(|(generation, term)| Ballot {
        generation: Generation::from_bits(generation),
        term: Term(term),
    })
}

fn sequence() -> impl Strategy<Value = Sequence> {
    up_to(Sequence::MAX_READ.0).prop_map(Sequence)
}

fn position() -> BoxedStrategy<Position> {
    (ballot(), sequence()).prop_map(|(ballot, sequence)| Position { ballot, sequence }).boxed()
}

fn history() -> BoxedStrategy<Vec<Reign>> {
    let reign = (ballot(), sequence()).prop_map(|(ballot, after)| Reign { ballot, after });
    vec(reign, 0..=MAX_HISTORY).boxed()
}

fn members() -> BoxedStrategy<Vec<Member>> {
    let member = (peer(), option::of(id()), address()).prop_map(|(name, id, address)| Member {
        name,
        id,
        address,
    });
    vec(member, 0..=MAX_LISTED).boxed()
}

/// Members of whom each counts once.
fn voters() -> BoxedStrategy<Vec<Member>> {
    members()
        .prop_map(|mut list| {
            let mut seen = BTreeSet::new();
            list.retain(|member| seen.insert(member.name.clone()));
            list
        })
        .boxed()
}

fn peers() -> BoxedStrategy<Vec<PeerName>> {
    voters().prop_map(|list| list.into_iter().map(|member| member.name).collect()).boxed()
}

fn membership() -> BoxedStrategy<Membership> {
    (position(), voters(), option::of(voters()), members(), upkeep(), option::of(sites()))
        .prop_map(|(stamp, voters, next, removed, upkeep, site)| Membership {
            stamp,
            voters,
            next,
            removed,
            upkeep,
            site: site.map(Box::new),
        })
        .boxed()
}

fn sites() -> BoxedStrategy<SiteState> {
    let phase =
        prop_oneof![Just(SitePhase::Open), Just(SitePhase::Sealing), Just(SitePhase::Sealed)];
    let promoted = (any::<bool>(), (0..=GroupTime::MAX_READ.0).prop_map(GroupTime))
        .prop_map(|(is_forced, as_of)| Promoted { is_forced, as_of });
    let lineage = vec(any::<u64>().prop_map(Generation::from_bits), 0..=MAX_LINEAGE);
    (name(), name(), voters(), phase, option::of(promoted), lineage)
        .prop_map(|(active, standby, listed, phase, promoted, lineage)| SiteState {
            active,
            standby,
            listed,
            phase,
            promoted,
            lineage,
        })
        .boxed()
}

fn why() -> BoxedStrategy<String> {
    "[ -~]{0,99}".boxed()
}

fn monitor() -> BoxedStrategy<Monitor> {
    let grace = (1..=30 * 24 * 3_600_000_u64).prop_map(Duration::from_millis);
    (1..=MAX_LISTED, option::of(grace))
        .prop_map(|(size, grace)| {
            let monitor = Monitor::new(size);
            grace.map_or(monitor, |grace| monitor.grace(grace))
        })
        .boxed()
}

fn upkeep() -> BoxedStrategy<Upkeep> {
    let until = (1..=GroupTime::MAX_READ.0).prop_map(GroupTime);
    (number(), option::of(monitor()), option::of(until))
        .prop_map(|(revision, monitor, paused_until)| Upkeep { revision, monitor, paused_until })
        .boxed()
}

fn monitor_change() -> BoxedStrategy<MonitorChange> {
    let pause = (1..=24 * 3_600_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        monitor().prop_map(MonitorChange::Set),
        Just(MonitorChange::Off),
        pause.prop_map(MonitorChange::Pause),
        Just(MonitorChange::Resume),
    ]
    .boxed()
}

fn arrange_outcome() -> BoxedStrategy<ArrangeOutcome> {
    prop_oneof![
        number().prop_map(|revision| ArrangeOutcome::Arranged { revision }),
        Just(ArrangeOutcome::NotAllowed),
        Just(ArrangeOutcome::OldVersion),
        Just(ArrangeOutcome::NoSite),
        Just(ArrangeOutcome::OtherDecides),
        Just(ArrangeOutcome::OtherHolds),
        Just(ArrangeOutcome::NotVerified),
        Just(ArrangeOutcome::Sealed),
    ]
    .boxed()
}

fn arrangement() -> BoxedStrategy<Arrangement> {
    prop_oneof![
        monitor_change().prop_map(Arrangement::Monitor),
        Just(Arrangement::Activate),
        (0..4096_u64).prop_map(|site_epoch| Arrangement::Demote { site_epoch }),
        (0..4096_u64).prop_map(|site_epoch| Arrangement::SwitchSites { site_epoch }),
    ]
    .boxed()
}

fn grant() -> impl Strategy<Value = Grant> {
    prop_oneof![Just(Grant::Nothing), Just(Grant::State), Just(Grant::Vote)]
}

fn outcome() -> impl Strategy<Value = RemoveOutcome> {
    prop_oneof![
        Just(RemoveOutcome::Removed),
        Just(RemoveOutcome::NotAllowed),
        Just(RemoveOutcome::NotMember),
        Just(RemoveOutcome::Alive),
        Just(RemoveOutcome::LastMember),
        Just(RemoveOutcome::Primary),
        Just(RemoveOutcome::OldVersion),
    ]
}

fn switch_outcome() -> impl Strategy<Value = SwitchOutcome> {
    prop_oneof![
        Just(SwitchOutcome::Switched),
        Just(SwitchOutcome::NotAllowed),
        Just(SwitchOutcome::NotMember),
        Just(SwitchOutcome::PriorityZero),
        Just(SwitchOutcome::NotReady),
        Just(SwitchOutcome::Busy),
        Just(SwitchOutcome::Aborted),
        Just(SwitchOutcome::NotConnected),
        Just(SwitchOutcome::LeaseEnded),
    ]
}

fn meta() -> BoxedStrategy<Meta> {
    let policy = (number(), vec(any::<u8>(), 0..99))
        .prop_map(|(revision, bytes)| Policy { revision, bytes: bytes.into() });
    (option::of(group_id()), membership(), history(), policy)
        .prop_map(|(group_id, membership, history, policy)| Meta {
            group_id,
            membership,
            history,
            policy,
        })
        .boxed()
}

fn policy_outcome() -> BoxedStrategy<PolicyOutcome> {
    prop_oneof![
        number().prop_map(|revision| PolicyOutcome::Changed { revision }),
        ".{0,40}".prop_map(|reason| PolicyOutcome::Refused { reason }),
        Just(PolicyOutcome::NotAllowed),
        Just(PolicyOutcome::OldVersion),
    ]
    .boxed()
}

fn brief() -> BoxedStrategy<Brief> {
    (
        (ballot(), any::<bool>(), option::of((peer(), incarnation())), position()),
        (option::of(group_id()), any::<bool>(), option::of(ballot()), option::of(position())),
        (peers(), peers()),
        (any::<u8>(), clock(), number(), any::<bool>(), option::of(number())),
        (any::<bool>(), any::<bool>(), 0..4096_u64),
    )
        .prop_map(|(first, second, (reaches, members), rest, (is_stopping, has_failed, epoch))| {
            let (priority, wall, uptime_ms, has_quorum, behind) = rest;
            let (ballot, is_primary, primary, position) = first;
            let (group_id, is_member, suspects, acknowledged) = second;
            Brief {
                ballot,
                is_primary,
                primary: primary.map(|(name, incarnation)| PeerStart { name, incarnation }),
                position,
                group_id,
                is_member,
                suspects,
                reaches,
                priority,
                wall,
                uptime_ms,
                has_quorum,
                members,
                behind,
                acknowledged,
                is_stopping,
                has_failed,
                site_epoch: epoch,
                is_confirmed: epoch & 1 == 1,
            }
        })
        .boxed()
}

fn vote_request() -> BoxedStrategy<VoteRequest> {
    let campaign = prop_oneof![Just(Campaign::Ordinary), Just(Campaign::NewGeneration)];
    (ballot(), campaign, position(), option::of(ballot()), peers())
        .prop_map(|(ballot, campaign, position, released, gone)| VoteRequest {
            ballot,
            campaign,
            position,
            released,
            is_forced: ballot.term.0 & 1 == 1,
            gone,
        })
        .boxed()
}

fn record_key() -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 1..=MAX_RECORD_KEY_BYTES).prop_map(Bytes::from).boxed()
}

fn value() -> impl Strategy<Value = Value> {
    (prop::array::uniform3(number()), number())
        .prop_map(|(words, expires)| Value { words, expires: GroupTime(expires) })
}

fn piece() -> BoxedStrategy<Piece> {
    let lead = (number(), clock());
    let end = (position(), clock(), lead, clock(), option::of(meta())).prop_map(
        |(position, group_time, (nanos, jumped), expired_before, meta)| {
            let lead = Lead { nanos: nanos.min(GroupTime::MAX_READ.0 - group_time.0), jumped };
            BatchEnd { position, group_time, lead, expired_before, meta: meta.map(Box::new) }
        },
    );
    let ending = (option::of(end), option::of((number(), any::<u64>())));
    ((ballot(), number(), any::<u32>()), option::of(position()), records(), ending, number())
        .prop_map(|((ballot, transfer, index), from, records, (end, digest), total)| {
            // A digest is of the state at the end, and of nothing without one.
            let digest = end.as_ref().zip(digest).map(|(end, (cells, digest)): (&BatchEnd, _)| {
                Digest { position: end.position, cells, digest }
            });
            Piece { ballot, transfer, index, from, records, end, total, digest }
        })
        .boxed()
}
