//! The bodies of the fuzz targets for fields of requests, which a test runs as well. Each takes any
//! bytes, as the lines of a field, and panics only if a promise of this crate is broken.

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Uri};
use quorate_ratelimit::Key;

use crate::address::{ClientAddress, PeerAddress};
use crate::demand::items_of;
use crate::forwarded::ProxyField;
use crate::header::Header;
use crate::host::Host;
use crate::key::{KeyExtractor, NoKey};
use crate::network::Network;
use crate::path::Path;
use crate::rule::{MissingKey, Rule};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const PROXY: [u8; 4] = [10, 0, 0, 2];
const STRANGER: [u8; 4] = [192, 0, 2, 1];

/// Checks that, whatever a client writes into the field of a proxy, it is who the proxy says, or
/// who its socket says; and without a proxy that appends, it is nobody rather than the proxy.
pub fn proxy_fields(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|it| is_line(it)).collect();
    for (field, name, appended) in [
        (ProxyField::XForwardedFor, X_FORWARDED_FOR, &["192.0.2.1", "192.0.2.1:80, 10.0.0.1"][..]),
        (
            ProxyField::Forwarded,
            FORWARDED,
            &["for=192.0.2.1", "host=\"a,\\\"\";for=\"192.0.2.1:80\""],
        ),
        (ProxyField::Single(X_REAL_IP), X_REAL_IP, &[]),
    ] {
        let client = ClientAddress::new().trusted_proxies(Network::PRIVATE).field(field);
        assert_eq!(client.key(&request(STRANGER, &name, &lines)), Ok(b"192.0.2.1".to_vec()));
        for appended in appended {
            let mut lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
            lines.push(appended.as_bytes().to_vec());
            // As a line of its own, and behind the last one of the client's.
            is_the_stranger(&client, &name, &lines);
            let appended = lines.pop().unwrap_or_default();
            let mut last = lines.pop().unwrap_or_default();
            last.extend([b", ", &*appended].concat());
            lines.push(last);
            is_the_stranger(&client, &name, &lines);
        }
        if client.key(&request(PROXY, &name, &lines)) == Ok(b"10.0.0.2".to_vec()) {
            // Its address was written there, in one of its forms, or nothing was.
            let mut parts = lines.iter().flat_map(|line| line.windows(4));
            let is_said = parts.any(|part| part == b"10.0" || part == b"a00:");
            let is_blank = lines.concat().iter().all(|byte| b", \t".contains(byte));
            assert!(is_said || is_blank, "{lines:?} is the proxy");
        }
        // A chain of proxies that are all believed ends as well.
        let everybody = ["0.0.0.0/0", "::/0"].map(|all| all.parse::<Network>());
        let believing = client.trusted_proxies(everybody.into_iter().flatten());
        _ = believing.key(&request(PROXY, &name, &lines));
    }
}

fn is_the_stranger(client: &ClientAddress, name: &HeaderName, lines: &[Vec<u8>]) {
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    let key = client.key(&request(PROXY, name, &lines));
    assert_eq!(key, Ok(b"192.0.2.1".to_vec()), "{lines:?}");
}

/// Checks that a key is the same however it is written, is told apart from what it is not, and is
/// never longer than a key may be.
pub fn request_keys(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|it| is_line(it)).collect();
    for (extractor, name) in [
        (Header(X_API_KEY), X_API_KEY),
        (Header(AUTHORIZATION), AUTHORIZATION),
        (Header(HOST), HOST),
    ] {
        let parts = request(STRANGER, &name, &lines);
        match (extractor.key(&parts), &*lines) {
            (Ok(key), [line]) => is_written_once(&extractor, &name, line, &key),
            (Err(NoKey::NotSent { .. }), []) | (Err(NoKey::Unreadable { .. }), [..]) => {}
            (other, _) => panic!("{other:?} of {lines:?}"),
        }
        for missing in [MissingKey::Refuse, MissingKey::Share, MissingKey::Skip] {
            let rule = Rule::new("api", extractor.clone()).missing_key(missing);
            let items = items_of(&[rule], &parts).unwrap_or_default();
            assert!(items.iter().all(|item| item.key.len() <= Key::MAX_BYTES));
            assert!(items.is_empty() || lines.len() < 2, "{lines:?} are no key, nor none");
        }
    }
    lines.iter().for_each(|line| paths(line));
    if let [first, second, ..] = &*lines {
        pairs(first, second);
    }
}

/// Checks that the key of a line is that of its key, and of the line in capitals where those mean
/// nothing.
fn is_written_once(extractor: &Header, name: &HeaderName, line: &[u8], key: &[u8]) {
    let again = |line: &[u8]| extractor.key(&request(STRANGER, name, &[line]));
    assert_eq!(again(key).as_deref(), Ok(key));
    assert_eq!(again(&[b" \t", line, b" "].concat()).as_deref(), Ok(key));
    if *name == HOST {
        assert_eq!(again(&line.to_ascii_uppercase()).as_deref(), Ok(key));
        let target = std::str::from_utf8(line).ok().and_then(|host| host.parse::<Uri>().ok());
        let mut parts = request(STRANGER, name, &[line]);
        if let Some(target) = target.filter(|target| target.host().is_some()) {
            parts.uri = target;
            assert_eq!(Host.key(&parts).as_deref(), Ok(key), "the target is written as the field");
        }
    } else if *name == AUTHORIZATION && key.contains(&b' ') {
        let end = key.iter().position(|byte| *byte == b' ').unwrap_or(key.len());
        let capitals = [&key[..end].to_ascii_uppercase(), &b"\t"[..], &key[end..]].concat();
        assert_eq!(again(&capitals).as_deref(), Ok(key));
    } else {
        assert_eq!(key, line.trim_ascii());
    }
}

fn paths(line: &[u8]) {
    let key = |line: &[u8]| {
        let mut parts = request(STRANGER, &HOST, &[]);
        parts.uri = Uri::try_from(line).ok()?;
        Path.key(&parts).ok()
    };
    let Some(written) = key(line) else { return };
    let mut segments = written.split(|byte| *byte == b'/');
    let has_dots = segments.any(|segment| segment == b"." || segment == b"..");
    assert!(!written.starts_with(b"/") || !has_dots);
    // What is no target any more, for its length, is none.
    if let Some(again) = key(&written) {
        assert_eq!(again, written);
    }
}

/// Checks that both keys can be read from a pair: no other pair is written in that way.
fn pairs(first: &[u8], second: &[u8]) {
    let mut parts = request(STRANGER, &X_API_KEY, &[first]);
    let both = (Header(X_API_KEY), Header(X_REAL_IP));
    if let Ok(line) = HeaderValue::from_bytes(second) {
        parts.headers.insert(X_REAL_IP, line);
    }
    let Ok(first) = both.0.key(&parts) else { return };
    let Ok(second) = both.1.key(&parts) else { return };
    let pair = both.key(&parts).expect("both are there");
    let colon = pair.iter().position(|byte| *byte == b':').expect("a length comes first");
    let length = std::str::from_utf8(&pair[..colon]).ok().and_then(|it| it.parse().ok());
    assert_eq!(length, Some(first.len()));
    assert_eq!(pair[colon + 1..], [first, second].concat());
}

/// Returns true if a server takes this as the line of a field.
fn is_line(line: &[u8]) -> bool {
    HeaderValue::from_bytes(line).is_ok()
}

fn request(from: [u8; 4], name: &HeaderName, lines: &[&[u8]]) -> Parts {
    let mut parts = Request::new(()).into_parts().0;
    for line in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        parts.headers.append(name, line);
    }
    parts.extensions.insert(PeerAddress(SocketAddr::from((from, 4711))));
    parts
}
