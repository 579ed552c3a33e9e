//! The gateway, version 10 with JSON (`developers/events/gateway`).

mod commands;
mod compression;
mod connection;
mod hub;
mod identifies;
pub mod intents;
mod session;
mod writer;

use axum::{
    extract::{Query, State, WebSocketUpgrade},
    response::Response,
};
use serde::Deserialize;

pub use self::{
    compression::{Compression, CompressionError},
    connection::{End, say_goodbye},
    hub::Hub,
    session::{Buffer, Session},
    writer::{Sink, Writer},
};
use crate::app::App;

/// The largest frame that is read at all; what is over 4096 bytes is answered with a close.
const MAX_FRAME: usize = 64 * 1024;

/// The query of the gateway's address.
#[derive(Debug, Deserialize)]
pub struct Params {
    v: Option<String>,
    encoding: Option<String>,
    compress: Option<String>,
}

/// `GET /gateway`, upgraded to a WebSocket.
pub async fn upgrade(
    State(app): State<App>,
    Query(params): Query<Params>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| connection::run(app, socket, params))
}
