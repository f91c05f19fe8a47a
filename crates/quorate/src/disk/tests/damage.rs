//! Bytes that are not what was written: found, named, and never taken for a state.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A directory with a snapshot, two segments behind it, and a state; the last batch not synced if
/// `unsynced`.
fn image(unsynced: bool) -> (SimulatedDisk, History) {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    fill(&disk, &mut history, unsynced).expect("nothing goes wrong");
    assert_eq!(disk.names(), ["log-0000000002", "log-0000000003", "snapshot-0000000001", "state"]);
    (disk, history)
}

fn fill(disk: &SimulatedDisk, history: &mut History, unsynced: bool) -> Result<(), Stop> {
    let mut peer = Peer::start(disk, history)?;
    peer.save(history, hard(2))?;
    append_all(&mut peer, history, [3, 12])?;
    peer.snapshot(history, |_, _| Ok(()))?;
    append_all(&mut peer, history, [4])?;
    peer.sync(history)?;
    append_all(&mut peer, history, [40, 3])?;
    peer.sync(history)?;
    if unsynced {
        append_all(&mut peer, history, [2])?;
        disk.kill();
        return Ok(());
    }
    peer.close(history)
}

fn recover(disk: &SimulatedDisk, history: &History) -> Result<Recovered, OpenError> {
    let mut history = history.clone();
    // What was synced may be missing now, but then it is said.
    history.synced = 0;
    match Peer::start(disk, &mut history) {
        Ok(peer) => Ok(peer.report),
        Err(Stop::Open(error)) => Err(error),
        Err(error) => panic!("{error:?}"),
    }
}

/// Returns true if an error says which file it is, and where.
fn is_named(error: &OpenError, name: &str) -> bool {
    match error {
        OpenError::Corrupt { path, .. } => path.ends_with(name),
        _ => false,
    }
}

#[test]
fn a_flipped_bit_in_a_closed_directory_is_refused_by_file_and_offset() {
    let (disk, history) = image(false);
    for name in disk.names() {
        let bytes = disk.read(&name).expect("it is listed").len();
        for byte in 0..bytes {
            let flipped = disk.copy(1);
            flipped.flip(&name, byte * 8 + byte % 8);
            let error = recover(&flipped, &history).expect_err("a bit is wrong");
            assert!(is_named(&error, &name), "{name} byte {byte}: {error}");
        }
    }
}

#[test]
fn a_flipped_bit_in_what_was_synced_is_refused_after_a_crash_too() {
    let (disk, history) = image(true);
    for name in disk.names() {
        let bytes = disk.read(&name).expect("it is listed").len();
        for byte in 0..bytes {
            let flipped = disk.copy(1);
            flipped.flip(&name, byte * 8 + byte % 8);
            match recover(&flipped, &history) {
                Err(error) => assert!(is_named(&error, &name), "{name} byte {byte}: {error}"),
                Ok(report) => {
                    // The last mark, and what came after it, was never known to be synced.
                    let tail = report.torn_tail.expect("it is cut off");
                    assert!(tail.path.ends_with("log-0000000003") && name == "log-0000000003");
                    assert!(tail.offset <= byte as u64);
                    assert_eq!(tail.offset + tail.bytes, bytes as u64);
                    assert!(report.position >= history.versions[history.synced].position);
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_is_refused_once_the_directory_was_closed() {
    let (disk, history) = image(false);
    for name in disk.names() {
        let content = disk.read(&name).expect("it is listed");
        for length in 0..content.len() {
            let cut = disk.copy(1);
            cut.write(&name, content[..length].to_vec());
            let error = recover(&cut, &history).expect_err("bytes are missing");
            assert!(is_named(&error, &name), "{name} cut at {length}: {error}");
        }
    }
}

/// Without a crash of the disk nothing is cut off, so this is what an unclean end looks like.
#[test]
fn the_end_of_the_last_segment_may_be_torn_at_any_byte() {
    let (disk, history) = image(true);
    let name = "log-0000000003";
    let content = disk.read(name).expect("it is there");
    let mut positions = Vec::new();
    for length in 100..=content.len() {
        let cut = disk.copy(1);
        cut.write(name, content[..length].to_vec());
        let report = recover(&cut, &history).expect("a torn tail is cut off");
        assert!(report.torn_tail.is_none_or(|tail| tail.offset + tail.bytes == length as u64));
        positions.push(report.position);
        // And the next time there is nothing to cut.
        cut.kill();
        let again = recover(&cut, &history).expect("the tail has been cut off");
        assert_eq!(again.position, report.position);
        assert_eq!(again.torn_tail, None);
    }
    assert!(positions.is_sorted());
    positions.dedup();
    assert_eq!(positions.len(), 3, "no batch, and one or the other of two");
}

#[test]
fn bytes_behind_the_end_of_a_closed_log_are_refused() {
    let (disk, history) = image(false);
    // How much of the older segment counts is said by the newer one.
    for name in disk.names().into_iter().filter(|name| name != "log-0000000002") {
        let longer = disk.copy(1);
        let mut content = longer.read(&name).expect("it is listed");
        content.push(0);
        longer.write(&name, content);
        let error = recover(&longer, &history).expect_err("there are more bytes than were written");
        assert!(is_named(&error, &name), "{name}: {error}");
    }
}

#[test]
fn files_in_each_other_s_place_are_refused() {
    let (disk, history) = image(false);
    for one in disk.names() {
        for other in disk.names().into_iter().filter(|other| *other != one) {
            let mixed = disk.copy(1);
            mixed.write(&one, disk.read(&other).expect("it is listed"));
            let error = recover(&mixed, &history).expect_err("it is another file");
            assert!(is_named(&error, &one), "{other} as {one}: {error}");
        }
    }
}

/// A batch is moved to where another one was: each is valid in itself.
#[test]
fn an_entry_of_another_place_is_refused() {
    let (disk, history) = image(false);
    let name = "log-0000000003";
    let mut content = disk.read(name).expect("it is there");
    let first = content[100..].to_vec();
    content.extend_from_slice(&first);
    disk.write(name, content);
    let error = recover(&disk, &history).expect_err("it stands in the wrong place");
    assert!(is_named(&error, name), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is done to the files, the outcome is an error or a state that the peer had.
    #[test]
    fn no_bytes_panic_and_none_make_a_state_that_never_was(
        unsynced in any::<bool>(),
        changes in vec((0usize..4, any::<u16>(), vec(any::<u8>(), 0..40), any::<bool>()), 1..5),
    ) {
        let (disk, history) = image(unsynced);
        let names = disk.names();
        for (file, at, bytes, is_cut) in changes {
            let mut content = disk.read(&names[file]).expect("it is listed");
            let at = usize::from(at) % (content.len() + 1);
            let end = (at + bytes.len()).min(content.len());
            content.splice(at..end, bytes);
            if is_cut {
                content.truncate(end);
            }
            disk.write(&names[file], content);
        }
        if let Ok(report) = recover(&disk, &history) {
            prop_assert!(history.versions.iter().any(|v| v.position == report.position));
        }
    }

    #[test]
    fn files_of_any_bytes_are_refused_or_blank(
        name in prop::sample::select(vec!["state", "log-0000000001", "snapshot-0000000001"]),
        bytes in vec(any::<u8>(), 0..400),
    ) {
        let disk = SimulatedDisk::new(1);
        disk.write(name, bytes);
        prop_assert!(recover(&disk, &History::new()).is_err() || name == "log-0000000001");
    }
}
