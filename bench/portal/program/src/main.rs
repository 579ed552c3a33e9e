//! What `bench/portal.exs` runs, one figure or two at a time. Each says `ready`, then its figures as `name=number …`, and ends with a
//! line or when its stdin closes.

mod bare;
mod ears;
mod guest;
mod load;
mod pictures;
mod room;
mod serve;
mod sim;
mod tv;
mod voice;

use std::time::Duration;

/// What a program ends with.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Frames of 20 ms.
const FRAME: Duration = Duration::from_millis(20);
/// Samples in one.
const SAMPLES: u32 = 960;

const USAGE: &str = "delay | cost KIND SECONDS | pass SECONDS | memory KIND ROOMS | late KIND ROOMS SECONDS | quality IN OUT | serve ROOMS | \
                     load ADDRESS ROOMS FIRST both|relay | \
                     pictures ADDRESS ROOMS VIEWERS FILE webrtc|tv | jpeg ADDRESS VIEWERS FILE webrtc|tv | token ROOM | ears ROOMS SECONDS | ears-relay ADDRESS SECONDS | bare PACKETS";

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    println!("ready");
    match arguments[..] {
        ["delay"] => room::delay()?,
        ["cost", kind, seconds] => room::cost(kind, seconds.parse()?)?,
        ["pass", seconds] => return room::pass(seconds.parse()?),
        ["memory", kind, rooms] => room::memory(kind, rooms.parse()?)?,
        ["late", kind, rooms, seconds] => room::late(kind, rooms.parse()?, seconds.parse()?)?,
        ["quality", input, output] => room::quality(input, output)?,
        ["serve", rooms] => return serve::run(rooms.parse()?),
        ["load", address, rooms, first, way] => {
            return load::run(address.parse()?, rooms.parse()?, first.parse()?, way);
        }
        ["pictures", address, rooms, viewers, file, by] => {
            let (rooms, viewers) = (rooms.parse()?, viewers.parse()?);
            return pictures::run(address.parse()?, rooms, viewers, file, way(by)?);
        }
        ["jpeg", address, viewers, file, by] => {
            return pictures::jpeg(address.parse()?, viewers.parse()?, file, way(by)?);
        }
        ["token", room] => println!("token {}", guest::token(room.parse()?)?),
        ["ears", rooms, seconds] => ears::ours(rooms.parse()?, seconds.parse()?)?,
        ["ears-relay", address, seconds] => ears::relay(address.parse()?, seconds.parse()?)?,
        ["bare", packets] => bare::run(packets.parse()?)?,
        _ => return Err(USAGE.into()),
    }
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn way(name: &str) -> Result<pictures::By, Error> {
    match name {
        "webrtc" => Ok(pictures::By::WebRtc),
        "tv" => Ok(pictures::By::Tv),
        _ => Err(USAGE.into()),
    }
}

/// The delay that so many per thousand do not exceed.
fn per_mille(sorted: &[Duration], share: usize) -> u128 {
    let index = (sorted.len() * share / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0, Duration::as_micros)
}

/// Delays, for the bench to print.
fn delays(delays: &mut [Duration]) -> String {
    delays.sort_unstable();
    let [p50, p95, p99] = [500, 950, 990].map(|share| per_mille(delays, share));
    format!(
        "count={} p50_us={p50} p95_us={p95} p99_us={p99}",
        delays.len()
    )
}

/// How late frames were, for the bench to print: late are those by more than 5 ms.
fn lateness(late: &mut [Duration]) -> String {
    late.sort_unstable();
    let over = late
        .iter()
        .filter(|late| **late > Duration::from_millis(5))
        .count();
    format!(
        "frames={} late={over} p999_us={} max_us={}",
        late.len(),
        per_mille(late, 999),
        per_mille(late, 1_000)
    )
}
