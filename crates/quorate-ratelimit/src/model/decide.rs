//! Decisions about operations on several items: all or none, once, or on a permit or reservation.

use quorate::{Answer, Cell, DecideContext, Item};

use crate::model::answer::{
    DENYING, INDEX_BITS, OVERDRAWN, REPEATED, RESERVED, SHADOWED, code, refusal, remaining,
    to_answer, word,
};
use crate::model::idempotency::Record;
use crate::model::named_limit::NamedLimit;
use crate::model::reservation::ReservedKey;
use crate::model::side_cell::{SideCell, limits_in};
use crate::model::table::Table;
use crate::rule::Rule;
use crate::rule::concurrency::PermitRequest;
use crate::rule::operation::{Operation, Request, SideOperation};
use crate::rule::verdict::{Ruling, Verdict};

/// The limits that decide, and whether a peer does so alone.
#[derive(Clone, Copy)]
pub(crate) struct TableDecider<'a> {
    pub(crate) table: &'a Table,
    pub(crate) is_alone: bool,
    pub(crate) context: DecideContext,
}

impl TableDecider<'_> {
    /// Decides several items, of which the last may be cells beside those of limits.
    pub(crate) fn decide(self, items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        // Items come from other peers too: whatever stands where, nothing here may panic.
        let count = limits_in(items);
        let (items, beside) = items.split_at(count);
        let (cells, others) = cells.split_at_mut(count);
        let kinds: [Option<SideCell>; 2] =
            std::array::from_fn(|index| SideCell::of(beside.get(index)?.key));
        match (kinds, items, &mut *others) {
            ([None, _], ..) => self.decide_all(items, cells),
            ([Some(SideCell::Permit), None], [item], [permit]) => {
                self.decide_permit(item, &mut cells[0], permit)
            }
            (
                [Some(SideCell::Reservation), Some(SideCell::Reserved)],
                [item],
                [reservation, reserved],
            ) => self.decide_reservation(item, &mut cells[0], reservation, reserved),
            _ => self.decide_with_side_cells(items, cells, beside, others),
        }
    }

    /// Settles what has lapsed of the reservations that come along, and then decides: once, if the
    /// last cell is a record.
    fn decide_with_side_cells(
        self,
        items: &[Item<'_>],
        cells: &mut [Cell],
        beside: &[Item<'_>],
        others: &mut [Cell],
    ) -> Answer {
        let (beside, others, mut record) = match (beside, others) {
            ([beside @ .., last], [others @ .., record])
                if SideCell::of(last.key) == Some(SideCell::Record) =>
            {
                (beside, others, Some(record))
            }
            (beside, others) => (beside, others, None),
        };
        for item in beside {
            // Its argument is the place of the limit's item that it goes with.
            let of = usize::try_from(item.args[0]).ok().and_then(|index| items.get(index));
            if SideCell::of(item.key) != Some(SideCell::Reserved) || of.is_none() {
                return refusal(code::UNKNOWN_OPERATION, 0);
            }
        }
        let known = record.as_deref().and_then(Record::of);
        if let (Some(known), Some(record)) = (known, record.as_deref_mut()) {
            return self.repeat(known, record, items, cells);
        }
        // A peer alone settles nothing: it could not tell the group.
        for (item, reserved) in beside.iter().zip(others).filter(|_| !self.is_alone) {
            let index = item.args[0] as usize;
            let Some(named) = self.table.of(items[index].key) else { continue };
            let Some(limit) = cells.get_mut(index) else { continue };
            let mut key = ReservedKey { named, limit, reserved, context: self.context };
            key.settle();
            if Request::of(&items[index]).is_some_and(|it| it.operation == Operation::Reset) {
                key.forget();
            }
        }
        match record {
            None => self.decide_all(items, cells),
            Some(record) => self.decide_once(items, cells, record),
        }
    }

    /// Decides what comes with an idempotency key, for the first time.
    fn decide_once(self, items: &[Item<'_>], cells: &mut [Cell], record: &mut Cell) -> Answer {
        let answer = self.decide_all(items, cells);
        if matches!(answer.code, code::ALLOWED | code::SHADOW) {
            let known = Record {
                index: (answer.words[word::INDEX] & ((1 << INDEX_BITS) - 1)) as usize,
                window_ms: answer.words[word::WINDOW],
                remaining: remaining(&answer).0,
                granted: answer.words[word::GRANTED],
                repeats: 0,
            };
            known.write(record, self.context.now());
        }
        answer
    }

    /// Returns true if an item takes units of a limit that may deny them.
    fn is_limited(self, item: &Item<'_>) -> bool {
        let takes = Request::of(item).is_some_and(|request| request.operation.takes());
        takes && self.table.of(item.key).is_some_and(NamedLimit::may_deny)
    }

    /// Returns the answer that an earlier call got; the time that is left until a reset is told
    /// anew.
    ///
    /// Denies what was asked for too often, until it is forgotten: who chooses the key of a call
    /// must not choose by that whether it is charged. It says that it is a repeat, for there may be
    /// room enough.
    fn repeat(
        self,
        known: Record,
        record: &mut Cell,
        items: &[Item<'_>],
        cells: &mut [Cell],
    ) -> Answer {
        let is_refused = known.is_used_up() && items.iter().any(|item| self.is_limited(item));
        if !is_refused {
            known.count(record);
        }
        let Some((item, cell)) = items.get(known.index).zip(cells.get_mut(known.index)) else {
            return refusal(code::UNKNOWN_OPERATION, known.index);
        };
        let Some(named) = self.table.of(item.key) else {
            return self.unknown_limit(known.index);
        };
        if is_refused {
            let until = record.value().map_or_else(|| self.context.now(), |value| value.expires);
            let denied = Ruling {
                verdict: Verdict::Denied,
                granted: 0,
                retry_after: until.0.saturating_sub(self.context.now().0),
                ..self.decide_one(named, cell, Request::PEEK).repeated()
            };
            return to_answer(known.index, &denied, 0);
        }
        let present = named.decide(cell, Request::PEEK, self.context);
        let mut words = [0; 6];
        words[word::LIMIT] = present.limit;
        words[word::REMAINING] = known.remaining;
        words[word::GRANTED] = known.granted;
        words[word::RESET_AFTER] = present.reset_after;
        words[word::WINDOW] = known.window_ms;
        words[word::INDEX] = known.index as u64 | REPEATED;
        Answer { code: code::ALLOWED, units: 0, words }
    }

    /// Decides all items or none, in two passes: nothing is written before every item is known to
    /// be admitted.
    fn decide_all(self, items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        let mut units: u64 = 0;
        let mut denying: u64 = 0;
        let mut shadowed: u64 = 0;
        let mut reserved: u64 = 0;
        let mut crossed: [u64; 2] = [0; 2];
        let mut shown: Option<Shown> = None;
        for (index, (item, cell)) in items.iter().zip(&mut *cells).enumerate() {
            let (named, request) = match self.read(index, item) {
                Ok(read) => read,
                Err(answer) => return answer,
            };
            // Asked only: one of the items behind it may deny.
            let ruling = self.decide_one(named, cell, request.asked());
            match ruling.verdict {
                Verdict::Allowed => {}
                Verdict::Shadow => shadowed |= 1 << index,
                Verdict::Denied => denying |= 1 << index,
                Verdict::Never | Verdict::Ended | Verdict::Unsupported => {
                    return to_answer(index, &ruling, 0);
                }
            }
            reserved |= u64::from(ruling.marks.has_reservations) << index;
            for (all, crossed) in crossed.iter_mut().zip(ruling.marks.crossed) {
                *all |= u64::from(crossed) << index;
            }
            units = units.saturating_add(taken(request, &ruling));
            let candidate = Shown { index, ruling, is_shadow: named.limit.is_shadow };
            if shown.as_ref().is_none_or(|shown| candidate.rank() > shown.rank()) {
                shown = Some(candidate);
            }
        }
        let Some(Shown { index, ruling, .. }) = shown else {
            return Answer::default();
        };
        let is_denied = denying != 0;
        let mut answer = to_answer(index, &ruling, if is_denied { 0 } else { units });
        let [first, second] = if is_denied { [denying, reserved] } else { crossed };
        answer.words[word::INDEX] = answer.words[word::INDEX] & OVERDRAWN
            | index as u64
            | first << DENYING
            | shadowed << SHADOWED
            | second << RESERVED;
        if is_denied {
            return answer;
        }
        for (index, (item, cell)) in items.iter().zip(cells).enumerate() {
            if let Ok((named, request)) = self.read(index, item) {
                let ruling = self.decide_one(named, cell, request);
                if ruling.granted == 0 {
                    ask_for_room(named, request, &ruling, cell);
                }
            }
        }
        answer
    }

    #[inline]
    pub(crate) fn decide_one(
        self,
        named: &NamedLimit,
        cell: &mut Cell,
        request: Request,
    ) -> Ruling {
        if self.is_alone {
            return named.decide_alone(cell, request, self.context);
        }
        named.decide(cell, request, self.context)
    }

    fn decide_permit(self, item: &Item<'_>, cell: &mut Cell, permit: &mut Cell) -> Answer {
        let Some(named) = self.table.of(item.key) else {
            return self.unknown_limit(0);
        };
        let request = match SideOperation::of(item.args[1]) {
            Some(SideOperation::TakePermit) => PermitRequest::Take { units: item.args[0] },
            Some(SideOperation::RenewPermit) => PermitRequest::Renew,
            Some(SideOperation::ReleasePermit) => PermitRequest::Release,
            _ => return refusal(code::UNKNOWN_OPERATION, 0),
        };
        let rule = if self.is_alone { named.rule_alone() } else { &named.rule };
        let Rule::Concurrency(concurrency) = rule else {
            return refusal(code::UNSUPPORTED, 0);
        };
        let ruling = named.decide_permit(*concurrency, cell, permit, request, self.context);
        let is_taken = matches!(request, PermitRequest::Take { .. });
        let is_new = is_taken && !ruling.marks.is_repeated;
        to_answer(0, &ruling, if is_new { ruling.granted } else { 0 })
    }

    fn decide_reservation(
        self,
        item: &Item<'_>,
        limit: &mut Cell,
        reservation: &mut Cell,
        reserved: &mut Cell,
    ) -> Answer {
        let Some(named) = self.table.of(item.key) else {
            return self.unknown_limit(0);
        };
        if matches!(named.rule, Rule::Concurrency(_)) {
            return refusal(code::UNSUPPORTED, 0);
        }
        let mut key = ReservedKey { named, limit, reserved, context: self.context };
        let ruling = match SideOperation::of(item.args[1]) {
            Some(SideOperation::Reserve) => key.reserve(reservation, item.args[0]),
            Some(SideOperation::Commit) => key.commit(reservation, item.args[0]),
            _ => return refusal(code::UNKNOWN_OPERATION, 0),
        };
        // What a commit takes beyond what was reserved is no more than that.
        to_answer(0, &ruling, if ruling.marks.is_repeated { 0 } else { ruling.granted })
    }

    /// Answers that the policy that is decided by has no such limit.
    #[cold]
    pub(crate) fn unknown_limit(&self, index: usize) -> Answer {
        let mut answer = refusal(code::UNKNOWN_LIMIT, index);
        answer.words[word::LIMIT] = self.table.revision;
        answer
    }

    /// Reads the limit and the request of an item, or returns the answer if there is none.
    #[inline]
    pub(crate) fn read(
        &self,
        index: usize,
        item: &Item<'_>,
    ) -> Result<(&NamedLimit, Request), Answer> {
        let named = self.table.of(item.key).ok_or_else(|| self.unknown_limit(index))?;
        let request = Request::of(item).ok_or_else(|| refusal(code::UNKNOWN_OPERATION, index))?;
        Ok((named, request))
    }
}

/// Asks for the room that a request would take which only looks, and is told yes.
#[cold]
pub(crate) fn ask_for_room(named: &NamedLimit, request: Request, ruling: &Ruling, cell: &mut Cell) {
    let is_question = match request.operation {
        Operation::Peek => true,
        Operation::Acquire | Operation::AcquireUpTo => request.amount == 0,
        Operation::Debit | Operation::Refund { .. } | Operation::Reset => false,
    };
    if is_question && ruling.verdict == Verdict::Allowed {
        // A permit has a cell of its own.
        cell.ask(u8::from(matches!(named.rule, Rule::Concurrency(_))));
    }
}

/// Returns the units that an operation took, which are lost if its change is.
#[inline]
pub(crate) fn taken(request: Request, ruling: &Ruling) -> u64 {
    match request.operation {
        Operation::Acquire | Operation::AcquireUpTo | Operation::Debit => ruling.granted,
        Operation::Peek | Operation::Refund { .. } | Operation::Reset => 0,
    }
}

/// The ruling of several that the answer speaks of.
struct Shown {
    /// The place of its item.
    index: usize,
    ruling: Ruling,
    is_shadow: bool,
}

impl Shown {
    /// Ranks rulings by how much a caller learns from them. A shadow keeps nobody out, so how much
    /// of it is left tells nobody anything.
    fn rank(&self) -> impl Ord {
        let Ruling { verdict, retry_after, remaining, .. } = self.ruling;
        (verdict == Verdict::Denied, !self.is_shadow, retry_after, u64::MAX - remaining)
    }
}
