//! Voice both ways over real sockets: from a publisher's track to Discord's frames, and from Discord to a track and to a data channel.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use bytes::Bytes;
use common::client::{Client, Plan, Seen};
use common::{PATIENCE, World, open, token};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};
use uro_discord_opus::{Application, Decoder, Encoder};
use uro_discord_portal::token::Role;
use uro_discord_portal::{DiscordMember, Happened, Limits, Packet, Portal, Sequence};

const LOOPBACK: &str = "127.0.0.1:0";
const FRAME: Duration = Duration::from_millis(20);
const USER: u64 = 1_234_567_890_123_456_789;

/// A tone in packets of 20 ms, as many as are asked for.
fn tone(hertz: f32) -> impl Iterator<Item = Bytes> {
    let mut encoder = Encoder::new(2, Application::Audio, 64_000, 5).unwrap();
    let mut time = 0_u16;
    std::iter::from_fn(move || {
        let mut pcm = Vec::with_capacity(1920);
        for _ in 0..960 {
            let angle = f32::from(time) / 48_000.0 * hertz * std::f32::consts::TAU;
            time = (time + 1) % 48_000;
            pcm.extend([angle.sin() * 0.3; 2]);
        }
        let mut packet = [0; 1500];
        let length = encoder.encode(&pcm, &mut packet).unwrap();
        Some(Bytes::copy_from_slice(&packet[..length]))
    })
}

/// How often a tone that was decoded crosses zero upwards in a second.
fn hertz(packets: &[Bytes]) -> f32 {
    let mut decoder = Decoder::new(2).unwrap();
    let mut left: Vec<f32> = Vec::new();
    for packet in packets {
        let mut pcm = [0.0; 1920];
        let samples = decoder.decode(packet, &mut pcm).unwrap();
        left.extend(pcm[..samples * 2].iter().step_by(2));
    }
    // What the decoder needs to begin is left out.
    let steady = &left[left.len() / 3..];
    let crossings = steady.windows(2).filter(|it| it[0] < 0.0 && it[1] >= 0.0);
    crossings.count() as f32 * 48_000.0 / steady.len() as f32
}

fn packet(number: usize, payload: Bytes) -> Packet {
    Packet {
        sequence: Sequence::Rtp(number as u16),
        time: Some(number as u32 * 960),
        payload,
    }
}

/// Speaks in the call until `heard` has ended.
async fn speak<T>(portal: &Portal, heard: impl Future<Output = T>) -> T {
    let member = DiscordMember {
        name: "Ann".into(),
        bot: false,
    };
    portal.discord_joined(USER, member);
    let speaking = async {
        let mut tick = interval(FRAME);
        for (number, payload) in tone(440.0).enumerate() {
            tick.tick().await;
            portal.from_discord(USER, packet(number, payload));
        }
        unreachable!("a tone does not end");
    };
    let both = async {
        tokio::select! {
            heard = heard => heard,
            () = speaking => unreachable!(),
        }
    };
    timeout(PATIENCE, both).await.unwrap()
}

#[tokio::test]
async fn a_publishers_track_comes_to_discord() {
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        kind: "whip",
        token: token(Role::Publish, "user:1"),
        audio: "sendonly",
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.connected().await;
    world.joined().await;
    let mut sent = Vec::new();
    let mut frames: Vec<Bytes> = Vec::new();
    let mut tick = interval(FRAME);
    let mut spoken = tone(440.0).enumerate();
    let until = Instant::now() + PATIENCE;
    // One who speaks alone is not touched, but where a busy machine was late.
    let untouched =
        |frames: &[Bytes], sent: &[Bytes]| frames.iter().filter(|it| sent.contains(it)).count();
    while untouched(&frames, &sent) < 40 {
        assert!(Instant::now() < until, "{} frames came", frames.len());
        tokio::select! {
            _ = tick.tick() => {
                let (number, payload) = spoken.next().unwrap();
                client.rtp(number as u16, number as u32 * 960, payload.clone());
                sent.push(payload);
            }
            happened = world.portal.next() => {
                if let Happened::Frame(frame) = happened.unwrap() {
                    frames.push(frame);
                }
            }
        }
    }
    let heard = hertz(&frames);
    assert!((430.0..450.0).contains(&heard), "{heard}");
    let status = world.portal.status().await.unwrap();
    assert!(status.to_discord >= 40);
    assert_eq!(status.participants.len(), 1);
}

#[tokio::test]
async fn discord_is_heard_on_a_track() {
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        kind: "whep",
        token: token(Role::Watch, "user:1"),
        audio: "recvonly",
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.connected().await;
    world.joined().await;
    let heard = async {
        let mut packets = Vec::new();
        while packets.len() < 40 {
            packets.push(
                client
                    .see(|seen| match seen {
                        Seen::Rtp(packet) => Some(packet),
                        _ => None,
                    })
                    .await,
            );
        }
        packets
    };
    let packets = speak(&world.portal, heard).await;
    for pair in packets.windows(2) {
        let (one, next) = (&pair[0].header, &pair[1].header);
        assert_eq!(next.sequence_number, one.sequence_number.wrapping_add(1));
        assert_eq!(next.timestamp, one.timestamp.wrapping_add(960));
        assert_eq!((next.ssrc, next.payload_type), (one.ssrc, 111));
        assert!(next.extensions.is_empty());
    }
    let payloads: Vec<Bytes> = packets.into_iter().map(|packet| packet.payload).collect();
    let heard = hertz(&payloads);
    assert!((430.0..450.0).contains(&heard), "{heard}");
}

#[tokio::test]
async fn each_of_discord_is_heard_on_a_data_channel() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = listener(&mut world).await;
    let heard = async {
        let (mut speaker, mut spoke) = (None, false);
        let mut packets: Vec<(u32, Bytes)> = Vec::new();
        while packets.len() < 40 || speaker.is_none() || !spoke {
            let seen = client.see(Some).await;
            match seen {
                Seen::Text(text) => {
                    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
                    if said["type"] == "roster" && said["speakers"][0]["name"] == "Ann" {
                        assert_eq!(said["speakers"][0]["user"], USER.to_string());
                        speaker = said["speakers"][0]["id"].as_u64();
                    }
                    spoke |= said["type"] == "speaking" && said["speaking"] == true;
                }
                Seen::Bytes(bytes) => {
                    assert_eq!(bytes[0], 9);
                    let sender = u32::from_le_bytes(bytes[1..5].try_into().unwrap());
                    let size = u16::from_le_bytes(bytes[8..10].try_into().unwrap());
                    assert_eq!(bytes.len(), 10 + usize::from(size));
                    packets.push((sender, bytes.slice(10..)));
                }
                _ => {}
            }
        }
        (speaker.unwrap(), packets)
    };
    let (speaker, packets) = speak(&world.portal, heard).await;
    assert!(
        packets
            .iter()
            .all(|(sender, _)| u64::from(*sender) == speaker)
    );
    let payloads: Vec<Bytes> = packets.into_iter().map(|(_, payload)| payload).collect();
    let heard = hertz(&payloads);
    assert!((430.0..450.0).contains(&heard), "{heard}");
}

#[tokio::test]
async fn who_comes_while_somebody_speaks_is_told_so() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut first = listener(&mut world).await;
    let routes = world.routes.clone();
    let told = async {
        let speaks = |seen| match seen {
            Seen::Text(text) => text.contains(r#""speaking":true"#).then_some(()),
            _ => None,
        };
        first.see(speaks).await;
        // From here on there is no change.
        let mut second = Client::connect(&routes, hears_each("world:2")).await;
        second.opened().await;
        second.say(&hello("listener", "each"));
        let mut told = Vec::new();
        while told.len() < 3 {
            let text = second.see(|seen| match seen {
                Seen::Text(text) => Some(text),
                _ => None,
            });
            let said: serde_json::Value = serde_json::from_str(&text.await).unwrap();
            told.push(said);
        }
        told
    };
    let told = speak(&world.portal, told).await;
    assert_eq!(told[0]["type"], "welcome");
    assert_eq!(told[1]["type"], "roster");
    let id = &told[1]["speakers"][0]["id"];
    assert_eq!(
        told[2],
        json!({"type": "speaking", "id": id, "speaking": true})
    );
}

fn hears_each(subject: &str) -> Plan<'_> {
    Plan {
        token: token(Role::Peer, subject),
        channels: true,
        ..Plan::default()
    }
}

fn hello(role: &str, listens: &str) -> serde_json::Value {
    json!({
        "type": "hello", "proto": 1, "role": role, "listens": listens,
        "voice": {"codec": "opus", "frame_ms": 20, "channels": 2, "rate": 48000}
    })
}

/// A peer with data channels that hears each of Discord's.
async fn listener(world: &mut World) -> Client {
    let mut client = Client::connect(&world.routes, hears_each("world:1")).await;
    client.opened().await;
    client.say(&hello("listener", "each"));
    world.joined().await;
    client
}

/// A world forwards its players' packets as V-Sekai has them.
#[tokio::test]
async fn a_worlds_players_come_to_discord() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = Client::connect(&world.routes, hears_each("world:1")).await;
    client.opened().await;
    client.say(&hello("world", "nothing"));
    client.say(&json!({"type": "name", "sender": 7, "name": "Player"}));
    world.joined().await;
    let mut frames = Vec::new();
    let mut tick = interval(FRAME);
    let mut spoken = tone(440.0).enumerate();
    let until = Instant::now() + PATIENCE;
    while frames.len() < 40 {
        assert!(Instant::now() < until, "{} frames came", frames.len());
        tokio::select! {
            _ = tick.tick() => {
                let (number, payload) = spoken.next().unwrap();
                let mut message = vec![9, 7, 0, 0, 0];
                message.extend(&(number as u32).to_le_bytes()[..3]);
                message.extend((payload.len() as u16).to_le_bytes());
                message.extend(&payload);
                client.voice(message);
            }
            happened = world.portal.next() => {
                if let Happened::Frame(frame) = happened.unwrap() {
                    frames.push(frame);
                }
            }
        }
    }
    let heard = hertz(&frames);
    assert!((430.0..450.0).contains(&heard), "{heard}");
    let status = world.portal.status().await.unwrap();
    assert!(status.participants.iter().any(|it| it.name == "Player"));
}
