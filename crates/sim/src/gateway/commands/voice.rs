//! Voice state: joining and leaving voice channels.

use serde_json::Value;

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{
    id::{Id, from_json},
    state::{Channel, State, permissions},
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
        let known = state.guilds.get(guild);
        if !known.is_some_and(|guild| guild.has(user)) {
            return Flow::Go;
        }
        let seat = Seat { guild, user };
        // Discord stays silent when the channel cannot be joined.
        if channel.is_some_and(|channel| !may_join(state, seat, channel)) {
            return Flow::Go;
        }
        let Some(channel) = channel else {
            state.leave_voice(seat);
            return Flow::Go;
        };
        let session = state
            .gateway
            .session_of(self.connection)
            .map(|session| session.id.clone());
        let flag = |key: &str| data[key].as_bool().unwrap_or(false);
        let mut voice = state.voice_json(seat, channel, session.as_deref());
        voice["self_deaf"] = flag("self_deaf").into();
        voice["self_mute"] = flag("self_mute").into();
        match state.join_voice(seat, &voice, &self.app.addresses().host) {
            Ok(()) => Flow::Go,
            Err(_) => Flow::Close(4000, "Unknown error."),
        }
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
