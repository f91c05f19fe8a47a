//! Certificates renewed while peers run: by their embedder, or noticed in the files by one of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate::{Certificate, Event, PeerName};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::credentials::Credentials;
use crate::error::CredentialsError;
use crate::source::{Place, Source};
use crate::transport::{Asked, Shared, TlsTransport};
use crate::watch::Untrusted;

/// How often CAs are looked at for one that has ended since.
const CA_LOOK: Duration = Duration::from_secs(60);

impl TlsTransport {
    /// Reads all files again: connections made from now on use what is in them, those that are open
    /// go on. Blocks while files are read. Returns this peer's certificate.
    ///
    /// The peers that use this transport tell it by an event, `CertificateRenewed` or
    /// `CertificateRefused`.
    ///
    /// # Errors
    ///
    /// What is wrong with the new files. What was read before stays in use.
    pub fn reload(&self) -> Result<Certificate, CredentialsError> {
        self.shared.reload(Asked::ByEmbedder)
    }

    /// The same with new bytes in PEM; lists of revocations stay those of the settings, and files
    /// among them are read again.
    ///
    /// # Errors
    ///
    /// What is wrong with the new ones. What was used before stays in use.
    pub fn replace(
        &self,
        ca: impl Into<Vec<u8>>,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Result<Certificate, CredentialsError> {
        let own = self.shared.own.lock();
        let before = self.shared.source.lock().clone();
        let source = Source {
            ca: Place::Bytes("CA", ca.into().into()),
            certificate: Place::Bytes("certificate", certificate.into().into()),
            key: Place::Bytes("key", key.into().into()),
            ..before
        };
        self.shared.use_source(&own, source, Asked::ByEmbedder)
    }
}

impl Shared {
    /// Reads the files again, if there are any. Blocks.
    pub(crate) fn reload(&self, asked: Asked) -> Result<Certificate, CredentialsError> {
        // What is to be read is looked up by whose turn it is, or it may be what was replaced.
        let own = self.own.lock();
        let source = self.source.lock().clone();
        if !source.has_files() {
            return Err(CredentialsError::NotFiles);
        }
        self.use_source(&own, source, asked)
    }

    /// Loads what a source has, and uses it if it is good. A refusal that is told already is told again
    /// only to whoever asks. `own` are the peers of this process.
    fn use_source(
        &self,
        own: &BTreeSet<PeerName>,
        source: Source,
        asked: Asked,
    ) -> Result<Certificate, CredentialsError> {
        // Taken first: what changes while it is read is read again.
        let fingerprint = self.watch.map(|_| source.fingerprint());
        let loaded = Credentials::load(&source, &self.provider).and_then(|loaded| {
            loaded.check_names(&source, &self.names, own)?;
            Ok(loaded)
        });
        let mut last_refusal = self.last_refusal.lock();
        let mut events = Vec::new();
        let result = match loaded {
            Ok(loaded) => {
                let own = loaded.own.clone();
                let trusted = loaded.trusted();
                let untrusted = loaded.untrusted((self.now)());
                *self.current.write() = Arc::new(loaded);
                *self.source.lock() = source;
                *last_refusal = None;
                if let Some(fingerprint) = fingerprint {
                    self.looks.lock().used(fingerprint);
                }
                let Certificate { subject, not_after_ms, .. } = own.clone();
                events.push(Event::CertificateRenewed { subject, not_after_ms, trusted });
                events.extend(untrusted);
                Ok(own)
            }
            Err(error) => {
                let sentence = error.to_string();
                let is_told = last_refusal.replace(sentence.clone()).as_ref() == Some(&sentence);
                let is_wanted = !is_told || asked == Asked::ByEmbedder;
                events.extend(is_wanted.then_some(Event::CertificateRefused { error: sentence }));
                Err(error)
            }
        };
        for event in events {
            // Without a peer that runs there is nobody to tell it.
            let _ = self.events.send(event);
        }
        result
    }

    /// Runs as long as a peer does.
    pub(crate) async fn attend(self: &Arc<Self>, tell: &(dyn Fn(Event) + Send + Sync)) {
        tokio::join!(self.tell_all(tell), self.watch());
    }

    async fn tell_all(&self, tell: &(dyn Fn(Event) + Send + Sync)) {
        let mut events = self.events.subscribe();
        let mut looks = interval(CA_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut untrusted = Untrusted::default();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => {
                        untrusted.was_told(&event);
                        tell(event);
                    }
                    // The newest are told.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                _ = looks.tick() => {
                    let found = self.current().untrusted((self.now)());
                    untrusted.due(found).into_iter().for_each(tell);
                }
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
