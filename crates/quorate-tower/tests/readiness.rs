//! The contract of tower: what is called has said that it is ready.

mod support;

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use quorate_tower::{AllCallers, Grpc, RateLimit, RateLimitLayer, ResponseFuture, Rule};
use support::{MINUTE, call, group, used};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

/// A service that holds a permit from when it says that it is ready until it has been called;
/// clones have none, and one that is called without panics.
struct Permitted {
    permits: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    fails: bool,
}

impl Clone for Permitted {
    fn clone(&self) -> Self {
        Self { permits: self.permits.clone(), held: None, fails: self.fails }
    }
}

impl Service<Request<()>> for Permitted {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Ready<Result<Response<String>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.held.is_none() {
            match self.permits.clone().try_acquire_owned() {
                Ok(permit) => self.held = Some(permit),
                Err(_) => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        drop(self.held.take().expect("it is called when it is ready"));
        ready(if self.fails { Err("it failed") } else { Ok(Response::new("ok".to_owned())) })
    }
}

fn permitted(permits: usize) -> Permitted {
    Permitted { permits: Arc::new(Semaphore::new(permits)), held: None, fails: false }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let group = group().await;
    let layer =
        RateLimitLayer::builder(group.limiter("a").clone()).rule(Rule::new("ten", AllCallers));
    let mut service = layer.build().expect("usable").layer(permitted(2));
    for _ in 0..4 {
        let response = call(&mut service, Request::new(())).await.expect("it does not fail");
        assert_eq!(response.body(), "ok");
    }
    // Several under way at once, and by clones.
    let mut other = service.clone();
    let (one, two) =
        tokio::join!(call(&mut service, Request::new(())), call(&mut other, Request::new(())));
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_frees_what_was_set_aside_for_it() {
    let group = group().await;
    let layer =
        RateLimitLayer::builder(group.limiter("a").clone()).rule(Rule::new("two", AllCallers));
    let inner = permitted(1);
    let permits = inner.permits.clone();
    let mut service = layer.build().expect("usable").layer(inner);
    let mut denied = 0;
    for _ in 0..5 {
        let response = call(&mut service, Request::new(())).await.expect("it does not fail");
        denied += usize::from(response.status() == 429);
        assert_eq!(permits.available_permits(), 1);
    }
    assert_eq!(denied, 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_service_waits_for_is_waited_for() {
    let group = group().await;
    let layer =
        RateLimitLayer::builder(group.limiter("a").clone()).rule(Rule::new("ten", AllCallers));
    let mut service = layer.build().expect("usable").layer(permitted(0));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut context).is_pending());
    assert_eq!(used(group.limiter("a"), "ten", "").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_is_passed_on_and_stays_counted() {
    let group = group().await;
    let rules = [
        Rule::new("two", AllCallers).count_if(|_| false),
        Rule::new("ten", AllCallers).cost(2).actual_cost(|_| Some(0)),
    ];
    let layer = RateLimitLayer::builder(group.limiter("a").clone());
    let layer = rules.into_iter().fold(layer, |layer, rule| layer.rule(rule)).build();
    let inner = Permitted { fails: true, ..permitted(1) };
    let mut service = layer.expect("usable").layer(inner);
    let failed = call(&mut service, Request::new(())).await;
    assert_eq!(failed.err(), Some("it failed"));
    // What it has reserved does not lapse.
    group.pass(10 * MINUTE).await;
    let limiter = group.limiter("a");
    assert!(!limiter.acquire("ten", "", 9).await.expect("a primary").allowed);
    assert_eq!(used(limiter, "ten", "").await, 2);
    assert_eq!(used(limiter, "two", "").await, 1);
}

#[test]
fn everything_can_be_sent_and_shared() {
    fn sent<T: Send + 'static>() {}
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<RateLimitLayer>();
    shared::<RateLimitLayer<Grpc>>();
    shared::<RateLimit<Permitted>>();
    sent::<ResponseFuture<String, &'static str>>();
}
