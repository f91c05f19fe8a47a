//! What a call does with a key: it travels as an item's second argument.
//!
//! ```text
//!   bits 0 to 7    the operation
//!   bits 8 to 63   of a refund: the start of the window that it is for, in milliseconds since the
//!                  Unix epoch; 0 for the present one
//! ```

use quorate::Item;

/// An operation. The numbers travel between peers: none is ever given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Takes the amount or nothing; an amount of 0 is a peek at one unit.
    Acquire,
    /// Takes as much of the amount as there is.
    AcquireUpTo,
    /// Takes the amount whether there is room for it or not: it has been used.
    Debit,
    /// Gives back, within one window and no more than was taken.
    Refund {
        /// The window that it is for, in milliseconds; `None` for the present one.
        window_ms: Option<u64>,
    },
    /// Says what taking the amount would come to.
    Peek,
    /// Forgets what was taken.
    Reset,
}

/// An operation and its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) amount: u64,
}

impl Request {
    /// Asks whether one unit would be admitted.
    pub(crate) const PEEK: Self = Self { operation: Operation::Peek, amount: 1 };

    /// Returns the item that asks for it.
    #[inline]
    pub(crate) fn item(self, key: &[u8]) -> Item<'_> {
        Item { key, args: [self.amount, self.operation.argument()] }
    }

    /// What an item asks for; `None` if this version does not know it.
    #[inline]
    pub(crate) fn of(item: &Item<'_>) -> Option<Self> {
        let [amount, argument] = item.args;
        Operation::of(argument).map(|operation| Self { operation, amount })
    }
}

impl Operation {
    /// Whether it takes units, and is counted among the decisions of a limiter.
    #[inline]
    pub(crate) fn takes(self) -> bool {
        matches!(self, Self::Acquire | Self::AcquireUpTo | Self::Debit)
    }
}

const WINDOW_SHIFT: u32 = 8;

impl Operation {
    /// As an item's second argument.
    pub(crate) fn argument(self) -> u64 {
        match self {
            Self::Acquire => 0,
            Self::AcquireUpTo => 1,
            Self::Debit => 2,
            Self::Refund { window_ms } => 3 | window_ms.unwrap_or(0) << WINDOW_SHIFT,
            Self::Peek => 4,
            Self::Reset => 5,
        }
    }

    /// Of an item's second argument; `None` if this version does not know it.
    #[inline]
    pub(crate) fn of(argument: u64) -> Option<Self> {
        let window_ms = argument >> WINDOW_SHIFT;
        let operation = match argument & 0xff {
            0 => Self::Acquire,
            1 => Self::AcquireUpTo,
            2 => Self::Debit,
            3 => return Some(Self::Refund { window_ms: (window_ms > 0).then_some(window_ms) }),
            4 => Self::Peek,
            5 => Self::Reset,
            _ => return None,
        };
        (window_ms == 0).then_some(operation)
    }
}

/// An operation on a limit's item and on cells of its own beside it. Numbered on from [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideOperation {
    /// Takes a permit; the next item is its own.
    PermitTake,
    /// Renews a permit; the next item is its own.
    PermitRenew,
    /// Gives a permit back; the next item is its own.
    PermitRelease,
    /// Takes the amount for now; the next items are the reservation's own and the key's holds.
    Reserve,
    /// Settles a reservation by the amount; the next items are its own and the key's holds.
    Commit,
}

impl SideOperation {
    const ALL: [(u64, Self); 5] = [
        (6, Self::PermitTake),
        (7, Self::PermitRenew),
        (8, Self::PermitRelease),
        (9, Self::Reserve),
        (10, Self::Commit),
    ];

    /// As an item's second argument.
    pub(crate) fn argument(self) -> u64 {
        Self::ALL.iter().find(|(_, paired)| *paired == self).map_or(u64::MAX, |(number, _)| *number)
    }

    /// Returns true if it makes what the others are about.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::PermitTake | Self::Reserve)
    }

    /// Returns the item of the limit's cell; those of the cells beside it come after it.
    pub(crate) fn item(self, key: &[u8], amount: u64) -> Item<'_> {
        Item { key, args: [amount, self.argument()] }
    }

    /// Of an item's second argument; `None` if it is none of these.
    pub(crate) fn of(argument: u64) -> Option<Self> {
        Self::ALL.iter().find(|(number, _)| *number == argument).map(|(_, paired)| *paired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_read_as_it_was_written_and_nothing_else_is() {
        let refunds = [None, Some(1), Some(1_753_000_000_000)];
        let refunds = refunds.map(|window_ms| Operation::Refund { window_ms });
        let others = [
            Operation::Acquire,
            Operation::AcquireUpTo,
            Operation::Debit,
            Operation::Peek,
            Operation::Reset,
        ];
        for operation in refunds.into_iter().chain(others) {
            assert_eq!(Operation::of(operation.argument()), Some(operation));
        }
        assert_eq!(
            (Operation::of(6), Operation::of(256), Operation::of(u64::MAX)),
            (None, None, None)
        );
        for (number, paired) in SideOperation::ALL {
            assert_eq!((paired.argument(), SideOperation::of(number)), (number, Some(paired)));
            assert_eq!(Operation::of(number), None);
        }
    }
}
