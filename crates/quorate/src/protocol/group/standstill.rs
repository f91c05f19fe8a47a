//! Signs that the clock which leases are measured by has stood still: wall clocks that have gone
//! ahead of it (docs/protocol.md, section 5).
//!
//! A virtual machine that is paused, or moved while it runs, finds its clocks where they were. Its
//! wall clock is set right at some time, at once or after minutes; those of others are ahead as
//! soon as anything is heard of them.

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{GroupTime, Now, PeerName};
use crate::base::told::millis;
use crate::config::GroupConfig;
use crate::protocol::group::wall_watch::Baseline;
use crate::protocol::io::Route;
use crate::protocol::machine::Machine;
use crate::protocol::role::Role;

impl Machine {
    /// Looks at this peer's own clocks.
    pub(in crate::protocol) fn watch_own_wall(&mut self, now: Now) {
        let period = self.group.failure_timeout;
        let bound = GroupConfig::longest_gain(period);
        let gain = self.wall_watch.gain(now, Baseline::Least, period, bound);
        if let Some(gain) = gain {
            self.on_standstill(gain);
        }
    }

    /// Looks at the wall clock of another member, which it has just told.
    pub(in crate::protocol) fn watch_remote_wall(&mut self, name: &PeerName, wall: GroupTime) {
        let period = self.group.failure_timeout;
        let bound = self.group.longest_remote_gain();
        let now = self.now.time;
        if !self.knows(name) {
            return;
        }
        let Some(remote) = self.remotes.get_mut(name) else { return };
        let watch = remote.wall_watch(now, wall);
        if let Some(gain) = watch.gain(Now { time: now, wall }, Baseline::Most, period, bound) {
            self.on_standstill(gain);
        }
    }

    /// This peer's clock may have stood for so long. What it has promised it keeps for longer than
    /// it has to; what others have promised it may be over: no ping sent before now counts any
    /// more.
    fn on_standstill(&mut self, gain: Duration) {
        if bug::is(Bug::StoppedClockIgnored) {
            return;
        }
        self.pings.clear();
        for remote in self.remotes.values_mut() {
            remote.forget_promises();
        }
        let Role::Primary(reign) = &mut self.role else { return };
        // The driver may have held its callers already.
        if reign.lease_mut().doubt(self.now.time) {
            self.store.suspend();
            let ahead_ms = millis(gain);
            let ballot = self.ballot;
            self.event(Event::ClockDoubted { ballot, ahead_ms });
            self.set_route(Route::HandingOver);
        }
        self.ping_all();
        self.wake_soon();
    }
}
