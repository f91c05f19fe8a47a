//! The service: a request is asked for, passed on, and settled.
//!
//! ```text
//!   request ──▶ rules: items ──▶ group ──┬─ admitted ──▶ inner service ──▶ head of the response
//!                    │                   │                                     │ settle
//!                    └─ no key: 400      └─ denied: 429, undecided: 503        ▼
//!                                                                      fields ──▶ caller
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::admission::Passed;
use crate::admit::{Told, admit};
use crate::refusal::{Problems, Reason, Refusal, Refuse};
use crate::settings::{Settings, WhenUnavailable};
use crate::{demand, fields, settlement};

/// The service that a [`RateLimitLayer`](crate::RateLimitLayer) makes of another one.
///
/// It is ready when the one inside is. What that set aside when it said so is used by the very
/// request that was called next, or is free again as soon as that one is refused.
pub struct RateLimit<S, R = Problems> {
    inner: S,
    settings: Arc<Settings<R>>,
}

impl<S, R> RateLimit<S, R> {
    pub(crate) fn new(inner: S, settings: Arc<Settings<R>>) -> Self {
        Self { inner, settings }
    }
}

impl<S: Clone, R> Clone for RateLimit<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: self.settings.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for RateLimit<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("rules", &self.settings.rules)
            .finish_non_exhaustive()
    }
}

impl<S, R, Q, B> Service<Request<Q>> for RateLimit<S, R>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: Refuse<B>,
    Q: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseFuture<B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> ResponseFuture<B, S::Error> {
        // A clone need not be ready: the one that said so goes along, and the clone takes its
        // place.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        ResponseFuture(Box::pin(respond(inner, self.settings.clone(), request)))
    }
}

async fn respond<S, R, Q, B>(
    mut inner: S,
    settings: Arc<Settings<R>>,
    request: Request<Q>,
) -> Result<Response<B>, S::Error>
where
    S: Service<Request<Q>, Response = Response<B>>,
    R: Refuse<B>,
{
    let Settings { limiter, rules, styles, tells_admitted, refuse, .. } = &*settings;
    let (mut head, body) = request.into_parts();
    let Passed { admission, taken, unenforced } = match ask(&settings, &head).await {
        Ok(passed) => passed,
        Err(reason) => return Ok(refuse.refuse(Refusal::new(limiter, head, reason, styles))),
    };
    let told = admission.told().filter(|_| *tells_admitted);
    head.extensions.insert(admission);
    if let Some(unenforced) = unenforced {
        head.extensions.insert(unenforced);
    }
    let response = match inner.call(Request::from_parts(head, body)).await {
        Ok(response) => response,
        Err(error) => {
            // What is reserved has to be ended, though no response says what it cost.
            settlement::settle(limiter, &settlement::without_response(taken)).await;
            return Err(error);
        }
    };
    let (mut head, body) = response.into_parts();
    let settlements = settlement::by_response(rules, taken, &head);
    let settled = settlement::settle(limiter, &settlements).await;
    if let Some(unsettled) = settled.unsettled {
        head.extensions.insert(unsettled);
    }
    if let Some(Told { limit, decision }) = told {
        // The caller's next request finds what settling has left.
        let present = settled.told.unwrap_or(decision);
        fields::add(&mut head.headers, fields::fields_of(limiter, &limit, &present, styles));
    }
    Ok(Response::from_parts(head, body))
}

/// Asks the group whether a request may pass.
async fn ask<R>(settings: &Settings<R>, request: &http::request::Parts) -> Result<Passed, Reason> {
    let Settings { limiter, rules, unavailable, .. } = settings;
    let items = demand::items_of(rules, request)?;
    match (admit(limiter, rules, items).await, unavailable) {
        (Ok(admitted), _) => Ok(admitted.into()),
        (Err(Reason::Unavailable { error }), WhenUnavailable::Admit) => {
            Ok(Passed::undecided(error))
        }
        (Err(reason), _) => Err(reason),
    }
}

/// The response to come. It is in a box: one allocation for each request, beside a decision of the
/// group.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<B, E>(Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>);

impl<B, E> Future for ResponseFuture<B, E> {
    type Output = Result<Response<B>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<B, E> fmt::Debug for ResponseFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
