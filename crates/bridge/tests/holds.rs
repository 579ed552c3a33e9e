//! Calls and portals are held for as long as Uro said, counted from the bridge's question, whatever else goes on: by then another bridge may have them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/ear.rs"]
mod ear;
#[path = "support/member.rs"]
mod member;
mod support;
#[path = "support/portal.rs"]
mod world;

use discord_sim::TlsMode;
use member::Member;
use serde_json::Value;
use std::time::{Duration, Instant};
use support::sim::Discord;
use support::{Attached, Bridge, Elsewhere, patiently};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;
use uro_discord_wire::{PortalState, ToBridge, frame};
use world::{World, desired, portal, ready};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

/// What the tests allow, in ms.
const HELD: u32 = 2_500;

/// A bridge that asks each half second has asked at least so long before.
const ASKED: Duration = Duration::from_millis(600);

/// What the machine may make of it.
const LATE: Duration = Duration::from_secs(1);

/// A portal with somebody on either side.
struct Scene {
    discord: Discord,
    bridge: Elsewhere,
    uro: Bridge<Attached>,
    member: Member,
    world: World,
}

async fn scene() -> Scene {
    let discord = Discord::start_with(TlsMode::Off, 1).await;
    let member = Member::join(&discord, "peer", "world").await;
    let bridge = Elsewhere::start(LONG);
    let mut uro = bridge.attach().await;
    uro.desire(desired(&discord, &[(member.user, "Zoë")])).await;
    let http = ready(&mut uro).await.http;
    let world = World::join(&http, 440.0).await;
    let joined = |state| matches!(state, PortalState::PeerJoined(_)).then_some(());
    portal(&mut uro, joined).await;
    Scene {
        discord,
        bridge,
        uro,
        member,
        world,
    }
}

/// Answers the last question of the bridge, which is heard when this returns.
async fn hold(uro: &mut Bridge<Attached>, milliseconds: u32) -> Instant {
    let number = uro.asked_after(0).await;
    let now = Instant::now();
    let hold = ToBridge::Hold {
        number,
        milliseconds,
    };
    uro.say(&hold).await;
    uro.no_event_before_pong().await;
    now
}

/// The bot has no connection to its voice server any more, and the portal's peer was sent away.
async fn has_let_go(discord: &Discord, world: World) {
    let bot = &discord.info().application_id;
    let disconnected = async {
        loop {
            let voice = discord.get("voice").await;
            let channels = voice["channels"].as_array().unwrap().iter();
            let mut users = channels.flat_map(|channel| channel["users"].as_array().unwrap());
            let connected = |user: &Value| user["user_id"] == *bot && user["connected"] == true;
            if !users.any(connected) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(patiently("the bot's end", disconnected), world.ended());
}

fn is_in_time(since: Instant) {
    let took = since.elapsed();
    let held = Duration::from_millis(HELD.into());
    assert!(took >= held - ASKED, "after {took:?}");
    assert!(took < held + LATE, "after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_time_though_nobody_reads_what_it_says() {
    let Scene {
        discord,
        bridge,
        mut uro,
        member: _member,
        world,
    } = scene().await;
    let since = hold(&mut uro, HELD).await;
    // Answers of which none is read; somebody comes into the call, of whom its task wants to tell too.
    let mut term = b"m\0\x01\0\0".to_vec();
    term.resize(term.len() + 0x1_0000, b'x');
    let mut ping = Vec::new();
    frame::append(&mut ping, |out| ToBridge::Ping(&term).encode(out)).unwrap();
    // Until it hears nobody any more.
    let unread = async { while uro.stdin.write_all(&ping).await.is_ok() {} };
    let ends = async {
        let _other = Member::join(&discord, "bot-1", "world").await;
        has_let_go(&discord, world).await;
    };
    tokio::join!(ends, unread);
    is_in_time(since);
    drop(uro);
    bridge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_time_though_nobody_is_there() {
    let Scene {
        discord,
        bridge,
        mut uro,
        member: _member,
        world,
    } = scene().await;
    let since = hold(&mut uro, HELD).await;
    drop(uro);
    has_let_go(&discord, world).await;
    is_in_time(since);
    // Whoever comes finds none, and may have them anew.
    let mut uro = bridge.attach().await;
    uro.desire(desired(&discord, &[])).await;
    let opened = |state| (state == PortalState::Open).then_some(());
    portal(&mut uro, opened).await;
    drop(uro);
    bridge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_allows_no_more_than_one_in_time() {
    let Scene {
        discord,
        bridge,
        mut uro,
        member: _member,
        world,
    } = scene().await;
    let first = uro.asked_after(0).await;
    let since = Instant::now();
    let mut last = first;
    while since.elapsed() < Duration::from_millis(1_600) {
        last = uro.asked_after(last).await;
    }
    assert!(last >= first + 3, "{first} {last}");
    // It would allow something for as long as the answer was on its way.
    let hold = ToBridge::Hold {
        number: first,
        milliseconds: 1_500,
    };
    uro.say(&hold).await;
    let late = Instant::now();
    has_let_go(&discord, world).await;
    assert!(
        late.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        late.elapsed()
    );
    drop(uro);
    bridge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_again_and_again_goes_on() {
    let Scene {
        discord: _discord,
        bridge,
        mut uro,
        member: _member,
        mut world,
        ..
    } = scene().await;
    let since = Instant::now();
    let mut last = 0;
    while since.elapsed() < Duration::from_millis(u64::from(HELD) * 2) {
        last = uro.asked_after(last).await;
        let hold = ToBridge::Hold {
            number: last,
            milliseconds: HELD,
        };
        uro.say(&hold).await;
    }
    uro.no_event_before_pong().await;
    world.came().await;
    drop((world, uro));
    bridge.end().await;
}
