//! Packets, and the time that passes.

use std::time::Instant;

use super::{Listens, MAX_SENDERS, MAX_STREAMS, Output, Packet, Participant, Room, Source, Stream};
use crate::codec::{self, FRAME};

/// Frames that are made up for at once after a stall. What is older is left out: the jitter buffers see to it.
const MAX_TICKS: usize = 5;

/// A stream that begins is waited for no longer: 300 ms.
const PATIENCE: i64 = 14_400;

impl Room {
    /// A packet of the world.
    pub fn from_world(&mut self, now: Instant, source: Source, packet: Packet) {
        let clock = self.clock.samples(now);
        let format = self.peers.get(&source.peer).and_then(|p| p.member.speaks);
        let who = Participant::World(source);
        let room = self.streams.contains_key(&who)
            || (self.streams.len() < MAX_STREAMS && self.of_peer(source.peer).len() < MAX_SENDERS);
        let (Some(format), true) = (format, room) else {
            self.counts.dropped += 1;
            return;
        };
        let setting = self.setting(who);
        let stream = self
            .streams
            .entry(who)
            .or_insert_with(|| Stream::new(format.codec, setting));
        let frame = 48 * usize::from(format.frame_ms);
        if let Some(place) = stream.arrive(clock, &packet, frame)
            && !stream.setting.muted
        {
            stream.keep(clock, place, packet, frame);
            self.wake(clock, who);
        }
    }

    /// A packet of the call.
    pub fn from_discord(&mut self, now: Instant, user: u64, packet: Packet) {
        let clock = self.clock.samples(now);
        self.counts.from_discord += 1;
        let who = Participant::Discord(user);
        let heard = self
            .speakers
            .get(&user)
            .is_some_and(|speaker| self.heard(&speaker.member));
        let room = self.streams.contains_key(&who) || self.streams.len() < MAX_STREAMS;
        let setting = self.setting(who);
        let Some(speaker) = self.speakers.get_mut(&user).filter(|_| heard && room) else {
            self.counts.dropped += 1;
            return;
        };
        let stream = self
            .streams
            .entry(who)
            .or_insert_with(|| Stream::new(super::Codec::Opus, setting));
        let Some(place) = stream.arrive(clock, &packet, FRAME) else {
            return;
        };
        if stream.setting.muted {
            return;
        }
        let Some(samples) = codec::samples(super::Codec::Opus, &packet.payload) else {
            stream.stats.dropped += 1;
            return;
        };
        speaker.odd |= samples != FRAME;
        let mut played = !self.mixes.is_empty();
        let mut sent = Vec::new();
        for (format, peers) in &self.each {
            if speaker.passes(stream, *format) {
                let packet = speaker.pass(clock, *format, place, packet.payload.clone());
                for peer in peers {
                    sent.push(packet.to_peer(*peer, speaker.id()));
                }
            } else {
                played = true;
            }
        }
        if played {
            stream.keep(clock, place, packet, FRAME);
        } else {
            stream.passed(&packet.payload);
            stream.path = if sent.is_empty() {
                super::Path::Unheard
            } else {
                super::Path::Passthrough
            };
        }
        for output in sent {
            self.put(output);
        }
        self.wake(clock, who);
    }

    /// Somebody is heard: the next frame is made when it is his turn.
    fn wake(&mut self, clock: i64, who: Participant) {
        if self.next.is_none()
            && let Some(stream) = self.streams.get(&who)
            && stream.busy()
        {
            let due = stream.jitter.due(clock);
            let next = due.unwrap_or(clock + FRAME as i64);
            self.next = Some(next.clamp(clock, clock + PATIENCE));
        }
    }

    /// When to call [`timeout`](Self::timeout); `None`: only a packet can be the reason.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let next = [self.next, self.sweep].into_iter().flatten().min()?;
        Some(self.clock.instant(next))
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant) {
        let clock = self.clock.samples(now);
        let mut ticks = 0;
        while let Some(at) = self.next.filter(|at| *at <= clock) {
            if ticks == MAX_TICKS {
                self.next = Some(clock + FRAME as i64);
                break;
            }
            self.tick(at);
            ticks += 1;
        }
        if self.sweep.is_some_and(|at| at <= clock) {
            self.sweep(clock);
        }
    }

    /// Whether anybody hears the mix of everybody.
    pub(super) fn mixed(&self) -> bool {
        self.peers
            .values()
            .any(|peer| matches!(peer.member.listens, Listens::Mix(_)))
    }
}

impl super::speaker::Sent {
    pub(super) fn to_peer(&self, peer: super::PeerId, speaker: u32) -> Output {
        Output::ToPeer {
            peer,
            speaker,
            sequence: self.sequence,
            time: self.time,
            samples: self.samples,
            payload: self.payload.clone(),
        }
    }
}
