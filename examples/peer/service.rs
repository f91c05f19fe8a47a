//! What the requests of the example share.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::StatusCode;
use parking_lot::RwLock;
use quorate::Peer;
use quorate_ratelimit::{HeaderStyle, RateLimiter};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// What every request can use.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) peer: Peer,
    pub(crate) limiter: RateLimiter,
    pub(crate) headers: HeaderStyle,
    /// Whether requests may bring an idempotency key.
    pub(crate) accepts_ids: bool,
    /// Taken by the digest that is worked out.
    pub(crate) digesting: Arc<Semaphore>,
}

/// The service as it is now: another once the peer was counted out and has come back.
#[derive(Clone)]
pub(crate) struct Current(Arc<RwLock<Service>>);

impl Current {
    pub(crate) fn get(&self) -> Service {
        self.0.read().clone()
    }

    /// Has all requests from now on served by another peer.
    pub(crate) fn follow(&self, limiter: RateLimiter) {
        let mut service = self.0.write();
        service.peer = limiter.peer().clone();
        service.limiter = limiter;
    }
}

impl From<Service> for Current {
    fn from(service: Service) -> Self {
        Self(Arc::new(RwLock::new(service)))
    }
}

impl FromRef<Current> for Service {
    fn from_ref(current: &Current) -> Self {
        current.get()
    }
}

impl Service {
    pub(crate) fn new(limiter: RateLimiter, headers: HeaderStyle, accepts_ids: bool) -> Self {
        let peer = limiter.peer().clone();
        let digesting = Arc::new(Semaphore::new(1));
        Self { peer, limiter, headers, accepts_ids, digesting }
    }

    /// Refuses an idempotency key unless they were asked for (`--accept-ids`): whoever chooses one
    /// can have an answer repeated that counts nothing, as often as they like.
    pub(crate) fn check_id(&self, id: Option<&String>) -> Result<(), Problem> {
        match id {
            Some(_) if !self.accepts_ids => {
                Err(Problem::new(StatusCode::BAD_REQUEST, "ids_not_accepted", IDS))
            }
            _ => Ok(()),
        }
    }
}

const IDS: &str = "this peer takes no id: whoever chooses one has its answer repeated and nothing \
                   counted, as often as it asks. Start it with --accept-ids if all its callers are \
                   services of your own, or leave the id out; nothing was counted";
