//! The gateway's side of voice: what the calls desire goes to the commands, and what Discord says of it to the calls.

use super::commands::Commands;
use super::voice_states::{Heard, UpdateVoiceState};
use crate::voice::{Address, Addressed, Changes, DesiredVoiceStates, Update};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use twilight_model::gateway::payload::outgoing;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker};
use uro_discord_wire::Snowflake;

/// What every shard has of voice.
#[derive(Clone)]
pub struct Voice {
    pub desired: DesiredVoiceStates,
    pub updates: mpsc::Sender<Addressed>,
}

/// What one shard's connections have of it.
pub struct ShardVoice {
    changes: Changes,
    updates: mpsc::Sender<Addressed>,
    shard: u32,
    shards: u32,
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

impl ShardVoice {
    pub fn new(voice: Voice, shard: u32, shards: u32) -> Self {
        Self {
            changes: voice.desired.follow(shard, shards),
            updates: voice.updates,
            shard,
            shards,
        }
    }

    /// Waits until something else is desired.
    pub async fn changed(&self) {
        self.changes.wait().await;
    }

    /// Takes what is desired.
    pub fn take(&self, commands: &mut Commands) {
        for (guild, desired) in self.changes.take() {
            commands.voice.desire(guild, desired);
        }
    }

    /// A command is sent: the call that it begins waits for Discord's answers from now on.
    pub fn sent(&self, command: &UpdateVoiceState) {
        if let Some(beginning) = command.begins {
            let update = Update::Asked { beginning };
            self.send(Address::Guild(command.guild), update);
        }
    }

    /// A dispatch that may be about voice.
    pub fn dispatch(&self, commands: &mut Commands, kind: &str, data: &str) {
        match kind {
            "VOICE_STATE_UPDATE" => match serde_json::from_str::<VoiceState>(data) {
                Ok(state) => self.state(commands, state),
                Err(error) => {
                    tracing::error!(%error, "Discord sent a voice state that is not understood")
                }
            },
            "VOICE_SERVER_UPDATE" => match serde_json::from_str::<VoiceServer>(data) {
                Ok(server) => {
                    let token = SecretString::from(server.token);
                    let endpoint = server.endpoint;
                    self.send(
                        Address::Guild(server.guild_id),
                        Update::Server { endpoint, token },
                    );
                }
                // Not the error: it may repeat the token.
                Err(_) => tracing::error!("Discord sent a voice server that is not understood"),
            },
            _ => {}
        }
    }

    fn state(&self, commands: &mut Commands, state: VoiceState) {
        let Some(guild) = state.guild_id else { return };
        // Only our own: a guild may have thousands.
        if commands.voice.user(guild) != Some(state.user_id) {
            return;
        }
        let channel = state.channel_id;
        if commands.voice.heard(guild, channel, Instant::now()) == Heard::Past {
            return;
        }
        let update = Update::State {
            channel,
            session: SecretString::from(state.session_id),
            suppressed: state.suppress,
        };
        self.send(Address::Guild(guild), update);
    }

    /// The shard has a new gateway session, in which the bot is in no channel.
    pub fn new_session(&self) {
        let shard = Address::Shard {
            number: self.shard,
            of: self.shards,
        };
        self.send(shard, Update::NewSession);
    }

    fn send(&self, to: Address, update: Update) {
        if self.updates.try_send(Addressed { to, update }).is_err() {
            tracing::error!("the voice sessions do not take what the gateway says");
        }
    }
}

/// As twilight sends it.
pub fn payload(command: &UpdateVoiceState) -> Option<outgoing::UpdateVoiceState> {
    Some(outgoing::UpdateVoiceState::new(
        Id::<GuildMarker>::new_checked(command.guild.get())?,
        command
            .channel
            .and_then(|channel| Id::<ChannelMarker>::new_checked(channel.get())),
        command.self_deaf,
        command.self_mute,
    ))
}
