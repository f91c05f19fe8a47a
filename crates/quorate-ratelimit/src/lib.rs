//! Exact rate limits that a group of peers shares.
