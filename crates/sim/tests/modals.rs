//! Modals: shown, judged, submitted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Answer, Discord, form_errors,
    gateway::{ALL_INTENTS, Gateway},
};

fn modal() -> Value {
    let options =
        json!([{"label": "Red", "value": "r"}, {"label": "Blue", "value": "b", "default": true}]);
    json!({"custom_id": "form:1", "title": "A form", "components": [
        {"type": 10, "content": "Please:"},
        {"type": 18, "label": "Name", "component": {"type": 4, "custom_id": "name", "style": 1, "min_length": 2, "max_length": 5}},
        {"type": 18, "label": "Colour", "component": {"type": 3, "custom_id": "colour", "options": options}},
        {"type": 18, "label": "Sure?", "component": {"type": 23, "custom_id": "sure"}},
        {"type": 18, "label": "One", "component": {"type": 21, "custom_id": "one", "options": options, "required": false}},
    ]})
}

struct Asked {
    discord: Discord,
    gateway: Gateway,
}

impl Asked {
    async fn start() -> Self {
        let discord = Discord::start().await;
        let path = format!("/applications/{}/commands", discord.info().application_id);
        let commands = json!([{"name": "form", "description": "Shows a form"}]);
        let registered = discord.rest(Method::PUT, &path, Some(commands)).await;
        assert_eq!(registered.status, 200);
        // Many answers to one interaction are not what this is about.
        discord
            .tell("/settings", json!({"rate_limit_factor": 10}))
            .await;
        let (gateway, _) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
        Self { discord, gateway }
    }

    /// Somebody uses the command, or submits a form; answers what the application gets of it.
    async fn used(&mut self, used: Value) -> Value {
        self.discord.tell("/interactions", used).await;
        self.gateway.event("INTERACTION_CREATE").await["d"].clone()
    }

    async fn command(&mut self) -> Value {
        self.used(json!({"user": "bob", "command": ["form"]})).await
    }

    /// Why somebody cannot do this.
    async fn refused(&self, used: Value) -> String {
        let path = "/interactions";
        let answer = self
            .discord
            .try_control(Method::POST, path, Some(used))
            .await;
        assert!(answer.status.is_client_error(), "{}", answer.status);
        answer.json()["error"].as_str().unwrap().to_owned()
    }

    async fn answer(&self, to: &Value, answer: Value) -> Answer {
        let (id, token) = (to["id"].as_str().unwrap(), to["token"].as_str().unwrap());
        let path = format!("/interactions/{id}/{token}/callback");
        self.discord.rest(Method::POST, &path, Some(answer)).await
    }
}

#[tokio::test]
async fn what_is_entered_comes_back_as_it_was_asked_for() {
    let mut asked = Asked::start().await;
    let command = asked.command().await;
    let shown = asked
        .answer(&command, json!({"type": 9, "data": modal()}))
        .await;
    assert_eq!(shown.status, 204);

    let values = json!({"name": "Bob", "sure": true});
    let used = json!({"user": "bob", "modal": {"answer_to": command["id"], "values": values}});
    let submitted = asked.used(used).await;
    assert_eq!(submitted["type"], 5);
    assert!(submitted.get("message").is_none(), "no component opened it");
    let data = &submitted["data"];
    assert_eq!(data["custom_id"], "form:1");
    assert_eq!(data["components"][0], json!({"type": 10, "id": 1}));
    let fields: Vec<&Value> = (1..5)
        .map(|at| &data["components"][at]["component"])
        .collect();
    assert_eq!(fields[0]["value"], "Bob");
    assert_eq!(fields[1]["values"], json!(["b"]));
    assert_eq!(fields[2]["value"], true);
    assert_eq!(fields[3]["value"], "b");

    // A modal is not the answer to a modal, and without a message there is nothing to update.
    for (kind, allowed) in [(9, false), (7, false), (4, true)] {
        let answer = json!({"type": kind, "data": {"content": "Thanks."}});
        let answered = asked.answer(&submitted, answer).await;
        assert_eq!(answered.status == 204, allowed, "{kind}");
    }
}

#[tokio::test]
async fn what_the_form_does_not_take_cannot_be_submitted() {
    let mut asked = Asked::start().await;
    let command = asked.command().await;
    asked
        .answer(&command, json!({"type": 9, "data": modal()}))
        .await;
    for (values, why) in [
        (json!({}), "`name` is required"),
        (json!({"name": "x"}), "2 to 5 characters"),
        (json!({"name": "Bob", "colour": ["g"]}), "does not offer"),
        (json!({"name": "Bob", "colour": ["r", "b"]}), "takes 1 to 1"),
        (json!({"name": "Bob", "one": "g"}), "does not offer"),
        (json!({"name": "Bob", "age": 3}), "no field `age`"),
    ] {
        let used = json!({"user": "bob", "modal": {"answer_to": command["id"], "values": values}});
        let refused = asked.refused(used).await;
        assert!(refused.contains(why), "{refused}");
    }
    // It was shown to Bob.
    let used =
        json!({"user": "alice", "modal": {"answer_to": command["id"], "values": {"name": "Bob"}}});
    let refused = asked.refused(used).await;
    assert!(
        refused.contains("was not answered with a modal"),
        "{refused}"
    );
}

#[tokio::test]
async fn bad_modals_are_refused_where_they_are_bad() {
    let mut asked = Asked::start().await;
    let label = |component: Value| json!([{"type": 18, "label": "x", "component": component}]);
    let input = json!({"type": 4, "custom_id": "a", "style": 1});
    let select = json!({"type": 3, "custom_id": "a", "options": [{"label": "x", "value": "x"}]});
    let changed = |component: &Value, key: &str, value: Value| {
        let mut component = component.clone();
        component[key] = value;
        label(component)
    };
    let command = asked.command().await;
    for (key, value, at) in [
        ("title", json!("x".repeat(46)), "/data/title"),
        ("title", Value::Null, "/data/title"),
        ("custom_id", json!(""), "/data/custom_id"),
        ("components", json!([]), "/data/components"),
        ("components", json!([input]), "/data/components/0/type"),
        (
            "components",
            json!([{"type": 18, "component": input}]),
            "/data/components/0/label",
        ),
        (
            "components",
            changed(&input, "style", json!(3)),
            "/data/components/0/component/style",
        ),
        (
            "components",
            changed(&input, "max_length", json!(4_001)),
            "/data/components/0/component/max_length",
        ),
        (
            "components",
            changed(&select, "disabled", json!(true)),
            "/data/components/0/component/disabled",
        ),
        (
            "components",
            changed(&select, "min_values", json!(0)),
            "/data/components/0/component/min_values",
        ),
        (
            "components",
            label(json!({"type": 21, "custom_id": "a", "options": [{"label": "x", "value": "x"}]})),
            "/data/components/0/component/options",
        ),
    ] {
        let mut modal = modal();
        modal[key] = value;
        let refused = asked
            .answer(&command, json!({"type": 9, "data": modal}))
            .await;
        let errors = form_errors(&refused);
        let there = errors.pointer(&format!("{at}/_errors"));
        assert!(there.is_some(), "{at}: {errors}");
    }
    let launched = asked.answer(&command, json!({"type": 12})).await;
    assert_eq!(launched.status, 204);
}
