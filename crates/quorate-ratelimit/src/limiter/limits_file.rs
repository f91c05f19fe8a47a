//! A limits file that the group follows.
//!
//! ```text
//!   the file changes ──▶ whoever sees it passes it on ──▶ the group's limits       by default
//!   the primary's file ── whenever it is not what the group decides by ──▶ ..      where it wins
//! ```

use std::fmt;
use std::mem::Discriminant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate::{PeerRole, PolicyError};
use tokio::time::Instant;

use crate::limiter::RateLimiter;
use crate::model::differences::{LimitsSource, OwnLimits, differing, listed};
use crate::model::file::LimitsSpec;
use crate::model::journal::LIMITS;
use crate::model::limits::Limits;
use crate::model::policy::Carry;
use crate::model::table::Table;

/// The pause between two looks at the file.
const PAUSE: Duration = Duration::from_secs(1);
/// After this time the group is asked once more for what it has refused, where the file wins; and
/// what goes on failing is told once more.
const AGAIN: Duration = Duration::from_secs(60);

/// The result of a look at a limits file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileChange {
    /// The group decides by what the file says now.
    Taken {
        /// The revision of the group's limits.
        revision: u64,
    },
    /// The file cannot be read, or breaks a rule: the limits are what they were.
    Refused {
        /// The reason.
        reason: String,
    },
    /// The file is usable, and was not taken up: it is tried again, unless this peer is shutting
    /// down. A failure that goes on for the same reason is told once a minute.
    Failed {
        /// The reason.
        error: PolicyError,
    },
    /// The group decides by other limits than the file says, and goes on with them: told at the
    /// start, and when the group's limits were changed by something else.
    Differs {
        /// The revision of the group's limits; 0 if they are those of the code.
        revision: u64,
        /// The limits that are others, or only in one of them, by name.
        limits: Vec<String>,
    },
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { revision } => write!(f, "taken up, revision {revision}"),
            Self::Refused { reason } => {
                write!(f, "refused, the limits stay as they are: {reason}")
            }
            Self::Failed { error: error @ PolicyError::ShuttingDown } => write!(f, "{error}"),
            Self::Failed { error } => write!(f, "{error}; trying again"),
            Self::Differs { revision, limits } => write!(
                f,
                "the group decides by others (revision {revision}), and goes on with them: {}",
                listed(limits)
            ),
        }
    }
}

/// A limits file that the group goes by; made by [`RateLimiter::limits_file`].
///
/// # Who wins
///
/// Until the group's limits are first changed, whoever is primary decides by the limits that it was
/// started with. From then on the last change holds, by whomever: a call of
/// [`RateLimiter::change_limits`] at any peer, or a file that changed while it was followed. What a
/// file says when a peer starts changes nothing, for a peer that was away must not bring back old
/// limits: where it is not what the group decides by, that is told ([`FileChange::Differs`], a
/// warning in the log, [`LimitsStatus::differing`](crate::LimitsStatus::differing)). Then change
/// the group's limits to those of the file, or the file.
///
/// If [the file wins](Self::wins), that of the primary holds, whatever else was asked for.
#[must_use = "it does nothing until it is watched"]
pub struct LimitsFile<R> {
    limiter: RateLimiter,
    file: PathBuf,
    read: R,
    carry: Carry,
    source: LimitsSource,
}

impl<R> fmt::Debug for LimitsFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitsFile")
            .field("file", &self.file)
            .field("carry", &self.carry)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// Names a limits file for the group to go by, once it is [watched](LimitsFile::watch). `read`
    /// makes limits of its text, as `toml::from_str` does.
    ///
    /// # Examples
    ///
    /// For a service that is configured by files, and by nothing else:
    ///
    /// ```
    /// use quorate_ratelimit::{LimitsSpec, RateLimiter};
    ///
    /// fn follow(limiter: &RateLimiter) {
    ///     let read = |text: &str| serde_json::from_str::<LimitsSpec>(text);
    ///     let file = limiter.limits_file("limits.json", read).wins();
    ///     tokio::spawn(file.watch(|change| println!("limits.json: {change}")));
    /// }
    /// ```
    pub fn limits_file<E, R>(&self, file: impl Into<PathBuf>, read: R) -> LimitsFile<R>
    where
        E: fmt::Display,
        R: Fn(&str) -> Result<LimitsSpec, E>,
    {
        LimitsFile {
            limiter: self.clone(),
            file: file.into(),
            read,
            carry: Carry::Keep,
            source: LimitsSource::File,
        }
    }

    /// Has the group decide by what a limits file says whenever the file changes, from now on and
    /// as long as the future is polled, or until it finds this peer shut down: spawn it. It is
    /// [`RateLimiter::limits_file`] with this carry, watched.
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
    ///         let told = |change| println!("limits.json: {change}");
    ///         limiter.watch_limits_file("limits.json", read, Carry::Keep, told).await;
    ///     });
    /// }
    /// ```
    pub async fn watch_limits_file<E: fmt::Display>(
        &self,
        file: impl Into<PathBuf>,
        read: impl Fn(&str) -> Result<LimitsSpec, E>,
        carry: Carry,
        told: impl FnMut(FileChange),
    ) {
        self.limits_file(file, read).carry(carry).watch(told).await;
    }
}

impl<R> LimitsFile<R> {
    /// Sets what becomes of units that were taken under limits that it changes. Default: they are
    /// kept.
    pub fn carry(mut self, carry: Carry) -> Self {
        self.carry = carry;
        self
    }

    /// Has the file win: while this peer is primary the group decides by its file. That is so when
    /// the file changes, when another peer becomes primary, and when somebody has changed the
    /// group's limits by a call: they are set back within about a second, or, where that is
    /// refused, within a minute of when it is not any more. Files of other peers do nothing, so
    /// however the files of the peers differ during a rollout, one of them holds at a time, and it
    /// changes with the primary and with the primary's file only.
    ///
    /// Say so at every peer, and bring the same file to all of them; restart the primary last, as
    /// ever. Until then another primary may be one with the older file.
    pub fn wins(mut self) -> Self {
        self.source = LimitsSource::WinningFile;
        self
    }

    /// Has the group go by the file from now on and as long as the future is polled: spawn it. It
    /// ends when the file changes and this peer was shut down. `told` hears what came of each look
    /// that found something. Where a file is refused the limits stay what they were.
    ///
    /// The file is looked at every second, and taken up when two looks in a row have found the
    /// same: not while it is being written. A file without a limit is refused; one that cannot be
    /// read for a while, and then says what it said before, has not changed. A peer that joins and
    /// is not counted in yet may not change the limits: it tries again until it may. With a file at
    /// every peer it is enough that one of them changes; where they change one after the other, the
    /// last change stands, so do not bring out two versions at a time.
    ///
    /// # Cancel safety
    ///
    /// A change that was begun goes on when the future is dropped.
    pub async fn watch<E>(self, mut told: impl FnMut(FileChange))
    where
        E: fmt::Display,
        R: Fn(&str) -> Result<LimitsSpec, E>,
    {
        let Self { limiter, file, read, carry, source } = self;
        let follower = Follower { limiter, carry, source };
        let limits_of = |text: &Result<String, String>| usable(&read, text);
        let mut seen = text_of(&file).await;
        let mut last = seen.clone();
        // What it said when it could be read last.
        let mut said = seen.clone().ok();
        let mut watch = Watch::default();
        follower.take_up(limits_of(&seen), &mut watch, &mut told);
        // What it says at the start is no change.
        watch.is_pending = false;
        while !watch.has_ended {
            tokio::time::sleep(PAUSE).await;
            let text = text_of(&file).await;
            // Only what two looks in a row have found: a file may be in the middle of being
            // written.
            let is_settled = std::mem::replace(&mut last, text.clone()) == text;
            if is_settled && text != seen {
                match &text {
                    // One that was away for a while has not changed by being there again.
                    Ok(now) if said.as_ref() == Some(now) => {}
                    Ok(now) => {
                        said = Some(now.clone());
                        follower.take_up(limits_of(&text), &mut watch, &mut told);
                    }
                    Err(reason) => told(FileChange::Refused { reason: printable(reason) }),
                }
                seen = text;
            }
            if watch.is_pending || follower.wins_now(&mut watch) {
                follower.change(&mut watch, &mut told).await;
            } else if let Some(change) = follower.difference(&mut watch) {
                told(change);
            }
        }
    }
}

/// Makes limits of a file's text.
fn usable<E: fmt::Display>(
    read: impl Fn(&str) -> Result<LimitsSpec, E>,
    text: &Result<String, String>,
) -> Result<Limits, String> {
    let text = text.as_deref().map_err(Clone::clone)?;
    let spec = read(text).map_err(|error| error.to_string())?;
    if spec.limits.is_empty() {
        return Err("there is no limit in it".to_owned());
    }
    spec.build().map_err(|error| error.to_string())
}

/// The one who has the group go by what a file says.
struct Follower {
    limiter: RateLimiter,
    carry: Carry,
    source: LimitsSource,
}

impl Follower {
    /// Takes up what the file says as what is wanted.
    fn take_up(
        &self,
        limits: Result<Limits, String>,
        watch: &mut Watch,
        told: &mut impl FnMut(FileChange),
    ) {
        watch.is_pending = limits.is_ok();
        match limits {
            Ok(limits) => {
                self.limiter.current().differences.follow(self.own(&limits));
                *watch = Watch { wanted: Some(limits), is_pending: true, ..Watch::default() };
            }
            Err(reason) => told(FileChange::Refused { reason: printable(&reason) }),
        }
    }

    fn own(&self, limits: &Limits) -> OwnLimits {
        OwnLimits { table: Arc::clone(&limits.table), source: self.source }
    }

    fn has_role(&self, role: PeerRole) -> bool {
        self.limiter.peer().status().role == role
    }

    /// Returns true if the group is to be set to the limits of the file although it did not change.
    fn wins_now(&self, watch: &mut Watch) -> bool {
        let Some(wanted) = &watch.wanted else { return false };
        if self.source != LimitsSource::WinningFile {
            return false;
        }
        let present = self.limiter.current().present();
        let refusal = watch.refusal.as_ref().filter(|it| it.revision == present.revision);
        // Some of what a change is refused for passes.
        let has_to_wait = refusal.is_some_and(|it| it.at.elapsed() < AGAIN);
        if is_same(watch.agreed.as_ref(), &present)
            || has_to_wait
            || !self.has_role(PeerRole::Primary)
        {
            return false;
        }
        let names = differing(&wanted.table, &present);
        if names.is_empty() {
            watch.agreed = Some(present);
            return false;
        }
        if refusal.is_none() {
            let limits = listed(&names);
            tracing::warn!(
                target: LIMITS,
                peer = %self.limiter.peer().name(),
                revision = present.revision,
                limits,
                "the group decided by other limits than the primary's limits file says, and the \
                 file wins: {limits} set to what it says"
            );
        }
        true
    }

    /// Has the group decide by what the file says.
    async fn change(&self, watch: &mut Watch, told: &mut impl FnMut(FileChange)) {
        watch.is_pending = false;
        let Some(limits) = &watch.wanted else { return };
        if self.source == LimitsSource::WinningFile && !self.has_role(PeerRole::Primary) {
            // What counts is the primary's file.
            return;
        }
        match self.limiter.change_limits(limits, self.carry).await {
            Ok(revision) => told(FileChange::Taken { revision }),
            // Nor will they be the next time, at this revision and soon.
            Err(
                error @ (PolicyError::Refused { .. }
                | PolicyError::NotAllowed
                | PolicyError::TooLong { .. }),
            ) if error != PolicyError::NotAllowed || !self.has_role(PeerRole::Joining) => {
                let reason = match error {
                    PolicyError::Refused { reason } => reason,
                    error => error.to_string(),
                };
                let revision = self.limiter.current().present().revision;
                let refusal = Refusal { revision, at: Instant::now(), reason: reason.clone() };
                let before = watch.refusal.replace(refusal);
                if before.is_none_or(|it| (it.revision, &it.reason) != (revision, &reason)) {
                    told(FileChange::Refused { reason });
                }
            }
            Err(error) => {
                watch.is_pending = true;
                watch.has_ended = error == PolicyError::ShuttingDown;
                let kind = std::mem::discriminant(&error);
                let is_known = watch
                    .failure
                    .as_ref()
                    .is_some_and(|(known, at)| *known == kind && at.elapsed() < AGAIN);
                if !is_known {
                    watch.failure = Some((kind, Instant::now()));
                    told(FileChange::Failed { error });
                }
            }
        }
    }

    /// Finds a difference between the file and the group's limits that two looks in a row have
    /// found; each once.
    fn difference(&self, watch: &mut Watch) -> Option<FileChange> {
        let limits = watch.wanted.as_ref()?;
        let present = self.limiter.current().present();
        if is_same(watch.compared.as_ref(), &present) {
            return None;
        }
        // Files and changes arrive one after the other: a difference of a moment is none.
        if !is_same(watch.found.as_ref(), &present) {
            watch.found = Some(present);
            return None;
        }
        let names = differing(&limits.table, &present);
        self.limiter.current().differences.tell(&self.own(limits), &present, &names);
        let revision = present.revision;
        watch.compared = Some(present);
        (!names.is_empty()).then_some(FileChange::Differs { revision, limits: names })
    }
}

/// The state of the file, and of the group's limits beside it.
#[derive(Default)]
struct Watch {
    /// The limits of the file.
    wanted: Option<Limits>,
    /// True if the group is to be changed to them.
    is_pending: bool,
    /// True if this peer was found to be shut down: nothing is changed by it any more.
    has_ended: bool,
    /// The last refusal of the group to be changed.
    refusal: Option<Refusal>,
    /// The kind of the last failure to change it that was told, and when that was.
    failure: Option<(Discriminant<PolicyError>, Instant)>,
    /// The group's limits that the last look found.
    found: Option<Arc<Table>>,
    /// The group's limits that were compared with the file, and told if they are others.
    compared: Option<Arc<Table>>,
    /// The group's limits that were found to be what the file says.
    agreed: Option<Arc<Table>>,
}

/// A refusal of the group to be changed.
struct Refusal {
    /// The revision that it was at.
    revision: u64,
    at: Instant,
    reason: String,
}

fn is_same(known: Option<&Arc<Table>>, present: &Arc<Table>) -> bool {
    known.is_some_and(|known| Arc::ptr_eq(known, present))
}

/// Makes a reason fit to be printed: it may quote the file, which may be anything. Lines stay
/// lines.
fn printable(reason: &str) -> String {
    let mut printable = String::with_capacity(reason.len());
    for char in reason.chars() {
        match char {
            '\n' => printable.push(char),
            control if control.is_control() => printable.extend(control.escape_default()),
            char => printable.push(char),
        }
    }
    printable
}

/// Reads a file's text, or says why there is none.
async fn text_of(file: &Path) -> Result<String, String> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
    match read {
        Ok(text) => text.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
