//! What bridges like this one got wrong in public (issue 12).

use std::time::Duration;

use uro_discord_portal::{Listens, MIX, Packet, Participant};

use crate::support::*;

/// Stieneee/mumble-discord-bridge #76, #96: RTP time that stands still during silence makes the far end's buffer grow for an hour.
/// Towards peers it is ours; towards Discord it is `crates/voice`'s, which goes by when a frame comes: so frames come at their time.
#[test]
fn time_advances_across_silence() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    sim.join(2, Listens::Mix(OPUS), None);
    // An hour in which somebody says something every ten seconds, with packets that have no time.
    let word = opus(&tone(440.0, 0.5, 0.4), 20, 32_000);
    for n in 0..360_u64 {
        let mut travel = Travel::new(n * 10_000, 20);
        travel.first = (n * word.len() as u64) as u16;
        sim.add(world(source, travel.voice(&word)));
    }
    sim.run(Duration::from_secs(3_600));
    let heard = sim.to_peer(2, MIX);
    holes(&heard);
    for h in &heard {
        let media = f64::from(h.time) / 48_000.0;
        assert!((h.at.as_secs_f64() - media).abs() < 0.03, "{h:?}");
    }
    // And each word is as late as the first: the delay of the buffer, no more.
    for (at, _) in sim.to_discord() {
        let into = at.as_millis() % 10_000;
        assert!(into < 500 + 100, "{at:?}");
    }
    assert!(sim.health(Participant::World(source)).delay_ms == 0);
}

/// #90: a decoder that is made anew at a gap clicks. Ours goes on, and fills the gap.
#[test]
fn a_gap_is_concealed() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    sim.join(2, Listens::Mix(PCM), None);
    let packets = opus(&tone(400.0, 4.0, 0.4), 20, 96_000);
    let mut travel = Travel::new(0, 20).rtp(&packets);
    let mut n = 0;
    travel.retain(|_| {
        n += 1;
        n % 25 != 0
    });
    sim.add(world(source, travel));
    sim.run(Duration::from_millis(3_900));
    assert!(sim.health(Participant::World(source)).lost >= 7);
    let heard = sim.to_peer(2, MIX);
    let pcm = samples(heard.iter().map(|h| &h.payload));
    let part = &pcm[9_600..pcm.len() - 9_600];
    let softest = part
        .chunks_exact(480)
        .map(|part| loudness(part, 400.0))
        .fold(0.0, f32::min);
    assert!(softest > -15.0, "{softest}");
    let step = part
        .windows(2)
        .map(|two| (two[1] - two[0]).abs())
        .fold(0.0, f32::max);
    assert!(step < 0.06, "{step}");
}

/// Speech that pauses for 30 ms is not ended, nor is it by the short pauses between words.
#[test]
fn a_pause_is_not_an_end() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(PCM_10));
    let mut sound = Vec::new();
    for pause in [0.03, 0.03, 0.1, 0.2, 0.3] {
        sound.extend(tone(440.0, 0.2, 0.3));
        sound.extend(vec![0.0; (pause * 48_000.0) as usize]);
    }
    sound.extend(tone(440.0, 0.2, 0.3));
    sim.add(world(source, Travel::new(0, 10).voice(&pcm(&sound, 10))));
    sim.run(Duration::from_secs(5));
    let who = Participant::World(source);
    let speaking: Vec<bool> = sim.speaking(who).iter().map(|(_, s)| *s).collect();
    assert_eq!(speaking, [true, false]);
    let frames = sim.to_discord();
    for pair in frames.windows(2) {
        assert!(pair[1].0 - pair[0].0 < Duration::from_millis(21));
    }
}

/// #24, and a clock that runs ahead: what has waited too long is left out and counted, and the delay is what it was.
#[test]
fn stale_audio_is_skipped() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let who = Participant::World(source);
    let packets = opus(&tone(440.0, 20.0, 0.4), 20, 64_000);
    sim.add(world(source, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(3));
    // The machine stands still; two seconds of packets wait in the socket.
    sim.stall(Duration::from_secs(2));
    sim.run(Duration::from_millis(5_600));
    let health = sim.health(who);
    assert!(health.dropped >= 60, "{health:?}");
    assert!(health.delay_ms < 100, "{health:?}");
    sim.run(Duration::from_secs(15));
    assert!(sim.health(who).delay_ms < 60);
    let frames = sim.to_discord();
    let late = frames
        .iter()
        .filter(|(at, _)| at.as_millis() > 6_000)
        .count();
    assert!((448..=452).contains(&late), "{late}");
}

/// A sender whose packets come in one heap, again and again: bounded, the oldest go.
#[test]
fn a_flood_is_bounded() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let packets = opus(&tone(440.0, 60.0, 0.4), 20, 64_000);
    let mut flood = Travel::new(0, 20).rtp(&packets);
    for (at, _) in &mut flood {
        *at = Duration::from_secs(at.as_secs() / 10 * 10);
    }
    sim.add(world(source, flood));
    sim.run(Duration::from_secs(5));
    let health = sim.health(Participant::World(source));
    assert!(health.dropped > 400, "{health:?}");
    assert!(sim.to_discord().len() < 80);
}

/// A stream that begins anew (another SSRC, a peer's restart) is heard at once, whatever its numbers.
#[test]
fn a_restart_is_heard() {
    for first in [0_u16, 10_000, 65_400] {
        let mut sim = Sim::new();
        let source = sim.join(1, Listens::Nothing, Some(OPUS));
        let packets = opus(&tone(440.0, 2.0, 0.4), 20, 64_000);
        let travel = Travel::new(0, 20);
        sim.add(world(source, travel.rtp(&packets)));
        let again = Travel {
            first,
            ..Travel::new(2_000, 20)
        };
        let mut after = again.rtp(&packets);
        for (_, packet) in &mut after {
            packet.time = packet.time.map(|time| time.wrapping_mul(7));
        }
        for (n, (_, packet)) in after.iter_mut().enumerate() {
            packet.time = Some(77 + 960 * n as u32);
        }
        sim.add(world(source, after));
        sim.run(Duration::from_secs(6));
        let frames = sim.to_discord();
        let after = frames
            .iter()
            .filter(|(at, _)| at.as_millis() > 2_100)
            .count();
        assert!(after >= 90, "{first}: {after}");
    }
}

/// A size of 0 on V-Sekai's wire is silence whose number goes on: neither a loss nor something to say.
#[test]
fn packets_of_nothing_are_silence() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS_10));
    let mut packets = opus(&tone(440.0, 1.0, 0.4), 10, 54_000);
    packets.extend(vec![bytes::Bytes::new(); 300]);
    packets.extend(opus(&tone(440.0, 1.0, 0.4), 10, 54_000));
    packets.extend(vec![bytes::Bytes::new(); 300]);
    sim.add(world(source, Travel::new(0, 10).voice(&packets)));
    sim.run(Duration::from_secs(9));
    let health = sim.health(Participant::World(source));
    assert_eq!((health.lost, health.dropped), (0, 0), "{health:?}");
    let frames = sim.to_discord();
    // Two seconds of tone, and twice the hangover.
    assert!((100..145).contains(&frames.len()), "{}", frames.len());
    let who = Participant::World(source);
    let speaking: Vec<bool> = sim.speaking(who).iter().map(|(_, s)| *s).collect();
    assert_eq!(speaking, [true, false, true, false]);
}

/// Bytes that are no Opus are dropped and counted; the voice around them is heard.
#[test]
fn rubbish_is_dropped() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    sim.join(2, Listens::Mix(PCM), None);
    let packets = opus(&tone(440.0, 2.0, 0.4), 20, 64_000);
    let mut travel = Travel::new(0, 20).rtp(&packets);
    for (n, (_, packet)) in travel.iter_mut().enumerate() {
        if n % 10 == 9 {
            *packet = Packet {
                payload: bytes::Bytes::from_static(&[0xFF, 0xFF, 0xFF]),
                ..packet.clone()
            };
        }
    }
    sim.add(world(source, travel));
    sim.run(Duration::from_secs(3));
    assert!(sim.health(Participant::World(source)).dropped >= 10);
    let heard = sim.to_peer(2, MIX);
    let pcm = samples(heard.iter().map(|h| &h.payload));
    assert_eq!(tones(&pcm, &[220.0, 440.0]), [440.0]);
}
