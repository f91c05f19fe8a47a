//! Rules: one limit each, and what a request counts under it.

use std::fmt;
use std::sync::Arc;

use http::{request, response};

use crate::key::KeyExtractor;

/// The treatment of a request that has no key under a rule. One that has something else in its
/// place is refused in any case ([`NoKey::Unreadable`](crate::NoKey::Unreadable)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingKey {
    /// The request is refused: with 400 if the caller did not send it, with 500 if the service
    /// lacks it.
    #[default]
    Refuse,
    /// All requests without a key share one count, under the empty key.
    Share,
    /// The rule does not apply to the request. Whoever can leave the key out is not limited.
    Skip,
}

/// The treatment of a request whose limit the group has not: in a rollout that brings the limit,
/// until the primary runs the new code; after a change of the group's limits, until they are
/// changed to some with it; or because a name is wrong. So it is with one that a change has made a
/// limit of permits. It is told as a warning once, counted
/// ([`ErrorCounts::missing_limit`](quorate_ratelimit::ErrorCounts::missing_limit)) and shown
/// ([`LimitsStatus::missing`](quorate_ratelimit::LimitsStatus::missing)). The rule applies from the
/// next request on when the limit is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingLimit {
    /// The rule does not apply to the request, and the others do. Handlers find the limit in
    /// [`Unenforced`](crate::Unenforced).
    #[default]
    Skip,
    /// The request is refused with 503, whatever [`WhenUnavailable`](crate::WhenUnavailable) says:
    /// for limits without which nothing may pass. A peer is ready all the same: a service that
    /// shall not be looks at [`LimitsStatus::missing`](quorate_ratelimit::LimitsStatus::missing)
    /// too.
    Refuse,
}

type LimitOf = Box<dyn Fn(&request::Parts) -> Option<Arc<str>> + Send + Sync>;
type Applies = Box<dyn Fn(&request::Parts) -> bool + Send + Sync>;
type CostOf = Box<dyn Fn(&request::Parts) -> u64 + Send + Sync>;
/// `None` if what was taken is what it cost.
type ActualCost = Box<dyn Fn(&response::Parts) -> Option<u64> + Send + Sync>;
type Counts = Box<dyn Fn(&response::Parts) -> bool + Send + Sync>;

/// The correction of what was taken, once the response is known.
enum Outcome {
    Actual(ActualCost),
    CountIf(Counts),
    /// None: what was taken counts.
    Same,
}

/// The limit of a rule.
enum Which {
    /// One for all requests, by its name.
    Named(Arc<str>),
    /// Chosen by the request.
    Of(LimitOf),
}

enum Cost {
    Fixed(u64),
    Of(CostOf),
}

/// A rule: one limit, what a request is counted by under it, and how much.
///
/// # Examples
///
/// Tokens of a language model: 4,000 are taken before, and what the answer says it has used is what
/// counts in the end.
///
/// ```
/// use http::HeaderName;
/// use quorate_tower::{Header, Rule};
///
/// let rule = Rule::new("tokens", Header(HeaderName::from_static("x-api-key")))
///     .cost(4_000)
///     .actual_cost(|response| response.headers.get("x-tokens")?.to_str().ok()?.parse().ok());
/// # let _ = rule;
/// ```
///
/// Wrong passwords, and nothing else:
///
/// ```
/// use http::StatusCode;
/// use quorate_tower::{ClientAddress, Rule};
///
/// let rule = Rule::new("login", ClientAddress::new())
///     .when(|request| request.uri.path() == "/login")
///     .count_if(|response| response.status == StatusCode::UNAUTHORIZED);
/// # let _ = rule;
/// ```
pub struct Rule {
    limit: Which,
    key: Box<dyn KeyExtractor>,
    missing: MissingKey,
    missing_limit: MissingLimit,
    applies: Option<Applies>,
    cost: Cost,
    outcome: Outcome,
}

impl Rule {
    /// Counts each request as one unit of its key, under the limit of this name.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let rule = Rule::new("api", ClientAddress::new());
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn new(limit: impl Into<Arc<str>>, key: impl KeyExtractor) -> Self {
        Self::of(Which::Named(limit.into()), key)
    }

    /// Counts each request as one unit of its key, under the limit whose name a closure says;
    /// `None` if no limit applies to the request. The name is looked up when it is used: one that
    /// the group has not is treated as [`MissingLimit`] says, and so is one that nobody has. An
    /// `Arc<str>` that is kept costs no allocation for each request.
    ///
    /// Do not make names of what the request says: a caller would choose its limit.
    ///
    /// # Examples
    ///
    /// One rule for all plans, by what an authentication has left in the request:
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quorate_tower::{Rule, from_fn};
    ///
    /// /// What is known of a customer.
    /// #[derive(Clone)]
    /// struct Customer {
    ///     id: String,
    ///     /// The name of a limit, such as `plan-gold`.
    ///     plan: Arc<str>,
    /// }
    ///
    /// let rule = Rule::limit_by(
    ///     |request| request.extensions.get::<Customer>().map(|customer| customer.plan.clone()),
    ///     from_fn(|request| request.extensions.get::<Customer>().map(|it| it.id.clone())),
    /// );
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn limit_by<L: Into<Arc<str>>>(
        limit: impl Fn(&request::Parts) -> Option<L> + Send + Sync + 'static,
        key: impl KeyExtractor,
    ) -> Self {
        Self::of(Which::Of(Box::new(move |request| limit(request).map(L::into))), key)
    }

    fn of(limit: Which, key: impl KeyExtractor) -> Self {
        Self {
            limit,
            key: Box::new(key),
            missing: MissingKey::default(),
            missing_limit: MissingLimit::default(),
            applies: None,
            cost: Cost::Fixed(1),
            outcome: Outcome::Same,
        }
    }

    /// Applies only to requests of which this is true: the plan of a customer, a method, a path.
    /// All others are not limited by this rule.
    ///
    /// The path of a request is as its caller wrote it, and `/%6cogin` is not `/login`: if the
    /// service inside decodes paths, compare what [`Path`](crate::Path) makes of it, or limit the
    /// route itself (in axum by a `route_layer`).
    ///
    /// # Examples
    ///
    /// A browser's preflight is not what its user asked for:
    ///
    /// ```
    /// use http::Method;
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let rule = Rule::new("api", ClientAddress::new()).when(|it| it.method != Method::OPTIONS);
    /// # let _ = rule;
    /// ```
    ///
    /// One path, however it is written:
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, KeyExtractor, Path, Rule};
    ///
    /// let rule = Rule::new("login", ClientAddress::new())
    ///     .when(|request| Path.key(request).is_ok_and(|path| path == b"/login"));
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn when(
        mut self,
        applies: impl Fn(&request::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.applies = Some(Box::new(applies));
        self
    }

    /// Sets the treatment of requests without a key. Default: they are refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::HeaderName;
    /// use quorate_tower::{Header, MissingKey, Rule};
    ///
    /// let anonymous_together = Rule::new("api", Header(HeaderName::from_static("x-api-key")))
    ///     .missing_key(MissingKey::Share);
    /// # let _ = anonymous_together;
    /// ```
    #[must_use]
    pub fn missing_key(mut self, missing: MissingKey) -> Self {
        self.missing = missing;
        self
    }

    /// Sets the treatment of requests while the group has no such limit. Default: the rule is
    /// skipped, and that is told.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, MissingLimit, Rule};
    ///
    /// let no_guesses = Rule::new("login", ClientAddress::new())
    ///     .when(|request| request.uri.path() == "/login")
    ///     .missing_limit(MissingLimit::Refuse);
    /// # let _ = no_guesses;
    /// ```
    #[must_use]
    pub fn missing_limit(mut self, missing: MissingLimit) -> Self {
        self.missing_limit = missing;
        self
    }

    /// Sets how many units each request takes. Default: 1. With 0 the rule applies to none, unless
    /// it has an [`actual_cost`](Self::actual_cost).
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let reports_are_dear = Rule::new("api", ClientAddress::new())
    ///     .when(|request| request.uri.path().starts_with("/reports/"))
    ///     .cost(20);
    /// # let _ = reports_are_dear;
    /// ```
    #[must_use]
    pub fn cost(mut self, units: u64) -> Self {
        self.cost = Cost::Fixed(units);
        self
    }

    /// Sets how many units a request takes, by the request. A cost that the limit admits at no time
    /// is refused with 400; one that comes from the caller should have a bound of your own.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::Method;
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let rule = Rule::new("api", ClientAddress::new())
    ///     .cost_of(|request| if request.method == Method::GET { 1 } else { 5 });
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn cost_of(
        mut self,
        cost: impl Fn(&request::Parts) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.cost = Cost::Of(Box::new(cost));
        self
    }

    /// Sets what a request cost in the end, by the head of its response; `None` if it cost what was
    /// taken.
    ///
    /// The [`cost`](Self::cost) before is reserved. What is reserved beyond the actual one is given
    /// back, and what is missing is counted even if there is no room for it: then the next requests
    /// wait. With a cost of 0 before, a request is admitted if there is one unit, and then counts
    /// as this says. A handler can leave the cost in a field or in the extensions of its response.
    ///
    /// A reservation whose response takes longer than
    /// [`RESERVATION_TIME`](quorate_ratelimit::RESERVATION_TIME) may lapse: then the actual cost is
    /// counted when the response comes, whether there is room for it or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// /// What a handler has found out.
    /// #[derive(Clone, Copy)]
    /// struct Rows(u64);
    ///
    /// let rule = Rule::new("rows", ClientAddress::new())
    ///     .cost(100)
    ///     .actual_cost(|response| response.extensions.get().map(|Rows(rows)| *rows));
    /// # let _ = rule;
    /// ```
    #[must_use]
    pub fn actual_cost(
        mut self,
        actual: impl Fn(&response::Parts) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.outcome = Outcome::Actual(Box::new(actual));
        self
    }

    /// Counts only requests whose response is such; of others what was taken is given back. In
    /// place of [`actual_cost`](Self::actual_cost): the last of them holds.
    ///
    /// A request takes its units before it is served, so as many at once as the limit admits are
    /// served, whatever their outcome.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let our_faults_are_free = Rule::new("api", ClientAddress::new())
    ///     .count_if(|response| !response.status.is_server_error());
    /// # let _ = our_faults_are_free;
    /// ```
    #[must_use]
    pub fn count_if(
        mut self,
        counts: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.outcome = Outcome::CountIf(Box::new(counts));
        self
    }

    /// Returns the name of its limit, if that is the same for all requests.
    pub(crate) fn fixed_limit(&self) -> Option<&Arc<str>> {
        match &self.limit {
            Which::Named(name) => Some(name),
            Which::Of(_) => None,
        }
    }

    /// Returns the name of its limit for this request; `None` if none applies.
    pub(crate) fn limit_of(&self, request: &request::Parts) -> Option<Arc<str>> {
        match &self.limit {
            Which::Named(name) => Some(name.clone()),
            Which::Of(limit) => limit(request),
        }
    }

    pub(crate) fn on_missing_limit(&self) -> MissingLimit {
        self.missing_limit
    }

    /// Returns true if it applies to every request, as far as is known before there is one.
    pub(crate) fn is_unconditional(&self) -> bool {
        // What is reserved is asked for by itself, beside the others.
        let has_cost = self.fixed_cost() != Some(0) && !self.reserves();
        let has_limit = self.fixed_limit().is_some();
        self.applies.is_none() && has_limit && has_cost && self.missing != MissingKey::Skip
    }

    pub(crate) fn extractor(&self) -> &dyn KeyExtractor {
        &*self.key
    }

    pub(crate) fn on_missing_key(&self) -> MissingKey {
        self.missing
    }

    pub(crate) fn applies_to(&self, request: &request::Parts) -> bool {
        self.applies.as_ref().is_none_or(|applies| applies(request))
    }

    /// Returns what every request costs, if that is the same for all.
    pub(crate) fn fixed_cost(&self) -> Option<u64> {
        match self.cost {
            Cost::Fixed(units) => Some(units),
            Cost::Of(_) => None,
        }
    }

    pub(crate) fn units_of(&self, request: &request::Parts) -> u64 {
        match &self.cost {
            Cost::Fixed(units) => *units,
            Cost::Of(cost) => cost(request),
        }
    }

    /// Returns true if what a request takes is a reservation, for its response to settle.
    pub(crate) fn reserves(&self) -> bool {
        matches!(self.outcome, Outcome::Actual(_))
    }

    /// Returns true if the response says whether a request counts.
    pub(crate) fn may_give_back(&self) -> bool {
        matches!(self.outcome, Outcome::CountIf(_))
    }

    /// Returns what a request cost by its response; `taken` if that says nothing else.
    pub(crate) fn actual_units(&self, response: &response::Parts, taken: u64) -> u64 {
        match &self.outcome {
            Outcome::Actual(actual) => actual(response).unwrap_or(taken),
            Outcome::CountIf(counts) if !counts(response) => 0,
            Outcome::CountIf(_) | Outcome::Same => taken,
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("limit", &self.fixed_limit().map_or("(by the request)", |name| name))
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
