//! How everybody is.

use std::time::Instant;

use super::{Health, Participant, Path, Room, Status};

impl Room {
    /// How everybody is who was heard.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        // Delays are those of the next frame.
        let clock = self.next.unwrap_or(self.clock.samples(now));
        let participants = self.streams.iter().map(|(who, stream)| {
            let path = if stream.setting.muted {
                Path::Unheard
            } else {
                stream.path
            };
            Health {
                participant: *who,
                name: self.name_of(*who),
                level: stream.level(),
                speaking: stream.speaking(),
                packets: stream.stats.packets,
                lost: stream.jitter.counts.lost,
                concealed_ms: stream.stats.concealed_ms,
                delay_ms: u32::try_from(stream.jitter.held_for(clock, stream.ahead()) / 48)
                    .unwrap_or(0),
                jitter_ms: stream.jitter.delay.jitter_ms(),
                drift_ppm: stream.jitter.delay.drift_ppm(),
                path,
                dropped: stream.stats.dropped + stream.jitter.counts.dropped,
            }
        });
        Status {
            cameras: Vec::new(),
            viewers: Vec::new(),
            participants: participants.collect(),
            to_discord: self.counts.to_discord,
            from_discord: self.counts.from_discord,
            dropped: self.counts.dropped,
        }
    }

    fn name_of(&self, who: Participant) -> String {
        match who {
            Participant::World(source) => match self.peers.get(&source.peer) {
                Some(peer) if source.sender == 0 => peer.member.name.clone(),
                Some(peer) => peer
                    .names
                    .get(&source.sender)
                    .cloned()
                    .unwrap_or_else(|| format!("{} ({})", peer.member.name, source.sender)),
                None => String::new(),
            },
            Participant::Discord(user) => match self.speakers.get(&user) {
                Some(speaker) => speaker.member.name.clone(),
                None => user.to_string(),
            },
        }
    }
}
