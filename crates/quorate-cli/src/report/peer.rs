//! Another peer as one that was asked knows it, a certificate, and a refusal.

use crate::report::document::Document;

/// What one peer says of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) is_linked: Option<bool>,
    /// The reason why it is not, as a sentence.
    pub(crate) link_error: Option<String>,
    pub(crate) protection: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) priority: Option<u64>,
    pub(crate) lag: Option<u64>,
    pub(crate) is_member: Option<bool>,
    pub(crate) is_current: Option<bool>,
    pub(crate) is_stopping: bool,
    pub(crate) suspects: bool,
    pub(crate) has_failed_storage: bool,
    /// Settings in which the two differ.
    pub(crate) differs: Vec<String>,
    pub(crate) certificate: Option<Certificate>,
}

impl Other {
    pub(crate) fn read(peer: Document<'_>) -> Self {
        Self {
            name: peer.text("name").unwrap_or_default(),
            address: peer.text("address").filter(|address| !address.is_empty()),
            is_linked: peer.text("link").map(|link| link == "up"),
            link_error: peer.at("link_error").text("detail"),
            protection: peer.text("protection"),
            role: peer.text("role"),
            priority: peer.number("priority"),
            lag: peer.number("lag"),
            is_member: peer.flag("is_member"),
            is_current: peer.flag("is_current"),
            is_stopping: peer.flag("is_stopping").unwrap_or_default(),
            suspects: peer.flag("suspects").unwrap_or_default(),
            has_failed_storage: peer.flag("storage_failed").unwrap_or_default(),
            differs: peer.list("differs").filter_map(|entry| entry.text("field")).collect(),
            certificate: Certificate::read(peer.at("certificate")),
        }
    }
}

/// A certificate that a peer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its last moment, in milliseconds since the Unix epoch.
    pub(crate) ends_at_ms: u64,
}

impl Certificate {
    pub(crate) fn read(certificate: Document<'_>) -> Option<Self> {
        Some(Self { ends_at_ms: certificate.number("not_after_ms")? })
    }
}

/// Somebody who is not let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) peer: String,
    pub(crate) field: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Refused {
    pub(crate) fn read(refusal: Document<'_>) -> Self {
        let text = |key| refusal.text(key).unwrap_or_default();
        Self {
            peer: text("peer"),
            field: text("field"),
            ours: text("ours"),
            theirs: text("theirs"),
        }
    }
}
