//! What the tests of the endpoint share.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(dead_code, reason = "each test uses another part of it")]

pub mod call;
pub mod client;
pub mod guest;
pub mod heard;
pub mod relay;
pub mod server;

use std::time::Duration;

use call::Person;
use relay::Conditions;

/// What people in the call sound like. Their tones fit into frames a whole number of times.
pub const ANN: Person = Person {
    user: 80_351_110_224_678_912,
    name: "Ann",
    hertz: Some(550.0),
};
pub const BOB: Person = Person {
    user: 80_351_110_224_678_913,
    name: "Bob",
    hertz: Some(750.0),
};
/// And a guest.
pub const GUEST: f64 = 400.0;
pub const ANOTHER: f64 = 950.0;

/// The share of a tone that stands for nothing else being heard, and of one that was mended.
pub const CLEAR: f64 = 0.7;
pub const MENDED: f64 = 0.5;

/// A network that loses 3 % and holds up by 50 ms.
pub const BAD: Conditions = Conditions {
    loss: 0.03,
    jitter: Duration::from_millis(50),
    seed: 12,
};
