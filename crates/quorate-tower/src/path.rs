//! Keys from the path of the request.

use http::request::Parts;

use crate::key::{KeyExtractor, NoKey};

/// A count for each path, without the query.
///
/// Ways to write one path that mean the same everywhere (RFC 3986, section 6.2.2) are one: `/a`,
/// `/%61` and `/b/../a`. What servers may tell apart is told apart: `/a/`, `/A`, `/a%2Fb`, `//a`. A
/// request without a path (`CONNECT`) has no key.
///
/// Callers choose how many paths there are. Where paths have parameters, or lead nowhere, count by
/// the route instead; in axum by `MatchedPath`, in a [`from_fn`](crate::from_fn) and a
/// `route_layer`. In a nested router the path lacks what the outer one has matched.
///
/// # Examples
///
/// ```
/// use axum::extract::MatchedPath;
/// use quorate_tower::{Rule, from_fn};
///
/// let by_route = from_fn(|request| {
///     request.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned())
/// });
/// let rule = Rule::new("route", by_route);
/// # let _ = rule;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path;

impl KeyExtractor for Path {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        match request.uri.path() {
            "" => Err(NoKey::NotSent { what: "a path".into() }),
            path => Ok(normalized(path)),
        }
    }
}

/// A count for each method and path, as [`Path`] has them.
///
/// # Examples
///
/// ```
/// use quorate_tower::{ClientAddress, MethodAndPath, Rule};
///
/// let each_client_and_call = Rule::new("calls", (ClientAddress::new(), MethodAndPath));
/// # let _ = each_client_and_call;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodAndPath;

impl KeyExtractor for MethodAndPath {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        let path = Path.key(request)?;
        // No method has a space in it.
        Ok([request.method.as_str().as_bytes(), b" ", &path].concat())
    }
}

/// Returns the one way to write a path.
fn normalized(path: &str) -> Vec<u8> {
    if !path.contains('%') && !path.contains("/.") {
        return path.into();
    }
    without_dots(decoded(path.as_bytes()))
}

/// Decodes characters that need no encoding, and writes the digits of all others as capitals. A
/// percent sign that encodes nothing is encoded itself, or it would encode whatever comes to stand
/// behind it.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let byte = digit(*high) << 4 | digit(*low);
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    written.push(byte);
                } else {
                    written.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                }
                rest = after;
            }
            (b'%', _) => written.extend(b"%25"),
            _ => written.push(*byte),
        }
    }
    written
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => hex.to_ascii_lowercase() - b'a' + 10,
    }
}

/// Removes `.` and `..` (RFC 3986, section 5.2.4). What does not begin with a slash is no path,
/// such as the `*` of `OPTIONS`.
fn without_dots(path: Vec<u8>) -> Vec<u8> {
    let Some(inner) = path.strip_prefix(b"/") else { return path };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut is_folder = false;
    for segment in inner.split(|byte| *byte == b'/') {
        is_folder = segment == b"." || segment == b"..";
        match segment {
            b"." => {}
            b".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    // `/a/.` is `/a/`: the slash at the end stays.
    if is_folder {
        kept.push(b"");
    }
    [b"/", &*kept.join(&b'/')].concat()
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_without_their_query() {
        let request = Request::post("http://example.org/a/b?c=d").body(()).expect("a request");
        let parts = request.into_parts().0;
        assert_eq!(Path.key(&parts), Ok(b"/a/b".to_vec()));
        assert_eq!(MethodAndPath.key(&parts), Ok(b"POST /a/b".to_vec()));
    }

    #[test]
    fn a_request_without_a_path_has_no_key() {
        let request = Request::builder().method(Method::CONNECT).uri("example.org:443").body(());
        let parts = request.expect("a request").into_parts().0;
        assert!(matches!(Path.key(&parts), Err(NoKey::NotSent { .. })));
        assert!(matches!(MethodAndPath.key(&parts), Err(NoKey::NotSent { .. })));
    }

    #[test]
    fn paths_are_written_in_one_way() {
        for (path, expected) in [
            ("/", "/"),
            ("*", "*"),
            ("/%7euser/%e4%2f", "/~user/%E4%2F"),
            ("/%2561", "/%2561"),
            ("/100%/%4/%zz%", "/100%25/%254/%25zz%25"),
            ("/%%61%61", "/%25aa"),
            ("/.", "/"),
            ("/..", "/"),
            ("/a/../..//b/.", "//b/"),
            ("/a//../b", "/a/b"),
            ("/.a/..b/c..", "/.a/..b/c.."),
        ] {
            assert_eq!(normalized(path).escape_ascii().to_string(), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_in_one_way_stays(path in "/([./%]|%2[eEfF]|%6[0-9]|[a-c]){0,12}") {
            let once = normalized(&path);
            let again = std::str::from_utf8(&once).expect("text stays text");
            prop_assert_eq!(normalized(again), once.clone());
        }
    }
}
