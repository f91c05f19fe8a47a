//! Limits as the group replicates them: with what each was before, so that what was taken under it
//! still counts.
//!
//! The bytes of a policy are JSON: for each limit what it is, as a limits file writes it, the salt
//! of its cells, and what it was before, the last one first. A change asks for a whole set of
//! limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate::{GroupTime, MAX_POLICY_BYTES, Policy};
use serde::{Deserialize, Serialize};

use crate::limit::bounds::MAX_LIMITS;
use crate::limit::{Kind, Limit};
use crate::model::earlier_form::{EarlierForm, FormNumber, Scale};
use crate::model::file::{LimitSpec, LimitsSpec};
use crate::model::named_limit::{Forms, NamedLimit};
use crate::model::table::Table;
use crate::rule::Rule;

/// Forms of one limit whose cells may live at a time, the present one apart.
const MAX_EARLIER_FORMS: usize = 8;

/// The fate of what was taken under a limit that is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Carry {
    /// Units are kept: who has used 80 of 100 has used 80 of 200, and may be beyond a lower
    /// limit until that is paid back. Of a sliding window so full of merges that it only says "more
    /// than the max", it says that of the new max as well, until those units leave.
    #[default]
    Keep,
    /// The part is kept that they are of the limit: who has used 80 of 100 has used 160 of 200.
    /// Permits are kept as they are.
    Proportional,
    /// All is forgotten: keys of a limit that is changed begin anew. What is reserved of them
    /// counts when it is committed, by what was used; permits stay held as long as the lease is the
    /// same.
    Reset,
}

quorate::words! {
    Carry, "value of carry", Keep => "keep", Proportional => "proportional", Reset => "reset"
}

/// A change of the limits, as the primary is asked for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default)]
    pub(crate) carry: Carry,
    pub(crate) limits: BTreeMap<String, LimitSpec>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicated {
    limits: BTreeMap<String, Versions>,
}

/// One limit, and its earlier forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versions {
    is: LimitSpec,
    /// Tells its cells from those of its other forms.
    #[serde(default, skip_serializing_if = "is_zero")]
    salt: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    was: Vec<Was>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Was {
    is: LimitSpec,
    #[serde(default, skip_serializing_if = "is_zero")]
    salt: u64,
    /// The numbers by which units are multiplied and divided on their way to the next form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<(u64, u64)>,
    /// Group time at which it became the next form, in nanoseconds.
    at: u64,
    /// Group time at which the last of its cells has expired, in nanoseconds.
    until: u64,
}

/// Returns the number of a form by its salt: the forms of a limit whose cells may live are far
/// fewer than these numbers, and their salts grow by little.
fn form_number(salt: u64) -> FormNumber {
    salt as FormNumber
}

fn is_zero(salt: &u64) -> bool {
    *salt == 0
}

/// Reads the limits of a policy.
///
/// # Errors
///
/// If they cannot be read, or break a rule of this version.
pub(crate) fn read(policy: &Policy) -> Result<Table, String> {
    let mut limits = Vec::new();
    for (name, versions) in Replicated::read(&policy.bytes)?.limits {
        let forms = versions.prepare().map_err(|error| format!("{name}: {error}"))?;
        limits.push(NamedLimit::changed(name, forms));
    }
    Ok(Table::new(limits, policy.revision))
}

/// Returns the policy after a change; `None` if it stays as it is. `code` is the limits before the
/// first change.
///
/// # Errors
///
/// The reason why it is refused, for whoever asked.
pub(crate) fn change(
    code: &Table,
    policy: &Policy,
    request: &[u8],
    now: GroupTime,
) -> Result<Option<Vec<u8>>, String> {
    // All of this is done in the primary's event loop: sizes and numbers before anything is made of
    // it.
    within_bounds(request)?;
    let Change { carry, limits } =
        serde_json::from_slice(request).map_err(|error| error.to_string())?;
    // The rules of a set: names, their number, two with one id.
    let limits = LimitsSpec { limits }.build().map_err(|error| error.to_string())?;
    let before = match policy.revision {
        0 => Replicated::of_code(code),
        _ => Replicated::read(&policy.bytes)?,
    };
    let mut after = Replicated::default();
    for (name, limit) in limits.iter() {
        let versions = match before.limits.get(name) {
            // It may have been there before: what was taken then is another limit's.
            None => Versions { salt: policy.revision, ..Versions::new(&limit) },
            Some(versions) => versions
                .changed(&limit, carry, now)
                .map_err(|why| format!("limit {name}: {why}"))?,
        };
        after.limits.insert(name.to_owned(), versions);
    }
    if after == before {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(&after).map_err(|error| error.to_string())?;
    within_bounds(&bytes).map(|()| Some(bytes))
}

/// Refuses what is longer than a policy may be, or a change of one.
fn within_bounds(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.len();
    if length <= MAX_POLICY_BYTES {
        return Ok(());
    }
    Err(format!(
        "these limits take {length} bytes, and {MAX_POLICY_BYTES} is most: have fewer of them, or \
         fewer that still carry over what they were (`Carry::Reset`, over HTTP carry=reset)"
    ))
}

impl Replicated {
    /// Reads the bytes of a policy: at most as many as the core lets in, and of a limit no more
    /// forms than are ever kept.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        within_bounds(bytes)?;
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let count = read.limits.len();
        if count > MAX_LIMITS {
            return Err(format!("{count} limits are more than {MAX_LIMITS}: leave some out"));
        }
        if let Some((name, _)) = read.limits.iter().find(|(_, of)| of.was.len() > MAX_EARLIER_FORMS)
        {
            return Err(format!("limit {name} has more than {MAX_EARLIER_FORMS} former forms"));
        }
        Ok(read)
    }

    fn of_code(code: &Table) -> Self {
        let limits = code.limits.iter();
        Self {
            limits: limits
                .map(|named| (named.name.to_string(), Versions::new(&named.limit)))
                .collect(),
        }
    }
}

impl Versions {
    fn new(limit: &Limit) -> Self {
        Self { is: LimitSpec::from(limit), salt: 0, was: Vec::new() }
    }

    /// Reads the limit, its rule, and its earlier forms, by which its cells may have been written.
    fn prepare(&self) -> Result<Forms, String> {
        let limit = self.is.limit().map_err(|error| error.to_string())?;
        let mut earlier = Vec::new();
        let mut next = limit;
        for Was { is, salt, scale, at, .. } in &self.was {
            let was = is.limit().map_err(|error| error.to_string())?;
            let (to, from) = scale.unwrap_or((1, 1));
            earlier.push(EarlierForm {
                number: form_number(*salt),
                rule: Rule::new(&was, *salt),
                scale: Scale { to, from },
                until: *at,
                is_renumbered: has_same_cells(&was, &next),
            });
            next = was;
        }
        let rule = Rule::new(&limit, self.salt);
        Ok(Forms { limit, rule, number: form_number(self.salt), earlier })
    }

    fn changed(&self, limit: &Limit, carry: Carry, now: GroupTime) -> Result<Self, String> {
        let is = LimitSpec::from(limit);
        if is == self.is {
            return Ok(self.clone());
        }
        let forms = self.prepare()?;
        let before = forms.limit;
        if before == *limit {
            return Ok(self.clone());
        }
        let tags = forms.tags();
        let next_salt = |taken: &[u64]| Rule::apart(limit, self.salt.wrapping_add(1), taken).1;
        // What is held at this moment is no count that begins anew.
        let keeps_permits = limit.is_concurrent() && has_same_cells(&before, limit);
        if carry == Carry::Reset && !keeps_permits {
            return Ok(Self { is, salt: next_salt(&tags), was: Vec::new() });
        }
        let old = before.capacity().max(1);
        let new = limit.capacity().max(1);
        let scale = match carry {
            Carry::Proportional if old != new && has_parts(limit) && has_parts(&before) => {
                Some((new, old))
            }
            _ => None,
        };
        if scale.is_none() && has_same_cells(&before, limit) {
            // The same cells, by another number.
            return Ok(Self { is, ..self.clone() });
        }
        if limit.is_concurrent() || before.is_concurrent() {
            return Err(
                "permits cannot be carried over into another lease or kind of limit: change it \
                 with `Carry::Reset` (over HTTP carry=reset), or use another name"
                    .to_owned(),
            );
        }
        // What was carried into it may be more than it admits itself.
        let earlier = self.was.iter().filter_map(|was| was.is.limit().ok());
        let most = earlier.map(|limit| limit.capacity()).fold(before.capacity(), u64::max);
        let until = now.0.saturating_add(life(&before, most));
        let last = Was { is: self.is.clone(), salt: self.salt, scale, at: now.0, until };
        // One in the middle is on the way of those before it.
        let live = self.was.iter().rposition(|was| was.until > now.0).map_or(0, |last| last + 1);
        let was: Vec<Was> = [last].into_iter().chain(self.was[..live].iter().cloned()).collect();
        if was.len() > MAX_EARLIER_FORMS {
            return Err(format!(
                "it was changed {MAX_EARLIER_FORMS} times while keys still count by what it was: \
                 wait, or change it with `Carry::Reset` (over HTTP carry=reset)"
            ));
        }
        Ok(Self { is, salt: next_salt(&tags), was })
    }
}

/// Returns true if units of a limit can be kept as a part of it: permits and counts cannot.
fn has_parts(limit: &Limit) -> bool {
    !matches!(limit.kind, Kind::Concurrent { .. } | Kind::Counter)
}

/// Returns true if two forms of a limit read each other's cells: they differ in numbers only.
fn has_same_cells(one: &Limit, other: &Limit) -> bool {
    match (one.kind, other.kind) {
        (Kind::Rate { amount: a, period: p }, Kind::Rate { amount: b, period: q }) => {
            u128::from(a) * q.as_nanos() == u128::from(b) * p.as_nanos()
        }
        (Kind::Window { length: a, .. }, Kind::Window { length: b, .. })
        | (Kind::Sliding { length: a, .. }, Kind::Sliding { length: b, .. })
        | (
            Kind::ApproximateSliding { length: a, .. },
            Kind::ApproximateSliding { length: b, .. },
        )
        | (Kind::Concurrent { lease: a, .. }, Kind::Concurrent { lease: b, .. }) => a == b,
        (Kind::Calendar { calendar: a, .. }, Kind::Calendar { calendar: b, .. }) => a == b,
        (Kind::Counter, Kind::Counter) => true,
        _ => false,
    }
}

/// Returns how long a cell of a limit lives after its last change, in nanoseconds, with at most so
/// many units; a bucket that was debited beyond that may live longer, and what it owes after it is
/// forgiven.
fn life(limit: &Limit, units: u64) -> u64 {
    const MARGIN: u64 = 2;
    let nanos = match limit.kind {
        Kind::Rate { amount, period } => {
            u128::from(units).saturating_mul(period.as_nanos()) / u128::from(amount.max(1))
        }
        Kind::Window { length, .. }
        | Kind::Sliding { length, .. }
        | Kind::ApproximateSliding { length, .. } => length.as_nanos() * 2,
        Kind::Concurrent { lease, .. } => lease.as_nanos() * 2,
        Kind::Calendar { calendar, .. } => u128::from(calendar.nominal_seconds()) * 1_000_000_000,
        Kind::Counter => u128::from(u64::MAX),
    };
    u64::try_from(nanos.saturating_mul(MARGIN.into())).unwrap_or(u64::MAX)
}

/// Returns the table of a policy, or that of the code where there is none.
pub(crate) fn table(code: &Arc<Table>, policy: &Policy) -> Result<Arc<Table>, String> {
    if policy.revision == 0 {
        return Ok(Arc::clone(code));
    }
    read(policy).map(Arc::new)
}
