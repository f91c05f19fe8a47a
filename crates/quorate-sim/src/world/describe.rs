//! The world in words, for whoever reads a trace or a failure.

use std::collections::BTreeSet;

use quorate::internal::protocol::io::Route;
use quorate::internal::protocol::message::{Message, Piece, VoteRequest};
use quorate::{Ballot, Generation, Member, Position};

use crate::network::packet::Payload;
use crate::world::World;

impl World {
    /// A ballot for a reader: generations are numbered in the order of their begin.
    pub(crate) fn short(&self, ballot: Ballot) -> String {
        let older: BTreeSet<Generation> = self
            .history
            .reigns()
            .map(|(other, _)| other.generation)
            .filter(|generation| *generation < ballot.generation)
            .collect();
        let is_known = self.history.reigns().any(|(b, _)| b.generation == ballot.generation);
        let generation = older.len() + usize::from(is_known);
        format!("g{generation}{}.{}", if is_known { "" } else { "+" }, ballot.term)
    }

    pub(crate) fn short_position(&self, position: Position) -> String {
        let epochs = position.sequence.0 >> 16;
        let within = match position.sequence.0 & 0xffff {
            0 => String::new(),
            rest => format!("+{rest}"),
        };
        format!("{}:{epochs}{within}", self.short(position.ballot))
    }

    /// A few words on where everyone stands.
    pub(crate) fn describe(&self) -> String {
        (0..self.plan.hosts()).map(|peer| self.describe_peer(peer)).collect::<Vec<_>>().join("; ")
    }

    fn describe_peer(&self, peer: usize) -> String {
        let host = &self.hosts[peer];
        let name = self.plan.name(peer);
        let Some(process) = &host.process else { return format!("{name} is down") };
        let status = process.machine.status(host.clock.now(self.now));
        let others = (0..self.plan.hosts()).filter(|other| *other != peer);
        let unlinked: Vec<_> = others
            .filter(|other| !self.is_linked(peer, *other))
            .map(|other| self.plan.name(other).to_string())
            .collect();
        let route = match &process.route {
            Route::Here { .. } => "here".into(),
            Route::There { peer, ballot, .. } => format!("{peer} in {}", self.short(*ballot)),
            Route::HandingOver => "held".into(),
            Route::Nowhere => "nowhere".into(),
        };
        let meta = process.store.meta();
        let mut line = format!(
            "{name} p{} {:?} {} at {} route {route} counts {}",
            host.config.priority,
            status.role,
            self.short(status.ballot),
            self.short_position(process.store.position()),
            self.describe_members(&meta.membership.voters),
        );
        if let Some(next) = &meta.membership.next {
            line += &format!(" -> {}", self.describe_members(next));
        }
        if !unlinked.is_empty() {
            line += &format!(" without {}", unlinked.join(""));
        }
        if process.overlay.units() > 0 {
            line += &format!(" overlay {}", process.overlay.units());
        }
        line
    }

    /// The names of members; of those that do not run as they are counted with a mark of doubt.
    fn describe_members(&self, members: &[Member]) -> String {
        let mut names = String::new();
        for member in members {
            let process = self.process(self.index_of(&member.name));
            let is_it = process.is_some_and(|process| Some(process.id) == member.id);
            names += member.name.as_str();
            names += if is_it { "" } else { "?" };
        }
        names
    }

    /// A message, without what would fill a page.
    pub(crate) fn describe_payload(&self, payload: &Payload) -> String {
        let Payload::Protocol(message) = payload else { return format!("{payload:?}") };
        let ballot = |ballot: &Ballot| self.short(*ballot);
        let position = |position: &Position| self.short_position(*position);
        let request = |vote: &VoteRequest| {
            let released = vote.released.as_ref().map(ballot);
            let at = position(&vote.position);
            format!("{} {:?} at {at} released {released:?}", ballot(&vote.ballot), vote.campaign)
        };
        match message {
            Message::Ping { number, brief } => format!(
                "Ping {number} {} at {}{}{}",
                ballot(&brief.ballot),
                position(&brief.position),
                if brief.is_primary { " primary" } else { "" },
                brief
                    .suspects
                    .as_ref()
                    .map_or(String::new(), |b| format!(" suspects {}", ballot(b)))
            ),
            Message::Pong { number, promise, brief } => {
                let promise = promise.as_ref().map(ballot);
                format!("Pong {number} {} promise {promise:?}", ballot(&brief.ballot))
            }
            Message::PreVote(vote) => format!("PreVote {}", request(vote)),
            Message::Vote(vote) => format!("Vote {}", request(vote)),
            Message::PreVoteReply { ballot: b, grant, known, .. } => {
                format!("PreVoteReply {} {grant:?} knows {}", ballot(b), ballot(known))
            }
            Message::VoteReply { ballot: b, grant, known, position: at, .. } => {
                let at = position(at);
                let known = ballot(known);
                format!("VoteReply {} {grant:?} at {at} knows {known}", ballot(b))
            }
            Message::Release { ballot: b, to } => format!("Release {} to {to}", ballot(b)),
            Message::StandNow { ballot: b } => format!("StandNow {}", ballot(b)),
            Message::TakeOver { ballot: b } => format!("TakeOver {}", ballot(b)),
            Message::Remove { request, peer } => format!("Remove {peer} ({request})"),
            Message::Removed { request, outcome } => format!("Removed {outcome:?} ({request})"),
            Message::SwitchPrimary { request, to, ballot: b } => {
                format!("SwitchPrimary {to} ({request}) of {}", ballot(b))
            }
            Message::Switched { request, outcome } => format!("Switched {outcome:?} ({request})"),
            Message::Arrange { request, change } => format!("Arrange {change:?} ({request})"),
            Message::Arranged { request, outcome } => format!("Arranged {outcome:?} ({request})"),
            Message::ChangePolicy { request, .. } => format!("ChangePolicy ({request})"),
            Message::PolicyChanged { request, outcome } => {
                format!("PolicyChanged {outcome:?} ({request})")
            }
            Message::Peers { members, .. } => format!("Peers {}", members.len()),
            Message::Follow { ballot: b, is_established, .. } => {
                format!("Follow {} established {is_established}", ballot(b))
            }
            Message::Position { ballot: b, position: at, pull, .. } => {
                format!("Position {} at {} pull {pull}", ballot(b), position(at))
            }
            Message::Fork { ballot: b, at } => format!("Fork {} at {}", ballot(b), position(at)),
            Message::Tail { ballot: b, at, keys } => {
                let keys = keys.as_ref().map(Vec::len);
                format!("Tail {} at {} {keys:?} keys", ballot(b), position(at))
            }
            Message::Piece(piece) => self.describe_piece(piece),
            Message::PieceStaged { ballot: b, transfer, index } => {
                format!("PieceStaged {} {transfer}/{index}", ballot(b))
            }
            Message::Held { ballot: b, position: at } => {
                format!("Held {} at {}", ballot(b), position(at))
            }
            Message::Lost { ballot: b } => format!("Lost {}", ballot(b)),
            Message::GaveUp { ballot: b, units, is_at_most } => {
                format!("GaveUp {} {units}{}", ballot(b), if *is_at_most { " at most" } else { "" })
            }
        }
    }

    fn describe_piece(&self, piece: &Piece) -> String {
        format!(
            "Piece {} {}/{} from {:?} {} records{}",
            self.short(piece.ballot),
            piece.transfer,
            piece.index,
            piece.from.map(|from| self.short_position(from)),
            piece.records.len(),
            piece.end.as_ref().map_or(String::new(), |end| {
                let meta = if end.meta.is_some() { " with meta" } else { "" };
                format!(" end {}{meta}", self.short_position(end.position))
            })
        )
    }
}
