//! Names in certificates, and what they prove of whoever holds one: which peer it is, and what to
//! the group.

use quorate::PeerName;
use quorate::transport::Claim;

use crate::certificate::Description;
use crate::error::CredentialsError;

/// The mark in a pattern for the peer's name.
const PLACE: &str = "{peer}";
/// Longest name of a peer.
const MAX_NAME_BYTES: usize = 64;

/// A DNS name or URI with a place for the peer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    before: String,
    after: String,
    is_uri: bool,
}

impl Pattern {
    /// Makes the pattern of URIs that end in the name.
    fn uri(before: &str) -> Self {
        Self { before: before.to_owned(), after: String::new(), is_uri: true }
    }

    fn parse(text: &str) -> Result<Self, CredentialsError> {
        let unusable = || CredentialsError::Pattern { pattern: text.to_owned() };
        let (before, after) = text.split_once(PLACE).ok_or_else(unusable)?;
        let is_uri = before.contains(':');
        let mut around = before.bytes().chain(after.bytes());
        let is_usable = match is_uri {
            true => around.all(|byte| byte.is_ascii_graphic()),
            false => around.all(is_in_name),
        };
        if after.contains(PLACE) || !is_usable {
            return Err(unusable());
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned(), is_uri })
    }

    fn parse_all(texts: &[String]) -> Result<Vec<Self>, CredentialsError> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// Writes the name of a peer.
    fn name(&self, peer: &str) -> String {
        format!("{}{peer}{}", self.before, self.after)
    }

    fn names(&self, description: &Description, peer: &PeerName) -> bool {
        self.peers(description).any(|named| named == peer.as_str().as_bytes())
    }

    /// Returns the peers that a certificate names by this pattern. Their names count to the byte,
    /// for `a` and `A` are two; what the pattern has around them counts as it does in such names.
    fn peers<'a>(&'a self, description: &'a Description) -> impl Iterator<Item = &'a [u8]> {
        let names = self.names_of_kind(description).iter();
        names.filter_map(|name| self.peer_in(name.as_bytes()))
    }

    /// Returns true if a certificate has a name that looks like one of this pattern, of whichever
    /// peer, and however it is written: whoever has it may not have been meant for more.
    fn marks(&self, description: &Description) -> bool {
        let looks_like =
            |name: &String| self.place_in(name.as_bytes(), <[u8]>::eq_ignore_ascii_case).is_some();
        self.names_of_kind(description).iter().any(looks_like)
    }

    fn names_of_kind<'a>(&self, description: &'a Description) -> &'a [String] {
        if self.is_uri { &description.uris } else { &description.dns_names }
    }

    fn peer_in<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let peer = self.place_in(name, self.equality())?;
        let is_name =
            (1..=MAX_NAME_BYTES).contains(&peer.len()) && peer.iter().all(|byte| is_in_name(*byte));
        is_name.then_some(peer)
    }

    /// Returns what stands in a name where this pattern has its place.
    fn place_in<'a>(&self, name: &'a [u8], is_equal: fn(&[u8], &[u8]) -> bool) -> Option<&'a [u8]> {
        // From both ends: what is between them is the peer's, whatever it repeats of the pattern.
        let end = name.len().checked_sub(self.after.len())?;
        let (rest, after) = name.split_at_checked(end)?;
        let (before, place) = rest.split_at_checked(self.before.len())?;
        let fits =
            is_equal(before, self.before.as_bytes()) && is_equal(after, self.after.as_bytes());
        fits.then_some(place)
    }

    fn equality(&self) -> fn(&[u8], &[u8]) -> bool {
        match self.is_uri {
            true => <[u8]>::eq,
            false => <[u8]>::eq_ignore_ascii_case,
        }
    }

    /// Returns true if some name is this pattern's of one peer and the other's of another peer, if
    /// what the patterns have around them is compared in this way.
    fn takes_for_another(&self, other: &Self, is_equal: fn(&[u8], &[u8]) -> bool) -> bool {
        self.is_uri == other.is_uri
            && {
                let [short, long] = by_length(&self.before, &other.before);
                let (same, more) = long.split_at(short.len());
                is_equal(same, short) && is_of_name(more)
            }
            && {
                let [short, long] = by_length(&self.after, &other.after);
                let (more, same) = long.split_at(long.len() - short.len());
                is_equal(same, short) && is_of_name(more)
            }
    }

    fn wanted(&self, peer: &PeerName) -> String {
        let kind = if self.is_uri { "URI" } else { "DNS name" };
        format!("{kind} {}", self.name(peer.as_str()))
    }
}

/// Returns true for a byte that names of peers may have.
fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// Returns true if what one pattern has more than another could be part of a peer's name.
fn is_of_name(more: &[u8]) -> bool {
    more.iter().all(|byte| is_in_name(*byte))
}

/// Returns the shorter of two texts first.
fn by_length<'a>(one: &'a str, other: &'a str) -> [&'a [u8]; 2] {
    let [one, other] = [one.as_bytes(), other.as_bytes()];
    if one.len() < other.len() { [one, other] } else { [other, one] }
}

const MEMBER: &str = "quorate:";
const CLIENT: &str = "quorate-client:";
const ADMIN: &str = "quorate-admin:";
const VIEWER: &str = "quorate-viewer:";

/// Returns true if a URI says of its holder that it is something else than a member; the scheme of
/// a URI is the same in capitals.
fn is_of_lesser_role(uri: &str) -> bool {
    let begins_with =
        |role: &str| uri.get(..role.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(role));
    [CLIENT, ADMIN, VIEWER].into_iter().any(begins_with)
}

/// The thing that a pattern of names makes of whoever it names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Admin,
    Client,
    Member,
    Viewer,
}

/// A pattern and what it makes of whoever it names.
struct Made<'a> {
    role: Role,
    pattern: &'a Pattern,
    /// True of the URI that is set aside for the role, whatever else those are named by.
    is_reserved: bool,
}

impl Made<'_> {
    /// Returns true if some name is this pattern's of one peer or role and the other's of another.
    fn clashes(&self, other: &Made<'_>) -> bool {
        let (one, another) = (self.pattern, other.pattern);
        if self.role != other.role {
            // What differs in capitals only is too near to be two roles.
            return one.takes_for_another(another, <[u8]>::eq_ignore_ascii_case);
        }
        let are_given = !self.is_reserved && !other.is_reserved;
        are_given && one != another && one.takes_for_another(another, one.equality())
    }
}

/// Patterns as they are written; by default where there are none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Patterns<'a> {
    pub(crate) members: &'a [String],
    pub(crate) clients: &'a [String],
    pub(crate) admins: &'a [String],
    pub(crate) viewers: &'a [String],
}

/// The patterns of names, for each thing that a peer can be to the group.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Names of members that are known as such.
    members: Vec<Pattern>,
    /// Names of those who are members and not known, or want to become members.
    joiners: Vec<Pattern>,
    /// Names of clients. Whoever may be a member may be less, too.
    clients: Vec<Pattern>,
    admins: Vec<Pattern>,
    viewers: Vec<Pattern>,
}

impl Names {
    /// Makes the names of the crate's documentation.
    pub(crate) fn of(patterns: Patterns<'_>) -> Result<Self, CredentialsError> {
        let uri = Pattern::uri(MEMBER);
        let dns = Pattern { before: String::new(), after: String::new(), is_uri: false };
        let (members, joiners) = match patterns.members {
            [] => (vec![uri.clone(), dns], vec![uri]),
            given => (Pattern::parse_all(given)?, Pattern::parse_all(given)?),
        };
        let or_reserved = |given: &[String], reserved: &str| match given {
            [] => Ok(vec![Pattern::uri(reserved)]),
            given => Pattern::parse_all(given),
        };
        let clients = or_reserved(patterns.clients, CLIENT)?;
        let admins = or_reserved(patterns.admins, ADMIN)?;
        let viewers = or_reserved(patterns.viewers, VIEWER)?;
        let names = Self { members, joiners, clients, admins, viewers };
        names.check()?;
        Ok(names)
    }

    /// Refuses patterns of which two take one name for two peers, or for two roles.
    fn check(&self) -> Result<(), CredentialsError> {
        let Self { members, clients, admins, viewers, .. } = self;
        let reserved = [CLIENT, ADMIN, VIEWER].map(Pattern::uri);
        let [of_client, of_admin, of_viewer] = reserved.each_ref().map(std::slice::from_ref);
        let roles: [(Role, &[Pattern], bool); 7] = [
            (Role::Member, members, false),
            (Role::Client, clients, false),
            (Role::Admin, admins, false),
            (Role::Viewer, viewers, false),
            (Role::Client, of_client, true),
            (Role::Admin, of_admin, true),
            (Role::Viewer, of_viewer, true),
        ];
        let all: Vec<Made<'_>> = roles
            .into_iter()
            .flat_map(|(role, list, is_reserved)| {
                list.iter().map(move |pattern| Made { role, pattern, is_reserved })
            })
            .collect();
        for (index, one) in all.iter().enumerate() {
            let clashing = all[index + 1..].iter().find(|other| one.clashes(other));
            if let Some(other) = clashing {
                let first = one.pattern.name(PLACE);
                let second = other.pattern.name(PLACE);
                return Err(CredentialsError::PatternsClash { first, second });
            }
        }
        Ok(())
    }

    fn of_claim(&self, claim: Claim<'_>) -> impl Iterator<Item = &Pattern> {
        let (own, more): (&[Pattern], &[Pattern]) = match claim {
            Claim::Admin(_) => (&self.admins, &[]),
            Claim::Client(_) => (&self.clients, &self.joiners),
            Claim::Joiner(_) => (&self.joiners, &[]),
            Claim::Member(_) => (&self.members, &[]),
            Claim::Viewer(_) => (&self.viewers, &[]),
        };
        own.iter().chain(more)
    }

    /// Returns true if the certificate proves the claim.
    pub(crate) fn prove(&self, description: &Description, claim: Claim<'_>) -> bool {
        let mut patterns = self.of_claim(claim).filter(|pattern| self.counts(pattern, description));
        patterns.any(|pattern| pattern.names(description, claim.peer()))
    }

    /// Returns true if the certificate proves that its holder may be a member, whichever it is.
    pub(crate) fn prove_some_member(&self, description: &Description) -> bool {
        let mut patterns = self.joiners.iter().filter(|one| self.counts(one, description));
        patterns.any(|pattern| pattern.peers(description).next().is_some())
    }

    /// Returns true if a certificate's names of the kind that a pattern is for count. Whoever is to
    /// be no member has a DNS name all the same, so a name of a lesser role takes the others' worth
    /// away; what a name is of that role itself is worth what it says.
    fn counts(&self, pattern: &Pattern, description: &Description) -> bool {
        // Nobody has one of our URIs by chance.
        if pattern.is_uri {
            return true;
        }
        if description.uris.iter().any(|uri| is_of_lesser_role(uri)) {
            return false;
        }
        let lesser = [&self.clients, &self.admins, &self.viewers];
        let mut others = lesser.into_iter().filter(|role| !role.contains(pattern)).flatten();
        !others.any(|other| other.marks(description))
    }

    /// Says what a certificate needs to prove the claim. It says of a member what it says of who is
    /// none, for it is told to whoever asks.
    pub(crate) fn wanted(&self, claim: Claim<'_>) -> String {
        let peer = claim.peer();
        match claim {
            Claim::Joiner(_) | Claim::Member(_) => {
                let wanted = listed(self.joiners.iter(), peer);
                let more = self.members.iter().filter(|one| !self.joiners.contains(one));
                match listed(more, peer) {
                    more if more.is_empty() => format!("one with the {wanted}"),
                    more => format!("one with the {wanted} (of a known member the {more} will do)"),
                }
            }
            claim => format!("one with the {}", listed(self.of_claim(claim), peer)),
        }
    }

    /// Says what a certificate needs to prove that its holder may be a member, whichever it is.
    pub(crate) fn wanted_of_some_member(&self) -> String {
        let wanted: Vec<_> = self.joiners.iter().map(|one| one.name(PLACE)).collect();
        format!("one of a member, {}", wanted.join(" or "))
    }
}

/// Writes the names of a peer by these patterns, any of which is enough.
fn listed<'a>(patterns: impl Iterator<Item = &'a Pattern>, peer: &PeerName) -> String {
    let wanted: Vec<_> = patterns.map(|pattern| pattern.wanted(peer)).collect();
    wanted.join(" or the ")
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
        let described = described(certificate);
        let peer = PeerName::from(peer);
        [Claim::Member(&peer), Claim::Joiner(&peer)].map(|claim| names.prove(&described, claim))
    }

    fn of(members: &[String], clients: &[String]) -> Result<Names, CredentialsError> {
        Names::of(Patterns { members, clients, ..Patterns::default() })
    }

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|one| (*one).to_owned()).collect()
    }

    fn default() -> Names {
        of(&[], &[]).expect("usable")
    }

    /// The roles of a peer that a certificate proves.
    fn roles(names: &Names, certificate: &[&str], peer: &str) -> Vec<&'static str> {
        let described = described(certificate);
        let peer = PeerName::from(peer);
        [
            ("member", Claim::Member(&peer)),
            ("joiner", Claim::Joiner(&peer)),
            ("client", Claim::Client(&peer)),
            ("admin", Claim::Admin(&peer)),
            ("viewer", Claim::Viewer(&peer)),
        ]
        .into_iter()
        .filter(|(_, claim)| names.prove(&described, *claim))
        .map(|(role, _)| role)
        .collect()
    }

    #[test]
    fn a_member_is_named_by_dns_or_uri_and_a_newcomer_by_uri_only() {
        let names = default();
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
        let names = default();
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
            for claim in [Claim::Member(&peer), Claim::Joiner(&peer), Claim::Client(&peer)] {
                assert!(!default().prove(&described, claim), "{peer}");
            }
        }
    }

    #[test]
    fn around_the_name_a_pattern_counts_as_its_kind_of_name_does() {
        let patterns = ["{peer}.Quota.example", "spiffe://Example.org/{peer}"];
        let names = of(&patterns.map(str::to_owned), &[]).expect("usable");
        assert_eq!(proves(&names, &["b.quota.EXAMPLE"], "b"), [true, true]);
        assert_eq!(proves(&names, &["spiffe://Example.org/b"], "b"), [true, true]);
        for other in ["B.quota.example", "spiffe://example.org/b", "b.quota.example."] {
            assert_eq!(proves(&names, &[other], "b"), [false, false], "{other}");
        }
    }

    #[test]
    fn patterns_take_the_place_of_both() {
        let patterns = ["{peer}.quota.example", "spiffe://example.org/quota/{peer}"];
        let names = of(&patterns.map(str::to_owned), &[]).expect("usable");
        assert_eq!(proves(&names, &["b.quota.example"], "b"), [true, true]);
        assert_eq!(proves(&names, &["spiffe://example.org/quota/b"], "b"), [true, true]);
        for other in ["b", "quorate:b", "b.billing.example", "spiffe://example.org/quota/b/x"] {
            assert_eq!(proves(&names, &[other], "b"), [false, false], "{other}");
        }
    }

    /// A client's certificate joined as a member.
    #[test]
    fn a_certificate_proves_the_role_that_it_is_for() {
        let names = default();
        for (certificate, expected) in [
            (&["quorate:b"][..], &["member", "joiner", "client"][..]),
            (&["quorate-client:b"], &["client"]),
            (&["quorate-admin:b"], &["admin"]),
            (&["quorate-viewer:b"], &["viewer"]),
            (&["b"], &["member"]),
            // Who is to be less has a DNS name all the same.
            (&["b", "quorate-client:b"], &["client"]),
            (&["b", "quorate-admin:x"], &[]),
            (&["b", "quorate-viewer:b"], &["viewer"]),
            (&["b", "quorate-admin:b", "quorate:b"], &["member", "joiner", "client", "admin"]),
            (&["quorate-client:B", "Quorate-client:b", "quorate-client:b."], &[]),
            (&["quorate-admin", "quorate-superuser:b"], &[]),
            // The scheme of a URI is the same in capitals: it proves nothing, and means no member.
            (&["b", "QUORATE-CLIENT:b"], &[]),
            (&["b", "Quorate-Viewer:x"], &[]),
            (&["b", "quorate-admIN:x"], &[]),
        ] {
            assert_eq!(roles(&names, certificate, "b"), expected, "{certificate:?}");
        }
    }

    /// Only the built-in URIs did that: with patterns for clients of its own a group took the
    /// certificate of a client that has a DNS name, as most have, for a member's.
    #[test]
    fn whoever_is_named_as_a_client_by_a_pattern_is_no_member_by_a_dns_name() {
        let uri = &["spiffe://x/web/{peer}"][..];
        let dns = &["{peer}.web.example"][..];
        let quota = &["{peer}.quota.example"][..];
        for (members, clients, certificate, expected) in [
            (&[][..], uri, &["b", "spiffe://x/web/b"][..], &["client"][..]),
            (&[], uri, &["b", "spiffe://x/web/c"], &[]),
            (&[], uri, &["b", "SPIFFE://X/web/b"], &[]),
            (&[], uri, &["b", "spiffe://x/web/b/c"], &[]),
            (&[], uri, &["b", "spiffe://x/other/b"], &["member"]),
            (&[], uri, &["quorate:b", "spiffe://x/web/b"], &["member", "joiner", "client"]),
            (quota, uri, &["b.quota.example", "spiffe://x/web/b"], &["client"]),
            (quota, dns, &["b.quota.example", "b.web.example"], &["client"]),
            (quota, dns, &["b.quota.example", "c.WEB.example"], &[]),
            (quota, dns, &["b.quota.example", "*.web.example"], &[]),
            (quota, dns, &["b.quota.example", "web.example"], &["member", "joiner", "client"]),
            (quota, dns, &["b.web.example", "quorate-viewer:b"], &["viewer"]),
        ] {
            let names = of(&owned(members), &owned(clients)).expect("usable");
            let found = roles(&names, certificate, "b");
            assert_eq!(found, expected, "{members:?} {clients:?} {certificate:?}");
            let is_some_member = names.prove_some_member(&described(certificate));
            assert_eq!(is_some_member, expected.contains(&"joiner"), "{certificate:?}");
        }
    }

    #[test]
    fn whoever_gives_orders_or_looks_is_named_by_patterns_of_their_own() {
        let names = |members: &[&str], admins: &[&str], viewers: &[&str]| {
            let [members, admins, viewers] = [members, admins, viewers].map(owned);
            let patterns =
                Patterns { members: &members, admins: &admins, viewers: &viewers, clients: &[] };
            Names::of(patterns).expect("usable")
        };
        let uri = names(&[], &["spiffe://x/ops/{peer}"], &["spiffe://x/look/{peer}"]);
        let dns =
            names(&["{peer}.quota.example"], &["{peer}.ops.example"], &["{peer}.look.example"]);
        for (names, certificate, expected) in [
            (&uri, &["spiffe://x/ops/b"][..], &["admin"][..]),
            (&uri, &["spiffe://x/look/b"], &["viewer"]),
            (&uri, &["spiffe://x/ops/c"], &[]),
            // The patterns take the place of the URIs, which make nobody a member all the same.
            (&uri, &["quorate-admin:b", "b"], &[]),
            (&uri, &["quorate-viewer:b"], &[]),
            (&uri, &["b", "spiffe://x/ops/b"], &["admin"]),
            (&uri, &["b", "SPIFFE://x/look/c"], &[]),
            (&uri, &["quorate:b"], &["member", "joiner", "client"]),
            (&dns, &["b.ops.example"], &["admin"]),
            (&dns, &["B.OPS.example"], &[]),
            (&dns, &["b.OPS.example"], &["admin"]),
            (&dns, &["b.look.example"], &["viewer"]),
            (&dns, &["*.ops.example"], &[]),
            (&dns, &["*.ops.example", "b.quota.example"], &[]),
            (&dns, &["x.b.ops.example"], &[]),
            (&dns, &["b.quota.example"], &["member", "joiner", "client"]),
            // Whoever is named as both is neither by names that anybody may have.
            (&dns, &["b.ops.example", "b.look.example"], &[]),
            (&dns, &["b.ops.example", "quorate-client:b"], &["client"]),
        ] {
            assert_eq!(roles(names, certificate, "b"), expected, "{certificate:?}");
        }
        let b = PeerName::from("b");
        assert_eq!(uri.wanted(Claim::Admin(&b)), "one with the URI spiffe://x/ops/b");
        let of = |admins: &[&str], viewers: &[&str], members: &[&str]| {
            let [members, admins, viewers] = [members, admins, viewers].map(owned);
            let patterns =
                Patterns { members: &members, admins: &admins, viewers: &viewers, clients: &[] };
            matches!(Names::of(patterns), Err(CredentialsError::PatternsClash { .. }))
        };
        for (admins, viewers, members) in [
            (&["{peer}"][..], &[][..], &[][..]),
            (&["{peer}.ops.example"], &[], &[]),
            (&["quorate:{peer}"], &[], &[]),
            (&["quorate-client:{peer}"], &[], &[]),
            (&["quorate-viewer:{peer}"], &[], &[]),
            (&["spiffe://x/{peer}"], &["SPIFFE://x/{peer}"], &[]),
            (&["spiffe://x/{peer}"], &["spiffe://x/look-{peer}"], &[]),
            (&["spiffe://x/{peer}"], &[], &["quorate-admin:{peer}"]),
            (&[], &["spiffe://x/{peer}"], &["Quorate-Viewer:{peer}"]),
        ] {
            assert!(of(admins, viewers, members), "{admins:?} {viewers:?} {members:?}");
        }
    }

    #[test]
    fn patterns_of_clients_prove_clients_only_and_those_of_members_both() {
        let names = ["{peer}.quota.example".to_owned()];
        let clients = ["{peer}.web.example".to_owned(), "spiffe://x/web/{peer}".to_owned()];
        let names = of(&names, &clients).expect("usable");
        let member = ["member", "joiner", "client"];
        assert_eq!(roles(&names, &["b.quota.example"], "b"), member);
        assert_eq!(roles(&names, &["b.web.example"], "b"), ["client"]);
        assert_eq!(roles(&names, &["spiffe://x/web/b"], "b"), ["client"]);
        assert_eq!(roles(&names, &["quorate-client:b"], "b"), [""; 0]);
        let names = of(&["{peer}".to_owned()], &[]).expect("usable");
        assert_eq!(roles(&names, &["b"], "b"), member);
        assert_eq!(roles(&names, &["quorate-client:b"], "b"), ["client"]);
        assert_eq!(roles(&names, &["b", "quorate-client:b"], "b"), ["client"]);
    }

    #[test]
    fn patterns_that_take_one_name_for_two_peers_or_roles_are_refused() {
        let of = |members: &[&str], clients: &[&str]| of(&owned(members), &owned(clients));
        for (members, clients) in [
            (&["{peer}", "{peer}.quota.example"][..], &[][..]),
            (&["{peer}.example", "{peer}.quota.EXAMPLE"], &[]),
            (&["a-{peer}", "a-{peer}.x"], &[]),
            (&["a.{peer}", "{peer}.a"], &[]),
            (&["spiffe://x/{peer}"], &["spiffe://x/client-{peer}"]),
            (&["{peer}"], &["{peer}.web.example"]),
            (&["{peer}.x"], &["{peer}.x"]),
            (&["quorate-client:{peer}"], &[]),
            (&["quorate-admin:{peer}"], &[]),
            (&["quorate:{peer}", "quorate-viewer:{peer}"], &[]),
            (&[], &["quorate:{peer}"]),
            (&[], &["{peer}"]),
            // Neither do capitals, or clients of other names, make a member of a client.
            (&["quorate-client:{peer}"], &["spiffe://x/web/{peer}"]),
            (&["Quorate-Client:{peer}"], &[]),
            (&["spiffe://x/{peer}"], &["SPIFFE://x/{peer}"]),
        ] {
            let refused = of(members, clients);
            let clashes = matches!(refused, Err(CredentialsError::PatternsClash { .. }));
            assert!(clashes, "{members:?} {clients:?}");
        }
        for (members, clients) in [
            (&["{peer}", "quorate:{peer}"][..], &[][..]),
            (&["{peer}.quota.example"], &["{peer}.web.example"]),
            (&["spiffe://x/{peer}", "spiffe://x/quota/{peer}"], &["spiffe://x/web/{peer}"]),
            (&["{peer}.x", "{peer}.x"], &[]),
            (&["spiffe://x/{peer}", "spiffe://X/{peer}"], &[]),
            (&[], &["quorate-client:{peer}", "quorate-client:web-{peer}"][1..]),
        ] {
            assert!(of(members, clients).is_ok(), "{members:?} {clients:?}");
        }
    }

    #[test]
    fn what_is_wanted_does_not_say_who_is_a_member() {
        let names = default();
        let b = PeerName::from("b");
        let wanted = "one with the URI quorate:b (of a known member the DNS name b will do)";
        assert_eq!(names.wanted(Claim::Member(&b)), wanted);
        assert_eq!(names.wanted(Claim::Joiner(&b)), wanted);
        let wanted = "one with the URI quorate-client:b or the URI quorate:b";
        assert_eq!(names.wanted(Claim::Client(&b)), wanted);
    }

    #[test]
    fn a_pattern_has_one_place_and_only_what_a_name_can_have() {
        for unusable in
            ["", "b", "{peer}{peer}", "{peer}.a b", "*.{peer}", "spiffe://x/ {peer}", "{peer}:x"]
        {
            let parsed = of(&[unusable.to_owned()], &[]);
            assert!(matches!(parsed, Err(CredentialsError::Pattern { .. })), "{unusable}");
        }
    }
}
