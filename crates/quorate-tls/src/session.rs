//! A connection whose TLS handshake is done, as the two halves that the core wants.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quorate::transport::{Proof, Protection, Stream};
use rustls::Error;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, Join, ReadBuf};
use tokio_rustls::TlsStream;

use crate::fault::PeerFault;

/// rustls asks for 4 KiB at a time; one read of the socket takes this much for it.
const READ_BYTES: usize = 64 * 1024;

type Reader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What TLS runs over.
pub(crate) type Wire = Join<Reader, Writer>;

/// The halves of a connection in one, as rustls wants it.
pub(crate) fn join(reader: Box<dyn AsyncRead + Send + Unpin>, writer: Writer) -> Wire {
    tokio::io::join(BufReader::with_capacity(READ_BYTES, reader), writer)
}

/// The stream of a session; `own` is what errors call this peer's certificate.
pub(crate) fn stream(
    session: TlsStream<Wire>,
    peer_address: String,
    proof: std::sync::Arc<dyn Proof>,
    own: String,
) -> Stream {
    let (reader, writer) = tokio::io::split(session);
    Stream {
        reader: Box::new(Listening { reader, own }),
        writer: Box::new(writer),
        peer_address,
        protection: Protection::Tls,
        proof: Some(proof),
    }
}

/// Reads a session. In TLS 1.3 the end that connects has done its handshake before the other end has
/// looked at its certificate: that it was refused is only heard here.
struct Listening<R> {
    reader: R,
    own: String,
}

impl<R: AsyncRead + Unpin> AsyncRead for Listening<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.reader).poll_read(context, buffer));
        Poll::Ready(read.map_err(|error| match refusal(&error, &self.own) {
            Some(fault) => fault.unwanted(None).into(),
            None => error,
        }))
    }
}

/// The refusal in an error, if the other end has sent one.
pub(crate) fn refusal(error: &io::Error, own: &str) -> Option<PeerFault> {
    match tls_error(error)? {
        Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => {
            Some(PeerFault::NoProtocol { ours: crate::credentials::protocols_told() })
        }
        Error::AlertReceived(alert) => {
            let alert = alert.as_str().map_or_else(|| format!("{alert:?}"), str::to_owned);
            Some(PeerFault::Refused { certificate: own.to_owned(), alert })
        }
        _ => None,
    }
}

/// What rustls says in an error.
pub(crate) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
