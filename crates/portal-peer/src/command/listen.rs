//! `uro-portal-peer listen`

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use tokio::time::interval;
use uro_portal_peer::{
    Gaps, Happened, Packet, Peer, Way,
    codec::Decoder,
    control::{Codec, FromPortal, Listens, Role, Voice},
    recording::Recording,
    signal::level,
    source::from_pcm,
};

use super::{End, One};
use crate::{By, CodecName, Failure};

#[derive(Debug, Args)]
pub(crate) struct Listen {
    #[command(flatten)]
    one: One,
    /// Hear each speaker by himself, with names; by data channels only.
    #[arg(long)]
    each: bool,
    /// Write the mix into an Ogg Opus file.
    #[arg(long, value_name = "FILE", conflicts_with = "each")]
    write: Option<PathBuf>,
}

impl Listen {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let travel = self.one.travel;
        let format = travel.voice()?;
        if self.each && travel.by == By::Track {
            return Err(Failure::Usage(
                "a track carries the mix: add --by channel to hear each".into(),
            ));
        }
        if self.write.is_some() && travel.codec == CodecName::Pcm {
            return Err(Failure::Usage(
                "an Ogg Opus file wants Opus: leave --codec pcm out".into(),
            ));
        }
        let listens = if self.each {
            Listens::Each
        } else {
            Listens::Mix
        };
        let way = travel.way(Way::Watch, Role::Listener, listens)?;
        let recording = match &self.write {
            Some(path) => Some(record(path)?),
            None => None,
        };
        let mut end = End::new()?;
        let Some(mut peer) = self.one.join(way, &mut end).await? else {
            return Ok(());
        };
        let mut ears = Ears {
            format,
            bits: travel.sequence_bits(),
            heard: BTreeMap::new(),
            names: BTreeMap::new(),
            recording,
        };
        let listened = ears.listen(&mut peer, &mut end).await;
        let left = peer.leave().await;
        if let Some(recording) = ears.recording.take() {
            recording.finish().map_err(write_failed)?;
        }
        listened?;
        Ok(left?)
    }
}

fn record(path: &PathBuf) -> Result<Recording<BufWriter<File>>, Failure> {
    File::create(path)
        .and_then(|file| Recording::new(BufWriter::new(file)))
        .map_err(|error| Failure::Other(format!("{}: {error}", path.display())))
}

fn write_failed(error: io::Error) -> Failure {
    Failure::Other(format!("the file could not be written: {error}"))
}

/// What was heard of a speaker.
struct Heard {
    decoder: Decoder,
    gaps: Gaps,
    /// Since the last line.
    samples: Vec<f32>,
    packets: u64,
    lost: u64,
}

struct Ears {
    format: Voice,
    bits: u32,
    heard: BTreeMap<u32, Heard>,
    names: BTreeMap<u32, String>,
    recording: Option<Recording<BufWriter<File>>>,
}

impl Ears {
    async fn listen(&mut self, peer: &mut Peer, end: &mut End) -> Result<(), Failure> {
        let mut lines = interval(Duration::from_secs(1));
        lines.tick().await;
        loop {
            tokio::select! {
                happened = peer.next() => match happened {
                    Some(Happened::Packet(packet)) => self.hear(&packet)?,
                    Some(Happened::Said(said)) => self.told(said)?,
                    Some(Happened::Ended(reason)) => return Err(uro_portal_peer::Error::Ended(reason).into()),
                    None => return Ok(()),
                },
                _ = lines.tick() => self.print(),
                () = end.comes() => return Ok(()),
            }
        }
    }

    fn hear(&mut self, packet: &Packet) -> Result<(), Failure> {
        let codec = |error| Failure::Other(format!("Opus: {error}"));
        let heard = match self.heard.entry(packet.speaker) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Heard {
                decoder: Decoder::new().map_err(codec)?,
                gaps: Gaps::of_bits(self.bits),
                samples: Vec::new(),
                packets: 0,
                lost: 0,
            }),
        };
        heard.gaps.came(packet.sequence);
        if packet.payload.is_empty() {
            return Ok(());
        }
        match self.format.codec {
            // What a speaker sends is not always right.
            Codec::Opus => heard
                .samples
                .extend(heard.decoder.decode(&packet.payload).unwrap_or_default()),
            Codec::Pcm => heard.samples.extend(from_pcm(&packet.payload)),
        }
        if let Some(recording) = &mut self.recording {
            let samples = self.format.samples();
            let time = packet
                .time
                .unwrap_or_else(|| packet.sequence.wrapping_mul(samples));
            recording
                .write(time, &packet.payload)
                .map_err(write_failed)?;
        }
        Ok(())
    }

    fn told(&mut self, said: FromPortal) -> Result<(), Failure> {
        match said {
            FromPortal::Roster { speakers } => {
                self.names = speakers
                    .into_iter()
                    .map(|speaker| (speaker.id, speaker.name))
                    .collect();
                let names: Vec<&str> = self.names.values().map(String::as_str).collect();
                println!("in the call: {}", names.join(", "));
            }
            FromPortal::Speaking { id, speaking } => {
                println!(
                    "{} {}",
                    self.name(id),
                    if speaking { "speaks" } else { "is silent" }
                );
            }
            FromPortal::Error { code, message } => eprintln!("{code}: {message}"),
            FromPortal::Bye { reason } => {
                return Err(uro_portal_peer::Error::Unwelcome(reason).into());
            }
            FromPortal::Welcome { .. } | FromPortal::Unknown => {}
        }
        Ok(())
    }

    fn name(&self, id: u32) -> String {
        match (id, self.names.get(&id)) {
            (0, _) => "the mix".into(),
            (_, Some(name)) => name.clone(),
            (id, None) => format!("speaker {id}"),
        }
    }

    /// A line for each of whom anything came.
    fn print(&mut self) {
        let names: BTreeMap<u32, String> =
            self.heard.keys().map(|id| (*id, self.name(*id))).collect();
        for (id, heard) in &mut self.heard {
            let (packets, lost) = (heard.gaps.received(), heard.gaps.lost());
            let new = packets.saturating_sub(heard.packets);
            if new > 0 {
                println!(
                    "{:<24} {:>6.1} dB   {new} packets, {} lost",
                    names[id],
                    level(&heard.samples),
                    lost.saturating_sub(heard.lost)
                );
            }
            (heard.packets, heard.lost) = (packets, lost);
            heard.samples.clear();
        }
    }
}
