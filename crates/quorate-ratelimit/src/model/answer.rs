//! The words of an answer, on its way from the peer that decided.

use quorate::Answer;

use crate::rule::verdict::{Marks, Ruling, Verdict};

/// Answer codes. They travel between peers: numbers are never given another meaning.
pub(crate) mod code {
    pub(crate) const DENIED: u8 = 0;
    pub(crate) const ALLOWED: u8 = 1;
    /// The peer that decided has no limit of the key's id. Words: the index, and in the place of
    /// the limit the revision of the policy that it decided by, of which older versions say 0.
    pub(crate) const UNKNOWN_LIMIT: u8 = 2;
    /// The amount is above the capacity.
    pub(crate) const NEVER_ADMITTED: u8 = 3;
    /// The peer that decided does not know the operation. Nothing was written.
    pub(crate) const UNKNOWN_OPERATION: u8 = 4;
    /// Allowed, for the limit that would have denied it is a shadow.
    pub(crate) const SHADOW: u8 = 5;
    /// The permit or reservation has ended. Nothing was written for it.
    pub(crate) const ENDED: u8 = 6;
    /// Limits of this kind do not have this operation. Nothing was written.
    pub(crate) const UNSUPPORTED: u8 = 7;
}

/// Places of an answer's words.
pub(crate) mod word {
    pub(crate) const LIMIT: usize = 0;
    /// Units that remain; those beyond the limit, of an answer that says [`OVERDRAWN`].
    ///
    /// [`OVERDRAWN`]: super::OVERDRAWN
    pub(crate) const REMAINING: usize = 1;
    /// Nanoseconds, of a denial.
    pub(crate) const RETRY_AFTER: usize = 2;
    /// Units that were taken or given back, of what is no denial: in the same place.
    pub(crate) const GRANTED: usize = 2;
    /// Nanoseconds; of a permit or reservation, how long it lasts.
    pub(crate) const RESET_AFTER: usize = 3;
    /// Unix milliseconds; [`NO_WINDOW`] for a rate.
    pub(crate) const WINDOW: usize = 4;
    /// The item that the other words speak of, and bits for each item (`decide.rs`).
    pub(crate) const INDEX: usize = 5;
}

pub(crate) const NO_WINDOW: u64 = u64::MAX;

/// Bits of the word [`word::INDEX`]: which item the other words speak of.
pub(crate) const INDEX_BITS: u32 = 8;
/// Above them a bit for each item: of a denial those that deny, else those that have crossed their
/// first threshold.
pub(crate) const DENYING: u32 = 8;
/// Above those, shadow limits that would have denied.
pub(crate) const SHADOWED: u32 = 24;
/// Above those, of a denial the items of which something is reserved, else those that have crossed
/// their second threshold.
pub(crate) const RESERVED: u32 = 40;
/// Says that nothing remains, and that the word for it has what was debited beyond the limit.
pub(crate) const OVERDRAWN: u64 = 1 << 62;
/// Says that this is the answer of an earlier call.
pub(crate) const REPEATED: u64 = 1 << 63;

/// Writes a ruling as an answer, about the item with this index.
#[inline]
pub(crate) fn to_answer(index: usize, ruling: &Ruling, units: u64) -> Answer {
    let mut words = [0; 6];
    words[word::LIMIT] = ruling.limit;
    // One of the two is 0.
    words[word::REMAINING] = ruling.remaining | ruling.beyond;
    let is_admitted = matches!(ruling.verdict, Verdict::Allowed | Verdict::Shadow);
    words[word::RETRY_AFTER] = if is_admitted { ruling.granted } else { ruling.retry_after };
    words[word::RESET_AFTER] = ruling.reset_after;
    words[word::WINDOW] = ruling.window.map_or(NO_WINDOW, |start| start / 1_000_000);
    words[word::INDEX] = index as u64 | if ruling.beyond > 0 { OVERDRAWN } else { 0 };
    // Most answers have no marks, and skip the shifting.
    if ruling.verdict != Verdict::Allowed || ruling.marks != Marks::default() {
        words[word::INDEX] |= marks(ruling) << index;
        words[word::INDEX] |= if ruling.marks.is_repeated { REPEATED } else { 0 };
    }
    let code = match ruling.verdict {
        Verdict::Allowed => code::ALLOWED,
        Verdict::Denied => code::DENIED,
        Verdict::Never => code::NEVER_ADMITTED,
        Verdict::Shadow => code::SHADOW,
        Verdict::Ended => code::ENDED,
        Verdict::Unsupported => code::UNSUPPORTED,
    };
    Answer { code, units, words }
}

/// Reads the units that remain, and those beyond the limit.
#[inline(always)]
pub(crate) fn remaining(answer: &Answer) -> (u64, u64) {
    let units = answer.words[word::REMAINING];
    if answer.words[word::INDEX] & OVERDRAWN == 0 { (units, 0) } else { (0, units) }
}

/// Returns the bits of a ruling, for the first item.
fn marks(ruling: &Ruling) -> u64 {
    let Marks { crossed, has_reservations, .. } = ruling.marks;
    let (first, second) = match ruling.verdict {
        Verdict::Denied => (true, has_reservations),
        _ => (crossed[0], crossed[1]),
    };
    let is_shadow = ruling.verdict == Verdict::Shadow;
    u64::from(first) << DENYING | u64::from(is_shadow) << SHADOWED | u64::from(second) << RESERVED
}

#[cold]
pub(crate) fn refusal(code: u8, index: usize) -> Answer {
    let mut words = [0; 6];
    words[word::INDEX] = index as u64;
    Answer { code, units: 0, words }
}
