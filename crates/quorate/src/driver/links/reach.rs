//! Reasons why links are down: what came of the last try to reach each peer, and whoever is at an
//! address.

use std::collections::BTreeMap;
use std::{fmt, io};

use parking_lot::Mutex;
use serde::Serialize;

use crate::base::id::PeerName;
use crate::base::told::{difference, printable};
use crate::driver::links::dial_error::{DialError, HandshakeError};
use crate::driver::links::settings::TLS;
use crate::transport::Unwanted;

/// Peers of which a failure is kept. No more than a group has members are dialed, and those that a
/// joiner or client is introduced to.
const MAX_PEERS: usize = 64;

/// The reason why a link is down, as the last try to make it has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkError {
    /// The kind of obstacle.
    pub reason: LinkErrorReason,
    /// The reason as a sentence, with the address and whatever else is known.
    pub detail: String,
    /// Since when it has been for this reason, in milliseconds since the Unix epoch; 0 if nothing
    /// was tried yet.
    pub since_ms: u64,
    /// The time when it was last found so, in milliseconds since the Unix epoch; 0 if nothing was
    /// tried yet.
    pub last_ms: u64,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// An obstacle to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkErrorReason {
    /// The certificate of one end is not wanted by the other, or one of them asks for TLS.
    Certificate,
    /// The other end has closed the connection, or it was lost.
    Closed,
    /// Nobody listens there: the connection was refused by the system.
    ConnectionRefused,
    /// This peer has been shut down.
    Ended,
    /// The name in the address cannot be looked up.
    NameLookup,
    /// This peer does not dial that one: it comes by itself.
    NotDialed,
    /// No try has come to an end yet.
    NotTried,
    /// The address leads to another peer.
    OtherPeer,
    /// The address leads to this peer itself.
    Oneself,
    /// Plain text off loopback is refused by this peer.
    PlainText,
    /// Bytes have come that were no handshake of a peer.
    Protocol,
    /// The peers do not belong together, or one holds the other for none of its group: a setting
    /// differs, or the name is taken. The refusals in the status have both values.
    Refused,
    /// The other end has said that it ends.
    Stopped,
    /// The system did not connect, for another reason.
    System,
    /// There was no answer in time.
    TimedOut,
    /// There is no way to the network or host.
    Unreachable,
}

impl LinkError {
    /// Returns true if somebody is there, and one of the two ends does not want the other.
    pub(in crate::driver) fn is_refusal(&self) -> bool {
        matches!(self.reason, LinkErrorReason::Certificate | LinkErrorReason::Refused)
    }

    /// An error of a link for which nothing has been found out yet.
    pub(in crate::driver) fn without_trial(reason: LinkErrorReason, detail: &str) -> Self {
        Self { reason, detail: detail.to_owned(), since_ms: 0, last_ms: 0 }
    }

    /// A failure at this wall-clock time.
    pub(in crate::driver) fn new(
        reason: LinkErrorReason,
        detail: impl Into<String>,
        at_ms: u64,
    ) -> Self {
        Self { reason, detail: detail.into(), since_ms: at_ms, last_ms: at_ms }
    }

    /// The outcome of a try to connect to an address.
    pub(in crate::driver) fn of_dialing(error: &DialError, address: &str, at_ms: u64) -> Self {
        use LinkErrorReason::{
            Certificate, NameLookup, Oneself, OtherPeer, PlainText, Protocol, Refused, TimedOut,
        };
        let (reason, detail) = match error {
            DialError::Lookup(error) => {
                (NameLookup, format!("the name in {address} cannot be looked up: {error}"))
            }
            DialError::Connect(error) => of_io(error, address),
            DialError::NotInTime { waited } => {
                (TimedOut, format!("{address} has not answered within {waited:?}"))
            }
            DialError::PlainText => (PlainText, format!("{address}: {error}")),
            DialError::Elsewhere { to, found } if found.is_empty() => {
                let whom = to.as_ref().map_or(String::new(), |to| format!(", and not to {to}"));
                (Oneself, format!("{address} leads to this peer itself{whom}"))
            }
            DialError::Elsewhere { to, found } => {
                let names: Vec<&str> = found.iter().map(PeerName::as_str).collect();
                let whom = to.as_ref().map_or(String::new(), |to| format!(", and not to {to}"));
                (OtherPeer, format!("{address} leads to {}{whom}", names.join(", ")))
            }
            DialError::Handshake(error) => match error {
                HandshakeError::Io(error) => of_io(error, address),
                HandshakeError::Timeout => {
                    (TimedOut, format!("there was no handshake with {address} in time"))
                }
                HandshakeError::Refused { field, ours, theirs } => {
                    let reason = match field.as_str() {
                        "certificate" | TLS => Certificate,
                        "to" => OtherPeer,
                        _ => Refused,
                    };
                    (reason, format!("{address}: {}", difference(field, ours, theirs)))
                }
                HandshakeError::Full(full) => (Refused, format!("{address}: {full}")),
                HandshakeError::Tls => (Certificate, format!("{address}: {error}")),
                HandshakeError::Unlinked { .. } => (LinkErrorReason::Closed, error.to_string()),
                HandshakeError::Elsewhere { .. }
                | HandshakeError::Oneself
                | HandshakeError::Unexpected { .. }
                | HandshakeError::Wire(_) => {
                    (Protocol, format!("{address} does not answer as a peer does: {error}"))
                }
            },
        };
        Self::new(reason, printable(&detail), at_ms)
    }
}

/// The words of the system, or of a transport, about an address.
fn of_io(error: &io::Error, address: &str) -> (LinkErrorReason, String) {
    use LinkErrorReason::{Certificate, Closed, ConnectionRefused, System, TimedOut, Unreachable};
    if let Some(unwanted) = Unwanted::of(error) {
        return (Certificate, format!("{address}: {unwanted}"));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (ConnectionRefused, format!("nobody listens at {address}: connection refused"))
        }
        io::ErrorKind::TimedOut => (TimedOut, format!("{address} does not answer: {error}")),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            (Unreachable, format!("there is no way to {address}: {error}"))
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            (Closed, format!("{address} has closed the connection: {error}"))
        }
        _ => (System, format!("cannot connect to {address}: {error}")),
    }
}

/// The outcomes of the last tries.
#[derive(Debug)]
pub(in crate::driver) struct Reach {
    peers: Mutex<BTreeMap<PeerName, LinkError>>,
    /// Of the addresses at which a joiner or client looks for members; of those where somebody is,
    /// nothing.
    contacts: Mutex<BTreeMap<String, LinkError>>,
}

impl Reach {
    /// The outcomes where nothing was tried yet at these addresses.
    pub(in crate::driver) fn new(contacts: &[String]) -> Self {
        let untried = |address: &String| {
            let detail = format!("{address} has not been tried yet");
            (address.clone(), LinkError::without_trial(LinkErrorReason::NotTried, &detail))
        };
        let contacts = Mutex::new(contacts.iter().map(untried).collect());
        Self { peers: Mutex::default(), contacts }
    }

    /// Notes why a peer is not linked.
    pub(in crate::driver) fn note(&self, peer: &PeerName, error: LinkError) {
        let mut peers = self.peers.lock();
        if peers.len() < MAX_PEERS || peers.contains_key(peer) {
            let error = continued(peers.get(peer), error);
            peers.insert(peer.clone(), error);
        }
    }

    /// A connection to a peer is open.
    pub(in crate::driver) fn clear(&self, peer: &PeerName) {
        self.peers.lock().remove(peer);
    }

    /// Forgets peers that are not `wanted` any more.
    pub(in crate::driver) fn retain(&self, wanted: impl Fn(&PeerName) -> bool) {
        self.peers.lock().retain(|peer, _| wanted(peer));
    }

    /// The reason why a peer is not linked, as far as that was tried.
    pub(in crate::driver) fn of(&self, peer: &PeerName) -> Option<LinkError> {
        self.peers.lock().get(peer).cloned()
    }

    /// Notes why nobody was met at an address, or that somebody was.
    pub(in crate::driver) fn note_contact(&self, address: &str, error: Option<LinkError>) {
        let mut contacts = self.contacts.lock();
        let known = contacts.remove(address);
        if let Some(error) = error {
            contacts.insert(address.to_owned(), continued(known.as_ref(), error));
        }
    }

    /// The addresses at which nobody was met.
    pub(in crate::driver) fn contacts(&self) -> Vec<(String, LinkError)> {
        let contacts = self.contacts.lock();
        contacts.iter().map(|(address, error)| (address.clone(), error.clone())).collect()
    }
}

/// The newer of two failures, since the older one if it is for the same reason.
fn continued(known: Option<&LinkError>, error: LinkError) -> LinkError {
    match known {
        Some(known) if known.reason == error.reason && known.since_ms > 0 => {
            LinkError { since_ms: known.since_ms, ..error }
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LinkErrorReason::{Closed, ConnectionRefused, NotTried, TimedOut, Unreachable};

    #[test]
    fn a_reason_lasts_until_there_is_another_or_a_connection() {
        let reach = Reach::new(&[]);
        let b = PeerName::from("b");
        let note = |reason, at| reach.note(&b, LinkError::new(reason, "x", at));
        let times = || reach.of(&b).map(|error| (error.since_ms, error.last_ms));
        note(TimedOut, 5);
        note(TimedOut, 7);
        assert_eq!(times(), Some((5, 7)));
        note(Closed, 9);
        assert_eq!(times(), Some((9, 9)));
        reach.clear(&b);
        assert_eq!(times(), None);
        note(Closed, 11);
        assert_eq!(times(), Some((11, 11)));
        reach.retain(|_| false);
        assert_eq!(times(), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let reach = Reach::new(&[]);
        for number in 0..1_000 {
            reach.note(&format!("x{number}").into(), LinkError::new(Closed, "x", 1));
        }
        assert_eq!(reach.peers.lock().len(), MAX_PEERS);
    }

    #[test]
    fn an_address_is_untried_then_failed_then_met() {
        let reach = Reach::new(&["a:1".to_owned()]);
        let reason = || reach.contacts().first().map(|(_, error)| error.reason);
        assert_eq!(reason(), Some(NotTried));
        reach.note_contact("a:1", Some(LinkError::new(ConnectionRefused, "x", 1)));
        assert_eq!(reason(), Some(ConnectionRefused));
        reach.note_contact("a:1", None);
        assert_eq!(reason(), None);
    }

    #[test]
    fn what_the_system_says_has_a_reason_and_the_address() {
        let of = |kind: io::ErrorKind| of_io(&kind.into(), "b:1");
        for (kind, reason) in [
            (io::ErrorKind::ConnectionRefused, ConnectionRefused),
            (io::ErrorKind::ConnectionReset, Closed),
            (io::ErrorKind::UnexpectedEof, Closed),
            (io::ErrorKind::TimedOut, TimedOut),
            (io::ErrorKind::HostUnreachable, Unreachable),
            (io::ErrorKind::NetworkUnreachable, Unreachable),
            (io::ErrorKind::Other, LinkErrorReason::System),
        ] {
            let (found, detail) = of(kind);
            assert_eq!(found, reason, "{kind}");
            assert!(detail.contains("b:1"), "{detail}");
        }
    }
}
