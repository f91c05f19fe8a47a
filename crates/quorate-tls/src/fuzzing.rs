//! The bodies of the fuzz targets for the first bytes of a connection, and for what an end shows,
//! which tests run as well.

use std::io::Cursor;

use quorate::transport::{Claim, Stream};
use quorate::{PeerName, Protection};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use crate::certificate::Description;
use crate::chain::{MAX_BYTES, MAX_CERTIFICATES};
use crate::inquiry::Wanted;
use crate::transport::TlsTransport;

/// Most certificates that are shown: enough to be too many.
const MAX_SHOWN: usize = 12;

/// Checks that a connection which brings these bytes and ends is refused, or, if plain text is
/// taken and they are none of TLS, is handed on with every byte of them: whatever the bytes are,
/// nobody is let in as a peer that has proved who it is.
pub async fn first_bytes(transport: &TlsTransport, data: &[u8]) {
    use tokio::io::AsyncReadExt;
    let stream = Stream {
        reader: Box::new(Cursor::new(data.to_vec())),
        writer: Box::new(tokio::io::sink()),
        peer_address: "192.0.2.1:1".into(),
        protection: Protection::Plain,
        proof: None,
    };
    let Ok(mut stream) = transport.shared.welcome(stream).await else { return };
    assert!(stream.proof.is_none() && stream.protection == Protection::Plain);
    let mut read = Vec::new();
    stream.reader.read_to_end(&mut read).await.expect("memory does not fail");
    assert_eq!(read, data, "what was looked at is not lost");
}

/// A certificate that somebody may show.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its bytes.
    pub der: Vec<u8>,
    /// The member that it proves when it comes first and one of these sets of others is shown with
    /// it; none if nothing makes it good.
    pub good_with: Option<(&'static str, Vec<Vec<usize>>)>,
}

/// A certificate as it is shown: the bytes, and of which card, if it is whole.
type Shown = (Vec<u8>, Option<usize>);

/// Checks that, whatever an end shows of these certificates and of any bytes, both ends let in
/// exactly whose own certificate is a good one, whole, with what it needs to be; it proves that
/// member and no other; and nothing panics.
///
/// `transport` trusts the CA that has signed the good ones, and has the lists of revocations.
pub fn shown(transport: &TlsTransport, cards: &[Card], data: &[u8]) {
    let shown = deal(cards, data);
    let Some(((first, card), rest)) = shown.split_first() else { return };
    let wholes: Vec<usize> = rest.iter().filter_map(|(_, card)| *card).collect();
    let bytes: usize = shown.iter().map(|(der, _)| der.len()).sum();
    let fits = shown.len() <= MAX_CERTIFICATES && bytes <= MAX_BYTES;
    let good = card.and_then(|card| cards[card].good_with.as_ref()).filter(|(_, sets)| {
        fits && sets.iter().any(|set| set.iter().all(|needed| wholes.contains(needed)))
    });
    let rest: Vec<_> = rest.iter().map(|(der, _)| CertificateDer::from(der.as_slice())).collect();
    let first = CertificateDer::from(first.as_slice());
    let now = UnixTime::now();
    for is_dialer in [false, true] {
        let inquiry = transport.inquiry(Wanted::Anybody);
        let verified = match is_dialer {
            false => inquiry.verify_client_cert(&first, &rest, now).is_ok(),
            true => {
                let name = ServerName::try_from("b").expect("a name");
                inquiry.verify_server_cert(&first, &rest, &name, &[], now).is_ok()
            }
        };
        assert_eq!(verified, good.is_some(), "{:?}", inquiry.fault());
        let proof = inquiry.proof();
        assert_eq!(proof.is_some(), verified);
        let Some((proof, (member, _))) = proof.zip(good) else { continue };
        for name in ["a", "A", "b", "c", "x"].map(PeerName::from) {
            let is_member = name.as_str() == *member;
            assert_eq!(proof.is_of(Claim::Member(&name)), is_member, "{name}");
            assert!(!proof.is_of(Claim::Admin(&name)) && !proof.is_of(Claim::Viewer(&name)));
        }
    }
}

/// Checks that a certificate of any bytes is read within bounds, or refused.
pub fn certificate(data: &[u8]) {
    let Ok(read) = Description::of(&CertificateDer::from(data)) else { return };
    assert!(read.dns_names.len() + read.uris.len() <= 128);
    assert!(read.told.to_string().chars().count() < 8_192);
}

/// Deals what is shown, as `data` says: whole cards, cards with a bit or the end missing, and any
/// bytes.
fn deal(cards: &[Card], data: &[u8]) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut data = data.iter().copied();
    while shown.len() < MAX_SHOWN {
        let Some(what) = data.next() else { break };
        let Some(number) = data.next() else { break };
        let index = usize::from(number) % cards.len().max(1);
        let Some(card) = cards.get(index) else { break };
        let mut der = card.der.clone();
        match what % 8 {
            0..=4 => shown.push((der, Some(index))),
            5 => {
                let place = usize::from(data.next().unwrap_or_default()) * 256
                    + usize::from(data.next().unwrap_or_default());
                let within = place % der.len().max(1);
                if let Some(byte) = der.get_mut(within) {
                    *byte ^= 1 << (what / 8 % 8);
                }
                shown.push((der, None));
            }
            6 => {
                der.truncate(usize::from(data.next().unwrap_or_default()) % der.len().max(1));
                shown.push((der, None));
            }
            _ => shown.push((data.by_ref().take(usize::from(number)).collect(), None)),
        }
    }
    shown
}
