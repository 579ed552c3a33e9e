//! `discord-sim`: starts a simulator, prints one line of JSON that says where it is, and runs until it is told to end.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use clap::Parser;
use discord_sim::{Options, Sim, TlsMode};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// A guild of Discord's has room for 500 channels.
const MOST_CHANNELS: i64 = 400;
/// Each is somebody in the members' list.
const MOST_BOTS: i64 = 1_000;

/// A local Discord for development and tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve https and wss, with a certificate authority of its own, instead of http and ws.
    #[arg(long)]
    tls: bool,
    /// Serve https and wss on the same port as http and ws.
    #[arg(long, conflicts_with = "tls")]
    tls_beside: bool,
    /// How many more text channels there are: channel-1, channel-2 …
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MOST_CHANNELS))]
    channels: u16,
    /// How many more bots there are: bot-1, bot-2 …
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MOST_BOTS))]
    bots: u16,
    /// End when stdin closes, so that no test leaves one behind.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter =
        EnvFilter::try_from_env("DISCORD_SIM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "discord-sim ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let sim = Sim::start(Options {
        listen: args.listen,
        tls: match (args.tls, args.tls_beside) {
            (true, _) => TlsMode::Only,
            (false, true) => TlsMode::Beside,
            (false, false) => TlsMode::Off,
        },
        channels: args.channels,
        bots: args.bots,
    })
    .await?;
    let mut line = serde_json::to_string(sim.info())?;
    line.push('\n');
    let mut stdout = std::io::stdout();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = stdin_closed(), if args.until_stdin_closes => {}
    }
    drop(sim);
    // A read of stdin cannot be called off; it would hold up the runtime's end.
    std::process::exit(0)
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 1024];
    while !matches!(stdin.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
