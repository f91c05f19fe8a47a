//! The addresses of this peer and of the members: what can be said of addresses before any is used.
//!
//! | given by | others reach it there | so port 0, and what stands for every interface |
//! |---|---|---|
//! | `members`, `advertise`, `join`, `site` | yes | are refused |
//! | `listen` | no | a port is needed, and every interface will do |
//!
//! A group of one may have port 0: nobody dials it, and tests like it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::id::{MAX_ADDRESS_BYTES, PeerName};
use crate::config::{AddressFault, AddressGiven, ConfigError};
use crate::transport::{Transport, host};

/// The addresses in the settings of one peer.
pub(in crate::driver) struct Given<'a> {
    pub(in crate::driver) members: &'a [(PeerName, String)],
    pub(in crate::driver) contacts: &'a [String],
    /// Those of the other site.
    pub(in crate::driver) across: &'a [String],
    /// Of a peer that listens.
    pub(in crate::driver) listen: Option<&'a str>,
    pub(in crate::driver) advertise: Option<&'a str>,
    /// True if addresses are those of TCP. What others look like is the transport's own affair.
    pub(in crate::driver) is_tcp: bool,
}

impl Given<'_> {
    /// Checks that every address can be used for what it was given for, and that members have
    /// different ones. Names are not looked up, for they may not be known yet.
    pub(in crate::driver) fn check(&self) -> Vec<ConfigError> {
        let mut errors = self.check_shared();
        // Members without any address, and names that stand twice, have errors of their own.
        let members = self.members.iter().filter(|(_, address)| !address.is_empty());
        let members =
            members.map(|(name, address)| (AddressGiven::Member(name.clone()), address.as_str()));
        let contacts = self.contacts.iter().map(|address| (AddressGiven::Join, address.as_str()));
        let across = self.across.iter().map(|address| (AddressGiven::OtherSite, address.as_str()));
        let contacts = contacts.chain(across);
        let own = self.listen.map(|address| (AddressGiven::Listen, address)).into_iter();
        let own = own.chain(self.advertise.map(|address| (AddressGiven::Advertise, address)));
        let faulty = members.chain(contacts).chain(own).filter_map(|(given, address)| {
            let fault = self.fault(&given, address)?;
            Some(ConfigError::Address { given, address: address.to_owned(), fault })
        });
        errors.extend(faulty);
        errors
    }

    /// Members with the same address. A name may lead to several machines.
    fn check_shared(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let mut seen = BTreeMap::new();
        for (name, address) in self.members.iter().filter(|(_, address)| !address.is_empty()) {
            let first = *seen.entry(address).or_insert(name);
            if first != name && !(self.is_tcp && may_lead_to_several(address)) {
                let first = first.clone();
                let second = name.clone();
                let address = address.clone();
                errors.push(ConfigError::SameAddress { first, second, address });
            }
        }
        errors
    }

    fn fault(&self, given: &AddressGiven, address: &str) -> Option<AddressFault> {
        if address.is_empty() {
            return Some(AddressFault::Empty);
        }
        if address.len() > MAX_ADDRESS_BYTES {
            return Some(AddressFault::TooLong);
        }
        if !self.is_tcp {
            return None;
        }
        let is_alone = self.members.len() == 1;
        match (parts(address), given) {
            (Err(fault), _) => Some(fault),
            (Ok((_, 0)), AddressGiven::Listen | AddressGiven::Member(_)) if is_alone => None,
            (Ok((_, 0)), _) => Some(AddressFault::AnyPort),
            (Ok(_), AddressGiven::Listen) => None,
            (Ok((is_any, _)), _) => is_any.then_some(AddressFault::AnyInterface),
        }
    }
}

/// Returns true if others can reach what listens there: not if it stands for every interface, or
/// any port.
pub(in crate::driver) fn is_reachable(address: &str) -> bool {
    let parsed = address.parse::<SocketAddr>();
    parsed.map_or(true, |address| !is_any(&address) && address.port() != 0)
}

/// The address at which a member is reached, by its own place in its own list, as it says to the
/// others; `None` where they cannot reach it there.
pub(in crate::driver) fn own_place(
    members: &BTreeMap<PeerName, String>,
    own: &PeerName,
    is_tcp: bool,
) -> Option<String> {
    let place = members.get(own)?;
    let mut others = members.iter().filter(|(name, _)| *name != own);
    // On loopback it is reached by those on this machine.
    let is_private =
        is_tcp && is_loopback(place) && others.any(|(_, address)| !is_loopback(address));
    let is_told = !is_tcp || (is_reachable(place) && !is_private);
    is_told.then(|| place.clone())
}

fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_canonical().is_loopback(),
        Err(_) => host(address).eq_ignore_ascii_case("localhost"),
    }
}

fn is_any(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_unspecified()
}

/// Returns true if an address is a name that may lead to several machines.
fn may_lead_to_several(address: &str) -> bool {
    address.parse::<SocketAddr>().is_err() && !host(address).eq_ignore_ascii_case("localhost")
}

/// Returns true if a text may be the name of a host.
fn is_host_name(host: &str) -> bool {
    // An IPv6 address without brackets could end in a port or not.
    !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || ":[]/".contains(c))
}

/// The parts of an address: true if the host is every interface, and the port.
fn parts(address: &str) -> Result<(bool, u16), AddressFault> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Ok((is_any(&address), address.port()));
    }
    let is_number = address.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    match address.rsplit_once(':') {
        _ if is_number || is_host_name(address) => Err(AddressFault::NoPort),
        Some((host, "")) if is_host_name(host) => Err(AddressFault::NoPort),
        Some((host, port)) if is_host_name(host) => {
            let port = port.parse::<u16>().map_err(|_| AddressFault::NotHostAndPort)?;
            Ok((false, port))
        }
        _ => Err(AddressFault::NotHostAndPort),
    }
}

/// The first of these addresses that is known to be off loopback; names are looked at when they are
/// listened on, at the peer that does.
pub(in crate::driver) async fn first_public<'a>(
    transport: &dyn Transport,
    addresses: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    for address in addresses {
        let is_literal = address.parse::<SocketAddr>().is_ok();
        if is_literal && !transport.is_private(address).await.unwrap_or(true) {
            return Some(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressFault::{AnyInterface, AnyPort, Empty, NoPort, NotHostAndPort, TooLong};

    const NOTHING: Given<'static> = Given {
        members: &[],
        contacts: &[],
        across: &[],
        listen: None,
        advertise: None,
        is_tcp: true,
    };

    /// The faults of an address as a member's, to join at, of the other site, to advertise, and to
    /// listen on.
    fn faults(address: &str) -> [Option<AddressFault>; 5] {
        let fault = |given: Given<'_>| match &given.check()[..] {
            [] => None,
            [ConfigError::Address { fault, .. }] => Some(*fault),
            errors => panic!("{errors:?}"),
        };
        let members = [("a".into(), "x:1".to_owned()), ("b".into(), address.to_owned())];
        [
            fault(Given { members: &members, ..NOTHING }),
            fault(Given { contacts: &[address.to_owned()], ..NOTHING }),
            fault(Given { across: &[address.to_owned()], ..NOTHING }),
            fault(Given { advertise: Some(address), ..NOTHING }),
            fault(Given { listen: Some(address), ..NOTHING }),
        ]
    }

    #[test]
    fn all_addresses_are_checked_alike() {
        for usable in ["127.0.0.1:7101", "[::1]:7101", "localhost:7101", "no-such_host.example:1"] {
            assert_eq!(faults(usable), [None; 5], "{usable}");
        }
        for (unusable, fault) in [
            ("localhost", NoPort),
            ("10.0.0.1", NoPort),
            ("a:", NoPort),
            ("::1", NoPort),
            ("[::1]", NoPort),
            ("2001:db8::7101", NoPort),
            ("::nonsense::", NotHostAndPort),
            (":7101", NotHostAndPort),
            ("a:65536", NotHostAndPort),
            ("a b:1", NotHostAndPort),
            ("a/b:1", NotHostAndPort),
            ("a:0", AnyPort),
            ("127.0.0.1:0", AnyPort),
            ("[::]:0", AnyPort),
            ("0.0.0.0:00", AnyPort),
        ] {
            assert_eq!(faults(unusable), [Some(fault); 5], "{unusable}");
        }
        for any in ["0.0.0.0:7101", "[::]:7101", "[::ffff:0.0.0.0]:7101"] {
            let fault = Some(AnyInterface);
            assert_eq!(faults(any), [fault, fault, fault, fault, None], "{any}");
        }
        assert_eq!(faults(&"a".repeat(256)), [Some(TooLong); 5]);
        // Of a member it is told as that.
        assert_eq!(faults("")[1..], [Some(Empty); 4]);
    }

    #[test]
    fn a_members_own_place_is_told_where_the_others_can_reach_it() {
        let place = |own: &str, other: &str, is_tcp| {
            let members = [("a".into(), own.to_owned()), ("b".into(), other.to_owned())];
            own_place(&members.into(), &"a".into(), is_tcp)
        };
        let told = |own: &str, other| assert_eq!(place(own, other, true).as_deref(), Some(own));
        told("10.0.0.1:7101", "10.0.0.2:7101");
        told("a.example:7101", "127.0.0.1:7102");
        told("127.0.0.1:7101", "127.0.0.1:7102");
        told("localhost:7101", "[::1]:7102");
        for own in ["127.0.0.1:7101", "[::1]:7101", "LocalHost:7101", "[::ffff:127.0.0.1]:7101"] {
            assert_eq!(place(own, "10.0.0.2:7101", true), None, "{own}");
            assert_eq!(place(own, "b.example:7101", true), None, "{own}");
        }
        assert_eq!(place("127.0.0.1:0", "127.0.0.1:7102", true), None);
        assert_eq!(place("localhost", "b", false).as_deref(), Some("localhost"));
        assert_eq!(own_place(&BTreeMap::new(), &"a".into(), true), None);
    }

    #[test]
    fn a_group_of_one_may_leave_its_port_to_the_system() {
        let members = [("a".into(), "127.0.0.1:0".to_owned())];
        let given = Given { members: &members, listen: Some("0.0.0.0:0"), ..NOTHING };
        assert_eq!(given.check(), []);
        let given = Given { members: &members, advertise: Some("127.0.0.1:0"), ..NOTHING };
        assert_eq!(given.check().len(), 1, "it is told to whoever joins");
    }

    #[test]
    fn what_addresses_of_another_transport_look_like_is_its_own_affair() {
        let members =
            ["localhost", "0.0.0.0:0"].map(|address| (address.into(), address.to_owned()));
        let given = Given { members: &members, is_tcp: false, ..NOTHING };
        assert_eq!(given.check(), []);
        let long = "a".repeat(256);
        let given = Given { advertise: Some(&long), is_tcp: false, ..NOTHING };
        assert_eq!(given.check().len(), 1);
    }

    #[test]
    fn members_have_an_address_of_their_own_unless_it_is_a_name_of_several_machines() {
        let twice = |address: &str, is_tcp| {
            let addresses = [address, "y:1", address].into_iter().zip(["a", "b", "c"]);
            let members: Vec<_> =
                addresses.map(|(at, name)| (name.into(), at.to_owned())).collect();
            Given { members: &members, is_tcp, ..NOTHING }.check()
        };
        for (address, is_tcp) in [("127.0.0.1:1", true), ("Localhost:1", true), ("x:1", false)] {
            let first = "a".into();
            let second = "c".into();
            let error = ConfigError::SameAddress { first, second, address: address.to_owned() };
            assert_eq!(twice(address, is_tcp), [error]);
        }
        assert_eq!(twice("svc.example:1", true), []);
    }

    #[test]
    fn an_address_is_named_with_where_it_was_given_and_what_to_do() {
        let said = |given, address: &str, fault| {
            ConfigError::Address { given, address: address.to_owned(), fault }.to_string()
        };
        assert_eq!(
            said(AddressGiven::Advertise, "0.0.0.0:7101", AnyInterface),
            "the address \"0.0.0.0:7101\" in `.advertise(..)` stands for every interface of a \
             machine, and nobody reaches a peer there: name a host, and listen on all interfaces \
             by `.listen(..)`"
        );
        assert_eq!(
            said(AddressGiven::Member("b".into()), "b.example:0", AnyPort),
            "the address \"b.example:0\" of b in `.members(..)` has port 0, which nobody can \
             reach: name the port that is listened on"
        );
        assert_eq!(
            said(AddressGiven::Join, "b.example", NoPort),
            "the address \"b.example\" in `.join(..)` has no port: use the like of \
             host.example:7101, 192.0.2.1:7101 or [2001:db8::1]:7101"
        );
    }
}
