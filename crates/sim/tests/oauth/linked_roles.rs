//! What an application says of its users.

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    flow::OAuth,
    support::{error, form_errors},
};

#[tokio::test]
async fn linked_roles_have_limits() {
    let oauth = OAuth::start().await;
    let app = oauth.id().to_owned();
    let metadata = format!("/applications/{app}/role-connections/metadata");
    let put = async |records: Value| {
        oauth
            .discord
            .rest(Method::PUT, &metadata, Some(records))
            .await
    };
    let record = |key: &str, kind: u64| json!({"key": key, "name": "A name", "description": "Says what it is", "type": kind});
    let good = json!([record("worlds", 2), record("since", 6), record("member", 7)]);
    assert_eq!(put(good.clone()).await.json(), good);
    assert_eq!(
        oauth
            .discord
            .rest(Method::GET, &metadata, None)
            .await
            .json(),
        good
    );
    for (records, at) in [
        (json!(vec![record("a", 1); 6]), "/_errors/0/code"),
        (json!([record("Worlds", 2)]), "/0/key/_errors/0/code"),
        (json!([record("", 2)]), "/0/key/_errors/0/code"),
        (json!([record(&"a".repeat(51), 2)]), "/0/key/_errors/0/code"),
        (json!([record("a", 0)]), "/0/type/_errors/0/code"),
        (json!([record("a", 9)]), "/0/type/_errors/0/code"),
        (
            json!([record("a", 1), record("a", 2)]),
            "/1/key/_errors/0/code",
        ),
        (json!([{"key": "a"}]), "/0/description/_errors/0/code"),
    ] {
        let errors = form_errors(&put(records.clone()).await);
        assert!(errors.pointer(at).is_some(), "{records}: {errors}");
    }
    let peer = oauth
        .discord
        .rest_as("peer", Method::PUT, &metadata, Some(good))
        .await;
    assert_eq!(error(&peer), (403, 50001));

    let tokens = oauth.tokens("bob", "role_connections.write").await;
    let path = format!("/users/@me/applications/{app}/role-connection");
    let put = async |body: Value| {
        oauth
            .as_bearer(&tokens["access_token"], Method::PUT, &path, Some(body))
            .await
    };
    let said = json!({
        "platform_name": "V-Sekai",
        "platform_username": "bob",
        "metadata": {"worlds": 3, "since": "2026-01-31", "member": "1", "unknown": "is left out"},
    });
    let kept = json!({
        "platform_name": "V-Sekai",
        "platform_username": "bob",
        "metadata": {"worlds": "3", "since": "2026-01-31", "member": "1"},
    });
    assert_eq!(put(said).await.json(), kept);
    assert_eq!(oauth.get(&tokens, &path).await.json(), kept);
    assert_eq!(oauth.discord.seen("/oauth").await[0]["connection"], kept);
    for (body, at) in [
        (
            json!({"platform_name": "n".repeat(51)}),
            "/platform_name/_errors",
        ),
        (
            json!({"platform_username": "n".repeat(101)}),
            "/platform_username/_errors",
        ),
        (
            json!({"metadata": {"worlds": "many"}}),
            "/metadata/worlds/_errors",
        ),
        (
            json!({"metadata": {"worlds": "1".repeat(101)}}),
            "/metadata/worlds/_errors",
        ),
        (
            json!({"metadata": {"since": "yesterday"}}),
            "/metadata/since/_errors",
        ),
        (
            json!({"metadata": {"member": true, "worlds": [1]}}),
            "/metadata/worlds/_errors",
        ),
        (json!({"metadata": []}), "/metadata/_errors"),
    ] {
        let errors = form_errors(&put(body.clone()).await);
        assert!(errors.pointer(at).is_some(), "{body}: {errors}");
    }
    let other = path.replace(&app, &oauth.discord.info().users["peer"].id);
    assert_eq!(error(&oauth.get(&tokens, &other).await), (403, 50001));
    assert_eq!(
        error(&oauth.discord.rest(Method::GET, &path, None).await),
        (401, 0)
    );
}
