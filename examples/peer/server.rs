//! Serves the HTTP of the example `peer` with a bound on all that a stranger can use up:
//! connections, the size of heads and bodies, and the time in which they come and answers are
//! taken.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use quorate_tower::ClientAddress;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tower_service::Service as _;

use crate::connections::{Connection, Connections, Phase, Watched};
use crate::door::Door;
use crate::problem::Problem;

/// Largest head of a request, far above what browsers and proxies send.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most fields in it.
pub(crate) const MAX_FIELDS: usize = 64;
/// The time that a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How often connections are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long no connection is accepted after the system has refused one, for want of files or
/// memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A service at one address.
pub(crate) struct Server {
    door: Door,
    routes: Router,
    max_body_bytes: fn(&Parts) -> usize,
    connections: Arc<Connections>,
}

impl Server {
    /// `max_body_bytes` is the largest body of a request with this head.
    pub(crate) fn new(
        connections: Arc<Connections>,
        door: Door,
        routes: Router,
        max_body_bytes: fn(&Parts) -> usize,
    ) -> Arc<Self> {
        Arc::new(Self { door, routes, max_body_bytes, connections })
    }

    /// Serves until it is stopped, and then what is under way. Connections end with this future.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stopped: impl Future<Output = ()>,
    ) {
        let (stop, stopping) = watch::channel(());
        let mut tasks = JoinSet::new();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = pin!(stopped);
        loop {
            let has_room = self.connections.has_room();
            tokio::select! {
                accepted = listener.accept(), if has_room => match accepted {
                    Ok((stream, from)) => {
                        // Answers are written whole: there is nothing to wait for.
                        stream.set_nodelay(true).unwrap_or_default();
                        self.begin(stream, from.ip(), &stopping, &mut tasks);
                    }
                    Err(error) => self.refused_by_system(&error).await,
                },
                () = self.connections.changed(), if !has_room => {}
                _ = look.tick() => self.connections.close_overdue(),
                Some(_) = tasks.join_next() => {}
                () = &mut stopped => break,
            }
        }
        drop((listener, stopping, stop));
        while tasks.join_next().await.is_some() {}
    }

    /// A connection that was gone before it was accepted is nothing; without files or memory for
    /// more, one that waits makes room.
    async fn refused_by_system(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            self.connections.give_up_one();
            sleep(PAUSE).await;
        }
    }

    fn begin<I>(
        self: &Arc<Self>,
        io: I,
        from: IpAddr,
        stopping: &watch::Receiver<()>,
        tasks: &mut JoinSet<()>,
    ) where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let taken = self.connections.take(&ClientAddress::new().key_of(from));
        let number = taken.number;
        let server = self.clone();
        let stopping = stopping.clone();
        let task = tasks.spawn(async move {
            server.serve_one(io, &taken.connection, stopping).await;
            drop(taken);
        });
        self.connections.served_by(number, task);
    }

    /// Serves one connection until its caller, or this service, ends it.
    async fn serve_one<I>(
        &self,
        io: I,
        connection: &Arc<Connection>,
        mut stopping: watch::Receiver<()>,
    ) where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(Watched::new(io, connection.clone()));
        let answering = service_fn(|request| self.answer(connection, request));
        let mut builder = http1::Builder::new();
        // Times are kept by the table of connections, with that of being idle apart.
        builder.header_read_timeout(None).max_header_size(MAX_HEAD_BYTES).max_headers(MAX_FIELDS);
        let mut served = pin!(builder.serve_connection(io, answering));
        // What goes wrong on a connection is its caller's, who is gone or was told.
        tokio::select! {
            _ = &mut served => {}
            _ = stopping.changed() => {
                served.as_mut().graceful_shutdown();
                _ = served.await;
            }
        }
    }

    async fn answer(
        &self,
        connection: &Connection,
        request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        connection.enter(Phase::Body);
        let response = match self.whole(request).await {
            Ok(request) => {
                connection.enter(Phase::Work);
                // The clone is ready, as every router is.
                self.routes.clone().call(request).await
            }
            Err(problem) => Ok(problem.into_response()),
        };
        connection.enter(Phase::Answer);
        response
    }

    /// The request with its body, within bounds, if the door lets it in.
    async fn whole(&self, request: hyper::Request<Incoming>) -> Result<Request, Problem> {
        let (head, body) = request.into_parts();
        self.door.check(&head)?;
        let most = (self.max_body_bytes)(&head);
        let body = if body.is_end_stream() { Bytes::new() } else { read(body, most).await? };
        Ok(Request::from_parts(head, Body::from(body)))
    }
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {most} bytes; nothing was done");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("the body ends before its end; nothing was done")),
        Err(_) => {
            let detail =
                format!("the body did not come within {} s; nothing was done", BODY_TIME.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::TcpStream;
    use tokio::time::advance;

    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    const CUSTOMER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    /// A server without a socket: connections are put in by hand.
    struct Bench {
        server: Arc<Server>,
        tasks: JoinSet<()>,
        stop: Option<watch::Sender<()>>,
        stopping: watch::Receiver<()>,
    }

    impl Bench {
        fn new() -> Self {
            let routes = Router::new()
                .route("/", get(async || "ok"))
                .route("/echo", post(async |body: Bytes| body))
                .route("/work", get(async || sleep(Duration::from_secs(25)).await))
                .route("/long", get(async || vec![b'a'; 1 << 20]));
            let door = Door::new(([127, 0, 0, 1], 80).into(), ["a"]);
            let server = Server::new(Connections::new(4), door, routes, |_| 100);
            let (stop, stopping) = watch::channel(());
            Self { server, tasks: JoinSet::new(), stop: Some(stop), stopping }
        }

        fn connect(&mut self, from: IpAddr) -> DuplexStream {
            let (near, far) = duplex(1024);
            self.server.begin(far, from, &self.stopping, &mut self.tasks);
            near
        }

        /// Lets time pass, with connections looked at as the server does.
        async fn pass(&mut self, seconds: u64) {
            for _ in 0..seconds {
                advance(LOOK).await;
                self.server.connections.close_overdue();
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends this and reads until the connection ends.
    async fn all(mut stream: DuplexStream, request: &[u8]) -> String {
        stream.write_all(request).await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        answer
    }

    /// Sends a request over a connection that stays open, and reads the answer `ok`.
    async fn ask(stream: &mut DuplexStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("it is read");
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            answer.push(stream.read_u8().await.expect("it is answered"));
        }
        // The connection has been told that all is written.
        tokio::task::yield_now().await;
    }

    async fn is_closed(stream: &mut DuplexStream) -> bool {
        let mut byte = [0];
        let read = timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_ends_its_connection() {
        let mut bench = Bench::new();
        let mut stream = bench.connect(STRANGER);
        for byte in b"GET / HT" {
            stream.write_all(&[*byte]).await.expect("it is read");
            bench.pass(1).await;
        }
        assert!(!is_closed(&mut stream).await);
        bench.pass(4).await;
        assert!(is_closed(&mut stream).await, "a byte a second is no head");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_refused_by_name() {
        let mut bench = Bench::new();
        let stream = bench.connect(STRANGER);
        let head = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{";
        let answer = all(stream, head).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains(r#""error":"too_slow""#), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_is_refused() {
        let mut bench = Bench::new();
        let declared = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 101\r\n\r\n".to_owned();
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunked = format!("{head}{}", format!("20\r\n{}\r\n", "a".repeat(32)).repeat(4));
        for request in [declared, chunked] {
            let answer = all(bench.connect(STRANGER), request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(answer.contains(r#""error":"too_large""#), "{answer}");
        }
    }

    /// They had no body, for it is not the service that answers.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_none_or_too_large_is_refused_by_a_problem_document_too() {
        let mut bench = Bench::new();
        let long =
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        let target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000));
        let none = "nonsense\r\n\r\n".to_owned();
        let after_one = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
        for (before, request, status, error) in [
            ("", long, 431, "head_too_large"),
            ("", many, 431, "head_too_large"),
            ("", target, 431, "head_too_large"),
            ("", none.clone(), 400, "bad_request"),
            (&*after_one, none, 400, "bad_request"),
        ] {
            let mut stream = bench.connect(STRANGER);
            if !before.is_empty() {
                ask(&mut stream).await;
            }
            // It may be answered before all of it is sent.
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::spawn(async move { writer.write_all(request.as_bytes()).await });
            let mut answer = Vec::new();
            _ = reader.read_to_end(&mut answer).await;
            let answer = String::from_utf8(answer).expect("text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"), "{head}");
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
            let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!((&problem["status"], &problem["error"]), (&status.into(), &error.into()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whom_the_door_keeps_out_is_refused_before_anything_is_done() {
        let mut bench = Bench::new();
        let request = b"POST /echo HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 101\r\n\r\n";
        let answer = all(bench.connect(STRANGER), request).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        assert!(answer.contains(r#""error":"unknown_host""#), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_between_requests_but_not_for_ever() {
        let mut bench = Bench::new();
        let mut stream = bench.connect(CUSTOMER);
        for _ in 0..3 {
            ask(&mut stream).await;
            bench.pass(110).await;
        }
        assert!(!is_closed(&mut stream).await);
        bench.pass(11).await;
        assert!(is_closed(&mut stream).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_its_connection() {
        let mut bench = Bench::new();
        let mut stream = bench.connect(STRANGER);
        stream.write_all(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("it is read");
        bench.pass(29).await;
        assert!(bench.tasks.try_join_next().is_none());
        bench.pass(3).await;
        assert!(bench.tasks.try_join_next().is_some());
    }

    /// Whoever opens many connections loses them first, and nobody waits for them.
    #[tokio::test(start_paused = true)]
    async fn a_stranger_with_many_connections_takes_nobodys_place() {
        let mut bench = Bench::new();
        let mut customer = bench.connect(CUSTOMER);
        ask(&mut customer).await;
        let mut strangers = Vec::new();
        for _ in 0..20 {
            bench.pass(1).await;
            assert!(bench.server.connections.has_room());
            strangers.push(bench.connect(STRANGER));
        }
        let mut open = 0;
        for stranger in &mut strangers {
            open += usize::from(!is_closed(stranger).await);
        }
        assert_eq!(open, 3);
        assert!(!is_closed(strangers.last_mut().expect("twenty")).await, "the newest stay");
        ask(&mut customer).await;
        ask(&mut bench.connect(CUSTOMER)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_worked_on_is_not_given_up() {
        let mut bench = Bench::new();
        let mut streams: Vec<_> = (0..4).map(|_| bench.connect(CUSTOMER)).collect();
        for stream in &mut streams {
            stream.write_all(b"GET /work HTTP/1.0\r\nhost: a\r\n\r\n").await.expect("it is read");
        }
        bench.pass(1).await;
        assert!(!bench.server.connections.has_room());
        for mut stream in streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("text");
            assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
        }
        bench.server.connections.changed().await;
        assert!(bench.server.connections.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_answered_before_the_end() {
        let mut bench = Bench::new();
        let mut idle = bench.connect(CUSTOMER);
        let mut working = bench.connect(CUSTOMER);
        ask(&mut idle).await;
        working.write_all(b"GET /work HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("it is read");
        bench.pass(1).await;
        drop(bench.stop.take());
        let mut answer = String::new();
        working.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(is_closed(&mut idle).await);
        while bench.tasks.join_next().await.is_some() {}
    }

    #[tokio::test]
    async fn it_is_served_over_tcp_until_it_is_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = Bench::new().server;
        let server =
            tokio::spawn(server.serve(listener, async { stopped.await.unwrap_or_default() }));
        // More at once than there are places.
        let mut streams = Vec::new();
        for _ in 0..9 {
            streams.push(TcpStream::connect(address).await.expect("it listens"));
        }
        let last = streams.last_mut().expect("nine");
        last.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.expect("it is read");
        let mut answer = String::new();
        last.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
        drop(stop);
        server.await.expect("it ends");
    }
}
