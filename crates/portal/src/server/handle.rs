//! A portal as its owner holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uro_discord_media::VideoCodec;

use super::media::Command;
use super::queue::{Queue, Worth};
use super::session::Left;
use super::stopped::Stopped;
use super::{Kind, Shared};
use crate::room::{DiscordMember, Options, Packet, Participant, PeerId, Setting, Status};
use crate::token::Role;
use crate::video::Picture;

/// What happened in a portal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Happened {
    /// One Opus frame of 20 ms for Discord, at its time.
    Frame(Bytes),
    /// Something that a person wants to know.
    Event(PortalEvent),
    /// The room panicked. It is gone, with its peers; nothing comes after this.
    Panicked,
}

/// What a person wants to know of a portal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortalEvent {
    /// A peer is in the room.
    PeerJoined {
        /// Its number, as in [`crate::Source`].
        peer: PeerId,
        /// For people.
        name: String,
        /// What its token lets it do.
        role: Role,
        /// Who it is, as its token has it (`sub`).
        subject: String,
        /// How it came.
        kind: Kind,
        /// It speaks for a world, as its hello said; others are people.
        world: bool,
    },
    /// A peer that had joined is not there any more.
    PeerLeft {
        /// Its number.
        peer: PeerId,
        /// Why.
        reason: Left,
    },
    /// Somebody began to speak, or ended.
    Speaking {
        /// Who.
        participant: Participant,
        /// Which of both.
        speaking: bool,
    },
    /// One of Discord's speakers, as peers know him; again when his name changes.
    Speaker {
        /// His streams' id.
        id: u32,
        /// Discord's.
        user: u64,
        /// For people.
        name: String,
    },
    /// He is not in the call any more.
    SpeakerGone {
        /// The id that he had.
        id: u32,
    },
    /// Another peer's camera is on air, or none.
    OnAir {
        /// Whose.
        peer: Option<PeerId>,
    },
}

/// What goes into a room by its handle.
pub(super) enum Input {
    Voice(u64, Packet),
    Joined(u64, DiscordMember),
    Left(u64),
    Set(Participant, Setting),
    Options(Options),
    CallHears(bool),
    Camera(Option<String>),
    CallSees(Option<(VideoCodec, mpsc::Sender<Picture>)>),
    CallNeedsKeyframe,
    Stopped(Stopped),
    Clips(Option<Duration>),
}

/// What the handle and the loop of a room share.
pub(crate) struct RoomLink {
    pub(crate) id: String,
    /// Another one for each room that ever was.
    pub(super) key: u64,
    /// Its loop, by number.
    pub(super) media_loop: usize,
    pub(super) options: Options,
    pub(super) inbox: Queue<Input>,
    pub(super) outbox: Queue<Happened>,
    /// The loop was told to look.
    pub(super) woken: AtomicBool,
}

/// The room of a portal is gone, or its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the portal's room is gone; open it anew")]
pub struct Ended;

/// An open portal. When it is dropped its room closes, and its peers go.
pub struct Portal {
    link: Arc<RoomLink>,
    shared: Arc<Shared>,
}

impl Portal {
    pub(super) fn new(link: Arc<RoomLink>, shared: Arc<Shared>) -> Self {
        let portal = Self { link, shared };
        portal.wake();
        portal
    }

    fn wake(&self) {
        if !self.link.woken.swap(true, Ordering::AcqRel)
            && let Some(handle) = self.shared.handles.get(self.link.media_loop)
        {
            handle.wake.look(self.link.clone());
        }
    }

    fn put(&self, worth: Worth, input: Input) {
        self.link.inbox.push(worth, input);
        self.wake();
    }

    /// A packet of the call. It never waits: when there are too many, the oldest goes, which [`Status::dropped`] counts.
    pub fn from_discord(&self, user: u64, packet: Packet) {
        self.put(Worth::Frame, Input::Voice(user, packet));
    }

    /// Somebody is in the call; again when his name changes.
    pub fn discord_joined(&self, user: u64, who: DiscordMember) {
        self.put(Worth::Fact, Input::Joined(user, who));
    }

    /// He is not any more.
    pub fn discord_left(&self, user: u64) {
        self.put(Worth::Fact, Input::Left(user));
    }

    /// Whether anybody in the call hears the world; somebody does unless it is said.
    pub fn call_hears(&self, hears: bool) {
        self.put(Worth::Fact, Input::CallHears(hears));
    }

    /// What is asked of a participant, who need not be there yet.
    pub fn set(&self, participant: Participant, setting: Setting) {
        self.put(Worth::Fact, Input::Set(participant, setting));
    }

    /// Whose camera is to be on air, as his token calls him (`sub`). While he has none, and if nobody is named, the first that came is.
    pub fn camera(&self, subject: Option<String>) {
        self.put(Worth::Fact, Input::Camera(subject));
    }

    /// The call sees the picture that is on air, if it is in this codec: from a keyframe on its frames go here. What finds no room is lost, with all up to the next keyframe.
    /// `None`, which it is unless this is said: the call sees nothing, and nothing is done for it.
    pub fn call_sees(&self, sees: Option<(VideoCodec, mpsc::Sender<Picture>)>) {
        self.put(Worth::Fact, Input::CallSees(sees));
    }

    /// Who sees the picture in the call cannot go on without a keyframe: the camera is asked for one.
    pub fn call_needs_keyframe(&self) {
        self.put(Worth::Fact, Input::CallNeedsKeyframe);
    }

    /// Whose publishing is ended, by the subject of tokens, and until when in seconds since 1970. Those who do it now are sent away.
    pub fn stopped(&self, until: &BTreeMap<String, u64>) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let stopped = Stopped::new(until, unix.unwrap_or_default(), Instant::now());
        self.put(Worth::Fact, Input::Stopped(stopped));
    }

    /// Of how much clips may be made from now on: so much of what is on air is kept. `None`, as at first: nothing is.
    pub fn clips(&self, longest: Option<Duration>) {
        self.put(Worth::Fact, Input::Clips(longest));
    }

    /// How the room is from now on.
    pub fn options(&self, options: Options) {
        self.put(Worth::Fact, Input::Options(options));
    }

    /// What happens next. `None`: its loop has ended, or it panicked; open it anew.
    ///
    /// Frames that are not taken are lost from the oldest on; events are not.
    pub async fn next(&mut self) -> Option<Happened> {
        self.link.outbox.next().await
    }

    /// How everybody is. `None`: as [`next`](Self::next).
    pub async fn status(&self) -> Option<Status> {
        let handle = self.shared.handles.get(self.link.media_loop)?;
        let (reply, answer) = oneshot::channel();
        let room = self.link.key;
        handle
            .commands
            .send(Command::Status { room, reply })
            .await
            .ok()?;
        answer.await.ok()
    }

    /// The newest whole picture (JPEG) of the camera that is on air, if such pictures come of it.
    ///
    /// # Errors
    ///
    /// As where [`next`](Self::next) has nothing more: whether there is one is not known then.
    pub async fn still(&self) -> Result<Option<Bytes>, Ended> {
        let handle = self.shared.handles.get(self.link.media_loop).ok_or(Ended)?;
        let (reply, answer) = oneshot::channel();
        let link = self.link.clone();
        let asked = handle.commands.send(Command::Still { link, reply });
        asked.await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.shared.forget(&self.link);
        self.link.inbox.close();
        self.wake();
    }
}
