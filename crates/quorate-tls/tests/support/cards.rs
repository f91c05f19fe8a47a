//! Certificates to be shown in any order, whole and in parts: good ones of one CA, and others that
//! come near it. The fuzz target `shown` has them too.

use quorate_tls::fuzzing::Card;
use quorate_tls::{TlsConfig, TlsTransport};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

struct Ca {
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { params: params.clone(), issuer: Issuer::new(params, key()) }
    }

    fn own(&self) -> Certificate {
        self.params.self_signed(self.issuer.key()).expect("a usable CA")
    }

    fn sign(&self, other: &Self, serial: u64) -> Certificate {
        let mut params = other.params.clone();
        params.serial_number = Some(SerialNumber::from(serial));
        params.signed_by(other.issuer.key(), &self.issuer).expect("a usable CA")
    }

    fn issue(&self, names: &[&str], serial: u64) -> Certificate {
        self.issue_with(&key(), names, serial, |_| {})
    }

    fn issue_with(
        &self,
        key: &KeyPair,
        names: &[&str],
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = named(names.first().copied().unwrap_or("nobody"), names);
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        params.signed_by(key, &self.issuer).expect("a usable certificate")
    }

    fn revoke(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a usable list").pem().expect("it can be written")
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let san = |name: &&str| match name.contains(':') {
        true => SanType::URI((*name).try_into().expect("ASCII")),
        false => SanType::DnsName((*name).try_into().expect("ASCII")),
    };
    params.subject_alt_names = names.iter().map(san).collect();
    params
}

/// The certificates, and a transport that trusts the CA of the good ones: two roots, CAs under them
/// in a line and crosswise, a root that has changed its key, and lists that revoke some.
pub(crate) fn deck() -> (TlsTransport, Vec<Card>) {
    let (root, other) = (Ca::new("root"), Ca::new("other root"));
    let (one, two, crossed) = (Ca::new("one"), Ca::new("two"), Ca::new("crossed"));
    let (renewed, stranger) = (Ca::new("root"), Ca::new("root"));
    let mut cards: Vec<Card> = Vec::new();
    let mut add = |certificate: &Certificate, good: Option<(&'static str, Vec<Vec<usize>>)>| {
        cards.push(Card { der: certificate.der().to_vec(), good_with: good });
    };
    // 0 to 3: CAs that lead to the first root.
    add(&root.sign(&one, 10), None);
    add(&one.sign(&two, 11), None);
    add(&root.sign(&crossed, 12), None);
    add(&root.sign(&renewed, 13), None);
    // 4: one of the other root, which is revoked.
    add(&other.sign(&crossed, 14), None);
    // 5 to 9: good ones.
    add(&root.issue(&["a"], 20), Some(("a", vec![vec![]])));
    add(&one.issue(&["quorate:a"], 21), Some(("a", vec![vec![0]])));
    add(&two.issue(&["b"], 22), Some(("b", vec![vec![0, 1]])));
    add(&crossed.issue(&["c"], 23), Some(("c", vec![vec![2]])));
    add(&renewed.issue(&["b"], 24), Some(("b", vec![vec![3]])));
    // 10 to 15: revoked by either key, ended, of nobody, of a CA that is none, with another use.
    add(&root.issue(&["a"], 30), None);
    add(&renewed.issue(&["a"], 31), None);
    add(&root.issue_with(&key(), &["a"], 32, |p| p.not_after = date_time_ymd(2021, 1, 1)), None);
    add(&stranger.issue(&["a"], 33), None);
    let taken = key();
    add(&root.issue_with(&taken, &["x"], 34, |_| {}), Some(("x", vec![vec![]])));
    let mut params = named("x", &["x"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let by_leaf = Issuer::new(params, taken);
    let below = named("a", &["a"]).signed_by(&key(), &by_leaf).expect("a usable certificate");
    add(&below, None);
    // 16 to 18: roots themselves, trusted and not.
    add(&root.own(), None);
    add(&other.own(), None);
    add(&stranger.own(), None);
    // 19: more names than anybody has.
    let names: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    add(&root.issue(&names, 35), None);
    let own = key();
    let certificate = renewed.issue_with(&own, &["b"], 40, |_| {}).pem();
    let certificate = certificate + &root.sign(&renewed, 13).pem();
    let lists = root.revoke(&[30]) + &renewed.revoke(&[31]) + &other.revoke(&[14]);
    let cas = root.own().pem() + &other.own().pem();
    let config = TlsConfig::from_pem(cas, certificate, own.serialize_pem()).crl_pem(lists);
    (config.transport().expect("they are good"), cards)
}
