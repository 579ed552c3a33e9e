//! One stream out of several: whoever alone speaks passes through as he came, several are mixed, silence is nothing; and who listens
//! hears no change from the one to the other.
//!
//! A decoder that gets another encoder's packets clicks, unless that encoder has just encoded the same sound, and in the same mode. So a new
//! encoder first encodes what was just heard, forced into the mode of the packets that passed through; and before they pass again, it
//! writes two packets in theirs. Measured (2026-11, speech, above 12 kHz against no change): +1.4 dB at most in 95 of 100 changes;
//! without that +16 to +36 dB, or the first frame 13 dB too soft.

use std::collections::BTreeMap;

use bytes::Bytes;
use uro_discord_opus::Mode;

use super::stream::Stream;
use super::types::{Codec, Format, Participant};
use crate::audio::Limiter;
use crate::codec::{self, Encoder, FRAME, Shape};

/// Packets in the mode of those to come.
const FAREWELL: u8 = 2;

/// Frames without loss before a stream passes through (again): half a second.
const CLEAN: u32 = 25;

/// Frames of one alone after which he passes through though he makes no pause: 2 s.
const LONG: u32 = 100;

/// In so many samples somebody who joins the mix is faded in, or has another gain: 5 ms.
const FADE: usize = 240;

enum State {
    Silent,
    Through(Participant),
    Mixing(Box<Mixing>),
}

struct Mixing {
    encoder: Box<dyn Encoder>,
    limiter: Limiter,
    /// Who was in the last frame, and how loud.
    gains: BTreeMap<Participant, f32>,
    /// The mode of the first packet, after others passed through.
    first: Option<Mode>,
    /// Frames of one alone.
    alone: u32,
    /// Who passes through after so many frames more.
    returning: Option<(Participant, u8)>,
}

pub(crate) struct Sink {
    format: Format,
    state: State,
    pcm: Vec<f32>,
}

impl Sink {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            state: State::Silent,
            pcm: Vec::new(),
        }
    }

    /// Another one, which goes on without some of them.
    pub(crate) fn split(&self, without: impl Fn(Participant) -> bool) -> Self {
        let state = match &self.state {
            State::Silent => State::Silent,
            State::Through(who) if without(*who) => State::Silent,
            State::Through(who) => State::Through(*who),
            State::Mixing(mixing) => State::Mixing(Box::new(Mixing {
                encoder: mixing.encoder.split(),
                limiter: mixing.limiter.clone(),
                gains: mixing.gains.clone(),
                first: mixing.first,
                alone: 0,
                returning: None,
            })),
        };
        Self {
            format: self.format,
            state,
            pcm: Vec::new(),
        }
    }

    /// Who passes through.
    pub(crate) fn through(&self) -> Option<Participant> {
        match &self.state {
            State::Through(who) => Some(*who),
            _ => None,
        }
    }

    /// Whether nothing came out of it last.
    pub(crate) fn silent(&self) -> bool {
        matches!(self.state, State::Silent)
    }

    /// The frame of this moment: no packet, one, or (of 10 ms) two.
    pub(crate) fn tick(
        &mut self,
        streams: &mut BTreeMap<Participant, Stream>,
        among: impl Fn(Participant) -> bool,
    ) -> Result<Vec<Bytes>, codec::Error> {
        let active: Vec<Participant> = streams
            .iter()
            .filter(|(who, stream)| among(**who) && stream.active())
            .map(|(who, _)| *who)
            .collect();
        if active.is_empty() {
            self.state = State::Silent;
            return Ok(Vec::new());
        }
        if let Some(raw) = self.pass(streams, &active) {
            return Ok(vec![raw]);
        }
        self.mix(streams, &active)
    }

    /// The frame as it came, if it may be.
    fn pass(
        &mut self,
        streams: &BTreeMap<Participant, Stream>,
        active: &[Participant],
    ) -> Option<Bytes> {
        if self.format.codec != Codec::Opus || self.format.frame_ms != 20 {
            return None;
        }
        let [alone] = active else {
            return None;
        };
        let stream = streams.get(alone)?;
        let raw = stream.raw()?;
        match &mut self.state {
            State::Silent => {}
            State::Through(who) if who == alone => {}
            // Whoever passed through has gone silent without a word: his last packet was some time ago.
            State::Through(who) if streams.get(who).is_none_or(|before| !before.framed()) => {}
            State::Through(_) => return None,
            State::Mixing(mixing) => {
                mixing.alone += 1;
                match &mut mixing.returning {
                    Some((who, 0)) if who == alone => {}
                    Some((who, left)) if who == alone => {
                        *left -= 1;
                        return None;
                    }
                    returning => {
                        let ready = stream.clean() >= CLEAN
                            && (stream.quiet() || mixing.alone >= LONG)
                            && mixing.gains.contains_key(alone);
                        *returning = ready.then_some((*alone, FAREWELL - 1));
                        return None;
                    }
                }
            }
        }
        self.state = State::Through(*alone);
        Some(raw.clone())
    }

    fn mix(
        &mut self,
        streams: &mut BTreeMap<Participant, Stream>,
        active: &[Participant],
    ) -> Result<Vec<Bytes>, codec::Error> {
        let mut mixing = match std::mem::replace(&mut self.state, State::Silent) {
            State::Mixing(mixing) => mixing,
            State::Silent => Box::new(Mixing::new(self.format)?),
            State::Through(who) => {
                let mut mixing = Box::new(Mixing::new(self.format)?);
                if let Some(stream) = streams.get_mut(&who).filter(|stream| stream.framed()) {
                    mixing.prime(who, stream, self.format)?;
                }
                mixing
            }
        };
        if active.len() > 1 {
            mixing.alone = 0;
            mixing.returning = None;
        }
        let mode = match mixing.returning {
            Some((who, _)) => streams.get(&who).and_then(Stream::mode),
            None => mixing.first.take(),
        };
        let mut wide = false;
        self.pcm.clear();
        self.pcm.resize(2 * FRAME, 0.0);
        let mut gains = BTreeMap::new();
        for who in active {
            let Some(stream) = streams.get_mut(who) else {
                continue;
            };
            wide |= stream.wide();
            let gain = stream.setting.gain;
            let before = mixing.gains.get(who).copied().unwrap_or(0.0);
            add(stream.pcm(), before, gain, &mut self.pcm);
            gains.insert(*who, gain);
        }
        mixing.gains = gains;
        mixing.limiter.run(&mut self.pcm);
        let packets = mixing.encode(&self.pcm, self.format, Shape { mode, wide })?;
        self.state = State::Mixing(mixing);
        Ok(packets)
    }
}

impl Mixing {
    fn new(format: Format) -> Result<Self, codec::Error> {
        Ok(Self {
            encoder: codec::encoder(format)?,
            limiter: Limiter::default(),
            gains: BTreeMap::new(),
            first: None,
            alone: 0,
            returning: None,
        })
    }

    /// Encodes what just passed through, for nobody.
    fn prime(
        &mut self,
        who: Participant,
        stream: &mut Stream,
        format: Format,
    ) -> Result<(), codec::Error> {
        let mode = stream.mode();
        let wide = stream.wide();
        for past in stream.past() {
            if past.len() == 2 * FRAME {
                let mut pcm = past.clone();
                self.limiter.run(&mut pcm);
                self.encode(&pcm, format, Shape { mode, wide })?;
            }
        }
        self.first = mode;
        self.gains.insert(who, 1.0);
        Ok(())
    }

    fn encode(
        &mut self,
        pcm: &[f32],
        format: Format,
        shape: Shape,
    ) -> Result<Vec<Bytes>, codec::Error> {
        pcm.chunks_exact(2 * 48 * usize::from(format.frame_ms))
            .map(|frame| self.encoder.encode(frame, shape))
            .collect()
    }
}

/// Adds somebody, whose gain goes from what it was to what it is.
fn add(pcm: &[f32], before: f32, gain: f32, to: &mut [f32]) {
    let step = (gain - before) / FADE as f32;
    for (n, (from, to)) in pcm.chunks_exact(2).zip(to.chunks_exact_mut(2)).enumerate() {
        let gain = if n < FADE {
            before + step * n as f32
        } else {
            gain
        };
        to[0] += from[0] * gain;
        to[1] += from[1] * gain;
    }
}
