//! Whatever a member says that can be read from the wire, to peers in every role: nobody panics,
//! nothing wraps, and what a peer keeps stays bounded. A member that lies may do harm to the group;
//! it must not end the processes of the others.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::group::Group;
use crate::base::id::{Ballot, GroupTime, Now, PeerKind, PeerName, Position, Sequence, Term};
use crate::protocol::io::Input;
use crate::protocol::message::Message;
use crate::state::{MAX_HISTORY, Membership, Meta};
use crate::wire::MAX_LISTED;
use crate::wire::tests::strategies;

const MEMBERS: [&str; 3] = ["a", "b", "c"];

/// What the peers are doing when they are lied to.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// One is primary, the others follow it.
    Founded,
    /// Nobody has heard the primary for as long as a failure takes; those who are left stand.
    Electing,
    /// They have just started, and hold nothing.
    Blank,
    /// A joiner and a client are there.
    Guests,
}

/// A message, and how it is made to fit: near what its receiver knows, or not at all.
#[derive(Clone, Debug)]
struct Said {
    message: Message,
    by: usize,
    to: usize,
    near: Option<(u8, u8)>,
    after: u64,
}

fn said() -> impl Strategy<Value = Said> {
    let near = prop::option::weighted(0.8, (any::<u8>(), any::<u8>()));
    (strategies::message(), 0..3_usize, 0..5_usize, near, 0..3_000_u64)
        .prop_map(|(message, by, to, near, after)| Said { message, by, to, near, after })
}

fn stage() -> impl Strategy<Value = Stage> {
    prop::sample::select(vec![Stage::Founded, Stage::Electing, Stage::Blank, Stage::Guests])
}

/// A ballot that its receiver may take part in.
fn near_ballot(known: Ballot, draw: u8) -> Ballot {
    let term = match draw % 5 {
        0 | 1 => known.term,
        2 | 3 => Term(known.term.0.saturating_add(1).min(Term::MAX.0)),
        _ => Term::MAX,
    };
    Ballot { term, ..known }
}

struct Near {
    ballot: Ballot,
    position: Position,
    meta: Meta,
}

impl Near {
    fn list(&self, membership: &mut Membership) {
        membership.stamp = self.position;
        membership.voters.clone_from(&self.meta.membership.voters);
    }

    /// The message as one of the receiver's ballot, or of the next.
    fn apply(&self, message: Message) -> Message {
        let (ballot, position) = (self.ballot, self.position);
        let mut message = message;
        match &mut message {
            Message::Ping { brief, .. } | Message::Pong { brief, .. } => {
                (brief.ballot, brief.position, brief.group_id) =
                    (ballot, position, self.meta.group_id);
                brief.members = self.meta.membership.names().into_iter().cloned().collect();
            }
            Message::PreVote(request) | Message::Vote(request) => {
                (request.ballot, request.position) = (ballot, position);
            }
            Message::PreVoteReply { ballot: of, known, membership, .. } => {
                (*of, *known) = (ballot, ballot);
                self.list(membership);
            }
            Message::VoteReply { ballot: of, known, position: at, membership, .. } => {
                (*of, *known, *at) = (ballot, ballot, position);
                self.list(membership);
            }
            Message::Follow { ballot: of, group_id, .. } => {
                (*of, *group_id) = (ballot, self.meta.group_id);
            }
            Message::Position { ballot: of, position: at, history, .. } => {
                (*of, *at) = (ballot, position);
                history.clone_from(&self.meta.history);
            }
            Message::Fork { ballot: of, at } | Message::Tail { ballot: of, at, .. } => {
                (*of, *at) = (ballot, position);
            }
            Message::Held { ballot: of, position: at } => (*of, *at) = (ballot, position),
            Message::Piece(piece) => {
                piece.ballot = ballot;
                piece.index = 0;
                piece.from = piece.from.map(|_| self.position);
                if let Some(end) = &mut piece.end {
                    // Of the ballot itself, or of the one that the receiver holds.
                    let is_own = end.position.sequence.0 % 2 == 0;
                    end.position.ballot = if is_own { self.position.ballot } else { ballot };
                }
            }
            Message::PieceStaged { ballot: of, .. }
            | Message::Release { ballot: of, .. }
            | Message::StandNow { ballot: of }
            | Message::TakeOver { ballot: of }
            | Message::Lost { ballot: of }
            | Message::SwitchPrimary { ballot: of, .. }
            | Message::GaveUp { ballot: of, .. } => *of = ballot,
            Message::Remove { .. }
            | Message::Removed { .. }
            | Message::Arrange { .. }
            | Message::Arranged { .. }
            | Message::ChangePolicy { .. }
            | Message::PolicyChanged { .. }
            | Message::Switched { .. }
            | Message::Peers { .. } => {}
        }
        message
    }
}

fn group_at(stage: Stage, has_storage: bool) -> Group {
    let mut group = Group::new(&MEMBERS);
    group.has_storage = has_storage;
    MEMBERS.iter().for_each(|name| group.start(name));
    if matches!(stage, Stage::Blank) {
        return group;
    }
    group.run(Duration::from_secs(3));
    match stage {
        Stage::Founded | Stage::Blank => {}
        Stage::Electing => {
            if let Some(primary) = group.primary() {
                group.kill(primary.as_str());
            }
            group.run(Duration::from_millis(10_010));
        }
        Stage::Guests => {
            group.start_as("d", PeerKind::Joiner);
            group.start_as("e", PeerKind::Client);
            group.run(Duration::from_millis(20));
        }
    }
    group
}

/// The message comes, if both ends are there; then some time passes.
fn hear(group: &mut Group, said: &Said) {
    let (by, to) = (PeerName::from(MEMBERS[said.by]), ["a", "b", "c", "d", "e"][said.to]);
    let to = PeerName::from(to);
    let (Some(sender), Some(receiver)) = (group.peers.get(&by), group.peers.get(&to)) else {
        return;
    };
    if by == to {
        return;
    }
    let (incarnation, meta) = (sender.incarnation, receiver.store.meta());
    let mut message = said.message.clone();
    if let Some((of, at)) = said.near {
        let ballot = near_ballot(receiver.machine.ballot, of);
        let own = receiver.store.position();
        let sequence = match at % 4 {
            0 => own.sequence,
            1 => Sequence(own.sequence.0 + 1),
            2 => Sequence(own.sequence.0 / 2),
            _ => Sequence::MAX_READ,
        };
        let of = if at & 4 == 0 { own.ballot } else { ballot };
        let position = Position { ballot: of, sequence };
        message = Near { ballot, position, meta }.apply(message);
    }
    group.input(&to, Input::Message { peer: by, incarnation, message });
    group.run(Duration::from_millis(said.after));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nobody_panics_whatever_a_member_says(
        stage in stage(),
        has_storage in any::<bool>(),
        told in vec(said(), 1..30),
    ) {
        let mut group = group_at(stage, has_storage);
        for said in &told {
            hear(&mut group, said);
        }
        for peer in group.peers.values() {
            let machine = &peer.machine;
            let now = Now { time: group.now, wall: GroupTime(1) };
            prop_assert!(machine.status(now).peers.len() <= 8 * MAX_LISTED);
            prop_assert!(machine.remotes.len() <= 8 * MAX_LISTED, "{}", machine.remotes.len());
            prop_assert!(machine.meta.history.len() <= MAX_HISTORY);
            prop_assert!(machine.requests.len() <= 16, "{}", machine.requests.len());
            prop_assert!(machine.outputs.is_empty());
        }
    }
}
