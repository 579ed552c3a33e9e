//! The sans-IO `rtc` as a [`Peer`].

mod answer;
mod feedback;
mod picture;
mod setup;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{RTCDtlsTransportState, RTCIceCandidateInit};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::sansio::Protocol as _;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::dtls::{Handshake, Verdict};
use super::{
    Channel, Closed, Datagram, Event, Message, Offer, OfferError, Peer, PeerError, RtcPeer, Rtp,
    Transmit,
};
use crate::video::{VideoFormat, VideoPacket};
use picture::{Picture, Received};
pub(crate) use setup::Identity;

/// Channels of one peer: three are of use.
const CHANNELS: usize = 8;

/// A record of DTLS by which a connection without data channels says goodbye.
const ALERT: u8 = 21;

/// A connection of `rtc`.
pub(crate) struct Rtc {
    connection: RTCPeerConnection,
    offer: Offer,
    candidates: Vec<SocketAddr>,
    ufrag: String,
    password: String,
    track: Option<Track>,
    picture: Option<Picture>,
    /// What it sends is told from voice by that.
    received: Received,
    /// Those that are open.
    channels: BTreeSet<RTCDataChannelId>,
    handshake: Handshake,
    connected: bool,
    closed: bool,
    events: VecDeque<Event>,
    /// Something was done after which there may be events and another deadline.
    stirred: bool,
    deadline: Option<Instant>,
}

/// The mix on its way to the peer.
struct Track {
    sender: RTCRtpSenderId,
    ssrc: u32,
    /// As it was negotiated.
    payload_type: u8,
}

impl Rtc {
    /// Answers an offer. `candidates` are the addresses that the peer is told; packets come to [`Peer::datagram`] with one of them.
    /// The answer has a track for the peer to hear, and one for it to see, if its offer lets it and they are wanted.
    pub(crate) fn accept(
        now: Instant,
        identity: &Identity,
        offer: Offer,
        candidates: Vec<SocketAddr>,
        (hears, sees): (bool, bool),
    ) -> Result<(Self, String), OfferError> {
        let refused = OfferError::Refused;
        let mut connection = setup::connection(now, identity, &offer).map_err(refused)?;
        let hears = hears && offer.audio().is_some_and(|audio| audio.receives);
        let mut track = None;
        if hears {
            let random = || Error::Other("no random numbers".into());
            let ssrc = setup::ssrc().ok_or_else(random).map_err(refused)?;
            let sender = connection.add_track(setup::voice(ssrc)).map_err(refused)?;
            track = Some(Track {
                sender,
                ssrc,
                payload_type: 0,
            });
        }
        let mut picture = None;
        if let Some((direction, formats)) = offer.video()
            && direction.receives
            && sees
        {
            picture = Picture::add(&mut connection, formats).map_err(refused)?;
        }
        let mut peer = Self {
            connection,
            received: Received::of(&offer),
            offer,
            candidates,
            ufrag: String::new(),
            password: String::new(),
            track,
            picture,
            channels: BTreeSet::new(),
            handshake: Handshake::default(),
            connected: false,
            closed: false,
            events: VecDeque::new(),
            stirred: true,
            deadline: None,
        };
        for (index, address) in peer.candidates.iter().enumerate() {
            let candidate = RTCIceCandidateInit {
                candidate: answer::candidate(index, *address),
                ..RTCIceCandidateInit::default()
            };
            peer.connection
                .add_local_candidate(candidate)
                .map_err(refused)?;
        }
        let answer = peer.answer(now).map_err(refused)?;
        if let Some(track) = &mut peer.track {
            let mut sender = peer.connection.rtp_sender(track.sender);
            let codec = sender
                .as_mut()
                .and_then(|sender| sender.get_parameters().rtp_parameters.codecs.first());
            track.payload_type = codec.ok_or(OfferError::NoOpus)?.payload_type;
        }
        Ok((peer, answer))
    }

    fn answer(&mut self, now: Instant) -> Result<String, Error> {
        let offer = RTCSessionDescription::offer(self.offer.text().to_owned())?;
        self.connection.set_remote_description(now, offer)?;
        let description = self.connection.create_answer(None)?;
        let text = description.sdp.clone();
        self.connection.set_local_description(now, description)?;
        let missing = || Error::Other("the answer has no ICE credentials".into());
        self.ufrag = answer::value(&text, "a=ice-ufrag:")
            .ok_or_else(missing)?
            .to_owned();
        self.password = answer::value(&text, "a=ice-pwd:")
            .ok_or_else(missing)?
            .to_owned();
        self.stirred = true;
        Ok(answer::with_candidates(&text, &self.candidates))
    }

    fn dtls_closed(&mut self) -> bool {
        let receiver = self.connection.get_receivers().next();
        let transport = match receiver {
            Some(receiver) => self
                .connection
                .rtp_receiver(receiver)
                .and_then(|receiver| receiver.transport().map(|transport| transport.state())),
            None => self.connection.sctp().map(|sctp| sctp.transport().state()),
        };
        matches!(
            transport,
            Some(RTCDtlsTransportState::Closed | RTCDtlsTransportState::Failed)
        )
    }

    fn drain(&mut self) {
        // A channel's first message may come in the packet that opens it; it is of no use before.
        self.drain_events();
        while let Some(TaggedRTCMessage { message, .. }) = self.connection.poll_read() {
            match message {
                RTCMessage::RtpPacket(_, packet) => {
                    let event = match self.received.format(packet.header.payload_type) {
                        Some(format) => {
                            // The first one begins the timers of what asks for those that are missing.
                            self.stirred |= self.received.begins();
                            Event::Video(picture::packet(format, packet))
                        }
                        None => Event::Rtp(Rtp {
                            sequence: packet.header.sequence_number,
                            time: packet.header.timestamp,
                            marker: packet.header.marker,
                            payload: packet.payload,
                        }),
                    };
                    self.events.push_back(event);
                }
                RTCMessage::RtcpPacket(_, packets) => {
                    let Some(picture) = &self.picture else {
                        continue;
                    };
                    let said = packets.iter().filter_map(|it| picture.feedback(&**it));
                    self.events.extend(said.map(Event::Feedback));
                }
                RTCMessage::DataChannelMessage(id, message) => {
                    let message = if message.is_string {
                        match String::from_utf8(message.data.into()) {
                            Ok(text) => Message::Text(text),
                            Err(error) => Message::Bytes(BytesMut::from(error.as_bytes())),
                        }
                    } else {
                        Message::Bytes(message.data)
                    };
                    self.events.push_back(Event::Message {
                        channel: Channel(id as u64),
                        message,
                    });
                }
                _ => {}
            }
        }
        self.drain_events();
    }

    fn drain_events(&mut self) {
        if !self.stirred {
            return;
        }
        while let Some(event) = self.connection.poll_event() {
            self.note(event);
        }
    }

    fn note(&mut self, event: RTCPeerConnectionEvent) {
        match event {
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => match state {
                RTCPeerConnectionState::Connected if !self.connected => {
                    self.connected = true;
                    self.events.push_back(Event::Connected);
                }
                RTCPeerConnectionState::Failed => self.end(Closed::Failed),
                RTCPeerConnectionState::Closed => self.end(Closed::ByPeer),
                _ => {}
            },
            RTCPeerConnectionEvent::OnDataChannel(event) => match event {
                RTCDataChannelEvent::OnOpen(id) => {
                    let Some(mut channel) = self.connection.data_channel(id) else {
                        return;
                    };
                    if self.channels.len() >= CHANNELS {
                        if let Err(error) = channel.close() {
                            tracing::debug!(%error, "a data channel too many");
                        }
                        return;
                    }
                    self.channels.insert(id);
                    let label = channel.label().to_owned();
                    self.events.push_back(Event::Opened {
                        channel: Channel(id as u64),
                        label,
                    });
                }
                // One too many was never told of.
                RTCDataChannelEvent::OnClose(id) if self.channels.remove(&id) => {
                    self.events
                        .push_back(Event::ChannelClosed(Channel(id as u64)));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn end(&mut self, why: Closed) {
        if !self.closed {
            self.closed = true;
            self.events.push_back(Event::Closed(why));
        }
    }
}

impl Peer for Rtc {
    fn send_rtp(&mut self, now: Instant, rtp: Rtp) {
        let Some(track) = &self.track else { return };
        let Some(mut sender) = self.connection.rtp_sender(track.sender) else {
            return;
        };
        let packet = rtc::rtp::Packet {
            header: rtc::rtp::Header {
                version: 2,
                marker: rtp.marker,
                payload_type: track.payload_type,
                sequence_number: rtp.sequence,
                timestamp: rtp.time,
                ssrc: track.ssrc,
                ..rtc::rtp::Header::default()
            },
            payload: rtp.payload,
        };
        if let Err(error) = sender.write_rtp(now, packet) {
            tracing::debug!(%error, "a packet of voice is not sent");
        }
    }

    fn formats(&self) -> Vec<VideoFormat> {
        self.picture
            .as_ref()
            .map(Picture::formats)
            .unwrap_or_default()
    }

    fn send_video(&mut self, now: Instant, packet: VideoPacket, again: bool) {
        if let Some(picture) = &mut self.picture
            && let Err(error) = picture.send(&mut self.connection, now, packet, again)
        {
            tracing::debug!(%error, "a packet of the picture is not sent");
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        if std::mem::take(&mut self.stirred) {
            self.deadline = self.connection.poll_timeout();
        }
        self.deadline
    }

    fn timeout(&mut self, now: Instant) {
        if let Err(error) = self.connection.handle_timeout(now) {
            tracing::debug!(%error, "a peer's timer");
        }
        self.stirred = true;
    }

    fn event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.drain();
        }
        self.events.pop_front()
    }
}

impl RtcPeer for Rtc {
    fn credentials(&self) -> (&str, &str) {
        (&self.ufrag, &self.password)
    }

    fn restart(&mut self, now: Instant, ufrag: &str, password: &str) -> Result<String, PeerError> {
        let offer = self.offer.restarted(ufrag, password);
        let before = std::mem::replace(&mut self.offer, offer);
        let answer = self.answer(now).map_err(|source| {
            self.offer = before;
            PeerError {
                doing: "ICE cannot begin anew",
                source,
            }
        })?;
        Ok(answer::fragment(
            &answer,
            self.credentials(),
            &self.candidates,
        ))
    }

    fn datagram(&mut self, now: Instant, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram::of(bytes);
        if let Datagram::Dtls(_) = datagram {
            match self.handshake.judge(bytes, self.connected) {
                Verdict::Take => {}
                Verdict::Drop => return,
                Verdict::End => return self.end(Closed::Failed),
            }
        }
        let transport = TransportContext {
            local_addr: local,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let read = self.connection.handle_read(TaggedBytesMut {
            now,
            transport,
            message: BytesMut::from(bytes),
        });
        if let Err(error) = read {
            tracing::debug!(%error, "a datagram that says nothing");
        }
        // RTP raises nothing that cannot wait for the next timer. RTCP and what is no media can.
        self.stirred |= !matches!(datagram, Datagram::Rtp(_));
        if datagram == Datagram::Dtls(ALERT) {
            self.drain();
            if self.dtls_closed() {
                self.end(Closed::ByPeer);
            }
        }
    }

    fn ask_keyframe(&mut self, now: Instant, ssrc: u32) {
        if let Err(error) = picture::ask_keyframe(&mut self.connection, now, ssrc) {
            tracing::debug!(%error, "no keyframe is asked for");
        }
    }

    fn send(&mut self, now: Instant, channel: Channel, message: Message) -> Result<(), PeerError> {
        let id = usize::try_from(channel.0).unwrap_or(usize::MAX);
        let sent = match (self.connection.data_channel(id), message) {
            (None, _) => Err(Error::ErrDataChannelClosed),
            (Some(mut channel), Message::Text(text)) => channel.send_text(now, text),
            (Some(mut channel), Message::Bytes(bytes)) => channel.send(now, bytes),
        };
        self.stirred = true;
        sent.map_err(|source| PeerError {
            doing: "a message is not sent",
            source,
        })
    }

    fn unsent(&mut self, channel: Channel) -> usize {
        let id = usize::try_from(channel.0).unwrap_or(usize::MAX);
        self.connection
            .data_channel(id)
            .map_or(0, |channel| channel.outstanding_bytes())
    }

    fn transmit(&mut self) -> Option<Transmit> {
        let datagram = self.connection.poll_write()?;
        Some(Transmit {
            local: datagram.transport.local_addr,
            to: datagram.transport.peer_addr,
            bytes: datagram.message,
        })
    }

    fn close(&mut self) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(%error, "a connection that does not close");
        }
        self.stirred = true;
    }
}
