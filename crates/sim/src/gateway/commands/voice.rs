//! Voice state: joining and leaving voice channels.

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{
    id::{Id, from_json},
    state::{ChannelKind, State, permissions},
};

impl Client {
    pub(super) fn voice_state(&self, state: &mut State, user: Id, data: &Value) -> Flow {
        let Some(guild) = id(&data["guild_id"]) else {
            return DECODE_ERROR;
        };
        let channel = match &data["channel_id"] {
            Value::Null => None,
            channel => match id(channel) {
                Some(channel) => Some(channel),
                None => return DECODE_ERROR,
            },
        };
        if guild != state.guild.id {
            return Flow::Go;
        }
        // Discord stays silent when the channel cannot be joined.
        if channel.is_some_and(|channel| !may_join(state, user, channel)) {
            return Flow::Go;
        }
        if channel.is_none() {
            state.leave_voice(user);
            return Flow::Go;
        }
        let session = state
            .gateway
            .session_of(self.connection)
            .map(|session| session.id.clone());
        let flag = |key: &str| data[key].as_bool().unwrap_or(false);
        let voice = json!({
            "guild_id": guild,
            "channel_id": channel,
            "user_id": user,
            "member": state.members_json(|member| member.id == user).pop(),
            "session_id": session,
            "deaf": false,
            "mute": false,
            "self_deaf": flag("self_deaf"),
            "self_mute": flag("self_mute"),
            "self_video": false,
            "suppress": suppressed(state, user, channel),
            "request_to_speak_timestamp": null,
        });
        match state.join_voice(user, &voice, &self.app.addresses().host) {
            Ok(()) => Flow::Go,
            Err(_) => Flow::Close(4000, "Unknown error."),
        }
    }
}

/// Who comes to a stage is in its audience; who is on it stays what he is.
fn suppressed(state: &State, user: Id, channel: Option<Id>) -> bool {
    let before = state
        .voice
        .get(&user)
        .filter(|voice| from_json(&voice["channel_id"]) == channel);
    let stage = channel
        .and_then(|channel| state.channel(channel))
        .is_some_and(|channel| channel.kind == ChannelKind::Stage);
    match before {
        Some(voice) => voice["suppress"] == true,
        None => stage && state.settings.stage_audience,
    }
}

fn may_join(state: &State, user: Id, channel: Id) -> bool {
    let Some(channel) = state.channel(channel).filter(|c| c.kind.has_voice()) else {
        return false;
    };
    let permissions = state.permissions(channel, user);
    let others = state
        .voice
        .iter()
        .filter(|(other, voice)| {
            **other != user && from_json(&voice["channel_id"]) == Some(channel.id)
        })
        .count();
    let has_room = channel.user_limit == 0
        || others < channel.user_limit as usize
        || permissions & permissions::MOVE_MEMBERS != 0;
    permissions & permissions::CONNECT != 0 && has_room
}
