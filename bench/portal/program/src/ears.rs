//! From mouth to ear over loopback, with everything between: bursts in a voice, and when they are heard.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use uro_discord_portal::{DiscordMember, Happened, Options, Participant, Portal, Side};

use crate::guest::{Guest, Way};
use crate::voice::{Ear, Mouth, Signal};
use crate::{Error, FRAME, delays, serve, sim};

/// Those who speak in a call: one in bursts, and one who hums.
const BURSTS: u64 = 1;
const HUMS: u64 = 2;

/// A voice, and when each of its bursts was spoken: a burst's first sample a frame before its packet is sent.
struct Speaker {
    mouth: Mouth,
    near: Ear,
    /// When it was spoken, and when it could be heard where it was spoken.
    bursts: Vec<(Instant, Instant)>,
}

impl Speaker {
    fn new(hum: f32) -> Result<Self, Error> {
        Ok(Self {
            mouth: Mouth::new(Signal { hum, bursts: true })?,
            near: Ear::new()?,
            bursts: Vec::new(),
        })
    }

    fn frame(&mut self) -> Result<Bytes, Error> {
        let frame = self.mouth.frame()?;
        let now = Instant::now();
        if let Some(place) = self.near.hear(&frame)? {
            self.bursts
                .push((now.checked_sub(FRAME).unwrap_or(now), now + place));
        }
        Ok(frame)
    }

    /// How long ago that was spoken which begins to be heard at a moment: from the mouth, and from the packet.
    fn since(&self, heard: Instant) -> Option<(Duration, Duration)> {
        let (spoken, sent) = self
            .bursts
            .iter()
            .rev()
            .find(|(spoken, _)| *spoken <= heard)?;
        Some((heard - *spoken, heard.saturating_duration_since(*sent)))
    }
}

/// What was heard of one voice.
#[derive(Default)]
struct Heard {
    /// From mouth to ear.
    whole: Vec<Duration>,
    /// From packet to packet, beyond what the jitter buffer held.
    beyond: Vec<Duration>,
}

impl Heard {
    /// The first third is of streams that settle.
    fn add(&mut self, other: Self) {
        let skip = other.whole.len() / 3;
        self.whole.extend(other.whole.into_iter().skip(skip));
        self.beyond.extend(other.beyond.into_iter().skip(skip));
    }

    fn note(&mut self, (whole, path): (Duration, Duration), held: Duration) {
        self.whole.push(whole);
        self.beyond.push(path.saturating_sub(held));
    }

    fn print(mut self, name: &str) {
        println!("{name} {}", delays(&mut self.whole));
        println!("{name}-beyond {}", delays(&mut self.beyond));
    }
}

/// What the jitter buffer holds of who speaks in bursts on that side: the first of the world, or the first of the call.
async fn held(portal: &Portal, side: Side) -> Duration {
    let status = portal.status().await.unwrap_or_default();
    let mut of = status.participants.iter().filter(|health| {
        health.participant.side() == side && health.participant != Participant::Discord(HUMS)
    });
    Duration::from_millis(of.next().map_or(0, |health| health.delay_ms.into()))
}

/// Portals of our own: in half of the rooms one speaks on either side and all passes through, in the others somebody hums on each.
pub fn ours(rooms: u32, seconds: u64) -> Result<(), Error> {
    let server = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let portals = server.block_on(async { serve::portals() })?;
    let address = serve::listen(portals.routes())?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let [passed, mixed] = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for room in 0..rooms {
            let portal = portals.open(&format!("room-{room}"), Options::default())?;
            let speaker = Guest::join(address, room, Way::Peer).await?;
            let other = match room % 2 {
                0 => None,
                _ => Some(Guest::join(address, room, Way::Whip).await?),
            };
            tasks.spawn(async move { (room % 2, talk(portal, speaker, other, seconds).await) });
        }
        let mut all = [[Heard::default(), Heard::default()], Default::default()];
        while let Some(done) = tasks.join_next().await {
            let (kind, heard) = done?;
            for (sum, heard) in all[kind as usize].iter_mut().zip(heard?) {
                sum.add(heard);
            }
        }
        Ok::<_, Error>(all)
    })?;
    for (name, [call, world]) in [("passed", passed), ("mixed", mixed)] {
        call.print(&format!("{name}-call"));
        world.print(&format!("{name}-world"));
    }
    Ok(())
}

/// What the call hears of a guest, and the guest of the call.
async fn talk(
    mut portal: Portal,
    mut guest: Guest,
    mut other: Option<Guest>,
    seconds: u64,
) -> Result<[Heard; 2], Error> {
    let who = |name: &str| DiscordMember {
        name: name.to_owned(),
        bot: false,
    };
    portal.discord_joined(BURSTS, who("bursts"));
    if other.is_some() {
        portal.discord_joined(HUMS, who("hums"));
    }
    let (mut world, mut call) = (Speaker::new(300.0)?, Speaker::new(300.0)?);
    let hum = |hum| Mouth::new(Signal { hum, bursts: false });
    let (mut world_hums, mut call_hums) = (hum(450.0)?, hum(500.0)?);
    let (mut in_call, mut in_world) = (Ear::new()?, Ear::new()?);
    let mut heard = [Heard::default(), Heard::default()];
    let mut pace = interval(FRAME);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut number = 0;
    while Instant::now() < end {
        tokio::select! {
            _ = pace.tick() => {
                guest.speak(world.frame()?)?;
                portal.from_discord(BURSTS, sim::packet(number, call.frame()?));
                if let Some(other) = &mut other {
                    other.speak(world_hums.frame()?)?;
                    portal.from_discord(HUMS, sim::packet(number, call_hums.frame()?));
                }
                number += 1;
            }
            happened = portal.next() => if let Some(Happened::Frame(frame)) = happened {
                let now = Instant::now();
                if let Some(since) = in_call.hear(&frame)?.and_then(|place| world.since(now + place)) {
                    heard[0].note(since, held(&portal, Side::World).await);
                }
            },
            packet = guest.hear() => {
                let now = Instant::now();
                if let Some(since) = in_world.hear(&packet?)?.and_then(|place| call.since(now + place)) {
                    heard[1].note(since, held(&portal, Side::Discord).await);
                }
            }
            error = silent(&mut other) => return Err(error),
        }
    }
    Ok(heard)
}

/// Lets a guest who hears nothing answer what is asked of it.
async fn silent(guest: &mut Option<Guest>) -> Error {
    match guest {
        None => std::future::pending().await,
        Some(guest) => loop {
            if let Err(error) = guest.hear().await {
                return error;
            }
        },
    }
}

/// aiortc's relay, from one guest to another.
pub fn relay(server: SocketAddr, seconds: u64) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let heard = runtime.block_on(async {
        let mut from = Guest::join(server, 0, Way::Whip).await?;
        let mut to = Guest::join(server, 0, Way::Whep).await?;
        let (mut speaker, mut ear) = (Speaker::new(300.0)?, Ear::new()?);
        let mut heard = Heard::default();
        let mut pace = interval(FRAME);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            tokio::select! {
                _ = pace.tick() => from.speak(speaker.frame()?)?,
                packet = to.hear() => {
                    let now = Instant::now();
                    if let Some(since) = ear.hear(&packet?)?.and_then(|place| speaker.since(now + place)) {
                        heard.note(since, Duration::ZERO);
                    }
                }
                packet = from.hear() => { packet?; }
            }
        }
        Ok::<_, Error>(heard)
    })?;
    let mut all = Heard::default();
    all.add(heard);
    all.print("relay");
    Ok(())
}
