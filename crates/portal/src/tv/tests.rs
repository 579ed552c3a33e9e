use super::*;
use uro_discord_media::fixtures::frames;
use uro_discord_media::vp8;

const FRAME: Duration = Duration::from_millis(33);

/// A page, and what came to it.
struct Page {
    tv: Tv,
    now: Instant,
    codec: VideoCodec,
    frames: Vec<Vec<u8>>,
    next: usize,
    sequence: u16,
    time: u32,
    came: Vec<Came>,
    words: Vec<String>,
    asked: usize,
    slow: usize,
    closed: bool,
    acknowledges: bool,
}

struct Came {
    kind: u8,
    flags: u8,
    sequence: u16,
    pts: i64,
    data: Vec<u8>,
}

impl Page {
    fn new(codec: VideoCodec) -> Self {
        let now = Instant::now();
        Self {
            tv: Tv::new(now, vec![codec], true),
            now,
            codec,
            frames: frames(codec),
            next: 0,
            sequence: 65_530,
            time: u32::MAX - 9_000,
            came: Vec::new(),
            words: Vec::new(),
            asked: 0,
            slow: 0,
            closed: false,
            acknowledges: true,
        }
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
        self.tv.timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.tv.event() {
            match event {
                Event::Feedback(Feedback::Keyframe) => self.asked += 1,
                Event::Feedback(Feedback::Slow) => self.slow += 1,
                Event::Closed(Closed::Failed) => self.closed = true,
                Event::Connected => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(message) = self.tv.next_to_page() {
            match message {
                ToPage::Text(text) => self.words.push(text),
                ToPage::Frame(bytes) => self.came.push(Came {
                    kind: bytes[0],
                    flags: bytes[1],
                    sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
                    pts: i64::from_be_bytes(bytes[4..12].try_into().unwrap()),
                    data: bytes[12..].to_vec(),
                }),
            }
        }
        if self.acknowledges {
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        let count = self.came.len() as u64;
        self.say(FromPage::Ack { count });
    }

    fn say(&mut self, said: FromPage) {
        self.tv.hear(self.now, said);
        while let Some(event) = self.tv.event() {
            assert!(matches!(event, Event::Feedback(Feedback::Keyframe)));
            self.asked += 1;
        }
    }

    /// The next frame, or the next keyframe; some of its packets are left out.
    fn frame(&mut self, key: bool, lost: &[usize]) {
        while key && !self.codec.is_keyframe(&self.frames[self.next]) {
            self.next = (self.next + 1) % self.frames.len();
        }
        let frame = &self.frames[self.next];
        self.next = (self.next + 1) % self.frames.len();
        let payloads = match self.codec {
            VideoCodec::Vp8 => vp8::packetize(frame, 7, 200),
            VideoCodec::H264 => h264::packetize(frame, 200),
        };
        self.time = self.time.wrapping_add(3_000);
        let last = payloads.len() - 1;
        for (index, payload) in payloads.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            if lost.contains(&index) {
                continue;
            }
            let packet = VideoPacket {
                ssrc: 1,
                format: VideoFormat {
                    codec: self.codec,
                    profile: 0,
                },
                sequence: self.sequence,
                time: self.time,
                marker: index == last,
                payload: payload.into(),
            };
            self.tv.send_video(self.now, packet, false);
        }
        self.after(FRAME);
    }

    fn voice(&mut self, n: u32) {
        let rtp = Rtp {
            sequence: 0,
            time: n * 960,
            marker: false,
            payload: bytes::Bytes::from_static(b"opus"),
        };
        self.tv.send_rtp(self.now, rtp);
        self.drain();
    }

    fn flags(&self) -> Vec<u8> {
        self.came.iter().map(|came| came.flags).collect()
    }
}

#[test]
fn whole_frames_come_in_order_with_their_times() {
    for codec in VideoCodec::ALL {
        let mut page = Page::new(codec);
        for _ in 0..12 {
            page.frame(false, &[]);
        }
        assert_eq!(page.came.len(), 12, "{codec:?}");
        for (index, came) in page.came.iter().enumerate() {
            assert_eq!((came.kind, usize::from(came.sequence)), (VIDEO, index));
            assert_eq!(came.data, page.frames[index % 6]);
            assert_eq!(came.flags & KEY != 0, index % 3 == 0);
        }
        let times: Vec<i64> = page.came.iter().map(|came| came.pts).collect();
        let step = |pair: &[i64]| (32_000..34_500).contains(&(pair[1] - pair[0]));
        assert!(times.windows(2).all(step), "{times:?}");
        // How it is encoded is told once.
        let [word] = &page.words[..] else {
            panic!("{:?}", page.words);
        };
        match codec {
            VideoCodec::Vp8 => assert_eq!(word, r#"{"op":"video","codec":"vp8"}"#),
            VideoCodec::H264 => assert!(word.contains(r#""codec":"avc1."#), "{word}"),
        }
        assert_eq!((page.asked, page.slow), (0, 0));
    }
}

#[test]
fn who_comes_in_the_middle_waits_for_a_keyframe() {
    let mut page = Page::new(VideoCodec::Vp8);
    page.next = 1;
    page.frame(false, &[]);
    page.frame(false, &[]);
    assert!(page.came.is_empty());
    assert_eq!(page.asked, 1, "once, and not for each frame");
    page.frame(false, &[]);
    assert_eq!(page.flags(), [KEY]);
}

#[test]
fn a_frame_that_is_lost_costs_all_until_a_keyframe() {
    let mut page = Page::new(VideoCodec::Vp8);
    page.frame(true, &[]);
    page.frame(false, &[0]);
    page.frame(false, &[]);
    assert_eq!(page.came.len(), 1, "it is waited for");
    page.after(Duration::from_millis(500));
    assert_eq!((page.came.len(), page.asked), (1, 1));
    page.frame(true, &[]);
    page.frame(false, &[]);
    assert_eq!(page.flags(), [KEY, KEY | GAP, 0]);
    let sequences: Vec<u16> = page.came.iter().map(|came| came.sequence).collect();
    assert_eq!(sequences, [0, 1, 2]);
}

#[test]
fn a_page_that_is_hidden_is_sent_nothing_and_begins_anew() {
    let mut page = Page::new(VideoCodec::H264);
    page.frame(true, &[]);
    page.voice(0);
    page.say(FromPage::Pause);
    for n in 1..4 {
        page.frame(false, &[]);
        page.voice(n);
    }
    assert_eq!(page.came.len(), 2);
    page.say(FromPage::Start);
    assert_eq!(page.asked, 1);
    page.say(FromPage::Start);
    assert_eq!(page.asked, 1);
    page.frame(true, &[]);
    page.voice(4);
    assert_eq!(page.flags(), [KEY, KEY, KEY | GAP, KEY]);
    let voices = page.came.iter().filter(|came| came.kind == VOICE);
    // What it was not sent is seen by the numbers.
    assert_eq!(voices.map(|it| it.sequence).collect::<Vec<_>>(), [0, 4]);
}

#[test]
fn a_link_that_is_full_gets_no_picture_until_it_is_empty() {
    let mut page = Page::new(VideoCodec::H264);
    for _ in 0..6 {
        page.frame(false, &[]);
    }
    page.acknowledges = false;
    for _ in 0..40 {
        page.frame(false, &[]);
    }
    assert_eq!(page.slow, 1, "it says so once");
    let sent = page.came.len();
    assert!((22..28).contains(&sent), "{sent}");
    // Voice goes on, and ends as well when nothing comes for long.
    page.voice(0);
    assert_eq!(page.came.len(), sent + 1);
    page.after(Duration::from_secs(2));
    page.voice(1);
    assert_eq!(page.came.len(), sent + 1);
    page.acknowledge();
    assert_eq!(page.asked, 1);
    page.acknowledges = true;
    page.frame(true, &[]);
    let last = page.came.last().unwrap();
    assert_eq!((last.kind, last.flags), (VIDEO, KEY | GAP));
}

/// A whole picture, of this time in milliseconds.
fn jpeg(time: u32) -> Jpeg {
    Jpeg {
        time,
        width: 16,
        height: 16,
        bytes: bytes::Bytes::from_static(b"jpeg"),
    }
}

#[test]
fn whole_pictures_are_left_out_while_those_before_them_are_on_their_way() {
    let mut page = Page::new(VideoCodec::Vp8);
    let show = |page: &mut Page, time| {
        let sent = page.tv.send_whole(page.now, &jpeg(time));
        page.after(Duration::from_millis(66));
        sent
    };
    for n in 0..10 {
        assert!(show(&mut page, n * 66));
    }
    let times: Vec<i64> = page.came.iter().map(|came| came.pts).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 66_000));
    assert!(
        page.came
            .iter()
            .all(|came| (came.kind, came.flags) == (WHOLE, KEY))
    );
    page.acknowledges = false;
    let sent = (10..40).filter(|n| show(&mut page, n * 66)).count();
    assert!((3..6).contains(&sent), "{sent}");
    page.acknowledge();
    assert!(show(&mut page, 40 * 66));
    assert_eq!((page.slow, page.asked), (0, 0), "there is nothing smaller");
    page.say(FromPage::Pause);
    assert!(!show(&mut page, 41 * 66));
}

#[test]
fn a_page_that_does_not_read_is_given_up() {
    let mut page = Page::new(VideoCodec::Vp8);
    page.acknowledges = false;
    page.frame(true, &[]);
    assert!(page.tv.deadline().is_some());
    page.after(Duration::from_secs(9));
    assert!(!page.closed);
    page.after(Duration::from_secs(1));
    assert!(page.closed);
}

#[test]
fn a_ping_is_answered_with_the_time() {
    let mut page = Page::new(VideoCodec::Vp8);
    page.after(Duration::from_millis(250));
    page.say(FromPage::Ping { t: 7.5 });
    page.drain();
    assert_eq!(page.words, [r#"{"op":"pong","t":7.5,"pts":250000}"#]);
}
