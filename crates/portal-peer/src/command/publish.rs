//! `uro-portal-peer publish`

use std::{fs::File, io::BufReader, path::PathBuf, time::Duration};

use clap::Args;
use tokio::time::{MissedTickBehavior, interval};
use uro_portal_peer::{
    Happened, Peer, Way,
    control::{FromPortal, Listens, Role, Voice},
    recording,
    signal::Signal,
    source::Source,
};

use super::{End, One};
use crate::{By, Failure};

#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    what: What,
    /// Begin the file anew at its end.
    #[arg(long, requires = "file")]
    repeat: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// An Ogg Opus file with packets of 10 or 20 ms.
    #[arg(long)]
    file: Option<PathBuf>,
    /// A tone of so many Hz.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u16).range(20..=20_000))]
    tone: Option<u16>,
    /// Something like speech, with pauses.
    #[arg(long)]
    speech: bool,
}

impl Publish {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let travel = self.one.travel;
        let voice = travel.voice()?;
        let mut source = self.source(voice)?;
        let way = travel.way(Way::Publish, Role::World, Listens::Nothing)?;
        let mut end = End::new()?;
        let Some(mut peer) = self.one.join(way, &mut end).await? else {
            return Ok(());
        };
        let spoken = speak(&mut peer, &mut source, voice, &mut end).await;
        let left = peer.leave().await;
        spoken?;
        Ok(left?)
    }

    fn source(&self, voice: Voice) -> Result<Source, Failure> {
        let codec = |error| Failure::Other(format!("Opus: {error}"));
        if let Some(path) = &self.what.file {
            let wrong = |error: recording::FileError| {
                Failure::Other(format!("{}: {error}", path.display()))
            };
            let file = File::open(path).map_err(|error| wrong(error.into()))?;
            let packets = recording::read(BufReader::new(file)).map_err(wrong)?;
            let other = packets
                .iter()
                .find(|(samples, _)| *samples != voice.samples());
            if let (Some((samples, _)), By::Channel, uro_portal_peer::control::Codec::Opus) =
                (other, self.one.travel.by, voice.codec)
            {
                return Err(Failure::Usage(format!(
                    "{} has packets of {} ms: add --frame {1}",
                    path.display(),
                    samples / 48
                )));
            }
            return Source::file(packets, self.repeat, voice).map_err(codec);
        }
        let signal = match self.what.tone {
            Some(hertz) => Signal::tone(hertz.into()),
            None => Signal::speech(1),
        };
        Source::signal(signal, voice).map_err(codec)
    }
}

/// Speaks until the source or the time ends.
async fn speak(
    peer: &mut Peer,
    source: &mut Source,
    voice: Voice,
    end: &mut End,
) -> Result<(), Failure> {
    let mut pace = interval(Duration::from_millis(voice.frame_ms.into()));
    // A late frame does not delay those after it.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // Of a file's longer packets, what the ticks have not caught up with.
    let mut ahead = 0;
    loop {
        tokio::select! {
            _ = pace.tick() => {
                if ahead >= voice.samples() {
                    ahead -= voice.samples();
                    continue;
                }
                let frame = source.frame().map_err(|error| Failure::Other(format!("Opus: {error}")))?;
                let Some((samples, payload)) = frame else { return Ok(()) };
                ahead += samples.saturating_sub(voice.samples());
                peer.speak(samples, payload).await?;
            }
            happened = peer.next() => match happened {
                Some(Happened::Said(FromPortal::Error { code, message })) => eprintln!("{code}: {message}"),
                Some(Happened::Said(FromPortal::Bye { reason })) => {
                    return Err(uro_portal_peer::Error::Unwelcome(reason).into());
                }
                Some(Happened::Ended(reason)) => return Err(uro_portal_peer::Error::Ended(reason).into()),
                Some(_) | None => {}
            },
            () = end.comes() => return Ok(()),
        }
    }
}
