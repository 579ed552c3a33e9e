//! OAuth2 (`developers/topics/oauth2`): users allow applications something on a page, and these get tokens for it.

mod consent;
mod error;
mod grants;
mod invite;
mod kept;
mod me;
mod page;
mod params;
mod permissions;
mod request;
mod role_connections;
pub mod scope;
mod token;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    routing::{get, post},
};
use serde_json::{Value, json};

pub use self::{
    consent::give_activity,
    grants::{Access, Grants},
    me::{may, user},
};
use crate::app::App;

/// A form may have so many bytes.
const MAX_FORM: usize = 16 << 10;

/// Routes of REST that need no token: the application says who it is in the form.
pub const OPEN: [&str; 2] = ["/oauth2/token", "/oauth2/token/revoke"];

/// The routes of REST.
pub fn router() -> Router<App> {
    Router::new()
        .route(
            OPEN[0],
            post(token::token).layer(DefaultBodyLimit::max(MAX_FORM)),
        )
        .route(
            OPEN[1],
            post(token::revoke).layer(DefaultBodyLimit::max(MAX_FORM)),
        )
        .route("/oauth2/@me", get(me::authorization))
        .route("/users/@me/connections", get(me::connections))
        .route("/users/@me/guilds/{guild_id}/member", get(me::member))
        .route(
            "/users/@me/applications/{application_id}/role-connection",
            get(role_connections::connection).put(role_connections::set_connection),
        )
        .route(
            "/applications/{application_id}/role-connections/metadata",
            get(role_connections::metadata).put(role_connections::set_metadata),
        )
}

/// The page, and what says where everything is.
pub fn pages() -> Router<App> {
    let consent = || {
        get(consent::show)
            .post(consent::answer)
            .layer(DefaultBodyLimit::max(MAX_FORM))
    };
    Router::new()
        .route("/oauth2/authorize", consent())
        .route("/api/oauth2/authorize", consent())
        .route("/.well-known/oauth-authorization-server", get(described))
}

/// <https://www.rfc-editor.org/rfc/rfc8414>, with what Discord says there.
async fn described(State(app): State<App>) -> Json<Value> {
    let issuer = &app.addresses().cdn;
    let methods = ["client_secret_basic", "client_secret_post"];
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/api/oauth2/authorize"),
        "token_endpoint": format!("{issuer}/api/oauth2/token"),
        "revocation_endpoint": format!("{issuer}/api/oauth2/token/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}
