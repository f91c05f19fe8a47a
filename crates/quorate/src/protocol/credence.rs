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

use crate::bug::{self, Bug};
use crate::id::{Ballot, Generation, Incarnation, PeerKind, PeerName};
use crate::protocol::founding::seconds_of;
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;

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
    /// This peer reaches nobody of its list: all of them may have been replaced since.
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
        if self.names().contains(name) {
            return Credence::Known;
        }
        let mut reached = self.fellows().filter(|(_, fellow)| self.is_reachable(fellow)).peekable();
        if reached.peek().is_none() {
            return Credence::Unvouched;
        }
        let is_named = reached.any(|(_, fellow)| {
            fellow.brief.as_ref().is_some_and(|brief| brief.members.contains(name))
        });
        if is_named { Credence::Known } else { Credence::Stranger }
    }

    /// Whether what a peer says as a member is listened to.
    pub(super) fn knows(&self, name: &PeerName) -> bool {
        match self.credence(name) {
            Credence::Known => true,
            Credence::Unvouched => self.stands_further(name),
            Credence::Stranger => false,
        }
    }

    /// Whether this peer may take part in a ballot on the word of another.
    pub(super) fn believes(&self, name: &PeerName, ballot: Ballot) -> bool {
        match self.credence(name) {
            Credence::Known => true,
            Credence::Unvouched => self.stands_further(name) && self.is_plausible(ballot),
            Credence::Stranger => false,
        }
    }

    /// Whether a peer may be the primary of a ballot for this one. Whoever follows gives its state
    /// for the primary's: where nobody vouches for that one, it must have been a member by this
    /// peer's list, or most members of its group must follow it, as they say themselves. A peer that
    /// asks to join takes the word of those it has asked.
    pub(super) fn may_lead(&self, leader: &(PeerName, Incarnation), ballot: Ballot) -> bool {
        match self.credence(&leader.0) {
            Credence::Known => true,
            Credence::Unvouched => self.was_member(leader) || self.is_led_by(leader, ballot),
            Credence::Stranger => false,
        }
    }

    /// Whether a peer was a member, and was counted out by this peer's list, which may be older than
    /// the one that it is a member by.
    fn was_member(&self, peer: &(PeerName, Incarnation)) -> bool {
        self.id_of(peer).is_some_and(|id| self.meta.membership.has_removed(&peer.0, id))
    }

    /// Whether most members of a group, as its primary lists them, say that they follow it. A peer
    /// that is a member of some group must be one of that.
    fn is_led_by(&self, leader: &(PeerName, Incarnation), ballot: Ballot) -> bool {
        let brief = self.remotes.get(&leader.0).and_then(|remote| remote.brief.as_ref());
        let Some(members) = brief.map(|brief| &brief.members) else { return false };
        let follows = |name: &&PeerName| {
            let remote = self.remotes.get(name).filter(|remote| self.is_reachable(remote));
            let remote = remote.filter(|remote| remote.kind() != Some(PeerKind::Client));
            remote.and_then(|remote| remote.brief.as_ref()).is_some_and(|brief| {
                brief.ballot == ballot && brief.primary.as_ref() == Some(leader)
            })
        };
        let is_of_some = self.config.kind == PeerKind::Member || self.has_data();
        let is_of_it = !is_of_some || members.contains(&self.config.name);
        is_of_it && members.iter().filter(follows).count() > members.len() / 2
    }

    /// Whether a peer holds a later state than this one, as it says itself. A blank peer has none to
    /// lose.
    fn stands_further(&self, name: &PeerName) -> bool {
        let brief = self.remotes.get(name).and_then(|remote| remote.brief.as_ref());
        let own = self.store.position();
        own.is_blank() || brief.is_some_and(|brief| brief.position > own)
    }

    /// Whether a ballot is such that ordinary elections and foundings lead to it, and on from it.
    pub(super) fn is_plausible(&self, ballot: Ballot) -> bool {
        let own = self.ballot;
        let ahead = seconds_of(self.now.wall).saturating_add(MAX_FOUNDING_AHEAD.as_secs());
        let latest = Generation::founded_at(ahead).max(own.generation.founding());
        ballot.term.0 <= own.term.0 + MAX_TERMS_AHEAD
            && ballot.generation.founding() <= latest
            && ballot.generation.above_founding() == own.generation.above_founding()
    }

    /// Whether a message is for its sender to send: those who handle it need not ask again.
    pub(super) fn may_say(&self, (peer, _): &(PeerName, Incarnation), message: &Message) -> bool {
        match message {
            // What is claimed in a heartbeat is looked at there.
            Message::Ping { .. } | Message::Pong { .. } => true,
            Message::Remove { .. } | Message::ChangePolicy { .. } | Message::Peers { .. } => true,
            Message::Tail { .. }
            | Message::PieceStaged { .. }
            | Message::Held { .. }
            | Message::Lost { .. }
            | Message::GaveUp { .. }
            | Message::Position { pull: false, .. } => self.is_sent_to(peer),
            Message::PreVote(_)
            | Message::PreVoteReply { .. }
            | Message::Vote(_)
            | Message::VoteReply { .. }
            | Message::Release { .. }
            | Message::StandNow { .. }
            | Message::Removed { .. }
            | Message::PolicyChanged { .. }
            | Message::Follow { .. }
            | Message::Position { pull: true, .. }
            | Message::Fork { .. }
            | Message::Piece(_) => self.knows(peer),
        }
    }

    /// Whether this peer sends its state to another: as primary, or to a winner that it voted for.
    fn is_sent_to(&self, peer: &PeerName) -> bool {
        let is_fed = self.remotes.get(peer).is_some_and(|remote| remote.sender.is_some());
        is_fed || self.pull.as_ref().is_some_and(|(name, _, _)| name == peer)
    }
}
