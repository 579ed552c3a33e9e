use super::Surroundings;
use super::commands::Commands;
use super::connection::End;
use super::progress::Progress;
use super::same_connections;
use super::voice::ShardVoice;
use crate::desired::{Desired, is_websocket};
use crate::events::Events;
use crate::outbox::Outbox;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};
use twilight_gateway::queue::Queue;
use twilight_gateway::{ConfigBuilder, Intents, Session, Shard, ShardId};
use twilight_model::gateway::payload::outgoing::identify::IdentifyProperties;
use uro_discord_net::{Backoff, Pauses};
use uro_discord_wire::{Closed, FromBridge, Gateway, GatewayState};

/// Discord resets the token of a bot after 1000 identifies in a day: the longest pause, kept up, makes 960 at most.
const PAUSES: Pauses = Pauses {
    at_once: true,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(180),
};

/// Opens one shard's connection when that is allowed, and opens it again when it is lost, until it is no longer wanted.
pub struct Keeper {
    pub(super) number: u32,
    pub(super) gateway: Arc<Gateway>,
    era: u64,
    pub(super) wanted: watch::Receiver<Desired>,
    outbox: Outbox,
    pub(super) events: Events,
    /// Until when the connection may be held.
    pub(super) lease: Instant,
    /// How often this shard was allowed to identify.
    allowed: u64,
    pub(super) commands: Commands,
    pub(super) progress: Progress,
    pub(super) voice: ShardVoice,
    backoff: Backoff,
    pub(super) session: Option<Resumable>,
    pub(super) user_id: Option<String>,
}

/// A session of Discord's that can be taken up again.
pub struct Resumable {
    pub session: Session,
    /// Where Discord wants it to be resumed.
    pub url: Option<String>,
    /// Nobody answered there the last time, so the next attempt goes to where sessions begin.
    pub elsewhere: bool,
}

/// Why a shard may not go on as it does.
pub enum Stop {
    /// No gateway is wanted any more. The session is not ended: another process may take it up.
    Left,
    /// Another gateway is wanted. This one's session ends, and the bot is seen to go offline.
    Replaced,
    /// The lease is over; the session is taken up again under the next one.
    Lapsed,
}

impl Keeper {
    pub fn new(number: u32, gateway: Arc<Gateway>, era: u64, surroundings: Surroundings) -> Self {
        let Surroundings {
            wanted,
            outbox,
            events,
            voice,
            window,
        } = surroundings;
        Self {
            number,
            session: given(&gateway, number),
            voice: ShardVoice::new(voice, number, gateway.shards.get()),
            gateway,
            era,
            wanted,
            outbox,
            events,
            lease: Instant::now(),
            allowed: 0,
            commands: Commands::new(window),
            progress: Progress::default(),
            backoff: Backoff::new(PAUSES),
            user_id: None,
        }
    }

    /// Runs until this gateway is no longer the desired one.
    pub async fn run(mut self) {
        while self.lease().await {
            match self.attempts().await {
                Stop::Left | Stop::Replaced => return,
                Stop::Lapsed => {
                    // Whoever holds the session meanwhile may show another.
                    self.commands.forget();
                    tracing::warn!(shard = self.number, "the lease lapsed");
                    self.report(GatewayState::Disconnected(Closed {
                        code: None,
                        reason: "the lease lapsed".into(),
                    }));
                }
            }
        }
    }

    /// Waits for a lease. `false`: this gateway is not wanted any more.
    async fn lease(&mut self) -> bool {
        loop {
            match self.look() {
                Ok(()) => return true,
                // An error is the end, which the next look finds too.
                Err(Stop::Lapsed) => drop(self.wanted.changed().await),
                Err(Stop::Left | Stop::Replaced) => return false,
            }
        }
    }

    /// Opens the connection, again and again.
    async fn attempts(&mut self) -> Stop {
        loop {
            if self.session.is_none()
                && let Err(stop) = self.permission().await
            {
                return stop;
            }
            self.report(GatewayState::Connecting);
            match self.connection().await {
                End::Stopped(stop) => return stop,
                End::Lost { closed, active } => {
                    if let Some(since) = active {
                        self.backoff.up(since.into_std());
                    }
                    let delay = self.backoff.failed(Instant::now().into_std());
                    tracing::warn!(
                        shard = self.number,
                        code = closed.code,
                        reason = closed.reason,
                        ?delay,
                        "gateway connection lost"
                    );
                    self.report(GatewayState::Disconnected(closed));
                    if let Err(stop) = self.pause(delay).await {
                        return stop;
                    }
                }
                End::Fatal(closed) => {
                    tracing::error!(
                        shard = self.number,
                        code = closed.code,
                        reason = closed.reason,
                        "Discord refuses the gateway connection"
                    );
                    self.report(GatewayState::Fatal(closed));
                    if let Err(stop) = self.another_gateway().await {
                        return stop;
                    }
                }
            }
        }
    }

    /// Waits for the permission to identify. What was allowed before is not kept: it was for then.
    async fn permission(&mut self) -> Result<(), Stop> {
        self.look()?;
        let before = self.allowed;
        self.report(GatewayState::Waiting);
        while self.allowed == before {
            self.next_look(self.lease).await?;
        }
        Ok(())
    }

    /// Lets some time pass.
    async fn pause(&mut self, delay: Duration) -> Result<(), Stop> {
        let end = Instant::now() + delay;
        while Instant::now() < end {
            self.next_look(end.min(self.lease)).await?;
        }
        Ok(())
    }

    /// Waits until a gateway is desired anew, be it the same. There is no connection that a lease could end.
    async fn another_gateway(&mut self) -> Result<(), Stop> {
        let refused = self.gateway.clone();
        while Arc::ptr_eq(&refused, &self.gateway) {
            // An error is the end, which the look finds too.
            let _ = self.wanted.changed().await;
            if let Err(stop @ (Stop::Left | Stop::Replaced)) = self.look() {
                return Err(stop);
            }
        }
        self.session = given(&self.gateway, self.number);
        self.backoff = Backoff::new(PAUSES);
        self.look()
    }

    /// Looks at the desired state when it changes, or at this time.
    async fn next_look(&mut self, at: Instant) -> Result<(), Stop> {
        tokio::select! {
            // An error is the end, which the look finds too.
            _ = self.wanted.changed() => {}
            () = sleep_until(at) => {}
        }
        self.look()
    }

    /// Looks at the desired state, and takes from it what can change in place.
    pub(super) fn look(&mut self) -> Result<(), Stop> {
        // The last value outlives its sender.
        self.wanted.has_changed().map_err(|_| Stop::Left)?;
        let desired = self.wanted.borrow_and_update();
        self.commands.presence.want(desired.presence.clone());
        self.allowed = desired.identifies.get(&self.number).copied().unwrap_or(0);
        if desired.era != self.era {
            return Err(Stop::Left);
        }
        match &desired.gateway {
            Some(other) if same_connections(&self.gateway, other) => self.gateway = other.clone(),
            Some(_) => return Err(Stop::Replaced),
            None => return Err(Stop::Left),
        }
        match desired.lease {
            Some(lease) if lease > Instant::now() => self.lease = lease,
            _ => return Err(Stop::Lapsed),
        }
        Ok(())
    }

    /// A shard for one connection. Each has its own, so that the time of the next attempt is ours to choose: twilight would
    /// reconnect at once, and identify every five seconds, which uses up Discord's 1000 a day in 83 minutes.
    pub(super) fn shard(&self) -> Shard<Allowed> {
        let properties =
            IdentifyProperties::new("uro_discord", "uro_discord", std::env::consts::OS);
        let mut builder = ConfigBuilder::new(
            self.gateway.token.reveal().to_owned(),
            // Bits that twilight does not know yet are for Discord to judge.
            Intents::from_bits_retain(self.gateway.intents),
        )
        .identify_properties(properties)
        // The budget is ours, and its commands leave at once.
        .ratelimit_messages(false)
        .queue(Allowed);
        if let Some(url) = &self.gateway.url {
            builder = builder.proxy_url(url.trim_end_matches('/').to_owned());
        }
        if let Some(resumable) = &self.session {
            builder = builder.session(resumable.session.clone());
            if let Some(url) = resumable.url.as_deref().filter(|_| !resumable.elsewhere) {
                builder = builder.resume_url(url.trim_end_matches('/').to_owned());
            }
        }
        // The number is below their number, or twilight would panic.
        let id = ShardId::new(self.number, self.gateway.shards.get());
        Shard::with_config(id, builder.build())
    }

    /// Tells Elixir a fact.
    pub(super) fn report(&self, state: GatewayState) {
        self.tell(&FromBridge::Gateway {
            shard: self.number,
            state,
        });
    }

    /// Sends a message that costs no credit.
    pub(super) fn tell(&self, message: &FromBridge<'_>) {
        if let Err(error) = self.outbox.send_now(message) {
            tracing::error!(%error, "a message cannot be carried to Elixir");
        }
    }
}

/// The session that Elixir has given for a shard.
fn given(gateway: &Gateway, shard: u32) -> Option<Resumable> {
    let session = gateway.sessions.iter().find(|given| given.shard == shard)?;
    Some(Resumable {
        session: Session::new(session.sequence, session.id.clone()),
        url: session.resume_url.clone().filter(|url| is_websocket(url)),
        elsewhere: false,
    })
}

/// twilight's queue of those that want to identify: whoever has come so far has Elixir's permission.
#[derive(Debug)]
pub struct Allowed;

impl Queue for Allowed {
    fn enqueue(&self, _: u32) -> oneshot::Receiver<()> {
        let (allow, allowed) = oneshot::channel();
        // The receiver is there.
        let _ = allow.send(());
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_refused_identifies_stays_under_discords_thousand() {
        let mut identifies = 0;
        let mut passed = Duration::ZERO;
        while passed < Duration::from_secs(24 * 60 * 60) {
            identifies += 1;
            // Chance may be against us each time: half of what is asked for.
            passed += PAUSES.longest / 2;
        }
        assert!(identifies + 10 < 1000, "{identifies}");
        let longest = PAUSES.after(u32::MAX);
        assert!(longest >= PAUSES.longest / 2, "{longest:?}");
    }
}
