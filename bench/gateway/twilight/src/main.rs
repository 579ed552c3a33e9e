//! What bench/gateway.exs asks for, as a user of twilight-gateway would write it. See bench/program.ex for when it says what.
#![forbid(unsafe_code)]

use std::env;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use twilight_gateway::{
    ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt as _,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ConfigBuilder::new(env::var("DISCORD_TOKEN")?, Intents::all())
        .proxy_url(env::var("DISCORD_GATEWAY")?)
        .build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let mut told = BufReader::new(stdin()).lines();
    let mut events = 0;
    loop {
        let event = tokio::select! {
            event = shard.next_event(EventTypeFlags::all()) => event.ok_or("the shard ended")??,
            _ = told.next_line() => return Ok(()),
        };
        events += 1;
        match event {
            Event::Ready(_) => println!("ready"),
            Event::MessageCreate(message) if message.content.starts_with("stream ") => {
                if message.content.ends_with("begins") {
                    events = 1;
                    println!("begins");
                } else {
                    println!("ends {events}");
                }
            }
            _ => {}
        }
    }
}
