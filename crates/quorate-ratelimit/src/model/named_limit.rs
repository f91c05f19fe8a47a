//! One limit of a set, ready to decide: with what it was before it was changed, and what a peer
//! alone has of it.

use quorate::{Cell, DecideContext, Delta, GroupTime, Value};

use crate::limit::without_primary::WithoutPrimary;
use crate::limit::{Kind, Limit};
use crate::model::earlier_form::{Charge, EarlierForm, FormNumber, History};
use crate::rule::Rule;
use crate::rule::cell::{RESERVED_MARK, TAG_SHIFT, marked};
use crate::rule::concurrency::{Concurrency, PermitRequest};
use crate::rule::hash::limit_id;
use crate::rule::operation::{Operation, Request};
use crate::rule::token_bucket::{TokenBucket, reduced};
use crate::rule::verdict::{NANOS_PER_MS, Ruling, Verdict};

/// The forms of a limit, prepared for deciding.
pub(crate) struct Forms {
    pub(crate) limit: Limit,
    pub(crate) rule: Rule,
    /// The number of the present form.
    pub(crate) number: FormNumber,
    /// The earlier forms, the last one first.
    pub(crate) earlier: Vec<EarlierForm>,
}

impl Forms {
    /// Returns the tags of all cells that may have been written.
    pub(crate) fn tags(&self) -> Vec<u64> {
        let rules = self.earlier.iter().map(|form| &form.rule).chain([&self.rule]);
        rules.flat_map(Rule::tags).collect()
    }
}

/// A limit under its name.
pub(crate) struct NamedLimit {
    pub(crate) id: u32,
    /// Its place among all limits, by which it is counted.
    pub(crate) index: u32,
    pub(crate) name: Box<str>,
    pub(crate) limit: Limit,
    pub(crate) rule: Rule,
    /// The number of this form of it.
    pub(crate) form: FormNumber,
    /// The share of it that a peer alone has, if it has one.
    share: Option<Rule>,
    /// Its earlier forms whose cells may live, the last one first.
    earlier: Box<[EarlierForm]>,
    /// True if more is done than to decide by the rule.
    is_unusual: bool,
}

impl NamedLimit {
    pub(crate) fn new(name: String, limit: Limit) -> Self {
        let forms = Forms { limit, rule: Rule::new(&limit, 0), number: 0, earlier: Vec::new() };
        Self::changed(name, forms)
    }

    /// Makes a limit that was changed before, or may have been.
    pub(crate) fn changed(name: String, forms: Forms) -> Self {
        let tags = forms.tags();
        let Forms { limit, rule, number, earlier } = forms;
        let share = match limit.without_primary {
            WithoutPrimary::Share { per_mille } => share(&limit, &rule, per_mille, &tags),
            _ => None,
        };
        Self {
            id: limit_id(&name),
            index: 0,
            name: name.into(),
            limit,
            rule,
            form: number,
            share,
            is_unusual: !earlier.is_empty() || limit.alerts[0] > 0 || limit.is_shadow,
            earlier: earlier.into(),
        }
    }

    /// Returns true if it is a sliding window.
    #[inline(always)]
    pub(crate) fn is_sliding(&self) -> bool {
        matches!(self.limit.kind, Kind::Sliding { .. })
    }

    /// Returns true if a peer of a strict group decides it alone.
    pub(crate) fn may_be_decided_alone(&self) -> bool {
        use WithoutPrimary::{Open, Share};
        matches!(self.limit.without_primary, Share { .. } | Open)
    }

    /// Decides about one key; a shadow denies nothing.
    #[inline]
    pub(crate) fn decide(
        &self,
        cell: &mut Cell,
        request: Request,
        context: DecideContext,
    ) -> Ruling {
        let is_marked = cell.value().is_some_and(|value| value.words[2] & RESERVED_MARK != 0);
        if is_marked || self.is_unusual {
            return self.decide_unusual(cell, request, context);
        }
        self.rule.decide(cell, request, context)
    }

    /// Returns true if it ever denies anything: shadows and counters do not.
    pub(crate) fn may_deny(&self) -> bool {
        !self.limit.is_shadow && !matches!(self.rule, Rule::Counter(_))
    }

    #[inline]
    fn shade(&self, ruling: &mut Ruling) {
        let is_refusal = matches!(ruling.verdict, Verdict::Denied | Verdict::Never);
        if is_refusal && self.limit.is_shadow {
            ruling.verdict = Verdict::Shadow;
        }
    }

    /// Decides about a cell that is marked, or of an older form, or under a limit with thresholds,
    /// or one that is a shadow.
    #[inline(never)]
    fn decide_unusual(&self, cell: &mut Cell, request: Request, context: DecideContext) -> Ruling {
        let (before, has_reservations) = self.present(cell.value());
        let mut bare = Cell::new(before);
        let request = self.moved(request);
        let mut ruling = self.rule.decide(&mut bare, request, context);
        ruling.marks.has_reservations = has_reservations;
        if ruling.granted > 0 {
            ruling.marks.crossed = self.crossed(&self.rule, before, &ruling, request, context);
        }
        if let Some(value) = bare.value().filter(|_| bare.is_changed()) {
            cell.set(marked(*value, has_reservations));
        }
        self.shade(&mut ruling);
        ruling
    }

    /// Reads a cell as the present rule does, and whether it was marked. One of an earlier form is
    /// what was carried over at each change, whenever it is looked at: since then the rule of its
    /// time has gone on.
    pub(crate) fn present(&self, value: Option<&Value>) -> (Option<Value>, bool) {
        let Some(value) = value else { return (None, false) };
        let has_reservations = value.words[2] & RESERVED_MARK != 0;
        let mut bare = marked(*value, false);
        let tag = bare.words[2] >> TAG_SHIFT;
        if self.rule.reads(tag) {
            return (Some(bare), has_reservations);
        }
        let found = self.earlier.iter().position(|form| form.rule.reads(tag));
        for index in (0..found.map_or(0, |index| index + 1)).rev() {
            let form = &self.earlier[index];
            let next = self.history().next(index);
            let units = form.used(&bare);
            // What holds nothing is absent.
            let Some(carried) = next.with(units, form.until).filter(|_| units > 0) else {
                return (None, has_reservations);
            };
            bare = carried;
        }
        (Some(bare), has_reservations)
    }

    /// Moves a request that gives back units of a window before a change to the window that counts
    /// them since; it gives back nothing, if none does.
    fn moved(&self, request: Request) -> Request {
        let Operation::Refund { window_ms: Some(window_ms) } = request.operation else {
            return request;
        };
        let since = window_ms.saturating_mul(NANOS_PER_MS);
        match self.history().moved(since) {
            Some(moved) if moved == since => request,
            Some(moved) => {
                let window_ms = Some(moved / NANOS_PER_MS);
                Request { operation: Operation::Refund { window_ms }, ..request }
            }
            None => Request { amount: 0, ..request },
        }
    }

    /// Returns the group time at which its present form began, as far as cells of earlier ones may
    /// live.
    pub(crate) fn changed_at(&self) -> u64 {
        self.earlier.first().map_or(0, |form| form.until)
    }

    /// Returns the charge that this limit bears for units that were taken at `since` under a form
    /// of it.
    pub(crate) fn charge(&self, form: FormNumber, units: u64, since: u64, now: u64) -> Charge {
        let earlier = if form == self.form {
            &self.earlier[..0]
        } else {
            match self.earlier.iter().position(|earlier| earlier.number == form) {
                Some(index) => &self.earlier[..=index],
                None => return Charge::FORGOTTEN,
            }
        };
        History { present: &self.rule, earlier }.charge(units, since, now)
    }

    fn history(&self) -> History<'_> {
        History { present: &self.rule, earlier: &self.earlier }
    }

    /// Reads what is reserved of a key, as the present form does.
    pub(crate) fn reserved(
        &self,
        value: Option<&Value>,
        term: u64,
        context: DecideContext,
    ) -> Option<Value> {
        self.history().reserved(value?, term, context)
    }

    /// Returns which thresholds a request has taken a key past.
    fn crossed(
        &self,
        rule: &Rule,
        before: Option<Value>,
        ruling: &Ruling,
        request: Request,
        context: DecideContext,
    ) -> [bool; 2] {
        if matches!(request.operation, Operation::Refund { .. } | Operation::Reset) {
            return [false; 2];
        }
        let peek = Request::PEEK;
        let left = rule.decide(&mut Cell::new(before), peek, context).remaining;
        let [before, after] =
            [left, ruling.remaining].map(|left| ruling.limit.saturating_sub(left));
        self.limit.alerts.map(|percent| {
            let threshold = Limit::threshold(ruling.limit, percent);
            percent > 0 && before < threshold && after >= threshold
        })
    }

    /// Returns the rule that a peer alone decides by.
    pub(crate) fn rule_alone(&self) -> &Rule {
        self.share.as_ref().unwrap_or(&self.rule)
    }

    /// Decides about a permit of a key, in its own cell beside the key's.
    pub(crate) fn decide_permit(
        &self,
        concurrency: Concurrency,
        cell: &mut Cell,
        permit: &mut Cell,
        request: PermitRequest,
        context: DecideContext,
    ) -> Ruling {
        let before = cell.value().copied();
        let mut ruling = concurrency.decide_permit(cell, permit, request, context);
        match request {
            PermitRequest::Take { .. } if ruling.granted > 0 && !ruling.marks.is_repeated => {
                let request = Request::new(Operation::Acquire, ruling.granted);
                let rule = Rule::Concurrency(concurrency);
                ruling.marks.crossed = self.crossed(&rule, before, &ruling, request, context);
            }
            PermitRequest::Take { units } => self.soften(&mut ruling, units),
            PermitRequest::Renew | PermitRequest::Release => {}
        }
        self.shade(&mut ruling);
        ruling
    }

    /// Decides at a peer alone: by a share, by what it is, or openly.
    pub(crate) fn decide_alone(
        &self,
        cell: &mut Cell,
        request: Request,
        context: DecideContext,
    ) -> Ruling {
        let is_asked = matches!(request.operation, Operation::Acquire | Operation::AcquireUpTo);
        if self.limit.without_primary == WithoutPrimary::Open && is_asked {
            let request = Request { operation: Operation::Debit, ..request };
            return self.decide(cell, request, context);
        }
        let Some(share) = &self.share else { return self.decide(cell, request, context) };
        // The group's own cells are of another rule, but for permits: this peer counts from
        // nothing.
        let mut ruling = share.decide(cell, request, context);
        self.soften(&mut ruling, request.amount);
        self.shade(&mut ruling);
        ruling
    }

    /// Denies, in place of never, what a share never admits and the limit may: there may be a
    /// primary at any moment.
    fn soften(&self, ruling: &mut Ruling, amount: u64) {
        if ruling.verdict == Verdict::Never && amount <= self.limit.capacity() {
            ruling.verdict = Verdict::Denied;
            ruling.retry_after = SOON;
        }
    }

    /// Keeps in `delta` what a local decision took.
    pub(crate) fn accumulate(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        // The mark that units of the key are reserved travels along.
        let mark = (delta.words[2] | after.words[2]) & RESERVED_MARK;
        delta.words[2] &= !RESERVED_MARK;
        self.accumulate_bare(before, after, delta);
        delta.words[2] |= mark;
    }

    fn accumulate_bare(&self, before: Option<&Value>, after: &Value, delta: &mut Delta) {
        let after = marked(*after, false);
        let tag = after.words[2] >> TAG_SHIFT;
        let is_of_share = |share: &&Rule| share.tag() == tag && tag != self.rule.tag();
        let Some(share) = self.share.as_ref().filter(is_of_share) else {
            // Cells of an older form have become ones of the present by what was decided.
            let before = self.present(before).0;
            delta.words = self.carried(delta).words;
            return self.rule.accumulate(before.as_ref(), &after, delta);
        };
        // By how much the share's count has moved, in a cell of the limit itself. One unit more on
        // both sides: what holds nothing has no form.
        let at = after.words[0];
        let [before, after] = [before, Some(&after)].map(|value| {
            let used = value.map_or(0, |value| share.used(value, at));
            self.rule.with(used.saturating_add(1), at)
        });
        if let Some(after) = after {
            self.rule.accumulate(before.as_ref(), &after, delta);
        }
    }

    /// Reads what was decided alone under an earlier form, as the present one does.
    fn carried(&self, delta: &Delta) -> Delta {
        let value = Value { words: delta.words, expires: GroupTime::MAX };
        let words = self.present(Some(&value)).0.map_or([0; 3], |value| value.words);
        Delta { words, ..*delta }
    }

    /// Applies what a peer decided alone; the units that were counted.
    pub(crate) fn merge(&self, delta: &Delta, cell: &mut Cell, context: DecideContext) -> u64 {
        let (present, has_reservations) = self.present(cell.value());
        let has_reservations = has_reservations || delta.words[2] & RESERVED_MARK != 0;
        let bare = self.carried(delta);
        let Some((value, units)) = self.rule.merge(present.as_ref(), &bare, context) else {
            return 0;
        };
        cell.set(marked(value, has_reservations));
        units
    }
}

/// The time that a caller waits where nobody knows when there is a primary again, in nanoseconds.
const SOON: u64 = 1_000_000_000;

/// Returns the share that a peer alone has of a limit: so many thousandths, of the maximum rounded
/// up; `None` of what denies nothing.
fn share(limit: &Limit, rule: &Rule, per_mille: u16, taken: &[u64]) -> Option<Rule> {
    let kind = match limit.kind {
        Kind::Counter => return None,
        Kind::Rate { amount, period } => {
            let share = u128::from(amount) * u128::from(per_mille);
            let (amount, period) = reduced(share, period.as_nanos().saturating_mul(1000));
            let burst = part(limit.capacity(), per_mille);
            let mut salts = 1..;
            return salts.find_map(|salt| {
                let bucket = TokenBucket::new(amount, period, burst, salt);
                (!taken.contains(&bucket.tag())).then_some(Rule::TokenBucket(bucket))
            });
        }
        Kind::Window { max, length } => Kind::Window { max: part(max, per_mille), length },
        Kind::Sliding { max, length } => Kind::Sliding { max: part(max, per_mille), length },
        Kind::ApproximateSliding { max, length } => {
            Kind::ApproximateSliding { max: part(max, per_mille), length }
        }
        Kind::Calendar { max, calendar } => Kind::Calendar { max: part(max, per_mille), calendar },
        // Of all that are held, as this peer knows them: their holders may be here, and go on.
        Kind::Concurrent { max, .. } => {
            let Rule::Concurrency(concurrency) = rule else { return None };
            return Some(Rule::Concurrency(concurrency.with_max(part(max, per_mille))));
        }
    };
    Some(Rule::apart(&Limit { kind, ..*limit }, 1, taken).0)
}

/// Returns so many thousandths of a maximum, rounded up.
fn part(max: u64, per_mille: u16) -> u64 {
    let part = (u128::from(max) * u128::from(per_mille)).div_ceil(1000);
    u64::try_from(part).unwrap_or(u64::MAX)
}
