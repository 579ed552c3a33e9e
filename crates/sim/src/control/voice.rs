//! Calls: what their clients did, and what is done to them.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, ControlError, channel_id, user_id};
use crate::{
    app::App,
    faults::once,
    gateway::End,
    id::{Id, from_json},
    state::{Channel, State as Discord},
    voice::{Conditions, Group, Seat, Way},
};

pub async fn show(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let channels = state.guilds.iter().flat_map(|guild| &guild.channels);
    // Of the guilds that were added, only the channels that somebody is in.
    let home = state.guilds.home.id;
    let taken: BTreeSet<Option<Id>> = state
        .voice
        .values()
        .map(|voice| from_json(&voice["channel_id"]))
        .collect();
    let channels: Vec<Value> = channels
        .filter(|channel| channel.kind.has_voice())
        .filter(|channel| channel.guild == Some(home) || taken.contains(&Some(channel.id)))
        .map(|channel| {
            json!({
                "id": channel.id,
                "name": channel.name,
                "user_limit": channel.user_limit,
                "guild_id": channel.guild,
                "users": users(&state, channel),
                "dave": state.calls.groups().get(&channel.id).map(Group::show),
            })
        })
        .collect();
    let mut answer = json!(state.calls.counts);
    answer["channels"] = channels.into();
    answer["udp"] = json!(app.addresses().voice);
    Json(answer)
}

/// Those whose voice state says that they are in a channel, whether they are connected or not.
fn users(state: &Discord, channel: &Channel) -> Vec<Value> {
    let in_guild = state.voice_states(channel.guild.unwrap_or(Id(0)));
    in_guild
        .filter(|voice| from_json(&voice["channel_id"]) == Some(channel.id))
        .filter_map(|voice| {
            Some(Seat {
                guild: channel.guild?,
                user: from_json(&voice["user_id"])?,
            })
        })
        .map(|seat| {
            let user = seat.user;
            let mut shown = json!({
                "user_id": user,
                "name": state.user(user).map(|user| user.name.clone()),
                "session": false,
            });
            if let Some(session) = state.calls.seated(seat) {
                let transport = session.transport.as_ref();
                shown["session"] = json!(true);
                shown["connected"] = json!(session.outbox.link.is_some());
                shown["ssrc"] = json!(session.ssrc);
                shown["dave"] = json!(session.dave);
                shown["speaking"] = json!(session.speaking);
                shown["mode"] = json!(transport.map(|t| t.cipher.mode().name()));
                shown["address"] = json!(transport.and_then(|t| t.peer));
                shown["video"] = json!(session.video.as_ref().map(|video| video.show()));
                shown["frames"] = json!(session.frames);
                shown["violations"] = json!(session.violations);
            }
            shown
        })
        .collect()
}

/// Something to do to calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    action: Kind,
    /// To this user only, by name or id.
    user: Option<String>,
    /// A voice channel, by name or id.
    channel: Option<String>,
    /// With what code to close.
    code: Option<u16>,
    /// How many users a channel takes.
    limit: Option<u32>,
    /// Which codec of video.
    codec: Option<String>,
    /// How many times in a row.
    #[serde(default = "once")]
    times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A person comes to a channel, as if he had clicked on it. He has no call: nothing is heard of him.
    Join,
    /// A close frame on the voice gateway.
    Close,
    /// The end of the voice gateway's TCP connection, with no close frame.
    Drop,
    /// Somebody moves users to another channel.
    Move,
    /// Somebody throws users out of voice.
    Disconnect,
    /// The call goes to another voice server.
    ServerChange,
    /// Somebody sends users to the audience of a stage.
    Suppress,
    /// A channel's user limit changes.
    UserLimit,
    /// The group of a channel's call is made anew.
    RecreateGroup,
    /// The next commit or welcome that a user is sent is damaged.
    DamageCommit,
    /// Users are to send video in another codec.
    VideoCodec,
}

pub async fn act(State(app): State<App>, Body(action): Body<Action>) -> Answer {
    let mut state = app.state();
    let channel = action
        .channel
        .as_deref()
        .map(|wanted| voice_channel(&state, wanted))
        .transpose()?;
    if action.action == Kind::RecreateGroup {
        let channel = channel.ok_or(ControlError::Missing("channel"))?;
        if !state.dave_recreate(channel, action.times) {
            return Err(ControlError::NotInCall);
        }
        return Ok(Json(json!({})));
    }
    if action.action == Kind::UserLimit {
        let channel = channel.ok_or(ControlError::Missing("channel"))?;
        let limit = action.limit.ok_or(ControlError::Missing("limit"))?;
        state.set_user_limit(channel, limit);
        return Ok(Json(json!({})));
    }
    let user = action
        .user
        .as_deref()
        .map(|wanted| user_id(&state, wanted))
        .transpose()?;
    let endpoint = app.addresses().host.as_str();
    if action.action == Kind::Join {
        let user = user.ok_or(ControlError::Missing("user"))?;
        let channel = channel.ok_or(ControlError::Missing("channel"))?;
        join(&mut state, user, channel, endpoint)?;
        return Ok(Json(json!({"users": [user]})));
    }
    let chosen: Vec<Seat> = state
        .voice
        .iter()
        .filter(|(seat, _)| user.is_none_or(|user| user == seat.user))
        .filter(|(_, voice)| {
            action.action == Kind::Move
                || channel.is_none_or(|channel| from_json(&voice["channel_id"]) == Some(channel))
        })
        .map(|(&seat, _)| seat)
        .collect();
    if chosen.is_empty() {
        return Err(ControlError::NotInCall);
    }
    for &seat in &chosen {
        match action.action {
            Kind::Close => {
                let code = action
                    .code
                    .filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999))
                    .ok_or(ControlError::CloseCode)?;
                let end = End::Close(code, "Closed by the control interface.");
                state.end_voice_connection(seat, end);
            }
            Kind::Drop => state.end_voice_connection(seat, End::Drop),
            Kind::Suppress => state.suppress_voice(seat, true),
            Kind::Disconnect => state.leave_voice(seat),
            Kind::Move => {
                let channel = channel.ok_or(ControlError::Missing("channel"))?;
                state.move_voice(seat, channel, endpoint)?;
            }
            Kind::ServerChange => state.change_voice_server(seat, endpoint)?,
            Kind::DamageCommit => state.dave_damage(seat),
            Kind::VideoCodec => {
                let codec = action
                    .codec
                    .as_deref()
                    .ok_or(ControlError::Missing("codec"))?;
                state.set_video_codec(seat, codec);
            }
            Kind::Join | Kind::UserLimit | Kind::RecreateGroup => {}
        }
    }
    let users: Vec<Id> = chosen.iter().map(|seat| seat.user).collect();
    Ok(Json(json!({"users": users})))
}

fn join(state: &mut Discord, user: Id, channel: Id, endpoint: &str) -> Result<(), ControlError> {
    let guild = state.channel(channel).and_then(|channel| channel.guild);
    let guild = guild
        .filter(|&guild| state.guilds.get(guild).is_some_and(|known| known.has(user)))
        .ok_or(ControlError::NoMember(user))?;
    let seat = Seat { guild, user };
    // He has a session of the gateway at Discord, which nobody here has.
    let session = format!("client-of-{user}");
    let voice = state.voice_json(seat, channel, Some(&session));
    Ok(state.join_voice(seat, &voice, endpoint)?)
}

fn voice_channel(state: &Discord, wanted: &str) -> Result<Id, ControlError> {
    let id = channel_id(state, wanted)?;
    let has_voice = state
        .channel(id)
        .is_some_and(|channel| channel.kind.has_voice());
    has_voice
        .then_some(id)
        .ok_or_else(|| ControlError::NotVoice(wanted.to_owned()))
}

pub async fn network(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let network = &state.calls.network;
    Json(json!({
        "conditions": network.conditions(),
        "up": network.done(Way::Up),
        "down": network.done(Way::Down),
    }))
}

pub async fn set_network(State(app): State<App>, Body(conditions): Body<Conditions>) -> Answer {
    let mut state = app.state();
    state.calls.network.set(conditions)?;
    Ok(Json(json!(state.calls.network.conditions())))
}
