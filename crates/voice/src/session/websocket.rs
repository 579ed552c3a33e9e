//! The WebSocket to the voice gateway.

use std::io;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Connector, Limits, MaybeTlsStream, WebSocketStream};

use crate::config::{Endpoint, Scheme, Tls};

pub(crate) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The largest message that is taken. A welcome to a full channel has some tens of kilobytes.
const MAX_MESSAGE: usize = 1 << 20;

/// Why it cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Tcp(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[source] tokio_websockets::Error),
    #[error("the address is none: {0}")]
    Address(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("WebSocket: {0}")]
    WebSocket(#[source] tokio_websockets::Error),
}

/// Connects.
pub(crate) async fn connect(
    endpoint: Endpoint,
    version: u8,
    scheme: Scheme,
    tls: Tls,
) -> Result<WebSocket, ConnectError> {
    let tcp = TcpStream::connect((&*endpoint.host, endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    let (name, connector) = match scheme {
        Scheme::Wss => ("wss", Connector::Rustls(TlsConnector::from(tls.0))),
        Scheme::Ws => ("ws", Connector::Plain),
    };
    let stream = connector
        .wrap(&endpoint.host, tcp)
        .await
        .map_err(ConnectError::Tls)?;
    let (socket, _) = ClientBuilder::new()
        .uri(&format!("{name}://{}/?v={version}", endpoint.authority))
        .map_err(|error| ConnectError::Address(error.into()))?
        .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
        .connect_on(stream)
        .await
        .map_err(ConnectError::WebSocket)?;
    Ok(socket)
}
