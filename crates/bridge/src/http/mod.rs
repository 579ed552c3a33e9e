//! The HTTP listener: HTTP/1.1 and HTTP/2, with TLS if there is a certificate. `/discord/…` is answered by Elixir; other routes
//! of the bridge are merged beside it.
//!
//! It is meant to hold its own in front of anybody: every wait has an end, every buffer a size, and whatever clients can hold
//! a [`Room`](room::Room). It has a thread of its own, so that TLS, and a flood of requests, never delay Discord's events.

mod client;
mod connection;
mod exchange;
mod listener;
mod refusal;
mod relay;
mod room;
mod stream;
mod tls;

pub use exchange::Exchange;

use crate::fault::Fault;
use crate::sender::FrameSender;
use axum::Router;
use axum::body::Body;
use axum::routing::any;
use hyper::Response;
use refusal::Refusal;
use relay::{PATH, Relay};
use std::io;
use std::sync::Arc;
use std::thread;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use uro_discord_wire::Http;

/// Starts the listener. What is returned ends when it has ended, as it does when `wanted` ends.
pub fn spawn(
    wanted: watch::Receiver<Option<Arc<Http>>>,
    sender: FrameSender,
    exchange: Exchange,
) -> io::Result<oneshot::Receiver<Result<(), Fault>>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("http".into()).spawn(move || {
        let result = runtime.block_on(listener::run(wanted, sender, routes(exchange)));
        // Whoever does not wait for it has ended.
        let _ = ended.send(result.map_err(Fault::from));
    })?;
    Ok(end)
}

/// What is served. What the bridge answers itself is merged here.
fn routes(exchange: Exchange) -> Router {
    Router::new()
        .route(&format!("{PATH}{{*path}}"), any(Relay::handle))
        .with_state(Relay::new(exchange))
        .fallback(nothing_here)
}

async fn nothing_here() -> Response<Body> {
    Refusal::NotFound.response()
}
