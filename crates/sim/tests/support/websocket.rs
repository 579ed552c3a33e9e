//! WebSockets to a simulator, with TLS or without.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Discord;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub type WebSocket = WebSocketStream<Box<dyn Stream>>;

/// Connects to `ws://…` or `wss://…`.
pub async fn connect(discord: &Discord, url: &str) -> WebSocket {
    let (_, rest) = url.split_once("://").unwrap();
    let authority = rest.split(['/', '?']).next().unwrap();
    let tcp = TcpStream::connect(authority).await.unwrap();
    let stream: Box<dyn Stream> = match &discord.info().ca_file {
        None => Box::new(tcp),
        Some(ca_file) => {
            let mut roots = RootCertStore::empty();
            let ca = CertificateDer::from_pem_file(ca_file).unwrap();
            roots.add(ca).unwrap();
            let config = ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("localhost").unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            Box::new(connector.connect(name, tcp).await.unwrap())
        }
    };
    client_async(url, stream).await.unwrap().0
}
