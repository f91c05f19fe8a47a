//! Words that all layers share: names, positions and times; events, errors and policies.

pub mod bug;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod event_text;
pub(crate) mod forced;
pub(crate) mod id;
pub(crate) mod loss;
pub(crate) mod policy;
pub(crate) mod telling;
pub(crate) mod told;
