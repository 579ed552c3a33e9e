//! What users have allowed: seen, and taken back.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, user_id};
use crate::{
    app::App,
    faults::once,
    id::iso8601,
    oauth::give_activity,
    outgoing,
    state::{User, seed},
};

/// All authorizations; no token is among what is shown.
pub async fn list(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let all = state.oauth.iter();
    let shown = all.map(|(user, application, authorization, tokens)| {
        json!({
            "user_id": user,
            "name": state.user(user).map(|user| &user.name),
            "application_id": application,
            "scopes": authorization.scopes,
            "since": iso8601(authorization.since),
            "tokens": tokens,
            "connection": state.oauth.connections.get(&(user, application)),
        })
    });
    Json(shown.collect())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    user: String,
    action: Action,
    /// How many times the event is sent, as Discord does when it has not seen the answer.
    #[serde(default = "once")]
    times: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// The user removes our application from his authorized apps.
    Revoke,
    /// Time goes by: his access tokens and codes end.
    Expire,
    /// He looks at our application's Activity, whose page asks Discord's client who he is.
    Activity,
}

/// Answers whether there was anything to revoke, and what the application answered to the event.
pub async fn act(State(app): State<App>, Body(act): Body<Act>) -> Answer {
    let (user, revoked) = {
        let mut state = app.state();
        let user = user_id(&state, &act.user)?;
        let revoked = match act.action {
            Action::Expire => {
                state.oauth.expire(user);
                return Ok(Json(json!({})));
            }
            Action::Activity => {
                let code = give_activity(&mut state, user)?;
                return Ok(Json(json!({"code": code})));
            }
            Action::Revoke => state.oauth.revoke(user, seed::APPLICATION),
        };
        if revoked {
            state.log.push(
                "oauth_revoked",
                json!({"user_id": user, "application_id": seed::APPLICATION, "by": "user"}),
            );
        }
        (state.user(user).map(User::json), revoked)
    };
    let statuses = if revoked {
        let data = json!({"user": user});
        outgoing::event(&app, "APPLICATION_DEAUTHORIZED", data, act.times).await
    } else {
        Vec::new()
    };
    Ok(Json(json!({"revoked": revoked, "statuses": statuses})))
}
