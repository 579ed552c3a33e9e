//! The way of packets: finding it, agreeing on encryption, and what goes along it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::rtcp::REPORTS;
use super::{Action, Core, Live, MICROPHONE, Sending, Stage};
use crate::error::End;
use crate::event::Event;
use crate::gateway::message::video::Codec;
use crate::gateway::message::{Outgoing, Protocol, Ready, SessionDescription};
use crate::media::crypto::{Mode, Transport};
use crate::media::discovery::Discovery;
use crate::media::keepalive::Keepalive;
use crate::media::{Kind, OPUS, OPUS_SILENCE};
use crate::pacer::Slot;
use crate::sender::{Sender, Unsent};
use uro_discord_media::rtcp;
use uro_discord_media::rtp::Header;

impl Core {
    pub(super) fn ready(&mut self, ready: Ready, now: Instant) {
        if !matches!(self.stage, Stage::Greeting) {
            return;
        }
        let Some(mode) = Mode::choose(&ready.modes) else {
            let mut offered = ready.modes;
            offered.truncate(16);
            return self.end(End::NoMode { offered });
        };
        let Ok(ip) = ready.ip.parse::<IpAddr>() else {
            let what = "Ready (2) without an IP address".into();
            return self.end(End::Protocol { what });
        };
        let address = SocketAddr::new(ip, ready.port);
        if let Some(video) = &mut self.video {
            video.ready(&ready.streams);
        }
        self.actions.push_back(Action::Bind(address));
        let discovery = Discovery::new(ready.ssrc, now);
        self.stage = Stage::Discovering(discovery, mode, Sender::new(ready.ssrc));
        // Discovery has its own timeout, which is shorter than a step's.
        self.link.progress(now);
    }

    pub(super) fn discovered(&mut self, datagram: &[u8], now: Instant) {
        let Stage::Discovering(discovery, mode, _) = &self.stage else {
            return;
        };
        let (address, port) = match discovery.answer(datagram) {
            Ok(found) => found,
            Err(error) => return tracing::debug!(%error, "from the voice server"),
        };
        let select = Outgoing::SelectProtocol {
            protocol: "udp",
            data: Protocol {
                address: address.to_string(),
                port,
                mode: mode.name(),
            },
            codecs: self
                .video
                .as_ref()
                .map(|video| Codec::all(&video.config))
                .unwrap_or_default(),
        };
        self.text(&select);
        self.link.progress(now);
        if let Stage::Discovering(_, _, sender) =
            std::mem::replace(&mut self.stage, Stage::Greeting)
        {
            self.stage = Stage::Selecting(sender);
        }
    }

    pub(super) fn description(&mut self, description: SessionDescription, now: Instant) {
        let Some(mode) = Mode::from_name(&description.mode) else {
            let offered = vec![description.mode];
            return self.end(End::NoMode { offered });
        };
        let transport = Transport::new(mode, &description.secret_key);
        let sender = match std::mem::replace(&mut self.stage, Stage::Greeting) {
            Stage::Selecting(sender) => sender,
            // A change of codecs or keys in the middle is not documented; were it so, the nonces begin anew with the key.
            other => {
                self.stage = other;
                return;
            }
        };
        self.link.up(now);
        self.stage = Stage::Live {
            live: Box::new(Live {
                mode,
                transport,
                sender,
                keepalive: Keepalive::new(now),
                reports: now + REPORTS,
                udp_round_trip: None,
                loss_at_server: None,
                speaking: false,
            }),
            resuming: false,
        };
        self.dave
            .start(description.dave_protocol_version, now, &mut self.steps);
        // Without it neither are our packets taken nor others' sent to us.
        self.speaking(false);
        self.actions
            .push_back(Action::Event(Event::Joined { mode }));
        self.video_codec(description.video_codec.as_deref());
        self.video_joined();
    }

    pub(super) fn speaking(&mut self, speaking: bool) {
        let Stage::Live { live, resuming } = &mut self.stage else {
            return;
        };
        live.speaking = speaking;
        if !*resuming {
            let message = Outgoing::Speaking {
                speaking: if speaking { MICROPHONE } else { 0 },
                delay: 0,
                ssrc: live.sender.ssrc(),
            };
            self.text(&message);
        }
    }

    /// A datagram from the voice server.
    pub(crate) fn datagram(&mut self, datagram: &mut [u8], now: Instant) {
        match Kind::of(datagram) {
            Kind::Discovery => self.discovered(datagram, now),
            Kind::Keepalive => {
                if let Stage::Live { live, .. } = &mut self.stage
                    && let Some(round_trip) = live.keepalive.echo(datagram, now)
                {
                    live.udp_round_trip = Some(round_trip);
                    let event = Event::RoundTrip(round_trip);
                    self.actions.push_back(Action::Event(event));
                }
            }
            Kind::Rtp => {
                let header = self
                    .video
                    .as_ref()
                    .and_then(|_| Header::parse(datagram).ok());
                if let Some(header) = header.filter(|header| header.payload_type != OPUS) {
                    self.video_datagram(&header, datagram, now);
                } else if let Stage::Live { live, .. } = &self.stage {
                    self.receiver.packet(
                        datagram,
                        &live.transport,
                        &mut self.dave,
                        now,
                        &mut self.steps,
                        &mut self.outputs,
                    );
                }
            }
            Kind::Rtcp => self.report(datagram, now),
            Kind::Unknown => {}
        }
        self.settle(now);
    }

    pub(super) fn report(&mut self, datagram: &mut [u8], now: Instant) {
        let Stage::Live { live, .. } = &mut self.stage else {
            return;
        };
        let Ok(sealed) = live.transport.open(datagram, rtcp::CLEAR) else {
            return;
        };
        let length = rtcp::CLEAR.saturating_add(sealed.len());
        let Some(datagram) = datagram.get(..length) else {
            return;
        };
        for report in rtcp::reports(datagram).unwrap_or_default() {
            if report.ssrc == live.sender.ssrc() {
                live.loss_at_server = Some(report.fraction_lost);
            }
        }
        self.video_feedback(datagram, now);
    }

    /// Makes the next packet to send now. To be called until there is [`Sending::Nothing`].
    pub(crate) fn packet(
        &mut self,
        now: Instant,
        next: impl FnOnce() -> Option<Bytes>,
        packet: &mut Vec<u8>,
    ) -> Sending {
        if matches!(self.stage, Stage::Ended) {
            return Sending::Nothing;
        }
        let (frame, paused) = match self.pacer.poll(now, next) {
            None => return Sending::Nothing,
            Some(Slot::Begin(frame)) => (frame, true),
            Some(Slot::Frame(frame)) => (frame, false),
            // The first one comes a frame later than it could: somebody might have been late.
            Some(Slot::Silence) => (Bytes::from_static(&OPUS_SILENCE), true),
            Some(Slot::End) => {
                self.speaking(false);
                return Sending::Skip;
            }
        };
        // Whoever speaks says so first, or nobody knows whose packets they are.
        let silent = matches!(&self.stage, Stage::Live { live, .. } if !live.speaking);
        if silent && self.dave.can_send() {
            self.speaking(true);
        }
        let Stage::Live { live, .. } = &mut self.stage else {
            self.stats.not_connected += 1;
            return Sending::Skip;
        };
        let (sender, transport) = (&mut live.sender, &mut live.transport);
        match sender.packet(&frame, paused, &mut self.dave, transport, now, packet) {
            Ok(()) => {
                self.stats.sent += 1;
                Sending::Packet
            }
            Err(Unsent::NoKey) => {
                self.stats.no_key += 1;
                // That there is no key may be what DAVE begins anew for, at once.
                self.advance(now);
                Sending::Skip
            }
            Err(Unsent::Exhausted) => {
                self.end(End::KeyExhausted);
                Sending::Nothing
            }
        }
    }

    /// The socket did not take the last packet.
    pub(crate) fn unsent(&mut self) {
        self.stats.sent = self.stats.sent.saturating_sub(1);
        self.stats.socket += 1;
    }

    /// Others' audio is wanted from now on, or no longer.
    pub(crate) fn want_audio(&mut self, wanted: bool) {
        self.receiver.want(wanted);
    }

    /// Nobody took the last frame.
    pub(crate) fn overflowed(&mut self) {
        self.receiver.overflowed();
    }
}
