//! Connections to Discord: HTTP/2 or HTTP/1.1 over TLS, kept and reused, with a dead one noticed soon.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{Config, ConfigError};

pub(crate) type Transport = Client<TimeoutConnector<HttpsConnector<HttpConnector>>, Full<Bytes>>;

pub(crate) fn new(config: &Config) -> Result<Transport, ConfigError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(config.idle_timeout));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(config.attempt_timeout));
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(tls(config.ca_file.as_deref())?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    // Around TLS too, so that a handshake that hangs is a connection that failed: nothing was sent yet.
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(config.connect_timeout));
    // A connection that hears nothing while a request waits is asked whether it lives, and is closed before the attempt
    // is over, so that the next one does not take it again.
    let probe = config.attempt_timeout / 3;
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.idle_timeout)
        .http2_keep_alive_interval(probe)
        .http2_keep_alive_timeout(probe)
        .build(connector))
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let unusable = |reason: String| ConfigError::CaFile {
            path: path.into(),
            reason,
        };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(unusable("there is no certificate in it".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| ConfigError::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
