//! What a test may change about the simulated Discord.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::gateway::{Buffer, intents};

/// A voice server that is not ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceElsewhere {
    /// `host:port`.
    pub endpoint: String,
    pub token: String,
}

/// Settings, with Discord's own values as the defaults.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// What Hello tells clients, in milliseconds. Applies to new connections.
    pub heartbeat_interval_ms: u64,
    /// The least time between two Identifies of one bot in the same bucket, in milliseconds.
    pub identify_interval_ms: u64,
    /// The shards of a bot are in so many buckets, by their number.
    pub max_concurrency: NonZeroU32,
    /// The time in which a connection of the gateway may send 120 commands, in milliseconds. For tests of much.
    pub command_window_ms: u64,
    /// Identifies that a bot has in a period.
    pub identify_budget: u32,
    /// How many of them other programs with the bot's token have used.
    pub identifies_elsewhere: u32,
    /// The period, in milliseconds. It begins with a bot's first Identify.
    pub identify_period_ms: u64,
    /// Shards that `GET /gateway/bot` recommends.
    pub recommended_shards: u32,
    /// Shards that a bot must have at least: Discord allows 2,500 guilds in each.
    pub required_shards: u32,
    /// Privileged intents that the application was granted, as bits.
    pub privileged_intents: u64,
    /// How long a session can be resumed after its connection was lost, in milliseconds.
    pub session_timeout_ms: u64,
    /// Events of each session that are kept for a resume, and for a client that reads slowly.
    pub session_events: usize,
    /// The same in bytes.
    pub session_bytes: usize,
    /// How many times Discord's rate limits are allowed. For tests and benchmarks of something else.
    pub rate_limit_factor: u32,
    /// How long a message's nonce is remembered, in milliseconds. Discord's documentation says "in the past few minutes".
    pub nonce_memory_ms: u64,
    /// How long an interaction's token is good, in milliseconds.
    pub interaction_token_ms: u64,
    /// Where users may be sent back to after they allowed something. Empty: to any `http` or `https` URL of this machine.
    pub redirect_uris: Vec<String>,
    /// Where the application's Activity is, as the root of its URL mappings has it. Empty: it has none.
    pub activity_url: String,
    /// How long a code of OAuth2 is good, in milliseconds.
    pub oauth_code_ms: u64,
    /// How long an access token of OAuth2 is good, in milliseconds.
    pub oauth_token_ms: u64,
    /// What Hello of the voice gateway tells clients, in milliseconds. Applies to new connections.
    pub voice_heartbeat_interval_ms: u64,
    /// How long a voice session can be resumed after its connection was lost, in milliseconds. Discord does not say.
    pub voice_session_timeout_ms: u64,
    /// Whether the voice server has hardware for AES, and so offers `aead_aes256_gcm_rtpsize`.
    pub voice_aes: bool,
    /// How many bytes of RTP padding relayed packets have.
    pub voice_padding: u8,
    /// Whether who joins a stage is in its audience, which nobody hears, as in Discord. Off, everybody there may speak.
    pub stage_audience: bool,
    /// Whether clients without DAVE are refused in voice channels.
    pub dave_required: bool,
    /// How long members of a call have to get ready for a transition, in milliseconds.
    pub dave_transition_timeout_ms: u64,
    /// Where clients are sent that join voice from now on, instead of to our own voice server.
    pub voice_elsewhere: Option<VoiceElsewhere>,
}

impl Default for Settings {
    fn default() -> Self {
        let buffer = Buffer::default();
        Self {
            heartbeat_interval_ms: 41_250,
            identify_interval_ms: 5_000,
            max_concurrency: NonZeroU32::MIN,
            command_window_ms: 60_000,
            identify_budget: 1_000,
            identifies_elsewhere: 0,
            identify_period_ms: 24 * 60 * 60 * 1_000,
            recommended_shards: 1,
            required_shards: 1,
            privileged_intents: intents::PRIVILEGED,
            session_timeout_ms: 180_000,
            session_events: buffer.events,
            session_bytes: buffer.bytes,
            rate_limit_factor: 1,
            nonce_memory_ms: 3 * 60 * 1_000,
            interaction_token_ms: 15 * 60 * 1_000,
            redirect_uris: Vec::new(),
            activity_url: String::new(),
            // Discord's staff says so in its issue 1768.
            oauth_code_ms: 100 * 1_000,
            oauth_token_ms: 7 * 24 * 60 * 60 * 1_000,
            voice_heartbeat_interval_ms: 13_750,
            voice_session_timeout_ms: 15_000,
            voice_aes: true,
            voice_padding: 0,
            stage_audience: false,
            dave_required: true,
            dave_transition_timeout_ms: 2_000,
            voice_elsewhere: None,
        }
    }
}

/// A change of some settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    heartbeat_interval_ms: Option<u64>,
    identify_interval_ms: Option<u64>,
    max_concurrency: Option<NonZeroU32>,
    command_window_ms: Option<u64>,
    identify_budget: Option<u32>,
    identifies_elsewhere: Option<u32>,
    identify_period_ms: Option<u64>,
    recommended_shards: Option<u32>,
    required_shards: Option<u32>,
    privileged_intents: Option<u64>,
    session_timeout_ms: Option<u64>,
    session_events: Option<usize>,
    session_bytes: Option<usize>,
    rate_limit_factor: Option<u32>,
    nonce_memory_ms: Option<u64>,
    interaction_token_ms: Option<u64>,
    redirect_uris: Option<Vec<String>>,
    activity_url: Option<String>,
    oauth_code_ms: Option<u64>,
    oauth_token_ms: Option<u64>,
    voice_heartbeat_interval_ms: Option<u64>,
    voice_session_timeout_ms: Option<u64>,
    voice_aes: Option<bool>,
    voice_padding: Option<u8>,
    stage_audience: Option<bool>,
    dave_required: Option<bool>,
    dave_transition_timeout_ms: Option<u64>,
    voice_elsewhere: Option<VoiceElsewhere>,
}

/// The new value, if there is one, takes the place of the old.
pub fn set<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

impl Settings {
    /// Takes over what the change names.
    pub fn change(&mut self, change: SettingsChange) {
        set(
            &mut self.heartbeat_interval_ms,
            change.heartbeat_interval_ms,
        );
        set(&mut self.identify_interval_ms, change.identify_interval_ms);
        set(&mut self.max_concurrency, change.max_concurrency);
        set(&mut self.command_window_ms, change.command_window_ms);
        set(&mut self.identify_budget, change.identify_budget);
        set(&mut self.identifies_elsewhere, change.identifies_elsewhere);
        set(&mut self.identify_period_ms, change.identify_period_ms);
        set(&mut self.recommended_shards, change.recommended_shards);
        set(&mut self.required_shards, change.required_shards);
        set(&mut self.privileged_intents, change.privileged_intents);
        set(&mut self.session_timeout_ms, change.session_timeout_ms);
        set(&mut self.session_events, change.session_events);
        set(&mut self.session_bytes, change.session_bytes);
        set(&mut self.rate_limit_factor, change.rate_limit_factor);
        set(&mut self.nonce_memory_ms, change.nonce_memory_ms);
        set(&mut self.interaction_token_ms, change.interaction_token_ms);
        set(&mut self.redirect_uris, change.redirect_uris);
        set(&mut self.activity_url, change.activity_url);
        set(&mut self.oauth_code_ms, change.oauth_code_ms);
        set(&mut self.oauth_token_ms, change.oauth_token_ms);
        set(
            &mut self.voice_heartbeat_interval_ms,
            change.voice_heartbeat_interval_ms,
        );
        set(
            &mut self.voice_session_timeout_ms,
            change.voice_session_timeout_ms,
        );
        set(&mut self.voice_aes, change.voice_aes);
        set(&mut self.voice_padding, change.voice_padding);
        set(&mut self.stage_audience, change.stage_audience);
        set(&mut self.dave_required, change.dave_required);
        set(
            &mut self.dave_transition_timeout_ms,
            change.dave_transition_timeout_ms,
        );
        set(&mut self.voice_elsewhere, change.voice_elsewhere.map(Some));
    }
}
