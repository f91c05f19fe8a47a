//! Where the members are: what can be said of their addresses before any is dialled.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::id::PeerName;

/// Checks that every member has an address of its own, and, where addresses are those of TCP, that
/// each is a host and a port; host names are not resolved, for they may not be known yet.
pub(super) fn check(members: &[(PeerName, String)], is_tcp: bool) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut seen = BTreeMap::new();
    // Members without any address, and names that stand twice, have errors of their own.
    for (name, address) in members.iter().filter(|(_, address)| !address.is_empty()) {
        let first = *seen.entry(address).or_insert(name);
        if first != name {
            let (first, second, address) = (first.clone(), name.clone(), address.clone());
            errors.push(ConfigError::SameAddress { first, second, address });
        }
        if is_tcp && !is_host_and_port(address) {
            errors.push(ConfigError::Address { name: name.clone(), address: address.clone() });
        }
    }
    errors
}

/// Checks the addresses at which a joiner or client is to find members.
pub(super) fn check_contacts(contacts: &[String], is_tcp: bool) -> Vec<ConfigError> {
    let is_usable = |address: &str| !address.is_empty() && (!is_tcp || is_host_and_port(address));
    let unusable = contacts.iter().filter(|address| !is_usable(address));
    unusable.map(|address| ConfigError::Contact { address: address.clone() }).collect()
}

/// Whether others can reach what listens there: not if it stands for every interface, or any port.
pub(super) fn is_reachable(address: &str) -> bool {
    let parsed = address.parse::<SocketAddr>();
    parsed.map_or(true, |address| !address.ip().is_unspecified() && address.port() != 0)
}

fn is_host_and_port(address: &str) -> bool {
    let is_name = |host: &str| {
        // An IPv6 address without brackets could end in a port or not.
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || ":[]/".contains(c))
    };
    let is_named = |(host, port): (&str, &str)| is_name(host) && port.parse::<u16>().is_ok();
    address.parse::<SocketAddr>().is_ok() || address.rsplit_once(':').is_some_and(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_belongs_to_one_member() {
        for usable in ["127.0.0.1:0", "[::1]:7101", "localhost:7101", "no-such_host.example:1"] {
            assert!(is_host_and_port(usable), "{usable}");
        }
        for unusable in ["localhost", "::nonsense::", "::1:7101", ":7101", "a:", "a:65536", "a b:1"]
        {
            let members = [("a".into(), unusable.to_owned())];
            let error = ConfigError::Address { name: "a".into(), address: unusable.into() };
            assert_eq!(check(&members, true), [error], "{unusable}");
            assert_eq!(check(&members, false), [], "it may be any text");
        }
        let members = ["x:1", "y:1", "x:1"].into_iter().zip(["a", "b", "c"]);
        let members: Vec<_> = members.map(|(at, name)| (name.into(), at.to_owned())).collect();
        let (first, second, address) = ("a".into(), "c".into(), "x:1".into());
        let error = ConfigError::SameAddress { first, second, address };
        assert_eq!(check(&members, false), [error]);
    }
}
