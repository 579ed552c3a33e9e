//! A bridge that outlives Uro: one goes, another comes, and who speaks in a portal notices nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/ear.rs"]
mod ear;
#[path = "support/member.rs"]
mod member;
mod support;
#[path = "support/portal.rs"]
mod world;

use member::{Member, Speech};
use serde_json::{Value, json};
use std::time::Duration;
use support::sim::Discord;
use support::{Attached, Bridge, Elsewhere, patiently};
use tokio::net::TcpStream;
use tokio::time::sleep;
use uro_discord_voice::Received;
use uro_discord_wire::{
    Active, FromBridge, GatewayState, HttpState, MediaState, PeerJoined, PortalState, VoiceState,
};
use world::{Ready, World, desired, portal, ready};

/// What crosses the portal, in Hz.
const WORLD: f64 = 440.0;
const CALL: f64 = 1_000.0;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

/// What a Uro says that has just started.
fn nothing() -> Value {
    json!({"gateway": null, "presence": null, "http": null, "voice": null, "media": null, "portals": null})
}

fn with_events(mut wanted: Value) -> Value {
    wanted["gateway"]["events"] = json!(["MESSAGE_CREATE"]);
    wanted
}

/// What the one before has stored of a session.
fn stored(active: &Active, sequence: u64) -> Value {
    json!([{"shard": 0, "id": active.session_id, "sequence": sequence, "resume_url": active.resume_url}])
}

async fn message(discord: &Discord, n: u64) {
    discord.dispatch("MESSAGE_CREATE", json!({"n": n})).await;
}

/// What a Uro is told that nobody told to do anything.
#[derive(Debug, Default)]
struct Told {
    http: Option<HttpState>,
    media: Option<MediaState>,
    call: Vec<VoiceState>,
    portal: Vec<PortalState>,
    events: Vec<u64>,
    active: Option<Active>,
}

impl Told {
    async fn hear(&mut self, uro: &mut Bridge<Attached>) {
        match uro.next().await.decode() {
            FromBridge::Http(state) => self.http = Some(state),
            FromBridge::Media(state) => self.media = Some(state),
            FromBridge::Voice { state, .. } => self.call.push(state),
            FromBridge::Portal { state, .. } => self.portal.push(state),
            FromBridge::Event { data, .. } => {
                let data: Value = serde_json::from_str(&data).unwrap();
                self.events.extend(data["n"].as_u64());
            }
            FromBridge::Gateway {
                state: GatewayState::Active(active),
                ..
            } => self.active = Some(active),
            FromBridge::Panic(what) => panic!("{what:?}"),
            _ => {}
        }
    }
}

/// No frame is missing, nor was there a silence that hid one.
fn is_whole(heard: &[Received]) {
    assert!(heard.len() > 100, "{} frames", heard.len());
    for pair in heard.windows(2) {
        let [one, next] = pair else { unreachable!() };
        assert_eq!(next.lost_before, 0);
        assert_eq!(next.sequence, one.sequence.wrapping_add(1));
        assert_eq!(next.rtp_time, one.rtp_time.wrapping_add(960));
    }
}

/// A portal with somebody on either side, who hear each other.
struct Scene {
    discord: Discord,
    bridge: Elsewhere,
    uro: Bridge<Attached>,
    wanted: Value,
    active: Active,
    joined: PeerJoined,
    member: Member,
    speech: Speech,
    world: World,
}

async fn scene(keep: Duration) -> Scene {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let bridge = Elsewhere::start(keep);
    let mut uro = bridge.attach().await;
    let wanted = with_events(desired(&discord, &[(member.user, "Zoë")]));
    uro.credit(1_000).await;
    uro.desire(wanted.clone()).await;
    let Ready { http, active, .. } = ready(&mut uro).await;
    let mut world = World::join(&http, WORLD).await;
    let joined = portal(&mut uro, |state| match state {
        PortalState::PeerJoined(joined) => Some(joined),
        _ => None,
    });
    let joined = joined.await;
    member.hears(WORLD).await;
    let speech = member.say(CALL);
    world.hears(CALL).await;
    Scene {
        discord,
        bridge,
        uro,
        wanted,
        active,
        joined,
        member,
        speech,
        world,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_loses_no_frame_while_one_uro_follows_another() {
    let Scene {
        discord,
        bridge,
        mut uro,
        mut wanted,
        active,
        joined,
        mut member,
        speech,
        mut world,
    } = scene(LONG).await;
    // Two events, of which the first is dealt with.
    message(&discord, 1).await;
    message(&discord, 2).await;
    let (done, ..) = uro.event().await;
    uro.event().await;
    let before = discord.get("gateway").await;
    world.came().await;

    let deploy = async {
        drop(uro);
        speech.goes_on(40).await;
        message(&discord, 3).await;
        speech.goes_on(20).await;
        // The next one knows nothing yet, and has no lease.
        let mut uro = bridge.attach().await;
        uro.desire(nothing()).await;
        uro.no_event_before_pong().await;
        message(&discord, 4).await;
        speech.goes_on(20).await;
        let unchanged = discord.get("gateway").await;
        assert_eq!(unchanged["resumes"], before["resumes"]);
        // And then bit by bit what the one before did.
        uro.credit(1_000).await;
        uro.desire(json!({"http": wanted["http"], "media": wanted["media"]}))
            .await;
        uro.desire(json!({"voice": wanted["voice"]})).await;
        wanted["gateway"]["sessions"] = stored(&active, done);
        uro.desire(json!({"gateway": wanted["gateway"]})).await;
        uro.desire(json!({"portals": wanted["portals"]})).await;
        let mut told = Told::default();
        patiently("what there is", async {
            while told.portal.len() < 2 || told.events.len() < 3 || told.active.is_none() {
                told.hear(&mut uro).await;
            }
        })
        .await;
        speech.goes_on(40).await;
        (uro, told)
    };
    let ((mut uro, told), heard) = member.hears_during(deploy).await;
    is_whole(&heard);
    let came = world.came().await;
    assert!(came.len() > 100, "{} packets", came.len());
    for pair in came.windows(2) {
        assert_eq!(pair[0].speaker, pair[1].speaker);
        assert_eq!(pair[0].sequence + 1, pair[1].sequence);
        assert!(!pair[1].payload.is_empty());
    }

    assert!(
        matches!(told.http, Some(HttpState::Listening(_))),
        "{told:?}"
    );
    assert!(
        matches!(told.media, Some(MediaState::Listening(_))),
        "{told:?}"
    );
    assert_eq!(
        told.portal[..2],
        [PortalState::Open, PortalState::PeerJoined(joined)]
    );
    let mut call = told.call.iter();
    assert!(
        matches!(call.next(), Some(VoiceState::Joined(_))),
        "{told:?}"
    );
    let in_call = |state: &VoiceState| matches!(state, VoiceState::UserJoined(user) if user.user.get() == member.user);
    assert!(call.any(in_call), "{told:?}");
    let left = |state: &VoiceState| {
        matches!(
            state,
            VoiceState::Ended(_) | VoiceState::Left | VoiceState::Joining(_)
        )
    };
    assert!(!told.call.iter().any(left), "{told:?}");

    // What was not dealt with comes again, and what came meanwhile.
    assert_eq!(told.events, [2, 3, 4]);
    let resumed = told.active.unwrap();
    assert!(resumed.resumed);
    assert_eq!(resumed.session_id, active.session_id);
    let after = discord.get("gateway").await;
    assert_eq!(after["identifies"], before["identifies"]);
    assert_eq!(after["commands"]["4"], before["commands"]["4"]);
    assert_eq!(after["violations"], json!({}));

    // The room has missed nothing either.
    let stats = portal(&mut uro, |state| match state {
        PortalState::Stats(stats) => Some(stats),
        _ => None,
    })
    .await;
    assert_eq!(stats.participants.len(), 2, "{stats:?}");
    let lost: u64 = stats.participants.iter().map(|who| who.lost).sum();
    assert_eq!(lost, 0, "{stats:?}");
    // And what is wanted otherwise is done, as ever.
    uro.desire(json!({"portals": null})).await;
    portal(&mut uro, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    drop((uro, speech));
    bridge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_next_one_does_not_name_is_closed_in_the_end() {
    let discord = Discord::start().await;
    let bridge = Elsewhere::start(Duration::from_secs(1));
    let mut uro = bridge.attach().await;
    let wanted = desired(&discord, &[]);
    uro.desire(wanted.clone()).await;
    ready(&mut uro).await;
    drop(uro);

    let mut uro = bridge.attach().await;
    uro.desire(nothing()).await;
    uro.desire(json!({"http": wanted["http"]})).await;
    let mut told = Told::default();
    patiently("the end of what nobody wants", async {
        while told.portal.is_empty()
            || told.media.is_none()
            || !told.call.contains(&VoiceState::Left)
        {
            told.hear(&mut uro).await;
        }
    })
    .await;
    assert_eq!(told.portal, [PortalState::Closed]);
    assert_eq!(told.media, Some(MediaState::Closed));
    let Some(HttpState::Listening(listening)) = told.http else {
        panic!("{told:?}");
    };

    // And nothing is left when nobody comes.
    drop(uro);
    let address = (listening.ip, listening.port);
    assert!(TcpStream::connect(address).await.is_ok());
    bridge.give_up();
    patiently("the end of the listener", async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    bridge.end().await;
}
