//! MESSAGE_CREATE.

use serde_json::{Value, json};

use super::{
    Maker,
    guild::{Place, user_json},
    words::sentence,
};
use crate::{
    id::{Id, iso8601},
    state::{Member, Mentions, Message, User},
};

/// A message of words and nothing else.
pub fn plain(maker: &mut Maker, guild: Id, channel: Id, author: &User, content: &str) -> Value {
    let message = Message {
        id: maker.id(),
        channel,
        author: author.id,
        content: content.to_owned(),
        edited_ms: None,
        tts: false,
        mentions: Mentions::default(),
        attachments: vec![],
        embeds: vec![],
        components: vec![],
        flags: 0,
        nonce: None,
        reply_to: None,
    };
    let member = Member::new(author.id, Vec::new());
    let mut json = message.json();
    json["guild_id"] = json!(guild);
    json["author"] = user_json(author);
    json["member"] = member.json();
    json["mentions"] = json!([]);
    json["nonce"] = json!(message.id);
    json
}

/// What a member might say: some answer somebody, some show a link or a picture.
pub fn random(maker: &mut Maker, place: &Place, person: usize) -> Value {
    let channel = place.channel(maker);
    let write = |maker: &mut Maker, person: usize| {
        let content = sentence(maker, 24);
        let mut json = plain(
            maker,
            place.guild.id,
            channel,
            &place.users[person],
            &content,
        );
        json["member"] = place.members[person].json();
        json
    };
    let mut message = write(maker, person);
    if maker.percent(15) {
        let other = maker.rng.usize(..place.people());
        let mut original = write(maker, other);
        if let Some(original) = original.as_object_mut() {
            original.remove("guild_id");
            original.remove("member");
        }
        message["type"] = json!(19);
        message["message_reference"] = json!({"type": 0, "message_id": original["id"], "channel_id": channel, "guild_id": place.guild.id});
        let mut mentioned = user_json(&place.users[other]);
        mentioned["member"] = place.members[other].json();
        message["mentions"] = json!([mentioned]);
        message["referenced_message"] = original;
    }
    if maker.percent(10) {
        message["embeds"] = json!([embed(maker)]);
    }
    if maker.percent(10) {
        message["attachments"] = json!([attachment(maker, channel)]);
    }
    message
}

fn embed(maker: &mut Maker) -> Value {
    json!({
        "type": "article",
        "url": format!("https://example.org/{:x}", maker.rng.u64(..)),
        "title": sentence(maker, 6),
        "description": sentence(maker, 30),
        "color": maker.rng.u32(..0x100_0000),
        "timestamp": iso8601(maker.last.created_ms()),
        "provider": {"name": "Example", "url": "https://example.org"},
        "thumbnail": {"url": "https://example.org/a.png", "proxy_url": "https://images.example.org/a.png", "width": 400, "height": 400, "flags": 0},
        "fields": [{"name": sentence(maker, 2), "value": sentence(maker, 5), "inline": true}],
    })
}

fn attachment(maker: &mut Maker, channel: Id) -> Value {
    let id = maker.id();
    json!({
        "id": id,
        "filename": "image.png",
        "size": maker.rng.u32(10_000..5_000_000),
        "url": format!("https://cdn.example.org/attachments/{channel}/{id}/image.png?ex={:x}", maker.rng.u64(..)),
        "proxy_url": format!("https://media.example.org/attachments/{channel}/{id}/image.png?ex={:x}", maker.rng.u64(..)),
        "width": 1920,
        "height": 1080,
        "content_type": "image/png",
        "placeholder": "2fcJDYJZh4d4iHiPd4h3d4eHhw==",
        "placeholder_version": 1,
    })
}
