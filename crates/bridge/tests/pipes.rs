//! The program and its pipes: hello, errors, the end.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::sim::Discord;
use support::{Bridge, patiently};
use tokio::io::AsyncWriteExt as _;
use uro_discord_wire::{FromBridge, GatewayState, Level, Panicked, ToBridge, VERSION, frame};

#[tokio::test]
async fn says_hello_first_and_ends_with_stdin() {
    let mut bridge = Bridge::start();
    let pid = bridge.os_pid();
    match bridge.next().await.decode() {
        FromBridge::Hello { version, bridge } => {
            assert_eq!((version, bridge.os_pid), (VERSION, pid));
            assert_eq!(bridge.bridge, env!("CARGO_PKG_VERSION"));
        }
        other => panic!("{other:?}"),
    }
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.logs(Level::Error), [""; 0]);
}

#[tokio::test]
async fn ends_when_it_is_told_to_and_what_it_says_last_is_heard() {
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"presence": {"status": "asleep", "activities": []}}))
        .await;
    bridge.say(&ToBridge::Stop).await;
    let ended = bridge.ended().await;
    assert_eq!(ended.code(), Some(0));
    assert_eq!(
        ended.logs(Level::Warning),
        ["refused a part of the desired state"]
    );
    assert_eq!(ended.log[0].fields["part"], "presence");
    assert_eq!(ended.log[0].target, "uro_discord_bridge::bridge");
}

#[tokio::test]
async fn a_version_that_is_two_apart_is_told_and_not_served() {
    for version in [VERSION - 2, VERSION + 2] {
        let mut bridge = Bridge::start();
        bridge.hello(version).await;
        let ended = bridge.ended().await;
        assert_eq!(ended.code(), Some(76));
        let errors = ended.logs(Level::Error);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let said = format!("version {version}");
        assert!(errors[0].contains(&said), "{errors:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_ends_it_with_one_error() {
    let hello = {
        let mut bytes = Vec::new();
        let library = uro_discord_wire::Library {
            library: "0.1.0".into(),
        };
        let message = ToBridge::Hello {
            version: VERSION,
            library,
        };
        frame::append(&mut bytes, |out| message.encode(out)).unwrap();
        bytes
    };
    let after_hello = |bytes: &[u8]| [&hello, bytes].concat();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "garbage for a term",
            after_hello(b"\0\0\0\x04\xde\xad\xbe\xef"),
            "version byte is 222",
        ),
        ("an empty frame", after_hello(&[0; 4]), "cut short"),
        ("a line of text", after_hello(b"hello?\n"), "over the limit"),
        (
            "the longest length",
            after_hello(&[0xFF; 4]),
            "4294967295 bytes is over the limit",
        ),
        (
            "a byte over the limit",
            after_hello(&[1, 0, 0, 1]),
            "16777217 bytes is over the limit",
        ),
        (
            "an unknown message",
            after_hello(b"\0\0\0\x0a\x83\x68\x02\x77\x04dance\x6a"),
            "there is no message",
        ),
        (
            "a second hello",
            after_hello(&hello),
            "first one must be hello",
        ),
        (
            "no hello",
            b"\0\0\0\x0a\x83\x68\x02\x77\x04ping\x6a".to_vec(),
            "first one must be hello",
        ),
    ];
    for (name, bytes, reason) in cases {
        let mut bridge = Bridge::start();
        bridge.stdin.write_all(&bytes).await.unwrap();
        // Its stdin stays open: it must end by itself.
        let ended = bridge.ended().await;
        let errors = ended.logs(Level::Error);
        assert_eq!(ended.code(), Some(65), "{name}: {errors:?}");
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].contains(reason), "{name}: {errors:?}");
    }
}

#[tokio::test]
async fn a_frame_that_is_cut_short_is_an_error_too() {
    for part in [&[0, 0][..], &[0, 0, 0, 9, 131]] {
        let mut bridge = Bridge::greeted().await;
        bridge.stdin.write_all(part).await.unwrap();
        let ended = bridge.close().await;
        assert_eq!(ended.code(), Some(65));
        assert_eq!(ended.logs(Level::Error).len(), 1);
        assert!(ended.logs(Level::Error)[0].contains(&format!("after {} bytes", part.len())));
    }
}

#[test]
fn a_person_who_starts_it_is_told_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_uro-discord-bridge"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("started by UroDiscord"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

#[tokio::test]
async fn pings_come_back_in_order_whatever_they_hold() {
    let mut bridge = Bridge::greeted().await;
    let mut random = fastrand::Rng::with_seed(3);
    let binary = |length: usize, random: &mut fastrand::Rng| {
        let mut term = vec![109];
        term.extend(u32::try_from(length).unwrap().to_be_bytes());
        term.resize_with(5 + length, || random.u8(..));
        term
    };
    let mut terms: Vec<Vec<u8>> = (0..500)
        .map(|_| binary([0, 1, 1024, 70_000][random.usize(0..4)], &mut random))
        .collect();
    // The longest that fits: a ping's head is 10 bytes.
    terms.push(binary(frame::MAX_LENGTH - 10 - 5, &mut random));
    terms.push(binary(1, &mut random));
    let mut bytes = Vec::new();
    for term in &terms {
        frame::append(&mut bytes, |out| ToBridge::Ping(term).encode(out)).unwrap();
    }
    let Bridge { stdin, frames, .. } = &mut bridge;
    let say = async { stdin.write_all(&bytes).await.unwrap() };
    let hear = async {
        for term in &terms {
            assert!(frames.next().await.decode() == FromBridge::Pong(term));
        }
    };
    tokio::join!(say, hear);
    assert_eq!(bridge.close().await.code(), Some(0));
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_no_memory_and_cannot_hold_the_end_up() {
    let mut bridge = Bridge::greeted().await;
    let mut ping = Vec::new();
    let term = [&[109, 0, 1, 0, 0][..], &[0; 65_536]].concat();
    frame::append(&mut ping, |out| ToBridge::Ping(&term).encode(out)).unwrap();
    // Until the bridge stops reading: its own room is full, and both pipes are.
    let mut written = 0;
    while let Ok(result) = tokio::time::timeout(
        Duration::from_millis(500),
        bridge.stdin.write(&ping[written % ping.len()..]),
    )
    .await
    {
        written += result.unwrap();
        assert!(written < 64 << 20, "the bridge reads on and on");
    }
    assert!(written > 1 << 20, "it stopped after {written} bytes");
    let memory = bridge.peak_memory();
    assert!(memory < 24 << 20, "{memory} bytes");

    let start = Instant::now();
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn it_ends_when_nobody_hears_it_any_more() {
    let bridge = Bridge::greeted().await;
    let Bridge {
        mut process,
        mut stdin,
        frames,
        ..
    } = bridge;
    drop(frames);
    let mut ping = Vec::new();
    frame::append(&mut ping, |out| ToBridge::Ping(b"\x6a").encode(out)).unwrap();
    stdin.write_all(&ping).await.unwrap();
    let status = patiently("the end", process.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_within_a_second_with_a_gateway_open() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": null}))
        .await;
    let session = bridge.active().await;
    let start = Instant::now();
    let ended = bridge.close().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
    // The session is left so that it can be resumed.
    let disconnect = discord.logged("disconnect").await;
    assert_eq!(disconnect["code"], 4000, "{disconnect}");
    let sessions = discord.get("gateway").await["sessions"].clone();
    assert_eq!(sessions[0]["id"], session.as_str(), "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_logs_is_told_and_holds_no_token() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::with_log("trace").await;
    bridge
        .desire(json!({"gateway": discord.gateway(&["GUILD_CREATE"]), "presence": null}))
        .await;
    bridge.active().await;
    let ended = bridge.close().await;
    assert!(
        ended.logs(Level::Info).contains(&"gateway active"),
        "{:?}",
        ended.log
    );
    assert!(
        ended
            .log
            .iter()
            .any(|line| line.level == Level::Debug && line.target.starts_with("twilight")),
        "trace shows what twilight does"
    );
    let secret = discord.info().token.rsplit('.').next().unwrap();
    assert!(secret.len() > 10 && !format!("{:?}", ended.log).contains(secret));
    assert_eq!(ended.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shards_panic_costs_its_connection_and_no_more() {
    // twilight panics on a heartbeat interval of nothing, which Discord never sends.
    let discord = Discord::start().await;
    discord
        .post("settings", json!({"heartbeat_interval_ms": 0}))
        .await;
    let mut bridge = Bridge::greeted().await;
    let begun = Instant::now();
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": null}))
        .await;
    for panics in 1..=2 {
        let what = bridge.until(|message| match message {
            FromBridge::Panic(what) => Some(what),
            _ => None,
        });
        let what = patiently("a panic", what).await;
        assert_eq!(what, Panicked::Shard(0));
        assert!(matches!(
            bridge.state().await,
            GatewayState::Disconnected(closed) if closed.reason.contains("panicked")
        ));
        // A connection that was lost is opened again at once; what panics again and again has to leave its thread to others.
        while !matches!(bridge.state().await, GatewayState::Connecting) {}
        // From the beginning: a busy machine may tell of a panic late.
        let paused = begun.elapsed();
        assert!(paused >= panics * Duration::from_millis(250), "{paused:?}");
    }
    discord
        .post("settings", json!({"heartbeat_interval_ms": 41_250}))
        .await;
    // In the same process.
    while !matches!(bridge.state().await, GatewayState::Active(_)) {}
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
    let errors = ended.logs(Level::Error);
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(
        errors.iter().all(|error| error.starts_with("panicked: ")),
        "{errors:?}"
    );
    assert!(ended.stderr.contains("panicked at"), "{}", ended.stderr);
}

#[tokio::test]
async fn more_lines_than_a_person_reads_hold_nothing_up_and_are_counted() {
    let mut bridge = Bridge::greeted().await;
    // Each refused part is a line of its log.
    for _ in 0..5_000 {
        bridge
            .desire(json!({"presence": {"status": "asleep", "activities": []}}))
            .await;
        bridge.next().await;
    }
    let start = Instant::now();
    let ended = bridge.close().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(ended.code(), Some(0));
    let lost: u64 = ended
        .log
        .iter()
        .filter_map(|line| line.fields.get("lost")?.as_u64())
        .sum();
    let told = ended
        .log
        .iter()
        .filter(|line| line.fields.contains_key("part"))
        .count();
    assert_eq!(told as u64 + lost, 5_000);
    assert!(lost > 0, "{told} lines");
}

/// Set in the process that is to be stuck.
const STUCK: &str = "URO_DISCORD_TEST_STUCK";

/// Run by the test below in a process of its own, which never ends by itself.
#[test]
fn stuck() {
    if std::env::var_os(STUCK).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _transport = runtime.block_on(async { uro_discord_bridge::stdio::open().unwrap() });
    loop {
        std::thread::park();
    }
}

#[test]
fn a_process_that_is_stuck_ends_with_its_stdin() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stuck", "--nocapture"])
        .env(STUCK, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The test's own words on stdout tell that it has begun.
    let mut begun = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    while !begun.contains("running 1 test") {
        assert_ne!(stdout.read_line(&mut begun).unwrap(), 0, "{begun}");
    }
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(70), "{stderr}");
    assert!(stderr.contains("did not end within"), "{stderr}");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}
