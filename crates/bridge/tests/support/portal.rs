//! A portal in the program's desired state, and a peer of the world in it.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::ear::{CLEAR, Ears, MENDED};
use crate::support::sim::{Discord, INTENTS};
use crate::support::{Bridge, patiently};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use uro_discord_portal::token::{self, Claims};
use uro_discord_wire::{Active, FromBridge, GatewayState, HttpState, MediaState, PortalState};
use uro_portal_peer::control::{Codec, FromPortal, Listens, Role, Voice};
use uro_portal_peer::signal::Signal;
use uro_portal_peer::source::Source;
use uro_portal_peer::{Happened, Join, Packet, Peer, Way};

/// GUILD_VOICE_STATES.
const VOICE_STATES: u64 = 1 << 7;

const KEY: &str = "a-key-of-thirty-two-bytes-0123456";

pub fn media(address: &str) -> Value {
    json!({
        "addresses": [address], "public": [], "keys": [KEY], "origins": ["https://uro.example"],
        "limits": {"portal_peers": 8, "token_peers": 4, "address_peers": 8},
    })
}

/// The desired state with a portal in the channel "world", in which there are these.
pub fn desired(discord: &Discord, members: &[(u64, &str)]) -> Value {
    let info = discord.info();
    let mut gateway = discord.gateway(&[]);
    gateway["intents"] = json!(INTENTS | VOICE_STATES);
    json!({
        "gateway": gateway,
        "presence": null,
        "http": {"ip": "127.0.0.1", "port": 0, "connections": 64, "tls": null},
        "voice": {
            "user": info.application_id,
            "channels": [{"guild": info.guild_id, "channel": info.channels["world"], "attempt": 1}],
        },
        "media": media("127.0.0.1:0"),
        "portals": portals(discord, members),
    })
}

pub fn portals(discord: &Discord, members: &[(u64, &str)]) -> Value {
    let info = discord.info();
    let users: Vec<_> = members.iter().map(|(user, _)| user.to_string()).collect();
    let names = members.iter().map(|(_, name)| *name);
    let names: BTreeMap<_, _> = users.iter().zip(names).collect();
    json!({"open": [{
        "id": "lobby", "guild": info.guild_id, "channel": info.channels["world"], "bots": true,
        "names": names, "bot_users": users,
    }]})
}

/// A token as Elixir makes them.
pub fn token() -> SecretString {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = Claims {
        iss: "uro_discord".into(),
        portal: "lobby".into(),
        role: token::Role::Peer,
        sub: "shard-7".into(),
        name: "Shard 7".into(),
        iat: now.as_secs(),
        exp: now.as_secs() + 600,
        jti: now.as_nanos().to_string(),
    };
    token::mint(&KEY.into(), &claims).into()
}

/// What a peer needs, and the session of the gateway.
pub struct Ready {
    pub http: String,
    pub active: Active,
    pub media: SocketAddr,
}

/// Waits until a peer can come.
pub async fn ready<P>(bridge: &mut Bridge<P>) -> Ready {
    let (mut http, mut active, mut media, mut open) = (None, None, None, false);
    patiently("a portal", async {
        while http.is_none() || active.is_none() || media.is_none() || !open {
            match bridge.next().await.decode() {
                FromBridge::Http(HttpState::Listening(listening)) => {
                    http = Some(format!("http://{}:{}", listening.ip, listening.port));
                }
                FromBridge::Gateway {
                    state: GatewayState::Active(state),
                    ..
                } => active = Some(state),
                FromBridge::Media(state) => {
                    let MediaState::Listening(listening) = state else {
                        panic!("{state:?}");
                    };
                    assert_ne!(listening.addresses[0].port(), 0);
                    media = Some(listening.addresses[0]);
                }
                FromBridge::Portal { id, state } => {
                    assert_eq!((&*id, state), ("lobby", PortalState::Open));
                    open = true;
                }
                _ => {}
            }
        }
    })
    .await;
    Ready {
        http: http.unwrap(),
        active: active.unwrap(),
        media: media.unwrap(),
    }
}

pub async fn portal<P, T>(bridge: &mut Bridge<P>, wanted: impl Fn(PortalState) -> Option<T>) -> T {
    let state = bridge.until(|message| match message {
        FromBridge::Portal { state, .. } => wanted(state),
        FromBridge::Panic(what) => panic!("{what:?}"),
        _ => None,
    });
    patiently("a fact about the portal", state).await
}

/// A peer that says a tone all the time, and tells what comes.
pub struct World {
    happened: mpsc::UnboundedReceiver<Happened>,
    /// Who is in the call, by the number under which he is heard.
    names: BTreeMap<u32, String>,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub async fn join(http: &str, hertz: f64) -> Self {
        let voice = Voice::new(Codec::Opus, 20);
        let join = Join {
            portal: format!("{http}/portal/lobby").parse().unwrap(),
            token: token(),
            way: Way::Channels {
                role: Role::World,
                voice,
                listens: Listens::Each,
            },
            media: None,
        };
        let mut peer = Peer::join(join).await.unwrap();
        let mut source = Source::signal(Signal::tone(hertz), voice).unwrap();
        let (tell, happened) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut pace = interval(Duration::from_millis(20));
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                tokio::select! {
                    _ = pace.tick() => {
                        let (samples, frame) = source.frame().unwrap().unwrap();
                        // What is wrong is told as the end.
                        if peer.speak(samples, frame).await.is_err() {
                            pace.reset_after(Duration::from_secs(3_600));
                        }
                    }
                    happened = peer.next() => match happened {
                        Some(happened) => drop(tell.send(happened)),
                        None => return,
                    },
                }
            }
        });
        Self {
            happened,
            names: BTreeMap::new(),
            task,
        }
    }

    async fn next(&mut self) -> Happened {
        let happened = patiently("the portal", self.happened.recv()).await;
        let happened = happened.expect("the peer has ended");
        match &happened {
            Happened::Ended(reason) => panic!("the peer has ended: {reason}"),
            Happened::Said(FromPortal::Roster { speakers }) => {
                let names = speakers.iter().map(|who| (who.id, who.name.clone()));
                self.names = names.collect();
            }
            _ => {}
        }
        happened
    }

    /// Waits until it was sent away.
    pub async fn ended(mut self) {
        let end = async {
            while let Some(happened) = self.happened.recv().await {
                if matches!(happened, Happened::Ended(_)) {
                    return;
                }
            }
        };
        patiently("the end of a peer", end).await;
    }

    /// The packets that have come by now, and were not waited for.
    pub async fn came(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while !self.happened.is_empty() {
            if let Happened::Packet(packet) = self.next().await {
                packets.push(packet);
            }
        }
        packets
    }

    /// Waits until nothing but this tone is heard, of a speaker with a name.
    pub async fn hears(&mut self, hertz: f64) {
        let mut ears = Ears::default();
        patiently("a tone in the world", async {
            loop {
                if let Happened::Packet(packet) = self.next().await
                    && !packet.payload.is_empty()
                    && ears.hear(packet.speaker.into(), &packet.payload, hertz) > CLEAR
                {
                    return;
                }
            }
        })
        .await;
    }

    /// Waits until each of these says his tone from now on, on whatever network.
    pub async fn hears_each(&mut self, wanted: &[(&str, f64)]) {
        while !self.happened.is_empty() {
            self.next().await;
        }
        let mut ears = Ears::default();
        let mut missing = wanted.to_vec();
        while !missing.is_empty() {
            let what = format!("{missing:?} in the world");
            let Happened::Packet(packet) = patiently(&what, self.next()).await else {
                continue;
            };
            let said_by = |name: &str| {
                self.names
                    .get(&packet.speaker)
                    .is_some_and(|who| who == name)
            };
            let Some(at) = missing.iter().position(|(name, _)| said_by(name)) else {
                continue;
            };
            let speaker = packet.speaker.into();
            if !packet.payload.is_empty()
                && ears.hear(speaker, &packet.payload, missing[at].1) > MENDED
            {
                missing.remove(at);
            }
        }
    }

    /// Waits until somebody is called so.
    pub async fn sees(&mut self, user: u64, name: &str) {
        loop {
            if let Happened::Said(FromPortal::Roster { speakers }) = self.next().await
                && let [speaker] = &*speakers
                && speaker.user == user.to_string()
                && speaker.name == name
            {
                return;
            }
        }
    }
}
