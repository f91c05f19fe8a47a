//! Whose word counts for what (docs/protocol.md, section 7, rules 13 to 15).
//!
//! A connection is easily had: whoever asks to join, or uses the group as a client, gets one. What
//! it says there counts for no more than its place in the group.
//!
//! | what is said | counts from |
//! |---|---|
//! | answers to pings, requests to the primary | everybody that is linked |
//! | how far a follower is | whom this peer sends its state |
//! | all else: candidacies, votes, ballots, claims to be primary, data | known members |

use std::time::Duration;

use crate::base::bug::{self, Bug};
use crate::base::event::Event;
use crate::base::id::{Ballot, Generation, PeerKind, PeerName, PeerStart};
use crate::protocol::elect::founding::seconds_of;
use crate::protocol::group::remote::Remote;
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;
use crate::protocol::role::Role;

/// How far ahead of this peer's the term may be that a peer is believed which nobody vouches for.
/// Far beyond what elections come to, and far below the last term there is.
const MAX_TERMS_AHEAD: u64 = 1 << 28;
/// How far ahead of this peer's clock the founding may be that such a peer is believed.
const MAX_FOUNDING_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// What a peer is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credence {
    /// A member by this peer's list, or by that of a member of it in reach, which may be newer.
    Known,
    /// No member that this peer knows of. But it reaches none of those: all of them may have been
    /// replaced since.
    Unvouched,
    /// No member.
    Stranger,
}

impl Machine {
    fn credence(&self, name: &PeerName) -> Credence {
        let Some(remote) = self.remotes.get(name) else { return Credence::Stranger };
        if bug::is(Bug::StrangerBelieved) {
            return Credence::Known;
        }
        if remote.kind() == Some(PeerKind::Client) {
            return Credence::Stranger;
        }
        // Whoever follows another site takes its word for who its members are.
        if self.names().contains(name) || self.looks_across(remote) || self.is_sibling(name) {
            return Credence::Known;
        }
        // A newer generation has passed this peer over, and those whom its list counts with it.
        if self.is_disowned() {
            return Credence::Unvouched;
        }
        let mut reached = self.fellows().filter(|(_, fellow)| self.is_reachable(fellow)).peekable();
        if reached.peek().is_none() {
            let is_sure = self.has_list() && (self.is_led() || self.is_indispensable());
            let is_stranger = is_sure && !bug::is(Bug::LiarsVouch);
            return if is_stranger { Credence::Stranger } else { Credence::Unvouched };
        }
        let is_named = reached
            .any(|(_, fellow)| fellow.brief().is_some_and(|brief| brief.members.contains(name)));
        if is_named { Credence::Known } else { Credence::Stranger }
    }

    /// Returns true if a peer may ask for what members may: it is one, or clients have the right as
    /// well.
    pub(in crate::protocol) fn may_ask(&self, name: &PeerName, clients_may: bool) -> bool {
        clients_may || self.names().contains(name)
    }

    /// Returns true if what a peer says as a member is listened to.
    pub(in crate::protocol) fn knows(&self, name: &PeerName) -> bool {
        match self.credence(name) {
            Credence::Known => true,
            Credence::Unvouched => self.stands_further(name),
            Credence::Stranger => false,
        }
    }

    /// Returns true if this peer may take part in a ballot on the word of another.
    pub(in crate::protocol) fn believes(&self, name: &PeerName, ballot: Ballot) -> bool {
        match self.credence(name) {
            Credence::Known => true,
            Credence::Unvouched => self.stands_further(name) && self.is_plausible(ballot),
            Credence::Stranger => false,
        }
    }

    /// Returns true if this peer knows who the members are, of its own state or of its settings.
    /// Whoever asks to join, and holds nothing, does not; nor does a client, which holds nothing
    /// ever.
    pub(in crate::protocol) fn has_list(&self) -> bool {
        self.config.kind == PeerKind::Member || self.has_data()
    }

    /// Returns true if this peer has a primary of its list, or decides itself: what others have
    /// come to without it is not its concern yet.
    fn is_led(&self) -> bool {
        match (&self.role, &self.leader) {
            (Role::Primary(reign), _) => reign.has_lease(),
            (_, Some(leader)) => {
                self.names().contains(&leader.start.name) && !self.primary_is_absent()
            }
            (_, None) => false,
        }
    }

    /// Returns true if no majority of the members can do without this peer: nobody was replaced
    /// past it. So it is in a group of one or two. A majority may never have held the end of the
    /// last removal, and have gone on with the one that this peer's list lacks.
    fn is_indispensable(&self) -> bool {
        let membership = &self.meta.membership;
        let members = membership.voters.len() + membership.removed.len().min(1);
        self.is_member() && members - 1 <= members / 2
    }

    /// Returns true if a peer may be the primary of a ballot for this one. Whoever follows gives
    /// its state for the primary's, and takes it along to its group. So where nobody vouches for
    /// that one, it must have been a member by this peer's own list: what it says of its members,
    /// and they of it, is the word of strangers. A peer that has no list takes the word of those it
    /// has asked.
    pub(in crate::protocol) fn may_lead(&mut self, leader: &PeerStart, ballot: Ballot) -> bool {
        match self.credence(&leader.name) {
            Credence::Known => true,
            Credence::Unvouched if self.has_list() && !bug::is(Bug::LiarsVouch) => {
                let was_member = self.was_member(leader);
                if !was_member {
                    self.tell_unvouched(&leader.name);
                }
                was_member
            }
            Credence::Unvouched => {
                self.was_member(leader)
                    || self.is_led_by(leader, ballot)
                    || (self.has_voted_for(leader, ballot) && !self.meets_a_group_without(leader))
            }
            Credence::Stranger => false,
        }
    }

    /// Says why a primary is not followed, and what brings this peer back if it is the right one.
    fn tell_unvouched(&mut self, leader: &PeerName) {
        let others = self.names().into_iter().filter(|name| **name != self.config.name);
        let names: Vec<&str> = others.map(PeerName::as_str).collect();
        let ours = format!(
            "{}, of whom none is in reach: if all of them were replaced, start this peer blank, \
             with a list of the members as they are",
            names.join(",")
        );
        let (peer, theirs) = (leader.to_string(), format!("primary {leader}"));
        self.event(Event::ConfigMismatch { peer, field: "members".into(), ours, theirs });
    }

    /// Returns true if a peer was a member, and was counted out by this peer's list, which may be
    /// older than the one that it is a member by.
    fn was_member(&self, start: &PeerStart) -> bool {
        let id = self.id_of(start);
        let removed = &self.meta.membership.removed;
        id.is_some() && removed.iter().any(|member| member.name == start.name && member.id == id)
    }

    /// Returns true if this peer has given its vote for this reign: it has a part in it.
    fn has_voted_for(&self, leader: &PeerStart, ballot: Ballot) -> bool {
        let has_voted = self.voted_for.as_ref() == Some(&leader.name);
        ballot == self.ballot && has_voted && !bug::is(Bug::JoinerLeavesItsVote)
    }

    /// Returns true if somebody in reach has a primary, and it is another than this one.
    fn meets_a_group_without(&self, leader: &PeerStart) -> bool {
        let others = self
            .possible_members()
            .filter(|(name, remote)| **name != leader.name && self.is_reachable(remote));
        let mut briefs = others.filter_map(|(_, remote)| remote.brief());
        briefs.any(|brief| brief.is_led() && brief.primary.as_ref() != Some(leader))
    }

    /// Returns true if most members of a group, as its primary lists them, say that they follow it:
    /// of the others, and two at least, for this one may be a member that the rest has waited for.
    fn is_led_by(&self, leader: &PeerStart, ballot: Ballot) -> bool {
        let brief = self.remotes.get(&leader.name).and_then(Remote::brief);
        let Some(members) = brief.map(|brief| &brief.members) else { return false };
        let follows = |name: &&PeerName| {
            let remote = self.remotes.get(name).filter(|remote| self.is_reachable(remote));
            let remote = remote.filter(|remote| remote.kind() != Some(PeerKind::Client));
            remote.and_then(Remote::brief).is_some_and(|brief| {
                brief.ballot == ballot && brief.primary.as_ref() == Some(leader)
            })
        };
        let followers = members.iter().filter(follows).count();
        let others = members.iter().filter(|name| **name != self.config.name).count();
        followers > members.len() / 2 || (followers >= 2 && followers > others / 2)
    }

    /// Returns true if a peer holds a later state than this one, as it says itself. A blank peer
    /// has none to lose.
    fn stands_further(&self, name: &PeerName) -> bool {
        let brief = self.remotes.get(name).and_then(Remote::brief);
        let own = self.store.position();
        own.is_blank() || brief.is_some_and(|brief| brief.position > own)
    }

    /// Returns true if a ballot is such that ordinary elections and foundings lead to it, and on
    /// from it.
    pub(in crate::protocol) fn is_plausible(&self, ballot: Ballot) -> bool {
        let own = self.ballot;
        let ahead = seconds_of(self.now.wall).saturating_add(MAX_FOUNDING_AHEAD.as_secs());
        let latest = Generation::founded_at(ahead).max(own.generation.founding());
        ballot.term.0 <= own.term.0 + MAX_TERMS_AHEAD
            && ballot.generation.founding() <= latest
            && ballot.generation.site_epoch() == own.generation.site_epoch()
    }

    /// Returns true if a message is for its sender to send: those who handle it need not ask again.
    pub(in crate::protocol) fn may_say(&self, from: &PeerStart, message: &Message) -> bool {
        let peer = &from.name;
        match message {
            // What is claimed in a heartbeat is looked at there.
            Message::Ping { .. } | Message::Pong { .. } => true,
            Message::Remove { .. }
            | Message::ChangePolicy { .. }
            | Message::SwitchPrimary { .. }
            | Message::Arrange { .. }
            | Message::Peers { .. } => true,
            Message::Tail { .. }
            | Message::PieceStaged { .. }
            | Message::Held { .. }
            | Message::Lost { .. }
            | Message::GaveUp { .. }
            | Message::Position { pull: false, .. } => self.is_sent_to(peer),
            Message::PreVoteReply { .. } | Message::VoteReply { .. } => {
                self.knows(peer) || self.has_asked_across(peer)
            }
            Message::PreVote(_)
            | Message::Vote(_)
            | Message::Release { .. }
            | Message::StandNow { .. }
            | Message::TakeOver { .. }
            | Message::Removed { .. }
            | Message::PolicyChanged { .. }
            | Message::Switched { .. }
            | Message::Arranged { .. }
            | Message::Follow { .. }
            | Message::Position { pull: true, .. }
            | Message::Fork { .. }
            | Message::Piece(_) => self.knows(peer),
        }
    }

    /// Returns true if this peer has asked one of the other site for its vote: whether that counts
    /// is for the list of those to say.
    fn has_asked_across(&self, peer: &PeerName) -> bool {
        self.promotion.is_some() && self.meta.membership.lists_name(peer)
    }

    /// Returns true if this peer sends its state to another: as primary, or to a winner that it
    /// voted for.
    fn is_sent_to(&self, peer: &PeerName) -> bool {
        let is_fed = self.remotes.get(peer).is_some_and(Remote::is_fed);
        is_fed || self.pull.as_ref().is_some_and(|pull| pull.to.name == *peer)
    }
}
