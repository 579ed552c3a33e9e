//! What a test may change about the simulated Discord.

use serde::{Deserialize, Serialize};

use crate::gateway::intents;

/// Settings, with Discord's own values as the defaults.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// What Hello tells clients, in milliseconds. Applies to new connections.
    pub heartbeat_interval_ms: u64,
    /// The least time between two Identifies of one bot, in milliseconds.
    pub identify_interval_ms: u64,
    /// Identifies that a bot has in 24 hours.
    pub identify_budget: u32,
    /// Privileged intents that the application was granted, as bits.
    pub privileged_intents: u64,
    /// How long a session can be resumed after its connection was lost, in milliseconds.
    pub session_timeout_ms: u64,
    /// How many times Discord's rate limits are allowed. For tests and benchmarks of something else.
    pub rate_limit_factor: u32,
    /// How long a message's nonce is remembered, in milliseconds. Discord's documentation says "in the past few minutes".
    pub nonce_memory_ms: u64,
    /// What Hello of the voice gateway tells clients, in milliseconds. Applies to new connections.
    pub voice_heartbeat_interval_ms: u64,
    /// How long a voice session can be resumed after its connection was lost, in milliseconds. Discord does not say.
    pub voice_session_timeout_ms: u64,
    /// Whether the voice server has hardware for AES, and so offers `aead_aes256_gcm_rtpsize`.
    pub voice_aes: bool,
    /// How many bytes of RTP padding relayed packets have.
    pub voice_padding: u8,
    /// Whether clients without DAVE are refused in voice channels.
    pub dave_required: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 41_250,
            identify_interval_ms: 5_000,
            identify_budget: 1_000,
            privileged_intents: intents::PRIVILEGED,
            session_timeout_ms: 180_000,
            rate_limit_factor: 1,
            nonce_memory_ms: 3 * 60 * 1_000,
            voice_heartbeat_interval_ms: 13_750,
            voice_session_timeout_ms: 15_000,
            voice_aes: true,
            voice_padding: 0,
            dave_required: true,
        }
    }
}

/// A change of some settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    heartbeat_interval_ms: Option<u64>,
    identify_interval_ms: Option<u64>,
    identify_budget: Option<u32>,
    privileged_intents: Option<u64>,
    session_timeout_ms: Option<u64>,
    rate_limit_factor: Option<u32>,
    nonce_memory_ms: Option<u64>,
    voice_heartbeat_interval_ms: Option<u64>,
    voice_session_timeout_ms: Option<u64>,
    voice_aes: Option<bool>,
    voice_padding: Option<u8>,
    dave_required: Option<bool>,
}

impl Settings {
    /// Takes over what the change names.
    pub fn change(&mut self, change: SettingsChange) {
        fn set<T>(setting: &mut T, new: Option<T>) {
            if let Some(new) = new {
                *setting = new;
            }
        }
        set(
            &mut self.heartbeat_interval_ms,
            change.heartbeat_interval_ms,
        );
        set(&mut self.identify_interval_ms, change.identify_interval_ms);
        set(&mut self.identify_budget, change.identify_budget);
        set(&mut self.privileged_intents, change.privileged_intents);
        set(&mut self.session_timeout_ms, change.session_timeout_ms);
        set(&mut self.rate_limit_factor, change.rate_limit_factor);
        set(&mut self.nonce_memory_ms, change.nonce_memory_ms);
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
        set(&mut self.dave_required, change.dave_required);
    }
}
