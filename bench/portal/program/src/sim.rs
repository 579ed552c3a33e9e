//! A room whose time is simulated.

use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_portal::{
    Codec, DiscordMember, Format, Listens, Member, Options, Output, Packet, PeerId, Room, Sequence,
    Source,
};

use crate::{Error, FRAME, SAMPLES};

pub const OPUS: Format = format(Codec::Opus);
pub const PCM: Format = format(Codec::Pcm);

const fn format(codec: Codec) -> Format {
    Format {
        codec,
        frame_ms: 20,
        channels: 1,
    }
}

/// A network that loses 3 % of the packets and holds up each by up to 50 ms: the same ones each time.
pub struct Network(u64);

impl Network {
    pub fn new() -> Self {
        Self(12)
    }

    /// From 0 to 1: xorshift64*.
    fn random(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How long a packet is under way, unless it is lost.
    fn delay(&mut self) -> Option<Duration> {
        let delay = Duration::from_millis(50).mul_f64(self.random());
        (self.random() >= 0.03).then_some(delay)
    }
}

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    World(u32),
    Discord(u64),
}

/// A packet that comes into a room, so long after its beginning.
pub type Input = (Duration, From, Packet);

/// A room with peers of the world and people in the call, each numbered from 0.
pub fn room(now: Instant, peers: &[Listens], people: u64) -> Result<Room, Error> {
    let mut room = Room::new(Options::default(), now);
    for (number, listens) in peers.iter().enumerate() {
        let member = Member {
            name: format!("guest {number}"),
            listens: *listens,
            speaks: Some(OPUS),
        };
        room.join(now, PeerId(number as u32), member)?;
    }
    for user in 0..people {
        let name = format!("person {user}");
        room.discord_joined(now, user, DiscordMember { name, bot: false });
    }
    Ok(room)
}

/// The packets of a speaker whose frames follow each other, as they come; the first is sent at `begin`.
pub fn stream(
    from: From,
    frames: &[Bytes],
    begin: Duration,
    mut network: Option<Network>,
) -> Vec<Input> {
    let come = |(number, frame): (usize, &Bytes)| {
        let delay = match &mut network {
            None => Duration::ZERO,
            Some(network) => network.delay()?,
        };
        Some((
            begin + FRAME * number as u32 + delay,
            from,
            packet(number as u32, frame.clone()),
        ))
    };
    frames.iter().enumerate().filter_map(come).collect()
}

pub fn packet(number: u32, payload: Bytes) -> Packet {
    Packet {
        sequence: Sequence::Rtp(number as u16),
        time: Some(number.wrapping_mul(SAMPLES)),
        payload,
    }
}

pub fn give(room: &mut Room, now: Instant, from: From, packet: Packet) {
    match from {
        From::World(peer) => {
            let peer = PeerId(peer);
            room.from_world(now, Source { peer, sender: 0 }, packet);
        }
        From::Discord(user) => room.from_discord(now, user, packet),
    }
}

/// Lets a room's time pass until all inputs are in and a second more; `seen` gets what comes out, with its time and the room.
pub fn run(
    room: &mut Room,
    start: Instant,
    mut inputs: Vec<Input>,
    mut seen: impl FnMut(Duration, &Room, Output) -> Result<(), Error>,
) -> Result<(), Error> {
    inputs.sort_by_key(|(due, from, _)| (*due, *from));
    let end = inputs.last().map_or(start, |(due, ..)| start + *due) + Duration::from_secs(1);
    let mut inputs = inputs.into_iter().peekable();
    loop {
        let deadline = room.deadline().filter(|deadline| *deadline <= end);
        let input = inputs.peek().map(|(due, ..)| start + *due);
        let Some(now) = [deadline, input].into_iter().flatten().min() else {
            return Ok(());
        };
        match inputs.next_if(|(due, ..)| start + *due == now) {
            Some((_, from, packet)) => give(room, now, from, packet),
            None => room.timeout(now),
        }
        while let Some(output) = room.poll() {
            seen(now - start, room, output)?;
        }
    }
}
