#![doc = include_str!("README.md")]

mod form;
mod mp4;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_media::VideoCodec;
use uro_discord_media::assembler::{self, Assembler, Frame};

use crate::tv::timeline::Timeline;
use crate::tv::{PICTURES, SAMPLES};
use crate::video::{VideoFormat, VideoPacket};
use form::Form;

/// What Discord takes of a file.
const LARGEST: usize = 10 << 20;

/// What is kept at most. The rest is for what a file says of its frames.
const KEPT: usize = LARGEST - (256 << 10);

/// What a frame costs beside its bytes, in memory and in a file: as frames may be empty, it bounds their number.
const EACH: usize = 64;

/// After so long without a keyframe one is asked for, in microseconds.
const KEYFRAMES: i64 = 10_000_000;

/// Between two requests for a keyframe.
const ASKED: Duration = Duration::from_millis(500);

/// So long a picture after which none comes stands in a clip: as long as a camera is taken to be there. In microseconds.
const STANDS: i64 = 3_000_000;

/// A picture, as its encoder made it.
#[derive(Clone)]
struct Picture {
    /// Microseconds since the recorder began.
    at: i64,
    key: bool,
    data: Bytes,
}

/// 20 ms of Opus.
#[derive(Clone)]
struct Voice {
    at: i64,
    data: Bytes,
}

/// Why there is no clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoClip {
    /// Nothing is recorded.
    #[error("clips are off")]
    Off,
    /// Nobody showed a picture lately.
    #[error("nobody shows a picture")]
    Nothing,
    /// The picture comes as JPEG, which no clip is made of.
    #[error("the picture is JPEG")]
    Jpeg,
    /// The portal is not there any more.
    #[error("the portal is closed")]
    Closed,
    /// A fault of this.
    #[error("the clip cannot be written")]
    Fault,
}

/// A clip of what was on air.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clip {
    /// The file, of 10 MiB at most.
    pub mp4: Vec<u8>,
    /// How long it is.
    pub length: Duration,
    /// More of what was asked for is not kept: it did not fit, or no keyframe came for long.
    pub cut: bool,
}

/// What of the kept frames makes a clip.
pub(crate) struct Cut {
    form: Form,
    start: i64,
    end: i64,
    pictures: Vec<Picture>,
    voice: Vec<Voice>,
    cut: bool,
}

impl Cut {
    /// Writes the file, which takes some milliseconds for each 10 MiB.
    pub(crate) fn clip(&self) -> Result<Clip, NoClip> {
        let mp4 = mp4::write(self).map_err(|error| {
            tracing::error!(%error, "a clip cannot be written");
            NoClip::Fault
        })?;
        let length = u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(0);
        Ok(Clip {
            mp4,
            length: Duration::from_micros(length),
            cut: self.cut,
        })
    }
}

/// Keeps the last seconds of what is on air.
pub(crate) struct Recorder {
    began: Instant,
    /// The longest clip, in microseconds.
    length: i64,
    assembler: Assembler,
    pictures: Timeline,
    voices: Timeline,
    form: Option<Form>,
    /// From keyframe to keyframe.
    kept: VecDeque<Vec<Picture>>,
    heard: VecDeque<Voice>,
    /// Of both, with what each frame costs.
    bytes: usize,
    /// What was on air before this was let go of, as it did not fit, or no keyframe came for long.
    cut: Option<i64>,
    /// Nothing is kept until a keyframe.
    waits: bool,
    /// When the newest keyframe came, or one was waited for first.
    keyframe: i64,
    asks: bool,
    asked: Option<Instant>,
}

impl Recorder {
    /// Of clips that are so long at most.
    pub(crate) fn new(now: Instant, longest: Duration) -> Self {
        Self {
            began: now,
            length: micros(longest),
            assembler: Assembler::default(),
            pictures: Timeline::new(PICTURES),
            voices: Timeline::new(SAMPLES),
            form: None,
            kept: VecDeque::new(),
            heard: VecDeque::new(),
            bytes: 0,
            cut: None,
            waits: true,
            keyframe: 0,
            asks: false,
            asked: None,
        }
    }

    /// Lets go of all that it has.
    pub(crate) fn clear(&mut self, now: Instant) {
        let longest = Duration::from_micros(u64::try_from(self.length).unwrap_or_default());
        *self = Self::new(now, longest);
    }

    /// What it can keep: whatever the profile.
    pub(crate) fn formats() -> Vec<VideoFormat> {
        let format = |codec: &VideoCodec| VideoFormat {
            codec: *codec,
            profile: 0,
        };
        VideoCodec::ALL.iter().map(format).collect()
    }

    fn time(&self, now: Instant) -> i64 {
        micros(now.saturating_duration_since(self.began))
    }

    /// A packet of the picture.
    pub(crate) fn video(&mut self, now: Instant, packet: VideoPacket) {
        self.assembler.packet(
            packet.sequence,
            assembler::Packet {
                codec: packet.format.codec,
                timestamp: packet.time,
                marker: packet.marker,
                payload: packet.payload,
            },
            now,
        );
        self.assemble(now);
    }

    /// What the room says: 20 ms of Opus.
    pub(crate) fn voice(&mut self, now: Instant, time: u32, data: Bytes) {
        let at = self.voices.place(self.time(now), time);
        self.bytes = self.bytes.saturating_add(cost(&data));
        self.heard.push_back(Voice { at, data });
        self.forget(now);
    }

    /// Whether a keyframe is to be asked for. Each is asked for once.
    pub(crate) fn asks(&mut self) -> bool {
        std::mem::take(&mut self.asks)
    }

    /// When to call [`timeout`](Self::timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.assembler.overdue()
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, now: Instant) {
        self.assemble(now);
    }

    fn assemble(&mut self, now: Instant) {
        while let Some(frame) = self.assembler.poll(now) {
            self.picture(now, frame);
        }
    }

    fn ask(&mut self, now: Instant) {
        let passed = |then| now.saturating_duration_since(then);
        if self.asked.is_none_or(|then| passed(then) >= ASKED) {
            self.asked = Some(now);
            self.asks = true;
        }
    }

    fn picture(&mut self, now: Instant, frame: Frame) {
        let key = frame.codec.is_keyframe(&frame.data);
        let at = self.pictures.place(self.time(now), frame.rtp_time);
        // What is kept cannot be followed by frames of another codec either.
        let other = self
            .form
            .as_ref()
            .is_some_and(|form| form.codec() != frame.codec);
        self.waits |= frame.lost_before > 0 || other;
        if key {
            let form = Form::of(frame.codec, &frame.data);
            match (form, &self.form) {
                // It goes on with the parameters that were sent before.
                (None, Some(_)) if !other => {}
                (None, _) => return self.ask(now),
                (Some(form), before) => {
                    if before.as_ref() != Some(&form) {
                        self.begin(form);
                    }
                }
            }
            (self.waits, self.keyframe) = (false, at);
        } else if self.waits || at.saturating_sub(self.keyframe) >= KEYFRAMES {
            self.ask(now);
        }
        if self.waits {
            return;
        }
        let data = Bytes::from(frame.data);
        self.bytes = self.bytes.saturating_add(cost(&data));
        let picture = Picture { at, key, data };
        match self.kept.back_mut().filter(|_| !key) {
            Some(group) => group.push(picture),
            None => self.kept.push_back(vec![picture]),
        }
        self.forget(now);
    }

    /// Nothing of before can be in one file with what comes.
    fn begin(&mut self, form: Form) {
        self.form = Some(form);
        while self.drop_pictures() {}
        self.cut = None;
    }

    /// Lets go of the oldest keyframe, and what needs it. Whether there was one.
    fn drop_pictures(&mut self) -> bool {
        let group = self.kept.pop_front();
        for picture in group.iter().flatten() {
            self.bytes = self.bytes.saturating_sub(cost(&picture.data));
        }
        group.is_some()
    }

    fn drop_voice(&mut self, before: i64) {
        while self.heard.front().is_some_and(|voice| voice.at < before) {
            if let Some(voice) = self.heard.pop_front() {
                self.bytes = self.bytes.saturating_sub(cost(&voice.data));
            }
        }
    }

    /// Lets go of what no clip needs any more, and of what is too much.
    fn forget(&mut self, now: Instant) {
        let from = self.time(now).saturating_sub(self.length);
        if self.newest().is_none_or(|newest| newest < from) {
            self.waits |= !self.kept.is_empty();
            while self.drop_pictures() {}
            self.drop_voice(from);
        }
        loop {
            // A clip begins with a keyframe: of a camera that sends none when it is asked it would be as long as that has been.
            let oldest = self.began_at(0);
            let old = oldest.is_some_and(|at| at < from.saturating_sub(2 * KEYFRAMES));
            let gone = old || self.bytes > KEPT;
            match self.began_at(1) {
                Some(at) if gone || at <= from => {
                    if gone {
                        self.cut = Some(at);
                    }
                    self.drop_pictures();
                }
                None if gone => {
                    // No keyframe came for so much, or nothing but voice.
                    self.cut = Some(self.time(now));
                    self.drop_pictures();
                    self.waits = true;
                    self.ask(now);
                    self.drop_voice(i64::MAX);
                }
                _ => break,
            }
            if let Some(at) = self.began_at(0) {
                self.drop_voice(at);
            }
        }
    }

    /// When the keyframe came that is so many behind the oldest one.
    fn began_at(&self, place: usize) -> Option<i64> {
        Some(self.kept.get(place)?.first()?.at)
    }

    /// When the newest picture came.
    fn newest(&self) -> Option<i64> {
        Some(self.kept.back()?.last()?.at)
    }

    /// What was on air of late. `None`: no picture.
    pub(crate) fn take(&self, now: Instant, length: Duration) -> Option<Cut> {
        let now = self.time(now);
        let from = now.saturating_sub(micros(length).min(self.length));
        let newest = self.newest().filter(|newest| *newest >= from)?;
        let begins = |group: &Vec<Picture>| group.first().is_some_and(|key| key.at <= from);
        let first = self.kept.iter().rposition(begins).unwrap_or(0);
        let pictures: Vec<Picture> = self.kept.range(first..).flatten().cloned().collect();
        let start = pictures.first()?.at;
        let end = now.min(newest.saturating_add(STANDS)).max(newest);
        let within = |voice: &&Voice| (start..end).contains(&voice.at);
        Some(Cut {
            form: self.form.clone()?,
            start,
            end,
            pictures,
            voice: self.heard.iter().filter(within).cloned().collect(),
            cut: start > from && self.cut.is_some_and(|cut| cut > from),
        })
    }
}

fn cost(data: &Bytes) -> usize {
    data.len().saturating_add(EACH)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
