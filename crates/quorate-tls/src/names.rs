//! Which names in a certificate prove that its holder is a peer.

use quorate::PeerName;
use quorate::transport::Claim;

use crate::certificate::Description;
use crate::error::CredentialsError;

/// Where a pattern has the peer's name.
const PLACE: &str = "{peer}";

/// A DNS name or URI with a place for the peer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    before: String,
    after: String,
    is_uri: bool,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, CredentialsError> {
        let unusable = || CredentialsError::Pattern { pattern: text.to_owned() };
        let (before, after) = text.split_once(PLACE).ok_or_else(unusable)?;
        let is_uri = before.contains(':');
        let is_dns =
            |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let is_text = |part: &str| part.bytes().all(|b| b.is_ascii_graphic());
        let is_usable = if is_uri { is_text } else { is_dns };
        if after.contains(PLACE) || !is_usable(before) || !is_usable(after) {
            return Err(unusable());
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned(), is_uri })
    }

    fn name(&self, peer: &PeerName) -> String {
        format!("{}{peer}{}", self.before, self.after)
    }

    fn names(&self, description: &Description, peer: &PeerName) -> bool {
        let names = if self.is_uri { &description.uris } else { &description.dns_names };
        names.iter().any(|name| self.is_of(name.as_bytes(), peer.as_str().as_bytes()))
    }

    /// Whether a name is this pattern's of a peer. The peer's name counts to the byte, for `a` and
    /// `A` are two peers; what a pattern has around it does as the kind of name has it.
    fn is_of(&self, name: &[u8], peer: &[u8]) -> bool {
        let is_equal = match self.is_uri {
            true => <[u8]>::eq,
            false => <[u8]>::eq_ignore_ascii_case,
        };
        let Some((before, rest)) = name.split_at_checked(self.before.len()) else { return false };
        let Some((middle, after)) = rest.split_at_checked(peer.len()) else { return false };
        middle == peer
            && is_equal(before, self.before.as_bytes())
            && is_equal(after, self.after.as_bytes())
    }

    fn wanted(&self, peer: &PeerName) -> String {
        let kind = if self.is_uri { "URI" } else { "DNS name" };
        format!("{kind} {}", self.name(peer))
    }
}

/// What certificates name peers by.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    of_members: Vec<Pattern>,
    of_newcomers: Vec<Pattern>,
}

impl Names {
    /// See the crate's documentation.
    pub(crate) fn of_default() -> Self {
        let uri = Pattern { before: "quorate:".into(), after: String::new(), is_uri: true };
        let dns = Pattern { before: String::new(), after: String::new(), is_uri: false };
        Self { of_members: vec![dns, uri.clone()], of_newcomers: vec![uri] }
    }

    /// The same patterns for everybody.
    pub(crate) fn of_patterns(patterns: &[String]) -> Result<Self, CredentialsError> {
        let parsed: Result<Vec<_>, _> = patterns.iter().map(|text| Pattern::parse(text)).collect();
        let parsed = parsed?;
        Ok(Self { of_members: parsed.clone(), of_newcomers: parsed })
    }

    fn of(&self, claim: Claim<'_>) -> &[Pattern] {
        match claim {
            Claim::Member(_) => &self.of_members,
            Claim::Newcomer(_) => &self.of_newcomers,
        }
    }

    /// Whether the certificate proves the claim.
    pub(crate) fn prove(&self, description: &Description, claim: Claim<'_>) -> bool {
        self.of(claim).iter().any(|pattern| pattern.names(description, claim.peer()))
    }

    /// What a certificate needs to prove the claim.
    pub(crate) fn wanted(&self, claim: Claim<'_>) -> String {
        let peer = claim.peer();
        let wanted: Vec<_> = self.of(claim).iter().map(|pattern| pattern.wanted(peer)).collect();
        let wanted = format!("one with the {}", wanted.join(" or the "));
        match claim {
            Claim::Newcomer(_) if self.of_members != self.of_newcomers => {
                format!("{wanted} (a DNS name alone is enough for known members only)")
            }
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(names: &[&str]) -> Description {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.contains(':') {
                true => rcgen::SanType::URI((*name).try_into().expect("ASCII")),
                false => rcgen::SanType::DnsName((*name).try_into().expect("ASCII")),
            })
            .collect();
        let certificate = params.self_signed(&key).expect("a certificate");
        Description::of(certificate.der()).expect("it is one")
    }

    fn proves(names: &Names, certificate: &[&str], peer: &str) -> [bool; 2] {
        let (described, peer) = (described(certificate), PeerName::from(peer));
        [Claim::Member(&peer), Claim::Newcomer(&peer)].map(|claim| names.prove(&described, claim))
    }

    #[test]
    fn a_member_is_named_by_dns_or_uri_and_a_newcomer_by_uri_only() {
        let names = Names::of_default();
        assert_eq!(proves(&names, &["b"], "b"), [true, false]);
        assert_eq!(proves(&names, &["other.example", "b"], "b"), [true, false]);
        assert_eq!(proves(&names, &["quorate:b"], "b"), [true, true]);
        assert_eq!(proves(&names, &["a_1.site"], "a_1.site"), [true, false]);
        for other in ["a", "bb", "*", "*.b", "quorate:bb", "quorate:B", "spiffe://x/b", "b.example"]
        {
            assert_eq!(proves(&names, &[other], "b"), [false, false], "{other}");
        }
        assert_eq!(proves(&names, &[], "b"), [false, false]);
        assert_eq!(proves(&names, &["*.example"], "b.example"), [false, false]);
    }

    /// DNS takes `B` for `b`, and so did the check: a certificate of one member proved the other.
    #[test]
    fn names_that_others_take_for_one_are_two() {
        let names = Names::of_default();
        for (certificate, peer) in [
            ("B", "b"),
            ("b", "B"),
            ("b.", "b"),
            ("b", "b."),
            ("b", "b.b"),
            ("*", "b"),
            ("*.site", "b.site"),
            ("xn--b-xga", "b"),
            ("quorate:B", "b"),
            ("QUORATE:b", "b"),
            ("quorate:%62", "b"),
            ("quorate:b.", "b"),
            ("quorate:b/", "b"),
            ("quorate:b#x", "b"),
            ("quorate:b?x", "b"),
            ("quorate://b", "b"),
            ("quorate: b", "b"),
        ] {
            assert_eq!(proves(&names, &[certificate], peer), [false, false], "{certificate}");
        }
        // Each name of a certificate counts, and none of them for another.
        let both = ["b", "quorate:B", "c"];
        assert_eq!(proves(&names, &both, "b"), [true, false]);
        assert_eq!(proves(&names, &both, "B"), [true, true]);
        assert_eq!(proves(&names, &both, "C"), [false, false]);
    }

    #[test]
    fn the_subject_and_addresses_name_nobody() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "b");
        let address = "192.0.2.1";
        params.subject_alt_names = vec![
            rcgen::SanType::IpAddress(address.parse().expect("an address")),
            rcgen::SanType::Rfc822Name("b".try_into().expect("ASCII")),
        ];
        let certificate = params.self_signed(&key).expect("a certificate");
        let described = Description::of(certificate.der()).expect("it is one");
        for peer in ["b", address].map(PeerName::from) {
            for claim in [Claim::Member(&peer), Claim::Newcomer(&peer)] {
                assert!(!Names::of_default().prove(&described, claim), "{peer}");
            }
        }
    }

    #[test]
    fn around_the_name_a_pattern_counts_as_its_kind_of_name_does() {
        let patterns = ["{peer}.Quota.example", "spiffe://Example.org/{peer}"];
        let names = Names::of_patterns(&patterns.map(str::to_owned)).expect("usable");
        assert_eq!(proves(&names, &["b.quota.EXAMPLE"], "b"), [true, true]);
        assert_eq!(proves(&names, &["spiffe://Example.org/b"], "b"), [true, true]);
        for other in ["B.quota.example", "spiffe://example.org/b", "b.quota.example."] {
            assert_eq!(proves(&names, &[other], "b"), [false, false], "{other}");
        }
    }

    #[test]
    fn patterns_take_the_place_of_both() {
        let patterns = ["{peer}.quota.example", "spiffe://example.org/quota/{peer}"];
        let names = Names::of_patterns(&patterns.map(str::to_owned)).expect("usable");
        assert_eq!(proves(&names, &["b.quota.example"], "b"), [true, true]);
        assert_eq!(proves(&names, &["spiffe://example.org/quota/b"], "b"), [true, true]);
        for other in ["b", "quorate:b", "b.billing.example", "spiffe://example.org/quota/b/x"] {
            assert_eq!(proves(&names, &[other], "b"), [false, false], "{other}");
        }
    }

    #[test]
    fn a_pattern_has_one_place_and_only_what_a_name_can_have() {
        for unusable in
            ["", "b", "{peer}{peer}", "{peer}.a b", "*.{peer}", "spiffe://x/ {peer}", "{peer}:x"]
        {
            let parsed = Names::of_patterns(&[unusable.to_owned()]);
            assert!(matches!(parsed, Err(CredentialsError::Pattern { .. })), "{unusable}");
        }
    }
}
