//! A peer as a machine, of WebRTC with datagrams in with their time, and datagrams out. What a media loop needs of it is two small
//! traits, so that the implementation can be another one.

mod demux;
mod dtls;
mod offer;
mod rtc;

use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::video::{Feedback, VideoFormat, VideoPacket};
pub(crate) use demux::Datagram;
pub(crate) use offer::{Offer, OfferError, is_password, is_ufrag};
pub(crate) use rtc::{Identity, Rtc};

/// One connection, from its beginning to its end, whatever it is made of.
pub(crate) trait Peer: Send {
    /// Voice on the track that was negotiated; nothing happens if there is none.
    fn send_rtp(&mut self, now: Instant, rtp: Rtp);

    /// The formats of video that it takes; none if it sees nothing.
    fn formats(&self) -> Vec<VideoFormat>;

    /// A packet of the picture, in a format that it takes. `again`: it was sent before, and was lost.
    fn send_video(&mut self, now: Instant, packet: VideoPacket, again: bool);

    /// When to call [`timeout`](Self::timeout).
    fn deadline(&mut self) -> Option<Instant>;

    /// Time has passed.
    fn timeout(&mut self, now: Instant);

    /// What came in. To be called until there is nothing.
    fn event(&mut self) -> Option<Event>;
}

/// What only WebRTC has.
pub(crate) trait RtcPeer: Peer {
    /// What its side of ICE is called in the Binding requests of the other one, and the password that they are signed with.
    fn credentials(&self) -> (&str, &str);

    /// The other side begins ICE anew; gives our credentials and candidates as lines of SDP.
    fn restart(&mut self, now: Instant, ufrag: &str, password: &str) -> Result<String, PeerError>;

    /// A datagram that came to our address `local`. `from` is where the peer is as this machine knows it.
    fn datagram(&mut self, now: Instant, local: SocketAddr, from: SocketAddr, bytes: &[u8]);

    /// Asks for a keyframe of one of its streams.
    fn ask_keyframe(&mut self, now: Instant, ssrc: u32);

    /// A message on a channel.
    fn send(&mut self, now: Instant, channel: Channel, message: Message) -> Result<(), PeerError>;

    /// Bytes that wait to be sent on a channel.
    fn unsent(&mut self, channel: Channel) -> usize;

    /// What goes out. To be called until there is nothing, after every other call.
    fn transmit(&mut self) -> Option<Transmit>;

    /// Says goodbye to the other side; [`transmit`](Self::transmit) gives the words.
    fn close(&mut self);
}

/// A datagram of ours.
pub(crate) struct Transmit {
    /// Which of our addresses it leaves from.
    pub(crate) local: SocketAddr,
    /// Where the peer is as its machine knows it.
    pub(crate) to: SocketAddr,
    pub(crate) bytes: BytesMut,
}

/// A packet of voice without its transport.
#[derive(Debug)]
pub(crate) struct Rtp {
    pub(crate) sequence: u16,
    pub(crate) time: u32,
    /// The first one after silence.
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
}

/// A data channel of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel(pub(crate) u64);

/// What data channels carry.
#[derive(Debug)]
pub(crate) enum Message {
    Text(String),
    Bytes(BytesMut),
}

/// What a peer tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// Media and messages can flow.
    Connected,
    /// A packet of the peer's voice.
    Rtp(Rtp),
    /// A packet of its picture.
    Video(VideoPacket),
    /// What it says of the picture that it gets.
    Feedback(Feedback),
    /// A channel that the other side made.
    Opened { channel: Channel, label: String },
    /// A message of the other side.
    Message { channel: Channel, message: Message },
    /// The other side closed a channel.
    ChannelClosed(Channel),
    /// The connection is over.
    Closed(Closed),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The other side said so.
    ByPeer,
    /// Nothing is heard from it, or its side of DTLS is not what its offer said.
    Failed,
}

/// What a peer cannot do.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub(crate) struct PeerError {
    doing: &'static str,
    source: ::rtc::shared::error::Error,
}

/// See [`crate::fuzzing`].
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_dtls(data: &[u8]) {
    dtls::fuzz(data);
}
