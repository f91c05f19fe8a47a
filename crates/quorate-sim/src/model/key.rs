//! Keys that callers use: their first byte says what they stand for.

use bytes::Bytes;

use crate::model::real;
use crate::model::real::REAL;
use crate::plan::Plan;

/// The meaning of a key: its first byte says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Account,
    Counter,
    Limit,
    Real,
}

pub(super) fn family(key: &[u8]) -> Family {
    match key.first() {
        Some(b't') => Family::Account,
        Some(b'c') => Family::Counter,
        Some(&REAL) => Family::Real,
        _ => Family::Limit,
    }
}

/// Returns true if a key is one of the simulator's own limits: its cell expires.
pub(crate) fn is_limit(key: &[u8]) -> bool {
    family(key) == Family::Limit
}

/// A key of a family: all keys are equally long.
pub(crate) fn key(family: u8, index: usize) -> Bytes {
    let digits = [b'0' + (index / 10) as u8, b'0' + (index % 10) as u8];
    Bytes::copy_from_slice(&[family, b'0', digits[0], digits[1]])
}

/// Every key that clients may use.
pub(crate) fn all_keys(plan: &Plan) -> Vec<Bytes> {
    let of = |family: u8| (0..=plan.load.keys).map(move |index| key(family, index));
    let own = [b'c', b'l', b'p', b'q', b't'].into_iter().flat_map(of);
    let real = if plan.asks_real_limits() { real::all_keys() } else { Vec::new() };
    own.chain(real).collect()
}
