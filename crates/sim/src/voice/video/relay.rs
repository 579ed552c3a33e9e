//! Packets of video, and RTCP about them, on their way to those who watch.

use std::{
    net::SocketAddr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    gateway::End,
    state::State,
    voice::{
        relay::Outgoing,
        rtcp, rtp,
        rtp::Header,
        session::{Seat, Session},
    },
};

/// How far a Sender Report's clock may be off: the client runs on this machine.
const CLOCK_TOLERANCE: u64 = 5;
/// NTP counts from 1900.
const NTP_EPOCH: u64 = 2_208_988_800;

impl State {
    /// A packet of video. `None`: nobody has this SSRC.
    pub fn video_packet(
        &mut self,
        from: SocketAddr,
        header: &Header,
        data: &[u8],
    ) -> Option<Vec<Outgoing>> {
        let session = self.calls.sessions_mut().find(|session| {
            let layers = session.video.as_ref().map(|video| video.layers.as_slice());
            let mut layers = layers.unwrap_or_default().iter();
            layers.any(|layer| [layer.ssrc, layer.rtx_ssrc].contains(&header.ssrc))
        })?;
        let (seat, channel) = (session.seat, session.channel);
        let Some(transport) = &mut session.transport else {
            return Some(self.broken(seat, "rtp_before_session"));
        };
        let Some((body, nonce)) = transport.cipher.open(data, header.clear) else {
            return Some(self.broken(seat, "rtp_decrypt"));
        };
        transport.peer = Some(from);
        if !transport.nonces.add(nonce) {
            return Some(self.broken(seat, "nonce_reuse"));
        }
        let Some(payload) = header.payload(&body) else {
            return Some(self.broken(seat, "rtp_padding"));
        };
        let accepted = session
            .video
            .as_mut()?
            .accept(header, payload, Instant::now());
        let (accepted, broken) = match accepted {
            Ok(accepted) => accepted,
            Err(kind) => {
                self.voice_violation(seat, kind);
                if kind == "video_before_op12" {
                    self.end_voice_session(seat, End::Close(4020, "Invalid SSRC."));
                }
                return Some(Vec::new());
            }
        };
        if let Some(kind) = broken {
            self.voice_violation(seat, kind);
        }
        let mut packets = Vec::new();
        for receiver in self
            .calls
            .in_call(channel)
            .filter(|other| other.seat != seat)
        {
            let payload_type = receiver
                .video
                .as_mut()
                .and_then(|video| video.takes(&accepted));
            if let Some(payload_type) = payload_type
                && let Some(transport) = &mut receiver.transport
                && let Some(peer) = transport.peer
            {
                let (clear, body) = header.relayed_video(payload, payload_type);
                packets.extend(transport.seal(&clear, &body).map(|packet| (peer, packet)));
            }
        }
        self.calls
            .session(seat)?
            .video
            .as_mut()?
            .relayed(packets.len());
        Some(packets)
    }

    fn broken(&mut self, seat: Seat, kind: &'static str) -> Vec<Outgoing> {
        self.voice_violation(seat, kind);
        Vec::new()
    }

    /// A compound RTCP packet of a client's: what is asked goes to whose stream it is about, reports to those who watch.
    pub fn relay_rtcp(&mut self, seat: Seat, compound: &[u8]) -> Vec<Outgoing> {
        let Some(packets) = rtcp::packets(compound) else {
            return self.broken(seat, "rtcp_malformed");
        };
        let Some(channel) = self.calls.session(seat).map(|session| session.channel) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for packet in packets {
            match packet.about() {
                rtcp::About::SenderReport { ssrc, seconds } => {
                    self.sender_report(seat, ssrc, seconds);
                    for other in self.calls.in_call(channel) {
                        if other.seat != seat && other.video.is_some() {
                            out.extend(other.rtcp(packet.bytes));
                        }
                    }
                }
                rtcp::About::Stream {
                    ssrc,
                    keyframe,
                    packets,
                } => {
                    if let Some(video) = self.calls.session(seat).and_then(|s| s.video.as_mut()) {
                        video.counts.nacks += packets;
                        video.counts.keyframes_asked += u64::from(keyframe);
                    }
                    let owner = self.calls.in_call(channel).find(|other| {
                        let layers = other.video.as_ref().map(|video| video.layers.as_slice());
                        layers
                            .unwrap_or_default()
                            .iter()
                            .any(|layer| layer.ssrc == ssrc)
                    });
                    match owner {
                        Some(owner) if owner.seat != seat => {
                            let report = rtcp::empty_report(packet.sender());
                            out.extend(owner.rtcp(&[&report, packet.bytes].concat()));
                        }
                        _ => return self.broken(seat, "rtcp_stream"),
                    }
                }
                rtcp::About::Other => {}
            }
        }
        out
    }

    fn sender_report(&mut self, seat: Seat, ssrc: u32, seconds: u64) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let off = (now.as_secs() + NTP_EPOCH).abs_diff(seconds);
        let Some(session) = self.calls.session(seat) else {
            return;
        };
        let mut own = session.ssrc == ssrc;
        if let Some(video) = &mut session.video {
            video.counts.sender_reports += 1;
            own |= video.layers.iter().any(|layer| layer.ssrc == ssrc);
        }
        if !own {
            self.voice_violation(seat, "rtcp_ssrc");
        // Whoever has no clock says zero.
        } else if seconds != 0 && off > CLOCK_TOLERANCE {
            self.voice_violation(seat, "rtcp_clock");
        }
    }
}

impl Session {
    /// An RTCP packet to the client.
    fn rtcp(&mut self, compound: &[u8]) -> Option<Outgoing> {
        let transport = self.transport.as_mut()?;
        let (clear, body) = compound.split_at_checked(rtp::RTCP_CLEAR)?;
        Some((transport.peer?, transport.seal(clear, body)?))
    }
}
