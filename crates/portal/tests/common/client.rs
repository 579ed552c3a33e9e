//! One peer.

use super::{PATIENCE, ask};
use axum::Router;
use axum::http::Method;
use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::RTCCertificate;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
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
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

pub struct Plan<'a> {
    pub kind: &'a str,
    pub token: String,
    /// The audio section's direction, as in SDP; empty: none.
    pub audio: &'a str,
    pub video: bool,
    pub channels: bool,
    /// A channel for pictures too.
    pub pictures: bool,
    /// Data channels travel with the audio section only, as browsers offer it by the policy max-bundle.
    pub max_bundle: bool,
    pub bind: &'a str,
    pub certificate: Option<RTCCertificate>,
    /// Who begins DTLS, as the offer says it; else whoever answers.
    pub setup: Option<&'a str>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            kind: "peer",
            token: String::new(),
            audio: "",
            video: false,
            channels: false,
            pictures: false,
            max_bundle: false,
            bind: "127.0.0.1:0",
            certificate: None,
            setup: None,
        }
    }
}

#[derive(Debug)]
pub enum Seen {
    Connected,
    Rtp(rtc::rtp::Packet),
    Opened(String),
    Text(String),
    Bytes(Bytes),
    ChannelClosed,
    Over,
}

enum Do {
    Rtp {
        sequence: u16,
        time: u32,
        payload: Bytes,
    },
    Text(String),
    Bytes(&'static str, Bytes),
    Open(&'static str),
    Raw(SocketAddr, Vec<u8>),
    Sent(oneshot::Sender<()>),
    Rebind(oneshot::Sender<SocketAddr>),
    Offer(oneshot::Sender<String>),
    Answer(String),
    Close,
}

/// Dropping it is to vanish.
pub struct Client {
    todo: mpsc::UnboundedSender<Do>,
    seen: mpsc::UnboundedReceiver<Seen>,
    channels: usize,
    pub token: String,
    pub location: String,
    pub etag: String,
    pub offer: String,
    pub answer: String,
    pub address: SocketAddr,
}

impl Client {
    pub async fn connect(routes: &Router, plan: Plan<'_>) -> Self {
        Self::offer(routes, plan)
            .await
            .unwrap_or_else(|(status, body)| panic!("{status} {body}"))
    }

    /// What is answered when the offer is refused.
    pub async fn offer(routes: &Router, plan: Plan<'_>) -> Result<Self, (u16, String)> {
        let socket = UdpSocket::bind(plan.bind).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (mut connection, sender) = connection(&plan, address);
        let offer = connection.create_offer(None).unwrap();
        connection
            .set_local_description(Instant::now(), offer)
            .unwrap();
        let mut offer = connection.local_description().unwrap().sdp;
        if plan.max_bundle {
            offer = offer
                .replace("m=application 9 ", "m=application 0 ")
                .replace("a=sctp-port:", "a=bundle-only\r\na=sctp-port:");
            assert!(offer.contains("m=application 0 ") && offer.contains("bundle-only"));
        }
        if let Some(setup) = plan.setup {
            offer = offer.replace("a=setup:actpass", &format!("a=setup:{setup}"));
        }
        let bearer = format!("Bearer {}", plan.token);
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/sdp"),
        ];
        let path = format!("/portal/lobby/{}", plan.kind);
        let (response, answer) = ask(routes, Method::POST, &path, &headers, &offer).await;
        if response.status() != 201 {
            return Err((response.status().as_u16(), answer));
        }
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        connection
            .set_remote_description(
                Instant::now(),
                RTCSessionDescription::answer(answer.clone()).unwrap(),
            )
            .unwrap();
        let (todo, doing) = mpsc::unbounded_channel();
        let (told, seen) = mpsc::unbounded_channel();
        let client = Self {
            todo,
            seen,
            channels: 2 + usize::from(plan.pictures),
            token: plan.token,
            location: header("location"),
            etag: header("etag"),
            offer,
            answer,
            address,
        };
        tokio::spawn(run(connection, sender, socket, doing, told));
        Ok(client)
    }

    /// The next thing that is wanted; others are passed over.
    pub async fn see<T>(&mut self, wanted: impl Fn(Seen) -> Option<T>) -> T {
        let found = async {
            loop {
                let seen = self.seen.recv().await.expect("the client has ended");
                if let Some(found) = wanted(seen) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it was not seen")
    }

    pub async fn connected(&mut self) {
        self.see(|seen| matches!(seen, Seen::Connected).then_some(()))
            .await;
    }

    /// Waits for all channels.
    pub async fn opened(&mut self) {
        for _ in 0..self.channels {
            self.see(|seen| matches!(seen, Seen::Opened(_)).then_some(()))
                .await;
        }
    }

    pub async fn text(&mut self) -> serde_json::Value {
        let text = self
            .see(|seen| match seen {
                Seen::Text(text) => Some(text),
                _ => None,
            })
            .await;
        serde_json::from_str(&text).unwrap()
    }

    pub fn rtp(&self, sequence: u16, time: u32, payload: impl Into<Bytes>) {
        let payload = payload.into();
        let _ = self.todo.send(Do::Rtp {
            sequence,
            time,
            payload,
        });
    }

    pub fn say(&self, message: &serde_json::Value) {
        let _ = self.todo.send(Do::Text(message.to_string()));
    }

    pub fn say_text(&self, message: &str) {
        let _ = self.todo.send(Do::Text(message.into()));
    }

    pub fn voice(&self, message: impl Into<Bytes>) {
        let _ = self.todo.send(Do::Bytes("vsk-voice", message.into()));
    }

    pub fn picture(&self, message: impl Into<Bytes>) {
        let _ = self.todo.send(Do::Bytes("vsk-video", message.into()));
    }

    /// One more channel.
    pub fn open(&self, label: &'static str) {
        let _ = self.todo.send(Do::Open(label));
    }

    /// Any bytes, from the socket of this peer.
    pub fn raw(&self, to: SocketAddr, bytes: Vec<u8>) {
        let _ = self.todo.send(Do::Raw(to, bytes));
    }

    /// Waits until all that was to be sent has been.
    pub async fn sent(&self) {
        let (tell, told) = oneshot::channel();
        let _ = self.todo.send(Do::Sent(tell));
        told.await.unwrap();
    }

    /// Says what makes the portal answer on `vsk-control`, and waits for that.
    pub async fn echo(&mut self) {
        self.say_text(r#"{"type":"name","sender":1,"name":""}"#);
        self.see(|seen| match seen {
            Seen::Text(text) if text.contains("bad_name") => Some(()),
            _ => None,
        })
        .await;
    }

    /// Another port from now on, as after a NAT forgot.
    pub async fn rebind(&mut self) {
        let (tell, told) = oneshot::channel();
        let _ = self.todo.send(Do::Rebind(tell));
        self.address = told.await.unwrap();
    }

    /// The offer with which ICE begins anew.
    pub async fn restart(&self) -> String {
        let (tell, told) = oneshot::channel();
        let _ = self.todo.send(Do::Offer(tell));
        told.await.unwrap()
    }

    pub fn answered(&self, answer: String) {
        let _ = self.todo.send(Do::Answer(answer));
    }

    pub fn close(&self) {
        let _ = self.todo.send(Do::Close);
    }
}

fn connection(plan: &Plan<'_>, address: SocketAddr) -> (RTCPeerConnection, Option<RTCRtpSenderId>) {
    let mut media = MediaEngine::default();
    media.register_default_codecs().unwrap();
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .build();
    let configuration = RTCConfigurationBuilder::new()
        .with_certificates(plan.certificate.clone().into_iter().collect())
        .build();
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_setting_engine(settings)
        .with_media_engine(media)
        .with_interceptor_registry(Registry::new())
        .build(Instant::now())
        .unwrap();
    if plan.video {
        // First, so that the answer's first section is one that is refused.
        let init = direction(RTCRtpTransceiverDirection::Sendrecv);
        connection
            .add_transceiver_from_track(
                track(RtpCodecKind::Video, "video/AV1", 90_000, 2),
                Some(init),
            )
            .unwrap();
    }
    let wanted = match plan.audio {
        "sendonly" => Some(RTCRtpTransceiverDirection::Sendonly),
        "sendrecv" => Some(RTCRtpTransceiverDirection::Sendrecv),
        "recvonly" => Some(RTCRtpTransceiverDirection::Recvonly),
        _ => None,
    };
    let mut sender = None;
    match wanted {
        Some(RTCRtpTransceiverDirection::Recvonly) => {
            let init = direction(RTCRtpTransceiverDirection::Recvonly);
            connection
                .add_transceiver_from_kind(RtpCodecKind::Audio, Some(init))
                .unwrap();
        }
        Some(wanted) => {
            let track = track(RtpCodecKind::Audio, "audio/opus", 48_000, 1);
            let id = connection
                .add_transceiver_from_track(track, Some(direction(wanted)))
                .unwrap();
            sender = connection.rtp_transceiver(id).unwrap().sender();
        }
        None => {}
    }
    if plan.channels {
        connection.create_data_channel("vsk-control", None).unwrap();
        let unreliable = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            ..RTCDataChannelInit::default()
        };
        connection
            .create_data_channel("vsk-voice", Some(unreliable))
            .unwrap();
    }
    if plan.pictures {
        let once_more = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(1),
            ..RTCDataChannelInit::default()
        };
        connection
            .create_data_channel("vsk-video", Some(once_more))
            .unwrap();
    }
    let (ip, port) = (address.ip(), address.port());
    let candidate = RTCIceCandidateInit {
        candidate: format!("candidate:1 1 udp 2130706431 {ip} {port} typ host"),
        ..RTCIceCandidateInit::default()
    };
    connection.add_local_candidate(candidate).unwrap();
    (connection, sender)
}

fn direction(direction: RTCRtpTransceiverDirection) -> RTCRtpTransceiverInit {
    RTCRtpTransceiverInit {
        direction,
        streams: vec![],
        send_encodings: vec![],
    }
}

fn track(kind: RtpCodecKind, mime: &str, clock_rate: u32, ssrc: u32) -> MediaStreamTrack {
    let audio = kind == RtpCodecKind::Audio;
    MediaStreamTrack::new(
        "stream".into(),
        format!("track-{ssrc}"),
        "track".into(),
        kind,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            },
            codec: RTCRtpCodec {
                mime_type: mime.into(),
                clock_rate,
                channels: if audio { 2 } else { 0 },
                sdp_fmtp_line: if audio {
                    "minptime=10;useinbandfec=1".into()
                } else {
                    String::new()
                },
                rtcp_feedback: vec![],
            },
            ..RTCRtpEncodingParameters::default()
        }],
    )
}

async fn run(
    mut connection: RTCPeerConnection,
    sender: Option<RTCRtpSenderId>,
    mut socket: UdpSocket,
    mut doing: mpsc::UnboundedReceiver<Do>,
    told: mpsc::UnboundedSender<Seen>,
) {
    let local = socket.local_addr().unwrap();
    let mut channels: HashMap<String, usize> = HashMap::new();
    let mut buffer = vec![0; 2048];
    loop {
        while let Some(read) = connection.poll_read() {
            let seen = match read.message {
                RTCMessage::RtpPacket(_, packet) => Seen::Rtp(packet),
                RTCMessage::DataChannelMessage(_, message) if message.is_string => {
                    Seen::Text(String::from_utf8(message.data.to_vec()).unwrap())
                }
                RTCMessage::DataChannelMessage(_, message) => Seen::Bytes(message.data.freeze()),
                _ => continue,
            };
            let _ = told.send(seen);
        }
        while let Some(event) = connection.poll_event() {
            let seen = match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(
                    RTCPeerConnectionState::Connected,
                ) => Seen::Connected,
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(
                    RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed,
                ) => Seen::Over,
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    let label = connection.data_channel(id).unwrap().label().to_owned();
                    channels.insert(label.clone(), id);
                    Seen::Opened(label)
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(_)) => {
                    Seen::ChannelClosed
                }
                _ => continue,
            };
            let _ = told.send(seen);
        }
        while let Some(datagram) = connection.poll_write() {
            let _ = socket
                .send_to(&datagram.message, datagram.transport.peer_addr)
                .await;
        }
        let now = Instant::now();
        let due = connection
            .poll_timeout()
            .unwrap_or(now + Duration::from_secs(60))
            .max(now + Duration::from_millis(1));
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else { continue };
                let transport = TransportContext {
                    local_addr: local,
                    peer_addr: from,
                    ecn: None,
                    transport_protocol: TransportProtocol::UDP,
                };
                let message = BytesMut::from(&buffer[..length]);
                let now = Instant::now();
                let _ = connection.handle_read(TaggedBytesMut { now, transport, message });
            }
            () = sleep_until(due.into()) => {
                let _ = connection.handle_timeout(Instant::now());
            }
            todo = doing.recv() => {
                let now = Instant::now();
                match todo {
                    None => return,
                    Some(Do::Rtp { sequence, time, payload }) => {
                        let header = rtc::rtp::Header {
                            version: 2,
                            payload_type: 111,
                            sequence_number: sequence,
                            timestamp: time,
                            ssrc: 1,
                            ..rtc::rtp::Header::default()
                        };
                        let packet = rtc::rtp::Packet { header, payload };
                        connection.rtp_sender(sender.unwrap()).unwrap().write_rtp(now, packet).unwrap();
                    }
                    Some(Do::Text(text)) => {
                        let id = channels["vsk-control"];
                        connection.data_channel(id).unwrap().send_text(now, text).unwrap();
                    }
                    Some(Do::Bytes(label, bytes)) => {
                        let id = channels[label];
                        connection.data_channel(id).unwrap().send(now, BytesMut::from(bytes)).unwrap();
                    }
                    Some(Do::Open(label)) => {
                        connection.create_data_channel(label, None).unwrap();
                        // Its OPEN goes out with a timer.
                        let _ = connection.handle_timeout(now);
                    }
                    Some(Do::Raw(to, bytes)) => {
                        let _ = socket.send_to(&bytes, to).await;
                    }
                    Some(Do::Sent(tell)) => drop(tell.send(())),
                    Some(Do::Rebind(tell)) => {
                        socket = UdpSocket::bind((local.ip(), 0)).await.unwrap();
                        let _ = tell.send(socket.local_addr().unwrap());
                    }
                    Some(Do::Offer(tell)) => {
                        connection.restart_ice();
                        let offer = connection.create_offer(None).unwrap();
                        connection.set_local_description(now, offer).unwrap();
                        let _ = tell.send(connection.local_description().unwrap().sdp);
                    }
                    Some(Do::Answer(answer)) => {
                        let answer = RTCSessionDescription::answer(answer).unwrap();
                        connection.set_remote_description(now, answer).unwrap();
                    }
                    Some(Do::Close) => {
                        let _ = connection.close();
                        while let Some(datagram) = connection.poll_write() {
                            let _ = socket.send_to(&datagram.message, datagram.transport.peer_addr).await;
                        }
                        return;
                    }
                }
            }
        }
    }
}
