//! Majorities: who counts, and what most of them hold (docs/protocol.md, section 7).

use std::collections::BTreeSet;

use crate::bug::{self, Bug};
use crate::id::{Member, MemberId, PeerName, Position};
use crate::protocol::message::Membership;

impl Membership {
    /// A membership in force, with no change under way.
    pub fn settled(stamp: Position, voters: Vec<Member>) -> Self {
        Self { stamp, voters, next: None }
    }

    /// Whether this member votes and acknowledges, now or after the change under way.
    pub fn counts(&self, name: &PeerName, id: MemberId) -> bool {
        let is = |m: &Member| m.name == *name && m.id == Some(id);
        self.voters.iter().any(is) || self.next.iter().flatten().any(is)
    }

    /// All names of it, in order.
    pub fn names(&self) -> BTreeSet<&PeerName> {
        self.voters.iter().chain(self.next.iter().flatten()).map(|m| &m.name).collect()
    }

    /// Whether a majority of the members (of the old and of the new ones, during a change) are
    /// as `holds` says.
    pub fn has_majority(&self, mut holds: impl FnMut(&PeerName, MemberId) -> bool) -> bool {
        self.majority_value(|name, id| holds(name, id))
    }

    /// The largest value that a majority reaches; unmet members reach the default only.
    pub fn majority_value<T: Ord + Copy + Default>(
        &self,
        mut value: impl FnMut(&PeerName, MemberId) -> T,
    ) -> T {
        let mut of = |list: &[Member]| majority_of(list, &mut value);
        let old = of(&self.voters);
        match &self.next {
            Some(next) => old.min(of(next)),
            None => old,
        }
    }

    /// This membership with `name` counted by `id`, as a joint change from this one.
    ///
    /// Returns `None` if a change is under way, the name is unknown, or it counts already.
    pub fn replacing(&self, name: &PeerName, id: MemberId, stamp: Position) -> Option<Self> {
        if self.next.is_some() || self.counts(name, id) {
            return None;
        }
        let mut next = self.voters.clone();
        next.iter_mut().find(|m| m.name == *name)?.id = Some(id);
        Some(Self { stamp, voters: self.voters.clone(), next: Some(next) })
    }
}

fn majority_of<T: Ord + Copy + Default>(
    list: &[Member],
    value: &mut impl FnMut(&PeerName, MemberId) -> T,
) -> T {
    let mut values: Vec<T> =
        list.iter().map(|m| m.id.map_or_else(T::default, |id| value(&m.name, id))).collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    // Of n values, n / 2 + 1 are at least the one at index n / 2.
    let index = if bug::is(Bug::HalfIsMajority) { (list.len() - 1) / 2 } else { list.len() / 2 };
    values.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(list: &[(&str, u64)]) -> Vec<Member> {
        list.iter()
            .map(|&(name, i)| Member {
                name: name.into(),
                id: (i > 0).then_some(MemberId(i)),
                address: String::new(),
            })
            .collect()
    }

    #[test]
    fn two_of_three_are_a_majority_and_two_of_four_are_not() {
        let three = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 1), ("c", 1)]));
        assert!(three.has_majority(|n, _| n.as_str() != "a"));
        assert!(!three.has_majority(|n, _| n.as_str() == "a"));
        let four = members(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let four = Membership::settled(Position::BLANK, four);
        assert!(!four.has_majority(|n, _| n.as_str() < "c"));
    }

    #[test]
    fn an_unmet_member_counts_in_the_size_only() {
        let m = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 0), ("c", 0)]));
        assert!(!m.has_majority(|_, _| true));
    }

    #[test]
    fn a_joint_membership_needs_both_majorities() {
        let m = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 1), ("c", 1)]));
        let joint = m
            .replacing(&"c".into(), MemberId(2), Position::BLANK)
            .expect("c is known under another incarnation");
        assert!(joint.counts(&"c".into(), MemberId(1)));
        assert!(joint.counts(&"c".into(), MemberId(2)));
        // a and the new c are a majority of the new members and not of the old ones.
        assert!(!joint.has_majority(|n, i| n.as_str() == "a" || i == MemberId(2)));
        assert!(joint.has_majority(|n, _| n.as_str() != "c"));
        assert_eq!(joint.replacing(&"b".into(), MemberId(2), Position::BLANK), None);
    }

    #[test]
    fn majority_value_is_what_most_reach() {
        let m = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 2), ("c", 3)]));
        assert_eq!(m.majority_value(|_, i| i.0), 2);
    }
}
