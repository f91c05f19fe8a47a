//! The origin of a connection, as far as it is counted by that.
//!
//! Who shares the first 64 bits of an IPv6 address is one host, and 256 such hosts are one site; of
//! an IPv4 address that is written as an IPv6 one, by mapping or NAT64, that one counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::transport;

/// The origin of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Origin {
    pub(in crate::driver) host: String,
    /// Of an IPv6 host: the site that it is of.
    pub(in crate::driver) site: Option<String>,
}

impl Origin {
    /// The origin that an address stands for. An IPv6 host has at least 64 bits to choose its
    /// address from, and a site as a rule 8 more, or 16.
    pub(in crate::driver) fn of(address: &str) -> Self {
        match ip(address) {
            Some(IpAddr::V6(address)) => {
                let first = |bits: u32| {
                    let network = u128::from(address) & (u128::MAX << (128 - bits));
                    format!("{}/{bits}", Ipv6Addr::from(network))
                };
                Self { host: first(64), site: Some(first(56)) }
            }
            Some(IpAddr::V4(address)) => Self { host: address.to_string(), site: None },
            None => Self { host: transport::host(address).to_owned(), site: None },
        }
    }
}

/// The IP address in an address, if there is one; as IPv4 if it stands for one.
pub(in crate::driver) fn ip(address: &str) -> Option<IpAddr> {
    let host = transport::host(address);
    // An address of one link comes with the name of an interface.
    let host = host.split('%').next().unwrap_or(host);
    let ip = host.parse::<IpAddr>().ok()?.to_canonical();
    match ip {
        IpAddr::V6(address) => Some(behind_nat64(address).map_or(ip, IpAddr::V4)),
        IpAddr::V4(_) => Some(ip),
    }
}

/// The IPv4 address of a host that is seen through a NAT64, by the prefix that is the same
/// everywhere.
fn behind_nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_whatever_it_calls_itself() {
        let host = |address| Origin::of(address).host;
        let site = |address| Origin::of(address).site;
        assert_eq!(host("[2001:db8::1]:5"), host("[2001:db8::ffff:2]:6"));
        assert_ne!(host("[2001:db8::1]:5"), host("[2001:db8:0:1::1]:5"));
        assert_eq!(site("[2001:db8::1]:5"), site("[2001:db8:0:ff::1]:5"));
        assert_ne!(site("[2001:db8::1]:5"), site("[2001:db8:0:100::1]:5"));
        assert_eq!(host("[fe80::1%2]:5"), host("[fe80::2%2]:6"));
        // All of IPv4 behind a NAT64 would be one network of IPv6.
        for address in ["[::ffff:10.0.0.1]:5", "[64:ff9b::10.0.0.1]:5"] {
            assert_eq!(Origin::of(address), Origin { host: "10.0.0.1".into(), site: None });
        }
        assert_ne!(host("[64:ff9b::10.0.0.1]:5"), host("[64:ff9b::10.0.0.2]:5"));
        assert_eq!(Origin::of("a"), Origin { host: "a".into(), site: None });
    }
}
