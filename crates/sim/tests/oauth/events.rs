//! The webhook events of authorizations.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    flow::OAuth,
    guilds::invite,
    support::{endpoint::Endpoint, error},
};

#[tokio::test]
async fn the_application_is_told_who_allows_and_who_takes_it_back() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let (endpoint, url) = Endpoint::start(discord, true).await;
    let set = json!({"event_webhooks_url": url});
    let set = discord
        .rest(Method::PATCH, "/applications/@me", Some(set))
        .await
        .json();
    assert_eq!(set["event_webhooks_status"], 2);
    let answers = [204, 204, 204, 500].map(|status| (status, String::new()));
    endpoint.answers.lock().unwrap().extend(answers);
    let events = || std::mem::take(&mut *endpoint.seen.lock().unwrap());
    let bob = discord.info().users["bob"].id.clone();

    let tokens = oauth.tokens("bob", "identify role_connections.write").await;
    let told = events();
    assert_eq!(told[0]["event"]["type"], "APPLICATION_AUTHORIZED");
    let data = &told[0]["event"]["data"];
    assert_eq!(
        (&data["user"]["id"], &data["scopes"]),
        (&json!(bob), &json!(["identify", "role_connections.write"]))
    );
    assert!(data.get("integration_type").is_none());

    let here = format!("&guild_id={}", discord.info().guild_id);
    invite(&oauth, "alice", &here, "authorize=true").await;
    let told = events();
    let data = &told[0]["event"]["data"];
    assert_eq!(
        (&data["integration_type"], &data["guild"]["name"]),
        (&json!(0), &json!("V-Sekai"))
    );

    let path = format!("/users/@me/applications/{}/role-connection", oauth.id());
    let said = Some(json!({"platform_name": "V-Sekai"}));
    oauth
        .as_bearer(&tokens["access_token"], Method::PUT, &path, said)
        .await;
    let revoke = json!({"user": "bob", "action": "revoke", "times": 2});
    let answer = discord.tell("/oauth", revoke.clone()).await;
    assert_eq!(answer, json!({"revoked": true, "statuses": [204, 500]}));
    let told = events();
    assert_eq!(told[0]["event"]["type"], "APPLICATION_DEAUTHORIZED");
    assert_eq!(
        (&told[0]["event"]["data"]["user"]["id"], &told[0]),
        (&json!(bob), &told[1])
    );
    assert_eq!(error(&oauth.get(&tokens, "/users/@me").await), (401, 0));
    assert_eq!(
        discord.tell("/oauth", revoke).await,
        json!({"revoked": false, "statuses": []})
    );

    // What was said of him is gone too.
    endpoint
        .answers
        .lock()
        .unwrap()
        .push_back((204, String::new()));
    let again = oauth.tokens("bob", "role_connections.write").await;
    let connection = oauth.get(&again, &path).await.json();
    assert_eq!(connection["platform_name"], Value::Null);
    // The application knows what it does itself.
    events();
    let token = again["access_token"].as_str().unwrap();
    oauth
        .form("/oauth2/token/revoke", &[("token", token)])
        .await;
    assert!(events().is_empty());
}
