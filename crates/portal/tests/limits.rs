//! What a peer may send, over real sockets: more is dropped, whoever goes on is sent away, and others notice nothing.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::client::{Client, Plan};
use common::{World, open, token};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::interval;
use uro_discord_portal::token::Role;
use uro_discord_portal::{Left, Limits, Participant, PeerId, PortalEvent, Source};

/// A peer that speaks by a track and has data channels.
async fn peer(world: &mut World, subject: &str) -> (Client, PeerId) {
    let plan = Plan {
        token: token(Role::Peer, subject),
        audio: "sendonly",
        channels: true,
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.opened().await;
    client.say(&json!({
        "type": "hello", "proto": 1, "role": "world", "listens": "nothing",
        "voice": {"codec": "opus", "frame_ms": 20, "channels": 2, "rate": 48000}
    }));
    let id = world.joined().await;
    (client, id)
}

/// So many packets at once, of so many bytes each: how many of them came to the room, and how long the peer has been there.
async fn burst(limits: Limits, packets: u16, bytes: usize) -> (u64, f64) {
    let mut world = open("127.0.0.1:0", limits);
    let (mut other, _) = peer(&mut world, "other").await;
    let began = Instant::now();
    let (loud, id) = peer(&mut world, "loud").await;
    for number in 0..packets {
        loud.rtp(number, u32::from(number) * 960, vec![0xfc; bytes]);
    }
    loud.sent().await;
    // What comes after them is answered after them.
    other.echo().await;
    let status = world.portal.status().await.unwrap();
    let source = Source {
        peer: id,
        sender: 0,
    };
    let mut participants = status.participants.iter();
    let loud = participants.find(|one| one.participant == Participant::World(source));
    (loud.unwrap().packets, began.elapsed().as_secs_f64())
}

#[tokio::test]
async fn packets_beyond_the_limit_are_dropped() {
    let limits = Limits {
        packets: 60,
        ..Limits::default()
    };
    let (came, seconds) = burst(limits, 400, 80).await;
    let most = 60.0 * (1.0 + seconds);
    assert!(
        (5.0..=most).contains(&(came as f64)),
        "{came} in {seconds} s"
    );
}

#[tokio::test]
async fn bytes_beyond_the_limit_are_dropped() {
    let limits = Limits {
        bits: 8 * 20_000,
        ..Limits::default()
    };
    let (came, seconds) = burst(limits, 200, 1_000).await;
    let most = 20.0 * (1.0 + seconds);
    assert!(
        (5.0..=most).contains(&(came as f64)),
        "{came} in {seconds} s"
    );
}

#[tokio::test]
async fn who_goes_on_is_sent_away_and_others_stay() {
    let limits = Limits {
        packets: 100,
        ..Limits::default()
    };
    let mut world = open("127.0.0.1:0", limits);
    let (mut other, _) = peer(&mut world, "other").await;
    let (loud, id) = peer(&mut world, "loud").await;
    let flood = async {
        let mut pace = interval(Duration::from_millis(5));
        for number in 0.. {
            // Twenty times what it may send.
            if number % 10 == 0 {
                pace.tick().await;
            }
            loud.rtp(number, u32::from(number) * 960, vec![0xfc; 80]);
        }
    };
    let left = world.event(|event| match event {
        PortalEvent::PeerLeft { peer, reason } => Some((peer, reason)),
        _ => None,
    });
    let left = tokio::select! {
        left = left => left,
        () = flood => unreachable!("it has no end"),
    };
    assert_eq!(left, (id, Left::TooMuch));
    other.echo().await;
}
