//! Video of a connection: the picture on its way to the peer, and what the peer sends.

use std::time::Instant;

use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::{Header, Packet};
use rtc::sansio::Protocol as _;
use rtc::shared::error::Error;
use uro_discord_media::rtx;

use super::super::offer::{Offer, Offered};
use super::{feedback, setup};
use crate::video::{Feedback, VideoFormat, VideoPacket};

/// The track that a viewer sees.
pub(super) struct Picture {
    ssrc: u32,
    formats: Vec<Sent>,
    again: Option<Again>,
}

/// A format that the viewer takes.
struct Sent {
    format: VideoFormat,
    payload_type: u8,
    rtx: Option<u8>,
}

/// The stream of retransmissions.
struct Again {
    ssrc: u32,
    sequence: u16,
}

fn format(offered: &Offered) -> VideoFormat {
    VideoFormat {
        codec: offered.codec,
        profile: offered.profile(),
    }
}

impl Picture {
    /// Adds it to a connection that is not negotiated yet.
    pub(super) fn add(
        connection: &mut RTCPeerConnection,
        offered: &[Offered],
    ) -> Result<Option<Self>, Error> {
        let Some(first) = offered.first() else {
            return Ok(None);
        };
        let random = || Error::Other("no random numbers".into());
        let ssrc = setup::ssrc().ok_or_else(random)?;
        let mut again = None;
        if offered.iter().any(|offered| offered.rtx.is_some()) {
            let ssrc = setup::ssrc().ok_or_else(random)?;
            again = Some(Again { ssrc, sequence: 0 });
        }
        let rtx = again.as_ref().map(|again| again.ssrc);
        connection.add_track(setup::picture(ssrc, rtx, first))?;
        let formats = offered.iter().map(|offered| Sent {
            format: format(offered),
            payload_type: offered.payload_type,
            rtx: offered.rtx,
        });
        Ok(Some(Self {
            ssrc,
            formats: formats.collect(),
            again,
        }))
    }

    pub(super) fn formats(&self) -> Vec<VideoFormat> {
        self.formats.iter().map(|sent| sent.format).collect()
    }

    pub(super) fn feedback(&self, packet: &dyn rtcp::Packet) -> Option<Feedback> {
        feedback::read(packet, self.ssrc)
    }

    /// By the way that `rtc` has for all media: the one of a sender knows no retransmissions.
    pub(super) fn send(
        &mut self,
        connection: &mut RTCPeerConnection,
        now: Instant,
        packet: VideoPacket,
        again: bool,
    ) -> Result<(), Error> {
        let same = |sent: &&Sent| sent.format == packet.format;
        let codec = |sent: &&Sent| sent.format.codec == packet.format.codec;
        let found = self.formats.iter().find(same);
        let sent = found.or_else(|| self.formats.iter().find(codec));
        let sent = sent.ok_or(Error::ErrRTPTransceiverCodecUnsupported)?;
        let mut header = Header {
            version: 2,
            marker: packet.marker,
            payload_type: sent.payload_type,
            sequence_number: packet.sequence,
            timestamp: packet.time,
            ssrc: self.ssrc,
            ..Header::default()
        };
        let mut payload = packet.payload;
        if again && let (Some(kind), Some(again)) = (sent.rtx, &mut self.again) {
            header.payload_type = kind;
            header.ssrc = again.ssrc;
            header.sequence_number = again.sequence;
            again.sequence = again.sequence.wrapping_add(1);
            payload = rtx::payload(packet.sequence, &payload).into();
        }
        connection.handle_write(TaggedRTCMessage {
            now,
            message: RTCMessage::RtpPacket(String::new(), Packet { header, payload }),
        })
    }
}

/// The payload types of what the peer sends.
pub(super) struct Received {
    formats: Vec<(u8, VideoFormat)>,
    begun: bool,
}

impl Received {
    pub(super) fn of(offer: &Offer) -> Self {
        let sends = offer.video().filter(|(direction, _)| direction.sends);
        let formats = sends.map_or(&[][..], |(_, formats)| formats);
        let formats = formats.iter().map(|it| (it.payload_type, format(it)));
        Self {
            formats: formats.collect(),
            begun: false,
        }
    }

    /// Whether this is the first packet.
    pub(super) fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// The format of a packet; `None` if it is voice.
    pub(super) fn format(&self, payload_type: u8) -> Option<VideoFormat> {
        let found = self.formats.iter().find(|(kind, _)| *kind == payload_type);
        found.map(|(_, format)| *format)
    }
}

pub(super) fn packet(format: VideoFormat, packet: Packet) -> VideoPacket {
    VideoPacket {
        ssrc: packet.header.ssrc,
        format,
        sequence: packet.header.sequence_number,
        time: packet.header.timestamp,
        marker: packet.header.marker,
        payload: packet.payload,
    }
}

/// Asks for a keyframe of a stream.
pub(super) fn ask_keyframe(
    connection: &mut RTCPeerConnection,
    now: Instant,
    ssrc: u32,
) -> Result<(), Error> {
    let loss = PictureLossIndication {
        sender_ssrc: 0,
        media_ssrc: ssrc,
    };
    connection.handle_write(TaggedRTCMessage {
        now,
        message: RTCMessage::RtcpPacket(String::new(), vec![Box::new(loss)]),
    })
}
