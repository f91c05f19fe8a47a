//! State that lasts: votes before they are given, changes before they are acknowledged.

pub(super) mod acknowledged;
pub(super) mod bound;
pub(super) mod disk;
pub(super) mod storage;
