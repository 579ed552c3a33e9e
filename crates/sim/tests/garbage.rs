//! Damaged input, from a fixed seed: every request and command is answered or refused, and nothing breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use http_body_util::Full;
use hyper::{Request, body::Bytes, header};
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, Said, identify, identify_freely},
};

/// Xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Any JSON, some levels deep.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(i64::try_from(self.below(1 << 40)).unwrap() - (1 << 39)),
            3 => json!(u64::MAX),
            4 => json!(-1.5),
            5 => json!(
                [
                    "",
                    "x",
                    "18446744073709551616",
                    "\u{0}\u{202e}é",
                    "https://"
                ][self.below(5)]
            ),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                json!({"type": self.value(depth - 1), "id": self.value(depth - 1), "url": self.value(0)})
            }
        }
    }

    /// Replaces or removes something in a value.
    fn damage(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) if !object.is_empty() && self.below(4) > 0 => {
                let key = object.keys().nth(self.below(object.len())).unwrap().clone();
                if self.below(6) == 0 {
                    object.remove(&key);
                } else {
                    self.damage(&mut object[&key]);
                }
            }
            Value::Array(list) if !list.is_empty() && self.below(4) > 0 => {
                let at = self.below(list.len());
                self.damage(&mut list[at]);
            }
            value => *value = self.value(2),
        }
    }

    /// Changes some bytes.
    fn scramble(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            bytes[at] = u8::try_from(self.below(256)).unwrap();
        }
    }
}

fn message() -> Value {
    json!({
        "content": "x", "nonce": "n", "enforce_nonce": true, "tts": false, "flags": 0,
        "embeds": [{
            "title": "t", "url": "https://example.org", "color": 1, "timestamp": "2026-01-01T00:00:00Z",
            "footer": {"text": "f", "icon_url": "https://example.org"}, "author": {"name": "a"},
            "image": {"url": "attachment://a.png"}, "fields": [{"name": "n", "value": "v", "inline": true}],
        }],
        "components": [
            {"type": 1, "components": [{"type": 2, "style": 1, "label": "l", "custom_id": "c"}]},
            {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "l", "value": "v"}]}]},
        ],
        "allowed_mentions": {"parse": ["users"], "roles": ["1"]},
        "attachments": [{"id": 0, "filename": "a"}],
        "message_reference": {"message_id": "1", "fail_if_not_exists": false},
    })
}

fn components() -> Value {
    json!({"flags": 1 << 15, "components": [{"type": 17, "accent_color": 1, "components": [
        {"type": 9, "components": [{"type": 10, "content": "x"}], "accessory": {"type": 11, "media": {"url": "https://example.org"}}},
        {"type": 12, "items": [{"media": {"url": "https://example.org"}}]},
        {"type": 13, "file": {"url": "attachment://a"}},
        {"type": 14, "divider": true, "spacing": 1},
    ]}]})
}

#[tokio::test]
async fn damaged_messages_are_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0x5eed);
    let path = format!(
        "{}/channels/{}/messages",
        discord.info().api,
        discord.channel("general")
    );
    for round in 0..1_500 {
        if round % 5 == 0 {
            discord.tell("/reset", json!({})).await;
        }
        let mut body = if random.below(2) == 0 {
            message()
        } else {
            components()
        };
        for _ in 0..=random.below(3) {
            random.damage(&mut body);
        }
        let mut bytes = body.to_string().into_bytes();
        if random.below(5) == 0 {
            random.scramble(&mut bytes);
        }
        let request = Request::post(&path)
            .header(header::AUTHORIZATION, discord.authorization("uro"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(Bytes::from(bytes)))
            .unwrap();
        let answer = discord.send(request).await.expect("an answer");
        assert!(
            matches!(answer.status.as_u16(), 200 | 400),
            "{answer:?} to {body}"
        );
        assert!(answer.json().is_object());
    }
}

#[tokio::test]
async fn damaged_commands_are_taken_or_close_the_connection() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let mut random = Random(0xfeed);
    let presence = json!({"op": 3, "d": {"since": null, "status": "idle", "afk": false, "activities": [{"name": "n", "type": 4, "state": "s"}]}});
    let voice = json!({"op": 4, "d": {"guild_id": discord.info().guild_id, "channel_id": discord.channel("world"), "self_mute": true}});
    let members = json!({"op": 8, "d": {"guild_id": discord.info().guild_id, "query": "", "limit": 0, "user_ids": ["1"], "nonce": "n"}});
    let resume =
        json!({"op": 6, "d": {"token": discord.info().token, "session_id": "s", "seq": 1}});
    for round in 0..300 {
        if round % 100 == 0 {
            discord.tell("/reset", json!({})).await;
            identify_freely(&discord).await;
        }
        let mut gateway = if random.below(2) == 0 {
            Gateway::identified(&discord, "uro", ALL_INTENTS).await.0
        } else {
            Gateway::open(&discord).await
        };
        for _ in 0..5 {
            let commands = [
                &presence,
                &voice,
                &members,
                &resume,
                &identify(&discord, "uro", ALL_INTENTS),
            ];
            let mut command = commands[random.below(commands.len())].clone();
            random.damage(&mut command);
            gateway.send(command).await;
        }
        // It answers a heartbeat, or has closed with a code of its own.
        gateway.send(json!({"op": 1, "d": null})).await;
        loop {
            match gateway.said().await {
                Said::Payload(payload) if payload["op"] == 11 => break,
                Said::Payload(_) => {}
                Said::Close(code) => {
                    assert!((4001..=4014).contains(&code), "{code}");
                    break;
                }
                Said::Nothing => panic!("it broke"),
            }
        }
    }
}
