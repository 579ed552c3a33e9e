//! Who is thrown out, and what goes with him.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    place::{BOT, Place, role},
    support::{
        error,
        gateway::{ALL_INTENTS, Gateway, kinds},
    },
};

#[tokio::test]
async fn the_role_of_a_bot_comes_and_goes_with_it() {
    let place = Place::new().await;
    let (mut peer, _) = Gateway::identified(&place.discord, "peer", ALL_INTENTS).await;
    peer.events().await;
    let old = role(&place.roles().await, "Uro");
    place
        .control(json!({"action": "kick", "user": "uro"}))
        .await;
    let told = peer.events().await;
    assert_eq!(kinds(&told), ["GUILD_MEMBER_REMOVE", "GUILD_ROLE_DELETE"]);
    assert_eq!(told[1]["d"]["role_id"], old);
    let roles = place.roles().await["roles"].clone();
    let mut roles = roles.as_array().unwrap().iter();
    assert!(!roles.any(|role| role["id"] == old));

    place
        .control(json!({"action": "join", "user": "uro", "nick": "U", "roles": ["Crew"]}))
        .await;
    let told = peer.events().await;
    assert_eq!(
        kinds(&told),
        [
            "GUILD_ROLE_CREATE",
            "GUILD_MEMBER_ADD",
            "GUILD_MEMBER_UPDATE"
        ]
    );
    let own = &told[0]["d"]["role"];
    assert_ne!(own["id"], old);
    assert_eq!(
        (&own["name"], &own["position"], &own["permissions"]),
        (&json!("Uro"), &json!(1), &json!(BOT.to_string()))
    );
    assert_eq!(own["tags"]["bot_id"], place.id("uro"));
    let member = &place.discord.seen("/members?user=uro").await[0];
    assert_eq!(member["nick"], "U");
    let given = member["roles"].as_array().unwrap();
    assert_eq!(given.len(), 2);
    assert!(given.contains(&own["id"]) && given.contains(&json!(place.crew)));
    let log = place.discord.seen("/audit-log").await;
    let log = log.as_array().unwrap();
    let actions: Vec<&Value> = log.iter().map(|entry| &entry["action_type"]).collect();
    assert_eq!(actions[actions.len() - 5..], [20, 30, 28, 24, 25]);
    assert_eq!(log[log.len() - 3]["target_id"], place.id("uro"));

    // There is no room for another role, and nobody comes.
    place
        .control(json!({"action": "leave", "user": "uro"}))
        .await;
    let there = place.roles().await["roles"].as_array().unwrap().len();
    let more: Vec<Value> = (there..250)
        .map(|n| json!({"role": format!("r{n}")}))
        .collect();
    place.discord.tell("/guild", json!({"roles": more})).await;
    let join = json!({"action": "join", "users": ["dora", "uro"]});
    let full = place
        .discord
        .try_control(Method::POST, "/members", Some(join))
        .await;
    assert_eq!(full.status, 400);
    for user in ["dora", "uro"] {
        let found = place
            .discord
            .try_control(Method::GET, &format!("/members?user={user}"), None)
            .await;
        assert!(found.status == 404 || found.json() == json!([]), "{user}");
    }
}

#[tokio::test]
async fn a_ban_leaves_messages_unless_told() {
    let place = Place::new().await;
    let ban = place.path(&format!("/bans/{}", place.id("bob")));
    // At once, so that the ban comes in the millisecond of the message.
    for round in 1..=10 {
        let said = json!({"content": "x"});
        place.discord.post_as("bob", "general", said).await;
        let none = Some(json!({"delete_message_seconds": 0}));
        let answer = place.discord.rest(Method::PUT, &ban, none).await;
        assert_eq!(answer.status, 204);
        let kept = place.discord.seen("/messages?channel=general").await;
        assert_eq!(kept.as_array().unwrap().len(), round);
        assert_eq!(place.delete(&ban).await.status, 204);
        place
            .control(json!({"action": "join", "user": "bob"}))
            .await;
    }
}

#[tokio::test]
async fn who_is_kicked_or_banned_is_gone() {
    let place = Place::new().await;
    let (mut gateway, _) = Gateway::identified(&place.discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    assert_eq!(place.delete(&place.member("bob")).await.status, 204);
    assert_eq!(error(&place.get(&place.member("bob")).await), (404, 10007));
    assert_eq!(
        error(&place.delete(&place.member("bob")).await),
        (404, 10007)
    );
    let told = gateway.events().await;
    assert_eq!(
        kinds(&told),
        ["GUILD_MEMBER_REMOVE", "GUILD_AUDIT_LOG_ENTRY_CREATE"]
    );
    assert_eq!(told[0]["d"]["user"]["id"], place.id("bob"));
    assert_eq!(told[1]["d"]["action_type"], 20);

    place
        .control(json!({"action": "join", "user": "bob"}))
        .await;
    let joined = gateway.event("GUILD_MEMBER_ADD").await;
    assert_eq!(joined["d"]["user"]["username"], "bob");
    place
        .discord
        .post_as("bob", "general", json!({"content": "rude"}))
        .await;
    gateway.events().await;
    let ban = place.path(&format!("/bans/{}", place.id("bob")));
    let body = json!({"delete_message_seconds": 3600});
    let answer = place.with_reason(Method::PUT, &ban, "rude", body).await;
    assert_eq!(answer.status, 204);
    let told = gateway.events().await;
    assert_eq!(
        kinds(&told),
        [
            "GUILD_BAN_ADD",
            "GUILD_MEMBER_REMOVE",
            "GUILD_AUDIT_LOG_ENTRY_CREATE",
            "MESSAGE_DELETE_BULK"
        ]
    );
    assert_eq!(
        place.discord.seen("/messages?channel=general").await,
        json!([])
    );
    let banned = place.get(&ban).await.json();
    assert_eq!(
        (&banned["reason"], &banned["user"]["username"]),
        (&json!("rude"), &json!("bob"))
    );
    assert_eq!(
        place.get(&place.path("/bans")).await.json(),
        json!([banned])
    );
    let page = format!("/bans?after={}", place.id("bob"));
    assert_eq!(place.get(&place.path(&page)).await.json(), json!([]));
    assert_eq!(place.delete(&ban).await.status, 204);
    let told = gateway.events().await;
    assert_eq!(
        kinds(&told),
        ["GUILD_BAN_REMOVE", "GUILD_AUDIT_LOG_ENTRY_CREATE"]
    );
    assert_eq!(error(&place.get(&ban).await), (404, 10026));
}

#[tokio::test]
async fn a_bot_that_is_thrown_out_sees_nothing_more() {
    let place = Place::new().await;
    let (mut gateway, _) = Gateway::identified(&place.discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    let uro = place.id("uro").to_owned();
    place
        .control(json!({"action": "kick", "user": "uro"}))
        .await;
    assert_eq!(
        gateway.event("GUILD_DELETE").await["d"],
        json!({"id": place.guild})
    );
    for path in ["", "/roles", "/members", "/channels"] {
        assert_eq!(
            error(&place.get(&place.path(path)).await),
            (403, 50001),
            "{path}"
        );
    }
    let all = json!({"guild_id": place.guild, "query": "", "limit": 0});
    gateway.send(json!({"op": 8, "d": all})).await;
    let (mut peer, _) = Gateway::identified(&place.discord, "peer", ALL_INTENTS).await;
    let lobby = &place.discord.info().channels["lobby"];
    let seat = json!({"guild_id": place.guild, "channel_id": lobby, "self_mute": false, "self_deaf": false});
    peer.send(json!({"op": 4, "d": seat})).await;
    peer.event("VOICE_STATE_UPDATE").await;
    assert_eq!(gateway.events().await, Vec::<Value>::new());
    place
        .control(json!({"action": "join", "user": "uro"}))
        .await;
    let back = gateway.event("GUILD_CREATE").await;
    assert_eq!(back["d"]["id"], place.guild);
    assert_eq!(
        place.get(&place.member("uro")).await.json()["user"]["id"],
        uro
    );
    // People leave by themselves, but for the owner.
    let own = format!("/users/@me/guilds/{}", place.guild);
    let leaves = |user| place.discord.rest_as(user, Method::DELETE, &own, None);
    assert_eq!(leaves("bob").await.status, 204);
    assert_eq!(error(&leaves("bob").await), (404, 10004));
    assert_eq!(error(&leaves("alice").await), (400, 50055));
}
