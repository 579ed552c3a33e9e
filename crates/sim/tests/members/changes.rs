//! Nicknames and roles.

use std::time::{Duration, Instant};

use hyper::{Method, Request, StatusCode};
use serde_json::json;

use crate::{
    place::{Place, of, role},
    support::{
        error, form_errors,
        gateway::{ALL_INTENTS, Gateway, kinds},
    },
};

#[tokio::test]
async fn a_member_is_renamed_and_gets_roles_in_one_request() {
    let place = Place::new().await;
    let (mut gateway, _) = Gateway::identified(&place.discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    // Ids as text and as numbers; `@everyone` counts for nothing, nor does a role named twice.
    let crew: u64 = place.crew.parse().unwrap();
    let body = json!({"nick": "  Bobby \u{200b}  B ", "roles": [crew, place.crew, place.guild]});
    let reason = "Uro%3A%20Gr%C3%BC%C3%9Fe";
    let answer = place
        .with_reason(Method::PATCH, &place.member("bob"), reason, body)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let member = answer.json();
    assert_eq!(
        (
            &member["nick"],
            &member["roles"],
            &member["user"]["username"]
        ),
        (&json!("Bobby B"), &json!([place.crew]), &json!("bob"))
    );
    assert_eq!(place.get(&place.member("bob")).await.json(), member);

    let events = gateway.events().await;
    let updates = of(&events, "GUILD_MEMBER_UPDATE");
    let [update] = updates.as_slice() else {
        panic!("{updates:?}")
    };
    assert_eq!(update["d"]["guild_id"], place.guild);
    assert_eq!(update["d"]["roles"], json!([place.crew]));
    let entries = of(&events, "GUILD_AUDIT_LOG_ENTRY_CREATE");
    let [nick, roles] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (
            &nick["d"]["action_type"],
            &nick["d"]["changes"],
            &nick["d"]["reason"]
        ),
        (
            &json!(24),
            &json!([{"key": "nick", "new_value": "Bobby B"}]),
            &json!("Uro: Grüße")
        )
    );
    assert_eq!(
        (&roles["d"]["action_type"], &roles["d"]["changes"]),
        (
            &json!(25),
            &json!([{"key": "$add", "new_value": [{"id": place.crew, "name": "Crew"}]}])
        )
    );
    assert_eq!(roles["d"]["user_id"], place.discord.info().application_id);
    assert_eq!(roles["d"]["target_id"], place.id("bob"));

    // The same again is no change, and nobody is told.
    let again = json!({"nick": "Bobby B", "roles": [place.crew]});
    assert_eq!(place.patch(&place.member("bob"), again).await.status, 200);
    assert_eq!(kinds(&gateway.events().await), Vec::<&str>::new());
    let reset = json!({"nick": null, "roles": []});
    let member = place.patch(&place.member("bob"), reset).await.json();
    assert_eq!(
        (&member["nick"], &member["roles"]),
        (&json!(null), &json!([]))
    );
}

#[tokio::test]
async fn a_role_is_given_and_taken() {
    let place = Place::new().await;
    let (mut gateway, _) = Gateway::identified(&place.discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    let path = format!("{}/roles/{}", place.member("bob"), place.crew);
    for (method, has) in [
        (Method::PUT, true),
        (Method::PUT, true),
        (Method::DELETE, false),
        (Method::DELETE, false),
    ] {
        let answer = place.discord.rest(method.clone(), &path, None).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (StatusCode::NO_CONTENT, 0)
        );
        let roles = place.get(&place.member("bob")).await.json()["roles"].clone();
        assert_eq!(
            roles.as_array().unwrap().len(),
            usize::from(has),
            "{method}"
        );
    }
    let told = gateway.events().await;
    assert_eq!(of(&told, "GUILD_MEMBER_UPDATE").len(), 2);
    // The owner may get roles too, though nobody may rename him.
    let owner = format!("{}/roles/{}", place.member("alice"), place.crew);
    assert_eq!(place.put(&owner).await.status, 204);
    let renamed = place
        .patch(&place.member("alice"), json!({"nick": "Al"}))
        .await;
    assert_eq!(error(&renamed), (403, 50013));
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let place = Place::new().await;
    let roles = place.roles().await;
    let (above, boosters) = (role(&roles, "Above"), role(&roles, "Boosters"));
    let before = place.discord.seen("/members").await;
    let bob = place.member("bob");
    let with_role = |role: &str| format!("{bob}/roles/{role}");
    for (method, path, body, expected) in [
        (Method::GET, place.path("/members/1"), None, (404, 10013)),
        (Method::PUT, with_role("1"), None, (404, 10011)),
        (Method::PUT, with_role(&above), None, (403, 50013)),
        (Method::PUT, with_role(&boosters), None, (403, 50013)),
        (Method::DELETE, with_role(&above), None, (403, 50013)),
        (Method::PUT, with_role(&place.guild), None, (400, 50028)),
        (
            Method::PUT,
            place.path(&format!("/members/1/roles/{}", place.crew)),
            None,
            (404, 10013),
        ),
        (
            Method::PATCH,
            bob.clone(),
            Some(json!({"roles": ["1"]})),
            (404, 10011),
        ),
        (
            Method::PATCH,
            bob.clone(),
            Some(json!({"roles": [above]})),
            (403, 50013),
        ),
        (
            Method::PATCH,
            bob.clone(),
            Some(json!({"roles": [place.crew, boosters], "nick": "x"})),
            (403, 50013),
        ),
        (
            Method::PATCH,
            place.path("/members/1"),
            Some(json!({"nick": "x"})),
            (404, 10013),
        ),
        (Method::DELETE, place.member("alice"), None, (403, 50013)),
        (Method::DELETE, place.path("/members/1"), None, (404, 10013)),
        (Method::PUT, place.path("/bans/1"), None, (404, 10013)),
        (
            Method::PUT,
            place.path(&format!("/bans/{}", place.id("alice"))),
            None,
            (403, 50013),
        ),
        (Method::GET, place.path("/bans/1"), None, (404, 10026)),
        (Method::DELETE, place.path("/bans/1"), None, (404, 10026)),
        (
            Method::GET,
            "/guilds/1/members".to_owned(),
            None,
            (404, 10004),
        ),
    ] {
        let answer = place.discord.rest(method.clone(), &path, body).await;
        assert_eq!(error(&answer), expected, "{method} {path}");
    }
    let long = place.patch(&bob, json!({"nick": "é".repeat(33)})).await;
    assert_eq!(
        form_errors(&long)["nick"]["_errors"][0]["code"],
        "BASE_TYPE_MAX_LENGTH"
    );
    for (body, field) in [
        (json!({"nick": 5}), "nick"),
        (json!({"roles": "all"}), "roles"),
        (json!({"mute": true}), "mute"),
        (json!({"channel_id": null}), "channel_id"),
    ] {
        let errors = form_errors(&place.patch(&bob, body).await);
        assert!(errors[field]["_errors"].is_array(), "{errors}");
    }
    let errors = form_errors(&place.patch(&bob, json!({"roles": ["crew"]})).await);
    assert_eq!(
        errors["roles"]["0"]["_errors"][0]["code"],
        "NUMBER_TYPE_COERCE"
    );
    for query in ["limit=0", "limit=1001", "limit=x", "after=x"] {
        form_errors(&place.get(&place.path(&format!("/members?{query}"))).await);
    }
    let after_all = format!("/members?after={}", u64::MAX);
    assert_eq!(place.get(&place.path(&after_all)).await.json(), json!([]));
    form_errors(&place.get(&place.path("/members/search")).await);
    for reason in ["x".repeat(513), "%ff".to_owned()] {
        let answer = place
            .with_reason(Method::PATCH, &bob, &reason, json!({"nick": "x"}))
            .await;
        form_errors(&answer);
    }
    assert_eq!(place.discord.seen("/members").await, before);
    // As long as may be: 32 characters, whatever they are made of.
    let longest = place.patch(&bob, json!({"nick": "😀".repeat(32)})).await;
    assert_eq!(longest.json()["nick"], "😀".repeat(32));
}

#[tokio::test]
async fn the_sixth_version_answers_as_it_did() {
    let place = Place::new().await;
    place
        .discord
        .tell("/settings", json!({"rate_limit_factor": 1}))
        .await;
    let send = async |prefix: &str, precise: bool| {
        let uri = format!(
            "{}{}",
            place.discord.info().api.replace("/api/v10", prefix),
            place.member("bob")
        );
        let mut request = Request::builder()
            .method(Method::PATCH)
            .uri(uri)
            .header("authorization", place.discord.authorization("uro"))
            .header("content-type", "application/json");
        if precise {
            request = request.header("x-ratelimit-precision", "millisecond");
        }
        let request = request
            .body(json!({"roles": []}).to_string().into())
            .unwrap();
        place.discord.send(request).await.unwrap()
    };
    for (prefix, status) in [("/api", 204), ("/api/v6", 204), ("/api/v10", 200)] {
        assert_eq!(send(prefix, true).await.status, status, "{prefix}");
    }
    let mut last = send("/api", false).await;
    assert!(
        !last.header("x-ratelimit-reset-after").contains('.'),
        "whole seconds"
    );
    while last.status != 429 {
        last = send("/api", true).await;
    }
    assert!(last.header("x-ratelimit-reset-after").contains('.'));
    let wait = last.json()["retry_after"]
        .as_u64()
        .expect("whole milliseconds");
    assert!((1..=10_000).contains(&wait));
    assert_eq!(last.header("retry-after"), wait.to_string());
    // One bucket, whatever the version.
    let limited = send("/api/v10", false).await;
    assert_eq!(limited.status, 429);
    assert!(limited.json()["retry_after"].as_f64().unwrap() <= 10.0);
    let counts = place.discord.seen("/requests/counts").await;
    let of_route = counts.as_array().unwrap().iter().find(|of| {
        of["method"] == "PATCH" && of["route"] == "/guilds/{guild_id}/members/{user_id}"
    });
    let statuses = &of_route.unwrap()["statuses"];
    assert_eq!((&statuses["200"], &statuses["429"]), (&json!(1), &json!(2)));
    let unknown = format!("{}/nothing", place.discord.info().api.replace("/v10", ""));
    let request = Request::get(unknown).body("".into()).unwrap();
    assert_eq!(error(&place.discord.send(request).await.unwrap()), (404, 0));
}

/// The ids of all members, by pages.
async fn all_members(place: &Place, guild: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let after = ids.last().map_or("0", String::as_str);
        let path = format!("/guilds/{guild}/members?limit=1000&after={after}");
        let page = place.get(&path).await.json();
        let page = page.as_array().unwrap().iter();
        let before = ids.len();
        ids.extend(page.map(|m| m["user"]["id"].as_str().unwrap().to_owned()));
        if ids.len() < before + 1_000 {
            return ids;
        }
    }
}

/// How long it takes to list all members so many times.
async fn listing(place: &Place, guild: &str, times: usize) -> Duration {
    let began = Instant::now();
    for _ in 0..times {
        all_members(place, guild).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn ten_thousand_members_are_listed_and_changed_quickly() {
    let place = Place::new().await;
    let more = json!({"count": 1, "people": 10_000, "roles": 50});
    let added = place.discord.tell("/guilds", more).await;
    let (guild, roles) = (
        added[0]["id"].as_str().unwrap(),
        added[0]["roles"].as_array().unwrap(),
    );
    assert_eq!(roles.len(), 52);
    let ids = all_members(&place, guild).await;
    assert_eq!(ids.len(), 10_004);
    assert!(
        ids.windows(2)
            .all(|pair| pair[0].len() < pair[1].len() || pair[0] < pair[1])
    );
    // Both take as long, whatever else the machine does meanwhile. With a walk over all for each member the second takes ten times as long.
    let small = json!({"count": 1, "people": 1_000});
    let small = place.discord.tell("/guilds", small).await;
    let small = small[0]["id"].as_str().unwrap();
    let (mut few, mut many) = (Duration::MAX, Duration::MAX);
    for _ in 0..2 {
        few = few.min(listing(&place, small, 10).await);
        many = many.min(listing(&place, guild, 1).await);
    }
    assert!(many < few * 4, "{few:?} {many:?}");
    let last = format!("/guilds/{guild}/members/{}", ids.last().unwrap());
    let changed = place
        .patch(&last, json!({"nick": "Last", "roles": [roles[51]]}))
        .await;
    assert_eq!(changed.json()["roles"], json!([roles[51]]));
    let counts = place
        .get(&format!("/guilds/{guild}/roles/member-counts"))
        .await
        .json();
    assert_eq!(counts[roles[51].as_str().unwrap()], 1);
    let found = place
        .get(&format!("/guilds/{guild}/members/search?query=last"))
        .await;
    assert_eq!(found.json()[0]["nick"], "Last");
    // Too many are refused before any is made.
    let too_many = json!({"count": 2, "people": 250_000});
    let answer = place
        .discord
        .try_control(Method::POST, "/guilds", Some(too_many))
        .await;
    assert_eq!(answer.status, 400);
}
