//! Two sites of one group: which of them decides, and who follows at the other
//! (docs/protocol.md, section 16).

use crate::base::id::{Generation, GroupTime, Member, MemberId, PeerName, Position};
use crate::config::MAX_MEMBERS;
use crate::state::{MAX_HISTORY, Membership};

/// Generations that are remembered of what led to a group at two sites, beyond its history of
/// reigns: a site that was away for long is still known to have been part of it.
pub const MAX_LINEAGE: usize = MAX_HISTORY;

/// The sites of a group, as part of its replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteState {
    /// The site of the members: it decides.
    pub active: String,
    /// The other one: it follows.
    pub standby: String,
    /// Peers of that which have held what was committed: they count in nothing.
    pub listed: Vec<Member>,
    /// How far the active site is with giving up to decide.
    pub phase: SitePhase,
    /// How the active site came to decide; `None` if no other did before it.
    pub promoted: Option<Promoted>,
    /// The generations that led here, oldest first.
    pub lineage: Vec<Generation>,
}

/// How far the site that decides is with giving that up (docs/protocol.md, section 16, rule 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SitePhase {
    /// It decides.
    #[default]
    Open,
    /// Nobody decides in this site epoch any more, if a majority holds this.
    Sealing,
    /// A majority holds that: the other site may be promoted without a word of this one.
    Sealed,
}

/// How a site came to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// Without the word of the other one, which may have decided more than was known.
    pub is_forced: bool,
    /// When the state was made that it began from, by the calendar: what was decided until then is
    /// kept.
    pub as_of: GroupTime,
}

impl SiteState {
    /// Two sites, of which the first is to decide.
    pub fn new(active: impl Into<String>, standby: impl Into<String>) -> Self {
        Self {
            active: active.into(),
            standby: standby.into(),
            listed: Vec::new(),
            phase: SitePhase::Open,
            promoted: None,
            lineage: Vec::new(),
        }
    }

    /// Returns true if one of the two goes by this name.
    pub fn has(&self, site: &str) -> bool {
        site == self.active || site == self.standby
    }

    /// Returns true if nobody is to decide in this site epoch any more.
    pub fn is_sealed(&self) -> bool {
        self.phase != SitePhase::Open
    }

    /// Notes that what follows is of this generation.
    pub fn note_generation(&mut self, generation: Generation) {
        if self.lineage.last() != Some(&generation) {
            self.lineage.push(generation);
        }
        self.lineage.drain(..self.lineage.len().saturating_sub(MAX_LINEAGE));
    }
}

/// Returns true if a site epoch belongs to the site `own` of two: those of the one whose name comes
/// first are odd, so that the two never make the same. The first one, 0, is either's.
pub fn is_epoch_of(own: &str, other: &str, site_epoch: u64) -> bool {
    site_epoch > 0 && site_epoch % 2 == u64::from(own < other)
}

/// The first site epoch of the site `own` above `known`; `None` if they are used up.
pub fn epoch_above(own: &str, other: &str, known: u64) -> Option<u64> {
    let above = [known.saturating_add(1), known.saturating_add(2)];
    let next = above.into_iter().find(|epoch| is_epoch_of(own, other, *epoch));
    next.filter(|epoch| *epoch <= Generation::MAX_SITE_EPOCH)
}

impl Membership {
    /// The peers that are listed of the standby site.
    pub fn standby(&self) -> &[Member] {
        self.site.as_ref().map(|site| &site.listed[..]).unwrap_or_default()
    }

    /// Returns true if this start of a peer of the standby site is listed: it has held what was
    /// committed then.
    pub fn lists(&self, name: &PeerName, id: MemberId) -> bool {
        self.standby().iter().any(|member| member.is(name, id))
    }

    /// Returns true if a peer of the standby site is listed by this name, by whatever start.
    pub fn lists_name(&self, name: &PeerName) -> bool {
        self.standby().iter().any(|member| member.name == *name)
    }

    /// Returns true if the active site has begun to give up deciding.
    pub fn is_sealed(&self) -> bool {
        self.site.as_ref().is_some_and(|site| site.is_sealed())
    }

    /// How far the active site is with giving up to decide; open where there is but one.
    pub fn site_phase(&self) -> SitePhase {
        self.site.as_ref().map_or(SitePhase::Open, |site| site.phase)
    }

    /// This membership at the next step of giving up to decide. Nothing of what counts changes, so
    /// it takes no joint change.
    ///
    /// Returns `None` if a change is under way, there is but one site, or that step is behind it.
    pub fn in_phase(&self, phase: SitePhase, stamp: Position) -> Option<Self> {
        let mut site = self.site.clone().filter(|_| self.next.is_none())?;
        if phase <= site.phase {
            return None;
        }
        site.phase = phase;
        Some(Self { stamp, site: Some(site), ..self.clone() })
    }

    /// This membership, in which the site `to` decides from `stamp` on, by the peers `voters` of
    /// it: those that decided before are the ones to follow, and not met yet.
    ///
    /// Returns `None` if it is of no two sites of which `to` is one.
    pub fn promoting(
        &self,
        to: &str,
        voters: Vec<Member>,
        promoted: Promoted,
        stamp: Position,
    ) -> Option<Self> {
        let mut site = self.site.clone().filter(|site| site.has(to))?;
        if site.active != to {
            let former = self.voters.iter().chain(self.next.iter().flatten());
            let mut listed: Vec<Member> =
                former.map(|member| Member { id: None, ..member.clone() }).collect();
            listed.sort();
            listed.dedup_by(|one, other| one.name == other.name);
            listed.truncate(MAX_MEMBERS);
            site.listed = listed;
            std::mem::swap(&mut site.active, &mut site.standby);
        }
        site.phase = SitePhase::Open;
        site.promoted = Some(promoted);
        site.note_generation(stamp.ballot.generation);
        Some(Self { stamp, voters, next: None, site: Some(site), ..self.clone() })
    }

    /// This membership with two sites, of which the members' decides. Nothing of what counts
    /// changes, so it takes no joint change.
    ///
    /// Returns `None` if a change is under way, or there are two sites already.
    pub fn with_sites(&self, site: SiteState, stamp: Position) -> Option<Self> {
        let is_free = self.next.is_none() && self.site.is_none();
        is_free.then(|| Self { stamp, site: Some(Box::new(site)), ..self.clone() })
    }

    /// This membership with a peer of the standby site listed, or listed by another start of it or
    /// at another address. Nothing of what counts changes, so it takes no joint change.
    ///
    /// Returns `None` if a change is under way, there is no standby site, it is listed so already,
    /// its name is a member's or differs from one that is known in capitals only, or as many are
    /// listed as may be.
    pub fn listing(&self, member: Member, stamp: Position) -> Option<Self> {
        let is_alike = self.standby().iter().any(|m| m.name.differs_only_in_case(&member.name));
        let is_taken = self.has(&member.name) || self.alike(&member.name).is_some() || is_alike;
        let mut site = self.site.clone().filter(|_| self.next.is_none())?;
        if is_taken || member.id.is_none() {
            return None;
        }
        let standby = &mut site.listed;
        match standby.iter().position(|listed| listed.name == member.name) {
            Some(index) if standby[index] == member => return None,
            Some(index) => standby[index] = member,
            None if standby.len() >= MAX_MEMBERS => return None,
            None => standby.push(member),
        }
        standby.sort();
        Some(Self { stamp, site: Some(site), ..self.clone() })
    }

    /// This membership without this name in the list of the standby site.
    ///
    /// Returns `None` if a change is under way, or it is not listed.
    pub fn unlisting(&self, name: &PeerName, stamp: Position) -> Option<Self> {
        let mut site = self.site.clone().filter(|_| self.next.is_none())?;
        if !self.lists_name(name) {
            return None;
        }
        site.listed.retain(|member| member.name != *name);
        Some(Self { stamp, site: Some(site), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Ballot, Term};

    fn member(name: &str, id: u64) -> Member {
        Member { name: name.into(), id: Some(MemberId(id)), address: String::new() }
    }

    fn sites() -> SiteState {
        SiteState::new("east", "west")
    }

    #[test]
    fn the_standby_is_listed_beside_those_who_count() {
        let blank = Position::BLANK;
        let m = Membership::settled(blank, vec![member("a", 1), member("b", 2)]);
        assert_eq!(m.listing(member("d", 4), blank), None, "there is no standby site");
        let m = m.with_sites(sites(), blank).expect("there was none");
        assert_eq!(m.with_sites(sites(), blank), None);
        let m = m.listing(member("d", 4), blank).expect("it is new");
        assert!(m.lists(&"d".into(), MemberId(4)) && !m.has(&"d".into()));
        assert!(m.has_majority(|name, _| name.as_str() != "d"), "it counts in nothing");
        assert_eq!(m.listing(member("d", 4), blank), None, "it is so already");
        let again = m.listing(member("d", 5), blank).expect("another start");
        assert!(!again.lists(&"d".into(), MemberId(4)) && again.lists_name(&"d".into()));
        for taken in ["a", "A", "D"] {
            assert_eq!(m.listing(member(taken, 9), blank), None, "{taken}");
        }
        let gone = m.unlisting(&"d".into(), blank).expect("it was listed");
        assert_eq!((gone.standby().len(), gone.unlisting(&"d".into(), blank)), (0, None));
        assert_eq!(gone.removed, [], "it was no member");
    }

    #[test]
    fn what_is_known_of_the_sites_outlives_changes_and_foundings() {
        let blank = Position::BLANK;
        let m = Membership::settled(blank, vec![member("a", 1), member("b", 2)]);
        let m = m.with_sites(sites(), blank).and_then(|m| m.listing(member("d", 4), blank));
        let m = m.expect("a standby is listed");
        let joint = m.adding(member("c", 3), blank).expect("c is new");
        assert_eq!(joint.listing(member("e", 5), blank), None, "one change at a time");
        let ended = joint.ended(blank).expect("a change was under way");
        let anew = ended.founded_anew(blank, vec![member("c", 9)]);
        for kept in [&joint, &ended] {
            assert_eq!(&kept.site, &m.site);
        }
        let kept = anew.site.as_ref().expect("it outlives a founding");
        assert_eq!((kept.active.as_str(), &kept.listed), ("east", &m.standby().to_vec()));
        assert_eq!(kept.lineage, [blank.ballot.generation], "which is remembered");
    }

    #[test]
    fn a_site_gives_up_to_decide_step_by_step_and_the_other_one_takes_its_place() {
        let blank = Position::BLANK;
        let m = Membership::settled(blank, vec![member("a", 1), member("b", 2)]);
        assert_eq!(m.in_phase(SitePhase::Sealing, blank), None, "there is but one site");
        let m = m.with_sites(sites(), blank).and_then(|m| m.listing(member("d", 4), blank));
        let m = m.expect("a standby is listed");
        let sealing = m.in_phase(SitePhase::Sealing, blank).expect("it was open");
        let sealed = sealing.in_phase(SitePhase::Sealed, blank).expect("it was sealing");
        assert!(!m.is_sealed() && sealing.is_sealed() && sealed.is_sealed());
        for back in [SitePhase::Open, SitePhase::Sealing] {
            assert_eq!(sealed.in_phase(back, blank), None, "there is no way back");
        }
        let generation = Generation::first_of(2);
        let ballot = Ballot { generation, term: Term(3) };
        let stamp = Position { ballot, ..blank };
        let promoted = Promoted { is_forced: false, as_of: GroupTime(7) };
        let west = sealed.promoting("west", vec![member("d", 4)], promoted, stamp);
        let west = west.expect("it is one of the two");
        let site = west.site.as_ref().expect("there are two");
        assert_eq!((site.active.as_str(), site.standby.as_str()), ("west", "east"));
        assert_eq!((site.phase, site.promoted), (SitePhase::Open, Some(promoted)));
        assert_eq!(site.lineage, [generation]);
        let unmet = |name: &str| Member { id: None, ..member(name, 1) };
        assert_eq!(site.listed, [unmet("a"), unmet("b")]);
        assert_eq!((west.voters.len(), west.has(&"d".into())), (1, true));
        assert_eq!(west.removed, [], "nobody was counted out");
        let again = west.promoting("west", vec![member("d", 4)], promoted, stamp);
        assert_eq!(again.map(|m| m.standby().to_vec()), Some(site.listed.clone()));
        assert_eq!(west.promoting("north", Vec::new(), promoted, stamp), None);
    }

    #[test]
    fn two_sites_never_make_the_same_epoch() {
        for known in 0..9 {
            let east = epoch_above("east", "west", known).expect("there are more");
            let west = epoch_above("west", "east", known).expect("there are more");
            assert!(east != west && east > known && west > known && east.max(west) <= known + 2);
            assert!(is_epoch_of("east", "west", east) && !is_epoch_of("west", "east", east));
        }
        assert!(!is_epoch_of("east", "west", 0) && !is_epoch_of("west", "east", 0));
        let last = Generation::MAX_SITE_EPOCH;
        assert_eq!(epoch_above("east", "west", last - 1), Some(last));
        assert_eq!(epoch_above("west", "east", last - 1), None, "they are used up");
        assert_eq!(epoch_above("east", "west", u64::MAX), None);
    }

    #[test]
    fn no_more_are_listed_than_may_be() {
        let blank = Position::BLANK;
        let mut m = Membership::settled(blank, vec![member("a", 1)]).with_sites(sites(), blank);
        for number in 0..MAX_MEMBERS as u64 {
            m = m.and_then(|m| m.listing(member(&format!("d{number}"), number), blank));
        }
        let m = m.expect("as many as may be");
        assert_eq!(m.listing(member("x", 99), blank), None);
        assert!(m.listing(member("d0", 99), blank).is_some(), "another start takes its place");
    }
}
