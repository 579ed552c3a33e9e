//! One connection, from its first byte to its last.

use super::client::Client;
use super::refusal::Refusal;
use super::stream::{Stream, Watched};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// The largest head of a request, and what hyper reads at once.
const HEAD: u16 = 16 * 1024;

/// Requests of one connection of HTTP/2 at once.
const STREAMS: u32 = 32;

/// Streams that are reset before they were looked at: from there on it is an attack, and the connection ends.
const RESETS: usize = 20;

/// What HTTP/2 lets a client send ahead, on a stream and on the connection.
const WINDOW: u32 = 64 * 1024;

/// What waits to be written, of one stream.
const UNSENT: usize = 64 * 1024;

/// How long TLS may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What is read of a body that nobody wants, so that the client sees the answer before the connection ends.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// How often it is looked whether a client takes too long.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a connection lives on when the listener ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves a connection until it ends, somebody else needs its place, or `closing` says that the listener ends.
pub async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    client: Arc<Client>,
    routes: Router,
    closing: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return http(stream, client, routes, closing).await;
    };
    tokio::select! {
        shaken = timeout(HANDSHAKE, tls.accept(stream)) => match shaken {
            Ok(Ok(stream)) => http(stream, client, routes, closing).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("TLS took too long to begin"),
        },
        () = client.evicted() => {}
    }
}

async fn http<S: Stream>(
    stream: S,
    client: Arc<Client>,
    routes: Router,
    mut closing: watch::Receiver<bool>,
) {
    let (stream, returned) = Watched::new(stream, client.clone());
    let with = client.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        answer(routes.clone(), with.clone(), request)
    });
    let builder = builder();
    let mut served =
        Box::pin(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let mut ends: Option<Instant> = None;
    let why = loop {
        // Deadlines come and go with what is at work: they are looked at anew.
        let again = Instant::now() + AGAIN;
        let next = [client.deadline(), ends]
            .into_iter()
            .flatten()
            .fold(again, Instant::min);
        tokio::select! {
            result = &mut served => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended");
                }
                break client.refused().map(Refusal::of);
            }
            () = client.evicted() => return,
            () = sleep_until(next) => {
                let now = Instant::now();
                if ends.is_some_and(|ends| ends <= now) {
                    return;
                }
                if client.deadline().is_some_and(|deadline| deadline <= now) {
                    break client.in_head().then_some(Refusal::Timeout);
                }
            }
            _ = closing.wait_for(|closing| *closing), if ends.is_none() => {
                ends = Some(Instant::now() + FAREWELL);
                served.as_mut().graceful_shutdown();
            }
        }
    };
    drop(served);
    // An upgraded connection has gone elsewhere, and comes back when it has ended.
    let returned = tokio::select! {
        biased;
        returned = returned => returned,
        () = client.evicted() => return client.cut(),
        _ = closing.wait_for(|closing| *closing) => return client.cut(),
    };
    if let Ok(stream) = returned {
        tokio::select! {
            () = linger(stream, why) => {}
            () = client.evicted() => {}
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(HEAD.into())
        .max_headers(100)
        .header_read_timeout(None)
        .writev(false);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(HEAD.into())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(UNSENT);
    builder
}

async fn answer(
    routes: Router,
    client: Arc<Client>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request: Request = request.map(Body::new);
    let two = request.version() == Version::HTTP_2;
    let work = Arc::new(client.asks(request.body().is_end_stream(), two));
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(work.clone());
    let mut response = if hosts(&request) {
        routes.oneshot(request).await?
    } else {
        Refusal::Host.response()
    };
    if !two && !work.was_read() {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Whether a request says for whom it is as HTTP has it (RFC 9112, section 3.2): else proxies and we may take it for two things.
fn hosts(request: &Request) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    match request.version() {
        Version::HTTP_11 => hosts == 1,
        _ => hosts <= 1,
    }
}

/// Says the last word if there is one, and takes what still comes for a while: a connection that is closed with bytes unread
/// takes the answer with it.
async fn linger<S: Stream>(mut stream: S, why: Option<Refusal>) {
    let last = async {
        if let Some(refusal) = why {
            stream.write_all(&refusal.bytes()).await?;
        }
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut unwanted = vec![0; HEAD.into()];
        loop {
            match stream.read(&mut unwanted).await? {
                0 => return Ok::<_, std::io::Error>(()),
                read if read > left => return Ok(()),
                read => left -= read,
            }
        }
    };
    if let Ok(Err(error)) = timeout(LINGER, last).await {
        tracing::debug!(%error, "a connection ended");
    }
}
