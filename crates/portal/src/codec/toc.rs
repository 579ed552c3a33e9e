//! What an Opus packet says of itself in its first bytes (RFC 6716, 3.1 and 3.2).

use bytes::{BufMut, Bytes, BytesMut};

use uro_discord_opus::frame_samples;
pub(crate) use uro_discord_opus::samples;

use super::FRAME;

/// Discord's silence: a stereo frame of CELT.
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// Both channels are in it.
const STEREO: u8 = 4;

pub(crate) fn stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & STEREO != 0)
}

/// There is nobody to be heard in it: an encoder that sends nothing (DTX) says so in a byte or two, Discord by its silence.
pub(crate) fn silent(packet: &[u8]) -> bool {
    packet.len() <= 2 || packet == SILENCE
}

/// Two packets of 10 ms as one of 20 ms, their frames untouched; `None` unless they are alike.
pub(crate) fn pair(first: &[u8], second: &[u8]) -> Option<Bytes> {
    let (&toc, first) = first.split_first()?;
    let (&other, second) = second.split_first()?;
    if toc != other || toc & 3 != 0 || frame_samples(toc) * 2 != FRAME {
        return None;
    }
    let mut packet = BytesMut::with_capacity(3 + first.len() + second.len());
    if first.len() == second.len() {
        packet.put_u8(toc | 1);
    } else {
        packet.put_u8(toc | 2);
        let size = u16::try_from(first.len()).ok()?;
        if size < 252 {
            packet.put_u8(size as u8);
        } else {
            // RFC 6716, 3.2.1: the first byte, from 252 to 255, and four times the second.
            let low = 252 + (size & 3);
            packet.put_u8(low as u8);
            packet.put_u8(u8::try_from((size - low) / 4).ok()?);
        }
    }
    packet.put(first);
    packet.put(second);
    Some(packet.freeze())
}

/// A packet of 20 ms without anything in it, of which a decoder makes what the last one may have gone on with.
pub(crate) fn nothing(last: &[u8]) -> Option<Bytes> {
    let toc = last.first()? & !3;
    let frames = match frame_samples(toc) {
        FRAME => 0,
        size if size * 2 == FRAME => 1,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&[toc | frames]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder hears in a pair what it hears in its two packets.
    #[test]
    fn a_pair_is_its_two_frames() {
        use uro_discord_opus::{Application, Decoder, Encoder, Mode};
        for (mode, rate) in [
            (Mode::Silk, 20_000),
            (Mode::Hybrid, 32_000),
            (Mode::Celt, 256_000),
        ] {
            let mut encoder = Encoder::new(1, Application::Audio, rate, 5).unwrap();
            encoder.force_mode(Some(mode)).unwrap();
            let mut apart = Decoder::new(2).unwrap();
            let mut together = Decoder::new(2).unwrap();
            let mut heard = (Vec::new(), Vec::new());
            let mut sizes = Vec::new();
            for frames in 0..40 {
                let packets = [0, 1].map(|half| {
                    let tone: Vec<f32> = (0..480)
                        .map(|n| ((frames * 960 + half * 480 + n) as f32 * 0.05).sin() * 0.4)
                        .collect();
                    let mut packet = [0; 1275];
                    let size = encoder.encode(&tone, &mut packet).unwrap();
                    packet[..size].to_vec()
                });
                sizes.push(packets[0].len());
                let pair = pair(&packets[0], &packets[1]).unwrap();
                assert_eq!(samples(&pair), Some(960));
                for packet in &packets {
                    let mut pcm = [0.0; 960];
                    assert_eq!(apart.decode(packet, &mut pcm).unwrap(), 480);
                    heard.0.extend(pcm);
                }
                let mut pcm = [0.0; 1920];
                assert_eq!(together.decode(&pair, &mut pcm).unwrap(), 960);
                heard.1.extend(pcm);
            }
            assert_eq!(heard.0, heard.1, "{mode:?}");
            assert!(
                mode != Mode::Celt || sizes.iter().any(|size| *size > 252),
                "{sizes:?}"
            );
        }
        assert_eq!(pair(&[0x60, 1], &[0x64, 1]), None, "stereo and mono");
        assert_eq!(pair(&[0x68, 1], &[0x68, 1]), None, "20 ms each");
    }

    #[test]
    fn nothing_is_a_packet() {
        for (last, samples) in [(0x78, Some(960)), (0x60, Some(960)), (0x80, None)] {
            let packet = nothing(&[last, 1, 2]);
            assert_eq!(packet.as_deref().and_then(super::samples), samples);
        }
    }
}
