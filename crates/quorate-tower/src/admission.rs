//! Asking the group, once for all items of a request.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use quorate_ratelimit::{AcquireError, Decision, HeaderStyle, JointDecision, RateLimiter};

use crate::demand::Item;
use crate::fields;
use crate::refusal::{Reason, Refusal};
use crate::rule::Rule;

/// Why a request was passed on. It is in the extensions of the request, for handlers to read.
///
/// # Examples
///
/// ```
/// use axum::Extension;
/// use quorate_tower::Admission;
///
/// async fn quota(Extension(admission): Extension<Admission>) -> String {
///     match admission.decision() {
///         Some(decision) => format!("{} left", decision.remaining),
///         None => "not counted".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Admission {
    /// All limits admit it, and it was counted.
    Counted {
        /// The limit that has the least left of those that were asked.
        limit: Arc<str>,
        /// What was decided under that.
        decision: Decision,
        /// Limits that would have denied it, were they no shadows.
        shadowed: Vec<Arc<str>>,
    },
    /// No rule applies to it.
    Exempt,
    /// Nothing was decided, and such requests are admitted
    /// ([`WhenUnavailable::Admit`](crate::WhenUnavailable::Admit)).
    Undecided {
        /// Why not, and whether it may have been counted all the same.
        error: AcquireError,
    },
}

impl Admission {
    /// What was decided, if it was.
    ///
    /// # Examples
    ///
    /// See [`Admission`](Admission#examples).
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Counted { decision, .. } => Some(decision),
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }

    /// The limit and the decision that the response tells of.
    pub(crate) fn told(&self) -> Option<(Arc<str>, Decision)> {
        match self {
            Self::Counted { limit, decision, .. } => Some((limit.clone(), *decision)),
            Self::Exempt | Self::Undecided { .. } => None,
        }
    }
}

/// An item that was admitted, and what has to be known to give it back.
pub(crate) struct Taken {
    pub(crate) item: Item,
    pub(crate) decision: Decision,
    /// Whether it is the one that the response tells of.
    pub(crate) is_told: bool,
}

/// Takes all of these items or none.
pub(crate) async fn admit(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: Vec<Item>,
) -> Result<(Admission, Vec<Taken>), Reason> {
    match <[Item; 1]>::try_from(items) {
        Ok([item]) => admit_one(limiter, item).await,
        Err(items) if items.is_empty() => Ok((Admission::Exempt, Vec::new())),
        Err(items) => admit_all(limiter, rules, items).await,
    }
}

async fn admit_one(limiter: &RateLimiter, item: Item) -> Result<(Admission, Vec<Taken>), Reason> {
    let decided = limiter.acquire(&item.limit, &item.key, item.amount).await;
    let decision = decided.map_err(|error| refused(limiter, &[&item], error))?;
    let limit = item.limit.clone();
    if !decision.allowed {
        return Err(Reason::Denied { limits: vec![limit], decision: Box::new(decision) });
    }
    let shadowed = decision.shadow.then(|| limit.clone()).into_iter().collect();
    let taken = vec![Taken { item, decision, is_told: true }];
    Ok((Admission::Counted { limit, decision, shadowed }, taken))
}

async fn admit_all(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: Vec<Item>,
) -> Result<(Admission, Vec<Taken>), Reason> {
    let all: Vec<&Item> = items.iter().collect();
    let refused = |error| refused(limiter, &all, error);
    let before = seen_before(limiter, rules, &items).await.map_err(refused)?;
    let asked: Vec<_> = items.iter().map(|it| (&*it.limit, &*it.key, it.amount)).collect();
    let joint = limiter.acquire_all(&asked).await.map_err(refused)?;
    let JointDecision { violated, shadowed, tightest, decision, .. } = &joint;
    if !joint.allowed {
        // The first name is that of the limit that the decision speaks of.
        let mut places = vec![*tightest];
        places.extend(violated.iter().filter(|place| *place != tightest));
        return Err(Reason::Denied {
            limits: names(&items, &places),
            decision: Box::new(*decision),
        });
    }
    let limit = items[*tightest].limit.clone();
    let admission =
        Admission::Counted { limit, decision: *decision, shadowed: names(&items, shadowed) };
    let taken = before.into_iter().zip(items).enumerate().filter_map(|(place, (before, item))| {
        let mut decision = before?;
        let is_told = place == joint.tightest;
        if is_told {
            decision = joint.decision;
        } else {
            // What was seen before, and this, is all that giving back looks at.
            decision.granted = if joint.shadowed.contains(&place) { 0 } else { item.amount };
        }
        Some(Taken { item, decision, is_told })
    });
    Ok((admission, taken.collect()))
}

/// The limits of the items at these places, each once.
fn names(items: &[Item], places: &[usize]) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for place in places {
        let name = &items[*place].limit;
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// How the items stand that may be given back, before they are taken together.
///
/// The answer for all of them speaks of the tightest only, and whoever gives back has to name the window
/// that it was taken from. One that was seen before has ended if it is not the same: then nothing is
/// given back, which is too little and never too much.
async fn seen_before(
    limiter: &RateLimiter,
    rules: &[Rule],
    items: &[Item],
) -> Result<Vec<Option<Decision>>, AcquireError> {
    let later: Vec<bool> = items.iter().map(|item| item.is_settled_later(rules)).collect();
    let asked = items.iter().zip(&later).filter(|(_, is_later)| **is_later);
    let asked: Vec<_> = asked.map(|(item, _)| (&*item.limit, &*item.key, 1)).collect();
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

/// What an error comes to for the request.
fn refused(limiter: &RateLimiter, items: &[&Item], error: AcquireError) -> Reason {
    let AcquireError::NeverAdmitted { amount, max } = error else {
        return Reason::Unavailable { error };
    };
    // The error names no limit: it is the one with that capacity, unless the primary's differs.
    let capacity = |item: &Item| limiter.limits().get(&item.limit).map(|limit| limit.capacity());
    let asked = || items.iter().filter(|item| item.amount == amount);
    let item = asked().find(|item| capacity(item) == Some(max)).or_else(|| asked().next());
    match item {
        Some(item) => Reason::NeverAdmitted { limit: item.limit.clone(), amount, max },
        None => Reason::Unavailable { error },
    }
}

/// A refusal with all its fields.
pub(crate) fn refusal(
    limiter: &RateLimiter,
    request: Parts,
    reason: Reason,
    styles: &[HeaderStyle],
) -> Refusal {
    let fields = match &reason {
        Reason::Denied { limits, decision } => match limits.first() {
            Some(limit) => fields::fields_of(limiter, limit, decision, styles),
            None => HeaderMap::new(),
        },
        _ => HeaderMap::new(),
    };
    Refusal::new(request, reason, fields)
}
