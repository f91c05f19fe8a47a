//! The course of a run: its start, its faults, and its healing.

use std::time::Duration;

use crate::observe::report::Report;
use crate::plan::fault::Undo;
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// Goes through faults.
    pub(crate) fn live(&mut self) {
        let timeout = self.plan.timeout();
        self.start_all(self.plan.seed.is_multiple_of(2));
        self.start_clients();
        self.start_policies();
        let calm = self.fault_random.duration(timeout / 10, timeout * 2);
        self.run_until(self.now.after(calm));
        if self.plan.faults.is_lasting {
            return self.last_through();
        }
        self.start_faults();
        self.run_until(self.now.after(self.plan.faults.phase));
    }

    /// Heals everything, comes to rest and reports.
    pub(crate) fn end(mut self) -> Report {
        let recovery = if self.failure.is_none() { self.recover() } else { 0 };
        self.counters.add_many("waits behind data", self.network.waits);
        let simulated = Duration::from_nanos(self.now.0);
        let Self { failure, counters, trace, .. } = self;
        Report { failure, counters, simulated, recovery, trace }
    }

    fn recover(&mut self) -> u64 {
        let timeout = self.plan.timeout();
        self.heal_all();
        self.run_until(self.now.after(timeout / 2));
        self.are_clients_active = false;
        let healed = self.now;
        if self.has_lied {
            // Whom an operator gave up by mistake stays out until it is started anew, and what only
            // the one that was forced held is gone with it: there may be nothing to come back to.
            self.run_until(self.now.after(timeout * 5));
            return 0;
        }
        self.come_to_rest();
        let recovery = self.now.since(healed).as_nanos() * 100 / timeout.as_nanos();
        if self.failure.is_none() {
            self.idle();
        }
        if self.failure.is_none() {
            self.last_decisions();
        }
        if self.failure.is_none() {
            self.finish();
        }
        u64::try_from(recovery).unwrap_or(u64::MAX)
    }

    /// In some runs nobody asks for anything until every limit has expired, and what is due then
    /// has been done.
    fn idle(&mut self) {
        /// One in so many seeds.
        const SEEDS: u64 = 4;
        let load = &self.plan.load;
        let is_short = load.window <= self.plan.timeout() * 2;
        if load.is_expiring || (is_short && self.plan.seed.is_multiple_of(SEEDS)) {
            // Of clocks that differ: group time may go slower by a tenth.
            let length = load.window * 3 + self.plan.timeout() * 2;
            self.run_until(self.now.after(length));
            self.counters.add("idle times");
            self.see(&Seen::Idled);
            self.come_to_rest();
        }
    }

    /// Starts all peers, at once or one after the other, and begins to connect them.
    pub(crate) fn start_all(&mut self, at_once: bool) {
        let size = self.plan.peers();
        let timeout = self.plan.timeout();
        for peer in 0..size {
            let later = self.fault_random.duration(Duration::ZERO, timeout / 4);
            if peer >= self.plan.founders && !self.is_standby(peer) {
                // It joins when a fault says so, or in the end.
            } else if at_once {
                self.start(peer);
            } else {
                let healed = self.healed;
                let undo = Undo::Restart { peer };
                self.at(later, Event::Undo { undo, healed });
            }
        }
        self.begin_to_dial();
        if self.plan.has_sites() {
            self.at(timeout / 2, Event::Operator);
        }
        self.start_client_peers();
    }

    /// Every two peers try to be connected from now on, but for clients among themselves.
    pub(crate) fn begin_to_dial(&mut self) {
        for one in 0..self.plan.hosts() {
            for other in 0..one.min(self.plan.peers()) {
                self.at(Duration::ZERO, Event::Dial { one, other });
            }
        }
    }

    /// Heals all paths, all hosts and all processes.
    pub(crate) fn heal_all(&mut self) {
        self.are_faults_active = false;
        self.healed += 1;
        self.filters.clear();
        for (connection, end, opens) in self.network.calm(self.now) {
            self.queue.push(opens, Event::Open { connection, end });
        }
        let size = self.plan.hosts();
        for from in 0..size {
            for to in 0..size {
                self.release_path(from, to);
            }
        }
        self.take_settings_back();
        for peer in 0..size {
            self.mend_disk(peer);
            if let Some(process) = self.process(peer) {
                let incarnation = process.incarnation;
                self.resume(peer, incarnation);
                self.step_back(peer, incarnation);
            } else {
                self.counters.add("restarts");
                self.start(peer);
            }
        }
        self.note(0, &[17], |_| "everything is healed".into());
        self.note_contact();
    }

    /// Restarts whoever has other settings than the peer with the newest state, with those.
    fn take_settings_back(&mut self) {
        let newest = (0..self.plan.peers())
            .max_by_key(|peer| self.process(*peer).map(|process| process.store.position()))
            .unwrap_or(0);
        let revision = self.hosts[newest].revision;
        for peer in 0..self.plan.hosts() {
            if self.hosts[peer].revision != revision {
                self.end_process(peer, false, true);
                self.hosts[peer].revision = revision;
            }
        }
    }
}
