//! Others' streams: from a datagram to the Opus packets in it, each accounted for.
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::dave::{Dave, Refusal, Step};
use crate::media::crypto::Transport;
use crate::media::{OPUS, OPUS_SILENCE};
use crate::saturating::{add, count, later};
use crate::status::ReceiveStats;
use uro_discord_media::rtp::Header;
use uro_discord_media::window::{Arrival, Window};

/// How long a frame waits for its key, or for word of whose it is.
const HOLD: Duration = Duration::from_millis(200);

/// Frames that wait, of all streams together.
const MAX_HELD: usize = 256;

/// Speech without a packet for so long has ended.
const QUIET: Duration = Duration::from_millis(200);

/// Streams of one session. A channel has 99 people at most, a stage some thousands, of whom few speak.
const MAX_STREAMS: usize = 1024;

/// Frames are cut from pieces of memory of this size.
const CHUNK: usize = 8 << 10;

/// A frame of somebody in the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whose it is.
    pub user_id: u64,
    /// His stream. It changes when he joins anew.
    pub ssrc: u32,
    /// The Opus packet.
    pub frame: Bytes,
    /// Its place in its stream. Packets can overtake each other: a lower number than the last one's is a late frame.
    pub sequence: u16,
    /// When it was spoken, in samples at 48 kHz, from a random beginning. It wraps.
    pub rtp_time: u32,
    /// Frames of this stream between the last one handed out and this one that have not come, so far.
    pub lost_before: u16,
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Frame(Received),
    Speaking { user_id: u64, speaking: bool },
}

#[derive(Debug, Default)]
struct Stream {
    user: Option<u64>,
    window: Window,
    /// Not handed out since the last one that was.
    lost: u16,
    /// When somebody who speaks was last heard.
    heard: Option<Instant>,
    silence: u8,
}

#[derive(Debug)]
struct Held {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    lost_before: u16,
    late: bool,
    frame: Bytes,
    until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// Whether anybody wants the frames.
    wanted: bool,
    streams: HashMap<u32, Stream>,
    held: VecDeque<Held>,
    chunk: BytesMut,
    /// When to look for those who have become quiet.
    quiet_at: Option<Instant>,
    stats: ReceiveStats,
}

impl Receiver {
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// From now on the frames are wanted, or no longer.
    pub(crate) fn want(&mut self, wanted: bool) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        add(&mut self.stats.held_too_long, self.held.len());
        self.held.clear();
        // Numbers that passed by unread are no loss.
        for stream in self.streams.values_mut() {
            stream.window = Window::default();
            stream.lost = 0;
        }
    }

    pub(crate) fn stats(&self) -> ReceiveStats {
        self.stats
    }

    /// Speaking (5) tells whose stream it is.
    pub(crate) fn belongs(&mut self, ssrc: u32, user: u64, out: &mut Vec<Output>) {
        if self
            .streams
            .get(&ssrc)
            .is_some_and(|s| s.user == Some(user))
        {
            return;
        }
        self.gone(user, out);
        if self.streams.len() < MAX_STREAMS {
            self.streams.entry(ssrc).or_default().user = Some(user);
        }
    }

    /// A user left, or has another stream now.
    pub(crate) fn gone(&mut self, user: u64, out: &mut Vec<Output>) {
        self.streams.retain(|_, stream| {
            let his = stream.user == Some(user);
            if his && stream.heard.is_some() {
                out.push(Output::Speaking {
                    user_id: user,
                    speaking: false,
                });
            }
            !his
        });
    }

    /// Another voice server has other streams.
    pub(crate) fn reset(&mut self) {
        add(&mut self.stats.held_too_long, self.held.len());
        self.held.clear();
        self.streams.clear();
        self.quiet_at = None;
    }

    /// The last frame handed out was not taken.
    pub(crate) fn overflowed(&mut self) {
        count(&mut self.stats.overflowed);
    }

    /// A packet of video makes no sense.
    pub(crate) fn malformed(&mut self) {
        count(&mut self.stats.malformed);
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.held.len(), self.streams.len())
    }

    /// Everybody who speaks.
    pub(crate) fn speaking(&self) -> impl Iterator<Item = u64> {
        let speaking = self.streams.values().filter(|s| s.heard.is_some());
        speaking.filter_map(|stream| stream.user)
    }

    /// An RTP datagram.
    pub(crate) fn packet(
        &mut self,
        datagram: &mut [u8],
        transport: &Transport,
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        if !self.wanted {
            return self.notice(datagram, transport, now, out);
        }
        let Some((header, frame)) = open(datagram, transport) else {
            count(&mut self.stats.malformed);
            return;
        };
        if header.payload_type != OPUS {
            return;
        }
        if !self.streams.contains_key(&header.ssrc) && self.streams.len() >= MAX_STREAMS {
            // Some whose owner was never named make room.
            self.streams.retain(|_, stream| stream.user.is_some());
        }
        let stream = self.streams.entry(header.ssrc).or_default();
        let (lost_before, late) = match stream.window.arrive(header.sequence) {
            Arrival::New { missing } => {
                add(&mut self.stats.lost, missing.into());
                (
                    missing.saturating_add(std::mem::take(&mut stream.lost)),
                    false,
                )
            }
            Arrival::Late => {
                self.stats.lost = self.stats.lost.saturating_sub(1);
                (0, true)
            }
            Arrival::Before => (0, true),
            Arrival::Duplicate => {
                count(&mut self.stats.duplicates);
                return;
            }
            Arrival::Old => {
                count(&mut self.stats.too_late);
                return;
            }
        };
        count(&mut self.stats.received);
        let held = Held {
            ssrc: header.ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            lost_before,
            late,
            frame: Bytes::new(),
            until: later(now, HOLD),
        };
        if let Err(Refusal::Early) = self.hand_out(&held, frame, dave, now, steps, out) {
            let frame = Bytes::copy_from_slice(frame);
            self.hold(Held { frame, ..held });
        }
    }

    /// Sees who speaks, of a packet that nobody wants.
    fn notice(
        &mut self,
        datagram: &mut [u8],
        transport: &Transport,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Ok(header) = Header::parse(datagram) else {
            count(&mut self.stats.malformed);
            return;
        };
        if header.payload_type != OPUS {
            return;
        }
        let stream = self.streams.get(&header.ssrc);
        let speaks = stream.is_some_and(|stream| stream.heard.is_some());
        let user = stream.and_then(|stream| stream.user);
        let mut silence = false;
        // That somebody begins must come from the voice server, and be no silence, which is not end-to-end encrypted.
        if user.is_some() && !speaks {
            let Some((_, frame)) = open(datagram, transport) else {
                count(&mut self.stats.malformed);
                return;
            };
            count(&mut self.stats.looked_into);
            silence = frame == OPUS_SILENCE;
        }
        count(&mut self.stats.unread);
        if let Some(user_id) = user {
            self.heard(header.ssrc, user_id, silence, now, out);
        }
    }

    fn hold(&mut self, held: Held) {
        if self.held.len() >= MAX_HELD
            && let Some(oldest) = self.held.pop_front()
        {
            self.expired(&oldest);
        }
        self.held.push_back(held);
    }

    /// Hands a frame out, unless it cannot be opened.
    fn hand_out(
        &mut self,
        packet: &Held,
        frame: &[u8],
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let stream = self.streams.get_mut(&packet.ssrc);
        // Word of whose it is may come in a moment.
        let user_id = stream.and_then(|s| s.user).ok_or(Refusal::Early)?;
        if self.chunk.len() < frame.len() {
            self.chunk = BytesMut::zeroed(CHUNK.max(frame.len()));
        }
        let opened = dave.decrypt(user_id, frame, &mut self.chunk, now, steps);
        let Ok(length) = opened.inspect_err(|refusal| {
            if *refusal == Refusal::Undecryptable {
                count(&mut self.stats.undecryptable);
                self.missed(packet);
            }
        }) else {
            return opened.map(|_| ());
        };
        let frame = self.chunk.split_to(length).freeze();
        count(&mut self.stats.delivered);
        self.heard(packet.ssrc, user_id, frame == OPUS_SILENCE[..], now, out);
        out.push(Output::Frame(Received {
            user_id,
            ssrc: packet.ssrc,
            frame,
            sequence: packet.sequence,
            rtp_time: packet.timestamp,
            lost_before: packet.lost_before,
        }));
        Ok(())
    }

    /// A frame will not be handed out: the next one says that it is missing.
    fn missed(&mut self, packet: &Held) {
        if let Some(stream) = self.streams.get_mut(&packet.ssrc).filter(|_| !packet.late) {
            let missing = packet.lost_before.saturating_add(1);
            stream.lost = stream.lost.saturating_add(missing);
        }
    }

    fn expired(&mut self, packet: &Held) {
        count(&mut self.stats.held_too_long);
        self.missed(packet);
    }

    /// Keys have changed, or it is known whose a stream is: what waits is tried again.
    pub(crate) fn retry(
        &mut self,
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        for held in std::mem::take(&mut self.held) {
            if now >= held.until {
                self.expired(&held);
            } else if let Err(Refusal::Early) =
                self.hand_out(&held, &held.frame, dave, now, steps, out)
            {
                self.held.push_back(held);
            }
        }
    }

    fn heard(
        &mut self,
        ssrc: u32,
        user_id: u64,
        silence: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            return;
        };
        if silence {
            stream.silence = stream.silence.saturating_add(1);
            if stream.silence >= 5 && stream.heard.take().is_some() {
                out.push(Output::Speaking {
                    user_id,
                    speaking: false,
                });
            }
            return;
        }
        stream.silence = 0;
        if stream.heard.replace(now).is_none() {
            out.push(Output::Speaking {
                user_id,
                speaking: true,
            });
        }
        self.quiet_at.get_or_insert(later(now, QUIET));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let held = self.held.front().map(|held| held.until);
        held.into_iter().chain(self.quiet_at).min()
    }

    pub(crate) fn advance(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.held.front().is_some_and(|held| now >= held.until) {
            if let Some(held) = self.held.pop_front() {
                self.expired(&held);
            }
        }
        if self.quiet_at.is_some_and(|at| now >= at) {
            self.quiet_at = None;
            for stream in self.streams.values_mut() {
                let Some(heard) = stream.heard else { continue };
                let quiet = later(heard, QUIET);
                if now >= quiet {
                    stream.heard = None;
                    if let Some(user_id) = stream.user {
                        out.push(Output::Speaking {
                            user_id,
                            speaking: false,
                        });
                    }
                } else {
                    self.quiet_at = Some(self.quiet_at.map_or(quiet, |first| first.min(quiet)));
                }
            }
        }
    }
}

/// What is in a packet, if the voice server sent it.
fn open<'a>(datagram: &'a mut [u8], transport: &Transport) -> Option<(Header, &'a [u8])> {
    let header = Header::parse(datagram).ok()?;
    let decrypted = transport.open(datagram, header.clear).ok()?;
    Some((header, header.payload(decrypted).ok()?))
}

#[cfg(test)]
mod tests;
