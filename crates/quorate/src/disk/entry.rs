//! Entries: what the log and the snapshots are made of (docs/disk-format.md, section 4).
//!
//! ```text
//!  u32 checksum | u32 bytes of the body, n | u64 its own offset | n bytes: a piece of a batch
//! ```
//!
//! The body is a [`Piece`] as it travels, so that there is one form of a batch, not two. An entry
//! without a body is a *mark*: all that stands before it in the file has been synced.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32c::crc32c_append;

use super::error::Fault;
use crate::base::id::{Ballot, Position};
use crate::disk::id::Salt;
use crate::protocol::message::{Message, Piece};
use crate::record::Records;
use crate::state::BatchEnd;
use crate::wire::{self, BODY_SLACK_BYTES, Frame, kind};

pub(super) const HEADER_BYTES: usize = 16;
/// Longest body: what a reader holds in memory at once.
pub(super) const MAX_BODY_BYTES: usize = 256 * 1024 + BODY_SLACK_BYTES;
/// Most bytes of records that are written into one entry; few in tests, to have large batches.
pub(super) const MAX_RECORDS_BYTES: usize = if cfg!(test) { 1024 } else { 256 * 1024 };

const LENGTH_AT: usize = 4;
const OFFSET_AT: usize = 8;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// All that stands before it has been synced.
    Mark,
    /// A batch, or a piece of one.
    Piece(Part),
}

/// A [`Piece`] with what it has on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Number of the batch, or of the snapshot.
    pub(super) batch: u64,
    /// Number of the piece within the batch.
    pub(super) index: u32,
    /// The position that the batch starts from; `None` if it replaces everything.
    pub(super) from: Option<Position>,
    /// Cells.
    pub(super) records: Records,
    /// Set on the last piece.
    pub(super) end: Option<BatchEnd>,
}

/// Appends an entry to `out`, which begins at the offset `base` of its file.
pub(super) fn put_part(out: &mut BytesMut, salt: Salt, base: u64, part: Part) {
    let Part { batch, index, from, records, end } = part;
    // Entries have no sender.
    let ballot = Ballot::NONE;
    let total = 0;
    let digest = None;
    let piece = Piece { ballot, transfer: batch, index, from, records, end, total, digest };
    let start = out.len();
    // The frame's header gives way to the longer one of the entry.
    out.put_bytes(0, HEADER_BYTES - wire::HEADER_BYTES);
    wire::encode(&Frame::Message(Message::Piece(piece)), out);
    complete(&mut out[start..], salt, base + start as u64);
}

/// Appends a mark to `out`, which begins at the offset `base` of its file.
pub(super) fn put_mark(out: &mut BytesMut, salt: Salt, base: u64) {
    let start = out.len();
    out.put_bytes(0, HEADER_BYTES);
    complete(&mut out[start..], salt, base + start as u64);
}

/// Writes the header of an entry whose body is there.
pub(super) fn complete(entry: &mut [u8], salt: Salt, at: u64) {
    let length = entry.len() - HEADER_BYTES;
    assert!(length <= MAX_BODY_BYTES, "records are divided before they come here");
    entry[LENGTH_AT..OFFSET_AT].copy_from_slice(&(length as u32).to_le_bytes());
    entry[OFFSET_AT..HEADER_BYTES].copy_from_slice(&at.to_le_bytes());
    let checksum = crc32c_append(salt.0, &entry[LENGTH_AT..]);
    entry[..LENGTH_AT].copy_from_slice(&checksum.to_le_bytes());
}

/// The length of the entry that begins so, with its header. Nothing is known of its body yet.
///
/// # Errors
///
/// If it cannot have been written here, or does not fit into the `left` bytes from here.
pub(super) fn length(start: &[u8], at: u64, left: u64) -> Result<usize, Fault> {
    let Some(mut header) = start.get(..HEADER_BYTES) else {
        return Err(Fault::CutOff { need: HEADER_BYTES as u64, have: left });
    };
    header.advance(LENGTH_AT);
    let length = u64::from(header.get_u32_le());
    let belongs = header.get_u64_le();
    if belongs != at {
        return Err(Fault::Misplaced { belongs });
    }
    if length > MAX_BODY_BYTES as u64 {
        return Err(Fault::TooLong { bytes: length, max: MAX_BODY_BYTES as u64 });
    }
    let need = HEADER_BYTES as u64 + length;
    if need > left {
        return Err(Fault::CutOff { need, have: left });
    }
    Ok(need as usize)
}

/// # Errors
///
/// If the bytes of an entry are not those that were written.
pub(super) fn check(mut entry: &[u8], salt: Salt) -> Result<(), Fault> {
    let stored = entry.get_u32_le();
    let computed = crc32c_append(salt.0, entry);
    if stored == computed { Ok(()) } else { Err(Fault::Checksum { stored, computed }) }
}

/// Reads an entry that has been checked; its records are slices of `entry`.
///
/// # Errors
///
/// If it means nothing, although it is what was written.
pub(super) fn decode(mut entry: Bytes) -> Result<Entry, Fault> {
    entry.advance(HEADER_BYTES);
    if entry.is_empty() {
        return Ok(Entry::Mark);
    }
    let Frame::Message(Message::Piece(piece)) = wire::decode(kind::MESSAGE, entry)? else {
        return Err(Fault::Unexpected("piece of a batch"));
    };
    let Piece { transfer: batch, index, from, records, end, .. } = piece;
    Ok(Entry::Piece(Part { batch, index, from, records, end }))
}

/// The offset of the first mark in `bytes`, which begin at `base` of their file.
pub(super) fn find_mark(bytes: &[u8], base: u64, salt: Salt) -> Option<u64> {
    let windows = bytes.windows(HEADER_BYTES).enumerate();
    let mut entries = windows.map(|(index, entry)| (base + index as u64, entry));
    entries.find(|(at, entry)| is_mark(entry, *at, salt)).map(|(at, _)| at)
}

/// Returns true if these bytes, which begin at `at` of their file, are a mark.
fn is_mark(entry: &[u8], at: u64, salt: Salt) -> bool {
    // Its own offset first: next to nothing else passes that.
    entry[OFFSET_AT..] == at.to_le_bytes()
        && entry[LENGTH_AT..OFFSET_AT] == [0; OFFSET_AT - LENGTH_AT]
        && check(entry, salt).is_ok()
}

/// Records in portions of at most [`MAX_RECORDS_BYTES`]; nothing is copied.
pub(super) fn portions(records: &[Records]) -> Vec<Records> {
    let mut portions = Vec::with_capacity(records.len());
    for records in records {
        let mut rest = records.clone();
        while !rest.is_empty() {
            portions.push(rest.split_front(MAX_RECORDS_BYTES));
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Generation, GroupTime, Lead, Sequence, Term};
    use crate::model::Value;
    use crate::record::Record;

    const SALT: Salt = Salt(0x5a17);
    const BASE: u64 = 1000;

    fn part() -> Part {
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(2) };
        let position = Position { ballot, sequence: Sequence(3 << 16) };
        let value = Value { words: [1, 2, 3], expires: GroupTime(4) };
        let records =
            [Record { key: b"\0alice", value: Some(value) }, Record { key: b"\0bob", value: None }];
        Part {
            batch: 9,
            index: 0,
            from: Some(Position::BLANK),
            records: records.into_iter().collect(),
            end: Some(BatchEnd {
                position,
                group_time: GroupTime(5),
                lead: Lead::default(),
                expired_before: GroupTime(3),
                meta: Some(Box::default()),
            }),
        }
    }

    fn read(bytes: &[u8], at: u64) -> Result<Entry, Fault> {
        let length = length(bytes, at, bytes.len() as u64)?;
        check(&bytes[..length], SALT)?;
        decode(Bytes::copy_from_slice(&bytes[..length]))
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let mut out = BytesMut::new();
        put_part(&mut out, SALT, BASE, part());
        let first = out.len();
        put_mark(&mut out, SALT, BASE);
        assert_eq!(read(&out, BASE), Ok(Entry::Piece(part())));
        assert_eq!(read(&out[first..], BASE + first as u64), Ok(Entry::Mark));
        assert_eq!(out.len(), first + HEADER_BYTES);
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let mut out = BytesMut::new();
        put_part(&mut out, SALT, BASE, part());
        for bit in 0..out.len() * 8 {
            let mut flipped = out.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, BASE).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_is_valid_only_where_it_was_written() {
        let mut out = BytesMut::new();
        put_mark(&mut out, SALT, BASE);
        assert_eq!(read(&out, BASE + 1), Err(Fault::Misplaced { belongs: BASE }));
        assert!(check(&out, Salt(SALT.0 + 1)).is_err());
    }

    #[test]
    fn zeros_are_no_entry() {
        assert_eq!(read(&[0; 64], BASE), Err(Fault::Misplaced { belongs: 0 }));
    }

    #[test]
    fn a_mark_is_found_behind_anything() {
        let mut out = BytesMut::new();
        put_part(&mut out, SALT, BASE, part());
        let entry = out.len();
        assert_eq!(find_mark(&out, BASE, SALT), None);
        out.put_slice(b"torn");
        put_mark(&mut out, SALT, BASE);
        assert_eq!(find_mark(&out, BASE, SALT), Some(BASE + entry as u64 + 4));
        let from = entry + 1;
        let found = find_mark(&out[from..], BASE + from as u64, SALT);
        assert_eq!(found, Some(BASE + entry as u64 + 4));
        assert_eq!(find_mark(&out, BASE + 1, SALT), None);
    }

    #[test]
    fn records_are_divided_into_portions_that_fit() {
        let value = Value { words: [1, 2, 3], expires: GroupTime(4) };
        let keys: Vec<_> = (0..20_000u32).map(|key| key.to_be_bytes()).collect();
        let record = |key| Record { key, value: Some(value) };
        let records: Records = keys.iter().map(|key| record(&key[..])).collect();
        let records_bytes = records.packed().len();
        let portions = portions(&[records.clone(), Records::default(), records]);
        assert!(portions.iter().all(|records| records.packed().len() <= MAX_RECORDS_BYTES));
        assert_eq!(portions.iter().map(Records::len).sum::<usize>(), 40_000);
        assert!(portions.len() >= 2 * records_bytes / MAX_RECORDS_BYTES);
    }
}
