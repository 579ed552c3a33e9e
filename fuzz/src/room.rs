//! What comes into a portal's room, in any order, and what its decoder is given.

use crate::Target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_opus::{Application, Decoder, Encoder, Mode};
use uro_discord_portal::{
    Codec, DiscordMember, Format, Listens, MAX_STREAMS, MIX, Member, Options, Output, Packet,
    Participant, PeerId, Room, Sequence, Setting, Source,
};

pub(crate) const TARGETS: &[(&str, Target)] = &[("portal-opus", opus), ("portal-room", room)];

/// Any bytes to a decoder that has heard something, piece by piece: a size, then so many bytes.
fn opus(data: &[u8]) {
    thread_local! {
        static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new(2).unwrap());
    }
    DECODER.with_borrow_mut(|decoder| {
        let mut pcm = vec![0.0; 2 * 5_760];
        let mut rest = data;
        while let Some((&size, after)) = rest.split_first() {
            let (packet, after) = after.split_at(after.len().min(usize::from(size)));
            rest = after;
            if let Ok(count) = decoder.decode(packet, &mut pcm) {
                assert!((1..=5_760).contains(&count));
                assert!(pcm[..2 * count].iter().all(|sample| sample.is_finite()));
            }
            let _ = decoder.recover(packet, &mut pcm[..1920]);
            let _ = decoder.conceal(&mut pcm[..960]);
        }
    });
}

/// A second of packets as peers send them, by length of their frames and mode.
static PACKETS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let mut packets = vec![Bytes::new(), Bytes::from_static(&[0xF8, 0xFF, 0xFE])];
    for (samples, mode) in [
        (960, Mode::Celt),
        (960, Mode::Hybrid),
        (480, Mode::Hybrid),
        (480, Mode::Celt),
        (1_920, Mode::Silk),
        (120, Mode::Celt),
    ] {
        let mut encoder = Encoder::new(1, Application::Voip, 32_000, 1).unwrap();
        encoder.force_mode(Some(mode)).unwrap();
        for n in 0..2 {
            let tone = (0..samples).map(|k| ((n * samples + k) as f32 * 0.06).sin() * 0.4);
            let tone: Vec<f32> = tone.collect();
            let mut packet = [0; 1275];
            let size = encoder.encode(&tone, &mut packet).unwrap();
            packets.push(Bytes::copy_from_slice(&packet[..size]));
        }
    }
    packets
});

fn format(value: u8) -> Format {
    Format {
        codec: if value & 1 == 0 {
            Codec::Opus
        } else {
            Codec::Pcm
        },
        frame_ms: if value & 2 == 0 { 20 } else { 10 },
        channels: 1 + (value >> 2 & 1),
    }
}

/// Steps that are taken of an input: with fewer, more inputs are tried in the same time.
const STEPS: usize = 128;

/// People come, speak, are muted and go, four bytes each: nothing panics, nobody hears who is not asked to be heard, time goes on.
fn room(data: &[u8]) {
    let start = Instant::now();
    let mut now = start;
    let mut room = Room::new(Options::default(), now);
    let mut listeners: BTreeMap<PeerId, Listens> = BTreeMap::new();
    let mut next = 0;
    let mut sequences = [0_u32; 32];
    let mut ended = Vec::new();
    for step in data.chunks_exact(4).take(STEPS) {
        let &[kind, who, value, more] = step else {
            return;
        };
        let peer = PeerId(u32::from(who % 16) + next);
        let source = Source {
            peer,
            sender: u32::from(who / 64),
        };
        let user = u64::from(who % 8);
        match kind % 12 {
            0 => {
                let listens = match value % 3 {
                    0 => Listens::Nothing,
                    1 => Listens::Mix(format(more)),
                    _ => Listens::Each(format(more)),
                };
                let member = Member {
                    name: who.to_string(),
                    listens,
                    speaks: (value & 128 != 0).then(|| format(more >> 3)),
                };
                if !ended.contains(&peer) && room.join(now, peer, member).is_ok() {
                    listeners.insert(peer, listens);
                }
            }
            1 => {
                room.leave(now, peer);
                if listeners.remove(&peer).is_some() {
                    ended.push(peer);
                    next += u32::from(more & 1);
                }
            }
            2 => {
                let name = "n".repeat(usize::from(value));
                let bot = more & 1 != 0;
                room.discord_joined(now, user, DiscordMember { name, bot });
            }
            3 if value < 32 => room.discord_left(now, user),
            4 => {
                let setting = Setting {
                    gain: [1.0, 0.0, 0.5, 9.0, f32::NAN, -1.0][usize::from(value % 6)],
                    muted: value & 128 != 0,
                };
                let participant = match more & 1 {
                    0 => Participant::World(source),
                    _ => Participant::Discord(user),
                };
                room.set(participant, setting);
            }
            5 if more & 1 != 0 => room.call_hears(value & 1 != 0),
            5 => room.options(Options {
                listen_to_bots: value & 1 != 0,
            }),
            6 => room.name(source, "x".repeat(usize::from(value) * 8)),
            7 => now += Duration::from_millis(u64::from(value) * u64::from(more % 8)),
            _ => {
                // Most go on from the one before, by number and time; some do not.
                let place = &mut sequences[usize::from(who % 32)];
                *place = match value >> 4 {
                    0 => place.wrapping_add(u32::from(more) << 8),
                    1 => place.wrapping_sub(u32::from(more)),
                    2 => place.wrapping_add(2),
                    _ => place.wrapping_add(1),
                };
                let known = usize::from(more) % (PACKETS.len() + 4);
                let payload = PACKETS
                    .get(known)
                    .cloned()
                    .unwrap_or_else(|| Bytes::from(vec![value; usize::from(more) * 16]));
                let sequence = match more & 128 {
                    0 => Sequence::Rtp(*place as u16),
                    _ => Sequence::Voice(*place),
                };
                let packet = Packet {
                    sequence,
                    time: (value & 1 == 0).then(|| place.wrapping_mul(960)),
                    payload,
                };
                if kind & 1 == 0 {
                    room.from_world(now, source, packet);
                } else {
                    room.from_discord(now, user, packet);
                }
                now += Duration::from_millis(u64::from(value & 3) * 7);
            }
        }
        if room.deadline().is_some_and(|at| at <= now) {
            room.timeout(now);
            assert!(room.deadline().is_none_or(|at| at > now));
        }
        let mut count = 0;
        while let Some(output) = room.poll() {
            count += 1;
            match output {
                Output::ToDiscord(frame) => assert!((1..=1_275).contains(&frame.len())),
                Output::ToPeer {
                    peer,
                    speaker,
                    samples,
                    payload,
                    ..
                } => {
                    let (Listens::Mix(format) | Listens::Each(format)) = listeners[&peer] else {
                        panic!("{peer:?} wants to hear nothing");
                    };
                    assert_eq!(matches!(listeners[&peer], Listens::Mix(_)), speaker == MIX);
                    assert_eq!(samples, 48 * u16::from(format.frame_ms));
                    if format.codec == Codec::Pcm {
                        assert_eq!(payload.len(), 2 * usize::from(samples));
                    }
                }
                Output::Event(_) => {}
            }
        }
        assert!(count <= 10_000, "{count}");
    }
    let status = room.status(now);
    assert!(status.participants.len() <= MAX_STREAMS);
    for peer in listeners.into_keys() {
        room.leave(now, peer);
    }
    for user in 0..8 {
        room.discord_left(now, user);
    }
    assert!(room.status(now).participants.is_empty());
}
