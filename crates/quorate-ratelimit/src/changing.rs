//! Limits that change while the group runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate::PolicyError;
use serde::Serialize;

use crate::limiter::RateLimiter;
use crate::limits::Limits;
use crate::policy::{Carry, Change};
use crate::spec::{LimitSpec, LimitsSpec};
use crate::table::Table;

/// How a peer's own limits stand to those of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitsStatus {
    /// How often the group's limits were changed; 0 as long as each peer decides by its own.
    pub revision: u64,
    /// Limits that are others in this peer's code than in the group, or only in one of them, by name.
    pub differing: Vec<String>,
    /// Limits that are used here, and that the group has not, by name: those that rules of a layer
    /// have, or [`RateLimiter::expect_limits`] was told of, or that were asked for. Nothing is
    /// limited by them.
    pub missing: Vec<String>,
}

/// What became of a look at a limits file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileChange {
    /// The group decides by what it says now.
    Taken {
        /// The revision of the group's limits.
        revision: u64,
    },
    /// It cannot be read, or breaks a rule: the limits are what they were.
    Refused {
        /// Why.
        reason: String,
    },
    /// It is usable, and was not taken up: it is tried again.
    Failed {
        /// Why.
        error: PolicyError,
    },
}

impl RateLimiter {
    /// Has the whole group decide by these limits from now on: all peers, whatever their code says, until
    /// they are changed again; a limit that is not among them is none any more. Returns their revision
    /// once a majority holds them. What was taken under limits that are changed is carried over.
    ///
    /// A raised limit works at once, and one that stays the same is not touched. The change goes
    /// through the primary, and can be asked for at any member; of two at the same time the later
    /// one stands. Clients may where every member lets them
    /// ([`clients_may_change_policy`](quorate::PeerBuilder::clients_may_change_policy)).
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
        let change = serde_json::to_vec(&change).map_err(refused)?;
        self.peer().change_policy(change).await
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
        let (code, present) = (self.live().code(), self.live().present());
        let differs = |name: &str| {
            // As a file writes them: what is said in two ways is the same.
            let of = |table: &Table| table.find_name(name).map(|e| LimitSpec::from(&e.limit));
            of(code) != of(&present)
        };
        let names = code.entries.iter().chain(&present.entries).map(|entry| &*entry.name);
        let mut differing: Vec<String> =
            names.filter(|name| differs(name)).map(str::to_owned).collect();
        differing.sort();
        differing.dedup();
        LimitsStatus { revision: present.revision, differing, missing: self.live().missing_names() }
    }

    /// Says which limits this service uses. One that the group has not is told as a warning, once,
    /// and is among [`LimitsStatus::missing`] until it is there: at the start, and when the group's
    /// limits are changed to some without it. A layer of `quorate-tower` says it of its rules.
    ///
    /// Of names that this peer does not know the first 64 are remembered.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn start(limiter: &RateLimiter) {
    ///     limiter.expect_limits(["login", "mail"]);
    ///     for name in limiter.limits_status().missing {
    ///         println!("nothing is limited by {name}: the group does not have it");
    ///     }
    /// }
    /// ```
    pub fn expect_limits<L: AsRef<str>>(&self, names: impl IntoIterator<Item = L>) {
        names.into_iter().for_each(|name| self.live().expect(name.as_ref()));
    }

    /// Has the group decide by what a limits file says whenever the file changes, from now on and as long
    /// as the future is polled: spawn it. `read` makes limits of its text, as `toml::from_str` does, and
    /// `told` hears what came of each change. Where a file is refused the limits stay what they were.
    ///
    /// The file is looked at every second, and taken up when two looks in a row have found the same: not
    /// while it is being written. A file without a limit is refused. What it says at the beginning is not taken up: a peer that
    /// comes back with an old file must not bring back old limits. With a file at every peer it is enough
    /// that one of them changes; where they change one after the other, the last change stands, so do not
    /// bring out two versions at a time.
    ///
    /// # Cancel safety
    ///
    /// A change that was begun goes on when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{Carry, LimitsSpec, RateLimiter};
    ///
    /// fn watch(limiter: RateLimiter) {
    ///     tokio::spawn(async move {
    ///         let read = |text: &str| serde_json::from_str::<LimitsSpec>(text);
    ///         let told = |change| println!("limits.json: {change:?}");
    ///         limiter.watch_limits_file("limits.json", read, Carry::Keep, told).await;
    ///     });
    /// }
    /// ```
    pub async fn watch_limits_file<E: fmt::Display>(
        &self,
        file: impl Into<PathBuf>,
        read: impl Fn(&str) -> Result<LimitsSpec, E>,
        carry: Carry,
        mut told: impl FnMut(FileChange),
    ) {
        const PAUSE: Duration = Duration::from_secs(1);
        let file = file.into();
        let mut seen = text_of(&file).await;
        let mut last = seen.clone();
        let mut pending: Option<Limits> = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            let text = text_of(&file).await;
            // Only what two looks in a row have found: a file may be in the middle of being written.
            let is_settled = std::mem::replace(&mut last, text.clone()) == text;
            if is_settled && text != seen {
                let usable = text.as_deref().map_err(Clone::clone).and_then(|text| {
                    let spec = read(text).map_err(|error| error.to_string())?;
                    if spec.limits.is_empty() {
                        return Err("there is no limit in it".to_owned());
                    }
                    spec.build().map_err(|error| error.to_string())
                });
                seen = text;
                pending = match usable {
                    Ok(limits) => Some(limits),
                    Err(reason) => {
                        told(FileChange::Refused { reason });
                        None
                    }
                };
            }
            let Some(limits) = &pending else { continue };
            match self.change_limits(limits, carry).await {
                Ok(revision) => told(FileChange::Taken { revision }),
                Err(PolicyError::Refused { reason }) => told(FileChange::Refused { reason }),
                // Nor will they be the next time.
                Err(error @ PolicyError::NotAllowed) => {
                    told(FileChange::Refused { reason: error.to_string() });
                }
                Err(error) => {
                    told(FileChange::Failed { error });
                    continue;
                }
            }
            pending = None;
        }
    }
}

/// A file's text, or why there is none.
async fn text_of(file: &Path) -> Result<String, String> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
    match read {
        Ok(text) => text.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
