//! How late frames are.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// A packet's stream and number, and when the kernel got it, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub ssrc: u32,
    pub sequence: u16,
    pub at: i64,
}

const FRAME: i64 = 20_000_000;
const LATE: i64 = 5_000_000;

/// What a window's arrivals say. A stream has a grid of 20 ms by its sequence numbers, which begins where no frame of the window is
/// before its time; so a frame is as late as the earliest one is not.
pub struct Summary {
    streams: usize,
    frames: usize,
    /// More than 5 ms.
    late: usize,
    /// Numbers that are missing.
    lost: usize,
    /// Streams that had fewer frames than a window has, but for one.
    thin: usize,
    p999: i64,
    max: i64,
}

impl Summary {
    pub fn new(arrivals: &[Arrival], window: Duration) -> Self {
        let mut streams: HashMap<u32, Vec<(i64, i64)>> = HashMap::new();
        for arrival in arrivals {
            let stream = streams.entry(arrival.ssrc).or_default();
            let number = match stream.last() {
                // Numbers wrap.
                Some((last, _)) => {
                    last + i64::from(arrival.sequence.wrapping_sub(*last as u16) as i16)
                }
                None => i64::from(arrival.sequence),
            };
            stream.push((number, arrival.at));
        }
        let expected = window.as_millis() as usize / 20 - 1;
        let mut summary = Self {
            streams: streams.len(),
            frames: arrivals.len(),
            late: 0,
            lost: 0,
            thin: 0,
            p999: 0,
            max: 0,
        };
        let mut lateness = Vec::with_capacity(arrivals.len());
        for stream in streams.values() {
            let phase = |(number, at): &(i64, i64)| at - number * FRAME;
            let begin = stream.iter().map(phase).min().unwrap_or(0);
            lateness.extend(stream.iter().map(|frame| phase(frame) - begin));
            let numbers = stream.iter().map(|(number, _)| *number);
            let span = numbers.clone().max().unwrap_or(0) - numbers.min().unwrap_or(0) + 1;
            summary.lost += (span as usize).saturating_sub(stream.len());
            summary.thin += usize::from(stream.len() < expected);
        }
        summary.late = lateness.iter().filter(|late| **late > LATE).count();
        lateness.sort_unstable();
        let at = |share: f64| {
            lateness.get(
                ((lateness.len() as f64 * share) as usize).min(lateness.len().saturating_sub(1)),
            )
        };
        summary.p999 = at(0.999).copied().unwrap_or(0);
        summary.max = at(1.0).copied().unwrap_or(0);
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            streams,
            frames,
            late,
            lost,
            thin,
            p999,
            max,
        } = self;
        write!(
            f,
            "streams={streams} frames={frames} late={late} lost={lost} thin={thin} p999_us={} max_us={}",
            p999 / 1000,
            max / 1000
        )
    }
}
