//! The process of a peer: its state machine, its store, and what it is about.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use quorate::protocol::io::Route;
use quorate::protocol::{Machine, Standing};
use quorate::state::{Membership, Meta};
use quorate::store::{MODEL, Overlay, Store};
use quorate::{Ballot, Incarnation, Item, MemberId, Position, Value};

use crate::base::clock::{Clock, Moment};
use crate::host::disk::StorageThread;
use crate::model::SimModel;
use crate::model::reference::Follower;
use crate::network::packet::ConnectionId;
use crate::words::call::{Origin, Waiting};
use crate::words::merge::Cells;

/// One incarnation.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) incarnation: Incarnation,
    /// The id that it is counted by.
    pub(crate) id: MemberId,
    pub(crate) machine: Machine,
    pub(crate) store: Arc<Store>,
    pub(crate) overlay: Overlay,
    /// The model that it decides by: its limits may be others than those of a peer that is cut off.
    pub(crate) model: Arc<SimModel>,
    pub(crate) route: Route,
    pub(crate) links: Vec<Link>,
    pub(crate) armed: Option<Moment>,
    /// The reign that this process began last.
    pub(crate) reign: Option<Ballot>,
    pub(crate) position: Position,
    /// The members that it knew of before its last input.
    pub(crate) members: Membership,
    /// The founding that its data belong to, and since when it has held some of it.
    pub(crate) holds: Option<(Ballot, Moment)>,
    pub(crate) follower: Follower,
    pub(crate) was_authorized: bool,
    /// It has announced a founding whose reign has not begun yet.
    pub(crate) is_founding: bool,
    /// Calls that wait for a majority, in order.
    pub(crate) waiting: VecDeque<Waiting>,
    /// Calls held during a hand-over.
    pub(crate) parked: Vec<Origin>,
    /// Own calls that were sent to a primary.
    pub(crate) sent: BTreeMap<usize, Ballot>,
    pub(crate) merging: Merging,
    pub(crate) storage: Option<StorageThread>,
    /// The liar is linked.
    pub(crate) hears_liar: bool,
}

/// The open connections to one remote peer, all of one incarnation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) open: Vec<ConnectionId>,
    pub(crate) linked: Option<Incarnation>,
    /// The other end has said goodbye on one of the connections.
    pub(crate) has_ended: bool,
}

/// The merges of a process, and the units in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merging {
    /// The batch that is to be merged.
    pub(crate) sealed: Option<u64>,
    /// Units of local decisions, confirmed and not.
    pub(crate) decided: u128,
    pub(crate) confirmed: u128,
    pub(crate) discarded: u128,
}

impl Process {
    pub(crate) fn is_authorized(&self, clock: &Clock, now: Moment) -> bool {
        self.reign.is_some_and(|ballot| self.store.is_authorized(clock.time(now), ballot))
    }

    /// Returns where it stands, and the state beside the cells.
    pub(crate) fn standing(&self) -> (Standing, Meta) {
        let meta = self.store.meta();
        (Standing::new(self.store.position(), &meta), meta)
    }

    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.route, Route::Here { .. })
    }

    /// The cells under these keys, expired ones included.
    pub(crate) fn cells(&self, keys: &[Bytes]) -> Cells {
        keys.iter().filter_map(|key| Some((key.clone(), self.store.read(MODEL, key)?))).collect()
    }
}

impl Process {
    pub(crate) fn read_all(&self, items: &[Item<'_>]) -> Vec<Option<Value>> {
        items.iter().map(|item| self.store.read(0, item.key)).collect()
    }
}
