//! What a request is counted by.

use std::borrow::Cow;
use std::fmt;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;

quorate::told_to_people! { NoKey }

/// Finds what a request is counted by; each key has a count of its own.
///
/// A pair of them, `(ClientAddress::new(), Path)`, has a count for each pair of keys.
///
/// The keys of one limit are one space, whichever rule has found them: an API key that reads
/// `192.0.2.1` and a client at that address share a count if both are counted under one limit. Give
/// each kind of key a limit of its own.
///
/// # Examples
///
/// ```
/// use http::request::Parts;
/// use quorate_tower::{KeyExtractor, NoKey};
///
/// /// Who has logged in, as a layer outside found out.
/// #[derive(Clone)]
/// struct User(String);
///
/// struct ByUser;
///
/// impl KeyExtractor for ByUser {
///     fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
///         match request.extensions.get::<User>() {
///             Some(User(name)) => Ok(name.clone().into_bytes()),
///             None => Err(NoKey::NotSent { what: "a login".into() }),
///         }
///     }
/// }
/// ```
pub trait KeyExtractor: Send + Sync + 'static {
    /// Returns the key: any bytes, up to [`Key::MAX_BYTES`](quorate_ratelimit::Key::MAX_BYTES) of
    /// them. A request with a longer one is refused, for a caller could choose it.
    ///
    /// # Errors
    ///
    /// If there is none; then [`MissingKey`](crate::MissingKey) of the rule decides.
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey>;
}

/// The reason why a request has no key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoKey {
    /// The caller did not send what the key is made of.
    NotSent {
        /// The thing that is missing, worded to follow "the request lacks".
        what: Cow<'static, str>,
    },
    /// The service does not supply what the key is made of: no caller can mend that.
    NotSupplied {
        /// The thing that is missing, worded to follow "the service lacks".
        what: Cow<'static, str>,
    },
    /// The caller sent something in place of the key that is none: it is refused, whatever
    /// [`MissingKey`](crate::MissingKey) says. Otherwise a caller would choose by what it sends
    /// whom it counts as.
    Unreadable {
        /// The thing that was sent, worded to follow "the request has". Never its bytes.
        what: Cow<'static, str>,
    },
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { what } => write!(f, "the request lacks {what}"),
            Self::NotSupplied { what } => write!(f, "the service lacks {what}"),
            Self::Unreadable { what } => write!(f, "the request has {what}"),
        }
    }
}

impl std::error::Error for NoKey {}

/// One count that all requests share.
///
/// # Examples
///
/// ```
/// use quorate_tower::{AllCallers, Rule};
///
/// let all_together = Rule::new("total", AllCallers);
/// # let _ = all_together;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllCallers;

impl KeyExtractor for AllCallers {
    fn key(&self, _request: &Parts) -> Result<Vec<u8>, NoKey> {
        Ok(Vec::new())
    }
}

/// Makes two keys one. The length of the first stands in front, so that no two pairs are alike.
impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for (A, B) {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        let first = self.0.key(request)?;
        let second = self.1.key(request)?;
        let mut key = format!("{}:", first.len()).into_bytes();
        key.extend([first, second].concat());
        Ok(key)
    }
}

/// Counts by whatever a closure finds in a request; `None` if there is no key. An empty key is
/// refused as [`NoKey::Unreadable`]: a field that was sent empty is no key, and would be one that
/// all who send it share. What all are to share is [`AllCallers`].
///
/// Of two texts that callers choose make a pair of extractors and not one text: `"a-b"` and `"c"`
/// with a dash between them are `"a"` and `"b-c"`. For what callers send in a field there is
/// [`Header`](crate::Header), for the host [`Host`](crate::Host).
///
/// # Examples
///
/// ```
/// use quorate_tower::{Rule, from_fn};
///
/// /// Whose request it is, as a layer outside found out.
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// let by_tenant = from_fn(|request| {
///     request.extensions.get().map(|Tenant(name)| name.clone())
/// });
/// let rule = Rule::new("tenant", by_tenant);
/// # let _ = rule;
/// ```
pub fn from_fn<K: Into<Vec<u8>> + 'static>(
    key: impl Fn(&Parts) -> Option<K> + Send + Sync + 'static,
) -> impl KeyExtractor {
    FromFn(move |request: &Parts| key(request).map(Into::into))
}

struct FromFn<F>(F);

impl<F> KeyExtractor for FromFn<F>
where
    F: Fn(&Parts) -> Option<Vec<u8>> + Send + Sync + 'static,
{
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        match self.0(request) {
            Some(key) if key.is_empty() => Err(NoKey::Unreadable { what: "an empty key".into() }),
            Some(key) => Ok(key),
            None => Err(NoKey::NotSent { what: "a key".into() }),
        }
    }
}

/// Returns the one line of a field, if there is any.
///
/// Of several lines no one knows which the service inside goes by: that is no key.
pub(crate) fn only<'a>(
    name: &HeaderName,
    request: &'a Parts,
) -> Result<Option<&'a HeaderValue>, NoKey> {
    let mut lines = request.headers.get_all(name).iter();
    let line = lines.next();
    match lines.next() {
        Some(_) => {
            Err(NoKey::Unreadable { what: format!("the field {name} more than once").into() })
        }
        None => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request() -> Parts {
        Request::post("/").body(()).expect("a request").into_parts().0
    }

    #[test]
    fn all_share_the_empty_key() {
        assert_eq!(AllCallers.key(&request()), Ok(Vec::new()));
    }

    #[test]
    fn no_two_pairs_are_alike() {
        let pair = |a: &'static str, b: &'static str| {
            (from_fn(move |_| Some(a)), from_fn(move |_| Some(b))).key(&request())
        };
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
        assert_ne!(pair("1:", "a"), pair("1", ":a"));
        assert_eq!(pair("alice", "/"), Ok(b"5:alice/".to_vec()));
        let none = (AllCallers, from_fn(|_| None::<String>)).key(&request());
        assert!(matches!(none, Err(NoKey::NotSent { .. })));
    }

    /// All who sent nothing in a field had one count, and so could use up that of the others.
    #[test]
    fn an_empty_key_is_none() {
        let key = from_fn(|request| Some(request.headers.get("x-api-key")?.as_bytes().to_vec()));
        let of = |value: &'static str| {
            let request = Request::post("/").header("x-api-key", value);
            key.key(&request.body(()).expect("a request").into_parts().0)
        };
        assert_eq!(of("k1"), Ok(b"k1".to_vec()));
        let error = of("").expect_err("nothing is no key");
        assert_eq!(error.to_string(), "the request has an empty key");
        assert!(matches!(error, NoKey::Unreadable { .. }));
        assert!((AllCallers, key).key(&request()).is_err());
    }
}
