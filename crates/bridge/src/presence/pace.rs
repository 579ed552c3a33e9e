use super::Presence;
use std::time::Duration;
use tokio::time::Instant;

/// Discord takes 5 presences in 20 s; the rest is for packets that the network brings closer together.
const WINDOW: Duration = Duration::from_secs(21);

/// Between a presence and the one before, by how many there were in the window. The first changes show within about a second; those of a
/// storm come slower, so that no burst is followed by 20 s of silence.
const SPACING: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(5),
];

/// So shortly before a connection was lost a presence may have been lost with it.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// Decides when which presence is sent. The last one wanted wins. It asks no clock: the time is an argument.
#[derive(Debug)]
pub struct Pace {
    wanted: Option<Presence>,
    shown: Shown,
    /// The latest first.
    sent: [Option<Instant>; SPACING.len()],
}

/// What Discord shows at present.
#[derive(Debug, PartialEq)]
enum Shown {
    /// A new session's plain presence.
    Plain,
    /// A presence that we sent.
    Ours(Presence),
    /// What another process had sent, or what may have been lost on the way.
    Unknown,
}

impl Pace {
    pub fn new() -> Self {
        Self {
            wanted: None,
            shown: Shown::Unknown,
            sent: [None; SPACING.len()],
        }
    }

    /// Sets what is to be shown; `None` is a plain presence.
    pub fn want(&mut self, presence: Option<Presence>) {
        self.wanted = presence;
    }

    /// Discord has begun a new session.
    pub fn renewed(&mut self) {
        self.shown = Shown::Plain;
    }

    /// The connection was lost.
    pub fn lost(&mut self, now: Instant) {
        if self.sent[0].is_some_and(|sent| now < sent + IN_FLIGHT) {
            self.shown = Shown::Unknown;
        }
    }

    /// The session is not ours any more.
    pub fn forget(&mut self) {
        self.shown = Shown::Unknown;
    }

    /// When the next presence is to be sent, if there is one to send. It may be a time that has passed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let differs = match (&self.shown, &self.wanted) {
            (Shown::Plain, wanted) => wanted.is_some(),
            (Shown::Ours(shown), Some(wanted)) => shown != wanted,
            (Shown::Ours(shown), None) => *shown != Presence::plain(),
            (Shown::Unknown, _) => true,
        };
        differs.then(|| self.free(now))
    }

    /// When the next may be sent.
    fn free(&self, now: Instant) -> Instant {
        let latest = self.sent[0].unwrap_or(now);
        let recent = self
            .sent
            .iter()
            .flatten()
            .filter(|sent| now < **sent + WINDOW)
            .count();
        match SPACING.get(recent) {
            Some(spacing) if recent > 0 => latest + *spacing,
            Some(_) => now,
            // As many as there may be: when the first of them is no longer one of the window.
            None => self.sent[SPACING.len() - 1].map_or(now, |first| first + WINDOW),
        }
    }

    /// The presence to send now; it counts as sent.
    pub fn send(&mut self, now: Instant) -> Presence {
        let presence = self.wanted.clone().unwrap_or_else(Presence::plain);
        self.shown = Shown::Ours(presence.clone());
        self.sent.rotate_right(1);
        self.sent[0] = Some(now);
        presence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn presence(state: u32) -> Presence {
        let activity = json!({"name": "Uro", "type": 4, "state": state.to_string()});
        serde_json::from_value(json!({"activities": [activity], "status": "online"})).unwrap()
    }

    /// A pace in a new session, and its time.
    fn renewed() -> (Pace, Instant) {
        let mut pace = Pace::new();
        pace.renewed();
        (pace, Instant::now())
    }

    #[test]
    fn a_first_change_goes_at_once_and_the_last_of_many_wins() {
        let (mut pace, start) = renewed();
        assert_eq!(pace.due(start), None);
        pace.want(Some(presence(1)));
        assert_eq!(pace.due(start), Some(start));
        assert_eq!(pace.send(start), presence(1));
        assert_eq!(pace.due(start), None);

        for state in 2..100 {
            pace.want(Some(presence(state)));
        }
        let second = start + Duration::from_secs(1);
        assert_eq!(pace.due(start), Some(second));
        assert_eq!(pace.send(second), presence(99));
        pace.want(Some(presence(1)));
        pace.want(Some(presence(99)));
        assert_eq!(pace.due(second), None, "it is shown already");
    }

    #[test]
    fn a_storm_never_makes_more_than_five_in_twenty_seconds() {
        let (mut pace, start) = renewed();
        let mut sent = Vec::new();
        for millis in 0..200_000 {
            let now = start + Duration::from_millis(millis);
            pace.want(Some(presence(millis as u32)));
            if pace.due(now).is_some_and(|due| due <= now) {
                pace.send(now);
                sent.push(now);
            }
        }
        assert!(sent.len() > 40, "{} were sent", sent.len());
        assert!(sent[2] - sent[0] <= Duration::from_secs(2));
        for two in sent.windows(2) {
            assert!(two[1] - two[0] < Duration::from_secs(10), "no silence");
        }
        for six in sent.windows(6) {
            assert!(six[5] - six[0] > Duration::from_secs(20));
        }
    }

    #[test]
    fn a_new_session_is_told_again_and_a_resumed_one_only_in_doubt() {
        let (mut pace, start) = renewed();
        pace.want(Some(presence(1)));
        pace.send(start);
        pace.renewed();
        assert_eq!(pace.due(start), Some(start + SPACING[1]));

        let later = start + Duration::from_secs(60);
        pace.send(later);
        pace.lost(later + Duration::from_secs(600));
        assert_eq!(pace.due(later), None, "it had arrived long ago");
        pace.lost(later + Duration::from_secs(1));
        assert_eq!(
            pace.due(later),
            Some(later + SPACING[1]),
            "it may not have arrived"
        );
    }

    #[test]
    fn not_wanted_is_plain() {
        let (mut pace, start) = renewed();
        pace.want(None);
        assert_eq!(pace.due(start), None, "a new session is plain");
        pace.want(Some(presence(1)));
        pace.send(start);
        pace.want(None);
        let second = start + SPACING[1];
        assert_eq!(pace.due(start), Some(second));
        assert_eq!(pace.send(second), Presence::plain());
        assert_eq!(pace.due(second), None);
        pace.forget();
        assert!(
            pace.due(start).is_some(),
            "a session taken over may show anything"
        );
    }
}
