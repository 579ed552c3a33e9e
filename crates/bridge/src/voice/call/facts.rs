//! What a voice session says, as Elixir is told.

use uro_discord_voice::{DaveStatus, Event, Phase, Status};
use uro_discord_wire::{Encryption, InChannel, Snowflake, Stats, User, VoiceState};

/// An event of a session in this channel; `None` is not for Elixir.
pub fn fact(event: Event, channel: u64) -> Option<VoiceState> {
    let user = |id| Snowflake::new(id).map(|user| User { user });
    match event {
        Event::Joined { .. } | Event::Resumed => {
            Snowflake::new(channel).map(|channel| VoiceState::Joined(InChannel { channel }))
        }
        Event::UserJoined { user_id } => user(user_id).map(VoiceState::UserJoined),
        Event::UserLeft { user_id } => user(user_id).map(VoiceState::UserLeft),
        Event::Speaking {
            user_id,
            speaking: true,
        } => user(user_id).map(VoiceState::Speaking),
        Event::Speaking {
            user_id,
            speaking: false,
        } => user(user_id).map(VoiceState::Silent),
        Event::Encryption(dave) => Some(VoiceState::Encryption(encryption(dave))),
        Event::Resuming => Some(VoiceState::Resuming),
        Event::Waiting => Some(VoiceState::Waiting),
        _ => None,
    }
}

/// What there is in this channel, as if it happened now. There is no status where there is no session yet.
pub fn anew(channel: Snowflake, status: Option<Status>) -> Vec<VoiceState> {
    let place = InChannel { channel };
    let joined = status.filter(|status| !matches!(status.phase, Phase::Joining | Phase::Ended));
    let Some(status) = joined else {
        return vec![VoiceState::Joining(place)];
    };
    let users = |ids: Vec<u64>| ids.into_iter().filter_map(Snowflake::new);
    let mut states = vec![VoiceState::Joined(place)];
    states.extend(users(status.users).map(|user| VoiceState::UserJoined(User { user })));
    states.extend(users(status.speaking).map(|user| VoiceState::Speaking(User { user })));
    states.push(VoiceState::Encryption(encryption(status.dave)));
    match status.phase {
        Phase::Resuming => states.push(VoiceState::Resuming),
        Phase::Waiting => states.push(VoiceState::Waiting),
        _ => {}
    }
    states
}

fn encryption(dave: DaveStatus) -> Encryption {
    Encryption {
        version: dave.version,
        epoch: dave.epoch,
        privacy_code: dave.privacy_code,
        can_send: dave.can_send,
    }
}

pub fn stats(status: &Status) -> Stats {
    Stats {
        round_trip_ms: status
            .udp_round_trip
            .map(|time| time.as_secs_f64() * 1000.0),
        loss: status.loss_at_server.map(|share| f64::from(share) / 256.0),
        sent: status.sent.sent,
        unsent: status.sent.no_key + status.sent.not_connected + status.sent.socket,
        received: status.received.delivered,
        unread: status.received.unread,
        lost: status.received.lost,
        undecryptable: status.received.undecryptable + status.received.held_too_long,
    }
}
