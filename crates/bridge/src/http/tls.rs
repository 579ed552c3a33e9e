//! The certificate, from its files, and again when they change: certificates live for weeks.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use uro_discord_wire::Tls;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("{path}: {source}; it must be PEM")]
    Pem { path: String, source: pem::Error },
    #[error("{0} has no certificate; it must be PEM")]
    Empty(String),
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate in use.
pub struct Identity {
    files: Tls,
    changed: (SystemTime, SystemTime),
    acceptor: TlsAcceptor,
}

impl Identity {
    pub fn load(files: &Tls) -> Result<Self, TlsError> {
        let changed = changed(files)?;
        let pem = |path: &str| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let chain = CertificateDer::pem_file_iter(&files.certificate)
            .map_err(pem(&files.certificate))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem(&files.certificate))?;
        if chain.is_empty() {
            return Err(TlsError::Empty(files.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem(&files.key))?;
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            files: files.clone(),
            changed,
            acceptor: Arc::new(config).into(),
        })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Takes the files anew if they have changed. What cannot be used leaves it as it was: the two are not written at once.
    pub fn renew(&mut self) -> Result<bool, TlsError> {
        if changed(&self.files)? == self.changed {
            return Ok(false);
        }
        *self = Self::load(&self.files)?;
        Ok(true)
    }
}

fn changed(files: &Tls) -> Result<(SystemTime, SystemTime), TlsError> {
    let of = |path: &str| {
        let modified = Path::new(path).metadata().and_then(|file| file.modified());
        modified.map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })
    };
    Ok((of(&files.certificate)?, of(&files.key)?))
}
