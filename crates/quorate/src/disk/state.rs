//! The state file: who this storage is, and what must never be forgotten
//! (docs/disk-format.md, section 6).
//!
//! It is written whole beside the old one, synced, and renamed. Two slots in turn would take one
//! sync instead of two; but then a vote that has become unreadable looks like one that was torn,
//! the older slot counts, and the peer votes twice.

use std::hash::Hasher;

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use siphasher::sip::SipHasher13;

use super::error::Fault;
use super::header::{
    Kind, PREAMBLE_BYTES, STATE_VERSION, Unreadable, VERSION, check_count, check_preamble_of,
    check_sum, put_ballot, put_preamble_of, take_ballot,
};
use crate::base::id::{MAX_NAME_BYTES, MemberId, PeerName, Position, Sequence, is_name};
use crate::disk::id::StorageId;
use crate::protocol::io::{HardState, Succession};

const ACKNOWLEDGES_UNSYNCED: u8 = 1;
const FLAGS: u8 = ACKNOWLEDGES_UNSYNCED;

/// Bytes between the preamble and the names.
const FIXED_BYTES: usize = 73;
const CHECKSUM_BYTES: usize = size_of::<u32>();
/// Length of what was acknowledged, behind the names, where it is said.
const POSITION_BYTES: usize = 3 * size_of::<u64>();
/// Longest state file.
pub(super) const MAX_BYTES: usize =
    PREAMBLE_BYTES + FIXED_BYTES + 3 * (1 + MAX_NAME_BYTES) + POSITION_BYTES + CHECKSUM_BYTES;

/// All that a state file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Name of the group.
    pub group: String,
    /// The peer that the directory belongs to.
    pub peer: PeerName,
    /// The id of the directory, which never changes.
    pub storage_id: StorageId,
    /// The number of times that it was opened, this time included.
    pub starts: u64,
    /// The number of times that it may have lost what the peer had acknowledged.
    pub losses: u64,
    /// The start of the machine in which it was opened; 0 if that is not known.
    pub boot: u64,
    /// The promises of the peer.
    pub hard: HardState,
    /// True if the peer acknowledges before it syncs, so that a crash may take back what it said.
    pub acknowledges_unsynced: bool,
    /// The end of the log when it was closed; `None` while it is open, and after a crash.
    pub(super) closed: Option<LogEnd>,
}

/// The end of a log that was synced and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// The last segment, counted from 1.
    pub(super) segment: u64,
    /// Its length.
    pub(super) bytes: u64,
}

impl State {
    /// The id by which the peer is counted: another member after each time that something it had
    /// acknowledged may have been lost.
    pub fn member_id(&self) -> MemberId {
        let StorageId(id) = self.storage_id;
        let mut hasher = SipHasher13::new_with_keys((id >> 64) as u64, id as u64);
        hasher.write_u64(self.losses);
        MemberId(hasher.finish())
    }

    /// Names this start of the peer among all of its storage; `is_restart_here` if the one before
    /// it is known to have been on the same start of the machine, and of the same id.
    ///
    /// By the machine as well as by number: who goes on from a copy counts from where that was
    /// made.
    pub fn succession(&self, is_restart_here: bool) -> Succession {
        let name = |starts: u64| {
            let StorageId(id) = self.storage_id;
            let mut hasher = SipHasher13::new_with_keys((id >> 64) as u64, id as u64);
            [self.losses, self.boot, starts].into_iter().for_each(|part| hasher.write_u64(part));
            hasher.finish()
        };
        let before = self.starts.checked_sub(1).filter(|_| is_restart_here);
        Succession { start: Some(name(self.starts)), succeeded: before.map(name) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_BYTES);
        let is_said = !self.hard.acknowledged.is_blank();
        put_preamble_of(Kind::State, if is_said { STATE_VERSION } else { VERSION }, &mut out);
        out.put_u128_le(self.storage_id.0);
        out.put_u64_le(self.starts);
        put_ballot(self.hard.ballot, &mut out);
        out.put_u8(if self.acknowledges_unsynced { ACKNOWLEDGES_UNSYNCED } else { 0 });
        out.put_u64_le(self.losses);
        out.put_u64_le(self.boot);
        let closed = self.closed.unwrap_or(LogEnd { segment: 0, bytes: 0 });
        out.put_u64_le(closed.segment);
        out.put_u64_le(closed.bytes);
        put_name(&self.group, &mut out);
        put_name(self.peer.as_str(), &mut out);
        put_name(self.hard.voted_for.as_ref().map_or("", PeerName::as_str), &mut out);
        if is_said {
            put_ballot(self.hard.acknowledged.ballot, &mut out);
            out.put_u64_le(self.hard.acknowledged.sequence.0);
        }
        out.put_u32_le(crc32c(&out[PREAMBLE_BYTES..]));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (version, rest) = check_preamble_of(Kind::State, STATE_VERSION, bytes)?;
        let damaged = |fault| Unreadable::Damaged { at: PREAMBLE_BYTES as u64, fault };
        let Some(end) = rest.len().checked_sub(CHECKSUM_BYTES).filter(|end| *end > FIXED_BYTES)
        else {
            let need = (FIXED_BYTES + CHECKSUM_BYTES) as u64;
            return Err(damaged(Fault::CutOff { need, have: rest.len() as u64 }));
        };
        let (fields, mut stored) = rest.split_at(end);
        check_sum(fields, stored.get_u32_le()).map_err(damaged)?;
        Self::read(version, fields).map_err(damaged)
    }

    /// Reads what a checksum has confirmed, and yet nothing is taken for granted.
    fn read(version: u32, mut fields: &[u8]) -> Result<Self, Fault> {
        let fields = &mut fields;
        let storage_id = StorageId(fields.get_u128_le());
        let starts = fields.get_u64_le();
        let ballot = take_ballot(fields);
        let flags = fields.get_u8();
        if flags & !FLAGS != 0 {
            let expected = u64::from(flags & FLAGS);
            let found = u64::from(flags);
            return Err(Fault::Number { what: "flags", expected, found });
        }
        let losses = fields.get_u64_le();
        let boot = fields.get_u64_le();
        check_count("starts", starts)?;
        check_count("losses", losses)?;
        let closed = LogEnd { segment: fields.get_u64_le(), bytes: fields.get_u64_le() };
        let group = required(take_name(fields)?, "group")?;
        let peer = required(take_name(fields)?, "peer")?;
        let voted_for = take_name(fields)?;
        let acknowledged = take_acknowledged(version, fields)?;
        if !fields.is_empty() {
            return Err(Fault::Unexpected("end of the state"));
        }
        Ok(Self {
            group: group.into(),
            peer: peer.into(),
            storage_id,
            starts,
            losses,
            boot,
            hard: HardState { ballot, voted_for: voted_for.map(PeerName::from), acknowledged },
            acknowledges_unsynced: flags & ACKNOWLEDGES_UNSYNCED != 0,
            closed: (closed.segment != 0).then_some(closed),
        })
    }
}

/// The most that the peer has acknowledged; blank in a version that does not say.
fn take_acknowledged(version: u32, fields: &mut &[u8]) -> Result<Position, Fault> {
    if version < STATE_VERSION {
        return Ok(Position::BLANK);
    }
    let Some((mut position, rest)) = fields.split_at_checked(POSITION_BYTES) else {
        let need = POSITION_BYTES as u64;
        let have = fields.len() as u64;
        return Err(Fault::CutOff { need, have });
    };
    *fields = rest;
    let ballot = take_ballot(&mut position);
    Ok(Position { ballot, sequence: Sequence(position.get_u64_le()) })
}

fn put_name(name: &str, out: &mut Vec<u8>) {
    assert!(name.is_empty() || is_name(name), "names are checked where they are configured");
    let length = name.len() as u8;
    out.put_u8(length);
    out.put_slice(name.as_bytes());
}

/// A name; `None` for one of no bytes.
fn take_name<'a>(fields: &mut &'a [u8]) -> Result<Option<&'a str>, Fault> {
    const FAULT: Fault = Fault::Name("group or peer");
    let (length, rest) = fields.split_first().ok_or(FAULT)?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or(FAULT)?;
    *fields = rest;
    match std::str::from_utf8(name) {
        Ok("") => Ok(None),
        Ok(name) if is_name(name) => Ok(Some(name)),
        _ => Err(FAULT),
    }
}

fn required<'a>(name: Option<&'a str>, what: &'static str) -> Result<&'a str, Fault> {
    name.ok_or(Fault::Name(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, Generation, Term};

    fn state() -> State {
        State {
            group: "default".into(),
            peer: "a".into(),
            storage_id: StorageId(7 << 90),
            starts: 3,
            losses: 2,
            boot: 77,
            hard: HardState {
                ballot: Ballot { generation: Generation::from_bits(1), term: Term(2) },
                voted_for: Some("b".into()),
                acknowledged: Position::BLANK,
            },
            acknowledges_unsynced: true,
            closed: Some(LogEnd { segment: 4, bytes: 1234 }),
        }
    }

    /// Of a peer in memory.
    fn remembering() -> State {
        let ballot = Ballot { generation: Generation::from_bits(3), term: Term(4) };
        let acknowledged = Position { ballot, sequence: Sequence(5 << 16) };
        State { hard: HardState { acknowledged, ..state().hard }, ..state() }
    }

    /// A peer of the version before reads the state of whoever has nothing new to say.
    #[test]
    fn the_version_is_no_newer_than_what_is_said_needs() {
        let version = |state: &State| state.encode()[8];
        assert_eq!((version(&state()), version(&remembering())), (1, 2));
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        assert_eq!(State::decode(&state().encode()), Ok(state()));
        let blank = State {
            hard: HardState::default(),
            acknowledges_unsynced: false,
            closed: None,
            ..state()
        };
        assert_eq!(State::decode(&blank.encode()), Ok(blank));
        assert_eq!(State::decode(&remembering().encode()), Ok(remembering()));
    }

    /// The story: a storage moved to another machine, where the first start of it there ended
    /// unseen. The second one was taken for proof that the start on the first machine had ended.
    #[test]
    fn a_start_proves_the_end_of_none_but_the_one_before_it() {
        let start = |boot, starts, is_here| State { boot, starts, ..state() }.succession(is_here);
        let there = start(77, 5, false);
        let moved = start(88, 6, false);
        let again = start(88, 7, true);
        assert!(again.proves_end_of(&moved));
        assert!(!again.proves_end_of(&there) && !moved.proves_end_of(&there));
        assert!(start(77, 6, true).proves_end_of(&there));
        // Of an older copy that has been started as often.
        assert!(!start(88, 6, true).proves_end_of(&there));
        let unnamed = Succession::default();
        assert!(!unnamed.proves_end_of(&unnamed) && !again.proves_end_of(&unnamed));
    }

    #[test]
    fn the_longest_state_is_within_its_bound() {
        let name = "n".repeat(MAX_NAME_BYTES);
        let hard = HardState { voted_for: Some(name.clone().into()), ..remembering().hard };
        let longest = State { group: name.clone(), peer: name.into(), hard, ..state() };
        assert_eq!(longest.encode().len(), MAX_BYTES);
        assert_eq!(State::decode(&longest.encode()), Ok(longest));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let bytes = remembering().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = State::decode(&bytes);
            assert!(matches!(found, Err(Unreadable::Damaged { .. })), "bit {bit}: {found:?}");
        }
        for length in 0..bytes.len() {
            let found = State::decode(&bytes[..length]);
            assert!(matches!(found, Err(Unreadable::Damaged { .. })), "{length}: {found:?}");
        }
    }

    #[test]
    fn what_a_checksum_confirms_is_still_checked() {
        let fields = &state().encode()[PREAMBLE_BYTES..];
        let fields = &fields[..fields.len() - CHECKSUM_BYTES];
        assert!(State::read(1, fields).is_ok() && State::read(2, fields).is_err());
        let mut flags = fields.to_vec();
        flags[40] |= 64;
        assert!(matches!(State::read(1, &flags), Err(Fault::Number { what: "flags", .. })));
        let name = |length: u8| {
            let mut fields = fields.to_vec();
            fields[FIXED_BYTES] = length;
            State::read(1, &fields)
        };
        for length in (0..=u8::MAX).filter(|length| *length != 7) {
            assert!(name(length).is_err(), "{length}");
        }
    }
}
