//! Guests of many rooms, who speak without a pause.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::guest::{Guest, Way};
use crate::voice::{Mouth, Signal};
use crate::{Error, FRAME};

/// One in each room that speaks and hears, or, for a relay, one that publishes and one that listens. Says `joined MS`, and answers each
/// line `heard` with how many packets were heard so far.
pub fn run(server: SocketAddr, rooms: u32, first: u32, way: &str) -> Result<(), Error> {
    let ways: &[Way] = match way {
        "both" => &[Way::Peer],
        "relay" => &[Way::Whip, Way::Whep],
        _ => return Err("both or relay".into()),
    };
    let signal = Signal {
        hum: 440.0,
        bursts: false,
    };
    let voice: Arc<[Bytes]> = Mouth::new(signal)?.frames(100)?.into();
    let heard = Arc::new(AtomicU64::new(0));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut guests, began) = (JoinSet::new(), Instant::now());
        for room in first..first + rooms {
            for way in ways {
                let guest = Guest::join(server, room, *way).await?;
                // They do not all speak in the same instant.
                let begin = FRAME.mul_f64(f64::from(room) * 0.618 % 1.0);
                let (voice, heard) = (Arc::clone(&voice), Arc::clone(&heard));
                guests.spawn(talk(guest, *way != Way::Whep, begin, voice, heard));
            }
        }
        println!("joined {}", began.elapsed().as_millis());
        let mut lines = BufReader::new(stdin()).lines();
        loop {
            tokio::select! {
                line = lines.next_line() => match line?.as_deref() {
                    Some("heard") => println!("heard {}", heard.load(Ordering::Relaxed)),
                    _ => return Ok(()),
                },
                Some(ended) = guests.join_next() => ended??,
            }
        }
    })
}

async fn talk(
    mut guest: Guest,
    speaks: bool,
    begin: Duration,
    voice: Arc<[Bytes]>,
    heard: Arc<AtomicU64>,
) -> Result<(), Error> {
    let mut pace = interval_at(tokio::time::Instant::now() + begin, FRAME);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut frames = voice.iter().cycle();
    loop {
        tokio::select! {
            _ = pace.tick(), if speaks => {
                guest.speak(frames.next().ok_or("no frames")?.clone())?;
            }
            packet = guest.hear() => {
                packet?;
                heard.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
