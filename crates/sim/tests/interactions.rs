//! Commands, components, and their responses; endpoints and their signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Answer, Discord,
    endpoint::Endpoint,
    error, form_errors,
    gateway::{ALL_INTENTS, Gateway},
};

fn roll() -> Value {
    json!({"name": "roll", "description": "Roll a die", "options": [
        {"type": 4, "name": "sides", "description": "How many", "autocomplete": true},
    ]})
}

async fn register(discord: &Discord, commands: Value) -> Answer {
    let path = format!("/applications/{}/commands", discord.info().application_id);
    discord.rest(Method::PUT, &path, Some(commands)).await
}

async fn use_command(discord: &Discord, body: Value) -> Value {
    discord.tell("/interactions", body).await
}

/// The next interaction that comes by the gateway.
async fn used(gateway: &mut Gateway) -> Value {
    gateway.event("INTERACTION_CREATE").await["d"].clone()
}

/// The callback's path, of the payload of INTERACTION_CREATE.
fn callback(payload: &Value) -> String {
    format!(
        "/interactions/{}/{}/callback",
        payload["id"].as_str().unwrap(),
        payload["token"].as_str().unwrap()
    )
}

fn webhook(payload: &Value) -> String {
    format!(
        "/webhooks/{}/{}",
        payload["application_id"].as_str().unwrap(),
        payload["token"].as_str().unwrap()
    )
}

async fn answer(discord: &Discord, payload: &Value, response: Value) -> Answer {
    discord
        .rest(Method::POST, &callback(payload), Some(response))
        .await
}

async fn last(discord: &Discord) -> Value {
    let all = discord.seen("/interactions").await;
    all.as_array().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn commands_are_overwritten_and_keep_their_ids() {
    let discord = Discord::start().await;
    let first = register(
        &discord,
        json!([roll(), {"name": "worlds", "description": "Which"}]),
    )
    .await;
    assert_eq!(first.status, 200);
    let first = first.json();
    assert_eq!(first[0]["type"], 1);
    let second = register(&discord, json!([roll()])).await.json();
    assert_eq!(second[0]["id"], first[0]["id"]);
    assert_ne!(second[0]["version"], first[0]["version"]);
    assert_eq!(discord.seen("/commands").await, second);

    let guild = format!(
        "/applications/{}/guilds/{}/commands",
        discord.info().application_id,
        discord.info().guild_id
    );
    let made = discord
        .rest(Method::POST, &guild, Some(roll()))
        .await
        .json();
    assert_eq!(made["guild_id"], discord.info().guild_id);
    assert_eq!(
        discord.rest(Method::GET, &guild, None).await.json(),
        json!([made])
    );
    let peer = discord.rest_as("peer", Method::GET, &guild, None).await;
    assert_eq!(error(&peer), (403, 50001));
}

#[tokio::test]
async fn bad_commands_are_refused_where_they_are_bad() {
    let discord = Discord::start().await;
    discord
        .tell("/settings", json!({"rate_limit_factor": 10}))
        .await;
    let long = "a".repeat(101);
    for (commands, path, code) in [
        (
            json!([{"name": "Roll", "description": "x"}]),
            "/0/name",
            "APPLICATION_COMMAND_INVALID_NAME",
        ),
        (
            json!([{"name": "a b", "description": "x"}]),
            "/0/name",
            "APPLICATION_COMMAND_INVALID_NAME",
        ),
        (
            json!([{"name": "a"}]),
            "/0/description",
            "BASE_TYPE_REQUIRED",
        ),
        (
            json!([{"name": "a", "description": long}]),
            "/0/description",
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            json!([roll(), roll()]),
            "/1/name",
            "APPLICATION_COMMANDS_DUPLICATE_NAME",
        ),
        (json!(["a"]), "/0", "MODEL_TYPE_CONVERT"),
        (
            json!([{"name": "a", "description": "x", "options": [
                {"type": 3, "name": "o", "description": "x"}, {"type": 3, "name": "p", "description": "x", "required": true}]}]),
            "/0/options/1/required",
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
        ),
        (
            json!([{"name": "a", "description": "x", "options": [
                {"type": 1, "name": "o", "description": "x", "options": [{"type": 2, "name": "p", "description": "x"}]}]}]),
            "/0/options/0/options/0/type",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
        ),
        (
            json!([{"name": "a", "description": "x", "default_member_permissions": 8}]),
            "/0/default_member_permissions",
            "NUMBER_TYPE_COERCE",
        ),
    ] {
        let errors = form_errors(&register(&discord, commands).await);
        let found = errors
            .pointer(path)
            .unwrap_or_else(|| panic!("{path}: {errors}"));
        assert_eq!(found["_errors"][0]["code"], code, "{path}");
    }
    assert_eq!(error(&register(&discord, json!({})).await), (400, 50109));
    let many: Vec<Value> = (0..101)
        .map(|n| json!({"name": format!("c{n}"), "description": "x"}))
        .collect();
    form_errors(&register(&discord, json!(many)).await);
    assert_eq!(discord.seen("/commands").await, json!([]));
}

#[tokio::test]
async fn two_hundred_new_commands_are_a_days_worth() {
    let discord = Discord::start().await;
    for round in 0..2 {
        let commands: Vec<Value> = (0..100)
            .map(|n| json!({"name": format!("c{round}-{n}"), "description": "x"}))
            .collect();
        assert_eq!(register(&discord, json!(commands)).await.status, 200);
    }
    assert_eq!(
        error(&register(&discord, json!([roll()])).await),
        (400, 30034)
    );
}

#[tokio::test]
async fn a_command_comes_by_the_gateway_and_is_answered_once() {
    let discord = Discord::start().await;
    register(&discord, json!([roll()])).await;
    let (mut ours, _) = Gateway::identified(&discord, "uro", 0).await;
    let (mut peer, _) = Gateway::identified(&discord, "peer", ALL_INTENTS).await;
    use_command(
        &discord,
        json!({"user": "bob", "command": ["roll"], "options": {"sides": 6}}),
    )
    .await;
    let payload = used(&mut ours).await;
    assert_eq!(payload["type"], 2);
    assert_eq!(
        payload["data"]["options"][0],
        json!({"name": "sides", "type": 4, "value": 6})
    );
    assert_eq!(payload["member"]["user"]["username"], "bob");
    assert_eq!(payload["guild_id"], discord.info().guild_id);

    // A token in the path is its own credential, and the type must be one for a command.
    let unknown = answer(
        &discord,
        &json!({"id": payload["id"], "token": "x"}),
        json!({"type": 4}),
    )
    .await;
    assert_eq!(error(&unknown), (404, 10062));
    let wrong = answer(
        &discord,
        &payload,
        json!({"type": 7, "data": {"content": "x"}}),
    )
    .await;
    assert_eq!(
        form_errors(&wrong)["type"]["_errors"][0]["code"],
        "BASE_TYPE_CHOICES"
    );
    let long = answer(
        &discord,
        &payload,
        json!({"type": 4, "data": {"content": "x".repeat(2_001)}}),
    )
    .await;
    assert!(form_errors(&long)["data"]["content"].is_object());
    let before = discord
        .rest(
            Method::PATCH,
            &format!("{}/messages/@original", webhook(&payload)),
            Some(json!({"content": "x"})),
        )
        .await;
    assert_eq!(error(&before), (404, 10015));

    let good = answer(
        &discord,
        &payload,
        json!({"type": 4, "data": {"content": "You rolled 4."}}),
    )
    .await;
    assert_eq!((good.status.as_u16(), good.body.len()), (204, 0));
    assert_eq!(
        peer.event("MESSAGE_CREATE").await["d"]["content"],
        "You rolled 4."
    );
    let again = answer(
        &discord,
        &payload,
        json!({"type": 4, "data": {"content": "x"}}),
    )
    .await;
    assert_eq!(error(&again), (400, 40060));
    let seen = last(&discord).await;
    assert_eq!(
        (&seen["response"]["type"], &seen["via"]),
        (&json!(4), &json!("gateway"))
    );
    assert_eq!(
        discord.seen("/messages?channel=general").await[0]["content"],
        "You rolled 4."
    );
}

#[tokio::test]
async fn a_deferred_answer_is_seen_by_whom_the_deferral_says() {
    let discord = Discord::start().await;
    register(&discord, json!([roll()])).await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    for (deferral, private) in [
        (json!({"type": 5, "data": {"flags": 64}}), true),
        (json!({"type": 5}), false),
    ] {
        use_command(&discord, json!({"user": "bob", "command": ["roll"]})).await;
        let payload = used(&mut gateway).await;
        assert_eq!(answer(&discord, &payload, deferral).await.status, 204);
        assert_eq!(last(&discord).await["response"]["waiting"], true);
        let original = format!("{}/messages/@original", webhook(&payload));
        let edited = discord
            .rest(
                Method::PATCH,
                &original,
                Some(json!({"content": "done", "flags": 64})),
            )
            .await;
        assert_eq!(
            (edited.status.as_u16(), &edited.json()["edited_timestamp"]),
            (200, &Value::Null)
        );
        let seen = last(&discord).await;
        assert_eq!(
            (
                &seen["response"]["waiting"],
                &seen["response"]["private"],
                &seen["response"]["message"]["content"]
            ),
            (&json!(false), &json!(private), &json!("done"))
        );
        let in_channel = discord.seen("/messages?channel=general").await;
        assert_eq!(in_channel.as_array().unwrap().is_empty(), private);

        let more = discord
            .rest(
                Method::POST,
                &webhook(&payload),
                Some(json!({"content": "and", "flags": 64})),
            )
            .await;
        assert_eq!(more.status, 200);
        assert_eq!(last(&discord).await["followups"][0]["content"], "and");
        assert_eq!(
            discord.rest(Method::DELETE, &original, None).await.status,
            204
        );
        assert_eq!(
            error(&discord.rest(Method::GET, &original, None).await),
            (404, 10008)
        );
        discord
            .tell("/settings", json!({"interaction_token_ms": 0}))
            .await;
        assert_eq!(
            error(&discord.rest(Method::GET, &original, None).await),
            (401, 50027)
        );
        discord
            .tell("/settings", json!({"interaction_token_ms": 900_000}))
            .await;
    }
}

#[tokio::test]
async fn after_three_seconds_an_interaction_is_unknown() {
    let discord = Discord::start().await;
    register(&discord, json!([roll()])).await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    use_command(&discord, json!({"user": "bob", "command": ["roll"]})).await;
    let payload = used(&mut gateway).await;
    // The time that is up is what this tests.
    tokio::time::sleep(std::time::Duration::from_millis(3_050)).await;
    assert_eq!(
        error(&answer(&discord, &payload, json!({"type": 5})).await),
        (404, 10062)
    );
}

#[tokio::test]
async fn autocompletion_has_choices_and_buttons_update_their_message() {
    let discord = Discord::start().await;
    register(&discord, json!([roll()])).await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    use_command(
        &discord,
        json!({"user": "bob", "command": ["roll"], "options": {"sides": "1"}, "focused": "sides"}),
    )
    .await;
    let payload = used(&mut gateway).await;
    assert_eq!(
        (&payload["type"], &payload["data"]["options"][0]["focused"]),
        (&json!(4), &json!(true))
    );
    let many: Vec<Value> = (0..26).map(|n| json!({"name": "x", "value": n})).collect();
    for choices in [
        json!(many),
        json!([{"name": "", "value": 1}]),
        json!([{"name": "x"}]),
    ] {
        form_errors(
            &answer(
                &discord,
                &payload,
                json!({"type": 8, "data": {"choices": choices}}),
            )
            .await,
        );
    }
    let choices = json!([{"name": "ten", "value": 10}]);
    assert_eq!(
        answer(
            &discord,
            &payload,
            json!({"type": 8, "data": {"choices": choices}})
        )
        .await
        .status,
        204
    );
    assert_eq!(last(&discord).await["response"]["data"]["choices"], choices);

    let button = json!({"type": 2, "style": 1, "label": "Again", "custom_id": "roll:again"});
    let message = discord
        .post(
            "general",
            json!({"content": "4", "components": [{"type": 1, "components": [button]}]}),
        )
        .await
        .json();
    for kind in [7, 6] {
        use_command(&discord, json!({"user": "bob", "component": {"message": message["id"], "custom_id": "roll:again"}})).await;
        let payload = used(&mut gateway).await;
        assert_eq!(
            (&payload["type"], &payload["message"]["id"]),
            (&json!(3), &message["id"])
        );
        let content = format!("after {kind}");
        assert_eq!(
            answer(
                &discord,
                &payload,
                json!({"type": kind, "data": {"content": content}})
            )
            .await
            .status,
            204
        );
        if kind == 6 {
            let original = format!("{}/messages/@original", webhook(&payload));
            discord
                .rest(Method::PATCH, &original, Some(json!({"content": content})))
                .await;
        }
        assert_eq!(
            discord.seen("/messages?channel=general").await[0]["content"],
            json!(content)
        );
    }
    let gone =
        json!({"user": "bob", "component": {"message": message["id"], "custom_id": "roll:never"}});
    let answer = discord
        .try_control(Method::POST, "/interactions", Some(gone))
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn who_may_not_use_a_command_is_told() {
    let discord = Discord::start().await;
    register(
        &discord,
        json!([{"name": "uro", "description": "x", "default_member_permissions": "32",
        "options": [{"type": 1, "name": "status", "description": "x"}]}]),
    )
    .await;
    let by = |user: &str, path: Value| json!({"user": user, "command": path});
    for (body, status) in [
        (by("alice", json!(["uro", "status"])), 200),
        (by("bob", json!(["uro", "status"])), 400),
        (by("alice", json!(["uro", "stats"])), 404),
        (by("alice", json!(["nothing"])), 404),
        (by("nobody", json!(["uro"])), 404),
    ] {
        let answer = discord
            .try_control(Method::POST, "/interactions", Some(body.clone()))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
    }
}

#[tokio::test]
async fn an_endpoint_is_taken_only_if_it_checks_signatures() {
    let discord = Discord::start().await;
    register(&discord, json!([roll()])).await;
    let set = async |key: &str, url: Value| {
        discord
            .rest(Method::PATCH, "/applications/@me", Some(json!({key: url})))
            .await
    };
    let (_lax, lax_url) = Endpoint::start(&discord, false).await;
    for (key, url) in [
        ("interactions_endpoint_url", json!(lax_url)),
        ("interactions_endpoint_url", json!("http://127.0.0.1:1/")),
        ("interactions_endpoint_url", json!("ftp://x")),
    ] {
        let errors = form_errors(&set(key, url).await);
        assert!(errors[key]["_errors"][0]["code"].is_string(), "{errors}");
    }
    let (endpoint, url) = Endpoint::start(&discord, true).await;
    let taken = set("interactions_endpoint_url", json!(url)).await;
    assert_eq!(taken.json()["interactions_endpoint_url"], json!(url));

    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    for (status, body, failure) in [
        (
            200,
            json!({"type": 4, "data": {"content": "by HTTP"}}).to_string(),
            Value::Null,
        ),
        (
            200,
            json!({"type": 4, "data": {}}).to_string(),
            json!("Cannot send an empty message (50006)"),
        ),
        (
            200,
            "no".to_owned(),
            json!("the endpoint's answer is not a JSON object"),
        ),
        (500, String::new(), json!("the endpoint answered with 500")),
    ] {
        endpoint.answers.lock().unwrap().push_back((status, body));
        let seen = use_command(&discord, json!({"user": "bob", "command": ["roll"]})).await;
        assert_eq!((&seen["failure"], &seen["via"]), (&failure, &json!("http")));
        assert_eq!(seen["response"].is_null(), !failure.is_null());
    }
    assert_eq!(endpoint.seen.lock().unwrap().len(), 4);

    // Without the endpoint they come by the gateway again, and the first that does is the next one.
    set("interactions_endpoint_url", Value::Null).await;
    let sent = use_command(&discord, json!({"user": "bob", "command": ["roll"]})).await;
    assert_eq!(used(&mut gateway).await["id"], sent["id"]);
}

#[tokio::test]
async fn webhook_events_are_signed_and_may_come_twice() {
    let discord = Discord::start().await;
    let event =
        json!({"type": "APPLICATION_DEAUTHORIZED", "data": {"user": {"id": "1"}}, "times": 2});
    let without = discord
        .try_control(Method::POST, "/webhook-events", Some(event.clone()))
        .await;
    assert_eq!(without.status, 400);
    let (endpoint, url) = Endpoint::start(&discord, true).await;
    discord
        .rest(
            Method::PATCH,
            "/applications/@me",
            Some(json!({"event_webhooks_url": url})),
        )
        .await;
    endpoint
        .answers
        .lock()
        .unwrap()
        .extend([(204, String::new()), (204, String::new())]);
    assert_eq!(
        discord.tell("/webhook-events", event).await["statuses"],
        json!([204, 204])
    );
    let seen = endpoint.seen.lock().unwrap();
    assert_eq!(seen[0]["event"]["type"], "APPLICATION_DEAUTHORIZED");
    assert_eq!(seen[0], seen[1]);
}
