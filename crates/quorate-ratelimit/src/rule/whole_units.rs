//! Arithmetic of limits that count whole units; a token bucket keeps a debt instead.

use crate::rule::operation::{Operation, Request};

/// The result of an acquire or a peek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It takes so many units: a peek none.
    Admitted { taken: u64 },
    /// It waits until so many units are left, at least one.
    Denied { wanted: u64 },
    /// The amount is above the max.
    Never,
}

/// Asks for what a request says, where `left` of `max` units are left.
#[inline(always)]
pub(crate) fn ask(Request { operation, amount, .. }: Request, left: u64, max: u64) -> Asked {
    let is_up_to = operation == Operation::AcquireUpTo;
    let amount = if is_up_to { amount.min(left) } else { amount };
    // A peek, and an acquire of nothing, is answered as one unit would be.
    let wanted = amount.max(1);
    if wanted <= left {
        Asked::Admitted { taken: if operation == Operation::Peek { 0 } else { amount } }
    } else if amount <= max {
        Asked::Denied { wanted }
    } else {
        Asked::Never
    }
}

/// Moves a count of local decisions on by one that changed the cell's count from `before` to
/// `after`: what it took is added, and what it gave back subtracted as far as it is there.
pub(crate) fn moved(known: u64, before: u64, after: u64) -> u64 {
    known.saturating_add(after.saturating_sub(before)).saturating_sub(before.saturating_sub(after))
}
