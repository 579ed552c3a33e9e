//! A room, those who speak in it, and the time that passes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_opus::{Application, Decoder, Encoder};
use uro_discord_portal::{
    Codec, DiscordMember, Event, Format, Health, Listens, Member, Options, Output, Packet,
    Participant, PeerId, Room, Sequence, Source,
};

pub const FRAME: Duration = Duration::from_millis(20);

pub const fn format(codec: Codec, frame_ms: u8, channels: u8) -> Format {
    Format {
        codec,
        frame_ms,
        channels,
    }
}

pub const OPUS: Format = format(Codec::Opus, 20, 2);
pub const OPUS_10: Format = format(Codec::Opus, 10, 1);
pub const PCM: Format = format(Codec::Pcm, 20, 1);
pub const PCM_10: Format = format(Codec::Pcm, 10, 1);

/// What comes in at some time.
#[derive(Clone, Debug)]
pub enum Input {
    World(Source, Packet),
    Discord(u64, Packet),
}

pub struct Sim {
    pub room: Room,
    start: Instant,
    now: Duration,
    inputs: Vec<(Duration, Input)>,
    /// What came out, and when.
    pub out: Vec<(Duration, Output)>,
}

impl Sim {
    pub fn new() -> Self {
        let start = Instant::now();
        Self {
            room: Room::new(Options::default(), start),
            start,
            now: Duration::ZERO,
            inputs: Vec::new(),
            out: Vec::new(),
        }
    }

    pub fn now(&self) -> Instant {
        self.start + self.now
    }

    pub fn at(&self) -> Duration {
        self.now
    }

    pub fn join(&mut self, peer: u32, listens: Listens, speaks: Option<Format>) -> Source {
        let member = Member {
            name: format!("peer {peer}"),
            listens,
            speaks,
        };
        self.room.join(self.now(), PeerId(peer), member).unwrap();
        Source {
            peer: PeerId(peer),
            sender: 0,
        }
    }

    pub fn discord(&mut self, user: u64) {
        let member = DiscordMember {
            name: format!("user {user}"),
            bot: false,
        };
        self.room.discord_joined(self.now(), user, member);
        self.drain();
    }

    pub fn add(&mut self, inputs: impl IntoIterator<Item = (Duration, Input)>) {
        self.inputs.extend(inputs);
        self.inputs.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    /// Lets time pass, in which what was added comes.
    pub fn run(&mut self, until: Duration) {
        loop {
            let input = self.inputs.last().map(|(at, _)| *at);
            let deadline = self.room.deadline().map(|at| at - self.start);
            let Some(next) = [input, deadline].into_iter().flatten().min() else {
                break;
            };
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if deadline.is_some_and(|at| at <= self.now) {
                self.room.timeout(self.now());
                let again = self.room.deadline();
                assert!(again.is_none_or(|at| at > self.now()), "it does not end");
            } else if let Some((_, input)) = self.inputs.pop() {
                match input {
                    Input::World(source, packet) => {
                        self.room.from_world(self.now(), source, packet);
                    }
                    Input::Discord(user, packet) => {
                        self.room.from_discord(self.now(), user, packet);
                    }
                }
            }
            self.drain();
        }
        self.now = self.now.max(until);
    }

    /// A stall: nothing happens for so long, and what came meanwhile comes at once.
    pub fn stall(&mut self, length: Duration) {
        self.now += length;
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.room.poll() {
            self.out.push((self.now, output));
        }
    }

    pub fn to_discord(&self) -> Vec<(Duration, Bytes)> {
        let frame = |(at, output): &(Duration, Output)| match output {
            Output::ToDiscord(frame) => Some((*at, frame.clone())),
            _ => None,
        };
        self.out.iter().filter_map(frame).collect()
    }

    /// What a peer hears of a speaker.
    pub fn to_peer(&self, wanted: u32, of: u32) -> Vec<Heard> {
        let heard = |(at, output): &(Duration, Output)| match output {
            Output::ToPeer {
                peer,
                speaker,
                sequence,
                time,
                samples,
                payload,
            } if *peer == PeerId(wanted) && *speaker == of => Some(Heard {
                at: *at,
                sequence: *sequence,
                time: *time,
                samples: *samples,
                payload: payload.clone(),
            }),
            _ => None,
        };
        self.out.iter().filter_map(heard).collect()
    }

    pub fn speaking(&self, who: Participant) -> Vec<(Duration, bool)> {
        let change = |(at, output): &(Duration, Output)| match output {
            Output::Event(Event::Speaking {
                participant,
                speaking,
            }) if *participant == who => Some((*at, *speaking)),
            _ => None,
        };
        self.out.iter().filter_map(change).collect()
    }

    pub fn health(&self, who: Participant) -> Health {
        let status = self.room.status(self.now());
        let found = status
            .participants
            .into_iter()
            .find(|h| h.participant == who);
        found.unwrap()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub at: Duration,
    pub sequence: u32,
    pub time: u32,
    pub samples: u16,
    pub payload: Bytes,
}

/// A tone, mono.
pub fn tone(hertz: f32, seconds: f32, loud: f32) -> Vec<f32> {
    let count = (seconds * 48_000.0) as usize;
    (0..count)
        .map(|n| {
            let turns = f64::from(hertz) * n as f64 / 48_000.0;
            (turns.fract() * std::f64::consts::TAU).sin() as f32 * loud
        })
        .collect()
}

/// Something like speech: pulses through resonances that move, syllables, hisses and pauses. Deterministic.
pub fn speech(seed: u64, seconds: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut next = move || random.f32() * 2.0 - 1.0;
    let pitch = 100.0 + (seed % 7) as f32 * 20.0;
    let mut state = [[0.0_f32; 2]; 4];
    let mut formants = [500.0, 1_500.0, 2_500.0, 3_500.0_f32];
    let mut targets = formants;
    let (mut hertz, mut voiced, mut left) = (pitch, true, 0);
    let (mut gain, mut envelope, mut phase) = (1.0, 0.0_f32, 0.0);
    let mut out = Vec::with_capacity(seconds * 48_000);
    for _ in 0..seconds * 48_000 {
        if left == 0 {
            left = 4_800 + ((next() + 1.0) * 3_000.0) as usize;
            let pause = next() > 0.65;
            voiced = next() > -0.6;
            gain = if pause { 0.0 } else { 0.5 + 0.5 * next().abs() };
            targets = [
                550.0 + 250.0 * next(),
                1_500.0 + 600.0 * next(),
                2_600.0 + 400.0 * next(),
                3_600.0 + 300.0 * next(),
            ];
            hertz = pitch * (1.0 + 0.2 * next());
            if pause && next() > 0.3 {
                left += 9_600;
            }
        }
        left -= 1;
        envelope += (gain - envelope) * 0.0008;
        phase += hertz / 48_000.0;
        let pulse = if phase >= 1.0 {
            phase -= 1.0;
            1.0
        } else {
            0.0
        };
        let mut x = if voiced {
            pulse + 0.002 * next()
        } else {
            0.12 * next()
        };
        let mut y = 0.0;
        for n in 0..4 {
            formants[n] += (targets[n] - formants[n]) * 0.0004;
            let r = (-std::f32::consts::PI * (60.0 + 40.0 * n as f32) / 48_000.0).exp();
            let a = 2.0 * r * (std::f32::consts::TAU * formants[n] / 48_000.0).cos();
            let v = x * (1.0 - r) * 4.0 + a * state[n][0] - r * r * state[n][1];
            state[n] = [v, state[n][0]];
            y += v;
            x *= 0.8;
        }
        out.push((y * envelope * 1.2).clamp(-0.95, 0.95) + 1e-4 * next());
    }
    out
}

/// Opus packets of mono samples, as a client makes them.
pub fn opus(pcm: &[f32], frame_ms: usize, bit_rate: i32) -> Vec<Bytes> {
    let mut encoder = Encoder::new(1, Application::Voip, bit_rate, 5).unwrap();
    pcm.chunks_exact(48 * frame_ms)
        .map(|frame| {
            let mut packet = [0; 1275];
            let size = encoder.encode(frame, &mut packet).unwrap();
            Bytes::copy_from_slice(&packet[..size])
        })
        .collect()
}

/// The same as they are.
pub fn pcm(samples: &[f32], frame_ms: usize) -> Vec<Bytes> {
    samples
        .chunks_exact(48 * frame_ms)
        .map(|frame| {
            let bytes = frame
                .iter()
                .flat_map(|v| ((v * 32_767.0) as i16).to_le_bytes());
            bytes.collect()
        })
        .collect()
}

/// How packets travel.
#[derive(Clone, Copy)]
pub struct Travel {
    pub start: Duration,
    pub frame_ms: u64,
    pub first: u16,
    pub ppm: f64,
}

impl Travel {
    pub fn new(start_ms: u64, frame_ms: u64) -> Self {
        Self {
            start: Duration::from_millis(start_ms),
            frame_ms,
            first: 65_530,
            ppm: 0.0,
        }
    }

    fn when(&self, n: usize) -> Duration {
        let sent = n as f64 * self.frame_ms as f64 / 1e3 / (1.0 + self.ppm / 1e6);
        self.start + Duration::from_secs_f64(sent)
    }

    /// By RTP.
    pub fn rtp(&self, packets: &[Bytes]) -> Vec<(Duration, Packet)> {
        self.part(packets, 0..packets.len() as u64)
    }

    /// By RTP, those of a stream without end that have these numbers; what is said in it repeats itself.
    pub fn part(
        &self,
        packets: &[Bytes],
        numbers: std::ops::Range<u64>,
    ) -> Vec<(Duration, Packet)> {
        let samples = 48 * self.frame_ms as u32;
        let packet = |n: u64| Packet {
            sequence: Sequence::Rtp(self.first.wrapping_add(n as u16)),
            time: Some((u32::MAX - 100_000).wrapping_add(samples * n as u32)),
            payload: packets[n as usize % packets.len()].clone(),
        };
        numbers
            .map(|n| (self.when(n as usize), packet(n)))
            .collect()
    }

    /// On a data channel, as V-Sekai does.
    pub fn voice(&self, packets: &[Bytes]) -> Vec<(Duration, Packet)> {
        let packet = |(n, payload): (usize, &Bytes)| Packet {
            sequence: Sequence::Voice((u32::from(self.first) + 0xFE_FFFF + n as u32) & 0xFF_FFFF),
            time: None,
            payload: payload.clone(),
        };
        let all = packets.iter().enumerate();
        all.map(|(n, p)| (self.when(n), packet((n, p)))).collect()
    }
}

pub fn world(source: Source, packets: Vec<(Duration, Packet)>) -> Vec<(Duration, Input)> {
    let input = |(at, packet)| (at, Input::World(source, packet));
    packets.into_iter().map(input).collect()
}

pub fn call(user: u64, packets: Vec<(Duration, Packet)>) -> Vec<(Duration, Input)> {
    let input = |(at, packet)| (at, Input::Discord(user, packet));
    packets.into_iter().map(input).collect()
}

/// What a listener hears, mono: Opus packets one after another.
pub fn hear<'a>(packets: impl IntoIterator<Item = &'a Bytes>) -> Vec<f32> {
    let mut decoder = Decoder::new(1).unwrap();
    let mut heard = Vec::new();
    for packet in packets {
        let mut pcm = [0.0; 5_760];
        let count = decoder.decode(packet, &mut pcm).unwrap();
        heard.extend_from_slice(&pcm[..count]);
    }
    heard
}

/// What a listener hears of PCM.
pub fn samples<'a>(packets: impl IntoIterator<Item = &'a Bytes>) -> Vec<f32> {
    let sample = |two: &[u8; 2]| f32::from(i16::from_le_bytes(*two)) / 32_768.0;
    packets
        .into_iter()
        .flat_map(|packet| packet.as_chunks().0.iter().map(sample))
        .collect()
}

/// How loud a tone is within some samples, in dBFS of its amplitude (Goertzel).
pub fn loudness(pcm: &[f32], hertz: f32) -> f32 {
    let w = std::f64::consts::TAU * f64::from(hertz) / 48_000.0;
    let (mut a, mut b) = (0.0, 0.0);
    for v in pcm {
        (a, b) = (f64::from(*v) + 2.0 * w.cos() * a - b, a);
    }
    let power = a * a + b * b - 2.0 * w.cos() * a * b;
    (10.0
        * (4.0 * power / (pcm.len() as f64).powi(2))
            .max(1e-12)
            .log10()) as f32
}

/// The middle of what was heard, where nothing begins or ends.
pub fn middle(pcm: &[f32]) -> &[f32] {
    &pcm[pcm.len() / 4..pcm.len() * 3 / 4]
}

/// The tones among those of interest that are there.
pub fn tones(pcm: &[f32], of: &[f32]) -> Vec<f32> {
    let there = |hertz: &&f32| loudness(middle(pcm), **hertz) > -35.0;
    of.iter().filter(there).copied().collect()
}

/// Checks that a peer's packets of one speaker follow each other, and gives the holes in time between them, in samples.
pub fn holes(heard: &[Heard]) -> BTreeMap<u32, u32> {
    let mut holes = BTreeMap::new();
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        let hole = pair[1].time.wrapping_sub(pair[0].time) - u32::from(pair[0].samples);
        if hole > 0 {
            holes.insert(pair[1].sequence, hole);
        }
    }
    holes
}
