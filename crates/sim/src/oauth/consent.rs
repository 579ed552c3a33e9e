//! Asking the user: `/oauth2/authorize`, shown and answered.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::json;

use super::{
    grants::{Binding, Grant},
    invite::InviteError,
    page::{self, Consent},
    params::Params,
    request::{ACCESS_DENIED, Callback, Known, Refusal, Request, judge},
    scope::{BOT, Scopes},
};
use crate::{
    StartError,
    app::App,
    id::{Id, unix_ms},
    outgoing,
    state::{Guild, State as Discord, User, seed},
};

/// The consent page offers so many guilds and people.
const MOST_SHOWN: usize = 200;

impl Known for Discord {
    fn is_application(&self, id: Id) -> bool {
        self.user(id).is_some_and(|user| user.bot)
    }
    fn redirect_uris(&self) -> &[String] {
        &self.settings.redirect_uris
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Shown { title, why } => page::wrong(StatusCode::BAD_REQUEST, title, &why),
            Self::Told(url) => Redirect::to(url.as_str()).into_response(),
        }
    }
}

/// Why the user's answer was not taken.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("This answer comes from another site.")]
    Origin,
    #[error("Nobody is logged in; name somebody by the query `as`.")]
    Nobody,
    #[error("The form needs `authorize`: true or false.")]
    Form,
    #[error(transparent)]
    Invite(#[from] InviteError),
    #[error("There are no random bytes.")]
    Random(#[from] StartError),
}

impl IntoResponse for AnswerError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Form => StatusCode::BAD_REQUEST,
            Self::Nobody => StatusCode::UNAUTHORIZED,
            Self::Origin | Self::Invite(_) => StatusCode::FORBIDDEN,
            Self::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        page::wrong(status, "Unknown Error", &self.to_string())
    }
}

/// `GET /oauth2/authorize`.
pub async fn show(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let mut state = app.state();
    let request = match judge(&params, &*state, &app.addresses().cdn) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(user) = user(&state, &params, &headers).cloned() else {
        return page::login(&people(&state), &params);
    };
    let before = state.oauth.authorization(user.id, request.application);
    let allowed = before.is_some_and(|before| before.scopes.covers(&request.scopes));
    let mut response = match (&request.then, request.quietly && allowed) {
        (Some(then), true) => match give_code(&mut state, then, &request, user.id, None) {
            Ok(url) => Redirect::to(&url).into_response(),
            Err(error) => error.into_response(),
        },
        _ => consent(&state, &params, &request, &user),
    };
    // Who was named once is who it is from then on.
    if params.get("as").is_some()
        && let Ok(cookie) =
            HeaderValue::from_str(&format!("as={}; Path=/; HttpOnly; SameSite=Lax", user.name))
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn consent(state: &Discord, params: &Params, request: &Request, user: &User) -> Response {
    let application = state.user(request.application);
    let consent = Consent {
        application: application.map_or("", |bot| &bot.display),
        people: people(state),
        user: (&user.name, &user.display),
        guilds: state
            .guilds
            .iter()
            .filter(|guild| state.may_install(guild.id, user.id))
            .take(MOST_SHOWN)
            .map(|guild| (guild.id, guild.name.as_str()))
            .collect(),
        request,
        params,
    };
    consent.page()
}

/// `POST /oauth2/authorize`, by the page's form or by a test: the same query, and `authorize` (`true` or `false`) in the body, for
/// a bot with `guild_id`.
pub async fn answer(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let form = Params::parse(&body);
    match decide(&app, &params, &form, &headers).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn decide(
    app: &App,
    params: &Params,
    form: &Params,
    headers: &HeaderMap,
) -> Result<Response, AnswerError> {
    if !from_here(headers) {
        return Err(AnswerError::Origin);
    }
    let (answer, event) = {
        let mut state = app.state();
        let request = match judge(params, &*state, &app.addresses().cdn) {
            Ok(request) => request,
            Err(refusal) => return Ok(refusal.into_response()),
        };
        let user = user(&state, params, headers).ok_or(AnswerError::Nobody)?;
        let user = user.clone();
        match form.get("authorize") {
            Some("true") => agreed(&mut state, &request, &user, form)?,
            Some("false") => return Ok(denied(&request)),
            _ => return Err(AnswerError::Form),
        }
    };
    // Discord does not wait; here the application has heard of it when its user comes back.
    if let Some(data) = event {
        outgoing::event(app, "APPLICATION_AUTHORIZED", data, 1).await;
    }
    Ok(answer)
}

fn denied(request: &Request) -> Response {
    match &request.then {
        Some(then) => Redirect::to(then.error(ACCESS_DENIED).as_str()).into_response(),
        None => page::cancelled(),
    }
}

/// The user has agreed: what comes of it, and the webhook event that says so.
fn agreed(
    state: &mut Discord,
    request: &Request,
    user: &User,
    form: &Params,
) -> Result<(Response, Option<serde_json::Value>), AnswerError> {
    let mut event = json!({"user": user.json(), "scopes": request.scopes});
    let mut came_to = None;
    if let Some(install) = request.install {
        let chosen = form.get("guild_id").and_then(|id| id.parse().ok()).map(Id);
        let guild = chosen.or(install.guild).ok_or(InviteError::Permission)?;
        let elsewhere = install.only_there && install.guild != Some(guild);
        if elsewhere || !state.may_install(guild, user.id) {
            return Err(InviteError::Permission.into());
        }
        let granted = if request.scopes.has(BOT) {
            state.invite(request.application, guild, user.id, install.permissions)?
        } else {
            0
        };
        event["integration_type"] = json!(0);
        event["guild"] = json!(state.guilds.get(guild).map(Guild::json));
        came_to = Some((guild, granted));
    }
    let response = match &request.then {
        Some(then) => {
            let url = give_code(state, then, request, user.id, came_to)?;
            Redirect::to(&url).into_response()
        }
        None => {
            let application = state
                .user(request.application)
                .map(|bot| bot.display.clone());
            let guild = came_to.and_then(|(guild, _)| state.guilds.get(guild));
            page::authorized(
                &application.unwrap_or_default(),
                guild.map_or("", |guild| &guild.name),
            )
        }
    };
    let tells = request.application == seed::APPLICATION;
    Ok((response, tells.then_some(event)))
}

/// Keeps what was allowed; answers where the user goes with a code for it.
fn give_code(
    state: &mut Discord,
    then: &Callback,
    request: &Request,
    user: Id,
    came_to: Option<(Id, u64)>,
) -> Result<String, AnswerError> {
    let code = seed::secret(22)?;
    let grant = Grant {
        user,
        application: request.application,
        scopes: request.scopes.clone(),
        guild: came_to.map(|(guild, _)| guild),
    };
    state.log.push(
        "oauth_authorized",
        json!({"user_id": user, "application_id": grant.application, "scopes": grant.scopes, "guild_id": grant.guild}),
    );
    let now = unix_ms();
    state.oauth.authorize(&grant, now);
    let binding = Binding {
        redirect_uri: then.written.clone(),
        challenge: then.challenge.clone(),
    };
    state.oauth.add_code(&code, grant, binding, now);
    let mut url = then.with(&[("code", &code)]);
    if let Some((guild, permissions)) = came_to {
        url.query_pairs_mut()
            .append_pair("guild_id", &guild.to_string())
            .append_pair("permissions", &permissions.to_string());
    }
    Ok(url.into())
}

/// A code for an Activity that this user looks at, who is not asked: Discord's client has it, and no page.
pub fn give_activity(state: &mut Discord, user: Id) -> Result<String, StartError> {
    let code = seed::secret(22)?;
    let grant = Grant {
        user,
        application: seed::APPLICATION,
        scopes: Scopes::parse("identify").unwrap_or_default(),
        guild: None,
    };
    state.log.push(
        "oauth_authorized",
        json!({"user_id": user, "application_id": grant.application, "scopes": grant.scopes, "guild_id": null}),
    );
    let now = unix_ms();
    state.oauth.authorize(&grant, now);
    let binding = Binding {
        redirect_uri: String::new(),
        challenge: None,
    };
    state.oauth.add_code(&code, grant, binding, now);
    Ok(code)
}

/// Who is logged in: whom the query or the cookie `as` names. Bots do not log in.
fn user<'s>(state: &'s Discord, params: &Params, headers: &HeaderMap) -> Option<&'s User> {
    let name = params.get("as").or_else(|| cookie(headers))?;
    state.users.named(name).filter(|user| !user.bot)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix("as="))
}

/// Whom the page offers to log in: those who can by themselves.
fn people(state: &Discord) -> Vec<&str> {
    let people = state
        .users
        .iter()
        .filter(|user| !user.bot && !user.token.is_empty());
    people
        .take(MOST_SHOWN)
        .map(|user| user.name.as_str())
        .collect()
}

/// Whether a form comes from our own page, or from somebody who is no browser.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match headers.get(header::ORIGIN) {
        None => true,
        Some(_) => text(header::ORIGIN)
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, host)| text(header::HOST) == Some(host)),
    }
}
