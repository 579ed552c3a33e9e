//! The files that Elixir's tests read too: `test/fixtures/wire/`.
#![allow(clippy::unwrap_used)]

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use uro_discord_wire::{
    Active, Answer, Asked, Bridge, CameraStats, ClipInfo, Closed, DiscordVideoStats, Encryption,
    Ended, FromBridge, Gateway, GatewayState, Http, HttpState, InChannel, Level, Library,
    Listening, Media, MediaListening, MediaState, NoClip, OwnVoiceState, Panicked,
    ParticipantStats, PeerJoined, PeerLeft, PortalOnAir, PortalSpeaker, PortalState, PortalStats,
    Portals, RequestHead, Secret, Session, Side, Snowflake, Stats, Suppressed, ToBridge, User,
    Verdict, ViewerStats, Voice, VoiceServer, VoiceState, VoiceStates, VoiceUpdate, Waiting,
};

/// Every `.etf` file of a folder, by name.
fn golden(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../test/fixtures/wire")
        .join(folder);
    let files = std::fs::read_dir(path).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "etf"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn presence() -> Value {
    json!({
        "since": null,
        "activities": [{"name": "Uro", "type": 4, "state": "7 players in 2 worlds · 日本語 🎮"}],
        "status": "online",
        "afk": false,
    })
}

fn desired_voice() -> Value {
    json!({
        "user": "1300000000000000001",
        "channels": [{
            "guild": "1300000000000000100",
            "channel": "1300000000000000206",
            "attempt": 1,
            "self_mute": false,
            "self_deaf": true,
            "play": {"path": "/srv/uro/welcome.opus", "loop": false, "attempt": 2},
            "video": true,
        }],
    })
}

fn desired_voice_states() -> Value {
    json!({
        "states": [{
            "guild": "1300000000000000100",
            "user": "1300000000000000001",
            "channel": "1300000000000000206",
            "self_mute": false,
            "self_deaf": true,
            "beginning": BEGINNING,
            "joined": true,
        }],
        "left": ["1300000000000000200"],
    })
}

/// What a call hears, and what it is called in the files.
fn voice_updates() -> [(&'static str, VoiceUpdate); 4] {
    [
        (
            "voice_update_asked",
            VoiceUpdate::Asked(Asked {
                beginning: BEGINNING,
            }),
        ),
        (
            "voice_update_state",
            VoiceUpdate::State(OwnVoiceState {
                channel: None,
                session: Secret::new("GOLDEN-not-a-real-session"),
                suppressed: true,
            }),
        ),
        (
            "voice_update_server",
            VoiceUpdate::Server(VoiceServer {
                endpoint: Some("rotterdam1.discord.media:443".into()),
                token: Secret::new("GOLDEN-not-a-real-token"),
            }),
        ),
        ("voice_update_new_session", VoiceUpdate::NewSession),
    ]
}

fn desired_http() -> Value {
    json!({
        "ip": "0.0.0.0",
        "port": 443,
        "connections": 512,
        "tls": {"certificate": "/etc/uro/fullchain.pem", "key": "/etc/uro/privkey.pem"},
    })
}

fn desired_media() -> Value {
    json!({
        "addresses": ["0.0.0.0:7882", "[::]:7882"],
        "public": ["203.0.113.5", "2001:db8::5"],
        "keys": [KEY],
        "origins": ["https://uro.example"],
        "limits": {
            "portal_peers": 64, "subject_peers": 6, "token_peers": 4, "address_peers": 16, "packets": 3_000, "bits": 20_000_000,
        },
    })
}

fn desired_portals() -> Value {
    json!({
        "open": [{
            "id": "lobby",
            "guild": "1300000000000000100",
            "channel": "1300000000000000206",
            "bots": false,
            "names": {"1300000000000000003": "Zoë", "1300000000000000004": "Radio"},
            "bot_users": ["1300000000000000004"],
            "settings": [
                {"participant": "discord:1300000000000000003", "gain": 0.5, "muted": false},
                {"participant": "world:shard-7", "gain": 1.0, "muted": true},
            ],
            "camera": "shard-7",
            "still": 60_000,
            "clips": 30,
            "stopped": {"42": 1_795_000_000_u64},
        }],
    })
}

fn snowflake(number: u64) -> Snowflake {
    Snowflake::new(number).unwrap()
}

const BEGINNING: u64 = 1_841_236_131_840_000_001;
const REQUEST: u64 = 1_795_000_000_000_001;
const CLIP: u64 = 1_795_000_000_000_002;
const TOKEN: &str = "MTA0NzgwNDgwNDgwNDgwNDgw.GOLDEN.not-a-real-token";
const KEY: &str = "GOLDEN-not-a-real-key-of-32-bytes";
const SESSION: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SESSION: &str = "fedcba9876543210fedcba9876543210";

/// `{:any, "term", [1, 2, 3], %{:atom => -1.5, 7 => :key}, …}`, which stays encoded here.
fn any_term(message: &[u8], head: &str) -> Vec<u8> {
    // version, small tuple of 2, Latin-1 atom with a length of two bytes
    message[6 + head.len()..].to_vec()
}

#[test]
fn every_message_to_the_bridge() {
    let golden = golden("to_bridge");
    let any = any_term(&golden["ping"], "ping");
    assert_eq!(any[..2], [104, 6], "a tuple of six");

    let desired = |parts: Value| ToBridge::Desired(parts.as_object().unwrap().clone());
    let mut expected = BTreeMap::from([
        (
            "hello",
            ToBridge::Hello {
                version: 5,
                library: Library {
                    library: "0.1.0".into(),
                },
            },
        ),
        ("credit", ToBridge::Credit(256)),
        ("lease", ToBridge::Lease(8_000)),
        ("identify", ToBridge::Identify(3)),
        ("ping", ToBridge::Ping(&any)),
        ("stop", ToBridge::Stop),
        (
            "desired",
            desired(json!({
                "gateway": {
                    "token": TOKEN,
                    "intents": 4609,
                    "url": "ws://127.0.0.1:8080",
                    "shards": 4,
                    "held": [0, 3],
                    "sessions": [
                        {
                            "shard": 0,
                            "id": SESSION,
                            "sequence": 9_007_199_254_740_993_u64,
                            "resume_url": "ws://127.0.0.1:8081",
                        },
                        {"shard": 3, "id": OTHER_SESSION, "sequence": 7, "resume_url": null},
                    ],
                    "events": ["INTERACTION_CREATE", "MESSAGE_CREATE"],
                },
                "presence": presence(),
            })),
        ),
        (
            "desired_gateway_on_discord",
            desired(json!({
                "gateway": {"token": TOKEN, "intents": 0, "url": null, "shards": 1, "sessions": [], "events": []}
            })),
        ),
        (
            "desired_nothing",
            desired(json!({"gateway": null, "presence": null})),
        ),
        ("desired_unchanged", desired(json!({}))),
        (
            "desired_voice_apart",
            desired(json!({
                "voice": {"user": "1300000000000000001", "channels": [], "tls": false, "relay": true},
                "voice_states": desired_voice_states(),
                "http": {"ip": "0.0.0.0", "port": 8443, "connections": 512, "tls": null, "discord": false},
                "elsewhere": {"lobby": "https://media2.uro.example"},
            })),
        ),
        (
            "hold",
            ToBridge::Hold {
                number: 7,
                milliseconds: 2_000,
            },
        ),
        ("desired_voice", desired(json!({"voice": desired_voice()}))),
        ("desired_http", desired(json!({"http": desired_http()}))),
        ("desired_media", desired(json!({"media": desired_media()}))),
        (
            "desired_portals",
            desired(json!({"portals": desired_portals()})),
        ),
        (
            "read",
            ToBridge::Read {
                id: REQUEST,
                verdict: Verdict {
                    limit: 524_288,
                    known: true,
                },
            },
        ),
        (
            "clip",
            ToBridge::Clip {
                id: CLIP,
                portal: "lobby",
                length: 30_000,
            },
        ),
        (
            "answer",
            ToBridge::Answer {
                id: REQUEST,
                answer: Answer {
                    status: 202,
                    headers: vec![
                        ("content-type".into(), "application/json".into()),
                        ("cache-control".into(), "no-store".into()),
                    ],
                    body: br#"{"status":"queued"}"#,
                },
            },
        ),
    ]);

    expected.extend(voice_updates().map(|(name, update)| {
        let guild = snowflake(1_300_000_000_000_000_100);
        (name, ToBridge::VoiceUpdate { guild, update })
    }));

    assert!(
        golden.keys().eq(expected.keys()),
        "a file without a test, or a test without a file"
    );
    for (name, message) in &expected {
        assert_eq!(
            &ToBridge::decode(&golden[*name]).unwrap(),
            message,
            "{name}"
        );
        let mut again = Vec::new();
        message.encode(&mut again).unwrap();
        assert_eq!(&ToBridge::decode(&again).unwrap(), message, "{name}");
    }
}

#[test]
fn the_desired_listener_has_a_type() {
    let http: Http = serde_json::from_value(desired_http()).unwrap();
    assert_eq!(serde_json::to_value(http).unwrap(), desired_http());
}

#[test]
fn what_clients_send_and_get_is_in_no_debug_output() {
    let (to_bridge, from_bridge) = (golden("to_bridge"), golden("from_bridge"));
    let request = FromBridge::decode(&from_bridge["request"]).unwrap();
    let answer = ToBridge::decode(&to_bridge["answer"]).unwrap();
    let shown = format!("{request:?} {answer:?}");
    assert!(!shown.contains("uro.example") && !shown.contains("queued"));
}

#[test]
fn the_desired_voice_has_a_type() {
    let voice: Voice = serde_json::from_value(desired_voice()).unwrap();
    assert_eq!(serde_json::to_value(voice).unwrap(), desired_voice());
    // Off unless it is said, and left out then: a bridge of another version may not know it.
    let mut off = desired_voice();
    off["channels"][0].as_object_mut().unwrap().remove("video");
    let voice: Voice = serde_json::from_value(off.clone()).unwrap();
    assert!(!voice.channels[0].video);
    assert_eq!(serde_json::to_value(voice).unwrap(), off);
}

#[test]
fn the_desired_media_and_portals_have_types() {
    let media: Media = serde_json::from_value(desired_media()).unwrap();
    assert!(!format!("{media:?}").contains("GOLDEN"));
    assert_eq!(serde_json::to_value(media).unwrap(), desired_media());
    let portals: Portals = serde_json::from_value(desired_portals()).unwrap();
    assert_eq!(serde_json::to_value(portals).unwrap(), desired_portals());
    for nobody in ["discord:", "discord:0", "discord:x", "world:", "lobby", ""] {
        let setting = json!({"participant": nobody, "gain": 1.0, "muted": true});
        let mut portals = desired_portals();
        portals["open"][0]["settings"] = json!([setting]);
        let error = serde_json::from_value::<Portals>(portals).unwrap_err();
        assert!(error.to_string().contains("a token's subject"), "{error}");
    }
}

#[test]
fn the_desired_gateway_has_a_type() {
    let golden = golden("to_bridge");
    let gateway = |name: &str| -> Gateway {
        let ToBridge::Desired(parts) = ToBridge::decode(&golden[name]).unwrap() else {
            panic!("{name} is no desired state");
        };
        serde_json::from_value(parts["gateway"].clone()).unwrap()
    };
    assert_eq!(
        gateway("desired"),
        Gateway {
            token: Secret::new(TOKEN),
            intents: 4609,
            url: Some("ws://127.0.0.1:8080".into()),
            shards: 4.try_into().unwrap(),
            held: Some([0, 3].into()),
            sessions: vec![
                Session {
                    shard: 0,
                    id: SESSION.into(),
                    sequence: 9_007_199_254_740_993,
                    resume_url: Some("ws://127.0.0.1:8081".into()),
                },
                Session {
                    shard: 3,
                    id: OTHER_SESSION.into(),
                    sequence: 7,
                    resume_url: None,
                },
            ],
            events: ["INTERACTION_CREATE".into(), "MESSAGE_CREATE".into()].into(),
        }
    );
    assert!(gateway("desired").held().eq([0, 3]));
    let plain = gateway("desired_gateway_on_discord");
    assert!(plain.held.is_none() && plain.held().eq([0]));
    assert_eq!(
        (
            plain.url,
            plain.shards.get(),
            plain.sessions,
            plain.events.len()
        ),
        (None, 1, vec![], 0)
    );
}

/// With a key that only the next version knows in each map whose keys are ours.
fn newer(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ids = map.keys().all(|key| key.parse::<u64>().is_ok());
            let more = (!ids).then(|| ("of_the_next_version".into(), json!({"a": [1]})));
            let map = map.into_iter().map(|(key, value)| (key, newer(value)));
            Value::Object(map.chain(more).collect())
        }
        Value::Array(values) => values.into_iter().map(newer).collect(),
        other => other,
    }
}

#[test]
fn keys_that_only_the_next_version_knows_are_passed_over() {
    fn passed<T: DeserializeOwned + Serialize>(value: Value) {
        let newer = newer(value.clone());
        assert!(newer.to_string().contains("of_the_next_version"));
        let read: T = serde_json::from_value(newer).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), value);
    }
    let golden = golden("to_bridge");
    let ToBridge::Desired(parts) = ToBridge::decode(&golden["desired"]).unwrap() else {
        panic!("it is no desired state");
    };
    passed::<Gateway>(parts["gateway"].clone());
    passed::<Voice>(desired_voice());
    let mut whole = desired_voice_states();
    whole["whole"] = false.into();
    passed::<VoiceStates>(whole);
    passed::<Http>(desired_http());
    passed::<Media>(desired_media());
    passed::<Portals>(desired_portals());
}

#[test]
fn the_token_is_in_no_debug_output() {
    let golden = golden("to_bridge");
    let mut shown = String::new();
    for name in ["desired", "voice_update_state", "voice_update_server"] {
        shown += &format!("{:?}", ToBridge::decode(&golden[name]).unwrap());
    }
    let golden = self::golden("from_bridge");
    for name in ["voice_update_state", "voice_update_server"] {
        shown += &format!("{:?}", FromBridge::decode(&golden[name]).unwrap());
    }
    assert!(!shown.contains("GOLDEN"), "{shown}");
    assert!(!format!("{:?}", Secret::new(TOKEN)).contains("GOLDEN"));
}

#[test]
fn every_message_from_the_bridge() {
    let golden = golden("from_bridge");
    let any = any_term(&golden["pong"], "pong");

    let event = json!({
        "id": "1442000000000000000",
        "content": "naïve 日本語 🎮 \"quoted\" \\ \n\u{0}",
        "tts": false,
        "pinned": true,
        "edited_timestamp": null,
        "numbers": [0, 255, 256, -1, -128, 2_147_483_647, 2_147_483_648_u64, -2_147_483_648, -2_147_483_649_i64],
        "extremes": [u64::MAX, i64::MAX, i64::MIN],
        "floats": [0.5, -1.0e300, 5.0e-324],
        "bytes": [1, 2, 3],
        "empty": [[], {}, ""],
        "author": {"id": "104780480480480480", "flags": 1, "roles": [["nested", [{"deep": [null]}]]]},
    });
    let gateway = |state| FromBridge::Gateway { shard: 0, state };
    let voice = |state| FromBridge::Voice {
        guild: snowflake(1_300_000_000_000_000_100),
        state,
    };
    let portal = |state| FromBridge::Portal {
        id: "lobby".into(),
        state,
    };
    let zoe = || PortalSpeaker {
        side: Side::Discord,
        id: "discord:1300000000000000003".into(),
        peer: None,
        name: "Zoë".into(),
    };
    let mara = || PortalSpeaker {
        side: Side::World,
        id: "world:shard-7/3".into(),
        peer: Some(7),
        name: "Mara".into(),
    };
    let active = |resumed, user: Option<&str>| {
        gateway(GatewayState::Active(Active {
            session_id: SESSION.into(),
            sequence: 1,
            resume_url: Some("wss://gateway-us-east1-b.discord.gg".into()),
            resumed,
            user_id: user.map(str::to_owned),
        }))
    };
    let closed = |code, reason: &str| Closed {
        code,
        reason: reason.into(),
    };
    let mut expected = BTreeMap::from([
        (
            "hello",
            FromBridge::Hello {
                version: 5,
                bridge: Bridge {
                    bridge: "0.1.0".into(),
                    os_pid: 4_194_303,
                    knows: vec!["clip".into()],
                },
            },
        ),
        (
            "gateway_waiting",
            FromBridge::Gateway {
                shard: 3,
                state: GatewayState::Waiting,
            },
        ),
        ("gateway_connecting", gateway(GatewayState::Connecting)),
        ("gateway_identifying", gateway(GatewayState::Identifying)),
        ("gateway_resuming", gateway(GatewayState::Resuming)),
        (
            "gateway_released",
            FromBridge::Gateway {
                shard: 3,
                state: GatewayState::Released,
            },
        ),
        ("gateway_active", active(false, Some("104780480480480480"))),
        ("gateway_resumed", active(true, None)),
        (
            "gateway_disconnected",
            gateway(GatewayState::Disconnected(closed(
                None,
                "the connection was lost",
            ))),
        ),
        (
            "gateway_fatal",
            gateway(GatewayState::Fatal(closed(
                Some(4004),
                "Authentication failed.",
            ))),
        ),
        (
            "event",
            FromBridge::Event {
                shard: 0,
                session: SESSION.into(),
                sequence: 5_000_000_000,
                kind: "MESSAGE_CREATE".into(),
                data: event.to_string().into(),
            },
        ),
        (
            "sequence",
            FromBridge::Sequence {
                shard: 3,
                session: SESSION.into(),
                sequence: 5_000_000_000,
            },
        ),
        (
            "presence",
            FromBridge::Presence {
                shard: 0,
                data: presence(),
            },
        ),
        (
            "voice_joined",
            voice(VoiceState::Joined(InChannel {
                channel: snowflake(1_300_000_000_000_000_206),
            })),
        ),
        ("voice_waiting", voice(VoiceState::Waiting)),
        (
            "voice_suppressed",
            voice(VoiceState::Suppressed(Suppressed {
                channel: snowflake(1_300_000_000_000_000_208),
                suppressed: true,
            })),
        ),
        (
            "voice_ended",
            voice(VoiceState::Ended(Ended {
                reason: "the voice session timed out (4009): join again".into(),
                retry_ms: Some(1_000),
            })),
        ),
        (
            "voice_speaking",
            voice(VoiceState::Speaking(User {
                user: snowflake(1_300_000_000_000_000_003),
            })),
        ),
        (
            "voice_encryption",
            voice(VoiceState::Encryption(Encryption {
                version: 1,
                epoch: Some(3),
                privacy_code: Some("01234 56789 01234 56789 01234 56789".into()),
                can_send: true,
            })),
        ),
        (
            "voice_stats",
            voice(VoiceState::Stats(Stats {
                round_trip_ms: Some(12.5),
                loss: None,
                sent: 250,
                unsent: 1,
                received: 500,
                unread: 4,
                lost: 2,
                undecryptable: 3,
            })),
        ),
        ("renew", FromBridge::Renew(7)),
        (
            "voice_states",
            FromBridge::VoiceStates(VoiceStates {
                whole: true,
                ..serde_json::from_value(desired_voice_states()).unwrap()
            }),
        ),
        (
            "panic_room",
            FromBridge::Panic(Panicked::Room(snowflake(1_300_000_000_000_000_100))),
        ),
        ("panic_shard", FromBridge::Panic(Panicked::Shard(3))),
        (
            "panic_portal",
            FromBridge::Panic(Panicked::Portal("lobby".into())),
        ),
        ("panic_connection", FromBridge::Panic(Panicked::Connection)),
        (
            "http_listening",
            FromBridge::Http(HttpState::Listening(Listening {
                ip: "::1".parse().unwrap(),
                port: 4001,
                tls: true,
            })),
        ),
        (
            "http_waiting",
            FromBridge::Http(HttpState::Waiting(Waiting {
                reason: "127.0.0.1 port 80 cannot be listened on: Permission denied (os error 13)"
                    .into(),
                retry_ms: 1_000,
            })),
        ),
        ("http_closed", FromBridge::Http(HttpState::Closed)),
        (
            "media_listening",
            FromBridge::Media(MediaState::Listening(MediaListening {
                addresses: vec![
                    "0.0.0.0:7882".parse().unwrap(),
                    "[::]:7882".parse().unwrap(),
                ],
            })),
        ),
        (
            "media_waiting",
            FromBridge::Media(MediaState::Waiting(Waiting {
                reason: "0.0.0.0:7882 cannot be had: Address already in use (os error 98)".into(),
                retry_ms: 1_000,
            })),
        ),
        ("media_closed", FromBridge::Media(MediaState::Closed)),
        ("portal_open", portal(PortalState::Open)),
        ("portal_closed", portal(PortalState::Closed)),
        (
            "portal_peer_joined",
            portal(PortalState::PeerJoined(PeerJoined {
                peer: 7,
                name: "Shard 7".into(),
                role: "peer".into(),
                subject: "shard-7".into(),
                kind: "peer".into(),
                world: true,
            })),
        ),
        (
            "portal_peer_left",
            portal(PortalState::PeerLeft(PeerLeft {
                peer: 7,
                reason: "it said bye".into(),
            })),
        ),
        ("portal_speaking", portal(PortalState::Speaking(mara()))),
        ("portal_silent", portal(PortalState::Silent(zoe()))),
        (
            "portal_stats",
            portal(PortalState::Stats(PortalStats {
                participants: vec![
                    ParticipantStats {
                        id: mara().id,
                        peer: mara().peer,
                        name: mara().name,
                        side: Side::World,
                        level: Some(-23.5),
                        speaking: true,
                        packets: 250,
                        lost: 2,
                        concealed_ms: 60,
                        delay_ms: 40,
                        jitter_ms: 4,
                        drift_ppm: -120,
                        path: "passthrough".into(),
                        dropped: 1,
                    },
                    ParticipantStats {
                        id: zoe().id,
                        peer: zoe().peer,
                        name: zoe().name,
                        side: Side::Discord,
                        level: None,
                        speaking: false,
                        packets: 0,
                        lost: 0,
                        concealed_ms: 0,
                        delay_ms: 0,
                        jitter_ms: 0,
                        drift_ppm: 0,
                        path: "unheard".into(),
                        dropped: 0,
                    },
                ],
                peers: vec![PeerJoined {
                    peer: 7,
                    name: "Shard 7".into(),
                    role: "peer".into(),
                    subject: "shard-7".into(),
                    kind: "peer".into(),
                    world: true,
                }],
                to_discord: 250,
                from_discord: 500,
                dropped: 1,
                cameras: vec![CameraStats {
                    id: "world:shard-7".into(),
                    peer: 7,
                    name: "Shard 7".into(),
                    on_air: true,
                    codec: Some("VP8".into()),
                    layers: 2,
                    bits: 1_800_000,
                    packets: 900,
                    keyframes: 3,
                    asked: 2,
                    dropped: 1,
                }],
                viewers: vec![ViewerStats {
                    id: "world:ada".into(),
                    peer: 8,
                    name: "Ada".into(),
                    camera: Some(7),
                    bits: 1_500_000,
                    packets: 700,
                    again: 4,
                    congested: 1,
                }],
                discord_video: Some(DiscordVideoStats {
                    codec: Some("H264".into()),
                    watched: true,
                    camera: Some(7),
                    frames: 150,
                    keyframes: 3,
                    dropped: 2,
                }),
            })),
        ),
        (
            "portal_on_air",
            portal(PortalState::OnAir(PortalOnAir { peer: Some(7) })),
        ),
        (
            "portal_still",
            FromBridge::Still {
                portal: "lobby".into(),
                picture: b"\xFF\xD8\xFF\xD9".into(),
            },
        ),
        (
            "clip",
            FromBridge::Clip {
                id: CLIP,
                info: ClipInfo {
                    length: 29_960,
                    cut: true,
                    more: true,
                    reason: None,
                },
                mp4: b"\0\0\0 ftyp".into(),
            },
        ),
        (
            "clip_none",
            FromBridge::Clip {
                id: CLIP,
                info: ClipInfo {
                    reason: Some(NoClip::Jpeg),
                    ..ClipInfo::default()
                },
                mp4: b"".into(),
            },
        ),
        (
            "request",
            FromBridge::Request {
                id: REQUEST,
                head: RequestHead {
                    method: "POST".into(),
                    path: "notify/b%C3%BC".into(),
                    query: "wait=5".into(),
                    headers: vec![
                        ("host".into(), "uro.example".into()),
                        ("content-type".into(), "text/plain".into()),
                    ],
                    peer: "2001:db8::1".into(),
                },
            },
        ),
        (
            "body",
            FromBridge::Body {
                id: REQUEST,
                body: b"\x00\xFF\xFEna\xC3\xAFve".into(),
            },
        ),
        ("gone", FromBridge::Gone(REQUEST)),
        (
            "refused",
            FromBridge::Refused {
                part: "presence".into(),
                reason: "activities[0].name: 129 characters, Discord takes 128".into(),
            },
        ),
        (
            "log",
            FromBridge::Log {
                level: Level::Warning,
                target: "uro_discord_bridge::bridge".into(),
                message: "refused a part of the desired state".into(),
                fields: Map::from_iter([
                    ("part".into(), "presence".into()),
                    ("reason".into(), "activities: 日本語".into()),
                    ("shard".into(), 3.into()),
                    ("late".into(), true.into()),
                    ("after_s".into(), 0.5.into()),
                ]),
            },
        ),
        ("pong", FromBridge::Pong(&any)),
    ]);

    expected.extend(voice_updates().map(|(name, update)| {
        let guild = snowflake(1_300_000_000_000_000_100);
        (name, FromBridge::VoiceUpdate { guild, update })
    }));

    assert!(
        golden.keys().eq(expected.keys()),
        "a file without a test, or a test without a file"
    );
    for (name, message) in &expected {
        let decoded = FromBridge::decode(&golden[*name]).unwrap();
        assert_eq!(comparable(&decoded), comparable(message), "{name}");
        let mut again = Vec::new();
        message.encode(&mut again).unwrap();
        let again = FromBridge::decode(&again).unwrap();
        assert_eq!(comparable(&again), comparable(message), "{name}");
    }
}

/// An event's JSON text may order its keys as it likes.
fn comparable<'a>(message: &FromBridge<'a>) -> (FromBridge<'a>, Option<Value>) {
    match message.clone() {
        FromBridge::Event {
            shard,
            session,
            sequence,
            kind,
            data,
        } => {
            let value = serde_json::from_str(&data).unwrap();
            let data = "".into();
            (
                FromBridge::Event {
                    shard,
                    session,
                    sequence,
                    kind,
                    data,
                },
                Some(value),
            )
        }
        other => (other, None),
    }
}
