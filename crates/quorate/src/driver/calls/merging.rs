//! What this peer decided alone, on its way to the primary: what [`Merging`](crate::session) says,
//! done.

use crate::base::event::Event;
use crate::base::id::{PeerStart, Time};
use crate::base::told::printable;
use crate::driver::event_loop::EventLoop;
use crate::driver::shared::Shared;
use crate::protocol::io::Route;
use crate::protocol::message::Lane;
use crate::session::merging::{Action, Local, Merging};
use crate::wire::{Merge, MergeReply};

/// An upper bound of one entry of a batch on the wire.
const ENTRY_BYTES: usize = crate::model::MAX_KEY_BYTES + 64;

impl Shared {
    fn local(&self) -> Local<'_> {
        Local {
            start: &self.start,
            store: &self.store,
            overlay: &self.overlay,
            model: &*self.model,
            on_reconnect: self.group.on_reconnect,
            max_keys: (self.config.bounds.max_piece_bytes / ENTRY_BYTES).max(1),
            failure_timeout: self.group.failure_timeout,
        }
    }

    /// Sends a batch; false if it was dropped.
    fn send_merge(&self, to: &PeerStart, merge: Merge) -> bool {
        let Some(connection) = self.registry.pick(&to.name, to.incarnation, Lane::Data) else {
            return false;
        };
        let is_sent = connection.push_merge(merge);
        connection.flush();
        is_sent
    }
}

impl EventLoop {
    /// Does what can be done at present about what was decided alone.
    pub(in crate::driver) fn merge_as_routed(&mut self, now: Time) {
        let actions = run_due(&mut self.merging, &self.shared, self.machine.route(), now);
        self.act(actions, now);
    }

    /// Does that given where decisions are made from now on.
    pub(in crate::driver) fn merge(&mut self, route: &Route, now: Time) {
        let actions = run_due(&mut self.merging, &self.shared, route, now);
        self.act(actions, now);
    }

    /// Returns when [`EventLoop::merge`] is due.
    pub(in crate::driver) fn merge_deadline(&self) -> Option<Time> {
        self.merging.deadline(&self.shared.local(), self.machine.route())
    }

    /// The primary has answered a merge.
    pub(in crate::driver) fn on_merge_reply(&mut self, from: &PeerStart, reply: MergeReply) {
        let now = self.shared.clock.time();
        let mut actions = Vec::new();
        self.merging.on_reply(&self.shared.local(), now, from, reply, &mut actions);
        self.act(actions, now);
    }

    fn act(&mut self, actions: Vec<Action>, now: Time) {
        let shared = &self.shared;
        for action in actions {
            match action {
                Action::Send { to, merge } => {
                    if !shared.send_merge(&to, merge) {
                        self.merging.on_not_sent(&shared.local(), now);
                    }
                }
                Action::Merged { .. } => shared.changed.notify_one(),
                Action::Refused => {
                    if shared.store.take_wake() {
                        shared.changed.notify_one();
                    }
                }
                Action::Confirmed { .. } => {}
                Action::Dropped { units, reason, .. } => {
                    let reason = printable(&reason);
                    shared.tell(Event::LocalDecisionsRefused { units, reason });
                }
                Action::Discarded { units } => {
                    shared.tell(Event::LocalDecisionsDiscarded { units });
                }
                Action::Done { units, dropped } => {
                    shared.tell(Event::LocalDecisionsMerged { units, dropped });
                }
            }
        }
    }
}

fn run_due(merging: &mut Merging, shared: &Shared, route: &Route, now: Time) -> Vec<Action> {
    let mut actions = Vec::new();
    let steady = || shared.group_time().steady();
    merging.run_due(&shared.local(), route, now, steady, &mut actions);
    actions
}
