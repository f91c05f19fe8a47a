//! The fields of responses: which, and beside those that are there already.

use std::time::SystemTime;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use quorate_ratelimit::{Decision, HeaderStyle, RateLimiter, retry_after_seconds};

/// The fields of the IETF's draft are lists: each limit that was asked may have a place in them.
const LISTS: [&str; 2] = ["ratelimit", "ratelimit-policy"];

/// Writes the fields of a decision under a limit in these styles. `Retry-After` is among them
/// whenever it denies.
pub(crate) fn fields_of(
    limiter: &RateLimiter,
    limit: &str,
    decision: &Decision,
    styles: &[HeaderStyle],
) -> HeaderMap {
    let mut fields = HeaderMap::new();
    if let Some(seconds) = decision.retry_after.map(retry_after_seconds) {
        fields.insert(RETRY_AFTER, seconds.into());
    }
    // A client holds none of the group's limits but those of its code: of the others it knows that
    // much.
    let Some(known) = limiter.limits().get(limit) else { return fields };
    let now = now();
    for style in styles {
        for (name, value) in decision.headers(limit, &known, *style, now) {
            // Names of limits are printable ASCII, so that every value can be one.
            let pair = (HeaderName::try_from(name), HeaderValue::try_from(value));
            if let (Ok(name), Ok(value)) = pair {
                fields.insert(name, value);
            }
        }
    }
    fields
}

/// Adds fields to those of a response: members to its lists, and other fields only where there is
/// none. One that is there is of the handler or of a layer inside, and nearer to what was asked.
pub(crate) fn add(headers: &mut HeaderMap, fields: HeaderMap) {
    for (name, value) in fields {
        let Some(name) = name else { continue };
        if LISTS.contains(&name.as_str()) {
            headers.append(name, value);
        } else if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an epoch in a field is of this machine's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_other_fields_stay() {
        let pair = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::from_iter([
            pair("ratelimit", "\"inner\";r=1;t=2"),
            pair("x-ratelimit-limit", "5"),
        ]);
        let added = HeaderMap::from_iter([
            pair("ratelimit", "\"outer\";r=3;t=4"),
            pair("x-ratelimit-limit", "7"),
            pair("retry-after", "1"),
        ]);
        add(&mut headers, added);
        let all: Vec<_> = headers.get_all("ratelimit").iter().collect();
        assert_eq!(all, ["\"inner\";r=1;t=2", "\"outer\";r=3;t=4"]);
        assert_eq!(headers["x-ratelimit-limit"], "5");
        assert_eq!(headers["retry-after"], "1");
    }
}
