//! Somebody in a channel of discord-sim, with a session of our own as its client.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::ear::{CLEAR, Ears};
use crate::support::patiently;
use crate::support::sim::Discord;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use twilight_gateway::{ConfigBuilder, Intents, Message, Shard, ShardId};
use uro_discord_voice::{
    Config, Event, Events, Frames, Handshake, JoinInfo, Received, Scheme, Session, Step, Tls,
};
use uro_portal_peer::codec::Encoder;
use uro_portal_peer::signal::Signal;

/// Samples of a frame.
const FRAME: usize = 960;

pub struct Member {
    pub user: u64,
    session: Arc<Session>,
    events: Events,
    frames: Frames,
    gateway: JoinHandle<()>,
}

/// Speaks as long as it is there.
pub struct Speech {
    task: JoinHandle<()>,
    said: watch::Receiver<u64>,
}

impl Speech {
    /// Waits until so many frames more have been said.
    pub async fn goes_on(&self, frames: u64) {
        let mut said = self.said.clone();
        let wanted = *said.borrow() + frames;
        let reached = said.wait_for(|said| *said >= wanted);
        patiently("speech", reached).await.unwrap();
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.gateway.abort();
    }
}

impl Member {
    /// Joins, and waits until it can speak.
    pub async fn join(discord: &Discord, name: &str, channel: &str) -> Self {
        let info = discord.info();
        let id = |text: &str| text.parse::<u64>().unwrap();
        let user = &info.users[name];
        let channel = &info.channels[channel];
        let intents = Intents::GUILDS | Intents::GUILD_VOICE_STATES;
        let config = ConfigBuilder::new(user.token.clone(), intents)
            .proxy_url(info.gateway.trim_end_matches('/').to_owned())
            .build();
        let mut gateway = Shard::with_config(ShardId::ONE, config);
        let state = json!({"op": 4, "d": {
            "guild_id": info.guild_id, "channel_id": channel, "self_mute": false, "self_deaf": false,
        }});
        let (guild, channel, user) = (id(&info.guild_id), id(channel), id(&user.id));
        let mut handshake = Handshake::new(guild, channel, user, Instant::now());
        let join = patiently("a place in the call", async {
            loop {
                let payload = payload(&mut gateway).await;
                if payload["t"] == "READY" {
                    gateway.send(state.to_string());
                } else if let Some(join) = place(&mut handshake, &payload, user) {
                    return join;
                }
            }
        });
        let join = join.await;
        let config = Config {
            scheme: Scheme::Ws,
            ..Config::with_tls(Tls::new(None).unwrap())
        };
        let (session, connection, events, frames) = Session::join(join, config).unwrap();
        tokio::spawn(connection);
        let mut member = Self {
            user,
            session: Arc::new(session),
            events,
            frames,
            gateway: tokio::spawn(async move {
                loop {
                    payload(&mut gateway).await;
                }
            }),
        };
        patiently(
            "the call",
            member.event(|event| matches!(event, Event::Joined { .. })),
        )
        .await;
        member
    }

    async fn event(&mut self, wanted: impl Fn(&Event) -> bool) {
        loop {
            let event = self.events.next().await.expect("the session has ended");
            if wanted(&event) {
                return;
            }
            assert!(!matches!(event, Event::Ended(_)), "{event:?}");
        }
    }

    /// Says a tone, until what is returned is dropped.
    pub fn say(&self, hertz: f64) -> Speech {
        let session = self.session.clone();
        let (tell, said) = watch::channel(0);
        let task = tokio::spawn(async move {
            let (mut signal, mut encoder) = (Signal::tone(hertz), Encoder::new().unwrap());
            let mut pace = interval(Duration::from_millis(20));
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut samples = [0.0; FRAME];
            loop {
                pace.tick().await;
                signal.fill(&mut samples);
                let frame = encoder.encode(&samples).unwrap();
                let Ok(dropped) = session.send_latest_opus(frame, 5) else {
                    return;
                };
                tell.send_modify(|said| *said = *said + 1 - dropped as u64);
            }
        });
        Speech { task, said }
    }

    /// What comes of this, and all that is heard meanwhile.
    pub async fn hears_during<T>(&mut self, during: impl Future<Output = T>) -> (T, Vec<Received>) {
        let mut during = pin!(during);
        let mut heard = Vec::new();
        loop {
            tokio::select! {
                result = &mut during => return (result, heard),
                received = self.frames.next() => heard.push(received.expect("the session has ended")),
            }
        }
    }

    /// Waits until nothing but this tone is heard.
    pub async fn hears(&mut self, hertz: f64) {
        let mut ears = Ears::default();
        patiently("a tone in the call", async {
            loop {
                let received = self.frames.next().await.expect("the session has ended");
                if ears.hear(received.user_id, &received.frame, hertz) > CLEAR {
                    return;
                }
            }
        })
        .await;
    }
}

async fn payload(gateway: &mut Shard) -> Value {
    loop {
        let message = gateway.next().await.expect("the gateway has ended");
        if let Message::Text(text) = message.unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

fn place(handshake: &mut Handshake, payload: &Value, user: u64) -> Option<JoinInfo> {
    let (now, d) = (Instant::now(), &payload["d"]);
    let step = match payload["t"].as_str()? {
        "VOICE_STATE_UPDATE" if d["user_id"].as_str() == Some(&user.to_string()) => {
            let channel = d["channel_id"].as_str().map(|id| id.parse().unwrap());
            let session = d["session_id"].as_str().unwrap();
            handshake.voice_state(channel, session, now)
        }
        "VOICE_SERVER_UPDATE" => {
            let token = d["token"].as_str().unwrap();
            handshake.voice_server(d["endpoint"].as_str(), token, now)
        }
        _ => None,
    };
    match step? {
        Step::Join(join) => Some(join),
        step => panic!("{step:?}"),
    }
}
