//! Chromium in a portal: a page with a microphone and a loudspeaker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{
    ANN, BAD, CLEAR, GUEST, MENDED,
    client::{Client, browser},
    relay::Conditions,
    server::Server,
};
use uro_discord_portal::token::Role;

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
    let mut command = browser(&format!("{}/page", server.origin), &microphone);
    // ICE leaves loopback out otherwise.
    command.arg("--allow-loopback-in-peer-connection");
    let mut guest = Client::start(&mut command);
    let url = format!("{}/peer", server.url("lobby"));
    let token = server.token("lobby", Role::Peer);
    guest
        .ask(json!({"do": "join", "url": url, "token": token}), "joined")
        .await;
    call.hears(GUEST, least).await;
    let hears = |heard: &Value| {
        let hertz = heard["hertz"].as_f64().unwrap_or_default();
        let above = heard["above"].as_f64().unwrap_or_default();
        (hertz - ANN.hertz.unwrap()).abs() < 2.0 * BIN && above > 10.0
    };
    guest.until(json!({"do": "hear"}), "heard", hears).await;
    guest.ask(json!({"do": "leave"}), "left").await;
    call.left().await;
    guest.succeeds().await;
}
