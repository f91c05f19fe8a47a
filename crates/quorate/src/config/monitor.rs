//! How a group looks after its members by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "driver")]
use super::{MAX_MEMBERS, error::ConfigError};
use crate::words::{bound, optional_duration};

/// How a group looks after its members by itself ([docs/protocol.md], section 15). Off unless set.
///
/// The primary forgets a member that was silent for the grace, as [`Peer::forget`] would, while as
/// many live members as the operator wants are there without it. Where nobody has come in its
/// place it stays a member, however long it is gone: silence is no evidence of an end.
///
/// Each primary goes by its own setting until [`Peer::change_monitor`] is called; from then on what
/// that has said counts for the whole group, and outlives its primaries.
///
/// ```
/// use std::time::Duration;
///
/// use quorate::Monitor;
///
/// let monitor = Monitor::new(3).grace(Duration::from_secs(30));
/// assert_eq!(monitor.size(), 3);
/// ```
///
/// [docs/protocol.md]: https://github.com/quorate/quorate/blob/main/docs/protocol.md
/// [`Peer::change_monitor`]: crate::Peer::change_monitor
/// [`Peer::forget`]: crate::Peer::forget
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Monitor {
    #[serde(deserialize_with = "bound")]
    size: usize,
    #[serde(default, with = "optional_duration", skip_serializing_if = "Option::is_none")]
    grace: Option<Duration>,
}

impl Monitor {
    /// The longest silence that may be asked for: 30 days.
    pub const MAX_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);
    /// The longest pause that may be asked for: 24 hours.
    pub const MAX_PAUSE: Duration = Duration::from_secs(24 * 3600);
    /// The silence that is waited for unless told otherwise, or three failure timeouts if that is
    /// more.
    const DEFAULT_GRACE: Duration = Duration::from_secs(60);

    /// Keeps a group at `size` live members, from 1 to [`MAX_MEMBERS`](crate::MAX_MEMBERS): say as
    /// many as are deployed. With fewer than that a partition would have the larger side forget the
    /// other, which then comes back as new members.
    pub const fn new(size: usize) -> Self {
        Self { size, grace: None }
    }

    /// Sets the silence after which a member that was replaced is forgotten: from one failure
    /// timeout to 30 days. By default a minute, or three failure timeouts if that is more.
    #[must_use]
    pub const fn grace(self, grace: Duration) -> Self {
        Self { grace: Some(grace), ..self }
    }

    /// The number of live members that is wanted.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The silence that was asked for, if any was.
    pub fn own_grace(&self) -> Option<Duration> {
        self.grace
    }

    /// The silence that is waited for in a group with this failure timeout, of which it is never
    /// less.
    pub fn grace_within(&self, failure_timeout: Duration) -> Duration {
        let default = Self::DEFAULT_GRACE.max(failure_timeout * 3);
        self.grace.unwrap_or(default).max(failure_timeout)
    }

    /// The silence after which a member counts as stale where nobody has said anything of it.
    pub(crate) fn default_grace(failure_timeout: Duration) -> Duration {
        Self::new(1).grace_within(failure_timeout)
    }

    /// Checks the rules of its fields.
    ///
    /// # Errors
    ///
    /// The rule that is broken.
    #[cfg(feature = "driver")]
    pub(crate) fn check(&self, failure_timeout: Duration) -> Result<(), ConfigError> {
        if self.size == 0 || self.size > MAX_MEMBERS {
            return Err(ConfigError::MonitorSize { size: self.size });
        }
        match self.grace {
            Some(grace) if grace < failure_timeout || grace > Self::MAX_GRACE => {
                Err(ConfigError::MonitorGrace { grace, failure_timeout })
            }
            _ => Ok(()),
        }
    }
}

/// A change of how a group looks after its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorChange {
    /// Look after them like this. A pause that is under way goes on.
    Set(Monitor),
    /// Forget nobody any more.
    Off,
    /// Forget nobody for so long, at most [`Monitor::MAX_PAUSE`], from when the primary hears of
    /// it. It ends by itself.
    Pause(Duration),
    /// End a pause.
    Resume,
}

impl MonitorChange {
    /// The change as other peers are told of it.
    #[cfg(feature = "driver")]
    pub(crate) fn in_whole_millis(self) -> Self {
        match self {
            Self::Pause(pause) => Self::Pause(whole_millis(pause)),
            other => other,
        }
    }

    /// Checks what it asks for.
    ///
    /// # Errors
    ///
    /// The rule that is broken.
    #[cfg(feature = "driver")]
    pub(crate) fn check(&self, failure_timeout: Duration) -> Result<(), ConfigError> {
        match self {
            Self::Set(monitor) => monitor.check(failure_timeout),
            Self::Pause(pause) if pause.is_zero() || *pause > Monitor::MAX_PAUSE => {
                Err(ConfigError::MonitorPause { pause: *pause })
            }
            Self::Off | Self::Pause(_) | Self::Resume => Ok(()),
        }
    }
}

/// A duration without what is less than a millisecond.
#[cfg(feature = "driver")]
const fn whole_millis(duration: Duration) -> Duration {
    let less = (duration.subsec_nanos() % 1_000_000) as u64;
    duration.saturating_sub(Duration::from_nanos(less))
}

#[cfg(all(test, feature = "driver"))]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn the_grace_is_a_minute_or_three_timeouts_and_never_less_than_one() {
        let monitor = Monitor::new(3);
        assert_eq!(monitor.grace_within(TIMEOUT).as_secs(), 60);
        assert_eq!(monitor.grace_within(TIMEOUT * 3).as_secs(), 90);
        let short = monitor.grace(TIMEOUT);
        assert_eq!((short.grace_within(TIMEOUT), short.check(TIMEOUT)), (TIMEOUT, Ok(())));
        // A primary with another timeout may go by what one with a shorter one was told.
        assert_eq!(short.grace_within(TIMEOUT * 2), TIMEOUT * 2);
    }

    #[test]
    fn a_mistake_is_named_with_its_bound() {
        for (change, says) in [
            (MonitorChange::Set(Monitor::new(0)), "a monitor of 0 members"),
            (MonitorChange::Set(Monitor::new(8)), "a monitor of 8 members"),
            (MonitorChange::Set(Monitor::new(3).grace(TIMEOUT / 2)), "a grace of 5s"),
            (MonitorChange::Set(Monitor::new(3).grace(Monitor::MAX_GRACE * 2)), "a grace of"),
            (MonitorChange::Pause(Duration::ZERO), "a pause of 0"),
            (MonitorChange::Pause(Monitor::MAX_PAUSE * 2), "a pause of 2d"),
        ] {
            let error = change.check(TIMEOUT).expect_err("a rule is broken").to_string();
            assert!(error.starts_with(says), "{error}");
        }
        for change in [MonitorChange::Off, MonitorChange::Resume] {
            assert_eq!(change.check(TIMEOUT), Ok(()));
        }
    }
}
