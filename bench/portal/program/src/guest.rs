//! A guest of a portal, or of aiortc's relay: the sans-IO `rtc` with a socket of its own, which costs less than what it measures.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::{RTCDataChannel, RTCDataChannelId, RTCDataChannelInit};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_VP8, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol as _;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep_until, timeout};
use uro_discord_portal::token::{Claims, Role, mint};

use crate::{Error, SAMPLES};

pub const KEY: &str = "a key of the benches, of 32 bytes at least";
const SSRC: u32 = 1;

/// By `rtc`'s numbers.
const OPUS: u8 = 111;
const VP8: u8 = 96;

/// Which of a portal's endpoints it takes, and so which way its voice goes, or a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Whip,
    Whep,
    Peer,
    /// WHIP with a picture and no voice.
    Show,
    /// WHEP of a picture alone.
    See,
    /// The data channels of a world that speaks of pictures.
    World,
}

/// Data channels, and how often what is lost on them is sent again.
const CHANNELS: [(&str, Option<u16>); 2] = [("vsk-control", None), ("vsk-video", Some(1))];

pub struct Guest {
    connection: RTCPeerConnection,
    socket: UdpSocket,
    address: SocketAddr,
    track: Option<RTCRtpSenderId>,
    number: u32,
    connected: bool,
    /// Of `CHANNELS`, those that are open.
    channels: HashMap<String, RTCDataChannelId>,
    /// When its next timer is due; media do not change that.
    due: Option<Instant>,
    buffer: Vec<u8>,
}

impl Guest {
    /// Comes to a room, and returns when media can flow.
    pub async fn join(server: SocketAddr, room: u32, way: Way) -> Result<Self, Error> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let (mut connection, track) = connection(way, address)?;
        let offer = connection.create_offer(None)?;
        connection.set_local_description(Instant::now(), offer)?;
        let offer = connection.local_description().ok_or("no offer")?.sdp;
        let answer = RTCSessionDescription::answer(post(server, room, way, &offer).await?)?;
        connection.set_remote_description(Instant::now(), answer)?;
        let mut guest = Self {
            connection,
            socket,
            address,
            track,
            number: 0,
            connected: false,
            channels: HashMap::new(),
            due: None,
            buffer: vec![0; 2_048],
        };
        timeout(Duration::from_secs(60), async {
            let channels = if way == Way::World { CHANNELS.len() } else { 0 };
            while !guest.connected || guest.channels.len() < channels {
                guest.step().await?;
            }
            Ok::<(), Error>(())
        })
        .await
        .map_err(|_| "no connection came about")??;
        Ok(guest)
    }

    /// Sends the next frame.
    pub fn speak(&mut self, payload: Bytes) -> Result<(), Error> {
        let time = (self.number + 1).wrapping_mul(SAMPLES);
        self.send(OPUS, time, false, payload)
    }

    /// Sends the next packet of a picture, whose last one it may be.
    pub fn show(&mut self, time: u32, last: bool, payload: Bytes) -> Result<(), Error> {
        self.send(VP8, time, last, payload)
    }

    fn send(&mut self, kind: u8, time: u32, marker: bool, payload: Bytes) -> Result<(), Error> {
        self.number = self.number.wrapping_add(1);
        let header = rtc::rtp::Header {
            version: 2,
            marker,
            payload_type: kind,
            sequence_number: self.number as u16,
            timestamp: time,
            ssrc: SSRC,
            ..rtc::rtp::Header::default()
        };
        let track = self.track.ok_or("it only listens")?;
        let mut sender = self.connection.rtp_sender(track).ok_or("no sender")?;
        sender.write_rtp(Instant::now(), rtc::rtp::Packet { header, payload })?;
        self.flush()
    }

    /// Says a word on `vsk-control`.
    pub fn say(&mut self, word: &str) -> Result<(), Error> {
        self.channel("vsk-control")?
            .send_text(Instant::now(), word.to_owned())?;
        self.due = None;
        self.flush()
    }

    /// Sends a message of `vsk-video`.
    pub fn give(&mut self, message: BytesMut) -> Result<(), Error> {
        self.channel("vsk-video")?.send(Instant::now(), message)?;
        self.due = None;
        self.flush()
    }

    fn channel(&mut self, label: &str) -> Result<RTCDataChannel<'_>, Error> {
        let id = *self.channels.get(label).ok_or("no such channel")?;
        Ok(self.connection.data_channel(id).ok_or("no channel")?)
    }

    /// The next message of `vsk-video`. It may be dropped before it is ready.
    pub async fn given(&mut self) -> Result<BytesMut, Error> {
        loop {
            while let Some(read) = self.connection.poll_read() {
                if let RTCMessage::DataChannelMessage(_, message) = read.message
                    && !message.is_string
                {
                    return Ok(message.data);
                }
            }
            self.step().await?;
        }
    }

    /// The next packet that it hears. It may be dropped before it is ready.
    pub async fn hear(&mut self) -> Result<Bytes, Error> {
        loop {
            while let Some(read) = self.connection.poll_read() {
                if let RTCMessage::RtpPacket(_, packet) = read.message {
                    return Ok(packet.payload);
                }
            }
            self.step().await?;
        }
    }

    /// The next packet of a picture that it sees, which is not even decrypted: how long it is, and whether it is a picture's last one.
    pub async fn see(&mut self) -> Result<(usize, bool), Error> {
        loop {
            if let Some((length, from)) = self.next().await? {
                // A second octet of 64 to 95, without the marker, is RTCP (RFC 5761).
                if let [128..192, second, ..] = self.buffer[..length]
                    && !(64..96).contains(&(second & 127))
                {
                    return Ok((length, second & 128 != 0));
                }
                self.take(length, from)?;
            }
        }
    }

    /// Whatever comes next.
    async fn step(&mut self) -> Result<(), Error> {
        match self.next().await? {
            Some((length, from)) => self.take(length, from),
            None => self.flush(),
        }
    }

    /// A datagram, which is in the buffer then, or a timer.
    async fn next(&mut self) -> Result<Option<(usize, SocketAddr)>, Error> {
        let now = Instant::now();
        let due = match self.due {
            Some(due) => due,
            None => {
                while let Some(event) = self.connection.poll_event() {
                    match event {
                        RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => {
                            self.connected |= state == RTCPeerConnectionState::Connected;
                            if state == RTCPeerConnectionState::Failed {
                                return Err("the connection failed".into());
                            }
                        }
                        RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                            let channel = self.connection.data_channel(id).ok_or("no channel")?;
                            self.channels.insert(channel.label().to_owned(), id);
                        }
                        _ => {}
                    }
                }
                self.flush()?;
                if self.connected && self.due.is_none() {
                    // What waits for the connection looks before it waits on.
                    self.due = Some(now);
                    return Ok(None);
                }
                let due = self.connection.poll_timeout();
                *self.due.insert(due.unwrap_or(now + Duration::from_secs(1)))
            }
        };
        tokio::select! {
            received = self.socket.recv_from(&mut self.buffer) => Ok(Some(received?)),
            () = sleep_until(due.max(now + Duration::from_millis(1)).into()) => {
                self.due = None;
                self.connection.handle_timeout(Instant::now())?;
                Ok(None)
            }
        }
    }

    /// Gives its connection what came.
    fn take(&mut self, length: usize, peer_addr: SocketAddr) -> Result<(), Error> {
        let bytes = &self.buffer[..length];
        let media = bytes
            .first()
            .is_some_and(|first| (128..192).contains(first));
        if !media {
            self.due = None;
        }
        let transport = TransportContext {
            local_addr: self.address,
            peer_addr,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let message = BytesMut::from(bytes);
        let now = Instant::now();
        self.connection.handle_read(TaggedBytesMut {
            now,
            transport,
            message,
        })?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        while let Some(datagram) = self.connection.poll_write() {
            let sent = self
                .socket
                .try_send_to(&datagram.message, datagram.transport.peer_addr);
            match sent {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                    return Err(error.into());
                }
                // What the system does not take is lost, as UDP is.
                _ => {}
            }
        }
        Ok(())
    }
}

fn connection(
    way: Way,
    address: SocketAddr,
) -> Result<(RTCPeerConnection, Option<RTCRtpSenderId>), Error> {
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .build();
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_setting_engine(settings)
        .with_media_engine(media)
        .with_interceptor_registry(Registry::new())
        .build(Instant::now())?;
    let direction = |direction| {
        Some(RTCRtpTransceiverInit {
            direction,
            streams: vec![],
            send_encodings: vec![],
        })
    };
    let mut sender = None;
    let kind = match way {
        Way::Show | Way::See => RtpCodecKind::Video,
        _ => RtpCodecKind::Audio,
    };
    if way == Way::World {
        for (label, again) in CHANNELS {
            let options = again.map(|times| RTCDataChannelInit {
                ordered: false,
                max_retransmits: Some(times),
                ..RTCDataChannelInit::default()
            });
            connection.create_data_channel(label, options)?;
        }
    } else if matches!(way, Way::Whep | Way::See) {
        let listens = direction(RTCRtpTransceiverDirection::Recvonly);
        connection.add_transceiver_from_kind(kind, listens)?;
    } else {
        let speaks = direction(match way {
            Way::Peer => RTCRtpTransceiverDirection::Sendrecv,
            _ => RTCRtpTransceiverDirection::Sendonly,
        });
        let id = connection.add_transceiver_from_track(track(kind), speaks)?;
        let transceiver = connection.rtp_transceiver(id).ok_or("no transceiver")?;
        sender = transceiver.sender();
    }
    let (ip, port) = (address.ip(), address.port());
    connection.add_local_candidate(RTCIceCandidateInit {
        candidate: format!("candidate:1 1 udp 2130706431 {ip} {port} typ host"),
        ..RTCIceCandidateInit::default()
    })?;
    Ok((connection, sender))
}

fn track(kind: RtpCodecKind) -> MediaStreamTrack {
    let (mime_type, clock_rate, channels, parameters) = match kind {
        RtpCodecKind::Video => (MIME_TYPE_VP8, 90_000, 0, ""),
        _ => (MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1"),
    };
    let codec = RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: parameters.to_owned(),
        rtcp_feedback: vec![],
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(SSRC),
            ..RTCRtpCodingParameters::default()
        },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    let name = || "track".to_owned();
    MediaStreamTrack::new(name(), name(), name(), kind, vec![encoding])
}

/// One that lets its owner do all that guests do.
pub fn token(room: u32) -> Result<String, Error> {
    let now = SystemTime::UNIX_EPOCH.elapsed()?;
    let claims = Claims {
        iss: "uro_discord".into(),
        portal: format!("room-{room}"),
        role: Role::Peer,
        sub: "guest".into(),
        name: "A guest".into(),
        iat: now.as_secs(),
        exp: now.as_secs() + 3_600,
        jti: format!("{room}-{}", now.as_nanos()),
    };
    Ok(mint(&SecretString::from(KEY), &claims))
}

/// The answer to an offer.
async fn post(server: SocketAddr, room: u32, way: Way, offer: &str) -> Result<String, Error> {
    let kind = match way {
        Way::Whip | Way::Show => "whip",
        Way::Whep => "whep",
        // What it sees is counted.
        Way::See => "whep?placeholder=false",
        Way::Peer | Way::World => "peer",
    };
    let token = token(room)?;
    let mut stream = TcpStream::connect(server).await?;
    let head = format!(
        "POST /portal/room-{room}/{kind} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/sdp\r\ncontent-length: {}\r\n\r\n",
        offer.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(offer.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 201") => Ok(body.to_owned()),
        _ => Err(answer.into()),
    }
}
