//! Interactions (`developers/interactions`): commands, responses, and where they are sent.

mod callback;
mod commands;
mod endpoint;
mod webhook;

use axum::{
    Router,
    routing::{get, patch, post},
};

pub use self::callback::respond;
use crate::app::App;

/// Routes whose path holds their credential, so that they need no token.
pub const OPEN: [&str; 3] = [
    "/interactions/{interaction_id}/{token}/callback",
    "/webhooks/{application_id}/{token}",
    "/webhooks/{application_id}/{token}/messages/{message_id}",
];

/// The routes of interactions.
pub fn router() -> Router<App> {
    Router::new()
        .route("/applications/@me", patch(endpoint::change))
        .route(
            "/applications/{application_id}/commands",
            get(commands::list)
                .put(commands::overwrite)
                .post(commands::create),
        )
        .route(
            "/applications/{application_id}/guilds/{guild_id}/commands",
            get(commands::list)
                .put(commands::overwrite)
                .post(commands::create),
        )
        .route(OPEN[0], post(callback::create))
        .route(OPEN[1], post(webhook::follow_up))
        .route(
            OPEN[2],
            get(webhook::get)
                .patch(webhook::edit)
                .delete(webhook::delete),
        )
}
