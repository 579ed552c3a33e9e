//! aiortc in a portal: WebRTC in Python over OpenSSL and libsrtp.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use support::{
    ANN, BAD, CLEAR, GUEST, MENDED,
    client::{Client, program, variable},
    relay::Conditions,
    server::Server,
};
use tokio::process::Command;
use uro_discord_portal::token::Role;
use uro_portal_peer::{signal::share, source::from_pcm};

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn with_a_certificate_of_ecdsa() {
    talk("ecdsa", None, CLEAR).await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn with_a_certificate_of_rsa() {
    talk("rsa", None, CLEAR).await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn on_a_bad_network() {
    talk("ecdsa", Some(BAD), MENDED).await;
}

async fn talk(certificate: &str, network: Option<Conditions>, least: f64) {
    let server = Server::start(network).await;
    let call = server.open("lobby", &[ANN]);
    let mut command = Command::new(variable("URO_DISCORD_PYTHON"));
    command
        .arg(program("portal_aiortc.py"))
        .arg(certificate)
        .env("URO_PORTAL_TOKEN", server.token("lobby", Role::Peer));
    let mut guest = Client::start(&mut command);
    let url = format!("{}/peer", server.url("lobby"));
    guest
        .ask(json!({"do": "join", "url": url, "hertz": GUEST}), "joined")
        .await;
    call.hears(GUEST, least).await;
    let hears = |heard: &Value| {
        let samples = STANDARD.decode(heard["samples"].as_str().unwrap()).unwrap();
        share(&from_pcm(&samples), ANN.hertz.unwrap()) > least
    };
    guest.until(json!({"do": "hear"}), "heard", hears).await;
    guest.ask(json!({"do": "leave"}), "left").await;
    call.left().await;
    guest.succeeds().await;
}
