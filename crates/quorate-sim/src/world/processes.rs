//! Processes that start, end, freeze and run on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate::internal::protocol::Machine;
use quorate::internal::protocol::io::{Input, Route};
use quorate::internal::session::budget::Budget;
use quorate::internal::session::merging::Merging;
use quorate::internal::state::Membership;
use quorate::internal::store::{Overlay, Store};
use quorate::{Bounds, Incarnation, PeerName, Position};

use crate::base::clock::Moment;
use crate::host::calls::Calls;
use crate::host::process::{Link, LocalUnits, Process};
use crate::host::unnoticed::Unnoticed;
use crate::model::SimModel;
use crate::model::reference::Follower;
use crate::plan::fault::Undo;
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// The index of a peer by its name: a, b, c, ..
    pub(crate) fn index_of(&self, name: &PeerName) -> usize {
        usize::from(name.as_str().as_bytes()[0] - b'a')
    }

    pub(crate) fn process(&self, peer: usize) -> Option<&Process> {
        self.hosts.get(peer)?.process.as_ref()
    }

    pub(crate) fn process_mut(&mut self, peer: usize) -> Option<&mut Process> {
        self.hosts[peer].process.as_mut()
    }

    /// A process starts, blank, as a new incarnation.
    pub(crate) fn start(&mut self, peer: usize) {
        if self.hosts[peer].process.is_some() {
            return;
        }
        let incarnation = Incarnation(self.process_random.next());
        let seed = self.process_random.next();
        let bounds: Bounds = self.plan.bounds;
        _ = self.start_clock(peer);
        self.hosts[peer].unnoticed = Unnoticed::default();
        let now = self.hosts[peer].clock.now(self.now);
        let store = Arc::new(Store::with_hash_seed(bounds, self.plan.seed));
        let group = self.enlist(peer);
        let config = self.hosts[peer].config.clone();
        let (start, storage) = self.recover_disk(peer, incarnation, seed, &store);
        let id = start.id;
        self.ids.insert(incarnation, id);
        self.successions.insert(incarnation, start.succession);
        let model = Arc::new(SimModel::of(&self.plan));
        let budget = Arc::new(Budget::new(bounds.max_waiting_calls));
        let machine = Machine::new(group, config, start, Arc::clone(&store), model.clone(), now);
        self.hosts[peer].is_host_up = true;
        self.hosts[peer].paused = None;
        self.hosts[peer].starves = false;
        self.hosts[peer].process = Some(Process {
            incarnation,
            id,
            machine,
            store,
            overlay: Overlay::new(bounds.max_overlay_keys),
            model,
            route: Route::Nowhere,
            links: vec![Link::default(); self.plan.hosts()],
            armed: None,
            reign: None,
            position: Position::BLANK,
            members: Membership::default(),
            holds: None,
            follower: Follower::default(),
            was_authorized: false,
            is_founding: false,
            calls: Calls::new(budget.clone()),
            served: BTreeMap::new(),
            budget,
            merging: Merging::default(),
            merges_at: None,
            units: LocalUnits::default(),
            storage,
            hears_liar: false,
        });
        self.note(peer, &[1, incarnation.0], |_| format!("starts as {incarnation}"));
        self.see(&Seen::Started { peer });
        self.note_recovered(peer);
        self.arm(peer);
    }

    pub(crate) fn kill_for(&mut self, peer: usize, with_host: bool, length: Duration) {
        let may_end = self.keeps_disk(peer, with_host) || self.may_lose(peer);
        if self.hosts[peer].process.is_none() || !may_end {
            return;
        }
        self.kill(peer, with_host);
        self.undo_after(length, Undo::Restart { peer });
    }

    /// A peer is stopped in good order and started with another setting.
    pub(super) fn fault_roll(&mut self, peer: usize) {
        let may_end = self.keeps_disk(peer, false) || self.may_lose(peer);
        if self.hosts[peer].is_running() && may_end {
            self.roll(peer);
        }
    }

    /// Stops a peer in good order and starts it with another setting, whatever becomes of the
    /// group.
    pub(crate) fn roll(&mut self, peer: usize) {
        self.counters.add("settings rolled");
        self.end_process(peer, false, true);
        self.hosts[peer].revision ^= 1;
        self.start(peer);
        self.note_contact();
    }

    /// A second process runs under the name of a first, which lives on out of reach: to the others
    /// the first one's data are lost.
    pub(super) fn fault_strand(&mut self, peer: usize) {
        if self.hosts[peer].is_running() && self.may_lose(peer) {
            self.strand(peer);
        }
    }

    /// Ends a process; with its host, its connections stay silent. Some end in good order.
    pub(crate) fn kill(&mut self, peer: usize, with_host: bool) {
        let is_goodbye = !with_host && self.are_faults_active && self.fault_random.chance(300);
        self.end_process(peer, with_host, is_goodbye);
    }

    /// Ends a process; with its host, its connections stay silent, and one in good order says
    /// goodbye.
    pub(crate) fn end_process(&mut self, peer: usize, with_host: bool, is_goodbye: bool) {
        let Some(process) = self.process(peer) else { return };
        let incarnation = process.incarnation;
        self.counters.add(if with_host { "crashes" } else { "kills" });
        self.note(peer, &[13, u64::from(with_host)], |_| {
            let how = match (with_host, is_goodbye) {
                (true, _) => "silently",
                (false, true) => "with a goodbye",
                (false, false) => "closing",
            };
            format!("ends as {incarnation}, {how}")
        });
        self.close_all(peer, !with_host, is_goodbye);
        self.end_disk(peer, with_host);
        let host = &mut self.hosts[peer];
        host.process = None;
        host.paused = None;
        host.starves = false;
        host.is_aside = false;
        host.is_host_up = !with_host;
        self.inboxes[peer].clear();
        self.note_contact();
    }

    pub(super) fn kill_majority(&mut self, length: Duration) {
        let with_host = self.plan.disk.is_some() && self.fault_random.chance(500);
        let is_kept = (0..self.plan.peers()).all(|peer| self.keeps_disk(peer, with_host));
        if self.plan.faults.is_careful && !is_kept {
            return;
        }
        let mut order: Vec<usize> = (0..self.plan.peers()).collect();
        self.fault_random.shuffle(&mut order);
        let count = self.fault_random.between(self.plan.majority() as u64, order.len() as u64);
        for peer in order.into_iter().take(usize::try_from(count).unwrap_or(0)) {
            let later = self.fault_random.duration(Duration::ZERO, self.plan.timeout() / 5);
            self.kill_for(peer, with_host, length + later);
        }
    }

    pub(super) fn pause_for(&mut self, peer: usize, length: Duration) {
        if let Some(incarnation) = self.pause(peer) {
            self.undo_after(length, Undo::Resume { peer, incarnation });
        }
    }

    /// Freezes a process.
    pub(crate) fn pause(&mut self, peer: usize) -> Option<Incarnation> {
        if self.hosts[peer].paused.is_some() {
            return None;
        }
        let incarnation = self.process(peer)?.incarnation;
        self.hosts[peer].paused = Some(self.now);
        self.counters.add("pauses");
        self.note_contact();
        Some(incarnation)
    }

    pub(super) fn starve_for(&mut self, peer: usize, length: Duration) {
        if let Some(incarnation) = self.starve(peer) {
            self.undo_after(length, Undo::Resume { peer, incarnation });
        }
    }

    /// The event loop of a process does not turn any more. Its connections are still read, and
    /// calls are decided at its store by whoever makes or reads them.
    pub(crate) fn starve(&mut self, peer: usize) -> Option<Incarnation> {
        let incarnation = self.pause(peer)?;
        self.hosts[peer].starves = true;
        self.counters.add("starved loops");
        Some(incarnation)
    }

    /// A frozen process runs on: calls first, as if it had been frozen just before them.
    pub(crate) fn resume(&mut self, peer: usize, incarnation: Incarnation) {
        // A thread may have read the clock before it froze, and writes only now.
        let is_stale = self.process_random.chance(300);
        let ticks_first = self.process_random.chance(300);
        self.run_on(peer, incarnation, is_stale, ticks_first);
    }

    /// Lets a frozen process run on, with calls that go by the time at which it froze (`is_stale`),
    /// and timers before messages or after them.
    pub(crate) fn run_on(
        &mut self,
        peer: usize,
        incarnation: Incarnation,
        is_stale: bool,
        ticks_first: bool,
    ) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        let Some(since) = self.hosts[peer].paused.take() else { return };
        _ = self.start_clock(peer);
        self.hosts[peer].starves = false;
        self.note(peer, &[14], |_| "runs on".into());
        let inbox = std::mem::take(&mut self.inboxes[peer]);
        let (calls, rest): (Vec<_>, Vec<_>) =
            inbox.into_iter().partition(|event| matches!(event, Event::Issue { .. }));
        for event in calls {
            let Event::Issue { op } = event else { continue };
            if is_stale && self.ops[op].outcome.is_none() {
                let time = self.hosts[peer].clock.time(since);
                self.ops[op].asked = time;
                self.call(peer, op, time);
            } else {
                self.on_issue(op);
            }
        }
        if ticks_first {
            self.drive(peer, Input::Tick);
        }
        for event in rest {
            let soon = Moment(self.now.0 + 1);
            self.queue.push(soon, event);
        }
        self.arm(peer);
        self.note_contact();
    }
}
