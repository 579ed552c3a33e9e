#![allow(clippy::unwrap_used)]

use super::*;
use crate::hearing::Hearing;
use crate::voice::DesiredVoiceStates;
use discord_sim::{Options, Sim, TlsMode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uro_discord_wire::{FromBridge, GatewayState, Panicked};

fn at(url: &str, token: &str) -> Arc<Gateway> {
    let gateway = serde_json::json!({"token": token, "intents": 1, "url": url, "shards": 1});
    Arc::new(serde_json::from_value(gateway).unwrap())
}

/// Elixir cannot have this address: [`Desired::take`] refuses it, because twilight panics on it.
const PANICS: &str = "ws://no host";

#[tokio::test]
async fn a_panic_ends_a_connection_which_is_opened_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = Sim::start(Options {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: TlsMode::Off,
        channels: 0,
        bots: 0,
    })
    .await
    .unwrap();
    let token = &sim.info().token;
    let outbox = Outbox::default();
    let mut heard = Hearing::new(&outbox);
    let (desired, wanted) = watch::channel(Desired {
        gateway: Some(at(PANICS, token)),
        ..Desired::default()
    });
    desired.send_modify(|desired| desired.lease(60_000));
    let (updates, _updated) = mpsc::channel(1);
    let voice = Voice {
        desired: DesiredVoiceStates::default(),
        updates,
    };
    let events = Events::new(outbox.clone());
    let shards = tokio::spawn(run(Surroundings {
        wanted,
        outbox,
        events,
        voice,
        window: WINDOW,
    }));

    // The first loss is tried again at once, the second after a pause.
    for _ in 0..2 {
        heard.until(waits).await;
        desired.send_modify(|desired| desired.identify(0));
        let what = heard.until(|message| match message {
            FromBridge::Panic(what) => Some(what),
            _ => None,
        });
        assert_eq!(what.await, Panicked::Shard(0));
        let reason = heard.until(|message| match message {
            FromBridge::Gateway {
                state: GatewayState::Disconnected(closed),
                ..
            } => Some(closed.reason),
            _ => None,
        });
        let reason = reason.await;
        assert!(reason.contains("panicked"), "{reason}");
    }
    desired.send_modify(|desired| desired.gateway = Some(at(&sim.info().gateway, token)));
    heard.until(waits).await;
    desired.send_modify(|desired| desired.identify(0));
    heard
        .until(|message| match message {
            FromBridge::Gateway {
                state: GatewayState::Active(_),
                ..
            } => Some(()),
            _ => None,
        })
        .await;
    drop(desired);
    let ended = timeout(Duration::from_secs(5), shards).await.unwrap();
    ended.unwrap().unwrap();
}

fn waits(message: FromBridge<'_>) -> Option<()> {
    match message {
        FromBridge::Gateway {
            state: GatewayState::Waiting,
            ..
        } => Some(()),
        _ => None,
    }
}
