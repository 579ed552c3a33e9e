//! What drives a [`Shard`]: it reads the connection, keeps the time, and does what the machine says.

use super::Surroundings;
use super::commands::Command;
use super::connection::{Connection, Item, chain, close, open};
use super::payload::Payload;
use super::shard::{INTERACTION, Output, Shard};
use super::voice::payload;
use crate::desired::Desired;
use crate::events::Events;
use crate::panics;
use crate::presence::Presence;
use crate::sender::FrameSender;
use crate::voice::{Addressed, Changes};
use futures_util::{FutureExt as _, StreamExt as _};
use std::error::Error as _;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};
use twilight_gateway::Message;
use twilight_gateway::error::ReceiveMessageErrorType;
use uro_discord_wire::frame::AppendError;
use uro_discord_wire::{FromBridge, Gateway, Panicked};

/// How many bytes are taken before others have a turn, and the desired state and the lease are looked at again.
const AT_ONCE: usize = 64 * 1024;

/// How long a shard that panicked does nothing.
const AFTER_PANIC: Duration = Duration::from_millis(250);

/// A shard with its connection.
pub struct Driver {
    shard: Shard,
    connection: Option<Connection>,
    /// How many connections there are, of all shards.
    connections: Arc<watch::Sender<usize>>,
    wanted: watch::Receiver<Desired>,
    sender: FrameSender,
    events: Events,
    /// Where the bot is to be in voice.
    changes: Changes,
    /// What Discord says of it.
    updates: mpsc::Sender<Addressed>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.connect(None);
    }
}

impl Driver {
    pub fn new(
        number: u32,
        gateway: Arc<Gateway>,
        desired: &Desired,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings {
            wanted,
            sender,
            events,
            voice,
            connections,
            window,
        } = surroundings;
        Self {
            changes: voice.desired.follow(number, gateway.shards.get()),
            updates: voice.updates,
            shard: Shard::new(number, gateway, desired, window),
            connections,
            connection: None,
            wanted,
            sender,
            events,
        }
    }

    /// Runs until this gateway is no longer the desired one. A panic is the end of a connection.
    pub async fn run(mut self) {
        while panics::caught(self.serve()).await.is_err() {
            let shard = self.shard.number();
            self.tell(&FromBridge::Panic(Panicked::Shard(shard)));
            self.connect(None);
            self.shard.panicked(Instant::now());
            // What panics before it waits for anything would keep this thread for itself.
            sleep(AFTER_PANIC).await;
        }
    }

    async fn serve(&mut self) {
        self.look();
        self.carry_out();
        let mut alarm = pin!(sleep_until(Instant::now()));
        while !self.shard.is_over() {
            let has_room = self.events.has_room();
            let now = Instant::now();
            self.shard.reads(has_room, now);
            self.carry_out();
            let deadline = self.shard.deadline(now);
            if let Some(deadline) = deadline
                && alarm.deadline() != deadline
            {
                alarm.as_mut().reset(deadline);
            }
            let reading = has_room || self.shard.is_closing();
            tokio::select! {
                biased;
                // An error is the end, which the look finds too.
                _ = self.wanted.changed(), if self.wanted.has_changed().is_ok() => self.look(),
                () = &mut alarm, if deadline.is_some() => self.shard.advance(Instant::now()),
                () = self.events.room(), if !has_room => {}
                () = self.changes.wait() => {
                    for (guild, desired) in self.changes.take() {
                        self.shard.voice(guild, desired);
                    }
                }
                item = next(&mut self.connection), if reading => self.items(item).await,
            }
            self.carry_out();
        }
    }

    /// Looks at the desired state.
    fn look(&mut self) {
        let now = Instant::now();
        // The last value outlives its sender.
        if self.wanted.has_changed().is_err() {
            return self.shard.abandoned(now);
        }
        self.shard.desired(&self.wanted.borrow_and_update(), now);
    }

    /// Takes an item of the connection, and those that are there already.
    async fn items(&mut self, first: Item) {
        let (mut item, mut length) = (first, 0);
        loop {
            if let Some(Ok(Message::Text(text))) = &item {
                length += text.len();
            }
            self.item(item);
            self.carry_out();
            if length >= AT_ONCE {
                // Voice, for one, has its times to keep. What was desired may have ended meanwhile, of which nothing else would tell.
                yield_now().await;
                return self.look();
            }
            let Some(connection) = self.connection.as_mut().filter(|_| self.events.has_room())
            else {
                return;
            };
            let Some(next) = connection.next().now_or_never() else {
                return;
            };
            item = next;
        }
    }

    fn item(&mut self, item: Item) {
        match item {
            Some(Ok(Message::Text(text))) => return self.payload(&text),
            Some(Err(error))
                if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) =>
            {
                // Not the error itself: it repeats the whole payload.
                let reason = error.source().map(chain);
                tracing::warn!(reason, "Discord sent what twilight does not understand");
                return;
            }
            _ => {}
        }
        // It ends, and what is desired by now decides how it goes on.
        self.look();
        self.carry_out();
        let now = Instant::now();
        match item {
            // twilight's way to say that there was no close frame.
            Some(Ok(Message::Close(Some(frame)))) if frame.code != 1006 => {
                self.shard.closed(frame.code, &frame.reason, now);
            }
            Some(Ok(_)) => self.shard.disconnected("the connection was lost", now),
            Some(Err(error)) => self.shard.disconnected(&chain(&error), now),
            None => self.shard.disconnected("the connection ended", now),
        }
    }

    fn payload(&mut self, text: &str) {
        let payload = match Payload::read(text) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, "Discord sent a payload that is not understood");
                return;
            }
        };
        if !self.shard.payload(&payload, Instant::now()) {
            return;
        }
        // A fact about the session comes before its events.
        self.carry_out();
        if self.event(&payload).is_err() {
            // It may be more than what follows `"d":`.
            let event = Payload::parse(text)
                .map_err(|error| error.to_string())
                .and_then(|payload| self.event(&payload).map_err(|error| error.to_string()));
            if let Err(error) = event {
                let (kind, sequence) = (payload.kind.as_ref(), payload.sequence);
                tracing::error!(
                    kind,
                    sequence,
                    error,
                    "an event cannot be carried to Elixir"
                );
            }
        }
    }

    /// Has a dispatch sent to Elixir.
    fn event(&self, payload: &Payload<'_>) -> Result<(), AppendError> {
        let session = self.shard.session();
        let event = FromBridge::Event {
            shard: self.shard.number(),
            session: session.map_or("", |session| &session.id).into(),
            sequence: payload.sequence.unwrap_or_default(),
            kind: payload.kind.as_ref().into(),
            data: payload.data.into(),
        };
        if payload.kind.as_ref() == INTERACTION {
            self.events.put_urgent(&event)
        } else {
            self.events.put(&event)
        }
    }

    /// Does what the machine says.
    fn carry_out(&mut self) {
        while let Some(output) = self.shard.output() {
            let shard = self.shard.number();
            match output {
                Output::Connect => self.connect(Some(open(&self.shard))),
                Output::Close(goodbye) => {
                    let connection = self.connection.as_ref();
                    if !connection.is_some_and(|connection| close(connection, goodbye)) {
                        self.shard.disconnected("", Instant::now());
                    }
                }
                Output::Disconnect => self.connect(None),
                Output::Send(command) => self.send(command),
                Output::Report(state) => self.tell(&FromBridge::Gateway { shard, state }),
                Output::Sequence { session, sequence } => {
                    let session = session.into();
                    let message = FromBridge::Sequence {
                        shard,
                        session,
                        sequence,
                    };
                    if let Err(error) = self.events.put(&message) {
                        tracing::error!(%error, "a message cannot be carried to Elixir");
                    }
                }
                Output::Voice(update) => {
                    if self.updates.try_send(update).is_err() {
                        tracing::error!("the voice sessions do not take what the gateway says");
                    }
                }
            }
        }
    }

    /// Has this connection, or none, instead of the one before.
    fn connect(&mut self, connection: Option<Connection>) {
        let before = std::mem::replace(&mut self.connection, connection);
        let (before, now) = (before.is_some(), self.connection.is_some());
        if before != now {
            let count = |all: &mut usize| {
                *all = (*all + usize::from(now)).saturating_sub(usize::from(before))
            };
            self.connections.send_modify(count);
        }
    }

    fn send(&self, command: Command) {
        let Some(connection) = &self.connection else {
            return;
        };
        match command {
            Command::Voice(command) => connection.command(&payload(&command)),
            Command::Presence(presence) => {
                connection.send(presence.command());
                self.tell_presence(&presence);
            }
        }
    }

    fn tell_presence(&self, presence: &Presence) {
        let shard = self.shard.number();
        match serde_json::to_value(presence) {
            Ok(data) => self.tell(&FromBridge::Presence { shard, data }),
            Err(error) => tracing::error!(%error, "a presence cannot be carried to Elixir"),
        }
    }

    /// Sends a message that costs no credit.
    fn tell(&self, message: &FromBridge<'_>) {
        if let Err(error) = self.sender.send_now(message) {
            tracing::error!(%error, "a message cannot be carried to Elixir");
        }
    }
}

/// What a connection brings next, if there is one.
async fn next(connection: &mut Option<Connection>) -> Item {
    match connection {
        Some(connection) => connection.next().await,
        None => pending().await,
    }
}
