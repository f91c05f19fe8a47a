//! A directory that makes way for a peer which starts blank, ended at every operation.

use super::super::simulated::Mishap;
use super::*;

const NEW_ID: StorageId = StorageId(0xb1a2);

fn blank() -> Options {
    Options { new_storage_id: NEW_ID, set_aside: true, ..options() }
}

/// What a directory is, by its state.
fn id_of(disk: &SimulatedDisk) -> Option<StorageId> {
    disk.read("state").map(|bytes| State::decode(&bytes).expect("a whole state").storage_id)
}

fn with_prefix(disk: &SimulatedDisk, prefix: &str) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with(prefix)).collect()
}

/// A directory of a peer that has lived: a snapshot, and a log behind it.
fn lived_in(seed: u64) -> (SimulatedDisk, History) {
    let disk = SimulatedDisk::new(seed);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 30, 5]).expect("there is room");
    peer.snapshot(&mut history, |_, _| Ok(())).expect("there is room");
    append_all(&mut peer, &mut history, [7, 40, 40]).expect("there is room");
    peer.save(&mut history, hard(3)).expect("there is room");
    peer.sync(&mut history).expect("there is room");
    drop(peer);
    disk.kill();
    (disk, history)
}

fn read_all(disk: &SimulatedDisk) -> Result<Recovered, OpenError> {
    Ok(open(disk.directory(), options())?.finish()?.1)
}

fn start_blank(disk: &SimulatedDisk) -> Result<(Storage, Recovered), OpenError> {
    open(disk.directory(), blank())?.finish()
}

/// What was set aside, its names taken back, in a directory of its own.
fn restored(disk: &SimulatedDisk) -> SimulatedDisk {
    let other = SimulatedDisk::new(9);
    for name in with_prefix(disk, "removed-") {
        let plain = name.strip_prefix("removed-").expect("it begins so");
        other.write(plain, disk.read(&name).expect("it was listed"));
    }
    other
}

fn assert_holds(disk: &SimulatedDisk, history: &History) {
    let mut history = history.clone();
    let peer = Peer::start(disk, &mut history).expect("it is whole");
    assert_eq!(peer.report.position, history.last().position, "nothing of it is missing");
}

#[test]
fn a_peer_that_starts_blank_has_another_id_and_its_files_stand_beside_it() {
    let (disk, history) = lived_in(1);
    let (storage, report) = start_blank(&disk).expect("there is room");
    assert!(report.is_new && report.position.is_blank() && !report.may_lack_acknowledged);
    assert_eq!(report.set_aside, Some("/simulated/removed-state".into()));
    let State { storage_id, starts, ref hard, .. } = *storage.state();
    assert_eq!((storage_id, starts, hard), (NEW_ID, 1, &HardState::default()));
    storage.close().expect("there is room");
    assert_holds(&restored(&disk), &history);
    // The next start is an ordinary one, and reads none of them.
    let (storage, report) = open(disk.directory(), options()).expect("ours").finish().expect("it");
    assert_eq!((storage.state().storage_id, report.set_aside), (NEW_ID, None));
    assert!(report.position.is_blank());
}

#[test]
fn a_crash_leaves_the_directory_as_it_was_or_blank() {
    let operations = {
        let (disk, _) = lived_in(1);
        let before = disk.operations();
        start_blank(&disk).expect("nothing goes wrong");
        disk.operations() - before
    };
    let mut outcomes = [0, 0];
    for mishap in [Mishap::Crash, Mishap::Fail] {
        for (operation, draw) in (1..=operations).flat_map(|at| (0..4).map(move |d| (at, d))) {
            let (disk, history) = lived_in(draw);
            disk.at_operation(disk.operations() + operation, mishap);
            start_blank(&disk).expect_err("something goes wrong");
            disk.lose_power();
            let case = format!("{mishap:?} at {operation}, draw {draw}: {:?}", disk.names());
            // Whoever does not ask for it again.
            let is_as_before = disk.read("state").is_some() && id_of(&disk) == Some(STORAGE_ID);
            if is_as_before {
                assert_holds(&disk, &history);
            } else {
                let opened = open(disk.directory(), Options { set_aside: false, ..blank() });
                let opened = opened.unwrap_or_else(|error| panic!("{case}: {error}"));
                let (storage, report) = opened.finish().expect("there is room");
                assert!(report.position.is_blank(), "{case}");
                assert_eq!(storage.state().storage_id, NEW_ID, "{case}");
                drop(storage);
                assert_holds(&restored(&disk), &history);
            }
            outcomes[usize::from(is_as_before)] += 1;
            disk.kill();
            // Whoever does.
            start_blank(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_holds(&restored(&disk), &history);
        }
    }
    assert!(outcomes.iter().all(|count| *count > 8), "{outcomes:?}");
}

#[test]
fn one_set_is_kept_and_none_with_cells_makes_room_for_one_without() {
    let (disk, history) = lived_in(1);
    start_blank(&disk).expect("there is room");
    let first = with_prefix(&disk, "removed-");
    // Blank and without a promise, and then with one: neither is worth the cells.
    for promise in [None, Some(hard(5))] {
        let opened = open(disk.directory(), options()).expect("ours");
        let (mut storage, _) = opened.finish().expect("there is room");
        if let Some(hard) = promise {
            storage.save(hard).expect("there is room");
        }
        drop(storage);
        let other = Options { new_storage_id: StorageId(0xb1a3), ..blank() };
        let (storage, report) = open(disk.directory(), other).expect("ours").finish().expect("it");
        assert_eq!((storage.state().storage_id, report.set_aside), (StorageId(0xb1a3), None));
        assert_eq!(with_prefix(&disk, "removed-"), first);
        assert_holds(&restored(&disk), &history);
    }
    // Cells are.
    let mut history = History::new();
    let other = Options { new_storage_id: STORAGE_ID, ..blank() };
    let mut peer = Peer::start_with(&disk, &mut history, other).expect("there is room");
    append_all(&mut peer, &mut history, [2]).expect("there is room");
    peer.close(&mut history).expect("there is room");
    start_blank(&disk).expect("there is room");
    assert_eq!(with_prefix(&disk, "removed-"), ["removed-log-0000000001", "removed-state"]);
    assert_holds(&restored(&disk), &history);
}

#[test]
fn the_state_of_a_peer_in_memory_is_set_aside_and_of_a_new_directory_nothing() {
    let disk = SimulatedDisk::new(1);
    let (mut storage, report) = start_blank(&disk).expect("a new directory");
    assert_eq!((report.set_aside, with_prefix(&disk, "removed-")), (None, Vec::new()));
    storage.save(hard(3)).expect("there is room");
    drop(storage);
    let (storage, report) = start_blank(&disk).expect("there is room");
    assert_eq!(storage.state().hard, HardState::default());
    assert_eq!(report.set_aside, Some("/simulated/removed-state".into()));
    let aside = disk.read("removed-state").expect("it was set aside");
    assert_eq!(State::decode(&aside).expect("it is whole").hard, hard(3));
}

#[test]
fn what_is_damaged_is_set_aside_and_what_is_anothers_is_not() {
    let (disk, _) = lived_in(1);
    let log = with_prefix(&disk, "log-").pop().expect("there is a log");
    disk.flip(&log, 8 * 120);
    assert!(matches!(read_all(&disk), Err(OpenError::Corrupt { .. })), "{:?}", read_all(&disk));
    start_blank(&disk).expect("it is not read");
    let (disk, _) = lived_in(2);
    let before = disk.names();
    let error = open(disk.directory(), Options { peer: "b".into(), ..blank() }).expect_err("a's");
    assert!(matches!(error, OpenError::OtherPeer { .. }), "{error}");
    assert_eq!(disk.names(), before);
    // A state that was lost, with files of another storage set aside before.
    start_blank(&disk).expect("there is room");
    let mut history = History::new();
    let plain = Options { set_aside: false, ..blank() };
    let opened = open(disk.directory(), plain.clone()).expect("ours");
    let (storage, report) = opened.finish().expect("there is room");
    let mut peer = Peer { storage, store: store(), report, is_copying: false };
    append_all(&mut peer, &mut history, [2]).expect("there is room");
    peer.close(&mut history).expect("there is room");
    disk.remove("state");
    let error = open(disk.directory(), plain).expect_err("its promises are lost");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}
