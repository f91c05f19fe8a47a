//! Keys from a field of the request: API keys and credentials.

use http::header::{AUTHORIZATION, HOST, HeaderName, PROXY_AUTHORIZATION};
use http::request::Parts;

use crate::host::Host;
use crate::key::{KeyExtractor, NoKey, only};

/// A count for each value of a header field, such as an API key.
///
/// Nothing checks here that the value is genuine: put the layer inside of what does, or callers
/// that invent values get a count for each. Values are held by the peers of the group, in memory
/// and perhaps on disk, as they are: hash secrets in a [`from_fn`](crate::from_fn).
///
/// Bytes are compared as they are, without the white space around them, and with two exceptions. Of
/// `Authorization` and `Proxy-Authorization` the scheme counts in any case, and what separates it
/// from the rest in any length, so that `Bearer abc` and `bearer  abc` are one. `Host` is read as
/// [`Host`] does. Of `Basic` and `Digest` a caller can write the same credentials in several ways:
/// count those by who has logged in, as a layer outside found out.
///
/// A field that is not there is a missing key. One that comes twice or is empty is
/// [`NoKey::Unreadable`]: others may read the other value, or take it for none.
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use quorate_tower::{Header, Rule};
///
/// let rule = Rule::new("api", Header(HeaderName::from_static("x-api-key")));
/// # let _ = rule;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(pub HeaderName);

impl KeyExtractor for Header {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        let Self(name) = self;
        if *name == HOST {
            return Host.key(request);
        }
        let line = only(name, request)?
            .ok_or_else(|| NoKey::NotSent { what: format!("the field {name}").into() })?;
        let value = line.as_bytes().trim_ascii();
        if value.is_empty() {
            return Err(NoKey::Unreadable { what: format!("an empty field {name}").into() });
        }
        let has_scheme = *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION;
        Ok(if has_scheme { credentials(value) } else { value.to_vec() })
    }
}

/// Writes the scheme of credentials in one way (RFC 9110, section 11.1). A value without a scheme
/// is a token by itself, in which capitals count.
fn credentials(value: &[u8]) -> Vec<u8> {
    let Some(end) = value.iter().position(u8::is_ascii_whitespace) else { return value.to_vec() };
    let (scheme, rest) = value.split_at(end);
    [&scheme.to_ascii_lowercase(), &b" "[..], rest.trim_ascii_start()].concat()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn key(header: &Header, lines: &[(&str, &[u8])]) -> Result<Vec<u8>, NoKey> {
        let mut request = Request::builder();
        for (name, line) in lines {
            request = request.header(*name, *line);
        }
        header.key(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn a_field_is_a_key_if_it_comes_once() {
        let header = Header(HeaderName::from_static("x-api-key"));
        let said = |lines| key(&header, lines).map_err(|error| error.to_string());
        assert_eq!(said(&[("X-Api-Key", b"k1")]), Ok(b"k1".to_vec()));
        assert_eq!(said(&[("x-api-key", b" k 1\t")]), Ok(b"k 1".to_vec()));
        assert_eq!(said(&[("x-api-key", b"Bearer  \xff")]), Ok(b"Bearer  \xff".to_vec()));
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(said(&[]), error("the request lacks the field x-api-key"));
        let twice = [("x-api-key", &b"k1"[..]), ("x-api-key", b"k1")];
        assert_eq!(said(&twice), error("the request has the field x-api-key more than once"));
        assert_eq!(
            said(&[("x-api-key", b"\t")]),
            error("the request has an empty field x-api-key")
        );
    }

    #[test]
    fn credentials_are_written_in_one_way() {
        for header in [Header(AUTHORIZATION), Header(PROXY_AUTHORIZATION)] {
            let read = |line| key(&header, &[(header.0.as_str(), line)]).expect("a key");
            assert_eq!(read(b"BeaRer \t t0K en"), b"bearer t0K en");
            assert_eq!(read(b"t0Ken"), b"t0Ken");
            assert_eq!(read(b"Bearer \xff"), b"bearer \xff");
        }
    }
}
