//! One gateway connection, kept as Elixir wants it.

mod backoff;
mod connection;
mod dispatch;

use crate::desired::Desired;
use crate::events::Events;
use crate::outbox::Outbox;
use crate::presence::Pace;
use backoff::Backoff;
use connection::End;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep;
use twilight_gateway::queue::InMemoryQueue;
use twilight_gateway::{Config, ConfigBuilder, Intents, Session, Shard, ShardId};
use twilight_model::gateway::payload::outgoing::identify::IdentifyProperties;
use uro_discord_wire::{FromBridge, Gateway, GatewayState};

/// The number of our only shard.
const SHARD: u32 = 0;

/// Opens the desired connection, and opens it again when it is lost, until nobody desires anything any more.
pub struct Keeper {
    wanted: watch::Receiver<Desired>,
    outbox: Outbox,
    events: Events,
    pace: Pace,
    backoff: Backoff,
    /// Spaces identifies as Discord asks, whatever the token.
    queue: InMemoryQueue,
    session: Option<Resumable>,
    user_id: Option<String>,
}

/// A session of Discord's that can be taken up again.
struct Resumable {
    session: Session,
    url: Option<String>,
}

impl Keeper {
    pub fn new(wanted: watch::Receiver<Desired>, outbox: Outbox, events: Events) -> Self {
        Self {
            wanted,
            outbox,
            events,
            pace: Pace::new(),
            backoff: Backoff::default(),
            queue: InMemoryQueue::default(),
            session: None,
            user_id: None,
        }
    }

    /// Runs until the sender of the desired state is dropped.
    pub async fn run(mut self) {
        while let Some(gateway) = self.next_gateway().await {
            self.keep(gateway).await;
        }
    }

    /// Waits until a gateway is desired. `None` at the end.
    async fn next_gateway(&mut self) -> Option<Arc<Gateway>> {
        // The last value outlives its sender.
        self.wanted.has_changed().ok()?;
        let wanted = self.wanted.wait_for(|desired| desired.gateway.is_some());
        wanted.await.ok()?.gateway.clone()
    }

    /// Keeps up a connection to this gateway until another is desired, or none.
    async fn keep(&mut self, mut gateway: Arc<Gateway>) {
        let config = self.config(&gateway);
        self.backoff = Backoff::default();
        self.pace.forget();
        self.user_id = None;
        self.session = gateway.session.as_ref().map(|given| Resumable {
            session: Session::new(given.sequence, given.id.clone()),
            url: given.resume_url.clone(),
        });
        loop {
            match self.desired().gateway {
                Some(present) if same_connection(&gateway, &present) => gateway = present,
                _ => return,
            }
            self.report(GatewayState::Connecting).await;
            let mut shard = self.shard(config.clone());
            match self.connection(&mut shard, &mut gateway).await {
                End::Unwanted => return,
                End::Lost { closed, active } => {
                    let delay = self.backoff.lost(active);
                    tracing::warn!(
                        code = closed.code,
                        reason = closed.reason,
                        ?delay,
                        "gateway connection lost"
                    );
                    self.report(GatewayState::Disconnected(closed)).await;
                    tokio::select! {
                        () = sleep(delay) => {}
                        () = self.desire(|other| !same_connection(&gateway, other)) => return,
                    }
                }
                End::Fatal(closed) => {
                    tracing::error!(
                        code = closed.code,
                        reason = closed.reason,
                        "Discord refuses the gateway connection"
                    );
                    self.report(GatewayState::Fatal(closed)).await;
                    return self.desire(|other| !Arc::ptr_eq(&gateway, other)).await;
                }
            }
        }
    }

    /// Waits until a gateway is desired that is as said, or none, or nobody desires anything any more.
    async fn desire(&mut self, is: impl Fn(&Arc<Gateway>) -> bool) {
        // An error is the last case, which the next look finds too.
        let _ = self
            .wanted
            .wait_for(|desired| desired.gateway.as_ref().is_none_or(&is))
            .await;
    }

    fn config(&self, gateway: &Gateway) -> Config {
        let properties =
            IdentifyProperties::new("uro_discord", "uro_discord", std::env::consts::OS);
        let mut builder = ConfigBuilder::new(
            gateway.token.reveal().to_owned(),
            // Bits that twilight does not know yet are for Discord to judge.
            Intents::from_bits_retain(gateway.intents),
        )
        .identify_properties(properties)
        .queue(self.queue.clone());
        if let Some(url) = &gateway.url {
            builder = builder.proxy_url(url.trim_end_matches('/').to_owned());
        }
        builder.build()
    }

    /// A shard for one connection. Each has its own, so that the time of the next attempt is ours to choose: twilight would
    /// reconnect at once, and identify every five seconds, which uses up Discord's 1000 a day in 83 minutes.
    fn shard(&self, config: Config) -> Shard {
        let mut builder = ConfigBuilder::from(config);
        if let Some(Resumable { session, url }) = &self.session {
            builder = builder.session(session.clone());
            if let Some(url) = url {
                builder = builder.resume_url(url.trim_end_matches('/').to_owned());
            }
        }
        Shard::with_config(ShardId::ONE, builder.build())
    }

    /// The present desired state, marked as seen, with the presence passed on.
    fn desired(&mut self) -> Desired {
        let desired = self.wanted.borrow_and_update().clone();
        self.pace.want(desired.presence.clone());
        desired
    }

    /// Tells Elixir a fact.
    async fn report(&self, state: GatewayState) {
        self.tell(&FromBridge::Gateway {
            shard: SHARD,
            state,
        })
        .await;
    }

    /// Sends a message that costs no credit, unless the end comes first.
    async fn tell(&self, message: &FromBridge<'_>) {
        let mut wanted = self.wanted.clone();
        tokio::select! {
            sent = self.outbox.send(message) => if let Err(error) = sent {
                tracing::error!(%error, "a message cannot be carried to Elixir");
            },
            _ = wanted.wait_for(|_| false) => {}
        }
    }
}

/// Whether a connection made for one serves the other: the events that are passed on can change in place.
fn same_connection(one: &Gateway, other: &Gateway) -> bool {
    (&one.token, one.intents, &one.url) == (&other.token, other.intents, &other.url)
}
