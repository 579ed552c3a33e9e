//! The gateway's side of voice: where the bot is, said and heard.

use crate::voice::{Address, Addressed, Update, Wish, Wishes, shard_of};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, watch};
use twilight_model::gateway::payload::outgoing::UpdateVoiceState;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker};
use uro_discord_wire::Snowflake;

/// What every shard has of voice.
#[derive(Clone)]
pub struct Voice {
    pub wishes: Wishes,
    pub updates: mpsc::Sender<Addressed>,
}

/// What one shard's connections have of it.
pub struct ShardVoice {
    wishes: watch::Receiver<BTreeMap<Snowflake, Wish>>,
    updates: mpsc::Sender<Addressed>,
    shard: u32,
    shards: u32,
    /// What Discord was told in this gateway session.
    told: BTreeMap<Snowflake, Wish>,
    /// Whether there may be something to tell it.
    due: bool,
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
            wishes: voice.wishes.subscribe(),
            updates: voice.updates,
            shard,
            shards,
            told: BTreeMap::new(),
            due: true,
        }
    }

    /// Waits until there may be something to tell Discord.
    pub async fn changed(&mut self) {
        // The wishes live as long as the process.
        if self.wishes.changed().await.is_err() {
            std::future::pending().await
        }
        self.due = true;
    }

    /// Whether there may be something to tell Discord.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// What Discord is to be told now.
    pub fn commands(&mut self) -> Vec<UpdateVoiceState> {
        self.due = false;
        let wishes = self.wishes.borrow_and_update().clone();
        let mut commands = Vec::new();
        for guild in self.told.keys().filter(|guild| !wishes.contains_key(guild)) {
            commands.extend(command(*guild, None));
        }
        self.told.retain(|guild, _| wishes.contains_key(guild));
        for (guild, wish) in wishes {
            if shard_of(guild, self.shards) != self.shard {
                continue;
            }
            let told = self.told.insert(guild, wish);
            if told == Some(wish) {
                continue;
            }
            // Discord names the voice server anew only to who comes anew; and the process before may have left us in a channel.
            if told.is_none_or(|told| told.beginning != wish.beginning) {
                commands.extend(command(guild, None));
            }
            commands.extend(command(guild, Some(wish)));
        }
        commands
    }

    /// A dispatch that may be about voice.
    pub fn dispatch(&self, kind: &str, data: &str) {
        match kind {
            "VOICE_STATE_UPDATE" => match serde_json::from_str::<VoiceState>(data) {
                Ok(state) => {
                    let wish = state
                        .guild_id
                        .and_then(|guild| Some((guild, self.told.get(&guild)?)));
                    // Only our own: a guild may have thousands.
                    if let Some((guild, _)) = wish.filter(|(_, wish)| wish.user == state.user_id) {
                        let channel = state.channel_id;
                        let session = SecretString::from(state.session_id);
                        let suppressed = state.suppress;
                        let update = Update::State {
                            channel,
                            session,
                            suppressed,
                        };
                        self.send(Address::Guild(guild), update);
                    }
                }
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

    /// The shard has a new gateway session, in which the bot is in no channel.
    pub fn new_session(&mut self) {
        self.told.clear();
        self.due = true;
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

fn command(guild: Snowflake, wish: Option<Wish>) -> Option<UpdateVoiceState> {
    Some(UpdateVoiceState::new(
        Id::<GuildMarker>::new_checked(guild.get())?,
        wish.and_then(|wish| Id::<ChannelMarker>::new_checked(wish.channel.get())),
        wish.is_some_and(|wish| wish.self_deaf),
        wish.is_some_and(|wish| wish.self_mute),
    ))
}
