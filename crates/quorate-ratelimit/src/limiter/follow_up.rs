//! What comes after some decisions: reservations that have lapsed are settled and the question is asked
//! once more, and thresholds that were crossed are told.

use std::time::Duration;

use quorate::{Item, MAX_ITEMS};

use crate::limiter::RateLimiter;
use crate::limiter::decision::{Decision, JointDecision};
use crate::limiter::read::LimitRef;
use crate::model::error::AcquireError;
use crate::model::key::{Key, PREFIX_BYTES};
use crate::model::side_cell::SideCell;
use crate::numbers::alert::Alert;
use crate::rule::operation::Operation;

impl RateLimiter {
    /// Does what is to be done about a decision that is not a usual one.
    pub(crate) async fn follow_up(
        &self,
        mut decision: Decision,
        named: LimitRef<'_>,
        operation: Operation,
        item: Item<'_>,
        timeout: Option<Duration>,
    ) -> Result<Decision, AcquireError> {
        if decision.has_reservations() {
            let holds = SideCell::Reserved.key(&[item.key]);
            let items = [item, Item { key: &holds, args: [0, 0] }];
            let decided = match timeout {
                Some(timeout) => self.peer().decide_within(&items, timeout).await,
                None => self.peer().decide(&items).await,
            };
            decision = self.read_again(named, operation, item.args[0], decided)?;
        }
        // Whoever only looks is not denied.
        let is_peek = operation == Operation::Peek;
        Ok(if is_peek { decision } else { self.told(decision, named.name, item.key) })
    }

    /// Tells the thresholds that a decision has crossed.
    pub(crate) fn told(&self, mut decision: Decision, limit: &str, key: &[u8]) -> Decision {
        if !decision.allowed {
            self.denials().note(key);
        }
        let crossed = decision.marks_crossed();
        if !decision.allowed || crossed == [false; 2] {
            return decision;
        }
        let Some(percents) = self.current().load().of(key).map(|named| named.limit.alerts) else {
            return decision;
        };
        let told = percents.into_iter().zip(crossed);
        // A peer that lags may not know yet that there is a threshold.
        for (percent, _) in told.filter(|(percent, crossed)| *crossed && *percent > 0) {
            decision.crossed = Some(percent);
            self.alert_sender().tell(Alert {
                limit: limit.to_owned(),
                key: key[PREFIX_BYTES..].to_vec(),
                percent,
                used: decision.used(),
                max: decision.limit,
                window: decision.window,
                basis: decision.basis,
            });
        }
        decision
    }

    /// The same for several limits asked together.
    pub(crate) async fn follow_up_joint<K: AsRef<[u8]>>(
        &self,
        mut decision: JointDecision,
        items: &[(&str, K, u64)],
        asked: &[Item<'_>],
        keys: &[Key],
    ) -> Result<JointDecision, AcquireError> {
        let denying = decision.violated.clone();
        let mut held: Vec<usize> = decision.held().filter(|index| *index < keys.len()).collect();
        // Those that deny come first.
        held.sort_by_key(|index| !denying.contains(index));
        let room = MAX_ITEMS - asked.len();
        if !held.is_empty() {
            if room == 0 {
                self.settle_each(&held, keys).await;
            }
            let holds: Vec<_> = held
                .into_iter()
                .take(room)
                .map(|index| (index, SideCell::Reserved.key(&[keys[index].as_ref()])))
                .collect();
            let (plain, record) = asked.split_at(keys.len());
            let beside = holds.iter().map(|(index, key)| Item { key, args: [*index as u64, 0] });
            let all: Vec<_> =
                plain.iter().copied().chain(beside).chain(record.iter().copied()).collect();
            let told: Vec<_> = items.iter().map(|(limit, _, amount)| (*limit, *amount)).collect();
            decision = self.read_together(&told, self.peer().decide(&all).await, true)?;
        }
        decision.violated.iter().for_each(|item| self.denials().note(keys[*item].as_ref()));
        self.tell_joint(&mut decision, items, keys);
        Ok(decision)
    }

    /// Settles what has lapsed of these keys, one by one: there is no room for it beside the question.
    async fn settle_each(&self, held: &[usize], keys: &[Key]) {
        for index in held {
            let key = keys[*index].as_ref();
            let holds = SideCell::Reserved.key(&[key]);
            let peek = Item { key, args: [1, Operation::Peek.argument()] };
            // If it fails the question is answered as before.
            let _ = self.peer().decide(&[peek, Item { key: &holds, args: [0, 0] }]).await;
        }
    }

    fn tell_joint<K: AsRef<[u8]>>(
        &self,
        joint: &mut JointDecision,
        items: &[(&str, K, u64)],
        keys: &[Key],
    ) {
        let tightest = joint.tightest;
        for (index, crossed) in joint.crossed() {
            let Some(((limit, ..), key)) = items.get(index).zip(keys.get(index)) else { continue };
            let Some(of) = self.current().load().of(key.as_ref()).map(|named| named.limit) else {
                continue;
            };
            let told = of.alerts.into_iter().zip(crossed);
            for (percent, _) in told.filter(|(percent, crossed)| *crossed && *percent > 0) {
                let is_told_of = index == tightest;
                let product = u128::from(of.capacity()) * u128::from(percent);
                let threshold = product.div_ceil(100);
                let threshold = u64::try_from(threshold).unwrap_or(u64::MAX);
                if is_told_of {
                    joint.decision.crossed = Some(percent);
                }
                self.alert_sender().tell(Alert {
                    limit: (*limit).to_owned(),
                    key: key.as_ref()[PREFIX_BYTES..].to_vec(),
                    percent,
                    used: if is_told_of { joint.decision.used() } else { threshold },
                    max: of.capacity(),
                    window: joint.decision.window.filter(|_| is_told_of),
                    basis: joint.decision.basis,
                });
            }
        }
    }
}
