//! The picture on air for who sees it as whole frames, and not by a peer: the call, over the bot's voice connection.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use uro_discord_media::VideoCodec;
use uro_discord_media::assembler::{self, Assembler};

use super::VideoPacket;

/// A whole frame of the picture that is on air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// How it is encoded.
    pub codec: VideoCodec,
    /// The frame; of H.264 with start codes.
    pub data: Bytes,
    /// When it was taken, in units of 1/90,000 s. It goes on when another camera comes on air.
    pub rtp_time: u32,
    /// It can be decoded without those before it.
    pub keyframe: bool,
}

/// Packets become frames, and go where there is room; after one that did not, a keyframe is the next that does.
pub(crate) struct Screen {
    assembler: Assembler,
    waits: bool,
    pictures: mpsc::Sender<Picture>,
}

impl Screen {
    pub(crate) fn new(pictures: mpsc::Sender<Picture>) -> Self {
        Self {
            assembler: Assembler::default(),
            waits: true,
            pictures,
        }
    }

    /// A packet. Whether a keyframe is needed.
    pub(crate) fn packet(&mut self, now: Instant, packet: VideoPacket) -> bool {
        self.assembler.packet(
            packet.sequence,
            assembler::Packet {
                codec: packet.format.codec,
                timestamp: packet.time,
                marker: packet.marker,
                payload: packet.payload,
            },
            now,
        );
        self.assemble(now)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.assembler.overdue()
    }

    /// Time has passed. Whether a keyframe is needed.
    pub(crate) fn timeout(&mut self, now: Instant) -> bool {
        self.assemble(now)
    }

    fn assemble(&mut self, now: Instant) -> bool {
        let mut needs = false;
        while let Some(frame) = self.assembler.poll(now) {
            let keyframe = frame.codec.is_keyframe(&frame.data);
            self.waits = !keyframe && (self.waits || frame.lost_before > 0);
            if self.waits {
                needs = true;
                continue;
            }
            let picture = Picture {
                codec: frame.codec,
                data: frame.data.into(),
                rtp_time: frame.rtp_time,
                keyframe,
            };
            // One that nobody takes any more needs nothing.
            if let Err(TrySendError::Full(_)) = self.pictures.try_send(picture) {
                (self.waits, needs) = (true, true);
            }
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::VideoFormat;
    use super::*;
    use std::time::Duration;
    use uro_discord_media::fixtures::frames;
    use uro_discord_media::h264;

    struct Camera {
        sequence: u16,
        time: u32,
    }

    impl Camera {
        fn packets(&mut self, frame: &[u8]) -> Vec<VideoPacket> {
            self.time += 3_000;
            let payloads = h264::packetize(frame, 300);
            let last = payloads.len() - 1;
            let packets = payloads.into_iter().enumerate().map(|(index, payload)| {
                self.sequence = self.sequence.wrapping_add(1);
                VideoPacket {
                    ssrc: 1,
                    format: VideoFormat {
                        codec: VideoCodec::H264,
                        profile: 0,
                    },
                    sequence: self.sequence,
                    time: self.time,
                    marker: index == last,
                    payload: payload.into(),
                }
            });
            packets.collect()
        }
    }

    #[test]
    fn frames_come_whole_from_a_keyframe_on_and_again_after_a_loss_or_without_room() {
        let now = Instant::now();
        let all = frames(VideoCodec::H264);
        let key = |frame: &[u8]| VideoCodec::H264.is_keyframe(frame);
        let (first, next) = (
            all.iter().find(|it| key(it)).unwrap(),
            all.iter().find(|it| !key(it)).unwrap(),
        );
        let (sender, mut receiver) = mpsc::channel(2);
        let mut screen = Screen::new(sender);
        let mut camera = Camera {
            sequence: 65_530,
            time: 0,
        };
        let mut show = |screen: &mut Screen, frame: &[u8], lose: bool| {
            let mut packets = camera.packets(frame);
            packets.truncate(packets.len() - usize::from(lose));
            let mut needs = false;
            for packet in packets {
                needs |= screen.packet(now, packet);
            }
            needs
        };
        // It begins with a keyframe.
        assert!(show(&mut screen, next, false));
        assert!(receiver.try_recv().is_err());
        assert!(!show(&mut screen, first, false));
        assert!(!show(&mut screen, next, false));
        let (one, other) = (receiver.try_recv().unwrap(), receiver.try_recv().unwrap());
        assert_eq!((&one.data[..], one.keyframe), (&first[..], true));
        assert_eq!((&other.data[..], other.keyframe), (&next[..], false));
        assert_eq!(other.rtp_time - one.rtp_time, 3_000);
        // A packet is lost, and given up; what follows needs what is not there.
        show(&mut screen, first, true);
        assert!(!show(&mut screen, next, false));
        let deadline = screen.deadline().unwrap();
        assert!(!screen.timeout(deadline - Duration::from_millis(1)));
        assert!(screen.timeout(deadline));
        assert!(receiver.try_recv().is_err());
        assert!(!show(&mut screen, first, false));
        assert!(receiver.try_recv().unwrap().keyframe);
        // There is room for two: the third is lost, and so is what follows, until the next keyframe.
        for needs in [false, false, true, true] {
            assert_eq!(show(&mut screen, next, false), needs);
        }
        while receiver.try_recv().is_ok() {}
        assert!(show(&mut screen, next, false));
        assert!(receiver.try_recv().is_err());
        assert!(!show(&mut screen, first, false));
        assert!(receiver.try_recv().unwrap().keyframe);
    }
}
