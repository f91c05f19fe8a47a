//! Who may open a directory, and what it says to the others.

use bytes::BufMut;
use crc32c::crc32c;

use super::*;

/// A directory that was used and closed.
fn used() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 40, 3]).expect("nothing goes wrong");
    peer.close(&mut history).expect("nothing goes wrong");
    disk
}

fn refusal(disk: &SimulatedDisk, options: Options) -> OpenError {
    open(disk.directory(), options).expect_err("this must not be opened")
}

#[test]
fn a_new_directory_is_blank_and_keeps_its_id() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let peer = Peer::start(&disk, &mut history).expect("a new directory");
    assert!(peer.report.is_new);
    assert!(peer.report.position.is_blank());
    assert_eq!(peer.storage.state().starts, 1);
    drop(peer);
    disk.kill();
    let other_id = Options { new_storage_id: StorageId(9), ..options() };
    let peer = Peer::start_with(&disk, &mut history, other_id).expect("it is the same peer");
    assert!(!peer.report.is_new);
    assert_eq!(peer.storage.state().storage_id, STORAGE_ID);
    assert_eq!(peer.storage.state().starts, 2);
}

#[test]
fn a_second_opener_is_refused_by_the_name_of_the_directory() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    let error = refusal(&disk, options());
    assert!(matches!(error, OpenError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        "/simulated is in use by another process: every peer needs a directory of its own"
    );
    // What is written for it keeps the directory as well.
    let writer = peer.storage.begin_snapshot().expect("there is room");
    drop(peer);
    assert!(matches!(refusal(&disk, options()), OpenError::InUse { .. }));
    drop(writer);
    assert!(open(disk.directory(), options()).is_ok());
}

#[test]
fn files_of_a_newer_version_are_refused_in_a_sentence() {
    for (name, newest) in [("state", 2), ("log-0000000001", 1)] {
        let disk = used();
        let mut content = disk.read(name).expect("it is there");
        let mut preamble = content[..8].to_vec();
        preamble.put_u32_le(newest + 1);
        preamble.put_u32_le(crc32c(&preamble));
        content[..16].copy_from_slice(&preamble);
        disk.write(name, content);
        let before: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
        let error = refusal(&disk, options());
        assert_eq!(
            error.to_string(),
            format!(
                "/simulated/{name} has format version {}, this library reads {newest} and older: \
                 run the newer version of it, or give the peer an empty directory",
                newest + 1
            )
        );
        let after: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
        assert_eq!(before, after, "nothing was touched");
    }
}

#[test]
fn a_directory_serves_one_group_and_one_peer() {
    let disk = used();
    let other = Options { group: "other".into(), ..options() };
    assert_eq!(
        refusal(&disk, other).to_string(),
        "/simulated belongs to the group default, this peer is of other: \
         give it a directory of its own"
    );
    let other = Options { peer: "b".into(), ..options() };
    assert_eq!(
        refusal(&disk, other).to_string(),
        "/simulated belongs to the peer a, this is b: give it a directory of its own"
    );
}

#[test]
fn a_file_of_another_directory_is_refused() {
    let disk = used();
    let other = SimulatedDisk::new(2);
    let options_of_other = Options { new_storage_id: StorageId(9), ..options() };
    let recovery = open(other.directory(), options_of_other).expect("a new directory");
    drop(recovery.finish().expect("a new directory"));
    let name = "log-0000000001";
    disk.write(name, other.read(name).expect("it is there"));
    let error = refusal(&disk, options());
    let is_it = matches!(
        &error,
        OpenError::Corrupt { fault: super::super::Fault::Storage { .. }, offset: 16, .. }
    );
    assert!(is_it, "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 40]).expect("nothing goes wrong");
    peer.snapshot(&mut history, |peer, history| append_all(peer, history, [40]))
        .expect("nothing goes wrong");
    peer.close(&mut history).expect("nothing goes wrong");
    let names = disk.names();
    assert!(names.len() >= 4, "{names:?}");
    for name in &names {
        let disk = disk.copy(1);
        disk.remove(name);
        let missing = match refusal(&disk, options()) {
            OpenError::Missing { path, .. } => path,
            error => panic!("{name}: {error}"),
        };
        // Without the snapshot, it is the log before it that is missed.
        let is_snapshot = name.starts_with("snapshot");
        assert!(missing.ends_with(name) || is_snapshot, "{name}: {}", missing.display());
    }
}

#[test]
fn the_first_use_may_end_anywhere() {
    for operation in 1..=12 {
        let disk = SimulatedDisk::new(operation);
        let mut history = History::new();
        disk.at_operation(operation, super::super::simulated::Mishap::Crash);
        drop(Peer::start(&disk, &mut history));
        disk.lose_power();
        let peer = Peer::start(&disk, &mut history).expect("there was nothing to lose");
        assert!(peer.report.position.is_blank());
        let state = peer.storage.state();
        assert!(state.starts <= 2);
    }
}

#[test]
fn a_peer_that_acknowledged_before_it_synced_is_told_after_a_crash() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let unsynced = || Options { acknowledges_unsynced: true, ..options() };
    let peer = Peer::start_with(&disk, &mut history, unsynced()).expect("a new directory");
    assert!(!peer.report.may_lack_acknowledged);
    drop(peer);
    disk.lose_power();
    // What counts is how it was used before, not how it is now.
    let peer = Peer::start(&disk, &mut history).expect("nothing is wrong");
    assert!(peer.report.may_lack_acknowledged);
    drop(peer);
    disk.lose_power();
    let peer = Peer::start_with(&disk, &mut history, unsynced()).expect("nothing is wrong");
    assert!(!peer.report.may_lack_acknowledged);
    peer.close(&mut history).expect("nothing goes wrong");
    let peer = Peer::start(&disk, &mut history).expect("nothing is wrong");
    assert!(!peer.report.may_lack_acknowledged, "it was closed");
}

#[test]
fn what_is_left_unfinished_is_removed_and_other_files_are_not_touched() {
    let disk = used();
    disk.write("snapshot-0000000007.tmp", vec![1; 50]);
    disk.write("state.tmp", vec![2; 50]);
    disk.write("notes.txt", vec![3; 50]);
    disk.write("log-1", vec![4; 50]);
    let recovery = open(disk.directory(), options()).expect("nothing is wrong");
    drop(recovery.finish().expect("nothing is wrong"));
    assert_eq!(disk.names(), ["log-0000000001", "log-0000000002", "log-1", "notes.txt", "state"]);
}
