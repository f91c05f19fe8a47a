//! What happens to certificates while peers run: told to each of them, and noticed in the files by
//! one of them.

use std::sync::Arc;
use std::time::Duration;

use quorate::Event;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::transport::{Asked, Shared};

/// How often CAs are looked at for one that has ended since.
const CA_LOOK: Duration = Duration::from_secs(60);

impl Shared {
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

/// CAs of which it was told that they are not trusted: each is told once while it stays so, by a
/// look or when files are read.
#[derive(Debug, Default)]
struct Untrusted {
    told: Vec<Event>,
}

impl Untrusted {
    /// Those among them that are to be told.
    fn due(&mut self, found: Vec<Event>) -> Vec<Event> {
        let due = found.iter().filter(|event| !self.told.contains(event)).cloned().collect();
        self.told = found;
        due
    }

    fn was_told(&mut self, event: &Event) {
        if matches!(event, Event::CaNotTrusted { .. }) && !self.told.contains(event) {
            self.told.push(event.clone());
        }
    }
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use parking_lot::Mutex;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::UnixTime;

    use super::*;
    use crate::config::TlsConfig;
    use crate::transport::TlsTransport;

    const YEAR_2500: Duration = Duration::from_secs(16_725_225_600);
    /// What the tests have for a date, in seconds since the Unix epoch.
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

    #[test]
    fn files_are_read_when_they_have_changed_and_stay_until_they_are_used() {
        let mut looks = Looks::new(1);
        let due: Vec<bool> = [1, 1, 2, 3, 3, 3].map(|look| looks.is_due(look)).into();
        assert_eq!(due, [false, false, false, false, true, true], "refused: tried again");
        looks.used(3);
        let due: Vec<bool> = [3, 3, 1, 1].map(|look| looks.is_due(look)).into();
        assert_eq!(due, [false, false, false, true]);
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
        let is_it = |event: &Event| {
            matches!(event, Event::CaNotTrusted { not_after_ms, .. }
                if u128::from(*not_after_ms) == YEAR_2500.as_millis())
        };
        assert!(told.lock().iter().all(is_it), "{:?}", told.lock());
    }
}
