//! Listening, TLS, and HTTP connections that can be cut.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::TlsMode;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An extension that a handler puts on its response to have the connection ended without an answer.
#[derive(Debug, Clone, Copy)]
pub struct HangUp;

/// Ends an HTTP connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut, as was asked for")]
struct Cut;

/// Serves until it is dropped; its connections end with it.
pub async fn serve(
    listener: TcpListener,
    tls: Option<(Arc<rustls::ServerConfig>, TlsMode)>,
    router: Router,
) {
    let tls = tls.map(|(config, mode)| (TlsAcceptor::from(config), mode));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), router.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: they come back as connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<(TlsAcceptor, TlsMode)>, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tls {
        Some((tls, mode)) if mode == TlsMode::Only || begins_tls(&stream).await => {
            match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => http(stream, router).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
        _ => http(stream, router).await,
    }
}

/// Whether the first byte is that of a handshake's record. <https://www.rfc-editor.org/rfc/rfc8446#section-5.1>
async fn begins_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await, Ok(Ok(1)) if first == [22])
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| answer(router.clone(), request));
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Cut> {
    let Ok(mut response) = router.oneshot(request.map(Body::new)).await.or_else(never);
    if response.extensions_mut().remove::<HangUp>().is_some() {
        Err(Cut)
    } else {
        Ok(response)
    }
}

fn never(never: Infallible) -> Result<Response, Infallible> {
    match never {}
}
