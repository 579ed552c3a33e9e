//! `uro-portal-peer load`

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use tokio::{
    sync::{Barrier, Semaphore, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};
use uro_portal_peer::{
    Error, Gaps, Happened, Join, Peer, Way,
    control::{Listens, Role, Voice},
    percentile,
    signal::Signal,
    source::Source,
};

use super::{End, seconds};
use crate::{Failure, Portal, Travel};

/// Frames that are encoded once, and sent by all again and again.
const FRAMES: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Load {
    #[command(flatten)]
    portal: Portal,
    #[command(flatten)]
    travel: Travel,
    /// How many peers. A portal takes 4 with one token, unless it is told otherwise.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    peers: u16,
    /// How many of them speak; the others listen only.
    #[arg(long)]
    speakers: Option<u16>,
    /// How many join at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    at_once: u16,
    /// How long they talk, when all are there.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: f64,
}

/// What one peer saw.
struct Seen {
    joining: Duration,
    sent: u64,
    heard: u64,
    lost: u64,
    round_trip: Option<Duration>,
    failed: Option<Error>,
}

/// What all peers have.
struct Plan {
    join: Join,
    bits: u32,
    frames: Vec<(u32, Bytes)>,
    frame: Duration,
    gate: Semaphore,
    /// When all are there, or could not come.
    there: Barrier,
    /// Set at the end.
    over: watch::Receiver<bool>,
}

impl Load {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let format = self.travel.voice()?;
        let way = self.travel.way(Way::Both, Role::World, Listens::Mix)?;
        let mut end = End::new()?;
        let (tell, over) = watch::channel(false);
        let plan = Arc::new(Plan {
            join: self.portal.join(way)?,
            bits: self.travel.sequence_bits(),
            frames: frames(format)?,
            frame: Duration::from_millis(format.frame_ms.into()),
            gate: Semaphore::new(self.at_once.into()),
            there: Barrier::new(usize::from(self.peers) + 1),
            over,
        });
        let speakers = self.speakers.unwrap_or(self.peers);
        let mut peers = JoinSet::new();
        for number in 0..self.peers {
            peers.spawn(peer(Arc::clone(&plan), number < speakers));
        }
        tokio::select! {
            _ = plan.there.wait() => {
                end.after(Some(self.seconds));
                end.comes().await;
            }
            () = end.comes() => {
                // Those who are on their way are left: the portal's own patience ends them.
                peers.abort_all();
            }
        }
        tell.send_replace(true);
        let mut seen = Vec::new();
        let mut refused = BTreeMap::<String, (u64, Failure)>::new();
        while let Some(done) = peers.join_next().await {
            match done {
                Ok(Ok(one)) => seen.push(one),
                Ok(Err(error)) => {
                    let failure = Failure::from(error);
                    refused.entry(failure.to_string()).or_insert((0, failure)).0 += 1;
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => return Err(Failure::Other(error.to_string())),
            }
        }
        report(&seen, usize::from(self.peers));
        for (reason, (times, _)) in &refused {
            println!("{times} could not join: {reason}");
        }
        match refused.into_values().next() {
            Some((_, failure)) => Err(failure),
            None => match seen.into_iter().find_map(|one| one.failed) {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
        }
    }
}

/// A tone, encoded.
fn frames(format: Voice) -> Result<Vec<(u32, Bytes)>, Failure> {
    let wrong = |error| Failure::Other(format!("Opus: {error}"));
    let mut source = Source::signal(Signal::tone(440.0), format).map_err(wrong)?;
    let mut frames = Vec::with_capacity(FRAMES);
    while frames.len() < FRAMES {
        frames.extend(source.frame().map_err(wrong)?);
    }
    Ok(frames)
}

async fn peer(plan: Arc<Plan>, speaks: bool) -> Result<Seen, Error> {
    let joined = {
        // It is never closed.
        let _turn = plan.gate.acquire().await;
        let began = Instant::now();
        Peer::join(plan.join.clone())
            .await
            .map(|peer| (peer, began.elapsed()))
    };
    plan.there.wait().await;
    let (mut peer, joining) = joined?;
    let mut seen = Seen {
        joining,
        sent: 0,
        heard: 0,
        lost: 0,
        round_trip: None,
        failed: None,
    };
    if let Err(error) = talk(&plan, &mut peer, &mut seen, speaks).await {
        seen.failed = Some(error);
    }
    seen.round_trip = peer.round_trip().await;
    if let (Err(error), None) = (peer.leave().await, &seen.failed) {
        seen.failed = Some(error);
    }
    Ok(seen)
}

async fn talk(plan: &Plan, peer: &mut Peer, seen: &mut Seen, speaks: bool) -> Result<(), Error> {
    // Not all in the same instant.
    let begin = Instant::now() + plan.frame.mul_f64(fastrand::f64());
    let mut pace = interval_at(begin, plan.frame);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut streams = BTreeMap::<u32, Gaps>::new();
    let mut frames = plan.frames.iter().cycle();
    let mut over = plan.over.clone();
    let ended = loop {
        tokio::select! {
            _ = pace.tick(), if speaks => {
                if let Some((samples, payload)) = frames.next() {
                    peer.speak(*samples, payload.clone()).await?;
                    seen.sent += 1;
                }
            }
            happened = peer.next() => match happened {
                Some(Happened::Packet(packet)) => {
                    let stream = streams.entry(packet.speaker).or_insert(Gaps::of_bits(plan.bits));
                    stream.came(packet.sequence);
                }
                Some(Happened::Ended(reason)) => break Err(Error::Ended(reason)),
                Some(Happened::Said(uro_portal_peer::control::FromPortal::Bye { reason })) => break Err(Error::Ended(reason)),
                Some(Happened::Said(_)) => {}
                None => break Ok(()),
            },
            () = async { let _ = over.wait_for(|over| *over).await; } => break Ok(()),
        }
    };
    seen.heard = streams.values().map(Gaps::received).sum();
    seen.lost = streams.values().map(Gaps::lost).sum();
    ended
}

fn report(seen: &[Seen], wanted: usize) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    let mut joining: Vec<Duration> = seen.iter().map(|one| one.joining).collect();
    joining.sort_unstable();
    let mut trips: Vec<Duration> = seen.iter().filter_map(|one| one.round_trip).collect();
    trips.sort_unstable();
    let heard: u64 = seen.iter().map(|one| one.heard).sum();
    let lost: u64 = seen.iter().map(|one| one.lost).sum();
    let share = 100.0 * lost as f64 / (heard + lost).max(1) as f64;
    println!("peers       {} of {wanted}", seen.len());
    let line = |what, sorted: &[Duration]| {
        let [half, most, all] = [50, 99, 100].map(|percent| ms(percentile(sorted, percent)));
        println!("{what}p50 {half:.1} ms   p99 {most:.1} ms   max {all:.1} ms");
    };
    line("joining     ", &joining);
    println!(
        "sent        {} packets",
        seen.iter().map(|one| one.sent).sum::<u64>()
    );
    println!("heard       {heard} packets, {lost} lost ({share:.2} %)");
    if trips.is_empty() {
        println!("round trip  not known");
    } else {
        line("round trip  ", &trips);
    }
    let failed = seen.iter().filter(|one| one.failed.is_some()).count();
    if failed > 0 {
        println!("{failed} did not stay until the end");
    }
}
