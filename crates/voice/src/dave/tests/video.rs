//! Frames of video, encrypted, in packets and back.

use super::*;
use uro_discord_media::fixtures::frames;
use uro_discord_media::{VideoCodec, h264, vp8};

/// What a receiver puts together of the packets of an encrypted frame.
fn sent(codec: VideoCodec, encrypted: &[u8], max: usize) -> Vec<u8> {
    let mut again = Vec::new();
    let payloads = match codec {
        VideoCodec::H264 => h264::packetize(encrypted, max),
        VideoCodec::Vp8 => vp8::packetize(encrypted, 5, max),
    };
    let payloads = payloads.iter().map(Vec::as_slice);
    match codec {
        VideoCodec::H264 => h264::depacketize(payloads, &mut again).unwrap(),
        VideoCodec::Vp8 => drop(vp8::depacketize(payloads, &mut again).unwrap()),
    }
    again
}

impl Room {
    fn encrypt_video(&mut self, codec: VideoCodec, frame: &[u8]) -> Result<Vec<u8>, NoKey> {
        let (now, mut out) = (self.now, Vec::new());
        let dave = self.members.get_mut(&1).unwrap();
        dave.encrypt_video(codec, frame, now, &mut out)
            .map(|()| out)
    }

    fn decrypt_video(&mut self, frame: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (now, mut out) = (self.now, vec![0; frame.len()]);
        let dave = self.members.get_mut(&2).unwrap();
        let length = dave.decrypt_video(1, frame, &mut out, now, &mut Vec::new())?;
        out.truncate(length);
        Ok(out)
    }
}

#[test]
fn real_frames_survive_encryption_and_packets() {
    let mut room = Room::new(&[1, 2]);
    for codec in VideoCodec::ALL {
        for frame in frames(codec) {
            // Ciphertext is random: rare shapes of it come up.
            for max in (40..140).chain([1100]) {
                let encrypted = room.encrypt_video(codec, &frame).unwrap();
                assert!(encrypted.ends_with(&[0xfa, 0xfa]));
                assert_eq!(codec.is_keyframe(&encrypted), codec.is_keyframe(&frame));
                let received = sent(codec, &encrypted, max);
                assert_eq!(received, encrypted);
                assert_eq!(room.decrypt_video(&received), Ok(frame.clone()));
            }
            let mut damaged = room.encrypt_video(codec, &frame).unwrap();
            damaged[frame.len() / 2] ^= 1;
            assert!(room.decrypt_video(&damaged).is_err());
        }
    }
}

/// Whatever passes the check: davey does not panic over it, nor lose the key.
#[test]
fn any_frame_that_is_taken_can_be_encrypted() {
    let mut room = Room::new(&[1, 2]);
    let mut random = fastrand::Rng::with_seed(8);
    let mut taken = 0;
    for _ in 0..50_000 {
        let mut frame = vec![0; random.usize(..24)];
        for byte in &mut frame {
            *byte = [0, 0, 0, 1, 3, 0x41, 0x65, random.u8(..)][random.usize(..8)];
        }
        frame.splice(..0, [0, 0, 1, [0x41, 0x65, 6][random.usize(..3)]]);
        for codec in VideoCodec::ALL {
            if codec.check(&frame).is_ok() {
                let encrypted = room.encrypt_video(codec, &frame).unwrap();
                taken += 1;
                if codec == VideoCodec::H264 {
                    let received = sent(codec, &encrypted, 20);
                    let decrypted = room.decrypt_video(&received).unwrap();
                    assert!(h264::nals(&decrypted).eq(h264::nals(&frame)), "{frame:x?}");
                }
            }
        }
        assert!(room.members[&1].can_send());
    }
    assert!(taken > 1000, "{taken}");
}

#[test]
fn no_key_no_frame_and_none_needed_on_a_stage() {
    let mut alone = Room::new(&[1]);
    let frame = frames(VideoCodec::Vp8).remove(0);
    assert_eq!(alone.encrypt_video(VideoCodec::Vp8, &frame), Err(NoKey));
    let now = Instant::now();
    let mut stage = Dave::new(1, CHANNEL);
    stage.start(0, now, &mut Vec::new());
    let mut out = Vec::new();
    stage
        .encrypt_video(VideoCodec::Vp8, &frame, now, &mut out)
        .unwrap();
    assert_eq!(out, frame);
}
