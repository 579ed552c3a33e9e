//! A speaker of Discord's, as peers hear him who hear each: his packets untouched where they may be, else written anew, once for each
//! format.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::stream::Stream;
use super::types::{Codec, DiscordMember, Format};
use crate::codec::{self, Encoder, FRAME, Shape};

/// Speaker ids of Discord's begin here: V-Sekai's own peers have others.
const IDS: u32 = 0x7F00_0000;

pub(crate) struct Speaker {
    pub(crate) slot: u32,
    pub(crate) member: DiscordMember,
    /// He sends packets that are not of 20 ms.
    pub(crate) odd: bool,
    outs: BTreeMap<Format, Out>,
}

/// A packet for the peers of one format.
pub(crate) struct Sent {
    pub(crate) sequence: u32,
    pub(crate) time: u32,
    pub(crate) samples: u16,
    pub(crate) payload: Bytes,
}

#[derive(Default)]
struct Out {
    encoder: Option<Box<dyn Encoder>>,
    /// The next packet's.
    sequence: u32,
    /// When the last packet began.
    time: i64,
    /// What passes through has numbers and times of its own: those of one packet, and ours.
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy)]
struct Anchor {
    number: i64,
    media: i64,
    sequence: u32,
    time: i64,
}

impl Speaker {
    pub(crate) fn new(slot: u32, member: DiscordMember) -> Self {
        Self {
            slot,
            member,
            odd: false,
            outs: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        IDS + self.slot
    }

    /// Whether a peer of this format hears his packets as they come.
    pub(crate) fn passes(&self, stream: &Stream, format: Format) -> bool {
        format.codec == Codec::Opus
            && format.frame_ms == 20
            && !self.odd
            && stream.setting.gain == 1.0
    }

    /// A packet that passes through.
    pub(crate) fn pass(
        &mut self,
        clock: i64,
        format: Format,
        (number, media): (i64, i64),
        payload: Bytes,
    ) -> Sent {
        let out = self.outs.entry(format).or_default();
        out.encoder = None;
        let near = |anchor: &Anchor| {
            let time = anchor.time + (media - anchor.media);
            // A clock of his that was set, or began anew.
            (time - clock).abs() < 48_000
        };
        let anchor = out.anchor.filter(near).unwrap_or(Anchor {
            number,
            media,
            sequence: out.sequence,
            time: clock.max(out.time + FRAME as i64),
        });
        out.anchor = Some(anchor);
        let sequence = anchor
            .sequence
            .wrapping_add((number - anchor.number) as u32);
        let time = anchor.time + (media - anchor.media);
        if time >= out.time {
            out.time = time;
            out.sequence = sequence.wrapping_add(1);
        }
        Sent {
            sequence,
            time: time as u32,
            samples: FRAME as u16,
            payload,
        }
    }

    /// His frame of this moment in a format that he does not have.
    pub(crate) fn write(
        &mut self,
        clock: i64,
        format: Format,
        stream: &mut Stream,
    ) -> Result<Vec<Sent>, codec::Error> {
        let gain = stream.setting.gain;
        let shape = Shape {
            mode: None,
            wide: stream.wide(),
        };
        let mut pcm = stream.pcm().to_vec();
        for sample in &mut pcm {
            *sample = (*sample * gain).clamp(-1.0, 1.0);
        }
        let out = self.outs.entry(format).or_default();
        out.anchor = None;
        let encoder = match &mut out.encoder {
            Some(encoder) => encoder,
            none => none.insert(codec::encoder(format)?),
        };
        let samples = 48 * u16::from(format.frame_ms);
        let frames = pcm.chunks_exact(2 * usize::from(samples));
        let mut sent = Vec::new();
        for (clock, frame) in (clock..).step_by(usize::from(samples)).zip(frames) {
            let payload = encoder.encode(frame, shape)?;
            out.time = clock.max(out.time + i64::from(samples));
            sent.push(Sent {
                sequence: out.sequence,
                time: out.time as u32,
                samples,
                payload,
            });
            out.sequence = out.sequence.wrapping_add(1);
        }
        Ok(sent)
    }

    /// Forgets the encoders; the numbers go on.
    pub(crate) fn rest(&mut self) {
        for out in self.outs.values_mut() {
            out.encoder = None;
        }
    }
}
