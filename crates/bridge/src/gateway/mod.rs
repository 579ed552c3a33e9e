//! The gateway connections, one a shard, kept as Elixir wants them.

pub(crate) mod budget;
pub(crate) mod commands;
mod connection;
mod driver;
pub(crate) mod payload;
mod progress;
pub(crate) mod shard;
mod voice;
mod voice_states;

use crate::desired::Desired;
use crate::events::Events;
use crate::sender::FrameSender;
use driver::Driver;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use uro_discord_wire::Gateway;

pub use budget::WINDOW;
pub use voice::Voice;

/// What all shards have in common.
#[derive(Clone)]
pub struct Surroundings {
    pub wanted: watch::Receiver<Desired>,
    pub sender: FrameSender,
    pub events: Events,
    pub voice: Voice,
    /// How many connections there are.
    pub connections: Arc<watch::Sender<usize>>,
    /// That of the command budgets.
    pub window: Duration,
}

/// Keeps all shards of the desired gateway, until nobody desires anything any more.
///
/// # Errors
///
/// When a shard's task panicked beside its connection.
pub async fn run(mut surroundings: Surroundings) -> Result<(), JoinError> {
    // The last value outlives its sender, so it is asked for the sender first.
    while surroundings.wanted.has_changed().is_ok() {
        let desired = surroundings.wanted.borrow_and_update().clone();
        let Some(gateway) = &desired.gateway else {
            // An error is the end, which the next look finds too.
            let _ = surroundings.wanted.changed().await;
            continue;
        };
        let mut shards = JoinSet::new();
        for shard in 0..gateway.shards.get() {
            let driver = Driver::new(shard, gateway.clone(), &desired, surroundings.clone());
            shards.spawn(driver.run());
        }
        // Each ends when its gateway is no longer the desired one.
        while let Some(ended) = shards.join_next().await {
            ended?;
        }
    }
    Ok(())
}

/// Whether connections made for one serve the other: the events that are passed on can change in place.
fn same_connections(one: &Gateway, other: &Gateway) -> bool {
    (&one.token, one.intents, &one.url, one.shards)
        == (&other.token, other.intents, &other.url, other.shards)
}
