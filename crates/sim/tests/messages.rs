//! Messages over REST: what is stored and shown.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, header};
use serde_json::{Value, json};
use support::{Discord, error, form_errors};

#[tokio::test]
async fn a_message_is_posted_edited_read_and_deleted() {
    let discord = Discord::start().await;
    let posted = discord
        .post(
            "status",
            json!({"content": "  one  ", "embeds": [{"title": "t", "color": 255}]}),
        )
        .await;
    assert_eq!(posted.status, 200);
    assert_eq!(posted.header("content-type"), "application/json");
    let posted = posted.json();
    assert_eq!(posted["content"], "one", "Discord trims");
    assert_eq!(
        posted["embeds"],
        json!([{"type": "rich", "title": "t", "color": 255}])
    );
    assert_eq!(posted["author"]["id"], discord.info().application_id);
    assert_eq!(posted["edited_timestamp"], Value::Null);

    let path = format!(
        "/channels/{}/messages/{}",
        discord.channel("status"),
        posted["id"].as_str().unwrap()
    );
    let edited = discord
        .rest(Method::PATCH, &path, Some(json!({"content": "two"})))
        .await
        .json();
    assert_eq!(
        (&edited["content"], &edited["embeds"]),
        (&json!("two"), &posted["embeds"])
    );
    assert!(edited["edited_timestamp"].is_string());
    assert_eq!(discord.rest(Method::GET, &path, None).await.json(), edited);
    let by_alice = discord
        .rest_as(
            "alice",
            Method::PATCH,
            &path,
            Some(json!({"content": "mine"})),
        )
        .await;
    assert_eq!(error(&by_alice), (403, 50005));

    assert_eq!(
        discord
            .rest_as("bob", Method::DELETE, &path, None)
            .await
            .status,
        403
    );
    let deleted = discord.rest(Method::DELETE, &path, None).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    assert_eq!(
        error(&discord.rest(Method::GET, &path, None).await),
        (404, 10008)
    );
}

#[tokio::test]
async fn a_nonce_makes_a_retry_harmless_when_it_is_enforced() {
    let discord = Discord::start().await;
    let body = json!({"content": "once", "nonce": "n-1", "enforce_nonce": true});
    let first = discord.post("status", body.clone()).await.json();
    let second = discord.post("status", body).await.json();
    assert_eq!(
        (&first["id"], &first["nonce"]),
        (&second["id"], &json!("n-1"))
    );
    assert_eq!(first, second);
    let other = discord
        .post_as(
            "peer",
            "status",
            json!({"content": "x", "nonce": "n-1", "enforce_nonce": true}),
        )
        .await;
    assert_ne!(other.json()["id"], first["id"], "nonces are their author's");
    let again = discord
        .post("status", json!({"content": "once", "nonce": "n-1"}))
        .await
        .json();
    assert_ne!(again["id"], first["id"], "not enforced");

    let path = format!("/channels/{}/messages", discord.channel("status"));
    let history = discord.rest(Method::GET, &path, None).await.json();
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert!(
        history[2].get("nonce").is_none(),
        "Discord does not store nonces"
    );
    let long = discord
        .post("builds", json!({"content": "x", "nonce": "n".repeat(26)}))
        .await;
    assert_eq!(
        form_errors(&long)["nonce"]["_errors"][0]["code"],
        "BASE_TYPE_MAX_LENGTH"
    );
}

#[tokio::test]
async fn a_nonce_is_forgotten_in_time() {
    let discord = Discord::start().await;
    let body = json!({"content": "once", "nonce": "n-1", "enforce_nonce": true});
    let first = discord.post("status", body.clone()).await.json();
    discord
        .tell("/settings", json!({"nonce_memory_ms": 1}))
        .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = discord.post("status", body).await.json();
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn history_is_paged() {
    let discord = Discord::start().await;
    let mut ids = Vec::new();
    for user in ["uro", "peer"] {
        for n in 0..4 {
            let posted = discord
                .post_as(user, "general", json!({"content": n.to_string()}))
                .await;
            ids.push(posted.json()["id"].as_str().unwrap().to_owned());
        }
    }
    let page = async |user: &str, query: &str| -> Vec<String> {
        let path = format!("/channels/{}/messages?{query}", discord.channel("general"));
        let page = discord.rest_as(user, Method::GET, &path, None).await.json();
        page.as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first =
        |range: std::ops::Range<usize>| ids[range].iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(page("uro", "").await, newest_first(0..8));
    assert_eq!(page("uro", "limit=3").await, newest_first(5..8));
    assert_eq!(
        page("uro", &format!("limit=2&before={}", ids[4])).await,
        newest_first(2..4)
    );
    assert_eq!(
        page("uro", &format!("limit=2&after={}", ids[4])).await,
        newest_first(5..7)
    );
    assert_eq!(
        page("peer", &format!("limit=3&around={}", ids[4])).await,
        newest_first(3..6)
    );
    let path = format!(
        "/channels/{}/messages?limit=101",
        discord.channel("general")
    );
    let errors = form_errors(&discord.rest_as("alice", Method::GET, &path, None).await);
    assert_eq!(errors["limit"]["_errors"][0]["code"], "NUMBER_TYPE_MAX");
}

#[tokio::test]
async fn files_come_as_multipart_and_can_be_fetched() {
    let discord = Discord::start().await;
    let post = async |size: usize| {
        let payload = json!({"content": "see", "attachments": [{"id": 0, "description": "alt"}]});
        let mut body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n{payload}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a b.png\"\r\nContent-Type: image/png\r\n\r\n"
        )
        .into_bytes();
        body.extend(std::iter::repeat_n(b'p', size));
        body.extend(b"\r\n--b--\r\n");
        let request = Request::post(format!(
            "{}/channels/{}/messages",
            discord.info().api,
            discord.channel("status")
        ))
        .header(header::AUTHORIZATION, discord.authorization("uro"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
        discord
            .send(request.body(Full::from(Bytes::from(body))).unwrap())
            .await
            .unwrap()
    };
    let message = post(100).await.json();
    let attachment = &message["attachments"][0];
    assert_eq!(
        (&attachment["filename"], &attachment["size"]),
        (&json!("a_b.png"), &json!(100))
    );
    assert_eq!(
        (&attachment["description"], &attachment["content_type"]),
        (&json!("alt"), &json!("image/png"))
    );
    let request = Request::get(attachment["url"].as_str().unwrap())
        .body(Full::default())
        .unwrap();
    let file = discord.send(request).await.unwrap();
    assert_eq!(
        (file.header("content-type"), &file.body[..]),
        ("image/png", &[b'p'; 100][..])
    );

    // An edit keeps the attachments that it lists.
    let path = format!(
        "/channels/{}/messages/{}",
        discord.channel("status"),
        message["id"].as_str().unwrap()
    );
    let kept = json!({"attachments": [{"id": attachment["id"]}]});
    assert_eq!(
        discord.rest(Method::PATCH, &path, Some(kept)).await.json()["attachments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let none = discord
        .rest(Method::PATCH, &path, Some(json!({"attachments": []})))
        .await
        .json();
    assert_eq!(none["attachments"], json!([]));

    assert_eq!(error(&post((10 << 20) + 1).await), (413, 40005));
}

#[tokio::test]
async fn mentions_notify_as_allowed() {
    let discord = Discord::start().await;
    let (alice, bob) = (
        &discord.info().users["alice"].id,
        &discord.info().users["bob"].id,
    );
    let content = format!("@everyone <@{alice}> <@!{bob}> <@{alice}>");
    let mentions = async |user: &str, allowed: Option<Value>| -> (Vec<Value>, bool) {
        let mut body = json!({"content": content});
        if let Some(allowed) = allowed {
            body["allowed_mentions"] = allowed;
        }
        let message = discord.post_as(user, "general", body).await.json();
        let users = message["mentions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["username"].clone());
        (
            users.collect(),
            message["mention_everyone"].as_bool().unwrap(),
        )
    };
    assert_eq!(
        mentions("uro", None).await,
        (vec![json!("alice"), json!("bob")], false),
        "no permission for @everyone"
    );
    assert!(mentions("alice", None).await.1);
    assert_eq!(
        mentions("uro", Some(json!({"parse": []}))).await,
        (vec![], false)
    );
    assert_eq!(
        mentions("uro", Some(json!({"users": [bob]}))).await.0,
        [json!("bob")]
    );
    let both = json!({"content": "x", "allowed_mentions": {"parse": ["users"], "users": [bob]}});
    let errors = form_errors(&discord.post("general", both).await);
    assert_eq!(
        errors["allowed_mentions"]["_errors"][0]["code"],
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
    );
}

#[tokio::test]
async fn announcements_are_published_once() {
    let discord = Discord::start().await;
    let publish = async |channel: &str| {
        let message = discord
            .post(channel, json!({"content": "news"}))
            .await
            .json();
        let path = format!(
            "/channels/{}/messages/{}/crosspost",
            discord.channel(channel),
            message["id"].as_str().unwrap()
        );
        [
            discord.rest(Method::POST, &path, None).await,
            discord.rest(Method::POST, &path, None).await,
        ]
    };
    let [first, second] = publish("announcements").await;
    assert_eq!(
        (first.status.as_u16(), &first.json()["flags"]),
        (200, &json!(1))
    );
    assert_eq!(error(&second), (400, 40033));
    assert_eq!(error(&publish("general").await[0]), (400, 50024));
}

#[tokio::test]
async fn a_reply_shows_what_it_answers_and_people_can_be_written_to() {
    let discord = Discord::start().await;
    let original = discord
        .post_as("alice", "general", json!({"content": "question"}))
        .await
        .json();
    let reply = json!({"content": "answer", "message_reference": {"message_id": original["id"]}});
    let reply = discord.post("general", reply).await.json();
    assert_eq!(
        (&reply["type"], &reply["referenced_message"]["content"]),
        (&json!(19), &json!("question"))
    );

    let open = async |user: &str, with: &str| {
        let body = json!({"recipient_id": discord.info().users[with].id});
        discord
            .rest_as(user, Method::POST, "/users/@me/channels", Some(body))
            .await
    };
    let direct = open("uro", "alice").await.json();
    assert_eq!(
        (&direct["type"], &direct["recipients"][0]["username"]),
        (&json!(1), &json!("alice"))
    );
    assert_eq!(open("alice", "uro").await.json()["id"], direct["id"]);
    assert_eq!(error(&open("uro", "peer").await), (403, 50007));
    let path = format!("/channels/{}/messages", direct["id"].as_str().unwrap());
    assert_eq!(
        discord
            .rest(Method::POST, &path, Some(json!({"content": "hi"})))
            .await
            .status,
        200
    );
    assert_eq!(
        error(&discord.rest_as("bob", Method::GET, &path, None).await),
        (403, 50001)
    );
}

#[tokio::test]
async fn the_guild_is_shown() {
    let discord = Discord::start().await;
    let guild = format!("/guilds/{}", discord.info().guild_id);
    assert_eq!(
        discord.rest(Method::GET, &guild, None).await.json()["name"],
        "V-Sekai"
    );
    let channels = discord
        .rest(Method::GET, &format!("{guild}/channels"), None)
        .await
        .json();
    assert_eq!(
        channels.as_array().unwrap().len(),
        discord.info().channels.len()
    );
    let member = format!("{guild}/members/{}", discord.info().users["alice"].id);
    assert_eq!(
        discord.rest(Method::GET, &member, None).await.json()["user"]["username"],
        "alice"
    );
    assert_eq!(
        error(&discord.rest(Method::GET, "/guilds/1", None).await),
        (404, 10004)
    );
    let application = discord
        .rest(Method::GET, "/applications/@me", None)
        .await
        .json();
    assert_eq!(application["id"], discord.info().application_id);
    assert_eq!(application["verify_key"], discord.info().public_key);
    let gateway = discord.rest(Method::GET, "/gateway/bot", None).await.json();
    assert_eq!(gateway["url"], discord.info().gateway);
    assert_eq!(gateway["session_start_limit"]["remaining"], 1000);
}
