//! From one who passes through to a mix and back, as the far end's decoder hears it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use uro_discord_opus::Mode;
use uro_discord_portal::{Listens, Participant, Path};

use crate::support::*;

/// Power above 12 kHz.
fn splatter(pcm: &[f32]) -> f32 {
    let taps: Vec<f32> = (0..63)
        .map(|n| {
            let t = n as f32 - 31.0;
            let window = 0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 1.0) / 64.0).cos();
            let low = if t == 0.0 {
                0.5
            } else {
                (std::f32::consts::TAU * 0.25 * t).sin() / (std::f32::consts::PI * t)
            };
            window * (if t == 0.0 { 1.0 } else { 0.0 } - low)
        })
        .collect();
    let filtered = pcm.windows(taps.len()).map(|part| {
        let sum: f32 = part.iter().zip(&taps).map(|(v, tap)| v * tap).sum();
        sum * sum
    });
    filtered.sum::<f32>() / pcm.len() as f32 + 1e-10
}

fn decibels(a: f32, b: f32) -> f32 {
    10.0 * (a / b).log10()
}

/// One speaks all the time, another one joins in with what cannot be heard but counts, now and then. What the call hears changes from
/// packets that pass through to the mix and back; around the changes it sounds as if there were none.
#[test]
fn nobody_hears_it() {
    for (bit_rate, mode) in [(24_000, Mode::Hybrid), (96_000, Mode::Celt)] {
        let seconds = 60;
        let packets = opus(&speech(1, seconds), 20, bit_rate);
        assert_eq!(Mode::of(&packets[100]), Some(mode));
        let mut sim = Sim::new();
        let one = sim.join(1, Listens::Nothing, Some(OPUS));
        let two = sim.join(2, Listens::Nothing, Some(PCM));
        sim.add(world(one, Travel::new(0, 20).rtp(&packets)));
        // Half a second of -46 dBFS at 100 Hz, every two seconds: above what counts as silence, below where a click would be.
        let hum = pcm(&tone(100.0, 0.5, 0.007), 20);
        for n in 0..seconds as u64 / 2 - 1 {
            let mut travel = Travel::new(1_000 + n * 2_000 + n * 13, 20);
            travel.first = (n * 25) as u16;
            sim.add(world(two, travel.voice(&hum)));
        }
        sim.run(Duration::from_secs(seconds as u64));
        let sent: Vec<Bytes> = sim
            .to_discord()
            .into_iter()
            .map(|(_, frame)| frame)
            .collect();
        // Where each frame that passed was among the packets. Some are left out, when nobody speaks.
        let index: HashMap<&Bytes, usize> = packets.iter().zip(0..).collect();
        let places: Vec<Option<usize>> =
            sent.iter().map(|frame| index.get(frame).copied()).collect();
        // Each change: the frame, and the packet that would have been there.
        let changes: Vec<(usize, usize)> = places
            .windows(2)
            .enumerate()
            .filter_map(|(n, two)| match two {
                [Some(before), None] => Some((n + 1, before + 1)),
                [None, Some(after)] => Some((n + 1, *after)),
                _ => None,
            })
            .collect();
        assert!(changes.len() > 40, "{}", changes.len());
        assert!(sim.health(Participant::World(one)).dropped == 0);
        let heard = hear(&sent);
        let plain = hear(&packets);
        let mut worse = Vec::new();
        let mut levels = Vec::new();
        for (n, place) in changes {
            let (at, then) = (n * 960, place * 960);
            if n < 5 || at + 2_000 > heard.len() || then + 2_000 > plain.len() {
                continue;
            }
            // 11.5 ms are heard twice, or not: the windows of what is compared are so much longer.
            let before = splatter(&plain[then - 800..then + 900]);
            worse.push(decibels(splatter(&heard[at - 240..at + 900]), before));
            let power =
                |pcm: &[f32]| pcm.iter().map(|v| v * v).sum::<f32>() / pcm.len() as f32 + 1e-4;
            let loudest = [0, 552].map(|late| power(&plain[then - late..then - late + 960]));
            let now = power(&heard[at..at + 960]);
            let [a, b] = loudest;
            levels.push(if now > a.max(b) {
                decibels(now, a.max(b))
            } else {
                decibels(now, a.min(b)).min(0.0)
            });
        }
        worse.sort_by(f32::total_cmp);
        levels.sort_by(f32::total_cmp);
        let most = worse[worse.len() * 95 / 100];
        let (softest, loudest) = (levels[levels.len() / 20], levels[levels.len() * 95 / 100]);
        println!(
            "{mode:?}: {} changes: above 12 kHz {most:+.1} dB, level {softest:+.1} to {loudest:+.1} dB",
            worse.len()
        );
        assert!(most < 5.0, "{mode:?}: {most:+.1} dB above 12 kHz");
        assert!(
            softest > -7.0 && loudest < 4.0,
            "{mode:?}: {softest:+.1} to {loudest:+.1} dB"
        );
    }
}

/// A tone has no pause to go back in. It does so anyway, after a while.
#[test]
fn what_never_pauses_passes_again() {
    let mut sim = Sim::new();
    let one = sim.join(1, Listens::Nothing, Some(OPUS));
    let two = sim.join(2, Listens::Nothing, Some(PCM));
    let packets = opus(&tone(440.0, 12.0, 0.4), 20, 64_000);
    sim.add(world(one, Travel::new(0, 20).rtp(&packets)));
    let other = pcm(&tone(900.0, 1.0, 0.2), 20);
    sim.add(world(two, Travel::new(2_000, 20).voice(&other)));
    sim.run(Duration::from_millis(4_000));
    assert_eq!(sim.health(Participant::World(one)).path, Path::Mixed);
    sim.run(Duration::from_millis(9_000));
    assert_eq!(sim.health(Participant::World(one)).path, Path::Passthrough);
    sim.run(Duration::from_millis(13_000));
    let sent: Vec<Bytes> = sim
        .to_discord()
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    assert_eq!(sent[500..600], packets[500..600]);
}
