//! What goes in comes out, in the same order, in pieces that fit into memory.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::SnapshotWriter;
use super::super::entry::MAX_RECORDS_BYTES;
use super::*;
use crate::base::id::Lead;

/// What may happen to a storage.
#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Close,
    Fork,
    Kill,
    LosePower,
    Replace,
    Save(u64),
    Snapshot(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u64..60).prop_map(Step::Append),
        4 => Just(Step::Sync),
        1 => Just(Step::Close),
        1 => Just(Step::Fork),
        1 => Just(Step::Kill),
        1 => Just(Step::LosePower),
        1 => Just(Step::Replace),
        1 => (1u64..9).prop_map(Step::Save),
        2 => (0u64..30).prop_map(Step::Snapshot),
    ]
}

fn run(disk: &SimulatedDisk, history: &mut History, steps: Vec<Step>) -> Result<(), Stop> {
    let mut peer = Peer::start(disk, history)?;
    for step in steps {
        let Position { ballot, sequence } = history.last().position;
        let epoch = sequence.0 / EPOCH;
        let next_term = ballot.term.0 + 1;
        match step {
            Step::Append(changes) => append_all(&mut peer, history, [changes])?,
            Step::Fork => peer.fork(history, position(next_term, epoch.saturating_sub(1)))?,
            Step::Replace => peer.replace(history, position(next_term, epoch / 2))?,
            Step::Save(term) => peer.save(history, hard(term))?,
            Step::Snapshot(changes) => {
                peer.snapshot(history, |peer, history| append_all(peer, history, [changes]))?;
            }
            Step::Sync => peer.sync(history)?,
            Step::Close => {
                peer.close(history)?;
                peer = Peer::start(disk, history)?;
            }
            Step::Kill => {
                drop(peer);
                disk.kill();
                peer = Peer::start(disk, history)?;
            }
            Step::LosePower => {
                drop(peer);
                disk.lose_power();
                peer = Peer::start(disk, history)?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_storage_is_that_of_its_model(
        seed in any::<u64>(),
        steps in vec(step(), 1..40),
    ) {
        let disk = SimulatedDisk::new(seed);
        let mut history = History::new();
        run(&disk, &mut history, steps).expect("nothing goes wrong");
        disk.lose_power();
        Peer::start(&disk, &mut history).expect("nothing is wrong");
    }
}

#[test]
fn large_batches_come_back_in_pieces_that_make_the_whole() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [60, 60]).expect("nothing goes wrong");
    drop(peer);
    disk.kill();
    let mut recovery = open(disk.directory(), options()).expect("nothing is wrong");
    let mut pieces = Vec::new();
    while let Some(batch) = recovery.next_batch().expect("nothing is wrong") {
        let bytes: usize = batch.records.iter().map(|records| records.packed().len()).sum();
        assert!(bytes <= MAX_RECORDS_BYTES);
        pieces.push((batch.from, batch.end.position));
    }
    let [blank, first, second] = [0, 1, 2].map(|version| history.versions[version].position);
    let starts: Vec<_> = pieces.iter().filter(|(from, end)| *from != Some(*end)).collect();
    assert_eq!(starts, [&(Some(blank), first), &(Some(first), second)]);
    assert!(pieces.len() > 5, "{}", pieces.len());
    assert_eq!(recovery.progress().records, 120);
}

#[test]
fn what_is_not_taken_is_read_all_the_same() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 50, 3]).expect("nothing goes wrong");
    drop(peer);
    disk.kill();
    let recovery = open(disk.directory(), options()).expect("nothing is wrong");
    let (storage, report) = recovery.finish().expect("nothing is wrong");
    assert_eq!(storage.position(), history.last().position);
    assert_eq!(report.records, 56);
}

#[test]
fn a_failed_recovery_fails_for_good() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 3]).expect("nothing goes wrong");
    peer.close(&mut history).expect("nothing goes wrong");
    disk.flip("log-0000000001", 150 * 8);
    let mut recovery = open(disk.directory(), options()).expect("it is read later");
    let first = recovery.next_batch().expect_err("a bit is wrong").to_string();
    assert_eq!(recovery.next_batch().expect_err("still").to_string(), first);
    assert_eq!(recovery.finish().expect_err("still").to_string(), first);
}

#[test]
fn a_batch_that_does_not_continue_the_log_is_refused_and_the_log_goes_on() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3]).expect("nothing goes wrong");
    let end = end_at(position(1, 9));
    let batch = Staged { from: Some(position(1, 8)), records: Vec::new(), end };
    let before = disk.operations();
    let refused = peer.storage.append(&batch);
    let is_it = matches!(refused, Err(AppendError::From { from, end })
        if from == position(1, 8) && end == position(1, 1));
    assert!(is_it, "{refused:?}");
    assert_eq!(disk.operations(), before);
    append_all(&mut peer, &mut history, [3]).expect("nothing has failed");
}

#[test]
fn a_batch_is_one_write_and_several_share_one_sync() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    let before = disk.operations();
    append_all(&mut peer, &mut history, [3, 40]).expect("nothing goes wrong");
    assert_eq!(disk.operations() - before, 2);
    peer.sync(&mut history).expect("nothing goes wrong");
    // The sync and its mark.
    assert_eq!(disk.operations() - before, 4);
    peer.sync(&mut history).expect("nothing goes wrong");
    assert_eq!(disk.operations() - before, 4, "there is nothing to sync");
}

#[test]
fn the_promise_that_is_there_already_costs_nothing() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    peer.save(&mut history, hard(2)).expect("nothing goes wrong");
    let before = disk.operations();
    peer.save(&mut history, hard(2)).expect("nothing goes wrong");
    assert_eq!(disk.operations(), before);
}

#[test]
fn a_snapshot_takes_the_place_of_the_log_before_it() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    assert!(!peer.storage.usage().is_compaction_due());
    append_all(&mut peer, &mut history, [40; 12]).expect("nothing goes wrong");
    assert!(peer.storage.usage().is_compaction_due());
    peer.snapshot(&mut history, |_, _| Ok(())).expect("nothing goes wrong");
    let usage = peer.storage.usage();
    assert!(!usage.is_compaction_due(), "{usage:?}");
    assert_eq!(usage.log_bytes, 100, "an empty segment");
    let size = |name: &str| disk.read(name).map_or(0, |content| content.len() as u64);
    assert_eq!(usage.snapshot_bytes, size("snapshot-0000000001"));
    assert_eq!(disk.names().len(), 3, "{disk:?}");
    append_all(&mut peer, &mut history, [2]).expect("nothing goes wrong");
    peer.snapshot(&mut history, |_, _| Ok(())).expect("nothing goes wrong");
    assert_eq!(disk.names().len(), 3, "{disk:?}");
    assert!(size("snapshot-0000000002") > 0);
}

#[test]
fn a_copy_that_cannot_be_exact_becomes_no_snapshot() {
    type Event = fn(&mut Peer, &mut History) -> Result<(), Stop>;
    let replaced: Event = |peer, history| peer.replace(history, position(2, 9));
    let forked: Event = |peer, history| peer.fork(history, position(2, 1));
    let removed: Event = |peer, history| {
        peer.is_copying = false;
        append_all(peer, history, [20])
    };
    for event in [replaced, forked, removed] {
        let disk = SimulatedDisk::new(1);
        let mut history = History::new();
        let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
        append_all(&mut peer, &mut history, [40, 40]).expect("nothing goes wrong");
        let taken = peer.snapshot(&mut history, event);
        assert!(matches!(taken, Err(Stop::Snapshot(SnapshotError::Void))), "{taken:?}");
        assert!(disk.names().iter().all(|name| name.starts_with("log") || name == "state"));
        peer.snapshot(&mut history, |_, _| Ok(())).expect("the next one is sound");
        peer.close(&mut history).expect("nothing goes wrong");
        Peer::start(&disk, &mut history).expect("nothing is wrong");
    }
}

#[test]
fn a_snapshot_ends_where_the_log_does() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [4]).expect("nothing goes wrong");
    let writer = peer.storage.begin_snapshot().expect("there is room");
    let elsewhere = position(1, 7);
    let sealed = peer.storage.seal(writer, end_at(elsewhere));
    assert!(
        matches!(sealed, Err(SnapshotError::Position { position, .. }) if position == elsewhere)
    );
    assert!(peer.storage.failure().is_none());
}

/// Returns true if the later one was begun later or ended later.
#[test]
fn of_two_snapshots_at_once_the_one_that_is_installed_first_stays() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [30]).expect("nothing goes wrong");
    let finish = |peer: &mut Peer, mut writer: SnapshotWriter| {
        writer.write(&peer.store.copy(&mut CopyCursor::since(Sequence(0)), usize::MAX))?;
        let Version { position, group_time, lead, meta, .. } = state_of(&peer.store);
        let end = BatchEnd { group_time, lead, meta: Some(Box::new(meta)), ..end_at(position) };
        peer.storage.seal(writer, end)?.finish()
    };
    let [first, second, third] =
        [(); 3].map(|()| peer.storage.begin_snapshot().expect("there is room"));
    let first = finish(&mut peer, first).expect("nothing goes wrong");
    let third = finish(&mut peer, third).expect("nothing goes wrong");
    peer.is_copying = true;
    append_all(&mut peer, &mut history, [30]).expect("nothing goes wrong");
    let second = finish(&mut peer, second).expect("nothing goes wrong");
    peer.storage.install(third).expect("nothing goes wrong");
    for late in [first, second] {
        let installed = peer.storage.install(late);
        assert!(matches!(installed, Err(SnapshotError::Void)), "{installed:?}");
    }
    peer.close(&mut history).expect("nothing goes wrong");
    let peer = Peer::start(&disk, &mut history).expect("nothing is wrong");
    assert_eq!(peer.report.position, history.last().position);
}

/// The end of a batch, at the beginning of time.
fn end_at(position: Position) -> BatchEnd {
    BatchEnd {
        position,
        group_time: GroupTime(0),
        lead: Lead::default(),
        expired_before: GroupTime(0),
        meta: None,
    }
}

/// How far the calendar was put forward is part of a state: what is held would lapse otherwise.
#[test]
fn the_lead_of_the_calendar_is_recovered_from_the_log_and_from_a_snapshot() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    for (sizes, lead, is_snapshot) in [(3, 45, false), (5, 90, true), (2, 91, false)] {
        let lead = Lead { nanos: lead, jumped: GroupTime(lead * 2) };
        history.lead = lead;
        append_all(&mut peer, &mut history, [sizes]).expect("nothing goes wrong");
        if is_snapshot {
            peer.snapshot(&mut history, |_, _| Ok(())).expect("nothing goes wrong");
        }
        peer.close(&mut history).expect("nothing goes wrong");
        peer = Peer::start(&disk, &mut history).expect("nothing is wrong");
        assert_eq!(peer.store.lead(), lead);
    }
}
