//! The voice server: the voice gateway, version 8, and the relay of voice packets (`developers/topics/voice-connections`).

mod calls;
mod cipher;
mod commands;
mod connection;
mod dave;
mod identify;
mod network;
mod op;
mod outbox;
mod relay;
mod rtcp;
mod rtp;
mod rules;
mod session;
mod state;
mod udp;
mod video;

use axum::{
    extract::{Query, State, WebSocketUpgrade},
    response::Response,
};
use serde::Deserialize;

pub use self::{
    calls::Calls,
    dave::Group,
    network::{Conditions, ShareError, Way},
    session::Seat,
    udp::serve,
};
use crate::app::App;

/// The largest message that is read. A commit for a full channel with its welcome is the largest that makes sense.
const MAX_MESSAGE: usize = 256 * 1024;

/// The query of the voice gateway's address.
#[derive(Debug, Deserialize)]
pub struct Params {
    v: Option<String>,
}

/// `GET /`, upgraded to a WebSocket.
pub async fn upgrade(
    State(app): State<App>,
    Query(params): Query<Params>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| connection::run(app, socket, params.v))
}
