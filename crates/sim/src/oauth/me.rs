//! What an access token is good for in REST: each route wants a scope.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::Method,
};
use serde_json::{Value, json};

use super::{grants::Access, scope};
use crate::{
    app::App,
    id::iso8601,
    rest::{ApiError, path_id},
    state::User,
};

type Answer = Result<Json<Value>, ApiError>;

/// Whether a token may be used on a route.
pub fn may(access: &Access, method: &Method, route: &str) -> Result<(), ApiError> {
    let read = *method == Method::GET;
    let (wanted, refused) = match route {
        "/gateway" | "/oauth2/@me" => return Ok(()),
        "/users/@me" if read => (scope::IDENTIFY, ApiError::unauthorized()),
        "/users/@me/guilds" if read => (scope::GUILDS, ApiError::unauthorized()),
        "/users/@me/connections" => (scope::CONNECTIONS, ApiError::unauthorized()),
        "/users/@me/guilds/{guild_id}/member" => {
            (scope::GUILDS_MEMBERS_READ, ApiError::missing_scope())
        }
        "/users/@me/applications/{application_id}/role-connection" => {
            (scope::ROLE_CONNECTIONS_WRITE, ApiError::missing_scope())
        }
        _ => return Err(ApiError::unauthorized()),
    };
    if access.scopes.has(wanted) {
        Ok(())
    } else {
        Err(refused)
    }
}

/// `GET /oauth2/@me`, which only a token may ask.
pub async fn authorization(State(app): State<App>, access: Option<Extension<Access>>) -> Answer {
    let Extension(access) = access.ok_or_else(ApiError::unauthorized)?;
    let state = app.state();
    let bot = state
        .user(access.application)
        .ok_or_else(ApiError::unauthorized)?;
    let mut answer = json!({
        "application": {
            "id": bot.id,
            "name": bot.display,
            "icon": null,
            "description": "",
            "summary": "",
            "type": null,
            "hook": true,
            "bot_public": true,
            "bot_require_code_grant": false,
            "verify_key": app.public_key(),
        },
        "scopes": access.scopes,
        "expires": iso8601(access.expires),
    });
    if access.scopes.has(scope::IDENTIFY) {
        answer["user"] = state.user(access.user).map_or(Value::Null, User::json);
    }
    Ok(Json(answer))
}

/// A user as a token shows him: his address needs a scope of its own.
pub fn user(user: &User, access: &Access) -> Value {
    let mut shown = user.own_json();
    if let Some(shown) = shown.as_object_mut() {
        for key in ["email", "verified"] {
            shown.remove(key);
        }
        if access.scopes.has(scope::EMAIL) {
            shown.insert(
                "email".to_owned(),
                json!(format!("{}@discord-sim.example", user.name)),
            );
            shown.insert("verified".to_owned(), json!(true));
        }
    }
    shown
}

/// `GET /users/@me/connections`, which only a token may ask: nobody has any.
pub async fn connections(access: Option<Extension<Access>>) -> Answer {
    if access.is_none() {
        return Err(ApiError::unauthorized());
    }
    Ok(Json(json!([])))
}

/// `GET /users/@me/guilds/{guild_id}/member`, which only a token may ask.
pub async fn member(
    State(app): State<App>,
    access: Option<Extension<Access>>,
    Path(guild): Path<String>,
) -> Answer {
    let Extension(access) = access.ok_or_else(ApiError::unauthorized)?;
    let guild = path_id("guild_id", &guild)?;
    let state = app.state();
    let guild = state
        .guilds
        .get(guild)
        .ok_or_else(ApiError::unknown_guild)?;
    let member = state.member_json(guild, access.user);
    member.map(Json).ok_or_else(ApiError::unknown_member)
}
