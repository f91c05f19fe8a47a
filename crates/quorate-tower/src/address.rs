//! The address that a request comes from, by the socket or by what trusted proxies say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Extensions;
use http::request::Parts;
use ipnet::IpNet;

use crate::carried::Carried;
use crate::forwarded::ProxyField;
use crate::hop::Hop;
use crate::key::{KeyExtractor, NoKey};
use crate::network::Network;

/// The address of a connection's other end, for servers to put into the extensions of each request.
///
/// # Examples
///
/// With hyper, for every request of a connection:
///
/// ```
/// use std::net::SocketAddr;
///
/// use http::Request;
/// use quorate_tower::PeerAddress;
///
/// fn from<B>(mut request: Request<B>, peer: SocketAddr) -> Request<B> {
///     request.extensions_mut().insert(PeerAddress(peer));
///     request
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub SocketAddr);

/// The most trusted proxies that a request is followed through.
const MAX_PROXIES: usize = 32;

type Socket = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// A count for each client, by its address.
///
/// # Defaults
///
/// - The address is the socket's: a [`PeerAddress`] or [`SocketAddr`] in the extensions of the
///   request. Servers that put another type there are told about by [`ClientAddress::socket`].
/// - No proxy is trusted, and no field is read: whoever sends `X-Forwarded-For` is counted as who
///   they are.
/// - IPv6 addresses count together by their first 64 bits, which one customer has at least; a count
///   for each address would be 2^64 counts for everyone. IPv4 addresses that are written as IPv6
///   are IPv4.
/// - IPv6 addresses that carry an IPv4 address count as that: behind NAT64 (`64:ff9b::/96`,
///   `64:ff9b:1::/48`) and with Teredo (`2001::/32`) one network of 64 bits has all of them, and
///   with 6to4 (`2002::/16`) each has 65,536 such networks. Of a prefix of a translator's own
///   nothing can be known: there count by all bits, or at the translator.
///
/// # Behind proxies
///
/// The field is read from its end, hop by hop and byte by byte: as long as the address found so far
/// is that of a trusted proxy, what it says of the hop before is believed, over at most 32 proxies.
/// So a client can add to the field what it likes, text or not, and stays who it is; and if all
/// clients share one count, a proxy is missing from the list, or writes another [`ProxyField`].
///
/// | where a trusted proxy | the request |
/// |---|---|
/// | says nothing: no such field, or no hop left in it | is the proxy's own, and counts as such |
/// | does not name its client: `unknown`, `_hidden`, no `for` | has no key: [`NoKey::NotSent`] |
/// | has written what cannot be read, or `X-Real-IP` comes twice | is refused by every rule: 400 |
///
/// Nobody is ever counted as somebody else. A client that is refused in this way sits behind a
/// proxy that passes on what it was sent and appends nothing.
///
/// # Examples
///
/// With axum, behind a proxy in the same network:
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::extract::ConnectInfo;
/// use quorate_tower::{ClientAddress, Network};
///
/// let client = ClientAddress::new()
///     .socket(|extensions| {
///         extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
///     })
///     .trusted_proxies(["10.0.0.0/24".parse::<Network>()?]);
/// # let _ = client;
/// # Ok::<(), quorate_tower::NetworkError>(())
/// ```
#[derive(Clone)]
pub struct ClientAddress {
    socket: Socket,
    trusted: Vec<Network>,
    field: ProxyField,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
}

impl ClientAddress {
    /// Counts by the address of the socket, with the defaults above.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Rule};
    ///
    /// let rule = Rule::new("api", ClientAddress::new());
    /// # let _ = rule;
    /// ```
    pub fn new() -> Self {
        Self {
            socket: Arc::new(socket),
            trusted: Vec::new(),
            field: ProxyField::default(),
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }
    }

    /// Sets where the address of the socket is found: axum has it in `ConnectInfo<SocketAddr>`,
    /// tonic in `TcpConnectInfo`. Of a proxy on a Unix socket say
    /// `Some(Ipv4Addr::LOCALHOST.into())`, and trust that.
    ///
    /// # Examples
    ///
    /// See [`ClientAddress`](ClientAddress#examples).
    #[must_use]
    pub fn socket(
        mut self,
        socket: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.socket = Arc::new(socket);
        self
    }

    /// Adds proxies that are believed. Default: none. Every one of them must
    /// write the field that is read, and none of these addresses may be a client's.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Network};
    ///
    /// let behind_nginx_here = ClientAddress::new().trusted_proxies(Network::LOOPBACK);
    /// # let _ = behind_nginx_here;
    /// ```
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = Network>) -> Self {
        self.trusted.extend(proxies);
        self
    }

    /// Sets the field that the trusted proxies write. Default: `X-Forwarded-For`.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Network, ProxyField};
    ///
    /// let client = ClientAddress::new()
    ///     .trusted_proxies(Network::PRIVATE)
    ///     .field(ProxyField::Forwarded);
    /// # let _ = client;
    /// ```
    #[must_use]
    pub fn field(mut self, field: ProxyField) -> Self {
        self.field = field;
        self
    }

    /// Sets by how many of their first bits IPv6 addresses count together, 128 at most. Default:
    /// 64. Some providers give out 56 or 48: a shorter prefix counts their customers once.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::ClientAddress;
    ///
    /// let by_site = ClientAddress::new().ipv6_prefix(56);
    /// # let _ = by_site;
    /// ```
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits.min(128);
        self
    }

    /// Sets by how many of their first bits IPv4 addresses count together. Default: 32, all of
    /// them.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::ClientAddress;
    ///
    /// let by_network = ClientAddress::new().ipv4_prefix(24);
    /// # let _ = by_network;
    /// ```
    #[must_use]
    pub fn ipv4_prefix(mut self, bits: u8) -> Self {
        self.ipv4_prefix = bits.min(32);
        self
    }

    /// Returns the whole address of the client, for logs and for rules of your own; `None` if the
    /// socket's is not known, or a trusted proxy does not say who its client is in a way that can
    /// be read. A request without one is nobody's: let no rule be passed by for it.
    ///
    /// # Examples
    ///
    /// Requests from one's own network are not counted:
    ///
    /// ```
    /// use quorate_tower::{ClientAddress, Network, Rule};
    ///
    /// let client = ClientAddress::new();
    /// let from_outside = client.clone();
    /// let rule = Rule::new("api", client).when(move |request| {
    ///     let address = from_outside.address(request);
    ///     !address.is_some_and(|it| Network::PRIVATE.iter().any(|network| network.contains(it)))
    /// });
    /// # let _ = rule;
    /// ```
    pub fn address(&self, request: &Parts) -> Option<IpAddr> {
        self.find(request).ok()
    }

    /// Returns the key of an address: for what is counted by clients beside their requests, such as
    /// connections, and to look at a count or reset it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Ipv6Addr;
    ///
    /// use quorate_tower::ClientAddress;
    ///
    /// let client = ClientAddress::new();
    /// assert_eq!(client.key_of([192, 0, 2, 1].into()), b"192.0.2.1");
    /// assert_eq!(client.key_of(Ipv6Addr::LOCALHOST.into()), b"::/64");
    /// ```
    pub fn key_of(&self, address: IpAddr) -> Vec<u8> {
        let (address, prefix) = match address.to_canonical() {
            address @ IpAddr::V4(_) => (address, self.ipv4_prefix),
            address @ IpAddr::V6(whole) => match Carried::by(whole) {
                Carried::Address(carried) => (carried.into(), self.ipv4_prefix),
                Carried::Nothing => (address, self.ipv6_prefix),
                Carried::Somewhere => (address, 128),
            },
        };
        let key = match IpNet::new(address, prefix) {
            Ok(network) if prefix < network.max_prefix_len() => network.trunc().to_string(),
            _ => address.to_string(),
        };
        key.into_bytes()
    }

    /// Follows the request from hop to hop, as far as trusted proxies tell.
    fn find(&self, request: &Parts) -> Result<IpAddr, NoKey> {
        let mut address = self.socket_address(request)?;
        let mut hops = self.field.hops(&request.headers);
        for _ in 0..=MAX_PROXIES {
            if !self.is_trusted(address) {
                return Ok(address);
            }
            address = match hops.next() {
                Some(Hop::Address(hop)) => hop,
                // The proxy speaks for itself.
                None => return Ok(address),
                Some(Hop::Unnamed) => {
                    let name = self.field.name();
                    let what = format!("an address in the field {name}: a proxy does not tell it");
                    return Err(NoKey::NotSent { what: what.into() });
                }
                // To take the proxy for its client would let one client use up the count of all.
                Some(Hop::Unreadable) => {
                    return Err(self.unreadable("with a hop that cannot be read"));
                }
            };
        }
        // A client writes as many hops as it likes; where all networks are trusted by mistake, this
        // is what ends the work.
        Err(self.unreadable(&format!("that leads over more than {MAX_PROXIES} proxies")))
    }

    fn unreadable(&self, fault: &str) -> NoKey {
        NoKey::Unreadable { what: format!("a field {} {fault}", self.field.name()).into() }
    }

    fn socket_address(&self, request: &Parts) -> Result<IpAddr, NoKey> {
        let address = (self.socket)(&request.extensions).ok_or_else(|| NoKey::NotSupplied {
            what: "the address of the client in the extensions of the request".into(),
        })?;
        Ok(address.to_canonical())
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// Finds the address in this crate's type, or a bare one, as other layers expect it.
fn socket(extensions: &Extensions) -> Option<IpAddr> {
    let own = extensions.get::<PeerAddress>().map(|PeerAddress(address)| address);
    own.or_else(|| extensions.get::<SocketAddr>()).map(SocketAddr::ip)
}

impl KeyExtractor for ClientAddress {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        Ok(self.key_of(self.find(request)?))
    }
}

impl Default for ClientAddress {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress")
            .field("trusted", &self.trusted)
            .field("field", &self.field)
            .field("ipv4_prefix", &self.ipv4_prefix)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    /// A request from this address with these fields.
    fn request(from: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).expect("a request").into_parts().0;
        let address: IpAddr = from.parse().expect("an address");
        parts.extensions.insert(PeerAddress(SocketAddr::new(address, 4711)));
        parts
    }

    fn key(client: &ClientAddress, request: &Parts) -> String {
        String::from_utf8(client.key(request).expect("an address")).expect("text")
    }

    fn behind(proxies: &[&str]) -> ClientAddress {
        let proxies = proxies.iter().map(|text| text.parse::<Network>().expect("a network"));
        ClientAddress::new().trusted_proxies(proxies)
    }

    const SPOOFED: [(&str, &str); 3] =
        [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6")];

    #[test]
    fn nobody_is_believed_unless_they_are_trusted() {
        assert_eq!(key(&ClientAddress::new(), &request("192.0.2.1", &SPOOFED)), "192.0.2.1");
        assert_eq!(key(&behind(&["10.0.0.0/8"]), &request("192.0.2.1", &SPOOFED)), "192.0.2.1");
    }

    #[test]
    fn a_chain_is_walked_over_trusted_hops_only() {
        let client = behind(&["10.0.0.0/8"]);
        let through = |line| key(&client, &request("10.0.0.2", &[("x-forwarded-for", line)]));
        assert_eq!(through("192.0.2.1"), "192.0.2.1");
        assert_eq!(through("192.0.2.1, 10.0.0.1"), "192.0.2.1");
        // The client wrote the first two, and the very address of a trusted proxy does not help it.
        assert_eq!(through("6.6.6.6, 10.0.0.9, 192.0.2.1, 10.0.0.1"), "192.0.2.1");
        // A client of one's own network, and a proxy that speaks for itself.
        assert_eq!(through("10.9.9.9"), "10.9.9.9");
        assert_eq!(key(&client, &request("10.0.0.2", &[])), "10.0.0.2");
    }

    #[test]
    fn several_lines_are_one_chain() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(key(&behind(&["10.0.0.2"]), &request("10.0.0.2", &lines)), "192.0.2.1");
    }

    #[test]
    fn only_the_field_that_the_proxies_write_is_read() {
        let fields = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=192.0.2.1")];
        let client = behind(&["10.0.0.2"]).field(ProxyField::Forwarded);
        assert_eq!(key(&client, &request("10.0.0.2", &fields)), "192.0.2.1");
        assert_eq!(key(&client, &request("10.0.0.2", &fields[..1])), "10.0.0.2");
        let single = ProxyField::Single(http::HeaderName::from_static("x-real-ip"));
        let fields = [("x-real-ip", "192.0.2.1"), ("forwarded", "for=6.6.6.6")];
        let client = behind(&["10.0.0.2"]).field(single);
        assert_eq!(key(&client, &request("10.0.0.2", &fields)), "192.0.2.1");
    }

    #[test]
    fn what_a_proxy_could_not_say_is_no_key_and_nobodys_address() {
        let client = behind(&["10.0.0.0/8"]);
        let through = |line| {
            let request = request("10.0.0.2", &[("x-forwarded-for", line)]);
            assert_eq!(client.address(&request), None);
            client.key(&request)
        };
        assert!(matches!(through("6.6.6.6, unknown"), Err(NoKey::NotSent { .. })));
        let unreadable = through("6.6.6.6, nonsense, 10.0.0.1");
        assert!(matches!(unreadable, Err(NoKey::Unreadable { .. })));
        // A stranger's field is not read, so there is nothing in it that cannot be.
        let stranger = request("192.0.2.1", &[("x-forwarded-for", "nonsense")]);
        assert_eq!(key(&client, &stranger), "192.0.2.1");
    }

    #[test]
    fn ipv6_counts_by_prefix_and_ipv4_in_ipv6_is_ipv4() {
        let client = ClientAddress::new();
        let one = key(&client, &request("2001:db8:1:2:aaaa::1", &[]));
        assert_eq!(one, "2001:db8:1:2::/64");
        assert_eq!(key(&client, &request("2001:db8:1:2:bbbb::9", &[])), one);
        assert_ne!(key(&client, &request("2001:db8:1:3::1", &[])), one);
        assert_eq!(key(&client, &request("::ffff:192.0.2.1", &[])), "192.0.2.1");
        let whole = client.clone().ipv6_prefix(200).ipv4_prefix(24);
        assert_eq!(key(&whole, &request("2001:db8::1", &[])), "2001:db8::1");
        assert_eq!(key(&whole, &request("192.0.2.1", &[])), "192.0.2.0/24");
    }

    #[test]
    fn a_trusted_proxy_is_known_in_ipv6_clothes() {
        let fields = [("x-forwarded-for", "2001:db8::1")];
        let client = behind(&["10.0.0.2"]);
        assert_eq!(key(&client, &request("::ffff:10.0.0.2", &fields)), "2001:db8::/64");
    }

    #[test]
    fn without_a_socket_there_is_no_key_and_that_is_the_services_doing() {
        let parts = Request::builder().header("x-forwarded-for", "6.6.6.6").body(());
        let mut parts = parts.expect("a request").into_parts().0;
        let missing = ClientAddress::new().key(&parts);
        assert!(matches!(missing, Err(NoKey::NotSupplied { .. })));
        parts.extensions.insert(SocketAddr::from(([192, 0, 2, 1], 1)));
        assert_eq!(key(&ClientAddress::new(), &parts), "192.0.2.1");
    }

    /// Text that a client may write into a field: mostly characters that mean something there.
    fn invented() -> impl Strategy<Value = String> {
        const MEANINGFUL: &[&str] =
            &["for=", "for=\"[2001:db8::9]", "6.6.6.6", "10.0.0.1", ",", ";", "\"", "\\", " "];
        let meaningful = proptest::sample::select(MEANINGFUL).prop_map(str::to_owned);
        let piece = prop_oneof![8 => meaningful, 1 => "[!-~]{1,4}"];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_a_client_writes_it_stays_who_it_is(invented in invented()) {
            let client = behind(&["10.0.0.0/8"]);
            for appended in ["192.0.2.1", "192.0.2.1:4711", "192.0.2.1, 10.0.0.1"] {
                let line = format!("{invented}, {appended}");
                let request = request("10.0.0.2", &[("x-forwarded-for", &line)]);
                prop_assert_eq!(key(&client, &request), "192.0.2.1");
            }
        }

        #[test]
        fn whatever_a_client_quotes_it_stays_who_it_is(invented in invented()) {
            let client = behind(&["10.0.0.0/8"]).field(ProxyField::Forwarded);
            for appended in ["for=192.0.2.1", "proto=http;for=\"192.0.2.1:80\";by=6.6.6.6"] {
                let line = format!("{invented}, {appended}");
                let request = request("10.0.0.2", &[("forwarded", &line)]);
                prop_assert_eq!(key(&client, &request), "192.0.2.1");
            }
        }
    }
}
