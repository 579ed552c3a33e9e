//! What names and sentences are made of.

use super::Maker;

pub const NAMES: &[&str] = &[
    "Ada", "Björn", "Chidi", "Daria", "Emre", "Fatima", "Grace", "Hana", "Igor", "Júlia", "Kenji",
    "Lena", "Mina", "Noor", "Olga", "Pavel", "Quinn", "Rosa", "Sora", "Tariq", "Uma", "Vera",
    "Wanda", "Xiu", "Yara", "Zoë",
];

pub const WORDS: &[&str] = &[
    "about",
    "again",
    "avatar",
    "because",
    "bridge",
    "build",
    "café",
    "could",
    "dance",
    "door",
    "everybody",
    "friend",
    "garden",
    "hello",
    "island",
    "jump",
    "keep",
    "light",
    "market",
    "maybe",
    "meet",
    "mirror",
    "music",
    "never",
    "now",
    "open",
    "people",
    "portal",
    "queue",
    "rain",
    "really",
    "ready",
    "room",
    "scene",
    "shader",
    "someone",
    "square",
    "stage",
    "station",
    "tonight",
    "tower",
    "under",
    "update",
    "voice",
    "wait",
    "where",
    "with",
    "world",
    "yes",
    "zone",
    "日本",
    "🎉",
];

pub const GAMES: &[&str] = &[
    "V-Sekai",
    "Visual Studio Code",
    "Blender",
    "Minecraft",
    "Godot Engine",
    "Stardew Valley",
    "Factorio",
    "Celeste",
];

/// One to `most` words.
pub fn sentence(maker: &mut Maker, most: usize) -> String {
    let count = maker.rng.usize(1..=most);
    let words: Vec<&str> = (0..count).map(|_| maker.one(WORDS)).collect();
    words.join(" ")
}
