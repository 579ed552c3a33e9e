//! A session without its sockets and its clock: what comes in, what goes out, and when.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use secrecy::ExposeSecret;

use crate::config::{Config, Endpoint, JoinInfo};
use crate::dave::{self, Dave};
use crate::error::{ConfigError, End};
use crate::event::Event;
use crate::gateway::Close;
use crate::gateway::link::{Due, Link};
use crate::gateway::message::{Binary, Outgoing, Protocol, Ready, SessionDescription, Text};
use crate::media::crypto::{Mode, Transport};
use crate::media::discovery::{self, Discovery};
use crate::media::keepalive::Keepalive;
use crate::media::{Kind, OPUS_SILENCE, rtcp};
use crate::pacer::{Pacer, Slot};
use crate::receiver::{Output, Received, Receiver};
use crate::sender::{Sender, Unsent};
use crate::status::{DaveStatus, Phase, SendStats, Status};

/// Speaking (5): a microphone.
const MICROPHONE: u8 = 1;

/// What the outside is to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Drop the WebSocket, if there is one, and open one.
    Connect {
        endpoint: Endpoint,
        version: u8,
    },
    /// Drop the WebSocket. 1000 ends the session, for the server too.
    Disconnect {
        code: u16,
    },
    Text(String),
    Binary(Vec<u8>),
    /// Drop the UDP socket, if there is one, and open one to there.
    Bind(SocketAddr),
    Datagram(Vec<u8>),
    Event(Event),
    Frame(Received),
    End(End),
}

/// What [`Core::packet`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Packet,
    /// It was a frame's turn, and it is not sent.
    Skip,
    Nothing,
}

/// How far the session is.
enum Stage {
    /// Connecting, or greeting: Ready (2) has not come.
    Greeting,
    /// Finding our address.
    Discovering(Discovery, Mode, Sender),
    /// Session Description (4) has not come.
    Selecting(Sender),
    /// In the channel. While `resuming`, the voice gateway is not.
    Live {
        live: Box<Live>,
        resuming: bool,
    },
    /// Another voice server is to be named, until then.
    Waiting(Instant),
    Ended,
}

struct Live {
    mode: Mode,
    transport: Transport,
    sender: Sender,
    keepalive: Keepalive,
    udp_round_trip: Option<std::time::Duration>,
    loss_at_server: Option<u8>,
    speaking: bool,
}

/// What Identify (0) and Resume (7) say.
struct Identity {
    info: JoinInfo,
    endpoint: Endpoint,
}

pub(crate) struct Core {
    config: Config,
    identity: Identity,
    stage: Stage,
    link: Link,
    dave: Dave,
    shown: DaveStatus,
    receiver: Receiver,
    pacer: Pacer,
    stats: SendStats,
    last_error: String,
    actions: VecDeque<Action>,
    steps: Vec<dave::Step>,
    outputs: Vec<Output>,
}

impl Core {
    pub(crate) fn new(info: JoinInfo, config: Config, now: Instant) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse(&info.endpoint, config.scheme)?;
        Ok(Self {
            dave: Dave::new(info.user_id, info.channel_id),
            identity: Identity { info, endpoint },
            stage: Stage::Greeting,
            link: Link::new(now, config.step_timeout),
            config,
            shown: DaveStatus::default(),
            receiver: Receiver::default(),
            pacer: Pacer::new(),
            stats: SendStats::default(),
            last_error: "it closed the connection".into(),
            actions: VecDeque::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// What to do next.
    pub(crate) fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Core::advance`] and [`Core::packet`], if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Discovering(discovery, ..) => Some(discovery.deadline()),
            Stage::Live { live, .. } => Some(live.keepalive.deadline()),
            Stage::Waiting(until) => Some(*until),
            Stage::Greeting | Stage::Selecting(_) => None,
            Stage::Ended => return None,
        };
        let dave = self.dave.deadline().filter(|_| self.is_connected());
        [
            stage,
            dave,
            self.link.deadline(),
            self.receiver.deadline(),
            self.pacer.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether DAVE's messages can be sent.
    fn is_connected(&self) -> bool {
        matches!(
            self.stage,
            Stage::Live {
                resuming: false,
                ..
            }
        )
    }

    /// Time has passed.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some(due) = self.link.poll(now) {
            match due {
                Due::Connect => self.actions.push_back(Action::Connect {
                    endpoint: self.identity.endpoint.clone(),
                    version: self.config.gateway_version,
                }),
                Due::Heartbeat { t, seq_ack } => self.text(&Outgoing::Heartbeat { t, seq_ack }),
                Due::Dead => {
                    self.last_error = "it did not answer in time".into();
                    self.lost(now);
                }
            }
        }
        match &mut self.stage {
            Stage::Discovering(discovery, ..) => match discovery.poll(now) {
                discovery::Step::Send(request) => {
                    self.actions.push_back(Action::Datagram(request.into()));
                }
                discovery::Step::Wait => {}
                discovery::Step::Failed => self.end(End::NoUdp),
            },
            Stage::Live { live, .. } => {
                if let Some(datagram) = live.keepalive.poll(now) {
                    self.actions.push_back(Action::Datagram(datagram.into()));
                }
            }
            Stage::Waiting(until) if now >= *until => self.end(End::Disconnected {
                waited: self.config.move_timeout,
            }),
            _ => {}
        }
        if self.is_connected() {
            self.dave.advance(now, &mut self.steps);
        }
        self.receiver.advance(now, &mut self.outputs);
        self.settle(now);
    }

    /// The WebSocket is open.
    pub(crate) fn opened(&mut self, now: Instant) {
        self.link.progress(now);
        let info = &self.identity.info;
        let channel_id = (self.config.gateway_version >= 9).then(|| info.channel_id.to_string());
        let server_id = info.guild_id.to_string();
        let session_id = info.session_id.expose_secret();
        let token = info.token.expose_secret();
        let message = match self.stage {
            Stage::Live { .. } => Outgoing::Resume {
                server_id,
                session_id,
                token,
                seq_ack: self.link.seq_ack(),
                channel_id,
            },
            _ => Outgoing::Identify {
                server_id,
                user_id: info.user_id.to_string(),
                session_id,
                token,
                max_dave_protocol_version: dave::VERSION,
                channel_id,
            },
        };
        let message = message.to_json();
        self.actions.push_back(Action::Text(message));
    }

    /// The WebSocket could not be opened, or broke.
    pub(crate) fn failed(&mut self, error: String, now: Instant) {
        self.last_error = error;
        self.lost(now);
        self.settle(now);
    }

    /// The server closed the WebSocket.
    pub(crate) fn closed(&mut self, code: Option<u16>, now: Instant) {
        tracing::debug!(code, "the voice gateway closed the connection");
        match Close::of(code) {
            Close::Resume => {
                self.last_error = match code {
                    Some(code) => format!("it closed the connection (close code {code})"),
                    None => "it closed the connection".into(),
                };
                self.lost(now);
            }
            Close::Await => self.wait(now),
            Close::End(end) => self.end(end),
        }
        self.settle(now);
    }

    /// The connection is gone: resume what can be, or begin anew.
    fn lost(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Waiting(_) | Stage::Ended => return,
            Stage::Live { resuming, .. } => {
                if !std::mem::replace(resuming, true) {
                    self.actions.push_back(Action::Event(Event::Resuming));
                }
            }
            // There is nothing to resume before the session description.
            stage => {
                *stage = Stage::Greeting;
                self.link.anew();
                self.forget();
            }
        }
        self.actions.push_back(Action::Disconnect { code: 4000 });
        if !self.link.lost(now, self.config.attempts) {
            let last = std::mem::take(&mut self.last_error);
            self.end(End::Unreachable {
                attempts: self.config.attempts + 1,
                last,
            });
        }
    }

    /// A JSON message.
    pub(crate) fn text_message(&mut self, text: &str, now: Instant) {
        let message = match Text::parse(text) {
            Ok((message, seq)) => {
                if let Some(seq) = seq {
                    self.link.numbered(seq);
                }
                message
            }
            // Without what it says, the rest may do.
            Err(error) => return tracing::warn!(%error, "from the voice gateway"),
        };
        self.receive(message, now);
        self.settle(now);
    }

    fn receive(&mut self, message: Text, now: Instant) {
        match message {
            Text::Hello(hello) => self.link.hello(hello.heartbeat_interval, now),
            Text::Heartbeat => self.link.heartbeat_now(now),
            Text::HeartbeatAck(ack) => self.link.acknowledged(ack.t, now),
            Text::Ready(ready) => self.ready(ready, now),
            Text::SessionDescription(description) => self.description(description, now),
            Text::Resumed => self.resumed(),
            Text::Speaking(speaking) => {
                let (ssrc, user) = (speaking.ssrc, speaking.user_id.0);
                self.receiver.belongs(ssrc, user, &mut self.outputs);
                self.retry(now);
            }
            Text::ClientsConnect(clients) => {
                for user in clients.user_ids {
                    if self.dave.connected(user.0) {
                        let joined = Event::UserJoined { user_id: user.0 };
                        self.actions.push_back(Action::Event(joined));
                    }
                }
            }
            Text::ClientDisconnect(client) => {
                let user_id = client.user_id.0;
                if self.dave.disconnected(user_id, now) {
                    self.receiver.gone(user_id, &mut self.outputs);
                    self.outputs();
                    let left = Event::UserLeft { user_id };
                    self.actions.push_back(Action::Event(left));
                }
            }
            Text::PrepareTransition(p) => {
                self.dave
                    .prepare(p.transition_id, p.protocol_version, now, &mut self.steps);
            }
            Text::ExecuteTransition(t) => self.dave.execute(t.transition_id, &mut self.steps),
            Text::PrepareEpoch(p) => {
                self.dave
                    .prepare_epoch(p.epoch, p.protocol_version, now, &mut self.steps);
            }
            Text::Other => {}
        }
    }

    /// A binary message.
    pub(crate) fn binary_message(&mut self, message: &[u8], now: Instant) {
        match Binary::parse(message) {
            Ok((_, seq)) => {
                self.link.numbered(seq.into());
                self.dave.receive(message, now, &mut self.steps);
                self.settle(now);
            }
            Err(error) => tracing::warn!(%error, "from the voice gateway"),
        }
    }

    fn ready(&mut self, ready: Ready, now: Instant) {
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
        self.actions.push_back(Action::Bind(address));
        let discovery = Discovery::new(ready.ssrc, now);
        self.stage = Stage::Discovering(discovery, mode, Sender::new(ready.ssrc));
        // Discovery has its own timeout, which is shorter than a step's.
        self.link.progress(now);
    }

    fn discovered(&mut self, datagram: &[u8], now: Instant) {
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
        };
        self.text(&select);
        self.link.progress(now);
        if let Stage::Discovering(_, _, sender) =
            std::mem::replace(&mut self.stage, Stage::Greeting)
        {
            self.stage = Stage::Selecting(sender);
        }
    }

    fn description(&mut self, description: SessionDescription, now: Instant) {
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
        self.link.up();
        self.stage = Stage::Live {
            live: Box::new(Live {
                mode,
                transport,
                sender,
                keepalive: Keepalive::new(now),
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
    }

    fn resumed(&mut self) {
        let Stage::Live { live, resuming } = &mut self.stage else {
            return;
        };
        if !std::mem::replace(resuming, false) {
            return;
        }
        let speaking = live.speaking;
        self.link.up();
        self.actions.push_back(Action::Event(Event::Resumed));
        self.speaking(speaking);
    }

    fn speaking(&mut self, speaking: bool) {
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
                if let Stage::Live { live, .. } = &self.stage {
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
            Kind::Rtcp => self.report(datagram),
            Kind::Unknown => {}
        }
        self.settle(now);
    }

    fn report(&mut self, datagram: &mut [u8]) {
        let Stage::Live { live, .. } = &mut self.stage else {
            return;
        };
        let Ok(length) = live
            .transport
            .open(datagram, rtcp::CLEAR)
            .map(|rest| rtcp::CLEAR + rest.len())
        else {
            return;
        };
        for report in rtcp::reports(&datagram[..length]).unwrap_or_default() {
            if report.ssrc == live.sender.ssrc() {
                live.loss_at_server = Some(report.fraction_lost);
            }
        }
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

    /// Nobody took the last frame.
    pub(crate) fn overflowed(&mut self) {
        self.receiver.overflowed();
    }

    /// The main gateway named another voice server, or another channel.
    pub(crate) fn update_server(
        &mut self,
        info: JoinInfo,
        now: Instant,
    ) -> Result<(), ConfigError> {
        let endpoint = Endpoint::parse(&info.endpoint, self.config.scheme)?;
        if matches!(self.stage, Stage::Ended) {
            return Ok(());
        }
        self.identity = Identity { info, endpoint };
        self.stage = Stage::Greeting;
        self.forget();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.link = Link::new(now, self.config.step_timeout);
        self.settle(now);
        Ok(())
    }

    /// The main gateway has no voice server for us at present: its endpoint is null.
    pub(crate) fn server_gone(&mut self, now: Instant) {
        self.wait(now);
        self.settle(now);
    }

    fn wait(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Waiting(_) | Stage::Ended) {
            return;
        }
        self.forget();
        self.stage = Stage::Waiting(now + self.config.move_timeout);
        self.link.down();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.actions.push_back(Action::Event(Event::Waiting));
    }

    /// What belonged to the last voice server.
    fn forget(&mut self) {
        let users: Vec<u64> = self.dave.users().collect();
        for user_id in users {
            self.receiver.gone(user_id, &mut self.outputs);
            self.outputs();
            let left = Event::UserLeft { user_id };
            self.actions.push_back(Action::Event(left));
        }
        let info = &self.identity.info;
        self.dave = Dave::new(info.user_id, info.channel_id);
        self.receiver.reset();
    }

    pub(crate) fn leave(&mut self) {
        self.end(End::Left);
    }

    pub(crate) fn end(&mut self, end: End) {
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        self.stage = Stage::Ended;
        self.link.down();
        self.actions.push_back(Action::Disconnect { code: 1000 });
        self.actions.push_back(Action::End(end));
    }

    pub(crate) fn status(&self) -> Status {
        let (phase, live) = match &self.stage {
            Stage::Live { live, resuming } => {
                let phase = if *resuming {
                    Phase::Resuming
                } else {
                    Phase::Joined
                };
                (phase, Some(live))
            }
            Stage::Waiting(_) => (Phase::Waiting, None),
            Stage::Ended => (Phase::Ended, None),
            Stage::Greeting | Stage::Discovering(..) | Stage::Selecting(_) => {
                (Phase::Joining, None)
            }
        };
        Status {
            phase,
            users: self.dave.users().collect(),
            speaking: self.receiver.speaking().collect(),
            mode: live.map(|live| live.mode),
            dave: dave_status(&self.dave),
            udp_round_trip: live.and_then(|live| live.udp_round_trip),
            gateway_round_trip: self.link.round_trip(),
            loss_at_server: live.and_then(|live| live.loss_at_server),
            sent: self.stats,
            received: self.receiver.stats(),
        }
    }

    /// How much is kept of what comes and goes.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let (held, streams) = self.receiver.sizes();
        let (users, pending) = self.dave.sizes();
        vec![self.actions.len(), held, streams, users, pending]
    }

    fn text(&mut self, message: &Outgoing<'_>) {
        self.actions.push_back(Action::Text(message.to_json()));
    }

    fn retry(&mut self, now: Instant) {
        self.receiver
            .retry(&mut self.dave, now, &mut self.steps, &mut self.outputs);
    }

    /// Turns what the parts gave into actions.
    fn settle(&mut self, now: Instant) {
        while !self.steps.is_empty() {
            let mut changed = false;
            for step in std::mem::take(&mut self.steps) {
                match step {
                    dave::Step::Text(text) => self.actions.push_back(Action::Text(text)),
                    dave::Step::Binary(binary) => self.actions.push_back(Action::Binary(binary)),
                    dave::Step::Changed => changed = true,
                    dave::Step::Unsupported(version) => {
                        self.end(End::EncryptionVersion { version })
                    }
                    dave::Step::Broken(error) => self.end(End::Encryption(error)),
                }
            }
            if changed {
                self.retry(now);
                let status = dave_status(&self.dave);
                if status != self.shown {
                    self.shown = status.clone();
                    self.actions
                        .push_back(Action::Event(Event::Encryption(status)));
                }
            }
        }
        self.outputs();
    }

    fn outputs(&mut self) {
        let actions = self.outputs.drain(..).map(|output| match output {
            Output::Frame(frame) => Action::Frame(frame),
            Output::Speaking { user_id, speaking } => {
                Action::Event(Event::Speaking { user_id, speaking })
            }
        });
        self.actions.extend(actions);
    }
}

fn dave_status(dave: &Dave) -> DaveStatus {
    DaveStatus {
        version: dave.version(),
        epoch: dave.epoch(),
        privacy_code: dave.privacy_code().map(Into::into),
        can_send: dave.can_send(),
    }
}
