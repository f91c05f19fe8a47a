//! IPv4 addresses inside of IPv6 addresses: whom a translator or a tunnel speaks for.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The part of an IPv6 address that tells its holder apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// The IPv4 address that it carries.
    Address(Ipv4Addr),
    /// Nothing: it is of somebody who has many of them.
    Nothing,
    /// An IPv4 address in a place that only the translator knows: all of it.
    Somewhere,
}

impl Carried {
    /// Finds it by the prefixes that are set aside for translators and tunnels. IPv4 addresses that
    /// are written as IPv6 are none of these: they are IPv4 addresses.
    pub(crate) fn by(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, high, low] = address.segments();
        match [a, b, c, d, e, f] {
            // NAT64 (RFC 6052, section 2.1).
            [0x64, 0xff9b, 0, 0, 0, 0] => Self::Address(joined(high, low)),
            // NAT64 of a network of one's own (RFC 8215), nearly always as above. Where the prefix
            // is shorter than 96 bits zeros follow the address (RFC 6052, section 2.2).
            [0x64, 0xff9b, 1, ..] if high & 0xff == 0 && low == 0 => Self::Somewhere,
            [0x64, 0xff9b, 1, ..] => Self::Address(joined(high, low)),
            // 6to4 (RFC 3056, section 2): 65,536 networks of /64 for an IPv4 address.
            [0x2002, high, low, ..] => Self::Address(joined(high, low)),
            // Teredo (RFC 4380, section 4): all clients of a server in one /64, each bit of them
            // turned.
            [0x2001, 0, ..] => Self::Address(joined(!high, !low)),
            _ => Self::Nothing,
        }
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}
