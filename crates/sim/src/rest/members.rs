//! Members (`developers/resources/guild`): who there is, who joins, is renamed, gets roles and is thrown out.

mod form;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    ApiError, Caller, FormErrors, Version,
    acting::{Reason, member_id, moderated_guild, need_in, own_guild},
    body::Form,
    query::{self, Query},
    reading::{Answer, path_id},
    validate::Check,
};
use crate::{
    app::App,
    gateway::intents,
    id::Id,
    oauth::scope,
    state::{Guild, MemberChange, State as Discord, permissions as p},
};

/// The most members in an answer.
const MOST: u64 = 1_000;

pub async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let id = path_id("user_id", &user)?;
    match state.member_json(guild, id) {
        Some(member) => Ok(Json(member)),
        None => member_id(&state, guild, &user).and(Err(ApiError::unknown_member())),
    }
}

/// Members by pages; bots must have been granted the intent GUILD_MEMBERS.
pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    query: Query,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let bot = state.user(caller).is_some_and(|user| user.bot);
    if bot && state.settings.privileged_intents & intents::GUILD_MEMBERS == 0 {
        return Err(ApiError::missing_access());
    }
    let limit = query::limit(&query, 1, MOST)?;
    let after = query::snowflake(&query, "after")?.unwrap_or(Id(0));
    let members = state.members_json(guild, after, |_, _| true);
    Ok(Json(members.take(limit).collect()))
}

/// Members whose name or nickname begins so, in whatever case.
pub async fn search(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    query: Query,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let limit = query::limit(&query, 1, MOST)?;
    let Some(wanted) = query.get("query").filter(|wanted| !wanted.is_empty()) else {
        let errors = FormErrors::one(&["query"], "BASE_TYPE_REQUIRED", "This field is required");
        return Err(ApiError::invalid_form(errors));
    };
    let wanted = wanted.to_lowercase();
    let begins = |name: &str| name.to_lowercase().starts_with(&wanted);
    let members = state.members_json(guild, Id(0), |user, nick| {
        begins(&user.name) || nick.is_some_and(begins)
    });
    Ok(Json(members.take(limit).collect()))
}

/// A user joins, whose access token the bot has.
pub async fn add(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
    body: Form,
) -> Result<Response, ApiError> {
    let mut state = app.state();
    let known = own_guild(&state, &guild, caller)?;
    if !state.user(caller).is_some_and(|user| user.bot) {
        return Err(ApiError::unauthorized());
    }
    let user = path_id("user_id", &user)?;
    let mut check = Check::default();
    let token = check.required_text(&body.json, "access_token", 2_048);
    let change = form::member_change(check, known, &body.json)?;
    need_in(&state, known, caller, p::CREATE_INSTANT_INVITE)?;
    if state.user(user).is_none() {
        return Err(ApiError::unknown_user());
    }
    may_join(&state, token.as_deref().unwrap_or_default(), caller, user)?;
    if known.has(user) {
        // Nickname and roles are left as they are.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if known.bans.contains_key(&user) {
        return Err(ApiError::banned());
    }
    if state.user(user).is_some_and(|user| user.guilds_full) {
        return Err(ApiError::too_many_guilds());
    }
    if change.nick.is_some() {
        need_in(&state, known, caller, p::MANAGE_NICKNAMES)?;
    }
    let roles = change.roles.unwrap_or_default();
    if !roles.is_empty() {
        may_give(&state, known, caller, &roles)?;
    }
    let guild = known.id;
    state.join(guild, user, change.nick.flatten(), roles);
    let joined = state.guilds.get(guild);
    let member = joined.and_then(|guild| state.member_json(guild, user));
    Ok((StatusCode::CREATED, Json(json!(member))).into_response())
}

/// Whether an access token lets this bot's application put this user into guilds.
fn may_join(state: &Discord, token: &str, bot: Id, user: Id) -> Result<(), ApiError> {
    let access = state
        .access(token)
        .filter(|access| access.user == user && access.application == bot)
        .ok_or_else(ApiError::invalid_access_token)?;
    if access.scopes.has(scope::GUILDS_JOIN) {
        Ok(())
    } else {
        Err(ApiError::missing_scope())
    }
}

/// Changes nickname and roles.
pub async fn modify(
    State(app): State<App>,
    Caller(caller): Caller,
    Extension(version): Extension<Version>,
    Path((guild, user)): Path<(String, String)>,
    reason: Reason,
    body: Form,
) -> Result<Response, ApiError> {
    if user == "@me" {
        // What clients send as `%40me`, which is a path of its own to a router.
        let own = modify_own(State(app), Caller(caller), Path(guild), reason, body);
        return own.await.map(IntoResponse::into_response);
    }
    let mut state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let user = member_id(&state, guild, &user)?;
    let change = form::member_change(Check::default(), guild, &body.json)?;
    if change.nick.is_some() {
        need_in(&state, guild, caller, p::MANAGE_NICKNAMES)?;
        if caller != user && !guild.outranks(caller, user) {
            return Err(ApiError::missing_permissions());
        }
    }
    if let Some(roles) = &change.roles {
        let had = guild.member(user).map_or(&[][..], |member| &member.roles);
        let given = roles.iter().filter(|role| !had.contains(role));
        let taken = had.iter().filter(|role| !roles.contains(role));
        let differ: Vec<Id> = given.chain(taken).copied().collect();
        may_give(&state, guild, caller, &differ)?;
    }
    let guild = guild.id;
    state.change_member(guild, user, change, reason.of(caller));
    Ok(match version {
        Version::Six => StatusCode::NO_CONTENT.into_response(),
        Version::Ten => Json(shown(&state, guild, user)).into_response(),
    })
}

fn shown(state: &Discord, guild: Id, user: Id) -> Option<Value> {
    state.member_json(state.guilds.get(guild)?, user)
}

/// Whether a member may give and take these roles: all must be below his own, and none managed.
fn may_give(state: &Discord, guild: &Guild, caller: Id, roles: &[Id]) -> Result<(), ApiError> {
    need_in(state, guild, caller, p::MANAGE_ROLES)?;
    let may = roles.iter().all(|role| {
        guild
            .role(*role)
            .is_some_and(|role| role.manager.is_none() && guild.is_above(caller, role))
    });
    if may {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

/// The caller renames himself, which is what CHANGE_NICKNAME is for: by his id he needs MANAGE_NICKNAMES, as for anybody.
pub async fn modify_own(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    reason: Reason,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    let mut check = Check::default();
    check.none_simulated(&body.json, &["banner", "avatar", "bio"]);
    let nick = form::nick(&mut check, &body.json);
    check.errors.into_result()?;
    if nick.is_some() {
        need_in(&state, guild, caller, p::CHANGE_NICKNAME)?;
    }
    let guild = guild.id;
    let change = MemberChange { nick, roles: None };
    state.change_member(guild, caller, change, reason.of(caller));
    Ok(Json(json!(shown(&state, guild, caller))))
}

/// Throws a member out.
pub async fn remove(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
    reason: Reason,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::KICK_MEMBERS)?;
    let user = member_id(&state, guild, &user)?;
    if !guild.outranks(caller, user) {
        return Err(ApiError::missing_permissions());
    }
    let guild = guild.id;
    state.kick(guild, user, reason.of(caller));
    Ok(StatusCode::NO_CONTENT)
}

/// The caller leaves.
pub async fn leave(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = path_id("guild_id", &guild)?;
    let known = state.guilds.get(guild).filter(|guild| guild.has(caller));
    let known = known.ok_or_else(ApiError::unknown_guild)?;
    if known.owner == caller {
        return Err(ApiError::invalid_guild());
    }
    state.leave(guild, caller);
    Ok(StatusCode::NO_CONTENT)
}

pub async fn add_role(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<(String, String, String)>,
    reason: Reason,
) -> Result<StatusCode, ApiError> {
    change_role(&app, caller, &path, reason, true)
}

pub async fn remove_role(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<(String, String, String)>,
    reason: Reason,
) -> Result<StatusCode, ApiError> {
    change_role(&app, caller, &path, reason, false)
}

fn change_role(
    app: &App,
    caller: Id,
    (guild, user, role): &(String, String, String),
    reason: Reason,
    give: bool,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = own_guild(&state, guild, caller)?;
    let user = member_id(&state, guild, user)?;
    let role = path_id("role_id", role)?;
    if guild.role(role).is_none() {
        return Err(ApiError::unknown_role());
    }
    if role == guild.id {
        return Err(ApiError::invalid_role());
    }
    may_give(&state, guild, caller, &[role])?;
    let had = guild.member(user).map_or(&[][..], |member| &member.roles);
    let others = had.iter().copied().filter(|own| *own != role);
    let roles = others.chain(give.then_some(role)).collect();
    let change = MemberChange {
        nick: None,
        roles: Some(roles),
    };
    let guild = guild.id;
    state.change_member(guild, user, change, reason.of(caller));
    Ok(StatusCode::NO_CONTENT)
}
