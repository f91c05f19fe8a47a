//! The bounds of what a peer may send, and the checks that every field of a message passes.

use bytes::Bytes;

use super::error::WireError;
use crate::base::id::{
    Ballot, Generation, GroupTime, MAX_ADDRESS_BYTES, MAX_NAME_BYTES, PeerName, Position, Sequence,
    Term, is_name,
};

/// Most members, or names of peers, in one list of a message.
pub const MAX_LISTED: usize = 16;
pub use crate::record::MAX_RECORD_KEY_BYTES;
/// Latest group time of a state, in the year 2262: clocks that go on from it do not overflow.
pub const MAX_GROUP_TIME: GroupTime = GroupTime::MAX_READ;
/// Most settings in a [`Hello`](super::Hello), those of the model included.
pub const MAX_SETTINGS: usize = 64;
/// Most settings of the model in a [`Hello`](super::Hello).
pub const MAX_MODEL_SETTINGS: usize = 16;
/// Longest setting, its name and its value together; also the longest text in a
/// [`Refuse`](super::Refuse).
pub const MAX_SETTING_BYTES: usize = 1024;
/// Longest document that asks something over the admin lane.
pub const MAX_ASK_BYTES: usize = 64 * 1024;
/// Longest document that answers one.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

pub(super) fn bytes(
    field: &'static str,
    bytes: usize,
    min: usize,
    max: usize,
) -> Result<(), WireError> {
    if (min..=max).contains(&bytes) {
        Ok(())
    } else {
        Err(WireError::Bytes { field, bytes, min, max })
    }
}

pub(super) fn count(
    field: &'static str,
    count: usize,
    min: usize,
    max: usize,
) -> Result<(), WireError> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(WireError::Count { field, count, min, max })
    }
}

pub(super) fn number<T: TryFrom<u64>>(
    field: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<T, WireError> {
    let error = WireError::Value { field, value, min, max };
    if !(min..=max).contains(&value) {
        return Err(error);
    }
    T::try_from(value).map_err(|_| error)
}

/// A ballot that another peer names.
pub(super) fn ballot(generation: u64, term: u64) -> Result<Ballot, WireError> {
    let term = Term(number("term", term, 0, Term::MAX.0)?);
    Ok(Ballot { generation: Generation::from_bits(generation), term })
}

/// A position that another peer names.
pub(super) fn position(generation: u64, term: u64, sequence: u64) -> Result<Position, WireError> {
    let sequence = Sequence(number("sequence", sequence, 0, Sequence::MAX_READ.0)?);
    Ok(Position { ballot: ballot(generation, term)?, sequence })
}

/// A reading of another peer's clock.
pub(super) fn clock(field: &'static str, nanoseconds: u64) -> Result<GroupTime, WireError> {
    number(field, nanoseconds, 0, GroupTime::MAX_READ.0).map(GroupTime)
}

/// A site epoch that there is.
pub(super) fn site_epoch(site_epoch: u32) -> Result<u64, WireError> {
    number("site epoch", site_epoch.into(), 0, Generation::MAX_SITE_EPOCH)
}

/// A number that is known to be small, as it is written.
pub(super) fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn text(field: &'static str, text: String) -> Result<String, WireError> {
    bytes(field, text.len(), 0, MAX_SETTING_BYTES)?;
    Ok(text)
}

pub(super) fn address(address: String) -> Result<String, WireError> {
    bytes("address", address.len(), 0, MAX_ADDRESS_BYTES)?;
    Ok(address)
}

pub(super) fn peer(field: &'static str, name: &str) -> Result<PeerName, WireError> {
    checked_name(field, name).map(PeerName::from)
}

/// Names of peers, each of which counts: one that comes twice would count twice.
pub(super) fn peers(field: &'static str, names: &[String]) -> Result<Vec<PeerName>, WireError> {
    count(field, names.len(), 0, MAX_LISTED)?;
    let names: Vec<PeerName> =
        names.iter().map(|name| peer(field, name)).collect::<Result<_, _>>()?;
    distinct(field, names.iter())?;
    Ok(names)
}

/// Looks for a name that comes twice in a list, which is a short one.
pub(super) fn distinct<'a>(
    field: &'static str,
    names: impl Iterator<Item = &'a PeerName> + Clone,
) -> Result<(), WireError> {
    let mut rest = names.clone();
    for name in names {
        rest.next();
        if rest.clone().any(|other| other == name) {
            return Err(WireError::Repeated { field, name: name.clone() });
        }
    }
    Ok(())
}

pub(super) fn checked_name<'a>(field: &'static str, name: &'a str) -> Result<&'a str, WireError> {
    if is_name(name) {
        Ok(name)
    } else {
        let name = name.chars().take(MAX_NAME_BYTES).collect();
        Err(WireError::Name { field, name })
    }
}

pub(super) fn record_key(key: Bytes) -> Result<Bytes, WireError> {
    bytes("key of a record", key.len(), 1, MAX_RECORD_KEY_BYTES)?;
    Ok(key)
}

pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

/// The longest start of `text` that is at most `max` bytes long and whole characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
