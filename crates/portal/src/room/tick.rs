//! The frame of one moment, for everybody.

use bytes::Bytes;

use super::{Event, Format, Listens, MIX, Output, Participant, Path, PeerId, Room, Side};
use crate::codec::{self, FRAME};

/// What nobody used for so long is given up: 10 s.
const IDLE: i64 = 480_000;

/// A player whom a peer forwarded is gone: 60 s.
const GONE: i64 = 6 * IDLE;

impl Room {
    pub(super) fn tick(&mut self, clock: i64) {
        let several = self.several();
        for stream in self.streams.values_mut() {
            stream.pull(clock, several);
        }
        self.tell();
        if self.call_hears {
            let to_discord = self
                .to_discord
                .tick(&mut self.streams, |who| who.side() == Side::World);
            for frame in self.sound(to_discord) {
                self.counts.to_discord += 1;
                self.put(Output::ToDiscord(frame));
            }
        }
        self.mix(clock);
        self.write(clock);
        self.paths();
        let busy = self.streams.values().any(super::Stream::busy);
        self.next = busy.then_some(clock + FRAME as i64);
        self.sweep.get_or_insert(clock + IDLE);
    }

    /// Whether anybody may hear more than one of those who are played: then it is to be known who really speaks.
    fn several(&self) -> bool {
        let played = |(_, stream): &(&Participant, &super::Stream)| stream.played();
        let all = self.streams.iter().filter(played).count();
        let own = |peer: &PeerId| self.streams.range(peer.all()).filter(played).count();
        let mixes = |(id, peer): (&PeerId, &super::Peer)| {
            matches!(peer.member.listens, Listens::Mix(_)) && all - own(id) > 1
        };
        let world = self.streams.iter().filter(played);
        let world = world.filter(|(who, _)| who.side() == Side::World).count();
        (self.call_hears && world > 1) || (all > 1 && self.peers.iter().any(mixes))
    }

    /// A frame that libopus did not make is one less.
    fn sound<T>(&mut self, made: Result<Vec<T>, codec::Error>) -> Vec<T> {
        made.unwrap_or_else(|_| {
            self.counts.dropped += 1;
            Vec::new()
        })
    }

    /// Who began to speak, and who ended.
    fn tell(&mut self) {
        let mut events = Vec::new();
        for (who, stream) in &self.streams {
            let speaking = stream.speaking();
            if speaking != self.talking.contains(who) {
                events.push((*who, speaking));
            }
        }
        for (participant, speaking) in events {
            if speaking {
                self.talking.insert(participant);
            } else {
                self.talking.remove(&participant);
            }
            self.put(Output::Event(Event::Speaking {
                participant,
                speaking,
            }));
        }
    }

    /// Everybody's mix, and for those who speak the mix of the others.
    fn mix(&mut self, clock: i64) {
        let mut sent: Vec<(PeerId, Format, Vec<Bytes>)> = Vec::new();
        let own = |peer: PeerId| move |who: Participant| who.peer() == Some(peer);
        let mut failed = 0;
        for (id, peer) in &mut self.peers {
            let Listens::Mix(format) = peer.member.listens else {
                continue;
            };
            let Some(shared) = self.mixes.get_mut(&format) else {
                continue;
            };
            if !self
                .streams
                .range(id.all())
                .any(|(_, stream)| stream.active())
            {
                if let Some(own) = peer.own.take()
                    && shared.silent()
                {
                    // Nobody heard everybody's mix so far. Who hears it from now on has heard this one.
                    *shared = own;
                }
                continue;
            }
            let sink = peer.own.get_or_insert_with(|| shared.split(own(*id)));
            match sink.tick(&mut self.streams, |who| !own(*id)(who)) {
                Ok(packets) => sent.push((*id, format, packets)),
                Err(_) => failed += 1,
            }
        }
        for (format, sink) in &mut self.mixes {
            let hears = |peer: &super::Peer| {
                peer.own.is_none() && peer.member.listens == Listens::Mix(*format)
            };
            if !self.peers.values().any(hears) {
                *sink = super::Sink::new(*format);
                continue;
            }
            let packets = match sink.tick(&mut self.streams, |_| true) {
                Ok(packets) => packets,
                Err(_) => {
                    failed += 1;
                    continue;
                }
            };
            for (id, peer) in &self.peers {
                if hears(peer) {
                    sent.push((*id, *format, packets.clone()));
                }
            }
        }
        self.counts.dropped += failed;
        for (id, format, packets) in sent {
            self.send_mix(clock, id, format, packets);
        }
    }

    fn send_mix(&mut self, clock: i64, id: PeerId, format: Format, packets: Vec<Bytes>) {
        let samples = 48 * u16::from(format.frame_ms);
        for (time, payload) in (clock..).step_by(usize::from(samples)).zip(packets) {
            let Some(peer) = self.peers.get_mut(&id) else {
                return;
            };
            let sequence = peer.sequence;
            peer.sequence = sequence.wrapping_add(1);
            self.put(Output::ToPeer {
                peer: id,
                speaker: MIX,
                sequence,
                time: time as u32,
                samples,
                payload,
            });
        }
    }

    /// Discord's speakers, for those who hear each in another format than they have.
    fn write(&mut self, clock: i64) {
        let mut sent = Vec::new();
        let mut failed = 0;
        for (user, speaker) in &mut self.speakers {
            let Some(stream) = self.streams.get_mut(&Participant::Discord(*user)) else {
                continue;
            };
            if !stream.active() {
                continue;
            }
            for (format, peers) in &self.each {
                if speaker.passes(stream, *format) {
                    continue;
                }
                match speaker.write(clock, *format, stream) {
                    Ok(packets) => {
                        let to = |peer| packets.iter().map(move |p| (peer, p));
                        sent.extend(
                            peers
                                .iter()
                                .flat_map(to)
                                .map(|(peer, packet)| packet.to_peer(*peer, speaker.id())),
                        );
                    }
                    Err(_) => failed += 1,
                }
            }
        }
        self.counts.dropped += failed;
        for output in sent {
            self.put(output);
        }
    }

    /// Which way everybody's voice goes.
    fn paths(&mut self) {
        let mixed = self.mixed();
        for (who, stream) in &mut self.streams {
            if !stream.active() {
                continue;
            }
            stream.path = match who {
                Participant::World(_) if self.to_discord.through() == Some(*who) => {
                    Path::Passthrough
                }
                Participant::World(_) if self.call_hears || mixed => Path::Mixed,
                Participant::World(_) => Path::Unheard,
                Participant::Discord(user) => {
                    let speaker = self.speakers.get(user);
                    let passes =
                        |format: &Format| speaker.is_some_and(|s| s.passes(stream, *format));
                    let own = self.peers.values().filter_map(|peer| peer.own.as_ref());
                    let mut sinks = self.mixes.values().chain(own);
                    let through = sinks.any(|sink| sink.through() == Some(*who));
                    if self.each.keys().any(passes) || through {
                        Path::Passthrough
                    } else if !self.each.is_empty() {
                        Path::Each
                    } else if mixed {
                        Path::Mixed
                    } else {
                        Path::Unheard
                    }
                }
            };
        }
    }

    /// Gives up what was not used lately.
    pub(super) fn sweep(&mut self, clock: i64) {
        self.sweep = None;
        self.streams.retain(|who, stream| {
            let idle = clock - stream.heard;
            let forwarded = matches!(who, Participant::World(source) if source.sender != 0);
            if idle >= IDLE && !stream.busy() {
                stream.rest();
            }
            idle < GONE || !forwarded || stream.busy()
        });
        for (user, speaker) in &mut self.speakers {
            let stream = self.streams.get(&Participant::Discord(*user));
            if stream.is_none_or(|stream| clock - stream.heard >= IDLE) {
                speaker.rest();
            }
        }
        let resting = |who: &Participant, stream: &super::Stream| {
            stream.rests() && !matches!(who, Participant::World(source) if source.sender != 0)
        };
        if !self
            .streams
            .iter()
            .all(|(who, stream)| resting(who, stream))
        {
            self.sweep = Some(clock + IDLE);
        }
    }
}
