//! What an operation on several items comes to: all or none, once, or on a permit or reservation.

use quorate::{Answer, Cell, DecideContext, GroupTime, Item};

use crate::model::answer::{
    DENYING, HELD, INDEX_BITS, OVERDRAWN, REPEATED, SHADOWED, code, refusal, remaining, to_answer,
    word,
};
use crate::model::idempotency::Record;
use crate::model::named_limit::Entry;
use crate::model::reservation;
use crate::model::side_cell::{Auxiliary, limits_in};
use crate::model::table::Table;
use crate::rule::Rule;
use crate::rule::concurrency::PermitOrder;
use crate::rule::operation::{Operation, Order, Paired};
use crate::rule::verdict::{Effect, Outcome, Verdict};

/// Who decides: the limits, and whether a peer does so alone.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) table: &'a Table,
    pub(crate) is_alone: bool,
}

impl Judge<'_> {
    /// Decides several items, of which the last may be cells beside those of limits.
    pub(crate) fn decide(
        self,
        items: &[Item<'_>],
        cells: &mut [Cell],
        context: DecideContext,
    ) -> Answer {
        let count = limits_in(items);
        let (items, beside) = items.split_at(count);
        let (cells, others) = cells.split_at_mut(count);
        let kinds: [Option<Auxiliary>; 2] =
            std::array::from_fn(|index| Auxiliary::of(beside.get(index)?.key));
        match (kinds, items, &mut *others) {
            ([None, _], ..) => self.decide_all(items, cells, context),
            ([Some(Auxiliary::Permit), None], [item], [permit]) => {
                self.decide_permit(item, &mut cells[0], permit, context)
            }
            (
                [Some(Auxiliary::Reservation), Some(Auxiliary::Holds)],
                [item],
                [reservation, holds],
            ) => {
                let cells = reservation::Cells { limit: &mut cells[0], reservation, holds };
                self.decide_reservation(item, cells, context)
            }
            _ => self.decide_with_holds(items, cells, beside, others, context),
        }
    }

    /// Settles what has lapsed of the holds that come along, and then decides: once, if the last cell is
    /// a record.
    fn decide_with_holds(
        self,
        items: &[Item<'_>],
        cells: &mut [Cell],
        beside: &[Item<'_>],
        others: &mut [Cell],
        context: DecideContext,
    ) -> Answer {
        let unknown = || refusal(code::UNKNOWN_OPERATION, 0);
        let (beside, others, mut record) = match (beside, others) {
            ([beside @ .., last], [others @ .., record])
                if Auxiliary::of(last.key) == Some(Auxiliary::Record) =>
            {
                (beside, others, Some(record))
            }
            (beside, others) => (beside, others, None),
        };
        for item in beside {
            let of = usize::try_from(item.args[0]).ok().and_then(|index| items.get(index));
            if Auxiliary::of(item.key) != Some(Auxiliary::Holds) || of.is_none() {
                return unknown();
            }
        }
        let known = record.as_deref().and_then(Record::of);
        if let (Some(known), Some(record)) = (known, record.as_deref_mut()) {
            if known.is_used_up() && items.iter().any(|item| self.is_limited(item)) {
                let until = record.value().map_or_else(|| context.now(), |value| value.expires);
                return self.refuse_repeat(known, items, cells, (context, until));
            }
            known.count(record);
            return self.repeat(known, items, cells, context);
        }
        // A peer alone settles nothing: it could not tell the group.
        for (item, holds) in beside.iter().zip(others).filter(|_| !self.is_alone) {
            let index = item.args[0] as usize;
            if let (Some(entry), Some(cell)) =
                (self.table.of(items[index].key), cells.get_mut(index))
            {
                reservation::settle(entry, cell, holds, context);
                if Order::of(&items[index]).is_some_and(|o| o.operation == Operation::Reset) {
                    reservation::forget(entry, holds, context);
                }
            }
        }
        match record {
            None => self.decide_all(items, cells, context),
            Some(record) => self.decide_once(items, cells, record, context),
        }
    }

    /// Decides what comes with an idempotency key, for the first time.
    fn decide_once(
        self,
        items: &[Item<'_>],
        cells: &mut [Cell],
        record: &mut Cell,
        context: DecideContext,
    ) -> Answer {
        let answer = self.decide_all(items, cells, context);
        if matches!(answer.code, code::ALLOWED | code::SHADOW) {
            let known = Record {
                index: (answer.words[word::INDEX] & ((1 << INDEX_BITS) - 1)) as usize,
                window_ms: answer.words[word::WINDOW],
                remaining: remaining(&answer).0,
                granted: answer.words[word::GRANTED],
                repeats: 0,
            };
            known.write(record, context.now());
        }
        answer
    }

    /// The answer that an earlier call got; what is left of the time until a reset is told anew.
    fn repeat(
        self,
        known: Record,
        items: &[Item<'_>],
        cells: &mut [Cell],
        context: DecideContext,
    ) -> Answer {
        let Some((item, cell)) = items.get(known.index).zip(cells.get_mut(known.index)) else {
            return refusal(code::UNKNOWN_OPERATION, known.index);
        };
        let Some(entry) = self.table.of(item.key) else {
            return self.unknown_limit(known.index);
        };
        let peek = Order { operation: Operation::Peek, amount: 1 };
        let present = entry.decide(cell, peek, context, Effect::Ask);
        let mut words = [0; 6];
        words[word::LIMIT] = present.limit;
        words[word::REMAINING] = known.remaining;
        words[word::GRANTED] = known.granted;
        words[word::RESET_AFTER] = present.reset_after;
        words[word::WINDOW] = known.window_ms;
        words[word::INDEX] = known.index as u64 | REPEATED;
        Answer { code: code::ALLOWED, units: 0, words }
    }

    /// Whether an item takes units of a limit that may deny them.
    fn is_limited(self, item: &Item<'_>) -> bool {
        let takes = Order::of(item).is_some_and(|order| order.operation.takes());
        takes && self.table.of(item.key).is_some_and(Entry::may_deny)
    }

    /// Denies what was asked for too often, until it is forgotten: who chooses the key of a call
    /// must not choose by that whether it is charged. It says that it is a repeat, for there may be
    /// room enough.
    fn refuse_repeat(
        self,
        known: Record,
        items: &[Item<'_>],
        cells: &mut [Cell],
        (context, until): (DecideContext, GroupTime),
    ) -> Answer {
        let Some((item, cell)) = items.get(known.index).zip(cells.get_mut(known.index)) else {
            return refusal(code::UNKNOWN_OPERATION, known.index);
        };
        let Some(entry) = self.table.of(item.key) else {
            return self.unknown_limit(known.index);
        };
        let peek = Order { operation: Operation::Peek, amount: 1 };
        let present = self.decide_one(entry, cell, peek, context, Effect::Ask);
        let denied = Outcome {
            verdict: Verdict::Denied,
            granted: 0,
            retry_after: until.0.saturating_sub(context.now().0),
            ..present.repeated()
        };
        to_answer(known.index, &denied, 0)
    }

    /// Two passes, so that nothing is written before every item is known to be admitted.
    fn decide_all(self, items: &[Item<'_>], cells: &mut [Cell], context: DecideContext) -> Answer {
        let mut units: u64 = 0;
        let (mut denying, mut shadowed, mut held): (u64, u64, u64) = (0, 0, 0);
        let mut crossed: [u64; 2] = [0; 2];
        let mut shown: Option<(usize, Outcome)> = None;
        for (index, (item, cell)) in items.iter().zip(&mut *cells).enumerate() {
            let (entry, order) = match self.read(index, item) {
                Ok(read) => read,
                Err(answer) => return answer,
            };
            let outcome = self.decide_one(entry, cell, order, context, Effect::Ask);
            match outcome.verdict {
                Verdict::Allowed => {}
                Verdict::Shadow => shadowed |= 1 << index,
                Verdict::Denied => denying |= 1 << index,
                Verdict::Never | Verdict::Ended | Verdict::Unsupported => {
                    return to_answer(index, &outcome, 0);
                }
            }
            held |= u64::from(outcome.marks.is_held) << index;
            for (all, crossed) in crossed.iter_mut().zip(outcome.marks.crossed) {
                *all |= u64::from(crossed) << index;
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
        let (first, second) = if is_denied { (denying, held) } else { (crossed[0], crossed[1]) };
        answer.words[word::INDEX] = answer.words[word::INDEX] & OVERDRAWN
            | index as u64
            | first << DENYING
            | shadowed << SHADOWED
            | second << HELD;
        if is_denied {
            return answer;
        }
        for (index, (item, cell)) in items.iter().zip(cells).enumerate() {
            if let Ok((entry, order)) = self.read(index, item) {
                let outcome = self.decide_one(entry, cell, order, context, Effect::Take);
                if outcome.granted == 0 {
                    ask_for_room(entry, order, &outcome, cell);
                }
            }
        }
        answer
    }

    #[inline]
    pub(crate) fn decide_one(
        self,
        entry: &Entry,
        cell: &mut Cell,
        order: Order,
        context: DecideContext,
        effect: Effect,
    ) -> Outcome {
        if self.is_alone {
            return entry.decide_alone(cell, order, context, effect);
        }
        entry.decide(cell, order, context, effect)
    }

    fn decide_permit(
        self,
        item: &Item<'_>,
        cell: &mut Cell,
        permit: &mut Cell,
        context: DecideContext,
    ) -> Answer {
        let Some(entry) = self.table.of(item.key) else {
            return self.unknown_limit(0);
        };
        let order = match Paired::of(item.args[1]) {
            Some(Paired::PermitTake) => PermitOrder::Take { units: item.args[0] },
            Some(Paired::PermitRenew) => PermitOrder::Renew,
            Some(Paired::PermitRelease) => PermitOrder::Release,
            _ => return refusal(code::UNKNOWN_OPERATION, 0),
        };
        let rule = if self.is_alone { entry.rule_alone() } else { &entry.rule };
        let Rule::Concurrency(concurrency) = rule else {
            return refusal(code::UNSUPPORTED, 0);
        };
        let outcome = entry.decide_permit(*concurrency, (cell, permit), order, context);
        let is_taken = matches!(order, PermitOrder::Take { .. });
        let is_new = is_taken && !outcome.marks.is_repeated;
        to_answer(0, &outcome, if is_new { outcome.granted } else { 0 })
    }

    fn decide_reservation(
        self,
        item: &Item<'_>,
        mut cells: reservation::Cells<'_>,
        context: DecideContext,
    ) -> Answer {
        let Some(entry) = self.table.of(item.key) else {
            return self.unknown_limit(0);
        };
        if matches!(entry.rule, Rule::Concurrency(_)) {
            return refusal(code::UNSUPPORTED, 0);
        }
        let amount = item.args[0];
        let outcome = match Paired::of(item.args[1]) {
            Some(Paired::Reserve) => reservation::reserve(entry, &mut cells, amount, context),
            Some(Paired::Commit) => reservation::commit(entry, &mut cells, amount, context),
            _ => return refusal(code::UNKNOWN_OPERATION, 0),
        };
        // What a commit takes beyond what was reserved is no more than that.
        to_answer(0, &outcome, if outcome.marks.is_repeated { 0 } else { outcome.granted })
    }

    /// There is no such limit by the policy that is decided by.
    #[cold]
    pub(crate) fn unknown_limit(&self, index: usize) -> Answer {
        let mut answer = refusal(code::UNKNOWN_LIMIT, index);
        answer.words[word::LIMIT] = self.table.revision;
        answer
    }

    /// The limit and the order of an item, or the answer if there is none.
    #[inline]
    pub(crate) fn read(&self, index: usize, item: &Item<'_>) -> Result<(&Entry, Order), Answer> {
        let entry = self.table.of(item.key);
        let entry = entry.ok_or_else(|| self.unknown_limit(index))?;
        let order = Order::of(item).ok_or_else(|| refusal(code::UNKNOWN_OPERATION, index))?;
        Ok((entry, order))
    }
}

/// Says of what only asks, and is told yes, what room the one that it asks about would take.
#[cold]
pub(crate) fn ask_for_room(entry: &Entry, order: Order, outcome: &Outcome, cell: &mut Cell) {
    let is_question = match order.operation {
        Operation::Peek => true,
        Operation::Acquire | Operation::AcquireUpTo => order.amount == 0,
        Operation::Debit | Operation::Refund { .. } | Operation::Reset => false,
    };
    if is_question && outcome.verdict == Verdict::Allowed {
        // A permit has a cell of its own.
        cell.ask(u8::from(matches!(entry.rule, Rule::Concurrency(_))));
    }
}

/// Units that an operation took: what is lost if its change is.
#[inline]
pub(crate) fn taken(order: Order, outcome: &Outcome) -> u64 {
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
