//! What Discord refuses, refused with the same code and the same tree of errors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, header};
use serde_json::{Value, json};
use support::{Discord, error, form_errors};

#[tokio::test]
async fn limits_of_a_message_are_enforced() {
    let discord = Discord::start().await;
    let max = |n: usize| json!([{"code": "BASE_TYPE_MAX_LENGTH", "message": format!("Must be {n} or fewer in length.")}]);
    let required = json!([{"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]);
    let embed = |embed: Value| json!({"embeds": [embed]});
    let button = |id: &str| json!({"type": 2, "style": 1, "label": "l", "custom_id": id});
    let cases = [
        (
            json!({"content": "é".repeat(2001)}),
            json!({"content": {"_errors": max(2000)}}),
        ),
        (
            embed(json!({"title": "t".repeat(257)})),
            json!({"embeds": {"0": {"title": {"_errors": max(256)}}}}),
        ),
        (
            embed(json!({"description": "d".repeat(4097)})),
            json!({"embeds": {"0": {"description": {"_errors": max(4096)}}}}),
        ),
        (
            embed(json!({"footer": {"text": "f".repeat(2049)}})),
            json!({"embeds": {"0": {"footer": {"text": {"_errors": max(2048)}}}}}),
        ),
        (
            embed(json!({"author": {"name": "a".repeat(257)}})),
            json!({"embeds": {"0": {"author": {"name": {"_errors": max(256)}}}}}),
        ),
        (
            json!({"embeds": [{"title": "fine"}, {"fields": [{"name": "n", "value": "v"}, {"name": "n".repeat(257), "value": ""}]}]}),
            json!({"embeds": {"1": {"fields": {"1": {"name": {"_errors": max(256)}, "value": {"_errors": required}}}}}}),
        ),
        (
            embed(json!({"fields": vec![json!({"name": "n", "value": "v"}); 26]})),
            json!({"embeds": {"0": {"fields": {"_errors": max(25)}}}}),
        ),
        (
            json!({"embeds": vec![json!({"title": "t"}); 11]}),
            json!({"embeds": {"_errors": max(10)}}),
        ),
        (
            json!({"embeds": [{"description": "d".repeat(4000)}, {"description": "d".repeat(2001)}]}),
            json!({"embeds": {"_errors": [{"code": "MAX_EMBED_SIZE_EXCEEDED", "message": "Embed size exceeds maximum size of 6000"}]}}),
        ),
        (
            embed(json!({})),
            json!({"embeds": {"0": {"description": {"_errors": required}}}}),
        ),
        (
            embed(json!({"title": "t", "url": "ftp://x"})),
            json!({"embeds": {"0": {"url": {"_errors": [{"code": "URL_TYPE_INVALID_SCHEME", "message": "Scheme \"ftp\" must be one of ('http', 'https')."}]}}}}),
        ),
        (
            embed(json!({"title": "t", "color": 0x100_0000})),
            json!({"embeds": {"0": {"color": {"_errors": [{"code": "NUMBER_TYPE_MAX", "message": "int value should be less than or equal to 16777215."}]}}}}),
        ),
        (
            json!({"components": [{"type": 1, "components": [button("same"), button("same")]}]}),
            json!({"components": {"0": {"components": {"1": {"custom_id": {"_errors": [{"code": "COMPONENT_CUSTOM_ID_DUPLICATED", "message": "Component custom id cannot be duplicated"}]}}}}}}),
        ),
        (
            json!({"components": [{"type": 1, "components": (0..6).map(|n| button(&n.to_string())).collect::<Vec<_>>()}]}),
            json!({"components": {"0": {"components": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be between 1 and 5 in length."}]}}}}),
        ),
        (
            json!({"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "y"}]}),
            json!({"content": {"_errors": [{
                "code": "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                "message": "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            }]}}),
        ),
        (
            json!({"content": "x", "message_reference": {"message_id": "1"}}),
            json!({"message_reference": {"_errors": [{"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}]}}),
        ),
    ];
    for (at, (body, errors)) in cases.into_iter().enumerate() {
        // Each user has rate limits of his own, in each channel.
        let user = ["uro", "peer", "bob"][at % 3];
        let channel = ["status", "builds", "general"][at / 3 % 3];
        let answer = discord.post_as(user, channel, body.clone()).await;
        assert_eq!(form_errors(&answer), errors, "{body}");
    }
    assert_eq!(discord.seen("/messages").await, json!([]));
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_taken() {
    let discord = Discord::start().await;
    let bodies = [
        json!({"content": "é".repeat(2000)}),
        json!({"embeds": [{"description": "d".repeat(4096)}, {"description": "d".repeat(1904)}]}),
        json!({"flags": 1 << 15, "components": [{"type": 17, "components": [
            {"type": 10, "content": "text"},
            {"type": 14},
            {"type": 1, "components": [{"type": 2, "style": 5, "label": "l", "url": "https://example.org"}]},
        ]}]}),
    ];
    for body in bodies {
        let answer = discord.post("status", body.clone()).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn other_errors_have_their_codes() {
    let discord = Discord::start().await;
    let say = json!({"content": "x"});
    assert_eq!(
        error(&discord.post("status", json!({})).await),
        (400, 50006)
    );
    assert_eq!(
        error(&discord.post("status", json!({"content": " \n"})).await),
        (400, 50006)
    );
    assert_eq!(
        error(&discord.post("rules", say.clone()).await),
        (403, 50013)
    );
    assert_eq!(
        error(&discord.post("staff", say.clone()).await),
        (403, 50001)
    );
    assert_eq!(
        discord.post_as("alice", "staff", say.clone()).await.status,
        200
    );
    assert_eq!(
        error(
            &discord
                .rest(Method::POST, "/channels/1/messages", Some(say.clone()))
                .await
        ),
        (404, 10003)
    );
    let bad_id = form_errors(&discord.rest(Method::GET, "/channels/abc", None).await);
    let expected =
        json!([{"code": "NUMBER_TYPE_COERCE", "message": "Value \"abc\" is not snowflake."}]);
    assert_eq!(bad_id["channel_id"]["_errors"], expected);

    let unknown = discord.rest(Method::GET, "/nothing/here", None).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({"message": "404: Not Found", "code": 0})
    );
    let method = discord.rest(Method::PUT, "/users/@me", None).await;
    assert_eq!(
        (method.status.as_u16(), method.json()["code"].clone()),
        (405, json!(0))
    );

    let path = format!(
        "{}/channels/{}/messages",
        discord.info().api,
        discord.channel("builds")
    );
    let raw = async |authorization: &str, kind: &str, body: Vec<u8>| {
        let request = Request::post(&path)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, kind);
        discord
            .send(request.body(Full::from(Bytes::from(body))).unwrap())
            .await
            .unwrap()
    };
    let bot = discord.authorization("uro");
    assert_eq!(
        error(&raw(&bot, "application/json", b"{\"content\"".to_vec()).await),
        (400, 50109)
    );
    let kind = form_errors(&raw(&bot, "text/plain", b"hello".to_vec()).await);
    assert_eq!(kind["_errors"][0]["code"], "CONTENT_TYPE_INVALID");
    for wrong in [
        "Bot x.y.z",
        &discord.info().token,
        &format!("Bot {}", discord.info().users["alice"].token),
    ] {
        let refused = raw(wrong, "application/json", b"{}".to_vec()).await;
        assert_eq!(refused.status, 401);
        assert_eq!(
            refused.json(),
            json!({"message": "401: Unauthorized", "code": 0})
        );
    }
    let huge = raw(&bot, "application/json", vec![b' '; (25 << 20) + 1]).await;
    assert_eq!(error(&huge), (413, 40005));
}
