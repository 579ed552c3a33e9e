//! Video: whole frames to RTP packets and back, with what makes up for lost ones.
//!
//! Discord documents none of it and lets no bot send it; it is off unless [`Config::video`](crate::Config::video) is set.

pub(crate) mod receiver;
pub(crate) mod sender;

use bytes::Bytes;
use uro_discord_media::VideoCodec;

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

/// The payload types that we tell the server: of packets, and of retransmissions.
pub(crate) fn payload_types(codec: VideoCodec) -> (u8, u8) {
    match codec {
        VideoCodec::H264 => (101, 102),
        VideoCodec::Vp8 => (105, 106),
    }
}

/// The codec of a payload type, and whether it is a retransmission's.
pub(crate) fn of_payload_type(payload_type: u8) -> Option<(VideoCodec, bool)> {
    let mut all = VideoCodec::ALL.into_iter();
    all.find_map(|codec| match payload_types(codec) {
        (own, _) if own == payload_type => Some((codec, false)),
        (_, rtx) if rtx == payload_type => Some((codec, true)),
        _ => None,
    })
}
