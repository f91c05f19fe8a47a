//! Who may ask the example `peer` by HTTP at all: nobody on whose behalf a browser does.
//!
//! Nothing here proves who a caller is: the address that a peer listens on decides who reaches it.
//! But a browser reaches what its user reaches, and runs what any site has written. So:
//!
//! - the host that is asked is one of this peer's, and not a name of somebody else that was made to
//!   lead here (DNS rebinding): 421;
//! - what a browser says of where a request comes from (`Origin`, `Sec-Fetch-Site`) is this very
//!   address: 403;
//! - the body of a POST is JSON, and not of a kind that a page may send anywhere (forms, text):
//!   415. What `curl -d` calls a form is let pass where nothing else speaks of a browser.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN, REFERER,
};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use quorate_tower::{Host, KeyExtractor, NoKey};

use crate::problem::Problem;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The door of one address.
pub(crate) struct Door {
    /// Hosts by which callers reach it, each written in one way.
    hosts: Vec<String>,
    is_on_loopback: bool,
}

impl Door {
    /// `named` are hosts, with or without a port, by which callers reach what listens here; one
    /// that is no host is left out.
    pub(crate) fn new<'a>(
        listens_at: SocketAddr,
        named: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let hosts = named.into_iter().filter_map(host).collect();
        Self { hosts, is_on_loopback: listens_at.ip().to_canonical().is_loopback() }
    }

    /// Lets a request in by its head.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Problem> {
        self.check_host(head)?;
        check_origin(head)?;
        check_content(head)
    }

    fn check_host(&self, head: &Parts) -> Result<(), Problem> {
        let host = match Host.key(head) {
            Ok(host) => String::from_utf8_lossy(&host).into_owned(),
            // No browser speaks that version.
            Err(NoKey::NotSent { .. }) if head.version == Version::HTTP_10 => return Ok(()),
            Err(error) => {
                let detail = format!("{error}; say in the field Host what is asked; {NOTHING}");
                return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail));
            }
        };
        if self.is_known(&host) {
            return Ok(());
        }
        let detail = format!(
            "this peer does not go by the name of {host}: ask it by its address, or start it with \
             --allow-host {host} if that leads here by your own doing; {NOTHING}"
        );
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail))
    }

    /// Nobody can make an address lead elsewhere, so off loopback any will do: what stands in
    /// between may have another than this peer knows of itself.
    fn is_known(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare
            .parse::<IpAddr>()
            .is_ok_and(|address| !self.is_on_loopback || address.to_canonical().is_loopback());
        is_address || host == "localhost" || self.hosts.iter().any(|known| known == host)
    }
}

const NOTHING: &str = "nothing was done";

/// The one way to write a host that may have a port.
pub(crate) fn host(text: &str) -> Option<String> {
    let mut head = Request::new(()).into_parts().0;
    head.headers.insert(HOST, HeaderValue::from_str(text).ok()?);
    String::from_utf8(Host.key(&head).ok()?).ok()
}

fn check_origin(head: &Parts) -> Result<(), Problem> {
    let mut sites = head.headers.get_all(SEC_FETCH_SITE).iter();
    // "none" is the user, who has typed the address.
    let is_own_site = sites.all(|site| site == "same-origin" || site == "none");
    let mut origins = head.headers.get_all(ORIGIN).iter();
    if is_own_site && origins.all(|origin| is_own_origin(origin, head)) {
        return Ok(());
    }
    let detail = format!("a page of another site has a browser ask here; {NOTHING}");
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail))
}

/// Whether a page of this origin comes from where its browser asks now. Its scheme says nothing:
/// what is plain here may be TLS at a proxy.
fn is_own_origin(origin: &HeaderValue, head: &Parts) -> bool {
    let field = || Authority::try_from(head.headers.get(HOST)?.as_bytes()).ok();
    let Some(own) = head.uri.authority().cloned().or_else(field) else { return false };
    let Ok(origin) = Uri::try_from(origin.as_bytes()) else { return false };
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    let Some(theirs) = origin.authority() else { return false };
    let host = host(theirs.host());
    host.is_some() && host == self::host(own.host()) && port(theirs) == port(&own)
}

fn check_content(head: &Parts) -> Result<(), Problem> {
    // Other methods are not sent to other sites without their consent, which is never given here.
    if head.method != Method::POST || is_json(&head.headers) {
        return Ok(());
    }
    let detail = format!("send JSON, with content-type: application/json; {NOTHING}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().map(essence);
    match kind.as_deref() {
        _ if kinds.next().is_some() => false,
        Some(b"application/json") => true,
        None | Some(b"application/x-www-form-urlencoded") => !speaks_of_a_browser(headers),
        Some(_) => false,
    }
}

/// The kind of a body, without its parameters.
fn essence(kind: &HeaderValue) -> Vec<u8> {
    let kind = kind.as_bytes();
    let end = kind.iter().position(|byte| *byte == b';').unwrap_or(kind.len());
    kind[..end].trim_ascii().to_ascii_lowercase()
}

/// Whether a request has what browsers send along and programs seldom do. There were browsers that
/// sent a form without its `Origin`.
fn speaks_of_a_browser(headers: &HeaderMap) -> bool {
    let sent = [ORIGIN, REFERER, COOKIE, SEC_FETCH_SITE, SEC_FETCH_DEST];
    // Libraries that imitate a browser's interface take any language.
    let has_language = headers.get(ACCEPT_LANGUAGE).is_some_and(|language| language != "*");
    has_language || sent.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn on(address: &str) -> Door {
        Door::new(address.parse().expect("an address"), ["quota.example:8101", "PEER-a"])
    }

    fn on_loopback() -> Door {
        on("127.0.0.1:8101")
    }

    /// The name of the refusal, or nothing.
    fn said(door: &Door, head: &Parts) -> &'static str {
        door.check(head).map_or_else(|problem| problem.error(), |()| "")
    }

    #[test]
    fn a_name_of_somebody_else_leads_nowhere() {
        let asked = |door: &Door, host: &str| said(door, &head("GET", "/", &[("host", host)]));
        let door = on_loopback();
        for host in [
            "127.0.0.1:8101",
            "127.0.0.1:9000",
            "127.8.8.8",
            "localhost",
            "LOCALHOST.:8101",
            "[::1]:8101",
            "[::ffff:127.0.0.1]",
            "quota.example",
            "Quota.Example:1",
            "peer-a",
        ] {
            assert_eq!(asked(&door, host), "", "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8101",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.localhost",
            "0.0.0.0:8101",
            "[::]",
            "192.0.2.1",
            "10.0.0.1:8101",
            "2130706433",
        ] {
            assert_eq!(asked(&door, host), "unknown_host", "{host}");
        }
        for host in ["", "127.0.0.1, evil.example", "me@127.0.0.1", "127.0.0.1:http"] {
            assert_eq!(asked(&door, host), "bad_host", "{host}");
        }
        let on_network = on("0.0.0.0:8101");
        for host in ["192.0.2.1:8101", "[2001:db8::1]", "localhost", "quota.example"] {
            assert_eq!(asked(&on_network, host), "", "{host}");
        }
        assert_eq!(asked(&on_network, "evil.example"), "unknown_host");
    }

    #[test]
    fn a_request_names_one_host() {
        let door = on_loopback();
        assert_eq!(said(&door, &head("GET", "/", &[])), "bad_host");
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(said(&door, &head("GET", "/", &twice)), "bad_host");
        let other = head("GET", "http://evil.example/", &[("host", "localhost")]);
        assert_eq!(said(&door, &other), "bad_host");
        let by_target = head("GET", "http://evil.example/", &[]);
        assert_eq!(said(&door, &by_target), "unknown_host");
        let mut old = head("GET", "/", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(said(&door, &old), "");
    }

    #[test]
    fn a_page_of_another_site_is_refused_whatever_it_asks() {
        let door = on_loopback();
        let json = ("content-type", "application/json");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            for origin in [
                "http://evil.example",
                "null",
                "http://127.0.0.1:3000",
                "http://localhost:8101",
                "http://127.0.0.1",
                "file://",
                "nonsense",
                "",
                "chrome-extension://abc",
            ] {
                let fields = [("host", "127.0.0.1:8101"), json, ("origin", origin)];
                assert_eq!(said(&door, &head(method, "/", &fields)), "cross_origin", "{origin}");
            }
            for site in ["cross-site", "same-site", "", "none, cross-site"] {
                let fields = [("host", "127.0.0.1:8101"), json, ("sec-fetch-site", site)];
                assert_eq!(said(&door, &head(method, "/", &fields)), "cross_origin", "{site}");
            }
        }
        let two = [
            ("host", "127.0.0.1:8101"),
            ("origin", "http://127.0.0.1:8101"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(said(&door, &head("GET", "/", &two)), "cross_origin");
    }

    #[test]
    fn a_page_of_this_address_may_ask() {
        for (host, origin) in [
            ("127.0.0.1:8101", "http://127.0.0.1:8101"),
            ("localhost:8101", "http://LOCALHOST:8101"),
            ("quota.example", "https://quota.example"),
            ("quota.example", "http://quota.example:80"),
            ("quota.example:443", "https://quota.example"),
            ("[::1]:8101", "http://[::1]:8101"),
        ] {
            let fields = [
                ("host", host),
                ("origin", origin),
                ("sec-fetch-site", "same-origin"),
                ("content-type", "application/json; charset=utf-8"),
            ];
            assert_eq!(said(&on_loopback(), &head("POST", "/", &fields)), "", "{origin} at {host}");
        }
        let typed = [("host", "localhost"), ("sec-fetch-site", "none"), ("accept-language", "de")];
        assert_eq!(said(&on_loopback(), &head("GET", "/", &typed)), "");
    }

    #[test]
    fn a_body_is_json_unless_a_program_calls_it_a_form() {
        let post = |fields: &[(&str, &str)]| {
            let fields = [&[("host", "localhost")], fields].concat();
            said(&on_loopback(), &head("POST", "/", &fields))
        };
        let form = ("content-type", "application/x-www-form-urlencoded");
        for fields in [
            &[][..],
            &[form],
            &[form, ("user-agent", "curl/8"), ("accept", "*/*")],
            &[("accept-language", "*"), ("sec-fetch-mode", "cors")],
            &[("content-type", "Application/JSON;charset=utf-8"), ("cookie", "a=b")],
        ] {
            assert_eq!(post(fields), "", "{fields:?}");
        }
        for fields in [
            &[("content-type", "text/plain")][..],
            &[("content-type", "multipart/form-data; boundary=a")],
            &[("content-type", "")],
            &[("content-type", "application/json"), form],
            &[form, ("referer", "http://evil.example/")],
            &[form, ("accept-language", "en-US,en;q=0.5")],
            &[form, ("cookie", "a=b")],
            &[("sec-fetch-dest", "empty")],
            // A page of this very address has to say what it sends as well.
            &[("origin", "http://localhost")],
        ] {
            assert_eq!(post(fields), "content_type", "{fields:?}");
        }
        let put = [("host", "localhost"), ("content-type", "text/plain")];
        assert_eq!(said(&on_loopback(), &head("PUT", "/v1/limits", &put)), "");
    }
}
