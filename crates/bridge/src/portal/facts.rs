//! What a room says, as Elixir is told.

use std::collections::BTreeMap;
use uro_discord_portal::{Health, Participant, PeerId, Source, Status};
use uro_discord_wire::{ParticipantStats, PortalSpeaker, PortalStats, Side};

/// A peer that is in the room.
pub struct Peer {
    pub name: String,
    pub subject: String,
}

/// Who somebody is, without his name.
fn identity(
    participant: Participant,
    peers: &BTreeMap<PeerId, Peer>,
) -> (Side, String, Option<u32>) {
    match participant {
        Participant::Discord(user) => (Side::Discord, format!("discord:{user}"), None),
        Participant::World(Source { peer, sender }) => {
            let subject = peers.get(&peer).map_or("", |peer| peer.subject.as_str());
            let id = match sender {
                0 => format!("world:{subject}"),
                sender => format!("world:{subject}/{sender}"),
            };
            (Side::World, id, Some(peer.0))
        }
    }
}

pub fn speaker(
    participant: Participant,
    name: String,
    peers: &BTreeMap<PeerId, Peer>,
) -> PortalSpeaker {
    let (side, id, peer) = identity(participant, peers);
    PortalSpeaker {
        side,
        id,
        peer,
        name,
    }
}

/// `dropped`: of what the room made for Discord, what found no way there.
pub fn stats(status: Status, dropped: u64, peers: &BTreeMap<PeerId, Peer>) -> PortalStats {
    let participants = status.participants.into_iter();
    PortalStats {
        participants: participants
            .map(|health| participant(health, peers))
            .collect(),
        to_discord: status.to_discord,
        from_discord: status.from_discord,
        dropped: status.dropped.saturating_add(dropped),
    }
}

fn participant(health: Health, peers: &BTreeMap<PeerId, Peer>) -> ParticipantStats {
    let (side, id, peer) = identity(health.participant, peers);
    let level = health.level.filter(|level| level.is_finite());
    ParticipantStats {
        id,
        peer,
        name: health.name,
        side,
        level: level.map(|level| (f64::from(level) * 10.0).round() / 10.0),
        speaking: health.speaking,
        packets: health.packets,
        lost: health.lost,
        concealed_ms: health.concealed_ms,
        delay_ms: health.delay_ms,
        jitter_ms: health.jitter_ms,
        drift_ppm: health.drift_ppm,
        path: health.path.to_string(),
        dropped: health.dropped,
    }
}
