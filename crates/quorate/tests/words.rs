//! Every error of the core as people read it, with a value such as it has in earnest.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::internal::disk::{
    Action, AppendError, Fault, IoError, OpenError, SnapshotError, StorageError,
};
use quorate::internal::store::{ApplyError, Refused};
use quorate::internal::wire::WireError;
use quorate::{
    AddressFault, AddressGiven, Ballot, Bounded, Bounds, ConfigError, DecideError, Generation,
    GroupConfig, NoPrimaryReason, PeerName, PolicyError, Position, RemoveError, Sequence,
    StartError, SwitchError, Term,
};
#[path = "support/words.rs"]
mod words;

use words::assert_told;

/// A time that was measured, with all that a clock says.
const MEASURED: Duration = Duration::from_nanos(30_000_882_848);

fn peer(name: &str) -> PeerName {
    PeerName::from(name)
}

fn at(sequence: u64) -> Position {
    let ballot = Ballot { generation: Generation::from_bits(1), term: Term(3) };
    Position { ballot, sequence: Sequence(sequence) }
}

fn said(error: &dyn std::error::Error) -> String {
    error.to_string()
}

fn no_space() -> IoError {
    let source = Arc::new(io::Error::from(io::ErrorKind::StorageFull));
    IoError { action: Action::Write, path: "/data/a/log-1".into(), source }
}

fn denied() -> IoError {
    let source = Arc::new(io::Error::from(io::ErrorKind::PermissionDenied));
    IoError { action: Action::Open, path: "/data/a".into(), source }
}

#[test]
fn calls_that_were_not_decided() {
    let overloaded = |what, bound| said(&DecideError::Overloaded { what, bound });
    assert_told([
        (
            said(&DecideError::NoPrimary { reason: NoPrimaryReason::NoQuorum }),
            "no primary: fewer than a majority of the members are reachable",
        ),
        (
            said(&DecideError::OutcomeUnknown { waited: MEASURED }),
            "outcome unknown after 30s: the change may or may not have been written; try again \
             only if counting twice does no harm",
        ),
        (
            overloaded(Bounded::Bytes, 1 << 31),
            "overloaded: max_bytes of the peer that decides is at its bound of 2147483648; try \
             again later, or raise it at all members",
        ),
        (
            overloaded(Bounded::Cells, 10_000_000),
            "overloaded: max_cells of the peer that decides is at its bound of 10000000; try again \
             later, or raise it at all members",
        ),
        (
            overloaded(Bounded::MergeRecords, 16_384),
            "overloaded: the number of records of merges of the peer that decides is at its bound \
             of 16384; try again later, or raise it at all members",
        ),
        (
            overloaded(Bounded::OutboxBytes, 7_654_321),
            "overloaded: the sum of bytes waiting to be sent is at its bound of 7654321; try \
             again later, or raise it",
        ),
        (
            overloaded(Bounded::OverlayKeys, 65_536),
            "overloaded: max_overlay_keys is at its bound of 65536; try again later, or raise it",
        ),
        (
            overloaded(Bounded::WaitingCalls, 65_536),
            "overloaded: max_waiting_calls is at its bound of 65536; try again later, or raise it",
        ),
        (said(&DecideError::ShuttingDown), "this peer is shutting down: ask another one"),
    ]);
}

#[test]
fn no_primary() {
    use NoPrimaryReason::{Electing, LeaseEnded, NoQuorum, NotConnected, Refused};
    let told = |reason: NoPrimaryReason| said(&reason);
    assert_told([
        (told(Electing), "an election has not ended, which takes some seconds"),
        (
            told(LeaseEnded),
            "the lease of this primary has ended: nothing is decided until a majority answers",
        ),
        (told(NoQuorum), "fewer than a majority of the members are reachable"),
        (
            told(NotConnected),
            "the last known primary is not connected to this peer: if it has ended, another one is \
             elected within the failure timeout, and if not, `peers` in the status says why",
        ),
        (
            told(Refused),
            "this peer and too many of those that it needs refuse each other: see `refusals` in \
             its status for what differs",
        ),
    ]);
}

#[test]
fn switches_that_did_not_take_place() {
    let to = || peer("b");
    assert_told([
        (said(&SwitchError::NotPrimary { primary: None }), "this peer is not the primary"),
        (
            said(&SwitchError::NotPrimary { primary: Some(to()) }),
            "this peer is not the primary: b runs an older version, ask it directly",
        ),
        (
            said(&SwitchError::NotReached),
            "this peer reaches no member of a group: see `contacts` and `peers` in its status, or \
             ask at a member",
        ),
        (
            said(&SwitchError::NotMember { to: to() }),
            "b is not a member of this group: name one of those in the status",
        ),
        (
            said(&SwitchError::NotMember { to: peer("") }),
            "\"\" is not a member of this group: name one of those in the status",
        ),
        (
            said(&SwitchError::NotReady { to: None }),
            "no successor: no other member that is connected is up to date and counted yet: see \
             `lag` and `is_member` in the status",
        ),
        (
            said(&SwitchError::NotReady { to: Some(to()) }),
            "no successor: b is connected, and not up to date and counted yet: see `lag` and \
             `is_member` in the status",
        ),
        (
            said(&SwitchError::NotConnected { members: vec![to()] }),
            "no successor: b is not connected, or silent: see `link_error` in the status",
        ),
        (
            said(&SwitchError::NoCandidate { members: vec![to(), peer("c")] }),
            "no successor: b and c are ready, and of priority 0, which is never promoted, or about \
             to stop",
        ),
        (
            said(&SwitchError::NobodyElse),
            "no successor: there is no other member that is not stopping and may be promoted",
        ),
        (
            said(&SwitchError::OnlyMember),
            "this peer is the only member of the group: there is no successor",
        ),
        (
            said(&SwitchError::LeaseEnded),
            "this primary has lost its majority, and hands over to nobody before it has one again: \
             see `peers` in its status",
        ),
        (
            said(&SwitchError::NoPrimary { waited: MEASURED }),
            "no primary within 30s: try again when there is one",
        ),
        (
            said(&SwitchError::TimedOut { to: to(), waited: MEASURED }),
            "b was not known to be primary within 30s: the switch may still be made; see the \
             primary in the status",
        ),
        (
            said(&SwitchError::NotAllowed),
            "only a member may have the primary hand over: ask at one, or let clients do so at \
             every member by clients_may_switch_primary()",
        ),
        (
            said(&SwitchError::TooMany { bound: 16 }),
            "16 requests are under way: wait until one has ended",
        ),
        (
            said(&SwitchError::PriorityZero { to: to() }),
            "b is not promoted, for it has priority 0 or is about to stop: choose another one, or \
             give it a priority",
        ),
        (
            said(&SwitchError::Aborted { to: to() }),
            "b did not take over: it was too slow, or has gone; no switch was made",
        ),
        (said(&SwitchError::Busy), "another switch is under way: wait until it has ended"),
    ]);
}

#[test]
fn policies_that_were_not_changed() {
    let waited = MEASURED;
    let reason = "a rate of 0 per 1s would admit nothing: use at least 1".to_owned();
    assert_told([
        (
            said(&PolicyError::Refused { reason }),
            "a rate of 0 per 1s would admit nothing: use at least 1",
        ),
        (
            said(&PolicyError::NoPrimary { waited }),
            "no primary within 30s: try again when there is one",
        ),
        (
            said(&PolicyError::TimedOut { waited }),
            "not changed within 30s: the change may still be made, see the revision",
        ),
        (
            said(&PolicyError::OldVersion),
            "a member runs an older version: upgrade all members first",
        ),
        (
            said(&PolicyError::NotAllowed),
            "only a member may change the policy: ask at one, or let clients do so at every \
             member by clients_may_change_policy()",
        ),
        (
            said(&PolicyError::TooLong { bytes: 100_000, max: 98_304 }),
            "a change of 100000 bytes is longer than 98304: make it shorter",
        ),
        (
            said(&PolicyError::Busy { bound: 64 }),
            "64 requests are under way: wait until one has ended",
        ),
        (
            said(&PolicyError::ShuttingDown),
            "this peer is shutting down: see at another one whether the change was made",
        ),
    ]);
}

#[test]
fn members_that_were_not_counted_out() {
    let (waited, of) = (MEASURED, || peer("b"));
    let reason = SwitchError::NotReady { to: None };
    assert_told([
        (
            said(&RemoveError::NoPrimary { waited }),
            "no primary within 30s: a change of the members needs a majority; try again when \
             there is one",
        ),
        (
            said(&RemoveError::NotAllowed { peer: of() }),
            "only a member may have b counted out: ask at one, or let clients do so at every \
             member by clients_may_remove_members()",
        ),
        (
            said(&RemoveError::NotMember { peer: of() }),
            "b is not a member of this group: name one of those in the status; whoever is no \
             member, as a client, has nothing to leave and just ends",
        ),
        (
            said(&RemoveError::NotMember { peer: peer("b c") }),
            "\"b c\" is not a member of this group: name one of those in the status; whoever is no \
             member, as a client, has nothing to leave and just ends",
        ),
        (
            said(&RemoveError::Alive { peer: of() }),
            "b is connected: have it leave by itself, or stop it first",
        ),
        (
            said(&RemoveError::LastMember { peer: of() }),
            "b is the last member of this group: shut it down instead",
        ),
        (
            said(&RemoveError::Primary { peer: of() }),
            "b is the primary: have it leave by itself, or switch to another peer first",
        ),
        (
            said(&RemoveError::NotHandedOver { reason }),
            "not left, for no other peer has taken over: no successor: no other member that is \
             connected is up to date and counted yet: see `lag` and `is_member` in the status",
        ),
        (
            said(&RemoveError::OldVersion { peer: of(), old: None }),
            "b was not counted out: a member runs an older version, upgrade all members first",
        ),
        (
            said(&RemoveError::OldVersion { peer: of(), old: Some(peer("c")) }),
            "b was not counted out: c runs an older version, upgrade all members first",
        ),
        (
            said(&RemoveError::NotBegun { peer: of(), missing: vec![peer("c")], waited }),
            "b was not counted out within 30s, and nothing was begun: it takes a majority of those \
             who would be left, and c is not connected: bring back who is gone, or have it \
             forgotten first",
        ),
        (
            said(&RemoveError::NotBegun { peer: of(), missing: vec![], waited }),
            "b was not counted out within 30s, and nothing was begun: it takes a majority of those \
             who would be left, see in the primary's status who is connected",
        ),
        (
            said(&RemoveError::TimedOut { peer: of(), waited }),
            "b was not counted out within 30s: the change may still be made; see the members in \
             the status",
        ),
        (
            said(&RemoveError::Busy { bound: 16 }),
            "16 removals are under way: wait until one has ended",
        ),
        (
            said(&RemoveError::ShuttingDown),
            "this peer is shutting down: see at another one whether the change was made",
        ),
    ]);
}

/// What these settings are told to break, first.
fn broken(change: impl FnOnce(&mut GroupConfig)) -> String {
    let mut config =
        GroupConfig { members: ["a", "b", "c"].map(peer).to_vec(), ..Default::default() };
    change(&mut config);
    let errors = config.check(&peer("a")).expect_err("they break a rule");
    said(errors.first().expect("at least one"))
}

#[test]
fn settings_that_break_a_rule() {
    let (ms, hour) = (Duration::from_millis, Duration::from_secs(3600));
    let bounds = Bounds { max_bytes: 7, ..Bounds::default() };
    let bounds = bounds.check().expect_err("too small");
    let interval = ms(0);
    assert_told([
        (
            broken(|it| it.group = String::new()),
            "the name \"\" of a group is not usable: use 1 to 64 letters, digits, \"-\", \"_\" \
             and \".\"",
        ),
        (
            broken(|it| it.members[1] = peer("b/c")),
            "the name \"b/c\" of a peer is not usable: use 1 to 64 letters, digits, \"-\", \"_\" \
             and \".\"",
        ),
        (
            broken(|it| it.members[0] = peer("d")),
            "this peer is called a but the member list is d,b,c: add it to the list",
        ),
        (
            broken(|it| it.members.push(peer("b"))),
            "the member list names b twice: take one of them out, or call it otherwise",
        ),
        (
            broken(|it| it.members.push(peer("B"))),
            "the names b and B differ only in capitals, which certificates and people do not tell \
             apart: rename one of the two",
        ),
        (
            broken(|it| it.members.clear()),
            "a group has 1 to 7 members, not 0: name them by `.members(..)`, this peer included",
        ),
        (
            broken(|it| it.members = (0..9).map(|n| peer(&format!("p{n}"))).collect()),
            "a group has 1 to 7 members, not 9: list fewer",
        ),
        (
            broken(|it| it.heartbeat = ms(2501)),
            "a heartbeat of 2.501s is too slow for a failure timeout of 10s: use at most a \
             quarter of that",
        ),
        (
            broken(|it| it.heartbeat = ms(0)),
            "a heartbeat of 0 would leave no pause: use more than 0, and at most a quarter of the \
             failure timeout, 10s",
        ),
        (
            broken(|it| it.failure_timeout = ms(19)),
            "a failure timeout of 19ms is out of range: use 20ms to 1h",
        ),
        (
            broken(|it| it.replication_interval = ms(1500)),
            "a replication interval of 1.5s is out of range: use 0 to a heartbeat, 1s",
        ),
        (
            broken(|it| it.io_timeout = hour * 2),
            "an I/O timeout of 2h is out of range: use 1ms to 1h",
        ),
        (broken(|it| it.agreement = 3), "an agreement of 3 is out of range: use 1 to 2"),
        (said(&bounds[0]), "a max_bytes of 7 is out of range: use at least 1024"),
        (
            said(&ConfigError::SameAddress {
                first: peer("a"),
                second: peer("b"),
                address: "h:1".into(),
            }),
            "a and b are both at h:1: give each member an address of its own",
        ),
        (
            said(&ConfigError::Address {
                given: AddressGiven::Join,
                address: "svc".into(),
                fault: AddressFault::NoPort,
            }),
            "the address \"svc\" in `.join(..)` has no port: use the like of host.example:7101, \
             192.0.2.1:7101 or [2001:db8::1]:7101",
        ),
        (
            said(&ConfigError::NoContact),
            "there is no address of a member to join at: name one by `.join(..)`",
        ),
        (
            said(&ConfigError::Address {
                given: AddressGiven::Member(peer("b")),
                address: "10.0.0.1:0".into(),
                fault: AddressFault::AnyPort,
            }),
            "the address \"10.0.0.1:0\" of b in `.members(..)` has port 0, which nobody can reach: \
             name the port that is listened on",
        ),
        (
            said(&ConfigError::NoDirectory),
            "storage on disk needs a directory: name one that is this peer's own",
        ),
        (
            said(&ConfigError::SyncInterval { interval }),
            "a sync interval of 0 is out of range: use 1ms to 1m, or SyncPolicy::EveryBatch",
        ),
        (
            said(&ConfigError::ModelSettings { count: 17, max: 16 }),
            "the model has 17 settings: at most 16 fit into the handshake",
        ),
        (
            said(&ConfigError::ModelSetting { field: "limits".into(), bytes: 2048, max: 1024 }),
            "the model's setting limits is 2048 bytes long, at most 1024 fit: use a hash of it",
        ),
    ]);
}

#[test]
fn peers_that_do_not_start() {
    let source = || io::Error::from(io::ErrorKind::AddrInUse);
    let address = || "192.0.2.1:7101".to_owned();
    let two = vec![ConfigError::NoContact, ConfigError::NoDirectory];
    assert_told([
        (
            said(&StartError::Config(two)),
            "the settings are not usable: there is no address of a member to join at: name one by \
             `.join(..)`; storage on disk needs a directory: name one that is this peer's own",
        ),
        (
            said(&StartError::StateDirHasCells { dir: "/data/a".into() }),
            "/data/a holds the cells of a peer with storage on disk: use another directory for \
             the state of a peer in memory",
        ),
        (
            said(&StartError::NoAddress { name: peer("a") }),
            "a has no address in `.members(..)`: name one",
        ),
        (
            said(&StartError::Bind { address: address(), source: source() }),
            "cannot listen on 192.0.2.1:7101: address in use; another process listens there, \
             perhaps this peer's last start: end it, or choose another port",
        ),
        (
            said(&StartError::Storage(OpenError::InUse { path: "/data/a".into() })),
            "/data/a is in use by another process: every peer needs a directory of its own",
        ),
        (
            said(&StartError::NotReachable { address: "0.0.0.0:7101".into() }),
            "0.0.0.0:7101 is where this peer listens, and not where the others reach it: say that \
             by `.advertise(..)`",
        ),
        (
            said(&StartError::Thread(io::Error::from(io::ErrorKind::OutOfMemory))),
            "cannot start a thread of the peer's own: out of memory",
        ),
        (
            said(&StartError::Transport {
                name: peer("a"),
                source: io::Error::other("its certificate names b"),
            }),
            "a cannot be served by its transport: its certificate names b",
        ),
        (
            said(&StartError::PlaintextOffLoopback { address: address() }),
            "192.0.2.1:7101 is not a loopback address, and plain text off loopback is refused: \
             use a transport with TLS (the crate quorate-tls), or, on a network that you trust, \
             allow it by plaintext_allowed_on_network()",
        ),
    ]);
}

#[test]
fn directories_that_cannot_be_used() {
    let path = || PathBuf::from("/data/a");
    let found = Fault::Magic;
    assert_told([
        (
            said(&OpenError::Corrupt { path: path(), offset: 40, fault: found }),
            "/data/a is damaged: what stands at byte 40 is not the beginning of such a file. \
             Move the whole directory away, and keep it: the peer then starts blank, and the \
             others bring it up to date. Restore directories from a copy only if those of all \
             peers are lost, and then all of them, with all peers stopped",
        ),
        (said(&OpenError::Io(denied())), "cannot open /data/a: permission denied"),
        (
            said(&OpenError::Io(IoError {
                action: Action::Create,
                path: "l1.toml".into(),
                source: Arc::new(io::Error::from(io::ErrorKind::AlreadyExists)),
            })),
            "cannot create l1.toml: entity already exists; it is a file, and a directory is \
             needed: name another place",
        ),
        (
            said(&OpenError::Missing { path: path(), needed_by: "/data/a/log-2".into() }),
            "/data/a is missing, but /data/a/log-2 is there. Move the whole directory away, and \
             keep it: the peer then starts blank, and the others bring it up to date. Restore \
             directories from a copy only if those of all peers are lost, and then all of them, \
             with all peers stopped",
        ),
        (
            said(&OpenError::NewerVersion { path: path(), version: 3, supported: 2 }),
            "/data/a has format version 3, this library reads 2 and older: run the newer version \
             of it, or give the peer an empty directory",
        ),
        (
            said(&OpenError::OtherGroup {
                path: path(),
                found: "mail".into(),
                expected: "api".into(),
            }),
            "/data/a belongs to the group mail, this peer is of api: give it a directory of its \
             own",
        ),
        (
            said(&OpenError::OtherPeer { path: path(), found: peer("b"), expected: peer("a") }),
            "/data/a belongs to the peer b, this is a: give it a directory of its own",
        ),
        (
            said(&OpenError::Unusable { path: path(), source: ApplyError::Key { bytes: 600 } }),
            "/data/a holds what cannot be used: a key of 600 bytes is not usable. Move the whole \
             directory away, and keep it: the peer then starts blank, and the others bring it up \
             to date. Restore directories from a copy only if those of all peers are lost, and \
             then all of them, with all peers stopped",
        ),
        (
            said(&StorageError::Full(no_space())),
            "cannot write /data/a/log-1: no storage space: the disk is full, and nothing more is \
             stored: make room, and start this peer again",
        ),
        (
            said(&StorageError::Io(denied())),
            "cannot open /data/a: permission denied: the storage has failed, and nothing more is \
             stored: mend it, and start this peer again",
        ),
        (
            said(&AppendError::From { from: at(7), end: at(5) }),
            "the batch starts from 1.3:7, the log ends at 1.3:5",
        ),
        (
            said(&SnapshotError::Full(no_space())),
            "cannot write /data/a/log-1: no storage space: there is no room on the disk for a \
             snapshot",
        ),
        (
            said(&SnapshotError::Position { position: at(7), end: at(5) }),
            "the snapshot ends at 1.3:7, the log at 1.3:5",
        ),
        (said(&SnapshotError::Void), "the state was replaced while it was copied"),
    ]);
}

#[test]
fn faults_of_files() {
    let told = |fault: Fault| {
        let path = PathBuf::from("/data/a/log-1");
        said(&OpenError::Corrupt { path, offset: 40, fault })
            .strip_prefix("/data/a/log-1 is damaged: what stands at byte 40 ")
            .and_then(|rest| rest.split_once(". Move the whole directory away"))
            .map(|(fault, _)| fault.to_owned())
            .expect("the fault, and what to do")
    };
    assert_told([
        (
            told(Fault::Chain { expected: at(5), found: at(7) }),
            "starts from 1.3:7, the log stands at 1.3:5",
        ),
        (
            told(Fault::Checksum { stored: 7, computed: 0xdead_beef }),
            "has the checksum 00000007, its bytes give deadbeef",
        ),
        (
            told(Fault::Content(WireError::Kind { kind: 77 })),
            "cannot be read: frame of unknown kind 77",
        ),
        (told(Fault::CutOff { need: 40, have: 12 }), "needs 40 bytes, 12 are there"),
        (told(Fault::Magic), "is not the beginning of such a file"),
        (told(Fault::Misplaced { belongs: 80 }), "belongs at byte 80"),
        (told(Fault::Name("peer")), "holds no name of a peer"),
        (
            told(Fault::Number { what: "the number", expected: 4, found: 5 }),
            "has the number 5, not 4",
        ),
        (
            told(Fault::OutOfRange { what: "a count of", found: u64::MAX }),
            "has a count of 18446744073709551615, more than can be",
        ),
        (
            told(Fault::TooLong { bytes: 5_000_000, max: 4_194_304 }),
            "is 5000000 bytes long, at most 4194304 are possible",
        ),
        (told(Fault::Unexpected("snapshot")), "is no snapshot"),
        (told(Fault::Unfinished), "is a batch of which the last piece is missing"),
    ]);
}

#[test]
fn what_the_store_does_not_take() {
    let week = Duration::from_secs(7 * 86_400);
    assert_told([
        (said(&Refused::NoAuthority), "this peer has no authority to decide"),
        (said(&Refused::HandingOver), "a hand-over is under way"),
        (said(&Refused::Full { what: Bounded::Cells, bound: 5 }), "max_cells is at its bound of 5"),
        (
            said(&Refused::Forgotten { memory: week }),
            "it was sealed more than 7d ago, and may have been merged since",
        ),
        (
            said(&Refused::Ahead { most: week }),
            "it was sealed more than 7d ahead of group time: is a clock wrong?",
        ),
        (said(&ApplyError::Reigning), "this peer is the primary"),
        (
            said(&ApplyError::From { from: at(7), held: at(5) }),
            "the batch starts from 1.3:7, the position held is 1.3:5",
        ),
        (
            said(&ApplyError::Missing { group_time: 7, missing_before: 9 }),
            "the batch ends at group time 7, cells up to 9 have gone",
        ),
        (said(&ApplyError::Key { bytes: 0 }), "a key of 0 bytes is not usable"),
        (
            said(&ApplyError::Position(at(u64::MAX))),
            "the position 1.3:18446744073709551615 is out of range",
        ),
    ]);
}

#[test]
fn bytes_that_are_no_frame() {
    let field = "key";
    assert_told([
        (
            said(&WireError::Bytes { field, bytes: 600, min: 1, max: 513 }),
            "key of 600 bytes: 1 to 513 are allowed",
        ),
        (
            said(&WireError::Count { field: "members", count: 17, min: 0, max: 16 }),
            "17 members: 0 to 16 are allowed",
        ),
        (said(&WireError::Kind { kind: 77 }), "frame of unknown kind 77"),
        (said(&WireError::Missing { field }), "key is missing"),
        (
            said(&WireError::Name { field: "peer", name: "two words".into() }),
            "peer \"two words\" is not a name",
        ),
        (
            said(&WireError::Repeated { field: "member", name: peer("b") }),
            "member b is listed twice",
        ),
        (
            said(&WireError::Truncated { field, need: 9, have: 4 }),
            "key needs 9 bytes, the frame has 4 left",
        ),
        (
            said(&WireError::Value { field: "priority", value: 300, min: 0, max: 255 }),
            "priority is 300: 0 to 255 are allowed",
        ),
    ]);
}
