//! The part that all handles of one peer share: its status as it changes, waiting for it, and its
//! end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::base::error::{ArrangeError, SiteError};
use crate::base::id::Time;
use crate::config::MonitorChange;
use crate::driver::ending::Shutdown;
use crate::driver::readiness::{self, NotCountedError, NotReadyError, NotSafeToStop};
use crate::driver::shared::SiteChange;
use crate::driver::{
    Keeper, MonitorStatus, PEER, STORAGE, Shared, SiteStatus, Status, StatusWatch, Tasks,
};

/// A running peer, which ends when this is dropped.
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    status: watch::Receiver<Arc<Status>>,
    tasks: Tasks,
    storage: Option<Keeper>,
    /// Whoever is ending this peer: one at a time.
    ending: Mutex<()>,
    started: Time,
    /// True if the group could do without one more, with this peer, at some time.
    has_settled: AtomicBool,
}

impl Handle {
    pub(super) fn new(
        shared: Arc<Shared>,
        status: watch::Receiver<Arc<Status>>,
        tasks: Tasks,
        storage: Option<Keeper>,
    ) -> Self {
        let started = shared.clock.time();
        let has_settled = AtomicBool::new(false);
        Self { shared, status, tasks, storage, ending: Mutex::new(()), started, has_settled }
    }

    pub(super) fn status(&self) -> Status {
        Status::now(&self.status, &self.shared)
    }

    pub(super) fn watch_status(&self) -> StatusWatch {
        StatusWatch::new(self.status.clone())
    }

    /// Waits until calls have somewhere to go and the status says where; `None` if this peer ends
    /// before.
    async fn ready(&self) -> Option<Status> {
        let mut published = self.status.clone();
        loop {
            self.shared.ready().await;
            // Calls are let through a moment before that is published.
            let status = self.status();
            if status.primary.is_some() {
                return Some(status);
            }
            published.changed().await.ok()?;
        }
    }

    /// Waits until this start of the peer counts; `None` if it ends before, or was counted out.
    async fn counted(&self) -> Option<Status> {
        let mut published = self.status.clone();
        loop {
            let status = self.ready().await?;
            if readiness::is_counted(&status) {
                return Some(status);
            }
            if readiness::is_removed(&status) {
                return None;
            }
            published.changed().await.ok()?;
        }
    }

    pub(super) async fn wait_ready(&self, timeout: Duration) -> Result<Status, NotReadyError> {
        if let Ok(Some(status)) = tokio::time::timeout(timeout, self.ready()).await {
            return Ok(status);
        }
        let status = self.status();
        match self.decides_alone(&status) {
            true => Ok(status),
            false => Err(self.not_ready(status, timeout)),
        }
    }

    /// Returns true if this peer decides without a primary. One that was counted out does not, in
    /// any mode.
    fn decides_alone(&self, status: &Status) -> bool {
        let has_ended = self.shared.has_ended();
        self.shared.is_relaxed() && !has_ended && !readiness::is_removed(status)
    }

    pub(super) async fn wait_counted(&self, timeout: Duration) -> Result<Status, NotCountedError> {
        if let Ok(Some(status)) = tokio::time::timeout(timeout, self.counted()).await {
            return Ok(status);
        }
        Err(self.uncounted(self.status(), timeout))
    }

    fn uncounted(&self, status: Status, waited: Duration) -> NotCountedError {
        match readiness::uncounted(&status, waited) {
            Some(error) if self.shared.is_ready() => error,
            _ => self.not_ready(status, waited).into(),
        }
    }

    /// Returns true if this peer counts, and one more member may fail; also if that was so before
    /// and calls are decided, or it counts and has run for `patience`.
    pub(super) fn is_settled(&self, patience: Duration) -> bool {
        let status = self.status();
        if !self.shared.is_ready() || status.primary.is_none() {
            let has_settled = self.has_settled.load(Ordering::Relaxed);
            return has_settled && self.decides_alone(&status);
        }
        let is_counted = readiness::is_counted(&status);
        if is_counted && readiness::may_lose_one(&status) {
            self.has_settled.store(true, Ordering::Relaxed);
        }
        let is_old = self.shared.clock.time().since(self.started) >= patience;
        self.has_settled.load(Ordering::Relaxed) || (is_counted && is_old)
    }

    pub(super) async fn wait_settled(&self, timeout: Duration) -> Result<Status, NotCountedError> {
        let mut published = self.status.clone();
        let settled = async {
            loop {
                self.shared.ready().await;
                if self.is_settled(Duration::MAX) || published.changed().await.is_err() {
                    return;
                }
            }
        };
        // Who has waited in vain for the others goes on if it counts itself.
        let _ = tokio::time::timeout(timeout, settled).await;
        let status = self.status();
        match self.is_settled(Duration::ZERO) {
            true => Ok(status),
            false => Err(self.uncounted(status, timeout)),
        }
    }

    pub(super) async fn change_monitor(
        &self,
        change: MonitorChange,
    ) -> Result<MonitorStatus, ArrangeError> {
        self.shared.change_monitor(self.status.clone(), change).await
    }

    pub(super) async fn change_site(&self, change: SiteChange) -> Result<SiteStatus, SiteError> {
        self.shared.change_site(self.status.clone(), change).await
    }

    fn not_ready(&self, status: Status, waited: Duration) -> NotReadyError {
        let reason = self.shared.not_ready_reason();
        NotReadyError { waited, reason, status: Box::new(status) }
    }

    pub(super) fn safe_to_stop(&self) -> Result<(), NotSafeToStop> {
        readiness::safe_to_stop(&self.status())
    }

    pub(super) async fn shutdown(&self) -> Shutdown {
        let _turn = self.ending.lock().await;
        if self.shared.has_ended() {
            self.tasks.end().await;
            if let Some(storage) = &self.storage {
                storage.gone().await;
            }
            return Shutdown::WasReplica;
        }
        // One that was given up goes on where it was.
        let mut end = Shutdown::WasReplica;
        if !self.shared.has_shut_down() {
            self.warn_of_stopping();
            let _aside = self.shared.step_aside();
            end = self.shared.hand_over().await;
            self.shared.set_shut_down();
        }
        self.shared.drain().await;
        self.shared.say_goodbye();
        self.shared.close();
        self.tasks.end().await;
        if let Some(storage) = &self.storage
            && let Err(error) = storage.close().await
        {
            tracing::error!(
                target: STORAGE, peer = %self.shared.name(), %error,
                "the storage was not closed"
            );
        }
        end
    }

    fn warn_of_stopping(&self) {
        match self.safe_to_stop() {
            // There is nobody whom it would hurt.
            Ok(()) | Err(NotSafeToStop::OnlyMember { .. }) => {}
            Err(whom) => {
                let peer = self.shared.name();
                let group = &*self.status().group;
                tracing::warn!(target: PEER, %peer, group, "stops all the same: {whom}");
            }
        }
    }

    pub(super) fn abort(&self) {
        if let Some(storage) = &self.storage {
            storage.abandon();
        }
        self.shared.close();
        self.tasks.abort();
    }
}
