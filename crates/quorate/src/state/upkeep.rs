//! How the group looks after its members, as it was told (docs/protocol.md, section 15).

use std::time::Duration;

use crate::base::id::GroupTime;
use crate::config::{Monitor, MonitorChange};

/// How the group looks after its members, as part of its replicated state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Counts changes. At 0 every primary goes by its own settings.
    pub revision: u64,
    /// What was said last; `None` if nobody is to be forgotten.
    pub monitor: Option<Monitor>,
    /// Until then, by the calendar, nobody is forgotten.
    pub paused_until: Option<GroupTime>,
}

impl Upkeep {
    /// What a primary with these settings goes by.
    pub fn in_force(&self, own: Option<Monitor>) -> Option<Monitor> {
        if self.revision == 0 { own } else { self.monitor }
    }

    /// The end of the pause that is under way at `now`, by the calendar. One that is further ahead
    /// than may be asked for is of a calendar that was set back, and none.
    pub fn pause_at(&self, now: GroupTime) -> Option<GroupTime> {
        let latest = now.after(Monitor::MAX_PAUSE);
        self.paused_until.filter(|until| *until > now && *until <= latest)
    }

    /// This after a change at `now`, by the calendar, at a primary with these settings; `None` if
    /// that changes nothing.
    pub fn changed(
        &self,
        change: MonitorChange,
        own: Option<Monitor>,
        now: GroupTime,
    ) -> Option<Self> {
        let monitor = self.in_force(own);
        let paused_until = self.pause_at(now);
        let (monitor, paused_until) = match change {
            MonitorChange::Set(monitor) => (Some(monitor), paused_until),
            MonitorChange::Off => (None, None),
            MonitorChange::Pause(pause) => {
                let pause = pause.min(Monitor::MAX_PAUSE);
                (monitor, Some(now.after(pause)).filter(|_| pause > Duration::ZERO))
            }
            MonitorChange::Resume => (monitor, None),
        };
        let changed = Self { revision: self.revision.saturating_add(1), monitor, paused_until };
        let is_same = Self { revision: self.revision, ..changed } == *self && self.revision > 0;
        (!is_same).then_some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: GroupTime = GroupTime(1_000_000_000_000_000);

    #[test]
    fn until_the_first_change_each_primary_goes_by_its_own_settings() {
        let own = Some(Monitor::new(3));
        let upkeep = Upkeep::default();
        assert_eq!((upkeep.in_force(own), upkeep.in_force(None)), (own, None));
        let paused = upkeep.changed(MonitorChange::Pause(HOUR), own, NOW).expect("a change");
        assert_eq!(paused.revision, 1);
        assert_eq!(paused.in_force(None), own, "what was in force where it was said");
        let off = paused.changed(MonitorChange::Off, own, NOW).expect("a change");
        assert_eq!((off.in_force(own), off.pause_at(NOW)), (None, None));
    }

    #[test]
    fn a_pause_ends_by_itself_and_whatever_the_calendar_does() {
        let paused =
            Upkeep::default().changed(MonitorChange::Pause(HOUR * 99), None, NOW).expect("a pause");
        let until = paused.pause_at(NOW).expect("it is under way");
        assert_eq!(until, NOW.after(Monitor::MAX_PAUSE));
        assert_eq!(paused.pause_at(until), None);
        assert_eq!(paused.pause_at(GroupTime(5)), None, "the calendar was set back by days");
        let resumed = paused.changed(MonitorChange::Resume, None, NOW).expect("a change");
        assert_eq!(resumed.pause_at(NOW), None);
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let set = MonitorChange::Set(Monitor::new(3));
        let first = Upkeep::default().changed(set, Some(Monitor::new(3)), NOW).expect("the first");
        assert_eq!(first.changed(set, None, NOW), None);
        assert_eq!(first.changed(MonitorChange::Resume, None, NOW), None);
        let paused = first.changed(MonitorChange::Pause(HOUR), None, NOW).expect("a pause");
        let again = paused.changed(set, None, NOW);
        assert_eq!(again, None, "a pause that is under way goes on");
        let later = NOW.after(HOUR * 2);
        assert!(paused.changed(set, None, later).is_some(), "an old pause is taken off the record");
    }
}
