//! Whatever happens to the limiter, what it promises holds. Bytes are read as what happens; tests make them at random, and
//! the fuzzer as it likes.

use std::time::{Duration, Instant};

use twilight_http::routing::Route;

use super::{Limiter, MAX_QUEUED, Outcome, Ticket, Verdict};
use crate::rate_limit::{Limited, Limits, Scope};
use crate::request::{Auth, Priority};
use crate::target::{Key, Target};

/// Discord's limit on the bot.
const GLOBAL: usize = 50;

const ROUTES: [Route<'static>; 5] = [
    Route::CreateMessage { channel_id: 1 },
    Route::CreateMessage { channel_id: 2 },
    Route::UpdateMember {
        guild_id: 3,
        user_id: 4,
    },
    Route::GetWebhook {
        token: Some("token"),
        webhook_id: 5,
    },
    Route::InteractionCallback {
        interaction_id: 6,
        interaction_token: "token",
        with_response: false,
    },
];

/// Runs a script against a new limiter.
///
/// # Panics
/// A promise is broken.
pub fn run(script: &[u8]) {
    let mut bytes = script.iter().copied();
    let mut next = || bytes.next();
    let (Some(deferring), Some(max_rejected)) = (next(), next()) else {
        return;
    };
    let mut world = World {
        limiter: Limiter::new(deferring.is_multiple_of(4), u32::from(max_rejected).max(1)),
        counting: !deferring.is_multiple_of(4),
        now: Instant::now(),
        calls: Vec::new(),
    };
    while let (Some(what), Some(which), Some(much)) = (next(), next(), next()) {
        world.happen(what, usize::from(which), much);
        world.check();
    }
}

struct World {
    limiter: Limiter,
    counting: bool,
    now: Instant,
    calls: Vec<(Ticket, Place)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Idle,
    Queued,
    InFlight,
}

impl World {
    fn happen(&mut self, what: u8, which: usize, much: u8) {
        match what % 8 {
            0 | 1 => self.enter(which, much),
            2 => self.now += Duration::from_millis(u64::from(much) * u64::from(much)),
            3 => {
                if let Some((ticket, place)) = self.pick(Place::Idle, which) {
                    *place = Place::Queued;
                    let now = self.now;
                    self.limiter.queue(ticket, now);
                }
            }
            4 => {
                if !self.calls.is_empty() {
                    let (ticket, _) = self.calls.swap_remove(which % self.calls.len());
                    self.limiter.leave(ticket, self.now);
                }
            }
            5 => self.done(which, |limiter, ticket, now| {
                limiter.done(ticket, Outcome::Lost, now);
            }),
            6 => self.answered(which, much, None),
            _ => self.answered(which, much, Some(much)),
        }
    }

    fn enter(&mut self, which: usize, much: u8) {
        let key = Key::new(&Target::from(&ROUTES[which % ROUTES.len()]), &Auth::Bot);
        let priority = [Priority::High, Priority::Normal, Priority::Low][usize::from(much % 3)];
        assert!(self.calls.len() < MAX_QUEUED);
        if let Some(ticket) = self.limiter.enter(key, priority) {
            self.limiter.queue(ticket, self.now);
            self.calls.push((ticket, Place::Queued));
        }
    }

    fn pick(&mut self, place: Place, which: usize) -> Option<(Ticket, &mut Place)> {
        let mut found: Vec<_> = self
            .calls
            .iter_mut()
            .filter(|call| call.1 == place)
            .collect();
        if found.is_empty() {
            return None;
        }
        let index = which % found.len();
        let call = found.swap_remove(index);
        Some((call.0, &mut call.1))
    }

    fn done(&mut self, which: usize, done: impl FnOnce(&mut Limiter, Ticket, Instant)) {
        if let Some((ticket, place)) = self.pick(Place::InFlight, which) {
            *place = Place::Idle;
            let now = self.now;
            done(&mut self.limiter, ticket, now);
        }
    }

    fn answered(&mut self, which: usize, much: u8, limited: Option<u8>) {
        let limits = Limits {
            bucket: Some(["a", "b"][usize::from(much & 1)].into()),
            limit: u32::from(much >> 4),
            remaining: u32::from(much >> 5),
            reset_after: Duration::from_millis(u64::from(much) * 20),
        };
        let limited = limited.map(|kind| Limited {
            retry_after: Duration::from_millis(u64::from(kind) * 10),
            scope: [Scope::User, Scope::Shared, Scope::Global, Scope::Address]
                [usize::from(kind % 4)],
        });
        let status = match limited {
            Some(_) => 429,
            None => [200, 204, 401, 403, 404, 500][usize::from(much % 6)],
        };
        let outcome = Outcome::Answered {
            status,
            limits: Some(&limits).filter(|_| !much.is_multiple_of(3)),
            limited,
            discords: !much.is_multiple_of(5),
        };
        self.done(which, |limiter, ticket, now| {
            limiter.done(ticket, outcome, now);
        });
    }

    fn check(&mut self) {
        let (verdicts, wake_at) = self.limiter.advance(self.now);
        for (ticket, verdict) in verdicts {
            // One that has left may still have a verdict on its way.
            let Some((_, place)) = self.calls.iter_mut().find(|call| call.0 == ticket) else {
                continue;
            };
            assert_eq!(*place, Place::Queued, "only those that wait hear a verdict");
            *place = match verdict {
                Verdict::Go => Place::InFlight,
                Verdict::Unauthorized(_) | Verdict::Breaker(_) => Place::Idle,
            };
        }
        let count = |place| self.calls.iter().filter(|call| call.1 == place).count();
        let (queued, in_flight) = (count(Place::Queued), count(Place::InFlight));
        let status = self.limiter.status(self.now);
        assert_eq!((status.queued, status.in_flight), (queued, in_flight));
        if let Some(at) = wake_at {
            assert!(at > self.now, "a timer that is due now would spin");
        }
        assert!(
            queued == 0 || in_flight > 0 || wake_at.is_some(),
            "those that wait are woken, by the time or by an answer"
        );
        let (again, _) = self.limiter.advance(self.now);
        assert_eq!(again, [], "nothing is left for a second look");
        if self.counting {
            let bots = self.limiter.global_in_flight();
            assert!(bots <= GLOBAL, "{bots} in the bot's name at once");
        }
    }
}

#[cfg(test)]
#[test]
fn promises_hold_whatever_happens() {
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let script: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(3000)
            .collect();
        run(&script);
    }
}
