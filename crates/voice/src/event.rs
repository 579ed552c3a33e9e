//! What a session tells.

use std::time::Duration;

use crate::error::End;
use crate::media::crypto::Mode;
use crate::status::DaveStatus;
use uro_discord_media::VideoCodec;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The session is in the channel: frames can be sent as soon as end-to-end encryption has its key, and received.
    Joined {
        /// The transport's encryption.
        mode: Mode,
    },
    /// Somebody is in the channel.
    UserJoined {
        /// Who.
        user_id: u64,
    },
    /// Somebody left the channel, or the session has gone to where he is not.
    UserLeft {
        /// Who.
        user_id: u64,
    },
    /// Somebody begins or ends to speak.
    Speaking {
        /// Who.
        user_id: u64,
        /// Whether he speaks now.
        speaking: bool,
    },
    /// End-to-end encryption is another now: a transition, an epoch, a privacy code.
    Encryption(DaveStatus),
    /// The UDP round trip was measured.
    RoundTrip(Duration),
    /// The connection to the voice gateway broke and is being resumed. Frames flow on.
    Resuming,
    /// It stands again, and nothing was missed.
    Resumed,
    /// There is no voice server at present. The main gateway will name one, or say that we are not in a channel any more.
    Waiting,
    /// The server wants our video in this codec; `None`: in one that we have not.
    VideoCodec(Option<VideoCodec>),
    /// How good others want to see us, from 0, which is that nobody watches, to 100.
    VideoWanted(u8),
    /// Somebody's decoder cannot go on: the next frame that we send should be a keyframe. Before it none are sent.
    KeyframeWanted,
    /// Somebody begins or ends to send video.
    UserVideo {
        /// Who.
        user_id: u64,
        /// The SSRCs of his streams; none when he has ended.
        ssrcs: Vec<u32>,
    },
    /// So many events were dropped, because they were not taken.
    Missed(u64),
    /// The session is over. This is the last event.
    Ended(End),
}
