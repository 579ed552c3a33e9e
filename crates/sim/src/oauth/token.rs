//! The token endpoint, and that which ends tokens.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode;
use serde_json::{Value, json};

use super::{
    error::TokenError,
    grants::{Grant, GrantError},
    params::Params,
    scope::Scopes,
};
use crate::{
    app::App,
    id::{Id, unix_ms},
    state::{State as Discord, seed},
};

type Answer = Result<([(HeaderName, &'static str); 1], Json<Value>), TokenError>;

/// `POST /oauth2/token`.
pub async fn token(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let params = form(&headers, &body);
    if let Some(name) = params.doubled() {
        return Err(TokenError::Doubled(name.to_owned()));
    }
    // A form in another coding is none, and this is the first that is missed.
    let kind = params.get("grant_type").unwrap_or("None");
    let mut state = app.state();
    let now = unix_ms();
    let (grant, lasts) = match kind {
        "authorization_code" => {
            let application = client(&state, &headers, &params)?;
            let code = required(&params, "code")?;
            let redirect_uri = match params.get("redirect_uri") {
                None if state.oauth.is_of_activity(code) => "",
                _ => required(&params, "redirect_uri")?,
            };
            let verifier = params.get("code_verifier");
            let lifetime = state.settings.oauth_code_ms;
            let grant =
                state
                    .oauth
                    .redeem(application, code, redirect_uri, verifier, lifetime, now)?;
            (grant, true)
        }
        "refresh_token" => {
            let application = client(&state, &headers, &params)?;
            let refresh = required(&params, "refresh_token")?;
            let refreshed = state.oauth.refresh(application, refresh);
            let invalid = |_: GrantError| TokenError::Refresh;
            (refreshed.map_err(invalid)?, true)
        }
        // A token for the owner of the application.
        "client_credentials" => {
            let application = client(&state, &headers, &params)?;
            let scopes = params.get("scope").and_then(Scopes::parse);
            let grant = Grant {
                user: seed::DEVELOPER,
                application,
                scopes: scopes.ok_or(TokenError::Scope)?,
                guild: None,
            };
            (grant, false)
        }
        other => return Err(TokenError::GrantType(other.to_owned())),
    };
    let answer = issue(&mut state, grant, lasts, now)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Makes tokens, with one to refresh or without.
fn issue(state: &mut Discord, grant: Grant, lasts: bool, now: u64) -> Result<Value, TokenError> {
    let secret = || seed::secret(22).map_err(|_| TokenError::Random);
    let access = secret()?;
    let refresh = lasts.then(secret).transpose()?;
    state.log.push(
        "oauth_token",
        json!({"user_id": grant.user, "application_id": grant.application, "scopes": grant.scopes}),
    );
    let mut answer = json!({
        "token_type": "Bearer",
        "access_token": access,
        "expires_in": state.settings.oauth_token_ms / 1_000,
        "scope": grant.scopes.to_string(),
    });
    if let Some(refresh) = &refresh {
        answer["refresh_token"] = json!(refresh);
    }
    if let Some(guild) = grant.guild.and_then(|guild| state.guilds.get(guild)) {
        answer["guild"] = guild.json();
    }
    state.oauth.add_token(
        &access,
        refresh.as_deref(),
        Grant {
            guild: None,
            ..grant
        },
        now,
    );
    Ok(answer)
}

/// `POST /oauth2/token/revoke`. A token that is not known is as good as ended: <https://www.rfc-editor.org/rfc/rfc7009#section-2.2>
pub async fn revoke(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let params = form(&headers, &body);
    let mut state = app.state();
    let application = client(&state, &headers, &params)?;
    let token = required(&params, "token")?;
    if let Some(user) = state.oauth.revoke_by_token(application, token) {
        state.log.push(
            "oauth_revoked",
            json!({"user_id": user, "application_id": application, "by": "application"}),
        );
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(json!({}))))
}

/// A form in the one coding that is taken.
fn form(headers: &HeaderMap, body: &[u8]) -> Params {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Params::parse(body)
    } else {
        Params::default()
    }
}

fn required<'p>(params: &'p Params, name: &'static str) -> Result<&'p str, TokenError> {
    params.get(name).ok_or(TokenError::Missing(name))
}

/// The application that asks, by HTTP Basic or by the form.
fn client(state: &Discord, headers: &HeaderMap, params: &Params) -> Result<Id, TokenError> {
    let (id, secret) = match headers.get(header::AUTHORIZATION) {
        Some(value) => value
            .to_str()
            .ok()
            .and_then(basic)
            .ok_or(TokenError::Client)?,
        None => {
            let of = |name| params.get(name).unwrap_or_default().to_owned();
            (of("client_id"), of("client_secret"))
        }
    };
    if params.get("client_id").is_some_and(|other| other != id) {
        return Err(TokenError::Client);
    }
    let application = id.parse().map_err(|_| TokenError::Client)?;
    if state.oauth.is_secret(application, &secret) {
        Ok(application)
    } else {
        Err(TokenError::Client)
    }
}

/// Name and password of HTTP Basic, which some clients encode: <https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, coded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = STANDARD.decode(coded.trim()).ok()?;
    let at = decoded.iter().position(|&byte| byte == b':')?;
    let (id, secret) = decoded.split_at(at);
    let text = |bytes| Some(percent_decode(bytes).decode_utf8().ok()?.into_owned());
    Some((text(id)?, text(secret.get(1..)?)?))
}
