//! Links: dialed, accepted, agreed on, attended to, and refused.

pub(super) mod addresses;
pub(super) mod admission;
pub(super) mod asking;
pub(super) mod attendance;
pub(super) mod attendant;
pub(super) mod buffered;
pub(super) mod comparison;
pub(super) mod connection;
pub(super) mod dial;
pub(super) mod dial_error;
pub(super) mod dialing;
pub(super) mod guest;
pub(super) mod handshake;
pub(super) mod inbox;
pub(super) mod lookup;
pub(super) mod origin;
pub(super) mod outbox;
pub(super) mod pace;
pub(super) mod reach;
pub(super) mod refusals;
pub(super) mod registry;
pub(super) mod roster;
pub(super) mod settings;
pub(super) mod stall;
