//! A network that others can read.

use std::io;
use std::sync::Arc;

use quorate::transport::{BoxFuture, Incoming, Listener, Stream, Transport};
use quorate::{PeerName, Protection};

/// Plain text over a network of several machines, of which `far` is another one.
pub(crate) struct Exposed(pub(crate) Arc<dyn Transport>);

struct ExposedListener(Box<dyn Listener>);

impl Listener for ExposedListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let Incoming { peer_address, open } = self.0.accept().await?;
            let open =
                Box::pin(
                    async move { Ok(Stream { protection: Protection::Plain, ..open.await? }) },
                );
            Ok(Incoming { peer_address, open })
        })
    }
}

impl Transport for Exposed {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.0.listen(address).await?;
            Ok(Box::new(ExposedListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.0.connect(address, to)
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        let is_private = match address {
            "lost" => Err(io::Error::other("no such name")),
            address => Ok(address != "far"),
        };
        Box::pin(std::future::ready(is_private))
    }
}
