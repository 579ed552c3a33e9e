//! The HTTP listener: HTTP/1.1 and HTTP/2, with TLS if there is a certificate. `/discord/…` is answered by Elixir, `/portal/…` by the
//! endpoint of portals.
//!
//! It is meant to hold its own in front of anybody: every wait has an end, every buffer a size, and whatever clients can hold
//! is charged to a [`Budget`](budget::Budget). It has a thread of its own, so that TLS, and a flood of requests, never delay Discord's events.

mod body;
mod budget;
mod client;
mod connection;
mod exchange;
mod listener;
mod pages;
mod portal;
mod refusal;
mod relay;
mod stream;
mod tls;

pub use exchange::Exchange;

use crate::desired::Desired;
use crate::fault::Fault;
use crate::portal::Served;
use crate::sender::FrameSender;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::routing::any;
use client::{Client, Work};
use hyper::Response;
use portal::Portals;
use refusal::Refusal;
use relay::{PATH, Relay};
use std::io;
use std::sync::Arc;
use std::thread;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use uro_discord_wire::Http;

/// Who answers.
pub struct Serving {
    pub exchange: Exchange,
    pub portals: watch::Receiver<Served>,
    pub wanted: watch::Receiver<Desired>,
}

/// Starts the listener. What is returned ends when it has ended, as it does when `wanted` ends.
pub fn spawn(
    wanted: watch::Receiver<Option<Arc<Http>>>,
    sender: FrameSender,
    serving: Serving,
) -> io::Result<oneshot::Receiver<Result<(), Fault>>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("http".into()).spawn(move || {
        let result = runtime.block_on(listener::run(wanted, sender, routes(serving)));
        // Whoever does not wait for it has ended.
        let _ = ended.send(result.map_err(Fault::from));
    })?;
    Ok(end)
}

/// What is served.
fn routes(serving: Serving) -> Router {
    let Serving {
        exchange,
        portals,
        wanted,
    } = serving;
    Router::new()
        .route(&format!("{PATH}{{*path}}"), any(Relay::handle))
        .with_state(Relay::new(exchange, wanted.clone()))
        // No route, whose parameters would be among those of the portals' own.
        .fallback_service(any(elsewhere).with_state(Portals::new(portals, wanted)))
}

async fn elsewhere(
    State(portals): State<Portals>,
    Extension(client): Extension<Arc<Client>>,
    Extension(work): Extension<Arc<Work>>,
    request: Request,
) -> Response<Body> {
    let answer = if request.uri().path().starts_with(portal::PATH) {
        portals.answer(request, &client, &work).await
    } else {
        Err(Refusal::NotFound)
    };
    answer.unwrap_or_else(Refusal::response)
}
