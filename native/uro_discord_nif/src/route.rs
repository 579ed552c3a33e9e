//! Routes as Elixir names them: twilight's names, as atoms, with what its variants hold. `UroDiscord.Rest` lists them.

use rustler::types::tuple::get_tuple;
use rustler::{Atom, Binary, Term};
use uro_discord_net::{NotAnId, Snowflake};
use uro_discord_rest::{Method, Raw, Route, Target, Within};

use crate::{atoms, request};

/// The digits of the largest.
const MAX_ID: usize = 20;

/// More than any token of Discord's has.
const MAX_TOKEN: usize = 1024;

/// `name`, or `{name, id, …}`.
pub(crate) fn target(term: Term<'_>) -> Result<Target, String> {
    let parts = get_tuple(term).unwrap_or_else(|_| vec![term]);
    let named = parts.split_first().and_then(|(name, rest)| {
        let name = name.atom_to_string().ok()?;
        Some((name, rest))
    });
    let (name, fields) = named.ok_or(":route must be an atom, or a tuple that begins with one")?;
    let route = match fields {
        [method, within, path] if name == "raw" => raw(*method, *within, *path),
        _ => route(&name, fields).map(|route| Target::from(&route)),
    };
    route.map_err(|reason| format!(":route {name}: {reason}"))
}

fn route<'a>(name: &str, fields: &[Term<'a>]) -> Result<Route<'a>, String> {
    Ok(match (name, fields) {
        ("add_guild_member", &[guild, user]) => Route::AddGuildMember {
            guild_id: id("the guild", guild)?,
            user_id: id("the user", user)?,
        },
        ("add_member_role", &[guild, user, role]) => Route::AddMemberRole {
            guild_id: id("the guild", guild)?,
            role_id: id("the role", role)?,
            user_id: id("the user", user)?,
        },
        ("create_message", &[channel]) => Route::CreateMessage {
            channel_id: id("the channel", channel)?,
        },
        ("create_typing_trigger", &[channel]) => Route::CreateTypingTrigger {
            channel_id: id("the channel", channel)?,
        },
        ("crosspost_message", &[channel, message]) => Route::CrosspostMessage {
            channel_id: id("the channel", channel)?,
            message_id: id("the message", message)?,
        },
        ("create_role", &[guild]) => Route::CreateRole {
            guild_id: id("the guild", guild)?,
        },
        ("delete_message", &[channel, message]) => Route::DeleteMessage {
            channel_id: id("the channel", channel)?,
            message_id: id("the message", message)?,
        },
        ("execute_webhook", &[webhook, given]) => Route::ExecuteWebhook {
            thread_id: None,
            token: token(given)?,
            wait: None,
            with_components: None,
            webhook_id: id("the webhook", webhook)?,
        },
        ("get_channel", &[channel]) => Route::GetChannel {
            channel_id: id("the channel", channel)?,
        },
        ("get_current_user_application_info", []) => Route::GetCurrentUserApplicationInfo,
        ("get_gateway_bot", []) => Route::GetGatewayBot,
        ("get_global_commands", &[application]) => Route::GetGlobalCommands {
            application_id: id("the application", application)?,
            with_localizations: None,
        },
        ("get_guild", &[guild]) => Route::GetGuild {
            guild_id: id("the guild", guild)?,
            with_counts: false,
        },
        ("get_guild_members", &[guild, after, limit]) => Route::GetGuildMembers {
            after: optional_id("after", after)?,
            guild_id: id("the guild", guild)?,
            limit: Some(limit.decode().map_err(|_| "the limit must be a number")?),
        },
        ("get_guild_roles", &[guild]) => Route::GetGuildRoles {
            guild_id: id("the guild", guild)?,
        },
        ("get_member", &[guild, user]) => Route::GetMember {
            guild_id: id("the guild", guild)?,
            user_id: id("the user", user)?,
        },
        ("get_message", &[channel, message]) => Route::GetMessage {
            channel_id: id("the channel", channel)?,
            message_id: id("the message", message)?,
        },
        ("get_messages", &[channel, before, limit]) => Route::GetMessages {
            after: None,
            around: None,
            before: optional_id("before", before)?,
            channel_id: id("the channel", channel)?,
            limit: Some(limit.decode().map_err(|_| "the limit must be a number")?),
        },
        ("interaction_callback", &[interaction, given]) => Route::InteractionCallback {
            interaction_id: id("the interaction", interaction)?,
            interaction_token: token(given)?,
            with_response: false,
        },
        ("remove_member", &[guild, user]) => Route::RemoveMember {
            guild_id: id("the guild", guild)?,
            user_id: id("the user", user)?,
        },
        ("remove_member_role", &[guild, user, role]) => Route::RemoveMemberRole {
            guild_id: id("the guild", guild)?,
            role_id: id("the role", role)?,
            user_id: id("the user", user)?,
        },
        ("set_global_commands", &[application]) => Route::SetGlobalCommands {
            application_id: id("the application", application)?,
        },
        ("update_current_user_voice_state", &[guild]) => Route::UpdateCurrentUserVoiceState {
            guild_id: id("the guild", guild)?,
        },
        ("update_interaction_original", &[application, given]) => {
            Route::UpdateInteractionOriginal {
                application_id: id("the application", application)?,
                interaction_token: token(given)?,
            }
        }
        ("update_member", &[guild, user]) => Route::UpdateMember {
            guild_id: id("the guild", guild)?,
            user_id: id("the user", user)?,
        },
        ("update_message", &[channel, message]) => Route::UpdateMessage {
            channel_id: id("the channel", channel)?,
            message_id: id("the message", message)?,
        },
        (_, fields) => return Err(format!("with {} fields, is no route", fields.len())),
    })
}

/// `within` is `nil`, `{:channel, id}` or `{:guild, id}`.
fn raw(method: Term<'_>, within: Term<'_>, path: Term<'_>) -> Result<Target, String> {
    let within = match within.decode::<(Atom, Term<'_>)>() {
        Ok((kind, channel)) if kind == atoms::channel() => {
            Some(Within::Channel(id("the channel", channel)?))
        }
        Ok((kind, guild)) if kind == atoms::guild() => Some(Within::Guild(id("the guild", guild)?)),
        _ if is_nil(within) => None,
        _ => return Err("it is within nil, {:channel, id} or {:guild, id}".into()),
    };
    let path = path.decode().map_err(|_| "the path must be a string")?;
    Target::try_from(Raw {
        method: self::method(method)?,
        within,
        path,
    })
    .map_err(|error| error.to_string())
}

fn method(method: Term<'_>) -> Result<Method, String> {
    let methods = [
        (atoms::get(), Method::Get),
        (atoms::post(), Method::Post),
        (atoms::put(), Method::Put),
        (atoms::patch(), Method::Patch),
        (atoms::delete(), Method::Delete),
    ];
    let method = method.decode().ok();
    method
        .and_then(|method| request::choose(method, methods))
        .ok_or_else(|| "the method must be :get, :post, :put, :patch or :delete".into())
}

/// An id is text here, as in Discord's JSON.
fn id(what: &str, term: Term<'_>) -> Result<u64, String> {
    let id = text(term, MAX_ID).ok_or(NotAnId);
    id.and_then(str::parse::<Snowflake>)
        .map(Snowflake::get)
        .map_err(|why| format!("{what}: {why}"))
}

fn optional_id(what: &str, term: Term<'_>) -> Result<Option<u64>, String> {
    if is_nil(term) {
        return Ok(None);
    }
    id(what, term).map(Some)
}

fn is_nil(term: Term<'_>) -> bool {
    term.decode::<Atom>().is_ok_and(|atom| atom == atoms::nil())
}

/// A token becomes a segment of the path, and must not be more than one, or another. It is a secret, and not shown.
fn token(term: Term<'_>) -> Result<&str, String> {
    let fit = |b: u8| b.is_ascii_alphanumeric() || b"-._~=+:".contains(&b);
    let is_segment = |text: &&str| text.bytes().all(fit) && text.bytes().any(|b| b != b'.');
    text(term, MAX_TOKEN)
        .filter(is_segment)
        .ok_or_else(|| "the token must be letters, digits and any of -._~=+:".into())
}

/// A string, whose length is looked at first.
fn text(term: Term<'_>, most: usize) -> Option<&str> {
    let bytes: Binary<'_> = term.decode().ok()?;
    if bytes.len() > most {
        return None;
    }
    std::str::from_utf8(bytes.as_slice()).ok()
}
