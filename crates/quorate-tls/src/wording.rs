//! Words for what other libraries say by names and bytes.

use std::fmt;

use rustls::AlertDescription;
use rustls::pki_types::{PrivateKeyDer, pem};

/// Says what is wrong with a PEM file, without a byte of it: it may be a key.
pub(crate) fn of_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "it ends before an END line that belongs to its BEGIN line: is it cut off?"
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a BEGIN line is damaged: it takes five dashes at both ends"
        }
        pem::Error::Base64Decode(_) => {
            "what stands between a BEGIN and its END line is no base64: is it damaged?"
        }
        pem::Error::NoItemsFound => "there is nothing in it that is to be there",
        _ => "it cannot be read as PEM",
    }
}

/// Says what the verifier has found in a certificate or in a list of revocations.
pub(crate) fn of_verifier(error: &webpki::Error) -> String {
    use webpki::Error as E;
    let words = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "it is damaged",
        E::CaUsedAsEndEntity => {
            "it is a CA's, and stands where the peer's own belongs: put that first in the file"
        }
        E::EndEntityUsedAsCa => "one that is no CA's has signed it or one above it",
        E::ExtensionValueInvalid | E::MalformedExtensions => "an extension in it is damaged",
        E::InvalidCertValidity => "it ends before it begins",
        E::InvalidSerialNumber => "its serial number is none",
        E::InvalidSignatureForPublicKey => "its signature is not that of the CA that it names",
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => "too many lie between it and its CA",
        E::NameConstraintViolation => "its CA may not sign these names (name constraints)",
        E::PathLenConstraintViolated => "its CA may not have so many CAs below it (path length)",
        E::UnknownIssuer => "the CA that it names has not signed it",
        E::UnsupportedCertVersion => {
            "it is of X.509 version 1: it takes version 3, with the peer's name as DNS name or URI"
        }
        E::UnsupportedCriticalExtension => "it has a critical extension that is not known here",
        E::UnsupportedCrlVersion => "it takes a CRL of version 2, with a CRL number",
        E::InvalidCrlNumber => "its CRL number is none or too long",
        E::UnsupportedDeltaCrl => "it is a delta CRL: it takes a whole one",
        E::UnsupportedIndirectCrl => "it is an indirect CRL: it takes one of the CA itself",
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | E::SignatureAlgorithmMismatch => {
            "its signature is of a kind that this build does not know: use ECDSA on P-256 or \
             P-384, Ed25519 or RSA"
        }
        other => return named(other),
    };
    words.to_owned()
}

/// Names an alert of TLS.
pub(crate) fn of_alert(alert: AlertDescription) -> String {
    match alert.as_str() {
        Some(name) => words(name).replace("unknown ca", "unknown CA"),
        None => format!("alert {}", u8::from(alert)),
    }
}

/// Says what rustls has found at the other end.
pub(crate) fn of_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::PeerMisbehaved(why) => named(why),
        rustls::Error::InvalidCertificate(why) => named(why),
        rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. } => {
            "it has sent a message that does not belong there".to_owned()
        }
        other => other.to_string(),
    }
}

/// Writes the name that code has for something in words, without what stands beside it.
pub(crate) fn named(code: &impl fmt::Debug) -> String {
    let text = format!("{code:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    words(&text[..end])
}

/// Writes a name in words: `UnknownCA` is "unknown ca".
fn words(name: &str) -> String {
    let mut words = String::new();
    let mut is_after_small = false;
    for c in name.chars() {
        if c.is_uppercase() && is_after_small {
            words.push(' ');
        }
        is_after_small = !c.is_uppercase();
        words.extend(c.to_lowercase());
    }
    words
}

/// Says what kind of private key it is that the provider does not take.
pub(crate) fn of_key(key: &PrivateKeyDer<'_>) -> &'static str {
    /// The curves that some providers have and others have not, as DER names them.
    const CURVES: [(&[u8], &str); 2] = [
        (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], "on the curve P-521"),
        (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a], "on the curve secp256k1"),
    ];
    let der = key.secret_der();
    for (oid, name) in CURVES {
        if der.windows(oid.len()).any(|window| window == oid) {
            return name;
        }
    }
    "damaged, or of a kind that is not known here"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_code_become_words() {
        assert_eq!(named(&webpki::Error::UnknownRevocationStatus), "unknown revocation status");
        assert_eq!(named(&webpki::Error::TrailingData(webpki::DerTypeId::Time)), "trailing data");
        assert_eq!(of_alert(AlertDescription::UnknownCA), "unknown CA");
        assert_eq!(of_alert(AlertDescription::HandshakeFailure), "handshake failure");
        assert_eq!(of_alert(AlertDescription::from(77)), "alert 77");
    }

    #[test]
    fn what_rustls_says_has_no_code_in_it() {
        use rustls::{ContentType, Error, HandshakeType, PeerMisbehaved};
        let message = Error::InappropriateMessage {
            expect_types: vec![ContentType::Handshake],
            got_type: ContentType::ApplicationData,
        };
        let handshake = Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::ClientHello],
            got_type: HandshakeType::Finished,
        };
        let why = PeerMisbehaved::TooManyEmptyFragments;
        for error in [message, handshake, Error::PeerMisbehaved(why.clone()), Error::DecryptError] {
            let told = of_tls(&error);
            assert!(!told.contains(['[', '{', ':', '(']), "{told}");
        }
        assert_eq!(of_tls(&Error::PeerMisbehaved(why)), "too many empty fragments");
    }

    #[test]
    fn no_byte_of_a_file_is_told() {
        let line = b"-----BEGIN secret".to_vec();
        for error in [
            pem::Error::MissingSectionEnd { end_marker: line.clone() },
            pem::Error::IllegalSectionStart { line },
            pem::Error::Base64Decode("secret".to_owned()),
            pem::Error::NoItemsFound,
            pem::Error::SectionTooLarge,
        ] {
            let told = of_pem(&error);
            assert!(!told.contains("secret") && !told.contains('['), "{told}");
        }
    }
}
