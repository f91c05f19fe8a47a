//! Bounds on what one peer holds.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use crate::words::bound;

/// Room for the most cells there may be, with keys of about 80 bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024 * 1024;

/// The most that one peer holds; each bound has its formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Most cells that this peer makes as primary; a new key beyond it is refused, a live one is
    /// never evicted. Default 10,000,000. What another primary has made is held all the same: give
    /// all members the same bounds.
    #[serde(deserialize_with = "bound")]
    pub max_cells: usize,
    /// Most memory of cells, in bytes; as `max_cells`, and whichever is reached first. A cell
    /// counts with 128 bytes, and with those of its key if that is longer than 21 (a rate
    /// limiter's: than 17): its slot of 64, and what it takes of an index and a change feed at
    /// most. Default 2 GiB, at least 1 KiB.
    ///
    /// Beside it a store has about 10 KiB for each shard, and keeps the slots of cells that have
    /// expired for others to come. While a table grows, its old half is there as well.
    #[serde(deserialize_with = "bound")]
    pub max_bytes: usize,
    /// Shards of the cell table; rounded up to a power of two. Default 64.
    #[serde(deserialize_with = "bound")]
    pub shards: usize,
    /// Largest piece of a batch and largest frame body, in bytes. Default 256 KiB, at least 64 KiB.
    /// A link holds at most `transfer_window` pieces; on one connection at most
    /// `2 * (transfer_window + 1) * (max_piece_bytes + 160 KiB)` bytes wait to be sent, 7.3 MiB by
    /// default.
    #[serde(deserialize_with = "bound")]
    pub max_piece_bytes: usize,
    /// Pieces sent and not yet confirmed, per follower. Default 8.
    #[serde(deserialize_with = "bound")]
    pub transfer_window: usize,
    /// Largest change that is taken as one exact cut in memory; above it cells are first copied
    /// loosely. Default 16 MiB.
    #[serde(deserialize_with = "bound")]
    pub max_cut_bytes: usize,
    /// Most keys a follower names when its tail is repaired; above it everything is copied anew.
    /// Default 16,384.
    #[serde(deserialize_with = "bound")]
    pub max_repair_keys: usize,
    /// Size at which a segment of the log on disk is full, in bytes. The directory has room for
    /// about three of them, or three times the cells if that is more. Default 64 MiB, at least
    /// 64 KiB.
    #[serde(deserialize_with = "bound")]
    pub max_segment_bytes: usize,
    /// Most keys in the overlay of a relaxed peer; beyond it local decisions on new keys are
    /// refused. Default 65,536.
    #[serde(deserialize_with = "bound")]
    pub max_overlay_keys: usize,
    /// Most calls that wait at one peer, forwarded, held or waiting for a majority; beyond it
    /// calls are refused as overloaded. Default 65,536, about 200 bytes each.
    #[serde(deserialize_with = "bound")]
    pub max_waiting_calls: usize,
    /// Events kept for late readers, a quarter of them for what peers cause that are no members.
    /// Default 1,024.
    #[serde(deserialize_with = "bound")]
    pub max_events: usize,
    /// Incoming connections at the same time; beyond it new ones are closed. Each client takes
    /// three, each other member four at most while it reconnects: room for `3 * clients + 56`.
    /// Default 1,024, for 322 clients. A connection holds memory only for what waits on it. 28 of
    /// them, or a quarter if that is less, are for addresses of members; as many, or an eighth, are
    /// for handshakes, so that members find a place wherever they come from. Clients have the rest,
    /// and are told so when it is taken. Where connections are sockets, no more are let in than
    /// half of the files that this process may open when it starts.
    #[serde(deserialize_with = "bound")]
    pub max_connections: usize,
    /// Of these, connections from one address (of IPv6, one network of 64 bits, and twice as many
    /// from one of 56); beyond it new ones are closed. Default 512: several peers and clients may
    /// share a host, or a gateway to one. That is for those that are no members; 28 more, or a
    /// quarter if that is less, may be open for members behind the same address.
    #[serde(deserialize_with = "bound")]
    pub max_connections_per_address: usize,
    /// Of these, connections whose handshake is not over, with or without TLS; beyond it new ones
    /// are closed, and whoever was closed tries again. One address may have as many as are a third
    /// of the places that are free, which is a quarter of all, and always one while there is a
    /// place; a network of IPv6 of 56 bits as many as are free. 28 of them, or a quarter if that is
    /// less, are for addresses of members. A handshake ends within 5 s, or half of the failure
    /// timeout, and holds at most about 250 KiB until then. Default 128.
    #[serde(deserialize_with = "bound")]
    pub max_handshakes: usize,
    /// Messages received and not yet handled, per lane; beyond it the connections they come from
    /// are not read, and also not beyond as many bytes as may wait to be sent on one connection
    /// (`max_piece_bytes`). Default 256.
    #[serde(deserialize_with = "bound")]
    pub max_inbound_messages: usize,
    /// Bytes of replies to calls that wait on one connection until the other end takes them, those
    /// to calls that wait for a majority included; beyond it that connection is not read, and its
    /// calls wait in the other end's buffers. A reply has 94 bytes at most. Of a member only those
    /// that can be sent count, for the majority may wait for what it says next. Default 1 MiB, at
    /// least 64 KiB.
    #[serde(deserialize_with = "bound")]
    pub max_reply_bytes: usize,
    /// Bytes that all guests hold together: frames of theirs that have come in part, and replies,
    /// pieces and messages that wait for them. A guest is whoever connects here and is no member:
    /// clients, joiners until they are counted in, and whoever only says that it is a member.
    /// Beyond it each guest that holds more than its part, `max_buffered_bytes / max_connections`,
    /// is closed when it asks for more. Default 64 MiB, at least 1 MiB; twice that is the most that
    /// guests cost, besides about 100 KiB for each connection in use.
    #[serde(deserialize_with = "bound")]
    pub max_buffered_bytes: usize,
}

impl Bounds {
    /// Checks that everything fits its smallest working size.
    ///
    /// # Errors
    ///
    /// One entry per bound that is too small.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let bounds = [
            ("max_cells", self.max_cells, 1),
            ("max_bytes", self.max_bytes, 1024),
            ("shards", self.shards, 1),
            ("max_piece_bytes", self.max_piece_bytes, 64 * 1024),
            ("transfer_window", self.transfer_window, 1),
            ("max_segment_bytes", self.max_segment_bytes, 64 * 1024),
            ("max_waiting_calls", self.max_waiting_calls, 1),
            ("max_events", self.max_events, 1),
            ("max_connections", self.max_connections, 1),
            ("max_connections_per_address", self.max_connections_per_address, 1),
            ("max_handshakes", self.max_handshakes, 1),
            ("max_inbound_messages", self.max_inbound_messages, 1),
            ("max_reply_bytes", self.max_reply_bytes, 64 * 1024),
            ("max_buffered_bytes", self.max_buffered_bytes, 1024 * 1024),
        ];
        let errors: Vec<ConfigError> = bounds
            .into_iter()
            .filter(|(_, value, min)| value < min)
            .map(|(field, value, min)| ConfigError::Bound {
                field,
                value: value as u64,
                min: min as u64,
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_cells: 10_000_000,
            max_bytes: MAX_BYTES,
            shards: 64,
            max_piece_bytes: 256 * 1024,
            transfer_window: 8,
            max_cut_bytes: 16 * 1024 * 1024,
            max_repair_keys: 16_384,
            max_segment_bytes: 64 * 1024 * 1024,
            max_overlay_keys: 65_536,
            max_waiting_calls: 65_536,
            max_events: 1_024,
            max_connections: 1_024,
            max_connections_per_address: 512,
            max_handshakes: 128,
            max_inbound_messages: 256,
            max_reply_bytes: 1024 * 1024,
            max_buffered_bytes: 64 * 1024 * 1024,
        }
    }
}
