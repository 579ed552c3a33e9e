//! What goes to one viewer.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use uro_discord_media::sequence::{low, nearest};
use uro_discord_media::vp8;

use super::camera::{JUMP, Layer, picture};
use super::pace::{Losses, Meter, Pace};
use super::{VideoFormat, VideoPacket, ViewerHealth, placeholder};
use crate::rate::Rate;
use crate::room::PeerId;

/// Packets since a keyframe that are sent at once to a viewer who has seen nothing yet, instead of asking for another: some 300 KB.
/// Those who see something wait for the next keyframe: a room of viewers that turn to another camera together would get all of theirs at
/// once.
const CATCH_UP: usize = 256;

/// By how much faster than they were sent frames of the past go by.
const FASTER: u32 = 32;

/// Packets that are sent again, a second: what 2 Mbit/s are.
const AGAIN: u32 = 200;

/// Ticks of time a millisecond.
const TICKS: u32 = 90;

/// The least between two frames, where time has to be made up: 10 ms.
const STEP: u32 = 10 * TICKS;

/// Times are compared over half of their range, so what they are measured from follows them.
const FAR: u32 = 1 << 30;

/// A stream of a camera.
pub(super) type Source = (PeerId, u32);

pub(super) struct Viewer {
    formats: Vec<VideoFormat>,
    pub(super) pace: Pace,
    /// What it is to see.
    aim: Option<Source>,
    /// Of how many layers that is one.
    layers: usize,
    seen: Option<Seen>,
    /// Nothing of what it sees is sent until a keyframe.
    waiting: bool,
    /// Whether it is to see the placeholder while there is no camera for it, and when it was sent that last, while it sees it.
    placeholder: (bool, Option<Instant>),
    /// The next sequence number.
    next: u64,
    last: Option<Last>,
    again: Rate,
    meter: Meter,
    losses: Losses,
    packets: u64,
    repeated: u64,
}

/// How what it sees becomes what it is sent.
#[derive(Clone, Copy)]
struct Seen {
    source: Source,
    /// The first packet's number, and the one that it was sent with.
    first: u64,
    first_sent: u64,
    /// A time, and what it became. Those before it go by faster.
    time: u32,
    time_sent: u32,
    /// What is added to the numbers of pictures, and of base layers' pictures.
    pictures: u16,
    bases: u8,
    /// The newest packet's number.
    newest: u64,
}

/// The newest packet that it was sent.
#[derive(Clone, Copy)]
struct Last {
    at: Instant,
    time: u32,
    picture: (u16, u8),
    format: VideoFormat,
}

impl Viewer {
    pub(super) fn new(now: Instant, formats: Vec<VideoFormat>, placeholder: bool) -> Self {
        Self {
            formats,
            pace: Pace::default(),
            aim: None,
            layers: 0,
            seen: None,
            waiting: false,
            placeholder: (placeholder, None),
            next: 1,
            last: None,
            again: Rate::new(AGAIN, now),
            meter: Meter::new(now),
            losses: Losses::new(now),
            packets: 0,
            repeated: 0,
        }
    }

    /// The format in which it can be sent this: the same one, or another profile of the codec, which decoders take all the same.
    fn takes(&self, format: VideoFormat) -> bool {
        self.formats.iter().any(|it| it.codec == format.codec)
    }

    /// What it is sent, if that is anything.
    pub(super) fn sees(&self) -> Option<Source> {
        self.seen.map(|seen| seen.source)
    }

    /// What it waits for a keyframe of.
    pub(super) fn needs(&self) -> Option<Source> {
        self.aim
            .filter(|aim| self.waiting || self.sees() != Some(*aim))
    }

    /// Chooses among the layers of the camera that is on air, the largest first; of one whose layers it cannot be sent it sees nothing. One that has seen nothing yet is sent what is kept since
    /// a keyframe, if that is all there; others are if that is but the packet that came.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        camera: PeerId,
        layers: &[&Layer],
        send: impl FnMut(VideoPacket),
    ) {
        let taken: Vec<&&Layer> = layers.iter().filter(|it| self.takes(it.format)).collect();
        if taken.is_empty() && !layers.is_empty() {
            // No keyframe will take the place of what it sees.
            return self.nothing();
        }
        self.layers = taken.len();
        if self.pace.paused() {
            self.waiting = true;
            self.aim = None;
            return;
        }
        let layer = taken.get(self.pace.layer(taken.len()));
        let most = if self.seen.is_none() { CATCH_UP } else { 1 };
        self.aim = layer.map(|layer| (camera, layer.ssrc));
        if let Some(layer) = layer
            && self.needs().is_some()
            && layer.since_keyframe(most).is_some()
        {
            self.begin(now, camera, layer, send);
        }
    }

    /// There is nothing for it on air.
    pub(super) fn nothing(&mut self) {
        self.aim = None;
        self.waiting = true;
        self.layers = 0;
    }

    /// A packet came of the camera that is on air.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        (camera, layer): (PeerId, &Layer),
        number: u64,
        mut send: impl FnMut(VideoPacket),
    ) {
        let source = (camera, layer.ssrc);
        let newest = self.seen.filter(|seen| seen.source == source);
        let newest = newest.map_or(number, |seen| seen.newest);
        if number.saturating_sub(newest) > JUMP {
            // A stream that begins anew says nothing that can be decoded after what came before.
            self.waiting = true;
        }
        if self.needs() == Some(source) && layer.keyframe() == Some(number) {
            return self.begin(now, camera, layer, send);
        }
        let flows = !self.waiting && self.sees() == Some(source);
        // One that the picture began with was sent already.
        let sent = self.seen.is_some_and(|seen| seen.newest == number);
        if flows
            && !sent
            && let Some(packet) = layer.get(number)
        {
            self.forward(now, number, packet, &mut send);
        }
    }

    /// Whether time is to pass for it though there is no camera.
    pub(super) fn takes_placeholder(&self) -> bool {
        self.placeholder.0
    }

    /// Sends it the placeholder, if it is to see that now, and was not sent it just now. Whether a camera `flows` to it is known to others.
    pub(super) fn idle(&mut self, now: Instant, flows: bool, send: impl FnMut(VideoPacket)) {
        let lacks = self.aim.is_none() && !self.pace.paused() && (self.waiting || !flows);
        match self.placeholder {
            (true, None) if lacks => self.show_placeholder(now, send),
            (_, Some(last)) if now.saturating_duration_since(last) >= placeholder::ANEW => {
                self.show_placeholder(now, send);
            }
            _ => {}
        }
    }

    /// It needs a keyframe. Whether it sees the placeholder, of which it is sent one then.
    pub(super) fn needs_placeholder(
        &mut self,
        now: Instant,
        send: impl FnMut(VideoPacket),
    ) -> bool {
        let (_, Some(last)) = self.placeholder else {
            return false;
        };
        if now.saturating_duration_since(last) >= placeholder::ASKED {
            self.show_placeholder(now, send);
        }
        true
    }

    /// In the codec of what was seen before, so that the decoder goes on.
    fn show_placeholder(&mut self, now: Instant, mut send: impl FnMut(VideoPacket)) {
        let before = self.last.map(|last| last.format);
        let Some(format) = before.or_else(|| self.formats.first().copied()) else {
            return;
        };
        let time = self.time(now, STEP).unwrap_or_default();
        let (picture, base) = self.last.map(|last| last.picture).unwrap_or_default();
        let picture = picture.wrapping_add(1) % vp8::PICTURE_IDS;
        let mut payloads = placeholder::payloads(format.codec, picture)
            .into_iter()
            .peekable();
        while let Some(payload) = payloads.next() {
            let [.., high, low] = self.next.to_be_bytes();
            self.next = self.next.saturating_add(1);
            self.packets = self.packets.saturating_add(1);
            self.meter.add(now, payload.len());
            send(VideoPacket {
                ssrc: 0,
                format,
                sequence: u16::from_be_bytes([high, low]),
                time,
                marker: payloads.peek().is_none(),
                payload: payload.into(),
            });
        }
        self.last = Some(Last {
            at: now,
            time,
            picture: (picture, base),
            format,
        });
        self.waiting = true;
        self.placeholder.1 = Some(now);
    }

    /// What time it is for the viewer, `least` after the newest packet. `None`: it was sent nothing yet.
    fn time(&self, now: Instant, least: u32) -> Option<u32> {
        let last = self.last?;
        let passed = now.saturating_duration_since(last.at).as_millis();
        let passed = u32::try_from(passed).unwrap_or(FAR).saturating_mul(TICKS);
        Some(last.time.wrapping_add(passed.min(FAR).max(least)))
    }

    /// From the newest keyframe on.
    fn begin(
        &mut self,
        now: Instant,
        camera: PeerId,
        layer: &Layer,
        mut send: impl FnMut(VideoPacket),
    ) {
        let Some(first) = layer.keyframe() else {
            return;
        };
        let Some(key) = layer.get(first) else { return };
        // The frames of the past go by in less time than passed; the newest one is at its own.
        let past = layer.time.wrapping_sub(key.time).min(FAR) / FASTER;
        let time = self.time(now, past.saturating_add(STEP));
        let time = time.unwrap_or(layer.time);
        let (pictures, bases) = match (picture(key), self.last) {
            (Some((id, base)), Some(last)) => (
                last.picture.0.wrapping_add(1).wrapping_sub(id) % vp8::PICTURE_IDS,
                last.picture.1.wrapping_add(1).wrapping_sub(base),
            ),
            _ => (0, 0),
        };
        self.seen = Some(Seen {
            source: (camera, layer.ssrc),
            first,
            first_sent: self.next,
            time: layer.time,
            time_sent: time,
            pictures,
            bases,
            newest: first.saturating_sub(1),
        });
        self.waiting = false;
        self.placeholder.1 = None;
        for number in first..=layer.newest {
            if let Some(packet) = layer.get(number) {
                self.forward(now, number, packet, &mut send);
            }
        }
    }

    /// One packet, in time or late.
    fn forward(
        &mut self,
        now: Instant,
        number: u64,
        packet: &VideoPacket,
        send: &mut impl FnMut(VideoPacket),
    ) {
        let Some(seen) = &mut self.seen else { return };
        let Some(after) = number.checked_sub(seen.first) else {
            return;
        };
        let Some(sent) = seen.sent(packet, number) else {
            return;
        };
        if number > seen.newest {
            seen.newest = number;
            let ahead = packet.time.wrapping_sub(seen.time);
            if ahead > FAR && ahead < 2 * FAR {
                let half = FAR / 2;
                seen.time = seen.time.wrapping_add(half);
                seen.time_sent = seen.time_sent.wrapping_add(half);
            }
            self.next = seen.first_sent.saturating_add(after).saturating_add(1);
            let picture = match picture(&sent) {
                Some(picture) => picture,
                None => self.last.map(|last| last.picture).unwrap_or_default(),
            };
            self.last = Some(Last {
                at: now,
                time: sent.time,
                picture,
                format: sent.format,
            });
        }
        self.packets = self.packets.saturating_add(1);
        self.meter.add(now, sent.payload.len());
        self.losses.sent(now);
        send(sent);
    }

    /// What it was sent with this number and did not get.
    pub(super) fn again(
        &mut self,
        now: Instant,
        layer: &Layer,
        sequence: u16,
    ) -> Option<VideoPacket> {
        let seen = self.seen?;
        let out = nearest(self.next, sequence);
        let number = out.checked_sub(seen.first_sent)?.checked_add(seen.first)?;
        let packet = layer.get(number).filter(|_| number <= seen.newest)?;
        self.losses.missed(now, out);
        if !self.again.take(1, now) {
            return None;
        }
        self.repeated = self.repeated.saturating_add(1);
        self.meter.add(now, packet.payload.len());
        seen.sent(packet, number)
    }

    /// It has said what it misses. Whether it is to see something else.
    pub(super) fn missed(&mut self, now: Instant) -> bool {
        self.pace.missed(now, self.losses.share(), self.layers)
    }

    /// It reports what was lost. Whether it is to see something else.
    pub(super) fn lost(&mut self, now: Instant, of_256: u8) -> bool {
        // What is lost of the placeholder is little, and says nothing of the link.
        self.layers > 0 && self.pace.lost(now, of_256, self.layers)
    }

    /// It says what its link carries. Whether it is to see something else.
    pub(super) fn carries(&mut self, now: Instant, bits: u64) -> bool {
        let rate = self.meter.rate(now);
        self.pace.carries(now, bits, rate, self.layers)
    }

    /// What it is sent comes late. Whether it is to see something else.
    pub(super) fn slow(&mut self, now: Instant) -> bool {
        self.pace.slow(now, self.layers)
    }

    /// Whose picture it sees.
    pub(super) fn camera(&self) -> Option<PeerId> {
        let sees = self.sees().filter(|_| !self.waiting);
        sees.map(|(camera, _)| camera)
    }

    pub(super) fn health(&mut self, now: Instant, peer: PeerId) -> ViewerHealth {
        ViewerHealth {
            peer,
            camera: self.camera(),
            bits: self.meter.rate(now),
            packets: self.packets,
            again: self.repeated,
            congested: self.pace.congested,
        }
    }
}

impl Seen {
    /// A packet as it is sent.
    fn sent(&self, packet: &VideoPacket, number: u64) -> Option<VideoPacket> {
        let out = number
            .checked_sub(self.first)?
            .checked_add(self.first_sent)?;
        Some(VideoPacket {
            sequence: low(out),
            time: self.time(packet.time),
            payload: self.payload(packet),
            ..packet.clone()
        })
    }

    fn time(&self, time: u32) -> u32 {
        let ahead = time.wrapping_sub(self.time);
        if ahead <= 2 * FAR {
            self.time_sent.wrapping_add(ahead)
        } else {
            let behind = self.time.wrapping_sub(time);
            self.time_sent.wrapping_sub(behind / FASTER)
        }
    }

    fn payload(&self, packet: &VideoPacket) -> Bytes {
        let payload = &packet.payload;
        if (self.pictures, self.bases) == (0, 0) {
            return payload.clone();
        }
        let Some((id, base)) = picture(packet) else {
            return payload.clone();
        };
        let mut other = BytesMut::from(&payload[..]);
        let (id, base) = (
            id.wrapping_add(self.pictures),
            base.wrapping_add(self.bases),
        );
        vp8::renumber(&mut other, id, base);
        other.freeze()
    }
}
