//! Any first bytes of a connection, where TLS is required and where plain text is taken too: it is
//! refused, or handed on whole, and nobody has proved anything.
#![no_main]

use std::sync::LazyLock;

use quorate_tls::{Tls, TlsConfig, TlsTransport};

/// A transport of each stage, with a certificate made for this run.
static TRANSPORTS: LazyLock<Vec<TlsTransport>> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("the system has random numbers");
    let mut params = rcgen::CertificateParams::new(["b".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).expect("a usable CA").pem();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("the system has random numbers");
    let params = rcgen::CertificateParams::new(["b".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a usable certificate").pem();
    let make = |stage| {
        let config = TlsConfig::from_pem(ca.clone(), certificate.clone(), key.serialize_pem());
        config.stage(stage).transport().expect("the certificate is good")
    };
    [Tls::Required, Tls::Permissive].map(make).into()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without sockets");
    for transport in TRANSPORTS.iter() {
        runtime.block_on(quorate_tls::fuzzing::first_bytes(transport, data));
    }
});
