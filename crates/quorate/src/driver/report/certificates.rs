//! This peer's own certificate, as time goes by: told when its end is near.

use parking_lot::Mutex;

use crate::base::event::Event;
use crate::transport::Certificate;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Days before the end of a certificate at which it is told; at 0 it has come.
const DAYS: [u64; 4] = [30, 7, 1, 0];

/// The last word on the end of this peer's certificate.
#[derive(Debug, Default)]
pub(in crate::driver) struct Expiry {
    told: Mutex<Option<(Certificate, u64)>>,
}

impl Expiry {
    /// The event that is due at `now_ms`: each of the [`DAYS`] is told once for each certificate,
    /// and of those that have passed already only the last.
    pub(in crate::driver) fn due(&self, certificate: &Certificate, now_ms: u64) -> Option<Event> {
        let left = certificate.not_after_ms.saturating_sub(now_ms);
        let is_near = |days: &&u64| left <= **days * DAY_MS;
        let within_days = DAYS.iter().rev().find(is_near).copied()?;
        let mut told = self.told.lock();
        let is_told =
            |(known, days): &(Certificate, u64)| known == certificate && *days <= within_days;
        if told.as_ref().is_some_and(is_told) {
            return None;
        }
        *told = Some((certificate.clone(), within_days));
        let Certificate { subject, not_after_ms, .. } = certificate.clone();
        Some(Event::CertificateExpiring { subject, not_after_ms, within_days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(not_after_ms: u64) -> Certificate {
        Certificate::new("CN=a".into(), vec!["a".into()], not_after_ms)
    }

    fn days(event: Option<Event>) -> Option<u64> {
        match event {
            Some(Event::CertificateExpiring { within_days, .. }) => Some(within_days),
            Some(event) => panic!("not of this kind: {event:?}"),
            None => None,
        }
    }

    #[test]
    fn the_end_is_told_at_30_7_and_1_days_and_when_it_has_come() {
        let expiry = Expiry::default();
        let end = 100 * DAY_MS;
        let mut told = Vec::new();
        for hour in 0..110 * 24 {
            let now_ms = hour * 3600 * 1000;
            told.extend(days(expiry.due(&ending(end), now_ms)).map(|days| (days, now_ms)));
        }
        assert_eq!(told, [30, 7, 1, 0].map(|days| (days, end - days * DAY_MS)));
    }

    #[test]
    fn a_late_start_is_told_what_is_nearest_and_a_new_certificate_begins_anew() {
        let expiry = Expiry::default();
        let end = 100 * DAY_MS;
        assert_eq!(days(expiry.due(&ending(end), end - 3 * DAY_MS)), Some(7));
        assert_eq!(days(expiry.due(&ending(end), end - 3 * DAY_MS)), None);
        assert_eq!(days(expiry.due(&ending(end + 40 * DAY_MS), end)), None);
        assert_eq!(days(expiry.due(&ending(end + 40 * DAY_MS), end + 20 * DAY_MS)), Some(30));
        // A clock that was set back has nothing told twice.
        assert_eq!(days(expiry.due(&ending(end + 40 * DAY_MS), end + 35 * DAY_MS)), Some(7));
        assert_eq!(days(expiry.due(&ending(end + 40 * DAY_MS), end + 20 * DAY_MS)), None);
    }
}
