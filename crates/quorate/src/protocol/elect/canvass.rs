//! A round of votes: what has been given, and whether it suffices (docs/protocol.md, section 4).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::bug::{self, Bug};
use crate::base::id::{Ballot, Incarnation, MemberId, PeerName, PeerStart, Position, Time};
use crate::protocol::message::{Campaign, Grant, VoteRequest};
use crate::state::Membership;

/// Who has taken part in a founding with what it had: the peers and what they are counted by.
pub(in crate::protocol) type Participants = BTreeMap<PeerName, MemberId>;

/// What a round of votes is held for.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Call {
    pub(in crate::protocol) campaign: Campaign,
    pub(in crate::protocol) ballot: Ballot,
    /// The ballot whose primary has released its reign to this peer.
    pub(in crate::protocol) released: Option<Ballot>,
    /// Somebody has told this peer to found without waiting.
    pub(in crate::protocol) is_forced: bool,
}

impl Call {
    /// An election of its own accord: nobody has released a reign, or told this peer to found.
    pub(in crate::protocol) fn new(campaign: Campaign, ballot: Ballot) -> Self {
        Self { campaign, ballot, released: None, is_forced: false }
    }
}

/// A round of votes or pre-votes that this peer has called.
#[derive(Debug)]
pub(in crate::protocol) struct Canvass {
    call: Call,
    deadline: Time,
    votes: BTreeMap<PeerName, Vote>,
    /// For a new generation: members that have no vote to give and let their state be adopted.
    lent: BTreeMap<PeerName, Vote>,
    /// The members that the candidate knows of.
    names: BTreeSet<PeerName>,
    /// For a new generation: members in reach whose states are fresher than the candidate's.
    /// Without a word of theirs it would be founded past them.
    awaited: BTreeSet<PeerName>,
    /// For a new generation: members in reach with the candidate's own state. They are waited for
    /// no longer than the round takes.
    welcome: BTreeSet<PeerName>,
    /// For a new generation: members that are gone for good, as an operator says. All others are
    /// needed then.
    gone: BTreeSet<PeerName>,
    /// For a promotion: the site that is to decide.
    site: String,
}

impl Canvass {
    /// A round among the members `names` that is over at `deadline`.
    pub(in crate::protocol) fn new(call: Call, deadline: Time, names: BTreeSet<PeerName>) -> Self {
        Self {
            call,
            deadline,
            votes: BTreeMap::new(),
            lent: BTreeMap::new(),
            names,
            awaited: BTreeSet::new(),
            welcome: BTreeSet::new(),
            gone: BTreeSet::new(),
            site: String::new(),
        }
    }

    /// Is held among the peers of a site, which is to decide.
    pub(in crate::protocol) fn hold_at(&mut self, site: &str, names: BTreeSet<PeerName>) {
        site.clone_into(&mut self.site);
        self.names = names;
    }

    /// Waits for a word of `awaited`, and of `welcome` no longer than the round takes.
    pub(in crate::protocol) fn wait_for(
        &mut self,
        awaited: BTreeSet<PeerName>,
        welcome: BTreeSet<PeerName>,
    ) {
        self.awaited = awaited;
        self.welcome = welcome;
    }

    /// Does without `gone`, and with nobody less than all the others.
    pub(in crate::protocol) fn do_without(&mut self, gone: &BTreeSet<PeerName>) {
        self.gone.clone_from(gone);
        self.names.retain(|name| !gone.contains(name));
    }

    /// Asks for no more than the votes of these.
    pub(in crate::protocol) fn keep_only(&mut self, is_kept: impl Fn(&PeerName) -> bool) {
        self.names.retain(is_kept);
    }

    /// Members that are none any more if this is won.
    pub(in crate::protocol) fn gone(&self) -> &BTreeSet<PeerName> {
        &self.gone
    }

    /// Returns true if it cannot be won without this member's vote.
    pub(in crate::protocol) fn needs(&self, name: &PeerName) -> bool {
        !self.gone.is_empty() && self.names.contains(name)
    }

    pub(in crate::protocol) fn call(&self) -> Call {
        self.call
    }

    pub(in crate::protocol) fn deadline(&self) -> Time {
        self.deadline
    }

    /// The question that is put to the members by a candidate at `position`.
    pub(in crate::protocol) fn request(&self, position: Position) -> VoteRequest {
        let Call { campaign, ballot, released, is_forced } = self.call;
        let gone = self.gone.iter().cloned().collect();
        VoteRequest { ballot, campaign, position, released, is_forced, gone }
    }

    /// Returns true if this member has given its vote.
    pub(in crate::protocol) fn has_vote_of(&self, name: &PeerName) -> bool {
        self.votes.contains_key(name)
    }

    /// Takes what a member gives; returns true if that is anything.
    pub(in crate::protocol) fn take(&mut self, from: &PeerName, grant: Grant, vote: Vote) -> bool {
        let list = match grant {
            Grant::Nothing => return false,
            Grant::State => &mut self.lent,
            Grant::Vote => &mut self.votes,
        };
        list.insert(from.clone(), vote);
        true
    }

    /// Votes are counted under the newest membership known among the voters: a candidate that
    /// missed a change must not win by the members it remembers.
    ///
    /// Changes come one at a time, each committed by a majority of the members before it. So the
    /// newest is found from member to member: whoever counts by one list may know the next, and
    /// what anybody else says of the members is no more than a claim.
    fn newest_membership<'a>(&'a self, own: &'a Membership) -> &'a Membership {
        if bug::is(Bug::VotesUnderOwnMembership) {
            return own;
        }
        let mut newest = own;
        loop {
            let counted = self.votes.iter().filter(|(name, _)| self.is_of(newest, name));
            let told = counted.map(|(_, vote)| &vote.membership).max_by_key(|told| told.stamp);
            match told.filter(|told| told.stamp > newest.stamp) {
                Some(newer) => newest = newer,
                None => return newest,
            }
        }
    }

    /// Returns true if a voter has the name of a member, by the candidate's list or by a newer one.
    fn is_of(&self, newest: &Membership, name: &PeerName) -> bool {
        self.names.contains(name) || newest.has(name) || bug::is(Bug::StrangerBelieved)
    }

    /// Returns true if the votes suffice. Whoever was told to found without waiting waits for the
    /// states of others no longer than this round takes.
    pub(in crate::protocol) fn has_won(&self, own: &Membership, now: Time) -> bool {
        match self.call.campaign {
            Campaign::Ordinary => self.has_majority(own),
            Campaign::NewGeneration if bug::is(Bug::BlankFoundsAlone) => true,
            Campaign::NewGeneration => self.has_pledges(now),
            Campaign::Promotion if self.call.is_forced => self.has_pledges(now),
            Campaign::Promotion if bug::is(Bug::PromotionByNamesUnforced) => self.has_pledges(now),
            Campaign::Promotion => self.has_site(own),
        }
    }

    /// Returns true if the votes suffice for a promotion that loses nothing: of those that are
    /// listed of the site most have voted, by what they hold. Where that site was the one to give
    /// up deciding, most of the other one have as well: they hold its licence.
    fn has_site(&self, own: &Membership) -> bool {
        let newest = self.newest_membership(own);
        let Some(site) = &newest.site else { return false };
        let has_voted =
            |name: &PeerName, id: MemberId| self.votes.get(name).is_some_and(|vote| vote.id == id);
        let listed = newest
            .standby()
            .iter()
            .filter(|member| member.id.is_some_and(|id| has_voted(&member.name, id)));
        let has_standby = listed.count() > newest.standby().len() / 2;
        match site.active == self.site {
            false => has_standby,
            true => {
                let is_alone = newest.standby().is_empty() || !site.is_sealed();
                let has_agreed = has_standby || is_alone;
                newest.has_majority(has_voted) && (has_agreed || bug::is(Bug::SealTakenBack))
            }
        }
    }

    fn has_majority(&self, own: &Membership) -> bool {
        self.newest_membership(own).has_majority(|name, id| {
            let vote = self.votes.get(name);
            vote.is_some_and(|vote| vote.id == id || bug::is(Bug::AmnesiacVotes))
        })
    }

    fn has_pledges(&self, now: Time) -> bool {
        let pledges = self.names.iter().filter(|name| self.has_vote_of(name)).count();
        let is_over = now >= self.deadline;
        let have_said = |names: &BTreeSet<PeerName>| {
            names.iter().all(|name| self.has_vote_of(name) || self.lent.contains_key(name))
        };
        let needed = match self.gone.is_empty() || bug::is(Bug::ForceByMajorityOfRest) {
            true => self.names.len() / 2 + 1,
            false => self.names.len(),
        };
        pledges >= needed
            && ((is_over && self.call.is_forced) || have_said(&self.awaited))
            && (is_over || have_said(&self.welcome))
    }

    /// The voter, or lender, with the freshest state, `me` if no other is fresher and my cells are
    /// sound. Of members: what another says that it holds may be anything.
    pub(in crate::protocol) fn freshest(
        &self,
        me: &PeerName,
        own: &Membership,
        is_sound: bool,
    ) -> Option<(PeerStart, Position)> {
        let newest = self.newest_membership(own);
        let heard = self.votes.iter().chain(&self.lent);
        let counted = heard.filter(|(name, _)| self.is_of(newest, name));
        let (name, vote) = counted.max_by_key(|(name, vote)| {
            (rank(vote.position), (*name == me) == is_sound, Reverse(*name))
        })?;
        Some((PeerStart::new(name.clone(), vote.incarnation), vote.position))
    }

    /// Whose states are no fresher than the one that is adopted.
    pub(in crate::protocol) fn participants(&self) -> Participants {
        let heard = self.votes.iter().chain(&self.lent);
        heard.map(|(name, vote)| (name.clone(), vote.id)).collect()
    }
}

/// What a member has said to a request for a vote or a pre-vote.
#[derive(Debug)]
pub(in crate::protocol) struct Reply {
    /// The ballot asked for.
    pub(in crate::protocol) ballot: Ballot,
    pub(in crate::protocol) grant: Grant,
    /// The newest ballot that it knows.
    pub(in crate::protocol) known: Ballot,
    /// Its position; blank in a pre-vote, which says nothing of freshness.
    pub(in crate::protocol) position: Position,
    pub(in crate::protocol) membership: Membership,
    /// Why nothing was given.
    pub(in crate::protocol) why: String,
}

/// What a voter said when it had raised its ballot.
#[derive(Debug)]
pub(in crate::protocol) struct Vote {
    pub(in crate::protocol) incarnation: Incarnation,
    pub(in crate::protocol) id: MemberId,
    pub(in crate::protocol) position: Position,
    pub(in crate::protocol) membership: Membership,
}

impl Vote {
    /// The vote of `from`, which is counted by `id`.
    pub(in crate::protocol) fn of(from: &PeerStart, id: MemberId, reply: Reply) -> Self {
        let Reply { position, membership, .. } = reply;
        Self { incarnation: from.incarnation, id, position, membership }
    }
}

/// The rank of a position among the states of voters.
pub(in crate::protocol) fn rank(position: Position) -> Position {
    if bug::is(Bug::SequenceWithoutTerm) {
        return Position { ballot: Ballot::NONE, ..position };
    }
    position
}
