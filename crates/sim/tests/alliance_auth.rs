//! Alliance Auth, by which other sites have had members, roles and nicknames in Discord for years, uses the simulator as it would use Discord:
//! with its web server and its worker, over the API without a version.
//!
//! `bench/accounts/alliance_auth/install` makes the folder that the environment names: `URO_DISCORD_ALLIANCE_AUTH`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs},
};
use tokio::process::Command;

/// It may take so long for everything.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
#[ignore = "needs Alliance Auth; bin/test installs it"]
async fn alliance_auth() {
    let judge = async { Judge::start().await.judge().await };
    tokio::time::timeout(DEADLINE, judge)
        .await
        .expect("Alliance Auth hangs");
}

/// Alliance Auth with two users, and the Discord that it talks to.
struct Judge {
    discord: Discord,
    auth: Client,
}

impl Judge {
    async fn start() -> Self {
        let discord = Discord::start().await;
        let info = discord.info();
        let folder = std::env::var("URO_DISCORD_ALLIANCE_AUTH").expect(
            "URO_DISCORD_ALLIANCE_AUTH is not set; see bench/accounts/alliance_auth/install",
        );
        let python = Path::new(&folder).join("venv/bin/python");
        let mut command = Command::new(python);
        command
            .arg(programs().join("alliance_auth.py"))
            .env("DISCORD_APP_ID", &info.application_id)
            .env("DISCORD_APP_SECRET", &info.client_secret);
        let mut auth = Client::start(&discord, "uro", command);
        auth.wait_for("ready").await;
        Self { discord, auth }
    }

    async fn judge(mut self) {
        let info = self.discord.info();
        let bob = info.users["bob"].id.clone();
        let alice = info.users["alice"].id.clone();
        let given = json!({"nick": "Pilot 0", "roles": ["Member", "g0", "g1"]});

        // It asks for Administrator when it is set up: to throw people out, among others.
        let administrator = json!({"roles": [{"role": "Uro", "permissions": "8"}]});
        self.discord.tell("/guild", administrator).await;

        // Who is no member becomes one, with a nickname, and with roles that are made for him.
        self.member(json!({"action": "leave", "user": "bob"})).await;
        let linked = self.says(json!({"link": 0, "as": "bob"}), "linked").await;
        assert_eq!(linked["activated"], true, "{linked}");
        assert_eq!(linked["account"]["uid"], bob);
        assert_eq!(self.shown("bob").await, given);
        assert_eq!(self.answers("POST", "roles").await, json!({"200": 3}));
        assert_eq!(self.answers("PUT", "member").await, json!({"201": 1}));

        // Nothing has changed. Then somebody has taken a role, and given two, of which one is Discord's to give. Only 204 says that a
        // member was changed.
        self.says(json!({"run": "update_groups", "for": 0}), "ran")
            .await;
        assert_eq!(self.answers("PATCH", "member").await, Value::Null);
        let roles = json!({"roles": [{"role": "by hand"}, {"role": "Booster", "managed": true}]});
        self.discord.tell("/guild", roles).await;
        self.member(json!({"action": "roles", "user": "bob", "add": ["by hand", "Booster"], "remove": ["g0"]}))
            .await;
        self.says(json!({"run": "update_groups", "for": 0}), "ran")
            .await;
        assert_eq!(self.answers("PATCH", "member").await, json!({"204": 1}));
        let boosts = json!({"nick": "Pilot 0", "roles": ["Booster", "Member", "g0", "g1"]});
        assert_eq!(self.shown("bob").await, boosts);

        // A name.
        self.says(
            json!({"rename": 0, "to": "Ace of the long name that is cut at some point"}),
            "renamed",
        )
        .await;
        assert_eq!(
            self.shown("bob").await["nick"],
            "Ace of the long name that is cut"
        );
        let names = json!({"user": "bob", "name": "bobby"});
        self.discord.tell("/accounts", names).await;
        let ran = self
            .says(json!({"run": "update_username", "for": 0}), "ran")
            .await;
        assert_eq!(ran["account"]["username"], "bobby");

        let owner = self.shown(&alice).await;
        // The guild's owner cannot be renamed, so he cannot be linked by who wants to.
        let refused = self.says(json!({"link": 1, "as": "alice"}), "linked").await;
        assert_eq!(refused["activated"], false, "{refused}");
        assert_eq!(self.answers("PATCH", "member").await["403"], 1);
        assert_eq!(refused["account"], Value::Null);
        assert_eq!(self.shown(&alice).await, owner);

        // Unlinking throws out, and who has left is unlinked.
        let unlinked = self
            .says(json!({"open": "/discord/deactivate/", "by": 0}), "opened")
            .await;
        assert_eq!(
            (&unlinked["deactivated"], &unlinked["account"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(self.answers("DELETE", "member").await, json!({"204": 1}));
        assert_eq!(self.shown(&bob).await, Value::Null);
        let linked = self.says(json!({"link": 0, "as": "bobby"}), "linked").await;
        assert_eq!(linked["activated"], true, "{linked}");
        self.member(json!({"action": "leave", "user": "bobby"}))
            .await;
        let ran = self.says(json!({"run": "update_all_groups"}), "ran").await;
        assert_eq!(ran["accounts"], json!([null, null]));
        self.auth.succeeds().await;
    }

    /// Has it do something; what it says then.
    async fn says(&mut self, what: Value, event: &str) -> Value {
        self.auth.tell(what).await;
        self.auth.wait_for(event).await
    }

    async fn member(&self, act: Value) {
        self.discord.tell("/members", act).await;
    }

    /// A member's nickname and the names of his roles; null: he is none.
    async fn shown(&self, user: &str) -> Value {
        let guild = self.discord.seen("/guild").await;
        let members = self.discord.seen(&format!("/members?user={user}")).await;
        let Some(member) = members.as_array().unwrap().first() else {
            return Value::Null;
        };
        let roles = guild["roles"].as_array().unwrap();
        let has = |role: &&Value| member["roles"].as_array().unwrap().contains(&role["id"]);
        let mut names: Vec<_> = roles.iter().filter(has).map(|role| &role["name"]).collect();
        names.sort_by_key(|name| name.as_str());
        json!({"nick": member["nick"], "roles": names})
    }

    /// How often a method of the guild's roles, or of a member of it, was answered with each status; null: it was not asked for.
    async fn answers(&self, method: &str, of: &str) -> Value {
        let route = match of {
            "roles" => "/guilds/{guild_id}/roles",
            _ => "/guilds/{guild_id}/members/{user_id}",
        };
        let counts = self.discord.seen("/requests/counts").await;
        let of = counts.as_array().unwrap().iter();
        let mut of = of.filter(|count| count["method"] == method && count["route"] == route);
        of.next()
            .map_or(Value::Null, |count| count["statuses"].clone())
    }
}
