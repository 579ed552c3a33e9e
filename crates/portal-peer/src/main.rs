//! `uro-portal-peer`: joins a portal and publishes, listens, or loads it.
#![forbid(unsafe_code)]

mod command;

use std::{io::Write, net::SocketAddr, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use uro_portal_peer::{
    Error, HttpError, Join, Link, Way,
    control::{Codec, Listens, Role, Voice},
    voice,
};

/// Joins a portal of UroDiscord: publishes a file or a signal, listens, or loads it with many peers.
///
/// A token comes from `UroDiscord.Portal.token(id, role: :peer, who: "me")`. The program ends on Ctrl-C, and tells the portal so. Its
/// status is 0 when it did what it was told; 1 when the connection failed or ended, or a file could not be read or written; 2 when its
/// arguments make no sense; 3 when the portal refused.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Speaks: an Ogg Opus file, a tone, or something like speech.
    Publish(command::publish::Publish),
    /// Listens: prints who speaks and how loud, or writes an Ogg Opus file.
    Listen(command::listen::Listen),
    /// Joins with many peers that speak all at once; prints how long joining took, what was lost, and the round trip.
    Load(command::load::Load),
}

/// Where the portal is, and how to get in.
#[derive(Clone, Debug, Args)]
struct Portal {
    /// Its URL: https://uro.example.com/portal/lobby. Or a link to its page, which has a token behind #.
    portal: Link,
    /// A token for it, if the link has none. In the environment it is not seen by others on this machine.
    #[arg(long, env = "URO_PORTAL_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// Send media to this address, in place of those that the portal names: of a relay, or of a forwarded port.
    #[arg(long, value_name = "IP:PORT")]
    media: Option<SocketAddr>,
}

impl Portal {
    fn join(self, way: Way) -> Result<Join, Failure> {
        let token = self.portal.token.or(self.token).ok_or_else(|| {
            Failure::Usage(
                "there is no token: set URO_PORTAL_TOKEN or give --token; or give the link to the portal's page, which has one".into(),
            )
        })?;
        Ok(Join {
            portal: self.portal.portal,
            token,
            way,
            media: self.media,
        })
    }
}

/// How voice travels.
#[derive(Clone, Copy, Debug, Args)]
struct Travel {
    /// By a media track, as browsers do, or by data channels, as Godot does.
    #[arg(long, value_enum, default_value = "track")]
    by: By,
    /// What a data channel carries. A track is always Opus.
    #[arg(long, value_enum, default_value = "opus")]
    codec: CodecName,
    /// The length of a frame in ms: 10 or 20.
    #[arg(long, default_value = "20", value_parser = frame)]
    frame: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Track,
    Channel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodecName {
    Opus,
    Pcm,
}

fn frame(text: &str) -> Result<u8, String> {
    match text {
        "10" => Ok(10),
        "20" => Ok(20),
        _ => Err("a frame has 10 or 20 ms".into()),
    }
}

impl Travel {
    fn voice(self) -> Result<Voice, Failure> {
        if self.by == By::Track && self.codec == CodecName::Pcm {
            return Err(Failure::Usage(
                "a track carries Opus alone: leave --codec pcm out, or add --by channel".into(),
            ));
        }
        let codec = match self.codec {
            CodecName::Opus => Codec::Opus,
            CodecName::Pcm => Codec::Pcm,
        };
        Ok(Voice::new(codec, self.frame))
    }

    /// By a track in this way, or by channels as this peer.
    fn way(self, by_track: Way, role: Role, listens: Listens) -> Result<Way, Failure> {
        let voice = self.voice()?;
        Ok(match self.by {
            By::Track => by_track,
            By::Channel => Way::Channels {
                role,
                voice,
                listens,
            },
        })
    }

    /// Of the numbers of packets that come.
    fn sequence_bits(self) -> u32 {
        match self.by {
            By::Track => 16,
            By::Channel => voice::SEQUENCE_BITS,
        }
    }
}

/// Why the program ends with another status than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Peer(#[from] Error),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Peer(Error::Http(HttpError::Refused { .. }) | Error::Unwelcome(_)) => 3,
            Self::Peer(_) | Self::Other(_) => 1,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    let filter =
        EnvFilter::try_from_env("URO_PORTAL_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let done = match program.what {
        What::Publish(publish) => publish.run().await,
        What::Listen(listen) => listen.run().await,
        What::Load(load) => load.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
