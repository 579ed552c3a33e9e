//! What becomes of a datagram: packets are opened with their sender's key, judged, and sealed with each receiver's.

use std::{net::SocketAddr, time::Instant};

use super::{
    rtp::{self, Header},
    session::{Seat, Session},
};
use crate::{gateway::End, state::State};

/// Length and type of a request for IP discovery, and the type of its answer.
const DISCOVERY: usize = 74;
const DISCOVERY_REQUEST: [u8; 4] = [0, 1, 0, 70];
const DISCOVERY_ANSWER: [u8; 4] = [0, 2, 0, 70];
/// Datagrams up to this are keepalives.
const KEEPALIVE: usize = 8;
/// The SSRC that the relay reports under.
const REPORTER: u32 = 1;
/// How a frame ends that DAVE encrypted.
pub const DAVE_MARKER: [u8; 2] = [0xfa, 0xfa];

/// Opus for 20 ms of silence, which passes unencrypted ("Silence Packets").
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// A datagram to send.
pub type Outgoing = (SocketAddr, Vec<u8>);

impl State {
    /// Takes a datagram; answers those that it makes.
    pub fn datagram(&mut self, from: SocketAddr, data: &[u8]) -> Vec<Outgoing> {
        if data.len() == DISCOVERY && data.starts_with(&DISCOVERY_REQUEST) {
            return self.discovery(from, data).into_iter().collect();
        }
        if data.len() <= KEEPALIVE {
            return self.keepalive(from, data).into_iter().collect();
        }
        if let Some(ssrc) = rtp::rtcp_sender(data) {
            return self.rtcp(from, ssrc, data).unwrap_or_default();
        }
        match Header::parse(data) {
            Some(header) if self.session_of_ssrc(header.ssrc).is_none() => {
                let packets = self.video_packet(from, &header, data);
                packets.unwrap_or_else(|| {
                    self.stray(from, "rtp_ssrc");
                    Vec::new()
                })
            }
            Some(header) => self.rtp(from, &header, data).unwrap_or_default(),
            None => {
                self.stray(from, "rtp_header");
                Vec::new()
            }
        }
    }

    /// Receiver reports for all who sent something.
    pub fn receiver_reports(&mut self) -> Vec<Outgoing> {
        let reports = self.calls.sessions_mut().filter_map(|session| {
            let source = session.ssrc;
            let transport = session.transport.as_mut()?;
            let (clear, block) =
                rtp::receiver_report(REPORTER, source, transport.stream.highest()?);
            Some((transport.peer?, transport.seal(&clear, &block)?))
        });
        reports.collect()
    }

    fn discovery(&mut self, from: SocketAddr, data: &[u8]) -> Option<Outgoing> {
        let ssrc = u32::from_be_bytes(*data.get(4..)?.first_chunk()?);
        let Some(session) = self.session_of_ssrc(ssrc) else {
            self.stray(from, "ip_discovery");
            return None;
        };
        session.discovered = Some(from);
        let mut answer = Vec::with_capacity(DISCOVERY);
        answer.extend(DISCOVERY_ANSWER);
        answer.extend(ssrc.to_be_bytes());
        answer.extend(from.ip().to_string().bytes());
        answer.resize(DISCOVERY - 2, 0);
        answer.extend(from.port().to_be_bytes());
        Some((from, answer))
    }

    fn keepalive(&mut self, from: SocketAddr, data: &[u8]) -> Option<Outgoing> {
        match self.session_at(from) {
            Some(session) => {
                session.frames.keepalives += 1;
                Some((from, data.to_vec()))
            }
            None => {
                self.calls.counts.stray_datagrams += 1;
                None
            }
        }
    }

    fn rtcp(&mut self, from: SocketAddr, ssrc: u32, data: &[u8]) -> Option<Vec<Outgoing>> {
        let session = self.calls.sessions_mut().find(|session| {
            let layers = session.video.as_ref().map(|video| video.layers.as_slice());
            let mut layers = layers.unwrap_or_default().iter();
            session.ssrc == ssrc || layers.any(|layer| layer.ssrc == ssrc)
        });
        let Some(session) = session else {
            self.stray(from, "rtcp_ssrc");
            return None;
        };
        let seat = session.seat;
        let Some(transport) = &mut session.transport else {
            self.voice_violation(seat, "rtp_before_session");
            return None;
        };
        let Some((body, nonce)) = transport.cipher.open(data, rtp::RTCP_CLEAR) else {
            self.voice_violation(seat, "rtp_decrypt");
            return None;
        };
        session.frames.rtcp += 1;
        if !transport.nonces.add(nonce) {
            self.voice_violation(seat, "nonce_reuse");
        }
        let clear = data.get(..rtp::RTCP_CLEAR)?;
        Some(self.relay_rtcp(seat, &[clear, &body].concat()))
    }

    fn rtp(&mut self, from: SocketAddr, header: &Header, data: &[u8]) -> Option<Vec<Outgoing>> {
        let Some(session) = self.session_of_ssrc(header.ssrc) else {
            self.stray(from, "rtp_ssrc");
            return None;
        };
        let seat = session.seat;
        let (frame, broken) = match accept(session, from, header, data, Instant::now()) {
            Ok(accepted) => accepted,
            Err("rtp_before_speaking") => {
                self.voice_violation(seat, "rtp_before_speaking");
                self.end_voice_session(seat, End::Close(4020, "Invalid SSRC."));
                return None;
            }
            Err(kind) => {
                self.voice_violation(seat, kind);
                return None;
            }
        };
        if let Some(kind) = broken {
            self.voice_violation(seat, kind);
        }
        let has_dave = frame.ends_with(&DAVE_MARKER);
        let session = self.calls.session(seat)?;
        session.frames.received += 1;
        session.frames.without_dave += u64::from(!has_dave && frame != SILENCE);
        let channel = session.channel;
        if self
            .voice
            .get(&seat)
            .is_some_and(|voice| voice["suppress"] == true)
        {
            return Some(Vec::new());
        }
        let padding = self.settings.voice_padding;
        let deaf: Vec<Seat> = self
            .voice
            .iter()
            .filter(|(_, voice)| voice["self_deaf"] == true)
            .map(|(&seat, _)| seat)
            .collect();
        let (clear, body) = header.relayed(&frame, padding);
        let mut packets = Vec::new();
        for receiver in self.calls.in_call(channel) {
            // Who has no DAVE is not sent what he cannot read.
            if receiver.seat == seat
                || deaf.contains(&receiver.seat)
                || (has_dave && receiver.dave == 0)
            {
                continue;
            }
            if let Some(transport) = &mut receiver.transport
                && let Some(peer) = transport.peer
                && let Some(packet) = transport.seal(&clear, &body)
            {
                packets.push((peer, packet));
                receiver.frames.sent += 1;
            }
        }
        self.calls.session(seat)?.frames.relayed += packets.len() as u64;
        Some(packets)
    }

    fn session_of_ssrc(&mut self, ssrc: u32) -> Option<&mut Session> {
        self.calls
            .sessions_mut()
            .find(|session| session.ssrc == ssrc)
    }

    /// The session whose packets come from an address.
    fn session_at(&mut self, address: SocketAddr) -> Option<&mut Session> {
        self.calls.sessions_mut().find(|session| {
            let peer = session.transport.as_ref().and_then(|t| t.peer);
            peer.or(session.discovered) == Some(address)
        })
    }

    /// A datagram makes no sense; whoever has its address broke the rule.
    fn stray(&mut self, from: SocketAddr, kind: &'static str) {
        self.calls.counts.stray_datagrams += 1;
        if let Some(seat) = self.session_at(from).map(|session| session.seat) {
            self.voice_violation(seat, kind);
        }
    }
}

/// Opens and judges a packet. Answers the frame in it, and the rule it breaks although it is relayed; or the rule for which
/// it is not.
fn accept(
    session: &mut Session,
    from: SocketAddr,
    header: &Header,
    data: &[u8],
    now: Instant,
) -> Result<(Vec<u8>, Option<&'static str>), &'static str> {
    let Some(transport) = &mut session.transport else {
        return Err("rtp_before_session");
    };
    let Some((body, nonce)) = transport.cipher.open(data, header.clear) else {
        return Err("rtp_decrypt");
    };
    // Only now is it known to be the session's own.
    transport.peer = Some(from);
    if !transport.nonces.add(nonce) {
        return Err("nonce_reuse");
    }
    if header.payload_type != rtp::OPUS || header.marker {
        return Err("rtp_payload_type");
    }
    let broken = transport.stream.add(header);
    let frame = header.payload(&body).ok_or("rtp_padding")?;
    let speaking = session.speaking;
    match speaking {
        Some(1..) => {}
        Some(0) if !session.may_be_said(now) => return Err("rtp_while_not_speaking"),
        None if !session.may_be_said(now) => return Err("rtp_before_speaking"),
        _ => {}
    }
    Ok((frame.to_vec(), broken))
}
