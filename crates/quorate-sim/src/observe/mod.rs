//! Notes of a run: for its reader, and for checkers that ask what really was.

pub(crate) mod contact;
pub(crate) mod counters;
pub(crate) mod report;
pub(crate) mod trace;
