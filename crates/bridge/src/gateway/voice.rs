//! The gateway's side of voice: what the calls desire goes to the commands, and what Discord says of it to the calls.

use super::voice_states::{Heard, UpdateVoiceState, VoiceStates};
use crate::voice::{Address, Addressed, DesiredVoiceStates, Update};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use twilight_model::gateway::payload::outgoing;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker};
use uro_discord_wire::{Gateway, Snowflake};

/// What every shard has of voice.
#[derive(Clone)]
pub struct Voice {
    pub desired: DesiredVoiceStates,
    pub updates: mpsc::Sender<Addressed>,
}

#[derive(Deserialize)]
struct VoiceState {
    guild_id: Option<Snowflake>,
    channel_id: Option<Snowflake>,
    user_id: Snowflake,
    session_id: String,
    #[serde(default)]
    suppress: bool,
}

#[derive(Deserialize)]
struct VoiceServer {
    guild_id: Snowflake,
    endpoint: Option<String>,
    token: String,
}

/// A command is sent: the call that it begins, if it begins one, waits for Discord's answers from now on.
pub fn asked(command: &UpdateVoiceState) -> Option<Addressed> {
    let beginning = command.begins?;
    Some(Addressed {
        to: Address::Guild(command.guild),
        update: Update::Asked { beginning },
    })
}

/// What a dispatch about voice means for the calls.
pub fn heard(states: &mut VoiceStates, kind: &str, data: &str, now: Instant) -> Option<Addressed> {
    match kind {
        "VOICE_STATE_UPDATE" => match serde_json::from_str::<VoiceState>(data) {
            Ok(state) => heard_state(states, state, now),
            Err(error) => {
                tracing::error!(%error, "Discord sent a voice state that is not understood");
                None
            }
        },
        "VOICE_SERVER_UPDATE" => match serde_json::from_str::<VoiceServer>(data) {
            Ok(server) => Some(Addressed {
                to: Address::Guild(server.guild_id),
                update: Update::Server {
                    endpoint: server.endpoint,
                    token: SecretString::from(server.token),
                },
            }),
            // Not the error: it may repeat the token.
            Err(_) => {
                tracing::error!("Discord sent a voice server that is not understood");
                None
            }
        },
        _ => None,
    }
}

fn heard_state(states: &mut VoiceStates, state: VoiceState, now: Instant) -> Option<Addressed> {
    let guild = state.guild_id?;
    // Only our own: a guild may have thousands.
    if states.user(guild) != Some(state.user_id) {
        return None;
    }
    let channel = state.channel_id;
    if states.heard(guild, channel, now) == Heard::Past {
        return None;
    }
    Some(Addressed {
        to: Address::Guild(guild),
        update: Update::State {
            channel,
            session: SecretString::from(state.session_id),
            suppressed: state.suppress,
        },
    })
}

/// The shard has a new gateway session, in which the bot is in no channel.
pub fn new_session(shard: u32, gateway: &Gateway) -> Addressed {
    Addressed {
        to: Address::Shard {
            number: shard,
            of: gateway.shards.get(),
        },
        update: Update::NewSession,
    }
}

/// As twilight sends it.
pub fn payload(command: &UpdateVoiceState) -> outgoing::UpdateVoiceState {
    let channel = |id: Snowflake| Id::<ChannelMarker>::new(id.get());
    outgoing::UpdateVoiceState::new(
        Id::<GuildMarker>::new(command.guild.get()),
        command.channel.map(channel),
        command.self_deaf,
        command.self_mute,
    )
}
