//! The body of the fuzz target `directories`, which a test also runs on the committed corpus.
//!
//! It takes any bytes and panics only if a promise of this module is broken. The bytes are files,
//! one after the other: a byte that says which file, two with a length (little endian), and the
//! content. For a file of which the first byte has its highest bit set, the content is what stands
//! between checksums, magic numbers and offsets, which are filled in: no fuzzer guesses those.

use bytes::{Buf, BufMut, BytesMut};
use crc32c::crc32c;

use super::header::{HEADER_BYTES, Kind, PREAMBLE_BYTES, SALT_END, put_preamble};
use super::name::{self, STATE};
use super::simulated::SimulatedDisk;
use super::{OpenError, Options, Storage, entry, open};
use crate::base::id::{Ballot, Generation, GroupTime, Lead, Position, Sequence, Term};
use crate::config::Bounds;
use crate::disk::id::{Salt, StorageId};
use crate::protocol::io::HardState;
use crate::state::BatchEnd;
use crate::store::{EPOCH, Staged, Store};

/// Set in the first byte of a file that is to be made whole.
const MENDED: u8 = 0x80;
/// Bytes of a segment's or snapshot's header between its preamble and its checksum.
const FIELDS_BYTES: usize = HEADER_BYTES - PREAMBLE_BYTES - size_of::<u32>();
/// A directory has no more files than that: a fuzzer that finds many finds nothing else.
const MAX_FILES: usize = 8;

/// A directory of any files is recovered or refused. One that is refused stays as it was; one that
/// is recovered can be written, and is then read as it was written.
pub fn directories(data: &[u8]) {
    let disk = disk_of(data);
    let before = content_of(&disk);
    let Ok(storage) = recover(&disk) else {
        assert_eq!(content_of(&disk), before, "a directory that is refused stays as it was");
        return;
    };
    let position = write(storage);
    disk.lose_power();
    let storage = recover(&disk).expect("what has been written can be read");
    assert_eq!(storage.position(), position, "what was synced is there");
}

pub(super) fn disk_of(mut data: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    for _ in 0..MAX_FILES {
        let Some((name, content)) = take_file(&mut data) else { break };
        disk.write(&name, content);
    }
    disk
}

fn take_file(data: &mut &[u8]) -> Option<(String, Vec<u8>)> {
    let which = data.try_get_u8().ok()?;
    let length = usize::from(data.try_get_u16_le().ok()?).min(data.len());
    let (content, rest) = data.split_at(length);
    *data = rest;
    let number = u64::from(which & 0x0f);
    let (kind, name) = match which >> 4 & 0x07 {
        0 => (Kind::State, STATE.to_owned()),
        1 => (Kind::Segment, name::segment(number)),
        2 => (Kind::Snapshot, name::snapshot(number)),
        3 => (Kind::Segment, name::segment(number) + name::TEMPORARY),
        _ => return None,
    };
    let content = if which & MENDED == 0 { content.to_vec() } else { mended(kind, content) };
    Some((name, content))
}

/// A file as it would be written with this content.
fn mended(kind: Kind, mut content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_preamble(kind, &mut out);
    let is_whole = !matches!(kind, Kind::State) && content.len() >= FIELDS_BYTES;
    let (fields, entries) = content.split_at(if is_whole { FIELDS_BYTES } else { content.len() });
    out.extend_from_slice(fields);
    let checksum = crc32c(&out[PREAMBLE_BYTES..]);
    out.put_u32_le(checksum);
    if is_whole {
        content = entries;
        let salt = Salt(crc32c(&out[..SALT_END]));
        while let Ok(length) = content.try_get_u16_le() {
            let (body, rest) = content.split_at(usize::from(length).min(content.len()));
            content = rest;
            let mut entry = BytesMut::from(&[0; entry::HEADER_BYTES][..]);
            entry.extend_from_slice(body);
            entry::complete(&mut entry, salt, out.len() as u64);
            out.extend_from_slice(&entry);
        }
    }
    out
}

pub(super) fn recover(disk: &SimulatedDisk) -> Result<Storage, OpenError> {
    let options = Options::new("default", "a".into(), StorageId(1));
    let store = Store::with_hash_seed(Bounds { shards: 4, ..Bounds::default() }, 1);
    let mut recovery = open(disk.directory(), options)?;
    while let Some(batch) = recovery.next_batch()? {
        store.restore(batch).map_err(|error| recovery.refuse(error))?;
    }
    let (storage, found) = recovery.finish()?;
    assert_eq!(storage.position(), found.position, "the log goes on where it ends");
    Ok(storage)
}

/// Adds a batch and a promise; where the log ends then.
fn write(mut storage: Storage) -> Position {
    let ballot = Ballot { generation: Generation::from_bits(7), term: Term(7) };
    let position = Position { ballot, sequence: Sequence(EPOCH) };
    let end = BatchEnd {
        position,
        group_time: GroupTime(1),
        lead: Lead::default(),
        expired_before: GroupTime(0),
        meta: Some(Box::default()),
    };
    let batch = Staged { from: None, records: Vec::new(), end };
    storage.append(&batch).expect("there is room");
    storage.sync().expect("there is room");
    storage
        .save(HardState { ballot, voted_for: Some("b".into()), ..HardState::default() })
        .expect("there is room");
    position
}

fn content_of(disk: &SimulatedDisk) -> Vec<(String, Option<Vec<u8>>)> {
    let content = |name: String| (name.clone(), disk.read(&name));
    disk.names().into_iter().map(content).collect()
}
