//! A directory as version 1 writes it, kept for all versions to come.
//!
//! To write it anew, which only an unpublished format allows: `QUORATE_WRITE_GOLDEN=1 cargo test`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::*;

/// Everything that the format has: a state with a vote, a snapshot, a batch in two pieces, an
/// absent cell, a batch that replaces everything, marks, two segments.
fn write() -> (SimulatedDisk, History) {
    let disk = SimulatedDisk::new(1);
    let mut history = History::new();
    fill(&disk, &mut history).expect("nothing goes wrong");
    (disk, history)
}

fn fill(disk: &SimulatedDisk, history: &mut History) -> Result<(), Stop> {
    let mut peer = Peer::start(disk, history)?;
    append_all(&mut peer, history, [3, 5])?;
    peer.snapshot(history, |peer, history| append_all(peer, history, [2]))?;
    peer.save(history, hard(2))?;
    append_all(&mut peer, history, [4, 30])?;
    peer.sync(history)?;
    append_all(&mut peer, history, [0])?;
    let end = history.last().position.sequence.0 / EPOCH;
    peer.replace(history, position(2, end + 1))?;
    peer.close(history)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/disk-v1")
}

#[test]
fn the_directory_of_version_1_is_read() {
    let (_, mut history) = write();
    let disk = SimulatedDisk::new(1);
    for entry in fs::read_dir(folder()).expect("the directory is committed") {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().into_string().expect("names are text");
        disk.write(&name, fs::read(entry.path()).expect("a readable file"));
    }
    assert!(disk.names().len() >= 4, "{disk:?}");
    history.starts = 0;
    let peer = Peer::start(&disk, &mut history).expect("every version reads version 1");
    let State { starts, storage_id, hard, group, peer: name, .. } = peer.storage.state();
    assert_eq!((*starts, *storage_id), (2, STORAGE_ID));
    assert_eq!((group.as_str(), name.as_str()), ("default", "a"));
    assert_eq!(*hard, self::hard(2));
    assert_eq!(peer.report.position, position(2, 9));
    assert_eq!(peer.report.torn_tail, None);
}

#[test]
fn the_directory_of_version_1_is_what_is_written_today() {
    let (disk, _) = write();
    let is_to_be_written = env::var_os("QUORATE_WRITE_GOLDEN").is_some();
    for name in disk.names() {
        let path = folder().join(&name);
        let content = disk.read(&name).expect("it is listed");
        if is_to_be_written {
            fs::create_dir_all(folder()).expect("the directory can be made");
            fs::write(&path, &content).expect("the directory can be written");
        }
        let committed = fs::read(&path).expect("every file is committed");
        assert!(committed == content, "{name} is written another way");
    }
    let committed = fs::read_dir(folder()).expect("the directory is committed").count();
    assert_eq!(committed, disk.names().len());
}
