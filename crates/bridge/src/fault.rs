use std::io;
use std::process::ExitCode;
use uro_discord_wire::{VERSION, etf, frame};

/// Why the bridge ends other than by being told to. Exit codes are those of `sysexits.h`.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Somebody ran the program by hand.
    #[error(
        "this program is started by UroDiscord, which speaks with it over pipes on stdin and stdout: {0}"
    )]
    NotAPort(io::Error),
    #[error("bad frame: {0}")]
    Frame(#[from] frame::TooLong),
    #[error("bad frame: stdin ended after {0} bytes of it")]
    CutShort(usize),
    #[error("bad message: {0}")]
    Message(#[from] etf::Error),
    #[error("bad message: the first one must be hello, and no other")]
    Hello,
    #[error(
        "UroDiscord speaks version {0} of the bridge protocol, this bridge {VERSION}: they were built apart, build both again"
    )]
    Version(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A task panicked; the panic hook has said why.
    #[error("a task panicked")]
    Panic,
}

impl Fault {
    /// Says it once, on stderr.
    pub fn report(&self) {
        match self {
            // This is for a person at a terminal, who reads no JSON.
            Self::NotAPort(_) => eprintln!("uro-discord-bridge: {self}"),
            Self::Panic => {}
            _ => tracing::error!("{self}"),
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotAPort(_) => 64,
            Self::Frame(_) | Self::CutShort(_) | Self::Message(_) | Self::Hello => 65,
            Self::Io(_) | Self::Panic => 70,
            Self::Version(_) => 76,
        })
    }
}
