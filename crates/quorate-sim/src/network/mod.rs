//! Paths between machines and connections between processes.
//!
//! A *path* is one direction between two machines: it can be cut, slow, or lossy. A *connection*
//! joins two processes over both paths, as the driver's do: it opens at either end at its own
//! moment, and either end closes it by itself, when it is told or when it has heard nothing for
//! the failure timeout.

pub(crate) mod filter;
pub(crate) mod packet;
pub(crate) mod style;

use std::time::Duration;

use quorate::Incarnation;
use quorate::internal::protocol::message::Lane;

use crate::base::clock::Moment;
use crate::base::random::Random;
use crate::network::packet::{ConnectionId, Packet, Payload};
use crate::network::style::Style;
use crate::words::call::ProcessId;

/// State of one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    Opening,
    Open,
    Closed,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) peer: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) state: EndState,
    /// The moment at which the control lane was last heard here.
    pub(crate) heard: Moment,
    /// Until then, closed, it does not say so to what still arrives.
    pub(crate) mute_until: Moment,
    /// The arrival of the last packet towards this end, per lane: nothing overtakes it.
    clear: [Moment; 2],
}

impl End {
    /// The end of a process, which opens at that moment.
    fn opening(start: ProcessId, opens: Moment) -> Self {
        Self {
            peer: start.peer,
            incarnation: start.incarnation,
            state: EndState::Opening,
            heard: opens,
            mute_until: Moment::default(),
            clear: [opens; 2],
        }
    }
}

/// One direction between two machines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    /// Faults that cut it at present.
    pub(crate) cuts: u32,
    /// Faults that hold back its data lane.
    pub(crate) stalls: u32,
    /// Bytes that it carries in a second, if that is bounded.
    pub(crate) rate: Option<u64>,
    /// The moment until which what is sent waits: the bytes before it are under way.
    busy: Moment,
    /// Until then no connection can be made.
    pub(crate) undialable: Moment,
    /// The delay that faults add.
    pub(crate) slow: Duration,
    /// The packets that wait for it to heal.
    waiting: Vec<Packet>,
}

/// All paths and connections of a run.
#[derive(Debug)]
pub(crate) struct Network {
    size: usize,
    style: Style,
    random: Random,
    paths: Vec<Path>,
    connections: Vec<[End; 2]>,
    /// The number of times that the control lane has waited behind data.
    pub(crate) waits: u64,
    /// The longest that it waits: so much data fits into the buffers on the way.
    pub(crate) most_wait: Duration,
}

impl Network {
    pub(crate) fn new(size: usize, style: Style, random: Random) -> Self {
        let paths = vec![Path::default(); size * size];
        let connections = Vec::new();
        let waits = 0;
        let most_wait = Duration::ZERO;
        Self { size, style, random, paths, connections, waits, most_wait }
    }

    /// All paths work, and nothing is lost, doubled, late or overtaken any more.
    ///
    /// Returns when the ends open that had begun to: one whose hello still took a slow path would
    /// swallow for long whatever the other end, open already, sends over it.
    pub(crate) fn calm(&mut self, now: Moment) -> Vec<(ConnectionId, usize, Moment)> {
        let style = &mut self.style;
        style.spikes = 0;
        style.loss = 0;
        style.duplicates = 0;
        style.is_orderly = true;
        for path in &mut self.paths {
            path.cuts = 0;
            path.stalls = 0;
            path.slow = Duration::ZERO;
            path.undialable = Moment::default();
            path.busy = Moment::default();
            path.rate = None;
        }
        // What is sent from now on does not wait behind what a slow path still holds.
        for end in self.connections.iter_mut().flatten() {
            end.clear = [Moment::default(); 2];
            end.mute_until = Moment::default();
        }
        self.hasten(now)
    }

    /// Ends that have not opened yet do so as if the connection had begun now.
    fn hasten(&mut self, now: Moment) -> Vec<(ConnectionId, usize, Moment)> {
        let mut opening = Vec::new();
        for number in 0..self.connections.len() {
            let ends = &self.connections[number];
            if ends.iter().all(|end| end.state != EndState::Opening) {
                continue;
            }
            let opens = self.handshake(now, ends[0].peer, ends[1].peer);
            let ends = self.connections[number].iter_mut().zip(opens).enumerate();
            for (end, (it, opens)) in ends.filter(|(_, (it, _))| it.state == EndState::Opening) {
                it.heard = opens;
                it.clear = [opens; 2];
                opening.push((ConnectionId(number), end, opens));
            }
        }
        opening
    }

    pub(crate) fn path(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from * self.size + to]
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.paths[from * self.size + to].cuts > 0
    }

    pub(crate) fn is_connected(&self, one: usize, other: usize) -> bool {
        !self.is_cut(one, other) && !self.is_cut(other, one)
    }

    /// Returns true if a connection can be made now.
    pub(crate) fn is_dialable(&self, now: Moment, one: usize, other: usize) -> bool {
        self.is_connected(one, other) && now >= self.paths[one * self.size + other].undialable
    }

    /// Returns true if no fault touches the paths between two hosts.
    pub(crate) fn is_steady(&self, one: usize, other: usize) -> bool {
        [(one, other), (other, one)].into_iter().all(|(from, to)| {
            let path = &self.paths[from * self.size + to];
            path.cuts == 0 && path.stalls == 0 && path.slow.is_zero()
        })
    }

    pub(crate) fn end(&self, connection: ConnectionId, end: usize) -> &End {
        &self.connections[connection.0][end]
    }

    pub(crate) fn end_mut(&mut self, connection: ConnectionId, end: usize) -> &mut End {
        &mut self.connections[connection.0][end]
    }

    /// All ends of a process that are not closed.
    pub(crate) fn ends_of(
        &self,
        peer: usize,
        incarnation: Incarnation,
    ) -> Vec<(ConnectionId, usize)> {
        let mut open = Vec::new();
        for (number, ends) in self.connections.iter().enumerate() {
            for (index, end) in ends.iter().enumerate() {
                let is_own = end.peer == peer && end.incarnation == incarnation;
                if is_own && end.state != EndState::Closed {
                    open.push((ConnectionId(number), index));
                }
            }
        }
        open
    }

    /// Begins a connection; returns when it opens at either end.
    pub(crate) fn connect(
        &mut self,
        now: Moment,
        dialer: ProcessId,
        listener: ProcessId,
    ) -> (ConnectionId, [Moment; 2]) {
        let [dials, listens] = self.handshake(now, dialer.peer, listener.peer);
        self.connections.push([End::opening(dialer, dials), End::opening(listener, listens)]);
        (ConnectionId(self.connections.len() - 1), [dials, listens])
    }

    /// Returns when a connection that begins now opens, at the dialer's end and at the listener's.
    fn handshake(&mut self, now: Moment, dialer: usize, listener: usize) -> [Moment; 2] {
        let listens = now.after(self.delay(dialer, listener, Lane::Control));
        let dials = listens.after(self.delay(listener, dialer, Lane::Control));
        [dials, listens]
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, now: Moment, packet: Packet) -> Transit {
        let ends = &self.connections[packet.connection.0];
        let from = ends[1 - packet.end].peer;
        let to = ends[packet.end].peer;
        let lane = packet.payload.lane();
        let path = &mut self.paths[from * self.size + to];
        if path.cuts > 0 || (path.stalls > 0 && lane == Lane::Data) {
            if self.style.is_orderly {
                path.waiting.push(packet);
            }
            return Transit::Gone;
        }
        let is_protocol = matches!(packet.payload, Payload::Protocol(_) | Payload::Merge(_));
        if self.style.loss > 0 && self.random.chance(self.style.loss) {
            return Transit::Gone;
        }
        let arrives = self.arrival(now, from, to, &packet);
        if is_protocol && self.style.duplicates > 0 && self.random.chance(self.style.duplicates) {
            let again = self.arrival(now, from, to, &packet);
            return Transit::Twice(arrives, again, packet);
        }
        Transit::Arrives(arrives, packet)
    }

    /// Returns what had waited for a path and is on its way now.
    pub(crate) fn release(&mut self, now: Moment, from: usize, to: usize) -> Vec<(Moment, Packet)> {
        let path = &mut self.paths[from * self.size + to];
        if path.cuts > 0 || path.stalls > 0 || path.waiting.is_empty() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut path.waiting);
        // The sender's kernel tries again at growing intervals.
        let resumes = now.after(self.random.duration(Duration::ZERO, self.style.spike));
        waiting
            .into_iter()
            .map(|packet| (self.arrival(resumes, from, to, &packet), packet))
            .collect()
    }

    fn arrival(&mut self, now: Moment, from: usize, to: usize, packet: &Packet) -> Moment {
        let lane = packet.payload.lane();
        let now = self.carried(now, from, to, &packet.payload);
        let arrives = now.after(self.delay(from, to, lane));
        let is_loose = !self.style.is_orderly
            && (lane == Lane::Control || self.random.chance(self.style.reorder));
        if is_loose {
            return arrives;
        }
        let index = usize::from(lane == Lane::Data);
        let clear = &mut self.connections[packet.connection.0][packet.end].clear[index];
        *clear = arrives.max(Moment(clear.0 + 1));
        *clear
    }

    /// Returns when a path of a bounded rate has taken a payload: data one after the other, and
    /// what is on the control lane behind what the buffers hold of them. The two are connections of
    /// their own, and share the wire.
    fn carried(&mut self, now: Moment, from: usize, to: usize, payload: &Payload) -> Moment {
        let path = &mut self.paths[from * self.size + to];
        let Some(rate) = path.rate else { return now };
        let waits = path.busy.since(now);
        if payload.lane() == Lane::Control {
            self.waits += u64::from(!waits.is_zero());
            return now.after(waits.min(self.most_wait));
        }
        let nanos = payload.bytes().saturating_mul(1_000_000_000) / rate.max(1);
        path.busy = path.busy.max(now).after(Duration::from_nanos(nanos));
        path.busy
    }

    fn delay(&mut self, from: usize, to: usize, lane: Lane) -> Duration {
        let (low, high) = self.style.delay;
        let mut delay = if low == high { low } else { self.random.duration(low, high) };
        if lane == Lane::Data {
            delay *= self.style.data_factor;
        }
        if self.style.spikes > 0 && self.random.chance(self.style.spikes) {
            delay += self.random.duration(Duration::ZERO, self.style.spike);
        }
        delay + self.paths[from * self.size + to].slow
    }
}

/// The fate of a packet that is sent.
#[derive(Debug)]
pub(crate) enum Transit {
    Arrives(Moment, Packet),
    Twice(Moment, Moment, Packet),
    Gone,
}
