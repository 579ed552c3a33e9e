//! Members and accounts by the control interface.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    place::Place,
    support::gateway::{ALL_INTENTS, Gateway, kinds},
};

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
    // A request that is refused changes nothing, though it begins with something that could be done.
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
