//! Operations while a cut is open: what another thread may do between two locks of the store.
//!
//! One thread runs the simulation, so the store is asked to let it in at that point
//! ([`Point::BetweenShards`]). What is decided there is played to the reference afterwards; no
//! other input comes in between.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use quorate::internal::bug::{self, Point};
use quorate::internal::store::Decided;
use quorate::{Item, Time};

use crate::model::SimModel;
use crate::model::key::key;
use crate::words::call::Done;
use crate::words::operation::{Kind, item};
use crate::words::seen::Seen;
use crate::world::World;

/// The decisions within a cut, and the accounts of each.
type Log = Rc<RefCell<Vec<([usize; 2], Decided)>>>;

/// Accounts that transfers go between.
const ACCOUNTS: usize = 5;

impl World {
    /// From here on transfers are decided while cuts are open, or are not.
    pub(crate) fn set_busy_within_cuts(&mut self, is_busy: bool) {
        self.is_busy_within_cuts = is_busy;
    }

    /// From here on transfers are decided wherever a cut of this peer's store can be met half-way.
    pub(crate) fn visit_cuts(&self, peer: usize, time: Time) -> Option<Log> {
        let process = self.process(peer).filter(|_| self.is_busy_within_cuts)?;
        let store = Arc::clone(&process.store);
        let model: Arc<SimModel> = Arc::clone(&self.process(peer)?.model);
        let acknowledge = self.plan.group.acknowledge;
        let log = Log::default();
        let entries = Rc::clone(&log);
        let mut count = self.ops.len();
        bug::visit(Some(Box::new(move |_: Point| {
            count += 1;
            let pair = [count % ACCOUNTS, (count + 1 + count % (ACCOUNTS - 1)) % ACCOUNTS];
            let keys = pair.map(|account| key(b't', account));
            let items: [Item<'_>; 2] = [0, 1].map(|i| item(&keys[i], 1, Kind::Transfer));
            if let Ok(decided) = store.decide(time, &items, &*model, acknowledge) {
                entries.borrow_mut().push((pair, decided));
            }
        })));
        Some(log)
    }

    /// Ends that, and plays to the reference what was decided meanwhile.
    pub(crate) fn leave_cuts(&mut self, peer: usize, time: Time, log: Option<Log>) {
        let Some(log) = log else { return };
        bug::visit(None);
        let Some(process) = self.process(peer) else { return };
        let model = Arc::clone(&process.model);
        for (pair, decided) in log.take() {
            let answer = decided.answer;
            let position = decided.position;
            let keys = pair.map(|account| key(b't', account));
            let items: [Item<'_>; 2] = [0, 1].map(|i| item(&keys[i], 1, Kind::Transfer));
            match self.history.decide(&model, position, decided.context, &items) {
                Ok((expected, _)) if expected == answer => {}
                Ok((expected, _)) => {
                    let what = format!("in a cut, at {position}: {answer:?}, not {expected:?}");
                    self.fail("equal_positions", what);
                }
                Err(what) => self.fail("monotone", what),
            }
            let done = Done::of(&decided, time);
            self.see(&Seen::Executed { op: None, done });
            if decided.wake {
                self.wake(peer);
            }
        }
    }
}
