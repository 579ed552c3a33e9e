//! How a session does.

use std::time::Duration;

use crate::media::crypto::Mode;
use uro_discord_media::VideoCodec;

/// A session, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Whoever else is in the channel.
    pub users: Vec<u64>,
    /// Who of them speaks.
    pub speaking: Vec<u64>,
    /// The transport's encryption, once agreed upon.
    pub mode: Option<Mode>,
    /// End-to-end encryption.
    pub dave: DaveStatus,
    /// From us to the voice server and back over UDP.
    pub udp_round_trip: Option<Duration>,
    /// From us to the voice gateway and back over its WebSocket.
    pub gateway_round_trip: Option<Duration>,
    /// What the server last said of our packets: lost, in 256ths.
    pub loss_at_server: Option<u8>,
    /// Our frames.
    pub sent: SendStats,
    /// Others' frames.
    pub received: ReceiveStats,
    /// Video, where [`Config::video`](crate::Config::video) is set.
    pub video: Option<VideoStatus>,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// On its way into the channel.
    Joining,
    /// In the channel.
    Joined,
    /// In the channel; frames flow; its connection to the voice gateway is being resumed.
    Resuming,
    /// Waits for the voice server that the main gateway will name.
    Waiting,
    /// It is over.
    Ended,
}

/// End-to-end encryption, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaveStatus {
    /// The protocol's version; 0 where there is none: on stages, and while somebody in the channel cannot.
    pub version: u16,
    /// The MLS group's epoch.
    pub epoch: Option<u64>,
    /// Thirty digits, in groups of five, that everybody in the channel must see alike.
    pub privacy_code: Option<String>,
    /// Whether frames can be sent: there is a key, or none is needed.
    pub can_send: bool,
}

/// Our frames, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// Frames that were sent, silence too.
    pub sent: u64,
    /// Frames that were dropped because there was no key to encrypt them with.
    pub no_key: u64,
    /// Frames that were dropped because there was no connection.
    pub not_connected: u64,
    /// Frames that the socket did not take.
    pub socket: u64,
}

/// Video, where it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoStatus {
    /// What the server wants us to send.
    pub codec: Option<VideoCodec>,
    /// How good others want to see us, from 0, which is not at all, to 100. `None`: the server has not said.
    pub wanted: Option<u8>,
    /// Our frames.
    pub sent: VideoSendStats,
    /// Others' frames.
    pub received: VideoReceiveStats,
}

/// Our frames of video, counted: each is in `frames` or in one of the others up to `congested`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoSendStats {
    /// Frames that were sent, or are about to be.
    pub frames: u64,
    /// Frames that were dropped because there was no key to encrypt them with.
    pub no_key: u64,
    /// Frames that were dropped because there was no connection, or the server has no place for our video.
    pub not_connected: u64,
    /// Frames that were dropped because nobody watches.
    pub unwatched: u64,
    /// Frames that were dropped because the server wants another codec.
    pub other_codec: u64,
    /// Frames that were dropped because one before them was, and they are no keyframes.
    pub needs_keyframe: u64,
    /// Frames that were dropped because a second's worth waits already.
    pub congested: u64,
    /// Packets.
    pub packets: u64,
    /// Packets sent again because somebody asked.
    pub retransmitted: u64,
    /// Packets somebody asked for that are not kept any more.
    pub not_kept: u64,
    /// Packets that the socket did not take.
    pub socket: u64,
}

/// Others' frames of video, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoReceiveStats {
    /// Packets that came, each once.
    pub packets: u64,
    /// Of those, what came by retransmission.
    pub recovered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after their frame was given up.
    pub too_late: u64,
    /// Frames handed out.
    pub delivered: u64,
    /// Frames handed out that nobody took.
    pub overflowed: u64,
    /// Frames lost, at least: those handed out say so.
    pub lost: u64,
    /// Frames that no key opened.
    pub undecryptable: u64,
    /// Frames that waited for their key in vain.
    pub held_too_long: u64,
    /// Packets that we asked for again; one asked for twice counts twice.
    pub asked_again: u64,
    /// Keyframes that we asked for.
    pub keyframes_asked: u64,
    /// Packets of nobody whom the server has told us of, or that make no sense.
    pub stray: u64,
}

/// Others' frames, counted. Of those sent to us, each is in `received`, `lost`, `too_late` or `malformed`; of those
/// received, each is in `delivered`, `undecryptable` or `held_too_long`, or waits. While [nobody listens](crate::Session::want_audio)
/// each of Opus is in `unread` or `malformed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveStats {
    /// Packets that came, each once.
    pub received: u64,
    /// Packets that came while nobody wanted them.
    pub unread: u64,
    /// Of `unread`, those of which the voice server's encryption was opened, to see whether somebody begins to speak. End-to-end
    /// encryption is opened of none.
    pub looked_into: u64,
    /// Frames handed out.
    pub delivered: u64,
    /// Frames handed out that nobody took: the receiving end was too slow.
    pub overflowed: u64,
    /// Packets missing among those that came. One that comes late is subtracted again.
    pub lost: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came seconds after those that followed them; they are in `lost`.
    pub too_late: u64,
    /// Frames that no key opened.
    pub undecryptable: u64,
    /// Frames that waited for their key in vain, or until nobody listened any more.
    pub held_too_long: u64,
    /// Datagrams that the voice server did not encrypt, or that are no RTP.
    pub malformed: u64,
}
