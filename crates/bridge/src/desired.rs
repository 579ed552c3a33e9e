//! The desired state as Elixir words it, judged.

mod kept;
mod portals;

use crate::ledger::Subject;
use crate::presence::Presence;
use kept::Kept;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uro_discord_voice::Scheme;
use uro_discord_wire::{
    Gateway, Http, Media, Portal, Portals, Snowflake, Voice, VoiceChannel, VoiceStates,
};

/// The most shards: each is a connection of this process, and serves 2,500 guilds.
const SHARDS: u32 = 1_000;

/// What Elixir wants, and what it allows.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Another `Arc` is another wish, even if it says the same.
    pub gateway: Option<Arc<Gateway>>,
    /// How often no gateway was wanted. It shows that so it was, though one is wanted again.
    pub era: u64,
    pub presence: Option<Presence>,
    pub voice: Option<DesiredVoice>,
    /// What calls of other bridges desire, of whose guilds the shards may be here.
    pub voice_states: Option<Arc<VoiceStates>>,
    pub http: Option<Arc<Http>>,
    pub media: Option<Arc<Media>>,
    pub portals: Option<DesiredPortals>,
    /// Portals that other bridges have, and at which URL these are.
    pub elsewhere: Arc<BTreeMap<String, String>>,
    /// Until when gateway connections may be held.
    pub lease: Option<Instant>,
    /// Until when calls and portals may be held. While it was not said, as long as there is a Uro, and some time after.
    pub held: Option<Instant>,
    /// How often each shard was allowed to identify.
    pub identifies: BTreeMap<u32, u64>,
    /// How often whoever desired it went, each time to be followed by another who desires it.
    pub attachment: u64,
    /// How often somebody came.
    pub session: u64,
    /// What the one before desired, as long as the one who came may not have come to speak of it.
    pub kept: Option<Kept>,
}

/// The desired voice channels, by guild.
#[derive(Clone, Debug)]
pub struct DesiredVoice {
    pub user: Snowflake,
    pub channels: Arc<BTreeMap<Snowflake, Arc<VoiceChannel>>>,
    /// Guilds that were left of late.
    pub left: Arc<BTreeSet<Snowflake>>,
    /// Whether voice servers are reached by TLS.
    pub tls: Option<bool>,
    /// Whether other bridges may have the calls' shards.
    pub relay: bool,
}

impl DesiredVoice {
    fn new(voice: Voice) -> Self {
        let channels = voice.channels.into_iter();
        Self {
            user: voice.user,
            tls: voice.tls,
            relay: voice.relay,
            left: Arc::new(voice.left.into_iter().collect()),
            channels: Arc::new(
                channels
                    .map(|channel| (channel.guild, Arc::new(channel)))
                    .collect(),
            ),
        }
    }
}

/// The desired portals, by id.
pub type DesiredPortals = Arc<BTreeMap<String, Arc<Portal>>>;

fn by_id(portals: Portals) -> DesiredPortals {
    let open = portals.open.into_iter();
    Arc::new(
        open.map(|portal| (portal.id.clone(), Arc::new(portal)))
            .collect(),
    )
}

impl Desired {
    /// How voice servers are reached: as the gateway is. Without TLS it is a simulator on this machine.
    pub fn voice_scheme(&self) -> Scheme {
        match self.voice.as_ref().and_then(|voice| voice.tls) {
            Some(true) => return Scheme::Wss,
            Some(false) => return Scheme::Ws,
            None => {}
        }
        let url = self
            .gateway
            .as_ref()
            .and_then(|gateway| gateway.url.as_deref());
        match url {
            Some(url) if url.starts_with("ws://") => Scheme::Ws,
            _ => Scheme::Wss,
        }
    }

    /// Takes one part of a desired state. What cannot be had leaves that part as it was, and says why. What is returned was kept from the one
    /// before, and is desired now by whoever says so: he has yet to hear how it does.
    pub fn take(&mut self, part: &str, value: Value) -> Result<Vec<Subject>, String> {
        match part {
            "gateway" => {
                let told = parse(value, gateway)?.map(Arc::new);
                if let Some(kept) = &mut self.kept
                    && !kept.gateway(&told)
                {
                    return Ok(Vec::new());
                }
                self.gateway(told);
            }
            "voice" => {
                self.voice = parse(value, voice)?.map(DesiredVoice::new);
                if let Some(kept) = &mut self.kept {
                    return Ok(kept.voice(&mut self.voice));
                }
            }
            "http" => {
                self.http = parse(value, http)?.map(Arc::new);
                if let Some(kept) = &mut self.kept {
                    return Ok(kept.http(&mut self.http));
                }
            }
            "media" => {
                self.media = parse(value, portals::media)?.map(Arc::new);
                if let Some(kept) = &mut self.kept {
                    return Ok(kept.media(&mut self.media));
                }
            }
            "portals" => {
                self.portals = parse(value, portals::portals)?.map(by_id);
                if let Some(kept) = &mut self.kept {
                    return Ok(kept.portals(&mut self.portals));
                }
            }
            "elsewhere" => {
                self.elsewhere = parse(value, portals::elsewhere)?.unwrap_or_default().into();
            }
            "voice_states" => {
                self.voice_states = parse(value, voice_states)?.map(Arc::new);
                if let Some(kept) = &mut self.kept {
                    kept.voice_states(&mut self.voice_states);
                }
            }
            "presence" => self.presence = parse(value, Presence::check)?,
            _ => return Err("there is no such part".into()),
        }
        Ok(Vec::new())
    }

    fn gateway(&mut self, told: Option<Arc<Gateway>>) {
        self.gateway = told;
        if self.gateway.is_none() {
            self.era += 1;
            self.identifies.clear();
        }
    }

    /// Whoever desired it is gone. The gateway is let go of; all else goes on, for whoever comes next.
    pub fn let_go(&mut self) {
        self.lease = None;
        self.identifies.clear();
        self.attachment += 1;
        self.kept = None;
    }

    /// Somebody came. A Uro that has just started desires nothing at first, and then bit by bit what the one before did.
    pub fn attached(&mut self) {
        self.kept = Some(Kept::new(self));
        self.session += 1;
    }

    /// Whoever came has had time to speak of everything.
    pub fn give_up_kept(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        if kept.has_gateway() {
            self.gateway(None);
        }
        kept.give_up(self);
    }

    /// Nobody came.
    pub fn nothing(&mut self) {
        *self = Self {
            era: self.era + 1,
            attachment: self.attachment,
            session: self.session,
            ..Self::default()
        };
    }

    /// Calls and portals may not be held any longer: another bridge may have them.
    pub fn lapse(&mut self) {
        self.held = None;
        self.kept = None;
        self.voice = None;
        self.portals = None;
    }

    /// Whether there is something to keep for whoever comes.
    pub fn is_something(&self) -> bool {
        self.gateway.is_some()
            || self.voice.is_some()
            || self.http.is_some()
            || self.media.is_some()
            || self.portals.is_some()
    }

    /// Allows the gateway to be held for so many milliseconds from now on.
    pub fn lease(&mut self, milliseconds: u32) {
        self.lease = Some(Instant::now() + Duration::from_millis(milliseconds.into()));
    }

    /// Allows a shard to identify once.
    pub fn identify(&mut self, shard: u32) {
        let shards = self
            .gateway
            .as_ref()
            .map_or(0, |gateway| gateway.shards.get());
        if shard < shards {
            *self.identifies.entry(shard).or_default() += 1;
        }
    }
}

/// `nil` is not wanted; anything else must be a `T` that passes `check`.
fn parse<T: DeserializeOwned>(
    value: Value,
    check: fn(&T) -> Result<(), String>,
) -> Result<Option<T>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let part: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let what = error.inner().to_string();
        // Of "invalid type: string "…", expected u64" the first half shows the value, which may be a secret.
        let what = match what.split_once(", expected ") {
            Some((_, expected)) => format!("expected {expected}"),
            None => what,
        };
        match error.path().to_string().as_str() {
            "." => what,
            path => format!("{path}: {what}"),
        }
    })?;
    check(&part)?;
    Ok(Some(part))
}

fn http(http: &Http) -> Result<(), String> {
    if http.connections == 0 {
        return Err("connections: there must be one at least".into());
    }
    Ok(())
}

fn voice(voice: &Voice) -> Result<(), String> {
    let mut guilds = BTreeSet::new();
    for (index, channel) in voice.channels.iter().enumerate() {
        if !guilds.insert(channel.guild) {
            return Err(format!(
                "channels[{index}]: Discord allows one voice channel of a guild, and guild {} has another",
                channel.guild
            ));
        }
    }
    Ok(())
}

fn voice_states(voice: &VoiceStates) -> Result<(), String> {
    let mut guilds = BTreeSet::new();
    for (index, state) in voice.states.iter().enumerate() {
        if !guilds.insert(state.guild) {
            return Err(format!(
                "states[{index}]: guild {} has another one",
                state.guild
            ));
        }
    }
    Ok(())
}

fn gateway(gateway: &Gateway) -> Result<(), String> {
    if gateway.token.reveal().is_empty() {
        return Err("token: it is empty".into());
    }
    if let Some(url) = &gateway.url {
        websocket("url", url)?;
    }
    let shards = gateway.shards.get();
    if shards > SHARDS {
        return Err(format!("shards: {shards} are over the limit of {SHARDS}"));
    }
    if let Some(shard) = gateway
        .held
        .iter()
        .flatten()
        .find(|shard| **shard >= shards)
    {
        return Err(format!("held: {shard} is none of {shards} shards"));
    }
    for (index, session) in gateway.sessions.iter().enumerate() {
        if session.shard >= shards {
            return Err(format!(
                "sessions[{index}].shard: {} is none of {shards} shards",
                session.shard
            ));
        }
        if let Some(url) = &session.resume_url {
            websocket(&format!("sessions[{index}].resume_url"), url)?;
        }
    }
    Ok(())
}

/// Whether twilight can connect to this address: it appends its query, and panics on one that does not parse.
pub fn is_websocket(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("ws" | "wss"))
            && uri.host().is_some()
            && uri.query().is_none()
    })
}

fn websocket(key: &str, url: &str) -> Result<(), String> {
    if is_websocket(url) {
        Ok(())
    } else {
        Err(format!(
            "{key}: expected ws:// or wss://, a host, and no query"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(part: &str, value: Value) -> String {
        Desired::default().take(part, value).unwrap_err()
    }

    #[test]
    fn a_part_that_cannot_be_had_says_where_and_why_and_changes_nothing() {
        let mut desired = Desired::default();
        desired
            .take(
                "gateway",
                json!({"token": "t", "intents": 1, "shards": 1, "url": "ws://127.0.0.1:1"}),
            )
            .unwrap();
        desired.take("gateway", json!({"intents": 1})).unwrap_err();
        assert_eq!(
            desired.gateway.as_ref().map(|gateway| gateway.intents),
            Some(1)
        );
        desired.take("gateway", Value::Null).unwrap();
        assert!(desired.gateway.is_none());

        assert_eq!(
            refused("gateway", json!({"intents": 1})),
            "missing field `token`"
        );
        assert_eq!(
            refused("gateway", json!({"token": "t", "intents": -1})),
            "intents: expected u64"
        );
        assert_eq!(
            refused(
                "gateway",
                json!({"token": "t", "intents": 1, "events": ["A", 1]})
            ),
            "events[1]: expected a string"
        );
        assert_eq!(refused("video", json!({})), "there is no such part");
        assert_eq!(
            refused("voice", json!({"user": "0", "channels": []})),
            "user: expected an id of Discord's, as text"
        );
    }

    #[test]
    fn addresses_that_twilight_would_panic_on_are_refused() {
        let gateway = |url: &str| {
            Desired::default().take(
                "gateway",
                json!({"token": "t", "intents": 1, "shards": 1, "url": url}),
            )
        };
        for good in [
            "ws://127.0.0.1:8080",
            "wss://gateway.discord.gg",
            "ws://[::1]:80",
            "ws://127.0.0.1:1/gateway",
        ] {
            gateway(good).unwrap();
        }
        for bad in [
            "",
            "http://discord.com",
            "ws://",
            "ws://a b",
            "gateway.discord.gg",
            "ws://host?v=10",
        ] {
            assert_eq!(
                gateway(bad),
                Err("url: expected ws:// or wss://, a host, and no query".into()),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_repeated() {
        for value in [
            json!("SECRET"),
            json!({"token": "t", "intents": "SECRET"}),
            json!({"token": ["SECRET"], "intents": 1}),
        ] {
            assert!(!refused("gateway", value).contains("SECRET"));
        }
    }
}
