//! The numbers of operations of the crate `quorate-ratelimit`, as items carry them.

use quorate::Answer;
use quorate_ratelimit::{Operation, SideOperation};

use crate::words::operation::DONE;

pub(crate) const ACQUIRE: u8 = Operation::Acquire.argument() as u8;
pub(crate) const REFUND: u8 = Operation::Refund { window_ms: None }.argument() as u8;
pub(crate) const PERMIT_TAKE: u8 = SideOperation::TakePermit.argument() as u8;
pub(crate) const PERMIT_RENEW: u8 = SideOperation::RenewPermit.argument() as u8;
pub(crate) const PERMIT_RELEASE: u8 = SideOperation::ReleasePermit.argument() as u8;
pub(crate) const RESERVE: u8 = SideOperation::Reserve.argument() as u8;
pub(crate) const COMMIT: u8 = SideOperation::Commit.argument() as u8;

/// Returns true if an operation was done now: its answer is not an earlier one's.
pub(crate) fn is_new(answer: &Answer) -> bool {
    const REPEATED: u64 = 1 << 63;
    answer.code == DONE && answer.words[5] & REPEATED == 0
}
