//! The WebSocket to the voice gateway.

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Connector, Limits, MaybeTlsStream, WebSocketStream};

use crate::config::{Endpoint, Scheme, Tls};

pub(crate) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The largest message that is taken. A welcome to a full channel has some tens of kilobytes.
const MAX_MESSAGE: usize = 1 << 20;

/// Connects; what fails is told in words.
pub(crate) async fn connect(
    endpoint: Endpoint,
    version: u8,
    scheme: Scheme,
    tls: Tls,
) -> Result<WebSocket, String> {
    let tcp = TcpStream::connect((&*endpoint.host, endpoint.port))
        .await
        .map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let (name, connector) = match scheme {
        Scheme::Wss => ("wss", Connector::Rustls(TlsConnector::from(tls.0))),
        Scheme::Ws => ("ws", Connector::Plain),
    };
    let stream = connector
        .wrap(&endpoint.host, tcp)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    let (socket, _) = ClientBuilder::new()
        .uri(&format!("{name}://{}/?v={version}", endpoint.authority))
        .map_err(|error| error.to_string())?
        .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
        .connect_on(stream)
        .await
        .map_err(|error| format!("WebSocket: {error}"))?;
    Ok(socket)
}
