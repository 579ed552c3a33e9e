use crate::{Malformed, h264, sps, vp8};

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

    /// How many pixels a picture has, as the packet says with which a keyframe begins.
    #[must_use]
    pub fn pixels(self, payload: &[u8]) -> Option<u32> {
        let (width, height) = match self {
            Self::H264 => {
                let picture = sps::read(h264::parameters(payload)?)?;
                (picture.width, picture.height)
            }
            Self::Vp8 => vp8::size(vp8::beginning(payload)?)?,
        };
        Some(u32::from(width).saturating_mul(height.into()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::frames;

    #[test]
    fn the_first_packet_of_a_keyframe_says_how_large_it_is() {
        for codec in VideoCodec::ALL {
            for frame in frames(codec) {
                let payloads = match codec {
                    VideoCodec::H264 => h264::packetize(&frame, 100),
                    VideoCodec::Vp8 => vp8::packetize(&frame, 1, 100),
                };
                let said: Vec<_> = payloads.iter().map(|it| codec.pixels(it)).collect();
                let first = codec.is_keyframe(&frame).then_some(160 * 96);
                assert_eq!(said[0], first);
                assert!(said[1..].iter().all(Option::is_none));
            }
        }
    }
}
