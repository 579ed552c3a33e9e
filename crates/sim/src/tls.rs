//! A certificate authority of the simulator's own, and a certificate for loopback.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// Names that the certificate is for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The TLS side of a simulator.
pub struct Tls {
    /// For the server.
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, PEM, for clients to trust.
    pub ca_pem: String,
}

/// The certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// By rcgen.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// By rustls.
    #[error("cannot use the certificate: {0}")]
    Config(#[from] rustls::Error),
}

impl Tls {
    /// Makes an authority and a certificate. The authority's key is forgotten at once.
    pub fn new() -> Result<Self, TlsError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "discord-sim");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;

        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(NAMES.map(str::to_owned).to_vec())?;
        server
            .distinguished_name
            .push(DnType::CommonName, "discord-sim server");
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key))?;

        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            ca_pem: ca_certificate.pem(),
        })
    }
}
