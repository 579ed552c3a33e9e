//! A session without its sockets and its clock: what comes in, what goes out, and when.

mod connection;
mod media;
mod messages;
mod rtcp;
mod video;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use crate::config::{Config, Endpoint, JoinInfo};
use crate::dave::{self, Dave};
use crate::error::{Cause, ConfigError, End};
use crate::event::Event;
use crate::gateway::link::{Due, Link};
use crate::gateway::message::Outgoing;
use crate::media::crypto::{Mode, Transport};
use crate::media::discovery::{self, Discovery};
use crate::media::keepalive::Keepalive;
use crate::pacer::Pacer;
use crate::receiver::{Output, Received, Receiver};
use crate::sender::Sender;
use crate::status::{DaveStatus, Phase, SendStats, Status};
use crate::video::ReceivedVideo;
use uro_discord_media::feedback::Clock;
use video::Video;

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
    Video(ReceivedVideo),
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
    /// When to report what we have sent.
    reports: Instant,
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
    video: Option<Box<Video>>,
    clock: Clock,
    pacer: Pacer,
    stats: SendStats,
    last_error: Cause,
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
            video: config
                .video
                .clone()
                .map(|config| Box::new(Video::new(config))),
            receiver: Receiver::new(config.receive),
            // The wall clock is asked this once.
            clock: Clock::new(now, SystemTime::now()),
            config,
            shown: DaveStatus::default(),
            pacer: Pacer::new(),
            stats: SendStats::default(),
            last_error: Cause::new("it closed the connection"),
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
            Stage::Live { live, .. } => Some(live.keepalive.deadline().min(live.reports)),
            Stage::Waiting(until) => Some(*until),
            Stage::Greeting | Stage::Selecting(_) => None,
            Stage::Ended => return None,
        };
        let dave = self.dave.deadline().filter(|_| self.is_connected());
        // Before it is live there is no way to ask for what is missing.
        let video = match &self.stage {
            Stage::Live { .. } => self.video.as_ref().and_then(|video| video.deadline()),
            _ => None,
        };
        [
            stage,
            dave,
            self.link.deadline(),
            self.receiver.deadline(),
            self.pacer.deadline(),
            video,
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
                    self.last_error = Cause::new("it did not answer in time");
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
        self.video_advance(now);
        self.reports(now);
        self.settle(now);
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
            video: self.video.as_ref().map(|video| video.status()),
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
        self.video_advance(now);
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
                        self.end(End::EncryptionVersion { version });
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Scheme, Tls};
    use crate::video::VideoConfig;

    /// Its streams may be told before our own way is found.
    #[test]
    fn a_keyframe_that_is_asked_for_too_early_is_asked_for_later() {
        let now = Instant::now();
        let info = JoinInfo {
            endpoint: "127.0.0.1:1".into(),
            guild_id: 5,
            channel_id: 3,
            user_id: 1,
            session_id: "s".into(),
            token: "t".into(),
        };
        let config = Config {
            scheme: Scheme::Ws,
            video: Some(VideoConfig::default()),
            ..Config::with_tls(Tls::new(None).unwrap())
        };
        let mut core = Core::new(info, config, now).unwrap();
        core.advance(now);
        core.opened(now);
        core.text_message(r#"{"op":8,"d":{"heartbeat_interval":20000}}"#, now);
        core.text_message(r#"{"op":12,"d":{"user_id":"2","video_ssrc":9}}"#, now);
        core.request_keyframe(2, now);
        core.advance(now);
        assert!(core.deadline().unwrap() > now + Duration::from_secs(1));

        let key = [9; 32];
        for message in [
            r#"{"op":2,"d":{"ssrc":7,"ip":"127.0.0.1","port":5,"modes":["aead_aes256_gcm_rtpsize"]}}"#.into(),
            format!(r#"{{"op":4,"d":{{"mode":"aead_aes256_gcm_rtpsize","secret_key":{key:?}}}}}"#),
        ] {
            core.text_message(&message, now);
            let mut answer = vec![0, 2, 0, 70, 0, 0, 0, 7];
            answer.extend(b"127.0.0.1");
            answer.resize(73, 0);
            answer.push(1);
            core.datagram(&mut answer, now);
        }
        core.advance(now);
        let asked = std::iter::from_fn(|| core.action())
            .filter(|action| matches!(action, Action::Datagram(sent) if sent.get(1) == Some(&201)));
        assert_eq!(asked.count(), 1);
        assert!(core.deadline().is_some_and(|deadline| deadline > now));
    }
}
