//! What the tests of the layer share.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use quorate::{Acknowledge, PeerBuilder};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Limits of which nothing flows back while a test runs, but for `minute`.
pub(crate) fn limits() -> Limits {
    Limits::builder()
        .limit("ten", Limit::per_day(1).burst(10))
        .limit("two", Limit::per_day(1).burst(2))
        .limit("minute", Limit::window(5, MINUTE))
        .limit("permits", Limit::concurrent(2))
        .limit("shadow", Limit::per_day(1).burst(1).shadow())
        .build()
        .expect("usable")
}

/// Three peers on virtual time, which lose nothing that was answered.
pub(crate) async fn group() -> TestGroup {
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    TestGroup::start(&limits(), ["a", "b", "c"], exact).await.expect("the settings are valid")
}

/// A peer that is no longer reached by the others, and knows it.
pub(crate) async fn cut_off(group: &TestGroup) -> RateLimiter {
    group.isolate(&["a"]);
    group.pass(MINUTE).await;
    group.limiter("a").clone()
}

/// Units that count of a key.
pub(crate) async fn used(limiter: &RateLimiter, limit: &str, key: &str) -> u64 {
    limiter.peek(limit, key, 1).await.expect("a primary").used()
}

/// Calls a service as soon as it is ready.
pub(crate) async fn call<S, Q>(
    service: &mut S,
    request: Request<Q>,
) -> Result<S::Response, S::Error>
where
    S: Service<Request<Q>>,
{
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

/// A service inside of this layer that answers by a function.
pub(crate) fn inside<L, F, Fut>(layer: &L, answer: F) -> L::Service
where
    L: Layer<Inner<F>>,
    F: Fn(Request<()>) -> Fut,
    Fut: Future<Output = Response<String>>,
{
    layer.layer(Inner(answer))
}

/// A service that answers by a function.
#[derive(Clone)]
pub(crate) struct Inner<F>(F);

impl<F, Fut> Service<Request<()>> for Inner<F>
where
    F: Fn(Request<()>) -> Fut,
    Fut: Future<Output = Response<String>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answering<Fut>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Answering<Fut> {
        Answering(Box::pin((self.0)(request)))
    }
}

/// The answer to come.
pub(crate) struct Answering<Fut>(Pin<Box<Fut>>);

impl<Fut: Future<Output = Response<String>>> Future for Answering<Fut> {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map(Ok)
    }
}
