//! Text for people: tables, colours, numbers, times, and what a terminal may be shown.

pub(crate) mod clean;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod units;
