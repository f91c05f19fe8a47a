//! The check of a limit's numbers.

use std::time::Duration;

use crate::limit::bounds::{
    MAX_APPROXIMATE, MAX_LEASE, MAX_PERMITS, MAX_SLIDING, MAX_WINDOW, MIN_LEASE, MIN_WINDOW,
    most_burst,
};
use crate::limit::error::LimitError;
use crate::limit::{Kind, Limit, MANY_ALERTS, ZERO_ALERT};

impl Limit {
    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, LimitError};
    ///
    /// assert_eq!(Limit::per_second(100).check(), Ok(()));
    /// assert_eq!(Limit::per_second(100).burst(0).check(), Err(LimitError::ZeroBurst));
    /// ```
    pub fn check(&self) -> Result<(), LimitError> {
        self.without_primary.check()?;
        self.check_alerts()?;
        match (self.kind, self.burst) {
            (Kind::Rate { amount: 0, period }, _) => Err(LimitError::ZeroRate { period }),
            (Kind::Rate { .. }, Some(0)) => Err(LimitError::ZeroBurst),
            (Kind::Rate { period, .. }, _) if !is_window(period) => {
                Err(LimitError::Period { period })
            }
            (Kind::Rate { amount, period }, _) => self.check_burst(amount, period),
            (Kind::Counter, None) => Ok(()),
            // Of all that is no rate.
            (_, Some(burst)) => Err(LimitError::WindowBurst { burst }),
            (
                Kind::Window { max: 0, .. }
                | Kind::Sliding { max: 0, .. }
                | Kind::ApproximateSliding { max: 0, .. }
                | Kind::Calendar { max: 0, .. },
                _,
            ) => Err(LimitError::ZeroMax),
            (Kind::Concurrent { max: 0, .. }, _) => Err(LimitError::ZeroPermits),
            (Kind::Calendar { calendar, .. }, _) => calendar.check(),
            (Kind::Sliding { max, .. }, _) if max > MAX_SLIDING => {
                Err(LimitError::SlidingMax { max, most: MAX_SLIDING })
            }
            (Kind::ApproximateSliding { max, .. }, _) if max > MAX_APPROXIMATE => {
                Err(LimitError::SlidingMax { max, most: MAX_APPROXIMATE })
            }
            (
                Kind::Window { length, .. }
                | Kind::Sliding { length, .. }
                | Kind::ApproximateSliding { length, .. },
                _,
            ) => {
                if is_window(length) {
                    Ok(())
                } else {
                    Err(LimitError::WindowLength { length })
                }
            }
            (Kind::Concurrent { max, .. }, _) if max > MAX_PERMITS => {
                Err(LimitError::Permits { max, most: MAX_PERMITS })
            }
            (Kind::Concurrent { lease, .. }, _) => {
                let is_usable = (MIN_LEASE..=MAX_LEASE).contains(&lease) && is_whole(lease);
                if is_usable { Ok(()) } else { Err(LimitError::Lease { lease }) }
            }
        }
    }

    /// Checks that a cell can hold a debt of the whole burst.
    fn check_burst(&self, amount: u64, period: Duration) -> Result<(), LimitError> {
        let burst = self.capacity();
        let most = most_burst(amount, period);
        if burst <= most { Ok(()) } else { Err(LimitError::Burst { burst, amount, period, most }) }
    }

    fn check_alerts(&self) -> Result<(), LimitError> {
        let [first, second] = self.alerts;
        match self.alerts {
            [0, 0] => Ok(()),
            MANY_ALERTS => Err(LimitError::AlertCount),
            ZERO_ALERT => Err(LimitError::Alerts { percents: vec![0] }),
            // The same percentage twice would tell one moment as two.
            _ if first == 0 || first == second || first.max(second) > 100 => {
                let given = if second == 0 { &self.alerts[..1] } else { &self.alerts };
                Err(LimitError::Alerts { percents: given.to_vec() })
            }
            _ if matches!(self.kind, Kind::Counter) => Err(LimitError::AlertsOfCounter),
            _ => Ok(()),
        }
    }
}

/// Returns true if a period is whole milliseconds, and within what windows may have.
fn is_window(length: Duration) -> bool {
    (MIN_WINDOW..=MAX_WINDOW).contains(&length) && is_whole(length)
}

fn is_whole(time: Duration) -> bool {
    time.subsec_nanos().is_multiple_of(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::MINUTE;

    #[test]
    fn every_rule_has_its_own_error_with_the_value() {
        let ms = Duration::from_millis;
        for (limit, error) in [
            (Limit::per_minute(0), LimitError::ZeroRate { period: MINUTE }),
            (Limit::per_second(1).burst(0), LimitError::ZeroBurst),
            (Limit::window(0, MINUTE), LimitError::ZeroMax),
            (Limit::window(1, MINUTE).burst(3), LimitError::WindowBurst { burst: 3 }),
            (Limit::window(1, ms(0)), LimitError::WindowLength { length: ms(0) }),
            (Limit::window(1, Duration::MAX), LimitError::WindowLength { length: Duration::MAX }),
            (
                Limit::window(1, Duration::from_micros(1500)),
                LimitError::WindowLength { length: Duration::from_micros(1500) },
            ),
        ] {
            assert_eq!(limit.check(), Err(error), "{limit}");
        }
        assert_eq!(Limit::per_second(u64::MAX).burst(u64::MAX).check(), Ok(()));
        assert_eq!(Limit::concurrent(0).check(), Err(LimitError::ZeroPermits));
        assert_eq!(Limit::window(u64::MAX, MAX_WINDOW).check(), Ok(()));
    }

    #[test]
    fn errors_say_what_to_write_instead() {
        let error = Limit::window(5, Duration::from_nanos(10)).check().expect_err("too short");
        assert_eq!(
            error.to_string(),
            "a window of 10ns is not usable: whole milliseconds, 1ms to 366d"
        );
        let error = Limit::per_day(0).check().expect_err("admits nothing");
        assert_eq!(error.to_string(), "a rate of 0 per 1d would admit nothing: use at least 1");
    }
}
