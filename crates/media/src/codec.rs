use crate::{Malformed, h264, vp8};

/// How a frame is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, as an Annex B byte stream: one access unit, every NAL unit behind a start code.
    H264,
    /// VP8, as RFC 6386 has it: one frame.
    Vp8,
}

impl VideoCodec {
    /// Every codec.
    pub const ALL: [Self; 2] = [Self::H264, Self::Vp8];

    /// Its name in session descriptions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
        }
    }

    /// The codec of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether a frame can be decoded without others.
    #[must_use]
    pub fn is_keyframe(self, frame: &[u8]) -> bool {
        match self {
            Self::H264 => h264::is_keyframe(frame),
            Self::Vp8 => vp8::is_keyframe(frame),
        }
    }

    /// Whether a packet's payload begins what can be decoded without others.
    #[must_use]
    pub fn starts_keyframe(self, payload: &[u8]) -> bool {
        match self {
            Self::H264 => h264::starts_keyframe(payload),
            Self::Vp8 => vp8::starts_keyframe(payload),
        }
    }

    /// Whether a frame can be sent.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub fn check(self, frame: &[u8]) -> Result<(), Malformed> {
        match self {
            Self::H264 => h264::check(frame),
            Self::Vp8 => vp8::check(frame),
        }
    }
}
