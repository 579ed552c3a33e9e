//! From the world to the call.

use std::time::Duration;

use uro_discord_portal::{Codec, Listens, Participant, Path, Setting};

use crate::support::*;

/// One every 20 ms.
fn evenly(frames: &[(Duration, bytes::Bytes)]) {
    for pair in frames.windows(2) {
        let apart = pair[1].0 - pair[0].0;
        assert!(
            apart.abs_diff(FRAME) < Duration::from_micros(50),
            "{apart:?}"
        );
    }
}

#[test]
fn one_who_speaks_passes_through_untouched() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let packets = opus(&tone(440.0, 3.0, 0.4), 20, 32_000);
    sim.add(world(source, Travel::new(7, 20).rtp(&packets)));
    sim.run(Duration::from_secs(2));
    let health = sim.health(Participant::World(source));
    assert_eq!(health.path, Path::Passthrough);
    assert_eq!((health.lost, health.dropped), (0, 0));
    assert!(health.delay_ms <= 40, "{health:?}");
    // A tone of amplitude 0.4: -11 dBFS.
    let level = health.level.unwrap();
    assert!((-13.0..-9.0).contains(&level), "{level}");
    sim.run(Duration::from_secs(5));
    let frames = sim.to_discord();
    let sent: Vec<_> = frames.iter().map(|(_, frame)| frame.clone()).collect();
    assert_eq!(sent[..packets.len()], packets);
    assert!(
        sent.len() <= packets.len() + 3,
        "the end is made up for 60 ms at most"
    );
    evenly(&frames);
    assert_eq!(tones(&hear(&sent), &[220.0, 440.0]), [440.0]);
    let who = Participant::World(source);
    let speaking: Vec<bool> = sim.speaking(who).iter().map(|(_, s)| *s).collect();
    assert_eq!(speaking, [true, false]);
    assert_eq!(sim.room.deadline().map(|at| at > sim.now()), Some(true));
}

/// On a good network, where packets are held for less and less time: whoever makes no pause is not touched for that.
#[test]
fn one_who_never_pauses_is_not_touched_either() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let packets = opus(&tone(440.0, 20.0, 0.4), 20, 32_000);
    // Its clock and ours have another phase, and round otherwise.
    sim.add(world(source, Travel::new(7, 20).rtp(&packets)));
    sim.run(Duration::from_secs(20));
    let frames = sim.to_discord();
    assert!(frames.len() > 990, "{}", frames.len());
    assert!(frames.iter().all(|(_, frame)| packets.contains(frame)));
}

/// What two say is mixed and encoded, but not for a call that nobody is in.
#[test]
fn nothing_is_made_for_a_call_that_nobody_is_in() {
    let mut sim = Sim::new();
    let sources = [1, 2].map(|peer| sim.join(peer, Listens::Nothing, Some(OPUS)));
    for (source, hertz) in sources.into_iter().zip([330.0, 440.0]) {
        let packets = opus(&tone(hertz, 4.0, 0.4), 20, 32_000);
        sim.add(world(source, Travel::new(0, 20).rtp(&packets)));
    }
    let mut made = Vec::new();
    for (hears, until) in [(false, 1), (true, 2), (false, 3)] {
        sim.room.call_hears(hears);
        sim.run(Duration::from_secs(until));
        let health = sim.health(Participant::World(sources[0]));
        assert!(health.speaking);
        let path = if hears { Path::Mixed } else { Path::Unheard };
        assert_eq!(health.path, path);
        made.push(sim.room.status(sim.now()).to_discord);
    }
    assert_eq!(made[0], 0);
    assert!((45..55).contains(&made[1]), "{made:?}");
    assert_eq!(made[2], made[1]);
}

/// A sender whose clock began before it could send, as aiortc's may: two thirds of a second come at once. That is not kept as delay, and
/// what follows passes through.
#[test]
fn a_backlog_at_the_beginning_is_left_out() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let packets = opus(&tone(440.0, 4.0, 0.4), 20, 64_000);
    let mut sent = Travel::new(0, 20).rtp(&packets);
    let begin = sent[32].0;
    for (n, (at, _)) in (0..).zip(&mut sent) {
        *at = at.saturating_sub(begin).max(Duration::from_micros(n));
    }
    sim.add(world(source, sent));
    sim.run(Duration::from_secs(3));
    let health = sim.health(Participant::World(source));
    assert_eq!((health.lost, health.path), (0, Path::Passthrough));
    assert!((30..=33).contains(&health.dropped), "{health:?}");
    assert!(health.delay_ms <= 40, "{health:?}");
    let frames = sim.to_discord();
    assert!(frames.len() > 140, "{}", frames.len());
    assert!(frames.iter().all(|(_, frame)| packets.contains(frame)));
}

#[test]
fn frames_of_10_ms_pass_in_pairs() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS_10));
    let packets = opus(&tone(440.0, 2.0, 0.4), 10, 54_000);
    sim.add(world(source, Travel::new(0, 10).voice(&packets)));
    sim.run(Duration::from_secs(3));
    let frames = sim.to_discord();
    evenly(&frames);
    assert_eq!(
        sim.health(Participant::World(source)).path,
        Path::Passthrough
    );
    // The same frames: what is heard is the same to the last bit.
    let sent = hear(frames.iter().map(|(_, frame)| frame));
    let before = hear(&packets);
    assert!(frames.len() >= packets.len() / 2);
    assert_eq!(sent[..before.len()], before);
}

#[test]
fn pcm_is_encoded() {
    for (format, frame_ms) in [(PCM, 20), (PCM_10, 10)] {
        let mut sim = Sim::new();
        let source = sim.join(1, Listens::Nothing, Some(format));
        let packets = pcm(&tone(440.0, 2.0, 0.4), frame_ms);
        sim.add(world(
            source,
            Travel::new(0, frame_ms as u64).voice(&packets),
        ));
        sim.run(Duration::from_secs(3));
        let frames = sim.to_discord();
        evenly(&frames);
        assert!((100..125).contains(&frames.len()), "{}", frames.len());
        let heard = hear(frames.iter().map(|(_, frame)| frame));
        assert_eq!(tones(&heard, &[220.0, 440.0]), [440.0]);
        assert!((loudness(middle(&heard), 440.0) + 8.0).abs() < 1.0);
        assert_eq!(sim.health(Participant::World(source)).path, Path::Mixed);
    }
}

#[test]
fn several_are_mixed_and_encoded_once() {
    let mut sim = Sim::new();
    let hertz = [300.0, 500.0, 800.0, 1_300.0];
    let formats = [OPUS, OPUS_10, PCM, PCM_10];
    for (n, (format, hertz)) in formats.into_iter().zip(hertz).enumerate() {
        let source = sim.join(n as u32, Listens::Nothing, Some(format));
        let ms = usize::from(format.frame_ms);
        let tone = tone(hertz, 3.0, 0.3);
        let packets = match format.codec {
            Codec::Opus => opus(&tone, ms, 54_000),
            Codec::Pcm => pcm(&tone, ms),
        };
        let travel = Travel::new(n as u64 * 7, ms as u64);
        sim.add(world(source, travel.voice(&packets)));
    }
    sim.run(Duration::from_secs(4));
    let frames = sim.to_discord();
    evenly(&frames);
    assert!((150..175).contains(&frames.len()), "{}", frames.len());
    let heard = hear(frames.iter().map(|(_, frame)| frame));
    assert_eq!(tones(&heard, &hertz), hertz);
    // 1.2 altogether: more than there can be.
    let peak = heard.iter().fold(0.0_f32, |peak, v| peak.max(v.abs()));
    assert!((0.8..1.1).contains(&peak), "{peak}");
}

#[test]
fn silence_sends_nothing() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    // A microphone that is open, in a quiet room.
    let noise: Vec<f32> = (0..48_000 * 3)
        .map(|_| (fastrand::f32() - 0.5) * 0.002)
        .collect();
    let mut sound = noise.clone();
    sound.extend(tone(440.0, 1.0, 0.3));
    sound.extend(noise);
    let packets = opus(&sound, 20, 32_000);
    sim.add(world(source, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(8));
    let frames = sim.to_discord();
    let first = frames.first().unwrap().0;
    let last = frames.last().unwrap().0;
    assert!((2_990..3_060).contains(&first.as_millis()), "{first:?}");
    // The hangover of 400 ms; its packets are short at once, but it is listened to half a second after the last time.
    assert!((4_300..5_050).contains(&last.as_millis()), "{last:?}");
    let heard = hear(frames.iter().map(|(_, frame)| frame));
    assert!(loudness(&heard[9_600..38_400], 440.0) > -12.0);
}

#[test]
fn gain_and_mute() {
    let mut sim = Sim::new();
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let who = Participant::World(source);
    let packets = opus(&tone(440.0, 6.0, 0.4), 20, 32_000);
    sim.add(world(source, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(2));
    let setting = Setting {
        gain: 0.25,
        muted: false,
    };
    sim.room.set(who, setting);
    sim.run(Duration::from_secs(4));
    let muted = Setting {
        muted: true,
        ..setting
    };
    sim.room.set(who, muted);
    let before = sim.to_discord().len();
    sim.run(Duration::from_secs(6));
    let frames = sim.to_discord();
    assert_eq!(frames.len(), before);
    assert_eq!(sim.health(who).path, Path::Unheard);
    let heard = hear(frames.iter().map(|(_, frame)| frame));
    let (loud, soft) = heard.split_at(96_000);
    assert!((loudness(middle(loud), 440.0) + 8.0).abs() < 1.0);
    assert!((loudness(middle(soft), 440.0) + 20.0).abs() < 1.0);
}

#[test]
fn of_several_with_open_microphones_the_one_who_speaks_passes_through() {
    let mut sim = Sim::new();
    let noise: Vec<f32> = (0..48_000 * 5)
        .map(|_| (fastrand::f32() - 0.5) * 0.002)
        .collect();
    for peer in 2..5 {
        let source = sim.join(peer, Listens::Nothing, Some(OPUS));
        let packets = opus(&noise, 20, 24_000);
        sim.add(world(
            source,
            Travel::new(u64::from(peer), 20).rtp(&packets),
        ));
    }
    let source = sim.join(1, Listens::Nothing, Some(OPUS));
    let packets = opus(&tone(440.0, 3.0, 0.4), 20, 32_000);
    sim.add(world(source, Travel::new(1_007, 20).rtp(&packets)));
    sim.run(Duration::from_secs(5));
    let sent: Vec<_> = sim
        .to_discord()
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    assert_eq!(sent[..packets.len()], packets);
}
