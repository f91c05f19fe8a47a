//! A named set of limits, checked as a whole.

use std::fmt;
use std::sync::Arc;

use crate::limit::Limit;
use crate::limit::bounds::{MAX_LIMIT_NAME_BYTES, MAX_LIMITS};
use crate::limit::error::{LimitError, LimitsError, LimitsErrorKind};
use crate::model::error::AcquireError;
use crate::model::key::Key;
use crate::model::key::MIN_LIMIT_ID;
use crate::model::named_limit::NamedLimit;
use crate::model::table::Table;

/// A named set of limits. Cheap to clone.
///
/// Peers of a group should have the same limits in their code; until the group's are first changed,
/// by [`RateLimiter::change_limits`](crate::RateLimiter::change_limits), the peer that decides
/// applies its own. Another code's `burst` or `max` keeps what was taken then, another rate or
/// length of a window starts its keys afresh, and a limit under a new name is a new limit.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quorate_ratelimit::{Limit, Limits};
///
/// let limits = Limits::builder()
///     .limit("api", Limit::per_second(100).burst(50))
///     .limit("mail", Limit::window(1000, Duration::from_secs(24 * 60 * 60)))
///     .build()?;
/// assert_eq!(limits.to_string(), "api: 100 per 1s, burst 50\nmail: 1000 in each window of 1d");
/// # Ok::<(), quorate_ratelimit::LimitsError>(())
/// ```
#[derive(Clone)]
pub struct Limits {
    pub(crate) table: Arc<Table>,
}

impl Limits {
    /// Begins an empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::Limits;
    /// assert_eq!(Limits::builder().build()?.iter().count(), 0);
    /// # Ok::<(), quorate_ratelimit::LimitsError>(())
    /// ```
    pub fn builder() -> LimitsBuilder {
        LimitsBuilder { limits: Vec::new() }
    }

    /// The limit of that name.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, Limits};
    ///
    /// let limits = Limits::builder().limit("api", Limit::per_second(100)).build()?;
    /// assert_eq!(limits.get("api"), Some(Limit::per_second(100)));
    /// assert_eq!(limits.get("apo"), None);
    /// # Ok::<(), quorate_ratelimit::LimitsError>(())
    /// ```
    pub fn get(&self, name: &str) -> Option<Limit> {
        self.table.find_name(name).map(|named| named.limit)
    }

    /// All limits, ordered by name.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, Limits};
    ///
    /// let limits = Limits::builder()
    ///     .limit("mail", Limit::per_day(1000))
    ///     .limit("api", Limit::per_second(100))
    ///     .build()?;
    /// assert_eq!(limits.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["api", "mail"]);
    /// # Ok::<(), quorate_ratelimit::LimitsError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, Limit)> {
        self.table.limits.iter().map(|named| (&*named.name, named.limit))
    }

    /// The key of a caller's cell under a limit.
    ///
    /// # Errors
    ///
    /// [`AcquireError::UnknownLimit`] and [`AcquireError::KeyTooLong`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, Limits};
    ///
    /// let limits = Limits::builder().limit("api", Limit::per_second(100)).build()?;
    /// assert_eq!(&limits.key("api", "alice")?.as_ref()[4..], b"alice");
    /// assert!(limits.key("apo", "alice").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self, limit: &str, key: impl AsRef<[u8]>) -> Result<Key, AcquireError> {
        Key::new(self.id(limit)?, key.as_ref())
    }

    /// Returns the id of a limit.
    #[inline]
    pub(crate) fn id(&self, limit: &str) -> Result<u32, AcquireError> {
        self.named(limit).map(|named| named.id)
    }

    /// Returns a limit with all that is known of it.
    #[inline]
    pub(crate) fn named(&self, limit: &str) -> Result<&NamedLimit, AcquireError> {
        self.table
            .find_name(limit)
            .ok_or_else(|| AcquireError::UnknownLimit { limit: limit.to_owned() })
    }
}

/// One line for each limit, ordered by name: worth a log line at start.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, limit)) in self.iter().enumerate() {
            let new_line = if index > 0 { "\n" } else { "" };
            write!(f, "{new_line}{name}: {limit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Collects limits; nothing is checked before [`LimitsBuilder::build`].
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::{Limit, Limits};
///
/// let wrong = Limits::builder().limit("api", Limit::per_second(0)).limit("", Limit::per_day(1));
/// let error = wrong.build().expect_err("two rules are broken");
/// assert_eq!(error.broken().len(), 2);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LimitsBuilder {
    pub(crate) limits: Vec<(String, Result<Limit, LimitError>)>,
}

impl LimitsBuilder {
    /// Adds a limit: a name of 1 to 64 printable ASCII characters, and what it says.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, Limits};
    /// let limits = Limits::builder().limit("api", Limit::per_second(100)).build();
    /// assert!(limits.is_ok());
    /// ```
    pub fn limit(mut self, name: impl Into<String>, limit: Limit) -> Self {
        self.limits.push((name.into(), limit.check().map(|()| limit)));
        self
    }

    /// Checks the set and prepares it.
    ///
    /// # Errors
    ///
    /// Every rule that is broken. Fix the limits; nothing was started.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Limit, Limits};
    ///
    /// let error = Limits::builder().limit("api", Limit::per_day(0)).build().expect_err("zero");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "limit api: a rate of 0 per 1d would admit nothing: use at least 1"
    /// );
    /// ```
    pub fn build(self) -> Result<Limits, LimitsError> {
        let mut broken = Vec::new();
        let count = self.limits.len();
        // Before anything is looked at: their number may be somebody else's choice.
        if count > MAX_LIMITS {
            return Err(LimitsError { broken: vec![LimitsErrorKind::Count { count }] });
        }
        let mut limits = Vec::with_capacity(count);
        for (name, limit) in self.limits {
            if !is_name(&name) {
                broken.push(LimitsErrorKind::Name { name });
                continue;
            }
            match limit {
                Ok(limit) => limits.push(NamedLimit::new(name, limit)),
                Err(source) => broken.push(LimitsErrorKind::Limit { name, source }),
            }
        }
        limits.sort_by(|a, b| a.name.cmp(&b.name));
        broken.extend(clashes(&limits));
        if !broken.is_empty() {
            return Err(LimitsError { broken });
        }
        Ok(Limits { table: Arc::new(Table::new(limits, 0)) })
    }
}

/// Returns true if a limit may be called so: fields of responses and labels of metrics can carry
/// it.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_LIMIT_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Finds names given twice and ids that two names share, or that side cells have.
fn clashes(limits: &[NamedLimit]) -> Vec<LimitsErrorKind> {
    let mut by_id: Vec<&NamedLimit> = limits.iter().collect();
    by_id.sort_by_key(|named| named.id);
    let pairs = by_id.windows(2).filter(|pair| pair[0].id == pair[1].id);
    let of_records = by_id.iter().filter(|named| named.id < MIN_LIMIT_ID).map(|named| {
        let name = named.name.to_string();
        LimitsErrorKind::Collision { name, other: "(cells beside those of limits)".to_owned() }
    });
    pairs
        .map(|pair| match (pair[0].name.to_string(), pair[1].name.to_string()) {
            (name, other) if name == other => LimitsErrorKind::Twice { name },
            (name, other) => LimitsErrorKind::Collision { name, other },
        })
        .chain(of_records)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::hash::limit_id;

    #[test]
    fn every_limit_is_found_among_many() {
        let names: Vec<_> = (0..MAX_LIMITS).map(|number| format!("limit {number}")).collect();
        let mut builder = Limits::builder();
        for (number, name) in names.iter().enumerate() {
            builder = builder.limit(name, Limit::per_second(number as u64 + 1));
        }
        let limits = builder.build().expect("no two of these names collide");
        for (number, name) in names.iter().enumerate() {
            assert_eq!(limits.get(name), Some(Limit::per_second(number as u64 + 1)));
        }
        assert_eq!(limits.get("limit"), None);
        assert!(limits.table.find(7).is_none());
    }

    #[test]
    fn a_set_names_every_rule_that_it_breaks() {
        let one = Limit::per_second(1);
        let error = Limits::builder()
            .limit("a", one)
            .limit("a", one)
            .limit("", one)
            .limit("naïve", one)
            .limit("x".repeat(65), one)
            .limit("z", one.burst(0))
            .build()
            .expect_err("five rules are broken");
        assert_eq!(error.broken().len(), 5, "{error}");
        assert!(error.to_string().contains("two limits are called \"a\""), "{error}");
        let source = LimitError::ZeroBurst;
        assert!(error.broken().contains(&LimitsErrorKind::Limit { name: "z".into(), source }));
    }

    #[test]
    fn too_many_limits_are_refused() {
        let mut builder = Limits::builder();
        for number in 0..=MAX_LIMITS {
            builder = builder.limit(number.to_string(), Limit::per_day(1));
        }
        let error = builder.build().expect_err("one too many");
        assert_eq!(error.to_string(), "4097 limits are more than 4096: leave some out");
    }

    #[test]
    fn two_names_of_one_id_are_refused() {
        let (name, other) = collision();
        let limit = Limit::per_second(1);
        let error = Limits::builder().limit(&name, limit).limit(&other, limit).build();
        let error = error.expect_err("they share an id");
        assert!(matches!(error.broken(), [LimitsErrorKind::Collision { .. }]), "{error}");
    }

    /// Two names with the same id: with 2^18 of them, about eight pairs are expected.
    fn collision() -> (String, String) {
        let mut seen = std::collections::HashMap::new();
        for number in 0..1 << 18 {
            let name = format!("n{number}");
            if let Some(other) = seen.insert(limit_id(&name), name.clone()) {
                return (name, other);
            }
        }
        unreachable!("2^18 names of a hash of 32 bits collide")
    }

    #[test]
    fn the_revision_ignores_the_order_and_sees_every_number() {
        let (a, b) = (Limit::per_second(1), Limit::per_second(2));
        let revision =
            |builder: LimitsBuilder| builder.build().expect("usable").table.fingerprint();
        let first = revision(Limits::builder().limit("a", a).limit("b", b));
        assert_eq!(first, revision(Limits::builder().limit("b", b).limit("a", a)));
        assert_ne!(first, revision(Limits::builder().limit("a", a).limit("b", b.burst(3))));
        assert_ne!(first, revision(Limits::builder().limit("a", b).limit("b", a)));
    }
}
