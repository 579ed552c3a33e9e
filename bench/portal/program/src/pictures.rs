//! A recording that is shown in rooms, and those who see it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, interval_at};

use crate::Error;
use crate::guest::{Guest, Way};
use crate::tv::Page;

/// Pictures a second, and ticks of RTP's clock between two.
const RATE: u32 = 30;
const TICKS: u32 = 90_000 / RATE;

/// JPEGs a second, and bytes of one in a message.
const JPEG_RATE: u32 = 15;
const CHUNK: usize = 16 * 1024 - 16;

/// What all who see it were sent.
#[derive(Default)]
struct Seen {
    packets: AtomicU64,
    bytes: AtomicU64,
    pictures: AtomicU64,
}

/// How pictures come to those who see them.
#[derive(Clone, Copy)]
pub enum By {
    /// WHEP, or for whole pictures a world's data channel.
    WebRtc,
    /// World TV's WebSocket.
    Tv,
}

/// Who sees, until it ends.
type Sees = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Shows it in each room, to so many there. Says `joined MS`, and answers each line `seen` with what was seen so far.
pub fn run(server: SocketAddr, rooms: u32, viewers: u32, file: &str, by: By) -> Result<(), Error> {
    let recording: Arc<[Vec<Bytes>]> = recording(std::fs::read(file)?.into())?.into();
    block_on(async {
        let mut guests = JoinSet::new();
        for room in 0..rooms {
            let guest = Guest::join(server, room, Way::Show).await?;
            // They do not all show in the same instant.
            let begin = Duration::from_millis(33).mul_f64(f64::from(room) * 0.618 % 1.0);
            guests.spawn(show(guest, begin, Arc::clone(&recording)));
        }
        let rooms = (0..rooms).flat_map(|room| (0..viewers).map(move |_| room));
        all(guests, rooms, async |room, seen| {
            Ok(match by {
                By::WebRtc => {
                    Box::pin(see(Guest::join(server, room, Way::See).await?, seen)) as Sees
                }
                By::Tv => Box::pin(watch(Page::join(server, room).await?, seen)),
            })
        })
        .await
    })
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Those who see come, each to a room, and are all there until there are no more lines.
async fn all(
    mut guests: JoinSet<Result<(), Error>>,
    rooms: impl Iterator<Item = u32>,
    join: impl AsyncFn(u32, Arc<Seen>) -> Result<Sees, Error>,
) -> Result<(), Error> {
    let seen = Arc::new(Seen::default());
    let began = Instant::now();
    for room in rooms {
        let guest = tokio::select! {
            guest = join(room, Arc::clone(&seen)) => guest?,
            Some(ended) = guests.join_next() => return ended?,
        };
        guests.spawn(guest);
    }
    println!("joined {}", began.elapsed().as_millis());
    answer(guests, &seen).await
}

/// Answers lines until there are no more, or a guest ends.
async fn answer(mut guests: JoinSet<Result<(), Error>>, seen: &Seen) -> Result<(), Error> {
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line?.as_deref() {
                Some("seen") => {
                    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                    println!(
                        "seen packets={} bytes={} pictures={}",
                        count(&seen.packets), count(&seen.bytes), count(&seen.pictures)
                    );
                }
                _ => return Ok(()),
            },
            Some(ended) = guests.join_next() => return ended?,
        }
    }
}

/// Whole pictures by `vsk-video`, in one room. Says and answers the same.
pub fn jpeg(server: SocketAddr, viewers: u32, file: &str, by: By) -> Result<(), Error> {
    let recording: Arc<[Vec<Bytes>]> = recording(std::fs::read(file)?.into())?.into();
    block_on(async {
        let mut guests = JoinSet::new();
        let camera = world(server, r#"{"type":"video","shows":true}"#).await?;
        guests.spawn(film(camera, recording));
        all(guests, (0..viewers).map(|_| 0), async |room, seen| {
            Ok(match by {
                By::WebRtc => {
                    let guest = world(server, r#"{"type":"video","sees":true}"#).await?;
                    Box::pin(look(guest, seen)) as Sees
                }
                By::Tv => Box::pin(watch(Page::join(server, room).await?, seen)),
            })
        })
        .await
    })
}

async fn world(server: SocketAddr, wish: &str) -> Result<Guest, Error> {
    let mut guest = Guest::join(server, 0, Way::World).await?;
    guest.say(r#"{"type":"hello","proto":1,"role":"listener","listens":"nothing"}"#)?;
    guest.say(wish)?;
    Ok(guest)
}

async fn film(mut guest: Guest, recording: Arc<[Vec<Bytes>]>) -> Result<(), Error> {
    let mut pace = interval(Duration::from_secs(1) / JPEG_RATE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pictures = (0_u32..).zip(recording.iter().cycle());
    loop {
        tokio::select! {
            _ = pace.tick() => {
                let (number, packets) = pictures.next().ok_or("an empty recording")?;
                for message in chunks(number, &packets.concat()) {
                    guest.give(message)?;
                }
            }
            given = guest.given() => { given?; }
        }
    }
}

/// The messages of a picture: docs/portal.md, "Data channels".
fn chunks(number: u32, picture: &[u8]) -> Vec<BytesMut> {
    let count = picture.len().div_ceil(CHUNK) as u16;
    let message = |(chunk, payload): (u16, &[u8])| {
        let mut message = BytesMut::from(&[1, 1, 0, 0][..]);
        message.put_u32_le(number);
        message.put_u32_le(number.wrapping_mul(1_000 / JPEG_RATE));
        message.put_u16_le(chunk);
        message.put_u16_le(count);
        message.put_slice(payload);
        message
    };
    (0..).zip(picture.chunks(CHUNK)).map(message).collect()
}

async fn look(mut guest: Guest, seen: Arc<Seen>) -> Result<(), Error> {
    loop {
        let message = guest.given().await?;
        let mut place = message.get(12..16).ok_or("a short message")?;
        let last = place.get_u16_le() + 1 == place.get_u16_le();
        seen.packets.fetch_add(1, Ordering::Relaxed);
        seen.bytes
            .fetch_add(message.len() as u64, Ordering::Relaxed);
        seen.pictures.fetch_add(last.into(), Ordering::Relaxed);
    }
}

/// Of each picture how many packets it has, and of each packet its length and itself, as bench/pictures/record.py writes them.
fn recording(mut bytes: Bytes) -> Result<Vec<Vec<Bytes>>, Error> {
    let mut pictures = Vec::new();
    while !bytes.is_empty() {
        let packets = (0..bytes.try_get_u16()?).map(|_| {
            let length = usize::from(bytes.try_get_u16()?);
            Ok(bytes.split_to(length))
        });
        pictures.push(packets.collect::<Result<_, Error>>()?);
    }
    Ok(pictures)
}

async fn show(
    mut guest: Guest,
    begin: Duration,
    recording: Arc<[Vec<Bytes>]>,
) -> Result<(), Error> {
    let begin = tokio::time::Instant::now() + begin;
    let mut pace = interval_at(begin, Duration::from_secs(1) / RATE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pictures = (0_u32..).zip(recording.iter().cycle());
    loop {
        tokio::select! {
            _ = pace.tick() => {
                let (number, packets) = pictures.next().ok_or("an empty recording")?;
                let [.., high, low] = (number | 0x8000).to_be_bytes();
                for (at, packet) in packets.iter().enumerate() {
                    // Its number, of 15 bits, which goes on when the recording begins anew.
                    let mut packet = BytesMut::from(&packet[..]);
                    packet[2..4].copy_from_slice(&[high, low]);
                    let last = at + 1 == packets.len();
                    guest.show(number.wrapping_mul(TICKS), last, packet.freeze())?;
                }
            }
            heard = guest.hear() => { heard?; }
        }
    }
}

async fn see(mut guest: Guest, seen: Arc<Seen>) -> Result<(), Error> {
    // The first one whole, to see that it can be.
    if guest.hear().await?.is_empty() {
        return Err("nothing is in the packet".into());
    }
    loop {
        let (length, last) = guest.see().await?;
        seen.packets.fetch_add(1, Ordering::Relaxed);
        seen.bytes.fetch_add(length as u64, Ordering::Relaxed);
        seen.pictures.fetch_add(last.into(), Ordering::Relaxed);
    }
}

async fn watch(mut page: Page, seen: Arc<Seen>) -> Result<(), Error> {
    loop {
        let length = page.see().await?;
        seen.packets.fetch_add(1, Ordering::Relaxed);
        seen.bytes.fetch_add(length as u64, Ordering::Relaxed);
        seen.pictures.fetch_add(1, Ordering::Relaxed);
    }
}
