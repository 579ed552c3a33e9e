//! What is asked of portals and of the endpoint of their media, judged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use uro_discord_wire::{Media, Portal, PortalParticipant, Portals};

/// UDP sockets: a media loop each.
const ADDRESSES: usize = 64;

/// Addresses that every answer to a peer names.
const PUBLIC: usize = 16;

/// Keys, against each of which a token is checked.
const KEYS: usize = 8;

/// Bytes of a key: no fewer than HS256's hash has. <https://www.rfc-editor.org/rfc/rfc7518#section-3.2>
const KEY: RangeInclusive<usize> = 32..=1_024;

/// Origins, to each of which a request's is compared.
const ORIGINS: usize = 64;

/// The most peers that can be allowed.
const PEERS: u32 = 100_000;

/// The most packets, and bits, a second that one peer can be allowed.
const PACKETS: u32 = 1_000_000;
const BITS: u32 = 4_000_000_000;

/// The least time between two pictures of which Elixir hears, in ms.
const STILL: u32 = 1_000;

/// The longest clip, in seconds.
const CLIPS: u32 = 60;

/// Portals of one bridge.
const PORTALS: usize = 10_000;

/// Letters of a portal's id, which is a part of addresses.
const ID: usize = 64;

/// People of one portal of whom something is said: a stage has some thousands.
const PEOPLE: usize = 10_000;

/// Bytes of a name, and of a token's subject.
const NAME: usize = 256;

/// Ten times as loud is 20 dB more.
const GAIN: f32 = 10.0;

pub fn media(media: &Media) -> Result<(), String> {
    some("addresses", media.addresses.len(), ADDRESSES)?;
    let mut addresses = BTreeSet::new();
    for (index, address) in media.addresses.iter().enumerate() {
        if !addresses.insert(address) && address.port() != 0 {
            return Err(format!("addresses[{index}]: {address} is there twice"));
        }
    }
    at_most("public", media.public.len(), PUBLIC)?;
    for (index, ip) in media.public.iter().enumerate() {
        if !is_somewhere(ip) {
            return Err(format!(
                "public[{index}]: nobody reaches {ip}; expected an address of this machine, as peers see it"
            ));
        }
    }
    some("keys", media.keys.len(), KEYS)?;
    for (index, key) in media.keys.iter().enumerate() {
        let bytes = key.reveal().len();
        if !KEY.contains(&bytes) {
            let (least, most) = KEY.into_inner();
            return Err(format!(
                "keys[{index}]: {bytes} bytes, expected {least} to {most}, such as `openssl rand -base64 48` makes"
            ));
        }
    }
    at_most("origins", media.origins.len(), ORIGINS)?;
    for (index, origin) in media.origins.iter().enumerate() {
        if !is_origin(origin) {
            return Err(format!(
                "origins[{index}]: expected `*`, or http:// or https:// with a host and no path"
            ));
        }
    }
    let limits = media.limits;
    for (key, limit, most) in [
        ("portal_peers", limits.portal_peers, PEERS),
        ("subject_peers", limits.subject_peers, PEERS),
        ("token_peers", limits.token_peers, PEERS),
        ("address_peers", limits.address_peers, PEERS),
        ("packets", limits.packets, PACKETS),
        ("bits", limits.bits, BITS),
    ] {
        if limit.get() > most {
            return Err(format!("limits.{key}: {limit} is over the limit of {most}"));
        }
    }
    Ok(())
}

pub fn portals(portals: &Portals) -> Result<(), String> {
    at_most("open", portals.open.len(), PORTALS)?;
    let (mut ids, mut guilds) = (BTreeSet::new(), BTreeSet::new());
    for (index, open) in portals.open.iter().enumerate() {
        let inside = |what: String| format!("open[{index}].{what}");
        portal(open).map_err(inside)?;
        if !ids.insert(&open.id) {
            return Err(inside(format!("id: there is another {}", open.id)));
        }
        if !guilds.insert(open.guild) {
            return Err(inside(format!(
                "guild: Discord allows one voice channel of a guild, and guild {} has another portal",
                open.guild
            )));
        }
    }
    Ok(())
}

pub fn elsewhere(elsewhere: &BTreeMap<String, String>) -> Result<(), String> {
    for (id, url) in elsewhere {
        let uri = url.parse::<http::Uri>().ok();
        let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
        if !matches!(scheme, Some("http" | "https")) {
            return Err(format!(
                "{id}: expected a URL of http or https, such as https://media2.uro.example"
            ));
        }
    }
    Ok(())
}

fn portal(portal: &Portal) -> Result<(), String> {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !(1..=ID).contains(&portal.id.len()) || !portal.id.bytes().all(fit) {
        return Err(format!(
            "id: expected 1 to {ID} letters, digits, `-` or `_`"
        ));
    }
    at_most("names", portal.names.len(), PEOPLE)?;
    for (user, name) in &portal.names {
        at_most_bytes(&format!("names.{user}"), name)?;
    }
    at_most("bot_users", portal.bot_users.len(), PEOPLE)?;
    if let Some(still) = portal.still.filter(|still| still.get() < STILL) {
        return Err(format!(
            "still: {still} ms is too often; {STILL} ms is the least"
        ));
    }
    if let Some(clips) = portal.clips.filter(|clips| clips.get() > CLIPS) {
        return Err(format!(
            "clips: {clips} s is too long; {CLIPS} s is the most"
        ));
    }
    if let Some(camera) = &portal.camera {
        at_most_bytes("camera", camera)?;
    }
    at_most("stopped", portal.stopped.len(), PEOPLE)?;
    for who in portal.stopped.keys() {
        at_most_bytes("stopped", who)?;
    }
    at_most("settings", portal.settings.len(), PEOPLE)?;
    let mut participants = BTreeSet::new();
    for (index, setting) in portal.settings.iter().enumerate() {
        let inside = |what: String| format!("settings[{index}].{what}");
        if !(0.0..=GAIN).contains(&setting.gain) {
            return Err(inside(format!(
                "gain: {} is not within 0 and {GAIN}",
                setting.gain
            )));
        }
        if let PortalParticipant::World(subject) = &setting.participant {
            at_most_bytes("participant", subject).map_err(inside)?;
        }
        if !participants.insert(&setting.participant) {
            return Err(inside("participant: it is there twice".into()));
        }
    }
    Ok(())
}

fn some(key: &str, number: usize, most: usize) -> Result<(), String> {
    if number == 0 {
        return Err(format!("{key}: there must be one at least"));
    }
    at_most(key, number, most)
}

fn at_most(key: &str, number: usize, most: usize) -> Result<(), String> {
    if number > most {
        return Err(format!("{key}: {number} are over the limit of {most}"));
    }
    Ok(())
}

fn at_most_bytes(key: &str, text: &str) -> Result<(), String> {
    let bytes = text.len();
    if bytes > NAME {
        return Err(format!("{key}: {bytes} bytes are over the limit of {NAME}"));
    }
    Ok(())
}

fn is_somewhere(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}

/// As a browser says where a page is from.
fn is_origin(origin: &str) -> bool {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    origin == "*"
        || host.is_some_and(|host| {
            !host.contains(['/', '?', '#', '@'])
                && host
                    .parse::<http::uri::Authority>()
                    .is_ok_and(|authority| !authority.host().is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::super::Desired;
    use serde_json::{Value, json};

    fn endpoint() -> Value {
        json!({
            "addresses": ["0.0.0.0:7882", "[::]:7882"],
            "public": ["203.0.113.5"],
            "keys": ["SECRET-of-thirty-two-bytes-01234"],
            "origins": ["https://uro.example", "http://localhost:4000", "*"],
            "limits": {
                "portal_peers": 64, "subject_peers": 8, "token_peers": 4, "address_peers": 16, "packets": 2_000, "bits": 12_000_000,
            },
        })
    }

    fn open() -> Value {
        json!({
            "id": "lobby", "guild": "100", "channel": "206", "bots": false,
            "names": {"3": "Zoë"}, "bot_users": ["4"],
            "settings": [{"participant": "world:shard-7", "gain": 0, "muted": false}],
            "still": 1_000, "clips": 30,
        })
    }

    /// What is said of a part in which `key` of its `path` is something else.
    fn said(part: &str, mut whole: Value, pointer: &str, value: Value) -> String {
        *whole.pointer_mut(pointer).unwrap() = value;
        Desired::default().take(part, whole).unwrap_err()
    }

    #[test]
    fn media_that_cannot_be_had_says_why_and_shows_no_key() {
        let mut desired = Desired::default();
        desired.take("media", endpoint()).unwrap();
        let shown = format!("{desired:?}");
        assert!(!shown.contains("SECRET"), "{shown}");

        let free = json!(["127.0.0.1:0", "127.0.0.1:0"]);
        let mut two_free = endpoint();
        two_free["addresses"] = free;
        desired.take("media", two_free).unwrap();

        let cases = [
            ("/addresses", json!([]), "addresses: there must be one"),
            (
                "/addresses",
                json!(["127.0.0.1:1", "127.0.0.1:1"]),
                "addresses[1]: 127.0.0.1:1 is there twice",
            ),
            ("/addresses", json!(["localhost:1"]), "addresses[0]: "),
            ("/public/0", json!("0.0.0.0"), "public[0]: nobody reaches"),
            ("/public/0", json!("ff02::1"), "public[0]: nobody reaches"),
            ("/keys", json!([]), "keys: there must be one"),
            ("/keys/0", json!("SECRET"), "keys[0]: 6 bytes, expected 32"),
            ("/keys/0", json!(["SECRET"]), "keys[0]: expected a string"),
            ("/keys", json!(vec!["SECRET"; 9]), "keys: 9 are over"),
            ("/origins/0", json!("uro.example"), "origins[0]: expected"),
            ("/origins/0", json!("https://a/b"), "origins[0]: expected"),
            ("/origins/0", json!("https://"), "origins[0]: expected"),
            ("/limits/token_peers", json!(0), "limits.token_peers: "),
            ("/limits/subject_peers", json!(0), "limits.subject_peers: "),
            (
                "/limits/portal_peers",
                json!(100_001),
                "limits.portal_peers: 100001 is over the limit",
            ),
            ("/limits/packets", json!(0), "limits.packets: "),
            (
                "/limits/packets",
                json!(1_000_001),
                "limits.packets: 1000001 is over the limit",
            ),
            (
                "/limits/bits",
                json!(4_000_000_001_u32),
                "limits.bits: 4000000001 is over the limit",
            ),
        ];
        for (pointer, value, expected) in cases {
            let reason = said("media", endpoint(), pointer, value);
            assert!(reason.starts_with(expected), "{reason}");
            assert!(!reason.contains("SECRET"), "{reason}");
        }
    }

    #[test]
    fn portals_that_cannot_be_had_say_which_and_why() {
        let whole = || json!({"open": [open()]});
        Desired::default().take("portals", whole()).unwrap();
        let cases = [
            ("/open/0/id", json!(""), "open[0].id: expected 1 to 64"),
            ("/open/0/id", json!("a/b"), "open[0].id: expected 1 to 64"),
            ("/open/0/guild", json!(100), "open[0].guild: "),
            (
                "/open/0/names",
                json!({"3": "x".repeat(257)}),
                "open[0].names.3: 257 bytes",
            ),
            (
                "/open/0/settings/0/gain",
                json!(10.5),
                "open[0].settings[0].gain: 10.5 is not within 0 and 10",
            ),
            (
                "/open/0/settings/0/participant",
                json!("shard-7"),
                "open[0].settings[0].participant: ",
            ),
            (
                "/open/0/still",
                json!(999),
                "open[0].still: 999 ms is too often",
            ),
            (
                "/open/0/clips",
                json!(61),
                "open[0].clips: 61 s is too long",
            ),
            (
                "/open",
                json!([open(), open()]),
                "open[1].id: there is another lobby",
            ),
        ];
        for (pointer, value, expected) in cases {
            let reason = said("portals", whole(), pointer, value);
            assert!(reason.starts_with(expected), "{reason}");
        }
        let mut other = open();
        other["id"] = json!("other");
        let reason = said("portals", whole(), "/open", json!([open(), other]));
        assert!(reason.contains("guild 100 has another portal"), "{reason}");
    }
}
