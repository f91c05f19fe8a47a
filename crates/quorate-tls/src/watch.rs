//! What happens to certificates while peers run: told to each of them, and noticed in the files by
//! one of them.

use quorate::Event;

/// CAs of which it was told that they are not trusted: each is told once while it stays so, by a
/// look or when files are read.
#[derive(Debug, Default)]
pub(crate) struct Untrusted {
    told: Vec<Event>,
}

impl Untrusted {
    /// Those among them that are to be told.
    pub(crate) fn due(&mut self, found: Vec<Event>) -> Vec<Event> {
        let due = found.iter().filter(|event| !self.told.contains(event)).cloned().collect();
        self.told = found;
        due
    }

    pub(crate) fn was_told(&mut self, event: &Event) {
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

    pub(crate) fn is_due(&mut self, fingerprint: u64) -> bool {
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
