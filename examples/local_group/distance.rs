//! The distance between two sites of `local_group`: proxies through which every byte takes its
//! time, and the way that a peer takes to them.
//!
//! ```text
//!   peer of one site ──▶ proxy of a peer of the other ── 40 ms ──▶ that peer
//!                    ◀── 40 ms ───────────────────────────────────
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quorate::PeerName;
use quorate::transport::{BoxFuture, Listener, Stream, Tcp, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// Pieces that are on their way in one direction of a connection: whoever sends more waits.
const MAX_PIECES: usize = 4_096;

/// A proxy for each peer, through which whoever stands at the other site reaches it.
pub(crate) async fn proxies(
    peers: Vec<SocketAddr>,
    each_way: Duration,
) -> io::Result<BTreeMap<SocketAddr, SocketAddr>> {
    let mut proxies = BTreeMap::new();
    for peer in peers {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        proxies.insert(peer, listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection ends as it would without a proxy between.
                tokio::spawn(
                    async move { carry(stream, peer, each_way).await.unwrap_or_default() },
                );
            }
        });
    }
    Ok(proxies)
}

/// Carries a connection to a peer, until either end closes it.
async fn carry(mut near: TcpStream, peer: SocketAddr, each_way: Duration) -> io::Result<()> {
    let mut far = TcpStream::connect(peer).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_reader, near_writer) = near.split();
    let (far_reader, far_writer) = far.split();
    tokio::select! {
        there = delayed(near_reader, far_writer, each_way) => there,
        back = delayed(far_reader, near_writer, each_way) => back,
    }
}

/// Passes on what is read, so much later.
async fn delayed(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(MAX_PIECES);
    let reading = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let count = reader.read(&mut piece).await?;
            piece.truncate(count);
            let due = Instant::now() + delay;
            if count == 0 || sender.send((due, piece)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            writer.write_all(&piece).await?;
        }
        io::Result::Ok(())
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

/// TCP that reaches some addresses by other ways, as a router between would have it.
#[derive(Debug)]
pub(crate) struct Detour {
    tcp: Tcp,
    ways: BTreeMap<String, String>,
}

impl Detour {
    pub(crate) fn new(tcp: Tcp, ways: &[(SocketAddr, SocketAddr)]) -> Self {
        let ways = ways.iter().map(|(to, by)| (to.to_string(), by.to_string())).collect();
        Self { tcp, ways }
    }

    fn way<'a>(&'a self, address: &'a str) -> &'a str {
        self.ways.get(address).map_or(address, String::as_str)
    }
}

impl Transport for Detour {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.tcp.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.tcp.connect(self.way(address), to)
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.tcp.is_private(address)
    }
}
