//! The bridge as a whole: its tasks, and what Elixir says to it.

use crate::desired::Desired;
use crate::events::Events;
use crate::fault::Fault;
use crate::outbox::Outbox;
use crate::stdio::Input;
use crate::voice::{self, Wishes};
use crate::{gateway, stdio};
use bytes::{Buf as _, BytesMut};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use uro_discord_wire::frame::{self, AppendError};
use uro_discord_wire::{Bridge, FromBridge, ToBridge, VERSION};

/// What the gateway says about voice, waiting for the sessions. They take it at once.
const VOICE_UPDATES: usize = 256;

/// How long the end may take: an orphan must be gone within a second.
const FAREWELL: Duration = Duration::from_millis(700);

/// Runs until stdin closes, Elixir no longer reads, or something is wrong.
pub async fn run() -> Result<(), Fault> {
    let (stdin, stdout) = stdio::open()?;
    let outbox = Outbox::default();
    let events = Events::new(outbox.clone());
    let (desired, wanted) = watch::channel(Desired::default());

    let mut plumbing = JoinSet::new();
    plumbing.spawn(outbox.clone().write_to(stdout));
    let forward = events.clone().forward();
    plumbing.spawn(async {
        forward.await;
        Ok(())
    });
    let wishes = Wishes::default();
    let (updates, updated) = mpsc::channel(VOICE_UPDATES);
    let mut calls = JoinSet::new();
    calls.spawn(voice::run(
        wanted.clone(),
        outbox.clone(),
        wishes.clone(),
        updated,
    ));
    let mut gateway = JoinSet::new();
    let voice = gateway::Voice { wishes, updates };
    gateway.spawn(gateway::run(wanted, outbox.clone(), events.clone(), voice));

    let owner = Owner {
        stdin,
        outbox,
        events,
        desired,
    };
    let result = tokio::select! {
        result = owner.run() => result,
        Some(ended) = plumbing.join_next() => match ended {
            Ok(result) => result.map_err(Fault::Io),
            Err(error) => Err(panicked(error)),
        },
        Some(ended) = calls.join_next() => ended.flatten().map_err(panicked),
        Some(ended) = gateway.join_next() => ended.flatten().map_err(panicked),
    };
    // With the owner the desired state is gone: the gateway closes its connections and ends.
    match timeout(FAREWELL, gateway.join_next()).await {
        Ok(Some(Err(error) | Ok(Err(error)))) => Err(panicked(error)),
        Ok(_) => result,
        Err(_) => {
            tracing::warn!("the gateway did not close in time");
            result
        }
    }
}

/// Nobody cancels a task while it is waited for, so it has panicked.
fn panicked(_: JoinError) -> Fault {
    Fault::Panic
}

/// Does what Elixir says.
struct Owner {
    stdin: Input,
    outbox: Outbox,
    events: Events,
    desired: watch::Sender<Desired>,
}

impl Owner {
    async fn run(self) -> Result<(), Fault> {
        let hello = FromBridge::Hello {
            version: VERSION,
            bridge: Bridge {
                bridge: env!("CARGO_PKG_VERSION").into(),
                os_pid: std::process::id(),
            },
        };
        self.say(&hello).await?;

        let mut greeted = false;
        let mut buffer = BytesMut::new();
        while self.stdin.read(&mut buffer).await? > 0 {
            let mut read = 0;
            while let Some(content) = frame::first(&buffer[read..])? {
                let message = ToBridge::decode(content)?;
                let went_on = if greeted {
                    self.hear(message).await?
                } else {
                    greet(&message)?;
                    greeted = true;
                    true
                };
                if !went_on {
                    return Ok(());
                }
                read += frame::PREFIX + content.len();
            }
            buffer.advance(read);
        }
        match buffer.len() {
            0 => Ok(()),
            left => Err(Fault::CutShort(left)),
        }
    }

    /// Does what one message says. `false` when Elixir went away meanwhile.
    async fn hear(&self, message: ToBridge<'_>) -> Result<bool, Fault> {
        match message {
            ToBridge::Hello { .. } => Err(Fault::Hello),
            ToBridge::Ping(term) => self.say(&FromBridge::Pong(term)).await,
            ToBridge::Credit(more) => {
                self.events.grant(more);
                Ok(true)
            }
            ToBridge::Lease(milliseconds) => {
                self.desired
                    .send_modify(|desired| desired.lease(milliseconds));
                Ok(true)
            }
            ToBridge::Identify(shard) => {
                self.desired.send_modify(|desired| desired.identify(shard));
                Ok(true)
            }
            ToBridge::Desired(parts) => {
                let mut refused = Vec::new();
                self.desired.send_modify(|desired| {
                    for (part, value) in parts {
                        if let Err(reason) = desired.take(&part, value) {
                            refused.push((part, reason));
                        }
                    }
                });
                for (part, reason) in refused {
                    tracing::warn!(part, reason, "refused a part of the desired state");
                    let part = part.into();
                    let reason = reason.into();
                    if !self.say(&FromBridge::Refused { part, reason }).await? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Sends, and while there is no room, reads nothing more from Elixir. `false` when Elixir went away meanwhile.
    async fn say(&self, message: &FromBridge<'_>) -> Result<bool, Fault> {
        tokio::select! {
            biased;
            sent = self.outbox.send(message) => match sent {
                Ok(()) => Ok(true),
                Err(AppendError::Encode(error)) => Err(error.into()),
                Err(AppendError::TooLong(error)) => Err(error.into()),
            },
            closed = self.stdin.closed() => {
                closed?;
                Ok(false)
            }
        }
    }
}

fn greet(message: &ToBridge<'_>) -> Result<(), Fault> {
    match message {
        ToBridge::Hello { version, library } if *version == VERSION => {
            tracing::debug!(library = library.library, "hello");
            Ok(())
        }
        ToBridge::Hello { version, .. } => Err(Fault::Version(*version)),
        _ => Err(Fault::Hello),
    }
}
