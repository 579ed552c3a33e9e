//! What others ask of a stream.

use std::collections::VecDeque;

use bytes::Bytes;
use uro_discord_opus::Mode;

use super::super::types::Codec;
use super::Stream;

impl Stream {
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
