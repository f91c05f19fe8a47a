//! Machines that sleep, and virtual machines that are paused: the first find that time has passed,
//! the second that their clocks have stood. Calls come before the event loop turns.

use std::time::Duration;

use quorate::internal::bug::{self, Bug};
use quorate::{GroupTime, Incarnation, Time};

use crate::base::clock::nanos;
use crate::plan::fault::{Setting, Undo};
use crate::words::seen::Seen;
use crate::world::World;

/// A clock that has stood for this part of the failure timeout or longer may break the promise that
/// one decides, until something shows it: a promise outlasts the lease by a fifth, part of which is
/// for clocks that drift apart.
const HARMLESS_DIVISOR: u32 = 8;

/// The gain of the wall clock at which the data path holds its callers, as in the driver.
const GAIN_DIVISOR: u32 = 100;

impl World {
    pub(super) fn step_clock(&mut self, peer: usize) {
        let second = 1_000_000_000_i64;
        let day = 86_400 * second;
        let by = self.fault_random.pick(&[second / 10, second, 60 * second, day, 25_000 * day]);
        let is_ahead = self.fault_random.chance(500);
        self.counters.add("clock steps");
        self.put_clock(peer, if is_ahead { by } else { -by.min(10_000 * day) });
    }

    /// Moves the wall clock of a peer.
    pub(crate) fn put_clock(&mut self, peer: usize, by: i64) {
        self.see(&Seen::Clocks);
        self.hosts[peer].clock.step(by);
        self.see(&Seen::Clocks);
    }

    pub(super) fn drift_clock(&mut self, peer: usize) {
        let drift = self.fault_random.between(0, 40_000).cast_signed() - 20_000;
        let now = self.now;
        self.hosts[peer].clock.drift(now, drift);
        self.arm(peer);
    }

    /// A machine sleeps: its process does nothing, and time goes on.
    pub(crate) fn sleep_for(&mut self, peer: usize, length: Duration) {
        if let Some(incarnation) = self.pause(peer) {
            self.counters.add("sleeps");
            self.undo_after(length, Undo::Wake { peer, incarnation });
        }
    }

    /// A virtual machine is paused, and its clocks stand.
    pub(crate) fn stand_for(&mut self, peer: usize, length: Duration) {
        let later = self.fault_random.duration(Duration::ZERO, self.plan.timeout());
        let setting =
            self.fault_random.pick(&[Setting::AtOnce, Setting::After(later), Setting::Never]);
        if let Some(incarnation) = self.stand(peer) {
            self.undo_after(length, Undo::GoOn { peer, incarnation, setting });
        }
    }

    /// A virtual machine is paused until it is told to go on.
    pub(crate) fn stand(&mut self, peer: usize) -> Option<Incarnation> {
        let incarnation = self.pause(peer)?;
        self.counters.add("standstills");
        let now = self.now;
        self.hosts[peer].clock.stop(now);
        Some(incarnation)
    }

    /// A machine that slept is awake: calls come first.
    pub(crate) fn wake_up(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        let Some(since) = self.hosts[peer].paused else { return };
        let clock = &self.hosts[peer].clock;
        let slept = clock.time(self.now).since(clock.time(since));
        self.hosts[peer].unnoticed.sleep(slept);
        self.run_on(peer, incarnation, false, false);
    }

    /// A virtual machine runs on where it stood: calls come first.
    pub(crate) fn go_on(&mut self, peer: usize, incarnation: Incarnation, setting: Setting) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        let stood = self.start_clock(peer);
        match setting {
            Setting::AtOnce => self.set_wall(peer, stood),
            Setting::After(later) => {
                self.undo_after(later, Undo::SetWall { peer, by: stood });
            }
            Setting::Never => {}
        }
        self.run_on(peer, incarnation, false, false);
    }

    /// Lets the clocks of a machine go on if they stood, and returns for how long they did.
    pub(crate) fn start_clock(&mut self, peer: usize) -> Duration {
        let now = self.now;
        let stood = self.hosts[peer].clock.go_on(now);
        let timeout = self.plan.timeout();
        let is_harmless = stood < timeout / HARMLESS_DIVISOR;
        if !stood.is_zero() {
            let until = (!is_harmless).then(|| now.after(timeout));
            self.hosts[peer].unnoticed.stand(until);
        }
        stood
    }

    pub(crate) fn set_wall(&mut self, peer: usize, by: Duration) {
        self.see(&Seen::Clocks);
        self.hosts[peer].clock.step(nanos(by).cast_signed());
        self.see(&Seen::Clocks);
    }

    /// Returns true if a peer may decide beside another, as protocol.md says in section 5: it
    /// stands still, or has stood for too long and nothing has shown it; or, in section 6, an
    /// operator has named it as gone while it lived, and it has not heard of that.
    pub(crate) fn is_excused(&self, peer: usize) -> bool {
        let host = &self.hosts[peer];
        self.was_given_up(peer) || host.clock.is_stopped() || host.unnoticed.is_excused(self.now)
    }

    /// A reading of the data path's first look: it lags by a sleep until that is noticed.
    pub(crate) fn before_sleep(&self, peer: usize, time: Time) -> Time {
        time.before(self.hosts[peer].unnoticed.slept())
    }

    /// The second look of the driver's data path, which notices: where the wall clock has gone
    /// ahead it holds its callers, and the event loop turns at once.
    pub(crate) fn second_look(&mut self, peer: usize) -> Time {
        let time = self.reading(peer);
        if bug::is(Bug::SleepUnseen) {
            return self.before_sleep(peer, time);
        }
        self.hosts[peer].unnoticed.notice_sleep();
        if self.has_gained(peer) {
            self.hosts[peer].unnoticed.notice_standstill();
            if !bug::is(Bug::StoppedClockIgnored)
                && let Some(process) = self.process(peer)
            {
                process.store.suspend();
                self.wake(peer);
            }
        }
        time
    }

    /// The event loop turns.
    pub(crate) fn note_turn(&mut self, peer: usize) {
        if self.has_gained(peer) {
            self.hosts[peer].unnoticed.notice_standstill();
        }
        let lead = self.lead(peer);
        self.hosts[peer].unnoticed.turn(lead);
    }

    /// Returns true if the wall clock has gone ahead of the other since the event loop last turned.
    fn has_gained(&self, peer: usize) -> bool {
        let gain = self.hosts[peer].unnoticed.gain(self.lead(peer));
        gain > i128::from(nanos(self.plan.timeout() / GAIN_DIVISOR))
    }

    fn lead(&self, peer: usize) -> i128 {
        let now = self.hosts[peer].clock.now(self.now);
        let (Time(time), GroupTime(wall)) = (now.time, now.wall);
        i128::from(wall) - i128::from(time)
    }
}
