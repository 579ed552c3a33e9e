//! Real frames, for tests (`fixtures/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "the files are known"
)]

use crate::{VideoCodec, h264};

/// Six frames, the first and the fourth of which are keyframes.
#[must_use]
pub fn frames(codec: VideoCodec) -> Vec<Vec<u8>> {
    match codec {
        VideoCodec::H264 => {
            let stream = include_bytes!("../fixtures/h264.bin");
            let mut frames: Vec<Vec<u8>> = Vec::new();
            for nal in h264::nals(stream) {
                const DELIMITER: u8 = 9;
                if nal[0] & 0x1f == DELIMITER {
                    frames.push(Vec::new());
                }
                let frame = frames.last_mut().unwrap();
                frame.extend([0, 0, 0, 1]);
                frame.extend(nal);
            }
            frames
        }
        VideoCodec::Vp8 => {
            let mut rest = &include_bytes!("../fixtures/vp8.ivf")[32..];
            let mut frames = Vec::new();
            while let Some((header, body)) = rest.split_first_chunk::<12>() {
                let length = u32::from_le_bytes(*header.first_chunk().unwrap());
                let (frame, next) = body.split_at(length as usize);
                frames.push(frame.to_vec());
                rest = next;
            }
            frames
        }
    }
}
