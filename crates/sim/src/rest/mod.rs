//! REST, version 10.

mod attachments;
mod body;
mod error;
mod guard;
mod interactions;
mod limits;
mod messages;
mod reading;
mod validate;
mod voice;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{get, patch, post, put},
};

pub use self::{
    attachments::attachment,
    error::{ApiError, FormErrors},
    guard::Caller,
    interactions::respond,
    limits::Limits,
};
use crate::app::App;

/// The path of this version of the API.
pub const PREFIX: &str = "/api/v10";

/// A request may have so many bytes.
const MAX_REQUEST: usize = 25 << 20;

/// Everything under `/api/v10`.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .route("/gateway", get(reading::gateway))
        .route("/gateway/bot", get(reading::gateway_bot))
        .route("/applications/@me", get(reading::application))
        .route("/oauth2/applications/@me", get(reading::application))
        .route("/users/@me", get(reading::own_user))
        .route("/users/@me/guilds", get(reading::own_guilds))
        .route("/users/@me/channels", post(reading::open_direct))
        .route("/users/{user_id}", get(reading::user))
        .route("/guilds/{guild_id}", get(reading::guild))
        .route("/guilds/{guild_id}/channels", get(reading::guild_channels))
        .route("/guilds/{guild_id}/roles", get(reading::guild_roles))
        .route("/guilds/{guild_id}/members", get(reading::guild_members))
        .route(
            "/guilds/{guild_id}/members/{user_id}",
            get(reading::guild_member),
        )
        .route(
            "/guilds/{guild_id}/voice-states/@me",
            patch(voice::own_state),
        )
        .route("/channels/{channel_id}", get(reading::channel))
        .route("/channels/{channel_id}/typing", post(messages::typing))
        .route(
            "/channels/{channel_id}/voice-status",
            put(voice::set_status),
        )
        .route(
            "/channels/{channel_id}/messages",
            get(messages::list).post(messages::create),
        )
        .route(
            "/channels/{channel_id}/messages/{message_id}",
            get(messages::get)
                .patch(messages::edit)
                .delete(messages::delete),
        )
        .route(
            "/channels/{channel_id}/messages/{message_id}/crosspost",
            post(messages::crosspost),
        )
        .merge(interactions::router())
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard));
    Router::new()
        .nest(PREFIX, api)
        .fallback(async || (StatusCode::NOT_FOUND, ApiError::not_found()))
        .with_state(app)
}
