//! Whom a peer that holds a state keeps out by its list of members, and whose list goes before it
//! (docs/protocol.md, section 7).

use crate::base::bug::{self, Bug};
use crate::base::id::{Generation, MemberId, PeerKind, PeerName, Position};
use crate::config::MAX_MEMBERS;
use crate::state::{MAX_HISTORY, Membership, Meta};

/// Generations that a peer names: one for each reign that it remembers at most.
pub(crate) const MAX_GENERATIONS: usize = MAX_HISTORY;

/// How far a peer's state has come, and with it the list of members that is part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The state that it holds.
    pub position: Position,
    /// The generations that led to it, oldest first.
    pub generations: Vec<Generation>,
}

impl Standing {
    /// The standing of a peer that holds this state.
    pub fn new(position: Position, meta: &Meta) -> Self {
        let history = meta.history.iter().map(|reign| reign.ballot.generation);
        let mut generations: Vec<Generation> = history.collect();
        let site = meta.membership.site.as_ref();
        let lineage = site.map(|site| &site.lineage[..]).unwrap_or_default();
        generations.extend(lineage);
        // They only grow.
        generations.sort_unstable();
        generations.dedup();
        generations.drain(..generations.len().saturating_sub(MAX_GENERATIONS));
        Self { position, generations }
    }

    /// Returns true if what led to another peer's state has led to this one's as well.
    pub fn is_kin_of(&self, other: &Self) -> bool {
        let is_of_us = |generation: &Generation| self.generations.contains(generation);
        other.generations.iter().any(is_of_us)
    }

    /// Returns true if the list of another peer goes before this one's: it stands in a state that
    /// came of the same group as this one's, and later.
    ///
    /// What a majority has decided up to here is part of that state, and not all of this peer's
    /// list may have been. A state that came of another group says nothing of who belongs to this
    /// one.
    pub fn gives_way_to(&self, other: &Self) -> bool {
        let is_of_us = |generation: &Generation| self.generations.contains(generation);
        self.position < other.position && other.generations.iter().any(is_of_us)
    }
}

/// A peer that asks to be let in, as it says itself.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Its name.
    pub peer: &'a PeerName,
    /// What it is counted by.
    pub id: MemberId,
    /// What it is to the group; a client is nobody's concern here.
    pub kind: PeerKind,
    /// Where it stands.
    pub standing: &'a Standing,
    /// The site that it stands at; empty if it has none.
    pub site: &'a str,
}

/// What a list of members says against a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It is none of them, and its name differs from that of one in capitals only.
    Alike,
    /// It was counted out.
    Removed,
    /// A member of its name was, and it does not ask to join as a new one.
    NameRemoved,
    /// It would join, and there are as many members as may be.
    Full,
    /// It is none of them, and does not ask to join.
    Stranger,
}

impl Membership {
    /// The objection of a peer that goes by this list, and stands at `own`, to letting another one
    /// in; nothing if the other's list goes before it.
    pub fn objection(&self, own: &Standing, applicant: &Applicant<'_>) -> Option<Objection> {
        let Applicant { peer, id, kind, standing, site } = *applicant;
        // Whoever follows from there is no member, and does not ask to be one.
        let is_of_standby = self.site.as_ref().is_some_and(|sites| sites.standby == site);
        let is_alike = !self.has(peer) && self.alike(peer).is_some();
        if is_of_standby && !is_alike {
            return None;
        }
        let objection = if self.has_removed(peer, id) {
            Objection::Removed
        } else if is_alike {
            Objection::Alike
        } else if kind == PeerKind::Client || self.voters.is_empty() || self.has(peer) {
            return None;
        } else if kind == PeerKind::Joiner {
            (self.voters.len() >= MAX_MEMBERS).then_some(Objection::Full)?
        } else if self.has_removed_name(peer) {
            Objection::NameRemoved
        } else {
            Objection::Stranger
        };
        let is_older = own.gives_way_to(standing) && !bug::is(Bug::OlderListKeepsOut);
        (!is_older).then_some(objection)
    }
}

impl Membership {
    /// Returns true if a peer that this list does not count, as it stood at `own`, is of a newer
    /// generation of the same history: that one was founded without whoever goes by this list.
    pub fn is_overtaken_by(&self, own: &Standing, applicant: &Applicant<'_>) -> bool {
        let Applicant { peer, id, kind, standing, .. } = *applicant;
        let [ours, theirs] = [own, standing].map(|of| of.position.ballot.generation);
        if ours.site_epoch() != theirs.site_epoch() {
            // It may not have begun: of those that have another word is given.
            return false;
        }
        let is_stranger = kind == PeerKind::Member && !self.has(peer);
        let is_not_counted = self.has_removed(peer, id) || is_stranger;
        is_not_counted && ours < theirs && own.gives_way_to(standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, Member, Sequence, Term};
    use crate::state::Reign;

    fn at(generation: u64, term: u64, sequence: u64) -> Position {
        let ballot = Ballot { generation: Generation::from_bits(generation), term: Term(term) };
        Position { ballot, sequence: Sequence(sequence) }
    }

    fn standing(position: Position, generations: &[u64]) -> Standing {
        Standing {
            position,
            generations: generations.iter().map(|g| Generation::from_bits(*g)).collect(),
        }
    }

    fn members(names: &str) -> Vec<Member> {
        let member = |name: char| Member {
            name: name.to_string().into(),
            id: Some(MemberId(u64::from(u32::from(name)))),
            address: String::new(),
        };
        names.chars().map(member).collect()
    }

    /// `a` and `b`, without `c`.
    fn list() -> Membership {
        let removed = members("c");
        Membership { removed, ..Membership::settled(at(3, 1, 20), members("ab")) }
    }

    /// What the list, as of reign 3.1 and sequence 21, has against a peer.
    fn against(name: &str, id: u64, kind: PeerKind, theirs: &Standing) -> Option<Objection> {
        let own = standing(at(3, 1, 21), &[2, 3]);
        let (peer, id) = (name.into(), MemberId(id));
        list().objection(&own, &Applicant { peer: &peer, id, kind, standing: theirs, site: "" })
    }

    #[test]
    fn a_standing_names_each_founding_once() {
        let of = |g, t| Ballot { generation: Generation::from_bits(g), term: Term(t) };
        let reigns = [of(2, 1), of(2, 2), of(5, 3), of(5, 4)];
        let history = reigns.map(|ballot| Reign { ballot, after: Sequence(0) }).into();
        let meta = Meta { history, ..Meta::default() };
        assert_eq!(Standing::new(at(5, 4, 9), &meta), standing(at(5, 4, 9), &[2, 5]));
        assert_eq!(Standing::new(Position::BLANK, &Meta::default()), Standing::default());
    }

    #[test]
    fn a_list_keeps_out_whoever_is_no_member_and_whoever_was_removed() {
        use PeerKind::{Client, Joiner, Member};
        for theirs in
            [Standing::default(), standing(at(3, 1, 21), &[3]), standing(at(2, 9, 99), &[2])]
        {
            assert_eq!(against("a", 1, Member, &theirs), None);
            assert_eq!(against("z", 1, Member, &theirs), Some(Objection::Stranger));
            assert_eq!(against("z", 1, Joiner, &theirs), None);
            assert_eq!(against("z", 1, Client, &theirs), None);
            assert_eq!(against("c", 1, Member, &theirs), Some(Objection::NameRemoved));
            assert_eq!(against("c", 1, Joiner, &theirs), None, "a new one of that name");
            let old = u64::from(u32::from('c'));
            for kind in [Member, Joiner, Client] {
                assert_eq!(against("B", 1, kind, &theirs), Some(Objection::Alike));
                assert_eq!(against("c", old, kind, &theirs), Some(Objection::Removed));
            }
        }
    }

    #[test]
    fn a_list_keeps_nobody_out_who_has_got_further_in_the_same_group() {
        let old = u64::from(u32::from('c'));
        for theirs in [
            standing(at(3, 1, 22), &[3]),
            standing(at(3, 2, 1), &[3]),
            standing(at(7, 2, 1), &[2, 3, 7]),
            standing(at(7, 2, 1), &[1, 2, 7]),
        ] {
            for (name, id) in [("z", 1), ("c", 1), ("c", old)] {
                assert_eq!(against(name, id, PeerKind::Member, &theirs), None, "{theirs:?}");
            }
        }
    }

    #[test]
    fn another_group_is_no_reason_to_let_anyone_in() {
        let theirs = standing(at(7, 2, 1), &[6, 7]);
        assert_eq!(against("z", 1, PeerKind::Member, &theirs), Some(Objection::Stranger));
        assert_eq!(against("c", 1, PeerKind::Member, &theirs), Some(Objection::NameRemoved));
    }

    #[test]
    fn of_two_lists_at_most_one_gives_way() {
        let all = [
            standing(at(3, 1, 21), &[3]),
            standing(at(3, 2, 4), &[3]),
            standing(at(4, 1, 2), &[3, 4]),
        ];
        for one in &all {
            for other in &all {
                assert!(!(one.gives_way_to(other) && other.gives_way_to(one)));
                assert_eq!(one.gives_way_to(other), one.position < other.position);
            }
        }
    }

    #[test]
    fn a_full_list_takes_no_joiner_but_one_that_was_taken_since() {
        let list = Membership::settled(at(3, 1, 20), members("abcdefg"));
        let (own, peer) = (standing(at(3, 1, 21), &[3]), "z".into());
        let says = |theirs: &Standing| {
            let (id, kind) = (MemberId(1), PeerKind::Joiner);
            list.objection(&own, &Applicant { peer: &peer, id, kind, standing: theirs, site: "" })
        };
        assert_eq!(says(&Standing::default()), Some(Objection::Full));
        assert_eq!(says(&standing(at(3, 1, 30), &[3])), None);
    }

    #[test]
    fn a_peer_without_a_state_has_nothing_against_anyone() {
        let (own, peer) = (Standing::default(), "z".into());
        let applicant = Applicant {
            peer: &peer,
            id: MemberId(1),
            kind: PeerKind::Member,
            standing: &own,
            site: "",
        };
        assert_eq!(Membership::default().objection(&own, &applicant), None);
    }
}
