//! Limits that change while the group runs.

use quorate::{Mode, PolicyError};
use serde::Serialize;

use crate::limit::without_primary::WithoutPrimary;
use crate::limiter::RateLimiter;
use crate::model::differences::{LimitsSource, differing};
use crate::model::file::LimitsSpec;
use crate::model::journal::LIMITS;
use crate::model::limits::Limits;
use crate::model::policy::{Carry, Change};

/// The limits of a peer beside those of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitsStatus {
    /// The number of times that the group's limits were changed; 0 as long as each peer decides by
    /// its own.
    pub revision: u64,
    /// Limits that are others in this peer's code than in the group, or only in one of them, by
    /// name; in the limits file that it follows, if there is one.
    pub differing: Vec<String>,
    /// The source of this peer's limits: its code, or a limits file.
    pub source: LimitsSource,
    /// Limits that are used here, and that the group has not, by name: those that rules of a layer
    /// have, or [`RateLimiter::expect_limits`] was told of, or that were asked for. Nothing is
    /// limited by them. So are those that became limits of permits and that something here that was
    /// told of asks for units, from when it has asked.
    pub missing: Vec<String>,
}

impl RateLimiter {
    /// Has the whole group decide by these limits from now on: all peers, whatever their code says,
    /// until they are changed again; a limit that is not among them is none any more. Returns their
    /// revision once a majority holds them. What was taken under limits that are changed is carried
    /// over.
    ///
    /// A raised limit works at once, and one that stays the same is not touched. The change goes
    /// through the primary, and can be asked for at any member; of two at the same time the later
    /// one stands. Clients may where every member lets them
    /// ([`clients_may_change_policy`](quorate::PeerBuilder::clients_may_change_policy)). Where the
    /// primary has a limits file that [wins](crate::LimitsFile::wins), it sets them back.
    ///
    /// # Errors
    ///
    /// If they are not known to be changed; see [`PolicyError`]. No count was lost.
    ///
    /// # Cancel safety
    ///
    /// A change that was begun goes on when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::PolicyError;
    /// use quorate_ratelimit::{Carry, Limit, Limits, RateLimiter};
    ///
    /// async fn double(limiter: &RateLimiter) -> Result<u64, PolicyError> {
    ///     let limits = Limits::builder().limit("api", Limit::per_second(200)).build();
    ///     limiter.change_limits(&limits.expect("usable"), Carry::Keep).await
    /// }
    /// ```
    pub async fn change_limits(&self, limits: &Limits, carry: Carry) -> Result<u64, PolicyError> {
        let change = Change { carry, limits: LimitsSpec::from(limits).limits };
        let refused = |error: serde_json::Error| PolicyError::Refused { reason: error.to_string() };
        self.peer().change_policy(serde_json::to_vec(&change).map_err(refused)?).await
    }

    /// The revision of the group's limits, and in which of them this peer's code is another.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn warn(limiter: &RateLimiter) {
    ///     for name in limiter.limits_status().differing {
    ///         println!("the group's limit {name} is not the one in this peer's code");
    ///     }
    /// }
    /// ```
    pub fn limits_status(&self) -> LimitsStatus {
        let own = self.current().differences.own();
        let present = self.current().present();
        LimitsStatus {
            revision: present.revision,
            differing: differing(&own.table, &present),
            source: own.source,
            missing: self.current().missing.names(),
        }
    }

    /// Says which limits this service uses. One that the group has not is told as a warning, once,
    /// and is among [`LimitsStatus::missing`] until it is there: at the start, and when the group's
    /// limits are changed to some without it. A layer of `quorate-tower` says it of its rules.
    ///
    /// A client, and any peer until the first change, does not know what the group has: there it is
    /// told when the limit is asked for. Of names that this peer does not know the first 64 are
    /// remembered.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn start(limiter: &RateLimiter) {
    ///     limiter.expect_limits(["login", "mail"]);
    ///     for name in limiter.limits_status().missing {
    ///         println!("nothing is counted under {name}: the group does not have it");
    ///     }
    /// }
    /// ```
    pub fn expect_limits<L: AsRef<str>>(&self, names: impl IntoIterator<Item = L>) {
        names
            .into_iter()
            .for_each(|name| self.current().missing.expect(name.as_ref(), &self.current().load()));
    }

    /// Warns of a limit that goes on without a primary and is always asked for together with
    /// another that refuses: all are refused then, whatever it says itself.
    #[doc(hidden)]
    pub fn warn_if_refused_beside<'n>(
        &self,
        limit: &str,
        others: impl IntoIterator<Item = &'n str>,
    ) {
        let present = self.limits();
        let of = |name: &str| {
            let limit = self.code().get(name).or_else(|| present.get(name));
            limit.map(|limit| limit.without_primary)
        };
        let is_relaxed = self.peer().status().mode == Mode::Relaxed;
        let refuses = |what: WithoutPrimary| match what {
            WithoutPrimary::AsGroup => !is_relaxed,
            WithoutPrimary::Refuse => true,
            WithoutPrimary::Share { .. } | WithoutPrimary::Open => false,
        };
        let goes_on =
            of(limit).is_some_and(|what| what != WithoutPrimary::AsGroup && !refuses(what));
        let other = others.into_iter().find(|other| of(other).is_some_and(refuses));
        if let Some(other) = other.filter(|_| goes_on) {
            tracing::warn!(
                target: LIMITS,
                peer = %self.peer().name(),
                limit,
                other,
                "limit {limit} would go on without a primary, and has no effect there: it is asked \
                 for together with limit {other}, which refuses, and then all are refused; give \
                 both a without_primary that goes on, or ask for them apart"
            );
        }
    }
}
