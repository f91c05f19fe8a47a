//! Every event with its level and its words.

use crate::base::event_text::*;
use crate::base::id::{Ballot, Generation, GroupId, Position, Term};

fn position() -> Position {
    Position { ballot: ballot(), ..Position::BLANK }
}

fn ballot() -> Ballot {
    Ballot { generation: Generation::from_bits(7), term: Term(3) }
}

fn generation(loss: Loss, unreached: Vec<PeerName>) -> Event {
    let (generation, position, as_of_ms) = (Generation::from_bits(8), position(), 1);
    Event::NewGeneration { generation, unreached, position, as_of_ms, loss }
}

/// One of each, as a group has them, with the level and the words.
fn samples() -> Vec<(Event, Severity, &'static str)> {
    use Severity::{Error, Info, Warn};
    let (peer, ballot) = (PeerName::from("b"), ballot());
    let bc = vec![PeerName::from("b"), PeerName::from("c")];
    let texts = || ("mode".to_owned(), "strict".to_owned(), "relaxed".to_owned());
    let (field, ours, theirs) = texts();
    let subject = || "CN=a".to_owned();
    vec![
        (
            Event::Founded { group_id: GroupId(10), unreached: vec![], lost: None },
            Info,
            "founded the group 0000000000000000000000000000000a",
        ),
        (
            Event::Founded { group_id: GroupId(10), unreached: bc.clone(), lost: None },
            Warn,
            "founded the group 0000000000000000000000000000000a; b and c not reached",
        ),
        (
            Event::Founded { group_id: GroupId(10), unreached: vec![], lost: Some(position()) },
            Error,
            "founded the group 0000000000000000000000000000000a; all had lost their data, which \
             may have gone as far as position 7.3:0",
        ),
        (
            generation(Loss::Nothing, vec![]),
            Error,
            "formed the group anew as generation 8 from position 7.3:0, for a majority had lost \
             its data; nothing that a majority had held is lost",
        ),
        (
            generation(Loss::UpTo { position: position() }, bc.clone()),
            Error,
            "formed the group anew as generation 8 from position 7.3:0, for a majority had lost \
             its data; what was decided later, up to 7.3:0 at most, is lost; b and c not reached",
        ),
        (
            generation(Loss::Unknown, vec![peer.clone()]),
            Error,
            "formed the group anew as generation 8 from position 7.3:0, for a majority had lost \
             its data; whatever was decided later is lost; b not reached",
        ),
        (
            Event::NewGenerationWaits { missing: bc.clone(), acknowledged: None },
            Error,
            "a majority has lost its data, and b and c may hold more than is left: bring back who \
             is missing, or, if they are gone for good, found a new group at each peer that is \
             left",
        ),
        (
            Event::NewGenerationWaits {
                missing: vec![peer.clone()],
                acknowledged: Some(position()),
            },
            Error,
            "a majority has lost its data, and b may hold more than is left (position 7.3:0 may \
             have been acknowledged): bring back who is missing, or, if they are gone for good, \
             found a new group at each peer that is left",
        ),
        (
            Event::PrimaryChanged { primary: Some(peer.clone()), ballot },
            Info,
            "b is the primary (term 3)",
        ),
        (Event::PrimaryChanged { primary: None, ballot }, Warn, "there is no primary"),
        (
            Event::PrimarySuspected { primary: Some(peer.clone()), ballot },
            Warn,
            "no word of the primary b for the failure timeout",
        ),
        (
            Event::PrimarySuspected { primary: None, ballot },
            Warn,
            "no word of a primary for the failure timeout",
        ),
        (
            Event::FailureAgreed { agreeing: bc.clone(), ballot },
            Warn,
            "the primary is lost, b and c agree: an election starts",
        ),
        (
            Event::FailureAgreed { agreeing: vec![peer.clone()], ballot },
            Warn,
            "the primary is lost, b finds: an election starts",
        ),
        (
            Event::MajorityLost { ballot, unreached: bc.clone() },
            Error,
            "the primary is lost, and no majority is left to elect another: the group decides \
             nothing until enough of b and c are back",
        ),
        (Event::CampaignStarted { ballot }, Info, "stands for term 3"),
        (
            Event::QuorumLost { ballot },
            Error,
            "the lease has ended: nothing is decided until a majority answers",
        ),
        (Event::QuorumRegained { ballot }, Info, "the lease runs again"),
        (
            Event::ClockDoubted { ballot, ahead_ms: 120 },
            Warn,
            "a wall clock is 120ms ahead, so this one may have stood still: the others are \
             asked before anything is decided",
        ),
        (Event::SteppedDown { ballot }, Info, "is primary no more (term 3 has ended)"),
        (Event::PeerUp { peer: peer.clone() }, Info, "b is connected"),
        (Event::PeerDown { peer: peer.clone() }, Info, "b is not connected any more"),
        (
            Event::MemberReplaced { peer: peer.clone() },
            Info,
            "b has started, and counts from now on",
        ),
        (
            Event::MemberAdded { peer: peer.clone(), members: 3 },
            Info,
            "b is a member now, one of 3",
        ),
        (
            Event::MemberAdded { peer: peer.clone(), members: 4 },
            Warn,
            "b is a member now, one of 4, of which 3 must be there: they survive the loss of no \
             more than 3 do; it counts until it leaves or is forgotten, so let instances that come \
             and go be clients",
        ),
        (
            Event::MemberAdded { peer: peer.clone(), members: 5 },
            Info,
            "b is a member now, one of 5, of which 3 must be there; it counts until it leaves or \
             is forgotten, so let instances that come and go be clients",
        ),
        (Event::MemberRemoved { peer: peer.clone() }, Info, "b is not a member any more"),
        (
            Event::MemberStale { peer: peer.clone(), silent_ms: 60_000 },
            Warn,
            "b has been silent for 1m, and counts: bring it back, or, if it is gone for good, have \
             it forgotten or start another in its place",
        ),
        (
            Event::MemberForgotten { peer: peer.clone(), silent_ms: 61_500 },
            Warn,
            "forgets b, which has been silent for 61.5s and was replaced",
        ),
        (
            Event::JoinerWaits { peer: peer.clone(), live: 4 },
            Warn,
            "b is up to date and not counted in: 4 members are live already; it becomes one when \
             one of them has gone",
        ),
        (
            Event::SiteChanged { site: "east".into(), active: "east".into(), epoch: 0 },
            Warn,
            "this site, east, decides (site epoch 0)",
        ),
        (
            Event::SiteChanged { site: "west".into(), active: "east".into(), epoch: 3 },
            Warn,
            "this site, west, follows east, which decides (site epoch 3)",
        ),
        (
            Event::SitePromoted {
                site: "west".into(),
                epoch: 2,
                forced: false,
                position: Position::BLANK,
                as_of_ms: 0,
            },
            Warn,
            "west was promoted, and decides from where the other site has ended (site epoch 2)",
        ),
        (
            Event::SitePromoted {
                site: "west".into(),
                epoch: 2,
                forced: true,
                position: Position::BLANK,
                as_of_ms: 0,
            },
            Error,
            "west was promoted by force (site epoch 2), from 0.0:0: what was decided at the other \
             site after that is lost",
        ),
        (
            Event::SiteFenced { epoch: 2, by: "d".into() },
            Error,
            "the other site decides (site epoch 2, as d says): nothing is decided here any more",
        ),
        (
            Event::MonitorChanged {
                size: Some(3),
                grace_ms: Some(60_000),
                paused_until_ms: Some(5),
                revision: 2,
            },
            Warn,
            "from now on a member is forgotten when it was silent for 1m and 3 live ones are there \
             without it, and nobody before the pause has ended",
        ),
        (
            Event::MonitorChanged {
                size: None,
                grace_ms: None,
                paused_until_ms: None,
                revision: 3,
            },
            Warn,
            "from now on nobody is forgotten but by hand",
        ),
        (
            Event::PrimaryForced {
                generation: Generation::from_bits(8),
                group_id: GroupId(10),
                gone: bc.clone(),
                position: position(),
                as_of_ms: 1,
            },
            Error,
            "is primary of the new generation 8 by force, from position 7.3:0: b and c are no \
             member any more, and what only they held is lost",
        ),
        (
            Event::CountedOut { by: Some(peer.clone()), generation: Generation::from_bits(8) },
            Error,
            "b refuses this peer as no member of generation 8: it decides nothing any more; start \
             it anew to join, with its data set aside",
        ),
        (
            Event::CountedOut { by: None, generation: Generation::from_bits(8) },
            Error,
            "was counted out of the group: it decides nothing any more; end it, or start it anew \
             to join, with its data set aside",
        ),
        (
            Event::PolicyChanged { revision: 0 },
            Info,
            "decides by what its own code says, as it did at first",
        ),
        (Event::PolicyChanged { revision: 4 }, Info, "decides by revision 4 of the group's policy"),
        (
            Event::PolicyUnusable { revision: 4, reason: "unknown kind".into() },
            Error,
            "cannot decide by revision 4 of the group's policy, and goes on with what it had: \
             unknown kind; upgrade this peer, and do not make it primary before",
        ),
        (
            Event::LocalDecisionsMerged { units: 5, dropped: 0 },
            Info,
            "merged 5 units that were decided alone",
        ),
        (
            Event::LocalDecisionsMerged { units: 5, dropped: 2 },
            Info,
            "merged 5 units that were decided alone; 2 were dropped, for they do not count any \
             more or were beyond the limit",
        ),
        (
            Event::LocalDecisionsDiscarded { units: 5 },
            Warn,
            "discarded 5 units that were decided alone, as the settings say",
        ),
        (
            Event::LocalDecisionsRefused { units: 5, reason: "too late".into() },
            Error,
            "dropped 5 units that were decided alone, for the primary refused them: too late",
        ),
        (
            Event::ChangesLost { units: 0, exact: true },
            Info,
            "0 units that an old primary had decided were given up",
        ),
        (
            Event::ChangesLost { units: 9, exact: true },
            Error,
            "9 units that an old primary had decided were given up",
        ),
        (
            Event::ChangesLost { units: 9, exact: false },
            Warn,
            "what an old primary had decided last, and the others had not got yet, does not count, \
             if there was any: how much is not known here, and 9 units is the bound on it, no \
             count of a loss; nothing that Acknowledge::Majority has answered is in it",
        ),
        (
            Event::OlderGenerationDropped { cells: 3, generation: Generation::from_bits(6) },
            Error,
            "dropped 3 cells of the older generation 6: the group was formed anew without this \
             peer",
        ),
        (
            Event::ConfigMismatch { peer: "b".into(), field, ours, theirs },
            Warn,
            "b and this peer refuse each other: mode is strict here and relaxed there; set the \
             same at all peers",
        ),
        (
            {
                let (field, ours, theirs) = texts();
                Event::ModelDiffers { peer: peer.clone(), field, ours, theirs }
            },
            Warn,
            "the code of b has mode relaxed, and that of this peer strict: decided is by the \
             primary's; run the same at all peers, the primary last",
        ),
        (
            {
                let (field, ours, theirs) = ("tls".into(), "off".into(), "permissive".into());
                Event::TransportDiffers { peer: peer.clone(), field, ours, theirs }
            },
            Warn,
            "b stands at tls permissive, and this peer at off: they stay connected; bring all \
             peers to the same",
        ),
        (
            Event::CertificateExpiring { subject: subject(), not_after_ms: 1, within_days: 0 },
            Error,
            "the certificate CN=a has ended: no new connection is made with it; renew it",
        ),
        (
            Event::CertificateExpiring { subject: subject(), not_after_ms: 1, within_days: 1 },
            Error,
            "the certificate CN=a ends within 1 day: renew it",
        ),
        (
            Event::CertificateExpiring { subject: subject(), not_after_ms: 1, within_days: 30 },
            Warn,
            "the certificate CN=a ends within 30 days: renew it",
        ),
        (
            {
                let trusted = vec!["CN=one".into(), "CN=two".into()];
                Event::CertificateRenewed { subject: subject(), not_after_ms: 1, trusted }
            },
            Info,
            "uses the certificate CN=a from now on, and trusts CN=one and CN=two",
        ),
        (
            Event::CertificateRefused { error: "no key".into() },
            Warn,
            "new certificate files were refused, and the old ones stay: no key",
        ),
        (
            Event::CaNotTrusted { subject: subject(), not_before_ms: 1, not_after_ms: 2 },
            Warn,
            "the CA CN=a is not trusted, for it has ended or has not begun: take it out of the \
             file",
        ),
        (
            Event::OlderFilesSetAside { path: "/var/q/older-1".into() },
            Warn,
            "the files that were here were kept beside the new ones, as /var/q/older-1",
        ),
        (
            Event::Recovered {
                cells: 3,
                records: 5,
                position: position(),
                torn_bytes: 0,
                may_lack_acknowledged: false,
            },
            Info,
            "read 3 cells from its directory",
        ),
        (
            Event::Recovered {
                cells: 3,
                records: 5,
                position: position(),
                torn_bytes: 12,
                may_lack_acknowledged: true,
            },
            Warn,
            "read 3 cells from its directory; 12 bytes that a crash had left half written were \
             cut off; the machine went down before all of it was synced, so it counts as \
             another member",
        ),
        (
            Event::CatchUpStarted { from: peer.clone(), cells: 9, is_full: true },
            Info,
            "is being brought up to date by b, with about 9 cells",
        ),
        (
            Event::CaughtUp { cells: 9, position: position() },
            Info,
            "is up to date: 9 cells have come",
        ),
        (
            Event::CaughtUp { cells: 1, position: position() },
            Info,
            "is up to date: 1 cell has come",
        ),
        (
            Event::Diverged { position: position(), cells: 9, expected: 10 },
            Error,
            "its cells differ from the primary's at 7.3:0 (9 here, 10 there) and are copied \
             anew; if that happens twice, look at this machine's memory",
        ),
        (
            Event::StorageFailed { error: "no room".into() },
            Error,
            "its storage takes nothing any more, so it neither votes nor acknowledges: no room",
        ),
        (
            Event::StoreNearlyFull { cells: 8, max_cells: 10, bytes: 80, max_bytes: 100 },
            Warn,
            "nearly full: 8 of 10 cells, 80 of 100 bytes; raise the bound, or see which keys \
             they are",
        ),
        (
            Event::StoreFull { cells: 10, max_cells: 10, bytes: 100, max_bytes: 100 },
            Error,
            "full: new keys are refused at 10 of 10 cells, 100 of 100 bytes; raise the bound, \
             or see which keys they are",
        ),
        (
            Event::SwitchAborted { to: peer.clone() },
            Warn,
            "b did not take over: the switch was given up",
        ),
        (
            Event::AdminActed { by: "alice".into(), what: "forget b".to_owned() },
            Info,
            "alice has this peer do this: forget b",
        ),
    ]
}

#[test]
fn every_event_has_its_level_and_its_words() {
    for (event, severity, words) in samples() {
        assert_eq!(event.to_string(), words);
        assert_eq!(event.severity(), severity, "{event}");
    }
}

/// All names, and beside them a match by which the compiler finds a variant that has none here.
macro_rules! all_names {
    ($($variant:ident),* $(,)?) => {{
        fn is_listed(event: &Event) -> bool {
            match event {
                $(Event::$variant { .. } => true,)*
            }
        }
        let names = [$(stringify!($variant)),*];
        (names, is_listed as fn(&Event) -> bool)
    }};
}

#[test]
fn the_name_of_an_event_is_that_of_its_json() {
    let (all, is_listed) = all_names![
        Founded,
        NewGeneration,
        NewGenerationWaits,
        PrimaryChanged,
        PrimarySuspected,
        FailureAgreed,
        CampaignStarted,
        QuorumLost,
        MajorityLost,
        QuorumRegained,
        ClockDoubted,
        SteppedDown,
        PeerUp,
        PeerDown,
        MemberReplaced,
        MemberAdded,
        MemberRemoved,
        MemberStale,
        MemberForgotten,
        JoinerWaits,
        MonitorChanged,
        SiteChanged,
        SitePromoted,
        SiteFenced,
        PrimaryForced,
        CountedOut,
        PolicyChanged,
        PolicyUnusable,
        LocalDecisionsMerged,
        LocalDecisionsDiscarded,
        LocalDecisionsRefused,
        ChangesLost,
        OlderGenerationDropped,
        ConfigMismatch,
        ModelDiffers,
        TransportDiffers,
        CertificateExpiring,
        CertificateRenewed,
        CertificateRefused,
        CaNotTrusted,
        OlderFilesSetAside,
        Recovered,
        CatchUpStarted,
        CaughtUp,
        Diverged,
        StorageFailed,
        StoreNearlyFull,
        StoreFull,
        SwitchAborted,
        AdminActed,
    ];
    let mut names = std::collections::BTreeSet::new();
    for (event, _, _) in samples() {
        let json = serde_json::to_value(&event).expect("it is plain");
        assert_eq!(json["event"], event.name());
        assert!(is_listed(&event));
        names.insert(event.name());
    }
    let snake = |name: &&str| {
        let parts = name.char_indices().map(|(index, c)| match c.is_ascii_uppercase() {
            true if index > 0 => format!("_{}", c.to_ascii_lowercase()),
            _ => c.to_ascii_lowercase().to_string(),
        });
        parts.collect::<String>()
    };
    let all: Vec<String> = all.iter().map(snake).collect();
    let missing: Vec<_> = all.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
}
