//! Voice channels (`developers/resources/channel`).

use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::json;

use super::{
    ApiError, Caller,
    body::Form,
    messages::{need, seen},
    validate::Check,
};
use crate::{
    app::App,
    state::{ChannelKind, permissions as p},
};

/// The longest status of a voice channel.
const MAX_STATUS: usize = 500;

/// Sets or, with `null` or an empty text, clears what a voice channel says of itself. Who is not in the channel needs
/// MANAGE_CHANNELS besides.
pub async fn set_status(
    State(app): State<App>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(channel): Path<String>,
    body: Form,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let (channel, permissions) = seen(&state, &channel, caller)?;
    if channel.kind != ChannelKind::Voice {
        return Err(ApiError::wrong_channel_type());
    }
    need(permissions, p::SET_VOICE_CHANNEL_STATUS)?;
    let inside = state
        .voice
        .get(&caller)
        .is_some_and(|voice| voice["channel_id"] == json!(channel.id));
    if !inside {
        need(permissions, p::MANAGE_CHANNELS)?;
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
