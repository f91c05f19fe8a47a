//! Operations on a key, which travel as an item's second argument.
//!
//! ```text
//!   bits 0 to 7    the operation
//!   bits 8 to 63   of a refund: the start of the window that it is for, in milliseconds since the
//!                  Unix epoch; 0 for the present one
//! ```

use quorate::Item;

/// An operation on a key, for those who hand items to the core themselves.
///
/// The numbers travel between peers: none is ever given another meaning.
///
/// # Examples
///
/// ```
/// use quorate::{Cell, GroupTime, Model};
/// use quorate_ratelimit::{Limit, Limits, Operation};
///
/// let limits = Limits::builder().limit("api", Limit::per_second(10)).build()?;
/// let key = limits.key("api", "alice")?;
/// let item = Operation::Acquire.item(key.as_ref(), 3);
/// let answer = limits.model().decide(&[item], &mut [Cell::new(None)], GroupTime(0));
/// assert_eq!(answer.units, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Takes the amount or nothing; an amount of 0 is a peek at one unit.
    Acquire,
    /// Takes as much of the amount as there is.
    AcquireUpTo,
    /// Takes the amount whether there is room for it or not: it has been used.
    Debit,
    /// Gives back, within one window and no more than was taken.
    Refund {
        /// The window that it is for, in milliseconds since the Unix epoch; `None` for the present
        /// one.
        window_ms: Option<u64>,
    },
    /// Says what taking the amount would come to.
    Peek,
    /// Forgets what was taken.
    Reset,
}

/// The effect of a request: it is carried out, or only asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Ask,
    Take,
}

/// An operation and its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) amount: u64,
    pub(crate) effect: Effect,
}

impl Request {
    /// The question whether one unit would be admitted.
    pub(crate) const PEEK: Self = Self::new(Operation::Peek, 1).asked();

    /// Makes a request that is carried out.
    pub(crate) const fn new(operation: Operation, amount: u64) -> Self {
        Self { operation, amount, effect: Effect::Take }
    }

    /// Returns this request as one that is only asked about.
    pub(crate) const fn asked(self) -> Self {
        Self { effect: Effect::Ask, ..self }
    }

    /// Returns the item that asks for it.
    #[inline]
    pub(crate) fn item(self, key: &[u8]) -> Item<'_> {
        self.operation.item(key, self.amount)
    }

    /// Reads an item; `None` if this version does not know its operation.
    #[inline]
    pub(crate) fn of(item: &Item<'_>) -> Option<Self> {
        let [amount, argument] = item.args;
        Operation::of(argument).map(|operation| Self::new(operation, amount))
    }
}

const WINDOW_SHIFT: u32 = 8;

impl Operation {
    /// Returns the item that asks for it, of a key as [`Limits::key`](crate::Limits::key) makes it.
    #[inline]
    pub const fn item(self, key: &[u8], amount: u64) -> Item<'_> {
        Item { key, args: [amount, self.argument()] }
    }

    /// Returns the second argument of such an item.
    pub const fn argument(self) -> u64 {
        match self {
            Self::Acquire => 0,
            Self::AcquireUpTo => 1,
            Self::Debit => 2,
            Self::Refund { window_ms: None } => 3,
            Self::Refund { window_ms: Some(window_ms) } => 3 | window_ms << WINDOW_SHIFT,
            Self::Peek => 4,
            Self::Reset => 5,
        }
    }

    /// Reads an item's second argument; `None` if this version does not know it.
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
        // Bits that this version knows no meaning of may change what is asked for.
        (window_ms == 0).then_some(operation)
    }

    /// Returns true if it takes units, and is counted among the decisions of a limiter.
    #[inline]
    pub(crate) fn takes(self) -> bool {
        matches!(self, Self::Acquire | Self::AcquireUpTo | Self::Debit)
    }
}

/// An operation on a permit or a reservation: an item of the limit's key, and after it those of
/// cells beside it. Its numbers go on from those of [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SideOperation {
    /// Takes a permit of so many places; the next item is its own.
    TakePermit = 6,
    /// Renews a permit; the next item is its own.
    RenewPermit = 7,
    /// Gives a permit back; the next item is its own.
    ReleasePermit = 8,
    /// Takes the amount for now; the next items are the reservation's own, and all that is reserved
    /// of the key.
    Reserve = 9,
    /// Settles a reservation by the amount; the next items are its own, and all that is reserved of
    /// the key.
    Commit = 10,
}

impl SideOperation {
    const ALL: [Self; 5] =
        [Self::TakePermit, Self::RenewPermit, Self::ReleasePermit, Self::Reserve, Self::Commit];

    /// Returns the item of the limit's key.
    pub const fn item(self, key: &[u8], amount: u64) -> Item<'_> {
        Item { key, args: [amount, self.argument()] }
    }

    /// Returns the second argument of such an item.
    pub const fn argument(self) -> u64 {
        self as u64
    }

    /// Reads an item's second argument; `None` if it is none of these.
    pub(crate) fn of(argument: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.argument() == argument)
    }

    /// Returns true if it makes what the others are about.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::TakePermit | Self::Reserve)
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
        for operation in SideOperation::ALL {
            assert_eq!(SideOperation::of(operation.argument()), Some(operation));
            assert_eq!(Operation::of(operation.argument()), None);
        }
    }
}
