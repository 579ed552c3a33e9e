//! From the packets of one stream to whole frames: it orders them, says which are missing, waits for those, and gives up.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "numbers begin at 2^32 and go on by less than 2^16 a packet: 64 bits are enough for ever"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::sequence::{low, nearest};
use crate::{VideoCodec, h264, vp8};

/// Larger frames are not put together, and should not be sent.
pub const MAX_FRAME: usize = 2 << 20;

/// Packets may overtake each other by so much before they are taken for lost.
const REORDER: Duration = Duration::from_millis(10);

/// A packet that was asked for is asked for again after this.
const RETRY: Duration = Duration::from_millis(70);

/// So long a lost packet is waited for. What came after it waits with it.
pub const GIVE_UP: Duration = Duration::from_millis(400);

/// Packets that are kept, with those between them that are missing: more than a second of a good picture. A frame cannot have more.
pub const WINDOW: u64 = 2048;

/// A jump further than this is a new beginning, such as after a sender's restart.
const JUMP: u64 = 3000;

/// The first packet's number, so that there is room before it.
const ORIGIN: u64 = 1 << 32;

/// One packet's part in its frame.
#[derive(Clone, Debug)]
pub struct Packet {
    /// How its frame is encoded.
    pub codec: VideoCodec,
    /// Its frame's time.
    pub timestamp: u32,
    /// It is the last of its frame.
    pub marker: bool,
    /// Empty in one that is padding only.
    pub payload: Bytes,
}

/// A frame, as its packets had it.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// How it is encoded.
    pub codec: VideoCodec,
    /// The whole frame.
    pub data: Vec<u8>,
    /// Its time.
    pub rtp_time: u32,
    /// Frames lost since the last one. Of H.264 it is the least that it can be.
    pub lost_before: u16,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It may make a frame whole.
    New,
    /// It is there already.
    Duplicate,
    /// Its frame has been given up.
    Late,
}

/// Packets that are missing, one after the other.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The number after the last one.
    end: u64,
    since: Instant,
    ask: Instant,
}

/// The packets of one stream, until they are frames or given up. It keeps 2048 packets at most, if it is polled after each.
#[derive(Debug, Default)]
pub struct Assembler {
    /// By sequence number, counted on beyond 16 bits.
    packets: BTreeMap<u64, Packet>,
    /// By the first number: a packet that is far ahead costs no more than another.
    missing: BTreeMap<u64, Gap>,
    newest: Option<u64>,
    /// The first packet that is not done with.
    next: u64,
    /// Up to here the packets of the frame at `next` are there, without a gap.
    scanned: u64,
    /// The packet before `next` is known to be the last of its frame.
    boundary: bool,
    /// What is left of the frame of this time is dropped.
    damaged: Option<u32>,
    /// Since the last frame handed out.
    lost: u16,
    /// Frames handed out since that nobody could decrypt.
    refused: u16,
    /// Something was lost since this was asked last.
    damage: bool,
    picture_id: Option<u16>,
}

impl Assembler {
    /// Takes a packet. What it makes whole is to be [polled](Self::poll).
    pub fn packet(&mut self, sequence: u16, packet: Packet, now: Instant) -> Taken {
        let number = match self.newest {
            None => self.begin(sequence),
            Some(newest) => {
                let number = nearest(newest, sequence);
                if number.abs_diff(newest) > JUMP {
                    self.lose();
                    let (lost, refused) = (self.lost, self.refused);
                    *self = Self {
                        lost,
                        refused,
                        damage: true,
                        ..Self::default()
                    };
                    self.begin(sequence)
                } else {
                    number
                }
            }
        };
        if number < self.next {
            return Taken::Late;
        }
        let newest = self.newest.unwrap_or(number);
        if number > newest + 1 {
            let gap = Gap {
                end: number,
                since: now,
                ask: now + REORDER,
            };
            self.missing.insert(newest + 1, gap);
        }
        self.newest = Some(newest.max(number));
        self.found(number);
        match self.packets.insert(number, packet) {
            None => Taken::New,
            Some(_) => Taken::Duplicate,
        }
    }

    fn begin(&mut self, sequence: u16) -> u64 {
        let number = ORIGIN + u64::from(sequence);
        (self.newest, self.next, self.scanned) = (Some(number), number, number);
        number
    }

    /// One that was missing may have come. What is missing on both sides of it still is.
    fn found(&mut self, number: u64) {
        let Some((start, gap)) = self.missing.range_mut(..=number).next_back() else {
            return;
        };
        let (start, whole) = (*start, *gap);
        if number >= whole.end {
            return;
        }
        gap.end = number;
        if start == number {
            self.missing.remove(&start);
        }
        if number + 1 < whole.end {
            self.missing.insert(number + 1, whole);
        }
    }

    /// What is missing at this number, if it is.
    fn gap(&self, number: u64) -> Option<&Gap> {
        let (_, gap) = self.missing.range(..=number).next_back()?;
        Some(gap).filter(|gap| number < gap.end)
    }

    /// The next whole frame.
    pub fn poll(&mut self, now: Instant) -> Option<Frame> {
        while self.newest.is_some_and(|newest| newest >= self.next) {
            let gap = if let Some(first) = self.packets.get(&self.next) {
                let (timestamp, codec) = (first.timestamp, first.codec);
                if !self.boundary {
                    let trusted = self.damaged != Some(timestamp)
                        && match codec {
                            VideoCodec::H264 => h264::starts_frame(&first.payload),
                            VideoCodec::Vp8 => vp8::starts_frame(&first.payload),
                        };
                    if !trusted {
                        self.drop_first(timestamp);
                        continue;
                    }
                    self.boundary = true;
                }
                match self.scan(timestamp) {
                    Some(end) => match self.take(end) {
                        Some(frame) => return Some(frame),
                        None => continue,
                    },
                    None => self.scanned,
                }
            } else {
                self.next
            };
            let overdue = self.gap(gap).is_some_and(|gap| now >= gap.since + GIVE_UP);
            let behind = self.newest.map_or(0, |newest| newest - self.next);
            if !overdue && behind < WINDOW {
                // The rest of the frame is not there yet.
                return None;
            }
            self.skip(gap);
        }
        None
    }

    fn lose(&mut self) {
        self.lost = self.lost.saturating_add(1);
        self.damage = true;
    }

    /// The end of the frame at `next`, if all of it is there: the number after its last packet.
    fn scan(&mut self, timestamp: u32) -> Option<u64> {
        loop {
            let packet = self.packets.get(&self.scanned)?;
            if packet.timestamp != timestamp {
                return Some(self.scanned);
            }
            self.scanned += 1;
            if packet.marker {
                return Some(self.scanned);
            }
        }
    }

    /// Takes the packets up to `end` and makes a frame of them, if they make one.
    fn take(&mut self, end: u64) -> Option<Frame> {
        let rest = self.packets.split_off(&end);
        let packets = std::mem::replace(&mut self.packets, rest);
        (self.next, self.scanned) = (end, end);
        self.boundary = true;
        self.damaged = None;
        let first = packets.first_key_value().map(|(_, packet)| packet)?;
        let payloads = || packets.values().map(|packet| &packet.payload[..]);
        let size: usize = payloads().map(<[u8]>::len).sum();
        if size == 0 {
            // Padding.
            return None;
        }
        let mut data = Vec::with_capacity(size + 64);
        let codec = first.codec;
        let made = match codec {
            _ if size > MAX_FRAME => None,
            VideoCodec::H264 => h264::depacketize(payloads(), &mut data).ok().map(|()| None),
            VideoCodec::Vp8 => vp8::depacketize(payloads(), &mut data).ok(),
        };
        let same = packets.values().all(|packet| packet.codec == codec);
        let Some(picture_id) = made.filter(|_| same && !data.is_empty()) else {
            self.lose();
            return None;
        };
        let mut lost_before = std::mem::take(&mut self.lost);
        if let (Some(last), Some(id)) = (self.picture_id, picture_id) {
            let between = id.wrapping_sub(last).wrapping_sub(1) % vp8::PICTURE_IDS;
            if lost_before > 0 && between < vp8::PICTURE_IDS / 2 {
                lost_before = between.max(1);
            }
        }
        lost_before = lost_before.saturating_add(std::mem::take(&mut self.refused));
        self.picture_id = picture_id;
        Some(Frame {
            codec,
            data,
            rtp_time: first.timestamp,
            lost_before,
        })
    }

    /// Drops the packet at `next`, as it is of a frame whose beginning is not known.
    fn drop_first(&mut self, timestamp: u32) {
        if self.damaged.replace(timestamp) != Some(timestamp) {
            self.lose();
        }
        let marker = self
            .packets
            .remove(&self.next)
            .is_some_and(|packet| packet.marker);
        self.next += 1;
        self.scanned = self.next;
        let another = self
            .packets
            .get(&self.next)
            .is_some_and(|packet| packet.timestamp != timestamp);
        if marker || another {
            self.boundary = true;
            self.damaged = None;
        }
    }

    /// Gives up what is missing from `gap` on, up to the next packet that is there, and the frame that it is in the middle of.
    fn skip(&mut self, gap: u64) {
        let end = self.packets.range(gap..).next().map(|(number, _)| *number);
        let end = end
            .or(self.newest.map(|newest| newest + 1))
            .unwrap_or(gap + 1);
        let begun = self.packets.get(&self.next).map(|packet| packet.timestamp);
        let after = self.packets.get(&end);
        let trusted = after.is_some_and(|packet| match packet.codec {
            VideoCodec::H264 => h264::starts_frame(&packet.payload),
            VideoCodec::Vp8 => vp8::starts_frame(&packet.payload),
        });
        // The gap is the end of a frame that is counted already, or the beginning of one that will be when it is dropped; else
        // it is a frame at least.
        if begun.is_some() || trusted && self.damaged.is_none() {
            self.lose();
        }
        self.packets = self.packets.split_off(&end);
        self.missing = self.missing.split_off(&end);
        (self.next, self.scanned) = (end, end);
        self.boundary = false;
        if begun.is_some() {
            self.damaged = begun;
        }
    }

    /// The frame handed out last could not be decrypted.
    pub fn undecryptable(&mut self, lost_before: u16) {
        self.refused = self.refused.saturating_add(lost_before).saturating_add(1);
    }

    /// Whether a frame has been lost since this was asked last.
    pub fn is_damaged(&mut self) -> bool {
        std::mem::take(&mut self.damage)
    }

    /// What is missing and is to be asked for now, `most` of it. The rest is to be asked for at once.
    #[must_use]
    pub fn missing(&mut self, now: Instant, most: usize) -> Vec<u16> {
        let mut wanted = Vec::new();
        let mut rest = None;
        for (start, gap) in &mut self.missing {
            if now < gap.ask {
                continue;
            }
            let mut number = *start;
            while number < gap.end && wanted.len() < most {
                wanted.push(low(number));
                number += 1;
            }
            if number == *start {
                break;
            }
            if number < gap.end {
                rest = Some((number, *gap));
                gap.end = number;
            }
            gap.ask = now + RETRY;
        }
        self.missing.extend(rest);
        wanted
    }

    /// When to call [`poll`](Self::poll), if nothing comes before: for who asks for nothing, as somebody else does.
    #[must_use]
    pub fn overdue(&self) -> Option<Instant> {
        let (_, first) = self.missing.first_key_value()?;
        Some(first.since + GIVE_UP)
    }

    /// When to call [`poll`](Self::poll) and [`missing`](Self::missing), if nothing comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let ask = self.missing.values().map(|gap| gap.ask).min();
        self.overdue().into_iter().chain(ask).min()
    }

    /// How many packets it keeps, and gaps between them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packets.len() + self.missing.len()
    }
}

#[cfg(test)]
mod tests;
