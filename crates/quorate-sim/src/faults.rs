//! What goes wrong, and how each fault ends by itself.

use std::time::Duration;

use quorate::Incarnation;
use quorate::protocol::io::Input;

use crate::check::Seen;
use crate::clock::Moment;
use crate::peer::Process;
use crate::random::Random;
use crate::standstill::Setting;
use crate::world::{Event, World};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The wall clock of a peer jumps.
    ClockStep,
    /// A host loses power: its connections stay silent.
    Crash,
    /// A peer's clock runs at another speed.
    Drift,
    /// A path comes and goes.
    Flap,
    /// A planned hand-over.
    HandOver,
    /// A peer is cut off from all others.
    Isolate,
    /// A member ends for good, and is forgotten.
    Forget,
    /// A peer that is no member asks to become one.
    Join,
    /// A process is killed; its host closes its connections.
    Kill,
    /// A majority is killed at once.
    KillMajority,
    /// A client or joiner says what is not so.
    Lie,
    /// A member asks to be counted out.
    Leave,
    /// Who is promoted first changes.
    Priority,
    /// What one peer sends, or receives, is lost.
    OneWay,
    /// A process is frozen.
    Pause,
    /// A machine is suspended.
    Sleep,
    /// A peer's messages take long.
    Slow,
    /// What a peer sends, or is sent, is carried by a few bytes a second.
    Thin,
    /// The members fall into groups that do not hear each other.
    Split,
    /// Heartbeats pass between two peers, data do not.
    Stall,
    /// A virtual machine is paused, and its clocks stand.
    Standstill,
    /// A bit of a disk is flipped, or the disk replaced by a new one.
    DiskDamage,
    /// A disk refuses an operation.
    DiskFailure,
    /// A disk is full.
    DiskFull,
    /// All connections of a peer are reset, and it lives.
    Reset,
    /// A peer is restarted with another setting, which the others refuse, or with theirs again.
    Roll,
    /// The same, and a second process is started under its name.
    Strand,
    /// A peer says that it is about to end, hands over if it is primary, and goes on after all.
    StepAside,
    /// A process whose event loop does not turn, while calls are decided at its store.
    Starve,
    /// Connections are closed at one end, and the other end does not see it for long.
    OneEnd,
    /// Two peers do not hear each other.
    Unlink,
}

/// A mixture of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Calm,
    Clocks,
    Disks,
    Flaps,
    HandOvers,
    Kills,
    Lasting,
    Liars,
    Members,
    Mixed,
    Partitions,
    Pauses,
    Restarts,
    Slow,
}

/// What undoes a fault.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    GoOn { peer: usize, incarnation: Incarnation, setting: Setting },
    Flap { one: usize, other: usize, is_cut: bool, left: u64, period: Duration },
    Heal(Vec<(usize, usize)>),
    Mend { peer: usize },
    Restart { peer: usize },
    Resume { peer: usize, incarnation: Incarnation },
    SetWall { peer: usize, by: Duration },
    StepBack { peer: usize, incarnation: Incarnation },
    Unslow(Vec<(usize, usize)>, Duration),
    Unthin(Vec<(usize, usize)>),
    Unstall(Vec<(usize, usize)>),
    Wake { peer: usize, incarnation: Incarnation },
}

impl Profile {
    pub(crate) const ALL: [Self; 14] = [
        Self::Calm,
        Self::Clocks,
        Self::Disks,
        Self::Flaps,
        Self::HandOvers,
        Self::Kills,
        Self::Lasting,
        Self::Liars,
        Self::Members,
        Self::Mixed,
        Self::Partitions,
        Self::Pauses,
        Self::Restarts,
        Self::Slow,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Clocks => "clocks",
            Self::Disks => "disks",
            Self::Flaps => "flaps",
            Self::HandOvers => "hand-overs",
            Self::Kills => "kills",
            Self::Lasting => "lasting",
            Self::Liars => "liars",
            Self::Members => "members",
            Self::Mixed => "mixed",
            Self::Partitions => "partitions",
            Self::Pauses => "pauses",
            Self::Restarts => "restarts",
            Self::Slow => "slow",
        }
    }

    pub(crate) fn draw(random: &mut Random) -> Self {
        if random.chance(400) { Self::Mixed } else { random.pick(&Self::ALL) }
    }

    pub(crate) fn weights(self) -> Vec<(Fault, u64)> {
        use Fault::{
            ClockStep, Crash, DiskDamage, DiskFailure, DiskFull, Drift, Flap, Forget, HandOver,
            Isolate, Join, Kill, KillMajority, Leave, Lie, OneEnd, OneWay, Pause, Priority, Reset,
            Roll, Sleep, Slow, Split, Stall, Standstill, Starve, StepAside, Strand, Thin, Unlink,
        };
        match self {
            Self::Calm => vec![(HandOver, 1)],
            Self::Clocks => vec![
                (ClockStep, 5),
                (Drift, 3),
                (Kill, 1),
                (Isolate, 1),
                (Pause, 1),
                (Sleep, 2),
                (Standstill, 3),
            ],
            Self::Disks => vec![
                (Crash, 4),
                (DiskDamage, 2),
                (DiskFailure, 3),
                (DiskFull, 2),
                (Isolate, 1),
                (Kill, 2),
                (KillMajority, 2),
            ],
            Self::Flaps => {
                vec![(Flap, 5), (Unlink, 2), (Stall, 2), (OneEnd, 3), (OneWay, 1), (Reset, 3)]
            }
            Self::HandOvers => vec![
                (HandOver, 6),
                (Isolate, 1),
                (Pause, 1),
                (Kill, 1),
                (Reset, 1),
                (Slow, 1),
                (StepAside, 3),
            ],
            Self::Kills => vec![(Kill, 4), (Crash, 3), (KillMajority, 1), (Strand, 2)],
            // They begin by a script of their own.
            Self::Lasting => Vec::new(),
            Self::Liars => vec![(Crash, 2), (HandOver, 1), (Isolate, 2), (Kill, 2), (Lie, 20)],
            Self::Members => vec![
                (Crash, 1),
                (Forget, 3),
                (HandOver, 1),
                (Isolate, 2),
                (Join, 5),
                (Kill, 3),
                (Leave, 4),
                (Lie, 2),
                (Pause, 1),
                (Priority, 1),
                (Split, 1),
                (Unlink, 1),
            ],
            Self::Mixed => vec![
                (ClockStep, 1),
                (Crash, 3),
                (DiskDamage, 1),
                (DiskFailure, 1),
                (DiskFull, 1),
                (Drift, 1),
                (Flap, 1),
                (HandOver, 2),
                (Isolate, 3),
                (Kill, 4),
                (KillMajority, 1),
                (Lie, 1),
                (OneEnd, 1),
                (OneWay, 2),
                (Pause, 3),
                (Reset, 1),
                (Roll, 1),
                (Sleep, 1),
                (Slow, 1),
                (Split, 3),
                (Stall, 1),
                (Standstill, 1),
                (Starve, 1),
                (StepAside, 1),
                (Strand, 1),
                (Unlink, 2),
            ],
            Self::Partitions => vec![(Isolate, 3), (Split, 4), (OneWay, 3), (Unlink, 2)],
            Self::Pauses => {
                vec![(Pause, 5), (Starve, 4), (Isolate, 1), (Kill, 1), (Sleep, 2), (Standstill, 2)]
            }
            Self::Restarts => {
                vec![
                    (Kill, 4),
                    (Crash, 2),
                    (Isolate, 2),
                    (Split, 1),
                    (Roll, 3),
                    (Strand, 2),
                    (Unlink, 1),
                ]
            }
            Self::Slow => vec![(Slow, 4), (Thin, 4), (Stall, 3), (Pause, 1), (Kill, 1)],
        }
    }
}

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
        let mut drawn = self.fault_random.below(weights.iter().map(|(_, weight)| weight).sum());
        let drawn = weights.iter().find(|(_, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        let Some(&(fault, _)) = drawn else { return };
        self.strike(fault, None);
    }

    /// How long a fault lasts: around the moments at which something else becomes due.
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
            Fault::Split => self.split(length),
            Fault::Stall => self.stall(peer, length),
            Fault::Standstill => self.stand_for(peer, length),
            Fault::Starve => self.starve_for(peer, length),
            Fault::StepAside => self.step_aside_for(peer, length),
            Fault::Reset => self.reset_all(peer),
            Fault::Roll => self.fault_roll(peer),
            Fault::Strand => self.fault_strand(peer),
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

    // --- processes and hosts

    /// Whether a majority of the members keeps its data, and works, without this peer's.
    pub(crate) fn may_lose(&self, peer: usize) -> bool {
        if !self.plan.faults.is_careful {
            return true;
        }
        let keepers = self.keepers();
        let left = keepers.iter().filter(|keeper| **keeper != peer).count();
        keepers.is_empty() || left >= self.majority()
    }

    pub(crate) fn kill_for(&mut self, peer: usize, with_host: bool, length: Duration) {
        let may_end = self.keeps_disk(peer, with_host) || self.may_lose(peer);
        if self.peers[peer].process.is_none() || !may_end {
            return;
        }
        self.kill(peer, with_host);
        self.undo_after(length, Undo::Restart { peer });
    }

    /// A peer is stopped in good order and started with another setting.
    fn fault_roll(&mut self, peer: usize) {
        let may_end = self.keeps_disk(peer, false) || self.may_lose(peer);
        if self.peers[peer].is_running() && may_end {
            self.roll(peer);
        }
    }

    /// The same, whatever becomes of the group.
    pub(crate) fn roll(&mut self, peer: usize) {
        self.counters.add("settings rolled");
        self.end_process(peer, false, true);
        self.peers[peer].revision ^= 1;
        self.start(peer);
        self.note_together();
    }

    /// A second process runs under the name of a first, which lives on out of reach: to the others
    /// the first one's data are lost.
    fn fault_strand(&mut self, peer: usize) {
        if self.peers[peer].is_running() && self.may_lose(peer) {
            self.strand(peer);
        }
    }

    /// Ends a process; with its host, its connections stay silent. Some end in good order.
    pub(crate) fn kill(&mut self, peer: usize, with_host: bool) {
        let is_goodbye = !with_host && self.are_faults_active && self.fault_random.chance(300);
        self.end_process(peer, with_host, is_goodbye);
    }

    /// The same, in good order if it says goodbye.
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
        let host = &mut self.peers[peer];
        host.process = None;
        host.paused = None;
        host.starves = false;
        host.inbox.clear();
        host.is_host_up = !with_host;
        self.note_together();
    }

    fn kill_majority(&mut self, length: Duration) {
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

    fn pause_for(&mut self, peer: usize, length: Duration) {
        if let Some(incarnation) = self.pause(peer) {
            self.undo_after(length, Undo::Resume { peer, incarnation });
        }
    }

    /// Freezes a process.
    pub(crate) fn pause(&mut self, peer: usize) -> Option<Incarnation> {
        if self.peers[peer].paused.is_some() {
            return None;
        }
        let incarnation = self.process(peer)?.incarnation;
        self.peers[peer].paused = Some(self.now);
        self.counters.add("pauses");
        self.note_together();
        Some(incarnation)
    }

    fn starve_for(&mut self, peer: usize, length: Duration) {
        if let Some(incarnation) = self.starve(peer) {
            self.undo_after(length, Undo::Resume { peer, incarnation });
        }
    }

    /// The event loop of a process does not turn any more. Its connections are still read, and
    /// calls are decided at its store by whoever makes or reads them.
    pub(crate) fn starve(&mut self, peer: usize) -> Option<Incarnation> {
        let incarnation = self.pause(peer)?;
        self.peers[peer].starves = true;
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

    /// The same, with calls that go by the time at which it froze (`is_stale`), and with timers
    /// before messages or after them.
    pub(crate) fn run_on(
        &mut self,
        peer: usize,
        incarnation: Incarnation,
        is_stale: bool,
        ticks_first: bool,
    ) {
        if !self.peers[peer].runs(incarnation) {
            return;
        }
        let Some(since) = self.peers[peer].paused.take() else { return };
        _ = self.start_clock(peer);
        self.peers[peer].starves = false;
        self.note(peer, &[14], |_| "runs on".into());
        let inbox = std::mem::take(&mut self.peers[peer].inbox);
        let (calls, rest): (Vec<_>, Vec<_>) =
            inbox.into_iter().partition(|event| matches!(event, Event::Issue { .. }));
        for event in calls {
            let Event::Issue { op } = event else { continue };
            if is_stale && self.ops[op].outcome.is_none() {
                let time = self.peers[peer].clock.time(since);
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
        self.note_together();
    }

    // --- clocks

    fn step_clock(&mut self, peer: usize) {
        let second = 1_000_000_000_i64;
        let day = 86_400 * second;
        let by = self.fault_random.pick(&[second / 10, second, 60 * second, day, 25_000 * day]);
        let by = if self.fault_random.chance(500) { by } else { -by.min(10_000 * day) };
        self.counters.add("clock steps");
        self.put_clock(peer, by);
    }

    /// Moves the wall clock of a peer.
    pub(crate) fn put_clock(&mut self, peer: usize, by: i64) {
        self.see(&Seen::Clocks);
        self.peers[peer].clock.step(by);
        self.see(&Seen::Clocks);
    }

    fn drift_clock(&mut self, peer: usize) {
        let drift = self.fault_random.between(0, 40_000).cast_signed() - 20_000;
        let now = self.now;
        self.peers[peer].clock.drift(now, drift);
        self.arm(peer);
    }

    fn hand_over(&mut self, peer: usize) {
        let to = self.other_than(peer);
        let to = self.fault_random.chance(500).then_some(to);
        self.switch(peer, to);
    }

    /// A peer is shut down, and that is given up after so long. A majority may be promoted all the
    /// while: where none may, a new generation is the only way on.
    fn step_aside_for(&mut self, peer: usize, length: Duration) {
        let may_lead = |other: &usize| {
            let is_aside = self.process(*other).is_some_and(|process| process.machine.is_aside());
            *other != peer && self.peers[*other].config.priority > 0 && !is_aside
        };
        let left = (0..self.plan.founders).filter(may_lead).count();
        if !self.peers[peer].is_running() || left < self.majority() {
            return;
        }
        let Some(incarnation) = self.process(peer).map(|process| process.incarnation) else {
            return;
        };
        self.counters.add("steps aside");
        self.step_aside(peer, true);
        if self.process(peer).is_some_and(Process::is_primary) {
            self.switch(peer, None);
        }
        self.undo_after(length, Undo::StepBack { peer, incarnation });
    }

    /// Tells a peer that it is about to end, or that it goes on after all.
    pub(crate) fn step_aside(&mut self, peer: usize, is_aside: bool) {
        if self.peers[peer].is_running() {
            self.drive(peer, Input::StepAside(is_aside));
        }
    }

    /// This start of a peer goes on after all.
    pub(crate) fn step_back(&mut self, peer: usize, incarnation: Incarnation) {
        let is_it =
            |process: &Process| process.incarnation == incarnation && process.machine.is_aside();
        if self.process(peer).is_some_and(is_it) {
            self.step_aside(peer, false);
        }
    }

    /// Asks a peer to hand over; returns the number of the request.
    pub(crate) fn switch(&mut self, peer: usize, to: Option<usize>) -> u64 {
        self.switches += 1;
        let request = self.switches;
        if self.peers[peer].is_running() {
            let to = to.map(|to| self.plan.group.members[to].clone());
            self.drive(peer, Input::Switch { request, to });
        }
        request
    }
}
