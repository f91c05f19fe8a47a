//! Majorities: who counts, and what most of them hold (docs/protocol.md, section 7).

use std::collections::BTreeSet;

use crate::base::bug::{self, Bug};
use crate::base::id::{Member, MemberId, PeerName, Position};
use crate::config::MAX_MEMBERS;
use crate::state::site::SiteState;
use crate::state::upkeep::Upkeep;

/// The members of a group as part of its replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The position at which this membership was set.
    pub stamp: Position,
    /// Who votes.
    pub voters: Vec<Member>,
    /// While a change is under way: who will vote. Majorities of both are needed.
    pub next: Option<Vec<Member>>,
    /// Who was counted out, oldest first; bounded by `MAX_REMOVED`. They are refused by name.
    pub removed: Vec<Member>,
    /// How the group looks after them.
    pub upkeep: Upkeep,
    /// The sites; `None` if there is but one.
    pub site: Option<Box<SiteState>>,
}

/// Members counted out that are remembered: an older one is a stranger like any other.
pub const MAX_REMOVED: usize = 64;

impl Membership {
    /// A membership in force, with no change under way.
    pub fn settled(stamp: Position, voters: Vec<Member>) -> Self {
        Self { stamp, voters, ..Self::default() }
    }

    /// Returns true if there is a member of this name, now or after the change under way.
    pub fn has(&self, name: &PeerName) -> bool {
        self.voters.iter().chain(self.next.iter().flatten()).any(|m| m.name == *name)
    }

    /// A member whose name differs from this one in capitals only, now or after the change under
    /// way.
    pub fn alike(&self, name: &PeerName) -> Option<&PeerName> {
        let mut all = self.voters.iter().chain(self.next.iter().flatten()).map(|m| &m.name);
        all.find(|other| name.differs_only_in_case(other))
    }

    /// Returns true if there still is one after the change under way.
    pub fn keeps(&self, name: &PeerName) -> bool {
        self.next.as_ref().unwrap_or(&self.voters).iter().any(|m| m.name == *name)
    }

    /// Returns true if this member was counted out, for good.
    pub fn has_removed(&self, name: &PeerName, id: MemberId) -> bool {
        self.removed.iter().any(|member| member.id == Some(id)) && !self.counts(name, id)
    }

    /// Returns true if a member of this name was counted out, and none has come since.
    pub fn has_removed_name(&self, name: &PeerName) -> bool {
        self.removed.iter().any(|m| m.name == *name) && !self.has(name)
    }

    /// Returns true if this member votes and acknowledges, now or after the change under way.
    pub fn counts(&self, name: &PeerName, id: MemberId) -> bool {
        let mut all = self.voters.iter().chain(self.next.iter().flatten());
        all.any(|member| member.is(name, id))
    }

    /// Returns true if it counts whatever becomes of a change that is under way: of the old members
    /// and of the new ones.
    pub fn counts_surely(&self, name: &PeerName, id: MemberId) -> bool {
        let counts_in = |list: &[Member]| list.iter().any(|member| member.is(name, id));
        counts_in(&self.voters) && self.next.as_deref().is_none_or(counts_in)
    }

    /// All names of it, in order.
    pub fn names(&self) -> BTreeSet<&PeerName> {
        self.voters.iter().chain(self.next.iter().flatten()).map(|m| &m.name).collect()
    }

    /// Returns true if a majority of the members (of the old and of the new ones, during a change)
    /// are as `holds` says.
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

    /// This membership, begun anew with these voters: the rest of the members is counted out.
    /// Whoever was counted out before stays so, and what was said of its upkeep and of its sites.
    pub fn founded_anew(&self, stamp: Position, voters: Vec<Member>) -> Self {
        let mut gone = self.removed.clone();
        let old = self.voters.iter().chain(self.next.iter().flatten());
        for member in old.filter(|old| !voters.iter().any(|new| new.name == old.name)) {
            if !gone.contains(member) {
                gone.push(member.clone());
            }
        }
        gone.drain(..gone.len().saturating_sub(MAX_REMOVED));
        let mut site = self.site.clone();
        if let Some(site) = &mut site {
            site.note_generation(stamp.ballot.generation);
        }
        Self { stamp, voters, next: None, removed: gone, site, ..self.clone() }
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
        Some(self.joint(next, stamp))
    }

    /// This membership with one more member, as a joint change from this one.
    ///
    /// Returns `None` if a change is under way, there is a member of that name or of one that
    /// differs in capitals only, this one was removed, or there are as many as may be.
    pub fn adding(&self, member: Member, stamp: Position) -> Option<Self> {
        let is_back = |id| self.has_removed(&member.name, id);
        let is_taken = self.has(&member.name) || self.alike(&member.name).is_some();
        let is_refused = is_taken || member.id.is_none_or(is_back);
        if self.next.is_some() || is_refused || self.voters.len() >= MAX_MEMBERS {
            return None;
        }
        let mut next = self.voters.clone();
        next.push(member);
        next.sort();
        Some(self.joint(next, stamp))
    }

    /// This membership without `name`, as a joint change from this one.
    ///
    /// Returns `None` if a change is under way, the name is unknown, or it is the last one.
    pub fn removing(&self, name: &PeerName, stamp: Position) -> Option<Self> {
        if self.next.is_some() || !self.has(name) || self.voters.len() == 1 {
            return None;
        }
        let next = self.voters.iter().filter(|m| m.name != *name).cloned().collect();
        Some(self.joint(next, stamp))
    }

    /// This membership with `name` reached elsewhere. Nothing of what counts changes, so it takes
    /// no joint change.
    ///
    /// Returns `None` if a change is under way, the name is unknown, or it is reached there
    /// already.
    pub fn readdressed(&self, name: &PeerName, address: &str, stamp: Position) -> Option<Self> {
        if self.next.is_some() {
            return None;
        }
        let mut changed = Self { stamp, ..self.clone() };
        let member = changed.voters.iter_mut().find(|m| m.name == *name)?;
        if member.address == address {
            return None;
        }
        member.address = address.to_owned();
        Some(changed)
    }

    /// This membership looked after in another way. Nothing of what counts changes, so it takes no
    /// joint change.
    ///
    /// Returns `None` if a change is under way.
    pub fn kept_by(&self, upkeep: Upkeep, stamp: Position) -> Option<Self> {
        self.next.is_none().then(|| Self { stamp, upkeep, ..self.clone() })
    }

    /// The end of the change under way, if there is one.
    pub fn ended(&self, stamp: Position) -> Option<Self> {
        let voters = self.next.clone()?;
        debug_assert!(!voters.is_empty(), "the last member is not counted out");
        let mut removed = self.removed.clone();
        removed.extend(self.voters.iter().filter(|m| !self.keeps(&m.name)).cloned());
        removed.drain(..removed.len().saturating_sub(MAX_REMOVED));
        Some(Self { stamp, voters, next: None, removed, ..self.clone() })
    }

    fn joint(&self, next: Vec<Member>, stamp: Position) -> Self {
        Self { stamp, next: Some(next), ..self.clone() }
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
    let is_half = bug::is(Bug::HalfIsMajority);
    let index = if is_half { list.len().saturating_sub(1) / 2 } else { list.len() / 2 };
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

    fn next(membership: Option<Membership>) -> Vec<String> {
        let next = membership.and_then(|m| m.next).expect("a joint change");
        next.iter().map(|m| m.name.to_string()).collect()
    }

    #[test]
    fn members_come_and_go_one_at_a_time_by_joint_changes() {
        let blank = Position::BLANK;
        let m = Membership::settled(blank, members(&[("a", 1), ("c", 3)]));
        let b = Member { name: "b".into(), id: Some(MemberId(2)), address: "x".into() };
        let joint = m.adding(b.clone(), blank).expect("b is new");
        assert_eq!(next(Some(joint.clone())), ["a", "b", "c"]);
        assert!(!joint.has_majority(|n, _| n.as_str() != "c"), "two of the old ones are needed");
        assert_eq!(joint.adding(Member { name: "d".into(), ..b.clone() }, blank), None);
        assert_eq!(joint.removing(&"a".into(), blank), None);
        let m = joint.ended(blank).expect("a change was under way");
        assert_eq!((m.adding(b.clone(), blank), m.removing(&"z".into(), blank)), (None, None));
        let joint = m.removing(&"b".into(), blank).expect("b is a member");
        assert!(joint.has(&b.name) && !joint.keeps(&b.name));
        assert!(!joint.has_removed_name(&b.name), "not yet");
        let m = joint.ended(blank).expect("a change was under way");
        assert!(m.has_removed(&b.name, MemberId(2)) && m.has_removed_name(&b.name));
        assert_eq!(m.adding(b.clone(), blank), None, "what was removed does not come back");
        let again = Member { id: Some(MemberId(9)), ..b };
        let alike = Member { name: "C".into(), ..again.clone() };
        assert_eq!(m.adding(alike, blank), None, "there is c");
        assert_eq!(next(m.adding(again, blank)), ["a", "b", "c"]);
    }

    #[test]
    fn a_group_has_no_more_members_than_may_be_and_never_none() {
        let names: Vec<String> = (0..MAX_MEMBERS).map(|n| n.to_string()).collect();
        let list: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 1)).collect();
        let m = Membership::settled(Position::BLANK, members(&list));
        let more = Member { name: "x".into(), id: Some(MemberId(5)), address: String::new() };
        assert_eq!(m.adding(more, Position::BLANK), None);
        let one = Membership::settled(Position::BLANK, members(&[("a", 1)]));
        assert_eq!(one.removing(&"a".into(), Position::BLANK), None);
    }

    #[test]
    fn an_address_changes_at_once() {
        let m = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 2)]));
        let moved = m.readdressed(&"b".into(), "x:1", Position::BLANK).expect("it has moved");
        assert_eq!((moved.voters[1].address.as_str(), &moved.next), ("x:1", &None));
        assert_eq!(moved.readdressed(&"b".into(), "x:1", Position::BLANK), None);
    }

    #[test]
    fn majority_value_is_what_most_reach() {
        let m = Membership::settled(Position::BLANK, members(&[("a", 1), ("b", 2), ("c", 3)]));
        assert_eq!(m.majority_value(|_, i| i.0), 2);
    }
}
