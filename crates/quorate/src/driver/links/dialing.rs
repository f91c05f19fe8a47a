//! One try to connect: at each of the places where an address leads, until the one that is looked
//! for is found there.
//!
//! A name may lead to several machines, as that of a headless service does, and one of them may be
//! this very peer. Whoever is found and is not looked for is left without a word: nothing is wrong
//! with it.

use std::io;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::base::id::PeerName;
use crate::base::telling::Chain;
use crate::driver::links::dial_error::{DialError, HandshakeError};
use crate::driver::links::handshake::{Agreed, Side, shake};
use crate::driver::links::lookup::Lookup;
use crate::driver::links::settings::TLS;
use crate::driver::report::journal::{LINKS, plain};
use crate::driver::shared::Shared;
use crate::protocol::message::Lane;
use crate::transport::Unwanted;

/// Places of one address that are tried in a row; those beyond have their turn next time.
const MAX_PLACES: usize = 32;

/// The places where a name has led, from one try to the next.
#[derive(Debug, Default)]
pub(in crate::driver) struct Trail {
    /// The place where the one that is looked for was found last: there it is looked for first.
    last: Option<String>,
    /// Counts tries: each begins with another place.
    tries: usize,
    lookup: Lookup,
}

impl Trail {
    /// Puts places in the order in which they are tried.
    fn order(&mut self, mut places: Vec<String>) -> Vec<String> {
        // Whoever answers may say them in the same order each time, or in another.
        places.sort();
        places.dedup();
        let first = self.tries % places.len().max(1);
        self.tries = self.tries.wrapping_add(1);
        places.rotate_left(first);
        if let Some(index) = places.iter().position(|place| Some(place) == self.last.as_ref()) {
            places[..=index].rotate_right(1);
        }
        places.truncate(MAX_PLACES);
        places
    }
}

/// The aim of a try: whom it is to reach, and for what.
#[derive(Clone, Copy, Debug)]
pub(in crate::driver) struct Target<'a> {
    pub(in crate::driver) address: &'a str,
    /// The peer that is to be there, if its name is known.
    pub(in crate::driver) to: Option<&'a PeerName>,
    pub(in crate::driver) lane: Lane,
}

/// Tries each place where an address leads, until whoever is looked for is found.
pub(in crate::driver) async fn connect(
    shared: &Arc<Shared>,
    target: Target<'_>,
    trail: &mut Trail,
) -> Result<Agreed, DialError> {
    let Target { address, to, lane } = target;
    if shared.is_plaintext_refused(address).await {
        return Err(DialError::PlainText);
    }
    let waited = shared.handshake_timeout();
    let places = trail.lookup.places(&shared.transport, address, waited).await;
    let places = trail.order(places.map_err(DialError::Lookup)?);
    let is_search = places.len() > 1;
    let mut told: Option<DialError> = None;
    let mut others = Vec::new();
    for place in places {
        match connect_at(shared, target, &place, is_search).await {
            Ok(agreed) => {
                trail.last = Some(place);
                return Ok(agreed);
            }
            Err(error) => {
                tracing::debug!(
                    target: LINKS,
                    peer = %shared.name(),
                    about = to.map(PeerName::as_str),
                    %lane,
                    address,
                    place,
                    error = %plain(Chain(&error)),
                    "did not connect"
                );
                if let DialError::Elsewhere { found, .. } = &error {
                    others.extend_from_slice(found);
                }
                if told.as_ref().is_none_or(|told| error.weight() > told.weight()) {
                    told = Some(error);
                }
            }
        }
    }
    others.sort();
    others.dedup();
    let error = match told {
        Some(DialError::Elsewhere { to, .. }) => DialError::Elsewhere { to, found: others },
        Some(error) => error,
        None => DialError::Lookup(io::ErrorKind::AddrNotAvailable.into()),
    };
    if let Some(unwanted) = error.unwanted() {
        let field = Unwanted::of(unwanted).map_or(TLS, |unwanted| unwanted.field);
        shared.note_unheard(to, field);
        let peer = to.map_or_else(|| address.to_owned(), PeerName::to_string);
        shared.note_unwanted(peer, address, unwanted, Shared::refused);
    }
    Err(error)
}

async fn connect_at(
    shared: &Arc<Shared>,
    target: Target<'_>,
    place: &str,
    is_search: bool,
) -> Result<Agreed, DialError> {
    let Target { address, to, lane } = target;
    let waited = shared.handshake_timeout();
    let deadline = Instant::now() + waited;
    let connecting = shared.transport.connect_at(address, place, to);
    let connected = timeout_at(deadline, connecting).await;
    let stream = connected.map_err(|_| DialError::NotInTime { waited })?;
    let stream = stream.map_err(DialError::Connect)?;
    let side = Side::Dialer { to: to.cloned(), lane, is_search };
    let shaken = shake(shared, stream, side, deadline, None).await;
    shaken.map_err(|error| match error {
        HandshakeError::Oneself => DialError::Elsewhere { to: to.cloned(), found: Vec::new() },
        HandshakeError::Elsewhere { found } => {
            DialError::Elsewhere { to: to.cloned(), found: vec![found] }
        }
        error => DialError::Handshake(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_turn_and_the_last_good_one_goes_first() {
        let places = || ["c", "a", "b"].map(str::to_owned).to_vec();
        let mut trail = Trail::default();
        let mut order = || trail.order(places());
        assert_eq!(order(), ["a", "b", "c"]);
        assert_eq!(order(), ["b", "c", "a"]);
        assert_eq!(order(), ["c", "a", "b"]);
        let mut trail = Trail { last: Some("b".to_owned()), tries: 2, ..Trail::default() };
        assert_eq!(trail.order(places()), ["b", "c", "a"]);
        trail.last = Some("gone".to_owned());
        assert_eq!(trail.order(places()), ["a", "b", "c"]);
        assert!(trail.order(Vec::new()).is_empty());
    }

    #[test]
    fn of_what_came_of_several_places_the_telling_one_is_told() {
        let elsewhere = DialError::Elsewhere { to: None, found: Vec::new() };
        let refused = DialError::Connect(io::ErrorKind::ConnectionRefused.into());
        assert!(refused.weight() > elsewhere.weight());
        assert!(refused.unwanted().is_none());
    }
}
