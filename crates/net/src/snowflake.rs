//! Discord's ids.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// An id of Discord's. It travels as text, as in Discord's JSON, and has one form: no sign, no leading zero.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Snowflake(NonZeroU64);

/// The text is no id.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it must be an id of Discord's, such as \"81384788765712384\"")]
pub struct NotAnId;

impl Snowflake {
    /// The number; none is 0.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Snowflake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Snowflake {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Numbers of Rust's also take a sign and leading zeros.
        if !text.starts_with(|first: char| matches!(first, '1'..='9')) {
            return Err(NotAnId);
        }
        text.parse().map(Self).map_err(|_| NotAnId)
    }
}

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            de::Error::invalid_value(de::Unexpected::Str(&text), &"an id of Discord's, as text")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        for id in ["1", "81384788765712384", "18446744073709551615"] {
            assert_eq!(id.parse::<Snowflake>().unwrap().to_string(), id);
        }
        let none = [
            "",
            "0",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "x",
            "18446744073709551616",
        ];
        for none in none {
            assert_eq!(none.parse::<Snowflake>(), Err(NotAnId), "{none:?}");
        }
    }
}
