//! A network that loses and delays.

use std::time::Duration;

use uro_discord_portal::{Listens, Participant};

use crate::support::*;

/// 3% are lost, and each comes up to 50 ms late.
fn bad(
    packets: Vec<(Duration, uro_discord_portal::Packet)>,
    seed: u64,
) -> Vec<(Duration, uro_discord_portal::Packet)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let arrive = |(at, packet)| {
        let late = Duration::from_micros(random.u64(..50_000));
        (random.u8(..100) >= 3).then_some((at + late, packet))
    };
    packets.into_iter().filter_map(arrive).collect()
}

#[test]
fn a_tone_is_whole_after_loss_and_jitter() {
    for frame_ms in [10, 20] {
        let mut sim = Sim::new();
        let format = if frame_ms == 10 { OPUS_10 } else { OPUS };
        let source = sim.join(1, Listens::Nothing, Some(format));
        let packets = opus(&tone(440.0, 30.0, 0.4), frame_ms, 96_000);
        let travel = Travel::new(0, frame_ms as u64);
        sim.add(world(source, bad(travel.rtp(&packets), 5)));
        sim.run(Duration::from_secs(29));
        let health = sim.health(Participant::World(source));
        assert!(
            health.lost > 0 && health.dropped * 50 < health.packets,
            "{health:?}"
        );
        assert!((20..=110).contains(&health.delay_ms), "{health:?}");
        assert!((5..=40).contains(&health.jitter_ms), "{health:?}");
        let frames = sim.to_discord();
        // None is missing: one every 20 ms, whatever came.
        let count = (frames.last().unwrap().0 - frames[0].0).as_millis() / 20 + 1;
        assert_eq!(frames.len() as u128, count);
        let heard = hear(frames.iter().map(|(_, frame)| frame));
        // After the first two seconds the tone is in every 20 ms but where something was made up, and nowhere is a gap.
        let parts = heard[96_000..].chunks_exact(960);
        let count = parts.len();
        let good = parts
            .clone()
            .filter(|part| (-11.0..-6.0).contains(&loudness(part, 440.0)));
        let share = good.count() * 100 / count;
        let rms = |part: &[f32]| (part.iter().map(|v| v * v).sum::<f32>() / 960.0).sqrt();
        let softest = parts.map(rms).fold(1.0, f32::min);
        assert!(
            share >= 90 && softest > 0.1,
            "{frame_ms} ms: {share}%, {softest}"
        );
    }
}
