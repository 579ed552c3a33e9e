//! How everybody is.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Health, Participant, Path, Room, Source, Status};

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
            call: None,
            participants: participants.collect(),
            to_discord: self.counts.to_discord,
            from_discord: self.counts.from_discord,
            dropped: self.counts.dropped,
        }
    }

    /// Everybody who is there and can be heard, or is named: by what he is called, and whether he speaks.
    pub(crate) fn people(&self) -> Vec<(Participant, String, bool)> {
        let mut there = BTreeSet::new();
        for (id, peer) in &self.peers {
            let named = peer.names.keys().map(|sender| {
                Participant::World(Source {
                    peer: *id,
                    sender: *sender,
                })
            });
            let players: Vec<Participant> = named.chain(self.of_peer(*id)).collect();
            if players.is_empty() && peer.member.speaks.is_some() {
                there.insert(Participant::World(Source {
                    peer: *id,
                    sender: 0,
                }));
            }
            there.extend(players);
        }
        let speakers = self.speakers.iter();
        let heard = speakers.filter(|(_, speaker)| self.heard(&speaker.member));
        there.extend(heard.map(|(user, _)| Participant::Discord(*user)));
        let person = |who: Participant| (who, self.name_of(who), self.speaks(who));
        there.into_iter().map(person).collect()
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
