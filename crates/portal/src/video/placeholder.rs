//! What a viewer sees while there is no camera for it: one picture, encoded beforehand by `placeholder/make.py`.

use std::time::Duration;

use uro_discord_media::{VideoCodec, h264, vp8};

/// It is sent anew so often: whoever lost it has it then.
pub(super) const ANEW: Duration = Duration::from_secs(2);

/// Between two of them, for a viewer that needs a keyframe.
pub(super) const ASKED: Duration = Duration::from_millis(500);

/// The largest payload.
const SIZE: usize = 1_200;

/// Two IDR pictures in a row have another `idr_pic_id` each.
const H264: [&[u8]; 2] = [
    include_bytes!("placeholder/h264-0"),
    include_bytes!("placeholder/h264-1"),
];
const VP8: &[u8] = include_bytes!("placeholder/vp8");

/// Its payloads, as the picture with this id.
pub(super) fn payloads(codec: VideoCodec, picture: u16) -> Vec<Vec<u8>> {
    match codec {
        VideoCodec::H264 => {
            let [even, odd] = H264;
            h264::packetize(if picture & 1 == 0 { even } else { odd }, SIZE)
        }
        VideoCodec::Vp8 => vp8::packetize(VP8, picture, SIZE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_keyframe_of_a_few_packets_in_each_codec() {
        for codec in VideoCodec::ALL {
            for picture in [0, 1] {
                let payloads = payloads(codec, picture);
                assert!(codec.starts_keyframe(&payloads[0]));
                assert!((1..8).contains(&payloads.len()), "{}", payloads.len());
                let mut frame = Vec::new();
                let parts = payloads.iter().map(|it| &it[..]);
                match codec {
                    VideoCodec::Vp8 => drop(vp8::depacketize(parts, &mut frame).unwrap()),
                    VideoCodec::H264 => h264::depacketize(parts, &mut frame).unwrap(),
                }
                assert_eq!(codec.check(&frame), Ok(()));
            }
        }
        assert_ne!(H264[0], H264[1]);
        assert_eq!(vp8::size(VP8), Some((640, 360)));
    }
}
