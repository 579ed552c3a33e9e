//! Rate limits: fixed windows for each bucket, and 50 requests a second for each token
//! (`developers/topics/rate-limits`). Discord publishes no table of limits: those here are what bots have met.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use ring::digest;

use crate::id::Id;

const GLOBAL: Rate = Rate {
    limit: 50,
    window: Duration::from_secs(1),
};
/// Discord's Cloudflare bans an address after 10,000 invalid requests in this time.
const INVALID_WINDOW: Duration = Duration::from_secs(600);
const KEPT_WINDOWS: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Rate {
    limit: u32,
    window: Duration,
}

impl Rate {
    fn times(self, factor: u32) -> Self {
        Self {
            limit: self.limit.saturating_mul(factor.max(1)),
            ..self
        }
    }
}

fn rate(method: &Method, route: &str) -> Rate {
    let (limit, seconds) = match (method.as_str(), route) {
        ("POST", "/channels/{channel_id}/messages") => (5, 5),
        ("PATCH", "/channels/{channel_id}/messages/{message_id}") => (5, 5),
        ("DELETE", "/channels/{channel_id}/messages/{message_id}") => (5, 1),
        (
            "GET",
            "/channels/{channel_id}/messages" | "/channels/{channel_id}/messages/{message_id}",
        ) => (5, 1),
        ("POST", "/channels/{channel_id}/messages/{message_id}/crosspost") => (10, 3_600),
        ("POST", "/users/@me/channels") => (10, 10),
        ("GET", "/guilds/{guild_id}/members" | "/guilds/{guild_id}/members/search") => (10, 10),
        ("GET" | "DELETE", "/guilds/{guild_id}/members/{user_id}") => (5, 1),
        ("PUT" | "PATCH", "/guilds/{guild_id}/members/{user_id}") => (10, 10),
        (_, "/guilds/{guild_id}/members/{user_id}/roles/{role_id}") => (10, 10),
        (_, "/guilds/{guild_id}/members/@me") => (10, 10),
        ("POST", "/guilds/{guild_id}/roles") => (250, 48 * 3_600),
        ("PATCH", "/guilds/{guild_id}/roles" | "/guilds/{guild_id}/roles/{role_id}") => (10, 10),
        ("DELETE", "/guilds/{guild_id}/roles/{role_id}") => (10, 10),
        ("PUT" | "DELETE", "/guilds/{guild_id}/bans/{user_id}") => (5, 1),
        _ => (10, 1),
    };
    Rate {
        limit,
        window: Duration::from_secs(seconds),
    }
}

/// What a request counts against: who asks (a user, or nobody in particular), the route's bucket, and the channel or
/// guild it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    subject: Option<Id>,
    bucket: String,
    major: String,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    used: u32,
    ends: Instant,
}

impl Window {
    /// Counts one more, opening a new window when the old one is over. `false`: the window is full.
    fn take(slot: Option<&mut Self>, rate: Rate, now: Instant) -> (Self, bool) {
        match slot {
            Some(window) if window.ends > now => {
                let fits = window.used < rate.limit;
                window.used += u32::from(fits);
                (*window, fits)
            }
            _ => (
                Self {
                    used: 1,
                    ends: now + rate.window,
                },
                true,
            ),
        }
    }
}

/// Whether a request may go on.
#[derive(Debug)]
pub enum Verdict {
    /// It may; these headers go on its answer.
    Pass(HeaderMap),
    /// It must be answered with 429.
    Limited {
        /// Headers of the answer.
        headers: HeaderMap,
        /// Whether the limit over all routes was hit.
        global: bool,
        /// Seconds until it may be tried again.
        retry_after: f64,
    },
}

/// All windows, and counts of what clients did wrong.
#[derive(Debug, Default)]
pub struct Limits {
    windows: HashMap<Key, Window>,
    global: HashMap<Option<Id>, Window>,
    invalid: VecDeque<Instant>,
    /// Requests sent although the last answer said that the bucket was empty.
    pub too_early: u64,
    /// Requests over the global limit.
    pub over_global: u64,
}

impl Limits {
    /// Counts a request. `major` is the id of the channel, guild or webhook in its path; `factor` multiplies every limit.
    pub fn check(
        &mut self,
        subject: Option<Id>,
        method: &Method,
        route: &str,
        major: &str,
        factor: u32,
        now: Instant,
    ) -> Verdict {
        self.prune(now);
        let bucket = bucket(method, route);
        let limit = rate(method, route).times(factor);
        let global = GLOBAL.times(factor);
        let (window, fits) = Window::take(self.global.get_mut(&subject), global, now);
        self.global.insert(subject, window);
        if !fits {
            self.over_global += 1;
            let mut headers = headers(&bucket, global, window, now);
            headers.insert("x-ratelimit-global", HeaderValue::from_static("true"));
            return limited(headers, true, window.ends - now);
        }
        let key = Key {
            subject,
            bucket: bucket.clone(),
            major: major.to_owned(),
        };
        let (window, fits) = Window::take(self.windows.get_mut(&key), limit, now);
        self.windows.insert(key, window);
        let headers = headers(&bucket, limit, window, now);
        if fits {
            Verdict::Pass(headers)
        } else {
            self.too_early += 1;
            limited(headers, false, window.ends - now)
        }
    }

    /// Counts an answer of 401, 403 or 429 (but for a shared limit).
    pub fn count_invalid(&mut self, now: Instant) {
        self.invalid.push_back(now);
        self.invalid_requests(now);
    }

    /// How many requests of the past ten minutes were invalid.
    pub fn invalid_requests(&mut self, now: Instant) -> usize {
        while self
            .invalid
            .front()
            .is_some_and(|&at| now.duration_since(at) > INVALID_WINDOW)
        {
            self.invalid.pop_front();
        }
        // Enough to tell that a ban would be due.
        self.invalid.truncate(20_000);
        self.invalid.len()
    }

    fn prune(&mut self, now: Instant) {
        if self.windows.len() >= KEPT_WINDOWS {
            self.windows.retain(|_, window| window.ends > now);
        }
        if self.global.len() >= KEPT_WINDOWS {
            self.global.retain(|_, window| window.ends > now);
        }
    }
}

/// The bucket's opaque name, as Discord gives it: a hash that says nothing about the route.
pub fn bucket(method: &Method, route: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{method} {route}").as_bytes());
    hash.as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn headers(bucket: &str, rate: Rate, window: Window, now: Instant) -> HeaderMap {
    let left = window.ends.saturating_duration_since(now);
    let reset = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        + left;
    let pairs = [
        ("x-ratelimit-limit", rate.limit.to_string()),
        (
            "x-ratelimit-remaining",
            // The limit may have been lowered since.
            rate.limit.saturating_sub(window.used).to_string(),
        ),
        ("x-ratelimit-reset", seconds(reset)),
        ("x-ratelimit-reset-after", seconds(left)),
        ("x-ratelimit-bucket", bucket.to_owned()),
        // Discord's own answers have it and those of the Cloudflare before it do not: discord.py takes a 429 without it
        // for a ban.
        ("via", "1.1 google".to_owned()),
    ];
    pairs
        .into_iter()
        .filter_map(|(name, value)| {
            Some((
                HeaderName::from_static(name),
                HeaderValue::from_str(&value).ok()?,
            ))
        })
        .collect()
}

fn limited(mut headers: HeaderMap, global: bool, wait: Duration) -> Verdict {
    let scope = if global { "global" } else { "user" };
    headers.insert("x-ratelimit-scope", HeaderValue::from_static(scope));
    // The header carries whole seconds, rounded up; the body has the fraction.
    headers.insert(
        "retry-after",
        HeaderValue::from(wait.as_millis().div_ceil(1_000) as u64),
    );
    let retry_after = (wait.as_micros().div_ceil(1_000)) as f64 / 1_000.0;
    Verdict::Limited {
        headers,
        global,
        retry_after,
    }
}

/// Seconds with three decimals, rounded up so that a client that waits for it is never early.
fn seconds(duration: Duration) -> String {
    let ms = duration.as_micros().div_ceil(1_000);
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
