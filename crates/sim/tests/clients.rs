//! discord.py and discord.js, which know nothing of us, use the simulator as they would use Discord.
//!
//! `test/clients/install` makes the folders that the environment names: `URO_DISCORD_PYTHON`, an interpreter that has
//! discord.py, and `URO_DISCORD_NODE_MODULES`, where discord.js is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs, variable},
};
use tokio::process::Command;

/// A client may take so long for everything.
const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test]
#[ignore = "needs discord.py and discord.js; bin/test installs them"]
async fn discord_py_with_zstd_stream() {
    discord_py("zstd-stream").await;
}

#[tokio::test]
#[ignore = "needs discord.py and discord.js; bin/test installs them"]
async fn discord_py_with_zlib_stream() {
    discord_py("zlib-stream").await;
}

#[tokio::test]
#[ignore = "needs discord.py and discord.js; bin/test installs them"]
async fn discord_js() {
    let mut command = Command::new("node");
    command
        .arg(programs().join("discord_js.mjs"))
        .env("NODE_MODULES", variable("URO_DISCORD_NODE_MODULES"));
    let expected = Expected {
        activity: "with discord.js",
        compression: "none",
        close_code: 1000,
    };
    judge(&expected, command).await;
}

async fn discord_py(compression: &'static str) {
    let mut command = Command::new(variable("URO_DISCORD_PYTHON"));
    command
        .arg(programs().join("discord_py.py"))
        .env("DISCORD_COMPRESS", compression);
    // discord.py leaves its session open when it is closed in the handler of an event.
    let expected = Expected {
        activity: "with discord.py",
        compression,
        close_code: 4000,
    };
    judge(&expected, command).await;
}

/// In what clients differ.
struct Expected {
    activity: &'static str,
    compression: &'static str,
    close_code: u16,
}

/// Runs a client through its program, and compares what it says with what the simulator saw.
async fn judge(expected: &Expected, command: Command) {
    let discord = Discord::start().await;
    tokio::time::timeout(DEADLINE, run(&discord, expected, command))
        .await
        .expect("the client hangs");
}

async fn run(discord: &Discord, expected: &Expected, command: Command) {
    let mut client = Client::start(discord, "uro", command);

    let ready = client.wait_for("ready").await;
    assert_eq!(ready["user"], discord.info().application_id);
    assert_eq!(ready["guild"], "V-Sekai");
    assert_eq!(ready["me"], "uro");
    let channels = ready["channels"].as_object().unwrap();
    assert!(
        channels
            .keys()
            .all(|name| discord.info().channels.contains_key(name))
    );
    assert!(channels.contains_key("announcements") && channels.contains_key("world"));

    let posted = client.wait_for("posted").await;
    let read = client.wait_for("read").await;
    assert_eq!(
        read,
        json!({"event": "read", "id": posted["id"], "content": "second words", "edited": true, "embed": "A title", "file": true})
    );
    assert_eq!(
        client.wait_for("history").await["ids"],
        json!([posted["id"]])
    );
    let refused = client.wait_for("refused").await;
    assert_eq!(
        (&refused["status"], &refused["code"]),
        (&json!(400), &json!(50035))
    );
    assert!(
        refused["text"]
            .as_str()
            .unwrap()
            .contains("Must be 2000 or fewer in length.")
    );
    client.wait_for("waiting").await;

    let stored = discord.seen("/messages?channel=general").await;
    assert_eq!(stored.as_array().unwrap().len(), 1);
    assert_eq!(stored[0]["id"], posted["id"]);
    assert_eq!(stored[0]["content"], "second words");
    assert_eq!(stored[0]["embeds"][0]["title"], "A title");
    let presence = idle(discord).await;
    assert_eq!(presence["activities"][0]["name"], expected.activity);

    let gateway = discord.seen("/gateway").await;
    let session = gateway["sessions"][0]["id"].clone();
    assert_eq!(
        gateway["connections"][0]["compression"],
        expected.compression
    );

    // A message that comes while the client is away: it gets it by resuming.
    let before = discord.now().await;
    discord.fault(json!({"opcode": 6, "delay_ms": 300})).await;
    discord
        .tell("/gateway", json!({"action": "reconnect"}))
        .await;
    let left = discord.wait_for(before, "disconnect").await;
    assert_eq!(
        (&left["by"], &left["session_id"]),
        (&json!("client"), &session)
    );
    discord
        .post_as(
            "alice",
            "general",
            json!({"content": "while you were away"}),
        )
        .await;
    let resumed = discord.wait_for(before, "resume").await;
    assert_eq!(resumed["session_id"], session);
    client.wait_for("resumed").await;
    message(&mut client, "while you were away").await;
    let before = discord.now().await;
    discord
        .post_as("alice", "general", json!({"content": "goodbye"}))
        .await;
    message(&mut client, "goodbye").await;
    client.wait_for("closed").await;
    client.succeeds().await;
    let left = discord.wait_for(before, "disconnect").await;
    assert_eq!(
        (&left["by"], &left["code"]),
        (&json!("client"), &json!(expected.close_code))
    );

    let gateway = discord.seen("/gateway").await;
    assert_eq!(
        (&gateway["identifies"], &gateway["resumes"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(gateway["violations"], json!({}));
    let limits = discord.seen("/limits").await;
    assert_eq!(
        (&limits["too_early"], &limits["invalid_requests"]),
        (&json!(0), &json!(0))
    );
}

/// Our bot's presence, once it is idle.
async fn idle(discord: &Discord) -> Value {
    let mut after = 0;
    loop {
        let event = discord.wait_for(after, "presence").await;
        if event["status"] == "idle" {
            return discord.seen("/presence").await[0].clone();
        }
        after = event["number"].as_u64().unwrap();
    }
}

async fn message(client: &mut Client, content: &str) {
    client
        .wait(|said| said["event"] == "message" && said["content"] == content)
        .await;
}

#[tokio::test]
#[ignore = "needs discord.py and discord.js; bin/test installs them"]
async fn discord_py_changes_members() {
    let mut command = Command::new(variable("URO_DISCORD_PYTHON"));
    command.arg(programs().join("members_discord_py.py"));
    judge_members(command).await;
}

#[tokio::test]
#[ignore = "needs discord.py and discord.js; bin/test installs them"]
async fn discord_js_changes_members() {
    let mut command = Command::new("node");
    command
        .arg(programs().join("members_discord_js.mjs"))
        .env("NODE_MODULES", variable("URO_DISCORD_NODE_MODULES"));
    judge_members(command).await;
}

/// Members, roles, bans and the audit log, as a client's own methods change and show them.
async fn judge_members(command: Command) {
    let discord = Discord::start().await;
    tokio::time::timeout(DEADLINE, use_members(&discord, command))
        .await
        .expect("the client hangs");
}

async fn use_members(discord: &Discord, command: Command) {
    // KICK_MEMBERS, BAN_MEMBERS and VIEW_AUDIT_LOG, besides what our bot has.
    let permissions: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 7 | 1 << 27 | 1 << 28;
    discord
        .tell(
            "/guild",
            json!({"roles": [{"role": "Boosters", "managed": true}, {"role": "Uro", "permissions": permissions}]}),
        )
        .await;
    discord
        .tell("/members", json!({"action": "join", "count": 1_500}))
        .await;
    let before = discord.seen("/audit-log").await.as_array().unwrap().len();
    let mut client = Client::start(discord, "uro", command);
    let paged = client.wait_for("paged").await;
    assert_eq!(paged["count"], 1_504);
    assert!(paged["last"].as_str().unwrap().starts_with("person-"));
    assert!(paged["found"].as_str().unwrap().starts_with("person-7"));
    let changed = client.wait_for("changed").await;
    assert_eq!(
        (&changed["nick"], &changed["roles"], &changed["colour"]),
        (&json!("Bobby"), &json!(["Crew"]), &json!(0x33_6699))
    );
    let moved = client.wait_for("moved").await;
    assert_eq!(
        moved["positions"],
        json!(["@everyone", "Boosters", "Old Crew", "Staff", "Uro"])
    );
    let refused = client.wait_for("refused").await;
    assert_eq!(
        refused["errors"],
        json!([
            [403, 50013],
            [403, 50013],
            [404, 10011],
            [403, 50013],
            [400, 50035],
            [404, 10026],
            [404, 10013]
        ])
    );
    let banned = client.wait_for("banned").await;
    assert_eq!(banned["bans"], json!([["bob", "ruhe, bitte: größer"]]));
    let log = client.wait_for("log").await;
    client.succeeds().await;

    let bob = &discord.info().users["bob"].id;
    let entries = log["entries"].as_array().unwrap();
    let of_bob: Vec<Value> = entries
        .iter()
        .filter(|entry| entry[2] == *bob)
        .map(|entry| json!([entry[0], entry[3]]))
        .collect();
    assert_eq!(
        of_bob,
        [
            json!([25, "joins the crew"]),
            json!([24, "wants to be called so"]),
            json!([24, null]),
            json!([25, null]),
            json!([25, null]),
            json!([22, "ruhe, bitte: größer"]),
            json!([23, null]),
        ]
    );
    assert!(entries.iter().skip(before).all(|entry| entry[1] == "uro"));
    assert_eq!(
        entries.len(),
        discord.seen("/audit-log").await.as_array().unwrap().len()
    );
    assert_eq!(log["given"], json!(["Crew"]));
    let heard = &log["heard"];
    for (event, times) in [
        // bob four times, the bot's own nickname once.
        ("member_update", 5),
        ("member_remove", 2),
        ("ban", 1),
        ("unban", 1),
        ("role_create", 1),
        ("role_delete", 1),
    ] {
        assert_eq!(heard[event], times, "{event}: {heard}");
    }
    assert_eq!(heard["audit"], entries.len() - before);
    assert_eq!(
        discord.seen(&format!("/members?user={bob}")).await,
        json!([])
    );
    let limits = discord.seen("/limits").await;
    assert_eq!(limits["too_early"], 0, "clients keep to the limits");
}
