//! Limits as people and files write them.

use std::fmt;

use crate::limit::duration::{self, Period};
use crate::limit::error::LimitError;
use crate::limit::{DAY, HOUR, Kind, Limit, MINUTE, SECOND};

impl Limit {
    /// Reads a rate as a limits file writes it: a number and `/s`, `/m`, `/h` or `/d`, or a period
    /// like `/10s`.
    ///
    /// # Errors
    ///
    /// [`LimitError::RateText`] if the text cannot be read, and whatever [`Limit::check`] finds.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limit;
    ///
    /// assert_eq!(Limit::parse_rate("100/s", None)?, Limit::per_second(100));
    /// assert_eq!(Limit::parse_rate("5000/h", Some(50))?, Limit::per_hour(5000).burst(50));
    /// assert_eq!(Limit::parse_rate("1/365d", None)?.to_string(), "1 per 365d, burst 1");
    /// assert!(Limit::parse_rate("100", None).is_err());
    /// # Ok::<(), quorate_ratelimit::LimitError>(())
    /// ```
    pub fn parse_rate(text: &str, burst: Option<u64>) -> Result<Self, LimitError> {
        let unreadable = || LimitError::RateText { text: text.to_owned() };
        let (amount, unit) = text.split_once('/').ok_or_else(unreadable)?;
        let period = match unit.trim() {
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            other => duration::parse(other).ok_or_else(unreadable)?,
        };
        let digits = amount.trim();
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(unreadable());
        }
        let amount = digits.parse().map_err(|_| unreadable())?;
        let limit = Self { burst, ..Self::rate(amount, period) };
        limit.check()?;
        Ok(limit)
    }

    /// Reads a window as a limits file writes it: a number and `ms`, `s`, `m`, `h` or `d`.
    ///
    /// # Errors
    ///
    /// [`LimitError::DurationText`] if the text cannot be read, and whatever [`Limit::check`]
    /// finds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::Limit;
    ///
    /// let minute = Limit::window(1000, Duration::from_secs(60));
    /// assert_eq!(Limit::parse_window(1000, "60s")?, minute);
    /// # Ok::<(), quorate_ratelimit::LimitError>(())
    /// ```
    pub fn parse_window(max: u64, length: &str) -> Result<Self, LimitError> {
        let unreadable = || LimitError::DurationText { text: length.to_owned() };
        let limit = Self::window(max, duration::parse(length.trim()).ok_or_else(unreadable)?);
        limit.check()?;
        Ok(limit)
    }
}

/// The limit in words, for logs: `100 per 1s, burst 50` or `1000 in each window of 1m`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Rate { amount, period } => {
                write!(f, "{amount} per {}, burst {}", Period(period), self.capacity())
            }
            Kind::Window { max, length } => {
                write!(f, "{max} in each window of {}", Period(length))
            }
            Kind::Sliding { max, length } => write!(f, "{max} in any {}, sliding", Period(length)),
            Kind::ApproximateSliding { max, length } => {
                write!(f, "about {max} in any {}, sliding", Period(length))
            }
            Kind::Calendar { max, calendar } => write!(f, "{max} per {calendar}"),
            Kind::Concurrent { max, lease } => write!(f, "{max} at once, lease {}", Period(lease)),
            Kind::Counter => f.write_str("a counter"),
        }?;
        f.write_str(if self.is_shadow { ", shadow" } else { "" })?;
        self.without_primary.fmt(f)?;
        match self.alerts {
            [0, _] => Ok(()),
            [one, 0] => write!(f, ", alerts at {one}%"),
            [one, two] => write!(f, ", alerts at {one}%, {two}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_all_units_and_nothing_else() {
        assert_eq!(Limit::parse_rate("7/m", None), Ok(Limit::per_minute(7)));
        assert_eq!(Limit::parse_rate(" 7 / d ", Some(9)), Ok(Limit::per_day(7).burst(9)));
        for text in ["", "/", "/s", "7/", "7/w", "7s", "-7/s", "+7/s", "7.5/s", "7/s/s", "1e3/s"] {
            let error = LimitError::RateText { text: text.to_owned() };
            assert_eq!(Limit::parse_rate(text, None), Err(error));
        }
        assert!(Limit::parse_rate("18446744073709551616/s", None).is_err(), "does not fit");
        assert_eq!(Limit::parse_rate("0/s", None), Err(LimitError::ZeroRate { period: SECOND }));
    }
}
