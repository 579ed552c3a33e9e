//! The mix of everybody, without oneself.

use std::time::Duration;

use uro_discord_portal::{Codec, Listens, MIX, Participant, Path};

use crate::support::*;

const HERTZ: [f32; 4] = [300.0, 500.0, 800.0, 1_300.0];

#[test]
fn everybody_hears_everybody_else() {
    let mut sim = Sim::new();
    // Two who speak and listen, one who only listens, and one who takes PCM.
    let one = sim.join(1, Listens::Mix(OPUS), Some(OPUS));
    let two = sim.join(2, Listens::Mix(OPUS), Some(OPUS));
    sim.join(3, Listens::Mix(OPUS), None);
    sim.join(4, Listens::Mix(PCM_10), None);
    sim.join(5, Listens::Mix(OPUS), None);
    sim.discord(7);
    sim.discord(8);
    let speak = |hertz| opus(&tone(hertz, 3.0, 0.2), 20, 32_000);
    sim.add(world(one, Travel::new(0, 20).rtp(&speak(HERTZ[0]))));
    sim.add(world(two, Travel::new(5, 20).rtp(&speak(HERTZ[1]))));
    sim.add(call(7, Travel::new(9, 20).rtp(&speak(HERTZ[2]))));
    sim.add(call(8, Travel::new(13, 20).rtp(&speak(HERTZ[3]))));
    sim.run(Duration::from_secs(5));
    let heard = |peer, codec| {
        let heard = sim.to_peer(peer, MIX);
        assert_eq!(holes(&heard), Default::default());
        let packets = heard.iter().map(|h| &h.payload);
        match codec {
            Codec::Opus => tones(&hear(packets), &HERTZ),
            Codec::Pcm => tones(&samples(packets), &HERTZ),
        }
    };
    assert_eq!(heard(1, Codec::Opus), HERTZ[1..]);
    assert_eq!(heard(2, Codec::Opus), [HERTZ[0], HERTZ[2], HERTZ[3]]);
    assert_eq!(heard(3, Codec::Opus), HERTZ);
    assert_eq!(heard(4, Codec::Pcm), HERTZ);
    assert_eq!(sim.to_peer(3, MIX), sim.to_peer(5, MIX), "encoded once");
    let to_discord = sim.to_discord();
    let call = hear(to_discord.iter().map(|(_, frame)| frame));
    assert_eq!(
        tones(&call, &HERTZ),
        HERTZ[..2],
        "the call does not hear itself"
    );
}

#[test]
fn one_speaker_passes_through_the_mix_too() {
    let mut sim = Sim::new();
    sim.join(1, Listens::Mix(OPUS), None);
    sim.discord(7);
    let packets = opus(&tone(440.0, 2.0, 0.4), 20, 64_000);
    sim.add(call(7, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(3));
    let heard = sim.to_peer(1, MIX);
    let payloads: Vec<_> = heard.iter().map(|h| h.payload.clone()).collect();
    assert_eq!(payloads[..100], packets);
    assert_eq!(sim.health(Participant::Discord(7)).path, Path::Passthrough);
}

#[test]
fn who_talks_to_one_in_the_call_hears_him_untouched_while_he_talks_and_after() {
    let mut sim = Sim::new();
    let one = sim.join(1, Listens::Mix(OPUS), Some(OPUS));
    sim.discord(7);
    let own = opus(&tone(300.0, 2.0, 0.4), 20, 32_000);
    let other = opus(&tone(440.0, 4.0, 0.4), 20, 64_000);
    sim.add(world(one, Travel::new(7, 20).rtp(&own)));
    sim.add(call(7, Travel::new(0, 20).rtp(&other)));
    sim.run(Duration::from_secs(1));
    for who in [Participant::World(one), Participant::Discord(7)] {
        assert_eq!(sim.health(who).path, Path::Passthrough);
    }
    sim.run(Duration::from_secs(5));
    let heard = sim.to_peer(1, MIX);
    let heard: Vec<_> = heard.into_iter().map(|heard| heard.payload).collect();
    assert_eq!(heard[..200], other);
    let call = sim.to_discord();
    let call: Vec<_> = call.into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(call[..100], own);
}

#[test]
fn time_goes_on_during_silence_and_numbers_do_not() {
    let mut sim = Sim::new();
    let one = sim.join(1, Listens::Mix(OPUS), Some(OPUS));
    sim.join(2, Listens::Mix(OPUS), None);
    for second in [0, 10, 60] {
        let packets = opus(&tone(440.0, 1.0, 0.4), 20, 64_000);
        let mut travel = Travel::new(second * 1_000, 20);
        travel.first = (second * 5) as u16;
        let mut packets = travel.rtp(&packets);
        for (_, packet) in &mut packets {
            packet.time = packet.time.map(|t| t.wrapping_add(second as u32 * 48_000));
        }
        sim.add(world(one, packets));
    }
    sim.run(Duration::from_secs(63));
    let heard = sim.to_peer(2, MIX);
    let holes: Vec<u32> = holes(&heard).into_values().collect();
    assert_eq!(holes.len(), 2);
    for (hole, seconds) in holes.iter().zip([9, 49]) {
        let wanted = seconds * 48_000;
        assert!(hole.abs_diff(wanted) < 4_800, "{hole} for {wanted}");
    }
    assert_eq!(sim.to_peer(1, MIX), [], "it does not hear itself");
}
