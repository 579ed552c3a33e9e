//! Roles and the audit log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use support::{
    Answer, Discord, error, form_errors,
    gateway::{ALL_INTENTS, Gateway, kinds},
};

async fn start() -> Discord {
    let discord = Discord::start().await;
    discord
        .tell("/settings", json!({"rate_limit_factor": 100}))
        .await;
    discord
}

fn path(discord: &Discord, rest: &str) -> String {
    format!("/guilds/{}{rest}", discord.info().guild_id)
}

async fn create(discord: &Discord, body: Value) -> Answer {
    discord
        .rest(Method::POST, &path(discord, "/roles"), Some(body))
        .await
}

async fn change(discord: &Discord, id: &Value, body: Value) -> Answer {
    let path = path(discord, &format!("/roles/{}", id.as_str().unwrap()));
    discord.rest(Method::PATCH, &path, Some(body)).await
}

async fn delete(discord: &Discord, id: &Value) -> Answer {
    let path = path(discord, &format!("/roles/{}", id.as_str().unwrap()));
    discord.rest(Method::DELETE, &path, None).await
}

async fn all(discord: &Discord) -> Vec<Value> {
    let path = path(discord, "/roles");
    let roles = discord.rest(Method::GET, &path, None).await.json();
    roles.as_array().unwrap().clone()
}

/// The id of the role with this name.
async fn id(discord: &Discord, name: &str) -> Value {
    let roles = all(discord).await;
    roles.iter().find(|role| role["name"] == name).unwrap()["id"].clone()
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted() {
    let discord = start().await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    let everyone = all(&discord).await[0]["permissions"].clone();
    let plain = create(&discord, json!({})).await;
    assert_eq!(plain.status, StatusCode::OK);
    let plain = plain.json();
    assert_eq!(
        (
            &plain["name"],
            &plain["position"],
            &plain["permissions"],
            &plain["managed"]
        ),
        (&json!("new role"), &json!(1), &everyone, &json!(false))
    );
    let made = json!({"name": "Crew", "permissions": "1", "colors": {"primary_color": 255, "secondary_color": null},
        "hoist": true, "mentionable": true, "icon": null});
    let crew = create(&discord, made).await.json();
    assert_eq!(
        (&crew["color"], &crew["hoist"], &crew["permissions"]),
        (&json!(255), &json!(true), &json!("1"))
    );
    let changed = change(
        &discord,
        &crew["id"],
        json!({"name": "Staff 2", "color": 1, "hoist": null}),
    )
    .await;
    assert_eq!(changed.json()["name"], "Staff 2");
    assert_eq!(changed.json()["hoist"], true, "null changes nothing");

    let bob = &discord.info().users["bob"].id;
    let crew_id = crew["id"].as_str().unwrap();
    let given = path(&discord, &format!("/members/{bob}/roles/{crew_id}"));
    assert_eq!(discord.rest(Method::PUT, &given, None).await.status, 204);
    gateway.event("GUILD_MEMBER_UPDATE").await;
    assert_eq!(delete(&discord, &crew["id"]).await.status, 204);
    assert_eq!(error(&delete(&discord, &crew["id"]).await), (404, 10011));
    let told = gateway.events().await;
    assert_eq!(kinds(&told), ["GUILD_ROLE_DELETE"], "not of each member");
    assert_eq!(told[0]["d"]["role_id"], crew["id"]);
    let member = path(&discord, &format!("/members/{bob}"));
    let member = discord.rest(Method::GET, &member, None).await.json();
    assert_eq!(member["roles"], json!([]));

    // The audit log is the owner's to see; newest first, and oldest first after an entry.
    let log = async |query: &str| {
        let path = path(&discord, &format!("/audit-logs?{query}"));
        discord.rest_as("alice", Method::GET, &path, None).await
    };
    let newest = log("").await.json();
    let entries = newest["audit_log_entries"].as_array().unwrap();
    let types: Vec<&Value> = entries.iter().map(|entry| &entry["action_type"]).collect();
    assert_eq!(types, [32, 25, 31, 30, 30]);
    assert_eq!(
        entries[2]["changes"],
        json!([{"key": "name", "old_value": "Crew", "new_value": "Staff 2"}, {"key": "color", "old_value": 255, "new_value": 1}])
    );
    let users: Vec<&Value> = newest["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["username"])
        .collect();
    assert_eq!(users, ["uro", "bob"]);
    let count = async |query: &str| {
        log(query).await.json()["audit_log_entries"]
            .as_array()
            .unwrap()
            .len()
    };
    let first = entries[4]["id"].as_str().unwrap();
    assert_eq!(count("action_type=30").await, 2);
    assert_eq!(count(&format!("user_id={bob}")).await, 0);
    assert_eq!(count(&format!("before={first}")).await, 0);
    let next = log(&format!("after={first}&limit=1")).await.json();
    assert_eq!(next["audit_log_entries"], json!([entries[3]]));
    form_errors(&log("limit=101").await);
}

#[tokio::test]
async fn roles_move_below_the_bot_only() {
    let discord = start().await;
    for name in ["A", "B"] {
        create(&discord, json!({"name": name})).await;
    }
    let (a, b, uro) = (
        id(&discord, "A").await,
        id(&discord, "B").await,
        id(&discord, "Uro").await,
    );
    let arrange = async |places: Value| {
        let path = path(&discord, "/roles");
        discord.rest(Method::PATCH, &path, Some(places)).await
    };
    // All roles in their new order, as clients send them: B goes above Staff.
    let staff = id(&discord, "Staff").await;
    let places = (1..).zip([&a, &staff, &b, &uro]);
    let places = places.map(|(position, id)| json!({"id": id, "position": position}));
    let moved = arrange(places.collect()).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let mut names: Vec<(u64, String)> = all(&discord)
        .await
        .iter()
        .map(|role| {
            (
                role["position"].as_u64().unwrap(),
                role["name"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["@everyone", "A", "Staff", "B", "Uro"]);
    for (places, expected) in [
        (json!([{"id": b, "position": 9}]), (403, 50013)),
        (json!([{"id": uro, "position": 1}]), (403, 50013)),
        (json!([{"id": "1", "position": 1}]), (404, 10011)),
        (
            json!([{"id": discord.info().guild_id, "position": 1}]),
            (400, 50028),
        ),
        (json!({"id": b}), (400, 50109)),
        (json!([{"position": 1}]), (400, 50035)),
    ] {
        let answer = arrange(places.clone()).await;
        assert_eq!(error(&answer), expected, "{places}");
    }
}

#[tokio::test]
async fn what_is_not_the_bots_to_change_is_refused() {
    let discord = start().await;
    let more =
        json!({"roles": [{"role": "Above", "position": 9}, {"role": "Boosters", "managed": true}]});
    discord.tell("/guild", more).await;
    let [above, boosters, uro] = [
        id(&discord, "Above").await,
        id(&discord, "Boosters").await,
        id(&discord, "Uro").await,
    ];
    let everyone = json!(discord.info().guild_id);
    assert_eq!(
        error(&change(&discord, &above, json!({"name": "x"})).await),
        (403, 50013)
    );
    assert_eq!(
        error(&change(&discord, &uro, json!({"name": "x"})).await),
        (403, 50013)
    );
    assert_eq!(
        error(&change(&discord, &json!("1"), json!({"name": "x"})).await),
        (404, 10011)
    );
    assert_eq!(error(&delete(&discord, &above).await), (403, 50013));
    assert_eq!(error(&delete(&discord, &boosters).await), (400, 50028));
    assert_eq!(error(&delete(&discord, &everyone).await), (400, 50028));
    // ADMINISTRATOR is not the bot's to give.
    assert_eq!(
        error(&create(&discord, json!({"permissions": "8"})).await),
        (403, 50013)
    );
    for (body, field) in [
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"color": 0x100_0000}), "color"),
        (json!({"permissions": "all"}), "permissions"),
        (json!({"hoist": 1}), "hoist"),
        (json!({"unicode_emoji": "😀"}), "unicode_emoji"),
    ] {
        let errors = form_errors(&create(&discord, body).await);
        assert!(errors[field]["_errors"].is_array(), "{errors}");
    }
    let nothing = json!({"color": 1, "colors": {}});
    let errors = form_errors(&create(&discord, nothing).await);
    assert_eq!(
        errors["colors"]["primary_color"]["_errors"][0]["code"],
        "BASE_TYPE_REQUIRED"
    );
    let roles: Vec<Value> = (0..245).map(|n| json!({"role": format!("r{n}")})).collect();
    discord.tell("/guild", json!({"roles": roles})).await;
    assert_eq!(all(&discord).await.len(), 250);
    assert_eq!(
        error(&create(&discord, json!({"name": "one more"})).await),
        (400, 30005)
    );
}

#[tokio::test]
async fn roles_are_made_at_the_pace_of_discord() {
    let discord = Discord::start().await;
    let made = create(&discord, json!({"name": "x"})).await;
    assert_eq!(made.header("x-ratelimit-limit"), "250");
    let reset: f64 = made.header("x-ratelimit-reset-after").parse().unwrap();
    assert!(reset > 172_000.0);
    let bob = &discord.info().users["bob"].id;
    let member = path(&discord, &format!("/members/{bob}"));
    for (method, body, limit) in [
        (Method::PATCH, Some(json!({"nick": "B"})), "10"),
        (Method::GET, None, "5"),
    ] {
        let answer = discord.rest(method, &member, body).await;
        assert_eq!(answer.header("x-ratelimit-limit"), limit);
    }
}
