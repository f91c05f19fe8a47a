//! The HTTP face of the example `peer`: JSON in, JSON out, and for every refusal a problem document
//! (RFC 9457) with a sentence that says what to do.
//!
//! ```text
//! POST /v1/acquire {"limit","key","amount"}   and the other questions of limits: `limits.rs`
//! POST /v1/reserve, /v1/permit                what a caller holds: `holds.rs`
//! GET  /v1/limits, /v1/top                    the limits themselves: `rules.rs`
//! GET  /v1/status, /v1/events, /readyz        the group and this peer: `group.rs`
//! GET  /v1/monitor                            how members are looked after: `monitor.rs`
//! POST /v1/force-primary, /v1/found           a group that has lost its quorum: `monitor.rs`
//! GET  /v1/site                               which of two sites decides: `site.rs`
//! GET  /metrics                               numbers for Prometheus: `metrics.rs`
//! GET  /healthz                               the process runs
//! ```
//!
//! PUT limits, reset, switch-primary, leave, forget, priority, POST monitor, force-primary, found,
//! POST site and its switch change the group, top shows whose keys are used, and digest is work for
//! as long as there are cells. They are served at the address of `--admin-http`, and elsewhere
//! answered with 403 `admin_elsewhere` (`addresses.rs`). All the rest is for callers, which are
//! services of one's own: each may take, give back and commit under any key.
//!
//! Requests that a browser makes for a page of somebody else are refused, whatever they ask
//! (`door.rs`): 421 `unknown_host`, 403 `cross_origin`, 415 `content_type`.
//!
//! `server.rs` bounds connections, sizes and times. Too large a body is 413, one that does not
//! come 408, too large a head 431.

use axum::Router;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::get;

use crate::problem::Problem;
use crate::service::Current;
use crate::{group, holds, limits, metrics, monitor, rules, site};

/// Largest request body, far above the longest key.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Largest limits file: more than a group can hold.
const MAX_FILE_BYTES: usize = 256 * 1024;

/// What is served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// What callers ask, and what shows that the peer is well.
    Callers,
    /// All of it.
    Whole,
}

impl Face {
    /// The largest body of a request, by its head.
    pub(crate) fn max_body_bytes(self) -> fn(&Parts) -> usize {
        match self {
            Self::Callers => |_| MAX_BODY_BYTES,
            // Nothing else than a limits file is put.
            Self::Whole => {
                |head| if head.method == Method::PUT { MAX_FILE_BYTES } else { MAX_BODY_BYTES }
            }
        }
    }
}

/// All paths of this service.
pub(crate) fn routes(service: impl Into<Current>, face: Face) -> Router {
    Router::new()
        .merge(limits::routes())
        .merge(holds::routes())
        .merge(rules::routes())
        .merge(group::routes())
        .merge(monitor::routes())
        .merge(site::routes())
        .merge(admin_routes(face))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(async || "alive\n"))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", PATHS))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", PATHS)
        })
        .with_state(service.into())
}

/// What changes the group, takes back what was counted, or shows what is whose.
fn admin_routes(face: Face) -> Router<Current> {
    let routes = Router::new()
        .merge(limits::admin_routes())
        .merge(rules::admin_routes())
        .merge(group::admin_routes())
        .merge(monitor::admin_routes())
        .merge(site::admin_routes());
    match face {
        Face::Callers => routes.route_layer(from_fn(async |_: Request, _: Next| {
            Problem::new(StatusCode::FORBIDDEN, "admin_elsewhere", ELSEWHERE)
        })),
        Face::Whole => routes,
    }
}

const ELSEWHERE: &str = "this changes the group, or shows what callers have no part in, and is \
                         served at the address of --admin-http only, which this peer has printed \
                         at its start; nothing was done";

const PATHS: &str = "there are POST /v1/acquire, /v1/acquire-all, /v1/acquire-up-to, /v1/peek, \
                     /v1/debit, /v1/refund and /v1/reset, POST /v1/reserve, /v1/commit and \
                     /v1/cancel, POST /v1/permit, POST /v1/permit/ID/renew, DELETE \
                     /v1/permit/ID, GET and PUT /v1/limits, GET /v1/top?limit=NAME, GET \
                     /v1/status, GET /v1/events?since=N, \
                     GET /v1/digest, POST /v1/switch-primary, POST /v1/leave, POST /v1/forget, \
                     POST /v1/priority, GET and POST /v1/monitor, POST /v1/force-primary, POST \
                     /v1/found, GET and POST /v1/site, POST /v1/site/switch, GET /metrics, GET \
                     /v1/safe-to-stop, GET /healthz and GET /readyz, also with ?settled=SECONDS";

#[cfg(test)]
pub(crate) mod tests;
