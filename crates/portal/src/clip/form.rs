//! What a file says of all its pictures.

use uro_discord_media::{VideoCodec, h264, sps, vp8};

/// H.264's types of parameter sets.
const SPS: u8 = 7;
const PPS: u8 = 8;

/// Parameter sets of a kind that a file takes.
const SETS: usize = 31;

/// What decoders are to know beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Vp8 {
        width: u16,
        height: u16,
    },
    H264 {
        picture: sps::Picture,
        /// There is one at least.
        sps: Vec<Vec<u8>>,
        pps: Vec<Vec<u8>>,
    },
}

impl Form {
    /// As a keyframe has it, if it does.
    pub(super) fn of(codec: VideoCodec, keyframe: &[u8]) -> Option<Self> {
        match codec {
            VideoCodec::Vp8 => {
                let (width, height) = vp8::size(keyframe)?;
                Some(Self::Vp8 { width, height })
            }
            VideoCodec::H264 => {
                let of = |wanted| {
                    let sets = h264::nals(keyframe).filter(move |nal| kind(nal) == Some(wanted));
                    sets.map(<[u8]>::to_vec).take(SETS).collect::<Vec<_>>()
                };
                let (sps, pps) = (of(SPS), of(PPS));
                let picture = sps::read(sps.first()?)?;
                (!pps.is_empty()).then_some(Self::H264 { picture, sps, pps })
            }
        }
    }

    pub(super) fn codec(&self) -> VideoCodec {
        match self {
            Self::Vp8 { .. } => VideoCodec::Vp8,
            Self::H264 { .. } => VideoCodec::H264,
        }
    }
}

/// A NAL unit's type.
fn kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// Whether a NAL unit is in the file's description already.
pub(super) fn is_described(nal: &[u8]) -> bool {
    matches!(kind(nal), None | Some(SPS | PPS))
}
