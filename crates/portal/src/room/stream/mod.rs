//! One participant's voice: packets in, frames of 20 ms out, each as it came (if it came so) and as samples (if somebody asks).

mod decode;
mod frame;
mod state;

use std::collections::VecDeque;

use bytes::Bytes;

use super::types::{Codec, Packet, Path, Setting};
use crate::audio::{Activity, Jitter, Moments, Numbers, Place, Warp};
use crate::codec::{self, Decoder, FRAME, toc};

/// Later than it should be by so much, it is not worth hearing any more: 120 ms.
const STALE: i64 = 5_760;

/// In a pause, by so much early or late is mended at once, by a frame more or less.
const PAUSE: (i64, i64) = (-400, 720);

/// In speech, by so much is mended slowly, by a frame's length altogether. It is more than a stream on a good network begins too late:
/// that is mended in its first pause.
const SPEECH: (i64, i64) = (-480, 1_680);

/// Packets that were not decoded and are remembered. A decoder that begins in the middle is right after so many.
const BEHIND: usize = 4;

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
    moments: Moments,
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
            moments: Moments::default(),
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
        let late = self.jitter.error(clock, self.ahead.len() / 2) + FRAME as i64;
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
        true
    }

    /// Is somebody to be heard in the frame? Decodes it, if that is to be known.
    fn judge(&mut self, listen: bool) {
        match &self.pending {
            Some(Pending::Packet(packet)) if !toc::silent(packet) => {
                let loud = self.activity.loud();
                if listen || !loud {
                    self.moments = Moments::default();
                    self.decode();
                } else if self.moments.packet(packet.len()) {
                    // Two packets later the decoder is right enough to tell how loud it is.
                    self.undecoded.clear();
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
        self.moments = Moments::default();
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
}
