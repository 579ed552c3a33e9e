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
use std::collections::BTreeMap;
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

/// Keeps those shards of the desired gateway that this bridge has, until nobody desires anything any more.
///
/// # Errors
///
/// When a shard's task panicked beside its connection.
pub async fn run(mut surroundings: Surroundings) -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    // The shards that have a task, and of which gateway they are.
    let mut running: BTreeMap<u32, (u64, Arc<Gateway>)> = BTreeMap::new();
    // The last value outlives its sender, so it is asked for the sender first.
    while surroundings.wanted.has_changed().is_ok() || !tasks.is_empty() {
        let desired = surroundings.wanted.borrow_and_update().clone();
        if let Some(gateway) = &desired.gateway
            && surroundings.wanted.has_changed().is_ok()
            // Each ends when its gateway is no longer the desired one, and before there is one of another.
            && running.values().all(|(era, other)| *era == desired.era && same_connections(gateway, other))
        {
            for shard in gateway.held() {
                running.entry(shard).or_insert_with(|| {
                    let driver =
                        Driver::new(shard, gateway.clone(), &desired, surroundings.clone());
                    tasks.spawn(async move {
                        driver.run().await;
                        shard
                    });
                    (desired.era, gateway.clone())
                });
            }
        }
        let wanted = surroundings.wanted.has_changed().is_ok();
        tokio::select! {
            // An error is the end, which the next look finds too.
            _ = surroundings.wanted.changed(), if wanted => {}
            // It may be desired again by now.
            Some(ended) = tasks.join_next() => {
                running.remove(&ended?);
            }
            else => {}
        }
    }
    Ok(())
}

/// Whether connections made for one serve the other: the events that are passed on, and which shards this bridge has, can change in place.
fn same_connections(one: &Gateway, other: &Gateway) -> bool {
    (&one.token, one.intents, &one.url, one.shards)
        == (&other.token, other.intents, &other.url, other.shards)
}
