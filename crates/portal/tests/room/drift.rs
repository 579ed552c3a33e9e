//! Clocks that do not agree: in an hour, what is heard gets no later, and has no gap.

use std::time::Duration;

use bytes::Bytes;
use uro_discord_portal::{Listens, MIX, Participant};

use crate::support::*;

/// A clock that is so much fast, or slow, for so many minutes. `frame` looks at each frame that is heard.
fn drift(
    ppm: f64,
    minutes: u64,
    packets: &[Bytes],
    enter: impl Fn(&mut Sim) -> Participant,
    mut frame: impl FnMut(&Bytes),
) {
    let mut sim = Sim::new();
    let who = enter(&mut sim);
    let mut travel = Travel::new(0, 20);
    travel.ppm = ppm;
    let mut last: Option<Duration> = None;
    let mut count = 0;
    for minute in 0..minutes {
        let numbers = minute * 3_000..(minute + 1) * 3_000;
        let sent = travel.part(packets, numbers);
        match who {
            Participant::World(source) => sim.add(world(source, sent)),
            Participant::Discord(user) => sim.add(call(user, sent)),
        }
        sim.run(Duration::from_secs(minute * 60 + 59));
        let health = sim.health(who);
        assert_eq!(
            (health.lost, health.dropped),
            (0, 0),
            "{minute}: {health:?}"
        );
        assert!(health.delay_ms <= 50, "{minute}: {health:?}");
        if minute > 10 {
            let drift = f64::from(health.drift_ppm);
            assert!((drift - ppm).abs() < 40.0, "{health:?}");
        }
        let heard = sim.to_peer(2, MIX);
        let frames = match who {
            _ if !heard.is_empty() => heard.into_iter().map(|h| (h.at, h.payload)).collect(),
            _ => sim.to_discord(),
        };
        sim.out.clear();
        for (at, payload) in frames {
            if let Some(last) = last {
                let apart = at - last;
                assert!(
                    apart < FRAME + Duration::from_micros(50),
                    "{apart:?} at {at:?}"
                );
            }
            last = Some(at);
            count += 1;
            frame(&payload);
        }
    }
    assert!(count >= minutes * 3_000 - 60, "{count}");
}

/// A tone without end that passes through, where nothing can be mended: now and then it is written anew for some seconds, a little
/// faster or slower.
fn passes(ppm: f64, minutes: u64, enter: impl Fn(&mut Sim) -> Participant) {
    let packets = opus(&tone(400.0, 1.0, 0.4), 20, 64_000);
    let mut passed = 0;
    drift(ppm, minutes, &packets, enter, |frame| {
        passed += usize::from(packets.contains(frame));
    });
    assert!(passed as u64 > minutes * 2_600, "{passed}");
}

fn a_peer(sim: &mut Sim) -> Participant {
    Participant::World(sim.join(1, Listens::Nothing, Some(OPUS)))
}

fn one_in_the_call(sim: &mut Sim) -> Participant {
    sim.join(2, Listens::Mix(OPUS), None);
    sim.discord(7);
    Participant::Discord(7)
}

#[test]
fn of_a_fast_peer() {
    passes(200.0, 60, a_peer);
}

#[test]
fn of_a_slow_peer() {
    passes(-200.0, 10, a_peer);
}

#[test]
fn of_one_in_the_call_who_is_fast() {
    passes(200.0, 60, one_in_the_call);
}

#[test]
fn of_one_in_the_call_who_is_slow() {
    passes(-200.0, 10, one_in_the_call);
}

/// As samples, the tone can be followed: there is no step in it, and no hole.
fn without_a_step(ppm: f64, minutes: u64) {
    let packets = opus(&tone(400.0, 1.0, 0.4), 20, 96_000);
    let enter = |sim: &mut Sim| {
        sim.join(2, Listens::Mix(PCM), None);
        sim.discord(7);
        Participant::Discord(7)
    };
    let (mut last, mut begun) = (0.0_f32, 0);
    drift(ppm, minutes, &packets, enter, |frame| {
        let pcm = samples([frame]);
        begun += 1;
        for sample in &pcm {
            // A sine of 0.4 moves by 0.021 from one sample to the next at most; the codec adds a little where the tone repeats.
            assert!((sample - last).abs() < 0.1, "{last} {sample} at {begun}");
            last = *sample;
        }
        if begun > 3 {
            let loud = loudness(&pcm, 400.0);
            assert!((-14.0..0.0).contains(&loud), "{loud} at {begun}");
        }
    });
}

#[test]
fn a_slow_tone_has_no_step() {
    without_a_step(-200.0, 20);
}

#[test]
fn a_fast_tone_has_no_step() {
    without_a_step(200.0, 10);
}
