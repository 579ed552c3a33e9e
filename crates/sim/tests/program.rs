//! The program `discord-sim`: what it prints, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{process::Stdio, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use support::soon;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

async fn start(arguments: &[&str]) -> (Child, Value, BufReader<ChildStdout>) {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_discord-sim"))
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(sim.stdout.take().unwrap());
    let mut line = String::new();
    soon(stdout.read_line(&mut line)).await.unwrap();
    (sim, serde_json::from_str(&line).unwrap(), stdout)
}

/// The program ended by itself, and said nothing more.
async fn ended(mut sim: Child, mut stdout: BufReader<ChildStdout>) {
    let status = soon(sim.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn it_prints_where_it_is_and_ends_with_stdin() {
    let (mut sim, info, stdout) = start(&["--until-stdin-closes"]).await;
    let text = |key: &str| {
        info[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key} in {info}"))
    };
    assert!(text("api").starts_with("http://127.0.0.1:") && text("api").ends_with("/api/v10"));
    assert!(text("gateway").starts_with("ws://127.0.0.1:"));
    assert!(text("page").starts_with("http://") && text("control").starts_with("http://"));
    assert!(info.get("ca_file").is_none());
    let parts: Vec<&str> = text("token").split('.').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(
        URL_SAFE_NO_PAD.decode(parts[0]).unwrap(),
        text("application_id").as_bytes()
    );
    assert_eq!(text("public_key").len(), 64);
    assert!(text("client_secret").len() >= 32);
    for channel in ["announcements", "status", "world", "builds", "general"] {
        assert!(info["channels"][channel].is_string(), "{channel}");
    }
    assert_eq!(info["users"]["uro"]["token"], info["token"]);
    drop(sim.stdin.take());
    ended(sim, stdout).await;
}

#[tokio::test]
async fn it_has_as_many_channels_as_told() {
    let (mut sim, info, stdout) = start(&["--until-stdin-closes", "--channels", "20"]).await;
    for number in 1..=20 {
        assert!(info["channels"][format!("channel-{number}")].is_string());
    }
    assert!(info["channels"].get("channel-21").is_none());
    drop(sim.stdin.take());
    ended(sim, stdout).await;
}

#[tokio::test]
async fn it_ends_on_sigterm() {
    let (sim, _, stdout) = start(&[]).await;
    let pid = sim.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    ended(sim, stdout).await;
}

#[tokio::test]
async fn with_tls_its_authority_vouches_for_it() {
    let (mut sim, info, stdout) = start(&["--tls", "--until-stdin-closes"]).await;
    let address = info["api"]
        .as_str()
        .unwrap()
        .strip_prefix("https://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    assert_eq!(info["gateway"], format!("wss://{address}/gateway"));
    let ca_file = info["ca_file"].as_str().unwrap();

    for name in ["localhost", "127.0.0.1"] {
        let mut stream = connect(ca_file, address, name).await;
        let request = format!(
            "GET /api/v10/gateway HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK")
                && answer.contains(info["gateway"].as_str().unwrap()),
            "{answer}"
        );
    }
    let stream = connect(ca_file, address, "localhost").await;
    let url = format!("{}/?v=10&encoding=json", info["gateway"].as_str().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let hello = soon(socket.next()).await.unwrap().unwrap();
    assert!(hello.to_text().unwrap().contains("heartbeat_interval"));

    drop(sim.stdin.take());
    ended(sim, stdout).await;
    assert!(
        !std::path::Path::new(ca_file).exists(),
        "it leaves nothing behind"
    );
}

#[tokio::test]
async fn tls_beside_is_on_the_same_port() {
    let (mut sim, info, stdout) = start(&["--tls-beside", "--until-stdin-closes"]).await;
    let api = info["api"].as_str().unwrap();
    let address = api.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap();
    let request =
        format!("GET /api/v10/gateway HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut with_tls = connect(info["ca_file"].as_str().unwrap(), address, "127.0.0.1").await;
    let mut without = TcpStream::connect(address).await.unwrap();
    with_tls.write_all(request.as_bytes()).await.unwrap();
    without.write_all(request.as_bytes()).await.unwrap();
    let (mut one, mut other) = (String::new(), String::new());
    soon(with_tls.read_to_string(&mut one)).await.unwrap();
    soon(without.read_to_string(&mut other)).await.unwrap();
    for answer in [one, other] {
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    drop(sim.stdin.take());
    ended(sim, stdout).await;
}

async fn connect(ca_file: &str, address: &str, name: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca_file).unwrap())
        .unwrap();
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}
