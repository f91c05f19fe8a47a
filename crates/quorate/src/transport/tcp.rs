//! Plain TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::{BoxFuture, Incoming, Listener, Protection, Stream, Tls, Transport};
use crate::base::id::PeerName;

/// Plain TCP, without delay of small writes.
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | `user_timeout` | 10 s | unacknowledged bytes end a connection; most kernels wait for 15 min |
/// | `keepalive` | 5 s | an idle connection to a vanished host ends too |
/// | `backlog` | 256 | a whole group restarting at once |
///
/// The builder sets `user_timeout` to the group's failure timeout.
#[derive(Clone, Debug)]
pub struct Tcp {
    user_timeout: Duration,
    keepalive: Duration,
    backlog: i32,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            user_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(5),
            backlog: 256,
        }
    }
}

impl Tcp {
    /// Ends a connection whose written bytes stay unacknowledged for this long (Linux only).
    #[must_use]
    pub fn user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// Sends probes on a connection that has been idle for this long; at least 1 s.
    #[must_use]
    pub fn keepalive(mut self, idle: Duration) -> Self {
        self.keepalive = idle.max(Duration::from_secs(1));
        self
    }

    /// Connections that may wait to be accepted.
    #[must_use]
    pub fn backlog(mut self, backlog: u16) -> Self {
        self.backlog = backlog.into();
        self
    }

    fn open(&self, stream: TcpStream, peer_address: String) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new().with_time(self.keepalive);
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        let keepalive = keepalive.with_interval(self.keepalive).with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(self.user_timeout.max(Duration::from_millis(1))))?;
        let (reader, writer) = stream.into_split();
        Ok(Stream {
            reader: Box::new(reader),
            writer: Box::new(writer),
            peer_address,
            protection: Protection::Plain,
            proof: None,
        })
    }

    fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // A restarted peer takes its address again while old connections linger in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        TcpListener::from_std(socket.into())
    }
}

impl Transport for Tcp {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut last = None;
            for address in lookup_host(address).await? {
                match self.bind(address) {
                    Ok(listener) => {
                        let tcp = self.clone();
                        return Ok(Box::new(TcpAcceptor { listener, tcp }) as Box<dyn Listener>);
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(no_address))
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        _to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let peer_address = stream.peer_addr()?.to_string();
            self.open(stream, peer_address)
        })
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move {
            let mut places: Vec<String> = Vec::new();
            for place in lookup_host(address).await?.map(|place| place.to_string()) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            if places.is_empty() { Err(no_address()) } else { Ok(places) }
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        Box::pin(async move {
            let mut addresses = lookup_host(address).await?.peekable();
            if addresses.peek().is_none() {
                return Err(no_address());
            }
            Ok(addresses.all(|address| address.ip().is_loopback()))
        })
    }

    fn has_tcp_addresses(&self) -> bool {
        true
    }

    fn tls(&self) -> Option<Tls> {
        Some(Tls::Off)
    }
}

/// The host of an address: what stands before the port, without brackets.
pub fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => {
            host.trim_start_matches('[').trim_end_matches(']')
        }
        _ => address,
    }
}

struct TcpAcceptor {
    listener: TcpListener,
    tcp: Tcp,
}

impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let (stream, address) = self.listener.accept().await?;
            let peer_address = address.to_string();
            let stream = self.tcp.open(stream, peer_address.clone());
            Ok(Incoming { peer_address, open: Box::pin(std::future::ready(stream)) })
        })
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        assert_eq!(host("10.0.0.1:7101"), "10.0.0.1");
        assert_eq!(host("[fe80::1]:7101"), "fe80::1");
        assert_eq!(host("a.example:7101"), "a.example");
        assert_eq!((host("a"), host("::1")), ("a", "::1"));
    }

    #[tokio::test]
    async fn an_address_leads_to_numbers_and_each_of_them_once() {
        let tcp = Tcp::default();
        let of_number = tcp.resolve("127.0.0.1:7101").await.expect("nothing is looked up");
        assert_eq!(of_number, ["127.0.0.1:7101"]);
        assert!(tcp.resolve("no port").await.is_err());
    }

    #[tokio::test]
    async fn loopback_is_private_and_all_interfaces_are_not() {
        let tcp = Tcp::default();
        assert!(tcp.is_private("127.0.0.1:1").await.expect("an address"));
        assert!(tcp.is_private("[::1]:1").await.expect("an address"));
        assert!(!tcp.is_private("0.0.0.0:1").await.expect("an address"));
        assert!(!tcp.is_private("192.0.2.1:1").await.expect("an address"));
        assert!(tcp.is_private("no port").await.is_err());
    }
}
