//! What comes after some decisions: reservations that have lapsed are settled and the question is asked
//! once more, and thresholds that were crossed are told.

use quorate::{Item, MAX_ITEMS};

use crate::alert::Alert;
use crate::auxiliary::Auxiliary;
use crate::decision::{Decision, JointDecision};
use crate::error::AcquireError;
use crate::key::{Key, PREFIX_BYTES};
use crate::limiter::RateLimiter;
use crate::operation::Operation;
use crate::reading::Named;

impl RateLimiter {
    /// Does what is to be done about a decision that is not a usual one.
    pub(crate) async fn follow_up(
        &self,
        mut decision: Decision,
        named: Named<'_>,
        operation: Operation,
        item: Item<'_>,
    ) -> Result<Decision, AcquireError> {
        if decision.is_held() {
            let holds = Auxiliary::Holds.key(&[item.key]);
            let items = [item, Item { key: &holds, args: [0, 0] }];
            let decided = self.peer().decide(&items).await;
            decision = self.read(named, operation, item.args[0], decided)?;
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
        let Some(percents) = self.live().load().of(key).map(|entry| entry.limit.alerts) else {
            return decision;
        };
        for (percent, _) in percents.into_iter().zip(crossed).filter(|(_, crossed)| *crossed) {
            decision.crossed = Some(percent);
            self.teller().tell(Alert {
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
        let held: Vec<usize> = decision.held().collect();
        let room = MAX_ITEMS - asked.len();
        if !held.is_empty() && room > 0 {
            // As many as there is room for: the next one who is denied settles the others.
            let holds: Vec<_> = held.into_iter().take(room).collect();
            let holds: Vec<_> = holds
                .into_iter()
                .map(|index| (index, Auxiliary::Holds.key(&[keys[index].as_ref()])))
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

    fn tell_joint<K: AsRef<[u8]>>(
        &self,
        joint: &mut JointDecision,
        items: &[(&str, K, u64)],
        keys: &[Key],
    ) {
        let tightest = joint.tightest;
        for (index, crossed) in joint.crossed() {
            let ((limit, ..), key) = (&items[index], &keys[index]);
            let Some(of) = self.live().load().of(key.as_ref()).map(|entry| entry.limit) else {
                continue;
            };
            for (percent, _) in of.alerts.into_iter().zip(crossed).filter(|(_, crossed)| *crossed) {
                let is_told_of = index == tightest;
                let threshold = u128::from(of.capacity()) * u128::from(percent) / 100;
                let threshold = u64::try_from(threshold).unwrap_or(u64::MAX);
                if is_told_of {
                    joint.decision.crossed = Some(percent);
                }
                self.teller().tell(Alert {
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
