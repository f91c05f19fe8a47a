//! Connections as the driver's are: they dial, open, fall silent, close, and tell the machine.
//!
//! A newcomer is refused while a connection to another incarnation of its name is open, so a
//! process that died out of reach stays a member until its silence is noticed.

use bytes::BytesMut;
use quorate::internal::bug::{self, Bug};
use quorate::internal::protocol::io::{Input, LinkEnd};
use quorate::internal::protocol::message::Lane;
use quorate::internal::wire::{self, Frame};
use quorate::{Incarnation, Site};

use crate::base::clock::Moment;
use crate::network::filter::Verdict;
use crate::network::packet::{ConnectionId, Packet, Payload};
use crate::network::{EndState, Transit};
use crate::words::call::ProcessId;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// Both peers try to be connected, again and again.
    pub(crate) fn on_dial(&mut self, one: usize, other: usize) {
        let longest = self.plan.group.heartbeat / 2;
        let pause = self.process_random.duration(longest / 4, longest);
        self.at(pause, Event::Dial { one, other });
        if !self.network.is_dialable(self.now, one, other) {
            return;
        }
        let Some(first) = self.hosts[one].running() else { return };
        let Some(second) = self.hosts[other].running() else { return };
        let dialer = ProcessId { peer: one, incarnation: first };
        let listener = ProcessId { peer: other, incarnation: second };
        let is_linked = self.has_connection(one, listener) && self.has_connection(other, dialer);
        if is_linked {
            return;
        }
        self.overtake(one, other);
        self.overtake(other, one);
        if self.differ(one, other) {
            self.refuse_each_other(one, other);
            return;
        }
        if !self.accepts(one, other, second) || !self.accepts(other, one, first) {
            self.turn_away(one, other);
            return;
        }
        self.connect(dialer, listener);
    }

    /// Returns true if the settings of two peers differ, so that they refuse each other.
    pub(crate) fn differ(&self, one: usize, other: usize) -> bool {
        self.hosts[one].revision != self.hosts[other].revision
    }

    /// Both have said hello, and that their settings differ: each learns what the other holds.
    fn refuse_each_other(&mut self, one: usize, other: usize) {
        self.counters.add("settings refused");
        let [first, second] = [one, other].map(|peer| {
            let position = self.process(peer)?.store.position();
            (!position.is_blank()).then_some(position)
        });
        for (peer, from, met) in [(one, other, second), (other, one, first)] {
            if met.is_some() && self.is_concerned_by(peer, from) {
                self.drive(peer, Input::HolderMet { position: met });
            }
        }
        if self.turn_away(one, other) {
            return;
        }
        for (peer, from) in [(one, other), (other, one)] {
            self.meet(peer, from, Some("revision"));
        }
    }

    /// Begins a connection, from the first process to the second.
    pub(crate) fn connect(&mut self, dialer: ProcessId, listener: ProcessId) {
        let (connection, opens) = self.network.connect(self.now, dialer, listener);
        for (end, opens) in opens.into_iter().enumerate() {
            self.queue.push(opens, Event::Open { connection, end });
        }
    }

    /// Returns true if the first has an open connection to that incarnation of the second.
    fn has_connection(&self, one: usize, other: ProcessId) -> bool {
        let link = self.process(one).map(|process| &process.links[other.peer]);
        link.is_some_and(|link| link.linked == Some(other.incarnation) && !link.open.is_empty())
    }

    fn accepts(&self, peer: usize, from: usize, incarnation: Incarnation) -> bool {
        let linked = self.process(peer).and_then(|process| process.links[from].linked);
        linked.is_none_or(|linked| linked == incarnation) && self.admits(peer, from)
    }

    pub(crate) fn on_open(&mut self, connection: ConnectionId, end: usize) {
        let here = self.network.end(connection, end).clone();
        let there = self.network.end(connection, 1 - end).clone();
        if here.state != EndState::Opening {
            return;
        }
        if self.hosts[here.peer].paused.is_some() {
            self.inboxes[here.peer].push(Event::Open { connection, end });
            return;
        }
        if !self.accepts(here.peer, there.peer, there.incarnation) {
            self.close(connection, end, true, false);
            return;
        }
        let now = self.now;
        let open = self.network.end_mut(connection, end);
        open.state = EndState::Open;
        open.heard = now;
        let Some(process) = self.process_mut(here.peer) else { return };
        let link = &mut process.links[there.peer];
        link.open.push(connection);
        let is_new = link.linked != Some(there.incarnation);
        link.linked = Some(there.incarnation);
        let silent = self.hosts[here.peer].clock.real(self.plan.timeout());
        self.at(silent, Event::Silence { connection, end });
        if is_new {
            self.counters.add("links");
            self.note_link(here.peer, there.peer, true);
            let peer = self.plan.name(there.peer);
            let kind = self.hosts[there.peer].config.kind;
            let mut end = LinkEnd { kind, ..LinkEnd::member(there.incarnation) };
            end.id = self.ids.get(&there.incarnation).copied().unwrap_or(end.id);
            end.succession = self.successions.get(&there.incarnation).copied().unwrap_or_default();
            let site = self.hosts[there.peer].config.site.as_ref().map(Site::name);
            end.site = site.unwrap_or_default().to_owned();
            let standing = |peer| self.process(peer).map(|process| process.standing().0);
            let both = standing(here.peer).zip(standing(there.peer));
            end.is_kin = both.is_none_or(|(own, theirs)| own.is_kin_of(&theirs));
            self.drive(here.peer, Input::LinkUp { peer, end });
        }
    }

    fn note_link(&mut self, peer: usize, other: usize, is_up: bool) {
        self.note(peer, &[6, other as u64, u64::from(is_up)], |world| {
            let other = world.plan.name(other);
            format!("link to {other} is {}", if is_up { "up" } else { "down" })
        });
        if !self.is_client(peer) && !self.is_client(other) {
            self.overdue.changed = self.now;
        }
        self.note_contact();
    }

    /// Closes one end; the machine is told when it was the last connection, and whether the other
    /// end has said goodbye.
    pub(crate) fn close(
        &mut self,
        connection: ConnectionId,
        end: usize,
        tells: bool,
        has_ended: bool,
    ) {
        let was = self.network.end(connection, end).state;
        if was == EndState::Closed {
            return;
        }
        self.network.end_mut(connection, end).state = EndState::Closed;
        if tells {
            let payload = Payload::Reset { is_goodbye: false };
            self.transmit_on(Packet { connection, end: 1 - end, payload });
        }
        let here = self.network.end(connection, end).peer;
        let there = self.network.end(connection, 1 - end).clone();
        let Some(process) = self.process_mut(here) else { return };
        let link = &mut process.links[there.peer];
        link.open.retain(|open| *open != connection);
        link.has_ended |= has_ended;
        let has_others = !link.open.is_empty();
        self.on_connection_lost(here, connection);
        let Some(process) = self.process_mut(here) else { return };
        let link = &mut process.links[there.peer];
        if was != EndState::Open || has_others {
            return;
        }
        link.linked = None;
        let has_ended = std::mem::take(&mut link.has_ended);
        self.note_link(here, there.peer, false);
        let lost = ProcessId { peer: there.peer, incarnation: there.incarnation };
        self.on_link_lost(here, lost);
        let peer = self.plan.name(there.peer);
        self.drive(here, Input::LinkDown { peer, incarnation: there.incarnation, has_ended });
    }

    /// A connection of a link over whose control lane nothing has come for the failure timeout is
    /// closed. The link counts, not the connection: of several the other end uses one.
    pub(crate) fn on_silence(&mut self, connection: ConnectionId, end: usize) {
        let here = self.network.end(connection, end);
        if here.state != EndState::Open {
            return;
        }
        let peer = here.peer;
        let heard = self.heard(peer, self.network.end(connection, 1 - end).peer);
        let silent = self.hosts[peer].clock.real(self.plan.timeout());
        let due = heard.after(silent);
        if self.hosts[peer].paused.is_some() {
            // It looks at its connections when it runs again, after it has read what waits there.
            self.inboxes[peer].push(Event::Silence { connection, end });
        } else if due > self.now {
            self.queue.push(due, Event::Silence { connection, end });
        } else {
            self.close(connection, end, true, false);
        }
    }

    /// Returns when something last came over the control lane of a link.
    fn heard(&self, peer: usize, from: usize) -> Moment {
        let open = self.process(peer).map_or(&[][..], |process| &process.links[from].open);
        let ends_here = open.iter().filter_map(|connection| {
            let ends = [0, 1].map(|end| self.network.end(*connection, end));
            ends.into_iter().find(|end| end.peer == peer)
        });
        ends_here.map(|end| end.heard).max().unwrap_or_default()
    }

    /// Sends something to a linked incarnation; without an open connection it is gone.
    pub(crate) fn transmit(
        &mut self,
        peer: usize,
        to: usize,
        incarnation: Incarnation,
        payload: Payload,
    ) {
        let Some(process) = self.process(peer) else { return };
        let link = &process.links[to];
        let Some(&connection) = link.open.last().filter(|_| link.linked == Some(incarnation))
        else {
            return;
        };
        let end = usize::from(self.network.end(connection, 0).peer == peer);
        let payload = if self.plan.is_wired { self.through_wire(payload) } else { payload };
        let packet = Packet { connection, end, payload };
        match self.filter(peer, to, &packet.payload) {
            Verdict::Passes => self.transmit_on(packet),
            Verdict::Waits(wait) => self.at(wait, Event::Arrive(Box::new(packet))),
            Verdict::Lost => {}
        }
    }

    /// Encodes and decodes a message: it must come out as it went in (G21 of docs/guarantees.md).
    fn through_wire(&mut self, payload: Payload) -> Payload {
        let frame = match payload {
            Payload::Protocol(message) => Frame::Message(message),
            Payload::Merge(merge) => Frame::Merge(merge),
            Payload::MergeReply(reply) => Frame::MergeReply(reply),
            other => return other,
        };
        let mut buffer = BytesMut::new();
        wire::encode(&frame, &mut buffer);
        let max_body = self.plan.bounds.max_piece_bytes + 64 * 1024;
        let decoded = wire::split(&mut buffer, max_body)
            .and_then(|frame| frame.map(|(kind, body)| wire::decode(kind, body)).transpose());
        match &decoded {
            Ok(Some(other)) if *other == frame => {}
            other => self.fail("wire", format!("{frame:?} came out as {other:?}")),
        }
        match frame {
            Frame::Message(message) => Payload::Protocol(message),
            Frame::Merge(merge) => Payload::Merge(merge),
            Frame::MergeReply(reply) => Payload::MergeReply(reply),
            other => unreachable!("{other:?} was not made above"),
        }
    }

    pub(crate) fn transmit_on(&mut self, packet: Packet) {
        match self.network.send(self.now, packet) {
            Transit::Arrives(at, packet) => self.queue.push(at, Event::Arrive(Box::new(packet))),
            Transit::Twice(at, again, packet) => {
                self.queue.push(at, Event::Arrive(Box::new(packet.clone())));
                self.queue.push(again, Event::Arrive(Box::new(packet)));
            }
            Transit::Gone => {}
        }
    }

    pub(crate) fn on_arrive(&mut self, packet: Packet) {
        let here = self.network.end(packet.connection, packet.end);
        let peer = here.peer;
        let incarnation = here.incarnation;
        let state = here.state;
        if !self.hosts[peer].is_host_up {
            return;
        }
        let is_frozen = self.hosts[peer].paused.is_some()
            && self.hosts[peer].runs(incarnation)
            && !self.is_read_all_the_same(&packet, state);
        if is_frozen && state != EndState::Closed {
            self.inboxes[peer].push(Event::Arrive(Box::new(packet)));
            return;
        }
        let is_reset = matches!(packet.payload, Payload::Reset { .. });
        let is_goodbye = matches!(packet.payload, Payload::Reset { is_goodbye: true });
        match state {
            EndState::Open | EndState::Opening if is_reset => {
                self.close(packet.connection, packet.end, false, is_goodbye);
            }
            EndState::Open => self.receive(peer, packet),
            EndState::Opening => {}
            EndState::Closed if is_reset => {}
            EndState::Closed
                if self.now < self.network.end(packet.connection, packet.end).mute_until =>
            {
                self.counters.add("sent to a closed end");
            }
            EndState::Closed => {
                if bug::is(Bug::OldIncarnationHeard) {
                    self.receive(peer, packet.clone());
                }
                let connection = packet.connection;
                let end = 1 - packet.end;
                let payload = Payload::Reset { is_goodbye: false };
                self.transmit_on(Packet { connection, end, payload });
            }
        }
    }

    /// Returns true if a packet is handled where it is read, and its peer's event loop is not
    /// needed.
    fn is_read_all_the_same(&self, packet: &Packet, state: EndState) -> bool {
        let peer = self.network.end(packet.connection, packet.end).peer;
        let is_on_data_path = matches!(packet.payload, Payload::Call(_) | Payload::Reply(_));
        self.hosts[peer].starves && is_on_data_path && state == EndState::Open
    }

    fn receive(&mut self, peer: usize, packet: Packet) {
        if packet.payload.lane() == Lane::Control {
            self.network.end_mut(packet.connection, packet.end).heard = self.now;
        }
        let there = self.network.end(packet.connection, 1 - packet.end);
        let from = ProcessId { peer: there.peer, incarnation: there.incarnation };
        self.note(peer, &[18, from.peer as u64, packet.payload.lane() as u64], |world| {
            let name = world.plan.name(from.peer);
            format!("<- {name} {}", world.describe_payload(&packet.payload))
        });
        match packet.payload {
            Payload::Protocol(message) => {
                let name = self.plan.name(from.peer);
                let incarnation = from.incarnation;
                self.drive(peer, Input::Message { peer: name, incarnation, message });
            }
            Payload::Call(call) => self.on_call(peer, from, call),
            Payload::Reply(reply) => self.on_reply(peer, from, reply),
            Payload::Merge(merge) => self.on_merge(peer, from, &merge),
            Payload::MergeReply(reply) => self.on_merge_reply(peer, from, reply),
            Payload::Reset { .. } => {}
        }
    }

    /// Lets what waited for a healed path travel on.
    pub(crate) fn release_path(&mut self, from: usize, to: usize) {
        for (at, packet) in self.network.release(self.now, from, to) {
            self.queue.push(at, Event::Arrive(Box::new(packet)));
        }
    }

    /// All connections of a peer are reset by what lies between, and both ends live.
    pub(crate) fn reset_all(&mut self, peer: usize) {
        let Some(incarnation) = self.process(peer).map(|process| process.incarnation) else {
            return;
        };
        self.counters.add("resets");
        for (connection, end) in self.network.ends_of(peer, incarnation) {
            self.close(connection, end, true, false);
        }
    }

    /// A peer closes its connections to another one.
    pub(crate) fn unlink(&mut self, peer: usize, other: usize) {
        let Some(incarnation) = self.process(peer).map(|process| process.incarnation) else {
            return;
        };
        self.counters.add("judged anew");
        for (connection, end) in self.network.ends_of(peer, incarnation) {
            if self.network.end(connection, 1 - end).peer == other {
                self.close(connection, end, true, false);
            }
        }
    }

    /// A process ends: its connections do, and its kernel says so if it still can; the process
    /// itself says goodbye if it ends in good order.
    pub(crate) fn close_all(&mut self, peer: usize, tells: bool, is_goodbye: bool) {
        let Some(process) = self.process(peer) else { return };
        for (connection, end) in self.network.ends_of(peer, process.incarnation) {
            self.network.end_mut(connection, end).state = EndState::Closed;
            if tells {
                let payload = Payload::Reset { is_goodbye };
                self.transmit_on(Packet { connection, end: 1 - end, payload });
            }
        }
    }

    /// Returns true if both processes count each other as linked.
    pub(crate) fn is_linked(&self, one: usize, other: usize) -> bool {
        self.counts_as_linked(one, other) && self.counts_as_linked(other, one)
    }

    fn counts_as_linked(&self, one: usize, other: usize) -> bool {
        let incarnation = self.process(other).map(|process| process.incarnation);
        let linked = self.process(one).and_then(|process| process.links[other].linked);
        incarnation.is_some() && linked == incarnation
    }
}
