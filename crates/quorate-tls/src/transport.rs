//! TLS over another transport.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Cursor};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use quorate::internal::wire::{self, Frame, MAX_HELLO_BYTES, Refuse, kind};
use quorate::transport::{
    BoxFuture, HEADER_BYTES, Incoming, Listener, Stream, Transport, host, is_tls,
};
use quorate::{Certificate, Event, PeerName, Tls};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{DnsName, ServerName, UnixTime};
use rustls::{ClientConnection, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::broadcast;

use crate::config::TlsConfig;
use crate::credentials::{Credentials, protocols_told};
use crate::error::CredentialsError;
use crate::failed::Failed;
use crate::fault::PeerFault;
use crate::handshake::{Broken, Shaken, Wire, shake};
use crate::inquiry::{Inquiry, Wanted};
use crate::names::Names;
use crate::session;
use crate::source::Source;
use crate::turns::Turns;
use crate::watch::FileWatch;

/// The time that an end which is not wanted has to read why.
const PARTING: Duration = Duration::from_millis(100);
/// The times in a row that a peer closes TLS without a word until it is taken for one that does not
/// know TLS.
const SILENT_CLOSES: u32 = 3;
/// Most addresses of which such closes are counted: far more than a group has.
const MAX_SILENT: usize = 64;
/// Most events of renewals that wait for a peer to tell them.
const MAX_EVENTS: usize = 16;

/// A transport that encrypts, and proves who is at the other end; see the crate's documentation.
///
/// Clones are the same transport: keep one to renew certificates by. Peers of one process may share
/// it if the certificate names them all.
#[derive(Clone)]
pub struct TlsTransport {
    pub(crate) shared: Arc<Shared>,
}

/// The one who has new files read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    ByEmbedder,
    /// A look at the files, which comes again and again.
    ByWatch,
}

/// The state that all clones of a transport share.
pub(crate) struct Shared {
    inner: Arc<dyn Transport>,
    stage: Tls,
    pub(super) names: Arc<Names>,
    pub(super) provider: Arc<CryptoProvider>,
    pub(crate) source: Mutex<Source>,
    pub(super) current: RwLock<Arc<Credentials>>,
    /// The peers of this process that it serves. Held while files are read and put to use, so that
    /// what is used names all of them, and a slower reload never undoes a later one.
    pub(super) own: Mutex<BTreeSet<PeerName>>,
    /// Turns at the handshakes of connections that come in.
    turns: Turns,
    /// The times in a row that an address has closed TLS without a word.
    silent: Mutex<BTreeMap<String, u32>>,
    pub(crate) events: broadcast::Sender<Event>,
    /// The time between two looks at the files, if they are looked at.
    pub(crate) watch: Option<Duration>,
    /// Held by the peer that looks at the files for all of them.
    pub(crate) watching: tokio::sync::Mutex<()>,
    pub(crate) files: Mutex<FileWatch>,
    /// The clock that says which CAs are over.
    pub(crate) now: fn() -> UnixTime,
    /// The last fault of new files, until they are good.
    pub(super) last_refusal: Mutex<Option<String>>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.shared.current().own.clone();
        f.debug_struct("TlsTransport")
            .field("stage", &self.shared.stage)
            .field("certificate", &own)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Reads and checks everything, and makes the transport. Blocks while files are read.
    ///
    /// # Errors
    ///
    /// If the files or the settings cannot be used: it says why, and what to do.
    pub fn transport(self) -> Result<TlsTransport, CredentialsError> {
        TlsTransport::new(self)
    }
}

impl TlsTransport {
    pub(crate) fn new(config: TlsConfig) -> Result<Self, CredentialsError> {
        Self::with_date(config, UnixTime::now)
    }

    pub(crate) fn with_date(
        mut config: TlsConfig,
        now: fn() -> UnixTime,
    ) -> Result<Self, CredentialsError> {
        let provider = config.take_provider()?;
        let inner = config.take_inner();
        let names = Names::of(config.patterns())?;
        let TlsConfig { source, stage, watch, .. } = config;
        // Taken first: what changes while it is read is read again.
        let fingerprint = watch.map_or(0, |_| source.fingerprint());
        let current = Credentials::load(&source, &provider)?;
        let shared = Shared {
            inner,
            stage,
            names: Arc::new(names),
            provider,
            source: Mutex::new(source),
            current: RwLock::new(Arc::new(current)),
            own: Mutex::default(),
            turns: Turns::default(),
            silent: Mutex::default(),
            last_refusal: Mutex::default(),
            events: broadcast::Sender::new(MAX_EVENTS),
            watch,
            watching: tokio::sync::Mutex::default(),
            files: Mutex::new(FileWatch::new(fingerprint)),
            now,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes the questions of one handshake.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn inquiry(&self, wanted: Wanted) -> Arc<Inquiry> {
        let trust = self.shared.current().trust.clone();
        Inquiry::new(trust, self.shared.names.clone(), wanted)
    }
}

impl Shared {
    pub(crate) fn current(&self) -> Arc<Credentials> {
        self.current.read().clone()
    }

    /// Does the TLS handshake of a connection made from here.
    async fn dial(
        &self,
        stream: Stream,
        address: &str,
        to: Option<&PeerName>,
    ) -> Result<Stream, Failed> {
        let current = self.current();
        let own = current.own.to_string();
        let wanted = to.cloned().map_or(Wanted::SomeMember, Wanted::Member);
        let inquiry = Inquiry::new(current.trust.clone(), self.names.clone(), wanted);
        let wire = tokio::io::join(stream.reader, stream.writer);
        let config = current.client(inquiry.clone());
        let connection = ClientConnection::new(config, server_name(address, to))
            .map_err(|error| Failed::Network(io::Error::other(error)))?;
        match shake(connection.into(), wire, None).await {
            Ok(shaken) => finish(shaken, stream.peer_address, &inquiry, own),
            Err(Broken { error, wire }) => {
                let failed = Failed::of(error, &inquiry, &own);
                part(wire).await;
                Err(failed)
            }
        }
    }

    /// Returns true if what came of dialing an address says that plain text is talked there: it
    /// answered so, or it has closed several connections in a row without a word.
    fn talks_plain(&self, address: &str, dialed: &Result<Stream, Failed>) -> bool {
        let mut silent = self.silent.lock();
        match dialed {
            Err(Failed::Plain) => true,
            Err(Failed::Silent(_)) => {
                // To forget them costs a few more attempts, and a list in order would cost more.
                if silent.len() >= MAX_SILENT {
                    silent.clear();
                }
                let count = silent.entry(address.to_owned()).or_default();
                *count += 1;
                *count >= SILENT_CLOSES
            }
            _ => {
                silent.remove(address);
                false
            }
        }
    }

    /// Does what is left to do of a connection that came in: as far as the stage has it, the
    /// handshake.
    pub(crate) async fn welcome(&self, mut stream: Stream) -> io::Result<Stream> {
        if self.stage == Tls::Off {
            return Ok(stream);
        }
        let mut header = [0; HEADER_BYTES];
        stream.reader.read_exact(&mut header).await?;
        let reader: Box<dyn AsyncRead + Send + Unpin> =
            Box::new(Cursor::new(header).chain(stream.reader));
        if is_tls(header) {
            return Ok(self.accept(reader, stream.writer, stream.peer_address).await?);
        }
        if self.stage == Tls::Permissive {
            return Ok(Stream { reader, ..stream });
        }
        if !is_hello(header) {
            let reason = "it begins neither with TLS nor as a peer does".to_owned();
            return Err(PeerFault::Garbage { reason }.unwanted().into());
        }
        refuse_plain(reader, stream.writer, self.stage).await;
        Err(PeerFault::PlainText.unwanted().into())
    }

    /// Does the TLS handshake of a connection that came in.
    async fn accept(
        &self,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        peer_address: String,
    ) -> Result<Stream, Failed> {
        let current = self.current();
        let own = current.own.to_string();
        let inquiry = Inquiry::new(current.trust.clone(), self.names.clone(), Wanted::Anybody);
        let connection = ServerConnection::new(current.server(inquiry.clone()))
            .map_err(|error| Failed::Network(io::Error::other(error)))?;
        let wire = tokio::io::join(reader, writer);
        match shake(connection.into(), wire, Some(&self.turns)).await {
            Ok(shaken) => finish(shaken, peer_address, &inquiry, own),
            Err(Broken { error, wire }) => {
                let failed = Failed::of(error, &inquiry, &own).at_listener();
                part(wire).await;
                Err(failed)
            }
        }
    }
}

/// Checks what rustls leaves to its user, and makes the stream.
fn finish(
    shaken: Shaken,
    peer_address: String,
    inquiry: &Inquiry,
    own: String,
) -> Result<Stream, Failed> {
    // rustls lets a client in that names no protocol at all.
    if shaken.connection.alpn_protocol().is_none() {
        let fault = PeerFault::NoProtocol { ours: protocols_told() };
        return Err(Failed::Unwanted(fault));
    }
    let proof = inquiry.proof().ok_or(Failed::Unwanted(PeerFault::NoCertificate))?;
    Ok(session::stream(shaken, peer_address, proof, own))
}

/// Chooses the name that is sent in plain text, for routers that pass TLS through: the host that is
/// dialed, or the peer, if the host is a number.
fn server_name(address: &str, to: Option<&PeerName>) -> ServerName<'static> {
    if let Ok(host @ ServerName::DnsName(_)) = ServerName::try_from(host(address).to_owned()) {
        return host;
    }
    match to.map(|peer| DnsName::try_from(peer.as_str().to_owned())) {
        Some(Ok(peer)) => ServerName::DnsName(peer),
        // An address is never sent: any will do.
        _ => ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
    }
}

/// Returns true if a connection begins with the header of a `Hello` in plain text.
fn is_hello(header: [u8; HEADER_BYTES]) -> bool {
    let [a, b, c, d, kind_of_frame] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    kind_of_frame == kind::HELLO && length <= MAX_HELLO_BYTES
}

/// Tells a peer in plain text, which it understands, that TLS is required.
async fn refuse_plain(
    reader: Box<dyn AsyncRead + Send + Unpin>,
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    stage: Tls,
) {
    let refusal =
        Refuse { field: "tls".to_owned(), ours: stage.to_string(), theirs: Tls::Off.to_string() };
    let mut bytes = Default::default();
    wire::encode(&Frame::Refuse(refusal), &mut bytes);
    // Whether it hears why makes no difference here.
    let _ = writer.write_all(&bytes).await;
    part(tokio::io::join(reader, writer)).await;
}

/// Closes, and gives the other end a moment to read why: what is closed with something unread in it
/// may take that with it.
async fn part(mut wire: Wire) {
    let parting = async {
        let _ = wire.shutdown().await;
        let mut unread = [0; 1024];
        while wire.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    };
    let _ = tokio::time::timeout(PARTING, parting).await;
}

impl Transport for TlsTransport {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.shared.inner.listen(address).await?;
            let shared = self.shared.clone();
            Ok(Box::new(TlsListener { listener, shared }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.connect_at(address, address, to)
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        self.shared.inner.resolve(address)
    }

    fn connect_at<'a>(
        &'a self,
        address: &'a str,
        place: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let Shared { inner, stage, .. } = &*self.shared;
            let stream = inner.connect_at(address, place, to).await?;
            if *stage == Tls::Off {
                return Ok(stream);
            }
            // Routers see the name that was looked up, wherever it has led.
            let dialed = self.shared.dial(stream, address, to).await;
            // A permissive group is one that changes: a peer is reached in the way that it can be.
            if *stage == Tls::Permissive && self.shared.talks_plain(place, &dialed) {
                return inner.connect_at(address, place, to).await;
            }
            Ok(dialed?)
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        match self.shared.stage {
            Tls::Required => Box::pin(std::future::ready(Ok(true))),
            _ => self.shared.inner.is_private(address),
        }
    }

    fn enlist(&self, own: &PeerName) -> io::Result<()> {
        let mut enlisted = self.shared.own.lock();
        let source = self.shared.source.lock().clone();
        let peers = BTreeSet::from([own.clone()]);
        // With the lock: files that are read meanwhile have to name this peer too.
        let checked = self.shared.current().check_names(&source, &self.shared.names, &peers);
        checked.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        enlisted.insert(own.clone());
        Ok(())
    }

    fn dismiss(&self, own: &PeerName) {
        self.shared.own.lock().remove(own);
    }

    fn has_tcp_addresses(&self) -> bool {
        self.shared.inner.has_tcp_addresses()
    }

    fn tls(&self) -> Option<Tls> {
        Some(self.shared.stage)
    }

    fn certificate(&self) -> Option<Certificate> {
        // In plain text none is shown.
        (self.shared.stage != Tls::Off).then(|| self.shared.current().own.clone())
    }

    fn attend<'a>(&'a self, tell: &'a (dyn Fn(Event) + Send + Sync)) -> BoxFuture<'a, ()> {
        Box::pin(self.shared.attend(tell))
    }
}

struct TlsListener {
    listener: Box<dyn Listener>,
    shared: Arc<Shared>,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let Incoming { peer_address, open } = self.listener.accept().await?;
            let shared = self.shared.clone();
            let open = Box::pin(async move { shared.welcome(open.await?).await });
            Ok(Incoming { peer_address, open })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_see_the_host_that_is_dialed_or_else_the_peer() {
        let sent = |address: &str, to: Option<&str>| {
            let to = to.map(PeerName::from);
            match server_name(address, to.as_ref()) {
                ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
                _ => None,
            }
        };
        assert_eq!(sent("a.dc1.example:7101", Some("a")).as_deref(), Some("a.dc1.example"));
        assert_eq!(sent("10.0.0.1:7101", Some("a")).as_deref(), Some("a"));
        assert_eq!(sent("[::1]:7101", Some("a_1")).as_deref(), Some("a_1"));
        assert_eq!((sent("10.0.0.1:7101", None), sent("10.0.0.1:1", Some(".-"))), (None, None));
    }

    #[test]
    fn the_header_of_a_hello_is_told_from_garbage() {
        assert!(is_hello([200, 0, 0, 0, 1]));
        assert!(!is_hello([200, 0, 0, 0, 3]));
        assert!(!is_hello([200, 0, 0, 200, 1]));
        assert!(!is_hello(*b"GET /"));
    }
}
