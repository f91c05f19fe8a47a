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

/// The time between two looks at CAs for one that has ended.
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
    /// If the new files cannot be used. Those that were read before stay in use.
    pub fn reload(&self) -> Result<Certificate, CredentialsError> {
        self.shared.reload(Asked::ByEmbedder)
    }

    /// Takes new certificates and a new key from bytes in PEM, for connections made from now on.
    /// Lists of revocations stay those of the settings, and files among them are read again. Told
    /// as by [`TlsTransport::reload`].
    ///
    /// # Errors
    ///
    /// If the new ones cannot be used. Those that were used before stay in use.
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
        // Looked up with the lock: else what was replaced meanwhile could be put back.
        let own = self.own.lock();
        let source = self.source.lock().clone();
        if !source.has_files() {
            return Err(CredentialsError::NotFiles);
        }
        self.use_source(&own, source, asked)
    }

    /// Loads what a source has, and uses it if it is good. A refusal that is told already is told
    /// again only to whoever asks. `own` are the peers of this process.
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
                    self.files.lock().used(fingerprint);
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

    /// Tells a peer of renewals and looks at the files, for as long as the peer runs.
    pub(crate) async fn attend(self: &Arc<Self>, tell: &(dyn Fn(Event) + Send + Sync)) {
        tokio::join!(self.tell_all(tell), self.watch());
    }

    /// Tells what all peers are told, and of CAs that end.
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
            let is_due = self.files.lock().is_due(fingerprint);
            if is_due {
                let shared = self.clone();
                // An event tells what is wrong with them.
                blocking(move || shared.reload(Asked::ByWatch).is_ok()).await;
            }
        }
    }
}

/// Runs what blocks on a thread for that; `None` if the runtime is ending.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(f).await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use parking_lot::Mutex;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::UnixTime;

    use super::*;
    use crate::config::TlsConfig;

    const YEAR_2500: Duration = Duration::from_secs(16_725_225_600);
    /// The date of these tests, in seconds since the Unix epoch.
    static DATE: AtomicU64 = AtomicU64::new(0);

    fn date() -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(DATE.load(Ordering::Relaxed)))
    }

    /// A CA by its certificate, and one for `a` with its key.
    fn issued(last_year: i32) -> [String; 3] {
        let key = || KeyPair::generate().expect("the system has random numbers");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let ca_key = key();
        let ca = params.self_signed(&ca_key).expect("a usable CA").pem();
        let own = key();
        let params = CertificateParams::new(["a".to_owned()]).expect("a name");
        let signed = params.signed_by(&own, &Issuer::new(params.clone(), ca_key));
        [ca, signed.expect("a usable certificate").pem(), own.serialize_pem()]
    }

    /// It was told at the start and when files were read only.
    #[tokio::test(start_paused = true)]
    async fn a_ca_that_ends_while_a_peer_runs_is_told_once() {
        let [ca, certificate, key] = issued(2600);
        let [ending, ..] = issued(2500);
        let config = TlsConfig::from_pem(ca + &ending, certificate, key);
        let before = YEAR_2500.as_secs() - 90;
        DATE.store(before, Ordering::Relaxed);
        let tls = TlsTransport::with_date(config, date).expect("they are good");
        let told = Mutex::new(Vec::new());
        let tell = |event: Event| told.lock().push(event);
        let attended = tls.shared.attend(&tell);
        tokio::pin!(attended);
        let mut counts = Vec::new();
        for minute in 0..5 {
            DATE.store(before + 60 * minute, Ordering::Relaxed);
            // There is a look in the middle of each.
            let wait = tokio::time::sleep(if minute == 0 { CA_LOOK / 2 } else { CA_LOOK });
            tokio::select! {
                () = &mut attended => unreachable!("it runs as long as the peer"),
                () = wait => counts.push(told.lock().len()),
            }
        }
        assert_eq!(counts, [0, 0, 1, 1, 1], "{:?}", told.lock());
        let events = told.lock();
        let [Event::CaNotTrusted { not_after_ms, .. }] = &**events else { panic!("{events:?}") };
        assert_eq!(u128::from(*not_after_ms), YEAR_2500.as_millis());
    }
}
