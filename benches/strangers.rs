//! What a handshake with a stranger costs the peer that it comes to, by what the stranger shows.
//!
//! Each stranger is an end of TLS that verifies nothing, over memory. What is counted is the time
//! for which the accepting side has the processor, from the first byte to the refusal; the least
//! of several turns, for a machine that does something else only adds to it.
//!
//! Then many strangers come again and again, over TCP, to a peer whose runtime has one thread: what
//! part of it they get, and how late everything else is there, by a timer.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use quorate::transport::{InProcess, Stream, Tcp, Transport};
use quorate_benches::facts;
use quorate_benches::report::{Table, is_wanted, quantile};
use quorate_benches::stopwatch::now;
use quorate_tls::{TlsConfig, TlsTransport};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Handshakes of each kind.
const TURNS: usize = 20;
/// Strangers that come at a time, as many as one address may have by default.
const FLOOD: usize = 32;
/// How long they come.
const FLOODED: Duration = Duration::from_secs(5);
/// The timer of the peer that they come to.
const TICK: Duration = Duration::from_millis(5);
/// The name of the peer's CA, which every stranger can read in the certificate that it is shown.
const CA: &str = "group";

fn main() -> Result<(), Box<dyn Error>> {
    println!("A handshake with a stranger. {}", facts::machine());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new(&["the stranger shows", "KiB", "least µs", "median µs"]);
    for stranger in strangers()? {
        if !is_wanted(&stranger.name) {
            continue;
        }
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(runtime.block_on(stranger.turn())?.as_secs_f64() * 1e6);
        }
        turns.sort_by(f64::total_cmp);
        let kib = stranger.chain.iter().map(|der| der.len()).sum::<usize>() as f64 / 1024.0;
        let [least, median] = [0.0, 0.5].map(|part| format!("{:.0}", quantile(&turns, part)));
        table.row([stranger.name, format!("{kib:.1}"), least, median]);
    }
    println!("\n{table}");
    if is_wanted("flood") {
        println!("{}", flood()?);
    }
    Ok(())
}

/// A peer to which strangers come, beside one to which none does.
fn flood() -> Result<Table, Box<dyn Error>> {
    let head = ["strangers", "handshakes a second", "part of thread", "late: p50 µs", "p99 µs"];
    let mut table = Table::new(&head);
    let own = Authority::new(CA)?;
    let tls = own.config(&[])?;
    let shown = claiming(7, 0)?;
    let strangers = Runtime::new()?;
    for count in [0, FLOOD] {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = free.local_addr()?.to_string();
        drop(free);
        let stranger = Arc::new(Stranger {
            name: String::new(),
            tls: tls.clone(),
            chain: shown.certificates.clone(),
            key: Some(shown.key.clone_key()),
            record: None,
        });
        let mut coming = JoinSet::new();
        for _ in 0..count {
            let stranger = stranger.clone();
            let address = address.clone();
            coming.spawn_on(async move { stranger.come_again(&address).await }, strangers.handle());
        }
        let flooded = Flooded::default();
        let peer = Builder::new_current_thread().enable_all().build()?;
        let late = peer.block_on(flooded.run(&tls.clone().transport()?, &address))?;
        let seconds = FLOODED.as_secs_f64();
        let per_second = flooded.handshakes.load(Ordering::Relaxed) as f64 / seconds;
        let part = flooded.spent_nanos.load(Ordering::Relaxed) as f64 / 1e9 / seconds;
        let [p50, p99] = [0.5, 0.99].map(|part| format!("{:.0}", quantile(&late, part)));
        let row = [count.to_string(), format!("{per_second:.0}"), format!("{part:.2}"), p50, p99];
        table.row(row);
    }
    Ok(table)
}

/// What a peer is kept busy with.
#[derive(Default)]
struct Flooded {
    spent_nanos: Arc<AtomicU64>,
    handshakes: Arc<AtomicU64>,
}

impl Flooded {
    /// Lets in whoever comes for a while; how late a timer was meanwhile, in microseconds, sorted.
    async fn run(&self, tls: &TlsTransport, address: &str) -> Result<Vec<f64>, Box<dyn Error>> {
        let mut listener = tls.listen(address).await?;
        let accepting = async {
            let mut opening = JoinSet::new();
            loop {
                let Ok(incoming) = listener.accept().await else { continue };
                let spent = self.spent_nanos.clone();
                let handshakes = self.handshakes.clone();
                opening.spawn(async move {
                    let mut timed = Timed { future: incoming.open, spent: Duration::ZERO };
                    // What becomes of it makes no difference here.
                    let _ = Pin::new(&mut timed).await;
                    let nanos = u64::try_from(timed.spent.as_nanos()).unwrap_or(u64::MAX);
                    spent.fetch_add(nanos, Ordering::Relaxed);
                    handshakes.fetch_add(1, Ordering::Relaxed);
                });
                while opening.try_join_next().is_some() {}
            }
        };
        let mut late = Vec::new();
        let ticking = async {
            let began = now();
            while began.elapsed() < FLOODED {
                let due = now() + TICK;
                tokio::time::sleep_until(due.into()).await;
                late.push(due.elapsed().as_secs_f64() * 1e6);
            }
        };
        tokio::select! {
            () = accepting => {}
            () = ticking => {}
        }
        late.sort_by(f64::total_cmp);
        Ok(late)
    }
}

/// Somebody who connects, and the peer that it connects to.
struct Stranger {
    name: String,
    tls: TlsConfig,
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    /// Bytes of one record.
    record: Option<usize>,
}

impl Stranger {
    /// One handshake: for how long the accepting side had the processor.
    async fn turn(&self) -> Result<Duration, Box<dyn Error>> {
        let network = InProcess::network();
        let tls = self.tls.clone().over(network.at("b")).transport()?;
        let mut listener = tls.listen("b").await?;
        let accepting = async {
            let incoming = listener.accept().await?;
            let mut opening = Timed { future: incoming.open, spent: Duration::ZERO };
            // What becomes of it makes no difference here.
            let _ = Pin::new(&mut opening).await;
            Ok::<_, Box<dyn Error>>(opening.spent)
        };
        let dialing = async {
            let stream = network.at("x").connect("b", None).await?;
            self.talk(stream).await;
            Ok::<_, Box<dyn Error>>(())
        };
        let (spent, dialed) = tokio::join!(accepting, dialing);
        dialed?;
        spent
    }

    /// Connects, is refused, and connects again.
    async fn come_again(&self, address: &str) {
        loop {
            match Tcp::default().connect(address, None).await {
                Ok(stream) => self.talk(stream).await,
                Err(_) => tokio::time::sleep(TICK).await,
            }
        }
    }

    async fn talk(&self, stream: Stream) {
        let Ok(config) = self.config() else { return };
        let wire = tokio::io::join(stream.reader, stream.writer);
        let name = ServerName::try_from("stranger").expect("a name");
        if let Ok(mut session) = TlsConnector::from(Arc::new(config)).connect(name, wire).await {
            let _ = session.read(&mut [0; 64]).await;
        }
    }

    fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let mut config = match &self.key {
            Some(key) => builder.with_client_auth_cert(self.chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"quorate/3".to_vec()];
        config.max_fragment_size = self.record;
        Ok(config)
    }
}

/// Counts for how long a future has the processor.
struct Timed<F> {
    future: F,
    spent: Duration,
}

impl<F: Future + Unpin> Future for Timed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let began = now();
        let polled = Pin::new(&mut this.future).poll(context);
        this.spent += began.elapsed();
        polled
    }
}

/// Everybody who is measured.
fn strangers() -> Result<Vec<Stranger>, Box<dyn Error>> {
    let own = Authority::new(CA)?;
    let lone = own.config(&[])?;
    let twins: Result<Vec<_>, _> = (0..19).map(|_| Authority::new(CA)).collect();
    let crowd = own.config(&twins?)?;
    let stranger = |name: &str, tls: &TlsConfig, chain: Chain| Stranger {
        name: name.to_owned(),
        tls: tls.clone(),
        chain: chain.certificates,
        key: Some(chain.key),
        record: None,
    };
    let good = own.chain(&[SanType::URI("quorate:a".try_into()?)])?;
    let nobody = Stranger { key: None, ..stranger("no certificate", &lone, good.clone()) };
    let of_own = Authority::new("another CA")?.chain(&[])?;
    let tiny = stranger("7 CAs of the CA's name, 27 bytes a record", &lone, claiming(7, 0)?);
    let names: Result<Vec<_>, rcgen::Error> =
        (0..10_000).map(|n| Ok(SanType::DnsName(format!("{n}").try_into()?))).collect();
    let many_names = names?;
    let mut wordy = named("a");
    wordy.distinguished_name.push(DnType::OrganizationName, "a".repeat(15_000));
    Ok(vec![
        stranger("a good certificate", &lone, good),
        Stranger { chain: Vec::new(), ..nobody },
        stranger("one of another CA", &lone, of_own),
        stranger("7 CAs of the CA's name", &lone, claiming(7, 0)?),
        stranger("the same, 20 CAs of that name trusted", &crowd, claiming(7, 0)?),
        Stranger { record: Some(32), ..tiny },
        stranger("60 CAs of the CA's name", &lone, claiming(60, 0)?),
        stranger("1,000 names", &lone, own.chain(&many_names[..1_000])?),
        stranger("10,000 names", &lone, own.chain(&many_names)?),
        stranger("a subject of 15,000 letters", &lone, own.issue(wordy)?),
        stranger("7 CAs of 2 KiB of the CA's name", &lone, claiming(7, 1_750)?),
        stranger("6 layers of 4 CAs", &lone, layers(6, 4, 0)?),
        stranger("6 layers of 8 CAs", &lone, layers(6, 8, 0)?),
        stranger("6 layers of 8 CAs with fillers", &lone, layers(6, 8, 900)?),
    ])
}

struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Chain {
    fn clone(&self) -> Self {
        Self { certificates: self.certificates.clone(), key: self.key.clone_key() }
    }
}

/// A CA whose key is in these hands.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self, rcgen::Error> {
        let params = authority(name, 0);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    fn chain(&self, names: &[SanType]) -> Result<Chain, rcgen::Error> {
        let mut params = named("b");
        params.subject_alt_names = names.to_vec();
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Chain, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificates = vec![params.signed_by(&key, &self.issuer)?.der().clone()];
        Ok(Chain { certificates, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) })
    }

    /// The settings of a peer of this CA that trusts others as well.
    fn config(&self, others: &[Self]) -> Result<TlsConfig, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = named("b");
        params.subject_alt_names = vec![SanType::DnsName("b".try_into()?)];
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let others: String = others.iter().map(|ca| &*ca.pem).collect();
        Ok(TlsConfig::from_pem(others + &self.pem, certificate, key.serialize_pem()))
    }
}

/// A certificate of the CA's name, and as many CAs that have its name and say that it has signed
/// them.
fn claiming(count: usize, filler: usize) -> Result<Chain, rcgen::Error> {
    let mut certificates = Vec::new();
    for _ in 0..count {
        let key = KeyPair::generate()?;
        certificates.push(authority(CA, filler).self_signed(&key)?.der().clone());
    }
    under(CA, certificates)
}

/// A certificate under layers of CAs of one name each: every CA of a layer could have signed every
/// one of the layer below. None of them says that the peer's CA has, so that the search goes on.
fn layers(layers: usize, width: usize, filler: usize) -> Result<Chain, rcgen::Error> {
    let name = |layer: usize| format!("L{layer}");
    let mut certificates = Vec::new();
    for layer in 0..layers {
        let above = Issuer::new(authority(&name(layer + 1), 0), KeyPair::generate()?);
        for _ in 0..width {
            let params = authority(&name(layer), filler);
            certificates.push(params.signed_by(&KeyPair::generate()?, &above)?.der().clone());
        }
    }
    under(&name(0), certificates)
}

fn under(issuer: &str, above: Vec<CertificateDer<'static>>) -> Result<Chain, rcgen::Error> {
    let issuer = Issuer::new(authority(issuer, 0), KeyPair::generate()?);
    let key = KeyPair::generate()?;
    let mut certificates = vec![named("a").signed_by(&key, &issuer)?.der().clone()];
    certificates.extend(above);
    Ok(Chain { certificates, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) })
}

fn authority(name: &str, filler: usize) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if filler > 0 {
        let oid = [1, 3, 6, 1, 4, 1, 99_999, 1];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, vec![5; filler])];
    }
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
