//! The hops of a request, as proxies have written them, the nearest one first.
//!
//! ```text
//!   client 203.0.113.9 ──▶ proxy 10.0.0.1 ──▶ proxy 10.0.0.2 ──▶ socket
//!   X-Forwarded-For: (what the client sent), 203.0.113.9, 10.0.0.1
//!                                             read this way ◀──
//! ```
//!
//! Every proxy writes at the right end, so only what is left of an untrusted hop can be invented.
//! That is why everything here goes by bytes and from the right, and reads no further than it is
//! asked to: whatever a client wrote, text or not, ends at the comma of the proxy that appended to
//! it.

use std::iter::Rev;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, ValueIter};

use crate::hop::{Hop, forwarded, node};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The field to which the trusted proxies write the address of their client.
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
    pub(crate) fn name(&self) -> HeaderName {
        match self {
            Self::Forwarded => FORWARDED,
            Self::Single(name) => name.clone(),
            Self::XForwardedFor => X_FORWARDED_FOR,
        }
    }

    /// Reads the hops that the field names, the nearest one first.
    pub(crate) fn hops<'a>(&self, headers: &'a HeaderMap) -> Hops<'a> {
        let lines = headers.get_all(self.name()).iter().rev();
        match self {
            Self::Forwarded => Hops::List(List { lines, rest: None, has_quotations: true }),
            Self::Single(_) => Hops::Single(single(lines)),
            Self::XForwardedFor => Hops::List(List { lines, rest: None, has_quotations: false }),
        }
    }
}

type Lines<'a> = Rev<ValueIter<'a, HeaderValue>>;

/// The hops of a request, from the nearest one on, each read when it is asked for.
pub(crate) enum Hops<'a> {
    List(List<'a>),
    Single(Option<Hop>),
}

impl Iterator for Hops<'_> {
    type Item = Hop;

    fn next(&mut self) -> Option<Hop> {
        match self {
            Self::List(list) => list.next(),
            Self::Single(hop) => hop.take(),
        }
    }
}

/// Reads the hop of a field with one address. Of several lines one is the proxy's, and nobody knows
/// which; an empty one is no address either.
fn single(mut lines: Lines<'_>) -> Option<Hop> {
    let line = lines.next()?;
    Some(if lines.next().is_none() { node(line.as_bytes()) } else { Hop::Unreadable })
}

/// A list over several lines, read from its end.
pub(crate) struct List<'a> {
    lines: Lines<'a>,
    /// The part of the line under way that has not been read.
    rest: Option<&'a [u8]>,
    /// True if commas may stand within quotations, as in `Forwarded`.
    has_quotations: bool,
}

impl Iterator for List<'_> {
    type Item = Hop;

    fn next(&mut self) -> Option<Hop> {
        loop {
            let line = match self.rest.take() {
                Some(rest) => rest,
                None => self.lines.next()?.as_bytes(),
            };
            let comma = if self.has_quotations { last_comma(line) } else { last(b',', line) };
            self.rest = comma.map(|comma| &line[..comma]);
            let place = line[comma.map_or(0, |comma| comma + 1)..].trim_ascii();
            // Lists may have empty places (RFC 9110, section 5.6.1.2).
            if !place.is_empty() {
                return Some(if self.has_quotations { forwarded(place) } else { node(place) });
            }
        }
    }
}

fn last(wanted: u8, line: &[u8]) -> Option<usize> {
    line.iter().rposition(|byte| *byte == wanted)
}

/// Finds the last comma that stands outside of quotations, as seen from the right.
///
/// A proxy closes the quotations that it opens, so seen from there its own element ends where it
/// begins, whatever was left open further left.
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    for (index, byte) in line.iter().enumerate().rev() {
        match byte {
            // Inside, a mark opens the quotation, seen from here, unless it is escaped.
            b'"' if is_quoted => is_quoted = is_escaped(&line[..index]),
            b'"' => is_quoted = true,
            b',' if !is_quoted => return Some(index),
            _ => {}
        }
    }
    None
}

/// Returns true if a quotation mark that follows is part of what is quoted.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(field: &ProxyField, name: &'static str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).expect("a line"));
        }
        let written = |hop: Hop| match hop {
            Hop::Address(address) => address.to_string(),
            Hop::Unnamed => "unnamed".to_owned(),
            Hop::Unreadable => "?".to_owned(),
        };
        field.hops(&headers).map(written).collect::<Vec<_>>().join(" ")
    }

    fn listed(lines: &[&[u8]]) -> String {
        hops(&ProxyField::XForwardedFor, "x-forwarded-for", lines)
    }

    fn forwarded(lines: &[&[u8]]) -> String {
        hops(&ProxyField::Forwarded, "forwarded", lines)
    }

    #[test]
    fn the_nearest_hop_is_the_last_of_the_last_line() {
        let read = listed(&[b"1.1.1.1, 2.2.2.2", b"3.3.3.3,4.4.4.4"]);
        assert_eq!(read, "4.4.4.4 3.3.3.3 2.2.2.2 1.1.1.1");
        let read = forwarded(&[b"for=1.1.1.1, for=2.2.2.2", b"for=3.3.3.3"]);
        assert_eq!(read, "3.3.3.3 2.2.2.2 1.1.1.1");
    }

    #[test]
    fn a_hop_that_cannot_be_read_hides_no_other() {
        assert_eq!(
            listed(&[b"1.1.1.1", b"\xff,nonsense, unknown ,2.2.2.2"]),
            "2.2.2.2 unnamed ? ? 1.1.1.1"
        );
        assert_eq!(listed(&["\u{e4}".as_bytes()]), "?");
        let line = b"for=1.1.1.1, \xff, for=unknown, by=2.2.2.2, for";
        assert_eq!(forwarded(&[line]), "? unnamed unnamed ? 1.1.1.1");
    }

    #[test]
    fn empty_places_are_no_hops() {
        assert_eq!(listed(&[b"", b" , 1.1.1.1,,2.2.2.2, ", b","]), "2.2.2.2 1.1.1.1");
        assert_eq!(forwarded(&[b"for=1.1.1.1,, ,", b" "]), "1.1.1.1");
        assert_eq!(listed(&[]), "");
    }

    #[test]
    fn a_quotation_that_the_client_left_open_ends_where_the_proxy_begins() {
        for client in
            ["for=\"", "for=\"\\", "for=\"1.1.1.1", "for=1.1.1.1;x=\"a\\\"", "\\", "\"\"\""]
        {
            for (proxy, read) in [
                ("for=2.2.2.2", "2.2.2.2"),
                ("for=\"[2001:db8::2]:80\"", "2001:db8::2"),
                ("for=2.2.2.2;host=\"a\\\", for=3.3.3.3;b=\\\"\"", "2.2.2.2"),
            ] {
                for line in [format!("{client}, {proxy}"), format!("{client},{proxy} ")] {
                    assert_eq!(forwarded(&[line.as_bytes()]), format!("{read} ?"), "{line}");
                }
                let lines = [client.as_bytes(), proxy.as_bytes()];
                assert_eq!(forwarded(&lines), format!("{read} ?"), "{client}");
            }
        }
        assert_eq!(forwarded(&[b"for=\"a,b;c\", for=2.2.2.2"]), "2.2.2.2 ?");
    }

    #[test]
    fn a_field_with_one_address_that_comes_twice_is_unreadable() {
        let field = ProxyField::Single(HeaderName::from_static("x-real-ip"));
        assert_eq!(hops(&field, "x-real-ip", &[b"1.1.1.1"]), "1.1.1.1");
        for lines in
            [&[&b"1.1.1.1"[..], b"1.1.1.1"][..], &[b"1.1.1.1, 2.2.2.2"], &[b""], &[b"\xff"]]
        {
            assert_eq!(hops(&field, "x-real-ip", lines), "?");
        }
        assert_eq!(hops(&field, "x-forwarded-for", &[b"1.1.1.1"]), "");
    }
}
