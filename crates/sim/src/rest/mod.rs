//! REST, version 10, and version 6 where it differs.

mod acting;
mod attachments;
mod audit_log;
mod bans;
mod body;
mod error;
mod guard;
mod interactions;
mod limits;
mod members;
mod messages;
mod query;
mod reading;
mod roles;
mod validate;
mod version;
mod voice;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{delete, get, patch, post, put},
};

use self::version::{PREFIXES, Version};
pub use self::{
    acting::MODERATION,
    attachments::attachment,
    body::Form,
    error::{ApiError, FormErrors},
    guard::Caller,
    interactions::respond,
    limits::Limits,
    reading::path_id,
    validate::Check,
};
use crate::{app::App, oauth};

/// The path of this version of the API.
pub const PREFIX: &str = "/api/v10";

/// A request may have so many bytes.
const MAX_REQUEST: usize = 25 << 20;

/// Everything under `/api`.
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
        .merge(guild_routes())
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
        .merge(oauth::router())
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard));
    let mut versions = Router::new();
    for (prefix, version) in PREFIXES {
        versions = versions.nest(prefix, api.clone().layer(Extension(version)));
    }
    versions
        .fallback(async || (StatusCode::NOT_FOUND, ApiError::not_found()))
        .with_state(app)
}

/// Who is in a guild, and what he may do there.
fn guild_routes() -> Router<App> {
    Router::new()
        .route("/users/@me/guilds/{guild_id}", delete(members::leave))
        .route(
            "/guilds/{guild_id}/roles",
            get(roles::list).post(roles::create).patch(roles::arrange),
        )
        .route(
            "/guilds/{guild_id}/roles/member-counts",
            get(roles::member_counts),
        )
        .route(
            "/guilds/{guild_id}/roles/{role_id}",
            get(roles::get).patch(roles::modify).delete(roles::delete),
        )
        .route("/guilds/{guild_id}/members", get(members::list))
        .route("/guilds/{guild_id}/members/search", get(members::search))
        .route("/guilds/{guild_id}/members/@me", patch(members::modify_own))
        .route(
            "/guilds/{guild_id}/members/{user_id}",
            get(members::get)
                .put(members::add)
                .patch(members::modify)
                .delete(members::remove),
        )
        .route(
            "/guilds/{guild_id}/members/{user_id}/roles/{role_id}",
            put(members::add_role).delete(members::remove_role),
        )
        .route("/guilds/{guild_id}/bans", get(bans::list))
        .route(
            "/guilds/{guild_id}/bans/{user_id}",
            get(bans::get).put(bans::create).delete(bans::delete),
        )
        .route("/guilds/{guild_id}/audit-logs", get(audit_log::list))
}
