//! Over HTTP: servers of axum and of hyper on loopback, and a client that speaks to them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use quorate::Peer;
use quorate::transport::InProcess;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use quorate_tower::{
    Admission, AllCallers, ClientAddress, Network, PeerAddress, ProxyField, RateLimitLayer, Rule,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use tower_service::Service;

/// A group of one. Nothing flows back while a test runs.
async fn limiter() -> RateLimiter {
    let limits = Limits::builder()
        .limit("client", Limit::per_day(1).burst(2))
        .limit("total", Limit::per_day(1).burst(100))
        .build()
        .expect("usable");
    let network = InProcess::network();
    let peer = Peer::builder("a", limits.model()).members([("a", "a")]);
    let peer = peer.transport(network.at("a")).start().await.expect("usable");
    peer.wait_ready(Duration::from_secs(30)).await.expect("a primary");
    RateLimiter::new(peer, &limits)
}

fn layer(limiter: &RateLimiter, client: ClientAddress) -> RateLimitLayer {
    RateLimitLayer::builder(limiter.clone())
        .rule(Rule::new("client", client))
        .rule(
            Rule::new("total", AllCallers)
                .cost(10)
                .actual_cost(|response| response.headers.get("cost")?.to_str().ok()?.parse().ok()),
        )
        .build()
        .expect("usable")
}

fn connected() -> ClientAddress {
    ClientAddress::new().socket(|extensions| {
        extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
    })
}

/// Serves these routes, and says where.
async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await
    });
    address
}

fn routes(layer: RateLimitLayer) -> Router {
    let left = async |Extension(admission): Extension<Admission>| {
        let left = admission.decision().map(|decision| decision.remaining);
        ([("cost", "3")], format!("{left:?}"))
    };
    Router::new().route("/", get(left)).layer(layer)
}

/// One request over a connection of its own.
async fn ask(address: SocketAddr, fields: &[(&str, &str)]) -> Response<String> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let mut request = Request::get("/").header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let (head, body) = sender.send_request(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Response::from_parts(head, String::from_utf8(body.into()).expect("text"))
}

#[tokio::test]
async fn axum_serves_what_the_limits_admit() {
    let limiter = limiter().await;
    let address = serve(routes(layer(&limiter, connected()))).await;
    for left in ["1", "0"] {
        let response = ask(address, &[]).await;
        assert_eq!(
            (response.status(), &**response.body()),
            (StatusCode::OK, &*format!("Some({left})"))
        );
        let told = response.headers()["ratelimit"].to_str().expect("text");
        assert!(told.starts_with(&format!("\"client\";r={left};t=")), "{told}");
    }
    let denied = ask(address, &[]).await;
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.headers()["content-type"], "application/problem+json");
    let wait = denied.headers()["retry-after"].to_str().expect("digits").parse::<u64>();
    assert!((86_390..=86_400).contains(&wait.expect("digits")));
    let problem: serde_json::Value = serde_json::from_str(denied.body()).expect("JSON");
    assert_eq!(problem["violated-policies"], serde_json::json!(["client"]));
    // What each of the two cost in the end, and nothing of the third.
    assert_eq!(limiter.peek("total", "", 1).await.expect("a primary").used(), 6);
}

#[tokio::test]
async fn a_client_cannot_choose_who_it_is() {
    let limiter = limiter().await;
    let address = serve(routes(layer(&limiter, connected()))).await;
    for expected in [200, 200, 429] {
        let spoofed = format!("192.0.2.{expected}");
        let forwarded = format!("for={spoofed}");
        let fields = [("x-forwarded-for", &*spoofed), ("forwarded", &*forwarded)];
        assert_eq!(ask(address, &fields).await.status(), expected);
    }
    let used = limiter.peek("client", "127.0.0.1", 1).await.expect("a primary").used();
    assert_eq!(used, 2);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let limiter = limiter().await;
    let client = connected().trusted_proxies(Network::LOOPBACK).field(ProxyField::XForwardedFor);
    let address = serve(routes(layer(&limiter, client))).await;
    for (line, expected) in [
        ("192.0.2.1", 200),
        ("203.0.113.9, 192.0.2.1", 200),
        ("203.0.113.8, 192.0.2.1, 127.0.0.2", 429),
        ("192.0.2.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::3", 429),
    ] {
        let response = ask(address, &[("x-forwarded-for", line)]).await;
        assert_eq!(response.status(), expected, "{line}");
    }
}

/// Servers hand on bytes that are no text.
#[tokio::test]
async fn a_byte_that_is_no_text_makes_nobody_the_proxy() {
    let limiter = limiter().await;
    let client = connected().trusted_proxies(Network::LOOPBACK);
    let address = serve(routes(layer(&limiter, client))).await;
    for (line, expected) in
        [(&b"\xff, 203.0.113.9"[..], "200"), (b"\xfe\xff , 203.0.113.9", "200"), (b"\xff", "400")]
    {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let head = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-forwarded-for: ";
        let request = [&head[..], line, b"\r\n\r\n"].concat();
        stream.write_all(&request).await.expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("it answers");
        assert_eq!(response.split(' ').nth(1), Some(expected), "{}", line.escape_ascii());
    }
    let used = async |key| limiter.peek("client", key, 1).await.expect("a primary").used();
    assert_eq!((used("203.0.113.9").await, used("127.0.0.1").await), (2, 0));
}

#[tokio::test]
async fn a_server_that_knows_no_addresses_says_so_and_does_not_panic() {
    let limiter = limiter().await;
    // Nothing puts a `PeerAddress` there.
    let address = serve(routes(layer(&limiter, ClientAddress::new()))).await;
    let response = ask(address, &[("x-forwarded-for", "192.0.2.1")]).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.body().contains("the service lacks the address of the client"));
}

/// A service of tower, as one writes it for hyper.
#[derive(Clone)]
struct Hello;

impl Service<Request<Incoming>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let is_counted = request.extensions().get().and_then(Admission::decision).is_some();
        ready(Ok(Response::new(Full::from(format!("counted: {is_counted}")))))
    }
}

#[tokio::test]
async fn hyper_serves_what_the_limits_admit() {
    let limiter = limiter().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let limited = TowerToHyperService::new(layer(&limiter, ClientAddress::new()).layer(Hello));
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let limited = limited.clone();
            let served = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddress(peer));
                limited.call(request)
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), served));
        }
    });
    for expected in [200, 200, 429] {
        let response = ask(address, &[]).await;
        assert_eq!(response.status(), expected);
        assert_eq!(response.body() == "counted: true", expected == 200);
        assert!(response.headers().contains_key("ratelimit"));
    }
}
