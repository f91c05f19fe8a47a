//! Events: all that will happen in a world.

use quorate::Incarnation;

use crate::network::packet::{ConnectionId, Packet};
use crate::plan::fault::{Fault, Undo};
use crate::words::call::ProcessId;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    Arrive(Box<Packet>),
    /// The store of a process has changes that its machine has not been told of.
    Changed {
        peer: usize,
        incarnation: Incarnation,
    },
    Client {
        client: usize,
    },
    Deadline {
        op: usize,
    },
    /// The next fault of a peer that is a client.
    ClientFault,
    /// A round of a storage thread ends.
    Disk {
        peer: usize,
        incarnation: Incarnation,
    },
    Dial {
        one: usize,
        other: usize,
    },
    /// The next fault of the plan.
    Fault,
    /// A fault at once, at this peer.
    Strike {
        fault: Fault,
        peer: usize,
    },
    /// Another peer is the primary of a call by now: its reply is not waited for any more.
    Hastened {
        op: usize,
        to: ProcessId,
    },
    Issue {
        op: usize,
    },
    Merge {
        peer: usize,
        incarnation: Incarnation,
    },
    Policy,
    /// An operator looks after the sites.
    Operator,
    /// The pause of a held call ends.
    Retry {
        op: usize,
    },
    Open {
        connection: ConnectionId,
        end: usize,
    },
    Silence {
        connection: ConnectionId,
        end: usize,
    },
    Tick {
        peer: usize,
        incarnation: Incarnation,
    },
    Undo {
        undo: Undo,
        healed: u64,
    },
}
