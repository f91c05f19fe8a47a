//! A hyper service whose requests are limited by a layer, without a framework: three requests a
//! minute of each client, refused as HTTP or as gRPC does.
//!
//! ```text
//! cargo run --example tower_hyper
//! ```
//!
//! It is a group of one; `members` of a real one are as in `peer.rs`. Then, in another terminal:
//!
//! ```text
//! for i in 1 2 3 4; do curl -i 127.0.0.1:8080; done
//!                      429 at the fourth
//! curl -i 127.0.0.1:8080 -H 'content-type: application/grpc'
//!                      200 and grpc-status: 8, as a client of gRPC wants it
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quorate::Peer;
use quorate::transport::InProcess;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use quorate_tower::{Admission, ClientAddress, PeerAddress, RateLimitLayer, Refusal, Rule};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

/// A hyper service whose requests are limited by a layer.
#[derive(Parser)]
struct Options {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    quorate_examples::show_logs()?;
    let layer = layer().await?;
    let listener = TcpListener::bind(options.http).await?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, layer.layer(Hello)).await
}

type Refuser = fn(Refusal) -> Response<Full<Bytes>>;

/// The layer, over a group of one.
async fn layer() -> Result<RateLimitLayer<Refuser>, Box<dyn Error>> {
    let limits = Limits::builder().limit("client", Limit::per_minute(3)).build()?;
    let network = InProcess::network();
    let peer = Peer::builder("a", limits.model()).members([("a", "a")]);
    let peer = peer.transport(network.at("a")).start().await?;
    peer.wait_ready(Duration::from_secs(30)).await?;

    let layer = RateLimitLayer::builder(RateLimiter::new(peer, &limits))
        .rule(Rule::new("client", ClientAddress::new()))
        .refuse_with(refuse as Refuser)
        .build()?;
    Ok(layer)
}

/// Serves each connection in a task of its own; requests carry the address that they come from.
async fn serve<S>(listener: TcpListener, service: S) -> Result<(), Box<dyn Error>>
where
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let service = TowerToHyperService::new(service);
    loop {
        let (stream, peer) = listener.accept().await?;
        let service = service.clone();
        let served = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(peer));
            service.call(request)
        });
        // Whoever does not send a request in time makes room. On a network bound the connections as
        // well, and the time of bodies: `peer/server.rs` does.
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
        let connection = builder.serve_connection(TokioIo::new(stream), served);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Answers a client of either kind.
fn refuse(refusal: Refusal) -> Response<Full<Bytes>> {
    let kind = refusal.request().headers.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return refusal.grpc();
    }
    refusal.problem().map(Full::from)
}

/// Says how many requests are left.
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
        let decision = request.extensions().get().and_then(Admission::decision);
        let left = decision.map_or(0, |decision| decision.remaining);
        ready(Ok(Response::new(Full::from(format!("hello, {left} left\n")))))
    }
}

#[cfg(test)]
#[path = "tower_client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fourth_request_is_refused_in_the_way_that_its_client_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = layer().await.expect("usable").layer(Hello);
        tokio::spawn(async move { serve(listener, service).await.unwrap_or_default() });
        let ask = |kind: &'static str| {
            let request = Request::get("/").header(CONTENT_TYPE, kind);
            client::ask(address, request.body("").expect("a request"))
        };
        for left in [2, 1, 0] {
            assert_eq!(*ask("text/plain").await.body(), format!("hello, {left} left\n"));
        }
        let http = ask("text/plain").await;
        assert_eq!(http.status(), 429);
        assert!(http.headers().contains_key("retry-after"));
        let grpc = ask("application/grpc").await;
        assert_eq!((grpc.status().as_u16(), grpc.body().as_str()), (200, ""));
        assert_eq!(grpc.headers()["grpc-status"], "8");
    }
}
