//! One question to the group: asked, asked again where that may help, and told.
//!
//! ```text
//!   items ──▶ decide ──▶ account ──▶ report ──▶ the caller
//!               ▲           │ denied by what is reserved of the key, of which some may have lapsed
//!               └───────────┘ together with that, which settles it
//! ```

use std::time::Duration;

use quorate::{Item, MAX_ITEMS, Reading};
use tokio::time::Instant;

use crate::limit::Limit;
use crate::limiter::RateLimiter;
use crate::limiter::decision::{Decision, FollowUp, JointDecision, Part};
use crate::limiter::hold_id::HoldId;
use crate::limiter::limit_ref::LimitRef;
use crate::model::error::AcquireError;
use crate::model::idempotency;
use crate::model::key::{Key, KeyBuffer, PREFIX_BYTES};
use crate::model::side_cell::{SideCell, SideKey};
use crate::numbers::alert::Alert;
use crate::rule::operation::{Operation, Request, SideOperation};

/// The manner in which a question is asked.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asking<'a> {
    /// A deadline of its own; else the group's I/O timeout is.
    pub(crate) timeout: Option<Duration>,
    /// The idempotency key.
    pub(crate) id: Option<&'a [u8]>,
}

impl RateLimiter {
    /// Asks for one amount under one limit.
    ///
    /// Callers return this future itself: one more around it costs a tenth of the decision.
    pub(crate) async fn ask<K: AsRef<[u8]>>(
        &self,
        limit: &str,
        key: K,
        request: Request,
        asking: Asking<'_>,
    ) -> Result<Decision, AcquireError> {
        let mut buffer = KeyBuffer::default();
        let limit = self.look_up(limit)?;
        if asking.id.is_some_and(<[u8]>::is_empty) {
            return Err(self.count_error(Some(limit), AcquireError::EmptyIdempotencyKey));
        }
        let key = self.fill(&mut buffer, limit, key.as_ref())?;
        let item = request.item(key);
        // An idempotent call has no deadline of its own: nobody sets both.
        debug_assert!(asking.timeout.is_none() || asking.id.is_none());
        let started = asking.timeout.map(|timeout| (timeout, Instant::now()));
        let record = asking.id.map(|id| idempotency::key(id, &[item]));
        let decided = match &record {
            None => self.peer.decide_by(&[item], limit.reading, asking.timeout).await,
            Some(record) => self.peer.decide(&[item, record.item()]).await,
        };
        let mut decision = self.account(limit, request, decided, false)?;
        if decision.follow_up == FollowUp::SettleReserved {
            let rest = started.map(|(timeout, at)| timeout.saturating_sub(at.elapsed()));
            let again = self.ask_again(limit, request, item, record.as_ref(), rest);
            decision = Box::pin(again).await?;
        }
        // Whoever only looks is not denied.
        let is_peek = request.operation == Operation::Peek;
        Ok(if is_peek { decision } else { self.report(decision, limit.name, key) })
    }

    /// Asks once more, together with what is reserved of the key.
    async fn ask_again(
        &self,
        limit: LimitRef<'_>,
        request: Request,
        item: Item<'_>,
        record: Option<&SideKey>,
        timeout: Option<Duration>,
    ) -> Result<Decision, AcquireError> {
        let reserved = SideCell::Reserved.key(&[item.key]);
        let mut items = vec![item, reserved.item()];
        items.extend(record.map(SideKey::item));
        let decided = self.peer.decide_by(&items, Reading::Exact, timeout).await;
        self.account(limit, request, decided, true)
    }

    /// Asks about a permit or a reservation.
    pub(crate) async fn ask_held(
        &self,
        limit: LimitRef<'_>,
        id: &HoldId,
        operation: SideOperation,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        let own = operation.cell().key(&[id.key(), id.nonce()]);
        let mut items = vec![operation.item(id.key(), amount), own.item()];
        let reserved = SideCell::Reserved.key(&[id.key()]);
        if operation.cell() == SideCell::Reservation {
            items.push(reserved.item());
        }
        let decided = self.peer.decide(&items).await;
        let decision = self.account_held(limit, operation, amount, decided)?;
        Ok(self.report(decision, limit.name, id.key()))
    }

    /// Asks about a permit or a reservation that is there already: its id says of which limit it
    /// is.
    pub(crate) async fn ask_known(
        &self,
        id: &HoldId,
        operation: SideOperation,
        amount: u64,
    ) -> Result<Decision, AcquireError> {
        let name = self.name_of(id.key());
        let limit = self.ref_of(&name, id.key());
        self.ask_held(limit, id, operation, amount).await
    }

    /// Does what is to be done about a decision that is told now: a denial is noted, and thresholds
    /// that were crossed are alerted.
    #[inline(always)]
    pub(crate) fn report(&self, decision: Decision, limit: &str, key: &[u8]) -> Decision {
        match decision.follow_up {
            FollowUp::None => decision,
            FollowUp::Alert(crossed) => self.report_crossed(decision, crossed, limit, key),
            FollowUp::NoteDenial | FollowUp::SettleReserved => {
                self.denials().note(key);
                decision
            }
        }
    }

    #[cold]
    fn report_crossed(
        &self,
        mut decision: Decision,
        crossed: [bool; 2],
        name: &str,
        key: &[u8],
    ) -> Decision {
        decision.crossed = self.alert(key, crossed, |_, percent| Alert {
            limit: name.to_owned(),
            key: key[PREFIX_BYTES..].to_vec(),
            percent,
            used: decision.used(),
            max: decision.limit,
            window: decision.window,
            basis: decision.basis,
        });
        decision
    }

    /// Tells the thresholds of a key's limit that were crossed; returns the last one told.
    fn alert(
        &self,
        key: &[u8],
        crossed: [bool; 2],
        alert: impl Fn(&Limit, u8) -> Alert,
    ) -> Option<u8> {
        let limit = self.current().load().of(key)?.limit;
        let mut last = None;
        for (percent, is_crossed) in limit.alerts.into_iter().zip(crossed) {
            // A peer that lags may not know yet that there is a threshold.
            if is_crossed && percent > 0 {
                self.alert_sender().tell(alert(&limit, percent));
                last = Some(percent);
            }
        }
        last
    }
}

/// Several amounts asked for together.
impl RateLimiter {
    /// Asks for several amounts together, with an idempotency key or without.
    pub(crate) async fn ask_all<K: AsRef<[u8]>>(
        &self,
        items: &[(&str, K, u64)],
        id: Option<&[u8]>,
    ) -> Result<JointDecision, AcquireError> {
        if id.is_some_and(<[u8]>::is_empty) {
            return Err(self.count_error(None, AcquireError::EmptyIdempotencyKey));
        }
        // One place is the record's.
        let parts = self.parts(items, MAX_ITEMS - usize::from(id.is_some()))?;
        let mut asked: Vec<Item<'_>> = parts.iter().map(Part::item).collect();
        let record = id.map(|id| idempotency::key(id, &asked));
        asked.extend(record.as_ref().map(SideKey::item));
        let decided = self.peer.decide(&asked).await;
        let mut joint = self.account_all(&parts, decided, false)?;
        if joint.reserved(parts.len()).next().is_some() {
            joint = self.ask_all_again(&parts, &asked, &joint).await?;
        }
        joint.violated.iter().for_each(|index| self.denials().note(parts[*index].key.as_ref()));
        self.report_all_crossed(&mut joint, &parts);
        Ok(joint)
    }

    /// Reads the items that are asked for together: 1 to `max`, each limit and key once.
    fn parts<'i, K: AsRef<[u8]>>(
        &self,
        items: &[(&'i str, K, u64)],
        max: usize,
    ) -> Result<Vec<Part<'i>>, AcquireError> {
        let count = items.len();
        if count == 0 || count > max {
            return Err(self.count_error(None, AcquireError::Items { count, max }));
        }
        let mut parts: Vec<Part<'i>> = Vec::with_capacity(count);
        for (limit, key, amount) in items {
            let key = Key::new(self.look_up(limit)?.id, key.as_ref())
                .map_err(|error| self.count_error(None, error))?;
            if parts.iter().any(|part| part.key == key) {
                let limit = (*limit).to_owned();
                return Err(self.count_error(None, AcquireError::Twice { limit }));
            }
            parts.push(Part { limit, key, amount: *amount });
        }
        Ok(parts)
    }

    /// Asks once more, together with what is reserved of the keys that deny.
    async fn ask_all_again(
        &self,
        parts: &[Part<'_>],
        asked: &[Item<'_>],
        joint: &JointDecision,
    ) -> Result<JointDecision, AcquireError> {
        let mut reserved: Vec<usize> = joint.reserved(parts.len()).collect();
        // Those that deny come first.
        reserved.sort_by_key(|index| !joint.violated.contains(index));
        let room = MAX_ITEMS - asked.len();
        if room == 0 {
            self.settle_each(parts, &reserved).await;
        }
        reserved.truncate(room);
        let side_key = |index: &usize| SideCell::Reserved.key(&[parts[*index].key.as_ref()]);
        let keys: Vec<SideKey> = reserved.iter().map(side_key).collect();
        let (plain, record) = asked.split_at(parts.len());
        let mut all = plain.to_vec();
        all.extend(keys.iter().zip(&reserved).map(|(key, index)| key.item_of(*index)));
        all.extend(record);
        self.account_all(parts, self.peer.decide(&all).await, true)
    }

    /// Settles what has lapsed of these keys, one by one: there is no room for it beside the
    /// question.
    async fn settle_each(&self, parts: &[Part<'_>], reserved: &[usize]) {
        for index in reserved {
            let key = parts[*index].key.as_ref();
            let reserved = SideCell::Reserved.key(&[key]);
            // If it fails the question is answered as before.
            let _ = self.peer.decide(&[Request::PEEK.item(key), reserved.item()]).await;
        }
    }

    fn report_all_crossed(&self, joint: &mut JointDecision, parts: &[Part<'_>]) {
        let decision = joint.decision;
        for (index, crossed) in joint.crossed() {
            let Some(part) = parts.get(index) else { continue };
            // The counts of one limit alone are told.
            let is_told_of = index == joint.tightest;
            let last = self.alert(part.key.as_ref(), crossed, |limit, percent| Alert {
                limit: part.limit.to_owned(),
                key: part.key.as_ref()[PREFIX_BYTES..].to_vec(),
                percent,
                used: if is_told_of {
                    decision.used()
                } else {
                    Limit::threshold(limit.capacity(), percent)
                },
                max: limit.capacity(),
                window: decision.window.filter(|_| is_told_of),
                basis: decision.basis,
            });
            if is_told_of {
                joint.decision.crossed = last.or(joint.decision.crossed);
            }
        }
    }
}
