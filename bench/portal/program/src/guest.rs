//! A guest of a portal, or of aiortc's relay: the sans-IO `rtc` with a socket of its own, which costs less than what it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
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

/// Which of a portal's endpoints it takes, and so which way its voice goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Whip,
    Whep,
    Peer,
}

pub struct Guest {
    connection: RTCPeerConnection,
    socket: UdpSocket,
    address: SocketAddr,
    track: Option<RTCRtpSenderId>,
    number: u32,
    connected: bool,
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
            due: None,
            buffer: vec![0; 2_048],
        };
        timeout(Duration::from_secs(60), async {
            while !guest.connected {
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
        self.number = self.number.wrapping_add(1);
        let header = rtc::rtp::Header {
            version: 2,
            payload_type: 111,
            sequence_number: self.number as u16,
            timestamp: self.number.wrapping_mul(SAMPLES),
            ssrc: SSRC,
            ..rtc::rtp::Header::default()
        };
        let track = self.track.ok_or("it only listens")?;
        let mut sender = self.connection.rtp_sender(track).ok_or("no sender")?;
        sender.write_rtp(Instant::now(), rtc::rtp::Packet { header, payload })?;
        self.flush()
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

    /// Whatever comes next: a datagram, or a timer.
    async fn step(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let due = match self.due {
            Some(due) => due,
            None => {
                while let Some(event) = self.connection.poll_event() {
                    if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                        self.connected |= state == RTCPeerConnectionState::Connected;
                        if state == RTCPeerConnectionState::Failed {
                            return Err("the connection failed".into());
                        }
                    }
                }
                self.flush()?;
                if self.connected && self.due.is_none() {
                    // What waits for the connection looks before it waits on.
                    self.due = Some(now);
                    return Ok(());
                }
                let due = self.connection.poll_timeout();
                *self.due.insert(due.unwrap_or(now + Duration::from_secs(1)))
            }
        };
        tokio::select! {
            received = self.socket.recv_from(&mut self.buffer) => {
                let (length, peer_addr) = received?;
                let bytes = &self.buffer[..length];
                let media = bytes.first().is_some_and(|first| (128..192).contains(first));
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
                self.connection.handle_read(TaggedBytesMut { now, transport, message })?;
            }
            () = sleep_until(due.max(now + Duration::from_millis(1)).into()) => {
                self.due = None;
                self.connection.handle_timeout(Instant::now())?;
            }
        }
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
    if way == Way::Whep {
        let listens = direction(RTCRtpTransceiverDirection::Recvonly);
        connection.add_transceiver_from_kind(RtpCodecKind::Audio, listens)?;
    } else {
        let speaks = direction(match way {
            Way::Peer => RTCRtpTransceiverDirection::Sendrecv,
            _ => RTCRtpTransceiverDirection::Sendonly,
        });
        let id = connection.add_transceiver_from_track(track(), speaks)?;
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

fn track() -> MediaStreamTrack {
    let codec = RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
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
    let name = || "voice".to_owned();
    MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Audio, vec![encoding])
}

/// The answer to an offer.
async fn post(server: SocketAddr, room: u32, way: Way, offer: &str) -> Result<String, Error> {
    let kind = match way {
        Way::Whip => "whip",
        Way::Whep => "whep",
        Way::Peer => "peer",
    };
    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let claims = Claims {
        iss: "uro_discord".into(),
        portal: format!("room-{room}"),
        role: Role::Peer,
        sub: "guest".into(),
        name: "A guest".into(),
        iat: now,
        exp: now + 3_600,
        jti: format!(
            "{room}-{kind}-{}",
            SystemTime::UNIX_EPOCH.elapsed()?.as_nanos()
        ),
    };
    let token = mint(&SecretString::from(KEY), &claims);
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
