//! Asks answered: what is the peer's own here, and what is not by whoever has said so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::admin::{Access, Ask, Document, Refused, SiteDocument, SiteWish};
use crate::base::error::NoPrimaryReason;
use crate::base::told::{rounded, shortened};
use crate::driver::admin::shown;
use crate::driver::report::site::{SiteMode, SiteStatus};
use crate::driver::report::status::Status;
use crate::driver::shared::{Shared, SiteChange};
use crate::transport::BoxFuture;

/// Most characters of the name of an ask that are told back.
const MAX_NAME: usize = 64;

/// The place where a peer answers.
#[derive(Clone)]
pub(in crate::driver) struct Desk {
    shared: Arc<Shared>,
    status: watch::Receiver<Arc<Status>>,
}

/// An ask that is understood.
pub(super) enum Understood {
    /// One of the peer's own.
    Own(Ask),
    /// One of somebody else's, by what carries it out.
    Others(BoxFuture<'static, Result<Value, Refused>>),
}

impl Desk {
    pub(in crate::driver) fn new(
        shared: Arc<Shared>,
        status: watch::Receiver<Arc<Status>>,
    ) -> Self {
        Self { shared, status }
    }

    pub(in crate::driver) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Reads a document; returns what it asks for, and what that needs.
    pub(super) fn understand(&self, document: &[u8]) -> Result<(Understood, Access), Refused> {
        let document = Document::read(document)?;
        if let Some(ask) = Ask::read(&document) {
            let ask = ask?;
            let access = ask.access();
            return Ok((Understood::Own(ask), access));
        }
        let Document { ask, fields } = document;
        let unknown = || {
            let named = shortened(&ask, MAX_NAME);
            let detail = format!("{named:?} is nothing that this peer can be asked for");
            Refused::new("unknown_ask", detail)
        };
        let (responder, name) = self.shared.responders.of(&ask).ok_or_else(unknown)?;
        let (access, answer) = responder.read(name, &fields).ok_or_else(unknown)??.into_parts();
        Ok((Understood::Others(answer), access))
    }

    /// Carries an ask out, by the deadline of this peer.
    pub(super) async fn carry_out(&self, understood: Understood) -> Result<Value, Refused> {
        // What waits for the primary ends by the I/O timeout itself, and says more then.
        let mut deadline = self.shared.group.io_timeout * 2;
        if let Understood::Own(Ask::Events { wait_ms, .. }) = &understood {
            deadline += Duration::from_millis(*wait_ms);
        }
        let carried_out = timeout(deadline, async {
            match understood {
                Understood::Own(ask) => self.own(&ask).await,
                Understood::Others(answer) => answer.await,
            }
        });
        carried_out.await.unwrap_or_else(|_| {
            let detail = format!("not done within {}: it may be done yet", rounded(deadline));
            Err(Refused::new("timed_out", detail).unknown())
        })
    }

    async fn own(&self, ask: &Ask) -> Result<Value, Refused> {
        let shared = &self.shared;
        let name = shared.name();
        match ask {
            Ask::Status => Ok(self.look()),
            Ask::Events { since, wait_ms } => {
                Ok(self.events(*since, Duration::from_millis(*wait_ms)).await)
            }
            Ask::Stats => Ok(json!(shared.stats())),
            Ask::Switch { to } => {
                let primary = shared.switch(Some(to.clone())).await?;
                Ok(json!({ "primary": primary }))
            }
            Ask::Leave => {
                shared.leave().await?;
                Ok(json!({ "left": name }))
            }
            Ask::Forget { peer } => {
                shared.forget(peer.clone()).await?;
                Ok(json!({ "forgotten": peer }))
            }
            Ask::Priority { priority } => {
                self.check_running()?;
                shared.set_priority(*priority).await;
                Ok(json!({ "priority": priority }))
            }
            Ask::Force { gone } => {
                let forced = shared.force(gone.iter().cloned().collect()).await?;
                Ok(json!({
                    "primary": name,
                    "generation": forced.generation,
                    "group_id": forced.group_id,
                    "position": forced.position,
                    "as_of_ms": forced.as_of.as_millis(),
                    "gone": forced.gone,
                }))
            }
            Ask::Monitor(document) => {
                let Some(change) = document.change()? else {
                    return Ok(json!(self.status.borrow().monitor));
                };
                Ok(json!(shared.change_monitor(self.status.clone(), change).await?))
            }
            Ask::Site(document) => self.site(document).await,
            Ask::Found => {
                self.check_running()?;
                shared.found_new_group().await;
                Ok(json!({ "founding": true }))
            }
        }
    }

    /// How the two sites are, after what is asked for.
    async fn site(&self, document: &SiteDocument) -> Result<Value, Refused> {
        let told = |site: Option<SiteStatus>| match site {
            Some(site) => json!(site),
            None => json!({ "mode": SiteMode::Standalone, "site": null }),
        };
        let known = Status::now(&self.status, &self.shared).site;
        let is_passive = known.as_ref().is_some_and(|site| site.mode == SiteMode::Passive);
        let change = match document.wish(is_passive)? {
            None => return Ok(told(known)),
            Some(SiteWish::Activate) => SiteChange::Activate,
            Some(SiteWish::Demote) => SiteChange::Demote,
            Some(SiteWish::Promote(consent)) => SiteChange::Promote(consent),
            Some(SiteWish::Switch) => SiteChange::Switch,
        };
        Ok(told(Some(self.shared.change_site(self.status.clone(), change).await?)))
    }

    /// Refuses what would be of no effect at a peer that ends.
    fn check_running(&self) -> Result<(), Refused> {
        match self.shared.has_shut_down() {
            false => Ok(()),
            true => Err(Refused::new("shutting_down", NoPrimaryReason::ShutDown.to_string())),
        }
    }

    /// The status, as of now.
    fn look(&self) -> Value {
        let status = Status::now(&self.status, &self.shared);
        shown::status(&status, |name| self.shared.roster.is_known(name))
    }

    /// The events after that of a number; waits for one if there is none.
    async fn events(&self, since: u64, wait: Duration) -> Value {
        let mut coming = self.shared.events_after(since);
        // Numbers are of one start: one of an earlier start stands for the newest.
        let since = coming.after();
        let mut events = self.shared.events_since(since);
        if events.is_empty() && !wait.is_zero() {
            // What came is read below, and whatever came with it.
            let _ = timeout(wait, coming.next()).await;
            events = self.shared.events_since(since);
        }
        shown::events(&events, since, self.shared.start.incarnation)
    }
}
