//! The conduct of a peer without a primary under a limit.

use std::fmt;

use crate::limit::error::{LimitError, thousandths};

/// The conduct of a peer without a primary with requests under one limit.
///
/// Whatever was decided alone is merged into the new primary's counts, or dropped, as the group's
/// `on_reconnect` says. An operation on several limits is refused if one of them refuses.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::{Limit, WithoutPrimary};
///
/// // Each of three peers may go on with a third of it: together never more than the limit itself.
/// const API: Limit = Limit::per_second(900).without_primary(WithoutPrimary::share(333));
/// assert_eq!(API.to_string(), "900 per 1s, burst 900, alone 0.333 of it");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WithoutPrimary {
    /// As the group's mode says: refuse, or decide alone by the whole limit on this peer's copy of
    /// the counts.
    #[default]
    AsGroup,
    /// Refuse, in a relaxed group too.
    Refuse,
    /// Decide alone by a share of the limit, which this peer counts by itself from nothing. With
    /// every outage the group admits at most as much beyond the limit as the shares of the peers
    /// that are cut off, each rounded up: with `share(1000 / n)` at `n` peers, another limit's
    /// worth at most.
    Share {
        /// Thousandths of the limit, 1 to 1,000.
        per_mille: u16,
    },
    /// Admit everything, and count it: all of it at this peer meanwhile, and of each peer up to the
    /// limit when it is merged. Whoever is to pay for what came beyond has to be told of it by
    /// another count, such as a [`Limit::counter`](crate::Limit::counter), which is merged whole.
    Open,
}

impl WithoutPrimary {
    /// A share of this many thousandths of the limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::WithoutPrimary;
    /// assert_eq!(WithoutPrimary::parse("share:0.25"), Ok(WithoutPrimary::share(250)));
    /// ```
    pub const fn share(per_mille: u16) -> Self {
        Self::Share { per_mille }
    }

    /// Reads it as a limits file writes it: `refuse`, `open`, or `share:` and a part like `0.3`.
    ///
    /// # Errors
    ///
    /// [`LimitError::WithoutPrimaryText`] if it cannot be read, and [`LimitError::Share`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::WithoutPrimary;
    ///
    /// assert_eq!(WithoutPrimary::parse("refuse"), Ok(WithoutPrimary::Refuse));
    /// assert!(WithoutPrimary::parse("share:1.5").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let unreadable = || LimitError::WithoutPrimaryText { text: text.to_owned() };
        let read = match text.trim() {
            "refuse" => Self::Refuse,
            "open" => Self::Open,
            other => {
                let part = other.strip_prefix("share:").ok_or_else(unreadable)?;
                Self::Share { per_mille: per_mille(part.trim()).ok_or_else(unreadable)? }
            }
        };
        read.check().map(|()| read)
    }

    pub(crate) const fn check(self) -> Result<(), LimitError> {
        match self {
            Self::Share { per_mille } if per_mille == 0 || per_mille > 1000 => {
                Err(LimitError::Share { per_mille })
            }
            _ => Ok(()),
        }
    }

    /// Writes it as a limits file does; `None` if that leaves it out.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::AsGroup => None,
            Self::Refuse => Some("refuse".to_owned()),
            Self::Share { per_mille } => Some(format!("share:{}", thousandths(per_mille))),
            Self::Open => Some("open".to_owned()),
        }
    }
}

/// Reads a decimal fraction of up to three places, exactly.
fn per_mille(text: &str) -> Option<u16> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(places) || places.len() > 3 {
        return None;
    }
    let places: u16 = format!("{places:0<3}").parse().ok()?;
    whole.parse::<u16>().ok()?.checked_mul(1000)?.checked_add(places)
}

/// Returns true for digits, and nothing else: a sign is no part of a share.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes it as a part of a limit's text.
impl fmt::Display for WithoutPrimary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsGroup => Ok(()),
            Self::Refuse => f.write_str(", alone refused"),
            Self::Share { per_mille } => write!(f, ", alone {} of it", thousandths(*per_mille)),
            Self::Open => f.write_str(", alone open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_as_it_is_written() {
        for choice in [
            WithoutPrimary::Refuse,
            WithoutPrimary::Open,
            WithoutPrimary::share(1),
            WithoutPrimary::share(300),
            WithoutPrimary::share(1000),
        ] {
            let text = choice.text().expect("it is written");
            assert_eq!(WithoutPrimary::parse(&text), Ok(choice), "{text}");
        }
        assert_eq!(WithoutPrimary::share(300).text().as_deref(), Some("share:0.3"));
    }

    #[test]
    fn nonsense_is_refused_with_what_was_written() {
        for text in ["", "strict", "share", "share:", "share:.3", "share:0.3333", "share:-1"] {
            let error = LimitError::WithoutPrimaryText { text: text.to_owned() };
            assert_eq!(WithoutPrimary::parse(text), Err(error));
        }
        for (text, per_mille) in [("share:0", 0), ("share:1.001", 1001)] {
            assert_eq!(WithoutPrimary::parse(text), Err(LimitError::Share { per_mille }));
        }
    }
}
