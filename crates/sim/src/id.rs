//! Snowflakes, Discord's ids.

use std::{
    fmt,
    num::ParseIntError,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Discord's epoch, 2015-01-01T00:00:00Z, in Unix milliseconds.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// A snowflake: 42 bits of milliseconds since Discord's epoch, then 22 bits that tell ids of one millisecond apart.
/// JSON carries it as a string.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u64);

impl Id {
    /// The first id of a moment, in Unix milliseconds.
    pub fn at(unix_ms: u64) -> Self {
        Self(unix_ms.saturating_sub(EPOCH_MS) << 22)
    }

    /// The moment the id was made, in Unix milliseconds.
    pub fn created_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An id in a payload, a string or a number.
pub fn from_json(value: &Value) -> Option<Id> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().map(Id),
        _ => None,
    }
}

/// Makes ids that only grow, so that their order is the order of creation.
#[derive(Debug, Default)]
pub struct Ids {
    last: u64,
}

impl Ids {
    /// A new id for the present moment.
    pub fn next(&mut self) -> Id {
        self.last = Id::at(unix_ms()).0.max(self.last + 1);
        Id(self.last)
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The last moment of the year 9999, after which there is no such text.
const LAST_MS: u64 = 253_402_300_799_999;

/// Unix milliseconds as Discord writes time: `2026-01-31T12:00:00.000000+00:00`. What is later than the year 9999 is its end.
pub fn iso8601(unix_ms: u64) -> String {
    let moment = time::OffsetDateTime::UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MS));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_tell_their_time() {
        let mut ids = Ids::default();
        let before = unix_ms();
        let made: Vec<Id> = (0..100).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert!((before..=unix_ms() + 1).contains(&made[0].created_ms()));
    }

    #[test]
    fn time_is_written_as_discord_does() {
        assert_eq!(
            iso8601(1_769_860_800_123),
            "2026-01-31T12:00:00.123000+00:00"
        );
        assert_eq!(iso8601(u64::MAX), "9999-12-31T23:59:59.999000+00:00");
    }
}
