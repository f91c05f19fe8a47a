//! Every bound of the format, one step beyond it.

use bytes::{Bytes, BytesMut};

use super::body;
use crate::base::id::{
    Ballot, Generation, GroupTime, Incarnation, MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MemberId,
    PeerKind, PeerName, Position, Sequence, Term,
};
use crate::model::{Item, MAX_ITEMS, MAX_KEY_BYTES};
use crate::protocol::Standing;
use crate::protocol::io::Succession;
use crate::protocol::message::{Lane, Message};
use crate::state::{MAX_HISTORY, MAX_REMOVED};
use crate::wire::generated::message::Kind;
use crate::wire::{
    Frame, Hello, MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_GROUP_TIME, MAX_HELLO_BYTES, MAX_LISTED,
    MAX_MODEL_SETTINGS, MAX_RECORD_KEY_BYTES, MAX_SETTING_BYTES, MAX_SETTINGS, Refuse, WireError,
    calls, decode, generated as proto, kind, replies, split,
};

fn read(kind: u8, message: &impl prost::Message) -> Result<Frame, WireError> {
    decode(kind, message.encode_to_vec().into())
}

fn read_message(message: Kind) -> Result<Frame, WireError> {
    let kind = Some(message);
    read(kind::MESSAGE, &proto::Message { kind })
}

fn ballot() -> Option<proto::Ballot> {
    Some(proto::Ballot::default())
}

fn position() -> Option<proto::Position> {
    Some(proto::Position::default())
}

fn ping(brief: proto::Brief) -> Kind {
    Kind::Ping(proto::Ping { number: 1, brief: Some(brief) })
}

fn brief() -> proto::Brief {
    proto::Brief { ballot: ballot(), position: position(), ..Default::default() }
}

fn piece(records: Bytes) -> Kind {
    Kind::Piece(proto::Piece { ballot: ballot(), records, ..Default::default() })
}

fn vote_reply(voters: usize, next: usize, removed: usize, standby: usize) -> Kind {
    let member = |number: usize| {
        let name = format!("a{number}");
        proto::Member { name, id: Some(1), address: String::new() }
    };
    let membership = proto::Membership {
        stamp: position(),
        voters: (0..voters).map(member).collect(),
        next: Some(proto::MemberList { members: (0..next).map(member).collect() }),
        removed: (0..removed).map(member).collect(),
        upkeep: None,
        standby: (0..standby).map(member).collect(),
        site: None,
    };
    Kind::VoteReply(proto::VoteReply {
        ballot: ballot(),
        granted: true,
        lends_state: false,
        known: ballot(),
        position: position(),
        membership: Some(membership),
        why: String::new(),
    })
}

fn hello() -> proto::Hello {
    proto::Hello {
        min_version: 1,
        max_version: 1,
        group: "g".into(),
        peer: "a".into(),
        lane: proto::Lane::Data.into(),
        ..Default::default()
    }
}

#[test]
fn a_longer_body_than_allowed_is_refused_by_its_header_alone() {
    let mut buffer = BytesMut::from(&[1, 1, 0, 0, 3][..]);
    let error = WireError::Bytes { field: "body of a frame", bytes: 257, min: 0, max: 256 };
    assert_eq!(split(&mut buffer, 256), Err(error));
    assert_eq!(split(&mut buffer, 257), Ok(None));
}

#[test]
fn an_unknown_kind_is_named() {
    for kind in [0, kind::NOTICE, 9, 255] {
        assert_eq!(decode(kind, Bytes::new()), Err(WireError::Kind { kind }));
    }
}

#[test]
fn bytes_that_are_no_protobuf_keep_their_cause() {
    let error = decode(kind::MESSAGE, Bytes::from_static(&[0xff])).expect_err("half a varint");
    let source = std::error::Error::source(&error).expect("the decoder's own words");
    assert!(!source.to_string().is_empty());
}

/// The story: a list that named its sender twice was followed by most of it.
#[test]
fn nobody_is_listed_twice_where_each_counts() {
    let twice = |field, name: &str| Err(WireError::Repeated { field, name: name.into() });
    let names = || vec!["v".into(), "x".into(), "y".into(), "x".into()];
    let knows = proto::Brief { members: names(), ..brief() };
    assert_eq!(read_message(ping(knows)), twice("member", "x"));
    let reaches = proto::Brief { reaches: names(), ..brief() };
    assert_eq!(read_message(ping(reaches)), twice("peer reached", "x"));
    for list in 0..3 {
        let Kind::VoteReply(mut reply) = vote_reply(2, 2, 2, 2) else { unreachable!("it is one") };
        if let Some(membership) = &mut reply.membership {
            let next = membership.next.as_mut().map(|next| &mut next.members);
            let lists = [Some(&mut membership.voters), next, Some(&mut membership.removed)];
            for list in lists.into_iter().skip(list).take(1).flatten() {
                list[1].name = list[0].name.clone();
            }
        }
        // One name may have been counted out again and again.
        let is_read = read_message(Kind::VoteReply(reply)).is_ok();
        assert_eq!(is_read, list == 2);
    }
}

#[test]
fn lists_have_bounds() {
    let too_many = |max| Err(WireError::Count { field: "members", count: max + 1, min: 0, max });
    assert!(read_message(vote_reply(MAX_LISTED, MAX_LISTED, MAX_REMOVED, MAX_LISTED)).is_ok());
    assert_eq!(read_message(vote_reply(MAX_LISTED + 1, 0, 0, 0)), too_many(MAX_LISTED));
    assert_eq!(read_message(vote_reply(0, MAX_LISTED + 1, 0, 0)), too_many(MAX_LISTED));
    assert_eq!(read_message(vote_reply(0, 0, MAX_REMOVED + 1, 0)), too_many(MAX_REMOVED));
    assert_eq!(read_message(vote_reply(0, 0, 0, MAX_LISTED + 1)), too_many(MAX_LISTED));

    let names = |count| (0..count).map(|number| format!("a{number}")).collect();
    let reaches = |count| proto::Brief { reaches: names(count), ..brief() };
    assert!(read_message(ping(reaches(MAX_LISTED))).is_ok());
    assert!(read_message(ping(reaches(MAX_LISTED + 1))).is_err());
    let knows = |count| proto::Brief { members: names(count), ..brief() };
    assert!(read_message(ping(knows(MAX_LISTED))).is_ok());
    assert!(read_message(ping(knows(MAX_LISTED + 1))).is_err());

    let history = |count| {
        Kind::Position(proto::Whereabouts {
            ballot: ballot(),
            position: position(),
            history: vec![proto::Reign::default(); count],
            pull: false,
        })
    };
    assert!(read_message(history(MAX_HISTORY)).is_ok());
    assert!(read_message(history(MAX_HISTORY + 1)).is_err());

    let settings = |count| proto::Hello { settings: vec![Default::default(); count], ..hello() };
    assert!(read(kind::HELLO, &settings(MAX_SETTINGS)).is_ok());
    assert!(read(kind::HELLO, &settings(MAX_SETTINGS + 1)).is_err());

    let model_settings = |model, others| proto::Hello {
        settings: vec![Default::default(); others],
        model_settings: vec![Default::default(); model],
        ..hello()
    };
    let read = |model, others| read(kind::HELLO, &model_settings(model, others));
    assert!(read(MAX_MODEL_SETTINGS, MAX_SETTINGS - MAX_MODEL_SETTINGS).is_ok());
    let field = "settings of the model";
    let count = MAX_MODEL_SETTINGS + 1;
    let max = MAX_MODEL_SETTINGS;
    assert_eq!(read(count, 0), Err(WireError::Count { field, count, min: 0, max }));
    let count = MAX_SETTINGS + 1;
    let max = MAX_SETTINGS;
    let error = WireError::Count { field: "settings", count, min: 0, max };
    assert_eq!(read(1, MAX_SETTINGS), Err(error));
}

#[test]
fn keys_have_bounds() {
    let key = |bytes| Bytes::from(vec![0; bytes]);
    let record = |bytes| piece([&(bytes as u16).to_le_bytes()[..], &key(bytes)].concat().into());
    let tail = |bytes| {
        let keys = Some(proto::KeyList { keys: vec![key(bytes)] });
        Kind::Tail(proto::Tail { ballot: ballot(), at: position(), keys })
    };
    for message in [&record as &dyn Fn(usize) -> Kind, &tail] {
        assert!(read_message(message(0)).is_err());
        assert!(read_message(message(1)).is_ok());
        assert!(read_message(message(MAX_RECORD_KEY_BYTES)).is_ok());
        assert!(read_message(message(MAX_RECORD_KEY_BYTES + 1)).is_err());
    }
    let merge = |bytes| {
        let entries = vec![proto::Delta { key: key(bytes), ..Default::default() }];
        read(kind::MERGE, &proto::Merge { number: 1, entries, sealed_at: 0 })
    };
    assert!(merge(0).is_err());
    assert!(merge(MAX_KEY_BYTES).is_ok());
    assert!(merge(MAX_KEY_BYTES + 1).is_err());
}

#[test]
fn a_merge_has_entries_and_a_time_that_clocks_reach() {
    let merge = |count: usize, sealed_at| {
        let entry = proto::Delta { key: Bytes::from_static(b"k"), ..Default::default() };
        let entries = vec![entry; count];
        read(kind::MERGE, &proto::Merge { number: 1, entries, sealed_at })
    };
    assert!(merge(1, 0).is_ok() && merge(2, MAX_GROUP_TIME.0).is_ok());
    assert!(matches!(merge(0, 0), Err(WireError::Count { count: 0, min: 1, .. })));
    let late = merge(1, MAX_GROUP_TIME.0 + 1);
    assert!(matches!(late, Err(WireError::Value { field: "group time", .. })));
}

/// A primary that is given a later one could go on with no clock: everything would have expired.
#[test]
fn no_state_is_of_a_time_that_no_clock_reaches() {
    let piece = |group_time, expired_before| {
        let position = position();
        let end = proto::BatchEnd { position, group_time, expired_before, ..Default::default() };
        let piece = proto::Piece { ballot: ballot(), end: Some(end), ..Default::default() };
        read_message(Kind::Piece(piece)).is_ok()
    };
    let last = MAX_GROUP_TIME.0;
    assert!(piece(last, last) && !piece(last + 1, 0) && !piece(0, last + 1));
}

#[test]
fn names_are_usable_as_they_are() {
    let too_long = "a".repeat(65);
    for name in ["", "two words", "ä", "a\0", &too_long] {
        let error = |field| Err(WireError::Name { field, name: name.chars().take(64).collect() });
        let release = proto::Release { ballot: ballot(), to: name.into() };
        assert_eq!(read_message(Kind::Release(release)), error("successor"));
        let reaches = proto::Brief { reaches: vec![name.into()], ..brief() };
        assert_eq!(read_message(ping(reaches)), error("peer reached"));
        let primary = proto::Start { name: name.into(), incarnation: 1 };
        let primary = proto::Brief { primary: Some(primary), ..brief() };
        assert_eq!(read_message(ping(primary)), error("primary"));
        let group = proto::Hello { group: name.into(), ..hello() };
        assert_eq!(read(kind::HELLO, &group), error("group"));
        let peer = proto::Hello { peer: name.into(), ..hello() };
        assert_eq!(read(kind::HELLO, &peer), error("peer"));
        let to = proto::Hello { to: Some(name.into()), ..hello() };
        assert_eq!(read(kind::HELLO, &to), error("peer dialed"));
    }
}

#[test]
fn numbers_have_ranges() {
    assert!(read_message(ping(proto::Brief { priority: 255, ..brief() })).is_ok());
    assert!(read_message(ping(proto::Brief { priority: 256, ..brief() })).is_err());
    for (min_version, max_version) in [(0, 1), (2, 1), (1, 0)] {
        let hello = proto::Hello { min_version, max_version, ..hello() };
        assert!(read(kind::HELLO, &hello).is_err(), "{min_version} to {max_version}");
    }
    for bytes in [0, 15, 17] {
        let group_id = Some(Bytes::from(vec![0; bytes]));
        let follow = proto::Follow { ballot: ballot(), group_id, is_established: false };
        let error = WireError::Bytes { field: "group id", bytes, min: 16, max: 16 };
        assert_eq!(read_message(Kind::Follow(follow)), Err(error));
    }
    for lane in [0, 3, 5, -1] {
        assert!(read(kind::HELLO, &proto::Hello { lane, ..hello() }).is_err(), "lane {lane}");
    }
    for campaign in [0, 4, -1] {
        let request = proto::VoteRequest {
            ballot: ballot(),
            campaign,
            position: position(),
            ..Default::default()
        };
        assert!(read_message(Kind::Vote(request)).is_err(), "campaign {campaign}");
    }
}

/// Nobody is taken for a peer who is none, nor the other way round.
#[test]
fn the_admin_lane_is_of_those_who_are_no_peers() {
    let admin = proto::Kind::Admin;
    let on = |lane: proto::Lane, kind: proto::Kind, group: &str| {
        let group = group.to_owned();
        let hello = proto::Hello { lane: lane.into(), kind: kind.into(), group, ..hello() };
        read(kind::HELLO, &hello)
    };
    for lane in [proto::Lane::Control, proto::Lane::Data, proto::Lane::Calls] {
        let error = WireError::Value { field: "kind", value: 3, min: 0, max: 2 };
        assert_eq!(on(lane, admin, "g"), Err(error));
        assert!(on(lane, proto::Kind::Client, "").is_err(), "a peer names its group");
    }
    for (kind, value) in [(proto::Kind::Member, 0), (proto::Kind::Client, 2)] {
        let error = WireError::Value { field: "kind", value, min: 3, max: 3 };
        assert_eq!(on(proto::Lane::Admin, kind, "g"), Err(error));
    }
    for group in ["g", ""] {
        let Ok(Frame::Hello(hello)) = on(proto::Lane::Admin, admin, group) else {
            panic!("it may ask")
        };
        assert_eq!((hello.lane, hello.kind), (Lane::Admin, PeerKind::Client));
        assert_eq!(hello.group, group);
    }
}

#[test]
fn documents_have_bounds() {
    for (kind, max) in [(kind::ADMIN_ASK, MAX_ASK_BYTES), (kind::ADMIN_ANSWER, MAX_ANSWER_BYTES)] {
        assert!(decode(kind, Bytes::from(vec![b' '; max])).is_ok());
        assert!(decode(kind, Bytes::from(vec![b' '; max + 1])).is_err());
        assert!(decode(kind, Bytes::new()).is_err());
    }
    assert_eq!([MAX_ASK_BYTES, MAX_ANSWER_BYTES], [65_536, 1_048_576], "as docs/wire.md says");
}

#[test]
fn what_a_message_cannot_do_without_is_missed() {
    let missing = |field| Err(WireError::Missing { field });
    assert_eq!(decode(kind::MESSAGE, Bytes::new()), missing("kind of a message"));
    assert_eq!(read_message(Kind::Lost(proto::Lost::default())), missing("ballot"));
    let held = proto::Held { ballot: ballot(), position: None };
    assert_eq!(read_message(Kind::Held(held)), missing("position"));
    assert_eq!(read_message(Kind::Ping(proto::Ping::default())), missing("brief"));
}

/// A ballot without one above it would be the last of its group: nobody could be elected again.
#[test]
fn what_leaves_nothing_above_itself_is_refused() {
    let last =
        proto::Position { generation: u64::MAX, term: Term::MAX.0, sequence: Sequence::MAX_READ.0 };
    let ballot =
        |of: &proto::Position| Some(proto::Ballot { generation: of.generation, term: of.term });
    let held = |position: &proto::Position| {
        read_message(Kind::Held(proto::Held {
            ballot: ballot(position),
            position: Some(*position),
        }))
    };
    assert!(held(&last).is_ok());
    let beyond = [
        proto::Position { term: Term::MAX.0 + 1, ..last },
        proto::Position { sequence: Sequence::MAX_READ.0 + 1, ..last },
    ];
    for position in &beyond {
        assert!(held(position).is_err(), "{position:?}");
        let said = Some(*position);
        assert!(read(kind::HELLO, &proto::Hello { position: said, ..hello() }).is_err());
        let reign = proto::Reign {
            generation: position.generation,
            term: position.term,
            after: position.sequence,
        };
        let whereabouts = proto::Whereabouts {
            ballot: ballot(&last),
            position: Some(last),
            history: vec![reign],
            pull: false,
        };
        assert!(read_message(Kind::Position(whereabouts)).is_err(), "{position:?}");
    }
    let end = proto::BatchEnd {
        position: Some(last),
        group_time: GroupTime::MAX_READ.0 + 1,
        ..Default::default()
    };
    let piece = proto::Piece { ballot: ballot(&last), end: Some(end), ..Default::default() };
    assert!(read_message(Kind::Piece(piece)).is_err());
}

/// A clock in the year 2300 is no reason to part: what a majority of the clocks shows counts.
#[test]
fn a_clock_that_is_far_ahead_is_read_as_the_last_reading() {
    let brief = proto::Brief {
        ballot: ballot(),
        position: position(),
        wall: u64::MAX,
        ..Default::default()
    };
    let ping = proto::Ping { number: 1, brief: Some(brief) };
    let read = read_message(Kind::Ping(ping)).expect("it is taken");
    let Frame::Message(Message::Ping { brief, .. }) = read else { panic!("{read:?}") };
    assert_eq!(brief.wall, GroupTime::MAX_READ);
}

#[test]
fn the_longest_hello_is_within_its_bound() {
    let name = "n".repeat(64);
    let setting = ("f".repeat(512), "v".repeat(MAX_SETTING_BYTES - 512));
    let longest = Hello {
        versions: (u32::MAX, u32::MAX),
        group: name.clone(),
        peer: PeerName::new(name.as_str()),
        incarnation: Incarnation(u64::MAX),
        lane: Lane::Data,
        to: Some(PeerName::new(name)),
        settings: vec![setting.clone(); MAX_SETTINGS - MAX_MODEL_SETTINGS],
        fingerprint: u64::MAX,
        started_ms: u64::MAX,
        model_settings: vec![setting; MAX_MODEL_SETTINGS],
        id: MemberId(1),
        address: "a".repeat(MAX_ADDRESS_BYTES),
        kind: PeerKind::Client,
        has_state: true,
        succession: Succession { start: Some(u64::MAX), succeeded: Some(u64::MAX) },
        tls: "t".repeat(32),
        site: "s".repeat(MAX_NAME_BYTES),
        site_epoch: 4095,
        standing: Standing {
            position: Position {
                ballot: Ballot { generation: Generation::from_bits(u64::MAX), term: Term::MAX },
                sequence: Sequence::MAX_READ,
            },
            generations: vec![Generation::from_bits(u64::MAX); MAX_HISTORY],
        },
    };
    let (kind, body) = body(&Frame::Hello(longest.clone()));
    assert_eq!(MAX_HELLO_BYTES, 67_321, "as docs/wire.md says");
    assert!(body.len() <= MAX_HELLO_BYTES, "{} bytes", body.len());
    assert_eq!(decode(kind, body), Ok(Frame::Hello(longest)));
}

#[test]
fn settings_are_checked_before_they_are_sent() {
    let long = [("field".to_owned(), "v".repeat(MAX_SETTING_BYTES))];
    assert!(Hello::check_settings(&long, &[]).is_err());
    assert!(Hello::check_settings(&[], &long).is_err());
    let many = vec![(String::new(), String::new()); MAX_SETTINGS + 1];
    assert!(Hello::check_settings(&many, &[]).is_err());
    assert!(Hello::check_settings(&many[1..], &[]).is_ok());
    assert!(Hello::check_settings(&[], &many[..=MAX_MODEL_SETTINGS]).is_err());
    assert!(Hello::check_settings(&[], &many[..MAX_MODEL_SETTINGS]).is_ok());
}

#[test]
fn a_refusal_is_cut_to_what_its_receiver_takes() {
    let refuse = Refuse {
        field: "x".repeat(2 * MAX_SETTING_BYTES),
        ours: "ä".repeat(MAX_SETTING_BYTES),
        theirs: format!("x{}", "ä".repeat(MAX_SETTING_BYTES)),
    };
    let (kind, body) = body(&Frame::Refuse(refuse));
    assert!(body.len() <= MAX_HELLO_BYTES, "{} bytes", body.len());
    let Ok(Frame::Refuse(read)) = decode(kind, body) else { panic!("a refusal is read back") };
    assert_eq!(read.field.len(), MAX_SETTING_BYTES);
    assert_eq!(read.ours.len(), MAX_SETTING_BYTES);
    assert_eq!(read.theirs.len(), MAX_SETTING_BYTES - 1, "no half a character");
}

#[test]
fn a_call_that_breaks_a_bound_is_not_written() {
    let item = |key| Item { key, args: [1, 2] };
    let long = [0; MAX_KEY_BYTES + 1];
    let mut out = BytesMut::from("before");
    assert!(calls::push(&mut out, 1, &[]).is_err());
    assert!(calls::push(&mut out, 1, &[item(b"k"); MAX_ITEMS + 1]).is_err());
    assert!(calls::push(&mut out, 1, &[item(b"k"), item(b"")]).is_err());
    assert!(calls::push(&mut out, 1, &[item(b"k"), item(&long)]).is_err());
    assert_eq!(&out[..], b"before");
    assert_eq!(calls::push(&mut out, 1, &[item(&long[1..]); MAX_ITEMS]), Ok(()));
    assert_eq!(out.len(), 6 + calls::MAX_CALL_BYTES);
}

#[test]
fn a_call_that_breaks_a_bound_is_not_read() {
    let call = |items: u8, key: u16| {
        let mut call = vec![1, 0, 0, 0, items];
        for _ in 0..items {
            call.extend(key.to_le_bytes());
            call.extend(vec![0; 16 + usize::from(key)]);
        }
        call
    };
    for (items, key, is_ok) in [
        (1, 1, true),
        (16, 512, true),
        (0, 0, false),
        (17, 1, false),
        (1, 0, false),
        (1, 513, false),
    ] {
        let call = call(items, key);
        let read = calls::Reader::new(&call).next_call().map(|call| call.is_some());
        assert_eq!(read.is_ok(), is_ok, "{items} items, {key} bytes");
    }
}

#[test]
fn the_calendar_shows_a_time_that_there_is() {
    let ending = |group_time, lead| {
        let end = proto::BatchEnd { position: position(), group_time, lead, ..Default::default() };
        let piece = proto::Piece { ballot: ballot(), end: Some(end), ..Default::default() };
        read_message(Kind::Piece(piece))
    };
    let last = MAX_GROUP_TIME.0;
    assert!(ending(7, last - 7).is_ok());
    let field = "lead of the calendar";
    let value = last - 6;
    let error = WireError::Value { field, value, min: 0, max: last - 7 };
    assert_eq!(ending(7, value).unwrap_err().to_string(), error.to_string());
}

#[test]
fn an_unknown_status_ends_the_replies() {
    let mut body = vec![1, 0, 0, 0, 8];
    body.extend([0; 30]);
    let read: Vec<_> = replies::Reader::new(&body).collect();
    let error = WireError::Value { field: "status of a reply", value: 8, min: 0, max: 7 };
    assert_eq!(read, [Err(error)]);
}

#[test]
fn errors_say_the_values_that_broke_the_rule() {
    let error = WireError::Name { field: "peer", name: "two words".into() };
    assert_eq!(error.to_string(), "peer \"two words\" is not a name");
    let error = WireError::Count { field: "members", count: 17, min: 0, max: 16 };
    assert_eq!(error.to_string(), "17 members: 0 to 16 are allowed");
}

/// docs/wire.md, section 6, says how much memory a body can ask for.
#[test]
fn entries_of_lists_are_no_larger_than_documented() {
    let sizes = [
        size_of::<proto::Delta>(),
        size_of::<proto::Setting>(),
        size_of::<proto::Member>(),
        size_of::<proto::Reign>(),
        size_of::<Bytes>(),
        size_of::<String>(),
    ];
    assert!(sizes.iter().all(|size| *size <= 72), "{sizes:?}");
}
