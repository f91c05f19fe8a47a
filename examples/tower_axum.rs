//! An axum service whose requests are limited by a layer: each client, all of them together, failed
//! logins, and reports whose cost is known when they are written.
//!
//! ```text
//! cargo run --example tower_axum
//! ```
//!
//! It is a group of one, which needs no other peers; `members` of a real one are as in `peer.rs`, and
//! all else stays as it is. Then, in another terminal:
//!
//! ```text
//! curl -i 127.0.0.1:8080/hello                       what is left, in RateLimit
//! for i in 1 2 3 4 5 6 7; do curl -i 127.0.0.1:8080/hello; done
//!                                                    429 after the fifth, and when to come again
//! curl -i 127.0.0.1:8080/hello -H 'x-forwarded-for: 192.0.2.1'
//!                                                    as before: nobody is believed who they are
//! curl -i 127.0.0.1:8080/login -d secret             as often as you like
//! curl -i 127.0.0.1:8080/login -d wrong              three times an hour
//! curl -i 127.0.0.1:8080/report/7 -H 'x-api-key: k1' seven rows of a hundred a minute
//! ```
//!
//! With `-- --behind 127.0.0.1/32` a proxy on this machine is believed, and the third command is
//! another client with every other address.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path};
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Router};
use clap::Parser;
use quorate::Peer;
use quorate::transport::InProcess;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use quorate_tower::{
    Admission, BuildError, ClientAddress, Header, Network, RateLimitLayer, Rule, Shared,
};
use tokio::net::TcpListener;

/// An axum service whose requests are limited by a layer.
#[derive(Parser)]
struct Options {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Networks of the proxies in front of it, which write X-Forwarded-For; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    behind: Vec<Network>,
}

/// The most rows that a report may have.
const MAX_ROWS: u64 = 40;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let minute = Duration::from_secs(60);
    let limits = Limits::builder()
        .limit("client", Limit::per_second(1).burst(5))
        .limit("total", Limit::per_second(1_000))
        .limit("login", Limit::window(3, 60 * minute))
        .limit("rows", Limit::sliding(100, minute))
        .build()?;
    let limiter = RateLimiter::new(start(&limits).await?, &limits);
    let routes = routes(limiter, options.behind)?;

    let listener = TcpListener::bind(options.http).await?;
    println!("http://{}", listener.local_addr()?);
    // With the addresses of callers: the layer asks for them.
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn start(limits: &Limits) -> Result<Peer, Box<dyn Error>> {
    let network = InProcess::network();
    let peer = Peer::builder("a", limits.model()).members([("a", "a")]);
    let peer = peer.transport(network.at("a")).start().await?;
    peer.wait_ready(Duration::from_secs(30)).await?;
    Ok(peer)
}

fn routes(limiter: RateLimiter, proxies: Vec<Network>) -> Result<Router, BuildError> {
    let client = ClientAddress::new()
        .socket(|extensions| {
            extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
        })
        .trusted_proxies(proxies);
    // Successful logins are not counted: not under this limit.
    let failed_logins = Rule::new("login", client.clone())
        .when(|request| request.uri.path() == "/login")
        .count_if(|response| response.status == StatusCode::UNAUTHORIZED);
    let rows = Rule::new("rows", Header(HeaderName::from_static("x-api-key")))
        .when(|request| request.uri.path().starts_with("/report/"))
        .cost(MAX_ROWS)
        .actual_cost(|response| response.extensions.get().map(|Rows(rows)| *rows));
    let all = Rule::new("client", client).when(|request| request.uri.path() == "/hello");
    let layer = RateLimitLayer::builder(limiter)
        .rule(all)
        .rule(Rule::new("total", Shared))
        .rule(failed_logins)
        .rule(rows)
        .build()?;
    let routes = Router::new()
        .route("/hello", get(hello))
        .route("/login", post(login))
        .route("/report/{rows}", get(report));
    Ok(routes.layer(layer))
}

async fn hello(Extension(admission): Extension<Admission>) -> String {
    match admission {
        Admission::Counted { limit, decision, .. } => {
            format!("hello, {} left of {limit}\n", decision.remaining)
        }
        _ => "hello\n".to_owned(),
    }
}

async fn login(password: String) -> Result<&'static str, StatusCode> {
    if password == "secret" { Ok("welcome\n") } else { Err(StatusCode::UNAUTHORIZED) }
}

/// What a report has cost; the layer reads it.
#[derive(Clone, Copy)]
struct Rows(u64);

async fn report(Path(rows): Path<u64>) -> (Extension<Rows>, String) {
    let rows = rows.min(MAX_ROWS);
    (Extension(Rows(rows)), (0..rows).map(|row| format!("row {row}\n")).collect())
}
