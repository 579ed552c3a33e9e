//! How bots come to guilds, and how they bring users there.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    flow::{OAuth, get, text},
    support::{Answer, error},
};

/// Invites our bot; where the user lands.
pub async fn invite(oauth: &OAuth, user: &str, more: &str, body: &'static str) -> Answer {
    let query = format!(
        "client_id={}&scope=bot+applications.commands&as={user}{more}",
        oauth.id()
    );
    oauth.page(Method::POST, &query, body, &[]).await
}

#[tokio::test]
async fn a_bot_comes_to_a_guild_with_its_role() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let guild = discord.info().guild_id.clone();
    let own = async || {
        let guild = discord.seen("/guild").await;
        let mut roles = guild["roles"].as_array().unwrap().iter();
        let own = roles.find(|role| role["tags"]["bot_id"] == oauth.id());
        own.cloned().unwrap_or_default()
    };
    // One that is there gets other permissions.
    let here = format!("&permissions=3&guild_id={guild}");
    assert_eq!(
        invite(&oauth, "alice", &here, "authorize=true")
            .await
            .status,
        200
    );
    let first = own().await;
    assert_eq!(
        (&first["permissions"], &first["position"]),
        (&json!("3"), &json!(2))
    );

    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    assert_eq!(own().await, Value::Null);
    let before = discord.now().await;
    let answer = invite(&oauth, "alice", "&permissions=268435456", "authorize=true").await;
    assert_eq!(answer.status, 403, "no guild was chosen");
    for (user, more, status) in [
        ("bob", here.as_str(), 403),
        ("alice", "&guild_id=1", 403),
        ("alice", &here, 200),
    ] {
        assert_eq!(
            invite(&oauth, user, more, "authorize=true").await.status,
            status,
            "{user} {more}"
        );
    }
    let joined = discord.wait_for(before, "member_add").await;
    assert_eq!(
        (&joined["user_id"], &joined["guild_id"]),
        (&json!(oauth.id()), &json!(guild))
    );
    // The role is another one, and below those that there are.
    let second = own().await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(
        (&second["permissions"], &second["position"]),
        (&json!("3"), &json!(1))
    );
    assert_eq!(joined["roles"], json!([second["id"]]));
    let log = discord.seen("/audit-log").await;
    let added = log.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&added["action_type"], &added["target_id"]),
        (&json!(28), &json!(oauth.id()))
    );
    assert_eq!(added["user_id"], discord.info().users["alice"].id);

    discord
        .tell("/members", json!({"action": "ban", "user": "uro"}))
        .await;
    let banned = invite(&oauth, "alice", &here, "authorize=true").await;
    assert!(text(&banned).contains("is banned"), "{banned:?}");
    discord
        .tell("/members", json!({"action": "unban", "user": "uro"}))
        .await;
    discord.tell("/guild", json!({"mfa": true})).await;
    let unsafe_owner = invite(&oauth, "alice", &here, "authorize=true").await;
    assert!(
        text(&unsafe_owner).contains("two-factor"),
        "{unsafe_owner:?}"
    );
    // The permissions that moderators have, and one that others have.
    for (bit, refused) in [(30, true), (34, true), (41, true), (13, true), (11, false)] {
        let more = format!("&permissions={}&guild_id={guild}", 1_u64 << bit);
        let answer = invite(&oauth, "alice", &more, "authorize=true").await;
        assert_eq!(answer.status == 403, refused, "{bit}");
    }
    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    discord
        .tell("/accounts", json!({"user": "alice", "mfa": true}))
        .await;
    assert_eq!(
        invite(&oauth, "alice", &here, "authorize=true")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_bot_without_room_for_its_role_does_not_come() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    let more: Vec<Value> = (0..248).map(|n| json!({"role": format!("r{n}")})).collect();
    discord.tell("/guild", json!({"roles": more})).await;
    let here = format!("&guild_id={}", discord.info().guild_id);
    let full = invite(
        &oauth,
        "alice",
        &format!("{here}&permissions=2"),
        "authorize=true",
    )
    .await;
    assert_eq!(full.status, 403);
    assert!(text(&full).contains("Maximum number of server roles"));
    assert_eq!(discord.seen("/members?user=uro").await, json!([]));
    // Without permissions it needs none.
    let plain = invite(&oauth, "alice", &here, "authorize=true").await;
    assert_eq!(plain.status, 200);
    let member = &discord.seen("/members?user=uro").await[0];
    assert_eq!(member["roles"], json!([]));
}

#[tokio::test]
async fn an_invitation_can_be_a_login_too() {
    let oauth = OAuth::start().await;
    let guild = oauth.discord.info().guild_id.clone();
    let bot = [
        ("permissions", "2"),
        ("guild_id", guild.as_str()),
        ("disable_guild_select", "true"),
        ("as", "alice"),
    ];
    let query = oauth.query("bot identify", &bot);
    let elsewhere = oauth
        .page(Method::POST, &query, "authorize=true&guild_id=1", &[])
        .await;
    assert_eq!(elsewhere.status, 403, "the guild was given");
    let sent = oauth.answer(&query, "authorize=true").await;
    assert_eq!(
        (get(&sent, "guild_id"), get(&sent, "permissions")),
        (guild.clone(), "2".to_owned())
    );
    let tokens = oauth.exchange(&get(&sent, "code"), &[]).await.json();
    assert_eq!(
        (&tokens["guild"]["id"], &tokens["scope"]),
        (&json!(guild), &json!("bot identify"))
    );
    assert_eq!(oauth.get(&tokens, "/users/@me").await.status, 200);
    // With nowhere to go, the user stays.
    let query = format!(
        "client_id={}&scope=bot&guild_id={guild}&as=alice",
        oauth.id()
    );
    let answer = oauth
        .page(Method::POST, &query, "authorize=false", &[])
        .await;
    assert!(text(&answer).contains("Nothing was authorized"));
}

#[tokio::test]
async fn who_allowed_it_is_put_into_a_guild() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let tokens = oauth.tokens("bob", "identify guilds.join").await;
    let only_identity = oauth.tokens("alice", "identify").await;
    let id = |user: &str| discord.info().users[user].id.clone();
    let path = |user: &str| format!("/guilds/{}/members/{}", discord.info().guild_id, id(user));
    let put =
        async |user: &str, body: Value| discord.rest(Method::PUT, &path(user), Some(body)).await;
    let guild = discord
        .tell("/guild", json!({"roles": [{"role": "Crew"}]}))
        .await;
    let roles = guild["roles"].as_array().unwrap();
    let role = |name: &str| roles.iter().find(|role| role["name"] == name).unwrap()["id"].clone();
    let crew = role("Crew");
    let wanted = json!({"access_token": tokens["access_token"], "nick": "Bobby", "roles": [crew]});

    // Who is there already stays as he is.
    let there = put("bob", wanted.clone()).await;
    assert_eq!((there.status.as_u16(), there.body.len()), (204, 0));
    let member = discord.rest(Method::GET, &path("bob"), None).await.json();
    assert_eq!(
        (&member["nick"], &member["roles"]),
        (&json!(null), &json!([]))
    );
    let tell = async |path: &str, body: Value| discord.tell(path, body).await;
    tell("/members", json!({"action": "ban", "user": "bob"})).await;
    assert_eq!(error(&put("bob", wanted.clone()).await), (403, 40007));
    tell("/members", json!({"action": "unban", "user": "bob"})).await;
    tell("/accounts", json!({"user": "bob", "guilds_full": true})).await;
    assert_eq!(error(&put("bob", wanted.clone()).await), (400, 30001));
    tell("/accounts", json!({"user": "bob", "guilds_full": false})).await;

    let other = &only_identity["access_token"];
    for (user, key, value, expected) in [
        ("bob", "access_token", &json!("x"), (403, 50025)),
        ("bob", "access_token", other, (403, 50025)),
        ("alice", "access_token", other, (403, 50026)),
        ("bob", "access_token", &json!(null), (400, 50035)),
        ("bob", "nick", &json!("x".repeat(33)), (400, 50035)),
        ("bob", "roles", &json!(["1"]), (404, 10011)),
        ("bob", "roles", &json!([role("Uro")]), (403, 50013)),
    ] {
        let mut body = wanted.clone();
        body[key] = value.clone();
        let answer = put(user, body).await;
        assert_eq!(error(&answer), expected, "{user} {key} {value}");
    }
    let bob = path("bob");
    let peer = discord
        .rest_as("peer", Method::PUT, &bob, Some(wanted.clone()))
        .await;
    assert_eq!(error(&peer), (403, 50013), "peer may invite nobody");
    let unknown = discord.rest(Method::GET, &path("bob"), None).await;
    assert_eq!(error(&unknown), (404, 10007), "nobody joined");

    let twice = json!([crew, guild["id"], crew]);
    let joined = put(
        "bob",
        json!({"access_token": tokens["access_token"], "nick": "Bobby", "roles": twice}),
    )
    .await;
    assert_eq!(joined.status, 201);
    let member = joined.json();
    assert_eq!(
        (
            &member["nick"],
            &member["roles"],
            &member["user"]["username"]
        ),
        (&json!("Bobby"), &json!([crew]), &json!("bob"))
    );
    tell("/members", json!({"action": "leave", "user": "bob"})).await;
    tell("/oauth", json!({"user": "bob", "action": "revoke"})).await;
    assert_eq!(error(&put("bob", wanted).await), (403, 50025));
}
