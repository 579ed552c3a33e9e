//! From packets to samples, when somebody wants them.

use super::{Pending, Stream};
use crate::audio::{QUIET, level};
use crate::codec::{self, Decoder, FRAME};

impl Stream {
    /// Brings the decoder to where we are.
    pub(super) fn catch_up(&mut self) {
        for packet in std::mem::take(&mut self.undecoded) {
            self.pcm.clear();
            let mut pcm = std::mem::take(&mut self.pcm);
            self.into(&packet, FRAME, &mut pcm);
            self.pcm = pcm;
            self.remember();
        }
    }

    /// Decodes the frame.
    pub(super) fn decode(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.catch_up();
        self.pcm.clear();
        let mut pcm = std::mem::take(&mut self.pcm);
        match pending {
            Pending::Packet(packet) => self.into(&packet, FRAME, &mut pcm),
            Pending::Nothing => self.conceal(FRAME, None, &mut pcm),
        }
        self.pcm = pcm;
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        let level = level(&self.pcm);
        self.quiet = level < QUIET;
        if self.judged {
            self.activity.observed(level);
        } else {
            self.activity.heard(level);
            self.judged = true;
        }
    }

    /// Decodes a packet, of which so many samples are expected, whatever it says.
    pub(super) fn into(&mut self, packet: &[u8], samples: usize, pcm: &mut Vec<f32>) {
        let from = pcm.len();
        let decoded = match self.decoder() {
            Some(decoder) => decoder.decode(packet, pcm).ok(),
            None => None,
        };
        if decoded.is_none() {
            self.stats.dropped += 1;
            self.conceal(samples, None, pcm);
        }
        pcm.resize(from + 2 * samples, 0.0);
    }

    pub(super) fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<f32>) {
        let end = pcm.len() + 2 * samples;
        if let Some(decoder) = self.decoder() {
            decoder.conceal(samples, next, pcm);
        }
        pcm.resize(end, 0.0);
    }

    fn decoder(&mut self) -> Option<&mut Box<dyn Decoder>> {
        if self.decoder.is_none() {
            self.decoder = codec::decoder(self.codec).ok();
        }
        self.decoder.as_mut()
    }
}
