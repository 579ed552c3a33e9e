//! A portal's endpoint and our own client: every way in, both ways, on a good network and on a bad one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use support::{
    ANN, ANOTHER, BAD, BOB, CLEAR, GUEST, MENDED, guest::Guest, relay::Conditions, server::Server,
};
use uro_discord_portal::{Kind, PortalEvent, token::Role};
use uro_portal_peer::{
    Error, HttpError, Peer, Way,
    control::{Codec, FromPeer, FromPortal, Listens, Role as Who, Voice},
};

const OPUS: Voice = Voice::new(Codec::Opus, 20);
const MIX: u32 = 0;

const fn channels(voice: Voice, listens: Listens) -> Way {
    Way::Channels {
        role: Who::World,
        voice,
        listens,
    }
}

/// One guest and one in the call hear each other.
async fn both_ways(way: Way, voice: Voice, network: Option<Conditions>, least: f64) {
    let server = Server::start(network).await;
    let call = server.open("lobby", &[ANN]);
    let guest = Guest::new(server.peer("lobby", way).await, voice, Some(GUEST));
    call.hears(GUEST, least).await;
    guest.hears(MIX, ANN.hertz.unwrap(), least).await;
    guest.leave().await;
    call.told("that the guest has left", |event| {
        matches!(event, PortalEvent::PeerLeft { .. })
    })
    .await;
}

#[tokio::test]
async fn by_tracks() {
    both_ways(Way::Both, OPUS, None, CLEAR).await;
}

#[tokio::test]
async fn by_data_channels() {
    both_ways(channels(OPUS, Listens::Mix), OPUS, None, CLEAR).await;
}

#[tokio::test]
async fn by_data_channels_with_frames_of_10_ms() {
    let voice = Voice::new(Codec::Opus, 10);
    both_ways(channels(voice, Listens::Mix), voice, None, CLEAR).await;
}

#[tokio::test]
async fn by_data_channels_with_samples() {
    for frame_ms in [10, 20] {
        let voice = Voice::new(Codec::Pcm, frame_ms);
        both_ways(channels(voice, Listens::Mix), voice, None, CLEAR).await;
    }
}

#[tokio::test]
async fn by_tracks_on_a_bad_network() {
    both_ways(Way::Both, OPUS, Some(BAD), MENDED).await;
}

#[tokio::test]
async fn by_data_channels_on_a_bad_network() {
    both_ways(channels(OPUS, Listens::Mix), OPUS, Some(BAD), MENDED).await;
}

#[tokio::test]
async fn one_publishes_and_another_listens() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[ANN]);
    let publish = server.join("lobby", Role::Publish, Way::Publish);
    let watch = server.join("lobby", Role::Watch, Way::Watch);
    let speaker = Guest::new(Peer::join(publish).await.unwrap(), OPUS, Some(GUEST));
    call.told("who publishes", |event| {
        matches!(event, PortalEvent::PeerJoined { kind: Kind::Whip, role: Role::Publish, name, .. } if name == "A guest")
    })
    .await;
    let listener = Guest::new(Peer::join(watch).await.unwrap(), OPUS, None);
    call.hears(GUEST, CLEAR).await;
    // Both who speak, and each has half of it.
    listener.hears(MIX, ANN.hertz.unwrap(), 0.3).await;
    listener.hears(MIX, GUEST, 0.3).await;
    speaker.leave().await;
    listener.leave().await;
}

#[tokio::test]
async fn a_world_hears_each_speaker_with_his_name() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[ANN]);
    let way = channels(OPUS, Listens::Each);
    let world = Guest::new(server.peer("lobby", way).await, OPUS, None);
    let id = |name: &'static str| {
        move |said: &FromPortal| match said {
            FromPortal::Roster { speakers } => speakers
                .iter()
                .find(|speaker| speaker.name == name)
                .map(|speaker| (speaker.id, speaker.user.clone())),
            _ => None,
        }
    };
    let (ann, user) = world.told("Ann in the roster", id("Ann")).await;
    assert_eq!(user, ANN.user.to_string());
    assert!(ann >= 0x7f00_0000, "{ann:x}");
    world.hears(ann, ANN.hertz.unwrap(), CLEAR).await;

    call.change(BOB).await;
    let (bob, _) = world.told("Bob in the roster", id("Bob")).await;
    assert_ne!(ann, bob);
    world.hears(bob, BOB.hertz.unwrap(), CLEAR).await;
    world.hears(ann, ANN.hertz.unwrap(), CLEAR).await;
    world
        .told("that Bob speaks", |said| {
            (*said
                == FromPortal::Speaking {
                    id: bob,
                    speaking: true,
                })
            .then_some(())
        })
        .await;
    world.leave().await;
}

#[tokio::test]
async fn two_who_speak_at_once_are_both_heard() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[]);
    let first = Guest::new(server.peer("lobby", Way::Both).await, OPUS, Some(GUEST));
    call.hears(GUEST, CLEAR).await;
    let second = Guest::new(server.peer("lobby", Way::Both).await, OPUS, Some(ANOTHER));
    // Each has half of what is heard.
    call.hears(ANOTHER, 0.3).await;
    call.hears(GUEST, 0.3).await;
    first.leave().await;
    call.hears(ANOTHER, CLEAR).await;
    second.leave().await;
}

#[tokio::test]
async fn players_whom_a_world_forwards_have_names() {
    let server = Server::start(None).await;
    let call = server.open("lobby", &[]);
    let way = channels(OPUS, Listens::Nothing);
    let mut world = server.peer("lobby", way).await;
    let name = FromPeer::Name {
        sender: 7,
        name: "Seven".into(),
    };
    world.say(&name).await.unwrap();
    let mut source =
        uro_portal_peer::source::Source::signal(uro_portal_peer::signal::Signal::tone(GUEST), OPUS)
            .unwrap();
    let speaking = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            pace.tick().await;
            let (samples, payload) = source.frame().unwrap().unwrap();
            world.speak_for(7, samples, payload).await.unwrap();
        }
    };
    tokio::select! {
        () = call.hears(GUEST, CLEAR) => {}
        () = speaking => {}
    }
    world.leave().await.unwrap();
}

#[tokio::test]
async fn who_may_not_come_in_learns_why() {
    let server = Server::start(None).await;
    let _call = server.open("lobby", &[]);
    let refused = async |join| match Peer::join(join).await {
        Err(Error::Http(HttpError::Refused {
            status, message, ..
        })) => {
            assert!(message.len() > 10, "{message}");
            status.as_u16()
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it came in"),
    };
    let join = |id, role, way| server.join(id, role, way);
    assert_eq!(refused(join("lobby", Role::Watch, Way::Publish)).await, 403);
    assert_eq!(refused(join("lobby", Role::Publish, Way::Both)).await, 403);
    assert_eq!(refused(join("nowhere", Role::Peer, Way::Both)).await, 404);
    let mut other = join("lobby", Role::Peer, Way::Both);
    other.token = server.token("attic", Role::Peer).into();
    assert_eq!(refused(other).await, 403);
    let mut none = join("lobby", Role::Peer, Way::Both);
    none.token = "none".into();
    assert_eq!(refused(none).await, 401);
}
