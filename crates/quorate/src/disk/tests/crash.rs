//! A script with everything in it, ended at every operation in every way.

use super::super::simulated::Mishap;
use super::*;

/// Ways in which a crash at one operation may go.
const DRAWS: u64 = 4;

/// What a peer may live through: several starts, votes, large batches, batches of another
/// history, and two snapshots while the log goes on.
fn script(disk: &SimulatedDisk, history: &mut History) -> Result<(), Stop> {
    let mut peer = Peer::start(disk, history)?;
    peer.save(history, hard(1))?;
    append_all(&mut peer, history, [3, 0, 5])?;
    peer.sync(history)?;
    append_all(&mut peer, history, [50, 2])?;
    peer.sync(history)?;
    peer.save(history, hard(2))?;
    append_all(&mut peer, history, [1, 40, 4])?;
    peer.snapshot(history, |peer, history| append_all(peer, history, [6, 30]))?;
    append_all(&mut peer, history, [2])?;
    peer.close(history)?;

    let mut peer = Peer::start(disk, history)?;
    let end = history.last().position.sequence.0 / EPOCH;
    append_all(&mut peer, history, [1])?;
    peer.replace_and_keep(history, position(2, end - 1))?;
    peer.sync(history)?;
    peer.save(history, hard(3))?;
    append_all(&mut peer, history, [2, 2, 2])?;
    peer.fork(history, position(3, end))?;
    append_all(&mut peer, history, [45])?;
    drop(peer);
    disk.kill();

    let mut peer = Peer::start(disk, history)?;
    append_all(&mut peer, history, [4])?;
    peer.snapshot(history, |_, _| Ok(()))?;
    append_all(&mut peer, history, [3])?;
    peer.sync(history)?;
    append_all(&mut peer, history, [20, 20])
}

/// What comes after a crash must find a storage that is as good as any.
fn epilogue(disk: &SimulatedDisk, history: &mut History) -> Result<(), Stop> {
    let mut peer = Peer::start(disk, history)?;
    append_all(&mut peer, history, [2, 40])?;
    peer.sync(history)?;
    peer.save(history, hard(9))?;
    peer.snapshot(history, |peer, history| append_all(peer, history, [3]))?;
    drop(peer);
    disk.lose_power();
    let peer = Peer::start(disk, history)?;
    peer.close(history)?;
    let peer = Peer::start(disk, history)?;
    assert_eq!(peer.report.torn_tail, None);
    Ok(())
}

#[test]
fn the_script_runs_without_mishaps() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    script(&disk, &mut history).expect("nothing goes wrong");
    disk.kill();
    let peer = Peer::start(&disk, &mut history).expect("nothing was lost");
    assert_eq!(peer.report.position, history.last().position);
    assert!(history.versions.len() > 25, "the script has become short");
    drop(peer);
    epilogue(&disk, &mut history).expect("nothing goes wrong");
}

#[test]
fn whatever_a_crash_leaves_is_a_state_that_was_not_before_the_last_sync() {
    let operations = count_operations();
    let mut torn = 0;
    for operation in 1..=operations {
        for draw in 0..DRAWS {
            let disk = SimulatedDisk::new(draw);
            let mut history = History::new();
            disk.at_operation(operation, Mishap::Crash);
            script(&disk, &mut history).expect_err("the power fails");
            disk.lose_power();
            let peer = Peer::start(&disk, &mut history)
                .unwrap_or_else(|error| panic!("crash at {operation}, draw {draw}: {error:?}"));
            torn += u64::from(peer.report.torn_tail.is_some());
            drop(peer);
            if draw == operation % DRAWS {
                epilogue(&disk, &mut history)
                    .unwrap_or_else(|error| panic!("after {operation}, draw {draw}: {error:?}"));
            }
        }
    }
    assert!(torn > operations / 2, "only {torn} tails were torn");
}

/// The process ends at an operation, the system lives on.
#[test]
fn a_killed_process_loses_nothing_that_it_wrote() {
    for operation in 1..=count_operations() {
        let disk = SimulatedDisk::new(operation);
        let mut history = History::new();
        disk.at_operation(operation, Mishap::Crash);
        script(&disk, &mut history).expect_err("the process ends");
        let written = history.versions.len().saturating_sub(2);
        disk.kill();
        let peer = Peer::start(&disk, &mut history)
            .unwrap_or_else(|error| panic!("killed at {operation}: {error:?}"));
        assert!(history.versions.len() > written, "killed at {operation}");
        drop(peer);
        epilogue(&disk, &mut history).expect("the disk is sound");
    }
}

/// The second crash comes while the first is being recovered from.
#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let operations = count_operations();
    for first in (1..=operations).step_by(3) {
        let disk = SimulatedDisk::new(first);
        let mut history = History::new();
        disk.at_operation(first, Mishap::Crash);
        script(&disk, &mut history).expect_err("the power fails");
        disk.lose_power();
        let mut second = 1;
        loop {
            let disk = disk.copy(second);
            let mut history = history.clone();
            disk.at_operation(disk.operations() + second, Mishap::Crash);
            let is_over = Peer::start(&disk, &mut history).is_ok();
            disk.lose_power();
            Peer::start(&disk, &mut history)
                .unwrap_or_else(|error| panic!("crash at {first}, then {second}: {error:?}"));
            if is_over {
                break;
            }
            second += 1;
        }
        assert!(second > 1, "a recovery writes");
    }
}

/// After a failed sync what was written can still be read, and is on the disk in part.
#[test]
fn nothing_counts_as_synced_after_a_failure_and_all_that_is_recovered_lasts() {
    for operation in 1..=count_operations() {
        for draw in 0..DRAWS {
            let disk = SimulatedDisk::new(draw);
            let mut history = History::new();
            disk.at_operation(operation, Mishap::Fail);
            script(&disk, &mut history).expect_err("an operation fails");
            disk.kill();
            let peer = Peer::start(&disk, &mut history)
                .unwrap_or_else(|error| panic!("failed at {operation}, draw {draw}: {error:?}"));
            let recovered = peer.report.position;
            drop(peer);
            // What was recovered is what the peer will say that it holds.
            disk.lose_power();
            let peer = Peer::start(&disk, &mut history)
                .unwrap_or_else(|error| panic!("power lost after {operation}: {error:?}"));
            assert_eq!(peer.report.position, recovered, "failed at {operation}, draw {draw}");
            drop(peer);
            if draw == operation % DRAWS {
                epilogue(&disk, &mut history).expect("the disk is sound");
            }
        }
    }
}

#[test]
fn the_first_failure_is_what_every_later_call_returns() {
    for operation in 1..=count_operations() {
        let disk = SimulatedDisk::new(1);
        let mut history = History::new();
        let Ok(mut peer) = Peer::start(&disk, &mut history) else { unreachable!() };
        append_all(&mut peer, &mut history, [3, 3]).expect("nothing goes wrong yet");
        let mut writer = peer.storage.begin_snapshot().expect("nothing goes wrong yet");
        disk.at_operation(disk.operations() + operation, Mishap::Fail);
        let Err(Stop::Storage(first)) = go_on(&mut peer, &mut history) else {
            assert!(operation > 10, "operation {operation} fails");
            return;
        };
        let before = disk.operations();
        let same = |found: StorageError| assert_eq!(found.to_string(), first.to_string());
        same(peer.storage.failure().expect("it has failed").clone());
        same(peer.storage.sync().expect_err("it has failed"));
        same(peer.storage.save(hard(7)).expect_err("it has failed"));
        match append_all(&mut peer, &mut history, [1]) {
            Err(Stop::Storage(error)) => same(error),
            other => panic!("{other:?}"),
        }
        match writer.write(&Records::default()) {
            Err(SnapshotError::Storage(error)) => same(error),
            other => panic!("{other:?}"),
        }
        match peer.storage.begin_snapshot() {
            Err(SnapshotError::Storage(error)) => same(error),
            other => panic!("{other:?}"),
        }
        same(peer.storage.close().expect_err("it has failed"));
        assert_eq!(disk.operations(), before, "nothing more is written");
    }
}

fn go_on(peer: &mut Peer, history: &mut History) -> Result<(), Stop> {
    append_all(peer, history, [60])?;
    peer.sync(history)?;
    peer.save(history, hard(4))?;
    append_all(peer, history, [60])?;
    peer.snapshot(history, |_, _| Ok(()))
}

/// Every size of disk, from none to enough.
#[test]
fn a_full_disk_stops_the_storage_and_keeps_what_was_synced() {
    let enough = {
        let disk = SimulatedDisk::new(1);
        let mut history = History::new();
        script(&disk, &mut history).expect("there is room");
        2 * size_of_all(&disk)
    };
    let mut failures = 0;
    for capacity in (0..enough).step_by(97) {
        let disk = SimulatedDisk::new(capacity);
        let mut history = History::new();
        disk.set_capacity(capacity);
        match script(&disk, &mut history) {
            Ok(()) => {}
            Err(Stop::Storage(StorageError::Full(_)) | Stop::Snapshot(SnapshotError::Full(_))) => {
                failures += 1;
            }
            Err(Stop::Open(OpenError::Io(error))) => assert!(error.is_full(), "{error}"),
            Err(error) => panic!("{error:?}"),
        }
        disk.set_capacity(u64::MAX);
        disk.lose_power();
        epilogue(&disk, &mut history).expect("there is room again");
    }
    assert!(failures > 20);
}

/// Once a recovery copied the whole last segment, and a disk that its log had filled was of no use
/// until it was twice as large.
#[test]
fn a_disk_that_was_full_is_opened_when_there_is_a_little_room() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let wide = || Options { segment_bytes: u64::MAX, ..options() };
    let mut peer = Peer::start_with(&disk, &mut history, wide()).expect("a new directory");
    append_all(&mut peer, &mut history, [60; 20]).expect("there is room");
    peer.sync(&mut history).expect("nothing has failed");
    disk.set_capacity(size_of_all(&disk) + 100);
    let full = append_all(&mut peer, &mut history, [60]);
    assert!(matches!(full, Err(Stop::Storage(StorageError::Full(_)))), "{full:?}");
    drop(peer);
    disk.kill();
    disk.set_capacity(size_of_all(&disk) + 500);
    let mut peer = Peer::start_with(&disk, &mut history, wide()).expect("there is a little room");
    assert_eq!(peer.report.torn_tail.as_ref().map(|tail| tail.bytes), Some(100));
    disk.set_capacity(u64::MAX);
    append_all(&mut peer, &mut history, [60]).expect("there is room");
    peer.close(&mut history).expect("nothing has failed");
    Peer::start_with(&disk, &mut history, wide()).expect("nothing is wrong");
}

#[test]
fn a_snapshot_that_finds_no_room_costs_the_log_nothing() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [40, 40]).expect("there is room");
    disk.set_capacity(size_of_all(&disk) + 400);
    let taken = peer.snapshot(&mut history, |_, _| Ok(()));
    assert!(matches!(taken, Err(Stop::Snapshot(SnapshotError::Full(_)))), "{taken:?}");
    assert!(peer.storage.failure().is_none());
    assert!(disk.names().iter().all(|name| !name.ends_with(".tmp")), "{disk:?}");
    append_all(&mut peer, &mut history, [1]).expect("there is room for this");
    peer.sync(&mut history).expect("nothing has failed");
}

fn size_of_all(disk: &SimulatedDisk) -> u64 {
    let size = |name: &String| disk.read(name).map_or(0, |content| content.len() as u64);
    disk.names().iter().map(size).sum()
}

fn count_operations() -> u64 {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    script(&disk, &mut history).expect("nothing goes wrong");
    disk.operations()
}
