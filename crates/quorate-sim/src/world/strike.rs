//! Faults that begin, each at its moment, and end by themselves.

use std::time::Duration;

use quorate::Incarnation;
use quorate::internal::protocol::io::Input;

use crate::host::process::Process;
use crate::plan::fault::{Fault, Undo};
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    pub(crate) fn start_faults(&mut self) {
        self.are_faults_active = true;
        let wait = self.fault_random.around(self.plan.faults.gap);
        self.at(wait, Event::Fault);
        self.start_client_faults();
    }

    pub(crate) fn on_fault(&mut self) {
        if !self.are_faults_active {
            return;
        }
        let wait = self.fault_random.around(self.plan.faults.gap);
        self.at(wait, Event::Fault);
        let weights = &self.plan.faults.weights;
        let mut left = self.fault_random.below(weights.iter().map(|(_, weight)| weight).sum());
        for &(fault, weight) in weights {
            if left < weight {
                return self.strike(fault, None);
            }
            left -= weight;
        }
    }

    /// Returns how long a fault lasts: around the moments at which something else becomes due.
    fn fault_length(&mut self) -> Duration {
        let timeout = self.plan.timeout();
        let percent = self.fault_random.pick(&[5, 20, 50, 78, 85, 95, 105, 120, 200, 350]);
        let jitter = self.fault_random.duration(Duration::ZERO, timeout / 20);
        timeout * percent / 100 + jitter
    }

    /// Half of all faults hit the primary, if there is one.
    pub(crate) fn victim(&mut self) -> usize {
        let primary = (0..self.plan.peers())
            .find(|peer| self.process(*peer).is_some_and(Process::is_primary));
        let any = self.fault_random.index(self.plan.peers());
        primary.filter(|_| self.fault_random.chance(500)).unwrap_or(any)
    }

    /// A fault begins, at `peer` if one is named.
    pub(crate) fn strike(&mut self, fault: Fault, peer: Option<usize>) {
        if !self.are_faults_active {
            return;
        }
        let peer = peer.unwrap_or_else(|| self.victim());
        let length = self.fault_length();
        self.note(peer, &[12, fault as u64], |_| format!("FAULT {fault:?}"));
        self.counters.add("faults");
        match fault {
            Fault::ClockStep => self.step_clock(peer),
            Fault::Crash => self.kill_for(peer, true, length),
            Fault::DiskDamage => self.damage_disk(peer, length),
            Fault::DiskFailure => self.fail_disk(peer, length),
            Fault::DiskFull => self.fill_disk(peer, length),
            Fault::Drift => self.drift_clock(peer),
            Fault::Flap => self.flap(peer),
            Fault::Forget => {
                let other = self.other_than(peer);
                self.fault_forget(peer, other, length);
            }
            Fault::Arrange => self.fault_arrange(peer),
            Fault::Force => self.fault_force(peer, true),
            Fault::ForceBlindly => self.fault_force(peer, false),
            Fault::Replace => self.fault_replace(peer, length),
            Fault::HandOver => self.hand_over(peer),
            Fault::Isolate => {
                let paths = self.paths_of(peer, true, true);
                self.cut_for(paths, length, "partitions");
            }
            Fault::Join => self.fault_join(),
            Fault::Kill => self.kill_for(peer, false, length),
            Fault::KillMajority => self.kill_majority(length),
            Fault::Leave => self.fault_leave(peer),
            Fault::Lie => self.fault_lie(),
            Fault::Priority => self.fault_priority(peer),
            Fault::OneEnd => self.close_one_end(peer, length),
            Fault::OneWay => self.cut_one_way(peer, length),
            Fault::Pause => self.pause_for(peer, length),
            Fault::Sleep => self.sleep_for(peer, length),
            Fault::Slow => self.slow(peer, length),
            Fault::Thin => self.thin(peer, length),
            Fault::Sites => self.fault_sites(peer),
            Fault::SiteCut => {
                let paths = self.paths_between_sites();
                self.cut_for(paths, length, "sites cut");
            }
            Fault::Split => self.split(length),
            Fault::Stall => self.stall(peer, length),
            Fault::Standstill => self.stand_for(peer, length),
            Fault::Starve => self.starve_for(peer, length),
            Fault::Reset => self.reset_all(peer),
            Fault::Roll => self.fault_roll(peer),
            Fault::Strand => self.fault_strand(peer),
            Fault::StepAside => self.step_aside_for(peer, length),
            Fault::Unlink => {
                let other = self.other_than(peer);
                self.cut_for(vec![(peer, other), (other, peer)], length, "partitions");
            }
        }
    }

    pub(crate) fn other_than(&mut self, peer: usize) -> usize {
        let size = self.plan.peers();
        (peer + 1 + self.fault_random.index(size - 1)) % size
    }

    pub(crate) fn undo_after(&mut self, length: Duration, undo: Undo) {
        let healed = self.healed;
        self.at(length, Event::Undo { undo, healed });
    }

    pub(crate) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Flap { one, other, is_cut, left, period } => {
                self.flap_once(one, other, is_cut, left, period);
            }
            Undo::Heal(paths) => self.heal(&paths),
            Undo::Mend { peer } => self.mend_disk(peer),
            Undo::Restart { peer } => {
                self.counters.add("restarts");
                self.start(peer);
            }
            Undo::GoOn { peer, incarnation, setting } => self.go_on(peer, incarnation, setting),
            Undo::Resume { peer, incarnation } => self.resume(peer, incarnation),
            Undo::StepBack { peer, incarnation } => self.step_back(peer, incarnation),
            Undo::SetWall { peer, by } => self.set_wall(peer, by),
            Undo::Wake { peer, incarnation } => self.wake_up(peer, incarnation),
            Undo::Unslow(paths, extra) => {
                for (from, to) in paths {
                    let path = self.network.path(from, to);
                    path.slow = path.slow.saturating_sub(extra);
                }
                self.note_contact();
            }
            Undo::Unthin(paths) => {
                for (from, to) in paths {
                    self.network.path(from, to).rate = None;
                }
            }
            Undo::Unstall(paths) => {
                for (from, to) in paths {
                    let path = self.network.path(from, to);
                    path.stalls = path.stalls.saturating_sub(1);
                    self.release_path(from, to);
                }
                self.note_contact();
            }
        }
    }

    /// Returns true if a majority of the members keeps its data, and works, without this peer's.
    pub(crate) fn may_lose(&self, peer: usize) -> bool {
        if !self.plan.faults.is_careful {
            return true;
        }
        let holders = self.holders();
        let left = holders.iter().filter(|holder| **holder != peer).count();
        holders.is_empty() || left >= self.majority()
    }

    fn hand_over(&mut self, peer: usize) {
        let other = self.other_than(peer);
        let to = self.fault_random.chance(500).then_some(other);
        self.switch(peer, to);
    }

    /// Asks a peer to hand over; returns the number of the request.
    pub(crate) fn switch(&mut self, peer: usize, to: Option<usize>) -> u64 {
        self.switches += 1;
        let request = self.switches;
        if self.hosts[peer].is_running() {
            // One that names nobody is for a primary itself.
            let is_primary =
                |process: &Process| process.is_primary() || process.machine.is_primary();
            let is_heard = to.is_some() || self.process(peer).is_some_and(is_primary);
            if is_heard {
                self.see(&Seen::Wished { to });
            }
            let name = to.map(|to| self.plan.group.members[to].clone());
            self.drive(peer, Input::Switch { request, to: name });
        }
        request
    }

    /// Has a member step aside for a while, as one that is shut down and then goes on after all.
    /// One at a time, and a majority of the founders may be promoted all the while: where fewer
    /// may, a new generation beside members that keep their data is the only way on.
    fn step_aside_for(&mut self, peer: usize, length: Duration) {
        let Some(incarnation) = self.hosts[peer].running() else { return };
        let may_lead = |other: &usize| *other != peer && self.hosts[*other].config.priority > 0;
        let left = (0..self.plan.founders).filter(may_lead).count();
        if left < self.plan.majority() || self.hosts.iter().any(|host| host.is_aside) {
            return;
        }
        self.counters.add("steps aside");
        self.hosts[peer].is_aside = true;
        self.drive(peer, Input::StepAside(true));
        if self.process(peer).is_some_and(Process::is_primary) {
            self.switch(peer, None);
        }
        self.undo_after(length, Undo::StepBack { peer, incarnation });
    }

    /// Has a member that stepped aside go on; one that is frozen does so when it runs again.
    pub(super) fn step_back(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.hosts[peer].runs(incarnation) || !self.hosts[peer].is_aside {
            return;
        }
        if self.hosts[peer].paused.is_some() {
            self.undo_after(self.plan.timeout() / 10, Undo::StepBack { peer, incarnation });
            return;
        }
        self.hosts[peer].is_aside = false;
        self.drive(peer, Input::StepAside(false));
    }
}
