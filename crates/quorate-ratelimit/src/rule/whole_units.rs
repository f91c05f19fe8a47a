//! What the limits that count whole units have in common; a token bucket keeps a debt instead.

use crate::rule::operation::{Operation, Request};

/// What an acquire or a peek comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// So many units are taken: of a peek none.
    Admitted { taken: u64 },
    /// As long as so many units are not left, at least one.
    Denied { wanted: u64 },
    /// The amount is above the max.
    Never,
}

/// Asks for what the order says, where `left` of `max` units are left.
#[inline(always)]
pub(crate) fn ask(Request { operation, amount }: Request, left: u64, max: u64) -> Asked {
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

/// A count of local decisions, moved on by one that changed the cell's count from `before` to `after`:
/// what it took is added, and what it gave back subtracted as far as it is there.
pub(crate) fn moved(known: u64, before: u64, after: u64) -> u64 {
    known.saturating_add(after.saturating_sub(before)).saturating_sub(before.saturating_sub(after))
}
