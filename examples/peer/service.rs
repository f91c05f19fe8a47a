//! What the requests of the example share.

use std::sync::Arc;

use axum::http::StatusCode;
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
