//! What can go wrong, and what to do next. Nothing here holds a token or a key.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::video::VideoFrame;
use uro_discord_media::Malformed;
use uro_discord_net::tls::TlsError;

/// Why a session cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The voice server's address cannot be one.
    #[error("endpoint {0:?}: it must be `host` or `host:port`, as VOICE_SERVER_UPDATE has it")]
    Endpoint(String),
    /// Without TLS anybody on the way could read the token.
    #[error("endpoint {0:?}: without TLS only a loopback address is taken; set `scheme` to wss")]
    PlainText(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What went wrong below: the error with its own sources, or words where there is none. Two that say the same are equal.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    pub(crate) fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

/// Why a session ended; [`End::next`] says what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was told to leave, or its handle was dropped.
    #[error("left")]
    Left,
    /// Its [`Connection`](crate::Connection) was dropped before it was over: with its runtime, or by a panic.
    #[error("the session's connection was dropped")]
    Dropped,
    /// Close code 4004.
    #[error("the voice token was rejected (4004): join again, which gives a new one")]
    TokenRejected,
    /// Close code 4006.
    #[error("the voice session is no longer valid (4006): join again")]
    SessionInvalid,
    /// Close code 4009.
    #[error("the voice session timed out (4009): join again")]
    SessionTimeout,
    /// Close code 4011.
    #[error("the voice server was not found (4011): join again")]
    ServerNotFound,
    /// Close code 4014 or 4022, or a server that went away, and no new server in time.
    #[error("the voice server is gone, and no new one was named within {} s: join again", waited.as_secs())]
    Disconnected {
        /// How long one was waited for.
        waited: Duration,
    },
    /// Close code 4017.
    #[error(
        "the channel demands end-to-end encryption and did not get it (4017): update this program"
    )]
    EncryptionRequired,
    /// The server wants a version of DAVE that we do not have.
    #[error("the channel wants DAVE version {version}, and this program has version 1: update it")]
    EncryptionVersion {
        /// What it wants.
        version: u16,
    },
    /// Close code 4021.
    #[error("rate limited by the voice server (4021): wait for minutes before joining again")]
    RateLimited,
    /// A close code that says the fault is ours.
    #[error(
        "the voice server refused what we sent (close code {code}): please report it; join again later"
    )]
    Refused {
        /// The close code.
        code: u16,
    },
    /// The voice server cannot be reached.
    #[error("the voice server cannot be reached, after {attempts} attempts: {last}")]
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        last: Cause,
    },
    /// The server sent something that makes no sense.
    #[error("the voice server sent a {what}: join again")]
    Protocol {
        /// What.
        what: String,
    },
    /// IP discovery got no answer.
    #[error(
        "no UDP datagram came back from the voice server: let outgoing UDP through the firewall, to ports 50000 to 65535 at least"
    )]
    NoUdp,
    /// The UDP socket failed.
    #[error("UDP: {0}")]
    Socket(#[source] Cause),
    /// No encryption mode is known to both.
    #[error("no common encryption mode; the server offers {offered:?}: update this program")]
    NoMode {
        /// What the server offers.
        offered: Vec<String>,
    },
    /// As many packets were sent as one key may encrypt: more than two years of audio.
    #[error("2^32 packets were sent under one key: join again, which gives a new one")]
    KeyExhausted,
    /// MLS failed in itself.
    #[error("end-to-end encryption failed: {0}")]
    Encryption(#[source] Cause),
}

/// What to do after a session's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Join again through the main gateway, with pauses that grow.
    Rejoin,
    /// Join again once, after a pause; if it ends so again, as with [`RejoinLater`](Self::RejoinLater).
    RejoinOnce,
    /// Join again after some minutes: whoever comes sooner makes it worse.
    RejoinLater,
    /// Do not join again by yourself: somebody decided it, or it cannot go better.
    Stop,
}

impl End {
    /// What to do now.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            Self::Dropped
            | Self::TokenRejected
            | Self::SessionInvalid
            | Self::SessionTimeout
            | Self::ServerNotFound
            // Of whoever is thrown out the main gateway says so, which is [`NotInChannel::Disconnected`](crate::NotInChannel).
            | Self::Disconnected { .. }
            | Self::Unreachable { .. }
            | Self::Protocol { .. }
            | Self::NoUdp
            | Self::Socket(_)
            | Self::KeyExhausted => Next::Rejoin,
            Self::Refused { .. } | Self::Encryption(_) => Next::RejoinOnce,
            Self::RateLimited => Next::RejoinLater,
            Self::Left
            | Self::EncryptionRequired
            | Self::EncryptionVersion { .. }
            | Self::NoMode { .. } => Next::Stop,
        }
    }
}

/// Why a frame of video was not taken, or a request about video.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoError {
    /// It is not switched on.
    #[error("video is off: Discord does not let bots send it; `Config::video` switches it on")]
    Off,
    /// As many frames wait as may; here is the frame.
    #[error("{waiting} frames of video are waiting already")]
    Full {
        /// The frame that was not taken.
        frame: VideoFrame,
        /// How many wait.
        waiting: usize,
    },
    /// It is no frame of its codec.
    #[error("a frame of video cannot be sent: {0}")]
    Malformed(#[from] Malformed),
    /// It says to be a keyframe and is none, or the other way round.
    #[error("a frame of video is{} a keyframe, and says otherwise", if *.0 { "" } else { " not" })]
    Keyframe(bool),
    /// It is too large.
    #[error("a frame of video has at most {max} bytes, and this one {size}")]
    Size {
        /// Its size.
        size: usize,
        /// The largest.
        max: usize,
    },
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
}

/// Why a frame was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// As many frames wait as may; here is the frame.
    #[error("{} frames are waiting already", waiting)]
    Full {
        /// The frame that was not taken.
        frame: Bytes,
        /// How many wait.
        waiting: usize,
    },
    /// It cannot be an Opus packet that Discord forwards.
    #[error("a frame has between 1 and {max} bytes, and this one {size}")]
    Size {
        /// Its size.
        size: usize,
        /// The largest.
        max: usize,
    },
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
}
