//! Who does something in a guild, why, and whether he may.

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::percent_decode;

use super::{ApiError, FormErrors, messages::need, reading::path_id};
use crate::{
    id::Id,
    state::{Actor, Channel, Guild, State as Discord, permissions as p},
};

/// The longest reason.
const MAX_REASON: usize = 512;

/// What moderators do: a guild can demand two-factor authentication for it
/// (`developers/topics/permissions`, the permissions with an asterisk).
pub const MODERATION: u64 = p::KICK_MEMBERS
    | p::BAN_MEMBERS
    | p::ADMINISTRATOR
    | p::MANAGE_GUILD
    | p::MANAGE_CHANNELS
    | p::MANAGE_MESSAGES
    | p::MANAGE_ROLES
    | p::MANAGE_WEBHOOKS
    | p::MANAGE_GUILD_EXPRESSIONS
    | p::MANAGE_THREADS
    | p::VIEW_CREATOR_MONETIZATION_ANALYTICS;

/// The header `X-Audit-Log-Reason`: UTF-8 in URL encoding.
#[derive(Debug)]
pub struct Reason(Option<String>);

impl Reason {
    pub fn of(self, user: Id) -> Actor {
        Actor {
            user,
            reason: self.0,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Reason {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(given) = parts.headers.get("x-audit-log-reason") else {
            return Ok(Self(None));
        };
        let fail = |code: &str, message: String| {
            let errors = FormErrors::one(&["X-Audit-Log-Reason"], code, message);
            Err(ApiError::invalid_form(errors))
        };
        let Ok(text) = percent_decode(given.as_bytes()).decode_utf8() else {
            return fail(
                "STRING_TYPE_CONVERT",
                "Could not interpret as UTF-8.".to_owned(),
            );
        };
        if text.chars().count() > MAX_REASON {
            let message = format!("Must be {MAX_REASON} or fewer in length.");
            return fail("BASE_TYPE_MAX_LENGTH", message);
        }
        let text = text.trim();
        Ok(Self((!text.is_empty()).then(|| text.to_owned())))
    }
}

/// The guild of a path, which the caller must be a member of.
pub fn own_guild<'a>(state: &'a Discord, guild: &str, caller: Id) -> Result<&'a Guild, ApiError> {
    let guild = path_id("guild_id", guild)?;
    let guild = state
        .guilds
        .get(guild)
        .ok_or_else(ApiError::unknown_guild)?;
    if guild.has(caller) {
        Ok(guild)
    } else {
        Err(ApiError::missing_access())
    }
}

/// The guild of a path, in which the caller must have these permissions.
pub fn moderated_guild<'a>(
    state: &'a Discord,
    guild: &str,
    caller: Id,
    needed: u64,
) -> Result<&'a Guild, ApiError> {
    let guild = own_guild(state, guild, caller)?;
    need_in(state, guild, caller, needed)?;
    Ok(guild)
}

/// Whether a member has these permissions in a guild.
pub fn need_in(state: &Discord, guild: &Guild, caller: Id, needed: u64) -> Result<(), ApiError> {
    need(guild.base_permissions(caller), needed)?;
    need_two_factors(state, guild, caller, needed)
}

/// Whether a user has these permissions in a channel.
pub fn need_at(
    state: &Discord,
    channel: &Channel,
    caller: Id,
    needed: u64,
) -> Result<(), ApiError> {
    need(state.permissions(channel, caller), needed)?;
    match state.guild_of(channel) {
        Some(guild) => need_two_factors(state, guild, caller, needed),
        None => Ok(()),
    }
}

/// A guild can demand two-factor authentication of whoever uses some permissions. A bot has it if its owner has it.
fn need_two_factors(
    state: &Discord,
    guild: &Guild,
    caller: Id,
    needed: u64,
) -> Result<(), ApiError> {
    let has_mfa = state.user(caller).is_some_and(|user| state.has_mfa(user));
    if guild.mfa && needed & MODERATION != 0 && !has_mfa {
        return Err(ApiError::two_factor_required());
    }
    Ok(())
}

/// A member of the guild, whom a path names.
pub fn member_id(state: &Discord, guild: &Guild, user: &str) -> Result<Id, ApiError> {
    let user = path_id("user_id", user)?;
    match state.user(user) {
        _ if guild.has(user) => Ok(user),
        Some(_) => Err(ApiError::unknown_member()),
        None => Err(ApiError::unknown_user()),
    }
}
