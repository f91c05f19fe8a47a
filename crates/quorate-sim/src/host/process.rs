//! The process of a peer: its state machine, its store, and what it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate::internal::protocol::io::Route;
use quorate::internal::protocol::{Machine, Standing};
use quorate::internal::session::budget::Budget;
use quorate::internal::session::merging::Merging;
use quorate::internal::session::replying::Replying;
use quorate::internal::session::serving::Server;
use quorate::internal::state::{Membership, Meta};
use quorate::internal::store::{MODEL, Overlay, Store};
use quorate::internal::wire::PROTOCOL_VERSION;
use quorate::{Acknowledge, Ballot, GroupConfig, Incarnation, Item, MemberId, Position, Value};

use crate::base::clock::{Clock, Moment};
use crate::host::calls::Calls;
use crate::host::disk::StorageThread;
use crate::model::SimModel;
use crate::model::reference::Follower;
use crate::network::packet::ConnectionId;
use crate::words::call::ProcessId;
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
    /// The calls made here that have not ended.
    pub(crate) calls: Calls,
    /// The calls and merges of others that are not answered.
    pub(crate) served: BTreeMap<ProcessId, Replying>,
    /// Calls that may wait here.
    pub(crate) budget: Arc<Budget>,
    pub(crate) merging: Merging,
    /// What was decided alone is looked at then.
    pub(crate) merges_at: Option<Moment>,
    pub(crate) units: LocalUnits,
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

/// What a process has decided alone, and what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LocalUnits {
    /// The number of the batch that it sealed last.
    pub(crate) sealed: u64,
    pub(crate) decided: u128,
    pub(crate) confirmed: u128,
    pub(crate) discarded: u128,
}

/// What a process decides by for others, apart from the process.
pub(crate) struct Serving {
    pub(crate) store: Arc<Store>,
    pub(crate) model: Arc<SimModel>,
    pub(crate) group: GroupConfig,
    pub(crate) answers_after: Acknowledge,
    pub(crate) budget: Arc<Budget>,
    pub(crate) route: Route,
}

impl Serving {
    pub(crate) fn server(&self) -> Server<'_, Route> {
        Server {
            store: &self.store,
            model: &*self.model,
            group: &self.group,
            answers_after: self.answers_after,
            budget: &self.budget,
            routes: &self.route,
            version: PROTOCOL_VERSION,
        }
    }
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
