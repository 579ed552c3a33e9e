//! What a room says, as Elixir is told.

use std::collections::BTreeMap;
use uro_discord_portal::{CameraHealth, Health, Participant, PeerId, Source, Status, ViewerHealth};
use uro_discord_wire::{
    CameraStats, ParticipantStats, PeerJoined, PortalSpeaker, PortalStats, Side, ViewerStats,
};

/// What a camera of whole pictures sends.
const JPEG: &str = "JPEG";

/// Who somebody is, without his name.
fn identity(
    participant: Participant,
    peers: &BTreeMap<PeerId, PeerJoined>,
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
    peers: &BTreeMap<PeerId, PeerJoined>,
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
pub fn stats(status: Status, dropped: u64, peers: &BTreeMap<PeerId, PeerJoined>) -> PortalStats {
    let participants = status.participants.into_iter();
    PortalStats {
        peers: peers.values().cloned().collect(),
        participants: participants
            .map(|health| participant(health, peers))
            .collect(),
        to_discord: status.to_discord,
        from_discord: status.from_discord,
        dropped: status.dropped.saturating_add(dropped),
        cameras: status
            .cameras
            .into_iter()
            .map(|it| camera(&it, peers))
            .collect(),
        viewers: status
            .viewers
            .into_iter()
            .map(|it| viewer(&it, peers))
            .collect(),
        discord_video: None,
    }
}

/// A peer itself: its id and its name.
fn own(peer: PeerId, peers: &BTreeMap<PeerId, PeerJoined>) -> (String, String) {
    let (_, id, _) = identity(Participant::World(Source { peer, sender: 0 }), peers);
    (
        id,
        peers
            .get(&peer)
            .map(|peer| peer.name.clone())
            .unwrap_or_default(),
    )
}

fn camera(health: &CameraHealth, peers: &BTreeMap<PeerId, PeerJoined>) -> CameraStats {
    let (id, name) = own(health.peer, peers);
    CameraStats {
        id,
        peer: health.peer.0,
        name,
        on_air: health.on_air,
        codec: match (health.codec, health.jpeg) {
            (Some(codec), _) => Some(codec.name().to_owned()),
            (None, Some(_)) => Some(JPEG.to_owned()),
            (None, None) => None,
        },
        layers: health.layers,
        bits: health.bits,
        packets: health.packets,
        keyframes: health.keyframes,
        asked: health.asked,
        dropped: health.dropped,
    }
}

fn viewer(health: &ViewerHealth, peers: &BTreeMap<PeerId, PeerJoined>) -> ViewerStats {
    let (id, name) = own(health.peer, peers);
    ViewerStats {
        id,
        peer: health.peer.0,
        name,
        camera: health.camera.map(|peer| peer.0),
        bits: health.bits,
        packets: health.packets,
        again: health.again,
        congested: health.congested,
    }
}

fn participant(health: Health, peers: &BTreeMap<PeerId, PeerJoined>) -> ParticipantStats {
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
