//! Requests to the machine that callers wait for, by number.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::base::error::{
    ArrangeError, ForceError, PolicyError, RemoveError, SiteError, SwitchError,
};
use crate::base::forced::Forced;
use crate::base::id::PeerName;

/// Callers that wait for a switch of the primary, a removal of a member, a change of the
/// policy, of the upkeep or of the sites, or a primary by force.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Number of the last request of any kind.
    last: u64,
    pub(super) switches: Pending<PeerName, SwitchError>,
    pub(super) removals: Pending<(), RemoveError>,
    pub(super) policy_changes: Pending<u64, PolicyError>,
    pub(super) arrangements: Pending<u64, ArrangeError>,
    pub(super) forces: Pending<Forced, ForceError>,
    pub(super) sites: Pending<(), SiteError>,
}

impl Requests {
    /// A number that no other request has.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Forgets requests whose callers have given up; returns their numbers.
    pub(super) fn abandoned(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        self.switches.forget_abandoned(&mut gone);
        self.removals.forget_abandoned(&mut gone);
        self.policy_changes.forget_abandoned(&mut gone);
        self.arrangements.forget_abandoned(&mut gone);
        self.forces.forget_abandoned(&mut gone);
        self.sites.forget_abandoned(&mut gone);
        gone
    }
}

/// Callers that wait for requests of one kind.
#[derive(Debug)]
pub(super) struct Pending<T, E>(BTreeMap<u64, oneshot::Sender<Result<T, E>>>);

impl<T, E> Default for Pending<T, E> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T, E> Pending<T, E> {
    /// Keeps a caller until its request is answered.
    pub(super) fn add(&mut self, request: u64, reply: oneshot::Sender<Result<T, E>>) {
        self.0.insert(request, reply);
    }

    fn forget_abandoned(&mut self, gone: &mut Vec<u64>) {
        self.0.retain(|number, reply| {
            let is_abandoned = reply.is_closed();
            if is_abandoned {
                gone.push(*number);
            }
            !is_abandoned
        });
    }

    /// Answers the caller of a request.
    pub(super) fn answer(&mut self, request: u64, result: Result<T, E>) {
        if let Some(reply) = self.0.remove(&request) {
            // Nobody may be waiting any more.
            _ = reply.send(result);
        }
    }
}
