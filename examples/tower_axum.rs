//! An axum service whose requests are limited by a layer: each client, all of them together, failed
//! logins, and reports whose cost is known when they are written.
//!
//! ```text
//! cargo run --example tower_axum
//! ```
//!
//! It is a group of one, which needs no other peers; `members` of a real one are as in `peer.rs`,
//! and all else stays as it is. Then, in another terminal:
//!
//! ```text
//! curl -i 127.0.0.1:8080/hello                       what is left, in RateLimit
//! for i in 1 2 3 4 5 6 7; do curl -i 127.0.0.1:8080/hello; done
//!                                                    429 after the fifth, and when to come again
//! curl -i 127.0.0.1:8080/hello -H 'x-forwarded-for: 192.0.2.1'
//!                                                    as before: nobody is believed who they are
//! curl -i 127.0.0.1:8080/login -d secret             as often as you like
//! curl -i 127.0.0.1:8080/login -d wrong              three times an hour
//! curl -i 127.0.0.1:8080/report/7 -H 'x-api-key: k1' seven rows of a hundred an hour
//! ```
//!
//! With `-- --behind 127.0.0.1/32` a proxy on this machine is believed, and the third command is
//! another client with every other address, and 400 if what it says is none.
//!
//! `axum::serve` has no bounds on connections and times: on a network have a proxy in front that
//! does, or serve as `peer/server.rs` does.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, StringRejection};
use axum::extract::{ConnectInfo, Path};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use clap::Parser;
use quorate::Peer;
use quorate::transport::InProcess;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use quorate_tower::{
    Admission, AllCallers, BuildError, ClientAddress, Header, Network, RateLimitLayer, Rule,
};
use serde_json::json;
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
    quorate_examples::show_logs()?;
    let routes = routes(start().await?, options.behind)?;
    let listener = TcpListener::bind(options.http).await?;
    println!("http://{}", listener.local_addr()?);
    // With the addresses of callers: the layer asks for them.
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

/// A group of one.
async fn start() -> Result<RateLimiter, Box<dyn Error>> {
    let hour = Duration::from_secs(60 * 60);
    let limits = Limits::builder()
        .limit("client", Limit::per_second(1).burst(5))
        .limit("total", Limit::per_second(1_000))
        .limit("login", Limit::window(3, hour))
        .limit("rows", Limit::sliding(100, hour))
        .build()?;
    let network = InProcess::network();
    let peer = Peer::builder("a", limits.model()).members([("a", "a")]);
    let peer = peer.transport(network.at("a")).start().await?;
    peer.wait_ready(Duration::from_secs(30)).await?;
    Ok(RateLimiter::new(peer, &limits))
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
        .rule(Rule::new("total", AllCallers))
        .rule(failed_logins)
        .rule(rows)
        .build()?;
    let routes = Router::new()
        .route("/hello", get(hello))
        .route("/login", post(login))
        .route("/report/{rows}", get(report))
        .fallback(async || problem(StatusCode::NOT_FOUND, PATHS))
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, PATHS));
    Ok(routes.layer(layer))
}

const PATHS: &str = "there are GET /hello, POST /login and GET /report/ROWS";

/// What is not done, in the form in which the layer refuses as well (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason();
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

async fn hello(Extension(admission): Extension<Admission>) -> String {
    match admission {
        Admission::Counted { limit, decision, .. } => {
            format!("hello, {} left of {limit}\n", decision.remaining)
        }
        _ => "hello\n".to_owned(),
    }
}

async fn login(password: Result<String, StringRejection>) -> Result<&'static str, Response> {
    let password = password.map_err(|refused| {
        // Too large for a password, or no text.
        problem(refused.status(), "send the password as text, and nothing else")
    })?;
    match &*password {
        "secret" => Ok("welcome\n"),
        _ => Err(problem(StatusCode::UNAUTHORIZED, "this is not the password")),
    }
}

/// What a report has cost; the layer reads it.
#[derive(Clone, Copy)]
struct Rows(u64);

async fn report(
    rows: Result<Path<u64>, PathRejection>,
) -> Result<(Extension<Rows>, String), Response> {
    let Path(rows) = rows.map_err(|_| problem(StatusCode::BAD_REQUEST, PATHS))?;
    let rows = rows.min(MAX_ROWS);
    Ok((Extension(Rows(rows)), (0..rows).map(|row| format!("row {row}\n")).collect()))
}

#[cfg(test)]
#[path = "tower_client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, Response as Answer};
    use tower_service::Service as _;

    use super::*;

    async fn serve() -> SocketAddr {
        let routes = routes(start().await.expect("usable"), Vec::new()).expect("usable");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }

    fn login(password: &'static str) -> Request<&'static str> {
        Request::post("/login").body(password).expect("a request")
    }

    #[tokio::test]
    async fn only_failed_logins_are_counted() {
        let address = serve().await;
        for (password, expected) in [
            ("secret", 200),
            ("wrong", 401),
            ("secret", 200),
            ("wrong", 401),
            ("secret", 200),
            ("wrong", 401),
            ("wrong", 429),
        ] {
            let response = client::ask(address, login(password)).await;
            assert_eq!(response.status(), expected, "{password}");
        }
    }

    #[tokio::test]
    async fn a_report_costs_its_rows() {
        let address = serve().await;
        let report = |rows: u64| {
            let request = Request::get(format!("/report/{rows}")).header("x-api-key", "k1");
            client::ask(address, request.body("").expect("a request"))
        };
        let left = |response: Answer<String>| {
            let told = response.headers()["ratelimit"].to_str().expect("text");
            told.split(';').nth(1).expect("what is left").to_owned()
        };
        assert_eq!(left(report(7).await), "r=93");
        assert_eq!(left(report(50).await), "r=53");
        assert_eq!(left(report(20).await), "r=33");
        // It might have forty.
        assert_eq!(report(1).await.status(), 429);
        let nobody = Request::get("/report/1").body("").expect("a request");
        assert_eq!(client::ask(address, nobody).await.status(), 400);
    }

    /// The framework's own refusals are text, or nothing.
    #[tokio::test]
    async fn whatever_is_not_done_is_a_problem_document() {
        let mut routes = routes(start().await.expect("usable"), Vec::new()).expect("usable");
        let large = "a".repeat(3 << 20);
        for (request, body, status) in [
            (Request::get("/nowhere"), "", 404),
            (Request::get("/login"), "", 405),
            (Request::post("/login"), "wrong", 401),
            (Request::post("/login"), "wrong again", 401),
            (Request::post("/login"), &*large, 413),
            (Request::get("/report/x").header("x-api-key", "k"), "", 400),
            (Request::get("/report/1"), "", 400),
            (Request::post("/login"), "wrong", 401),
            (Request::post("/login"), "wrong", 429),
        ] {
            let from = ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 7)));
            let request = request.extension(from).body(Body::from(body.to_owned()));
            let request = request.expect("a request");
            let path = request.uri().path().to_owned();
            let response = routes.call(request).await.expect("infallible");
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json", "{path}");
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("it is all there");
            let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(problem["status"], status, "{path}");
        }
    }

    #[tokio::test]
    async fn everybody_is_greeted() {
        let hello = Request::get("/hello").body("").expect("a request");
        let response = client::ask(serve().await, hello).await;
        assert_eq!(response.body(), "hello, 4 left of client\n");
    }
}
