//! A key from the host that the request is addressed to.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::request::Parts;

use crate::key::{KeyExtractor, NoKey, only};

/// The longest name of a host (RFC 1035, section 2.3.4), as text.
const MAX_NAME_BYTES: usize = 253;

/// A count for each host that requests are addressed to: by the target of the request if it names
/// one, as with HTTP/2, and else by the field `Host`.
///
/// Names count in any case, without a dot at their end, and without a port, or a caller could
/// choose among 65,536 counts. A request that names two hosts, or what is no host, is refused
/// ([`NoKey::Unreadable`]), for the service inside may go by the other one. `X-Forwarded-Host` is
/// not read.
///
/// Callers can write any name: put the layer inside of what answers for known hosts only.
///
/// # Examples
///
/// ```
/// use quorate_tower::{Host, Rule};
///
/// let each_tenant = Rule::new("tenant", Host);
/// # let _ = each_tenant;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host;

impl KeyExtractor for Host {
    fn key(&self, request: &Parts) -> Result<Vec<u8>, NoKey> {
        let unreadable = || NoKey::Unreadable { what: "no one host that can be read".into() };
        let field = only(&HOST, request)?.map(|line| read(line.as_bytes().trim_ascii()));
        let target = request.uri.host().map(|host| read(host.as_bytes()));
        match (target, field) {
            // The service inside may go by either, and then count one tenant as another.
            (Some(target), Some(field)) if target != field => Err(unreadable()),
            (Some(host), _) | (None, Some(host)) => host.ok_or_else(unreadable),
            (None, None) => Err(NoKey::NotSent { what: "a host".into() }),
        }
    }
}

/// Returns the one way to write a host, without its port.
fn read(authority: &[u8]) -> Option<Vec<u8>> {
    let authority = str::from_utf8(authority).ok()?;
    let end = match authority.strip_prefix('[') {
        Some(_) => authority.find(']')? + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return None;
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]").into_bytes());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_name = name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label);
    is_name.then(|| name.to_ascii_lowercase().into_bytes())
}

/// Returns true for the digits behind a colon; none are a port too (RFC 3986, section 3.2.3).
fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    let mut bytes = label.bytes();
    !label.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
