//! The bridge as a whole: its tasks, and what Elixir says to it.

use crate::desired::Desired;
use crate::events::Events;
use crate::fault::Fault;
use crate::gateway;
use crate::http::{self, Exchange};
use crate::media::Media;
use crate::portal::{self, Served};
use crate::sender::FrameSender;
use crate::transport::Transport;
use crate::voice::{self, ActiveSession, Calls, DesiredVoiceStates};
use bytes::{Buf as _, BytesMut};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use uro_discord_wire::{Bridge, FromBridge, Http, ToBridge, VERSION, understood};
use uro_discord_wire::{etf, frame};

/// What the gateway says about voice, waiting for the sessions. They take it at once.
const VOICE_UPDATES: usize = 8 * 1024;

/// How long the end may take: an orphan must be gone within a second.
const FAREWELL: Duration = Duration::from_millis(700);

/// How long the last messages may take.
const FLUSH: Duration = Duration::from_millis(100);

/// Of what a newer library says, and is not known here, so many kinds are told in the log.
const UNKNOWN: usize = 8;

/// How much one read may bring: what a pipe holds on Linux.
const READ: usize = 64 * 1024;

/// Runs until Elixir says stop, closes the transport or no longer reads, or until something is wrong, which the log then has. What
/// is in `sender` is written first, but for a hello. Not to be cancelled: the gateway would not be left so that it can be resumed.
///
/// # Errors
///
/// Any [`Fault`] but [`Fault::NotAPort`].
pub async fn run(transport: Transport, sender: FrameSender, media: Media) -> Result<(), Fault> {
    run_in_window(transport, sender, media, gateway::WINDOW).await
}

/// [`run`] for a Discord that counts commands in another time, so that a test need not take Discord's.
///
/// # Errors
///
/// As [`run`].
#[doc(hidden)]
pub async fn run_in_window(
    transport: Transport,
    sender: FrameSender,
    media: Media,
    window: Duration,
) -> Result<(), Fault> {
    let Transport {
        input,
        output,
        closed,
    } = transport;
    // Before there is a writer, so that it is the first of all.
    sender.send_now(&FromBridge::Hello {
        version: VERSION,
        bridge: Bridge {
            bridge: env!("CARGO_PKG_VERSION").into(),
            os_pid: std::process::id(),
        },
    })?;
    let mut writer = JoinSet::new();
    writer.spawn(sender.clone().write_to(output));

    let result = serve(input, closed, &sender, &mut writer, media, window).await;
    if let Err(fault) = &result {
        fault.report();
    }
    sender.finish();
    match timeout(FLUSH, writer.join_next()).await {
        Ok(Some(ended)) => result.and(written(ended)),
        // It had ended before, which is the result; or nobody reads.
        Ok(None) | Err(_) => result,
    }
}

/// Runs the tasks until one ends, and closes the gateway.
async fn serve(
    input: impl AsyncRead + Unpin,
    closed: watch::Receiver<bool>,
    sender: &FrameSender,
    writer: &mut JoinSet<io::Result<()>>,
    media: Media,
    window: Duration,
) -> Result<(), Fault> {
    let events = Events::new(sender.clone());
    let (desired, wanted) = watch::channel(Desired::default());
    let mut forward = JoinSet::new();
    forward.spawn(events.clone().forward());
    let states = DesiredVoiceStates::default();
    let (updates, updated) = mpsc::channel(VOICE_UPDATES);
    let (served, serves) = watch::channel(Served::default());
    let in_calls = Calls::default();
    let mut portals = JoinSet::new();
    portals.spawn(portal::run(
        wanted.clone(),
        portal::Surroundings {
            sender: sender.clone(),
            media: media.clone(),
            calls: in_calls.clone(),
            served,
        },
    ));
    let mut calls = JoinSet::new();
    calls.spawn(voice::run(
        wanted.clone(),
        updated,
        voice::Surroundings {
            sender: sender.clone(),
            states: states.clone(),
            calls: in_calls,
            begin: Arc::new(move |info, scheme, play| {
                ActiveSession::begin(&media, info, scheme, play)
            }),
        },
    ));
    let (http, wanted_http) = watch::channel(None);
    let exchange = Exchange::new(sender.clone());
    let ended = http::spawn(wanted_http, sender.clone(), exchange.clone(), serves)?;
    let mut listener = JoinSet::new();
    listener.spawn(async { ended.await.unwrap_or(Err(Fault::Panic)) });
    let mut gateway = JoinSet::new();
    let voice = gateway::Voice {
        desired: states,
        updates,
    };
    gateway.spawn(gateway::run(gateway::Surroundings {
        wanted,
        sender: sender.clone(),
        events: events.clone(),
        voice,
        window,
    }));

    let owner = Owner {
        closed,
        sender: sender.clone(),
        events,
        desired,
        http,
        exchange,
    };
    let result = tokio::select! {
        result = owner.run(input) => result,
        Some(ended) = writer.join_next() => written(ended),
        Some(ended) = forward.join_next() => ended.map_err(panicked),
        Some(ended) = calls.join_next() => ended.flatten().map_err(panicked),
        Some(ended) = gateway.join_next() => ended.flatten().map_err(panicked),
        Some(ended) = listener.join_next() => ended.map_err(panicked).flatten(),
        Some(ended) = portals.join_next() => ended.map_err(panicked)?.map_err(Fault::from),
    };
    // With the owner the desired state is gone: the gateway closes its connections and ends, answers that are there already go out,
    // and portals' peers are told.
    let ends = async {
        tokio::join!(
            gateway.join_next(),
            listener.join_next(),
            portals.join_next()
        )
    };
    match timeout(FAREWELL, ends).await {
        Ok((Some(Err(error) | Ok(Err(error))), ..)) => Err(panicked(error)),
        Ok(_) => result,
        Err(_) => {
            tracing::warn!("not all connections could be closed in time");
            result
        }
    }
}

fn written(ended: Result<io::Result<()>, JoinError>) -> Result<(), Fault> {
    ended.map_err(panicked)?.map_err(Fault::Io)
}

/// Nobody cancels a task while it is waited for, so it has panicked.
fn panicked(_: JoinError) -> Fault {
    Fault::Panic
}

/// Does what Elixir says.
struct Owner {
    closed: watch::Receiver<bool>,
    sender: FrameSender,
    events: Events,
    desired: watch::Sender<Desired>,
    http: watch::Sender<Option<Arc<Http>>>,
    exchange: Exchange,
}

impl Owner {
    async fn run(self, mut input: impl AsyncRead + Unpin) -> Result<(), Fault> {
        let mut greeted = None;
        let mut unknown = Vec::new();
        let mut buffer = BytesMut::with_capacity(READ);
        while input.read_buf(&mut buffer).await? > 0 {
            let mut read = 0;
            while let Some(content) = frame::first(&buffer[read..])? {
                match (ToBridge::decode(content), greeted) {
                    (Ok(message), Some(_)) => {
                        if !self.hear(message).await? {
                            return Ok(());
                        }
                    }
                    (Ok(message), None) => greeted = Some(greet(&message)?),
                    (Err(etf::Error::Message(name, _)), Some(version)) if version > VERSION => {
                        pass_over(name, &mut unknown);
                    }
                    (Err(error), _) => return Err(error.into()),
                }
                read += frame::PREFIX + content.len();
            }
            buffer.advance(read);
            buffer.reserve(READ);
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
            ToBridge::Stop => Ok(false),
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
            ToBridge::Read { id, verdict } => {
                self.exchange.read(id, verdict);
                Ok(true)
            }
            ToBridge::Answer { id, answer } => {
                self.exchange.answer(id, answer);
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
                let http = self.desired.borrow().http.clone();
                self.http.send_if_modified(|wanted| {
                    let other = *wanted != http;
                    *wanted = http;
                    other
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
            sent = self.sender.send(message) => {
                sent?;
                Ok(true)
            }
            () = closed(self.closed.clone()) => Ok(false),
        }
    }
}

/// Waits until the other side has closed, or nobody is left who would see it.
async fn closed(mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

/// The version of the library that greets.
fn greet(message: &ToBridge<'_>) -> Result<u32, Fault> {
    match message {
        ToBridge::Hello { version, library } if understood(*version) => {
            tracing::debug!(library = library.library, version, "hello");
            Ok(*version)
        }
        ToBridge::Hello { version, .. } => Err(Fault::Version(*version)),
        _ => Err(Fault::Hello),
    }
}

/// Says once of each name that a newer library has said what only that knows.
fn pass_over(name: String, unknown: &mut Vec<String>) {
    if unknown.len() < UNKNOWN && !unknown.contains(&name) {
        tracing::info!(name, "UroDiscord said what only its version knows");
        unknown.push(name);
    }
}
