//! Networks by address and length of prefix, for proxies that are trusted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use quorate::words::UnknownWord;

quorate::told_to_people! { NetworkError }

/// A network: all addresses that begin alike, such as `10.0.0.0/8`, or one address.
///
/// Bits of the address beyond the prefix mean nothing and are cleared. IPv4 addresses written as
/// IPv6 (`::ffff:10.0.0.1`) are IPv4 addresses; a network of IPv6 holds no others of IPv4.
///
/// # Examples
///
/// ```
/// use quorate_tower::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains([10, 1, 2, 3].into()) && !network.contains([11, 1, 2, 3].into()));
/// # Ok::<(), quorate_tower::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

impl Network {
    /// This host: `127.0.0.0/8` and `::1`.
    pub const LOOPBACK: [Self; 2] = [
        Self::known(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
        Self::known(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    ];

    /// The networks that nobody routes: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918)
    /// and `fc00::/7` (RFC 4193). As trusted proxies only where clients are never in them.
    pub const PRIVATE: [Self; 4] = [
        Self::known(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
        Self::known(IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
        Self::known(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
        Self::known(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    ];

    /// Makes a constant: one with a prefix that is too long does not compile.
    const fn known(first: IpAddr, prefix: u8) -> Self {
        Self(IpNet::new_assert(first, prefix))
    }

    /// Makes the network of all addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Errors
    ///
    /// If the prefix is longer than the address.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    ///
    /// use quorate_tower::Network;
    ///
    /// let network = Network::new(Ipv4Addr::new(10, 1, 2, 3), 8)?;
    /// assert_eq!(network, "10.0.0.0/8".parse()?);
    /// # Ok::<(), quorate_tower::NetworkError>(())
    /// ```
    pub fn new(address: impl Into<IpAddr>, prefix: u8) -> Result<Self, NetworkError> {
        let address = address.into();
        // The last 32 bits of an IPv4 address that is written as IPv6 are that address.
        let (canonical, length) = match address.to_canonical() {
            short @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => (short, prefix - 96),
            _ => (address, prefix),
        };
        match IpNet::new(canonical, length) {
            Ok(network) => Ok(Self(network.trunc())),
            Err(_) => {
                let max = IpNet::from(address).max_prefix_len();
                Err(NetworkError::Prefix { address, prefix, max })
            }
        }
    }

    /// Returns true if the address is one of this network.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_tower::Network;
    ///
    /// let local = |address| Network::LOOPBACK.iter().any(|network| network.contains(address));
    /// assert!(local([127, 0, 0, 1].into()) && !local([192, 0, 2, 1].into()));
    /// ```
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let unreadable = || NetworkError::Text { text: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| unreadable())?;
        match prefix {
            None => Ok(address.into()),
            // A sign is read as a part of the number.
            Some(prefix) if prefix.starts_with('+') => Err(unreadable()),
            Some(prefix) => Self::new(address, prefix.parse().map_err(|_| unreadable())?),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason why something is no network.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// The prefix is longer than the address.
    Prefix {
        /// The address given.
        address: IpAddr,
        /// The length given.
        prefix: u8,
        /// The bits of the address.
        max: u8,
    },
    /// The text is no network.
    Text {
        /// The text given.
        text: String,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { address, prefix, max } => write!(
                f,
                "\"{address}/{prefix}\" is no network: a prefix of {prefix} bits is too long, the \
                 address has {max}"
            ),
            Self::Text { text } => {
                let known = "an address and the length of its prefix, like 10.0.0.0/8";
                UnknownWord::new("network", text, known).fmt(f)
            }
        }
    }
}

impl std::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("::/0", "2001:db8::", "127.0.0.1"),
        ] {
            assert!(network(text).contains(address(inside)), "{inside} in {text}");
            assert!(!network(text).contains(address(outside)), "{outside} not in {text}");
        }
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1/32"));
        assert!(network("10.0.0.0/8").contains(address("::ffff:10.2.3.4")));
        assert!(Network::LOOPBACK[0].contains(address("::ffff:127.0.0.1")));
    }

    #[test]
    fn bits_beyond_the_prefix_mean_nothing() {
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("2001:db8::1/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in ["", "10", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "a/8", "10.0.0.0/8/8"] {
            let error = NetworkError::Text { text: text.to_owned() };
            assert_eq!(text.parse::<Network>(), Err(error));
        }
        let longer = |text: &str, prefix, max| {
            Err(NetworkError::Prefix { address: address(text), prefix, max })
        };
        assert_eq!("10.0.0.0/33".parse::<Network>(), longer("10.0.0.0", 33, 32));
        assert_eq!("::/129".parse::<Network>(), longer("::", 129, 128));
    }

    #[test]
    fn the_constants_are_what_they_say() {
        let written = Network::PRIVATE.map(|network| network.to_string());
        assert_eq!(written, ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]);
        assert_eq!(
            Network::LOOPBACK.map(|network| network.to_string()),
            ["127.0.0.0/8", "::1/128"]
        );
    }

    proptest! {
        #[test]
        fn every_network_is_read_as_it_is_written(bits: u128, is_long: bool, prefix in 0u8..=128) {
            let address: IpAddr = if is_long {
                Ipv6Addr::from_bits(bits).into()
            } else {
                Ipv4Addr::from_bits(bits as u32).into()
            };
            let prefix = prefix.min(IpNet::from(address).max_prefix_len());
            let network = Network::new(address, prefix).expect("no longer than the address");
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(address) || address.to_canonical() != address);
        }
    }
}
