//! Voice state: joining and leaving voice channels.

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{
    id::{Id, from_json},
    state::{Channel, ChannelKind, State, permissions},
    voice::Seat,
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
        let Some(known) = state.guilds.get(guild).filter(|guild| guild.has(user)) else {
            return Flow::Go;
        };
        let member = state.member_json(known, user);
        let seat = Seat { guild, user };
        // Discord stays silent when the channel cannot be joined.
        if channel.is_some_and(|channel| !may_join(state, seat, channel)) {
            return Flow::Go;
        }
        if channel.is_none() {
            state.leave_voice(seat);
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
            "member": member,
            "session_id": session,
            "deaf": false,
            "mute": false,
            "self_deaf": flag("self_deaf"),
            "self_mute": flag("self_mute"),
            "self_video": false,
            "suppress": suppressed(state, seat, channel),
            "request_to_speak_timestamp": null,
        });
        match state.join_voice(seat, &voice, &self.app.addresses().host) {
            Ok(()) => Flow::Go,
            Err(_) => Flow::Close(4000, "Unknown error."),
        }
    }
}

/// Who comes to a stage is in its audience; who is on it stays what he is.
fn suppressed(state: &State, seat: Seat, channel: Option<Id>) -> bool {
    let before = state
        .voice
        .get(&seat)
        .filter(|voice| from_json(&voice["channel_id"]) == channel);
    let stage = channel
        .and_then(|channel| state.channel(channel))
        .is_some_and(|channel| channel.kind == ChannelKind::Stage);
    match before {
        Some(voice) => voice["suppress"] == true,
        None => stage && state.settings.stage_audience,
    }
}

fn may_join(state: &State, seat: Seat, channel: Id) -> bool {
    let voice = |channel: &&Channel| channel.kind.has_voice() && channel.guild == Some(seat.guild);
    let Some(channel) = state.channel(channel).filter(voice) else {
        return false;
    };
    let permissions = state.permissions(channel, seat.user);
    let others = state
        .voice_states(seat.guild)
        .filter(|voice| {
            from_json(&voice["user_id"]) != Some(seat.user)
                && from_json(&voice["channel_id"]) == Some(channel.id)
        })
        .count();
    let has_room = channel.user_limit == 0
        || others < channel.user_limit as usize
        || permissions & permissions::MOVE_MEMBERS != 0;
    permissions & permissions::CONNECT != 0 && has_room
}
