//! A bare round trip: 32 bytes over TCP to another process and back. The floor of what a forwarded
//! check can cost.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::child;

/// Bytes that go there and come back.
const BYTES: usize = 32;

/// Answers everything with itself, on one thread, until the parent ends.
///
/// # Errors
///
/// If loopback cannot be listened on.
pub fn serve() -> io::Result<()> {
    child::end_with_parent();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        child::say(&listener.local_addr()?.to_string())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(answer(stream));
        }
    })
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; BYTES];
    loop {
        stream.read_exact(&mut buffer).await?;
        stream.write_all(&buffer).await?;
    }
}

/// The caller's end.
#[derive(Debug)]
pub struct Echo(TcpStream);

impl Echo {
    /// Connects to [`serve`].
    ///
    /// # Errors
    ///
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// One round trip.
    ///
    /// # Errors
    ///
    /// If the connection is lost.
    pub async fn round_trip(&mut self) -> io::Result<()> {
        let mut buffer = [7; BYTES];
        self.0.write_all(&buffer).await?;
        self.0.read_exact(&mut buffer).await?;
        Ok(())
    }
}
