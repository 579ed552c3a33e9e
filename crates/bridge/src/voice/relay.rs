//! Calls whose shard another bridge has: Elixir is told where they want the bot to be, and passes it on; and the other way round, this bridge has the shards of
//! other bridges' calls.

use super::{Address, Addressed, DesiredVoiceState, DesiredVoiceStates, Update, shard_of};
use crate::desired::Desired;
use crate::sender::FrameSender;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use uro_discord_wire::frame::AppendError;
use uro_discord_wire::{
    self as wire, FromBridge, OwnVoiceState, Secret, Snowflake, VoiceServer, VoiceStates,
    VoiceUpdate,
};

/// Tells Elixir where the calls here want the bot to be, as long as that is wanted, until nobody desires anything any more.
///
/// # Errors
///
/// When a message cannot be carried to Elixir.
pub async fn tell(
    mut wanted: watch::Receiver<Desired>,
    states: DesiredVoiceStates,
    sender: FrameSender,
) -> Result<(), AppendError> {
    let changes = states.follow_own();
    let mut told = None;
    // The last value outlives its sender, so it is asked for the sender.
    while wanted.has_changed().is_ok() {
        let to = {
            let desired = wanted.borrow_and_update();
            let relay = desired.voice.as_ref().is_some_and(|voice| voice.relay);
            relay.then_some(desired.session)
        };
        if to != told {
            told = to;
            if to.is_some() {
                say(&sender, changes.take_all(), true)?;
            }
        }
        tokio::select! {
            _ = wanted.changed() => {}
            () = changes.wait() => {
                let changed = changes.take();
                if told.is_some() {
                    say(&sender, changed, false)?;
                }
            }
        }
    }
    Ok(())
}

fn say(
    sender: &FrameSender,
    changed: Vec<(Snowflake, Option<DesiredVoiceState>)>,
    whole: bool,
) -> Result<(), AppendError> {
    let mut said = VoiceStates {
        whole,
        ..VoiceStates::default()
    };
    for (guild, state) in changed {
        match state {
            Some(state) => said.states.push(wire::DesiredVoiceState {
                guild,
                user: state.user,
                channel: state.channel,
                self_mute: state.self_mute,
                self_deaf: state.self_deaf,
                beginning: state.beginning,
                joined: state.joined,
            }),
            None => said.left.push(guild),
        }
    }
    sender.send_now(&FromBridge::VoiceStates(said))
}

/// The calls of other bridges, as Elixir told of them last.
#[derive(Default)]
pub struct Elsewhere {
    told: Option<Arc<VoiceStates>>,
    guilds: BTreeSet<Snowflake>,
    /// Those whose leave was passed on, and need not be again.
    left: BTreeSet<Snowflake>,
}

impl Elsewhere {
    /// Has the shards follow what is desired.
    pub fn follow(&mut self, desired: &Desired, states: &DesiredVoiceStates) {
        let now = desired.voice_states.clone();
        // A part that is unchanged is the same `Arc`.
        if self.told.as_ref().map(Arc::as_ptr) == now.as_ref().map(Arc::as_ptr) {
            return;
        }
        let mut wanted: BTreeMap<Snowflake, DesiredVoiceState> = BTreeMap::new();
        for state in now.iter().flat_map(|told| &told.states) {
            wanted.insert(
                state.guild,
                DesiredVoiceState {
                    user: state.user,
                    channel: state.channel,
                    self_mute: state.self_mute,
                    self_deaf: state.self_deaf,
                    beginning: state.beginning,
                    joined: state.joined,
                },
            );
        }
        let here = desired.voice.as_ref().map(|voice| &voice.channels);
        let left = now.iter().flat_map(|told| &told.left).copied();
        let left: BTreeSet<Snowflake> = left.collect();
        for guild in self.left.extract_if(.., |guild| !left.contains(guild)) {
            states.forget(guild);
        }
        for guild in left {
            let wanted = wanted.contains_key(&guild)
                || here.is_some_and(|channels| channels.contains_key(&guild));
            if !wanted && self.left.insert(guild) {
                states.leave(guild);
            }
        }
        for guild in &self.guilds {
            if !wanted.contains_key(guild) {
                states.relay(*guild, None);
            }
        }
        self.guilds = wanted.keys().copied().collect();
        for (guild, state) in wanted {
            states.relay(guild, Some(state));
        }
        self.told = now;
    }

    /// Passes on what Discord says to calls that other bridges have.
    pub fn pass_on(&self, heard: &Addressed, sender: &FrameSender) {
        match heard.to {
            Address::Guild(guild) => {
                if self.guilds.contains(&guild) {
                    pass_on(guild, &heard.update, sender);
                }
            }
            Address::Shard { number, of } => {
                let own = self.guilds.iter();
                for guild in own.filter(|guild| shard_of(**guild, of) == number) {
                    pass_on(*guild, &heard.update, sender);
                }
            }
        }
    }
}

fn pass_on(guild: Snowflake, update: &Update, sender: &FrameSender) {
    let secret = |secret: &SecretString| Secret::new(secret.expose_secret());
    let update = match update {
        Update::Asked { beginning } => VoiceUpdate::Asked(wire::Asked {
            beginning: *beginning,
        }),
        Update::State {
            channel,
            session,
            suppressed,
        } => VoiceUpdate::State(OwnVoiceState {
            channel: *channel,
            session: secret(session),
            suppressed: *suppressed,
        }),
        Update::Server { endpoint, token } => VoiceUpdate::Server(VoiceServer {
            endpoint: endpoint.clone(),
            token: secret(token),
        }),
        Update::NewSession => VoiceUpdate::NewSession,
    };
    if let Err(error) = sender.send_now(&FromBridge::VoiceUpdate { guild, update }) {
        tracing::error!(%guild, %error, "a call elsewhere cannot be told what the gateway says");
    }
}

impl From<VoiceUpdate> for Update {
    fn from(update: VoiceUpdate) -> Self {
        let secret = |secret: &Secret| SecretString::from(secret.reveal());
        match update {
            VoiceUpdate::Asked(wire::Asked { beginning }) => Self::Asked { beginning },
            VoiceUpdate::State(state) => Self::State {
                channel: state.channel,
                session: secret(&state.session),
                suppressed: state.suppressed,
            },
            VoiceUpdate::Server(server) => Self::Server {
                endpoint: server.endpoint,
                token: secret(&server.token),
            },
            VoiceUpdate::NewSession => Self::NewSession,
        }
    }
}
