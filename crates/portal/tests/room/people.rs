//! Who comes and goes.

use std::time::Duration;

use uro_discord_portal::{
    DiscordMember, Event, JoinError, Listens, MAX_PEERS, MAX_SENDERS, MAX_SPEAKERS, MAX_STREAMS,
    Member, Options, Output, Packet, Participant, PeerId, Sequence, Setting, Source,
};

use crate::support::*;

#[test]
fn what_cannot_be_is_refused() {
    let mut sim = Sim::new();
    let member = |listens, speaks| Member {
        name: String::new(),
        listens,
        speaks,
    };
    let now = sim.now();
    let mut join =
        |peer, listens, speaks| sim.room.join(now, PeerId(peer), member(listens, speaks));
    let odd = format(uro_discord_portal::Codec::Opus, 60, 1);
    assert_eq!(
        join(1, Listens::Each(odd), None),
        Err(JoinError::FrameLength(60))
    );
    let stereo = format(uro_discord_portal::Codec::Pcm, 20, 2);
    assert_eq!(
        join(1, Listens::Nothing, Some(stereo)),
        Err(JoinError::Channels(2))
    );
    assert_eq!(join(1, Listens::Nothing, None), Ok(()));
    assert_eq!(
        join(1, Listens::Nothing, None),
        Err(JoinError::Taken(PeerId(1)))
    );
    for peer in 2..=MAX_PEERS as u32 {
        assert_eq!(join(peer, Listens::Nothing, None), Ok(()));
    }
    assert_eq!(join(1_000, Listens::Nothing, None), Err(JoinError::Full));
}

#[test]
fn bots_are_heard_only_if_asked_for() {
    let mut sim = Sim::new();
    sim.join(1, Listens::Each(OPUS), None);
    let bot = DiscordMember {
        name: "music".to_owned(),
        bot: true,
    };
    let now = sim.now();
    sim.room.discord_joined(now, 9, bot);
    let packets = opus(&tone(440.0, 2.0, 0.4), 20, 64_000);
    sim.add(call(9, Travel::new(0, 20).rtp(&packets)));
    sim.run(Duration::from_secs(1));
    assert!(sim.out.is_empty());
    sim.room.options(Options {
        listen_to_bots: true,
    });
    sim.run(Duration::from_secs(3));
    let heard = sim.to_peer(1, 0x7F00_0000);
    assert!((48..=52).contains(&heard.len()), "{}", heard.len());
    sim.room.options(Options::default());
    sim.drain();
    let last = sim.out.last().map(|(_, output)| output.clone());
    let gone = Event::SpeakerGone { id: 0x7F00_0000 };
    assert_eq!(last, Some(Output::Event(gone)));
}

#[test]
fn speakers_have_ids_that_are_used_again() {
    let mut sim = Sim::new();
    for user in [10, 11, 12] {
        sim.discord(user);
    }
    let now = sim.now();
    sim.room.discord_left(now, 11);
    sim.discord(13);
    let renamed = DiscordMember {
        name: "another".to_owned(),
        bot: false,
    };
    sim.room.discord_joined(now, 10, renamed);
    sim.drain();
    let events: Vec<_> = sim.out.iter().map(|(_, output)| output.clone()).collect();
    let speaker = |slot: u32, user, name: &str| {
        Output::Event(Event::Speaker {
            id: 0x7F00_0000 + slot,
            user,
            name: name.to_owned(),
        })
    };
    let wanted = [
        speaker(0, 10, "user 10"),
        speaker(1, 11, "user 11"),
        speaker(2, 12, "user 12"),
        Output::Event(Event::SpeakerGone { id: 0x7F00_0001 }),
        speaker(1, 13, "user 13"),
        speaker(0, 10, "another"),
    ];
    assert_eq!(events, wanted);
}

#[test]
fn a_peer_speaks_for_others_by_name() {
    let mut sim = Sim::new();
    let peer = sim.join(1, Listens::Each(OPUS), Some(OPUS));
    let player = Source { sender: 5, ..peer };
    sim.room.name(player, "Ada".to_owned());
    let packets = opus(&tone(440.0, 1.0, 0.4), 20, 64_000);
    sim.add(world(player, Travel::new(0, 20).voice(&packets)));
    sim.run(Duration::from_millis(700));
    assert_eq!(sim.health(Participant::World(player)).name, "Ada");
    assert!(sim.health(Participant::World(player)).speaking);
    let now = sim.now();
    sim.room.leave(now, peer.peer);
    sim.drain();
    let speaking = sim.speaking(Participant::World(player));
    assert_eq!(speaking.last().map(|(_, s)| *s), Some(false));
    assert_eq!(sim.room.status(now).participants, []);
}

#[test]
fn what_is_asked_of_a_peer_holds_for_its_players() {
    let mut sim = Sim::new();
    let peer = sim.join(1, Listens::Nothing, Some(OPUS));
    let muted = Setting {
        gain: 1.0,
        muted: true,
    };
    let half = Setting {
        gain: 0.5,
        muted: false,
    };
    let player = |sender| Source { sender, ..peer };
    sim.room.set(Participant::World(player(6)), half);
    let packets = opus(&tone(440.0, 3.0, 0.4), 20, 64_000);
    for sender in [5, 6] {
        sim.add(world(player(sender), Travel::new(0, 20).voice(&packets)));
    }
    sim.run(Duration::from_secs(1));
    sim.room.set(Participant::World(peer), muted);
    sim.run(Duration::from_secs(2));
    let speaking = |sim: &Sim, sender| sim.health(Participant::World(player(sender))).speaking;
    assert!(!speaking(&sim, 5) && speaking(&sim, 6));
    sim.room.set(Participant::World(peer), Setting::default());
    sim.run(Duration::from_millis(2_500));
    assert!(speaking(&sim, 5) && speaking(&sim, 6));
}

/// Thousands come and go, speak and are muted: nothing of them stays.
#[test]
fn nothing_leaks() {
    let mut sim = Sim::new();
    let payload = opus(&tone(440.0, 0.1, 0.4), 20, 64_000)[0].clone();
    let packet = |number| Packet {
        sequence: Sequence::Voice(number),
        time: None,
        payload: payload.clone(),
    };
    for round in 0..3_000_u32 {
        let formats = [OPUS, OPUS_10, PCM];
        let listens = Listens::Mix(formats[round as usize % 3]);
        let source = sim.join(round, listens, Some(OPUS));
        sim.discord(u64::from(round));
        let now = sim.now();
        for number in 0..3 {
            sim.room.from_world(now, source, packet(number));
            sim.room.from_discord(now, u64::from(round), packet(number));
        }
        let muted = Setting {
            muted: true,
            gain: 0.5,
        };
        sim.room.set(Participant::World(source), muted);
        sim.room.name(
            Source {
                sender: 3,
                ..source
            },
            "x".repeat(1_000_000),
        );
        sim.run(sim.at() + Duration::from_millis(45));
        let now = sim.now();
        sim.room.leave(now, source.peer);
        sim.room.discord_left(now, u64::from(round));
        sim.drain();
        sim.out.clear();
        assert!(sim.room.status(now).participants.is_empty());
    }
    sim.run(sim.at() + Duration::from_secs(60));
    assert_eq!(sim.room.deadline(), None);
    assert_eq!(
        format!("{:?}", sim.room),
        "Room { peers: 0, speakers: 0, streams: 0, .. }"
    );
}

#[test]
fn numbers_are_bounded() {
    let mut sim = Sim::new();
    let payload = opus(&tone(440.0, 0.1, 0.4), 20, 64_000)[0].clone();
    let packet = || Packet {
        sequence: Sequence::Voice(1),
        time: None,
        payload: payload.clone(),
    };
    let now = sim.now();
    for peer in 0..20 {
        let source = sim.join(peer, Listens::Nothing, Some(OPUS));
        for sender in 0..100 {
            sim.room
                .from_world(now, Source { sender, ..source }, packet());
        }
    }
    let status = sim.room.status(now);
    assert_eq!(status.participants.len(), MAX_STREAMS);
    assert!(MAX_STREAMS.is_multiple_of(MAX_SENDERS));
    assert_eq!(status.dropped as usize, 20 * 100 - MAX_STREAMS);
    for user in 0..2 * MAX_SPEAKERS as u64 {
        let member = DiscordMember {
            name: String::new(),
            bot: false,
        };
        sim.room.discord_joined(now, user, member);
    }
    sim.drain();
    let roster = sim.out.len();
    assert_eq!(roster, MAX_SPEAKERS);
    // Whom nobody forwards any more is forgotten.
    sim.run(Duration::from_secs(100));
    let status = sim.room.status(sim.now());
    assert_eq!(status.participants.len(), MAX_STREAMS / MAX_SENDERS);
}
