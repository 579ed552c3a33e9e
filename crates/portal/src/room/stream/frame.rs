//! A frame out of packets: one of 20 ms, two of 10 ms, or what is decoded of others.

use bytes::Bytes;

use super::super::types::Codec;
use super::{Pending, Stream};
use crate::audio::Slot;
use crate::codec::{FRAME, toc};

/// How many samples of a frame that takes at a time: eight thousandths, or 14 cents of pitch, for 2.4 s. No listeners were asked.
const BEND: i32 = 8;

/// A packet that is longer does not pass: Discord's voice servers take datagrams of about 1,200 bytes.
const MAX_RAW: usize = 1_100;

/// Two of these are a frame.
const HALF: usize = FRAME / 2;

/// Samples of both channels in a frame.
const BOTH: usize = 2 * FRAME;

impl Stream {
    /// A frame that did not come: whoever decodes makes it up.
    pub(super) fn nothing(&mut self) {
        self.raw = toc::nothing(&self.last).filter(|_| self.codec == Codec::Opus);
        self.pending = Some(Pending::Nothing);
        self.framed = true;
        if self.raw.is_none() {
            self.decode();
        }
    }

    pub(super) fn assemble(&mut self) {
        if self.ahead.is_empty() && self.owed == 0 && self.untouched() {
            return;
        }
        while self.ahead.len() < BOTH {
            if !self.more() {
                return;
            }
        }
        self.pcm.clear();
        self.pcm.extend(self.ahead.drain(..BOTH));
        self.framed = true;
        self.settle();
    }

    /// Makes the frame of a packet of 20 ms, or of two of 10 ms. Says whether that could be.
    fn untouched(&mut self) -> bool {
        let Some((packet, samples)) = self.jitter.peek() else {
            return false;
        };
        let after = self.jitter.after();
        match (samples, after) {
            (FRAME, _) if packet.is_empty() => {
                self.jitter.pop(FRAME);
                self.nothing();
            }
            (FRAME, _) => {
                let packet = packet.clone();
                self.jitter.pop(FRAME);
                self.whole(packet);
            }
            (HALF, Some((second, HALF))) if packet.is_empty() && second.is_empty() => {
                self.jitter.pop(FRAME);
                self.jitter.pop(FRAME);
                self.nothing();
            }
            (HALF, Some((second, HALF))) if self.codec == Codec::Opus => {
                let Some(pair) = toc::pair(packet, second) else {
                    return false;
                };
                self.jitter.pop(FRAME);
                self.jitter.pop(FRAME);
                self.whole(pair);
            }
            _ => return false,
        }
        true
    }

    /// A packet that is a frame.
    fn whole(&mut self, packet: Bytes) {
        self.framed = true;
        self.last = packet.clone();
        if self.codec == Codec::Opus {
            self.wide = toc::stereo(&packet);
            self.raw = Some(packet.clone()).filter(|raw| raw.len() <= MAX_RAW);
        }
        self.pending = Some(Pending::Packet(packet));
        if self.raw.is_none() {
            self.decode();
        }
    }

    /// Decodes one more packet, or makes one up. Says whether there is more.
    fn more(&mut self) -> bool {
        self.catch_up();
        let mut pcm = Vec::new();
        let alone = self.ahead.is_empty() && self.owed == 0;
        let made_up = if alone { FRAME } else { HALF };
        match self.jitter.pop(made_up) {
            Slot::Packet { payload, samples } if payload.is_empty() => {
                // What was said fades.
                self.conceal(samples, None, &mut pcm);
            }
            Slot::Packet { payload, samples } => {
                self.wide = toc::stereo(&payload) && self.codec == Codec::Opus;
                self.into(&payload, samples, &mut pcm);
                self.last = payload;
            }
            Slot::Lost { samples, next } => {
                self.clean = 0;
                self.stats.concealed_ms += (samples / 48) as u64;
                self.conceal(samples, next.as_deref(), &mut pcm);
            }
            Slot::Starved if alone => {
                self.stats.concealed_ms += 20;
                self.nothing();
                return false;
            }
            Slot::Starved => {
                self.stats.concealed_ms += 10;
                self.conceal(made_up, None, &mut pcm);
            }
            Slot::End => return false,
        }
        let samples = pcm.len() / 2;
        let bend = if samples >= HALF {
            self.owed.clamp(-BEND, BEND)
        } else {
            0
        };
        self.owed -= bend;
        let count = usize::try_from(samples as i32 - bend).unwrap_or(samples);
        self.warp.run(&pcm, count, &mut self.ahead);
        true
    }
}
