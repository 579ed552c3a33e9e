//! Others' video: from packets to whole frames, each handed out or told to be lost; and what is asked of their senders.
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

use bytes::Bytes;

use super::{ReceivedVideo, of_payload_type};
use crate::dave::{Dave, Refusal, Step};
use crate::saturating::{add, count, later};
use crate::status::VideoReceiveStats;
use uro_discord_media::assembler::{Assembler, Frame, Packet, Taken};
use uro_discord_media::feedback;
use uro_discord_media::rtp::Header;
use uro_discord_media::rtx;

/// Streams of one session: Discord shows 25 cameras at most.
const MAX_STREAMS: usize = 64;

/// How long a frame waits for its key.
const HOLD: Duration = Duration::from_millis(200);

/// Frames of one stream that wait for a key.
const MAX_HELD: usize = 32;

/// A keyframe that does not come is asked for again after this. It doubles, for the sender may be gone; whoever needs one now does not wait for so long.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASK_LATEST: Duration = Duration::from_secs(8);

/// Packets asked for in one datagram.
const MAX_ASKED: usize = 250;

#[derive(Debug)]
struct Held {
    frame: Frame,
    until: Instant,
}

#[derive(Debug)]
struct Stream {
    user: u64,
    rtx_ssrc: u32,
    assembler: Assembler,
    held: VecDeque<Held>,
    /// A frame has been handed out.
    begun: bool,
    /// What comes cannot be decoded without a keyframe: when to ask for one, and how long to wait then.
    keyframe: Option<(Instant, Duration)>,
}

impl Stream {
    fn want_keyframe(&mut self, now: Instant) {
        self.keyframe.get_or_insert((now, ASK_AGAIN));
    }
}

#[derive(Debug, Default)]
pub(crate) struct VideoReceiver {
    /// By SSRC.
    streams: HashMap<u32, Stream>,
    stats: VideoReceiveStats,
    decrypted: Vec<u8>,
}

impl VideoReceiver {
    pub(crate) fn stats(&self) -> VideoReceiveStats {
        self.stats
    }

    /// The last frame handed out was not taken: what follows cannot be decoded.
    pub(crate) fn overflowed(&mut self, ssrc: u32, lost_before: u16, now: Instant) {
        count(&mut self.stats.overflowed);
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            lose(stream, lost_before, now);
        }
    }

    /// Video (12) tells which streams a user has: SSRC, and that of its retransmissions. Gives whether he has others now.
    pub(crate) fn announced(&mut self, user: u64, streams: &[(u32, u32)]) -> bool {
        let before = self.streams.len();
        self.streams.retain(|ssrc, stream| {
            stream.user != user || streams.iter().any(|(kept, _)| kept == ssrc)
        });
        let mut changed = self.streams.len() != before;
        for (ssrc, rtx_ssrc) in streams {
            if let Some(stream) = self.streams.get_mut(ssrc) {
                if stream.user == user {
                    stream.rtx_ssrc = *rtx_ssrc;
                }
                continue;
            }
            if self.streams.len() >= MAX_STREAMS {
                continue;
            }
            let stream = Stream {
                user,
                rtx_ssrc: *rtx_ssrc,
                assembler: Assembler::default(),
                held: VecDeque::new(),
                begun: false,
                keyframe: None,
            };
            self.streams.insert(*ssrc, stream);
            changed = true;
        }
        changed
    }

    /// A user's streams.
    pub(crate) fn streams_of(&self, user: u64) -> impl Iterator<Item = u32> {
        let own = self
            .streams
            .iter()
            .filter(move |(_, stream)| stream.user == user);
        own.map(|(ssrc, _)| *ssrc)
    }

    /// Another voice server has other streams.
    pub(crate) fn reset(&mut self) {
        self.streams.clear();
    }

    /// A decoder wants one. `false`: he has no video.
    pub(crate) fn want_keyframe(&mut self, user: u64, now: Instant) -> bool {
        let mut found = false;
        for stream in self
            .streams
            .values_mut()
            .filter(|stream| stream.user == user)
        {
            let (at, _) = stream.keyframe.get_or_insert((now, ASK_AGAIN));
            *at = (*at).min(later(now, ASK_AGAIN));
            found = true;
        }
        found
    }

    /// A decrypted packet, of another payload type than audio's.
    pub(crate) fn packet(
        &mut self,
        header: &Header,
        payload: &[u8],
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<ReceivedVideo>,
    ) {
        let Some((codec, again)) = of_payload_type(header.payload_type) else {
            // One that probes for bandwidth (96), or a codec that we have not.
            return;
        };
        let ssrc = if again {
            self.streams
                .iter()
                .find_map(|(ssrc, stream)| (stream.rtx_ssrc == header.ssrc).then_some(*ssrc))
        } else {
            Some(header.ssrc)
        };
        let found = ssrc.and_then(|ssrc| Some((ssrc, self.streams.get_mut(&ssrc)?)));
        let Some((ssrc, stream)) = found else {
            count(&mut self.stats.stray);
            return;
        };
        let original = if again {
            rtx::original(payload)
        } else {
            Some((header.sequence, payload))
        };
        let Some((sequence, payload)) = original else {
            return;
        };
        let packet = Packet {
            codec,
            timestamp: header.timestamp,
            marker: header.marker,
            payload: Bytes::copy_from_slice(payload),
        };
        match stream.assembler.packet(sequence, packet, now) {
            Taken::New => {
                count(&mut self.stats.packets);
                add(&mut self.stats.recovered, again.into());
            }
            Taken::Duplicate => count(&mut self.stats.duplicates),
            Taken::Late => count(&mut self.stats.too_late),
        }
        self.hand_out(ssrc, dave, now, steps, out);
    }

    /// Hands out the frames of a stream that are whole.
    fn hand_out(
        &mut self,
        ssrc: u32,
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<ReceivedVideo>,
    ) {
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            return;
        };
        while let Some(frame) = stream.assembler.poll(now) {
            if stream.held.len() == MAX_HELD
                && let Some(oldest) = stream.held.pop_front()
            {
                count(&mut self.stats.held_too_long);
                lose(stream, oldest.frame.lost_before, now);
            }
            stream.held.push_back(Held {
                frame,
                until: later(now, HOLD),
            });
        }
        if stream.assembler.is_damaged() {
            stream.want_keyframe(now);
        }
        while let Some(held) = stream.held.front_mut() {
            if self.decrypted.len() < held.frame.data.len() {
                self.decrypted.resize(held.frame.data.len(), 0);
            }
            let opened = dave.decrypt_video(
                stream.user,
                &held.frame.data,
                &mut self.decrypted,
                now,
                steps,
            );
            match opened {
                Err(Refusal::Early) if now < held.until => return,
                Err(refusal) => {
                    match refusal {
                        Refusal::Early => count(&mut self.stats.held_too_long),
                        Refusal::Undecryptable => count(&mut self.stats.undecryptable),
                    }
                    let lost_before = held.frame.lost_before;
                    stream.held.pop_front();
                    lose(stream, lost_before, now);
                }
                Ok(length) => {
                    let Some(Held { frame, .. }) = stream.held.pop_front() else {
                        return;
                    };
                    let data = self.decrypted.get(..length).unwrap_or_default();
                    let keyframe = frame.codec.is_keyframe(data);
                    if keyframe {
                        stream.keyframe = None;
                    } else if frame.lost_before > 0 || !stream.begun {
                        stream.want_keyframe(now);
                    }
                    stream.begun = true;
                    count(&mut self.stats.delivered);
                    add(&mut self.stats.lost, frame.lost_before.into());
                    out.push(ReceivedVideo {
                        user_id: stream.user,
                        ssrc,
                        codec: frame.codec,
                        frame: Bytes::copy_from_slice(data),
                        rtp_time: frame.rtp_time,
                        keyframe,
                        lost_before: frame.lost_before,
                    });
                }
            }
        }
    }

    /// Time has passed, or keys have changed.
    pub(crate) fn advance(
        &mut self,
        dave: &mut Dave,
        now: Instant,
        steps: &mut Vec<Step>,
        out: &mut Vec<ReceivedVideo>,
    ) {
        let mut due: Vec<u32> = Vec::new();
        for (ssrc, stream) in &self.streams {
            if !stream.held.is_empty() || stream.assembler.deadline().is_some_and(|at| now >= at) {
                due.push(*ssrc);
            }
        }
        for ssrc in due {
            self.hand_out(ssrc, dave, now, steps, out);
        }
    }

    /// Writes what is to be asked of the senders now, as one RTCP packet of `sender`'s; `false`: nothing.
    pub(crate) fn feedback(&mut self, sender: u32, now: Instant, packet: &mut Vec<u8>) -> bool {
        packet.clear();
        feedback::empty_report(sender, packet);
        let nothing = packet.len();
        let mut left = MAX_ASKED;
        for (ssrc, stream) in &mut self.streams {
            let missing = stream.assembler.missing(now, left);
            if !missing.is_empty() {
                left = left.saturating_sub(missing.len());
                add(&mut self.stats.asked_again, missing.len());
                feedback::nack(sender, *ssrc, &missing, packet);
            }
            if let Some((at, pause)) = &mut stream.keyframe
                && now >= *at
            {
                *at = later(now, *pause);
                *pause = pause.saturating_mul(2).min(ASK_LATEST);
                count(&mut self.stats.keyframes_asked);
                feedback::picture_loss(sender, *ssrc, packet);
            }
        }
        packet.len() > nothing
    }

    /// When to call [`advance`](Self::advance) and [`feedback`](Self::feedback), if nothing comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.streams.values().flat_map(|stream| {
            let held = stream.held.front().map(|held| held.until);
            let keyframe = stream.keyframe.map(|(at, _)| at);
            [held, keyframe, stream.assembler.deadline()]
        });
        deadlines.flatten().min()
    }
}

/// A frame is lost: the next one says so, and cannot be decoded.
fn lose(stream: &mut Stream, lost_before: u16, now: Instant) {
    match stream.held.front_mut() {
        Some(next) => {
            let lost = &mut next.frame.lost_before;
            *lost = lost.saturating_add(lost_before).saturating_add(1);
        }
        None => stream.assembler.undecryptable(lost_before),
    }
    stream.want_keyframe(now);
}

#[cfg(test)]
mod tests;
