//! Asking the group for the items of a request: all of them or none.
//!
//! ```text
//!   items whose cost the response tells ── reserve, one by one ─┐ denied: cancel
//!   all others ────────────────────────── acquire_all ──────────┴─▶ Taken ─ response ─▶ settlement
//! ```
//!
//! Reservations come first, for they can be taken back exactly, and lapse if nobody does so.

use std::sync::Arc;

use quorate::MAX_ITEMS;
use quorate_ratelimit::{
    AcquireError, Decision, JointDecision, RateLimiter, ReservationAnswer, ReservationId,
};

use crate::demand::Item;
use crate::refusal::Reason;
use crate::rule::Rule;

/// An item that was admitted, with what it takes to correct its amount.
pub(crate) struct Taken {
    pub(crate) item: Item,
    pub(crate) hold: Hold,
    /// True if the response tells of this item.
    pub(crate) is_told: bool,
}

/// The means to correct what was taken.
pub(crate) enum Hold {
    /// The decision that took it.
    Decided(Decision),
    /// The reservation that it is.
    Reserved(ReservationId),
}

/// The limit that a response tells of, and the decision under it.
pub(crate) struct Told {
    pub(crate) limit: Arc<str>,
    pub(crate) decision: Decision,
}

/// The items of a request, all admitted.
pub(crate) struct Admitted {
    /// The limit that has the least left; `None` if nothing was asked for.
    pub(crate) told: Option<Told>,
    /// Limits that would have denied it, were they no shadows.
    pub(crate) shadowed: Vec<Arc<str>>,
    /// The items whose amounts may have to be corrected.
    pub(crate) taken: Vec<Taken>,
    /// Limits that the group has not, and that were gone without.
    pub(crate) missing: Vec<Arc<str>>,
}

impl Admitted {
    const NOTHING: Self =
        Self { told: None, shadowed: Vec::new(), taken: Vec::new(), missing: Vec::new() };

    /// Adds others. The response tells of the tighter limit of the two.
    fn and(mut self, mut other: Self) -> Self {
        if other.is_tighter_than(&self) {
            self.untell();
            self.told = other.told.take();
        } else {
            other.untell();
        }
        self.taken.append(&mut other.taken);
        add_names(&mut self.shadowed, other.shadowed);
        add_names(&mut self.missing, other.missing);
        self
    }

    /// Returns true if the response rather tells of this than of what was admitted before it.
    fn is_tighter_than(&self, before: &Self) -> bool {
        match (&before.told, &self.told) {
            (Some(before), Some(own)) => own.decision.remaining < before.decision.remaining,
            (before, _) => before.is_none(),
        }
    }

    /// Has the response tell of none of these items.
    fn untell(&mut self) {
        self.taken.iter_mut().for_each(|taken| taken.is_told = false);
    }
}

/// Adds names that are not there yet.
fn add_names(names: &mut Vec<Arc<str>>, others: impl IntoIterator<Item = Arc<str>>) {
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Takes all of these items or none.
pub(crate) async fn admit(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: Vec<Item>,
) -> Result<Admitted, Reason> {
    for item in items.iter().filter(|item| item.has_chosen_limit(rules)) {
        // Fixed ones were named when the layer was built.
        if limiter.limits().get(&item.limit).is_none_or(|limit| limit.is_concurrent()) {
            limiter.expect_limits([&item.limit]);
        }
    }
    let (reserved, others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.is_reserved(rules));
    let count = others.len();
    if count > MAX_ITEMS {
        return Err(Reason::TooManyRules { count, max: MAX_ITEMS });
    }
    let mut all = Admitted::NOTHING;
    // One after the other: what is reserved before the first denial is known, and cancelled.
    for item in reserved {
        let is_skipped = item.is_skipped_without_limit(rules);
        match reserve(limiter, item).await {
            Ok(reserved) => all = all.and(reserved),
            Err(Reason::LimitUnusable { limit, .. }) if is_skipped => {
                add_names(&mut all.missing, [limit]);
            }
            Err(reason) => {
                cancel(limiter, &all.taken).await;
                return Err(reason);
            }
        }
    }
    match admit_others(limiter, rules, others).await {
        Ok(admitted) => Ok(all.and(admitted)),
        Err(reason) => {
            cancel(limiter, &all.taken).await;
            Err(reason)
        }
    }
}

async fn reserve(limiter: &RateLimiter, item: Item) -> Result<Admitted, Reason> {
    let reserved = limiter.reserve(&item.limit, &item.key, item.amount).await;
    match reserved.map_err(|error| refused(&[&item], error))? {
        ReservationAnswer { decision, id: Some(id), .. } => {
            Ok(admitted(item, decision, Hold::Reserved(id)))
        }
        ReservationAnswer { decision, .. } => Err(denied(&item, decision)),
    }
}

/// Cancels reservations as far as the group answers: what stays reserved lapses by itself.
async fn cancel(limiter: &RateLimiter, taken: &[Taken]) {
    for taken in taken {
        if let Hold::Reserved(id) = &taken.hold {
            _ = limiter.cancel(id).await;
        }
    }
}

/// Takes the items without a reservation. Those whose limit is missing are left out, one limit
/// after the other: the group names the first one that it has not. That is one more question for
/// each of them, and none as long as all are there.
async fn admit_others(
    limiter: &RateLimiter,
    rules: &[Rule],
    mut items: Vec<Item>,
) -> Result<Admitted, Reason> {
    let mut missing = Vec::new();
    loop {
        let reason = match admit_present(limiter, rules, &mut items).await {
            Ok(admitted) => return Ok(Admitted { missing, ..admitted }),
            Err(reason) => reason,
        };
        let Reason::LimitUnusable { limit, .. } = &reason else { return Err(reason) };
        let (without, others): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| item.limit == *limit);
        // A name that none of them has would be asked for again without an end.
        if without.is_empty() || !without.iter().all(|it| it.is_skipped_without_limit(rules)) {
            return Err(reason);
        }
        missing.push(limit.clone());
        items = others;
    }
}

/// Takes the items, and moves them out of `items` if they are admitted.
async fn admit_present(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: &mut Vec<Item>,
) -> Result<Admitted, Reason> {
    match &items[..] {
        [] => Ok(Admitted::NOTHING),
        [item] => {
            let decided = limiter.acquire(&item.limit, &item.key, item.amount).await;
            let decision = decided.map_err(|error| refused(&[item], error))?;
            if !decision.allowed {
                return Err(denied(item, decision));
            }
            let item = items.pop();
            let admitted = item.map(|item| admitted(item, decision, Hold::Decided(decision)));
            Ok(admitted.unwrap_or(Admitted::NOTHING))
        }
        _ => admit_all(limiter, rules, items).await,
    }
}

fn admitted(item: Item, decision: Decision, hold: Hold) -> Admitted {
    let limit = item.limit.clone();
    let shadowed = decision.shadow.then(|| limit.clone()).into_iter().collect();
    let taken = vec![Taken { item, hold, is_told: true }];
    let told = Some(Told { limit, decision });
    Admitted { told, shadowed, taken, missing: Vec::new() }
}

fn denied(item: &Item, decision: Decision) -> Reason {
    Reason::Denied { limits: vec![item.limit.clone()], decision: Box::new(decision) }
}

async fn admit_all(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: &mut Vec<Item>,
) -> Result<Admitted, Reason> {
    let all: Vec<&Item> = items.iter().collect();
    let refused = |error| refused(&all, error);
    let before = seen_before(limiter, rules, items).await.map_err(refused)?;
    let asked: Vec<_> = items.iter().map(|it| (&*it.limit, &*it.key, it.amount)).collect();
    let joint = limiter.acquire_all(&asked).await.map_err(refused)?;
    let JointDecision { violated, shadowed, tightest, decision, .. } = &joint;
    if !joint.allowed {
        // The first name is that of the limit that the decision speaks of.
        let mut places = vec![*tightest];
        places.extend(violated.iter().filter(|place| *place != tightest));
        let limits = names(items, &places);
        return Err(Reason::Denied { limits, decision: Box::new(*decision) });
    }
    let told = Some(Told { limit: items[*tightest].limit.clone(), decision: *decision });
    let shadowed = names(items, shadowed);
    let items = std::mem::take(items);
    let taken = before.into_iter().zip(items).enumerate().filter_map(|(place, (before, item))| {
        let mut decision = before?;
        let is_told = place == joint.tightest;
        if is_told {
            decision = joint.decision;
        } else {
            // What was seen before, and this, is all that giving back looks at.
            decision.granted = if joint.shadowed.contains(&place) { 0 } else { item.amount };
        }
        Some(Taken { item, hold: Hold::Decided(decision), is_told })
    });
    Ok(Admitted { told, shadowed, taken: taken.collect(), missing: Vec::new() })
}

/// Returns the limits of the items at these places, each once.
fn names(items: &[Item], places: &[usize]) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    add_names(&mut names, places.iter().map(|place| items[*place].limit.clone()));
    names
}

/// Asks how the items stand that may be given back, before they are taken together.
///
/// The answer for all of them speaks of the tightest only, and whoever gives back has to name the
/// window that it was taken from. One that was seen before has ended if it is not the same: then
/// nothing is given back, which is too little and never too much.
async fn seen_before(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: &[Item],
) -> Result<Vec<Option<Decision>>, AcquireError> {
    let later: Vec<bool> = items.iter().map(|item| item.may_be_given_back(rules)).collect();
    let asked: Vec<_> = items
        .iter()
        .zip(&later)
        .filter(|(_, is_later)| **is_later)
        .map(|(item, _)| (&*item.limit, &*item.key, 1))
        .collect();
    if asked.is_empty() {
        return Ok(vec![None; items.len()]);
    }
    let mut seen = limiter.explain(&asked).await.items.into_iter();
    let mut before = Vec::with_capacity(items.len());
    for is_later in later {
        let decision = if is_later { seen.next().map(|item| item.decision) } else { None };
        before.push(decision.transpose()?);
    }
    Ok(before)
}

/// Says what an error comes to for the request. A limit that the group has not, or as one of
/// permits only, was told and counted as missing when the error came about.
fn refused(items: &[&Item], error: AcquireError) -> Reason {
    if let AcquireError::MissingLimit { limit, .. }
    | AcquireError::UnknownLimit { limit }
    | AcquireError::Unsupported { limit } = &error
    {
        return match items.iter().find(|item| *item.limit == **limit) {
            Some(item) => Reason::LimitUnusable { limit: item.limit.clone(), error },
            None => Reason::Unavailable { error },
        };
    }
    match &error {
        AcquireError::NeverAdmitted { limit, amount, max } => {
            let limit = Arc::from(&**limit);
            Reason::NeverAdmitted { limit, amount: *amount, max: *max }
        }
        _ => Reason::Unavailable { error },
    }
}
