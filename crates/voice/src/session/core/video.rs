//! Video: what the voice gateway says of it, our frames and others', and what is asked and reported of packets.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Action, Core, Sending, Stage};
use crate::error::End;
use crate::event::Event;
use crate::gateway::message::video::{OwnVideo, SinkWants, Stream, Video as Announced, Wants};
use crate::gateway::message::{Outgoing, Text};
use crate::media::crypto::NonceExhausted;
use crate::status::{VideoSendStats, VideoStatus};
use crate::video::receiver::VideoReceiver;
use crate::video::sender::VideoSender;
use crate::video::{ReceivedVideo, VideoConfig, VideoFrame};
use uro_discord_media::VideoCodec;
use uro_discord_media::rtp::Header;

/// What a session has of video, where it is on.
pub(super) struct Video {
    pub(super) config: VideoConfig,
    receiver: VideoReceiver,
    /// Where the server has a place for our video.
    pub(super) sender: Option<VideoSender>,
    /// The server was told of a stream of ours, which may have ended since.
    told: bool,
    codec: Option<VideoCodec>,
    wanted: Option<u8>,
    /// How good we want others' video: of all, and of some.
    any: u8,
    users: BTreeMap<u64, u8>,
    pub(super) stats: VideoSendStats,
    outputs: Vec<ReceivedVideo>,
    packet: Vec<u8>,
}

impl Video {
    pub(super) fn new(config: VideoConfig) -> Self {
        Self {
            config,
            receiver: VideoReceiver::default(),
            sender: None,
            told: false,
            codec: None,
            wanted: None,
            any: 100,
            users: BTreeMap::new(),
            stats: VideoSendStats::default(),
            outputs: Vec::new(),
            packet: Vec::new(),
        }
    }

    pub(super) fn status(&self) -> VideoStatus {
        VideoStatus {
            codec: self.codec,
            wanted: self.wanted,
            sent: self.stats,
            received: self.receiver.stats(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sending = self.sender.as_ref().and_then(VideoSender::deadline);
        sending.into_iter().chain(self.receiver.deadline()).min()
    }

    /// Ready (2): the places for our video.
    pub(super) fn ready(&mut self, streams: &[Stream]) {
        let place = streams.iter().find(|stream| stream.ssrc != 0);
        self.sender = place.map(|place| {
            let (ssrc, rtx_ssrc) = place.ssrcs();
            VideoSender::new(ssrc, rtx_ssrc, self.config.max_bitrate)
        });
    }

    /// What belonged to the last voice server.
    pub(super) fn forget(&mut self) {
        self.receiver.reset();
        (self.sender, self.codec, self.wanted) = (None, None, None);
        self.told = false;
    }

    fn wants(&self) -> Wants {
        let streams = self.users.iter().flat_map(|(user, quality)| {
            let own = self.receiver.streams_of(*user);
            own.map(|ssrc| (ssrc, *quality))
        });
        Wants {
            any: self.any,
            streams: streams.collect(),
        }
    }
}

impl Core {
    /// Session Description (4) or Session Update (14): the codec that the server wants.
    pub(super) fn video_codec(&mut self, name: Option<&str>) {
        let Some(video) = &mut self.video else { return };
        let codec = name.and_then(VideoCodec::from_name);
        let codec = codec.filter(|codec| video.config.codecs.contains(codec));
        if let Some(sender) = video.sender.as_mut().filter(|_| codec != video.codec) {
            sender.dropped();
        }
        video.codec = codec;
        self.actions
            .push_back(Action::Event(Event::VideoCodec(codec)));
    }

    /// Tells the server, after joining or resuming, what we send and what we want.
    pub(super) fn video_joined(&mut self) {
        let Some(video) = &self.video else { return };
        let wants = video.wants();
        let active = video.sender.as_ref().is_some_and(|sender| sender.active);
        // Of one that ended meanwhile it does not know yet.
        if active || video.told {
            self.announce_video(active);
        }
        self.text(&Outgoing::SinkWants(wants));
    }

    /// Video (12), of our own. `false`: the voice gateway cannot be told at present.
    fn announce_video(&mut self, start: bool) -> bool {
        let Stage::Live {
            live,
            resuming: false,
        } = &self.stage
        else {
            return false;
        };
        let audio = live.sender.ssrc();
        let Some(video) = &mut self.video else {
            return false;
        };
        let own = match &video.sender {
            Some(sender) if start => {
                video.told = true;
                let ssrcs = (sender.ssrc(), sender.rtx_ssrc());
                OwnVideo::start(audio, ssrcs, &video.config)
            }
            _ => OwnVideo::stop(audio),
        };
        self.text(&Outgoing::Video(own));
        true
    }

    /// A message that is about video.
    pub(super) fn video_message(&mut self, message: Text, now: Instant) {
        match message {
            Text::Video(announced) => self.announced(&announced),
            Text::SessionUpdate(update) if update.video_codec.is_some() => {
                self.video_codec(update.video_codec.as_deref());
            }
            Text::SinkWants(wants) => self.wanted(&wants, now),
            _ => {}
        }
    }

    fn announced(&mut self, announced: &Announced) {
        let user_id = announced.user_id.get();
        self.user_video(user_id, &announced.ssrcs());
    }

    /// A user's streams, none if he has left.
    pub(super) fn user_video(&mut self, user_id: u64, streams: &[(u32, u32)]) {
        let Some(video) = &mut self.video else { return };
        if !video.receiver.announced(user_id, streams) {
            return;
        }
        let ssrcs = video.receiver.streams_of(user_id).collect();
        let event = Event::UserVideo { user_id, ssrcs };
        let wants = video.users.contains_key(&user_id).then(|| video.wants());
        self.actions.push_back(Action::Event(event));
        if let Some(wants) = wants.filter(|_| self.is_connected()) {
            self.text(&Outgoing::SinkWants(wants));
        }
    }

    fn wanted(&mut self, wants: &SinkWants, now: Instant) {
        let Some(video) = &mut self.video else { return };
        let Some(sender) = &mut video.sender else {
            return;
        };
        let Some(wanted) = wants.of(sender.ssrc()) else {
            return;
        };
        let before = video.wanted.replace(wanted);
        if before == Some(wanted) {
            return;
        }
        self.actions
            .push_back(Action::Event(Event::VideoWanted(wanted)));
        // Whoever begins to watch begins with a keyframe.
        if before == Some(0) && sender.want_keyframe(now) {
            self.actions.push_back(Action::Event(Event::KeyframeWanted));
        }
    }

    /// How good we want somebody's video, or everybody's.
    pub(crate) fn want_video(&mut self, user: Option<u64>, quality: u8) {
        let Some(video) = &mut self.video else { return };
        if let Some(user) = user {
            video.users.insert(user, quality.min(100));
        } else {
            video.any = quality.min(100);
            video.users.clear();
        }
        let wants = video.wants();
        if self.is_connected() {
            self.text(&Outgoing::SinkWants(wants));
        }
    }

    /// Somebody's next frame should be a keyframe.
    pub(crate) fn request_keyframe(&mut self, user: u64, now: Instant) {
        if let Some(video) = &mut self.video
            && !video.receiver.want_keyframe(user, now)
        {
            tracing::debug!(user, "a keyframe of somebody who sends no video");
        }
    }

    /// Our video has ended.
    pub(crate) fn stop_video(&mut self) {
        let sender = self.video.as_mut().and_then(|video| video.sender.as_mut());
        if let Some(sender) = sender.filter(|sender| sender.active) {
            sender.stop();
            self.announce_video(false);
        }
    }

    /// A frame to send.
    pub(crate) fn video_frame(&mut self, frame: &VideoFrame, now: Instant) {
        let can_send = self.dave.can_send();
        let Some(video) = &mut self.video else { return };
        let connected = matches!(self.stage, Stage::Live { .. });
        let Some(sender) = video.sender.as_mut().filter(|_| connected) else {
            video.stats.not_connected += 1;
            return;
        };
        if video.wanted == Some(0) {
            video.stats.unwatched += 1;
            return sender.dropped();
        }
        if video.codec != Some(frame.codec) {
            video.stats.other_codec += 1;
            return sender.dropped();
        }
        if !sender.active && frame.keyframe && can_send {
            sender.active = true;
            if !self.announce_video(true)
                && let Some(video) = &mut self.video
            {
                video.stats.not_connected += 1;
                video.sender.iter_mut().for_each(VideoSender::stop);
                return;
            }
        }
        if let Some(video) = &mut self.video
            && let Some(sender) = &mut video.sender
            && sender.frame(frame, &mut self.dave, now, &mut video.stats)
        {
            self.actions.push_back(Action::Event(Event::KeyframeWanted));
        }
    }

    /// Makes the next packet of video to send now. To be called until there is [`Sending::Nothing`].
    pub(crate) fn video_packet(&mut self, now: Instant, packet: &mut Vec<u8>) -> Sending {
        let Stage::Live { live, .. } = &mut self.stage else {
            return Sending::Nothing;
        };
        let Some(video) = &mut self.video else {
            return Sending::Nothing;
        };
        let Some(sender) = &mut video.sender else {
            return Sending::Nothing;
        };
        match sender.packet(now, &mut live.transport, packet, &mut video.stats) {
            Ok(true) => Sending::Packet,
            Ok(false) => Sending::Nothing,
            Err(NonceExhausted) => {
                self.end(End::KeyExhausted);
                Sending::Nothing
            }
        }
    }

    /// The socket did not take the last packet of video. It may be asked for again.
    pub(crate) fn video_unsent(&mut self) {
        if let Some(video) = &mut self.video {
            video.stats.socket += 1;
        }
    }

    /// Nobody took the last frame of this stream.
    pub(crate) fn video_overflowed(&mut self, ssrc: u32, lost_before: u16, now: Instant) {
        if let Some(video) = &mut self.video {
            video.receiver.overflowed(ssrc, lost_before, now);
        }
    }

    /// Takes an RTP datagram that is not audio's.
    pub(super) fn video_datagram(&mut self, header: &Header, datagram: &mut [u8], now: Instant) {
        let Stage::Live { live, .. } = &self.stage else {
            return;
        };
        let Some(video) = &mut self.video else { return };
        let opened = live.transport.open(datagram, header.clear).ok();
        let Some(payload) = opened.and_then(|opened| header.payload(opened).ok()) else {
            return self.receiver.malformed();
        };
        video.receiver.packet(
            header,
            payload,
            &mut self.dave,
            now,
            &mut self.steps,
            &mut video.outputs,
        );
        self.ask(now);
    }

    /// Time has passed, or keys have changed.
    pub(super) fn video_advance(&mut self, now: Instant) {
        let Some(video) = &mut self.video else { return };
        video
            .receiver
            .advance(&mut self.dave, now, &mut self.steps, &mut video.outputs);
        self.ask(now);
    }

    /// Hands out what there is, and asks for what there is not.
    fn ask(&mut self, now: Instant) {
        let Some(video) = &mut self.video else { return };
        self.actions
            .extend(video.outputs.drain(..).map(Action::Video));
        let Stage::Live { live, .. } = &self.stage else {
            return;
        };
        let mut packet = std::mem::take(&mut video.packet);
        if video
            .receiver
            .feedback(live.sender.ssrc(), now, &mut packet)
        {
            self.rtcp(&mut packet);
        }
        if let Some(video) = &mut self.video {
            video.packet = packet;
        }
    }
}
