//! What was stored is kept beside what takes its place, and can be read again.

use super::*;

/// A disk of which a peer has replaced everything, and what it had before.
fn replaced() -> (SimulatedDisk, History, Version) {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    append_all(&mut peer, &mut history, [3, 30, 5]).expect("there is room");
    peer.snapshot(&mut history, |_, _| Ok(())).expect("there is room");
    append_all(&mut peer, &mut history, [7, 40]).expect("there is room");
    let old = history.last().clone();
    peer.replace_and_keep(&mut history, position(2, 1)).expect("there is room");
    append_all(&mut peer, &mut history, [2]).expect("there is room");
    peer.close(&mut history).expect("there is room");
    (disk, history, old)
}

#[test]
fn what_was_set_aside_is_a_directory_of_its_own_but_for_the_names() {
    let (disk, mut history, old) = replaced();
    let other = SimulatedDisk::new(2);
    for name in disk.names() {
        if let Some(plain) = name.strip_prefix("older-") {
            other.write(plain, disk.read(&name).expect("it was listed"));
        }
    }
    let mut recovery = open(other.directory(), options()).expect("it is whole");
    let found = store();
    while let Some(batch) = recovery.next_batch().expect("it is whole") {
        found.apply(batch).expect("it continues what was before");
    }
    assert_same(&state_of(&found), &old);
    // And nobody reads it by mistake.
    let peer = Peer::start(&disk, &mut history).expect("it was closed");
    assert_eq!(peer.report.position, history.last().position);
}

#[test]
fn one_set_is_kept_and_a_later_one_takes_its_place() {
    let (disk, mut history, _) = replaced();
    let aside = |disk: &SimulatedDisk| -> Vec<String> {
        disk.names().into_iter().filter(|name| name.starts_with("older-")).collect()
    };
    let first = aside(&disk);
    let mut peer = Peer::start(&disk, &mut history).expect("it was closed");
    peer.replace_and_keep(&mut history, position(3, 1)).expect("there is room");
    // Removed with its live name, its second name stays.
    peer.snapshot(&mut history, |_, _| Ok(())).expect("there is room");
    let second = aside(&disk);
    assert_ne!(first, second);
    let states = |names: &[String]| names.iter().filter(|name| *name == "older-state").count();
    assert_eq!((states(&first), states(&second)), (1, 1));
    assert!(second.iter().any(|name| name.starts_with("older-log-")), "{second:?}");
}

#[test]
fn there_is_nothing_to_set_aside_in_a_new_directory() {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    let mut peer = Peer::start(&disk, &mut history).expect("a new directory");
    assert_eq!(peer.storage.set_aside().expect("there is room"), None);
    assert_eq!(disk.names().iter().filter(|name| name.starts_with("older-")).count(), 0);
}
