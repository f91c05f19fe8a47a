//! One handshake's questions to the other end's certificate, and what came of them.
//!
//! rustls asks a verifier and passes its answer on as an alert. What was found is kept here, so
//! that the fault is told with the subject and not taken from the text of an alert.

use std::sync::Arc;

use parking_lot::Mutex;
use quorate::transport::{Claim, Proof};
use quorate::{Certificate, PeerName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::certificate::Description;
use crate::chain;
use crate::fault::PeerFault;
use crate::names::Names;
use crate::trust::{Shown, Trust};

/// The questions of one handshake, and what came of them.
#[derive(Debug)]
pub(crate) struct Inquiry {
    trust: Arc<Trust>,
    names: Arc<Names>,
    wanted: Wanted,
    found: Mutex<Found>,
}

/// The peer that this end wants at the other.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Anybody: the listener learns who it is by the other end's word.
    Anybody,
    /// This member: the dialer knows whom it dials.
    Member(PeerName),
    /// Some member: the dialer knows an address only. Whoever is there is told of this peer before
    /// it has said its name, and so has to be of the group.
    SomeMember,
}

#[derive(Debug, Default)]
enum Found {
    #[default]
    Nothing,
    Fault(PeerFault),
    Good(Description),
}

/// A certificate that was verified.
#[derive(Debug)]
pub(crate) struct Verified {
    description: Description,
    names: Arc<Names>,
}

impl Proof for Verified {
    fn is_of(&self, claim: Claim<'_>) -> bool {
        self.names.prove(&self.description, claim)
    }

    fn certificate(&self) -> &Certificate {
        &self.description.told
    }

    fn wanted(&self, claim: Claim<'_>) -> String {
        self.names.wanted(claim)
    }
}

impl Inquiry {
    pub(crate) fn new(trust: Arc<Trust>, names: Arc<Names>, wanted: Wanted) -> Arc<Self> {
        Arc::new(Self { trust, names, wanted, found: Mutex::default() })
    }

    /// Returns the fault that was found.
    pub(crate) fn fault(&self) -> Option<PeerFault> {
        match &*self.found.lock() {
            Found::Fault(fault) => Some(fault.clone()),
            Found::Nothing | Found::Good(_) => None,
        }
    }

    /// Takes the certificate that was verified, as a proof.
    pub(crate) fn proof(&self) -> Option<Arc<dyn Proof>> {
        match std::mem::take(&mut *self.found.lock()) {
            Found::Good(description) => {
                Some(Arc::new(Verified { description, names: self.names.clone() }))
            }
            Found::Nothing | Found::Fault(_) => None,
        }
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<(), Error> {
        // Kept for whoever tells it, for rustls hands on no more than the alert.
        let (found, answer) = match self.examine(end_entity, intermediates, now, shown) {
            Ok(description) => (Found::Good(description), Ok(())),
            Err(fault) => {
                let alert = fault.alert();
                (Found::Fault(fault), Err(alert))
            }
        };
        *self.found.lock() = found;
        answer
    }

    fn examine(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        shown: Shown,
    ) -> Result<Description, PeerFault> {
        // Before anything of it is read.
        let fits = chain::check_size(end_entity, intermediates);
        fits.map_err(|error| PeerFault::of_verification(error, String::new(), shown.usage()))?;
        let described = Description::of(end_entity).map_err(|error| {
            let certificate = "(unreadable)".to_owned();
            PeerFault::Invalid { certificate, reason: error.to_string() }
        })?;
        let certificate = described.told.to_string();
        let verified = self.trust.verify(end_entity, intermediates, now, shown);
        verified.map_err(|error| {
            PeerFault::of_verification(error, certificate.clone(), shown.usage())
        })?;
        let missing = match &self.wanted {
            Wanted::Member(peer) if !self.names.prove(&described, Claim::Member(peer)) => {
                self.names.wanted(Claim::Member(peer))
            }
            Wanted::SomeMember if !self.names.prove_some_member(&described) => {
                self.names.wanted_of_some_member()
            }
            Wanted::Anybody | Wanted::Member(_) | Wanted::SomeMember => return Ok(described),
        };
        Err(PeerFault::WrongName { certificate, wanted: missing })
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.trust.algorithms)
    }
}

/// Refuses TLS 1.2, which is never negotiated.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.3 only".into()))
}

impl ServerCertVerifier for Inquiry {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name sent as SNI is for routers; whom the certificate is to name is the peer.
        self.verify(end_entity, intermediates, now, Shown::ByListener)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Inquiry {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Every peer has one certificate, and shows it.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now, Shown::ByDialer)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}
