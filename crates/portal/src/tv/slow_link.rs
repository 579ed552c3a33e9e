//! A page whose link carries 1.2 Mbit/s, in front of a camera with a layer of 2 Mbit/s and one of a quarter of that.

use super::*;
use crate::room::PeerId;
use crate::video::{Stage, VideoOutput};
use uro_discord_media::vp8;

/// Bytes that the link carries in a millisecond.
const CARRIES: usize = 150;

const CAMERA: PeerId = PeerId(1);
const VIEWER: PeerId = PeerId(2);

struct Layer {
    ssrc: u32,
    /// Of a frame, of which there are 30 a second.
    bytes: usize,
    key: bool,
    sequence: u16,
    time: u32,
}

impl Layer {
    fn new(ssrc: u32, bytes: usize) -> Self {
        Self {
            ssrc,
            bytes,
            key: true,
            sequence: 0,
            time: 0,
        }
    }

    fn frame(&mut self) -> Vec<VideoPacket> {
        let mut frame = vec![0; self.bytes];
        frame[0] = u8::from(!std::mem::take(&mut self.key));
        self.time += 3_000;
        let payloads = vp8::packetize(&frame, 7, 1_200);
        let last = payloads.len() - 1;
        let packets = payloads.into_iter().enumerate().map(|(index, payload)| {
            self.sequence += 1;
            VideoPacket {
                ssrc: self.ssrc,
                format: VideoFormat {
                    codec: VideoCodec::Vp8,
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
fn a_slow_link_gets_the_smaller_layer() {
    let start = Instant::now();
    let mut stage = Stage::new();
    stage.publish(start, CAMERA, "camera".into());
    let mut tv = Tv::new(start, vec![VideoCodec::Vp8], false);
    stage.watch(start, VIEWER, tv.formats(), false);
    let mut layers = [Layer::new(1, 8_333), Layer::new(2, 2_083)];
    // What is on the link, and since when; how long each frame took, and how large it was.
    let mut link: VecDeque<(Instant, usize, usize)> = VecDeque::new();
    let mut came: Vec<(u64, Duration, usize)> = Vec::new();
    for ms in 0..8_000_u64 {
        let now = start + Duration::from_millis(ms);
        if ms % 33 == 0 {
            for packet in layers.iter_mut().flat_map(Layer::frame) {
                stage.packet(now, CAMERA, packet);
            }
        }
        if stage.deadline().is_some_and(|at| at <= now) {
            stage.timeout(now);
        }
        if tv.deadline().is_some_and(|at| at <= now) {
            tv.timeout(now);
        }
        loop {
            while let Some(output) = stage.poll() {
                match output {
                    VideoOutput::Packet { packet, again, .. } => tv.send_video(now, packet, again),
                    VideoOutput::Keyframe { ssrc, .. } => {
                        let asked = layers.iter_mut().find(|layer| layer.ssrc == ssrc);
                        asked.unwrap().key = true;
                    }
                    VideoOutput::OnAir(_) | VideoOutput::Kind(_) | VideoOutput::Jpeg { .. } => {}
                }
            }
            match tv.event() {
                Some(Event::Feedback(said)) => stage.feedback(now, VIEWER, said),
                Some(_) => {}
                None => break,
            }
        }
        while let Some(message) = tv.next_to_page() {
            if let ToPage::Frame(bytes) = message {
                link.push_back((now, bytes.len(), bytes.len()));
            }
        }
        let mut carries = CARRIES;
        while let Some((sent, left, size)) = link.front_mut().filter(|_| carries > 0) {
            let part = carries.min(*left);
            (*left, carries) = (*left - part, carries - part);
            if *left == 0 {
                came.push((ms, now - *sent, *size));
                link.pop_front();
            }
        }
        if ms % 150 == 0 {
            let count = came.len() as u64;
            tv.hear(now, FromPage::Ack { count });
        }
    }
    let worst = came.iter().map(|(_, took, _)| *took).max().unwrap();
    // It is seen to be full when 0.6 s wait, of a picture that is 1.7 times too large: then as much again is behind them. All of this is by the
    // clock of the test, so that a busy machine changes nothing.
    assert!(worst < Duration::from_millis(1_200), "{worst:?}");
    // From the third second until more is tried it is the smaller layer, whole and in time.
    let later = came.iter().filter(|(ms, ..)| *ms >= 3_000);
    let (mut frames, mut late) = (0, 0);
    for (_, took, size) in later {
        assert_eq!(*size, layers[1].bytes + message::HEADER);
        frames += 1;
        late += usize::from(*took > Duration::from_millis(300));
    }
    assert!(frames >= 145, "{frames} of 151");
    assert_eq!(late, 0);
}
