//! The contract of the state machine: what goes in and what comes out.

use crate::error::SwitchError;
use crate::event::Event;
use crate::id::{Ballot, Incarnation, PeerName};
use crate::protocol::message::Message;

/// What happens to the machine.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one input exists at a time, on the stack")]
pub enum Input {
    /// The moment named by `deadline()` has come. Harmless at any other time.
    Tick,
    /// The store has changes that its replicas lack.
    Changed,
    /// At least one connection to this incarnation is up on each lane.
    LinkUp {
        /// The peer.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
    },
    /// No connection to this incarnation is left.
    LinkDown {
        /// The peer.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
    },
    /// A message came from a linked peer.
    Message {
        /// The sender.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
        /// The message.
        message: Message,
    },
    /// Hand over to `to`, or to the best successor.
    Switch {
        /// Names the request in [`Output::Switched`].
        request: u64,
        /// Who is to take over; `None` for the best of those that may.
        to: Option<PeerName>,
    },
    /// Found a new group without waiting for members that are not reachable.
    FoundNewGroup,
}

/// Where a decision is made at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// This peer is primary: the store's authority decides.
    Here {
        /// The reign.
        ballot: Ballot,
    },
    /// That peer is primary.
    There {
        /// The primary.
        peer: PeerName,
        /// Which start of it.
        incarnation: Incarnation,
        /// The reign.
        ballot: Ballot,
    },
    /// A hand-over is under way: hold calls until the route changes.
    Held,
    /// There is no primary: refuse, or decide locally.
    Nowhere,
}

/// What the machine wants done. Drained after every input, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message; it may be lost.
    Send {
        /// The receiver.
        to: PeerName,
        /// Which start of it; dropped if that is not linked.
        incarnation: Incarnation,
        /// The message.
        message: Message,
    },
    /// Tell the embedder.
    Event(Event),
    /// A majority holds more: look at `Store::committed()`.
    Committed,
    /// Decisions are made elsewhere now. Callers that wait for a majority under an older ballot
    /// have an unknown outcome.
    Routed(Route),
    /// The switch has ended.
    Switched {
        /// The request of [`Input::Switch`].
        request: u64,
        /// How.
        result: Result<PeerName, SwitchError>,
    },
}
