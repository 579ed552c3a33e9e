//! Our video: from frames to packets, paced, and kept for a while, in case they are wanted again.
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "the numbers of RTP and RTCP wrap"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{VideoFrame, payload_types};
use crate::dave::{Dave, NoKey};
use crate::media::crypto::{NonceExhausted, Transport};
use crate::saturating::{count, later};
use crate::status::VideoSendStats;
use uro_discord_media::feedback::Sent;
use uro_discord_media::rtp::{self, Header};
use uro_discord_media::{VideoCodec, h264, rtx, vp8};

/// A payload's size. With headers, both encryptions and a retransmission's number a packet stays below 1200 bytes, as audio's.
const MAX_PAYLOAD: usize = 1100;

/// A header extension of one element (RFC 8285): the playout delay, with which Discord's clients send every packet of video.
/// Zeroes: show it at once. The element's id is the one that worked last for bots that sent video; Discord tells it nowhere.
const EXTENSION: [u8; 4] = [0xbe, 0xde, 0, 1];
const PLAYOUT_DELAY: [u8; 4] = [5 << 4 | 2, 0, 0, 0];

/// What of a packet is not encrypted.
const CLEAR: usize = rtp::HEADER + EXTENSION.len();

/// A frame's packets leave in portions, one in each slot, and not all at once: routers on the way would drop some.
const SLOT_MS: u64 = 5;
const SLOT: Duration = Duration::from_millis(SLOT_MS);

/// How much faster than the picture's bit rate packets may leave, so that keyframes take no longer than they must.
const HASTE: u64 = 5;

/// Packets that are kept for retransmission.
const KEPT: usize = 1024;

/// Slots for which frames may wait, a second of them: later they are of no use any more, and the newest is dropped.
const MAX_WAITING: usize = 1_000 / SLOT_MS as usize;

/// A packet asked for twice within this is sent once: several receivers may have missed it.
const RESEND: Duration = Duration::from_millis(30);

/// The first packet comes so much later than it could: word of the stream takes another way, and whoever sends without it is
/// thrown out.
const HEAD_START: Duration = Duration::from_millis(100);

/// Whoever makes the frames is asked for a keyframe at most so often.
const KEYFRAME_PAUSE: Duration = Duration::from_millis(300);

/// Pictures are timed at 90 kHz.
pub(crate) const CLOCK: u64 = 90_000;

#[derive(Debug)]
struct Packet {
    codec: VideoCodec,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
    resent: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct VideoSender {
    ssrc: u32,
    rtx_ssrc: u32,
    /// Bytes that leave in a slot.
    portion: usize,
    /// Video (12) has told of the stream.
    pub(crate) active: bool,
    /// What is not yet sent is at the end; all are in order.
    packets: VecDeque<Packet>,
    unsent: usize,
    resend: VecDeque<u16>,
    /// The number of the next packet made.
    sequence: u16,
    rtx_sequence: u16,
    picture_id: u16,
    slot: Option<Instant>,
    /// Nothing has been sent since word of the stream was.
    fresh: bool,
    left: usize,
    /// What follows cannot be decoded without one.
    needs_keyframe: bool,
    asked: Option<Instant>,
    /// The newest frame's time, and when it came.
    newest: Option<(u32, Instant)>,
    count: u32,
    octets: u32,
    reported: u32,
    frame: Vec<u8>,
}

impl VideoSender {
    pub(crate) fn new(ssrc: u32, rtx_ssrc: u32, max_bitrate: u32) -> Self {
        let portion = u64::from(max_bitrate).saturating_mul(HASTE * SLOT_MS) / 8000;
        Self {
            ssrc,
            rtx_ssrc,
            portion: usize::try_from(portion)
                .unwrap_or(usize::MAX)
                .max(MAX_PAYLOAD),
            active: false,
            packets: VecDeque::new(),
            unsent: 0,
            resend: VecDeque::new(),
            sequence: fastrand::u16(..),
            rtx_sequence: fastrand::u16(..),
            picture_id: fastrand::u16(..vp8::PICTURE_IDS),
            slot: None,
            fresh: true,
            left: 0,
            needs_keyframe: true,
            asked: None,
            newest: None,
            count: 0,
            octets: 0,
            reported: 0,
            frame: Vec::new(),
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub(crate) fn rtx_ssrc(&self) -> u32 {
        self.rtx_ssrc
    }

    /// Somebody cannot go on without a keyframe. `true`: ask for one, which has not been done lately.
    pub(crate) fn want_keyframe(&mut self, now: Instant) -> bool {
        let lately = self
            .asked
            .is_some_and(|asked| now < later(asked, KEYFRAME_PAUSE));
        if !lately {
            self.asked = Some(now);
        }
        !lately
    }

    /// A frame is not sent: those after it cannot be decoded.
    pub(crate) fn dropped(&mut self) {
        self.needs_keyframe = true;
    }

    /// Takes a frame. `true`: ask for a keyframe.
    pub(crate) fn frame(
        &mut self,
        frame: &VideoFrame,
        dave: &mut Dave,
        now: Instant,
        stats: &mut VideoSendStats,
    ) -> bool {
        if self.needs_keyframe && !frame.keyframe {
            count(&mut stats.needs_keyframe);
            return self.want_keyframe(now);
        }
        let in_a_slot = (self.portion / MAX_PAYLOAD).max(1);
        if self.unsent.checked_div(in_a_slot) > Some(MAX_WAITING) {
            count(&mut stats.congested);
            self.needs_keyframe = true;
            return self.want_keyframe(now);
        }
        if let Err(NoKey) = dave.encrypt_video(frame.codec, &frame.data, now, &mut self.frame) {
            count(&mut stats.no_key);
            self.needs_keyframe = true;
            return false;
        }
        self.needs_keyframe = false;
        let payloads = match frame.codec {
            VideoCodec::H264 => h264::packetize(&self.frame, MAX_PAYLOAD),
            VideoCodec::Vp8 => {
                self.picture_id = self.picture_id.wrapping_add(1) % vp8::PICTURE_IDS;
                vp8::packetize(&self.frame, self.picture_id, MAX_PAYLOAD)
            }
        };
        count(&mut stats.frames);
        let last = payloads.len().saturating_sub(1);
        for (place, payload) in payloads.into_iter().enumerate() {
            self.packets.push_back(Packet {
                codec: frame.codec,
                timestamp: frame.rtp_time,
                marker: place == last,
                payload,
                resent: None,
            });
            self.unsent = self.unsent.saturating_add(1);
            self.sequence = self.sequence.wrapping_add(1);
        }
        while self.sent() > KEPT {
            self.packets.pop_front();
        }
        self.newest = Some((frame.rtp_time, now));
        if self.slot.is_none() {
            let wait = if std::mem::take(&mut self.fresh) {
                HEAD_START
            } else {
                Duration::ZERO
            };
            self.slot = Some(later(now, wait));
            self.left = self.portion;
        }
        false
    }

    /// Packets did not arrive: those that are still kept are sent again.
    pub(crate) fn missed(&mut self, sequences: &[u16], now: Instant, stats: &mut VideoSendStats) {
        let sent = self.sent();
        for sequence in sequences {
            let back = usize::from(self.sequence.wrapping_sub(*sequence));
            let place = self
                .packets
                .len()
                .checked_sub(back)
                .filter(|place| *place < sent);
            let Some(packet) = place.and_then(|place| self.packets.get_mut(place)) else {
                count(&mut stats.not_kept);
                continue;
            };
            if packet.resent.is_none_or(|at| now >= later(at, RESEND)) && self.resend.len() < KEPT {
                packet.resent = Some(now);
                self.resend.push_back(*sequence);
                if self.slot.is_none() {
                    (self.slot, self.left) = (Some(now), self.portion);
                }
            }
        }
    }

    /// How many of the packets have been sent.
    fn sent(&self) -> usize {
        self.packets.len().saturating_sub(self.unsent)
    }

    /// When to call [`packet`](Self::packet).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.slot
    }

    /// Writes the next packet, if one is due. To be called until none is.
    pub(crate) fn packet(
        &mut self,
        now: Instant,
        transport: &mut Transport,
        packet: &mut Vec<u8>,
        stats: &mut VideoSendStats,
    ) -> Result<bool, NonceExhausted> {
        let Some(slot) = self.slot.filter(|slot| now >= *slot) else {
            return Ok(false);
        };
        if self.left == 0 {
            self.left = self.portion;
            let next = later(slot, SLOT);
            // A stall is not made up for by a burst.
            self.slot = Some(if now > later(next, SLOT) {
                later(now, SLOT)
            } else {
                next
            });
            if now < next {
                return Ok(false);
            }
        }
        let turn = self.turn();
        let Some((back, sent, again)) = turn.and_then(|(place, again)| {
            let back = self.packets.len().checked_sub(place)?;
            Some((back, self.packets.get(place)?, again))
        }) else {
            self.slot = None;
            return Ok(false);
        };
        let original = self.sequence.wrapping_sub(back as u16);
        let (payload_type, rtx_type) = payload_types(sent.codec);
        let (payload_type, sequence, ssrc) = if again {
            (rtx_type, self.rtx_sequence, self.rtx_ssrc)
        } else {
            (payload_type, original, self.ssrc)
        };
        let header = Header {
            marker: sent.marker,
            payload_type,
            sequence,
            timestamp: sent.timestamp,
            ssrc,
            clear: CLEAR,
            extension: PLAYOUT_DELAY.len(),
            padding: false,
        };
        packet.clear();
        header.write(packet);
        packet.extend(EXTENSION);
        packet.extend(PLAYOUT_DELAY);
        if again {
            packet.extend_from_slice(&rtx::payload(original, &sent.payload));
            self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
            count(&mut stats.retransmitted);
        } else {
            packet.extend_from_slice(&sent.payload);
            self.count = self.count.wrapping_add(1);
            self.octets = self.octets.wrapping_add(sent.payload.len() as u32);
            self.unsent = self.unsent.saturating_sub(1);
            count(&mut stats.packets);
        }
        self.left = self.left.saturating_sub(packet.len());
        transport.seal(packet, header.clear)?;
        Ok(true)
    }

    /// Whose turn it is: one that is sent again, unless it was let go meanwhile, or else the next of those not yet sent.
    fn turn(&mut self) -> Option<(usize, bool)> {
        while let Some(sequence) = self.resend.pop_front() {
            let back = usize::from(self.sequence.wrapping_sub(sequence));
            if let Some(place) = self.packets.len().checked_sub(back) {
                return Some((place, true));
            }
        }
        (self.unsent > 0).then(|| (self.sent(), false))
    }

    /// What a Sender Report says, if there is something new to say.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Sent> {
        let (rtp_time, at) = self.newest?;
        if self.reported == self.count {
            return None;
        }
        self.reported = self.count;
        let since = now.saturating_duration_since(at).as_micros() as u64;
        let since = since.saturating_mul(CLOCK) / 1_000_000;
        Some(Sent {
            ssrc: self.ssrc,
            rtp_time: rtp_time.wrapping_add(since as u32),
            packets: self.count,
            octets: self.octets,
        })
    }

    /// The stream has ended: nothing more is sent of it.
    pub(crate) fn stop(&mut self) {
        self.active = false;
        self.fresh = true;
        self.resend.clear();
        self.packets.clear();
        // Those numbers were never sent.
        self.sequence = self.sequence.wrapping_sub(self.unsent as u16);
        self.unsent = 0;
        self.slot = None;
        self.needs_keyframe = true;
    }
}

#[cfg(test)]
mod tests;
