//! What somebody hears, and waiting for it.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, time::timeout};
use uro_portal_peer::{codec::Decoder, signal, source::from_pcm};

/// On however busy a machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// By so many samples, 0.1 s, a tone is judged: on a machine with other work, somebody is late now and then, and what was mended has
/// another phase.
pub const JUDGED: usize = 4_800;

/// A stream of voice.
pub struct Stream {
    decoder: Decoder,
    pub samples: Vec<f32>,
    pub packets: u64,
}

/// All that somebody hears, and what they are told beside it.
pub struct Heard<Told> {
    pub streams: BTreeMap<u32, Stream>,
    pub told: Vec<Told>,
    /// When it has ended.
    pub over: bool,
}

impl<Told> Default for Heard<Told> {
    fn default() -> Self {
        Self {
            streams: BTreeMap::new(),
            told: Vec::new(),
            over: false,
        }
    }
}

impl<Told> Heard<Told> {
    /// A packet came; samples are `None` for Opus.
    pub fn packet(&mut self, speaker: u32, payload: &[u8], pcm: bool) {
        let stream = self.streams.entry(speaker).or_insert_with(|| Stream {
            decoder: Decoder::new().unwrap(),
            samples: Vec::new(),
            packets: 0,
        });
        stream.packets += 1;
        if pcm {
            stream.samples.extend(from_pcm(payload));
        } else {
            stream
                .samples
                .extend(stream.decoder.decode(payload).unwrap());
        }
        let old = stream.samples.len().saturating_sub(JUDGED);
        stream.samples.drain(..old);
    }

    /// The share of a tone in what a speaker said last.
    pub fn share(&self, speaker: u32, hertz: f64) -> f64 {
        match self.streams.get(&speaker) {
            Some(stream) if stream.samples.len() == JUDGED => signal::share(&stream.samples, hertz),
            _ => 0.0,
        }
    }
}

/// Waits until this is so.
pub async fn until<Told>(
    heard: &watch::Receiver<Heard<Told>>,
    what: &str,
    mut so: impl FnMut(&Heard<Told>) -> bool,
) {
    let mut heard = heard.clone();
    let waited = timeout(PATIENCE, heard.wait_for(|heard| so(heard)))
        .await
        .map(|known| known.is_ok());
    if waited != Ok(true) {
        let heard = heard.borrow();
        let streams: Vec<_> = heard
            .streams
            .iter()
            .map(|(speaker, stream)| {
                let level = signal::level(&stream.samples);
                format!("{speaker}: {} packets, {level:.1} dB", stream.packets)
            })
            .collect();
        panic!(
            "{what} did not come; heard were {streams:?}; over: {}",
            heard.over
        );
    }
}
