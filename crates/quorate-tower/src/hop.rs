//! One hop of a request, as a proxy has written it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest word for a hop that is read; addresses with all that may stand around them are
/// shorter.
const MAX_NODE_BYTES: usize = 256;
/// The longest name of an interface behind a `%`.
const MAX_ZONE_BYTES: usize = 32;

/// The client of a proxy, as the proxy tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// A client at this address.
    Address(IpAddr),
    /// A client that the proxy does not name.
    Unnamed,
    /// Something that is no hop.
    Unreadable,
}

impl Hop {
    /// Makes the hop of an address: IPv4 that is written as IPv6 is IPv4.
    fn at(address: impl Into<IpAddr>) -> Self {
        Self::Address(address.into().to_canonical())
    }
}

/// Reads the hop of an element of `Forwarded` (RFC 7239, section 4): its one `for`. Spaces around
/// separators are let pass, and IPv6 addresses without quotation marks, for there are proxies that
/// write them.
pub(crate) fn forwarded(element: &[u8]) -> Hop {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        let Some((pair, after)) = pair(rest) else { return Hop::Unreadable };
        rest = after;
        let Some((name, value)) = pair else { continue };
        // Of two, others may believe the one that is not believed here.
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return Hop::Unreadable;
        }
    }
    match found {
        Some(Value::Plain(text)) => node(text),
        Some(Value::Quoted(text)) => node(&unescaped(text)),
        None => Hop::Unnamed,
    }
}

/// The value of a pair; of a quotation, what stands between its marks.
enum Value<'a> {
    Plain(&'a [u8]),
    Quoted(&'a [u8]),
}

type Pair<'a> = (&'a [u8], Value<'a>);

/// Reads the first pair and returns what follows it; no pair if its place is empty, and `None` if
/// it is malformed.
fn pair(text: &[u8]) -> Option<(Option<Pair<'_>>, &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.trim_ascii();
    let Some(value) = rest.strip_prefix(b"=") else {
        return name.is_empty().then(|| (None, rest.get(1..).unwrap_or_default()));
    };
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let (value, behind) = value_of(value.trim_ascii_start())?;
    let next = match behind.trim_ascii_start() {
        [] => &[],
        [b';', next @ ..] => next,
        _ => return None,
    };
    Some((Some((name, value)), next))
}

fn value_of(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| matches!(byte, b';' | b'"' | b' ' | b'\t'));
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        return Some((Value::Plain(value), rest));
    };
    let mut is_escaped = false;
    for (index, byte) in quoted.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((Value::Quoted(&quoted[..index]), &quoted[index + 1..])),
            _ => {}
        }
    }
    // It was never closed.
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Removes the backslashes that stand in front of characters of a quotation.
fn unescaped(quoted: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(quoted.len().min(MAX_NODE_BYTES + 1));
    let mut bytes = quoted.iter();
    // Longer than any is too long; how much longer does not matter.
    while let Some(byte) = bytes.next().filter(|_| text.len() <= MAX_NODE_BYTES) {
        let is_escape = *byte == b'\\';
        text.push(if is_escape { bytes.next().copied().unwrap_or(b'\\') } else { *byte });
    }
    text
}

/// Reads a hop as proxies write it (RFC 7239, section 6): an address by itself, with a port, or in
/// brackets, or a word that stands for one.
pub(crate) fn node(bytes: &[u8]) -> Hop {
    let bytes = bytes.trim_ascii();
    if bytes.len() > MAX_NODE_BYTES {
        return Hop::Unreadable;
    }
    // Whatever is no text is no address either.
    let Ok(text) = str::from_utf8(bytes) else { return Hop::Unreadable };
    if let Some(address) = v6(text) {
        return Hop::at(address);
    }
    let end = match text.strip_prefix('[') {
        Some(_) => text.find(']').map_or(text.len(), |end| end + 1),
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(end);
    // What nginx writes of a client on a socket of the file system, which has no address.
    if (name, port) == ("unix", ":") {
        return Hop::Unnamed;
    }
    if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return Hop::Unreadable;
    }
    if let Some(inner) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return v6(inner).map_or(Hop::Unreadable, Hop::at);
    }
    match name.parse::<Ipv4Addr>() {
        Ok(address) => Hop::at(address),
        Err(_) if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) => Hop::Unnamed,
        Err(_) => Hop::Unreadable,
    }
}

/// Reads an IPv6 address; one of a link may have its interface behind it, which is nothing to count
/// by.
fn v6(text: &str) -> Option<Ipv6Addr> {
    let Some((address, zone)) = text.split_once('%') else { return text.parse().ok() };
    let is_zone = (1..=MAX_ZONE_BYTES).contains(&zone.len())
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let address: Ipv6Addr = address.parse().ok()?;
    (is_zone && address.is_unicast_link_local()).then_some(address)
}

fn is_port(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    is_number || is_obfuscated(text)
}

/// Returns true for a word that a proxy has made up in place of an address or a port (RFC 7239,
/// section 6.3).
fn is_obfuscated(text: &str) -> bool {
    let Some(word) = text.strip_prefix('_') else { return false };
    !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(hop: Hop) -> String {
        match hop {
            Hop::Address(address) => address.to_string(),
            Hop::Unnamed => "unnamed".to_owned(),
            Hop::Unreadable => "?".to_owned(),
        }
    }

    #[test]
    fn addresses_are_read_in_all_the_ways_that_proxies_write_them() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1:80\t", "192.0.2.1"),
            ("192.0.2.1:_hidden", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:c000:201]:80", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%2]:80", "fe80::1"),
        ] {
            assert_eq!(written(node(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn words_in_the_place_of_an_address_name_nobody() {
        for text in
            ["unknown", "UNKNOWN", "unknown:80", "_hidden", "_a.b-c:_d", "_hidden:80", "unix:"]
        {
            assert_eq!(node(text.as_bytes()), Hop::Unnamed, "{text}");
        }
    }

    #[test]
    fn what_is_no_hop_is_unreadable() {
        let long = format!("_{}", "a".repeat(MAX_NODE_BYTES));
        for text in [
            "",
            "_",
            "_hid den",
            "hidden",
            "unknown:",
            "unix:/run/a",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.256",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:+80",
            "192.0.2.1:80:80",
            "192.0.2.1/24",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "2001:db8::1%eth0",
            "fe80::1%",
            "fe80::1%a%b",
            "1:2:3:4:5:6:7:8:80",
            "\u{661}92.0.2.1",
            "192.0.2.1 192.0.2.2",
            &long,
        ] {
            assert_eq!(node(text.as_bytes()), Hop::Unreadable, "{text}");
        }
        assert_eq!(node(b"192.0.2.1\xff"), Hop::Unreadable);
    }

    #[test]
    fn an_element_has_one_for_and_may_have_more() {
        for (element, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=192.0.2.1:80;proto=http;by=9.9.9.9", "192.0.2.1"),
            ("proto=https ; for = \"[2001:db8::1]:443\"", "2001:db8::1"),
            ("for=[2001:db8::1]:443", "2001:db8::1"),
            ("for=\"192\\.0.2.1\";host=\"a;b,c\\\"for=6.6.6.6\"", "192.0.2.1"),
            (";;for=192.0.2.1;", "192.0.2.1"),
            ("host=;for=192.0.2.1", "192.0.2.1"),
            ("by=192.0.2.1;host=example.org", "unnamed"),
            (";", "unnamed"),
            ("for=\"_gazonk\"", "unnamed"),
            ("for=192.0.2.1;FOR=192.0.2.1", "?"),
            ("for", "?"),
            ("for=", "?"),
            ("for=\"\"", "?"),
            ("=192.0.2.1", "?"),
            ("f\u{f6}r=192.0.2.1", "?"),
            ("x for=192.0.2.1", "?"),
            ("for=192.0.2.1 for=192.0.2.2", "?"),
            ("for=\"192.0.2.1\"x", "?"),
            ("for=\"192.0.2.1", "?"),
            ("for=192.0.2.1\"", "?"),
            ("for=\"192.0.2.1\\\"", "?"),
            ("host=\"a;for=192.0.2.1", "?"),
        ] {
            assert_eq!(written(forwarded(element.as_bytes())), expected, "{element}");
        }
    }
}
