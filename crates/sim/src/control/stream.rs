//! A stream of events for one session.

use axum::{Json, extract::State};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{Answer, Body, ControlError, channel_id, user_id};
use crate::{app::App, stream::Plan};

/// Answers when the stream begins.
pub async fn play(State(app): State<App>, Body(plan): Body<Plan>) -> Answer {
    let plan = plan.check()?;
    let not_connected = ControlError::NotConnected(plan.user.clone());
    let (user, guild, channel, author) = {
        let state = app.state();
        let guild = &state.guilds.home;
        let author = state.user(guild.owner).cloned();
        let author = author.ok_or(ControlError::UnknownUser(guild.owner.to_string()))?;
        (
            user_id(&state, &plan.user)?,
            guild.id,
            channel_id(&state, "general")?,
            author,
        )
    };
    let shard = plan.shard;
    let mut recording = spawn_blocking(move || plan.record(guild, channel, &author)).await?;
    let begins = recording.begins();
    let mut answer = json!({
        "events": recording.len(),
        "types": recording.types(),
        "bytes": recording.bytes(),
    });
    if !app.state().gateway.play(user, shard, recording) {
        return Err(not_connected);
    }
    match begins.await {
        Ok(bytes) => answer["wire_bytes"] = json!(bytes),
        Err(_) => return Err(not_connected),
    }
    Ok(Json(answer))
}
