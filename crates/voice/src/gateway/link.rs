//! One connection to the voice gateway after another: heartbeats, numbers, and when to connect again.

use std::time::{Duration, Instant};

use uro_discord_net::{Backoff, Pauses};

/// The pauses before it is connected again.
const PAUSES: Pauses = Pauses {
    at_once: true,
    first: Duration::from_millis(500),
    longest: Duration::from_secs(4),
};

/// Shorter intervals than this would be a flood.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(120);

/// What a timer of the link asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Connect,
    Heartbeat {
        t: u64,
        seq_ack: i64,
    },
    /// Nothing has come back: the connection is dead, or does not come about.
    Dead,
}

#[derive(Debug)]
enum State {
    /// A pause, and then an attempt.
    Pause(Instant),
    /// An attempt is being made, or what should follow it has not come; until then it must.
    Pending(Instant),
    /// It stands, and its heartbeats are answered.
    Up,
    Down,
}

#[derive(Debug)]
pub(crate) struct Link {
    state: State,
    /// How long each step of coming up may take.
    patience: Duration,
    backoff: Backoff,
    seq_ack: i64,
    heartbeat: Option<Heartbeat>,
    round_trip: Option<Duration>,
}

#[derive(Debug)]
struct Heartbeat {
    interval: Duration,
    due: Instant,
    nonce: u64,
    /// When the one that is not answered yet was sent.
    unanswered: Option<Instant>,
}

impl Link {
    /// A link whose first connection is due at once.
    pub(crate) fn new(now: Instant, patience: Duration) -> Self {
        Self {
            state: State::Pause(now),
            patience,
            backoff: Backoff::new(PAUSES),
            seq_ack: -1,
            heartbeat: None,
            round_trip: None,
        }
    }

    pub(crate) fn seq_ack(&self) -> i64 {
        self.seq_ack
    }

    /// The last heartbeat's round trip.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// A numbered message came. Numbers of 16 bits wrap; the last one is what counts.
    pub(crate) fn numbered(&mut self, seq: i64) {
        self.seq_ack = seq;
    }

    /// The next connection is for a new session: nothing of it has come yet.
    pub(crate) fn anew(&mut self) {
        self.seq_ack = -1;
    }

    /// A step was made towards standing; the next may take its time.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.state = State::Pending(now + self.patience);
    }

    pub(crate) fn hello(&mut self, interval_ms: f64, now: Instant) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "NaN and negative ones become zero"
        )]
        let interval = Duration::from_millis(interval_ms as u64).clamp(MIN_INTERVAL, MAX_INTERVAL);
        self.heartbeat = Some(Heartbeat {
            interval,
            due: now + interval,
            nonce: 0,
            unanswered: None,
        });
    }

    /// It stands: ready, or resumed.
    pub(crate) fn up(&mut self, now: Instant) {
        self.state = State::Up;
        self.backoff.up(now);
    }

    /// The connection ended. `false` if it was tried so often since it was last healthy.
    pub(crate) fn lost(&mut self, now: Instant, max_attempts: u32) -> bool {
        self.heartbeat = None;
        if self.backoff.failures(now) >= max_attempts {
            self.state = State::Down;
            return false;
        }
        self.state = State::Pause(now + self.backoff.failed(now));
        true
    }

    /// No connection is wanted.
    pub(crate) fn down(&mut self) {
        self.heartbeat = None;
        self.state = State::Down;
    }

    pub(crate) fn acknowledged(&mut self, t: u64, now: Instant) {
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|h| h.nonce == t)
            && let Some(sent) = heartbeat.unanswered.take()
        {
            self.round_trip = Some(now.saturating_duration_since(sent));
        }
    }

    /// The heartbeat to send now: the server asks for one.
    pub(crate) fn heartbeat_now(&mut self, now: Instant) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.due = now;
            heartbeat.unanswered = None;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Pause(at) | State::Pending(at) => Some(at),
            State::Up | State::Down => None,
        };
        let heartbeat = self.heartbeat.as_ref().map(|heartbeat| heartbeat.due);
        state.into_iter().chain(heartbeat).min()
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        match self.state {
            State::Pause(at) if now >= at => {
                self.state = State::Pending(now + self.patience);
                return Some(Due::Connect);
            }
            State::Pending(at) if now >= at => {
                self.down();
                return Some(Due::Dead);
            }
            _ => {}
        }
        let heartbeat = self.heartbeat.as_mut().filter(|h| now >= h.due)?;
        // A whole interval without an answer. Resuming a connection that was alive costs nothing.
        if heartbeat.unanswered.is_some() {
            self.down();
            return Some(Due::Dead);
        }
        heartbeat.due = now + heartbeat.interval;
        heartbeat.nonce = heartbeat.nonce.wrapping_add(1);
        heartbeat.unanswered = Some(now);
        Some(Due::Heartbeat {
            t: heartbeat.nonce,
            seq_ack: self.seq_ack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    fn standing(start: Instant) -> Link {
        let mut link = Link::new(start, PATIENCE);
        assert_eq!(link.poll(start), Some(Due::Connect));
        link.hello(1000.0, start);
        link.up(start);
        link
    }

    #[test]
    fn heartbeats_carry_the_last_number() {
        let start = Instant::now();
        let mut link = standing(start);
        assert_eq!(link.poll(start + SECOND / 2), None);
        assert_eq!(
            link.poll(start + SECOND),
            Some(Due::Heartbeat { t: 1, seq_ack: -1 })
        );
        link.acknowledged(1, start + SECOND + Duration::from_millis(40));
        assert_eq!(link.round_trip(), Some(Duration::from_millis(40)));
        link.numbered(65_535);
        link.numbered(0);
        assert_eq!(
            link.poll(start + SECOND * 2),
            Some(Due::Heartbeat { t: 2, seq_ack: 0 })
        );
    }

    #[test]
    fn a_heartbeat_without_an_answer_is_a_dead_connection() {
        let start = Instant::now();
        let mut link = standing(start);
        assert!(matches!(
            link.poll(start + SECOND),
            Some(Due::Heartbeat { .. })
        ));
        link.acknowledged(7, start + SECOND);
        assert_eq!(link.poll(start + SECOND * 2), Some(Due::Dead));
        assert_eq!(link.deadline(), None);
    }

    #[test]
    fn what_does_not_come_up_is_dead_and_tried_again_with_pauses() {
        let start = Instant::now();
        let mut link = Link::new(start, PATIENCE);
        let mut now = start;
        let mut pauses = Vec::new();
        loop {
            assert_eq!(link.poll(now), Some(Due::Connect));
            assert_eq!(link.poll(now + PATIENCE / 2), None);
            now += PATIENCE;
            assert_eq!(link.poll(now), Some(Due::Dead));
            if !link.lost(now, 6) {
                break;
            }
            let at = link.deadline().unwrap();
            pauses.push(at - now);
            now = at;
        }
        assert_eq!(pauses.len(), 6);
        assert_eq!(pauses[0], Duration::ZERO);
        assert!((PAUSES.longest / 2..=PAUSES.longest).contains(&pauses[4]));
        assert_eq!(link.deadline(), None);
    }

    #[test]
    fn a_server_that_greets_and_hangs_up_is_left_alone() {
        let start = Instant::now();
        let mut link = Link::new(start, PATIENCE);
        let mut now = start;
        let mut connections = 0;
        loop {
            assert_eq!(link.poll(now), Some(Due::Connect));
            connections += 1;
            link.hello(1000.0, now);
            link.up(now);
            now += Duration::from_millis(50);
            if !link.lost(now, 5) {
                break;
            }
            now = link.deadline().unwrap();
        }
        assert_eq!(connections, 6);
        assert!(now - start > SECOND * 3, "{:?}", now - start);
    }

    #[test]
    fn mad_intervals_are_tamed() {
        let start = Instant::now();
        for (interval, expected) in [
            (f64::NAN, MIN_INTERVAL),
            (-1.0, MIN_INTERVAL),
            (f64::INFINITY, MAX_INTERVAL),
            (13_750.5, Duration::from_millis(13_750)),
        ] {
            let mut link = standing(start);
            link.hello(interval, start);
            assert_eq!(link.deadline(), Some(start + expected));
        }
    }
}
