//! How late a thread is that does nothing but wake every 20 ms: what the core and the kernel add by themselves. `voice-timer SECONDS`.

use std::time::{Duration, Instant};

use bench_voice::Error;

const FRAME: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_millis(5);

fn main() -> Result<(), Error> {
    let seconds = std::env::args().nth(1).ok_or("SECONDS")?;
    let ticks = seconds.parse::<u32>()? * 50;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let begin = Instant::now();
    let mut lateness: Vec<Duration> = (1..=ticks)
        .map(|tick| {
            let due = begin + FRAME * tick;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due.elapsed()
        })
        .collect();
    lateness.sort_unstable();
    let late = lateness.iter().filter(|late| **late > LATE).count();
    let at = |share: f64| {
        let index = (lateness.len() as f64 * share) as usize;
        lateness
            .get(index.min(lateness.len().saturating_sub(1)))
            .map_or(0, Duration::as_micros)
    };
    println!(
        "timer frames={ticks} late={late} p999_us={} max_us={}",
        at(0.999),
        at(1.0)
    );
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
