//! What a stranger can write into a request: it stays who it is, or is refused, and is never
//! counted as somebody else.

mod support;

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use quorate_ratelimit::RateLimiter;
use quorate_tower::{
    ClientAddress, Header, Host, KeyExtractor, MethodAndPath, MissingKey, Network, NoKey, Path,
    PeerAddress, ProxyField, RateLimitLayer, Rule,
};
use support::{call, group, inside, used};

const PROXY: &str = "10.0.0.2";
const STRANGER: &str = "203.0.113.9";

/// A request over a socket from this address, with these lines.
fn request(from: &str, lines: &[(&'static str, &[u8])]) -> Request<()> {
    let mut request = Request::new(());
    for (name, line) in lines {
        let line = HeaderValue::from_bytes(line).expect("a line that a server takes");
        request.headers_mut().append(HeaderName::from_static(name), line);
    }
    let from: IpAddr = from.parse().expect("an address");
    request.extensions_mut().insert(PeerAddress(SocketAddr::new(from, 4711)));
    request
}

fn behind_proxies(field: ProxyField) -> ClientAddress {
    ClientAddress::new().trusted_proxies(Network::PRIVATE).field(field)
}

/// The status of a request under a rule for ten units of its key.
async fn status(limiter: &RateLimiter, rule: Rule, request: Request<()>) -> StatusCode {
    let layer = RateLimitLayer::builder(limiter.clone()).rule(rule).build().expect("usable");
    let mut service = inside(&layer, async |_| Response::new("ok".to_owned()));
    call(&mut service, request).await.expect("infallible").status()
}

/// A stranger put one byte that is no text, or an open quotation, in front of what the proxy
/// appends. The whole line could not be read, and the request was counted as the proxy's: a quota
/// of its own for the stranger, and 429 for the health checks of the proxy.
#[tokio::test(start_paused = true)]
async fn a_byte_in_front_of_what_the_proxy_appends_makes_nobody_the_proxy() {
    let group = group().await;
    let limiter = group.limiter("a");
    let mut expected = 0;
    for (field, name, line) in [
        (ProxyField::XForwardedFor, "x-forwarded-for", &b"\xff, 203.0.113.9"[..]),
        (ProxyField::XForwardedFor, "x-forwarded-for", b"\xff,203.0.113.9, 10.0.0.1"),
        (ProxyField::XForwardedFor, "x-forwarded-for", b"\", 203.0.113.9"),
        (ProxyField::Forwarded, "forwarded", b"for=\", for=203.0.113.9"),
        (ProxyField::Forwarded, "forwarded", b"for=\"\\, for=\"203.0.113.9:4711\";proto=http"),
        (ProxyField::Forwarded, "forwarded", b"\xff, for=203.0.113.9, for=10.0.0.1"),
    ] {
        let rule = Rule::new("ten", behind_proxies(field));
        assert_eq!(status(limiter, rule, request(PROXY, &[(name, line)])).await, 200);
        expected += 1;
        let line = line.escape_ascii();
        assert_eq!(used(limiter, "ten", PROXY).await, 0, "{line} counts as the proxy");
        assert_eq!(used(limiter, "ten", "10.0.0.1").await, 0, "{line} counts as the proxy");
        assert_eq!(used(limiter, "ten", STRANGER).await, expected, "{line}");
    }
}

/// A hop that cannot be read was counted as the proxy that had passed it on.
#[tokio::test(start_paused = true)]
async fn a_hop_that_cannot_be_read_is_refused_whatever_becomes_of_missing_keys() {
    let group = group().await;
    let limiter = group.limiter("a");
    let single = ProxyField::Single(HeaderName::from_static("x-real-ip"));
    for (field, lines) in [
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", &b"203.0.113.9, \xff"[..])]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"nonsense, 10.0.0.1")]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"203.0.113.9 10.0.0.1")]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"203.0.113.9:99999")]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"0203.0.113.9")]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"[::1")]),
        (ProxyField::XForwardedFor, vec![("x-forwarded-for", b"2001:db8::1%eth0")]),
        (ProxyField::Forwarded, vec![("forwarded", b"for=203.0.113.9, for=\"")]),
        (ProxyField::Forwarded, vec![("forwarded", b"for=203.0.113.9;for=6.6.6.6")]),
        (ProxyField::Forwarded, vec![("forwarded", b"for")]),
        (ProxyField::Forwarded, vec![("forwarded", b"for=")]),
        (single.clone(), vec![("x-real-ip", b"\xff")]),
        (single.clone(), vec![("x-real-ip", b"")]),
        (single.clone(), vec![("x-real-ip", b"203.0.113.9, 6.6.6.6")]),
        (single, vec![("x-real-ip", b"203.0.113.9"), ("x-real-ip", b"6.6.6.6")]),
    ] {
        for missing in [MissingKey::Refuse, MissingKey::Share, MissingKey::Skip] {
            let rule = Rule::new("ten", behind_proxies(field.clone())).missing_key(missing);
            let status = status(limiter, rule, request(PROXY, &lines)).await;
            assert_eq!(status, 400, "{lines:?} with {missing:?}");
        }
    }
    for key in ["", PROXY, "10.0.0.1", "6.6.6.6", STRANGER] {
        assert_eq!(used(limiter, "ten", key).await, 0, "{key}");
    }
}

/// One's own network is not counted: a stranger whose field could not be read came from it.
#[tokio::test(start_paused = true)]
async fn nobody_comes_from_ones_own_network_by_a_byte() {
    let group = group().await;
    let limiter = group.limiter("a");
    for (line, expected) in
        [(&b"\xff, 203.0.113.9"[..], 200), (b"203.0.113.9, \xff", 400), (b"10.0.0.9", 200)]
    {
        let client = behind_proxies(ProxyField::XForwardedFor);
        let outside = client.clone();
        let rule = Rule::new("ten", client).when(move |request| {
            let address = outside.address(request);
            !address.is_some_and(|it| Network::PRIVATE.iter().any(|network| network.contains(it)))
        });
        let request = request(PROXY, &[("x-forwarded-for", line)]);
        assert_eq!(status(limiter, rule, request).await, expected, "{}", line.escape_ascii());
    }
    assert_eq!(used(limiter, "ten", STRANGER).await, 1);
    assert_eq!(used(limiter, "ten", "10.0.0.9").await, 0);
}

/// A proxy may say that it does not name whom it speaks for. That is no key, and not the proxy.
#[tokio::test(start_paused = true)]
async fn whom_a_proxy_does_not_name_has_no_key() {
    let group = group().await;
    let limiter = group.limiter("a");
    for (field, name, line) in [
        (ProxyField::XForwardedFor, "x-forwarded-for", &b"6.6.6.6, unknown"[..]),
        (ProxyField::XForwardedFor, "x-forwarded-for", b"unix:"),
        (ProxyField::Forwarded, "forwarded", b"for=\"_hidden:_port\", for=10.0.0.1"),
        (ProxyField::Forwarded, "forwarded", b"for=Unknown"),
        (ProxyField::Forwarded, "forwarded", b"for=6.6.6.6, by=10.0.0.1;proto=https"),
    ] {
        for (missing, expected) in
            [(MissingKey::Refuse, 400), (MissingKey::Share, 200), (MissingKey::Skip, 200)]
        {
            let rule = Rule::new("ten", behind_proxies(field.clone())).missing_key(missing);
            let status = status(limiter, rule, request(PROXY, &[(name, line)])).await;
            assert_eq!(status, expected, "{} with {missing:?}", line.escape_ascii());
        }
    }
    assert_eq!(used(limiter, "ten", "").await, 5);
    for key in [PROXY, "10.0.0.1", "6.6.6.6"] {
        assert_eq!(used(limiter, "ten", key).await, 0, "{key}");
    }
}

/// A chain of trusted proxies that does not end was walked as far as the field reached.
#[tokio::test(start_paused = true)]
async fn a_chain_of_too_many_proxies_is_refused() {
    let group = group().await;
    let limiter = group.limiter("a");
    let chain = |proxies: usize| format!("{STRANGER}{}", ", 10.0.0.1".repeat(proxies));
    for (proxies, expected) in [(31, 200), (32, 400), (2_000, 400)] {
        let rule = Rule::new("ten", behind_proxies(ProxyField::XForwardedFor));
        let line = chain(proxies);
        let request = request(PROXY, &[("x-forwarded-for", line.as_bytes())]);
        assert_eq!(status(limiter, rule, request).await, expected, "{proxies}");
    }
    assert_eq!(used(limiter, "ten", STRANGER).await, 1);
}

/// A key that comes twice, or empty, is neither there nor absent: where those without one are
/// counted by another rule, such a request was counted by none.
#[tokio::test(start_paused = true)]
async fn a_key_that_comes_twice_or_empty_gets_past_no_rule() {
    let group = group().await;
    let limiter = group.limiter("a");
    for lines in [
        vec![("x-api-key", &b"k1"[..]), ("x-api-key", b"k2")],
        vec![("x-api-key", b"k1"), ("x-api-key", b"k1")],
        vec![("x-api-key", b"")],
        vec![("x-api-key", b" \t ")],
    ] {
        let name = HeaderName::from_static("x-api-key");
        let layer = RateLimitLayer::builder(limiter.clone())
            .rule(Rule::new("ten", Header(name.clone())).missing_key(MissingKey::Skip))
            .rule(
                Rule::new("two", ClientAddress::new())
                    .when(move |request| !request.headers.contains_key(&name)),
            );
        let layer = layer.build().expect("usable");
        let mut service = inside(&layer, async |_| Response::new("ok".to_owned()));
        let response = call(&mut service, request(STRANGER, &lines)).await.expect("infallible");
        assert_eq!(response.status(), 400, "{lines:?}");
    }
}

/// The scheme of credentials is the same in capitals: a token had a quota for each way to write it.
#[test]
fn a_token_has_one_key_however_its_scheme_is_written() {
    let header = Header(http::header::AUTHORIZATION);
    let key = |line: &[u8]| {
        let parts = request(STRANGER, &[("authorization", line)]).into_parts().0;
        header.key(&parts).expect("a key")
    };
    let one = key(b"Bearer t0Ken");
    for line in [
        &b"bearer t0Ken"[..],
        b"BEARER t0Ken",
        b"bEARER  \t t0Ken",
        b" Bearer t0Ken\t",
        b"Bearer\tt0Ken",
    ] {
        assert_eq!(key(line), one, "{}", line.escape_ascii());
    }
    for other in [&b"Bearer t0ken"[..], b"Basic t0Ken", b"t0Ken", b"T0KEN", b"bearert0Ken"] {
        assert_ne!(key(other), one, "{}", other.escape_ascii());
    }
    // Without a scheme it is a token by itself, in which capitals count.
    assert_ne!(key(b"t0Ken"), key(b"T0KEN"));
}

/// The host that a request is for stands in its target with HTTP/2, and in a field with HTTP/1.1,
/// where a key by the target's was always absent.
#[test]
fn a_host_has_one_key_however_it_is_written() {
    let key = |target: &str, lines: &[(&'static str, &[u8])]| {
        let mut request = request(STRANGER, lines);
        *request.uri_mut() = target.parse().expect("a target");
        Host.key(&request.into_parts().0)
    };
    let example = Ok(b"example.org".to_vec());
    for host in
        ["example.org", "EXAMPLE.org", "example.org.", "example.org:80", "Example.Org.:8443"]
    {
        assert_eq!(key("/", &[("host", host.as_bytes())]), example, "{host}");
        assert_eq!(key(&format!("http://{host}/a"), &[]), example, "{host}");
        let both = key(&format!("http://{host}/a"), &[("host", b"example.ORG")]);
        assert_eq!(both, example, "{host}");
        let by_field = Header(http::header::HOST);
        let parts = request(STRANGER, &[("host", host.as_bytes())]).into_parts().0;
        assert_eq!(by_field.key(&parts), example, "{host}");
    }
    assert_eq!(key("/", &[("host", b"[2001:DB8:0::1]:443")]), Ok(b"[2001:db8::1]".to_vec()));
    assert_eq!(key("http://[2001:db8::1]/", &[]), Ok(b"[2001:db8::1]".to_vec()));
    assert!(matches!(key("/", &[]), Err(NoKey::NotSent { .. })));
    for host in [
        &b""[..],
        b"\xff",
        b"example.org\xff",
        b"example.org, other.example",
        b"example..org",
        b"example.org..",
        b".",
        b"ex%61mple.org",
        b"me@example.org",
        b"example.org:http",
        b"example.org:80:80",
        b"2001:db8::1",
        b"[2001:db8::1",
        b"[example.org]",
        &[b'a'; 300],
    ] {
        let unreadable = key("/", &[("host", host)]);
        assert!(matches!(unreadable, Err(NoKey::Unreadable { .. })), "{}", host.escape_ascii());
    }
    // One of them is what the service inside goes by, and which one nobody knows here.
    for lines in [
        vec![("host", &b"other.example"[..])],
        vec![("host", b"example.org"), ("host", b"example.org")],
    ] {
        let unreadable = key("http://example.org/", &lines);
        assert!(matches!(unreadable, Err(NoKey::Unreadable { .. })), "{lines:?}");
    }
}

/// A path had a count for each way to write it, so that whoever is denied writes it in another.
#[test]
fn a_path_has_one_key_however_it_is_written() {
    let keys = |target: &str| {
        let parts = Request::post(target).body(()).expect("a target").into_parts().0;
        [Path.key(&parts), MethodAndPath.key(&parts)]
            .map(|key| String::from_utf8(key.expect("a key")).expect("a path is text"))
    };
    for path in [
        "/a/login",
        "/%61/login",
        "/a/%6cogi%6E",
        "/a/./login",
        "/a/b/../login",
        "/../a/login",
        "/%2e%2E/a/%2e/login",
        "/a/login/x/..",
        "http://other.example/a/login?b",
        "/a/login/.",
    ] {
        let [by_path, by_both] = keys(path);
        // A path that ends in dots is that of a folder.
        let by_path = by_path.strip_suffix('/').unwrap_or(&by_path);
        assert_eq!(by_path, "/a/login", "{path}");
        assert_eq!(by_both.trim_end_matches('/'), "POST /a/login", "{path}");
    }
    // What is another resource stays another.
    let others =
        ["/a/login", "/a/login/", "/a//login", "/A/login", "/a%2flogin", "/a/login;b", "/b"];
    let keys: std::collections::BTreeSet<_> = others.map(keys).into_iter().collect();
    assert_eq!(keys.len(), others.len());
}

/// Behind a translator all of IPv4 has one /64: four billion clients had one count. With 6to4 it is
/// the other way round: whoever has one IPv4 address has 65,536 of /64, and a count for each.
#[test]
fn an_ipv6_address_that_carries_an_ipv4_address_counts_as_that() {
    let client = ClientAddress::new();
    let key = |from: &str| {
        let key = client.key(&request(from, &[]).into_parts().0).expect("an address");
        String::from_utf8(key).expect("text")
    };
    for (from, expected) in [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("64:ff9b::c000:202", "192.0.2.2"),
        ("64:ff9b:1::192.0.2.1", "192.0.2.1"),
        ("64:ff9b:1:7:0:1:c000:201", "192.0.2.1"),
        // Translators whose prefix is shorter put the address elsewhere, and zeros behind it.
        ("64:ff9b:1:c000:2:100::", "64:ff9b:1:c000:2:100::"),
        ("64:ff9b:1:7:c0:2:100:0", "64:ff9b:1:7:c0:2:100:0"),
        ("2002:c000:201:7::1", "192.0.2.1"),
        ("2002:c000:201:8::1", "192.0.2.1"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        // These carry none.
        ("64:ff9b::1:c000:201", "64:ff9b::/64"),
        ("64:ff9b:2::c000:201", "64:ff9b:2::/64"),
        ("2001:db8::c000:201", "2001:db8::/64"),
    ] {
        assert_eq!(key(from), expected, "{from}");
    }
    let by_network = client.clone().ipv4_prefix(24);
    let parts = request("64:ff9b::192.0.2.1", &[]).into_parts().0;
    assert_eq!(by_network.key(&parts), Ok(b"192.0.2.0/24".to_vec()));
    // To be trusted, and for logs, it stays what it is.
    let trusting = ClientAddress::new().trusted_proxies(Network::PRIVATE);
    let fields = [("x-forwarded-for", &b"6.6.6.6"[..])];
    let parts = request("64:ff9b::10.0.0.1", &fields).into_parts().0;
    assert_eq!(trusting.address(&parts), Some("64:ff9b::10.0.0.1".parse().expect("an address")));
}

/// Whoever chooses an idempotency key can have an answer repeated that counts nothing: no field of
/// a request is taken for one.
#[tokio::test(start_paused = true)]
async fn a_request_that_brings_an_id_is_counted_as_often_as_it_comes() {
    let group = group().await;
    let limiter = group.limiter("a");
    let lines: [(&'static str, &[u8]); 4] = [
        ("idempotency-key", b"\"one\""),
        ("x-idempotency-key", b"one"),
        ("x-request-id", b"one"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for expected in [200, 200, 429] {
        let rule = Rule::new("two", ClientAddress::new());
        assert_eq!(status(limiter, rule, request(STRANGER, &lines)).await, expected);
    }
}
