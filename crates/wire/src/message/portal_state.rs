//! What Elixir hears about a portal.

use super::state::{self, Nothing};
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};

/// What a portal has become, or what happened there.
#[derive(Clone, Debug, PartialEq)]
pub enum PortalState {
    /// Peers can come.
    Open,
    /// It is not wanted any more, or the endpoint is gone: its peers have been sent away.
    Closed,
    /// A peer of the world is there.
    PeerJoined(PeerJoined),
    /// It is gone.
    PeerLeft(PeerLeft),
    /// Somebody begins to speak.
    Speaking(PortalSpeaker),
    /// Somebody ends to speak.
    Silent(PortalSpeaker),
    /// Another camera is on air, or none.
    OnAir(PortalOnAir),
    /// How it does; every five seconds.
    Stats(PortalStats),
}

/// A peer of the world.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerJoined {
    /// Its number in this portal, which no other peer gets.
    pub peer: u32,
    /// What its token calls it.
    pub name: String,
    /// The role of its token: `publish`, `watch` or `peer`.
    pub role: String,
    /// Whom its token was made for.
    pub subject: String,
    /// By which way it came: `whip`, `whep` or `peer`.
    pub kind: String,
    /// Whether it speaks for a world; others are people.
    pub world: bool,
}

/// A peer that is gone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerLeft {
    /// Its number.
    pub peer: u32,
    /// Why.
    pub reason: String,
}

/// On which side of a portal somebody is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The Godot world's.
    World,
    /// Discord's.
    Discord,
}

/// Who begins or ends to speak.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PortalSpeaker {
    /// Where.
    pub side: Side,
    /// Who, as [`PortalParticipant`](crate::PortalParticipant) has it: `discord:` and a user's id; or `world:` and the subject of a
    /// token, and behind a `/` the sender's number where a peer forwards others.
    pub id: String,
    /// Through which peer, on the world's side.
    pub peer: Option<u32>,
    /// What he is called.
    pub name: String,
}

/// Which camera is on air.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PortalOnAir {
    /// Whose, by the peer's number.
    pub peer: Option<u32>,
}

/// How a portal does. Counts are from its beginning.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct PortalStats {
    /// Everybody.
    pub participants: Vec<ParticipantStats>,
    /// All peers that are there, for whoever has missed that one came or went.
    #[serde(default)]
    pub peers: Vec<PeerJoined>,
    /// Frames that went to Discord.
    pub to_discord: u64,
    /// Frames that came from there.
    pub from_discord: u64,
    /// Frames for Discord that were too many.
    pub dropped: u64,
    /// Those who show a picture.
    #[serde(default)]
    pub cameras: Vec<CameraStats>,
    /// Those who see one.
    #[serde(default)]
    pub viewers: Vec<ViewerStats>,
    /// The picture on air in the call, where its voice session can send video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord_video: Option<DiscordVideoStats>,
}

/// How the picture on air goes to Discord's voice server. Counts are from the voice session's beginning.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DiscordVideoStats {
    /// The codec that the voice server wants, `VP8` or `H264`; `None`: it has named none of these.
    pub codec: Option<String>,
    /// Somebody else is in the call, and the voice server wants our video.
    pub watched: bool,
    /// The peer whose camera is sent.
    pub camera: Option<u32>,
    /// Frames that were sent.
    pub frames: u64,
    /// Keyframes that the call asked for.
    pub keyframes: u64,
    /// Frames that were not sent: there was no key, nobody watched, one before them was lost, or they were too many.
    pub dropped: u64,
}

/// How a camera does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CameraStats {
    /// As in [`PortalSpeaker`].
    pub id: String,
    /// Its peer.
    pub peer: u32,
    /// What he is called.
    pub name: String,
    /// Viewers see it.
    pub on_air: bool,
    /// `VP8`, `H264` or `JPEG`; `None`: nothing comes of it.
    pub codec: Option<String>,
    /// Streams of different size that come.
    pub layers: u32,
    /// Bits a second, of all of them.
    pub bits: u64,
    /// Packets that came.
    pub packets: u64,
    /// Keyframes that came.
    pub keyframes: u64,
    /// Keyframes that were asked for.
    pub asked: u64,
    /// Packets that came twice, too late, or were too large.
    pub dropped: u64,
}

/// How a viewer does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ViewerStats {
    /// As in [`PortalSpeaker`].
    pub id: String,
    /// Its peer.
    pub peer: u32,
    /// What he is called.
    pub name: String,
    /// The peer whose camera he sees; `None`: he waits for a picture.
    pub camera: Option<u32>,
    /// Bits a second.
    pub bits: u64,
    /// Packets that were sent.
    pub packets: u64,
    /// Packets that were sent again.
    pub again: u64,
    /// How often his link could not carry the picture.
    pub congested: u64,
}

/// How one of a portal's participants does. Counts are from his beginning.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ParticipantStats {
    /// As in [`PortalSpeaker`].
    pub id: String,
    /// As in [`PortalSpeaker`].
    pub peer: Option<u32>,
    /// What he is called.
    pub name: String,
    /// Where he is.
    pub side: Side,
    /// How loud he is, in dBFS; `None`: there is nothing to hear.
    pub level: Option<f64>,
    /// Whether he speaks.
    pub speaking: bool,
    /// Packets that came.
    pub packets: u64,
    /// Packets that did not.
    pub lost: u64,
    /// What was made up for them.
    pub concealed_ms: u64,
    /// What the jitter buffer holds back.
    pub delay_ms: u32,
    /// How unevenly packets come.
    pub jitter_ms: u32,
    /// How fast his clock is against ours, in parts per million.
    pub drift_ppm: i32,
    /// How he is heard: `passthrough`, `mixed`, `each` or `unheard`.
    pub path: String,
    /// Packets that were too many or too late.
    pub dropped: u64,
}

impl PortalState {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        let plain = match term.atom()? {
            "peer_joined" => return Ok(Self::PeerJoined(term.value()?)),
            "peer_left" => return Ok(Self::PeerLeft(term.value()?)),
            "speaking" => return Ok(Self::Speaking(term.value()?)),
            "silent" => return Ok(Self::Silent(term.value()?)),
            "on_air" => return Ok(Self::OnAir(term.value()?)),
            "stats" => return Ok(Self::Stats(term.value()?)),
            "open" => Self::Open,
            "closed" => Self::Closed,
            other => return Err(Error::Atom(other.into())),
        };
        term.value::<Nothing>()?;
        Ok(plain)
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Open => state::write(term, "open", &Nothing {}),
            Self::Closed => state::write(term, "closed", &Nothing {}),
            Self::PeerJoined(info) => state::write(term, "peer_joined", info),
            Self::PeerLeft(info) => state::write(term, "peer_left", info),
            Self::Speaking(info) => state::write(term, "speaking", info),
            Self::Silent(info) => state::write(term, "silent", info),
            Self::OnAir(info) => state::write(term, "on_air", info),
            Self::Stats(info) => state::write(term, "stats", info),
        }
    }
}
