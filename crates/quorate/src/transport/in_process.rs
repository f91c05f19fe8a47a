//! Several peers in one process: connections are pipes in memory, and links can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;

use super::{BoxFuture, Incoming, Listener, Protection, Stream, Transport};
use crate::base::id::PeerName;

/// Bytes that a pipe holds before its writer waits, like a socket's buffers.
const PIPE_BYTES: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 64;

/// A network within one process; addresses are any text.
///
/// Every peer has its own end of it, so that links between two of them can be cut:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use quorate::transport::InProcess;
///
/// let network = InProcess::network();
/// let at_a = network.at("a");          // for the peer that listens on "a"
/// let at_b = network.at("b");
/// network.cut("a", "b");               // bytes stay where they are, as in a black hole
/// network.heal("a", "b");              // they arrive after all
/// # let _ = (at_a, at_b);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct InProcess {
    state: Arc<Mutex<State>>,
    at: Arc<str>,
}

#[derive(Debug, Default)]
struct State {
    listeners: BTreeMap<Arc<str>, mpsc::Sender<Incoming>>,
    /// Ordered pairs whose bytes do not arrive: (from, to).
    cut: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Readers that wait for a link to heal.
    stalled: Vec<Waker>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("peer_address", &self.peer_address).finish_non_exhaustive()
    }
}

impl InProcess {
    /// A new network without listeners.
    pub fn network() -> Self {
        Self { state: Arc::default(), at: "".into() }
    }

    /// The end of this network at `address`: what [`Transport::connect`] connects from.
    pub fn at(&self, address: &str) -> Arc<dyn Transport> {
        Arc::new(Self { state: self.state.clone(), at: address.into() })
    }

    /// Makes the link between two addresses a black hole, both ways: nothing arrives, nothing is
    /// closed, and new connections hang.
    pub fn cut(&self, one: &str, other: &str) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Makes the link a black hole in one direction.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.state.lock().cut.insert((from.into(), to.into()));
    }

    /// Makes the link carry bytes again; those that were held up arrive.
    pub fn heal(&self, one: &str, other: &str) {
        let mut state = self.state.lock();
        state.cut.remove(&(Arc::from(one), Arc::from(other)));
        state.cut.remove(&(Arc::from(other), Arc::from(one)));
        let stalled = std::mem::take(&mut state.stalled);
        drop(state);
        stalled.into_iter().for_each(Waker::wake);
    }

    /// A stream as one end sees it, `local` being this end's address.
    fn stream(&self, local: &Arc<str>, remote: &Arc<str>, pipes: Pipes) -> Stream {
        let link = (remote.clone(), local.clone());
        Stream {
            reader: Box::new(Reader { pipe: pipes.reader, state: self.state.clone(), link }),
            writer: Box::new(pipes.writer),
            peer_address: remote.to_string(),
            protection: Protection::Local,
            proof: None,
        }
    }
}

/// One end of two pipes: each is used in one direction, so that dropping a half closes it.
struct Pipes {
    reader: DuplexStream,
    writer: DuplexStream,
}

impl Pipes {
    fn pair() -> (Self, Self) {
        let (there_writer, there_reader) = duplex(PIPE_BYTES);
        let (back_writer, back_reader) = duplex(PIPE_BYTES);
        (
            Self { reader: back_reader, writer: there_writer },
            Self { reader: there_reader, writer: back_writer },
        )
    }
}

impl Transport for InProcess {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            let address: Arc<str> = address.into();
            if state.listeners.get(&address).is_some_and(|listener| !listener.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let (sender, receiver) = mpsc::channel(BACKLOG);
            state.listeners.insert(address, sender);
            Ok(Box::new(Acceptor(receiver)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        _to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let remote: Arc<str> = address.into();
            let there = (self.at.clone(), remote.clone());
            let back = (remote.clone(), self.at.clone());
            // The three steps of a TCP handshake need both directions.
            std::future::poll_fn(|context| {
                let mut state = self.state.lock();
                if state.cut.contains(&there) || state.cut.contains(&back) {
                    state.stalled.push(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            let listener = self.state.lock().listeners.get(&remote).cloned();
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (ours, theirs) = Pipes::pair();
            let ours = self.stream(&self.at, &remote, ours);
            let theirs = self.stream(&remote, &self.at, theirs);
            let incoming = Incoming {
                peer_address: self.at.to_string(),
                open: Box::pin(std::future::ready(Ok(theirs))),
            };
            listener.send(incoming).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(ours)
        })
    }

    fn is_private<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

struct Acceptor(mpsc::Receiver<Incoming>);

impl Listener for Acceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.0.recv().await;
            incoming.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
        })
    }
}

/// The reading half: sees nothing, not even the end, while its link is cut.
struct Reader {
    pipe: DuplexStream,
    state: Arc<Mutex<State>>,
    link: (Arc<str>, Arc<str>),
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        {
            let mut state = this.state.lock();
            if state.cut.contains(&this.link) {
                if !state.stalled.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.stalled.push(context.waker().clone());
                }
                return Poll::Pending;
            }
        }
        Pin::new(&mut this.pipe).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pair(network: &InProcess) -> (Stream, Stream) {
        let mut listener = network.at("b").listen("b").await.expect("the address is free");
        let there = network.at("a").connect("b", None).await.expect("b listens");
        let incoming = listener.accept().await.expect("a has connected");
        (there, incoming.open.await.expect("nothing is left to do"))
    }

    #[tokio::test]
    async fn bytes_of_a_cut_link_arrive_after_it_has_healed() {
        let network = InProcess::network();
        let (mut a, mut b) = pair(&network).await;
        network.cut("a", "b");
        a.writer.write_all(b"late").await.expect("the pipe has room");
        let mut bytes = [0; 4];
        {
            let mut read = Box::pin(b.reader.read_exact(&mut bytes));
            let mut context = Context::from_waker(Waker::noop());
            assert!(read.as_mut().poll(&mut context).is_pending());
            network.heal("a", "b");
            read.await.expect("the link has healed");
        }
        assert_eq!(&bytes, b"late");
    }

    #[tokio::test]
    async fn nobody_listens_at_an_unknown_address() {
        let network = InProcess::network();
        let error = network.at("a").connect("b", None).await.err().expect("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_address_is_free_again_when_its_listener_is_dropped() {
        let network = InProcess::network().at("a");
        let listener = network.listen("a").await.expect("the address is free");
        assert!(network.listen("a").await.is_err());
        drop(listener);
        assert!(network.listen("a").await.is_ok());
    }
}
