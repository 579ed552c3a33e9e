//! Portals: the program on its pipes, between a call of discord-sim and peers of the world.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/member.rs"]
mod member;
mod support;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use member::{Ear, Member};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::sim::{Discord, INTENTS};
use support::{Bridge, patiently};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use uro_discord_portal::token::{self, Claims};
use uro_discord_wire::{
    Active, FromBridge, GatewayState, HttpState, MediaState, ParticipantStats, PeerJoined,
    PortalState, Side, VoiceState,
};
use uro_portal_peer::control::{Codec, FromPortal, Listens, Role, Voice};
use uro_portal_peer::signal::Signal;
use uro_portal_peer::source::Source;
use uro_portal_peer::{Happened, Join, Peer, Way};

/// GUILD_VOICE_STATES.
const VOICE_STATES: u64 = 1 << 7;

const KEY: &str = "a-key-of-thirty-two-bytes-0123456";

/// What crosses the portal, in Hz.
const WORLD: f64 = 440.0;
const CALL: f64 = 1_000.0;

fn media(address: &str) -> Value {
    json!({
        "addresses": [address], "public": [], "keys": [KEY], "origins": ["https://uro.example"],
        "limits": {"portal_peers": 8, "token_peers": 4, "address_peers": 8},
    })
}

/// The desired state with a portal in the channel "world", in which `member` is called Zoë.
fn desired(discord: &Discord, member: u64) -> Value {
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
        "portals": portals(discord, member),
    })
}

fn portals(discord: &Discord, member: u64) -> Value {
    let info = discord.info();
    json!({"open": [{
        "id": "lobby", "guild": info.guild_id, "channel": info.channels["world"], "bots": true,
        "names": {member.to_string(): "Zoë"}, "bot_users": [member.to_string()],
    }]})
}

/// A token as Elixir makes them.
fn token() -> SecretString {
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
struct Ready {
    http: String,
    active: Active,
}

/// Waits until a peer can come.
async fn ready(bridge: &mut Bridge) -> Ready {
    let (mut http, mut active, mut media, mut open) = (None, None, false, false);
    patiently("a portal", async {
        while http.is_none() || active.is_none() || !media || !open {
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
                    media = true;
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
    }
}

async fn portal<T>(bridge: &mut Bridge, wanted: impl Fn(PortalState) -> Option<T>) -> T {
    let state = bridge.until(|message| match message {
        FromBridge::Portal { state, .. } => wanted(state),
        FromBridge::Panic(what) => panic!("{what:?}"),
        _ => None,
    });
    patiently("a fact about the portal", state).await
}

async fn media_state(bridge: &mut Bridge) -> MediaState {
    let state = bridge.until(|message| match message {
        FromBridge::Media(state) => Some(state),
        _ => None,
    });
    patiently("a fact about the endpoint", state).await
}

/// A peer that says a tone all the time, and tells what comes.
struct World {
    happened: mpsc::UnboundedReceiver<Happened>,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    async fn join(http: &str) -> Self {
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
        let mut source = Source::signal(Signal::tone(WORLD), voice).unwrap();
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
        Self { happened, task }
    }

    async fn next(&mut self) -> Happened {
        let happened = patiently("the portal", self.happened.recv()).await;
        match happened.expect("the peer has ended") {
            Happened::Ended(reason) => panic!("the peer has ended: {reason}"),
            happened => happened,
        }
    }

    /// Waits until nothing but this tone is heard, of a speaker with a name.
    async fn hears(&mut self, hertz: f64) {
        let mut ear = Ear::default();
        patiently("a tone in the world", async {
            loop {
                if let Happened::Packet(packet) = self.next().await
                    && !packet.payload.is_empty()
                    && ear.hears(packet.speaker.into(), &packet.payload, hertz)
                {
                    return;
                }
            }
        })
        .await;
    }

    /// Waits until somebody is called so.
    async fn sees(&mut self, user: u64, name: &str) {
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

async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> (http::response::Parts, Bytes) {
    send(method, url, headers, Bytes::new()).await
}

async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (http::response::Parts, Bytes) {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(body)).unwrap();
    let response = patiently("an answer", client.request(request))
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_tone_goes_both_ways_and_both_sides_see_who_speaks() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, member.user);
    bridge.desire(wanted.clone()).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    let mut world = World::join(&http).await;
    let joined = portal(&mut bridge, |state| match state {
        PortalState::PeerJoined(joined) => Some(joined),
        _ => None,
    })
    .await;
    let expected = PeerJoined {
        peer: joined.peer,
        name: "Shard 7".into(),
        role: "peer".into(),
        subject: "shard-7".into(),
        kind: "peer".into(),
        world: true,
    };
    assert_eq!(joined, expected);

    member.hears(WORLD).await;
    let speech = member.say(CALL);
    world.sees(member.user, "Zoë").await;
    world.hears(CALL).await;
    for (side, id, peer, name) in [
        (
            Side::World,
            "world:shard-7".to_owned(),
            Some(joined.peer),
            "Shard 7",
        ),
        (
            Side::Discord,
            format!("discord:{}", member.user),
            None,
            "Zoë",
        ),
    ] {
        let speaker = portal(&mut bridge, |state| match state {
            PortalState::Speaking(speaker) if speaker.side == side => Some(speaker),
            _ => None,
        })
        .await;
        assert_eq!((speaker.id, speaker.peer, &*speaker.name), (id, peer, name));
    }
    let stats = portal(&mut bridge, |state| match state {
        PortalState::Stats(stats) => Some(stats),
        _ => None,
    })
    .await;
    let of = |side| {
        let mut participants = stats.participants.iter();
        participants.find(|participant: &&ParticipantStats| participant.side == side)
    };
    let (shard, zoe) = (of(Side::World).unwrap(), of(Side::Discord).unwrap());
    assert_eq!((&*shard.id, &*zoe.name), ("world:shard-7", "Zoë"));
    assert!(
        stats.to_discord > 20 && stats.from_discord > 20,
        "{stats:?}"
    );
    assert!(shard.packets > 20 && zoe.packets > 20, "{stats:?}");

    // Another name is told, and who is muted is not heard.
    wanted["portals"]["open"][0]["names"] = json!({member.user.to_string(): "Zoe"});
    wanted["portals"]["open"][0]["settings"] =
        json!([{"participant": "world:shard-7", "gain": 1.0, "muted": true}]);
    bridge.desire(json!({"portals": wanted["portals"]})).await;
    world.sees(member.user, "Zoe").await;
    portal(&mut bridge, |state| match state {
        PortalState::Silent(speaker) if speaker.side == Side::World => Some(()),
        _ => None,
    })
    .await;
    drop(speech);
    bridge.desire(json!({"portals": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    bridge.close().await;
}

#[tokio::test]
async fn peers_stay_while_the_voice_server_is_lost_and_are_heard_again() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    bridge.desire(desired(&discord, member.user)).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    let mut world = World::join(&http).await;
    member.hears(WORLD).await;
    for action in [
        json!({"action": "drop", "user": "uro"}),
        // The session is invalid: another one is joined.
        json!({"action": "close", "code": 4006, "user": "uro"}),
    ] {
        discord.post("voice", action).await;
        let again = bridge.until(|message| match message {
            FromBridge::Voice {
                state: VoiceState::Joined(_),
                ..
            } => Some(()),
            FromBridge::Portal {
                state: PortalState::PeerLeft(left),
                ..
            } => panic!("{left:?}"),
            _ => None,
        });
        patiently("the call again", again).await;
        member.hears(WORLD).await;
        let _speech = member.say(CALL);
        world.hears(CALL).await;
    }
    bridge.close().await;
}

#[tokio::test]
async fn after_sigkill_a_peer_comes_again_and_is_heard() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, member.user);
    bridge.desire(wanted.clone()).await;
    let Ready { http, active } = ready(&mut bridge).await;
    let world = World::join(&http).await;
    member.hears(WORLD).await;
    bridge.kill().await;
    drop(world);
    let killed = Instant::now();

    let mut bridge = Bridge::greeted().await;
    wanted["gateway"]["sessions"] = json!([{
        "shard": 0, "id": active.session_id, "sequence": active.sequence, "resume_url": active.resume_url,
    }]);
    bridge.desire(wanted).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    println!("open again after {:?}", killed.elapsed());
    let mut world = World::join(&http).await;
    println!("joined again after {:?}", killed.elapsed());
    member.hears(WORLD).await;
    println!("heard again after {:?}", killed.elapsed());
    let _speech = member.say(CALL);
    world.hears(CALL).await;
    bridge.close().await;
}

#[tokio::test]
async fn what_no_portal_hears_is_not_decrypted() {
    let discord = Discord::start().await;
    let member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let wanted = desired(&discord, member.user);
    let mut without = wanted.clone();
    without["portals"] = Value::Null;
    bridge.desire(without).await;
    let speaking = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Encryption(encryption),
            ..
        } if encryption.can_send => Some(()),
        _ => None,
    });
    patiently("a key", speaking).await;
    let spoken = |frames: u64| tokio::time::sleep(Duration::from_millis(20 * frames));
    let speech = member.say(CALL);
    spoken(50).await;
    bridge.desire(json!({"portals": wanted["portals"]})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Open).then_some(())
    })
    .await;
    spoken(50).await;
    bridge.desire(json!({"portals": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    spoken(50).await;
    drop(speech);
    let stats = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Stats(stats),
            ..
        } if stats.unread > 0 => Some(stats),
        _ => None,
    });
    let stats = patiently("stats", stats).await;
    // A loaded machine is late on either side of the middle third.
    assert!((25..90).contains(&stats.received), "{stats:?}");
    assert!(stats.unread > 50, "{stats:?}");
    assert_eq!((stats.lost, stats.undecryptable), (0, 0), "{stats:?}");
    bridge.close().await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_had_is_tried_until_it_can() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    bridge
        .desire(json!({
            "gateway": null,
            "http": {"ip": "127.0.0.1", "port": 0, "connections": 64, "tls": null},
            "media": media(&address),
            "portals": portals(&discord, 1),
        }))
        .await;
    let http = bridge.until(|message| match message {
        FromBridge::Http(HttpState::Listening(listening)) => {
            Some(format!("http://{}:{}", listening.ip, listening.port))
        }
        _ => None,
    });
    let http = patiently("the listener", http).await;
    let waiting = match media_state(&mut bridge).await {
        MediaState::Waiting(waiting) => waiting,
        state => panic!("{state:?}"),
    };
    assert!(waiting.reason.contains(&address), "{}", waiting.reason);
    // The first try may have been told of before the listener.
    assert!((1..=2_000).contains(&waiting.retry_ms), "{waiting:?}");
    let whip = format!("{http}/portal/lobby/whip");
    let (head, _) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 503);
    assert!(head.headers.contains_key("retry-after"));

    drop(taken);
    let listening = loop {
        match media_state(&mut bridge).await {
            MediaState::Listening(listening) => break listening.addresses,
            MediaState::Waiting(_) => {}
            MediaState::Closed => panic!("it is wanted"),
        }
    };
    assert_eq!(listening, [address.parse::<SocketAddr>().unwrap()]);
    portal(&mut bridge, |state| {
        (state == PortalState::Open).then_some(())
    })
    .await;

    // Served past Elixir, to whom nothing of it comes.
    let (head, body) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 401, "{body:?}");
    let origin = ("origin", "https://uro.example");
    let (head, _) = ask("OPTIONS", &whip, &[origin]).await;
    assert_eq!(
        head.headers["access-control-allow-origin"],
        "https://uro.example"
    );
    let (head, page) = ask("GET", &format!("{http}/portal/lobby/"), &[]).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(head.headers.contains_key("content-security-policy"));
    for file in ["page.css", "page.js", "session.js", "level.js"] {
        let (head, _) = ask("GET", &format!("{http}/portal/lobby/{file}"), &[]).await;
        assert_eq!(head.status, 200, "{file}");
    }
    assert!(page.windows(7).any(|text| text == b"page.js"));
    let (head, _) = ask("GET", &format!("{http}/portal/lobby"), &[]).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["location"]),
        (308, &"lobby/".parse().unwrap())
    );
    // A page may read what the listener itself answers, too.
    let long = Bytes::from(vec![b'x'; 70_000]);
    let (head, body) = send("POST", &whip, &[origin], long).await;
    assert_eq!(head.status, 413, "{body:?}");
    assert_eq!(
        head.headers["access-control-allow-origin"],
        "https://uro.example"
    );

    // Other limits at the same address: the room is opened anew, there.
    let mut other = media(&address);
    other["limits"]["portal_peers"] = json!(9);
    bridge.desire(json!({"media": other})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    assert!(matches!(
        media_state(&mut bridge).await,
        MediaState::Listening(_)
    ));
    portal(&mut bridge, |state| {
        (state == PortalState::Open).then_some(())
    })
    .await;

    bridge.desire(json!({"media": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    assert_eq!(media_state(&mut bridge).await, MediaState::Closed);
    let (head, _) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 404);
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
}

#[tokio::test]
async fn parts_that_cannot_be_had_say_why() {
    let mut bridge = Bridge::greeted().await;
    let mut short = media("127.0.0.1:0");
    short["keys"] = json!(["SECRET"]);
    let portals = json!({"open": [{"id": "a b", "guild": "1", "channel": "2"}]});
    bridge
        .desire(json!({"media": short, "portals": portals}))
        .await;
    for (wanted, why) in [
        ("media", "keys[0]: 6 bytes"),
        ("portals", "open[0].id: expected"),
    ] {
        let (part, reason) = bridge
            .until(|message| match message {
                FromBridge::Refused { part, reason } => {
                    Some((part.into_owned(), reason.into_owned()))
                }
                _ => None,
            })
            .await;
        assert_eq!(part, wanted);
        assert!(
            reason.starts_with(why) && !reason.contains("SECRET"),
            "{reason}"
        );
    }
    bridge.close().await;
}
