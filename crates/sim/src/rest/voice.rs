//! Voice channels (`developers/resources/channel`), and who speaks in them (`developers/resources/voice`).

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::json;

use super::{
    ApiError, Caller,
    acting::need_at,
    body::Form,
    messages::{need, seen},
    reading::path_id,
    validate::Check,
};
use crate::{
    app::App,
    id::from_json,
    state::{ChannelKind, permissions as p},
    voice::Seat,
};

/// The longest status of a voice channel.
const MAX_STATUS: usize = 500;

/// Sets or, with `null` or an empty text, clears what a voice channel says of itself. Who is not in the channel needs
/// MANAGE_CHANNELS besides.
pub async fn set_status(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(channel): Path<String>,
    body: Form,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let (channel, permissions) = seen(&state, &channel, caller)?;
    if channel.kind != ChannelKind::Voice {
        return Err(ApiError::wrong_channel_type());
    }
    need(permissions, p::SET_VOICE_CHANNEL_STATUS)?;
    let seat = channel.guild.map(|guild| Seat {
        guild,
        user: caller,
    });
    let inside = seat
        .and_then(|seat| state.voice.get(&seat))
        .is_some_and(|voice| voice["channel_id"] == json!(channel.id));
    if !inside {
        need_at(&state, &channel, caller, p::MANAGE_CHANNELS)?;
    }
    let mut check = Check::default();
    if !body.json.contains_key("status") {
        check.missing("status");
    }
    let status = check.text(&body.json, "status", MAX_STATUS);
    check.errors.into_result()?;
    let before = match status.filter(|status| !status.is_empty()) {
        Some(status) => state.voice_statuses.insert(channel.id, status),
        None => state.voice_statuses.remove(&channel.id),
    };
    if state.voice_statuses.get(&channel.id) != before.as_ref() {
        state.voice_channel_status_changed(&channel);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The bot goes to the audience of a stage or, with MUTE_MEMBERS, speaks there.
pub async fn own_state(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    body: Form,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = path_id("guild_id", &guild)?;
    if state.guilds.get(guild).is_none() {
        return Err(ApiError::unknown_guild());
    }
    let seat = Seat {
        guild,
        user: caller,
    };
    let mut check = Check::default();
    let suppress = check.boolean(&body.json, "suppress");
    check.errors.into_result()?;
    let within = state
        .voice
        .get(&seat)
        .and_then(|voice| from_json(&voice["channel_id"]))
        .ok_or_else(ApiError::unknown_voice_state)?;
    let named = body.json.get("channel_id").map(from_json);
    let channel = state
        .channel(within)
        .filter(|channel| channel.kind == ChannelKind::Stage)
        .filter(|_| named.is_none_or(|named| named == Some(within)))
        .cloned()
        .ok_or_else(ApiError::wrong_channel_type)?;
    if suppress == Some(false) {
        need(state.permissions(&channel, caller), p::MUTE_MEMBERS)?;
    }
    if let Some(suppress) = suppress {
        state.suppress_voice(seat, suppress);
    }
    Ok(StatusCode::NO_CONTENT)
}
