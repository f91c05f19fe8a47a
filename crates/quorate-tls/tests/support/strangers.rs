//! Ends of TLS connections that verify nothing and show what they like.

use std::sync::Arc;

use quorate::transport::{InProcess, Incoming, Listener, Stream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tokio::io::{AsyncReadExt, Join};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Issued;

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
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Anything {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

fn chain(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain: Result<_, _> =
        CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes());
    (chain.expect("it was made a moment ago"), key.expect("it was made a moment ago"))
}

type Joined = Join<
    Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
>;

fn joined(stream: Stream) -> Joined {
    tokio::io::join(stream.reader, stream.writer)
}

fn client(issued: Option<&Issued>, protocol: Option<&str>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything));
    let mut config = match issued {
        Some(issued) => {
            let (chain, key) = chain(issued);
            builder.with_client_auth_cert(chain, key).expect("they belong together")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Connects to `address` with this certificate, or none, and this protocol, or none.
async fn connect(
    network: &InProcess,
    address: &str,
    issued: Option<&Issued>,
    protocol: Option<&str>,
) -> std::io::Result<TlsStream<Joined>> {
    let config = client(issued, protocol);
    let stream = network.at("stranger").connect(address, None).await?;
    let name = ServerName::try_from("stranger").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, joined(stream)).await
}

/// Connects, and returns what comes of reading then: in TLS 1.3 that is where a refusal is heard.
pub(crate) async fn dial(
    network: &InProcess,
    address: &str,
    issued: Option<&Issued>,
    protocol: Option<&str>,
) -> std::io::Result<usize> {
    connect(network, address, issued, protocol).await?.read(&mut [0; 64]).await
}

/// Connects as [`dial`] does, says goodbye, and goes on sending.
pub(crate) async fn dial_and_go_on_after_goodbye(
    network: &InProcess,
    address: &str,
    issued: &Issued,
    protocol: &str,
) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut session = connect(network, address, Some(issued), Some(protocol)).await?;
    session.write_all(b"last words").await?;
    session.flush().await?;
    let (mut wire, mut connection) = session.into_inner();
    connection.send_close_notify();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes)?;
    bytes.extend([23, 3, 3, 0, 40]);
    bytes.extend([7; 9_000]);
    wire.write_all(&bytes).await?;
    wire.flush().await?;
    // Open, so that it is the goodbye that ends it.
    wire.read(&mut [0; 64]).await.map(drop)
}

/// Listens at `address` of a network and answers one connection with this certificate.
pub(crate) async fn listen(
    network: &InProcess,
    address: &str,
    issued: &Issued,
    protocol: Option<&str>,
) -> impl Future<Output = std::io::Result<usize>> + use<> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = chain(issued);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .with_client_cert_verifier(Arc::new(Anything))
        .with_single_cert(chain, key)
        .expect("they belong together");
    config.alpn_protocols = protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = network.at(address).listen(address).await.expect("the address is free");
    answer(listener, config)
}

async fn answer(mut listener: Box<dyn Listener>, config: ServerConfig) -> std::io::Result<usize> {
    let Incoming { open, .. } = listener.accept().await?;
    let stream = open.await?;
    let accepted = TlsAcceptor::from(Arc::new(config)).accept(joined(stream)).await;
    accepted?.read(&mut [0; 64]).await
}
