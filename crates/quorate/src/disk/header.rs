//! Beginnings of files (docs/disk-format.md, sections 2 and 3).

use bytes::{Buf, BufMut};
use crc32c::crc32c;

use super::error::Fault;
use crate::base::id::{Ballot, Generation, Position, Sequence, Term};
use crate::disk::id::{Salt, StorageId};

/// The version that is written, and the newest that is read, of all files but the state.
pub(super) const VERSION: u32 = 1;
/// The version of a state that says what a peer in memory has acknowledged. One that does not is
/// written as of the version before, so that peers of that version can read it.
pub(super) const STATE_VERSION: u32 = 2;

/// The highest count of anything here: one more always fits.
const MAX_COUNT: u64 = 1 << 62;

pub(super) const PREAMBLE_BYTES: usize = 16;
/// Length of the header of a segment or snapshot.
pub(super) const HEADER_BYTES: usize = 100;

// Where fields of that header stand, for messages.
pub(super) const STORAGE_ID_AT: u64 = PREAMBLE_BYTES as u64;
pub(super) const NUMBER_AT: u64 = STORAGE_ID_AT + 16;
pub(super) const BATCHES_AT: u64 = NUMBER_AT + 8;
pub(super) const POSITION_AT: u64 = BATCHES_AT + 8;

/// The end of what the salt of a file's entries is taken from, which starts at its beginning.
pub(super) const SALT_END: usize = BATCHES_AT as usize;
const CHECKSUM_AT: usize = HEADER_BYTES - size_of::<u32>();

/// The kind of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Snapshot,
    State,
}

impl Kind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Segment => b"quorlog\n",
            Self::Snapshot => b"quorsnp\n",
            Self::State => b"quorsta\n",
        }
    }
}

/// The reason why a file that begins so cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A newer library wrote it.
    Newer { version: u32, newest: u32 },
    /// It is not what was written.
    Damaged { at: u64, fault: Fault },
}

impl Unreadable {
    fn damaged(at: usize, fault: Fault) -> Self {
        Self::Damaged { at: at as u64, fault }
    }
}

/// Begins a file.
pub(super) fn put_preamble(kind: Kind, out: &mut Vec<u8>) {
    put_preamble_of(kind, VERSION, out);
}

/// Writes the preamble of a file of another version.
pub(super) fn put_preamble_of(kind: Kind, version: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_slice(kind.magic());
    out.put_u32_le(version);
    out.put_u32_le(crc32c(&out[start..]));
}

/// Looks at the beginning of a file, the same in all versions; returns the rest.
pub(super) fn check_preamble(kind: Kind, bytes: &[u8]) -> Result<&[u8], Unreadable> {
    check_preamble_of(kind, VERSION, bytes).map(|(_, rest)| rest)
}

/// Reads a preamble where versions up to `newest` are read; returns the version as well.
pub(super) fn check_preamble_of(
    kind: Kind,
    newest: u32,
    bytes: &[u8],
) -> Result<(u32, &[u8]), Unreadable> {
    let Some((preamble, rest)) = bytes.split_first_chunk::<PREAMBLE_BYTES>() else {
        let need = PREAMBLE_BYTES as u64;
        let have = bytes.len() as u64;
        return Err(Unreadable::damaged(0, Fault::CutOff { need, have }));
    };
    let (checked, mut stored) = preamble.split_at(PREAMBLE_BYTES - size_of::<u32>());
    let (magic, mut version) = checked.split_at(kind.magic().len());
    if magic != kind.magic() {
        return Err(Unreadable::damaged(0, Fault::Magic));
    }
    check_sum(checked, stored.get_u32_le()).map_err(|fault| Unreadable::damaged(0, fault))?;
    match version.get_u32_le() {
        version if (1..=newest).contains(&version) => Ok((version, rest)),
        0 => {
            let fault = Fault::Number { what: "version", expected: VERSION.into(), found: 0 };
            Err(Unreadable::damaged(kind.magic().len(), fault))
        }
        version => Err(Unreadable::Newer { version, newest }),
    }
}

/// # Errors
///
/// If `stored` is not the checksum of `bytes`.
pub(super) fn check_sum(bytes: &[u8], stored: u32) -> Result<(), Fault> {
    let computed = crc32c(bytes);
    if stored == computed { Ok(()) } else { Err(Fault::Checksum { stored, computed }) }
}

/// The header of a segment or snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) storage_id: StorageId,
    /// Of the segment, or of the snapshot.
    pub(super) number: u64,
    /// The number of batches that were appended before the segment, or are contained in the
    /// snapshot.
    pub(super) batches: u64,
    /// The position after those.
    pub(super) position: Position,
    pub(super) extent: Extent,
}

/// The extent of a snapshot. A segment grows: it says how far the one before it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Length of the snapshot, or how much counts of the segment before.
    pub(super) bytes: u64,
    /// The offset of the last entry of a snapshot, which says what it is a snapshot of.
    pub(super) end_at: u64,
    /// The number of records of a snapshot.
    pub(super) records: u64,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        put_preamble(self.kind, &mut out);
        out.put_u128_le(self.storage_id.0);
        out.put_u64_le(self.number);
        out.put_u64_le(self.batches);
        put_ballot(self.position.ballot, &mut out);
        out.put_u64_le(self.position.sequence.0);
        out.put_u64_le(self.extent.bytes);
        out.put_u64_le(self.extent.end_at);
        out.put_u64_le(self.extent.records);
        out.put_u32_le(crc32c(&out[PREAMBLE_BYTES..]));
        out
    }

    /// The value that the checksums of this file's entries start from.
    pub(super) fn salt(&self) -> Salt {
        Salt(crc32c(&self.encode()[..SALT_END]))
    }

    pub(super) fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, Unreadable> {
        check_preamble(kind, bytes)?;
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            let need = HEADER_BYTES as u64;
            let have = bytes.len() as u64;
            return Err(Unreadable::damaged(0, Fault::CutOff { need, have }));
        };
        let (checked, mut stored) = header.split_at(CHECKSUM_AT);
        let mut fields = &checked[PREAMBLE_BYTES..];
        check_sum(fields, stored.get_u32_le())
            .map_err(|fault| Unreadable::damaged(PREAMBLE_BYTES, fault))?;
        let storage_id = StorageId(fields.get_u128_le());
        let number = fields.get_u64_le();
        let batches = fields.get_u64_le();
        for (at, what, count) in [(NUMBER_AT, "number", number), (BATCHES_AT, "batches", batches)] {
            check_count(what, count).map_err(|fault| Unreadable::Damaged { at, fault })?;
        }
        Ok(Self {
            kind,
            storage_id,
            number,
            batches,
            position: Position {
                ballot: take_ballot(&mut fields),
                sequence: Sequence(fields.get_u64_le()),
            },
            extent: Extent {
                bytes: fields.get_u64_le(),
                end_at: fields.get_u64_le(),
                records: fields.get_u64_le(),
            },
        })
    }
}

/// # Errors
///
/// If something is counted higher than anything ever is.
pub(super) fn check_count(what: &'static str, found: u64) -> Result<(), Fault> {
    if found <= MAX_COUNT { Ok(()) } else { Err(Fault::OutOfRange { what, found }) }
}

pub(super) fn put_ballot(ballot: Ballot, out: &mut Vec<u8>) {
    out.put_u64_le(ballot.generation.to_bits());
    out.put_u64_le(ballot.term.0);
}

/// # Panics
///
/// If fewer than 16 bytes are left.
pub(super) fn take_ballot(bytes: &mut &[u8]) -> Ballot {
    Ballot { generation: Generation::from_bits(bytes.get_u64_le()), term: Term(bytes.get_u64_le()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Snapshot,
            storage_id: StorageId(1 << 100),
            number: 3,
            batches: 4,
            position: Position {
                ballot: Ballot { generation: Generation::from_bits(5), term: Term(6) },
                sequence: Sequence(7),
            },
            extent: Extent { bytes: 8, end_at: 9, records: 10 },
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::decode(Kind::Snapshot, &bytes), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = Header::decode(Kind::Snapshot, &bytes);
            assert!(matches!(found, Err(Unreadable::Damaged { .. })), "bit {bit}: {found:?}");
        }
        for length in 0..bytes.len() {
            let found = Header::decode(Kind::Snapshot, &bytes[..length]);
            assert!(matches!(found, Err(Unreadable::Damaged { .. })), "{length}: {found:?}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage_whatever_follows() {
        let mut bytes = b"quorlog\n".to_vec();
        bytes.put_u32_le(2);
        bytes.put_u32_le(crc32c(&bytes));
        let found = Header::decode(Kind::Segment, &bytes);
        assert_eq!(found, Err(Unreadable::Newer { version: 2, newest: 1 }));
        let found = Header::decode(Kind::Snapshot, &bytes);
        assert_eq!(found, Err(Unreadable::Damaged { at: 0, fault: Fault::Magic }));
    }

    #[test]
    fn a_count_that_nothing_reaches_is_damage_where_it_stands() {
        for (at, header) in [
            (NUMBER_AT, Header { number: u64::MAX, ..header() }),
            (BATCHES_AT, Header { batches: MAX_COUNT + 1, ..header() }),
        ] {
            let found = Header::decode(Kind::Snapshot, &header.encode());
            assert!(matches!(found, Err(Unreadable::Damaged { at: found, .. }) if found == at));
        }
    }

    #[test]
    fn entries_of_two_files_have_different_salts() {
        let other = Header { number: 4, ..header() };
        assert_ne!(header().salt(), other.salt());
        let same = Header { batches: 9, ..header() };
        assert_eq!(header().salt(), same.salt());
    }
}
