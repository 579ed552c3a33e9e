//! Members and bans: who is renamed, gets roles and is thrown out, by whom, and who is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use support::{
    Answer, Discord, error, form_errors,
    gateway::{ALL_INTENTS, Gateway, kinds},
};

const KICK_BAN_AUDIT: u64 = 1 << 1 | 1 << 2 | 1 << 7;
/// What our bot's role has: see state/seed.rs.
const BOT: u64 = 1 | 1 << 4 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;

/// A simulator with rate limits wide enough, whose bot may do all that is here, and the role `Crew` below it.
struct Place {
    discord: Discord,
    guild: String,
    crew: String,
}

impl Place {
    async fn new() -> Self {
        let discord = Discord::start().await;
        discord
            .tell("/settings", json!({"rate_limit_factor": 100}))
            .await;
        let all = (BOT | KICK_BAN_AUDIT).to_string();
        let roles = json!([{"role": "Crew"}, {"role": "Boosters", "managed": true},
            {"role": "Above", "position": 9}, {"role": "Uro", "permissions": all}]);
        let guild = discord.tell("/guild", json!({"roles": roles})).await;
        Self {
            guild: guild["id"].as_str().unwrap().to_owned(),
            crew: role(&guild, "Crew"),
            discord,
        }
    }

    fn id(&self, user: &str) -> &str {
        &self.discord.info().users[user].id
    }

    fn path(&self, rest: &str) -> String {
        format!("/guilds/{}{rest}", self.guild)
    }

    fn member(&self, user: &str) -> String {
        self.path(&format!("/members/{}", self.id(user)))
    }

    async fn roles(&self) -> Value {
        self.discord.seen("/guild").await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.discord.rest(Method::PATCH, path, Some(body)).await
    }

    async fn put(&self, path: &str) -> Answer {
        self.discord.rest(Method::PUT, path, None).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.discord.rest(Method::DELETE, path, None).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.discord.rest(Method::GET, path, None).await
    }

    async fn control(&self, body: Value) -> Value {
        self.discord.tell("/members", body).await
    }

    /// A request with a reason, under a prefix of ours.
    async fn with_reason(&self, method: Method, path: &str, reason: &str, body: Value) -> Answer {
        let mut request = self.discord.request("uro", method, path, Some(body));
        request
            .headers_mut()
            .insert("x-audit-log-reason", reason.parse().unwrap());
        self.discord.send(request).await.unwrap()
    }
}

fn role(guild: &Value, name: &str) -> String {
    let roles = guild["roles"].as_array().unwrap();
    let role = roles.iter().find(|role| role["name"] == name).unwrap();
    role["id"].as_str().unwrap().to_owned()
}

/// Those of these types.
fn of<'a>(events: &'a [Value], prefix: &str) -> Vec<&'a Value> {
    let of_kind = |event: &&Value| event["t"].as_str().unwrap().starts_with(prefix);
    events.iter().filter(of_kind).collect()
}

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
async fn an_account_that_looks_as_before_is_not_told() {
    let place = Place::new().await;
    let (mut peer, _) = Gateway::identified(&place.discord, "peer", ALL_INTENTS).await;
    let (mut bob, _) = Gateway::identified(&place.discord, "bob", ALL_INTENTS).await;
    peer.events().await;
    bob.events().await;
    let change = async |change: Value| place.discord.tell("/accounts", change).await;
    change(json!({"user": "bob", "guilds_full": true})).await;
    change(json!({"user": "bob", "display": "Bob"})).await;
    assert!(peer.events().await.is_empty());
    assert!(bob.events().await.is_empty());
    change(json!({"user": "bob", "mfa": true})).await;
    assert!(peer.events().await.is_empty());
    let told = bob.events().await;
    assert_eq!(kinds(&told), ["USER_UPDATE"]);
    assert_eq!(told[0]["d"]["mfa_enabled"], true);
    change(json!({"user": "bob", "display": "Robert"})).await;
    let told = peer.events().await;
    assert_eq!(kinds(&told), ["GUILD_MEMBER_UPDATE"]);
    assert_eq!(told[0]["d"]["user"]["global_name"], "Robert");
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

#[tokio::test]
async fn control_makes_people_and_everything_is_undone_by_a_reset() {
    let place = Place::new().await;
    let before = {
        place.discord.tell("/reset", json!({})).await;
        place.discord.seen("/guild").await
    };
    let joined = place
        .control(json!({"action": "join", "user": "carol", "nick": "C", "roles": ["Staff"]}))
        .await;
    assert_eq!(
        (&joined[0]["user"]["username"], &joined[0]["nick"]),
        (&json!("carol"), &json!("C"))
    );
    let made = place.control(json!({"action": "join", "count": 20})).await;
    assert_eq!(made[0]["user"]["username"], "person-1");
    let made = place.control(json!({"action": "join", "count": 1})).await;
    assert_eq!(made[0]["user"]["username"], "person-21");
    let renamed = json!({"user": "carol", "name": "caroline", "discriminator": 7});
    let account = place.discord.tell("/accounts", renamed).await;
    assert_eq!(
        (&account["username"], &account["discriminator"]),
        (&json!("caroline"), &json!("0007"))
    );
    place
        .control(json!({"action": "ban", "user": "caroline", "by": "uro", "reason": "why not"}))
        .await;
    place
        .discord
        .tell(
            "/guild",
            json!({"owner": "bob", "mfa": true, "roles": [{"role": "Staff", "delete": true}]}),
        )
        .await;
    let log = place.discord.seen("/audit-log").await;
    let actions: Vec<&Value> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["action_type"])
        .collect();
    assert_eq!(actions, [22, 32, 1]);
    assert_eq!(log[0]["reason"], "why not");
    for (path, wrong) in [
        (
            "/members",
            json!({"action": "rename", "user": "caroline", "nick": "x"}),
        ),
        (
            "/members",
            json!({"action": "rename", "user": "nobody", "nick": "x"}),
        ),
        (
            "/members",
            json!({"action": "roles", "user": "bob", "add": ["No such"]}),
        ),
        ("/members", json!({"action": "leave"})),
        ("/accounts", json!({"user": "caroline", "name": "alice"})),
        ("/guild", json!({"owner": "caroline"})),
        (
            "/guild",
            json!({"roles": [{"role": "x", "permissions": "all"}]}),
        ),
        ("/guild", json!({"guild": "1"})),
    ] {
        let answer = place
            .discord
            .try_control(Method::POST, path, Some(wrong.clone()))
            .await;
        assert_eq!(answer.status.as_u16() / 100, 4, "{wrong}");
        assert!(answer.json()["error"].is_string());
    }
    // What is refused has changed nothing: also not what came before that which is wrong.
    let there = place.discord.seen("/guild").await;
    for (path, wrong) in [
        (
            "/members",
            json!({"action": "join", "user": "dora", "roles": ["No such"]}),
        ),
        (
            "/members",
            json!({"action": "join", "user": "dora", "count": u64::MAX}),
        ),
        (
            "/members",
            json!({"action": "ban", "users": ["bob", "dora"]}),
        ),
        (
            "/guild",
            json!({"roles": [{"role": "New"}, {"role": "x", "permissions": "all"}]}),
        ),
        (
            "/guild",
            json!({"roles": [{"role": "New"}, {"role": "No such", "delete": true}]}),
        ),
        (
            "/guild",
            json!({"roles": (0..250).map(|n| json!({"role": format!("r{n}")})).collect::<Vec<_>>()}),
        ),
    ] {
        let answer = place
            .discord
            .try_control(Method::POST, path, Some(wrong.clone()))
            .await;
        assert_eq!(answer.status.as_u16() / 100, 4, "{wrong}");
        assert_eq!(place.discord.seen("/guild").await, there, "{wrong}");
    }
    let dora = place
        .discord
        .try_control(Method::GET, "/members?user=dora", None)
        .await;
    assert_eq!(dora.status, 404);
    // What is made can be named, by those that come after it.
    let one_after_the_other =
        json!({"roles": [{"role": "New", "name": "Newer"}, {"role": "Newer", "delete": true}]});
    place.discord.tell("/guild", one_after_the_other).await;
    assert_eq!(place.discord.seen("/guild").await, there);
    let other = json!({"user": "bob", "name": "robert", "mfa": true});
    place.discord.tell("/accounts", other).await;
    let another = json!({"user": "caroline", "name": "bob"});
    place.discord.tell("/accounts", another).await;
    place.discord.tell("/reset", json!({})).await;
    assert_eq!(place.discord.seen("/guild").await, before);
    assert_eq!(place.discord.seen("/audit-log").await, json!([]));
}
