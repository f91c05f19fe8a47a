//! The fuzz corpus, run with the ordinary compiler, and its seeds: one frame of each kind and one
//! message of each variant, pinned as they are written.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use bytes::{Bytes, BytesMut};
use quorate::internal::protocol::Standing;
use quorate::internal::protocol::io::Succession;
use quorate::internal::protocol::message::{
    ArrangeOutcome, Brief, Campaign, Grant, Lane, Message, Piece, PolicyOutcome, RemoveOutcome,
    SwitchOutcome, VoteRequest,
};
use quorate::internal::record::Record;
use quorate::internal::state::{
    BatchEnd, Membership, Meta, Promoted, Reign, SitePhase, SiteState, Upkeep,
};
use quorate::internal::wire::replies::{self, Refusal};
use quorate::internal::wire::{
    Calls, Frame, HEADER_BYTES, Hello, Merge, MergeReply, Refuse, Replies, calls, encode, fuzzing,
};
use quorate::{
    Answer, Ballot, Delta, Digest, Generation, GroupId, GroupTime, Incarnation, Item, Lead, Member,
    MemberId, Monitor, MonitorChange, PeerKind, PeerName, PeerStart, Policy, Position, Sequence,
    Term, Value,
};

const BALLOT: Ballot = Ballot { generation: Generation::from_bits(2), term: Term(3) };
const POSITION: Position = Position { ballot: BALLOT, sequence: Sequence(5 << 16) };
const GROUP_ID: Option<GroupId> = Some(GroupId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100));
const TIME: GroupTime = GroupTime(1_795_000_000_000_000_000);

/// Documents of the admin lane.
const ASKS: [(&str, &[u8]); 11] = [
    ("events", br#"{"ask":"events","since":7,"wait_ms":30000}"#),
    ("forget", br#"{"ask":"forget","peer":"c"}"#),
    ("leave", br#"{"ask":"leave"}"#),
    ("limits_explain", br#"{"ask":"limits.explain","items":[{"limit":"api","key":"k"}]}"#),
    ("limits_peek", br#"{"ask":"limits.peek","limit":"api","key_hex":"00ff","amount":2}"#),
    ("limits_put", br#"{"ask":"limits.put","limits":{"api":{"rate":"1/s"}},"carry":"reset"}"#),
    ("priority", br#"{"ask":"priority","priority":10}"#),
    ("refused", br#"{"ok":false,"error":"busy","detail":"wait","effect":"none"}"#),
    ("site", br#"{"ask":"site","mode":"active","force":true,"gone":["f"]}"#),
    ("status", br#"{"ask":"status"}"#),
    ("switch", br#"{"ask":"switch","to":"b"}"#),
];

type Target = fn(&[u8]);

#[test]
fn every_file_of_the_corpus_runs() {
    let targets: [(&str, Target); 5] = [
        ("asks", quorate::admin::fuzzing::asks),
        ("frames", fuzzing::frames),
        ("messages", fuzzing::messages),
        ("calls", fuzzing::calls),
        ("directories", quorate::internal::disk::fuzzing::directories),
    ];
    for (target, run) in targets {
        let mut files = 0;
        for file in fs::read_dir(corpus(target)).expect("the corpus is committed") {
            let path = file.expect("a readable folder").path();
            run(&fs::read(&path).expect("a readable file"));
            files += 1;
        }
        assert!(files > 1, "the corpus of {target} has seeds");
    }
}

#[test]
fn seeds_are_what_is_written_today() {
    let write = env::var_os("QUORATE_WRITE_SEEDS").is_some();
    for (target, name, seed) in seeds() {
        let path = corpus(target).join(name);
        if write {
            fs::write(&path, &seed).expect("the corpus can be written");
        }
        let committed = fs::read(&path).expect("every seed is committed: see fuzz/README.md");
        assert_eq!(committed, seed, "{target}/{name} is written another way");
    }
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// (target, name, content).
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds =
        vec![("calls", "calls", packed_calls()), ("calls", "replies", packed_replies())];
    let mut stream = Vec::new();
    for frame in frames() {
        let frame_name = name(&frame);
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes);
        if let Frame::Message(_) = frame {
            seeds.push(("messages", frame_name, bytes[HEADER_BYTES..].to_vec()));
        } else {
            seeds.push(("frames", frame_name, bytes.to_vec()));
        }
        stream.extend(bytes);
    }
    seeds.push(("frames", "all", stream));
    for (name, document) in ASKS {
        seeds.push(("asks", name, document.to_vec()));
    }
    seeds.push(("directories", "golden", directory(false)));
    seeds.push(("directories", "golden_mended", directory(true)));
    seeds
}

/// The golden directory as the target takes it: as it is, or without what the target fills in.
fn directory(is_mended: bool) -> Vec<u8> {
    const FLAG: u8 = 0x80;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/disk-v1");
    let files = [("state", 0), ("log-0000000002", 0x12), ("log-0000000003", 0x13)];
    let mut packed = Vec::new();
    for (name, which) in files.into_iter().chain([("snapshot-0000000001", 0x21)]) {
        let bytes = fs::read(golden.join(name)).expect("the golden directory is committed");
        let (which, content) = match (is_mended, which) {
            (false, which) => (which, bytes),
            (true, 0) => (FLAG, bytes[16..bytes.len() - 4].to_vec()),
            (true, which) => (which | FLAG, without_checksums(&bytes)),
        };
        packed.push(which);
        packed.extend(u16::try_from(content.len()).expect("golden files are small").to_le_bytes());
        packed.extend(content);
    }
    packed
}

/// The fields of the header, and every entry as the length of its body and the body.
fn without_checksums(file: &[u8]) -> Vec<u8> {
    let mut content = file[16..96].to_vec();
    let mut rest = &file[100..];
    while let Some((header, behind)) = rest.split_at_checked(16) {
        let length = u16::from_le_bytes([header[4], header[5]]);
        let (body, behind) = behind.split_at(length.into());
        content.extend(length.to_le_bytes());
        content.extend(body);
        rest = behind;
    }
    content
}

/// The name of a frame's seed: whoever adds a frame or a message adds a seed.
fn name(frame: &Frame) -> &'static str {
    match frame {
        Frame::Hello(_) => "hello",
        Frame::Refuse(_) => "refuse",
        Frame::Calls(_) => "calls",
        Frame::Replies(_) => "replies",
        Frame::Merge(_) => "merge",
        Frame::MergeReply(_) => "merge_reply",
        Frame::AdminAsk(_) => "admin_ask",
        Frame::AdminAnswer(_) => "admin_answer",
        Frame::Message(message) => match message {
            Message::Ping { .. } => "ping",
            Message::Pong { .. } => "pong",
            Message::PreVote(_) => "pre_vote",
            Message::PreVoteReply { .. } => "pre_vote_reply",
            Message::Vote(_) => "vote",
            Message::VoteReply { .. } => "vote_reply",
            Message::Release { .. } => "release",
            Message::StandNow { .. } => "stand_now",
            Message::TakeOver { .. } => "take_over",
            Message::Remove { .. } => "remove",
            Message::Removed { .. } => "removed",
            Message::Arrange { .. } => "arrange",
            Message::Arranged { .. } => "arranged",
            Message::ChangePolicy { .. } => "change_policy",
            Message::PolicyChanged { .. } => "policy_changed",
            Message::SwitchPrimary { .. } => "switch_primary",
            Message::Switched { .. } => "switched",
            Message::Peers { .. } => "peers",
            Message::Follow { .. } => "follow",
            Message::Position { .. } => "position",
            Message::Fork { .. } => "fork",
            Message::Tail { .. } => "tail",
            Message::Piece(_) => "piece",
            Message::PieceStaged { .. } => "piece_staged",
            Message::Held { .. } => "held",
            Message::Lost { .. } => "lost",
            Message::GaveUp { .. } => "gave_up",
        },
    }
}

fn frames() -> Vec<Frame> {
    let mut frames = vec![
        Frame::Hello(Hello {
            versions: (1, 1),
            group: "default".into(),
            peer: "a".into(),
            incarnation: Incarnation(1),
            lane: Lane::Control,
            to: Some("b".into()),
            settings: vec![("mode".into(), "strict".into())],
            fingerprint: 2,
            started_ms: 3,
            model_settings: vec![("limits".into(), "1, revision 4".into())],
            id: MemberId(4),
            address: "192.0.2.1:7101".into(),
            kind: PeerKind::Joiner,
            has_state: true,
            succession: Succession { start: Some(2), succeeded: Some(1) },
            tls: "required".into(),
            site: "east".into(),
            site_epoch: 3,
            standing: Standing { position: POSITION, generations: vec![BALLOT.generation] },
        }),
        Frame::Refuse(Refuse {
            field: "mode".into(),
            ours: "strict".into(),
            theirs: "relaxed".into(),
        }),
        Frame::Calls(Calls::from_body(packed_calls().into())),
        Frame::Replies(Replies::from_body(packed_replies().into())),
        Frame::Merge(Merge {
            number: 1,
            sealed_at: TIME,
            entries: vec![(Bytes::from_static(b"key"), Delta { words: [1, 2, 3], units: 4 })],
        }),
        Frame::MergeReply(MergeReply {
            number: 1,
            ok: true,
            units: 3,
            dropped: 1,
            refused: Some("reason".into()),
        }),
        Frame::AdminAsk(Bytes::from_static(br#"{"ask":"switch","to":"b"}"#)),
        Frame::AdminAnswer(Bytes::from_static(br#"{"ok":true,"answer":{"primary":"b"}}"#)),
    ];
    frames.extend(control_messages().into_iter().map(Frame::Message));
    frames.extend(data_messages().into_iter().map(Frame::Message));
    frames
}

fn packed_calls() -> Vec<u8> {
    let mut body = BytesMut::new();
    let item = |key| Item { key, args: [1, 2] };
    calls::push(&mut body, 1, &[item(b"one")]).expect("a good call");
    calls::push(&mut body, 2, &[item(b"one"), item(b"two")]).expect("a good call");
    body.to_vec()
}

fn packed_replies() -> Vec<u8> {
    let mut body = BytesMut::new();
    let answer = Answer { code: 1, units: 2, words: [3, 4, 5, 6, 7, 8] };
    replies::push_decided(&mut body, 1, &answer, POSITION, TIME);
    replies::push_refused(&mut body, 2, Refusal::CellsFull, 10);
    body.to_vec()
}

fn control_messages() -> Vec<Message> {
    let brief = Brief {
        ballot: BALLOT,
        is_primary: true,
        primary: Some(PeerStart::new("a", Incarnation(1))),
        position: POSITION,
        group_id: GROUP_ID,
        is_member: true,
        suspects: Some(BALLOT),
        reaches: vec!["b".into(), "c".into()],
        priority: 100,
        wall: TIME,
        uptime_ms: 4,
        has_quorum: true,
        members: vec!["a".into(), "b".into()],
        behind: Some(7),
        acknowledged: Some(POSITION),
        is_stopping: true,
        has_failed: true,
        site_epoch: 3,
        is_confirmed: true,
    };
    let request = |campaign, released| VoteRequest {
        ballot: BALLOT.next_term().expect("there is a next one"),
        campaign,
        position: POSITION,
        released,
        is_forced: true,
        gone: vec!["c".into()],
    };
    vec![
        Message::Ping { number: 1, brief: brief.clone() },
        Message::Pong { number: 1, promise: Some(BALLOT), brief },
        Message::PreVote(request(Campaign::Ordinary, None)),
        Message::PreVoteReply {
            ballot: BALLOT,
            grant: Grant::Vote,
            known: BALLOT,
            membership: membership(),
            why: String::new(),
        },
        Message::Vote(request(Campaign::NewGeneration, Some(BALLOT))),
        Message::VoteReply {
            ballot: BALLOT,
            grant: Grant::Nothing,
            known: BALLOT.next_term().expect("there is a next one"),
            position: POSITION,
            membership: membership(),
            why: "b follows a".into(),
        },
        Message::Release { ballot: BALLOT, to: "b".into() },
        Message::StandNow { ballot: BALLOT },
        Message::TakeOver { ballot: BALLOT },
        Message::Remove { request: 1, peer: "b".into() },
        Message::Removed { request: 1, outcome: RemoveOutcome::Alive },
        Message::Arrange {
            request: 1,
            change: MonitorChange::Set(Monitor::new(3).grace(Duration::from_secs(60))).into(),
        },
        Message::Arranged { request: 1, outcome: ArrangeOutcome::Arranged { revision: 2 } },
        Message::ChangePolicy { request: 1, bytes: Bytes::from_static(b"policy") },
        Message::PolicyChanged { request: 1, outcome: PolicyOutcome::Changed { revision: 2 } },
        Message::Peers { stamp: POSITION, members: membership().voters },
        Message::SwitchPrimary { request: 1, to: "b".into(), ballot: BALLOT },
        Message::Switched { request: 1, outcome: SwitchOutcome::Switched },
    ]
}

fn data_messages() -> Vec<Message> {
    let history = vec![Reign { ballot: BALLOT, after: Sequence(1 << 16) }];
    let key = Bytes::from_static(b"\0key");
    let value = Value { words: [1, 2, 3], expires: GroupTime::MAX };
    let policy = Policy { revision: 2, bytes: Bytes::from_static(b"policy") };
    let meta =
        Meta { group_id: GROUP_ID, membership: membership(), history: history.clone(), policy };
    vec![
        Message::Follow { ballot: BALLOT, group_id: GROUP_ID, is_established: true },
        Message::Position { ballot: BALLOT, position: POSITION, history, pull: true },
        Message::Fork { ballot: BALLOT, at: POSITION },
        Message::Tail { ballot: BALLOT, at: POSITION, keys: Some(vec![key.clone()]) },
        Message::Piece(Piece {
            ballot: BALLOT,
            transfer: 1,
            index: 2,
            from: Some(POSITION),
            records: [Some(value), None]
                .into_iter()
                .map(|value| Record { key: &key, value })
                .collect(),
            end: Some(BatchEnd {
                position: POSITION,
                group_time: TIME,
                lead: Lead { nanos: 9, jumped: TIME },
                expired_before: GroupTime(TIME.0 - 1_000),
                meta: Some(Box::new(meta)),
            }),
            total: 2,
            digest: Some(digest()),
        }),
        Message::PieceStaged { ballot: BALLOT, transfer: 1, index: 2 },
        Message::Held { ballot: BALLOT, position: POSITION },
        Message::Lost { ballot: BALLOT },
        Message::GaveUp { ballot: BALLOT, units: 7, is_at_most: true },
    ]
}

fn digest() -> Digest {
    let mut digest = Digest::default();
    digest.position = POSITION;
    digest.cells = 7;
    digest.digest = 8;
    digest
}

fn membership() -> Membership {
    let member = |name: &str, id| {
        let address = format!("{name}.example:7101");
        Member { name: PeerName::from(name), id, address }
    };
    Membership {
        stamp: POSITION,
        voters: vec![member("a", Some(MemberId(1))), member("b", None)],
        next: Some(vec![member("a", Some(MemberId(1)))]),
        removed: vec![member("c", Some(MemberId(3)))],
        upkeep: Upkeep { revision: 2, monitor: Some(Monitor::new(3)), paused_until: Some(TIME) },
        site: Some(Box::new(SiteState {
            active: "east".into(),
            standby: "west".into(),
            listed: vec![member("d", Some(MemberId(4)))],
            phase: SitePhase::Sealed,
            promoted: Some(Promoted { is_forced: true, as_of: TIME }),
            lineage: vec![BALLOT.generation],
        })),
    }
}
