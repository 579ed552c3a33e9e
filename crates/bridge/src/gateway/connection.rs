//! twilight's side of a shard: one connection, from its opening to its end.

use super::shard::{Goodbye, Shard};
use std::error::Error;
use tokio::sync::oneshot;
use twilight_gateway::error::ReceiveMessageError;
use twilight_gateway::queue::Queue;
use twilight_gateway::{CloseFrame, ConfigBuilder, Intents, Message, Session, ShardId, ShardState};
use twilight_model::gateway::payload::outgoing::identify::IdentifyProperties;

/// A connection, which opens itself when it is polled.
pub type Connection = twilight_gateway::Shard<Allowed>;

/// What a connection brings.
pub type Item = Option<Result<Message, ReceiveMessageError>>;

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

/// A connection for a shard. Each is another one of twilight's, so that the time of the next attempt is ours to choose: twilight would
/// reconnect at once, and identify every five seconds, which uses up Discord's 1000 a day in 83 minutes.
pub fn open(shard: &Shard) -> Connection {
    let gateway = shard.gateway();
    let properties = IdentifyProperties::new("uro_discord", "uro_discord", std::env::consts::OS);
    let mut builder = ConfigBuilder::new(
        gateway.token.reveal().to_owned(),
        // Bits that twilight does not know yet are for Discord to judge.
        Intents::from_bits_retain(gateway.intents),
    )
    .identify_properties(properties)
    // The budget is ours, and its commands leave at once.
    .ratelimit_messages(false)
    .queue(Allowed);
    if let Some(url) = &gateway.url {
        builder = builder.proxy_url(url.trim_end_matches('/').to_owned());
    }
    if let Some(session) = shard.session() {
        builder = builder.session(Session::new(session.sequence, session.id.clone()));
        if let Some(url) = session.url.as_deref().filter(|_| !session.elsewhere) {
            builder = builder.resume_url(url.trim_end_matches('/').to_owned());
        }
    }
    // The number is below their number, or twilight would panic.
    let id = ShardId::new(shard.number(), gateway.shards.get());
    Connection::with_config(id, builder.build())
}

/// Closes a connection, if it is open.
pub fn close(connection: &Connection, goodbye: Goodbye) -> bool {
    let state = connection.state();
    let open = !matches!(
        state,
        ShardState::Disconnected { .. } | ShardState::FatallyClosed
    );
    if open {
        connection.close(match goodbye {
            Goodbye::Resumable => CloseFrame::RESUME,
            Goodbye::Final => CloseFrame::NORMAL,
        });
    }
    open
}

/// An error with its causes.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
