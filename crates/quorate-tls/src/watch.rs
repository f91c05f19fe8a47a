//! What happens to certificates while peers run: told to each of them, and noticed in the files by
//! one of them.

use std::sync::Arc;

use quorate::Event;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::transport::{Asked, Shared};

impl Shared {
    /// Runs as long as a peer does.
    pub(crate) async fn attend(self: &Arc<Self>, tell: &(dyn Fn(Event) + Send + Sync)) {
        tokio::join!(self.tell_all(tell), self.watch());
    }

    async fn tell_all(&self, tell: &(dyn Fn(Event) + Send + Sync)) {
        let mut events = self.events.subscribe();
        self.current().untrusted().into_iter().for_each(tell);
        loop {
            match events.recv().await {
                Ok(event) => tell(event),
                // The newest are told.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Looks at the files, if it is to, for all peers that share them: the next one takes over when
    /// the one that does it ends.
    async fn watch(self: &Arc<Self>) {
        let Some(period) = self.watch else { return };
        let _watching = self.watching.lock().await;
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let source = self.source.lock().clone();
            let looked = blocking(move || source.fingerprint()).await;
            let Some(fingerprint) = looked else { return };
            let is_due = self.looks.lock().is_due(fingerprint);
            if is_due {
                let shared = self.clone();
                // What is wrong with them was told by an event.
                blocking(move || shared.reload(Asked::ByWatch).is_ok()).await;
            }
        }
    }
}

/// Runs what blocks on a thread for that; `None` if the runtime is ending.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(f).await.ok()
}

/// When changed files are to be read: once they are the same in two looks, for certificate and key
/// are two files, and whoever writes them writes one after the other. Those that were refused are
/// tried again at every look: they may become valid by time.
#[derive(Debug)]
pub(crate) struct Looks {
    used: u64,
    last: u64,
}

impl Looks {
    /// What was there when the files were read first.
    pub(crate) fn new(fingerprint: u64) -> Self {
        Self { used: fingerprint, last: fingerprint }
    }

    /// The files were read and are in use.
    pub(crate) fn used(&mut self, fingerprint: u64) {
        self.used = fingerprint;
        self.last = fingerprint;
    }

    fn is_due(&mut self, fingerprint: u64) -> bool {
        let is_stable = std::mem::replace(&mut self.last, fingerprint) == fingerprint;
        is_stable && fingerprint != self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_have_changed_and_stay_until_they_are_used() {
        let mut looks = Looks::new(1);
        let due: Vec<bool> = [1, 1, 2, 3, 3, 3].map(|look| looks.is_due(look)).into();
        assert_eq!(due, [false, false, false, false, true, true], "refused: tried again");
        looks.used(3);
        let due: Vec<bool> = [3, 3, 1, 1].map(|look| looks.is_due(look)).into();
        assert_eq!(due, [false, false, false, true]);
    }
}
