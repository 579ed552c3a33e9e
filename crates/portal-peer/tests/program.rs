//! `uro-portal-peer` as people run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{fs::File, io::BufReader, process::Output};

use support::{ANN, BOB, CLEAR, GUEST, heard::JUDGED, server::Server};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt},
    process::Command,
};
use uro_discord_portal::{PortalEvent, token::Role};
use uro_portal_peer::{codec::Decoder, recording, signal};

fn program(server: &Server, role: Role, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uro-portal-peer"));
    command
        .args(arguments)
        .env("URO_PORTAL_TOKEN", server.token("lobby", role))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(server: &Server, role: Role, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program(server, role, arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn it_publishes_until_ctrl_c_and_says_that_it_leaves() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[]);
    let hertz = format!("{GUEST}");
    let url = server.url("lobby");
    let mut running = program(&server, Role::Publish, &["publish", &url, "--tone", &hertz])
        .spawn()
        .unwrap();
    call.hears(GUEST, CLEAR).await;
    let id = running.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert_eq!(running.wait().await.unwrap().code(), Some(0));
    call.told("that it has left", |event| {
        matches!(event, PortalEvent::PeerLeft { .. })
    })
    .await;
}

#[tokio::test]
async fn what_it_wrote_into_a_file_it_publishes_again() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[ANN]);
    let url = server.url("lobby");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heard.ogg");
    let file = file.to_str().unwrap();
    let (status, said, errors) = output(
        &server,
        Role::Watch,
        &["listen", &url, "--seconds", "2.5", "--write", file],
    )
    .await;
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("the mix"), "{said}");

    let packets = recording::read(BufReader::new(File::open(file).unwrap())).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut samples = Vec::new();
    for (_, packet) in &packets {
        samples.extend(decoder.decode(packet).unwrap());
    }
    assert!(samples.len() > 48_000, "{}", samples.len());
    let pieces = samples.chunks_exact(JUDGED);
    let (all, hers) = (
        pieces.len(),
        pieces
            .filter(|piece| signal::share(piece, ANN.hertz.unwrap()) > CLEAR)
            .count(),
    );
    assert!(hers > all / 2, "{hers} of {all}");

    let arguments = [
        "publish", &url, "--by", "channel", "--file", file, "--repeat",
    ];
    let mut running = program(&server, Role::Peer, &arguments).spawn().unwrap();
    call.hears(ANN.hertz.unwrap(), CLEAR).await;
    running.kill().await.unwrap();
}

#[tokio::test]
async fn it_prints_who_speaks() {
    let server = Server::start(None).await;
    let _call = server.open("lobby", &[ANN, BOB]);
    let url = server.url("lobby");
    let arguments = [
        "listen", &url, "--by", "channel", "--each", "--codec", "pcm",
    ];
    let mut running = program(&server, Role::Peer, &arguments).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(running.stdout.take().unwrap()).lines();
    let read = async {
        let (mut ann, mut bob) = (false, false);
        while let Some(line) = lines.next_line().await.unwrap() {
            ann |= line.starts_with("Ann ") && line.contains(" dB");
            bob |= line.starts_with("Bob ") && line.contains(" dB");
            if ann && bob {
                return true;
            }
        }
        false
    };
    let read = tokio::time::timeout(support::heard::PATIENCE, read).await;
    running.kill().await.unwrap();
    let mut errors = String::new();
    running
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .await
        .unwrap();
    assert_eq!(read, Ok(true), "{errors}");
}

#[tokio::test]
async fn many_come_at_once() {
    let server = Server::start(None).await;
    let _call = server.open("lobby", &[ANN]);
    let url = server.url("lobby");
    // As many as one token lets in.
    let (status, said, errors) = output(
        &server,
        Role::Peer,
        &["load", &url, "--peers", "4", "--seconds", "2"],
    )
    .await;
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("peers       4 of 4"), "{said}");
    let heard = said
        .lines()
        .find(|line| line.starts_with("heard "))
        .unwrap();
    assert!(!heard.contains(" 0 packets,"), "{said}");

    let (status, said, _) = output(
        &server,
        Role::Peer,
        &["load", &url, "--peers", "6", "--seconds", "1"],
    )
    .await;
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("2 could not join"), "{said}");
}

#[tokio::test]
async fn a_link_is_enough() {
    let server = Server::start(None).await;
    let _call = server.open("lobby", &[]);
    let url = server.url("lobby");
    let link = format!("{url}/#{}", server.token("lobby", Role::Watch));
    for (given, expected) in [(&link, 0), (&url, 2)] {
        let mut listens = program(&server, Role::Watch, &["listen", given, "--seconds", "0.1"]);
        let output = listens.env_remove("URO_PORTAL_TOKEN").output().await;
        let Output { status, stderr, .. } = output.unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(expected), "{errors}");
        assert_eq!(errors.contains("there is no token"), expected == 2);
    }
}

#[tokio::test]
async fn its_status_says_what_went_wrong() {
    let server = Server::start(None).await;
    let url = server.url("lobby");
    let nowhere = format!("{url}-nowhere");
    let (status, _, errors) = output(&server, Role::Peer, &["listen", &nowhere]).await;
    assert_eq!(status, Some(3), "{errors}");
    let (status, _, errors) = output(
        &server,
        Role::Peer,
        &["listen", "http://127.0.0.1:1/portal/lobby"],
    )
    .await;
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        errors.contains("Connection refused") && errors.contains("is the address right"),
        "{errors}"
    );
    for arguments in [
        vec!["publish", &url],
        vec!["publish", &url, "--tone", "1"],
        vec!["publish", &url, "--tone", "440", "--codec", "pcm"],
        vec!["listen", &url, "--each"],
        vec!["listen", "lobby"],
        vec![
            "listen",
            &url,
            "--by",
            "channel",
            "--codec",
            "pcm",
            "--write",
            "/tmp/never.ogg",
        ],
    ] {
        let (status, _, errors) = output(&server, Role::Peer, &arguments).await;
        assert_eq!(status, Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with("error: "), "{errors}");
    }
    let (status, said, _) = output(&server, Role::Peer, &["--help"]).await;
    assert_eq!(status, Some(0));
    for word in ["publish", "listen", "load"] {
        assert!(said.contains(word), "{said}");
    }
}
