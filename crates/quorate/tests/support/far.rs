//! Places that are far away: every byte to or from them takes its time, which is that of the
//! runtime.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use quorate::PeerName;
use quorate::transport::{BoxFuture, Listener, Stream, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Bytes that an end takes at once.
const PIECE: usize = 64 * 1024;

/// A transport to which some addresses are so far away, each way.
pub(crate) struct Far {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) places: BTreeSet<String>,
    pub(crate) each_way: Duration,
}

impl Transport for Far {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.inner.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let stream = self.inner.connect(address, to).await?;
            Ok(if self.places.contains(address) { self.away(stream) } else { stream })
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.inner.is_private(address)
    }
}

impl Far {
    fn away(&self, stream: Stream) -> Stream {
        let Stream { reader, writer, .. } = stream;
        let (near_reader, pipe) = tokio::io::duplex(PIECE);
        tokio::spawn(carry(reader, pipe, self.each_way));
        let (near_writer, pipe) = tokio::io::duplex(PIECE);
        tokio::spawn(carry(pipe, writer, self.each_way));
        Stream { reader: Box::new(near_reader), writer: Box::new(near_writer), ..stream }
    }
}

/// Passes on what is read, so much later, until there is no more.
async fn carry(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = reader.read(&mut piece).await {
            let due = Instant::now() + delay;
            if sender.send((due, piece[..count].to_vec())).is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if writer.write_all(&piece).await.is_err() {
                return;
            }
        }
        // Who reads sees the end as well.
        writer.shutdown().await.unwrap_or_default();
    };
    tokio::join!(reading, writing);
}
