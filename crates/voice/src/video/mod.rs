//! Video: whole frames to RTP packets and back, with what makes up for lost ones.
//!
//! Discord documents none of it and lets no bot send it; it is off unless [`Config::video`](crate::Config::video) is set.
//!
//! Payload formats and reassembly are our own, not a library's: those at hand (`rtp` and `rtc-rtp` of webrtc-rs) drop access
//! unit delimiters and reorder parameter sets, which shifts the ranges that DAVE leaves in clear, so that no receiver can
//! decrypt such a frame; and they panic on a truncated STAP-A and join fragments across a loss.

pub(crate) mod assembler;
pub(crate) mod h264;
pub(crate) mod receiver;
pub(crate) mod rtx;
pub(crate) mod sender;
pub(crate) mod vp8;

use bytes::Bytes;

/// Larger frames are not sent, and not put together.
pub(crate) const MAX_FRAME: usize = 2 << 20;

/// How a session sends video and takes it. Only for the day on which Discord lets bots: today it does not show a bot's video to
/// anybody, and whether it sends others' to a bot is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoConfig {
    /// Codecs that we can send and take, the best first.
    pub codecs: Vec<VideoCodec>,
    /// The picture's width and height.
    pub resolution: (u32, u32),
    /// Pictures a second at most.
    pub max_framerate: u32,
    /// Bits a second at most; packets are paced by it.
    pub max_bitrate: u32,
    /// Frames that may wait to be sent, and received ones that may wait to be taken.
    pub queue: usize,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            codecs: vec![VideoCodec::H264, VideoCodec::Vp8],
            resolution: (1280, 720),
            max_framerate: 30,
            max_bitrate: 2_500_000,
            queue: 32,
        }
    }
}

/// A frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFrame {
    /// How it is encoded. Only frames in the codec that the server wants are sent ([`Event::VideoCodec`](crate::Event::VideoCodec)).
    pub codec: VideoCodec,
    /// The access unit.
    pub data: Bytes,
    /// When it was taken, in units of 1/90,000 s, from any beginning. It wraps.
    pub rtp_time: u32,
    /// It can be decoded without those before it.
    pub keyframe: bool,
}

/// A frame of somebody in the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedVideo {
    /// Whose it is.
    pub user_id: u64,
    /// His stream.
    pub ssrc: u32,
    /// How it is encoded.
    pub codec: VideoCodec,
    /// The whole access unit; of H.264 with start codes of four bytes.
    pub frame: Bytes,
    /// When it was taken, in units of 1/90,000 s, from a random beginning. It wraps.
    pub rtp_time: u32,
    /// It can be decoded without those before it. One that cannot is of little use after a loss.
    pub keyframe: bool,
    /// Frames of this stream that were lost since the last one handed out. Of H.264 it is the least that it can be: packets
    /// do not tell.
    pub lost_before: u16,
}

/// How a frame is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, as an Annex B byte stream: one access unit, every NAL unit behind a start code.
    H264,
    /// VP8, as RFC 6386 has it: one frame.
    Vp8,
}

impl VideoCodec {
    pub(crate) const ALL: [Self; 2] = [Self::H264, Self::Vp8];

    /// The name that Discord has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The payload types that we tell the server: of packets, and of retransmissions.
    pub(crate) fn payload_types(self) -> (u8, u8) {
        match self {
            Self::H264 => (101, 102),
            Self::Vp8 => (105, 106),
        }
    }

    /// The codec of a payload type, and whether it is a retransmission's.
    pub(crate) fn of_payload_type(payload_type: u8) -> Option<(Self, bool)> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|codec| match codec.payload_types() {
            (own, _) if own == payload_type => Some((codec, false)),
            (_, rtx) if rtx == payload_type => Some((codec, true)),
            _ => None,
        })
    }

    /// Whether a frame can be decoded without others.
    pub(crate) fn is_keyframe(self, frame: &[u8]) -> bool {
        match self {
            Self::H264 => h264::is_keyframe(frame),
            Self::Vp8 => vp8::is_keyframe(frame),
        }
    }

    /// Why a frame cannot be sent, if it cannot.
    pub(crate) fn check(self, frame: &[u8]) -> Result<(), crate::media::Malformed> {
        match self {
            Self::H264 => h264::check(frame),
            Self::Vp8 => vp8::check(frame),
        }
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
