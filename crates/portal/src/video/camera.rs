//! What came of a camera lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uro_discord_media::sequence::nearest;
use uro_discord_media::vp8;

use super::pace::Meter;
use super::{CameraHealth, Jpeg, LARGEST, VideoFormat, VideoPacket};
use crate::room::PeerId;
use crate::tv::message::JPEG;

/// Layers of a camera. Browsers have three; a camera that begins anew has another stream.
const LAYERS: usize = 6;

/// Packets of a layer that are kept: some seconds of 2 Mbit/s, and 1.4 MB at most.
const KEPT: usize = 1_024;

/// A jump further than this is a new beginning, such as after a sender's restart.
pub(super) const JUMP: u64 = 3_000;

/// The first packet's number, so that there is room before it.
const ORIGIN: u64 = 1 << 32;

/// A layer of which nothing comes for so long has ended. A picture that stands still comes slowly.
const ENDED: Duration = Duration::from_secs(3);

/// So does one of which nothing comes while others do: a publisher whose link is full sends the small ones only.
const LAGS: Duration = Duration::from_secs(1);

/// A whole picture is shown for so long where none comes after it.
const OLD: Duration = Duration::from_secs(10);

/// Between two requests for a keyframe: at least, and at most where none comes.
const ASKED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));

pub(super) struct Camera {
    pub(super) subject: String,
    /// How many came before it.
    pub(super) place: u64,
    layers: Vec<Layer>,
    /// The newest whole picture, and when it came.
    still: Option<(Jpeg, Instant)>,
    /// Of whole pictures.
    meter: Meter,
    packets: u64,
    keyframes: u64,
    asked: u64,
    dropped: u64,
}

/// One stream of a camera.
pub(super) struct Layer {
    pub(super) ssrc: u32,
    pub(super) format: VideoFormat,
    /// The newest packet's number, counted on beyond 16 bits.
    pub(super) newest: u64,
    /// Its frame's time.
    pub(super) time: u32,
    /// The first packet of the newest keyframe, and its time.
    keyframe: Option<(u64, u32)>,
    /// How large its pictures are, as the newest keyframe says; 0: it does not.
    pixels: u32,
    /// By number; the last one is the newest.
    kept: VecDeque<Option<VideoPacket>>,
    heard: Instant,
    meter: Meter,
    bits: u64,
    asked: Option<Instant>,
    pause: Duration,
    wanted: bool,
}

impl Camera {
    pub(super) fn new(now: Instant, subject: String, place: u64) -> Self {
        Self {
            subject,
            place,
            layers: Vec::new(),
            still: None,
            meter: Meter::new(now),
            packets: 0,
            keyframes: 0,
            asked: 0,
            dropped: 0,
        }
    }

    pub(super) fn layer(&self, ssrc: u32) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.ssrc == ssrc)
    }

    /// Takes a packet. Gives its number, and whether its layer is new, or had ended, or `None` if it is of no use.
    pub(super) fn take(&mut self, now: Instant, packet: VideoPacket) -> Option<(u64, bool)> {
        self.packets = self.packets.saturating_add(1);
        if packet.payload.len() > LARGEST {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        let found = self.layers.iter().position(|it| it.ssrc == packet.ssrc);
        let there = found.and_then(|index| self.layers.get(index));
        let new = there.is_none_or(|layer| !layer.lives(now));
        let index = found.unwrap_or(self.layers.len());
        if found.is_none() {
            if self.layers.len() >= LAYERS {
                self.layers.retain(|layer| layer.lives(now));
            }
            if self.layers.len() >= LAYERS {
                self.dropped = self.dropped.saturating_add(1);
                return None;
            }
            self.layers.push(Layer::new(now, &packet));
        }
        let layer = match found {
            Some(_) => self.layers.get_mut(index)?,
            None => self.layers.last_mut()?,
        };
        let before = layer.keyframe;
        let taken = layer.take(now, packet);
        if layer.keyframe.map(|(_, time)| time) != before.map(|(_, time)| time) {
            self.keyframes = self.keyframes.saturating_add(1);
        }
        if taken.is_none() {
            self.dropped = self.dropped.saturating_add(1);
        }
        let newest = layer.newest;
        taken.map(|number| (number, new && number == newest))
    }

    /// Takes a whole picture. The one before it is not needed any more.
    pub(super) fn picture(&mut self, now: Instant, jpeg: Jpeg) {
        self.packets = self.packets.saturating_add(1);
        self.keyframes = self.keyframes.saturating_add(1);
        self.meter.add(now, jpeg.bytes.len());
        self.still = Some((jpeg, now));
    }

    /// The newest whole picture, unless that was long ago.
    pub(super) fn still(&self, now: Instant) -> Option<&Jpeg> {
        let (jpeg, came) = self.still.as_ref()?;
        (now.saturating_duration_since(*came) < OLD).then_some(jpeg)
    }

    /// Of what kind its picture is, as pages call it: how it is encoded, or [`JPEG`] of whole pictures. Packets that come only now and then are of one that stands still.
    pub(super) fn kind(&self, now: Instant) -> Option<&'static str> {
        let newest = self.layers.iter().filter(|layer| layer.lives(now));
        match newest.max_by_key(|layer| layer.heard) {
            Some(layer) => Some(layer.format.codec.name()),
            None => self.still(now).map(|_| JPEG),
        }
    }

    /// The layers that it sends now, the largest first.
    pub(super) fn sent(&self, now: Instant) -> Vec<&Layer> {
        let newest = self.layers.iter().map(|layer| layer.heard).max();
        let lags = |layer: &Layer| {
            newest.is_some_and(|newest| newest.saturating_duration_since(layer.heard) >= LAGS)
        };
        let sent = |layer: &&Layer| layer.lives(now) && !lags(layer);
        let mut layers: Vec<&Layer> = self.layers.iter().filter(sent).collect();
        // Of a picture that stands still the smallest layer may have the most bits, with a keyframe.
        layers.sort_by_key(|layer| std::cmp::Reverse((layer.pixels, layer.bits)));
        layers
    }

    /// Whether it is to be asked for a keyframe now.
    pub(super) fn ask(&mut self, now: Instant, ssrc: u32) -> bool {
        let layer = self.layers.iter_mut().find(|layer| layer.ssrc == ssrc);
        let ask = layer.is_some_and(|layer| layer.ask(now));
        if ask {
            self.asked = self.asked.saturating_add(1);
        }
        ask
    }

    /// Time has passed: the streams that are to be asked again.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<u32> {
        let mut again = Vec::new();
        if self.still(now).is_none() {
            self.still = None;
        }
        for layer in &mut self.layers {
            layer.bits = layer.meter.rate(now);
            if layer.wanted && layer.lives(now) && layer.ask(now) {
                again.push(layer.ssrc);
                self.asked = self.asked.saturating_add(1);
            }
        }
        again
    }

    pub(super) fn health(&mut self, now: Instant, peer: PeerId, on_air: bool) -> CameraHealth {
        let whole = self.meter.rate(now);
        let sent = self.sent(now);
        let layers: u64 = sent.iter().map(|layer| layer.bits).sum();
        CameraHealth {
            peer,
            on_air,
            codec: sent.first().map(|layer| layer.format.codec),
            jpeg: self.still(now).map(|jpeg| (jpeg.width, jpeg.height)),
            layers: u32::try_from(sent.len()).unwrap_or(u32::MAX),
            bits: layers.saturating_add(whole),
            packets: self.packets,
            keyframes: self.keyframes,
            asked: self.asked,
            dropped: self.dropped,
        }
    }
}

impl Layer {
    fn new(now: Instant, first: &VideoPacket) -> Self {
        Self {
            ssrc: first.ssrc,
            format: first.format,
            newest: ORIGIN
                .saturating_add(first.sequence.into())
                .saturating_sub(1),
            time: first.time,
            keyframe: None,
            pixels: 0,
            kept: VecDeque::new(),
            heard: now,
            meter: Meter::new(now),
            bits: 0,
            asked: None,
            pause: ASKED.0,
            wanted: false,
        }
    }

    pub(super) fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < ENDED
    }

    fn take(&mut self, now: Instant, packet: VideoPacket) -> Option<u64> {
        let number = self.number(packet.sequence);
        if number > self.newest {
            if number.saturating_sub(self.newest) > JUMP {
                self.kept.clear();
                self.keyframe = None;
            }
            let gap = number.saturating_sub(self.newest).saturating_sub(1);
            // More than are kept would push themselves out.
            for _ in 0..usize::try_from(gap).unwrap_or(KEPT).min(KEPT) {
                self.keep(None);
            }
            self.keep(Some(packet.clone()));
            self.newest = number;
            self.time = packet.time;
        } else {
            // One that is there already, or is older than what is kept.
            let place = self.place(number)?;
            let slot = self.kept.get_mut(place).filter(|slot| slot.is_none())?;
            *slot = Some(packet.clone());
        }
        self.heard = now;
        self.format = packet.format;
        self.meter.add(now, packet.payload.len());
        if packet.format.codec.starts_keyframe(&packet.payload) {
            let newer = self.keyframe.is_none_or(|(first, _)| number > first);
            let same = self.keyframe.is_some_and(|(_, time)| time == packet.time);
            if newer && !same {
                self.keyframe = Some((number, packet.time));
                self.pixels = packet.format.codec.pixels(&packet.payload).unwrap_or(0);
                self.wanted = false;
                self.pause = ASKED.0;
            }
        }
        Some(number)
    }

    /// Numbers go on by what is nearest to the newest; what is far from it is a new beginning, ahead.
    fn number(&self, sequence: u16) -> u64 {
        let number = nearest(self.newest, sequence);
        if self.newest.saturating_sub(number) > JUMP {
            number.saturating_add(1 << 16)
        } else {
            number
        }
    }

    fn keep(&mut self, packet: Option<VideoPacket>) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(packet);
    }

    fn place(&self, number: u64) -> Option<usize> {
        let behind = usize::try_from(self.newest.checked_sub(number)?).ok()?;
        self.kept.len().checked_sub(behind)?.checked_sub(1)
    }

    /// One that is kept.
    pub(super) fn get(&self, number: u64) -> Option<&VideoPacket> {
        self.kept.get(self.place(number)?)?.as_ref()
    }

    /// The first packet of the newest keyframe.
    pub(super) fn keyframe(&self) -> Option<u64> {
        self.keyframe.map(|(number, _)| number)
    }

    /// The newest keyframe and all after it, if nothing of that is missing and it is no more than `most` packets.
    pub(super) fn since_keyframe(
        &self,
        most: usize,
    ) -> Option<impl Iterator<Item = (u64, &VideoPacket)>> {
        let first = self.keyframe()?;
        let place = self.place(first)?;
        let packets = self.kept.range(place..);
        let whole = packets.len() <= most && packets.clone().all(Option::is_some);
        whole.then(|| (first..).zip(packets.flatten()))
    }

    fn ask(&mut self, now: Instant) -> bool {
        self.wanted = true;
        let passed = |then: Instant| now.saturating_duration_since(then);
        if self.asked.is_some_and(|then| passed(then) < self.pause) {
            return false;
        }
        self.asked = Some(now);
        self.pause = self.pause.saturating_mul(2).min(ASKED.1);
        true
    }
}

/// The numbers of a picture, where its codec has such.
pub(super) fn picture(packet: &VideoPacket) -> Option<(u16, u8)> {
    if packet.format.codec != uro_discord_media::VideoCodec::Vp8 {
        return None;
    }
    let (picture, base) = vp8::numbers(&packet.payload)?;
    Some((picture.unwrap_or_default(), base.unwrap_or_default()))
}
