//! Faults of the paths between hosts, and how everything is healed.

use std::time::Duration;

use crate::clock::Moment;
use crate::faults::Undo;
use crate::world::{Event, World};

impl World {
    /// The paths from a peer, to it, or both.
    pub(crate) fn paths_of(&self, peer: usize, from: bool, to: bool) -> Vec<(usize, usize)> {
        let others = (0..self.plan.hosts()).filter(|other| self.are_apart(peer, *other));
        others
            .flat_map(|other| [from.then_some((peer, other)), to.then_some((other, peer))])
            .flatten()
            .collect()
    }

    pub(crate) fn cut_for(
        &mut self,
        paths: Vec<(usize, usize)>,
        length: Duration,
        counter: &'static str,
    ) {
        self.counters.add(counter);
        self.cut(&paths);
        self.later(length, Undo::Heal(paths));
    }

    fn later(&mut self, length: Duration, undo: Undo) {
        let healed = self.healed;
        self.at(length, Event::Undo { undo, healed });
    }

    pub(crate) fn cut(&mut self, paths: &[(usize, usize)]) {
        for &(from, to) in paths {
            self.network.path(from, to).cuts += 1;
        }
        self.note(paths.first().map_or(0, |path| path.0), &[15], |_| format!("cut {paths:?}"));
        self.note_together();
    }

    pub(crate) fn heal(&mut self, paths: &[(usize, usize)]) {
        for &(from, to) in paths {
            let path = self.network.path(from, to);
            path.cuts = path.cuts.saturating_sub(1);
            self.release_path(from, to);
        }
        self.note(paths.first().map_or(0, |path| path.0), &[16], |_| format!("healed {paths:?}"));
        self.note_together();
    }

    pub(crate) fn cut_one_way(&mut self, peer: usize, length: Duration) {
        let paths = match self.fault_random.index(3) {
            0 => self.paths_of(peer, true, false),
            1 => self.paths_of(peer, false, true),
            _ => {
                let step = 1 + self.fault_random.index(self.plan.peers() - 1);
                let other = (peer + step) % self.plan.peers();
                vec![if self.fault_random.chance(500) { (peer, other) } else { (other, peer) }]
            }
        };
        self.cut_for(paths, length, "one-way cuts");
    }

    /// Two or three sides; in half of the cases one peer still hears both of two sides.
    pub(crate) fn split(&mut self, length: Duration) {
        let size = self.plan.peers();
        let sides = self.fault_random.between(2, 3);
        let mut side: Vec<u64> = (0..size).map(|_| self.fault_random.below(sides)).collect();
        let bridge = self.fault_random.chance(300).then(|| self.fault_random.index(size));
        let mut paths = Vec::new();
        // A client is where the member is that it stands beside.
        let of_clients: Vec<u64> = self.clients().map(|client| side[self.home(client)]).collect();
        side.extend(of_clients);
        for one in 0..side.len() {
            for other in 0..side.len() {
                let is_bridge = bridge.is_some_and(|bridge| bridge == one || bridge == other);
                if one != other && side[one] != side[other] && !is_bridge {
                    paths.push((one, other));
                }
            }
        }
        self.cut_for(paths, length, "partitions");
    }

    /// A peer sees its connections close, with one other or with all, and the other ends do not:
    /// not before `length` has passed, or their own timeout. In half of all cases nobody can dial
    /// before.
    pub(crate) fn one_ended(&mut self, peer: usize, other: usize, until: Moment, may_dial: bool) {
        let Some(incarnation) = self.process(peer).map(|process| process.incarnation) else {
            return;
        };
        for (connection, end) in self.network.ends_of(peer, incarnation) {
            if self.network.end(connection, 1 - end).peer == other {
                self.network.end_mut(connection, end).mute_until = until;
                self.close(connection, end, false, false);
            }
        }
        if !may_dial {
            self.network.path(peer, other).undialable = until;
            self.network.path(other, peer).undialable = until;
        }
    }

    pub(crate) fn close_one_end(&mut self, peer: usize, length: Duration) {
        self.counters.add("one-sided closes");
        let chosen = self.other_than(peer);
        let is_all = self.fault_random.chance(300);
        let may_dial = self.fault_random.chance(500);
        let until = self.now.after(length);
        let others = (0..self.plan.peers()).filter(|other| *other != peer);
        for other in others.filter(|other| is_all || *other == chosen) {
            self.one_ended(peer, other, until, may_dial);
        }
    }

    pub(crate) fn flap(&mut self, peer: usize) {
        let step = 1 + self.fault_random.index(self.plan.peers() - 1);
        let other = (peer + step) % self.plan.peers();
        let percent = self.fault_random.pick(&[3, 10, 40, 90]);
        let period = self.plan.timeout() * percent / 100;
        let left = self.fault_random.between(2, 10);
        self.counters.add("flaps");
        self.flap_once(peer, other, false, left, period);
    }

    fn flap_once(&mut self, one: usize, other: usize, is_cut: bool, left: u64, period: Duration) {
        let paths = [(one, other), (other, one)];
        if is_cut {
            self.heal(&paths);
        } else {
            self.cut(&paths);
        }
        if left > 0 || !is_cut {
            let left = left.saturating_sub(1);
            let next = Undo::Flap { one, other, is_cut: !is_cut, left, period };
            self.later(period, next);
        }
    }

    pub(crate) fn slow(&mut self, peer: usize, length: Duration) {
        let both_ways = self.fault_random.chance(500);
        let paths = self.paths_of(peer, true, both_ways);
        let percent = self.fault_random.pick(&[2, 10, 30, 60]);
        let extra = self.plan.timeout() * percent / 100;
        for &(from, to) in &paths {
            self.network.path(from, to).slow += extra;
        }
        self.counters.add("slow links");
        self.note_together();
        self.later(length, Undo::Unslow(paths, extra));
    }

    /// What takes long then are copies of a state, and data wait behind them.
    pub(crate) fn thin(&mut self, peer: usize, length: Duration) {
        let from = self.fault_random.chance(500);
        let paths = self.paths_of(peer, from, !from);
        // So many bytes in a failure timeout.
        let bytes = self.fault_random.pick(&[5_000, 20_000, 60_000]);
        let rate = bytes * 1_000 / u64::try_from(self.plan.timeout().as_millis()).unwrap_or(1);
        self.counters.add("thin links");
        self.network.most_wait = self.plan.timeout() / self.fault_random.pick(&[5, 20, 100]);
        self.make_thin(&paths, rate);
        self.later(length * 2, Undo::Unthin(paths));
    }

    pub(crate) fn make_thin(&mut self, paths: &[(usize, usize)], rate: u64) {
        for &(from, to) in paths {
            self.network.path(from, to).rate = Some(rate);
        }
    }

    pub(crate) fn stall(&mut self, peer: usize, length: Duration) {
        let step = 1 + self.fault_random.index(self.plan.peers() - 1);
        let other = (peer + step) % self.plan.peers();
        let paths = vec![(peer, other)];
        self.network.path(peer, other).stalls += 1;
        self.counters.add("data stalls");
        self.note_together();
        self.later(length, Undo::Unstall(paths));
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
            Undo::SetWall { peer, by } => self.set_wall(peer, by),
            Undo::StepBack { peer, incarnation } => self.step_back(peer, incarnation),
            Undo::Wake { peer, incarnation } => self.wake_up(peer, incarnation),
            Undo::Unslow(paths, extra) => {
                for (from, to) in paths {
                    let path = self.network.path(from, to);
                    path.slow = path.slow.saturating_sub(extra);
                }
                self.note_together();
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
                self.note_together();
            }
        }
    }

    /// Everything works again: all paths, all hosts, all processes.
    /// Whose settings differ from those of the peer with the newest state is restarted with its.
    fn take_settings_back(&mut self) {
        let position = |peer: &usize| self.process(*peer).map(|process| process.store.position());
        let newest = (0..self.plan.peers()).max_by_key(position).unwrap_or(0);
        let revision = self.peers[newest].revision;
        for peer in 0..self.plan.hosts() {
            if self.peers[peer].revision != revision {
                self.end_process(peer, false, true);
                self.peers[peer].revision = revision;
            }
        }
    }

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
        self.note_together();
    }
}
