//! One peer of a room: what its connection tells, as what the room is to do; and what the room gives, as what its connection carries.

mod connection;
mod left;
mod pictures;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::admission::Permit;
use super::line::LoopEnd;
use super::paths::PeerPaths;
use super::ssrcs::Ssrcs;
use super::stopped::Stopped;
use super::{Kind, Limits};
use crate::channel::control::{self, FromPeer, Hello, Listen, Speaker};
use crate::channel::{self, voice};
use crate::peer::{Channel, Closed, Datagram, Event, Message, Rtp};
use crate::rate::Rate;
use crate::room::{Codec, Format, Listens, Member, Packet, PeerId, Sequence, Source};
use crate::token::Claims;
use crate::tv::Tv;
use crate::tv::message::{FromPage, Said};
use crate::tv::people::People;
use crate::video::{Feedback, Jpeg, VideoFormat, VideoPacket};
pub(super) use connection::Connection;
pub use left::Left;
use pictures::Pictures;

/// How long a peer with data channels may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// Messages of `vsk-control` a second.
const CONTROL_RATE: u32 = 20;

/// How often ICE may begin anew, a second: it costs as much as an offer.
const RESTART_RATE: u32 = 4;

/// Packets of `vsk-voice` a second: ten players at 10 ms.
const VOICE_RATE: u32 = 1000;

/// How much of what a peer sends may be dropped, a second. What is beyond is abuse.
const EXCESS_RATE: u32 = 500;

/// Voice that SCTP could not send yet: a second of one speaker. More is stale.
const VOICE_UNSENT: usize = 16 * 1024;

/// Words that a peer does not read.
const CONTROL_UNSENT: usize = 256 * 1024;

/// Messages that are kept until it is known what their channel is called.
const EARLY: usize = 16;

/// How voice on tracks is.
pub(super) const TRACK: Format = Format {
    codec: Codec::Opus,
    frame_ms: 20,
    channels: 2,
};

/// What a room is to do for a peer.
#[derive(Debug)]
pub(super) enum Action {
    Join(Member),
    Voice(Source, Packet),
    Name(Source, String),
    Video(VideoPacket),
    Feedback(Feedback),
    /// It shows whole pictures on `vsk-video`, and sees those of others there.
    Pictures {
        shows: bool,
        sees: bool,
    },
    Jpeg(Jpeg),
}

/// What a peer's offer asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// Voice on a track of its own.
    pub(super) sends: bool,
    /// The mix on a track.
    pub(super) hears: bool,
    /// Data channels.
    pub(super) data: bool,
    /// A picture of its own.
    pub(super) shows: bool,
    /// The picture of the world.
    pub(super) sees: bool,
    /// The placeholder, while there is none.
    pub(super) placeholder: bool,
}

impl Wants {
    /// It shows a picture, or came to be heard: what a moderator can end.
    pub(super) fn publishes(self, kind: Kind) -> bool {
        self.shows || kind == Kind::Whip
    }

    /// Nothing flows before it says hello.
    fn data_only(self) -> bool {
        !(self.sends || self.hears || self.shows || self.sees)
    }
}

/// Who a peer is, as the endpoint found out.
pub(crate) struct PeerInfo {
    pub(crate) session: String,
    pub(crate) claims: Claims,
    pub(crate) kind: Kind,
    /// When it is to go, whatever it does then.
    pub(crate) until: Option<Instant>,
    /// Its place among those that are counted, until it goes; none of a page, whose socket has it.
    pub(crate) _permit: Option<Permit>,
}

pub(super) struct Session {
    pub(super) peer: Connection,
    pub(super) id: PeerId,
    /// The key of its room.
    pub(super) room: u64,
    pub(super) name: String,
    pub(super) info: PeerInfo,
    /// To the WebSocket of a page.
    pub(super) line: Option<LoopEnd>,
    pub(super) paths: PeerPaths,
    /// When something last came from where it is.
    pub(super) heard: Instant,
    /// When its next timer is due; what the heap has of others does not count.
    pub(super) due: Option<Instant>,
    pub(super) dirty: bool,
    /// Why it is to go.
    pub(super) left: Option<Left>,
    /// The room has it.
    pub(super) in_room: bool,
    pub(super) restarts: Rate,
    born: Instant,
    silence: Duration,
    connected: Option<Instant>,
    wants: Wants,
    control: Option<Channel>,
    voice: Option<Channel>,
    pictures: Pictures,
    hello: Option<Hello>,
    joined: Option<Way>,
    actions: VecDeque<Action>,
    /// A page says hello right behind the opening of its channel, and it may be read before that.
    early: VecDeque<(Channel, Message)>,
    packets: Rate,
    bytes: Rate,
    ssrcs: Ssrcs,
    words: Rate,
    voices: Rate,
    excess: Rate,
    /// When the next packet of the track begins, unless there was silence.
    next_time: u32,
    /// What did not come to the room.
    pub(super) dropped: u64,
}

/// How voice comes to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nowhere,
    Track,
    Channel,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        limits: &Limits,
        (id, room): (PeerId, u64),
        peer: Connection,
        paths: PeerPaths,
        info: PeerInfo,
        wants: Wants,
    ) -> Self {
        Self {
            peer,
            id,
            room,
            name: control::name(&info.claims.name).unwrap_or_else(|| "somebody".into()),
            info,
            line: None,
            paths,
            heard: now,
            due: None,
            dirty: false,
            left: None,
            in_room: false,
            restarts: Rate::new(RESTART_RATE, now),
            born: now,
            silence: limits.silence,
            connected: None,
            wants,
            control: None,
            voice: None,
            pictures: Pictures::new(now),
            hello: None,
            joined: None,
            actions: VecDeque::new(),
            early: VecDeque::new(),
            packets: Rate::new(limits.packets, now),
            bytes: Rate::new(limits.bits / 8, now),
            ssrcs: Ssrcs::default(),
            words: Rate::new(CONTROL_RATE, now),
            voices: Rate::new(VOICE_RATE, now),
            excess: Rate::new(EXCESS_RATE, now),
            next_time: 0,
            dropped: 0,
        }
    }

    /// Whether a datagram is within what a peer may send.
    pub(super) fn admits(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let bytes = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        let admitted = self.packets.take(1, now)
            && self.bytes.take(bytes, now)
            && self.ssrcs.admit(Datagram::of(datagram));
        if !admitted {
            self.drop_one(now);
        }
        admitted
    }

    fn drop_one(&mut self, now: Instant) {
        self.dropped = self.dropped.saturating_add(1);
        if !self.excess.take(1, now) {
            self.leave(Left::TooMuch);
        }
    }

    /// What it publishes is ended, if it is one of these. On data channels it goes on without pictures.
    pub(super) fn stop(&mut self, now: Instant, stopped: &Stopped) {
        if !stopped.has(&self.info.claims.sub, now) {
            return;
        }
        if self.wants.publishes(self.info.kind) {
            self.leave(Left::Stopped);
        } else if self.pictures.shows {
            self.picture(false, self.pictures.sees);
            let message = "a moderator has ended what you show here; ask one to allow it again";
            self.say(now, control::error("stopped", message));
        }
    }

    /// It shows pictures on `vsk-video`.
    pub(super) fn shows_there(&self) -> bool {
        self.pictures.shows
    }

    pub(super) fn leave(&mut self, why: Left) {
        self.left.get_or_insert(why);
    }

    /// The next thing to do in the room.
    pub(super) fn action(&mut self, now: Instant) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            let event = self.peer.any().event()?;
            self.note(now, event);
        }
    }

    fn note(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => {
                self.connected = Some(now);
                if !self.wants.data || self.hello.is_some() {
                    self.join();
                }
            }
            Event::Rtp(rtp) if self.wants.sends && self.joined.is_some() => {
                self.actions.push_back(Action::Voice(
                    self.source(0),
                    Packet {
                        sequence: Sequence::Rtp(rtp.sequence),
                        time: Some(rtp.time),
                        payload: rtp.payload,
                    },
                ));
            }
            Event::Video(packet) if self.wants.shows && self.joined.is_some() => {
                self.actions.push_back(Action::Video(packet));
            }
            Event::Feedback(feedback) if self.wants.sees && self.joined.is_some() => {
                self.actions.push_back(Action::Feedback(feedback));
            }
            Event::Feedback(_) => {}
            Event::Rtp(_) | Event::Video(_) => self.dropped = self.dropped.saturating_add(1),
            Event::Opened { channel, label } => {
                match label.as_str() {
                    channel::CONTROL => self.control = Some(channel),
                    channel::VOICE => self.voice = Some(channel),
                    channel::VIDEO => self.pictures.channel = Some(channel),
                    _ => {}
                }
                for (of, message) in std::mem::take(&mut self.early) {
                    if of == channel {
                        self.message(now, of, message);
                    } else {
                        self.early.push_back((of, message));
                    }
                }
            }
            Event::Message { channel, message } => {
                let known = [self.control, self.voice, self.pictures.channel];
                let known = known.contains(&Some(channel));
                let waits = self.control.is_none() || self.voice.is_none();
                if !known && waits && self.early.len() < EARLY {
                    self.early.push_back((channel, message));
                } else {
                    self.message(now, channel, message);
                }
            }
            Event::ChannelClosed(channel) => {
                if [self.control, self.voice].contains(&Some(channel)) {
                    self.leave(Left::Said);
                } else if self.pictures.channel == Some(channel) {
                    self.pictures.channel = None;
                    self.picture(false, false);
                }
            }
            Event::Closed(Closed::ByPeer) => self.leave(Left::Said),
            Event::Closed(Closed::Failed) => self.leave(Left::Failed),
        }
    }

    fn source(&self, sender: u32) -> Source {
        Source {
            peer: self.id,
            sender,
        }
    }

    fn message(&mut self, now: Instant, channel: Channel, message: Message) {
        match message {
            Message::Text(text) if self.control == Some(channel) => {
                if !self.words.take(1, now) {
                    return self.drop_one(now);
                }
                match FromPeer::parse(&text) {
                    Ok(said) => self.said(now, said),
                    Err(error) => self.say(now, control::error(error.code(), &error.to_string())),
                }
            }
            Message::Bytes(bytes) if self.voice == Some(channel) => {
                self.voices(now, bytes.freeze());
            }
            Message::Bytes(bytes) if self.pictures.channel == Some(channel) => {
                self.chunk(now, &bytes);
            }
            // Text where bytes are wanted, bytes where text is, or a channel that is not known.
            _ => self.drop_one(now),
        }
    }

    fn said(&mut self, now: Instant, said: FromPeer) {
        match said {
            FromPeer::Hello(_) if self.hello.is_some() => {
                let message = "hello is said once; connect anew to change what it says";
                self.say(now, control::error("again", message));
            }
            FromPeer::Hello(hello) => {
                self.hello = Some(hello);
                self.join();
            }
            FromPeer::Name { sender, name } => {
                let source = self.source(sender);
                self.actions.push_back(Action::Name(source, name));
            }
            FromPeer::Video { shows, sees } => self.picture(shows, sees),
            FromPeer::Ping => self.say(now, control::pong()),
            FromPeer::Bye => self.leave(Left::Said),
        }
    }

    fn voices(&mut self, now: Instant, mut message: bytes::Bytes) {
        let Some(hello) = self.hello.as_ref().filter(|_| self.joined.is_some()) else {
            return self.drop_one(now);
        };
        let largest = match hello.voice.codec {
            Codec::Opus => voice::LARGEST_OPUS,
            Codec::Pcm => voice::LARGEST_PCM,
        };
        if !hello.speaks || message.len() > largest {
            return self.drop_one(now);
        }
        while let Some(packet) = voice::next(&mut message) {
            match packet {
                Ok(packet) if self.voices.take(1, now) => {
                    let source = self.source(packet.sender);
                    let packet = Packet {
                        sequence: Sequence::Voice(packet.sequence),
                        time: None,
                        payload: packet.payload,
                    };
                    self.actions.push_back(Action::Voice(source, packet));
                }
                _ => self.drop_one(now),
            }
        }
    }

    /// It says what it does with pictures from now on.
    fn picture(&mut self, shows: bool, sees: bool) {
        self.pictures.change(shows, sees);
        if self.joined.is_some() {
            self.actions.push_back(Action::Pictures { shows, sees });
        }
    }

    /// A message of `vsk-video`.
    fn chunk(&mut self, now: Instant, message: &[u8]) {
        if self.joined.is_none() {
            return self.drop_one(now);
        }
        match self.pictures.take(now, message) {
            Ok(None) => {}
            Ok(Some(jpeg)) => self.actions.push_back(Action::Jpeg(jpeg)),
            Err(complaint) => {
                self.drop_one(now);
                if let Some(complaint) = complaint {
                    self.say(now, control::error("bad_picture", &complaint));
                }
            }
        }
    }

    /// Asks the room for a place, when enough is known.
    fn join(&mut self) {
        if self.joined.is_some() || self.connected.is_none() {
            return;
        }
        let hello = self.hello.as_ref();
        let by_track = |format| match self.wants.hears {
            true => (Way::Track, Listens::Mix(TRACK)),
            false => match format {
                Some(format) => (Way::Channel, Listens::Mix(format)),
                None => (Way::Nowhere, Listens::Nothing),
            },
        };
        let (way, listens) = match hello.map(|hello| (hello.listens, hello.voice)) {
            None => by_track(None),
            Some((Listen::Mix, format)) => by_track(Some(format)),
            Some((Listen::Each, format)) => (Way::Channel, Listens::Each(format)),
            Some((Listen::Nothing, _)) => (Way::Nowhere, Listens::Nothing),
        };
        // A track that sends speaks; the role is of the data channels.
        let speaks = match hello {
            _ if self.wants.sends => Some(TRACK),
            Some(hello) if hello.speaks => Some(hello.voice),
            _ => None,
        };
        self.joined = Some(way);
        self.actions.push_back(Action::Join(Member {
            name: self.name.clone(),
            listens,
            speaks,
        }));
        let Pictures { shows, sees, .. } = self.pictures;
        if shows || sees {
            self.actions.push_back(Action::Pictures { shows, sees });
        }
    }

    /// Whether it speaks for a world, by its own word.
    pub(super) fn is_world(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.speaks)
    }

    /// The room has taken it. Those of the roster who are `heard` speak already.
    pub(super) fn welcome(
        &mut self,
        now: Instant,
        portal: &str,
        roster: &[Speaker],
        heard: &[u32],
    ) {
        let Some(hello) = &self.hello else { return };
        let welcome = control::welcome(portal, self.id.0, hello.voice);
        self.say(now, welcome);
        self.say(now, control::roster(roster));
        for id in heard {
            self.say(now, control::speaking(*id, true));
        }
    }

    /// A message on `vsk-control`, if it has that.
    pub(super) fn say(&mut self, now: Instant, text: String) {
        let Some((control, peer)) = self.control.zip(self.peer.rtc()) else {
            return;
        };
        if peer.unsent(control) > CONTROL_UNSENT {
            return self.leave(Left::Stuck);
        }
        if let Err(error) = peer.send(now, control, Message::Text(text)) {
            tracing::debug!(%error, "a peer does not hear");
        }
    }

    /// A page says something.
    pub(super) fn hear(&mut self, now: Instant, said: FromPage) {
        if !self.words.take(1, now) {
            return self.drop_one(now);
        }
        if let Some(page) = self.peer.page() {
            page.hear(now, said);
        }
    }

    /// The room has taken a page.
    pub(super) fn greet(&mut self, picture: Option<&str>, people: &People) {
        let hello = Said::Hello {
            name: &self.name,
            audio: self.wants.hears,
        };
        if let Some(page) = self.peer.page() {
            page.tell(hello.text());
            page.tell(Said::Air { picture }.text());
            page.tell(Said::People(people).text());
        }
    }

    /// Messages for a page go on their way.
    pub(super) fn flush_page(&mut self) {
        while let Some(message) = self.peer.page().and_then(Tv::next_to_page) {
            let room = self.line.as_ref().is_some_and(|line| line.0.push(message));
            if !room {
                return self.leave(Left::Stuck);
            }
        }
    }

    /// Voice of the room.
    pub(super) fn deliver(&mut self, now: Instant, spoken: VoicePacket) {
        match self.joined {
            Some(Way::Track) => {
                let marker = spoken.time != self.next_time;
                self.next_time = spoken.time.wrapping_add(spoken.samples.into());
                let [.., high, low] = spoken.sequence.to_be_bytes();
                self.peer.any().send_rtp(
                    now,
                    Rtp {
                        sequence: u16::from_be_bytes([high, low]),
                        time: spoken.time,
                        marker,
                        payload: spoken.payload,
                    },
                );
            }
            Some(Way::Channel) => {
                let Some((channel, peer)) = self.voice.zip(self.peer.rtc()) else {
                    return;
                };
                if peer.unsent(channel) > VOICE_UNSENT {
                    self.dropped = self.dropped.saturating_add(1);
                    return;
                }
                let message = voice::write(spoken.speaker, spoken.sequence, &spoken.payload);
                let Some(message) = message else { return };
                if let Err(error) = peer.send(now, channel, Message::Bytes(message)) {
                    tracing::debug!(%error, "a peer does not hear");
                }
            }
            Some(Way::Nowhere) | None => {}
        }
    }

    /// A whole picture of the room. Whether it was sent.
    pub(super) fn show(&mut self, now: Instant, jpeg: &Jpeg) -> bool {
        match &mut self.peer {
            Connection::Page(page) => page.send_whole(now, jpeg),
            Connection::Rtc(peer) => self.pictures.show(now, &mut **peer, jpeg),
        }
    }

    /// A page says whether it shows whole pictures.
    pub(super) fn look(&mut self, looks: bool) {
        self.pictures.change(false, looks);
    }

    /// Whether it is a page that shows whole pictures.
    pub(super) fn looks(&self) -> bool {
        self.line.is_some() && self.pictures.sees
    }

    /// Who shows a picture on a track, by his token, if this one does.
    pub(super) fn shows(&self) -> Option<String> {
        self.wants.shows.then(|| self.info.claims.sub.clone())
    }

    /// The formats in which it can see, none if it does not; and whether it sees the placeholder.
    pub(super) fn sees(&mut self) -> (Vec<VideoFormat>, bool) {
        let formats = match self.wants.sees {
            true => self.peer.any().formats(),
            false => Vec::new(),
        };
        (formats, self.wants.placeholder)
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub(super) fn deadline(&mut self) -> Instant {
        let own = self.own_deadline();
        self.peer
            .any()
            .deadline()
            .map_or(own, |deadline| deadline.min(own))
    }

    fn own_deadline(&self) -> Instant {
        let vanished = self.heard.checked_add(self.silence);
        let hello = self
            .connected
            .filter(|_| self.joined.is_none())
            .and_then(|connected| connected.checked_add(HELLO));
        [vanished, hello, self.info.until]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.heard)
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        self.peer.any().timeout(now);
        if self.info.until.is_some_and(|until| now >= until) {
            self.leave(Left::Expired);
        }
        if now.saturating_duration_since(self.heard) >= self.silence {
            self.leave(match self.connected {
                Some(_) => Left::Vanished,
                None => Left::NeverConnected,
            });
        }
        // Checks alone, without a connection, are not for ever.
        let age = now.saturating_duration_since(self.born);
        if self.connected.is_none() && age >= self.silence.saturating_mul(2) {
            self.leave(Left::NeverConnected);
        }
        let waits = self.connected.filter(|_| self.joined.is_none());
        if waits.is_some_and(|since| now.saturating_duration_since(since) >= HELLO) {
            if !self.wants.data_only() {
                self.join();
            } else {
                self.leave(Left::NoHello);
            }
        }
    }

    /// The last words.
    pub(super) fn farewell(&mut self, now: Instant, why: Left) {
        self.say(now, control::bye(&why.to_string()));
        if let Some(peer) = self.peer.rtc() {
            peer.close();
        }
    }
}

/// A room's packet for a peer.
pub(super) struct VoicePacket {
    pub(super) speaker: u32,
    pub(super) sequence: u32,
    pub(super) time: u32,
    pub(super) samples: u16,
    pub(super) payload: bytes::Bytes,
}
