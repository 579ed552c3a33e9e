//! Why the bridge ends.

use crate::options::BadOptions;
use std::io;
use std::process::ExitCode;
use uro_discord_voice::ConfigError;
use uro_discord_wire::{VERSION, etf, frame};

/// Why the bridge ends other than by being told to. Exit codes are those of `sysexits.h`.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Somebody ran the program by hand.
    #[error(
        "this program is started by UroDiscord, which speaks with it over pipes on stdin and stdout: {0}"
    )]
    NotAPort(io::Error),
    /// It was started with other arguments than there are.
    #[error(transparent)]
    Usage(#[from] BadOptions),
    /// Elixir announced a frame that is too long.
    #[error("bad frame: {0}")]
    Frame(#[from] frame::TooLong),
    /// Elixir ended in the middle of a frame.
    #[error("bad frame: stdin ended after {0} bytes of it")]
    CutShort(usize),
    /// A frame holds no message, or one cannot be written.
    #[error("bad message: {0}")]
    Message(#[from] etf::Error),
    /// Something came before hello, or a second one.
    #[error("bad message: the first one must be hello, and no other")]
    Hello,
    /// Elixir speaks another version of the protocol.
    #[error(
        "UroDiscord speaks version {0} of the bridge protocol, this bridge {VERSION}, and only those that are one apart understand each other: build both again"
    )]
    Version(u32),
    /// Elixir did not say in time that calls and portals may be held for longer.
    #[error(
        "Uro has not said for too long that calls and portals may be held: they are closed here, since another bridge may have them by now"
    )]
    Lapsed,
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The log of this process goes somewhere else already.
    #[error("the process has a log of its own: {0}")]
    Log(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Voice cannot have TLS.
    #[error(transparent)]
    Media(#[from] ConfigError),
    /// A task panicked; the panic hook has said why.
    #[error("a task panicked")]
    Panic,
}

impl From<frame::AppendError> for Fault {
    fn from(error: frame::AppendError) -> Self {
        match error {
            frame::AppendError::Encode(error) => error.into(),
            frame::AppendError::TooLong(error) => error.into(),
        }
    }
}

impl Fault {
    /// Says it once, in the log.
    pub fn report(&self) {
        match self {
            // Before it runs nobody hears its log, and perhaps there is a person at a terminal.
            Self::NotAPort(_) | Self::Usage(_) | Self::Media(_) => {
                eprintln!("uro-discord-bridge: {self}")
            }
            Self::Panic => {}
            _ => tracing::error!("{self}"),
        }
    }

    /// The exit status that tells it to Elixir.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotAPort(_) | Self::Usage(_) => 64,
            Self::Frame(_) | Self::CutShort(_) | Self::Message(_) | Self::Hello => 65,
            Self::Io(_) | Self::Log(_) | Self::Media(_) | Self::Panic | Self::Lapsed => 70,
            Self::Version(_) => 76,
        })
    }
}
