//! The limiter against a clock that the tests move.

use std::time::{Duration, Instant};

use twilight_http::routing::Route;

use super::{Limiter, Outcome, PROBE, Ticket, Verdict};
use crate::rate_limit::{Limited, Limits, Scope};
use crate::request::{Auth, Priority};
use crate::target::{Key, Target};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

const WEBHOOK: Route<'static> = Route::ExecuteWebhook {
    thread_id: None,
    token: "token",
    wait: None,
    with_components: None,
    webhook_id: 1,
};

fn message(channel_id: u64) -> Route<'static> {
    Route::CreateMessage { channel_id }
}

struct World {
    limiter: Limiter,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Limiter::new(false, 500))
    }

    fn with(limiter: Limiter) -> Self {
        Self {
            limiter,
            now: Instant::now(),
        }
    }

    fn call(&mut self, route: &Route<'_>) -> Ticket {
        self.call_with(route, Priority::Normal)
    }

    fn call_with(&mut self, route: &Route<'_>, priority: Priority) -> Ticket {
        let key = Key::new(&Target::from(route), &Auth::Bot);
        let ticket = self.limiter.enter(key, priority).unwrap();
        self.limiter.queue(ticket, self.now);
        ticket
    }

    fn verdicts(&mut self) -> Vec<(Ticket, Verdict)> {
        self.limiter.advance(self.now).0
    }

    /// Those that may go now.
    fn granted(&mut self) -> Vec<Ticket> {
        let verdicts = self.verdicts();
        assert!(
            verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Go),
            "{verdicts:?}"
        );
        verdicts.into_iter().map(|(ticket, _)| ticket).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A 200 with these headers.
    fn answer(&mut self, ticket: Ticket, limit: u32, remaining: u32, reset_after: Duration) {
        let limits = Limits {
            bucket: Some("b".into()),
            limit,
            remaining,
            reset_after,
        };
        let outcome = Outcome::Answered {
            status: 200,
            limits: Some(&limits),
            limited: None,
            discords: true,
        };
        self.limiter.done(ticket, outcome, self.now);
        self.limiter.leave(ticket, self.now);
    }

    /// An answer without headers.
    fn answer_bare(&mut self, ticket: Ticket, status: u16) {
        self.limiter.done(
            ticket,
            Outcome::Answered {
                status,
                limits: None,
                limited: None,
                discords: true,
            },
            self.now,
        );
    }

    fn answer_429(&mut self, ticket: Ticket, scope: Scope, retry_after: Duration) {
        let limited = Some(Limited { retry_after, scope });
        self.limiter.done(
            ticket,
            Outcome::Answered {
                status: 429,
                limits: None,
                limited,
                discords: true,
            },
            self.now,
        );
    }

    fn rejected(&mut self) -> u32 {
        self.limiter.status(self.now).rejected
    }
}

#[test]
fn an_unknown_bucket_is_asked_one_at_a_time() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let second = world.call(&message(1));
    let elsewhere = world.call(&message(2));
    assert_eq!(world.granted(), [first, elsewhere]);
    world.limiter.done(first, Outcome::Lost, world.now);
    assert_eq!(world.granted(), [second], "a lost answer teaches nothing");
}

#[test]
fn no_more_in_flight_than_remain() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let rest: Vec<Ticket> = (0..6).map(|_| world.call(&message(1))).collect();
    assert_eq!(world.granted(), [first]);
    world.answer(first, 5, 4, SECOND);
    assert_eq!(world.granted(), rest[..4]);
    world.answer(rest[0], 5, 3, SECOND);
    assert_eq!(world.granted(), [], "3 remain and 3 are in flight");
    world.pass(1004 * MS);
    assert_eq!(world.granted(), [], "not before the reset");
    world.pass(MS);
    assert_eq!(world.granted(), rest[4..], "3 of 5 are in flight");
}

#[test]
fn an_exhausted_bucket_says_when_it_goes_on() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let second = world.call(&message(1));
    world.granted();
    world.answer(first, 5, 0, 3 * SECOND);
    let (verdicts, wake_at) = world.limiter.advance(world.now);
    assert_eq!(verdicts, []);
    assert_eq!(wake_at, Some(world.now + 3 * SECOND + 5 * MS));
    assert_eq!(
        world.limiter.held_until(second, world.now),
        Some((wake_at.unwrap(), Scope::User))
    );
}

#[test]
fn answers_that_overtake_each_other_do_not_give_back() {
    let mut world = World::new();
    let first = world.call(&message(1));
    world.granted();
    world.answer(first, 5, 4, SECOND);
    let rest: Vec<Ticket> = (0..5).map(|_| world.call(&message(1))).collect();
    assert_eq!(world.granted(), rest[..4]);
    for (ticket, remaining) in rest.iter().zip([0, 3, 1, 2]) {
        world.answer(*ticket, 5, remaining, SECOND);
    }
    assert_eq!(
        world.granted(),
        [],
        "none remain, whichever answer came last"
    );
}

#[test]
fn another_bucket_name_is_another_window() {
    let mut world = World::new();
    let first = world.call(&message(1));
    world.granted();
    world.answer(first, 5, 0, 60 * SECOND);
    world.pass(61 * SECOND);
    let second = world.call(&message(1));
    assert_eq!(world.granted(), [second]);
    let limits = Limits {
        bucket: Some("other".into()),
        limit: 9,
        remaining: 8,
        reset_after: SECOND,
    };
    let outcome = Outcome::Answered {
        status: 200,
        limits: Some(&limits),
        limited: None,
        discords: true,
    };
    world.limiter.done(second, outcome, world.now);
    for _ in 0..8 {
        world.call(&message(1));
    }
    assert_eq!(world.granted().len(), 8);
}

#[test]
fn fifty_a_second_in_all_counted_from_the_answer() {
    let mut world = World::new();
    for channel in 0..60 {
        world.call(&message(channel));
    }
    let webhook = world.call(&WEBHOOK);
    let granted = world.granted();
    assert_eq!(granted.len(), 51);
    assert!(
        granted.contains(&webhook),
        "the global limit does not hold it"
    );
    world.pass(300 * MS);
    world.answer(granted[1], 5, 4, SECOND);
    world.pass(SECOND);
    assert_eq!(
        world.granted(),
        [],
        "Discord may have counted it 300 ms after it went out"
    );
    world.pass(5 * MS);
    assert_eq!(world.granted().len(), 1);
}

#[test]
fn bulk_work_leaves_room() {
    let mut world = World::new();
    for channel in 0..60 {
        world.call_with(&message(channel), Priority::Low);
    }
    assert_eq!(world.granted().len(), 40);
    let normal = world.call_with(&message(100), Priority::Normal);
    let high = world.call_with(&message(101), Priority::High);
    assert_eq!(world.granted(), [high, normal]);
}

#[test]
fn higher_priority_overtakes_within_a_bucket() {
    let mut world = World::new();
    let first = world.call(&message(1));
    assert_eq!(world.granted(), [first]);
    let low = world.call_with(&message(1), Priority::Low);
    let high = world.call_with(&message(1), Priority::High);
    world.limiter.leave(first, world.now);
    assert_eq!(world.granted(), [high]);
    world.limiter.leave(high, world.now);
    assert_eq!(world.granted(), [low]);
}

#[test]
fn a_call_that_tries_again_keeps_its_place() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let second = world.call(&message(1));
    assert_eq!(world.granted(), [first]);
    world.answer_429(first, Scope::User, SECOND);
    world.limiter.queue(first, world.now);
    assert_eq!(world.granted(), []);
    world.pass(2 * SECOND);
    assert_eq!(world.granted(), [first]);
    world.limiter.leave(first, world.now);
    assert_eq!(world.granted(), [second]);
}

#[test]
fn a_429_of_user_or_shared_scope_stops_its_bucket() {
    for (scope, rejected) in [(Scope::User, 1), (Scope::Shared, 0)] {
        let mut world = World::new();
        let first = world.call(&message(1));
        world.granted();
        world.answer_429(first, scope, 1163 * SECOND);
        world.limiter.queue(first, world.now);
        let elsewhere = world.call(&message(2));
        assert_eq!(world.granted(), [elsewhere]);
        assert_eq!(world.limiter.held_until(first, world.now).unwrap().1, scope);
        world.pass(1163 * SECOND);
        assert_eq!(world.granted(), []);
        assert_eq!(world.rejected(), 0, "it is long ago");
        world.pass(5 * MS);
        assert_eq!(world.granted(), [first]);
        world.answer_429(first, scope, SECOND);
        assert_eq!(world.rejected(), rejected);
    }
}

#[test]
fn a_global_429_stops_the_bot_but_not_its_webhooks() {
    let mut world = World::new();
    let first = world.call(&message(1));
    world.granted();
    world.answer_429(first, Scope::Global, 2 * SECOND);
    let waiting = world.call(&message(2));
    let webhook = world.call(&WEBHOOK);
    assert_eq!(world.granted(), [webhook]);
    assert_eq!(world.limiter.status(world.now).paused_for, Some(2 * SECOND));
    let (_, wake_at) = world.limiter.advance(world.now);
    assert_eq!(wake_at, Some(world.now + 2 * SECOND));
    world.pass(2 * SECOND);
    assert_eq!(world.granted(), [waiting]);
}

#[test]
fn a_429_from_the_edge_stops_everything_and_one_goes_to_see() {
    let mut world = World::new();
    let first = world.call(&message(1));
    world.granted();
    world.answer_429(first, Scope::Address, 30 * SECOND);
    let waiting = world.call(&message(2));
    let webhook = world.call(&WEBHOOK);
    assert_eq!(world.granted(), []);
    world.pass(30 * SECOND);
    assert_eq!(world.granted(), [webhook], "one goes first");
    world.limiter.done(webhook, Outcome::Lost, world.now);
    assert_eq!(
        world.granted(),
        [waiting],
        "it found out nothing, so another goes"
    );
    world.answer_429(waiting, Scope::Address, 30 * SECOND);
    world.limiter.queue(waiting, world.now);
    world.pass(29 * SECOND);
    assert_eq!(world.granted(), []);
    world.pass(SECOND);
    let third = world.call(&message(3));
    assert_eq!(world.granted(), [waiting]);
    world.answer(waiting, 5, 4, SECOND);
    assert_eq!(world.granted(), [third]);
}

#[test]
fn the_breaker_opens_at_its_number_and_cools() {
    let mut world = World::with(Limiter::new(false, 3));
    for _ in 0..3 {
        let ticket = world.call(&message(1));
        assert_eq!(world.granted(), [ticket]);
        world.answer_bare(ticket, 403);
        world.limiter.leave(ticket, world.now);
    }
    let refused = world.call(&WEBHOOK);
    let cool = 610 * SECOND;
    assert_eq!(world.verdicts(), [(refused, Verdict::Breaker(cool))]);
    assert_eq!(world.limiter.status(world.now).breaker_open_for, Some(cool));
    world.pass(cool);
    let allowed = world.call(&message(1));
    assert_eq!(world.granted(), [allowed]);
    assert_eq!(world.rejected(), 0);
}

#[test]
fn those_that_wait_when_the_breaker_opens_are_told() {
    let mut world = World::with(Limiter::new(false, 1));
    let first = world.call(&message(1));
    let waiting = world.call(&message(1));
    assert_eq!(world.granted(), [first]);
    world.answer_bare(first, 403);
    assert_eq!(
        world.verdicts(),
        [(waiting, Verdict::Breaker(610 * SECOND))]
    );
    assert_eq!(world.limiter.status(world.now).queued, 0);
}

#[test]
fn an_invalid_token_stops_the_bot_but_for_one_that_goes_to_see() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let waiting = world.call(&message(1));
    assert_eq!(world.granted(), [first]);
    world.answer_bare(first, 401);
    let later = world.call(&message(2));
    assert_eq!(
        world.verdicts(),
        [
            (waiting, Verdict::Unauthorized(PROBE)),
            (later, Verdict::Unauthorized(PROBE))
        ]
    );
    let webhook = world.call(&WEBHOOK);
    assert_eq!(world.granted(), [webhook], "it has a credential of its own");
    world.answer_bare(webhook, 401);
    assert!(world.limiter.status(world.now).unauthorized);

    // One that is lost finds out nothing, and one that leaves neither: another goes.
    world.pass(PROBE);
    let lost = world.call(&message(1));
    let refused = world.call(&message(2));
    let verdicts = world.verdicts();
    assert!(verdicts.contains(&(lost, Verdict::Go)));
    assert!(verdicts.contains(&(refused, Verdict::Unauthorized(SECOND))));
    world.limiter.leave(lost, world.now);
    let again = world.call(&message(1));
    assert_eq!(world.granted(), [again]);
    world.answer_bare(again, 401);
    let refused = world.call(&message(1));
    assert_eq!(world.verdicts(), [(refused, Verdict::Unauthorized(PROBE))]);
    world.pass(PROBE);
    let accepted = world.call(&message(1));
    assert_eq!(world.granted(), [accepted]);
    world.answer_bare(accepted, 404);
    assert!(!world.limiter.status(world.now).unauthorized);
    let all = [3, 4].map(|channel| world.call(&message(channel)));
    assert_eq!(world.granted(), all);
}

#[test]
fn a_401_of_a_webhook_does_not_stop_the_bot() {
    let mut world = World::new();
    let webhook = world.call(&WEBHOOK);
    world.granted();
    world.answer_bare(webhook, 401);
    let bot = world.call(&message(1));
    assert_eq!(world.granted(), [bot]);
}

#[test]
fn a_call_that_leaves_frees_its_place() {
    let mut world = World::new();
    let first = world.call(&message(1));
    let second = world.call(&message(1));
    let third = world.call(&message(1));
    assert_eq!(world.granted(), [first]);
    world.limiter.leave(second, world.now);
    world.limiter.leave(first, world.now);
    assert_eq!(world.granted(), [third]);
    let status = world.limiter.status(world.now);
    assert_eq!((status.queued, status.in_flight), (0, 1));
}

#[test]
fn answers_without_headers_mean_no_limit() {
    let mut world = World::new();
    let first = world.call(&Route::GetGatewayBot);
    let rest: Vec<Ticket> = (0..10).map(|_| world.call(&Route::GetGatewayBot)).collect();
    assert_eq!(world.granted(), [first]);
    world.answer_bare(first, 200);
    assert_eq!(world.granted(), rest);
}

#[test]
fn a_proxy_keeps_the_limits_but_a_429_is_heeded() {
    let mut world = World::with(Limiter::new(true, 500));
    let tickets: Vec<Ticket> = (0..80).map(|_| world.call(&message(1))).collect();
    assert_eq!(world.granted(), tickets);
    world.answer(tickets[0], 5, 0, 60 * SECOND);
    let next = world.call(&message(1));
    assert_eq!(world.granted(), [next]);
    world.answer_429(next, Scope::User, SECOND);
    world.limiter.queue(next, world.now);
    assert_eq!(world.granted(), []);
    world.pass(2 * SECOND);
    assert_eq!(world.granted(), [next]);
}

#[test]
fn idle_buckets_are_forgotten() {
    let mut world = World::new();
    for channel in 0..5000 {
        let ticket = world.call(&message(channel));
        assert_eq!(world.granted(), [ticket]);
        world.answer(ticket, 5, 4, SECOND);
        world.pass(100 * MS);
    }
    assert!(world.limiter.status(world.now).buckets <= super::SWEEP_AT + 1);
}
