//! Voice state: joining and leaving voice channels.

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{
    id::Id,
    state::{ChannelKind, State, permissions, seed},
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
        let joinable = channel.is_none_or(|id| {
            state.channel(id).is_some_and(|channel| {
                channel.kind == ChannelKind::Voice
                    && state.permissions(channel, user) & permissions::CONNECT != 0
            })
        });
        if !joinable {
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
            "suppress": false,
            "request_to_speak_timestamp": null,
        });
        if channel.is_some() {
            state.voice.insert(user, voice.clone());
        } else {
            state.voice.remove(&user);
        }
        state.voice_state_changed(&voice);
        if channel.is_some() {
            let Ok(token) = seed::secret(12) else {
                return Flow::Close(4000, "Unknown error.");
            };
            let server =
                json!({"token": token, "guild_id": guild, "endpoint": self.app.addresses().host});
            state
                .gateway
                .dispatch_to(self.connection, "VOICE_SERVER_UPDATE", &server);
        }
        Flow::Go
    }
}
