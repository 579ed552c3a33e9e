//! The limiter against a model of Discord that counts exactly, over a network that delays, reorders and loses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use twilight_http::routing::Route;

use super::{Limiter, Outcome, Ticket};
use crate::rate_limit::Limits;
use crate::request::{Auth, Priority};
use crate::target::{Key, Target};

/// Windows per channel, which begin with their first request, and fifty requests in any second.
struct Discord {
    limit: u32,
    window: Duration,
    windows: HashMap<u64, (Instant, u32)>,
    recent: VecDeque<Instant>,
    violations: Vec<String>,
    served: u32,
}

impl Discord {
    fn serve(&mut self, channel: u64, now: Instant) -> Limits {
        self.served += 1;
        self.recent.retain(|at| now - *at < Duration::from_secs(1));
        self.recent.push_back(now);
        if self.recent.len() > 50 {
            self.violations
                .push(format!("{} in a second", self.recent.len()));
        }
        let window = self.windows.entry(channel).or_insert((now, 0));
        if now >= window.0 + self.window {
            *window = (now, 0);
        }
        window.1 += 1;
        if window.1 > self.limit {
            self.violations
                .push(format!("{} in the window of channel {channel}", window.1));
        }
        Limits {
            bucket: Some("messages".into()),
            limit: self.limit,
            remaining: self.limit.saturating_sub(window.1),
            reset_after: (window.0 + self.window) - now,
        }
    }
}

enum Event {
    /// A request is at Discord, or was lost on its way there.
    Arrives(Ticket, bool),
    /// The answer is here, or has been given up.
    Answered(Ticket, Option<Limits>),
    Timer,
}

#[test]
fn no_request_is_ever_too_early() {
    for seed in 0..8 {
        for (limit, window) in [(5, 5000), (1, 700), (3, 1000), (10, 10_000)] {
            run(seed, limit, Duration::from_millis(window));
        }
    }
}

fn run(seed: u64, limit: u32, window: Duration) {
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut limiter = Limiter::new(false, 500);
    let mut discord = Discord {
        limit,
        window,
        windows: HashMap::new(),
        recent: VecDeque::new(),
        violations: Vec::new(),
        served: 0,
    };
    let mut channels = HashMap::new();
    let mut events: BTreeMap<(Instant, u64), Event> = BTreeMap::new();
    let mut order = 0..;
    let mut now = start;
    for _ in 0..300 {
        let channel = random.u64(1..=12);
        let key = Key::new(
            &Target::from(&Route::CreateMessage {
                channel_id: channel,
            }),
            &Auth::Bot,
        );
        let ticket = limiter.enter(key, Priority::Normal).unwrap();
        channels.insert(ticket, channel);
        limiter.queue(ticket, now);
    }
    let mut latency = move |most: u64| Duration::from_micros(random.u64(50..most));
    let mut lost = fastrand::Rng::with_seed(seed + 1000);
    loop {
        let (granted, wake_at) = limiter.advance(now);
        for (ticket, _) in granted {
            // Before its first answer a bucket is unknown, and what is lost then cannot be known either.
            let known = discord.windows.contains_key(&channels[&ticket]);
            let arrives = !known || lost.u32(0..20) > 0;
            events.insert(
                (now + latency(300_000), order.next().unwrap()),
                Event::Arrives(ticket, arrives),
            );
        }
        if let Some(at) = wake_at {
            events.insert((at, order.next().unwrap()), Event::Timer);
        }
        let Some(((at, _), event)) = events.pop_first() else {
            break;
        };
        now = at.max(now);
        match event {
            Event::Arrives(ticket, true) => {
                let known = discord.windows.contains_key(&channels[&ticket]);
                let limits = discord.serve(channels[&ticket], now);
                let limits = Some(limits).filter(|_| !known || lost.u32(0..20) > 0);
                events.insert(
                    (now + latency(300_000), order.next().unwrap()),
                    Event::Answered(ticket, limits),
                );
            }
            Event::Arrives(ticket, false) => {
                events.insert(
                    (now + latency(300_000), order.next().unwrap()),
                    Event::Answered(ticket, None),
                );
            }
            Event::Answered(ticket, limits) => {
                match &limits {
                    Some(_) => {
                        let outcome = Outcome::Answered {
                            status: 200,
                            limits: limits.as_ref(),
                            limited: None,
                            discords: true,
                        };
                        limiter.done(ticket, outcome, now);
                    }
                    None => limiter.done(ticket, Outcome::Lost, now),
                }
                limiter.leave(ticket, now);
                channels.remove(&ticket);
            }
            Event::Timer => {}
        }
    }
    assert_eq!(
        discord.violations,
        [] as [String; 0],
        "seed {seed}, {limit} in {window:?}"
    );
    assert!(
        channels.is_empty(),
        "seed {seed}, {limit} in {window:?}: all were let go"
    );
    // As long as the limits make it last, and half as long again for lost ones and the network.
    let windows = discord.served.div_ceil(12).div_ceil(limit) + 2;
    let longest = (window + Duration::from_millis(600)) * windows * 3 / 2;
    let took = now - start;
    assert!(
        took < longest,
        "seed {seed}, {limit} in {window:?}: took {took:?}, not {longest:?}"
    );
}
