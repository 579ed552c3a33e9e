//! One participant's voice: packets in, frames of 20 ms out, each as it came (if it came so) and as samples (if somebody asks).

use std::collections::VecDeque;

use bytes::Bytes;
use uro_discord_opus::Mode;

use super::types::{Codec, Packet, Path, Setting};
use crate::audio::{Activity, Jitter, Numbers, Place, QUIET, Slot, Warp, level};
use crate::codec::{self, Decoder, FRAME, toc};

/// Later than it should be by so much, it is not worth hearing any more: 120 ms.
const STALE: i64 = 5_760;

/// In a pause, by so much early or late is mended at once, by a frame more or less.
const PAUSE: (i64, i64) = (-400, 720);

/// In speech, by so much is mended slowly, by a frame's length altogether.
const SPEECH: (i64, i64) = (-480, 960);

/// How many samples of a frame that takes at a time: four thousandths, which nobody hears.
const BEND: i32 = 4;

/// A packet that is longer does not pass: Discord's voice servers take datagrams of about 1,200 bytes.
const MAX_RAW: usize = 1_100;

/// Packets that were not decoded and are remembered. A decoder that begins in the middle is right after so many.
const BEHIND: usize = 4;

/// A stream that nobody decodes is listened to for a moment, each half second.
const LISTEN: (u32, u32) = (25, 3);

/// Two of these are a frame.
const HALF: usize = FRAME / 2;

/// Samples of both channels in a frame.
const BOTH: usize = 2 * FRAME;

/// What a frame holds that is not decoded yet.
#[derive(Debug)]
enum Pending {
    Packet(Bytes),
    /// Nothing came; it may only be late.
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) packets: u64,
    pub(crate) concealed_ms: u64,
    pub(crate) dropped: u64,
}

pub(crate) struct Stream {
    codec: Codec,
    numbers: Numbers,
    /// When the last packet was spoken: its number, its carrier's time, and this without wrapping.
    spoken: Option<(i64, u32, i64)>,
    pub(crate) jitter: Jitter,
    decoder: Option<Box<dyn Decoder>>,
    activity: Activity,
    pub(crate) setting: Setting,
    pub(crate) path: Path,
    pub(crate) stats: Stats,
    /// When something last came.
    pub(crate) heard: i64,
    /// Samples that were decoded and are not played.
    ahead: Vec<f32>,
    warp: Warp,
    /// How many samples are to be left out (or, negative, put in) until the clocks agree.
    owed: i32,
    /// There is a frame.
    framed: bool,
    raw: Option<Bytes>,
    pending: Option<Pending>,
    pcm: Vec<f32>,
    /// The two frames before this one.
    past: [Vec<f32>; 2],
    /// Packets before this one that were not decoded.
    undecoded: VecDeque<Bytes>,
    frames: u32,
    /// Frames since one was made up.
    clean: u32,
    quiet: bool,
    /// Whether somebody is heard in the frame is known.
    judged: bool,
    wide: bool,
    last: Bytes,
}

impl Stream {
    pub(crate) fn new(codec: Codec, setting: Setting) -> Self {
        Self {
            codec,
            numbers: Numbers::default(),
            spoken: None,
            jitter: Jitter::default(),
            decoder: None,
            activity: Activity::default(),
            setting,
            path: Path::Unheard,
            stats: Stats::default(),
            heard: 0,
            ahead: Vec::new(),
            warp: Warp::default(),
            owed: 0,
            framed: false,
            raw: None,
            pending: None,
            pcm: Vec::new(),
            past: [Vec::new(), Vec::new()],
            undecoded: VecDeque::new(),
            frames: 0,
            clean: 0,
            quiet: true,
            judged: false,
            wide: false,
            last: Bytes::new(),
        }
    }

    /// A packet came. Says its number and when it was spoken, unless it is to be forgotten.
    pub(crate) fn arrive(
        &mut self,
        clock: i64,
        packet: &Packet,
        frame: usize,
    ) -> Option<(i64, i64)> {
        self.stats.packets += 1;
        self.heard = clock;
        let place = self.numbers.place(packet.sequence);
        let (Place::At(number) | Place::Restart(number)) = place else {
            self.stats.dropped += 1;
            return None;
        };
        if matches!(place, Place::Restart(_)) {
            self.jitter.restart();
            self.spoken = None;
        }
        let media = match (packet.time, self.spoken) {
            (None, _) => number * frame as i64,
            (Some(_), None) => 0,
            (Some(time), Some((_, last, media))) => {
                media + i64::from(time.wrapping_sub(last).cast_signed())
            }
        };
        if self.spoken.is_none_or(|(newest, ..)| number > newest) {
            self.spoken = Some((number, packet.time.unwrap_or(0), media));
        }
        Some((number, media))
    }

    /// Keeps what [`arrive`](Self::arrive) took, to be played.
    pub(crate) fn keep(
        &mut self,
        clock: i64,
        (number, media): (i64, i64),
        packet: Packet,
        frame: usize,
    ) {
        let samples = if packet.payload.is_empty() {
            Some(frame)
        } else {
            codec::samples(self.codec, &packet.payload)
        };
        match samples {
            Some(samples) => {
                let timed = packet.time.is_some();
                self.jitter
                    .push(clock, number, media, timed, (packet.payload, samples));
            }
            None => self.stats.dropped += 1,
        }
    }

    /// It is not kept, and somebody speaks, or does not.
    pub(crate) fn passed(&mut self, payload: &[u8]) {
        self.activity.unknown();
        if !toc::silent(payload) {
            self.activity.assumed();
        }
    }

    /// Makes the frame of this moment, if there is one. With `listen` it is decoded whoever wants it.
    pub(crate) fn pull(&mut self, clock: i64, listen: bool) -> bool {
        self.put_by();
        let was = self.jitter.playing();
        if !self.jitter.begin(clock) {
            self.stop();
            return false;
        }
        if !was {
            self.begin();
        }
        let paused = self.quiet;
        if !self.adjust(clock) {
            self.assemble();
        }
        self.judge(listen);
        let late = self.jitter.error(clock, self.ahead.len() / 2) - FRAME as i64;
        if paused && self.quiet && late > PAUSE.1 && self.jitter.peek().is_some() {
            // One frame of the pause less.
            self.put_by();
            self.assemble();
            self.judge(listen);
        }
        if !self.framed {
            self.stop();
            return false;
        }
        self.clean = self.clean.saturating_add(1);
        self.frames = self.frames.wrapping_add(1);
        true
    }

    /// Is somebody to be heard in the frame? Decodes it, if that is to be known.
    fn judge(&mut self, listen: bool) {
        match &self.pending {
            Some(Pending::Packet(packet)) if !toc::silent(packet) => {
                let turn = self.frames % LISTEN.0 < LISTEN.1;
                if listen || turn || !self.activity.loud() {
                    if turn && !listen {
                        // Two packets later the decoder is right enough to tell how loud it is.
                        self.undecoded.clear();
                    }
                    self.decode();
                } else {
                    self.quiet = false;
                    self.activity.assumed();
                    self.judged = true;
                }
            }
            Some(_) => {
                self.quiet = true;
                self.activity.nothing();
                self.judged = true;
            }
            None => {}
        }
    }

    fn begin(&mut self) {
        self.ahead.clear();
        self.owed = 0;
        self.frames = 0;
        self.quiet = true;
    }

    fn stop(&mut self) {
        self.framed = false;
        self.ahead.clear();
        self.activity.nothing();
    }

    /// The frame that was becomes one of those before.
    fn put_by(&mut self) {
        self.judged = false;
        if !std::mem::take(&mut self.framed) {
            return;
        }
        self.raw = None;
        match self.pending.take() {
            None => self.remember(),
            Some(Pending::Packet(packet)) => {
                self.undecoded.push_back(packet);
                if self.undecoded.len() > BEHIND {
                    self.undecoded.pop_front();
                }
            }
            Some(Pending::Nothing) => {}
        }
    }

    fn remember(&mut self) {
        self.past.swap(0, 1);
        std::mem::swap(&mut self.past[1], &mut self.pcm);
    }

    /// Keeps us where we should be. Says whether that made a frame.
    fn adjust(&mut self, clock: i64) -> bool {
        let late = self.jitter.error(clock, self.ahead.len() / 2);
        let rest = self.ahead.len() / 2 % FRAME;
        if late > STALE {
            self.ahead.clear();
            self.owed = 0;
            self.jitter.catch_up(clock);
        } else if self.owed != 0 {
        } else if rest > 0 && self.jitter.usual() <= FRAME {
            // Frames begin where packets begin again, in a pause at once.
            if late < 0 {
                self.owed = rest as i32 - FRAME as i32;
            } else if self.quiet {
                self.ahead.clear();
            } else {
                self.owed = rest as i32;
            }
        } else if self.quiet && self.ahead.is_empty() && late < PAUSE.0 {
            self.nothing();
            return true;
        } else if late > SPEECH.1 {
            self.owed = FRAME as i32;
        } else if late < SPEECH.0 {
            self.owed = -(FRAME as i32);
        }
        false
    }

    /// A frame that did not come: whoever decodes makes it up.
    fn nothing(&mut self) {
        self.raw = toc::nothing(&self.last).filter(|_| self.codec == Codec::Opus);
        self.pending = Some(Pending::Nothing);
        self.framed = true;
        if self.raw.is_none() {
            self.decode();
        }
    }

    fn assemble(&mut self) {
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

    /// Brings the decoder to where we are.
    fn catch_up(&mut self) {
        for packet in std::mem::take(&mut self.undecoded) {
            self.pcm.clear();
            let mut pcm = std::mem::take(&mut self.pcm);
            self.into(&packet, FRAME, &mut pcm);
            self.pcm = pcm;
            self.remember();
        }
    }

    /// Decodes the frame.
    fn decode(&mut self) {
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

    fn settle(&mut self) {
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
    fn into(&mut self, packet: &[u8], samples: usize, pcm: &mut Vec<f32>) {
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

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<f32>) {
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

    /// Gives up what it can make anew.
    pub(crate) fn rest(&mut self) {
        self.decoder = None;
        self.undecoded = VecDeque::new();
        self.past = [Vec::new(), Vec::new()];
        self.pcm = Vec::new();
        self.ahead = Vec::new();
    }

    /// Whether the next tick has something to do here.
    pub(crate) fn busy(&self) -> bool {
        self.played() || self.activity.speaking()
    }

    /// Whether there is a frame of somebody who speaks and may be heard.
    pub(crate) fn active(&self) -> bool {
        self.framed && self.activity.speaking() && !self.setting.muted
    }

    /// Whether there is a frame.
    pub(crate) fn framed(&self) -> bool {
        self.framed
    }

    pub(crate) fn speaking(&self) -> bool {
        self.activity.speaking() && !self.setting.muted
    }

    pub(crate) fn level(&self) -> Option<f32> {
        self.activity.level()
    }

    /// Whether its packets are played, not only passed on.
    pub(crate) fn played(&self) -> bool {
        self.jitter.playing() || !self.jitter.is_empty()
    }

    /// Samples that wait to be played.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.len() / 2
    }

    /// Whether there is nothing to give up.
    pub(crate) fn rests(&self) -> bool {
        self.decoder.is_none()
    }

    /// The frame as it came: a packet of Opus.
    pub(crate) fn raw(&self) -> Option<&Bytes> {
        self.raw.as_ref().filter(|_| self.setting.gain == 1.0)
    }

    /// The mode of the packets around.
    pub(crate) fn mode(&self) -> Option<Mode> {
        Mode::of(&self.last).filter(|_| self.codec == Codec::Opus)
    }

    /// The frame's samples.
    pub(crate) fn pcm(&mut self) -> &[f32] {
        self.decode();
        &self.pcm
    }

    /// The samples of the two frames before.
    pub(crate) fn past(&mut self) -> &[Vec<f32>; 2] {
        self.decode();
        &self.past
    }

    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn clean(&self) -> u32 {
        self.clean
    }

    pub(crate) fn wide(&self) -> bool {
        self.wide
    }
}
