//! The layer, its builder, and the check of its rules.

use std::fmt;
use std::sync::Arc;

use http::Response;
use quorate::MAX_ITEMS;
use quorate_ratelimit::{HeaderStyle, MAX_LIMITS, RateLimiter};
use tower_layer::Layer;

use crate::refusal::{Problems, Refusal};
use crate::rule::Rule;
use crate::service::RateLimit;
use crate::settings::{Settings, WhenUnavailable};

quorate::told_to_people! { BuildError }

/// Most rules of a layer: as many as there can be limits.
const MAX_RULES: usize = MAX_LIMITS;

/// Lets only those requests through that the limits of a group admit.
///
/// # Examples
///
/// See the [crate](crate#examples).
pub struct RateLimitLayer<R = Problems> {
    settings: Arc<Settings<R>>,
}

impl RateLimitLayer {
    /// Begins a layer that asks this limiter; it needs at least one [`Rule`].
    ///
    /// # Examples
    ///
    /// See the [crate](crate#examples).
    pub fn builder(limiter: RateLimiter) -> RateLimitLayerBuilder {
        RateLimitLayerBuilder {
            settings: Settings {
                limiter,
                rules: Vec::new(),
                styles: vec![HeaderStyle::IetfDraft11],
                tells_admitted: true,
                unavailable: WhenUnavailable::default(),
                refuse: Problems,
            },
        }
    }
}

impl<S, R> Layer<S> for RateLimitLayer<R> {
    type Service = RateLimit<S, R>;

    fn layer(&self, inner: S) -> RateLimit<S, R> {
        RateLimit::new(inner, self.settings.clone())
    }
}

impl<R> Clone for RateLimitLayer<R> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone() }
    }
}

impl<R> fmt::Debug for RateLimitLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("rules", &self.settings.rules)
            .finish_non_exhaustive()
    }
}

/// Makes a [`RateLimitLayer`].
///
/// # Examples
///
/// ```
/// use http::{HeaderName, Method};
/// use quorate_ratelimit::{HeaderStyle, RateLimiter, Reset};
/// use quorate_tower::{
///     AllCallers, BuildError, ClientAddress, Header, RateLimitLayer, Rule, WhenUnavailable,
/// };
///
/// fn layer(limiter: RateLimiter) -> Result<RateLimitLayer, BuildError> {
///     let customer = Header(HeaderName::from_static("x-api-key"));
///     RateLimitLayer::builder(limiter)
///         .rule(Rule::new("total", AllCallers))
///         .rule(Rule::new("client", ClientAddress::new()))
///         .rule(Rule::new("writes", customer).when(|request| request.method == Method::POST))
///         .headers([HeaderStyle::IetfDraft11, HeaderStyle::XRateLimit { reset: Reset::Delta }])
///         .when_unavailable(WhenUnavailable::Admit)
///         .build()
/// }
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct RateLimitLayerBuilder<R = Problems> {
    settings: Settings<R>,
}

impl<R> RateLimitLayerBuilder<R> {
    /// Adds a rule, of at most 4,096. A request is admitted by all that apply to it, which may be
    /// 16 at most, or counted by none.
    ///
    /// # Examples
    ///
    /// See [`RateLimitLayerBuilder`](RateLimitLayerBuilder#examples).
    pub fn rule(mut self, rule: Rule) -> Self {
        self.settings.rules.push(rule);
        self
    }

    /// Sets the fields of responses. Default: those of the IETF's draft 11. `Retry-After` of a
    /// denial is there in any case.
    ///
    /// # Examples
    ///
    /// See [`RateLimitLayerBuilder`](RateLimitLayerBuilder#examples).
    pub fn headers(mut self, styles: impl IntoIterator<Item = HeaderStyle>) -> Self {
        self.settings.styles = styles.into_iter().collect();
        self
    }

    /// Has only denials carry the fields, and responses of requests that were admitted none.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    /// use quorate_tower::{AllCallers, BuildError, RateLimitLayer, Rule};
    ///
    /// fn discreet(limiter: RateLimiter) -> Result<RateLimitLayer, BuildError> {
    ///     let total = Rule::new("total", AllCallers);
    ///     RateLimitLayer::builder(limiter).rule(total).headers_on_denials_only().build()
    /// }
    /// ```
    pub fn headers_on_denials_only(mut self) -> Self {
        self.settings.tells_admitted = false;
        self
    }

    /// Sets the treatment of requests while the group cannot decide: it has no primary, is at a
    /// bound, or does not answer. Default: they are refused.
    ///
    /// Without a primary the limits say for themselves whether they go on
    /// ([`Limit::without_primary`](quorate_ratelimit::Limit::without_primary)), and all rules of a
    /// request are decided together: where one of their limits refuses, or something is to be
    /// reserved, the request is not decided, and what the others say has no effect. So a limit that
    /// is to go on needs others that do; where that is known the layer says so in the log when it
    /// is built.
    ///
    /// # Examples
    ///
    /// See [`RateLimitLayerBuilder`](RateLimitLayerBuilder#examples).
    pub fn when_unavailable(mut self, unavailable: WhenUnavailable) -> Self {
        self.settings.unavailable = unavailable;
        self
    }

    /// Sets how refusals are written: as [`Problems`], which is the default, as
    /// [`Grpc`](crate::Grpc), or by a [`Refuse`](crate::Refuse) of your own.
    ///
    /// # Examples
    ///
    /// See [`Grpc`](crate::Grpc).
    pub fn refusals<O>(self, refuse: O) -> RateLimitLayerBuilder<O> {
        let Settings { limiter, rules, styles, tells_admitted, unavailable, refuse: _ } =
            self.settings;
        let settings = Settings { limiter, rules, styles, tells_admitted, unavailable, refuse };
        RateLimitLayerBuilder { settings }
    }

    /// Writes refusals by a closure: for bodies that neither a text nor nothing can be made into,
    /// or for documents of your own.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::body::Body;
    /// use http::Response;
    /// use quorate_ratelimit::RateLimiter;
    /// use quorate_tower::{RateLimitLayer, Refusal};
    ///
    /// fn plain(limiter: RateLimiter) {
    ///     let builder = RateLimitLayer::builder(limiter).refuse_with(|refusal: Refusal| {
    ///         let mut response = Response::new(Body::from("not now\n"));
    ///         *response.status_mut() = refusal.status();
    ///         response.headers_mut().extend(refusal.fields().clone());
    ///         response
    ///     });
    /// #   let _ = builder;
    /// }
    /// ```
    pub fn refuse_with<B, F>(self, refuse: F) -> RateLimitLayerBuilder<F>
    where
        F: Fn(Refusal) -> Response<B> + Send + Sync + 'static,
    {
        self.refusals(refuse)
    }

    /// Checks the rules against the limits of this peer's code, and those that it does not have
    /// against the group's. A limit of the code may be one that the group does not have now: the
    /// rule says what becomes of requests until it has ([`Rule::missing_limit`]). A limit that
    /// came while the group ran is known to a peer when its
    /// [`RateLimiter::wait_ready`](quorate_ratelimit::RateLimiter::wait_ready) has returned, and to
    /// no client; [`Rule::limit_by`] asks for it when it is used.
    ///
    /// # Errors
    ///
    /// The first rule of [`BuildError`] that is broken.
    ///
    /// # Examples
    ///
    /// See [`RateLimitLayerBuilder`](RateLimitLayerBuilder#examples).
    pub fn build(self) -> Result<RateLimitLayer<R>, BuildError> {
        let Settings { limiter, rules, .. } = &self.settings;
        let all = rules.len();
        if all == 0 || all > MAX_RULES {
            return Err(BuildError::Rules { count: all, max: MAX_RULES });
        }
        let always = rules.iter().filter(|rule| rule.is_unconditional()).count();
        if always > MAX_ITEMS {
            return Err(BuildError::Rules { count: always, max: MAX_ITEMS });
        }
        let present = limiter.limits();
        for rule in rules {
            // A limit that requests choose is looked up with them.
            let Some(name) = rule.fixed_limit() else { continue };
            let known = limiter.code().get(name).or_else(|| present.get(name));
            let limit = known.ok_or_else(|| BuildError::UnknownLimit { limit: name.clone() })?;
            if limit.is_concurrent() {
                return Err(BuildError::Concurrency { limit: name.clone() });
            }
            let cost = rule.fixed_cost().unwrap_or(0);
            let max = limit.capacity();
            // A shadow denies nothing.
            if cost > max && !limit.is_shadow() {
                return Err(BuildError::NeverAdmitted { limit: name.clone(), cost, max });
            }
        }
        limiter.expect_limits(rules.iter().filter_map(Rule::fixed_limit));
        for (place, rule) in rules.iter().enumerate() {
            let Some(name) = rule.fixed_limit() else { continue };
            // Only those that are always asked for together are known to be a mixture.
            let others = rules.iter().enumerate().filter(|(other, _)| *other != place);
            let always = others.filter(|(_, other)| other.is_unconditional());
            let names = always.filter_map(|(_, other)| other.fixed_limit());
            limiter.warn_if_refused_beside(name, names.map(|name| &**name));
        }
        Ok(RateLimitLayer { settings: Arc::new(self.settings) })
    }
}

impl<R> fmt::Debug for RateLimitLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder")
            .field("rules", &self.settings.rules)
            .finish_non_exhaustive()
    }
}

/// The reason why a layer cannot be as it was described.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The limit is one of permits, which are held and not counted.
    Concurrency {
        /// The limit.
        limit: Arc<str>,
    },
    /// Every request of a rule costs more than its limit admits at any time.
    NeverAdmitted {
        /// The limit.
        limit: Arc<str>,
        /// The cost of each.
        cost: u64,
        /// The most at once.
        max: u64,
    },
    /// No rules, or too many: in all, or of those that apply to every request.
    Rules {
        /// The rules given, or those that apply to every request.
        count: usize,
        /// The most.
        max: usize,
    },
    /// This peer has no limit of that name, in its code or of the group.
    UnknownLimit {
        /// The name.
        limit: Arc<str>,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency { limit } => write!(
                f,
                "limit {limit} is one of permits, which a handler takes and gives back by itself"
            ),
            Self::NeverAdmitted { limit, cost, max } => write!(
                f,
                "a cost of {cost} is never admitted by limit {limit}: it admits {max} at most at \
                 once"
            ),
            Self::Rules { count: 0, .. } => write!(f, "there is no rule: give at least one"),
            Self::Rules { count, max } if *max == MAX_ITEMS => write!(
                f,
                "{count} rules apply to every request, and {max} at most are decided together: \
                 have some of them apply to some requests only (Rule::when)"
            ),
            Self::Rules { count, max } => write!(f, "{count} rules: give 1 to {max}"),
            Self::UnknownLimit { limit } => write!(
                f,
                "no limit is called {limit:?} in this peer's code, nor among those of the group \
                 that it holds: correct the name, or, if it came by a change of the group's \
                 limits, build the layer after RateLimiter::wait_ready"
            ),
        }
    }
}

impl std::error::Error for BuildError {}
