//! A WebRTC connection of a client, by `webrtc`: what it offers, and what comes over it.

use std::sync::Arc;

use bytes::Bytes;
use rtc::{
    ice::mdns::MulticastDnsMode,
    media_stream::MediaStreamTrack,
    rtp,
    rtp_transceiver::{
        RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
        rtp_sender::{
            RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
            RtpCodecKind,
        },
    },
};
use tokio::sync::{mpsc, watch};
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    media_stream::{
        track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
        RTCConfigurationBuilder, RTCIceGatheringState, RTCPeerConnectionState, Registry,
        SettingEngineBuilder, StatsSelector, configure_rtcp_reports,
    },
};

/// What browsers use for Opus too.
const OPUS: u8 = 111;

pub(crate) type Failure = webrtc::error::Error;

/// What comes over a connection.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// On a track.
    Rtp(rtp::Packet),
    /// On `vsk-control`.
    Control(Bytes),
    /// On `vsk-voice`.
    Voice(Bytes),
    /// A data channel is open.
    Open,
    /// A data channel was closed by the other side.
    Closed,
}

/// What a connection is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// An audio track, in these directions.
    pub(crate) track: Option<Direction>,
    /// `vsk-control` and `vsk-voice`.
    pub(crate) channels: bool,
    /// Whether the other side is on this machine, which ICE leaves out elsewhere.
    pub(crate) loopback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Send,
    Receive,
    Both,
}

/// A connection and the tasks that read from it, which end with it.
pub(crate) struct Connection {
    peer: Arc<dyn PeerConnection>,
    track: Option<Arc<TrackLocalStaticRTP>>,
    control: Option<Arc<dyn DataChannel>>,
    voice: Option<Arc<dyn DataChannel>>,
    state: watch::Receiver<RTCPeerConnectionState>,
    gathered: watch::Receiver<bool>,
    ssrc: u32,
    tasks: tokio::task::JoinSet<()>,
}

impl Connection {
    /// Prepares one; what comes goes to `arrived`, which holds up the connection when it is full.
    pub(crate) async fn new(shape: Shape, arrived: mpsc::Sender<Arrived>) -> Result<Self, Failure> {
        let mut media = MediaEngine::default();
        media.register_codec(
            RTCRtpCodecParameters {
                rtp_codec: opus(),
                payload_type: OPUS,
            },
            RtpCodecKind::Audio,
        )?;
        let (told_state, state) = watch::channel(RTCPeerConnectionState::New);
        let (told_gathered, gathered) = watch::channel(false);
        let handler = Handler {
            state: told_state,
            gathered: told_gathered,
            arrived: arrived.clone(),
        };
        let addresses = if shape.loopback {
            vec!["127.0.0.1:0", "[::1]:0"]
        } else {
            vec!["0.0.0.0:0", "[::]:0"]
        };
        let peer: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(RTCConfigurationBuilder::new().build())
                .with_media_engine(media)
                .with_interceptor_registry(configure_rtcp_reports(Registry::new()))
                .with_setting_engine(
                    SettingEngineBuilder::default()
                        .with_include_loopback_candidate(shape.loopback)
                        // On by default, with a socket for each connection.
                        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
                        .build(),
                )
                .with_handler(Arc::new(handler))
                .with_udp_addrs(addresses)
                .build()
                .await?,
        );
        let mut connection = Self {
            peer,
            track: None,
            control: None,
            voice: None,
            state,
            gathered,
            ssrc: fastrand::u32(1..),
            tasks: tokio::task::JoinSet::new(),
        };
        if let Some(direction) = shape.track {
            connection.add_track(direction).await?;
        }
        if shape.channels {
            connection.add_channels(&arrived).await?;
        }
        Ok(connection)
    }

    async fn add_track(&mut self, direction: Direction) -> Result<(), Failure> {
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(self.ssrc),
                ..Default::default()
            },
            codec: opus(),
            ..Default::default()
        };
        let init = |direction, send_encodings| {
            Some(RTCRtpTransceiverInit {
                direction,
                streams: Vec::new(),
                send_encodings,
            })
        };
        if direction == Direction::Receive {
            let init = init(RTCRtpTransceiverDirection::Recvonly, Vec::new());
            self.peer
                .add_transceiver_from_kind(RtpCodecKind::Audio, init)
                .await?;
            return Ok(());
        }
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "portal".into(),
            "voice".into(),
            "voice".into(),
            RtpCodecKind::Audio,
            vec![encoding.clone()],
        )));
        let wanted = match direction {
            Direction::Send => RTCRtpTransceiverDirection::Sendonly,
            Direction::Receive | Direction::Both => RTCRtpTransceiverDirection::Sendrecv,
        };
        self.peer
            .add_transceiver_from_track(
                Arc::clone(&track) as Arc<dyn TrackLocal>,
                init(wanted, vec![encoding]),
            )
            .await?;
        self.track = Some(track);
        Ok(())
    }

    async fn add_channels(&mut self, arrived: &mpsc::Sender<Arrived>) -> Result<(), Failure> {
        let control = self.peer.create_data_channel("vsk-control", None).await?;
        let unreliable = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            ..Default::default()
        };
        let voice = self
            .peer
            .create_data_channel("vsk-voice", Some(unreliable))
            .await?;
        for (channel, message) in [
            (&control, Arrived::Control as fn(Bytes) -> Arrived),
            (&voice, Arrived::Voice),
        ] {
            let (channel, arrived) = (Arc::clone(channel), arrived.clone());
            self.tasks.spawn(read_channel(channel, arrived, message));
        }
        self.control = Some(control);
        self.voice = Some(voice);
        Ok(())
    }

    /// The offer, with all candidates.
    pub(crate) async fn offer(&mut self) -> Result<String, Failure> {
        let offer = self.peer.create_offer(None).await?;
        self.peer.set_local_description(offer).await?;
        // It ends with the connection alone, whose end the description tells then.
        let _ = self.gathered.wait_for(|gathered| *gathered).await;
        let offer = self.peer.local_description().await;
        Ok(offer.map(|offer| offer.sdp).unwrap_or_default())
    }

    pub(crate) async fn answer(&self, answer: String) -> Result<(), Failure> {
        let answer = webrtc::peer_connection::RTCSessionDescription::answer(answer)?;
        self.peer.set_remote_description(answer).await
    }

    /// Waits until it is connected, or cannot be any more.
    pub(crate) async fn connected(&mut self) -> bool {
        let settled = |state: &RTCPeerConnectionState| {
            *state == RTCPeerConnectionState::Connected || has_ended(*state)
        };
        self.state
            .wait_for(settled)
            .await
            .is_ok_and(|state| *state == RTCPeerConnectionState::Connected)
    }

    /// Waits until it has ended; when it is closed, until all is read that came over data channels.
    pub(crate) async fn over(&mut self, closed: bool) {
        if closed {
            while self.tasks.join_next().await.is_some() {}
        } else {
            // Nobody who tells: it has ended as well.
            let _ = self.state.wait_for(|state| has_ended(*state)).await;
        }
    }

    /// Sends a packet on the track.
    pub(crate) async fn send_rtp(
        &self,
        sequence: u16,
        time: u32,
        marker: bool,
        payload: Bytes,
    ) -> Result<(), Failure> {
        let Some(track) = &self.track else {
            return Ok(());
        };
        let header = rtp::header::Header {
            version: 2,
            marker,
            payload_type: OPUS,
            sequence_number: sequence,
            timestamp: time,
            ssrc: self.ssrc,
            ..Default::default()
        };
        track.write_rtp(rtp::Packet { header, payload }).await
    }

    pub(crate) async fn send_control(&self, text: &str) -> Result<(), Failure> {
        match &self.control {
            Some(channel) => channel.send_text(text).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn send_voice(&self, message: &[u8]) -> Result<(), Failure> {
        match &self.voice {
            Some(channel) => channel.send(message.into()).await,
            None => Ok(()),
        }
    }

    /// What ICE's checks last took to the server and back.
    pub(crate) async fn round_trip(&self) -> Option<std::time::Duration> {
        let report = self
            .peer
            .get_stats(std::time::Instant::now(), StatsSelector::None)
            .await;
        report
            .iter()
            .filter_map(|entry| match entry {
                webrtc::peer_connection::RTCStatsReportEntry::IceCandidatePair(pair)
                    if pair.current_round_trip_time > 0.0 =>
                {
                    Some(pair.current_round_trip_time)
                }
                _ => None,
            })
            .reduce(f64::min)
            .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
    }

    /// Closes it. What it had received is read all the same.
    pub(crate) async fn stop(&self) -> Result<(), Failure> {
        self.peer.close().await
    }
}

fn has_ended(state: RTCPeerConnectionState) -> bool {
    matches!(
        state,
        RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed
    )
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
        rtcp_feedback: Vec::new(),
    }
}

async fn read_channel(
    channel: Arc<dyn DataChannel>,
    arrived: mpsc::Sender<Arrived>,
    message: fn(Bytes) -> Arrived,
) {
    while let Some(event) = channel.poll().await {
        let sent = match event {
            DataChannelEvent::OnMessage(data) => arrived.send(message(data.data.freeze())).await,
            DataChannelEvent::OnOpen => arrived.send(Arrived::Open).await,
            DataChannelEvent::OnClose => break,
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
    // Who does not listen any more need not know.
    let _ = arrived.send(Arrived::Closed).await;
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    gathered: watch::Sender<bool>,
    arrived: mpsc::Sender<Arrived>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        tracing::debug!(%state, "connection");
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let arrived = self.arrived.clone();
        // It ends with the track, which ends with the connection.
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                let sent = match event {
                    TrackRemoteEvent::OnRtpPacket(packet) => {
                        arrived.send(Arrived::Rtp(packet)).await
                    }
                    TrackRemoteEvent::OnEnded => break,
                    _ => Ok(()),
                };
                if sent.is_err() {
                    break;
                }
            }
        });
    }
}
