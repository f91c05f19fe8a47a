//! Cells and their change feed.
