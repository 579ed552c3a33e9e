//! What goes into a room and comes out of it.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::video::{CameraHealth, ViewerHealth};

/// Peers of one room.
pub const MAX_PEERS: usize = 256;

/// Senders of one peer: its own voice and the players whom it forwards.
pub const MAX_SENDERS: usize = 64;

/// Discord's members whom a room knows.
pub const MAX_SPEAKERS: usize = 1_024;

/// Streams of one room, from both sides.
pub const MAX_STREAMS: usize = 512;

/// Settings that are not the usual ones.
pub const MAX_SETTINGS: usize = 1_024;

/// The most that a [`Setting::gain`] can be: 12 dB.
pub const MAX_GAIN: f32 = 4.0;

/// Bytes of a name; what is longer is cut.
pub(crate) const MAX_NAME: usize = 256;

/// The speaker id of a mix, towards a peer.
pub const MIX: u32 = 0;

/// A peer of the world side, numbered by the caller; never used again within a room's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u32);

impl PeerId {
    /// It and those whom it forwards.
    pub(crate) fn all(self) -> RangeInclusive<Participant> {
        let sender = |sender| Participant::World(Source { peer: self, sender });
        sender(0)..=sender(u32::MAX)
    }
}

/// A stream of voice from the world: the peer's own (`sender` 0), or of a player whom a world's peer forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Who brings it.
    pub peer: PeerId,
    /// 0, or the world's number of the player.
    pub sender: u32,
}

/// Somebody who can speak in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Participant {
    /// Of the world.
    World(Source),
    /// Of the Discord call, by his user id.
    Discord(u64),
}

impl Participant {
    /// Who brings him, if he is of the world.
    pub(crate) fn peer(self) -> Option<PeerId> {
        match self {
            Self::World(source) => Some(source.peer),
            Self::Discord(_) => None,
        }
    }

    /// Where he is.
    #[must_use]
    pub fn side(self) -> Side {
        match self {
            Self::World(_) => Side::World,
            Self::Discord(_) => Side::Discord,
        }
    }
}

/// A room has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Peers, and players whom they forward.
    World,
    /// The call.
    Discord,
}

/// How voice is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Opus.
    Opus,
    /// Samples of 16 bits, little endian, 48 kHz, mono.
    Pcm,
}

/// A peer's way of writing voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Format {
    /// How.
    pub codec: Codec,
    /// 10 or 20.
    pub frame_ms: u8,
    /// 1 or 2; PCM has 1.
    pub channels: u8,
}

impl Format {
    pub(crate) fn check(self) -> Result<(), JoinError> {
        let most = match self.codec {
            Codec::Opus => 2,
            Codec::Pcm => 1,
        };
        if !matches!(self.frame_ms, 10 | 20) {
            return Err(JoinError::FrameLength(self.frame_ms));
        }
        if !(1..=most).contains(&self.channels) {
            return Err(JoinError::Channels(self.channels));
        }
        Ok(())
    }
}

/// What a peer hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Nothing.
    Nothing,
    /// Everybody but itself, in one stream.
    Mix(Format),
    /// Discord's speakers, each in a stream of its own.
    Each(Format),
}

/// A peer that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// For people.
    pub name: String,
    /// What it wants to hear.
    pub listens: Listens,
    /// What it sends, if it may speak.
    pub speaks: Option<Format>,
}

/// Somebody of the Discord call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordMember {
    /// For people.
    pub name: String,
    /// Bots are heard only where [`Options::listen_to_bots`] says so.
    pub bot: bool,
}

/// A packet's number, which wraps as that of its carrier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// 16 bits.
    Rtp(u16),
    /// 24 bits, as V-Sekai has it; what is above them does not count.
    Voice(u32),
}

/// A packet of voice. An empty one is silence that has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its place in its stream.
    pub sequence: Sequence,
    /// When it was spoken, in samples at 48 kHz, where the carrier says so. It wraps.
    pub time: Option<u32>,
    /// Opus, or samples.
    pub payload: Bytes,
}

/// What is asked of one participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Times so much, up to [`MAX_GAIN`]; 1 leaves it alone.
    pub gain: f32,
    /// Not heard by anybody.
    pub muted: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            gain: 1.0,
            muted: false,
        }
    }
}

/// How a room is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether Discord's bots are heard in the world.
    pub listen_to_bots: bool,
}

/// Why a peer cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The room is full.
    #[error("a room takes {MAX_PEERS} peers, and has them")]
    Full,
    /// The number is in use.
    #[error("there is a peer with the number {}", .0.0)]
    Taken(PeerId),
    /// Frames are of 10 or 20 ms.
    #[error("a frame of {0} ms cannot be had: ask for 10 or 20")]
    FrameLength(u8),
    /// As the codec has them.
    #[error("{0} channels cannot be had: Opus has 1 or 2, PCM 1")]
    Channels(u8),
}

/// What comes out of a room.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// An Opus frame of 20 ms for the call, at its time. Silence gives nothing.
    ToDiscord(Bytes),
    /// Voice for a peer.
    ToPeer {
        /// For whom.
        peer: PeerId,
        /// [`MIX`], or the id of one of Discord's speakers ([`Event::Speaker`]).
        speaker: u32,
        /// Counts this speaker's packets towards this peer; what was lost on the way here is missing.
        sequence: u32,
        /// In samples at 48 kHz; it moves on during silence. It wraps.
        time: u32,
        /// How long it lasts.
        samples: u16,
        /// In the peer's format.
        payload: Bytes,
    },
    /// Something that a person wants to know.
    Event(Event),
}

/// What happened in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody began to speak, or ended.
    Speaking {
        /// Who.
        participant: Participant,
        /// Which of both.
        speaking: bool,
    },
    /// A speaker of Discord's, as peers know him. It comes again when his name changes.
    Speaker {
        /// His streams' speaker id.
        id: u32,
        /// Discord's.
        user: u64,
        /// For people.
        name: String,
    },
    /// He left; the id may be another one's later.
    SpeakerGone {
        /// The one he had.
        id: u32,
    },
}

/// The way that a participant's voice takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// As it came.
    Passthrough,
    /// With others in one stream; or alone, written anew: with a gain, or for some seconds after something was lost or late.
    Mixed,
    /// In a stream of its own, written anew for those who hear it.
    Each,
    /// Nobody hears it.
    Unheard,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passthrough => "passthrough",
            Self::Mixed => "mixed",
            Self::Each => "each",
            Self::Unheard => "unheard",
        })
    }
}

/// A room at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Everybody who can speak.
    pub participants: Vec<Health>,
    /// Frames for the call.
    pub to_discord: u64,
    /// Packets of the call.
    pub from_discord: u64,
    /// What found no room, or came from nobody known.
    pub dropped: u64,
    /// Those who show a picture.
    pub cameras: Vec<CameraHealth>,
    /// Those who see one.
    pub viewers: Vec<ViewerHealth>,
    /// The call, while it is to see one.
    pub call: Option<ViewerHealth>,
}

/// How one participant's voice is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Who.
    pub participant: Participant,
    /// For people.
    pub name: String,
    /// dBFS; `None` where nothing was decoded lately.
    pub level: Option<f32>,
    /// Whether he speaks.
    pub speaking: bool,
    /// Those that came.
    pub packets: u64,
    /// Those that did not.
    pub lost: u64,
    /// Milliseconds that were made up.
    pub concealed_ms: u64,
    /// What the jitter buffer holds.
    pub delay_ms: u32,
    /// How unevenly packets come.
    pub jitter_ms: u32,
    /// How fast his clock is against ours.
    pub drift_ppm: i32,
    /// Where his voice goes.
    pub path: Path,
    /// Packets that came too late, doubled, or found no room.
    pub dropped: u64,
}
