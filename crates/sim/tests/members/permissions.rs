//! What permissions, places, two factors and intents allow.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::{
    place::{BOT, Place, role},
    support::{
        error,
        gateway::{ALL_INTENTS, Gateway, kinds},
    },
};

#[tokio::test]
async fn a_bot_without_permissions_does_nothing_and_owners_need_two_factors() {
    let place = Place::new().await;
    let bob = place.member("bob");
    let with_role = format!("{bob}/roles/{}", place.crew);
    for (method, path, body) in [
        (Method::PATCH, bob.clone(), Some(json!({"nick": "x"}))),
        // Nor himself, by this route.
        (
            Method::PATCH,
            place.member("peer"),
            Some(json!({"nick": "x"})),
        ),
        (Method::PATCH, bob.clone(), Some(json!({"roles": []}))),
        (Method::PUT, with_role.clone(), None),
        (Method::DELETE, bob.clone(), None),
        (Method::GET, place.path("/bans"), None),
        (
            Method::PUT,
            place.path(&format!("/bans/{}", place.id("bob"))),
            None,
        ),
        (Method::GET, place.path("/audit-logs"), None),
        (
            Method::POST,
            place.path("/roles"),
            Some(json!({"name": "x"})),
        ),
    ] {
        let answer = place
            .discord
            .rest_as("peer", method.clone(), &path, body)
            .await;
        assert_eq!(error(&answer), (403, 50013), "{method} {path}");
    }
    // Who may change his own nickname may, by the route for that.
    let own = place.path("/members/@me");
    let answer = place
        .discord
        .rest_as("peer", Method::PATCH, &own, Some(json!({"nick": "Pia"})))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["nick"]),
        (StatusCode::OK, &json!("Pia"))
    );

    place.discord.tell("/guild", json!({"mfa": true})).await;
    assert_eq!(place.get(&place.path("")).await.json()["mfa_level"], 1);
    assert_eq!(error(&place.put(&with_role).await), (403, 60003));
    assert_eq!(error(&place.delete(&bob).await), (403, 60003));
    // Nicknames are not among what it is demanded for.
    assert_eq!(place.patch(&bob, json!({"nick": "B"})).await.status, 200);
    place
        .discord
        .tell("/accounts", json!({"user": "alice", "mfa": true}))
        .await;
    assert_eq!(place.put(&with_role).await.status, 204);
}

#[tokio::test]
async fn messages_and_calls_too_are_moderated_with_two_factors() {
    let place = Place::new().await;
    let may = (BOT | 1 << 13).to_string();
    let demanding = json!({"mfa": true, "roles": [{"role": "Uro", "permissions": may}]});
    place.discord.tell("/guild", demanding).await;
    let post = async |user: &str, channel: &str| {
        let body = json!({"content": "x"});
        let message = place.discord.post_as(user, channel, body).await.json();
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        format!("/channels/{}/messages/{}", text("channel_id"), text("id"))
    };
    let theirs = post("bob", "general").await;
    let news = post("bob", "announcements").await;
    let own = post("uro", "general").await;
    let world = format!("/channels/{}/voice-status", place.discord.channel("world"));
    let moderate = async || {
        let mut answers = Vec::new();
        for (method, path, body) in [
            (Method::PATCH, theirs.clone(), Some(json!({"flags": 4}))),
            (Method::POST, format!("{news}/crosspost"), None),
            (Method::PUT, world.clone(), Some(json!({"status": "x"}))),
            (Method::DELETE, theirs.clone(), None),
        ] {
            answers.push(place.discord.rest(method, &path, body).await);
        }
        answers
    };
    for answer in moderate().await {
        assert_eq!(error(&answer), (403, 60003));
    }
    assert_eq!(place.delete(&own).await.status, 204, "what is its own");
    place
        .discord
        .tell("/accounts", json!({"user": "alice", "mfa": true}))
        .await;
    let done = moderate().await;
    let statuses: Vec<u16> = done.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 204, 204]);
}

#[tokio::test]
async fn the_bots_place_decides_whom_it_may_rename() {
    let place = Place::new().await;
    let bob = place.member("bob");
    place
        .control(json!({"action": "roles", "user": "bob", "add": ["Above"]}))
        .await;
    for answer in [
        place.patch(&bob, json!({"nick": "x"})).await,
        place.delete(&bob).await,
        place.patch(&bob, json!({"roles": []})).await,
    ] {
        assert_eq!(error(&answer), (403, 50013));
    }
    // What stands below the bot can be given to who stands above it; the rest of the set must stay.
    let above = role(&place.roles().await, "Above");
    let kept = json!({"roles": [above, place.crew]});
    assert_eq!(place.patch(&bob, kept).await.status, 200);
    place
        .discord
        .tell("/guild", json!({"roles": [{"role": "Uro", "position": 9}]}))
        .await;
    assert_eq!(
        place
            .patch(&bob, json!({"nick": "x", "roles": []}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn nobody_is_told_without_the_intent_or_the_permission() {
    let place = Place::new().await;
    // GUILDS only; and all intents, but no permission to see bans and the audit log.
    let (mut plain, _) = Gateway::identified(&place.discord, "uro", 1).await;
    let (mut peer, _) = Gateway::identified(&place.discord, "peer", ALL_INTENTS).await;
    plain.events().await;
    peer.events().await;
    let uro = place.id("uro").to_owned();
    place
        .control(json!({"action": "rename", "user": "bob", "nick": "B"}))
        .await;
    place
        .control(json!({"action": "rename", "user": "uro", "nick": "U"}))
        .await;
    place.control(json!({"action": "ban", "user": "bob"})).await;
    let told = plain.events().await;
    assert_eq!(kinds(&told), ["GUILD_MEMBER_UPDATE"], "of itself");
    assert_eq!(told[0]["d"]["user"]["id"], uro);
    let told = peer.events().await;
    let expected = [
        "GUILD_MEMBER_UPDATE",
        "GUILD_MEMBER_UPDATE",
        "GUILD_MEMBER_REMOVE",
    ];
    assert_eq!(kinds(&told), expected);
    let answer = place.get(&place.path("/members?limit=1000")).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 3);
    // The endpoint needs what the application was granted.
    place
        .discord
        .tell("/settings", json!({"privileged_intents": 0}))
        .await;
    assert_eq!(
        error(&place.get(&place.path("/members")).await),
        (403, 50001)
    );
    assert_eq!(
        place
            .get(&place.path("/members/search?query=AL"))
            .await
            .json()[0]["user"]["username"],
        "alice"
    );
}
