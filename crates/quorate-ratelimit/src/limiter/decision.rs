//! The decision that a caller is told.

use std::time::{Duration, SystemTime};

use quorate::{Answer, Basis, Decider, GroupId, GroupTime, Item, MAX_ITEMS, Position, Term};

use crate::model::answer::{
    DENYING, INDEX_BITS, NO_WINDOW, REPEATED, RESERVED, SHADOWED, code, remaining, word,
};
use crate::model::error::AcquireError;
use crate::model::key::Key;
use crate::rule::operation::{Operation, Request};

/// The decision about an amount: whether it was admitted, and what is left.
///
/// A denial is a decision too, and counts nothing. Times run from the moment of the decision: on
/// their way back they are late by as much, never early.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::Decision;
///
/// fn status(decision: &Decision) -> u16 {
///     if decision.allowed { 200 } else { 429 }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a denial is a value: look at `allowed`"]
#[non_exhaustive]
pub struct Decision {
    /// True if the whole amount was admitted, and taken; of a peek (amount 0), if one unit would
    /// be.
    pub allowed: bool,
    /// The most units that can be admitted at once: the burst of a rate, the max of a window.
    pub limit: u64,
    /// Units that could be admitted right after this decision.
    pub remaining: u64,
    /// Units that were taken by this decision, or given back by a refund or a reset; let through,
    /// if it was not counted.
    pub granted: u64,
    /// True if it was counted. False only where there was no room for the count of a new key and
    /// [`AtCapacity::Admit`](crate::AtCapacity::Admit) was chosen: then `remaining` is of a key of
    /// which nothing was taken, and group, term, position and group time say nothing.
    pub counted: bool,
    /// True if this is the answer of an earlier call with the same idempotency key: nothing was
    /// taken by this one. What the first call was allowed to do may have been done: do it again
    /// only if that does no harm, or if the key cannot be another's, or another request's.
    ///
    /// A denial has it if the answer was given again [`MAX_REPEATS`](crate::MAX_REPEATS) times: the
    /// limit may have room, but not for this key until it is forgotten, which `retry_after` tells.
    pub repeated: bool,
    /// True if a shadow limit would have denied this; nothing of it was taken from that limit.
    pub shadow: bool,
    /// The time to wait until the same amount is admitted, if nobody else takes anything meanwhile;
    /// `None` if it was admitted now. Of permits, when one lapses at the latest; a
    /// second, where a peer without a primary has a share that is smaller than the amount.
    pub retry_after: Option<Duration>,
    /// The time until nothing counts any more: the bucket is full again, or the window is over.
    pub reset_after: Duration,
    /// The primary, which decided once for the group, or this peer alone.
    pub basis: Basis,
    /// The peer that decided: the primary that was asked, or this one. Shown as its name. Of a
    /// repeated answer: who repeated it; of what was not counted: this peer, which let it through.
    pub decided_by: Decider,
    /// The group it was decided for; `None` before its founding.
    pub group_id: Option<GroupId>,
    /// The reign of the primary that decided.
    pub term: Term,
    /// The moment of the decision, in group time, which keeps to the wall clocks of a majority of
    /// the members. Of a local decision: an estimate.
    pub group_time: GroupTime,
    /// Its place in the order of all decisions: positions of one term order them exactly. Of a
    /// local decision: the state that this peer's copy held.
    pub position: Position,
    /// The start of the window that it counts for, in group time; of a sliding window, of the
    /// slice of time. `None` for a rate.
    pub window: Option<SystemTime>,
    /// The threshold of the limit that this took its key past, in percent; the higher one of two.
    /// See [`Limit::alert_at`](crate::Limit::alert_at).
    pub crossed: Option<u8>,
    /// Units that count beyond the limit.
    beyond: u64,
    pub(crate) follow_up: FollowUp,
}

/// The step that is still to be done about a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowUp {
    None,
    /// Note that it denies.
    NoteDenial,
    /// Settle what is reserved of the key that it denies, for some of that may have lapsed, and ask
    /// the question again.
    SettleReserved,
    /// Tell the thresholds of its limit that it has crossed: the first, the second.
    Alert([bool; 2]),
}

/// The peer that decided, with its group and the moment.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) basis: Basis,
    pub(crate) decided_by: Decider,
    pub(crate) group_id: Option<GroupId>,
    pub(crate) position: Position,
    pub(crate) group_time: GroupTime,
}

impl Decision {
    /// Units that count at present: the limit less what remains, and those beyond it where more
    /// was debited than there was; the count of a counter. [`RateLimiter::top`] says the same.
    ///
    /// The answer of an earlier call ([`Decision::repeated`]) says nothing of what was beyond.
    ///
    /// [`RateLimiter::top`]: crate::RateLimiter::top
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn visits(limiter: &RateLimiter, page: &str) -> Result<u64, AcquireError> {
    ///     Ok(limiter.peek("visits", page, 1).await?.used())
    /// }
    /// ```
    pub fn used(&self) -> u64 {
        self.limit.saturating_sub(self.remaining).saturating_add(self.beyond)
    }

    /// Reads what the model answered.
    #[inline]
    pub(crate) fn read(
        limit: &str,
        amount: u64,
        decided: &quorate::Decision,
    ) -> Result<Self, AcquireError> {
        let origin = Origin {
            basis: decided.basis,
            decided_by: decided.decided_by,
            group_id: decided.group_id,
            position: decided.position,
            group_time: decided.group_time,
        };
        Self::of_answer(limit, amount, &decided.answer, origin)
    }

    /// Reads an answer of the model that came from there.
    #[inline(always)]
    pub(crate) fn of_answer(
        limit: &str,
        amount: u64,
        answer: &Answer,
        origin: Origin,
    ) -> Result<Self, AcquireError> {
        let words = &answer.words;
        let nanos = |word: usize| Duration::from_nanos(words[word]);
        let allowed = match answer.code {
            code::ALLOWED | code::SHADOW => true,
            code::DENIED => false,
            code::UNKNOWN_LIMIT => {
                let revision = words[word::LIMIT];
                return Err(AcquireError::MissingLimit { limit: limit.to_owned(), revision });
            }
            code::NEVER_ADMITTED => {
                let limit = limit.to_owned();
                let max = words[word::LIMIT];
                return Err(AcquireError::NeverAdmitted { limit, amount, max });
            }
            code::UNKNOWN_OPERATION => return Err(AcquireError::UnknownOperation),
            code::ENDED => return Err(AcquireError::Ended),
            code::UNSUPPORTED => {
                return Err(AcquireError::Unsupported { limit: limit.to_owned() });
            }
            code => return Err(AcquireError::UnknownAnswer { code }),
        };
        let (remaining, beyond) = remaining(answer);
        Ok(Self {
            allowed,
            limit: words[word::LIMIT],
            remaining,
            granted: if allowed { words[word::GRANTED] } else { 0 },
            counted: true,
            repeated: words[word::INDEX] & REPEATED != 0,
            shadow: answer.code == code::SHADOW,
            retry_after: (!allowed).then(|| nanos(word::RETRY_AFTER)),
            reset_after: nanos(word::RESET_AFTER),
            basis: origin.basis,
            decided_by: origin.decided_by,
            group_id: origin.group_id,
            term: origin.position.ballot.term,
            group_time: origin.group_time,
            position: origin.position,
            window: window(words[word::WINDOW]),
            crossed: None,
            beyond,
            follow_up: follow_up(words[word::INDEX], allowed),
        })
    }
}

impl Decision {
    /// Lets an amount through that is counted nowhere: the key is as it was before.
    pub(crate) fn uncounted(capacity: u64, granted: u64, basis: Basis, by: Decider) -> Self {
        Self {
            allowed: true,
            counted: false,
            limit: capacity,
            remaining: capacity,
            granted,
            repeated: false,
            shadow: false,
            retry_after: None,
            reset_after: Duration::ZERO,
            basis,
            decided_by: by,
            group_id: None,
            term: Position::BLANK.ballot.term,
            group_time: GroupTime(0),
            position: Position::BLANK,
            window: None,
            crossed: None,
            beyond: 0,
            follow_up: FollowUp::None,
        }
    }
}

/// The decision about several amounts that were asked for together.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::JointDecision;
///
/// fn refused(decision: &JointDecision, names: &[&str]) -> Vec<String> {
///     decision.violated.iter().map(|item| names[*item].to_owned()).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a denial is a value: look at `allowed`"]
#[non_exhaustive]
pub struct JointDecision {
    /// True if all amounts were admitted, and taken; else none was.
    pub allowed: bool,
    /// The items that refuse, by their place in the request; empty if all were admitted.
    pub violated: Vec<usize>,
    /// The items whose limits are shadows and would have refused, by their place.
    pub shadowed: Vec<usize>,
    /// The item that `decision` speaks of, by its place: the one that refuses for the longest, or
    /// else the one with the fewest units left, of a shadow only if all of them are.
    pub tightest: usize,
    /// The decision about it: its `granted` is of that item alone, and its `retry_after` is the
    /// longest wait of all.
    pub decision: Decision,
    /// The bits for items, as they came.
    word: u64,
}

/// One of several amounts that are asked for together.
pub(crate) struct Part<'a> {
    /// The name of its limit.
    pub(crate) limit: &'a str,
    pub(crate) key: Key,
    pub(crate) amount: u64,
}

impl Part<'_> {
    /// Returns the item that asks for it.
    pub(crate) fn item(&self) -> Item<'_> {
        Request::new(Operation::Acquire, self.amount).item(self.key.as_ref())
    }
}

impl JointDecision {
    /// Lets several amounts through that are counted nowhere.
    pub(crate) fn uncounted(decision: Decision) -> Self {
        Self {
            allowed: true,
            violated: Vec::new(),
            shadowed: Vec::new(),
            tightest: 0,
            decision,
            word: 0,
        }
    }

    /// Returns the items that deny although some of what is reserved of them may have lapsed; of
    /// the first `count` items.
    pub(crate) fn reserved(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        // Of an admission these bits say which thresholds were crossed.
        let denying = if self.allowed { 0 } else { self.word >> RESERVED };
        (0..count).filter(move |item| denying >> item & 1 != 0)
    }

    /// Returns the items that have crossed thresholds, and which.
    pub(crate) fn crossed(&self) -> impl Iterator<Item = (usize, [bool; 2])> + use<> {
        let is_told = self.allowed && self.word & REPEATED == 0;
        let word = if is_told { self.word } else { 0 };
        (0..MAX_ITEMS)
            .map(move |item| {
                (item, [DENYING, RESERVED].map(|shift| word >> shift >> item & 1 != 0))
            })
            .filter(|(_, crossed)| *crossed != [false; 2])
    }

    /// Reads what the model answered about all parts.
    pub(crate) fn read(
        parts: &[Part<'_>],
        decided: &quorate::Decision,
    ) -> Result<Self, AcquireError> {
        let word = decided.answer.words[word::INDEX];
        let tightest = (word & ((1 << INDEX_BITS) - 1)) as usize;
        // Another version may say a place that is none: that is no reason to panic.
        let part = parts.get(tightest);
        let limit = part.map_or("", |part| part.limit);
        let decision = Decision::read(limit, part.map_or(0, |part| part.amount), decided)?;
        let marked =
            |shift: u32| (0..parts.len()).filter(move |item| word >> shift & 1 << item != 0);
        let violated = if decision.allowed { Vec::new() } else { marked(DENYING).collect() };
        let shadowed = marked(SHADOWED).collect();
        Ok(Self { allowed: decision.allowed, violated, shadowed, tightest, decision, word })
    }
}

/// Reads what is to be done about the item that an answer speaks of.
#[inline]
fn follow_up(word: u64, allowed: bool) -> FollowUp {
    // Most answers have no bit above the index. A repeat was told, and alerted, the first time.
    if allowed && (word < 1 << INDEX_BITS || word & REPEATED != 0) {
        return FollowUp::None;
    }
    let index = word & ((1 << INDEX_BITS) - 1);
    let has_bit = |shift: u32| word >> shift >> index & 1 != 0;
    match (allowed, has_bit(DENYING), has_bit(RESERVED)) {
        (true, false, false) => FollowUp::None,
        (true, first, second) => FollowUp::Alert([first, second]),
        (false, _, true) if word & REPEATED == 0 => FollowUp::SettleReserved,
        (false, ..) => FollowUp::NoteDenial,
    }
}

#[inline]
fn window(start_ms: u64) -> Option<SystemTime> {
    if start_ms == NO_WINDOW {
        return None;
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(start_ms))
}
