//! TLS to others: whom it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of certificate authorities cannot be read.
    #[error("ca_file: {}: {source}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file has nothing to trust.
    #[error("ca_file: {}: there is no certificate in it; it must be a PEM file, with lines such as -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The library cannot do what is asked of it.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// A client that trusts Mozilla's certificate authorities, and those in a PEM file.
///
/// # Errors
/// When the file cannot be read or has no certificate in it.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| TlsError::CaFile {
                path: path.into(),
                source,
            })?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(TlsError::NoCertificate { path: path.into() });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn a_file_without_certificates_is_an_error_that_says_why() {
        assert!(client_config(None).is_ok());
        let missing = client_config(Some(Path::new("/nowhere.pem"))).unwrap_err();
        assert!(missing.to_string().contains("/nowhere.pem"), "{missing}");
        assert!(missing.source().is_some());
        let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls.rs"));
        let none = client_config(Some(source)).unwrap_err();
        assert!(matches!(none, TlsError::NoCertificate { .. }), "{none}");
    }
}
