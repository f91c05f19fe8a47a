//! A CA that is trusted.

use rustls::pki_types::TrustAnchor;

/// A CA that is trusted as long as its certificate is valid.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) trusted: TrustAnchor<'static>,
    /// Its key, a `SubjectPublicKeyInfo`.
    pub(crate) key: Vec<u8>,
    /// Its subject, for people.
    pub(crate) subject: String,
    /// Its first moment, in milliseconds since the Unix epoch.
    pub(crate) not_before_ms: u64,
    /// Its last moment.
    pub(crate) not_after_ms: u64,
}

impl Anchor {
    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }
}
