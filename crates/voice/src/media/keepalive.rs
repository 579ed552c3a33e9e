//! Keeps the way through address translators open, and measures the round trip.
//!
//! Discord does not document it. What clients send is eight bytes: a counter (u32, little endian) and four zeroes. Servers
//! echo it; one that does not is none the worse.

use std::time::{Duration, Instant};

pub(crate) const SIZE: usize = 8;

const INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Keepalive {
    counter: u32,
    sent: Option<Instant>,
    due: Instant,
}

impl Keepalive {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            counter: 0,
            sent: None,
            due: now,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.due
    }

    /// What to send, if it is time.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<[u8; SIZE]> {
        if now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        self.counter = self.counter.wrapping_add(1);
        self.sent = Some(now);
        let mut datagram = [0; SIZE];
        datagram[..4].copy_from_slice(&self.counter.to_le_bytes());
        Some(datagram)
    }

    /// The round trip, if this is the echo of the last one sent.
    pub(crate) fn echo(&mut self, datagram: &[u8], now: Instant) -> Option<Duration> {
        let counter = u32::from_le_bytes(*datagram.first_chunk()?);
        if counter != self.counter {
            return None;
        }
        Some(now.saturating_duration_since(self.sent.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_gives_the_round_trip_once() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(start);
        let datagram = keepalive.poll(start).unwrap();
        assert_eq!(datagram, [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(keepalive.poll(start + INTERVAL / 2), None);
        let later = start + Duration::from_millis(30);
        assert_eq!(keepalive.echo(&[2, 0, 0, 0, 0, 0, 0, 0], later), None);
        assert_eq!(
            keepalive.echo(&datagram, later),
            Some(Duration::from_millis(30))
        );
        assert_eq!(keepalive.echo(&datagram, later), None);
        assert!(keepalive.poll(start + INTERVAL).is_some());
    }
}
