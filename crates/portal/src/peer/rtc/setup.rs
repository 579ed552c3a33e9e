//! How a connection of `rtc` is set up: ICE-lite, Opus, the certificate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use rtc::crypto::{RTCCryptoProvider, SignatureScheme, default_provider};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{NackGeneratorBuilder, Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_rtcp_reports, configure_twcc_receiver_only,
};
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::{
    SctpMaxMessageSize, SettingEngineBuilder,
};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::shared::error::Error;

use super::super::PeerError;
use super::super::offer::{MID_EXTENSION, Offer, Offered, RID_EXTENSION};
use super::feedback;

/// The largest message on a data channel: what `vsk-control` and `vsk-video` may have.
const LARGEST_MESSAGE: u32 = 16 * 1024;

/// What SCTP holds of messages that are not whole.
const RECEIVE_BUFFER: u32 = 128 * 1024;

/// Without a check by the other side for so long, rtc takes the path for broken, and after the second for gone. Browsers check
/// every 2.5 s, aiortc every 5. What is vanished is decided by the loop, which also counts media.
const ICE_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// How often a publisher is asked for packets that did not come, and how often for one of them.
const NACKS: Duration = Duration::from_millis(30);
const NACKS_OF_ONE: u16 = 8;

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

/// A connection without tracks, that waits for an offer.
pub(super) fn connection(
    now: Instant,
    identity: &Identity,
    offer: &Offer,
) -> Result<RTCPeerConnection, Error> {
    // RFC 8842: who is offered `active` answers `passive`. `rtc` would begin too, and nobody would answer.
    let role = if offer.active() {
        RTCDtlsRole::Server
    } else {
        RTCDtlsRole::Client
    };
    let settings = SettingEngineBuilder::new()
        .with_answering_dtls_role(role)
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
        RTCRtpHeaderExtensionCapability {
            uri: MID_EXTENSION.into(),
        },
        RtpCodecKind::Audio,
        None,
    )?;
    // Without receiver reports a publisher's encoder does not know of loss, and puts no FEC into its packets.
    let mut interceptors = configure_rtcp_reports(Registry::new());
    if let Some((direction, formats)) = offer.video() {
        for format in formats {
            media.register_codec(video(format), RtpCodecKind::Video)?;
            if let Some(rtx) = retransmissions(format) {
                media.register_codec(rtx, RtpCodecKind::Video)?;
            }
        }
        let uris = [MID_EXTENSION, RID_EXTENSION];
        for uri in uris.into_iter().take(1 + usize::from(direction.sends)) {
            let uri = uri.into();
            let extension = RTCRtpHeaderExtensionCapability { uri };
            media.register_header_extension(extension, RtpCodecKind::Video, None)?;
        }
        if direction.sends {
            // What one packet of was lost is lost for all who see it, so it is asked for here; and encoders learn what their link carries.
            let missing = NackGeneratorBuilder::new()
                .with_interval(NACKS)
                .with_max_nacks_per_packet(NACKS_OF_ONE)
                .build();
            interceptors = interceptors.with(Slot::NackGenerator, missing);
            interceptors = configure_twcc_receiver_only(interceptors, &mut media)?;
        }
        if direction.receives {
            interceptors =
                interceptors.with(Slot::from(feedback::SLOT), feedback::Deliverer::default());
        }
    }
    RTCPeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new()
                .with_certificates(vec![identity.certificate.clone()])
                .build(),
        )
        .with_setting_engine(settings)
        .with_media_engine(media)
        .with_interceptor_registry(interceptors)
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

/// A format as it was offered.
fn video(format: &Offered) -> RTCRtpCodecParameters {
    let feedback = format
        .feedback
        .iter()
        .map(|(kind, parameter)| RTCPFeedback {
            typ: (*kind).to_owned(),
            parameter: (*parameter).to_owned(),
        });
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: format!("video/{}", format.codec.name()),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format.parameters.clone(),
            rtcp_feedback: feedback.collect(),
        },
        payload_type: format.payload_type,
    }
}

fn retransmissions(format: &Offered) -> Option<RTCRtpCodecParameters> {
    Some(RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format!("apt={}", format.payload_type),
            rtcp_feedback: Vec::new(),
        },
        payload_type: format.rtx?,
    })
}

/// A track for the mix.
pub(super) fn voice(ssrc: u32) -> MediaStreamTrack {
    track("discord-mix", RtpCodecKind::Audio, ssrc, None, codec())
}

/// A track for the picture, and its retransmissions.
pub(super) fn picture(ssrc: u32, rtx: Option<u32>, format: &Offered) -> MediaStreamTrack {
    let codec = video(format).rtp_codec;
    track("world-picture", RtpCodecKind::Video, ssrc, rtx, codec)
}

/// Sound and picture are of one stream, so that players play them in step.
fn track(
    name: &str,
    kind: RtpCodecKind,
    ssrc: u32,
    rtx: Option<u32>,
    codec: RTCRtpCodec,
) -> MediaStreamTrack {
    MediaStreamTrack::new(
        "discord".into(),
        name.into(),
        "discord".into(),
        kind,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                rtx: rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
                ..RTCRtpCodingParameters::default()
            },
            codec,
            ..RTCRtpEncodingParameters::default()
        }],
    )
}

/// A random one, if the system has any.
pub(super) fn ssrc() -> Option<u32> {
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(u32::from_be_bytes(bytes).max(1))
}
