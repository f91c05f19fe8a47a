//! `GET /metrics` of the example `peer`: what Prometheus scrapes.
//!
//! Names, values and text are the library's (`RateLimiter::metrics_text`). No key is ever in it.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use quorate_ratelimit::METRICS_CONTENT_TYPE;

use crate::service::Service;

pub(crate) async fn metrics(State(Service { limiter, .. }): State<Service>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], limiter.metrics_text())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use quorate_ratelimit::testing::TestGroup;
    use quorate_ratelimit::{HeaderStyle, Limit, Limits};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_served_with_the_type_of_the_format() {
        let limits = Limits::builder().limit("mail", Limit::per_day(1)).build().expect("usable");
        let group = TestGroup::start(&limits, ["a", "b", "c"], |peer| peer).await;
        let limiter = group.expect("the settings are valid").limiter("a").clone();
        let service = Service::new(limiter, HeaderStyle::RetryAfter, false);
        let response = metrics(State(service)).await.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4");
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("it is all there");
        let body = String::from_utf8(body.to_vec()).expect("it is text");
        assert!(body.contains("\nquorate_members 3\n"), "{body}");
    }
}
