//! Connections: TCP, IPv6 first with IPv4 close behind ("happy eyeballs"), and TLS with whom we trust.

use std::path::Path;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use uro_discord_net::tls::{self, TlsError};

pub(crate) type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;

/// What HTTP is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// HTTP/1.1.
    One,
    /// HTTP/2 where the server has it, or else HTTP/1.1.
    OneAndTwo,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// To connect, TLS included.
    pub(crate) connect: Duration,
    /// For the other side to acknowledge what was sent.
    pub(crate) silence: Duration,
    /// Before a quiet connection is asked whether it lives.
    pub(crate) keepalive: Option<Duration>,
}

pub(crate) fn new(
    times: Times,
    versions: Versions,
    ca_file: Option<&Path>,
) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // The time is divided among the addresses of a host, so that one that does not answer leaves some to the next.
    tcp.set_connect_timeout(Some(times.connect));
    tcp.set_keepalive(times.keepalive);
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(times.silence));
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client_config(ca_file)?)
        .https_or_http();
    let tls = match versions {
        Versions::One => tls.enable_http1().wrap_connector(tcp),
        Versions::OneAndTwo => tls.enable_all_versions().wrap_connector(tcp),
    };
    // Around TLS too, so that a handshake that hangs is a connection that failed: nothing was sent yet.
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(times.connect));
    Ok(connector)
}
