//! The client of the tests of `tower_axum` and `tower_hyper`.

use std::net::SocketAddr;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends one request over a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: Request<&'static str>) -> Response<String> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let mut request = request.map(Full::<bytes::Bytes>::from);
    request.headers_mut().insert("host", http::HeaderValue::from_static("localhost"));
    let (head, body) = sender.send_request(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Response::from_parts(head, String::from_utf8(body.into()).expect("text"))
}
