//! Voice sessions, one a guild, kept as Elixir wants them.
//!
//! A session has two sides: the voice server's, which is [`uro_discord_voice`], and the main gateway's, where the bot says which
//! channel it is in ([`DesiredVoiceStates`]) and hears where its voice server is ([`Update`]).

mod call;
mod calls;
mod desired;
mod player;
pub mod relay;
#[cfg(test)]
mod tests;

use crate::desired::Desired;
use crate::sender::FrameSender;
use call::{Begin, Call};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use uro_discord_wire::{Snowflake, VoiceChannel};

pub use call::ActiveSession;
pub use calls::{Calls, InCall, Live, WantedVideo};
pub use desired::{Changes, DesiredVoiceState, DesiredVoiceStates};

/// Updates that may wait for a guild's session. It takes them at once.
const UPDATES: usize = 64;

/// What the main gateway says that concerns a voice session.
#[derive(Clone, Debug)]
pub enum Update {
    /// Discord was asked to let the bot in, just now.
    Asked { beginning: u64 },
    /// Our own voice state.
    State {
        channel: Option<Snowflake>,
        session: SecretString,
        suppressed: bool,
    },
    /// The voice server.
    Server {
        endpoint: Option<String>,
        token: SecretString,
    },
    /// The shard has a new gateway session, in which the bot is in no channel.
    NewSession,
}

/// An update with its guild; `None` is every guild of a shard.
#[derive(Clone, Debug)]
pub struct Addressed {
    pub to: Address,
    pub update: Update,
}

/// Whom an update concerns.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    Guild(Snowflake),
    Shard { number: u32, of: u32 },
}

/// The shard that a guild is on. <https://discord.com/developers/docs/events/gateway#sharding>
pub fn shard_of(guild: Snowflake, shards: u32) -> u32 {
    u32::try_from((guild.get() >> 22) % u64::from(shards.max(1))).unwrap_or_default()
}

/// What a guild's session is to do: `None` is to leave, and to end.
type Order = Option<Arc<VoiceChannel>>;

/// A guild's running session.
struct Running {
    orders: watch::Sender<Order>,
    updates: mpsc::Sender<Update>,
}

/// What all rooms have in common.
#[derive(Clone)]
pub struct Surroundings {
    pub sender: FrameSender,
    pub states: DesiredVoiceStates,
    pub calls: Calls,
    pub begin: Begin,
}

/// Keeps all desired voice sessions until nobody desires anything any more.
///
/// # Errors
///
/// When a call's task panicked beside its session.
pub async fn run(
    mut wanted: watch::Receiver<Desired>,
    mut updates: mpsc::Receiver<Addressed>,
    surroundings: Surroundings,
) -> Result<(), JoinError> {
    let mut running: BTreeMap<Snowflake, Running> = BTreeMap::new();
    let mut tasks: JoinSet<Snowflake> = JoinSet::new();
    // The guilds whose leave was passed on, and need not be again.
    let mut left: BTreeSet<Snowflake> = BTreeSet::new();
    let mut elsewhere = relay::Elsewhere::default();
    let mut orders_due = true;
    // The last value outlives its sender, so it is asked for the sender.
    while wanted.has_changed().is_ok() {
        if orders_due {
            // A part that is unchanged is the same `Arc`, and then so is every order in it.
            let desired = wanted.borrow_and_update().clone();
            order(&desired, &mut running, &mut tasks, &surroundings);
            leave(&desired, &running, &mut left, &surroundings.states);
            elsewhere.follow(&desired, &surroundings.states);
        }
        orders_due = tokio::select! {
            _ = wanted.changed() => true,
            Some(update) = updates.recv() => {
                elsewhere.pass_on(&update, &surroundings.sender);
                pass_on(update, &running);
                false
            }
            Some(ended) = tasks.join_next() => {
                let guild = ended?;
                // It may have been wanted again in its last moment.
                running.remove(&guild);
                left.insert(guild);
                true
            }
        };
    }
    // With the orders the sessions end, where they are: the next bridge takes up the same channels.
    running.clear();
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// Gives every session its order, and begins those that are not there.
fn order(
    desired: &Desired,
    running: &mut BTreeMap<Snowflake, Running>,
    tasks: &mut JoinSet<Snowflake>,
    surroundings: &Surroundings,
) {
    let voice = desired.voice.as_ref();
    for (guild, session) in &*running {
        if voice.is_none_or(|voice| !voice.channels.contains_key(guild)) {
            session.orders.send_replace(None);
        }
    }
    let Some(voice) = voice else { return };
    for (guild, channel) in voice.channels.iter() {
        if let Some(session) = running.get(guild) {
            session.orders.send_if_modified(|order| {
                let other = order.as_ref() != Some(channel);
                if other {
                    *order = Some(channel.clone());
                }
                other
            });
            continue;
        }
        let (orders, ordered) = watch::channel(Some(channel.clone()));
        let (sender, receiver) = mpsc::channel(UPDATES);
        let call = Call::new(
            *guild,
            voice.user,
            desired.voice_scheme(),
            ordered,
            receiver,
            surroundings.clone(),
        );
        tasks.spawn(call.run());
        let updates = sender;
        running.insert(*guild, Running { orders, updates });
    }
}

/// Leaves what a bridge before may have had no time to leave.
fn leave(
    desired: &Desired,
    running: &BTreeMap<Snowflake, Running>,
    left: &mut BTreeSet<Snowflake>,
    states: &DesiredVoiceStates,
) {
    let voice = desired.voice.as_ref();
    let wanted = |guild: &Snowflake| voice.is_some_and(|voice| voice.left.contains(guild));
    for guild in left.extract_if(.., |guild| !wanted(guild)) {
        states.forget(guild);
    }
    for guild in voice.iter().flat_map(|voice| &*voice.left) {
        if !running.contains_key(guild) && left.insert(*guild) {
            states.leave(*guild);
        }
    }
}

fn pass_on(addressed: Addressed, running: &BTreeMap<Snowflake, Running>) {
    let send = |guild: &Snowflake, session: &Running| {
        // One that has just ended needs nothing any more.
        if let Err(TrySendError::Full(_)) = session.updates.try_send(addressed.update.clone()) {
            tracing::error!(%guild, "a voice session does not take what the gateway says");
        }
    };
    match addressed.to {
        Address::Guild(guild) => {
            if let Some(session) = running.get(&guild) {
                send(&guild, session);
            }
        }
        Address::Shard { number, of } => {
            let own = |guild: &Snowflake| shard_of(*guild, of) == number;
            for (guild, session) in running.iter().filter(|(guild, _)| own(guild)) {
                send(guild, session);
            }
        }
    }
}
