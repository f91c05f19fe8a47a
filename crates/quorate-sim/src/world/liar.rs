//! A peer that is no member and lies: a client, one that asks to join, or one that was let in
//! because it says that it stands further. It is linked to everybody and says whatever a member
//! could say, about the group as it really is, and a second one vouches for it (docs/protocol.md,
//! section 7, rules 13 to 15).

use quorate::internal::protocol::io::{Input, LinkEnd};
use quorate::internal::protocol::message::{Brief, Campaign, Grant, Message, Piece, VoteRequest};
use quorate::internal::record::Records;
use quorate::internal::state::{BatchEnd, Membership, Meta};
use quorate::{
    Ballot, GroupTime, Incarnation, Lead, Member, PeerKind, PeerName, PeerStart, Position,
    Sequence, Term,
};

use crate::network::packet::Payload;
use crate::world::World;

/// The liar's name; no peer of a plan has it.
const NAME: &str = "z";

/// The one that vouches for it.
const SECOND_NAME: &str = "y";

/// The last term that is taken from anybody.
const LAST_TERM: Term = Term((1 << 48) - 1);

/// The last sequence that is taken from anybody.
const LAST_SEQUENCE: Sequence = Sequence((1 << 62) - 1);

const SECOND_INCARNATION: Incarnation = Incarnation(0x1148);

/// The liar, as the others see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liar {
    incarnation: Incarnation,
    kind: PeerKind,
}

/// The subject of a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// To be primary.
    Primacy,
    /// To hold data that replace everything.
    Data,
    /// To stand, and to have been released to.
    Candidacy,
    /// To vote, to hold everything, and to know the newest members.
    Vote,
    /// A reign has ended.
    Release,
    /// Something was given up, answered, or not received.
    Answer,
    /// To be primary of a group of which the hearer is a member, and to hold its data; the second
    /// liar is the third member, and says that it follows.
    Following,
    /// To be primary, with a list that names the liar twice, so that it is most of it.
    Doubled,
}

impl Lie {
    const ALL: [Self; 8] = [
        Self::Primacy,
        Self::Data,
        Self::Candidacy,
        Self::Vote,
        Self::Release,
        Self::Answer,
        Self::Following,
        Self::Doubled,
    ];
}

impl World {
    /// Returns true if a message is for a liar, who needs none.
    pub(crate) fn is_for_liar(to: &PeerName) -> bool {
        [NAME, SECOND_NAME].contains(&to.as_str())
    }

    /// Some lies to everybody, about a ballot that is near, or far away.
    pub(crate) fn fault_lie(&mut self) {
        let kind = self.fault_random.pick(&[PeerKind::Client, PeerKind::Joiner, PeerKind::Member]);
        let count = self.fault_random.between(1, 4);
        for _ in 0..count {
            let lie = self.fault_random.pick(&Lie::ALL);
            let is_far = self.fault_random.chance(300);
            self.lie(kind, lie, is_far);
        }
    }

    /// Tells everybody a lie; the first one says what the liar is.
    pub(crate) fn lie(&mut self, kind: PeerKind, lie: Lie, is_far: bool) {
        self.counters.add("lies");
        let incarnation = Incarnation(0x1147);
        let liar = *self.liar.get_or_insert(Liar { incarnation, kind });
        for peer in 0..self.plan.peers() {
            if !self.hosts[peer].is_running() || self.knows_nobody(peer) {
                continue;
            }
            self.introduce_liars(peer, liar);
            if lie == Lie::Following
                && let Some(brief) = self.following_brief(peer, is_far)
            {
                let message = Message::Ping { number: 1, brief };
                self.tell_lie(peer, lie, (SECOND_NAME, SECOND_INCARNATION), message);
            }
            for message in self.lies(peer, lie, is_far) {
                self.tell_lie(peer, lie, (NAME, liar.incarnation), message);
            }
        }
    }

    fn tell_lie(
        &mut self,
        peer: usize,
        lie: Lie,
        (name, incarnation): (&str, Incarnation),
        message: Message,
    ) {
        self.note(peer, &[21, lie as u64], |world| {
            let payload = Payload::Protocol(message.clone());
            format!("is told by {name}: {}", world.describe_payload(&payload))
        });
        self.drive(peer, Input::Message { peer: name.into(), incarnation, message });
    }

    /// Returns true if a peer asks to join and has heard of no member yet: it takes the word of
    /// whoever it asks, and is asked by nobody.
    fn knows_nobody(&self, peer: usize) -> bool {
        let is_joiner = self.hosts[peer].config.kind == PeerKind::Joiner;
        let has_list = self
            .process(peer)
            .is_some_and(|process| !process.store.meta().membership.voters.is_empty());
        is_joiner && !has_list
    }

    fn introduce_liars(&mut self, peer: usize, liar: Liar) {
        let Some(process) = self.process_mut(peer) else { return };
        if !std::mem::replace(&mut process.hears_liar, true) {
            for (name, incarnation) in [(NAME, liar.incarnation), (SECOND_NAME, SECOND_INCARNATION)]
            {
                let end = LinkEnd { kind: liar.kind, ..LinkEnd::member(incarnation) };
                self.drive(peer, Input::LinkUp { peer: name.into(), end });
            }
        }
    }

    /// The ballot of which a lie to a peer is, and where the liar says that it stands.
    fn false_position(&self, peer: usize, is_far: bool) -> Option<Position> {
        let process = self.process(peer)?;
        let known = process.machine.status(self.hosts[peer].clock.now(self.now)).ballot;
        let term = if is_far { LAST_TERM } else { Term(known.term.0 + 1) };
        Some(Position { ballot: Ballot { term, ..known }, sequence: LAST_SEQUENCE })
    }

    /// Returns what the second liar says of itself.
    fn following_brief(&self, peer: usize, is_far: bool) -> Option<Brief> {
        let position = self.false_position(peer, is_far)?;
        let meta = self.process(peer)?.store.meta();
        let brief = self.false_brief(position.ballot, position, &meta);
        let members = self.false_members(peer, SECOND_NAME);
        Some(Brief { is_primary: false, members, ..brief })
    }

    /// The members of a group of the liar, the hearer and another.
    fn false_members(&self, hearer: usize, third: &str) -> Vec<PeerName> {
        vec![self.plan.group.members[hearer].clone(), NAME.into(), third.into()]
    }

    /// Returns what is said to one peer, who knows what it knows.
    fn lies(&self, peer: usize, lie: Lie, is_far: bool) -> Vec<Message> {
        let Some(process) = self.process(peer) else { return Vec::new() };
        let meta = process.store.meta();
        let status = process.machine.status(self.hosts[peer].clock.now(self.now));
        let known = status.ballot;
        let Some(position) = self.false_position(peer, is_far) else { return Vec::new() };
        let ballot = position.ballot;
        let group_id = meta.group_id;
        match lie {
            Lie::Primacy => {
                let brief = self.false_brief(ballot, position, &meta);
                vec![
                    Message::Ping { number: 1, brief: brief.clone() },
                    Message::Pong { number: 1, promise: Some(known), brief },
                    Message::Follow { ballot, group_id, is_established: true },
                ]
            }
            Lie::Data => {
                let brief = self.false_brief(ballot, position, &meta);
                let piece = false_piece(position, meta);
                // A piece of the present reign too, as if its primary had said so.
                let own = Piece { ballot: known, ..piece.clone() };
                vec![Message::Ping { number: 2, brief }, Message::Piece(piece), Message::Piece(own)]
            }
            Lie::Candidacy => {
                let released = Some(Ballot { term: LAST_TERM, ..known });
                let request = VoteRequest {
                    ballot,
                    campaign: Campaign::Ordinary,
                    position,
                    released,
                    is_forced: true,
                    gone: Vec::new(),
                };
                let gone = self.plan.group.members.clone();
                let forced =
                    VoteRequest { campaign: Campaign::NewGeneration, gone, ..request.clone() };
                let anew = VoteRequest { campaign: Campaign::NewGeneration, ..request.clone() };
                vec![
                    Message::PreVote(request.clone()),
                    Message::Vote(request),
                    Message::Vote(anew),
                    Message::Vote(forced),
                    Message::Position { ballot: known, position, history: Vec::new(), pull: true },
                ]
            }
            Lie::Vote => {
                let membership = self.false_list(peer, position);
                let grant = Grant::Vote;
                let own = Ballot { term: Term(known.term.0 + 1), ..known };
                let votes = [known, own, ballot].map(|ballot| Message::VoteReply {
                    ballot,
                    grant,
                    known: ballot,
                    position,
                    membership: membership.clone(),
                    why: String::new(),
                });
                let pre_votes = [own, ballot].map(|ballot| Message::PreVoteReply {
                    ballot,
                    grant,
                    known: ballot,
                    membership: membership.clone(),
                    why: "x".to_owned(),
                });
                let [for_known, for_own, for_far] = votes;
                let [before_own, before_far] = pre_votes;
                vec![before_own, for_known, for_own, before_far, for_far]
            }
            Lie::Release => {
                let to = self.plan.group.members[peer].clone();
                vec![
                    Message::Release { ballot: known, to: to.clone() },
                    Message::Release { ballot, to: NAME.into() },
                    Message::StandNow { ballot: known },
                    Message::TakeOver { ballot: known },
                ]
            }
            Lie::Following | Lie::Doubled => {
                let third = if lie == Lie::Following { SECOND_NAME } else { NAME };
                let brief = self.false_brief(ballot, position, &meta);
                let brief = Brief { members: self.false_members(peer, third), ..brief };
                let follow = Message::Follow { ballot, group_id, is_established: true };
                let piece = Message::Piece(false_piece(position, meta));
                let ping = Message::Ping { number: 3, brief };
                // Once more: what it says of its members counts when it has been heard.
                vec![ping.clone(), ping, follow, piece]
            }
            Lie::Answer => vec![
                Message::GaveUp { ballot: known, units: 1 << 40, is_at_most: false },
                Message::Lost { ballot: known },
                Message::Held { ballot: known, position: Position { ballot: known, ..position } },
                Message::Fork { ballot: known, at: Position { ballot: known, ..position } },
            ],
        }
    }

    fn false_brief(&self, ballot: Ballot, position: Position, meta: &Meta) -> Brief {
        Brief {
            acknowledged: None,
            ballot,
            is_primary: true,
            primary: Some(PeerStart::new(NAME, Incarnation(0x1147))),
            position,
            group_id: meta.group_id,
            is_member: true,
            suspects: None,
            reaches: self.plan.group.members.clone(),
            priority: 1,
            wall: GroupTime(u64::MAX / 2),
            uptime_ms: u64::MAX,
            has_quorum: true,
            members: vec![NAME.into()],
            behind: None,
            is_stopping: false,
            has_failed: false,
            site_epoch: 0,
            is_confirmed: false,
        }
    }

    /// A list of members in which the liar and whoever hears it are a majority.
    fn false_list(&self, peer: usize, stamp: Position) -> Membership {
        let hearer = self.process(peer).map(|process| process.id);
        let named = [
            (self.plan.group.members[peer].clone(), hearer),
            (NAME.into(), Some(Incarnation(0x1147).into())),
        ];
        let voters = named.map(|(name, id)| Member { name, id, address: String::new() });
        Membership::settled(stamp, voters.into())
    }
}

/// A state without cells that replaces everything.
fn false_piece(position: Position, meta: Meta) -> Piece {
    let group_time = GroupTime(1);
    let expired_before = GroupTime(0);
    let lead = Lead::default();
    let end = BatchEnd { position, group_time, lead, expired_before, meta: Some(Box::new(meta)) };
    Piece {
        ballot: position.ballot,
        transfer: u64::MAX,
        index: 0,
        from: None,
        records: Records::default(),
        end: Some(end),
        total: 0,
        digest: None,
    }
}
