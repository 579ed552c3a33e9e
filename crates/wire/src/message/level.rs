//! How grave a line of the log is, in the words of Elixir's Logger.

use crate::etf::{Error, Reader, Writer};

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Something is lost or ends.
    Error,
    /// Something is not as it should be, and goes on.
    Warning,
    /// What a person who watches wants to know.
    Info,
    /// What somebody who looks for a fault wants to know.
    Debug,
}

impl Level {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        match term.atom()? {
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            other => Err(Error::Atom(other.into())),
        }
    }

    pub(super) fn encode(self, term: &mut Writer<'_>) -> Result<(), Error> {
        term.atom(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}
