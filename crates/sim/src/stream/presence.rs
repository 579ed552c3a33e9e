//! PRESENCE_UPDATE: by far the most frequent event of a bot that asks for it.

use serde_json::{Value, json};

use super::{
    Maker,
    guild::Place,
    words::{GAMES, NAMES, WORDS, sentence},
};

/// What a member shows, as far as a client could tell it from what he showed before.
#[derive(PartialEq)]
pub struct Shown(String);

/// A new presence of a member.
pub fn update(maker: &mut Maker, place: &mut Place, person: usize) -> Value {
    loop {
        let status = maker.one(&["online", "online", "idle", "dnd", "offline"]);
        let activities = if status == "offline" {
            vec![]
        } else {
            activities(maker)
        };
        let shown = Some(Shown(activities.iter().fold(
            status.to_owned(),
            |shown, activity| {
                format!(
                    "{shown} {} {} {}",
                    activity["name"], activity["state"], activity["details"]
                )
            },
        )));
        if shown == place.shown[person] {
            continue;
        }
        place.shown[person] = shown;
        return json!({
            "user": {"id": place.users[person].id},
            "guild_id": place.guild.id,
            "status": status,
            "client_status": if status == "offline" { json!({}) } else { json!({(maker.one(&["desktop", "mobile", "web"])): status}) },
            "activities": activities,
        });
    }
}

/// A third does nothing that Discord would know of; others have a status of their own words, play, or listen.
fn activities(maker: &mut Maker) -> Vec<Value> {
    let now = maker.last.created_ms() + u64::from(maker.rng.u32(..86_400_000));
    match maker.rng.u32(..100) {
        0..35 => vec![],
        35..60 => vec![words(maker, now)],
        60..80 => vec![game(maker, now)],
        80..90 => vec![words(maker, now), game(maker, now)],
        _ => vec![music(maker, now)],
    }
}

fn words(maker: &mut Maker, now: u64) -> Value {
    json!({
        "id": "custom",
        "name": "Custom Status",
        "type": 4,
        "state": sentence(maker, 6),
        "emoji": {"name": maker.one(&["🎮", "🌙", "☕", "🎧"])},
        "created_at": now,
    })
}

fn game(maker: &mut Maker, now: u64) -> Value {
    json!({
        "id": format!("{:x}", maker.rng.u64(..)),
        "name": maker.one(GAMES),
        "type": 0,
        "application_id": maker.id(),
        "state": sentence(maker, 4),
        "details": sentence(maker, 5),
        "timestamps": {"start": now - 600_000},
        "party": {"id": maker.hash(), "size": [maker.rng.u32(1..5), 5]},
        "assets": {"large_image": maker.id(), "large_text": maker.one(WORDS), "small_image": maker.id(), "small_text": maker.one(WORDS)},
        "created_at": now,
    })
}

fn music(maker: &mut Maker, now: u64) -> Value {
    json!({
        "id": "spotify:1",
        "name": "Spotify",
        "type": 2,
        "flags": 48,
        "state": maker.one(NAMES),
        "details": sentence(maker, 4),
        "timestamps": {"start": now, "end": now + 200_000},
        "party": {"id": format!("spotify:{}", maker.last)},
        "sync_id": format!("{:x}", maker.rng.u64(..)),
        "session_id": maker.hash(),
        "assets": {"large_image": format!("spotify:{}", maker.hash()), "large_text": sentence(maker, 3)},
        "created_at": now,
    })
}
