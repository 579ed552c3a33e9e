//! From the call to those who hear each of its speakers.

use std::time::Duration;

use uro_discord_portal::{Codec, Event, Listens, Output, Participant, Path, Setting};

use crate::support::*;

const ID: u32 = 0x7F00_0000;

#[test]
fn packets_pass_untouched_to_those_who_take_them_so() {
    let mut sim = Sim::new();
    sim.join(1, Listens::Each(OPUS), Some(OPUS));
    sim.join(2, Listens::Each(format(Codec::Opus, 20, 1)), None);
    sim.discord(7);
    let packets = opus(&tone(440.0, 2.0, 0.4), 20, 64_000);
    let travel = Travel::new(0, 20).rtp(&packets);
    sim.add(call(7, travel.clone()));
    // Then a second of silence: the numbers go on, the time has passed.
    let later = Travel {
        start: Duration::from_secs(3),
        first: 65_530_u16.wrapping_add(100),
        ..Travel::new(0, 20)
    };
    let mut after = later.rtp(&packets);
    for (_, packet) in &mut after {
        packet.time = packet.time.map(|time| time.wrapping_add(48_000 * 3));
    }
    sim.add(call(7, after));
    sim.run(Duration::from_secs(6));
    for peer in [1, 2] {
        let heard = sim.to_peer(peer, ID);
        let payloads: Vec<_> = heard.iter().map(|h| h.payload.clone()).collect();
        assert_eq!(payloads, [packets.clone(), packets.clone()].concat());
        assert_eq!(heard[0].at, travel[0].0, "at once");
        assert_eq!(heard[5].at, travel[5].0);
        let holes = holes(&heard);
        assert_eq!(holes.into_iter().collect::<Vec<_>>(), [(100, 48_000)]);
    }
    assert_eq!(sim.health(Participant::Discord(7)).path, Path::Passthrough);
    assert_eq!(
        sim.health(Participant::Discord(7)).level,
        None,
        "it is not decoded"
    );
    let speaking: Vec<_> = sim.speaking(Participant::Discord(7));
    assert_eq!(
        speaking.iter().map(|(_, s)| *s).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    let roster = sim.out.iter().filter_map(|(_, output)| match output {
        Output::Event(Event::Speaker { id, user, name }) => Some((*id, *user, name.as_str())),
        _ => None,
    });
    assert_eq!(roster.collect::<Vec<_>>(), [(ID, 7, "user 7")]);
}

#[test]
fn others_have_it_in_their_own_format() {
    let mut sim = Sim::new();
    for (peer, format) in [(1, OPUS), (2, OPUS_10), (3, PCM), (4, PCM_10), (5, OPUS_10)] {
        sim.join(peer, Listens::Each(format), None);
    }
    sim.discord(7);
    sim.discord(8);
    for (user, hertz, start) in [(7, 440.0, 0), (8, 900.0, 11)] {
        let packets = opus(&tone(hertz, 2.0, 0.4), 20, 64_000);
        sim.add(call(user, Travel::new(start, 20).rtp(&packets)));
    }
    sim.run(Duration::from_secs(4));
    for (speaker, hertz) in [(ID, 440.0), (ID + 1, 900.0)] {
        for (peer, format) in [(1, OPUS), (2, OPUS_10), (3, PCM), (4, PCM_10)] {
            let heard = sim.to_peer(peer, speaker);
            let payloads = heard.iter().map(|h| &h.payload);
            let pcm = match format.codec {
                Codec::Opus => hear(payloads),
                Codec::Pcm => samples(payloads),
            };
            assert_eq!(tones(&pcm, &[440.0, 900.0]), [hertz], "{format:?}");
            let all = 48 * u32::from(format.frame_ms);
            assert!(heard.iter().all(|h| u32::from(h.samples) == all));
            assert_eq!(holes(&heard), Default::default());
            assert!(
                (95_000..101_000).contains(&(heard.len() as u32 * all)),
                "{format:?}"
            );
            if format.codec == Codec::Pcm {
                assert!(heard.iter().all(|h| h.payload.len() as u32 == 2 * all));
            }
        }
        assert_eq!(
            sim.to_peer(5, speaker),
            sim.to_peer(2, speaker),
            "written once"
        );
    }
}

#[test]
fn a_gain_is_heard_and_the_numbers_go_on() {
    let mut sim = Sim::new();
    sim.join(1, Listens::Each(OPUS), None);
    sim.discord(7);
    let packets = opus(&tone(440.0, 6.0, 0.4), 20, 64_000);
    sim.add(call(7, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(2));
    let who = Participant::Discord(7);
    sim.room.set(
        who,
        Setting {
            gain: 0.25,
            muted: false,
        },
    );
    sim.run(Duration::from_secs(4));
    assert_eq!(sim.health(who).path, Path::Each);
    sim.room.set(who, Setting::default());
    sim.run(Duration::from_secs(8));
    let heard = sim.to_peer(1, ID);
    let holes = holes(&heard);
    assert!(holes.values().all(|hole| *hole < 4_800), "{holes:?}");
    let pcm = hear(heard.iter().map(|h| &h.payload));
    let at = |second: usize| loudness(&pcm[second * 48_000..][..24_000], 440.0);
    assert!((at(1) + 8.0).abs() < 1.0, "{}", at(1));
    assert!((at(3) + 20.0).abs() < 1.0, "{}", at(3));
    assert!((at(5) + 8.0).abs() < 1.0, "{}", at(5));
}

#[test]
fn the_world_is_not_told_what_it_says() {
    let mut sim = Sim::new();
    let one = sim.join(1, Listens::Each(OPUS), Some(OPUS));
    sim.join(2, Listens::Each(PCM), Some(OPUS));
    let packets = opus(&tone(440.0, 1.0, 0.4), 20, 64_000);
    sim.add(world(one, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(2));
    let to_peers = sim
        .out
        .iter()
        .any(|(_, output)| matches!(output, Output::ToPeer { .. }));
    assert!(!to_peers);
    assert!(!sim.to_discord().is_empty());
}
