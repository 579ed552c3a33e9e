//! What to do when the server closes the connection
//! ([Discord](https://discord.com/developers/docs/topics/opcodes-and-status-codes#voice-voice-close-event-codes)).

use crate::error::End;

/// What follows a close.
#[derive(Debug)]
pub(crate) enum Close {
    /// Connect again and resume: what was missed is repeated.
    Resume,
    /// The main gateway will tell: we were moved or disconnected, or the voice server changes.
    Await,
    /// The session is over.
    End(End),
}

impl Close {
    /// By the close code; `None` if the connection broke without one.
    pub(crate) fn of(code: Option<u16>) -> Self {
        let Some(code) = code else {
            return Self::Resume;
        };
        match code {
            ..4000 | 4015 => Self::Resume,
            4004 => Self::End(End::TokenRejected),
            4006 => Self::End(End::SessionInvalid),
            4009 => Self::End(End::SessionTimeout),
            4011 => Self::End(End::ServerNotFound),
            4014 | 4022 => Self::Await,
            4017 => Self::End(End::EncryptionRequired),
            4021 => Self::End(End::RateLimited),
            _ => Self::End(End::Refused { code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Next;

    #[test]
    fn every_code_has_its_policy() {
        for code in [None, Some(1000), Some(1001), Some(1006), Some(4015)] {
            assert!(matches!(Close::of(code), Close::Resume), "{code:?}");
        }
        for code in [4014, 4022] {
            assert!(matches!(Close::of(Some(code)), Close::Await), "{code}");
        }
        let next = |code| match Close::of(Some(code)) {
            Close::End(end) => end.next(),
            other => panic!("{code}: {other:?}"),
        };
        for code in [4004, 4006, 4009, 4011] {
            assert_eq!(next(code), Next::Rejoin, "{code}");
        }
        for code in [4001, 4002, 4003, 4005, 4012, 4016, 4020, 4999] {
            assert_eq!(next(code), Next::RejoinOnce, "{code}");
        }
        assert_eq!(next(4021), Next::RejoinLater);
        assert_eq!(next(4017), Next::Stop);
    }
}
