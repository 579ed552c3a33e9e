//! The sans-IO `rtc` as a [`Peer`].

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ring::rand::{SecureRandom as _, SystemRandom};
use rtc::crypto::{RTCCryptoProvider, SignatureScheme, default_provider};
use rtc::data_channel::RTCDataChannelId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::configure_rtcp_reports;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::{
    SctpMaxMessageSize, SettingEngineBuilder,
};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{RTCDtlsTransportState, RTCIceCandidateInit};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sansio::Protocol as _;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::{
    Channel, Closed, Datagram, Event, Message, Offer, OfferError, Peer, PeerError, Rtp, Transmit,
};

/// The largest message on a data channel: what `vsk-control` may have.
const LARGEST_MESSAGE: u32 = 16 * 1024;

/// What SCTP holds of messages that are not whole.
const RECEIVE_BUFFER: u32 = 128 * 1024;

/// Without a check by the other side for so long, rtc takes the path for broken, and after the second for gone. Browsers check
/// every 2.5 s, aiortc every 5. What is vanished is decided by the loop, which also counts media.
const ICE_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// Channels of one peer: two are of use.
const CHANNELS: usize = 8;

/// A record of DTLS by which a connection without data channels says goodbye.
const ALERT: u8 = 21;

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// What all peers of a process have in common: the certificate.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: RTCCertificate,
    crypto: Arc<dyn RTCCryptoProvider>,
}

impl Identity {
    /// A fresh one.
    pub(crate) fn new() -> Result<Self, PeerError> {
        let doing = "no certificate can be made";
        let fault = |source| PeerError { doing, source };
        let crypto = default_provider().map_err(|error| fault(Error::Crypto(error.to_string())))?;
        let params = CertificateParams::new(vec!["uro_discord".to_owned()])
            .map_err(|error| fault(Error::Other(error.to_string())))?;
        let scheme = SignatureScheme::EcdsaP256Sha256;
        let certificate =
            RTCCertificate::generate(crypto.crypto(), scheme, params).map_err(fault)?;
        Ok(Self {
            certificate,
            crypto,
        })
    }
}

/// A connection of `rtc`.
pub(crate) struct Rtc {
    connection: RTCPeerConnection,
    offer: Offer,
    candidates: Vec<SocketAddr>,
    ufrag: String,
    password: String,
    track: Option<Track>,
    /// Those that are open.
    channels: BTreeSet<RTCDataChannelId>,
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
    /// With `mix`, the answer has a track for the peer to hear, if its offer lets it.
    pub(crate) fn accept(
        now: Instant,
        identity: &Identity,
        offer: Offer,
        candidates: Vec<SocketAddr>,
        mix: bool,
    ) -> Result<(Self, String), OfferError> {
        let refused = |error: Error| OfferError::Refused(error.to_string());
        let mut connection = connection(now, identity).map_err(refused)?;
        let hears = mix && offer.audio().is_some_and(|audio| audio.receives);
        let mut track = None;
        if hears {
            let ssrc = ssrc().ok_or_else(|| OfferError::Refused("no random numbers".into()))?;
            let sender = connection.add_track(voice(ssrc)).map_err(refused)?;
            track = Some(Track {
                sender,
                ssrc,
                payload_type: 0,
            });
        }
        let mut peer = Self {
            connection,
            offer,
            candidates,
            ufrag: String::new(),
            password: String::new(),
            track,
            channels: BTreeSet::new(),
            connected: false,
            closed: false,
            events: VecDeque::new(),
            stirred: true,
            deadline: None,
        };
        for (index, address) in peer.candidates.iter().enumerate() {
            let candidate = RTCIceCandidateInit {
                candidate: candidate(index, *address),
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
        let answer = self.connection.create_answer(None)?;
        let text = answer.sdp.clone();
        self.connection.set_local_description(now, answer)?;
        let missing = || Error::Other("the answer has no ICE credentials".into());
        self.ufrag = value(&text, "a=ice-ufrag:").ok_or_else(missing)?.to_owned();
        self.password = value(&text, "a=ice-pwd:").ok_or_else(missing)?.to_owned();
        self.stirred = true;
        Ok(with_candidates(&text, &self.candidates))
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
                RTCMessage::RtpPacket(_, packet) => self.events.push_back(Event::Rtp(Rtp {
                    sequence: packet.header.sequence_number,
                    time: packet.header.timestamp,
                    marker: packet.header.marker,
                    payload: packet.payload,
                })),
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
        let mut lines = String::from("a=ice-lite\r\n");
        // The section that has candidates in the answer has them in the fragment, by its mid.
        let sections = answer.split("\r\nm=").skip(1);
        let wanted = |section: &&str| section.split(' ').nth(1) != Some("0");
        if let Some(section) = { sections }.find(wanted) {
            let media = section.lines().next().unwrap_or_default();
            let mid = value(section, "a=mid:").unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(lines, "m={media}\r\na=mid:{mid}\r\n");
        }
        let _ = write!(
            lines,
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
            self.ufrag, self.password
        );
        push_candidates(&mut lines, &self.candidates);
        Ok(lines)
    }

    fn datagram(&mut self, now: Instant, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
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
        let datagram = Datagram::of(bytes);
        // RTP raises nothing that cannot wait for the next timer. RTCP and what is no media can.
        self.stirred |= !matches!(datagram, Datagram::Rtp(_));
        if datagram == Datagram::Dtls(ALERT) {
            self.drain();
            if self.dtls_closed() {
                self.end(Closed::ByPeer);
            }
        }
    }

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

fn connection(now: Instant, identity: &Identity) -> Result<RTCPeerConnection, Error> {
    let settings = SettingEngineBuilder::new()
        .with_crypto_provider(identity.crypto.clone())
        // It would open a socket for each peer.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_lite(true)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(Some(ICE_TIMEOUTS.0), Some(ICE_TIMEOUTS.1), None)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(LARGEST_MESSAGE))
        .with_sctp_max_receive_buffer_size(RECEIVE_BUFFER)
        .build();
    let mut media = MediaEngine::default();
    media.register_codec(opus(), RtpCodecKind::Audio)?;
    // Tells which section a stream belongs to, where the offer does not name its SSRC.
    media.register_header_extension(
        RTCRtpHeaderExtensionCapability { uri: MID.into() },
        RtpCodecKind::Audio,
        None,
    )?;
    RTCPeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new()
                .with_certificates(vec![identity.certificate.clone()])
                .build(),
        )
        .with_setting_engine(settings)
        .with_media_engine(media)
        // Without receiver reports a publisher's encoder does not know of loss, and puts no FEC into its packets.
        .with_interceptor_registry(configure_rtcp_reports(Registry::new()))
        .build(now)
}

fn opus() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: codec(),
        payload_type: 111,
    }
}

fn codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

fn voice(ssrc: u32) -> MediaStreamTrack {
    MediaStreamTrack::new(
        "discord".into(),
        "discord-mix".into(),
        "discord".into(),
        RtpCodecKind::Audio,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            },
            codec: codec(),
            ..RTCRtpEncodingParameters::default()
        }],
    )
}

fn ssrc() -> Option<u32> {
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(u32::from_be_bytes(bytes).max(1))
}

fn value<'a>(sdp: &'a str, key: &str) -> Option<&'a str> {
    sdp.lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}

/// A candidate's value. The first ones are preferred.
fn candidate(index: usize, address: SocketAddr) -> String {
    let preference = 65_535_u32.saturating_sub(u32::try_from(index).unwrap_or(65_535));
    // RFC 8445, section 5.1.2.1, for a host candidate of component 1.
    let priority = (126 << 24) | (preference << 8) | 255;
    format!(
        "candidate:{} 1 udp {priority} {} {} typ host",
        index.saturating_add(1),
        address.ip(),
        address.port()
    )
}

fn push_candidates(lines: &mut String, candidates: &[SocketAddr]) {
    for (index, address) in candidates.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(lines, "a={}\r\n", candidate(index, *address));
    }
    lines.push_str("a=end-of-candidates\r\n");
}

/// The answer with our candidates in its first section that is not refused: `rtc` puts them into the first one, where they are
/// lost if that was video.
fn with_candidates(answer: &str, candidates: &[SocketAddr]) -> String {
    let mut text = String::with_capacity(answer.len().saturating_add(256));
    let (mut wanted, mut done) = (false, false);
    for line in answer.lines() {
        if line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates") {
            continue;
        }
        if let Some(media) = line.strip_prefix("m=") {
            if wanted && !done {
                push_candidates(&mut text, candidates);
                done = true;
            }
            wanted = media.split(' ').nth(1) != Some("0");
        }
        text.push_str(line);
        text.push_str("\r\n");
    }
    if wanted && !done {
        push_candidates(&mut text, candidates);
    }
    text
}
