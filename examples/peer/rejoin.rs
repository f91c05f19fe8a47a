//! Coming back after having been counted out (`--rejoin`): the peer is shut down and started anew
//! in the same process, blank, as one that joins. HTTP goes on: callers get 503 until it counts.
//!
//! What it had decided alone and not merged is lost, and told: the overlay goes with the peer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use quorate::{Event, Peer};
use quorate_ratelimit::{Limits, RateLimiter};
use quorate_tls::TlsTransport;
use tokio::task::JoinSet;

use crate::service::Current;
use crate::{Options, run_beside, say, start};

/// Tries in a row without having counted in between, before a human has to look.
const MAX_TRIES: u32 = 5;
/// Longest pause before a try.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// What a peer is started anew with.
pub(crate) struct Rejoin<'a> {
    pub(crate) options: &'a Options,
    pub(crate) limits: &'a Limits,
    pub(crate) tls: Option<&'a TlsTransport>,
    /// Follows the new peer.
    pub(crate) current: &'a Current,
}

impl Rejoin<'_> {
    /// Brings the peer back whenever it was counted out; `beside` runs beside its requests.
    ///
    /// # Errors
    ///
    /// If it cannot be started any more: there is no peer then.
    pub(crate) async fn keep(self, mut beside: JoinSet<()>) -> Result<Infallible, String> {
        let unit = self.options.failure_timeout;
        let mut tries = Tries::default();
        loop {
            let peer = self.current.get().peer;
            counted_out(&peer).await;
            let name = peer.name();
            if !self.options.rejoin || peer.is_to_leave() {
                return pending().await;
            }
            let Some(pause) = tries.next(peer.status().has_counted, unit) else {
                say(&format!(
                    "{name} was counted out {MAX_TRIES} times in a row before it counted: it does \
                     not try again; read refusals in its status, and restart it"
                ));
                return pending().await;
            };
            tokio::time::sleep(pause).await;
            let contacts = self.contacts(&peer);
            let status = peer.status();
            let lost = match status.overlay_units {
                0 => String::new(),
                units => format!("; {units} units that it decided alone are lost"),
            };
            say(&format!("{name} was counted out: it starts blank and joins anew{lost}"));
            peer.shutdown().await;
            let peer = loop {
                match start(self.options, self.limits, self.tls, Some(&contacts)).await {
                    Ok(peer) => break peer,
                    Err(error) => {
                        let pause = tries.next(false, unit).ok_or_else(|| error.clone())?;
                        say(&format!("{name} could not be started: {error}; it is tried again"));
                        tokio::time::sleep(pause).await;
                    }
                }
            };
            let limiter = RateLimiter::new(peer, self.limits).at_capacity(self.options.at_capacity);
            // That of the old one ends.
            drop(std::mem::replace(&mut beside, run_beside(self.options, &limiter)));
            self.current.follow(limiter);
        }
    }

    /// Where the others may be, by all that is known of them.
    fn contacts(&self, peer: &Peer) -> Vec<String> {
        let own = peer.name();
        let members = peer.status().members;
        let told = members.iter().map(|member| (member.name.as_str(), &member.address));
        let Options { peers, join, listen, advertise, .. } = self.options;
        let listed = peers.iter().map(|(name, address)| (name.as_str(), address));
        let others = told.chain(listed).filter(|(name, _)| *name != own.as_str());
        let found = others.map(|(_, address)| address).chain(join);
        let is_own = |address: &&String| {
            listen.as_ref() == Some(*address) || advertise.as_ref() == Some(*address)
        };
        let found: BTreeSet<&String> =
            found.filter(|address| !address.is_empty() && !is_own(address)).collect();
        found.into_iter().cloned().collect()
    }
}

/// Ends when a peer has been counted out; never if it ends before.
async fn counted_out(peer: &Peer) {
    let mut events = peer.events_after(0);
    while let Some(event) = events.next().await {
        if matches!(event.event, Event::CountedOut { .. }) {
            return;
        }
    }
    pending().await
}

/// Tries in a row.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// The pause before the next try, each twice as long as the one before; `None` if it is not
    /// worth one more. One that has counted begins anew.
    fn next(&mut self, has_counted: bool, unit: Duration) -> Option<Duration> {
        if has_counted {
            self.0 = 0;
        }
        let pause = unit.saturating_mul(1 << self.0).min(MAX_PAUSE);
        self.0 += 1;
        (self.0 <= MAX_TRIES).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_and_end_unless_one_has_counted() {
        let unit = Duration::from_secs(10);
        let mut tries = Tries::default();
        let mut next = |has_counted| tries.next(has_counted, unit).map(|pause| pause.as_secs());
        let pauses: Vec<_> = (0..6).map(|_| next(false)).collect();
        assert_eq!(pauses, [Some(10), Some(20), Some(40), Some(80), Some(160), None]);
        assert_eq!([next(true), next(false)], [Some(10), Some(20)]);
        let long = Duration::from_secs(3_600);
        assert_eq!(Tries::default().next(false, long), Some(MAX_PAUSE));
    }
}
