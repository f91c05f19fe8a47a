//! What proxies say of whom they speak for: the hops of a request, the nearest one first.
//!
//! ```text
//!   client 203.0.113.9 ──▶ proxy 10.0.0.1 ──▶ proxy 10.0.0.2 ──▶ socket
//!   X-Forwarded-For: (what the client sent), 203.0.113.9, 10.0.0.1
//!                                             read this way ◀──
//! ```
//!
//! Every proxy writes at the right end, so only what is left of an untrusted hop can be invented.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which field the trusted proxies write the address of their client to.
///
/// One and no other: a field that the proxies do not write is passed through by them as the client
/// sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyField {
    /// `Forwarded` (RFC 7239), to which each proxy appends.
    Forwarded,
    /// A field with one address, which a proxy overwrites: `X-Real-IP`, `CF-Connecting-IP`.
    Single(HeaderName),
    /// `X-Forwarded-For`, to which each proxy appends.
    #[default]
    XForwardedFor,
}

impl ProxyField {
    /// The hops that the field names, the nearest one first; `None` for one that cannot be read.
    pub(crate) fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        match self {
            Self::Forwarded => lines(headers, &FORWARDED).flat_map(forwarded_hops).collect(),
            Self::Single(name) => match &*lines(headers, name).collect::<Vec<_>>() {
                [] => Vec::new(),
                [line] => vec![line.and_then(hop)],
                // One of them is of the proxy, and which one nobody knows.
                _ => vec![None],
            },
            Self::XForwardedFor => lines(headers, &X_FORWARDED_FOR).flat_map(listed_hops).collect(),
        }
    }
}

/// The lines of a field, the last one first; `None` for one that is no text.
fn lines<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
    let text = |line: &'a HeaderValue| std::str::from_utf8(line.as_bytes()).ok();
    headers.get_all(name).iter().rev().map(text)
}

fn listed_hops(line: Option<&str>) -> Vec<Option<IpAddr>> {
    let Some(line) = line else { return vec![None] };
    // Lists may have empty places (RFC 9110, section 5.6.1.2).
    line.rsplit(',').filter(|place| !place.trim().is_empty()).map(hop).collect()
}

fn forwarded_hops(line: Option<&str>) -> Vec<Option<IpAddr>> {
    // A client that opens a quotation and does not close it makes text of what the proxy appends.
    let Some(places) = line.and_then(|line| unquoted_parts(line, ',')) else { return vec![None] };
    let places = places.into_iter().rev().filter(|place| !place.trim().is_empty());
    places.map(forwarded_hop).collect()
}

/// The one `for=` of an element of `Forwarded`.
fn forwarded_hop(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in unquoted_parts(element, ';')? {
        let Some((name, value)) = pair.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    hop(quoted.unwrap_or(value))
}

/// The parts between separators that stand outside of quotations; `None` if one does not end.
fn unquoted_parts(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        } else if c == separator && !is_quoted {
            parts.push(&text[start..index]);
            start = index + c.len_utf8();
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// An address as proxies write it: by itself, with a port, or in brackets.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
        .or_else(|| in_brackets().map(IpAddr::V6))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(field: &ProxyField, name: &'static str, lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).expect("a line"));
        }
        let written =
            |hop: Option<IpAddr>| hop.map_or_else(|| "?".to_owned(), |hop| hop.to_string());
        field.hops(&headers).into_iter().map(written).collect()
    }

    fn listed(lines: &[&str]) -> Vec<String> {
        hops(&ProxyField::XForwardedFor, "x-forwarded-for", lines)
    }

    fn forwarded(lines: &[&str]) -> Vec<String> {
        hops(&ProxyField::Forwarded, "forwarded", lines)
    }

    #[test]
    fn the_nearest_hop_is_the_last_of_the_last_line() {
        assert_eq!(
            listed(&["1.1.1.1, 2.2.2.2", "3.3.3.3,4.4.4.4"]).join(" "),
            "4.4.4.4 3.3.3.3 2.2.2.2 1.1.1.1"
        );
        assert_eq!(
            forwarded(&["for=1.1.1.1, for=2.2.2.2", "for=3.3.3.3"]).join(" "),
            "3.3.3.3 2.2.2.2 1.1.1.1"
        );
    }

    #[test]
    fn addresses_are_read_in_all_the_ways_that_proxies_write_them() {
        let line = "1.1.1.1:80, [2001:db8::1]:443, [2001:db8::2], 2001:db8::3 , ::ffff:5.5.5.5";
        let read = "5.5.5.5 2001:db8::3 2001:db8::2 2001:db8::1 1.1.1.1";
        assert_eq!(listed(&[line]).join(" "), read);
        let line =
            "For=1.1.1.1:80;proto=http;by=9.9.9.9, proto=https ; for = \"[2001:db8::1]:443\"";
        assert_eq!(forwarded(&[line]).join(" "), "2001:db8::1 1.1.1.1");
    }

    #[test]
    fn what_is_no_address_is_unknown_and_empty_places_are_none() {
        assert_eq!(listed(&["", " , 1.1.1.1,,unknown, "]).join(" "), "? 1.1.1.1");
        assert_eq!(listed(&["\u{e4}"]).join(" "), "?");
        assert_eq!(forwarded(&["for=unknown, for=_hidden, by=1.1.1.1, for"]).join(" "), "? ? ? ?");
        assert_eq!(forwarded(&["for=1.1.1.1;for=2.2.2.2"]).join(" "), "?");
    }

    #[test]
    fn a_quotation_that_the_client_left_open_hides_no_hop() {
        for client in ["for=\"", "for=\"\\", "for=\"1.1.1.1", "for=1.1.1.1;x=\"a\\\""] {
            for proxy in ["for=2.2.2.2", "for=\"[2001:db8::2]:80\""] {
                assert_eq!(forwarded(&[&format!("{client}, {proxy}")]).join(" "), "?", "{client}");
                // A proxy that adds a line of its own is read all the same.
                assert_eq!(forwarded(&[client, proxy]).len(), 2);
            }
        }
        assert_eq!(forwarded(&["for=\"a,b;c\", for=2.2.2.2"]).join(" "), "2.2.2.2 ?");
    }

    #[test]
    fn a_field_with_one_address_that_comes_twice_is_unknown() {
        let field = ProxyField::Single(HeaderName::from_static("x-real-ip"));
        assert_eq!(hops(&field, "x-real-ip", &["1.1.1.1"]).join(" "), "1.1.1.1");
        assert_eq!(hops(&field, "x-real-ip", &["1.1.1.1", "2.2.2.2"]).join(" "), "?");
        assert_eq!(hops(&field, "x-real-ip", &["1.1.1.1, 2.2.2.2"]).join(" "), "?");
        assert!(hops(&field, "x-forwarded-for", &["1.1.1.1"]).is_empty());
    }
}
