//! The model that peers replicate: which limit a key belongs to, and what an operation does.

use std::sync::Arc;

use quorate::{Answer, Cell, Delta, GroupTime, Item, Model, Value};

use crate::key;
use crate::operation::{Operation, Order};
use crate::outcome::{Effect, Outcome, Verdict};
use crate::record::{self, RECORD_ID, Record};
use crate::rule::Rule;
use crate::table::{Entry, Table};

/// Answer codes. They travel between peers: numbers are never given another meaning.
pub(crate) mod code {
    pub(crate) const DENIED: u8 = 0;
    pub(crate) const ALLOWED: u8 = 1;
    /// The peer that decided has no limit of the key's id. Words: all zero but the index.
    pub(crate) const UNKNOWN_LIMIT: u8 = 2;
    /// The amount is above the capacity.
    pub(crate) const NEVER_ADMITTED: u8 = 3;
    /// The peer that decided does not know the operation. Nothing was written.
    pub(crate) const UNKNOWN_OPERATION: u8 = 4;
    /// Allowed, for the limit that would have denied it is a shadow.
    pub(crate) const SHADOW: u8 = 5;
}

/// Places of an answer's words.
pub(crate) mod word {
    pub(crate) const LIMIT: usize = 0;
    pub(crate) const REMAINING: usize = 1;
    /// Nanoseconds, of a denial.
    pub(crate) const RETRY_AFTER: usize = 2;
    /// Units that were taken or given back, of what is no denial: in the same place.
    pub(crate) const GRANTED: usize = 2;
    /// Nanoseconds.
    pub(crate) const RESET_AFTER: usize = 3;
    /// Unix milliseconds; [`NO_WINDOW`] for a rate.
    pub(crate) const WINDOW: usize = 4;
    /// Which item the other words speak of; above [`INDEX_BITS`], a bit for each item that denies, and
    /// above as many bits again one for each shadow limit that would have.
    pub(crate) const INDEX: usize = 5;
}

/// The bit of the word [`word::INDEX`] that says that this is the answer of an earlier call.
pub(crate) const REPEATED: u64 = 1 << 63;
/// Bits of the word [`word::INDEX`] that the index has.
pub(crate) const INDEX_BITS: u32 = 16;
pub(crate) const NO_WINDOW: u64 = u64::MAX;

/// Rate limits as a model of the core: give it to `Peer::builder`.
///
/// An item's first argument is the amount, the second what is done with it: 0 to acquire; its key is
/// made by [`Limits::key`]. Several items are admitted all or none, and a denied operation changes
/// nothing. The answer speaks of the item that denied for the longest, or else of the one with the
/// fewest units left.
///
/// [`Limits::key`]: crate::Limits::key
///
/// # Examples
///
/// All or none, for one call under two limits:
///
/// ```
/// use quorate::{Cell, GroupTime, Item, Model};
/// use quorate_ratelimit::{Limit, Limits};
///
/// let limits = Limits::builder()
///     .limit("user", Limit::per_second(10))
///     .limit("all", Limit::per_second(2))
///     .build()?;
/// let (user, all) = (limits.key("user", "alice")?, limits.key("all", "")?);
/// let items = [&user, &all].map(|key| Item { key: key.as_ref(), args: [1, 0] });
/// let mut cells = [Cell::new(None); 2];
///
/// let model = limits.model();
/// let units = [(); 3].map(|()| model.decide(&items, &mut cells, GroupTime(0)).units);
/// assert_eq!(units, [2, 2, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimitModel {
    table: Arc<Table>,
}

impl RateLimitModel {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    #[inline]
    fn entry(&self, key: &[u8]) -> Option<&Entry> {
        key::limit_of(key).and_then(|id| self.table.find(id))
    }

    #[inline]
    fn rule(&self, key: &[u8]) -> Option<&Rule> {
        self.entry(key).map(|entry| &entry.rule)
    }

    /// Decides what comes with an idempotency key: once.
    fn decide_once(
        &self,
        items: &[Item<'_>],
        cells: &mut [Cell],
        record: &mut Cell,
        now: GroupTime,
    ) -> Answer {
        if let Some(known) = Record::of(record) {
            return self.repeat(known, items, cells, now);
        }
        let answer = self.decide_all(items, cells, now);
        if matches!(answer.code, code::ALLOWED | code::SHADOW) {
            let known = Record {
                index: (answer.words[word::INDEX] & ((1 << INDEX_BITS) - 1)) as usize,
                window_ms: answer.words[word::WINDOW],
                remaining: answer.words[word::REMAINING],
                granted: answer.words[word::GRANTED],
            };
            known.write(record, now);
        }
        answer
    }

    /// The answer that an earlier call got; what is left of the time until a reset is told anew.
    fn repeat(
        &self,
        known: Record,
        items: &[Item<'_>],
        cells: &mut [Cell],
        now: GroupTime,
    ) -> Answer {
        let Some((item, cell)) = items.get(known.index).zip(cells.get_mut(known.index)) else {
            return refusal(code::UNKNOWN_OPERATION, known.index);
        };
        let Some(rule) = self.rule(item.key) else {
            return refusal(code::UNKNOWN_LIMIT, known.index);
        };
        let peek = Order { operation: Operation::Peek, amount: 1 };
        let present = rule.decide(cell, peek, now, Effect::Ask);
        let mut words = [0; 6];
        words[word::LIMIT] = present.limit;
        words[word::REMAINING] = known.remaining;
        words[word::GRANTED] = known.granted;
        words[word::RESET_AFTER] = present.reset_after;
        words[word::WINDOW] = known.window_ms;
        words[word::INDEX] = known.index as u64 | REPEATED;
        Answer { code: code::ALLOWED, units: 0, words }
    }

    /// Two passes, so that nothing is written before every item is known to be admitted.
    fn decide_all(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        let mut units: u64 = 0;
        let (mut denying, mut shadowed): (u64, u64) = (0, 0);
        let mut shown: Option<(usize, Outcome)> = None;
        for (index, (item, cell)) in items.iter().zip(&mut *cells).enumerate() {
            let (entry, order) = match self.read(index, item) {
                Ok(read) => read,
                Err(answer) => return answer,
            };
            let outcome = entry.decide(cell, order, now, Effect::Ask);
            if outcome.verdict == Verdict::Shadow {
                shadowed |= 1 << index;
            }
            if outcome.verdict == Verdict::Never {
                return to_answer(index, &outcome, 0);
            }
            if outcome.verdict == Verdict::Denied {
                denying |= 1 << index;
            }
            units = units.saturating_add(taken(order, &outcome));
            if shown.as_ref().is_none_or(|(_, shown)| is_tighter(&outcome, shown)) {
                shown = Some((index, outcome));
            }
        }
        let Some((index, outcome)) = shown else {
            return Answer::default();
        };
        let is_denied = denying != 0;
        let mut answer = to_answer(index, &outcome, if is_denied { 0 } else { units });
        answer.words[word::INDEX] |= denying << INDEX_BITS | shadowed << (2 * INDEX_BITS);
        if is_denied {
            return answer;
        }
        for (index, (item, cell)) in items.iter().zip(cells).enumerate() {
            if let Ok((entry, order)) = self.read(index, item) {
                entry.decide(cell, order, now, Effect::Take);
            }
        }
        answer
    }

    /// The limit and the order of an item, or the answer if there is none.
    #[inline]
    fn read(&self, index: usize, item: &Item<'_>) -> Result<(&Entry, Order), Answer> {
        let entry = self.entry(item.key).ok_or_else(|| refusal(code::UNKNOWN_LIMIT, index))?;
        let order = Order::of(item).ok_or_else(|| refusal(code::UNKNOWN_OPERATION, index))?;
        Ok((entry, order))
    }
}

impl Model for RateLimitModel {
    #[inline]
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        let ([item], [cell]) = (items, &mut *cells) else {
            return match (items, cells) {
                ([items @ .., last], [cells @ .., record])
                    if key::limit_of(last.key) == Some(RECORD_ID) =>
                {
                    self.decide_once(items, cells, record, now)
                }
                (items, cells) => self.decide_all(items, cells, now),
            };
        };
        let (entry, order) = match self.read(0, item) {
            Ok(read) => read,
            Err(answer) => return answer,
        };
        let outcome = entry.decide(cell, order, now, Effect::Take);
        to_answer(0, &outcome, taken(order, &outcome))
    }

    fn accumulate(
        &self,
        item: &Item<'_>,
        before: Option<&Value>,
        after: &Value,
        delta: &mut Delta,
    ) {
        if key::limit_of(item.key) == Some(RECORD_ID) {
            record::accumulate(after, delta);
        } else if let Some(rule) = self.rule(item.key) {
            rule.accumulate(before, after, delta);
        }
    }

    /// What of a peer's local decisions still matters now.
    ///
    /// A window that has closed is dropped, and so is what would have flowed back into a bucket by
    /// now. At one instant, the order of merges does not matter.
    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64 {
        if key::limit_of(key) == Some(RECORD_ID) {
            record::merge(delta, cell, now);
            return 0;
        }
        let merged = self.rule(key).and_then(|rule| rule.merge(cell.value(), delta, now));
        let Some((value, units)) = merged else {
            return 0;
        };
        cell.set(value);
        units
    }

    fn settings(&self) -> Vec<(String, String)> {
        let (count, revision) = (self.table.len(), self.table.revision());
        let limits = format!("{count}, revision {revision:016x}");
        // A peer of an older build takes every operation for an acquire.
        let operations = OPERATIONS_REVISION.to_string();
        vec![("limits".to_owned(), limits), ("operations".to_owned(), operations)]
    }
}

/// Which operations this version knows. Peers that differ in it name each other.
const OPERATIONS_REVISION: u32 = 4;

/// Units that an operation took: what is lost if its change is.
#[inline]
fn taken(order: Order, outcome: &Outcome) -> u64 {
    match order.operation {
        Operation::Acquire | Operation::AcquireUpTo | Operation::Debit => outcome.granted,
        Operation::Peek | Operation::Refund { .. } | Operation::Reset => 0,
    }
}

/// Whether a caller learns more from `outcome` than from `shown`.
fn is_tighter(outcome: &Outcome, shown: &Outcome) -> bool {
    let rank = |o: &Outcome| (o.verdict == Verdict::Denied, o.retry_after, u64::MAX - o.remaining);
    rank(outcome) > rank(shown)
}

#[inline]
fn to_answer(index: usize, outcome: &Outcome, units: u64) -> Answer {
    let mut words = [0; 6];
    words[word::LIMIT] = outcome.limit;
    words[word::REMAINING] = outcome.remaining;
    words[word::RETRY_AFTER] = match outcome.verdict {
        Verdict::Allowed | Verdict::Shadow => outcome.granted,
        Verdict::Denied | Verdict::Never => outcome.retry_after,
    };
    words[word::RESET_AFTER] = outcome.reset_after;
    words[word::WINDOW] = outcome.window.map_or(NO_WINDOW, |start| start / 1_000_000);
    words[word::INDEX] = index as u64;
    let code = match outcome.verdict {
        Verdict::Allowed => code::ALLOWED,
        Verdict::Denied => code::DENIED,
        Verdict::Never => code::NEVER_ADMITTED,
        Verdict::Shadow => code::SHADOW,
    };
    Answer { code, units, words }
}

#[cold]
fn refusal(code: u8, index: usize) -> Answer {
    let mut words = [0; 6];
    words[word::INDEX] = index as u64;
    Answer { code, units: 0, words }
}
