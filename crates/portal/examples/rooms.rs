//! What a room costs, without sockets and encryption: CPU time of 20 ms of it, and how many such a core has at 70%.
//! `cargo run --release -p uro-discord-portal --example rooms`

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_opus::{Application, Encoder};
use uro_discord_portal::{
    Codec, DiscordMember, Format, Listens, Member, Options, Packet, PeerId, Room, Sequence, Source,
};

const OPUS: Format = Format {
    codec: Codec::Opus,
    frame_ms: 20,
    channels: 2,
};

const FRAMES: u32 = 1_500;

/// What this thread has used of the processor.
fn used() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().ok_or("no schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// Something with harmonics, of one second.
fn voice(hertz: f32, channels: usize) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let rate = if channels == 1 { 32_000 } else { 64_000 };
    let mut encoder = Encoder::new(channels, Application::Voip, rate, 9)?;
    let sample = |n: usize| {
        let t = n as f32 / 48_000.0;
        let loud = 0.6 + 0.4 * (t * 20.0).sin();
        let sum: f32 = (1..12_u8)
            .map(|k| (std::f32::consts::TAU * hertz * f32::from(k) * t).sin() / f32::from(k))
            .sum();
        sum * loud * 0.15
    };
    let frames = 0..50;
    frames
        .map(|frame| {
            let pcm: Vec<f32> = (frame * 960..(frame + 1) * 960)
                .flat_map(|n| vec![sample(n); channels])
                .collect();
            let mut packet = [0; 1275];
            let size = encoder.encode(&pcm, &mut packet)?;
            Ok(Bytes::copy_from_slice(&packet[..size]))
        })
        .collect()
}

fn measure(name: &str, talking: u32, listens: Listens) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut room = Room::new(Options::default(), start);
    for n in 0..talking {
        let member = Member {
            name: n.to_string(),
            listens: if n == 0 { listens } else { Listens::Nothing },
            speaks: Some(OPUS),
        };
        room.join(start, PeerId(n), member)?;
        let name = n.to_string();
        let who = DiscordMember { name, bot: false };
        room.discord_joined(start, u64::from(n), who);
    }
    let voices: Vec<[Vec<Bytes>; 2]> = (0..talking)
        .map(|n| {
            Ok([
                voice(90.0 + n as f32 * 17.0, 1)?,
                voice(100.0 + n as f32 * 19.0, 2)?,
            ])
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let mut begun = used()?;
    let mut out = 0_u32;
    for frame in 0..FRAMES {
        if frame == 100 {
            begun = used()?;
            out = 0;
        }
        let now = start + Duration::from_millis(20) * frame;
        for (n, [world, call]) in (0..).zip(&voices) {
            let packet = |packets: &[Bytes]| Packet {
                sequence: Sequence::Rtp(frame as u16),
                time: Some(frame * 960),
                payload: packets[frame as usize % packets.len()].clone(),
            };
            let peer = PeerId(n);
            room.from_world(now, Source { peer, sender: 0 }, packet(world));
            room.from_discord(now, u64::from(n), packet(call));
        }
        let next = now + Duration::from_millis(20);
        while let Some(at) = room.deadline().filter(|at| *at < next) {
            room.timeout(at);
        }
        while room.poll().is_some() {
            out += 1;
        }
    }
    let micros = (used()? - begun).as_secs_f64() * 1e6 / f64::from(FRAMES - 100);
    println!(
        "{name}: {micros:.1} µs, {:.0} rooms a core, {:.1} packets out",
        14_000.0 / micros,
        f64::from(out) / f64::from(FRAMES - 100)
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    measure("one each way, both pass", 1, Listens::Each(OPUS))?;
    measure("3 talk each way, to a mix", 3, Listens::Mix(OPUS))?;
    measure("8 talk each way, to each", 8, Listens::Each(OPUS))?;
    measure("8 talk each way, to a mix", 8, Listens::Mix(OPUS))
}
